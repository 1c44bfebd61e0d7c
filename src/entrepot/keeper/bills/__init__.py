"""What becomes of a month that was used?

Owns the way from rated usage to documents: what is rated and approved, drafts, issuing, credit, payments, losses, and
whether what was issued is whole. Every change is one write transaction. Rating, a page and the records of a line are
processes of their own.
"""
