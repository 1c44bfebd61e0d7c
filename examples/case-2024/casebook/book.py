"""One loading's books as the figures read them: facts from issued invoices and from the ledger, figures as entered."""

from pathlib import Path

import msgspec

from casebook.house import opened
from casebook.loading import Loading, load
from casebook.story import FILES
from entrepot.insight.entries import Entered
from entrepot.insight.facts import Facts
from entrepot.insight.fiscal import months_between
from entrepot.insight.tables import read_all_entered
from entrepot.keeper.insight.gathering import gather
from entrepot.keeper.state import standing
from entrepot.ledger.account import Account
from entrepot.ledger.tables import account_of
from entrepot.storage.database import read


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """`month` is the one whose whole a report gives. `billed` and `earned` are of all months, `owed` is what stands
    open in the ledger, in ledger units, and `year_starts` begins the operator's fiscal year."""

    name: str
    title: str
    month: str
    billed: Facts
    earned: Facts
    entered: Entered
    owed: int
    year_starts: str

    def of(self, month: str) -> Facts:
        """What was billed for one month."""
        return of_month(self.billed, month)


def read_book(root: Path, name: str, files: Path = FILES) -> Book:
    """From the books in `root`. Raises BooksDisagree where invoices, ledger and usage do not agree."""
    loading, _ = load(files, name)
    span = (loading.months[0], months_between(loading.months[-1], "2100-01")[1])
    with opened(root) as house:
        billed = gather(house.engine, house.folder, "billed", span)
        earned = gather(house.engine, house.folder, "earned", span)
        with read(house.engine) as connection:
            entered, catalog = read_all_entered(connection), standing(connection)
            accounts = (
                Account(kind="receivable", currency=billed.base.currency, party=each) for each in catalog.customers
            )
            owed = sum(account_of(connection, each) for each in accounts)
    books = catalog.operator.facts.get("books") if catalog.operator else None
    starts = str(books.get("fiscal_year_starts", "01-01")) if isinstance(books, dict) else "01-01"
    return Book(
        name=name, title=loading.title, month=_said(loading), billed=billed, earned=earned, entered=entered, owed=owed,
        year_starts=starts,
    )  # fmt: skip


def of_month(facts: Facts, month: str) -> Facts:
    """The sales of one month, on a base that says so."""
    until = f"{months_between(month, '2100-01')[1]}-01"
    base = msgspec.structs.replace(facts.base, starts_on=f"{month}-01", until=until)
    return msgspec.structs.replace(facts.where(lambda sale: sale.month == month), base=base)


def _said(loading: Loading) -> str:
    """The month whose whole a report gives."""
    return next(month for month in loading.months if loading.standings[month] == "reported")
