"""How much may be used?

Owns holds, leases, budgets, windows of rates and the shares of them, and (with its issue) provisioned throughput. Does
not own the money itself: that is the ledger's. Invariants: Σ charges ≤ balance over any number of workers; a lease's
three totals only grow and granted - returned - charged ≥ 0; Σ shares ≤ limit, and no window holds more than its share.
Retry: messages carry totals, so loss, repeat and reorder are harmless.
"""
