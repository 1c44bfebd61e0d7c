"""What a stream stands at, and how the attempts that a crash has left open are ended.

Pure: the same records give the same standing, and the same standing the same endings, so sealing may be repeated.
"""

from collections.abc import Callable, Iterable

import msgspec

from entrepot.kernel.buckets import INPUT, NOTHING, OUTPUT, Quantities
from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.instants import Instant
from entrepot.metering.record import (
    Carry,
    Checkpoint,
    Ending,
    Grant,
    Intent,
    Kind,
    LeaseTotals,
    OpenIntent,
    Return,
    Source,
    State,
    from_bytes,
    to_bytes,
)

#: (quantities, den, rates, request rate) → ledger units: `pricing.charge.charge`.
ChargeFunction = Callable[[Quantities, int, Quantities, int], int]

_CARRY_BYTES = 1024 * 1024
_KNOWN_OTHERS = frozenset({Kind.TALLY, Kind.CLOCK, Kind.SEAL})


class StreamBroken(EntrepotError):
    """The records of a stream contradict each other: an attempt would have no ending, or two."""

    code = "stream_broken"


class Standing:
    """Open intents with their last checkpoint, and the totals of each lease, of balances and of budgets.

    A worker keeps one beside its journal (`opened`, `moved`, `ended`, `granted`, `returned` cost no decoding), recovery
    folds one from the records since the last complete carry; both are the same.
    """

    __slots__ = ("_parts", "leases", "open")

    def __init__(self) -> None:
        self.open: dict[int, tuple[Intent, Checkpoint | None]] = {}
        self.leases: dict[str, LeaseTotals] = {}
        self._parts: list[Carry] = []

    @classmethod
    def of(cls, records: list[tuple[int, bytes]]) -> "Standing":
        """The standing behind these records, which begin with a complete carry."""
        standing = cls()
        for seq, data in records:
            standing.fold(seq, data)
        return standing

    def fold(self, seq: int, data: bytes) -> None:
        """Take one record; raises StreamBroken."""
        kind = data[0]
        if kind in _KNOWN_OTHERS:
            return
        try:
            record = from_bytes(data)
        except (KeyError, msgspec.DecodeError) as error:
            raise StreamBroken(f"record {seq} of kind {kind} is not known to this version: {error}") from None
        if isinstance(record, Intent):
            self.opened(seq, record)
        elif isinstance(record, Ending):
            self.ended(record.attempt_seq, record.terms.drawn_on, record.charge)
        elif isinstance(record, Checkpoint):
            self.moved(record)
        elif isinstance(record, Grant):
            self.granted(record.balance, record.total)
        elif isinstance(record, Return):
            self.returned(record.balance, record.total)
        elif isinstance(record, Carry):
            self._carried(record)

    def opened(self, seq: int, intent: Intent) -> None:
        if seq in self.open:
            raise StreamBroken(f"intent {seq} is there twice")
        self.open[seq] = (intent, None)

    def moved(self, checkpoint: Checkpoint) -> None:
        """A checkpoint of an attempt that has ended meanwhile says nothing."""
        found = self.open.get(checkpoint.attempt_seq)
        if found is not None:
            self.open[checkpoint.attempt_seq] = (found[0], checkpoint)

    def ended(self, attempt_seq: int, drawn_on: Iterable[str], charge: int) -> None:
        if self.open.pop(attempt_seq, None) is None:
            raise StreamBroken(f"an ending of attempt {attempt_seq}, which is not open")
        if charge:
            for name in drawn_on:
                lease = self._lease(name)
                self.leases[name] = LeaseTotals(name, lease.granted, lease.returned, lease.charged + charge)

    def granted(self, balance: str, total: int) -> None:
        lease = self._lease(balance)
        if total > lease.granted:
            self.leases[balance] = LeaseTotals(balance, total, lease.returned, lease.charged)

    def returned(self, balance: str, total: int) -> None:
        lease = self._lease(balance)
        if total > lease.returned:
            self.leases[balance] = LeaseTotals(balance, lease.granted, total, lease.charged)

    def carry(self, limit: int = _CARRY_BYTES) -> list[bytes]:
        """This standing as records of at most about `limit` bytes each; at least one."""
        parts: list[tuple[list[LeaseTotals], list[OpenIntent]]] = [([], [])]
        room = limit
        for lease in self.leases.values():
            room -= len(_encode(lease))
            if room < 0 and any(parts[-1]):
                parts.append(([], []))
                room = limit - len(_encode(lease))
            parts[-1][0].append(lease)
        for seq, (intent, checkpoint) in self.open.items():
            open_intent = OpenIntent(seq, intent, checkpoint)
            size = len(_encode(open_intent))
            room -= size
            if room < 0 and any(parts[-1]):
                parts.append(([], []))
                room = limit - size
            parts[-1][1].append(open_intent)
        return [
            to_bytes(Carry(number, len(parts), tuple(leases), tuple(opens)))
            for number, (leases, opens) in enumerate(parts)
        ]

    def _lease(self, balance: str) -> LeaseTotals:
        return self.leases.get(balance) or LeaseTotals(balance, 0, 0, 0)

    def _carried(self, carry: Carry) -> None:
        """A carry counts when its last part is there; then it replaces everything."""
        if carry.part == 0:
            self._parts = []
        if carry.part != len(self._parts):
            raise StreamBroken(f"part {carry.part} of a carry follows part {len(self._parts) - 1}")
        self._parts.append(carry)
        if len(self._parts) == carry.parts:
            self.leases = {lease.balance: lease for part in self._parts for lease in part.leases}
            self.open = {found.seq: (found.intent, found.checkpoint) for part in self._parts for found in part.open}
            self._parts = []


