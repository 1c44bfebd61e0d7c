"""Is what we promise true, here, on this disk?

Owns the rig that tests, bench and users share: a fake vendor with a synced ledger of its own, a load generator, a house
of real processes, and the trials `crash` and `outage`. Owns no rule of the product and mocks none: every trial runs the
real server over real sockets and compares two ledgers that were written by two parties.
Invariants: a trial prints what it did before it says that it passed; a run that proved too little fails.
Retry: each trial makes its own data folder; the same seed gives the same script, not the same interleaving.
"""
