"""What has a customer to pay for a period, line by line?

Owns the one order in which usage becomes lines (list price, contract price or discount, included, steps, rounding of
the line, minimum), corrections as differences of lines, and the explanation of a line. Does not own prices (`pricing`),
money (`ledger`) or documents (`billing`). Invariants: lines follow from usage and agreement alone, whatever the order
and however many parts the usage comes in; amounts are exact until a line is rounded; an unknown price is never zero but
a group on the unrated list. Retry: pure.
"""
