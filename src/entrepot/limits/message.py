"""What a gateway and the keeper say to each other over `DATA/run/keeper.sock`.

Each message is a 4-byte big-endian length and a msgpack map with a `type`; at most 16 MiB. Money and shares are told as
totals that only grow, so a lost, repeated or reordered message is harmless.
"""

from typing import Literal

import msgspec

from entrepot.kernel.errors import EntrepotError
from entrepot.limits.rate import Schedule
from entrepot.limits.share import Held

LENGTH_BYTES = 4
LARGEST = 16 * 1024 * 1024


class MessageBroken(EntrepotError):
    """The other side sent what is not a message of this protocol."""

    code = "message_broken"


class Hello(msgspec.Struct, frozen=True, tag="hello", kw_only=True):
    """First message of a gateway: which slot it holds."""

    slot: int
    epoch: int
    pid: int
    snapshot: int
    shares: tuple[Held, ...] = ()


class Want(msgspec.Struct, frozen=True, tag="want", kw_only=True):
    """The lease has too little: `need` more than is free, in ledger units; `pace` in ledger units a second.

    `holds` are the whole holds of the calls that wait, in their order: the keeper grants what lets as many of them go
    as it can, and only against a whole hold can it say *spent*. Without them the slice is taken ahead, nobody waits for
    it and nobody is asked to give something back. `hold` stands for the only one of an older gateway (0: `need`).
    """

    balance: str
    granted_seen: int
    need: int
    pace: int
    hold: int = 0
    holds: tuple[int, ...] = ()
    free: int = 0  # in the lease when this was asked
    returned: int = 0  # total returned when this was asked: what went back since is needed, too
    number: int = 0  # of this question; its answer repeats it


class Returned(msgspec.Struct, frozen=True, tag="returned", kw_only=True):
    """Total ever returned, already durable in the slot's journal."""

    balance: str
    total: int


class Seen(msgspec.Struct, frozen=True, tag="seen"):
    """This gateway answers from this snapshot version."""

    version: int


class Command(msgspec.Struct, frozen=True, tag="command", kw_only=True):
    """A change that control (or a command line) asks for; `args` is JSON."""

    id: int
    name: str
    args: bytes


class Ask(msgspec.Struct, frozen=True, tag="ask", kw_only=True):
    """A share of a limit is too small: `need` more than is free in it, better `wish` (all that waits)."""

    held: Held
    need: int
    wish: int


class Ceded(msgspec.Struct, frozen=True, tag="ceded"):
    """What of a share was not used is given back: the answer to `cede`, or of the worker's own accord."""

    held: Held


class Using(msgspec.Struct, frozen=True, tag="using"):
    """Once a second, of what moved: (meter, used in its window, µs until that is free again). May be lost."""

    rows: tuple[tuple[str, int, int], ...]


class Leaving(msgspec.Struct, frozen=True, tag="leaving"):
    """The worker takes no call any more: what its windows hold runs off as said, the rest of its shares is free."""

    shares: tuple[Held, ...]


class Granted(msgspec.Struct, frozen=True, tag="granted", kw_only=True):
    """Total ever granted to this slot, and what stands behind a refusal if it is still too little.

    `short`: "" enough was granted; "held" the balance would do but other holds have it; "spent" only the keeper may say
    so: the ledger balance is below the hold even with nothing held. `left` is the ledger balance (of a budget: its
    amount) not yet charged, so that of many waiting calls each knows whether it is held or spent; `room` could still be
    granted at this moment.
    """

    balance: str
    total: int
    short: Literal["", "held", "spent"] = ""
    left: int = 0
    room: int = 0
    number: int = 0


class Recall(msgspec.Struct, frozen=True, tag="recall"):
    """Give back all that is free of this balance; answered by `returned` in any case.

    `total` was ever granted to this slot: one that has not heard of it all (its answer was lost with a connection)
    hears it now, or that part would be nobody's. 0: not said. `closing`: more is out than there may be now, so what
    calls under way leave over goes back too, until something is granted again.
    """

    balance: str
    total: int = 0
    closing: bool = False


class Share(msgspec.Struct, frozen=True, tag="share", kw_only=True):
    """Total ever given to this worker in this life of the meter. `short`: it is too little, and `elsewhere` says when
    what others have is free again."""

    meter: str
    life: int
    given: int
    short: bool = False
    elsewhere: Schedule = ()


class Cede(msgspec.Struct, frozen=True, tag="cede"):
    """Give up what of this share is not used now; `keep` ≥ 0: come down to that (the limit was lowered)."""

    meter: str
    keep: int = -1


class Others(msgspec.Struct, frozen=True, tag="others"):
    """(meter, used by others, µs until that is free again): what `remaining` is told from. May be lost."""

    rows: tuple[tuple[str, int, int], ...]


class Publish(msgspec.Struct, frozen=True, tag="publish"):
    """A snapshot of this version lies in DATA/snapshot."""

    version: int


class Reply(msgspec.Struct, frozen=True, tag="reply", kw_only=True):
    """Answer to a Command: `body` is JSON; when `error` is set the body is {"code", "message", "details"}."""

    id: int
    error: bool
    body: bytes


ToKeeper = Hello | Want | Returned | Seen | Command | Ask | Ceded | Using | Leaving
FromKeeper = Granted | Recall | Publish | Reply | Share | Cede | Others

_encode = msgspec.msgpack.Encoder().encode
to_keeper = msgspec.msgpack.Decoder(ToKeeper)
from_keeper = msgspec.msgpack.Decoder(FromKeeper)


def frame(message: ToKeeper | FromKeeper) -> bytes:
    """Length and body, ready to write."""
    body = _encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def split(buffer: bytearray) -> list[bytes]:
    """Take every whole message body out of `buffer`; what is left waits for more. Raises MessageBroken."""
    bodies = []
    start = 0
    while len(buffer) - start >= LENGTH_BYTES:
        size = int.from_bytes(buffer[start : start + LENGTH_BYTES], "big")
        if size > LARGEST:
            raise MessageBroken(f"a message of {size} bytes; the largest is {LARGEST}")
        if len(buffer) - start - LENGTH_BYTES < size:
            break
        start += LENGTH_BYTES
        bodies.append(bytes(buffer[start : start + size]))
        start += size
    del buffer[:start]
    return bodies
