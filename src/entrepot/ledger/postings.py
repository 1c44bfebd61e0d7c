"""What each event of a bill does to the accounts (money-rules §9). Pure: plain integers in, a Transaction out.

All amounts are ledger units. An event is written as debits less credits per account; what must come to zero is checked
here, so a document whose numbers do not add up is never booked. A negative amount is the same event the other way
round: a correction may make a line, a tax or a whole invoice negative.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.instants import Instant
from entrepot.ledger.account import Account
from entrepot.ledger.transfer import Transaction, Transfer

#: One account and what it is debited; credits are negative.
Entry = tuple[Account, int]


class PostingBroken(EntrepotError):
    """The amounts of an event do not add up, or are on the wrong side."""

    code = "posting_broken"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What happened: `id` is the document's number or the caller's name for it, unique for its kind."""

    id: str
    customer: str
    currency: str
    at: Instant
    about: str = ""

    def account(self, kind: str, product: str = "") -> Account:
        """An account of this customer in this currency."""
        return Account(kind=kind, currency=self.currency, party=self.customer, product=product)

    def house(self, kind: str, product: str = "") -> Account:
        """An account that is the house's own."""
        return Account(kind=kind, currency=self.currency, product=product)


def tax_name(country: str, category: str, percent: Decimal) -> str:
    """What the output tax of one registration, category and rate is called: `DE S 19`, `FI S 25.5`."""
    return f"{country} {category} {percent.normalize():f}"


def transfers(entries: Iterable[Entry]) -> tuple[Transfer, ...]:
    """Transfers that do these entries, each from the first credit that is left to the first debit. Raises PostingBroken
    unless they come to zero."""
    sums: dict[Account, int] = {}
    for account, amount in entries:
        sums[account] = sums.get(account, 0) + amount
    if sum(sums.values()):
        written = ", ".join(f"{account.id} {amount:+}" for account, amount in sums.items())
        raise PostingBroken(f"debits and credits differ by {sum(sums.values())}: {written}")
    debits = [(account, amount) for account, amount in sums.items() if amount > 0]
    credits = [(account, -amount) for account, amount in sums.items() if amount < 0]
    found = []
    while debits:  # both sides come to the same sum and end together
        (debit, due), (credit, left) = debits.pop(0), credits.pop(0)
        part = min(due, left)
        found.append(Transfer(debit, credit, part))
        if due > part:
            debits.insert(0, (debit, due - part))
        if left > part:
            credits.insert(0, (credit, left - part))
    return tuple(found)


def settled(event: Event, *, charged: Mapping[str, int], rated: Mapping[str, int], prepaid: bool) -> Transaction:
    """Rating has said what the usage of a period costs, by product: `charged` is what calls took.

    What they took too much returns to the balance (prepaid credit, or what is unbilled); what is owed beyond calls, a
    minimum or a percentage line, is added to what is unbilled. A prepaid customer never owes: raises PostingBroken.
    """
    balance = event.account("prepaid credit" if prepaid else "unbilled")
    entries: list[Entry] = []
    for product in sorted({*charged, *rated}):
        more = rated.get(product, 0) - charged.get(product, 0)
        if more > 0 and prepaid:
            raise PostingBroken(
                f"{product or 'usage'} of {event.customer} costs {more} ledger units more than its calls took; "
                "what is paid ahead is never owed afterwards"
            )
        entries += [(balance, more), (event.house("revenue", product), -more)]
    return _transaction(event, "settlement", entries)


def issued(event: Event, *, payable: int, unbilled: int, taxes: Mapping[str, int], rounding_most: int) -> Transaction:
    """An invoice: what is to be paid, with tax, is receivable; what was unbilled no longer is.

    `payable` is what the document asks for (BT-115): of a prepaid customer what its credit has not paid, of which
    `unbilled` is 0. `taxes` by `tax_name`: what was not booked when credit was bought. The rest is rounding, at most
    `rounding_most` either way: half a minor unit per line and tax.
    """
    rounding = payable - unbilled - sum(taxes.values())
    _small(event, rounding, rounding_most)
    return _transaction(event, "invoice", [
        (event.account("receivable"), payable),
        (event.account("unbilled"), -unbilled),
        *_taxes(event, taxes, -1),
        (event.house("rounding"), -rounding),
    ])  # fmt: skip


def credited(
    event: Event,
    *,
    revenue: Mapping[str, int],
    unbilled: int = 0,
    taxes: Mapping[str, int],
    receivable: int,
    customer_credit: int = 0,
    prepaid: int = 0,
    rounding_most: int,
) -> Transaction:
    """A credit note. `revenue` by product is given up for good; `unbilled` is usage that is free for a new invoice.

    It lowers what is still to be paid (`receivable`), or what was paid becomes `customer_credit` or, where credit paid
    it, prepaid credit again. The rest is rounding.
    """
    given = receivable + customer_credit + prepaid
    rounding = given - sum(revenue.values()) - unbilled - sum(taxes.values())
    _small(event, rounding, rounding_most)
    return _transaction(event, "credit-note", [
        *((event.house("revenue", product), amount) for product, amount in sorted(revenue.items())),
        (event.account("unbilled"), unbilled),
        *_taxes(event, taxes, 1),
        (event.house("rounding"), rounding),
        (event.account("receivable"), -receivable),
        (event.account("customer credit"), -customer_credit),
        (event.account("prepaid credit"), -prepaid),
    ])  # fmt: skip


