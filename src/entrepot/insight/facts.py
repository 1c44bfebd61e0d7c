"""What every measure starts from: sales, month by month, with all that a cut may ask of them, on one base."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from fractions import Fraction
from functools import cached_property
from operator import attrgetter
from typing import Final, Literal, get_args

import msgspec

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.money import minor_digits, round_half_away

#: `billed`: issued lines without tax, by the month of their service. `earned`: what usage posted to revenue, by the
#: month of the call. `run-rate`: a year at the pace of a window. `stated`: entered figures of others' reports.
BaseKind = Literal["billed", "earned", "run-rate", "stated"]
#: `gross`: what customers pay. `net`: of agent contracts only the fee.
View = Literal["gross", "net"]
#: Where a figure comes from: our own books, somebody's report, or an assumption.
Standing = Literal["books", "reported", "assumed"]
STANDINGS: Final[tuple[Standing, ...]] = get_args(Standing)

Dimension = Literal[
    "customer", "group", "industry", "country", "own", "product", "model", "vendor", "region", "project", "deployment",
    "month", "standing",
]  # fmt: skip
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)
#: What shares are shares of, where nothing else is said.
WHOLE: Final = "the service"
#: What a sale without the attribute is called in a cut; never silently left out.
UNNAMED: Final = "(none given)"
#: What a minimum or a percentage is called in a cut by what usage has: it bought none.
BESIDE_USAGE: Final = "(beside usage)"
_OF_USAGE: Final = ("model", "vendor", "region", "project", "deployment")


class InsightError(EntrepotError):
    """A measure that cannot be had of these facts: says which, why, and what would make it possible."""

    code = "insight_refused"
    fault = Fault.CALLER


class BasesMixed(InsightError):
    """Figures of two bases, views, currencies or windows were about to meet."""

    code = "bases_mixed"


class NothingSold(InsightError):
    """No revenue on this base in this period, so there is no share of anything."""

    code = "nothing_sold"


class UnknownName(InsightError):
    """A customer, control group, model, vendor, … that sold nothing in these facts, or that nobody entered."""

    code = "insight_unknown_name"


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """What a figure is a figure of. `currency` is ISO 4217; `starts_on` and `until` are UTC dates, the second excluded.

    `whole` says in words of what the shares are shares ("the model service"); `window_days` is that of a run-rate.
    `scale`: amounts are integers in units of 10^-scale of the currency.
    """

    kind: BaseKind
    view: View = "gross"
    currency: str
    scale: int
    starts_on: str
    until: str
    whole: str = WHOLE
    window_days: int = 0

    def same(self, other: "Base") -> None:
        """Raises BasesMixed, naming what differs, unless figures of both may meet in a measure (periods may differ)."""
        for name in ("kind", "view", "currency", "scale", "whole", "window_days"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                raise BasesMixed(
                    f"figures of two bases cannot meet: {name} {ours!r} and {theirs!r}; ask for both on the same one"
                )

    def money(self, units: int) -> str:
        """`-60.00 EUR`, as sentences say it."""
        places = minor_digits(self.currency)
        digits = Decimal(round_half_away(Fraction(units * 10**places, 10**self.scale))).scaleb(-places)
        return f"{digits:,f} {self.currency}"

    def length(self) -> str:
        """In whole calendar months if it begins and ends with one ("3 months"), else in days. Raises InsightError."""
        first, last = as_date(self.starts_on), as_date(self.until)
        if last <= first:
            raise InsightError(f"the period from {self.starts_on} until {self.until} (excluded) holds no day")
        if first.day == last.day == 1:
            months = 12 * (last.year - first.year) + last.month - first.month
            return "1 month" if months == 1 else f"{months} months"
        return f"{(last - first).days} days"

    def before(self, later: "Base") -> None:
        """Raises BasesMixed unless a change from this base to `later` means something: same kind, equally long, and
        not the wrong way round."""
        self.same(later)
        if self.length() != later.length():
            raise BasesMixed(
                f"{self.length()} from {self.starts_on} and {later.length()} from {later.starts_on} cannot be "
                "compared; ask for periods of equal length"
            )
        if later.starts_on < self.starts_on:
            raise BasesMixed(f"the period before begins on {self.starts_on}, after the other one, {later.starts_on}")


class Sale(msgspec.Struct, frozen=True, kw_only=True, gc=False):  # a hundred thousand of them, and no cycles
    """What one customer paid for one thing in one month, added up over everything else.

    `amount` and `cost` in units of the base (may be negative: credits); `cost` None: not known, never 0. `quantity` are
    tokens. `beside_usage`: a minimum or a percentage, which has no model, vendor or place. `group` is the control
    group, "" for a customer that stands alone. `own`: the operator's own model. `source` is what a footnote says:
    "R-2026-00001/3", "ledger", "report of 2024-08-01", "assumed: …".
    """

    month: str  # "2026-10", of the service
    customer: str
    group: str = ""
    industry: str = ""
    country: str = ""
    product: str = "tokens"
    model: str = ""
    own: bool = False
    vendor: str = ""
    region: str = ""
    project: str = ""
    deployment: str = ""
    amount: int
    cost: int | None = None
    quantity: int = 0
    calls: int = 0
    standing: Standing = "books"
    source: str = ""
    beside_usage: bool = False


class Facts(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Sales on one base. `names` are customers' names for people, by id; `inputs` what it was gathered from: (name,
    SHA-256 or position). What was added up once is kept (`dict`): a year of 1,000 customers has 120,000 sales, and most
    measures begin with the same few sums."""

    base: Base
    sales: tuple[Sale, ...]
    names: Mapping[str, str] = {}
    inputs: tuple[tuple[str, str], ...] = ()

    def total(self) -> int:
        return self._total

    @cached_property
    def standing(self) -> Standing:
        """That of the least certain sale."""
        return weakest(sale.standing for sale in self.sales)

    def standings(self, dimension: Dimension) -> dict[str, Standing]:
        """The same of each name of a cut."""
        found: dict[str, Standing] = {}
        for sale in self.sales:
            name = label(sale, dimension)
            found[name] = weakest((found.get(name, "books"), sale.standing))
        return found

    def where(self, keep: Callable[[Sale], bool]) -> "Facts":
        """The same base, fewer sales."""
        return msgspec.structs.replace(self, sales=tuple(sale for sale in self.sales if keep(sale)))

    def months(self) -> list[str]:
        return sorted({sale.month for sale in self.sales})

    def by(self, dimension: Dimension) -> dict[str, int]:
        """Amounts by what `label` says; they add up to `total`. In the order of the names."""
        return dict(self._summed(dimension, "amount"))

    def costs(self, dimension: Dimension) -> dict[str, int]:
        """The same of what is known to have been paid to vendors; what is not known is `uncosted`."""
        return dict(self._summed(dimension, "cost"))

    @cached_property
    def uncosted(self) -> "Facts":
        """The sales whose cost is not known."""
        return self.where(lambda sale: sale.cost is None)

    @cached_property
    def _total(self) -> int:
        return sum(map(attrgetter("amount"), self.sales))

    @cached_property
    def _sums(self) -> dict[tuple[Dimension, str], dict[str, int]]:
        return {}

    def _summed(self, dimension: Dimension, what: Literal["amount", "cost"]) -> dict[str, int]:
        if (dimension, what) not in self._sums:
            self._sums[dimension, what] = self._added(dimension, what)
        return self._sums[dimension, what]

    def _added(self, dimension: Dimension, what: Literal["amount", "cost"]) -> dict[str, int]:
        sums: dict[object, int] = defaultdict(int)
        if dimension == "group":
            for group, customer, amount in map(attrgetter("group", "customer", what), self.sales):
                sums[group or customer] += amount or 0
        elif dimension in _OF_USAGE:
            for key, beside, amount in map(attrgetter(dimension, "beside_usage", what), self.sales):
                sums[BESIDE_USAGE if beside and not key else key] += amount or 0
        else:
            for key, amount in map(attrgetter(dimension, what), self.sales):
                sums[key] += amount or 0
        by_name: dict[str, int] = defaultdict(int)
        for key, amount in sums.items():
            by_name[named(key, dimension)] += amount
        return dict(sorted(by_name.items()))

    def only(self, dimension: Dimension, name: str) -> "Facts":
        """What `name` is of in this cut. Raises UnknownName with the nearest ones there are."""
        known = self.by(dimension)
        if name not in known:
            raise UnknownName(unknown(dimension, name, known))
        return self.where(lambda sale: label(sale, dimension) == name)


