"""From the records of a journal to sums: what one batch adds to the rollup, the leases and the ledger. Pure.

Ingestion reads 100,000 endings a second on one core, so the loop below keeps the terms of an ending undecoded (they
repeat from call to call) and sums the endings of a group when some have come together.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from entrepot.kernel.buckets import NOTHING, Quantities
from entrepot.kernel.instants import HOUR, Instant
from entrepot.metering.record import Carry, Ending, Grant, Kind, LeaseTotals, Return, Tally, Terms, from_bytes


class RollupKey(NamedTuple):
    """What stays apart in the rollup."""

    customer: str
    project: str
    key: str
    deployment: str
    model: str
    vendor_model: str
    upstream: str
    vendor: str
    zone: str
    service_tier: str
    bracket: str
    price_version: str
    currency: str
    cost_currency: str
    hour: Instant  # of the intent's stamp
    state: str
    source: str
    operation: str


class RollupSums(NamedTuple):
    """What is added up. `charged` is what the customer pays for, `billed` what the vendor may bill."""

    requests: int  # first attempts: a request counts once
    attempts: int
    charged: Quantities
    billed: Quantities
    charge: int
    cost: int
    uncosted: int  # attempts without a cost book
    unrated: int  # attempts with a bucket that the book does not price
    calls: int = 0  # attempts of which the customer pays for something
    overrun: int = 0  # ledger units beyond the holds: never charged

    def plus(self, other: "RollupSums") -> "RollupSums":
        return RollupSums(
            self.requests + other.requests, self.attempts + other.attempts,
            _added((self.charged, other.charged)), _added((self.billed, other.billed)),
            self.charge + other.charge, self.cost + other.cost,
            self.uncosted + other.uncosted, self.unrated + other.unrated,
            self.calls + other.calls, self.overrun + other.overrun,
        )  # fmt: skip


NO_SUMS = RollupSums(0, 0, NOTHING, NOTHING, 0, 0, 0, 0)


class Unrated(NamedTuple):
    """An attempt with a bucket that its price version does not name: cost without charge until somebody decides."""

    seq: int
    request: str
    customer: str
    model: str
    price_version: str
    admitted_at: Instant
    buckets: tuple[int, ...]
    quantities: Quantities


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that some consecutive records of one stream change elsewhere."""

    records: int
    endings: int
    last_at: Instant  # latest end of an attempt; 0: none
    sealed: bool
    groups: dict[RollupKey, RollupSums]
    granted: dict[str, int]  # largest total seen, by lease
    returned: dict[str, int]
    charged: dict[str, int]  # added, by lease
    budgets: dict[str, int]  # charges added, by the period of a budget, hard or soft
    charges: dict[tuple[str, str, str], int]  # (balance, currency, model) → charge
    taken: dict[tuple[str, Instant], int]  # (balance, hour) → charge
    costs: dict[tuple[str, str, str], int]  # (vendor, currency, model) → cost
    unrated: list[Unrated]
    refused: dict[tuple[Instant, str], int]  # (hour, "key reason") → requests


#: Of these only their place in the record is kept: what ingestion does not look at, or only later.
_UNREAD = {"request", "vendor_request", "usage", "terms", "quantities", "charged"}
_QuickEnding: Any = msgspec.defstruct(
    "_QuickEnding",
    [(field.name, msgspec.Raw if field.name in _UNREAD else field.type) for field in msgspec.structs.fields(Ending)],
    array_like=True,
    gc=False,
)
_decode_ending = msgspec.msgpack.Decoder(_QuickEnding).decode
_decode_request = msgspec.msgpack.Decoder(str).decode
_decode_rows = msgspec.msgpack.Decoder(list[Quantities]).decode
_read_terms = msgspec.msgpack.Decoder(Terms).decode
#: Quantities of one group that are decoded and summed up together; until then they are few bytes.
_FEW = 64
#: (customer, model, prices) whose terms are kept decoded: they repeat from commit to commit.
_KNOWN_TERMS = 4096


