"""What does the business depend on, by the books?

Owns the gathering of sales and of entered figures, and the processes that measure them and draw the board's report.
Reads only, but for figures that people enter.
"""
