"""API keys: `ep_live_<id:10><secret:32><crc32:6>`, all Base62 (trust.md §3.3). Pure: chance arrives as an argument.

The checksum is CRC-32 of the text before it, so a damaged key is refused without any look-up. 190 random bits need no
slow hash: what is stored is HMAC-SHA-256(pepper, secret).
"""

import hmac
import re
import zlib
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

from entrepot.kernel.errors import EntrepotError, Fault

PREFIX = "ep_live_"
ID_LETTERS, SECRET_LETTERS, CRC_LETTERS = 10, 32, 6
BODY_LETTERS = ID_LETTERS + SECRET_LETTERS + CRC_LETTERS
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#: For secret scanners.
PATTERN = r"ep_live_[0-9A-Za-z]{48}"

_BODY = re.compile(r"[0-9A-Za-z]{48}", re.ASCII)


class KeyBroken(EntrepotError):
    """The text is not a whole key; said without any look-up."""

    code = "invalid_api_key"
    fault = Fault.CALLER


class ParsedKey(NamedTuple):
    """A key whose checksum holds. Whether it exists is another question."""

    id: str
    secret: str


def make(key_id: str, secret: str) -> str:
    """The text of a key; `key_id` and `secret` are Base62 of their fixed lengths."""
    if len(key_id) != ID_LETTERS or len(secret) != SECRET_LETTERS or (key_id + secret).strip(ALPHABET):
        raise ValueError("a key has an id of 10 and a secret of 32 Base62 letters")
    text = PREFIX + key_id + secret
    return text + checksum(text)


def checksum(text: str) -> str:
    """CRC-32 of the ASCII text in six Base62 letters."""
    number, letters = zlib.crc32(text.encode("ascii")), ""
    for _ in range(CRC_LETTERS):
        number, digit = divmod(number, 62)
        letters = ALPHABET[digit] + letters
    return letters


def parse(text: str) -> ParsedKey:
    """Id and secret; raises KeyBroken, saying what is wrong without repeating the key."""
    if not text.startswith(PREFIX):
        raise KeyBroken("This is not an API key of this service: its keys start with 'ep_live_'.")
    body = text[len(PREFIX) :]
    if len(body) < BODY_LETTERS:
        count = "1 character follows" if len(body) == 1 else f"{len(body)} characters follow"
        raise KeyBroken(
            f"This API key is incomplete: {count} 'ep_live_', a whole key has {BODY_LETTERS}. "
            "It was probably cut when it was copied."
        )
    if len(body) > BODY_LETTERS:
        raise KeyBroken(
            f"This API key is too long: {len(body)} characters follow 'ep_live_', a whole key has {BODY_LETTERS}. "
            "Something was probably added when it was copied."
        )
    if not _BODY.fullmatch(body):
        raise KeyBroken("This API key is damaged: it holds a character that no key has. Copy it again.")
    start = len(text) - CRC_LETTERS
    if checksum(text[:start]) != text[start:]:
        raise KeyBroken("This API key is damaged: at least one character is wrong. Copy it again.")
    return ParsedKey(body[:ID_LETTERS], body[ID_LETTERS : ID_LETTERS + SECRET_LETTERS])


def hmac_of(pepper: bytes, secret: str) -> bytes:
    """What is stored of a secret; compare with `hmac.compare_digest`."""
    return hmac.digest(pepper, secret.encode("ascii"), sha256)


def random_letters(count: int, chance: Callable[[int], int]) -> str:
    """`count` Base62 letters; `chance(n)` is a uniform number below n (`secrets.randbelow`)."""
    return "".join(ALPHABET[chance(62)] for _ in range(count))