def weakest(standings: Iterable[Standing]) -> Standing:
    """What a figure is that is made of several: assumed if one of them is, reported if one is."""
    return max(standings, key=STANDINGS.index, default="books")


def label(sale: Sale, dimension: Dimension) -> str:
    """Under which name a sale stands in a cut. A customer without a control group is its own group."""
    found = sale.group or sale.customer if dimension == "group" else getattr(sale, dimension)
    return named(found, dimension, beside_usage=sale.beside_usage)


def named(key: object, dimension: Dimension, *, beside_usage: bool = False) -> str:
    """What an attribute's value is called in a cut."""
    if dimension == "own":
        return "own" if key else "bought"
    if beside_usage and not key and dimension in _OF_USAGE:
        return BESIDE_USAGE
    return str(key) or UNNAMED


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that is not there: the nearest ones, or how many there are to choose from."""
    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.6)
    article = {"group": "control group", "own": "part of own or bought"}.get(what, what)
    if near:
        return f"no {article} {name!r} in these figures; did you mean {' or '.join(map(repr, near))}?"
    if not names:
        return f"no {article} {name!r} in these figures: there is none at all"
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"no {article} {name!r} in these figures; there are {shown}"


def as_date(text: str) -> date:
    """A date as "2026-10-01". Raises InsightError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InsightError(f"{text!r} is not a date; write it as 2026-10-01") from None


def together(parts: Iterable[Facts]) -> Facts:
    """One set of facts of several on the same base (say, two months). Raises BasesMixed, NothingSold of none."""
    found = list(parts)
    if not found:
        raise NothingSold("no facts were given, so there is nothing to measure")
    first = found[0]
    for each in found[1:]:
        first.base.same(each.base)
    base = msgspec.structs.replace(
        first.base, starts_on=min(each.base.starts_on for each in found), until=max(each.base.until for each in found)
    )
    names = {customer: name for each in found for customer, name in each.names.items()}
    inputs = dict.fromkeys(pair for each in found for pair in each.inputs)
    return Facts(
        base=base, sales=tuple(sale for each in found for sale in each.sales), names=names, inputs=tuple(inputs)
    )


def share(part: int, whole: int) -> Fraction:
    """part / whole, exactly. Raises NothingSold where the whole is not above zero."""
    if whole <= 0:
        raise NothingSold("there is no share of a whole that is not above zero: nothing was sold, or more was credited")
    return Fraction(part, whole)
