"""The books a second time, slowly: every call on its own, amounts as fractions of a euro. It shares no rule with the
code that it is laid beside; where that sums, this looks at everything again.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from math import ceil, floor

UNIT, CENT = Fraction(1, 10**9), Fraction(1, 100)
METERS = ("input", "cached", "output")
Price = tuple[Fraction, Fraction, Fraction]  # of one token
Row = tuple[str, str, Fraction]  # model, meter, price of one token


class Wrong(AssertionError):
    """The two sides differ."""


def nearest(amount: Fraction, step: Fraction) -> Fraction:
    """The multiple of `step` next to an amount; in the middle the one away from zero."""
    whole = floor(abs(amount) / step + Fraction(1, 2))
    return (-whole if amount < 0 else whole) * step


def month_of(at: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).strftime("%Y-%m")


def net_of(gross: Fraction, percent: int) -> tuple[Fraction, Fraction]:
    """(net, tax) of a price with tax, by trying every net amount below it, from the top."""
    net = gross
    while net + nearest(net * percent / 100, CENT) > gross:
        net -= CENT
    return net, nearest(net * percent / 100, CENT)


@dataclass
class Call:
    customer: str
    model: str
    admitted_at: int
    number: int
    price: Price
    tokens: tuple[int, int, int]
    on: "Document | None" = None  # the invoice that bills it
    back: Fraction = Fraction(0)  # what returned of its charge when it was billed

    @property
    def charge(self) -> Fraction:
        exact = sum((n * p for n, p in zip(self.tokens, self.price, strict=True)), Fraction(0))
        return ceil(exact / UNIT) * UNIT


@dataclass
class Grant:
    id: str
    paid: bool
    amount: Fraction
    priority: int
    created_at: int
    ends_at: int | None
    tax: Fraction = Fraction(0)
    refunded: Fraction = Fraction(0)
    expired: Fraction = Fraction(0)
    tax_back: Fraction = Fraction(0)

    @property
    def kept(self) -> Fraction:
        return self.amount - self.refunded - self.expired


@dataclass
class Document:
    """An issued invoice, and what became of it."""

    number: str
    customer: str
    month: str
    due: tuple[datetime, int]
    lines: dict[tuple[str, Row], tuple[int, Fraction]]  # (month, row) → quantity, rounded amount; as it stands now
    cost: dict[str, Fraction]  # by model, as it was booked
    promo: Fraction
    total: Fraction
    payable: Fraction
    billed: dict[tuple[str, Row], tuple[int, Fraction]] = field(default_factory=dict)
    notes: int = 0
    paid: Fraction = Fraction(0)
    credited: Fraction = Fraction(0)
    whole: bool = False  # of no line anything is left
    gone: bool = False  # paid with credit, credited in parts: all of it went back, and nothing of it is billed again

    @property
    def free(self) -> bool:
        return self.whole and not self.gone

    @property
    def open(self) -> Fraction:
        return max(Fraction(0), self.payable - self.paid - self.credited)


class Reference:
    """`customers`: name → (pays ahead, percent of tax, days to pay)."""

    def __init__(self, customers: Mapping[str, tuple[bool, int, int]]) -> None:
        self.customers = customers
        self.accounts: dict[str, Fraction] = defaultdict(Fraction)  # debits less credits
        self.versions: list[tuple[int, dict[str, Price]]] = []
        self.pending: dict[tuple[int, int], list[Call]] = defaultdict(list)
        self.known: list[Call] = []
        self.grants: dict[str, list[Grant]] = defaultdict(list)
        self.returned: dict[tuple[str, str], Fraction] = defaultdict(Fraction)  # (customer, month)
        self.documents: list[Document] = []
        self.notes: list[str] = []

    # calls

    def price_at(self, model: str, at: int) -> Price:
        return [prices for since, prices in sorted(self.versions, key=lambda each: each[0]) if since <= at][-1][model]

    def ended(self, stream: tuple[int, int], call: Call) -> Fraction:
        self.pending[stream].append(call)
        return call.charge

    def taken(self, stream: tuple[int, int]) -> None:
        """The keeper has read this stream."""
        for call in self.pending.pop(stream, []):
            self.known.append(call)
            self.move({self._purse(call.customer): call.charge, f"revenue::{call.model}": -call.charge})

    def _purse(self, customer: str) -> str:
        return f"{'prepaid credit' if self.customers[customer][0] else 'unbilled'}:{customer}"

    def move(self, entries: Mapping[str, Fraction]) -> None:
        if sum(entries.values()):
            raise Wrong(f"the reference does not balance: {entries}")
        for account, amount in entries.items():
            self.accounts[account] += amount

    # credit

    def buy(
        self, customer: str, id: str, gross: Fraction, at: int, *, priority: int = 100, ends: int | None = None
    ) -> None:
        percent = self.customers[customer][1]
        net, tax = net_of(gross, percent)
        self.grants[customer].append(Grant(id, True, net, priority, at, ends, tax))
        self.move({
            "cash": gross, f"prepaid credit:{customer}": -net, f"output tax::DE S {percent}": -tax,
            f"customer credit:{customer}": net + tax - gross,
        })  # fmt: skip

    def give(self, customer: str, id: str, amount: Fraction, at: int, *, priority: int = 50, ends: int | None) -> None:
        self.grants[customer].append(Grant(id, False, amount, priority, at, ends))
        self.move({"promotional": amount, f"prepaid credit:{customer}": -amount})

    def used(self, customer: str) -> tuple[dict[str, Fraction], dict[tuple[str, bool], Fraction]]:
        """(burned of each grant, by (month, paid) burned), call by call in the order of admission."""
        calls = sorted((c for c in self.known if c.customer == customer), key=lambda c: (c.admitted_at, c.number))
        amounts = [call.charge for call in calls]
        for (name, month), back in self.returned.items():
            rest = back if name == customer else Fraction(0)
            for n in reversed(range(len(calls))):
                if month_of(calls[n].admitted_at) == month:
                    part = min(rest, amounts[n])
                    amounts[n] -= part
                    rest -= part
        burned: dict[str, Fraction] = defaultdict(Fraction)
        by_month: dict[tuple[str, bool], Fraction] = defaultdict(Fraction)
        for call, amount in zip(calls, amounts, strict=True):
            for grant in self._turns(customer, call.admitted_at):
                part = min(amount, grant.kept - burned[grant.id])
                if part > 0:
                    burned[grant.id] += part
                    by_month[month_of(call.admitted_at), grant.paid] += part
                    amount -= part
            if amount:
                raise Wrong(f"a call of {customer} has used {amount} that nobody gave")
        return burned, by_month

    def _turns(self, customer: str, at: int) -> list[Grant]:
        def end(grant: Grant) -> float:
            return float("inf") if grant.ends_at is None else grant.ends_at

        mine = self.grants[customer]
        in_force = [g for g in mine if g.created_at <= at < end(g)]
        ended = [g for g in mine if end(g) <= at]
        to_come = [g for g in mine if at < g.created_at and at < end(g)]
        in_force.sort(key=lambda g: (g.priority, end(g), g.created_at, g.id))
        ended.sort(key=lambda g: (-end(g), g.priority, g.created_at, g.id))
        to_come.sort(key=lambda g: (g.created_at, g.priority, end(g), g.id))
        return in_force + ended + to_come

    def left(self, customer: str) -> dict[str, Fraction]:
        used = self.used(customer)[0]
        return {grant.id: grant.kept - used[grant.id] for grant in self.grants[customer]}

    def unused(self, customer: str, of: str = "") -> Fraction:
        """What was paid and is unused."""
        left = self.left(customer)
        return sum((left[g.id] for g in self.grants[customer] if g.paid and of in ("", g.id)), Fraction(0))

    def refund(self, customer: str, amount: Fraction, of: str = "") -> None:
        left, rest, tax = self.left(customer), amount, Fraction(0)
        for grant in sorted(self.grants[customer], key=lambda g: (g.created_at, g.id), reverse=True):
            part = min(rest, left[grant.id]) if grant.paid and of in ("", grant.id) else Fraction(0)
            if part:
                rest -= part
                grant.refunded += part
                back = nearest(grant.tax * grant.refunded / grant.amount, CENT)
                tax += back - grant.tax_back
                grant.tax_back = back
        percent = self.customers[customer][1]
        self.move({f"prepaid credit:{customer}": amount, f"output tax::DE S {percent}": tax, "cash": -amount - tax})

    def expire(self, customer: str, id: str, amount: Fraction, at: int) -> None:
        """So much of a grant was taken back."""
        (grant,) = [each for each in self.grants[customer] if each.id == id]
        if grant.ends_at is None or grant.ends_at > at or not 0 < amount <= self.left(customer)[id]:
            raise Wrong(f"{amount} of {id} was taken back, and {self.left(customer)[id]} is left until {grant.ends_at}")
        grant.expired += amount
        self.move({f"prepaid credit:{customer}": amount, "breakage" if grant.paid else "promotional": -amount})

    # documents

    def rows(self, customer: str, month: str) -> dict[Row, int]:
        """Tokens of a month by what they cost."""
        found: dict[Row, int] = defaultdict(int)
        for call in self.known:
            if call.customer == customer and month_of(call.admitted_at) == month:
                for meter, price, n in zip(METERS, call.price, call.tokens, strict=True):
                    if n:
                        found[call.model, meter, price] += n
        return found

    def billed(self, customer: str, month: str) -> dict[Row, tuple[int, Fraction]]:
        """What stands on invoices for a month, later corrections of it too."""
        found: dict[Row, tuple[int, Fraction]] = {}
        for document in self.documents:
            if document.customer == customer and not document.free:
                for (of, row), (quantity, amount) in document.billed.items():
                    if of == month:
                        before = found.get(row, (0, Fraction(0)))
                        found[row] = (before[0] + quantity, before[1] + amount)
        return found

    def is_billed(self, customer: str, month: str) -> bool:
        mine = (d for d in self.documents if d.customer == customer and d.month == month)
        return any(not d.free for d in mine)

    def invoice(self, customer: str, month: str) -> dict[tuple[str, Row], tuple[int, Fraction]]:
        """The lines that an invoice of this month has now: (month, row) → (quantity, rounded amount). Of a month that
        stands on other invoices what is right less what is billed; nothing of months that wait for an invoice."""
        lines = {}
        own = {d.month for d in self.documents if d.customer == customer and not d.free}
        for of in sorted({month, *(of for of in own if of < month)}):
            right, billed = self.rows(customer, of), self.billed(customer, of)
            for row in {*right, *billed}:
                have, amount = billed.get(row, (0, Fraction(0)))
                due = nearest(right.get(row, 0) * row[2], CENT) - amount
                if right.get(row, 0) != have or due:
                    lines[of, row] = (right.get(row, 0) - have, due)
        return lines

    def issue(self, number: str, customer: str, month: str, at: int) -> Document:
        """Book an invoice; what it says is compared by whoever issued it."""
        ahead, percent, days = self.customers[customer]
        lines = self.invoice(customer, month)
        months = {month, *(of for of, _ in lines)}
        mine = [c for c in self.known if c.customer == customer and c.on is None and month_of(c.admitted_at) in months]
        exact: dict[str, Fraction] = defaultdict(Fraction)
        for (_, row), (n, _) in lines.items():
            exact[row[0]] += n * row[2]
        cost = {model: nearest(amount, UNIT) for model, amount in exact.items()}
        for model in {*cost, *(call.model for call in mine)}:
            calls = [call for call in mine if call.model == model]
            back = sum((c.charge - c.back for c in calls), Fraction(0)) - cost.get(model, Fraction(0))
            self.move({f"revenue::{model}": back, self._purse(customer): -back})
            if ahead:
                self.returned[customer, month] += back
            for call in calls:
                part = min(back, call.charge - call.back)
                call.back, back = call.back + part, back - part
        net = sum((amount for _, amount in lines.values()), Fraction(0))
        promo = min(net, nearest(self.used(customer)[1][month, False], CENT)) if ahead else Fraction(0)
        tax = nearest((net - promo) * percent / 100, CENT)
        total = net - promo + tax
        payable = Fraction(0) if ahead else total
        if not ahead:
            rated = sum(cost.values(), Fraction(0))
            rounding = total - rated - tax
            if abs(rounding) > CENT * (len(lines) + 1) / 2 + UNIT * (len(cost) + 1):
                raise Wrong(f"{number}: rounding of {rounding} for {len(lines)} lines")
            self.move({
                f"receivable:{customer}": total, f"unbilled:{customer}": -rated, f"output tax::DE S {percent}": -tax,
                "rounding": -rounding,
            })  # fmt: skip
        due = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).replace(hour=0, minute=0, second=0)
        due = due.replace(microsecond=0) + timedelta(days=days)
        document = Document(
            number, customer, month, (due, at), dict(lines), cost, promo, total, payable, dict(lines)
        )  # fmt: skip
        self.documents.append(document)
        for call in mine:
            call.on = document
        return document

    def credit(self, number: str, document: Document, rights: Mapping[tuple[str, Row], int] | None) -> Fraction:
        """Book a credit note: every line (None) to nothing, or some to their right quantities; its total."""
        d = document
        ahead, percent, _ = self.customers[d.customer]
        wanted = {key: 0 for key, (n, amount) in d.lines.items() if amount} if rights is None else rights
        old_net = sum((amount for _, amount in d.lines.values()), Fraction(0))
        given: dict[str, Fraction] = defaultdict(Fraction)
        for key, right in wanted.items():
            given[key[1][0]] += nearest((d.lines[key][0] - right) * key[1][2], UNIT)
            d.lines[key] = (right, nearest(right * key[1][2], CENT))
        new_net = sum((amount for _, amount in d.lines.values()), Fraction(0))
        whole = d.whole = not any(amount for _, amount in d.lines.values())
        bases = [net - min(d.promo, max(net, Fraction(0))) for net in (old_net, new_net)]
        taxes = [nearest(base * percent / 100, CENT) for base in bases]
        total, tax = bases[0] - bases[1] + taxes[0] - taxes[1], taxes[0] - taxes[1]
        earlier, d.notes = d.notes, d.notes + 1
        if ahead:
            d.gone = whole and earlier > 0
            if not whole or earlier:
                for model, amount in given.items():
                    self.move({f"revenue::{model}": amount, f"prepaid credit:{d.customer}": -amount})
                    self.returned[d.customer, d.month] += amount
        else:
            free = sum(d.cost.values(), Fraction(0)) if whole else Fraction(0)
            entries = {f"unbilled:{d.customer}": free, f"output tax::DE S {percent}": tax}
            for model, cost in d.cost.items():
                entries[f"revenue::{model}"] = given[model] - (cost if whole else 0)
            paid_off = min(total, d.open)
            entries[f"receivable:{d.customer}"] = -paid_off
            entries[f"customer credit:{d.customer}"] = paid_off - total
            entries["rounding"] = -sum(entries.values(), Fraction(0))
            self.move(entries)
        d.credited += total
        if d.free:
            for call in self.known:
                call.on = None if call.on is d else call.on
        self.notes.append(number)
        return total

    def pay(self, customer: str, amount: Fraction, *, credit: bool = False) -> dict[str, Fraction]:
        """Money of a customer pays what is open, what is due first; what of which document it paid."""
        parts, rest = {}, amount
        mine = [d for d in self.documents if d.customer == customer and d.open]
        for d in sorted(mine, key=lambda d: (d.due, d.number)):
            part = min(rest, d.open)
            if part:
                d.paid += part
                rest -= part
                parts[d.number] = part
        if credit and rest:
            raise Wrong(f"{rest} of the credit of {customer} would pay nothing")
        entries = {"cash": amount, f"receivable:{customer}": rest - amount, f"customer credit:{customer}": -rest}
        if credit:
            entries = {f"customer credit:{customer}": amount, f"receivable:{customer}": -amount}
        self.move(entries)
        return parts

    def open_of(self, customer: str) -> Fraction:
        return sum((d.open for d in self.documents if d.customer == customer), Fraction(0))