def paid(event: Event, *, received: int, due: int) -> Transaction:
    """Money came in for an invoice of which `due` was open; what is too much is customer credit."""
    if received <= 0 or due < 0:
        raise PostingBroken(f"a payment is more than 0 and what is due at least 0, not {received} of {due}")
    applied = min(received, due)
    return _transaction(event, "payment", [
        (event.house("cash"), received),
        (event.account("receivable"), -applied),
        (event.account("customer credit"), applied - received),
    ])  # fmt: skip


def credit_applied(event: Event, *, amount: int) -> Transaction:
    """Customer credit pays an invoice."""
    _positive(amount)
    entries = [(event.account("customer credit"), amount), (event.account("receivable"), -amount)]
    return _transaction(event, "credit-applied", entries)


def credit_refunded(event: Event, *, amount: int) -> Transaction:
    """Customer credit, of an overpaid invoice or a credit note on a paid one, goes back as money."""
    _positive(amount)
    entries = [(event.account("customer credit"), amount), (event.house("cash"), -amount)]
    return _transaction(event, "credit-refund", entries)


def written_off(event: Event, *, net: int, taxes: Mapping[str, int]) -> Transaction:
    """What will not be paid any more: `net` is bad debt; `taxes` is what may be reclaimed, none where the rule says
    no."""
    _positive(net + sum(taxes.values()))
    return _transaction(event, "write-off", [
        (event.account("bad debt"), net),
        *_taxes(event, taxes, 1),
        (event.account("receivable"), -net - sum(taxes.values())),
    ])  # fmt: skip


def recovered(event: Event, *, net: int, taxes: Mapping[str, int]) -> Transaction:
    """What was written off is paid after all: it is receivable again, with the tax that was reclaimed, and the payment
    takes it from there."""
    _positive(net + sum(taxes.values()))
    return _transaction(event, "recovery", [
        (event.account("receivable"), net + sum(taxes.values())),
        (event.account("bad debt"), -net),
        *_taxes(event, taxes, -1),
    ])  # fmt: skip


def topped_up(event: Event, *, received: int, net: int, taxes: Mapping[str, int], kind: str = "top-up") -> Transaction:
    """Money came in for a balance: `net` may be spent, `taxes` are owed to the tax office, and what no invoice could
    show of it (a cent that net plus tax does not reach) is customer credit. `kind` is `grant` where it has terms."""
    rest = received - net - sum(taxes.values())
    if rest < 0:
        raise PostingBroken(f"{net} and tax of {sum(taxes.values())} are more than the {received} that came in")
    return _transaction(event, kind, [
        (event.house("cash"), received),
        (event.account("prepaid credit"), -net),
        *_taxes(event, taxes, -1),
        (event.account("customer credit"), -rest),
    ])  # fmt: skip


def granted(event: Event, *, amount: int) -> Transaction:
    """Promotional credit is given: contra revenue from the start, and what is unused when it ends goes back there."""
    entries = [(event.house("promotional"), amount), (event.account("prepaid credit"), -amount)]
    return _transaction(event, "grant", entries)


def refunded(event: Event, *, net: int, taxes: Mapping[str, int]) -> Transaction:
    """Credit that was paid and is unused goes back as money, with its share of the tax that was paid with it."""
    return _transaction(event, "refund", [
        (event.account("prepaid credit"), net),
        *_taxes(event, taxes, 1),
        (event.house("cash"), -net - sum(taxes.values())),
    ])  # fmt: skip


def expired(event: Event, *, amount: int, paid: bool) -> Transaction:
    """The unused rest of a grant that has ended: breakage where it was paid for; its tax stays with the tax office."""
    target = event.house("breakage" if paid else "promotional")
    return _transaction(event, "expiry", [(event.account("prepaid credit"), amount), (target, -amount)])


def _taxes(event: Event, taxes: Mapping[str, int], sign: int) -> list[Entry]:
    return [(event.house("output tax", name), sign * amount) for name, amount in sorted(taxes.items())]


def _transaction(event: Event, kind: str, entries: Iterable[Entry]) -> Transaction:
    return Transaction(
        id=f"{kind}/{event.id}", kind=kind, at=event.at, transfers=transfers(entries), about=event.about
    )  # fmt: skip


def _small(event: Event, rounding: int, most: int) -> None:
    if abs(rounding) > most:
        raise PostingBroken(
            f"{event.id}: {rounding} ledger units are left between its amounts and the accounts; rounding explains at "
            f"most {most}"
        )


def _positive(amount: int) -> None:
    if amount <= 0:
        raise PostingBroken(f"an amount to book is more than 0, not {amount}")