def carry_part(data: bytes) -> tuple[int, int]:
    """(part, parts) of a carry record: the journal asks for it without knowing what a carry holds."""
    record = from_bytes(data)
    if not isinstance(record, Carry):
        raise StreamBroken(f"a record of kind {data[0]} is no carry")
    return record.part, record.parts


def close_open(standing: Standing, at: Instant, charge: ChargeFunction) -> list[bytes]:
    """Endings for every open intent, in the order of their numbers (protocol §1, "sealed after a crash")."""
    return [
        to_bytes(ending_after_crash(seq, intent, checkpoint, at, charge))
        for seq, (intent, checkpoint) in sorted(standing.open.items())
    ]


def ending_after_crash(
    seq: int, intent: Intent, checkpoint: Checkpoint | None, at: Instant, charge: ChargeFunction
) -> Ending:
    """Usage in the last checkpoint: aborted, by the vendor's word, at the prices of the tier and bracket that it shows.
    Else estimated: what the vendor may bill is the input bound and the output counted so far (without a checkpoint: the
    cap); the customer pays for the output that was delivered and for no input, since its exact size died with the
    worker; a unary call delivered nothing.
    """
    terms = (checkpoint.terms if checkpoint else None) or intent.terms
    state: State = "estimated"
    source: Source = "estimate"
    charged = NOTHING
    if checkpoint is None:
        quantities = _tokens(intent.input_bound, intent.output_cap)
    elif checkpoint.usage or checkpoint.quantities != NOTHING:
        state, source = "aborted", "vendor"
        quantities = checkpoint.quantities
        charged = quantities if intent.stream else NOTHING
    else:
        quantities = _tokens(intent.input_bound, checkpoint.tokens)
        charged = _tokens(0, checkpoint.tokens) if intent.stream else NOTHING
    price = charge(charged, terms.den, terms.rates, terms.request_rate)
    cost = charge(quantities, terms.cost_den, terms.cost_rates, terms.cost_request_rate)
    return Ending(
        attempt_seq=seq,
        request=intent.request,
        attempt=intent.attempt,
        admitted_at=intent.admitted_at,
        sent_at=0,
        first_at=0,
        ended_at=max(at, intent.admitted_at),
        operation=intent.operation,
        stream=intent.stream,
        state=state,
        source=source,
        status=0,
        reason="crash",
        quantities=quantities,
        charged=charged,
        charge=min(price, intent.hold),
        cost=cost if terms.cost_version else -1,
        hold=intent.hold,
        overrun=max(0, price - intent.hold),
        unrated=tuple(i for i, (q, r) in enumerate(zip(quantities, terms.rates, strict=True)) if q and r < 0),
        input_bound=intent.input_bound,
        output_cap=intent.output_cap,
        service_tier=checkpoint.service_tier if checkpoint else "",
        vendor_model="",
        vendor_request="",
        usage=checkpoint.usage if checkpoint else b"",
        events=checkpoint.events if checkpoint else 0,
        size=checkpoint.size if checkpoint else 0,
        terms=terms,
    )


def _tokens(given: int, made: int) -> Quantities:
    amounts = [0] * len(NOTHING)
    amounts[INPUT], amounts[OUTPUT] = given, made
    return tuple(amounts)  # type: ignore[return-value]


_encode = msgspec.msgpack.Encoder().encode
