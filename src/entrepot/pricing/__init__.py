"""What does it cost?

Owns books (lists of versions that are never edited), their compilation into rates, and the one pure charge function
that admission, ending, rating and verify call. Does not own balances or documents. Invariants: a published version
never changes; an unknown price is never zero; budget price ≥ invoice price for every usage line. Retry: pure.
"""
