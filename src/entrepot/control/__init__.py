"""What may an operator see and change, over which address?

Owns the admin API under /admin: its gate (Host, token, permission of the matched route), one file per noun, and the
way each change goes to the keeper. Does not own any table or rule, and writes no database: the keeper is the one
writer. Invariants: a route without a permission answers nobody; a secret goes in and never comes out (a new key is
shown once); the request path does not need this process. Retry: reads may be repeated; changes that move money carry
an id; the rest is safe to send again.
"""
