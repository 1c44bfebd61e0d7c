"""Who keeps the books while calls go on?

Owns the one writer of the database: grants of leases, ingestion of the journal, sealing of dead slots, the lake's
manifest, commands, the compiled snapshot, and `verify`. Does not own the rules (ledger, limits, metering, pricing).
Invariants: Σ outstanding leases ≤ ledger balance; a stream's position, its rollup, its leases' charges and its posting
move in one transaction; a journal is synced before what was read from it is committed.
Retry: every step repeats from its position; grants and returns are totals; commands carry ids.
"""
