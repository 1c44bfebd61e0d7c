"""How much may be used?

Owns holds, leases and (with their issue) rates, budgets and provisioned throughput. Does not own the money itself: that
is the ledger's. Invariants: Σ charges ≤ balance over any number of workers; a lease's three totals only grow and
granted - returned - charged ≥ 0. Retry: messages carry totals, so loss, repeat and reorder are harmless.
"""
