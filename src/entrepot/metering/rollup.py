"""From the records of a journal to sums: what one batch adds to the rollup, the leases and the ledger. Pure.

Ingestion reads 100,000 endings a second on one core, so the loop below keeps the terms of an ending undecoded (they
repeat from call to call) and sums the quantities once per group.
"""

from collections.abc import Iterable, Iterator, Sequence
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
            _add(self.charged, other.charged), _add(self.billed, other.billed),
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


_READ = {"attempt_seq", "request", "attempt", "admitted_at", "ended_at", "state", "source", "quantities", "charged",
         "charge", "cost", "overrun", "unrated", "service_tier", "vendor_model", "operation"}  # fmt: skip
_QuickEnding: Any = msgspec.defstruct(
    "_QuickEnding",
    [(field.name, field.type if field.name in _READ else msgspec.Raw) for field in msgspec.structs.fields(Ending)],
    array_like=True,
    gc=False,
)
_decode_ending = msgspec.msgpack.Decoder(_QuickEnding).decode
_decode_terms = msgspec.msgpack.Decoder(Terms).decode


class Folding:
    """Records as they are read, in as many parts as they come; `batch` sums up what was taken so far."""

    __slots__ = ("_granted", "_raw", "_refused", "_returned", "_unrated", "endings", "last_at", "records", "sealed")

    def __init__(self) -> None:
        self.records = self.endings = self.last_at = 0
        self.sealed = False
        self._raw: dict[tuple[Any, ...], list[Any]] = {}
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
                    raw[key] = group = [0, 0, 0, 0, 0, 0, [], [], 0]
                group[0] += e.attempt == 1
                group[1] += 1
                group[2] += e.charge
                if e.cost >= 0:
                    group[3] += e.cost
                else:
                    group[4] += 1
                if e.unrated:
                    group[5] += 1
                    unrated.append((e, key[0]))
                group[6].append(e.charged)
                group[7].append(e.quantities)
                group[8] += e.overrun
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
            unrated=[_unrated(e, _decode_terms(terms)) for e, terms in self._unrated], refused=self._refused,
            **_sums(self._raw),
        )  # fmt: skip


def fold(records: Iterable[bytes]) -> Batch:
    """Sum up records. Order does not matter, and the sum of two batches is the batch of both."""
    folding = Folding()
    folding.take(records)
    return folding.batch()


def _take_totals(leases: Sequence[LeaseTotals], granted: dict[str, int], returned: dict[str, int]) -> None:
    for totals in leases:
        granted[totals.balance] = max(totals.granted, granted.get(totals.balance, 0))
        returned[totals.balance] = max(totals.returned, returned.get(totals.balance, 0))


def _sums(raw: dict[tuple[Any, ...], list[Any]]) -> dict[str, Any]:
    """Groups under their full key; charges and costs as the ledger wants them."""
    groups: dict[RollupKey, RollupSums] = {}
    charged: dict[str, int] = {}
    budgets: dict[str, int] = {}
    charges: dict[tuple[str, str, str], int] = {}
    taken: dict[tuple[str, Instant], int] = {}
    costs: dict[tuple[str, str, str], int] = {}
    for (terms_bytes, hour, state, source, tier, vendor_model, operation), group in raw.items():
        t = _decode_terms(terms_bytes)
        requests, attempts, charge, cost, uncosted, unrated, quantities, billed, overrun = group
        key = RollupKey(
            t.customer, t.project, t.key, t.deployment, t.model, vendor_model, t.upstream, t.vendor, t.zone, tier,
            t.bracket, t.price_version, t.currency, t.cost_currency, hour * HOUR, state, source, operation,
        )  # fmt: skip
        sums = RollupSums(
            requests, attempts, _column_sums(quantities), _column_sums(billed), charge, cost, uncosted, unrated,
            attempts - quantities.count(NOTHING), overrun,
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
                yield _decode_terms(e.terms).balance, e.admitted_at, e.charge


def _unrated(e: Any, terms: Terms) -> Unrated:
    return Unrated(
        e.attempt_seq, e.request, terms.customer, terms.model, terms.price_version, e.admitted_at, e.unrated,
        e.quantities,
    )  # fmt: skip


def _column_sums(rows: list[Quantities]) -> Quantities:
    return tuple(map(sum, zip(*rows, strict=True)))  # type: ignore[return-value]


def _add(a: Quantities, b: Quantities) -> Quantities:
    return tuple(map(sum, zip(a, b, strict=True)))  # type: ignore[return-value]
