"""The chain of hashes: each transaction's hash covers the one before it, so nothing can be changed, removed or
inserted without every later hash giving it away.

What is hashed is the hash before, 32 bytes, and then a JSON array without blanks, in UTF-8: an auditor works it out
again from an export with the standard library of any language (`docs/howto/audit-the-ledger.md`).
"""

import hashlib
from collections.abc import Sequence

import msgspec

from entrepot.kernel.instants import Instant

#: Hash "before" the first transaction.
START = bytes(32)
_encode = msgspec.json.Encoder().encode


def link(previous: bytes, seq: int, stamp: tuple[str, str, Instant, str], lines: Sequence[Sequence[str]]) -> bytes:
    """Hash of transaction `seq`: stamp is (id, kind, at, about); lines are [debit id, credit id, amount as text]."""
    return hashlib.sha256(previous + _encode([seq, *stamp, lines])).digest()
