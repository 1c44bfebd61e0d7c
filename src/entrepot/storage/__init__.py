"""Where does it lie?

Owns the data folder, the database (engine, transaction, the one MetaData) and the lake (sealed segment → Parquet, the
one aggregation statement). Does not own any table: those stand in each room's `tables.py`. Invariants: one writer of
the SQLite file; a Parquet file counts only when its manifest row is committed. Retry: an orphan is removed at start.
"""