class Folding:
    """Records as they are read, in as many parts as they come; `batch` sums up what was taken so far."""

    __slots__ = ("_granted", "_raw", "_refused", "_returned", "_unrated", "endings", "last_at", "records", "sealed")

    def __init__(self) -> None:
        self.records = self.endings = self.last_at = 0
        self.sealed = False
        self._raw: dict[tuple[Any, ...], _Group] = {}
        self._unrated: list[tuple[Any, bytes]] = []
        self._granted: dict[str, int] = {}
        self._returned: dict[str, int] = {}
        self._refused: dict[tuple[Instant, str], int] = {}

    @property
    def groups(self) -> int:
        """How many rows of the rollup it changes, about."""
        return len(self._raw)

    def take(self, records: Iterable[bytes]) -> None:
        """Add some. Order does not matter."""
        count = endings = 0
        last_at, raw, unrated = self.last_at, self._raw, self._unrated
        decode, ending_kind, skip = _decode_ending, int(Kind.ENDING), (int(Kind.INTENT), int(Kind.CHECKPOINT))
        for data in records:
            count += 1
            kind = data[0]
            if kind == ending_kind:
                endings += 1
                e = decode(data[1:])
                if e.ended_at > last_at:
                    last_at = e.ended_at
                key = (
                    bytes(e.terms), e.admitted_at // HOUR, e.state, e.source, e.service_tier, e.vendor_model,
                    e.operation,
                )  # fmt: skip
                group = raw.get(key)
                if group is None:
                    raw[key] = group = _Group()
                if e.attempt == 1:
                    group.requests += 1
                group.charge += e.charge
                if e.cost >= 0:
                    group.cost += e.cost
                else:
                    group.uncosted += 1
                if e.overrun:
                    group.overrun += e.overrun
                if e.unrated:
                    group.unrated += 1
                    unrated.append((e, key[0]))
                charged, billed = bytes(e.charged), bytes(e.quantities)
                waiting = group.same
                if charged == billed:
                    waiting.append(charged)
                else:
                    waiting = group.parted
                    waiting += (charged, billed)
                if len(waiting) >= _FEW:
                    group.add_up()
            elif kind not in skip:
                self._other(kind, data)
        self.records, self.endings, self.last_at = self.records + count, self.endings + endings, last_at

    def _other(self, kind: int, data: bytes) -> None:
        record = from_bytes(data)
        if isinstance(record, Grant):
            self._granted[record.balance] = max(record.total, self._granted.get(record.balance, 0))
        elif isinstance(record, Return):
            self._returned[record.balance] = max(record.total, self._returned.get(record.balance, 0))
        elif isinstance(record, Carry):
            _take_totals(record.leases, self._granted, self._returned)
        elif isinstance(record, Tally):
            for name, n in record.counts.items():
                where = (record.at - record.at % HOUR, name)
                self._refused[where] = self._refused.get(where, 0) + n
        self.sealed = self.sealed or kind == Kind.SEAL

    def batch(self) -> Batch:
        """Everything that was taken."""
        return Batch(
            records=self.records, endings=self.endings, last_at=self.last_at, sealed=self.sealed,
            granted=self._granted, returned=self._returned,
            unrated=[_unrated(e, _terms(terms)) for e, terms in self._unrated], refused=self._refused,
            **_sums(self._raw),
        )  # fmt: skip


class _Group:
    """What endings of the same key add up to; quantities a few at a time.

    Undecoded they are small, and nothing that the collector of garbage would look at again and again. `same`: of
    endings charged for what was billed; `parted`: of the others what was charged, then what was billed.
    """

    __slots__ = (
        "attempts", "billed", "calls", "charge", "charged", "cost", "overrun", "parted", "requests", "same",
        "uncosted", "unrated",
    )  # fmt: skip

    def __init__(self) -> None:
        self.requests = self.attempts = self.charge = self.cost = self.uncosted = self.unrated = 0
        self.calls = self.overrun = 0
        self.charged = self.billed = NOTHING
        self.same: list[bytes] = []
        self.parted: list[bytes] = []

    def add_up(self) -> None:
        """The quantities that wait become sums."""
        if self.same:
            rows = _rows(self.same)
            sums = _added(rows)
            self._add(len(rows) - rows.count(NOTHING), len(rows), (sums,), (sums,))
            self.same.clear()
        if self.parted:
            rows = _rows(self.parted)
            charged, billed = rows[::2], rows[1::2]
            self._add(len(charged) - charged.count(NOTHING), len(charged), charged, billed)
            self.parted.clear()

    def _add(self, calls: int, attempts: int, charged: Iterable[Quantities], billed: Iterable[Quantities]) -> None:
        self.calls += calls
        self.attempts += attempts
        self.charged = _added((self.charged, *charged))
        self.billed = _added((self.billed, *billed))


