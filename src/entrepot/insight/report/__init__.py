"""The board's report: two pages in three languages, every figure with a footnote to what it was made of."""
