"""One invoice value, several writers.

Canonical JSON is the document that is hashed; CSV, UBL and PDF are made from the same value. What a format cannot
express is refused before anything is issued. Making a document again gives the same bytes.
"""
