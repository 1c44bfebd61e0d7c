"""What is for sale?

Owns vendors, upstreams, models, the shape of books and customers as the catalog file declares them, the file itself
(TOML, exact decimals, every mistake with its line), its difference against what stands in the database, and its export.
Does not own prices in force (`pricing`), keys (`customers`) or money. Invariants: the file owns what it names and what
is missing stays; a published book version never changes; apply(export(state)) changes nothing. Secrets never stand
here. Retry: reading, checking and comparing are pure; applying the same file again is empty.
"""
