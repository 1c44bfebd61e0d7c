"""What does the business depend on, and what if?

Owns the measures: pure functions of `facts.Facts`, each with shape, unit, formula and source in its docstring;
scenarios as files and what they would do; early signs that a customer leaves; charts and the board's report. Does not
own where facts come from (a process of the keeper gathers them from invoices, ledger, rollup and lake) nor any rule of
money: it adds up what rating, ledger and invoices say.

Every figure names its base (billed, earned or a run-rate with its window; gross or an agent's net), its currency and
its period; figures of two bases do not meet (`BasesMixed`). What stands in the books, what others reported and what is
assumed stay apart in every sum. Nothing here writes; a retry gives the same figures.
"""
