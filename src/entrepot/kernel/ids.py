"""Ids: where an attempt lives, and the request id that a customer sees.

A request id is `req_` + 26 Crockford characters: 48 bits of milliseconds, then 80 bits that are a keyed permutation of
(slot, epoch, counter). It is unique for refusals too, leads back to the journal stream that holds the call, and does
not show a customer how many calls the house answers. The permutation hides, it does not encrypt.
"""

from typing import NamedTuple

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _CROCKFORD for b in _CROCKFORD]
_VALUES = {letter: value for value, letter in enumerate(_CROCKFORD)}
_MASK80 = (1 << 80) - 1
_COUNTER_BITS, _EPOCH_BITS = 36, 32  # and 12 for the slot: 4,096 slots, 69 bn calls of one epoch


class AttemptId(NamedTuple):
    """One call to one vendor: the slot, its epoch (one life of a worker in it), the intent's number in the stream."""

    slot: int
    epoch: int
    seq: int

    def __str__(self) -> str:
        return f"w{self.slot}-{self.epoch:06d}-{self.seq}"


def attempt_from_text(text: str) -> AttemptId:
    """Inverse of `str(AttemptId)`; raises ValueError."""
    slot, epoch, seq = text.split("-")
    if slot[:1] != "w":
        raise ValueError(f"{text!r} is not an attempt id")
    return AttemptId(int(slot[1:]), int(epoch), int(seq))


def made_at_ms(request: str) -> int:
    """Milliseconds at which a request id was made: the part of it that no key hides."""
    number = 0
    for letter in request[4:14]:
        number = number << 5 | _VALUES[letter]
    return number


class RequestIds:
    """Makes and reads request ids under one key (`DATA/secrets/request-ids`, 32 bytes)."""

    def __init__(self, key: bytes) -> None:
        if len(key) < 30:
            raise ValueError("the key of request ids has at least 30 bytes")
        self._m1 = int.from_bytes(key[0:10], "big") | 1
        self._m2 = int.from_bytes(key[10:20], "big") | 1
        self._x = int.from_bytes(key[20:30], "big")
        self._i1 = pow(self._m1, -1, 1 << 80)
        self._i2 = pow(self._m2, -1, 1 << 80)

    def make(self, at_ms: int, slot: int, epoch: int, counter: int) -> str:
        """`req_…` of the counter-th request of this stream."""
        x = (((slot << _EPOCH_BITS) | epoch) << _COUNTER_BITS | counter) ^ self._x
        x = x * self._m1 & _MASK80
        x ^= x >> 40
        x = x * self._m2 & _MASK80
        n, p = at_ms << 80 | (x ^ x >> 40), _PAIRS
        high, low = n >> 60, n & 0xFFFFFFFFFFFFFFF
        return (
            f"req_{p[high >> 60]}{p[high >> 50 & 1023]}{p[high >> 40 & 1023]}{p[high >> 30 & 1023]}"
            f"{p[high >> 20 & 1023]}{p[high >> 10 & 1023]}{p[high & 1023]}"
            f"{p[low >> 50]}{p[low >> 40 & 1023]}{p[low >> 30 & 1023]}{p[low >> 20 & 1023]}"
            f"{p[low >> 10 & 1023]}{p[low & 1023]}"
        )

    def read(self, request: str) -> tuple[int, int, int, int]:
        """(milliseconds, slot, epoch, counter) of a request id; raises ValueError for anything else."""
        body = request.removeprefix("req_").upper().replace("O", "0").replace("I", "1").replace("L", "1")
        if len(body) != 26 or body.strip(_CROCKFORD) or body[0] > "7":
            raise ValueError(f"{request!r} is not a request id: 'req_' and 26 characters")
        number = 0
        for letter in body:
            number = number << 5 | _VALUES[letter]
        x = number & _MASK80
        x ^= x >> 40
        x = x * self._i2 & _MASK80
        x ^= x >> 40
        x = (x * self._i1 & _MASK80) ^ self._x
        counter = x & ((1 << _COUNTER_BITS) - 1)
        x >>= _COUNTER_BITS
        return number >> 80, x >> _EPOCH_BITS, x & ((1 << _EPOCH_BITS) - 1), counter
