"""Who buys?

Owns customers, their projects and deployments, and the keys they call with. Does not own contracts beyond the book they
name, nor balances. Invariants: a key belongs to one project for its life; its secret is shown once and stored only as
an HMAC; at most two secrets of a key are alive. Retry: revoking twice is once; making a key again makes another.
"""
