"""How did the database come to look like this?

Owns the migrations, oldest first. Until 0.1.0 there is one, rewritten in place; afterwards the rule is expand, then
contract. Invariant: running all of them on an empty database gives the tables of `serve.schema`. Retry: a migration is
one transaction.
"""
