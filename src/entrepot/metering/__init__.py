"""How much was used?

Owns the records of the journal (intent, ending, checkpoint, lease records), their closing after a crash, and the
rollup. Does not own prices: closing takes the charge function as an argument. Invariants: every attempt ends in exactly
one usage record; a record's buckets are disjoint; charge ≤ hold. Retry: closing is a pure function of the stream, and
the rollup moves with its journal position in one transaction, so both may run again.
"""
