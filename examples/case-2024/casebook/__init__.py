"""The business case of 2024, told from books: `make case`, or `python -m casebook FOLDER` beside this package.

Usage is generated so that the reported totals come out; from there on everything is the house's own: admission, leases,
journal, rollup, lake, rating, invoices, payments, ledger. What is printed is read from invoices and ledger, and from
figures that were entered with their standing (reported, assumed) and source. Loaded twice, by the share and by the
rate, into two folders with books of their own, so that nothing of one can enter a figure of the other.
"""
