"""What does a customer owe, and which document says so?

Owns invoices and credit notes as values, their arithmetic, the tax decision of each line, and the documents written of
them (canonical JSON, CSV, UBL, PDF). Does not own usage, prices or the ledger: it is given rated lines. Invariants: an
invoice is a pure function of its inputs; every line is rounded once, half away from zero; tax is taken per category of
the summed lines; totals are sums of what was rounded. Retry: making a document again gives the same bytes.
"""
