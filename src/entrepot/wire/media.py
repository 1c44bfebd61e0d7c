"""How large can the input of a chat call be? Bytes of text, messages, and media parts with a fixed bound each."""

import json
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from entrepot.wire.fields import BadField, refuse_deep
from entrepot.wire.json_text import MAX_DEPTH

#: The dearest image of OpenAI's vision guide: gpt-4o-mini, high detail, 8 tiles: 2,833 + 8 × 5,667.
TOKENS_PER_IMAGE: Final = 48_169
#: Audio is 10 tokens a second; no codec goes below 640 base64 bytes a second (3.8 kbit/s), which is 64 bytes a token.
AUDIO_BYTES_PER_TOKEN: Final = 64
#: Nothing in a request bounds the pages behind a file, so its bound is the context window that the caller cuts to.
TOKENS_PER_FILE: Final = 1 << 22
#: With media and more lists and objects than this, parts are not told apart: the bound is the context window.
MAX_WALKED: Final = 10_000
_MEDIA: Final = {"image_url": TOKENS_PER_IMAGE, "input_audio": 0, "file": TOKENS_PER_FILE}
#: An ASCII letter, digit or underscore written as an escape: nobody's encoder does this.
_DISGUISED = re.compile(rb"\\u00(?:3[0-9]|4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aA])")
_read_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)


def measure(body: bytes, messages: msgspec.Raw) -> tuple[int, int, int, int]:
    """(messages, media parts, bytes of their data, tokens that they cannot exceed); depth is checked on the way.

    With one list in the body, the braces count the messages; that may be too many, never too few.
    """
    text = bytes(messages)
    count = body.count(b"{") - 1
    if body.find(b"[") == body.rfind(b"[") and count <= MAX_DEPTH // 2 and text.startswith(b"[{"):
        return count, 0, 0, 0
    containers = refuse_deep(body)
    try:
        count = len(_read_list(text))
    except _FAULTS:
        count = 0
    if not count:
        raise BadField("messages is a list of at least one message", "messages", "invalid_type")
    if text.find(b"[", 1) > 0 and (
        b'_url"' in text or b'"input_audio"' in text or b'"file"' in text
        or (b"\\u00" in text and _DISGUISED.search(text) is not None)
    ):  # fmt: skip
        if containers > MAX_WALKED:
            return count, containers, 0, TOKENS_PER_FILE
        return count, *_media(text)
    return count, 0, 0, 0


def _media(messages: bytes) -> tuple[int, int, int]:
    """(media parts, bytes of their data within the body, tokens that they cannot exceed).

    Parts of repeated and of differently cased keys are all counted: a vendor may read any of them.
    """
    count = data_bytes = bound = 0
    for part in _parts(json.loads(messages, object_pairs_hook=_Pairs, parse_int=float)):  # int() refuses 4,301 digits
        keys = [(key.casefold().strip(), value) for key, value in part]
        kinds = {value for key, value in keys if key == "type" and isinstance(value, str)}
        media = kinds - {"text", "refusal"} | {key for key, _ in keys if key in _MEDIA}
        for kind in media:
            size = sum(_data_bytes(value) for key, value in keys if key == kind)
            count += 1
            data_bytes += size
            bound += size // AUDIO_BYTES_PER_TOKEN if kind == "input_audio" else _MEDIA.get(kind, TOKENS_PER_FILE)
    return count, data_bytes, bound


class _Pairs(list[tuple[str, object]]):
    """A JSON object with every pair it was written with."""


def _parts(messages: object) -> Iterator[_Pairs]:
    """Content parts of all messages."""
    for message in messages if isinstance(messages, list) else ():
        for key, content in message if isinstance(message, _Pairs) else ():
            if key.casefold().strip() == "content" and isinstance(content, list) and not isinstance(content, _Pairs):
                yield from (part for part in content if isinstance(part, _Pairs))


def _data_bytes(part: object) -> int:
    """Bytes of a part's data that are no text: data URLs and base64, of which each character stands as one byte."""
    if isinstance(part, str):
        return len(part) if part.startswith("data:") and part.isascii() else 0
    if not isinstance(part, _Pairs):
        return 0
    texts = [value for key, value in part if key in ("url", "data", "file_data") and isinstance(value, str)]
    return sum(len(text) for text in texts if text.isascii())
