"""The records of the journal: what an attempt promised, how it ended, and what leases moved.

On disk a record is one byte of kind and a msgpack array. Records are decoded whole or not at all; fields are only ever
appended. The attempt id is (slot, epoch, number of the intent in its stream): an intent does not repeat it.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Literal

import msgspec

from entrepot.kernel.buckets import NOTHING, Quantities
from entrepot.kernel.instants import Instant


class Kind(IntEnum):
    """First byte of a record."""

    INTENT = 1
    ENDING = 2
    CHECKPOINT = 3
    GRANT = 4
    RETURN = 5
    TALLY = 6
    CLOCK = 7
    CARRY = 8
    SEAL = 9


State = Literal["final", "aborted", "estimated", "void"]
Source = Literal["vendor", "drained", "counted", "estimate"]


class Terms(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What the intent pins for the whole attempt: who, what, where, and the prices of that instant.

    `rates` and `cost_rates` are integers per bucket, -1 where the book has no price; an amount in the ledger unit of
    the currency is (Σ quantity × rate + request_rate) / den, rounded up once (`pricing.charge`).
    """

    key: str
    customer: str
    project: str
    deployment: str
    model: str
    upstream: str
    vendor: str
    zone: str
    balance: str
    currency: str
    price_version: str  # "list/3"
    den: int
    rates: Quantities
    cost_version: str  # "" where no cost book names the model
    cost_currency: str
    cost_den: int
    cost_rates: Quantities
    budgets: tuple[str, ...] = ()  # hard ones, by the lease id of their period: drawn on like the balance
    watched: tuple[str, ...] = ()  # soft ones, by the same kind of id: no lease, only summed
    bracket: str = ""  # "200000": the prices are those of requests with more input tokens than that
    request_rate: int = 0  # over `den`, for a call that has used anything
    cost_request_rate: int = 0  # over `cost_den`

    @property
    def drawn_on(self) -> tuple[str, ...]:
        """The leases that hold and charge are taken from: the balance, then the hard budgets."""
        return (self.balance, *self.budgets)


class Intent(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Written and synced before the vendor is called."""

    request: str
    attempt: int  # 1..n of this request
    admitted_at: Instant
    operation: str  # "chat", "completion", "embedding"
    stream: bool
    hold: int  # ledger units of the balance's currency
    input_bound: int  # tokens
    output_cap: int  # tokens, all choices together
    terms: Terms


class Ending(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The one usage record of an attempt; self-contained, so that ingestion reads nothing else."""

    attempt_seq: int  # number of the intent in its stream
    request: str
    attempt: int
    admitted_at: Instant
    sent_at: Instant  # 0: never sent
    first_at: Instant  # 0: no byte came
    ended_at: Instant
    operation: str
    stream: bool
    state: State
    source: Source
    status: int  # HTTP status given to the client; 0: none
    reason: str  # "" or a stable code: client_gone, upstream_reset, upstream_timeout, crash, no_usage, ...
    quantities: Quantities  # what the vendor may bill
    charged: Quantities  # what the customer pays for; equal to quantities unless the state says otherwise
    charge: int  # ledger units, ≤ hold
    cost: int  # ledger units of cost_currency; -1 where there is no cost book for it
    hold: int
    overrun: int  # what the hold did not cover: cost without charge
    unrated: tuple[int, ...]  # buckets used that the book does not price
    input_bound: int
    output_cap: int
    service_tier: str  # as the answer says; "" = standard
    vendor_model: str  # as the answer says
    vendor_request: str
    usage: bytes  # the vendor's usage object as sent, ≤ 4 KiB
    events: int
    size: int  # bytes relayed to the client
    terms: Terms


class Checkpoint(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """How far a stream had come; one a second for those that moved. Nobody waits for it."""

    attempt_seq: int
    at: Instant
    events: int
    size: int  # bytes relayed to the client
    tokens: int  # output tokens counted so far, an estimate
    usage: bytes = b""
    quantities: Quantities = NOTHING
    service_tier: str = ""  # as the answer says
    terms: Terms | None = None  # where what the answer says has other prices than the intent's


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """Total ever granted to this slot for this balance; only grows."""

    balance: str
    total: int


class Return(msgspec.Struct, frozen=True, array_like=True):
    """Total ever returned by this slot; durable before it is sent."""

    balance: str
    total: int


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """Requests refused in one second, by (key, reason): one record, whoever knocks."""

    at: Instant
    counts: dict[str, int]  # "key reason" → n


class Clock(msgspec.Struct, frozen=True, array_like=True):
    """The wall clock stepped by more than a second against the monotonic one."""

    at: Instant
    step: int  # microseconds


class LeaseTotals(msgspec.Struct, frozen=True, array_like=True):
    """The three totals of a lease; outstanding = granted - returned - charged ≥ 0."""

    balance: str
    granted: int
    returned: int
    charged: int


class OpenIntent(msgspec.Struct, frozen=True, array_like=True):
    """An intent without ending, carried into a new segment."""

    seq: int
    intent: Intent
    checkpoint: Checkpoint | None


class Carry(msgspec.Struct, frozen=True, array_like=True):
    """State of the stream at this point: recovery reads from the last complete carry, never further back.

    A carry too large for one frame is written as several parts; it counts when the last part is there.
    """

    part: int
    parts: int
    leases: tuple[LeaseTotals, ...]
    open: tuple[OpenIntent, ...]


class Seal(msgspec.Struct, frozen=True, array_like=True):
    """The stream ends here."""

    at: Instant
    by: str  # "worker", "successor", "keeper"


Record = Intent | Ending | Checkpoint | Grant | Return | Tally | Clock | Carry | Seal

_TYPES: dict[int, type[Record]] = {
    Kind.INTENT: Intent, Kind.ENDING: Ending, Kind.CHECKPOINT: Checkpoint, Kind.GRANT: Grant, Kind.RETURN: Return,
    Kind.TALLY: Tally, Kind.CLOCK: Clock, Kind.CARRY: Carry, Kind.SEAL: Seal,
}  # fmt: skip
_KINDS: dict[type[Record], Kind] = {cls: Kind(kind) for kind, cls in _TYPES.items()}
_DECODERS = {kind: msgspec.msgpack.Decoder(cls) for kind, cls in _TYPES.items()}
_encode = msgspec.msgpack.Encoder().encode


def to_bytes(record: Record) -> bytes:
    """Kind byte and msgpack array."""
    return bytes((_KINDS[type(record)],)) + _encode(record)


def from_bytes(data: bytes | memoryview) -> Record:
    """Inverse of `to_bytes`; raises msgspec.DecodeError or KeyError on a record this version does not know."""
    record: Record = _DECODERS[data[0]].decode(data[1:])
    return record


def kind_of(data: bytes | memoryview) -> int:
    """The kind without decoding the rest."""
    return data[0]


def only(records: Sequence[bytes], kind: Kind) -> list[bytes]:
    """The undecoded records of one kind, in order."""
    return [data for data in records if data[0] == kind]
