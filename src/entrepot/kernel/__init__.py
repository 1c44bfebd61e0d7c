"""What is the ground that every rule stands on?

Owns money in integers and Decimal, the disjoint token buckets, instants, ids, plain text, and the one root of
errors. Knows no word of the trade, reads no clock, no chance, no environment. Retry: every function is pure.
"""