def _rows(undecoded: Sequence[bytes]) -> list[Quantities]:
    """All at once, as the array that they are written behind."""
    rows: list[Quantities] = _decode_rows(b"".join((b"\xdd", len(undecoded).to_bytes(4, "big"), *undecoded)))
    return rows


def fold(records: Iterable[bytes]) -> Batch:
    """Sum up records. Order does not matter, and the sum of two batches is the batch of both."""
    folding = Folding()
    folding.take(records)
    return folding.batch()


def _take_totals(leases: Sequence[LeaseTotals], granted: dict[str, int], returned: dict[str, int]) -> None:
    for totals in leases:
        granted[totals.balance] = max(totals.granted, granted.get(totals.balance, 0))
        returned[totals.balance] = max(totals.returned, returned.get(totals.balance, 0))


def _sums(raw: dict[tuple[Any, ...], _Group]) -> dict[str, Any]:
    """Groups under their full key; charges and costs as the ledger wants them."""
    groups: dict[RollupKey, RollupSums] = {}
    charged: dict[str, int] = {}
    budgets: dict[str, int] = {}
    charges: dict[tuple[str, str, str], int] = {}
    taken: dict[tuple[str, Instant], int] = {}
    costs: dict[tuple[str, str, str], int] = {}
    for (terms_bytes, hour, state, source, tier, vendor_model, operation), group in raw.items():
        t = _terms(terms_bytes)
        group.add_up()
        charge, cost = group.charge, group.cost
        key = RollupKey(
            t.customer, t.project, t.key, t.deployment, t.model, vendor_model, t.upstream, t.vendor, t.zone, tier,
            t.bracket, t.price_version, t.currency, t.cost_currency, hour * HOUR, state, source, operation,
        )  # fmt: skip
        sums = RollupSums(
            group.requests, group.attempts, group.charged, group.billed, charge, cost, group.uncosted,
            group.unrated, group.calls, group.overrun,
        )  # fmt: skip
        # terms may differ in what the rollup does not keep
        groups[key] = groups[key].plus(sums) if key in groups else sums
        if charge:
            for name in t.drawn_on:
                charged[name] = charged.get(name, 0) + charge
            for name in (*t.budgets, *t.watched):
                budgets[name] = budgets.get(name, 0) + charge
            where = (t.balance, t.currency, t.model)
            charges[where] = charges.get(where, 0) + charge
            taken[t.balance, key.hour] = taken.get((t.balance, key.hour), 0) + charge
        if cost:
            where = (t.vendor, t.cost_currency, t.model)
            costs[where] = costs.get(where, 0) + cost
    return {
        "groups": groups, "charged": charged, "budgets": budgets, "charges": charges, "taken": taken, "costs": costs
    }  # fmt: skip


def charges_of(records: Iterable[bytes]) -> Iterator[tuple[str, Instant, int]]:
    """(balance, admitted_at, charge) of every ending that charged something."""
    for data in records:
        if data[0] == Kind.ENDING:
            e = _decode_ending(data[1:])
            if e.charge:
                yield _terms(bytes(e.terms)).balance, e.admitted_at, e.charge


@lru_cache(maxsize=_KNOWN_TERMS)
def _terms(data: bytes) -> Terms:
    terms: Terms = _read_terms(data)
    return terms


def _unrated(e: Any, terms: Terms) -> Unrated:
    return Unrated(
        e.attempt_seq, _decode_request(e.request), terms.customer, terms.model, terms.price_version, e.admitted_at,
        e.unrated, _rows([bytes(e.quantities)])[0],
    )  # fmt: skip


def _added(rows: Sequence[Quantities]) -> Quantities:
    return tuple(map(sum, zip(*rows, strict=True)))  # type: ignore[return-value]
