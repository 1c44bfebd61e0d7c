"""The few bytes of a request that we change; every other byte goes on as it came."""

from hashlib import sha256
from typing import Final

import msgspec

from entrepot.wire.fields import read_fields, span_of
from entrepot.wire.openai import Call

_encode = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder().decode
_CAPS: Final[tuple[str, ...]] = ("max_tokens", "max_completion_tokens")
#: OpenAI takes cache keys of up to 64 letters.
_CACHE_KEY_LETTERS: Final = 48


def rewrite(
    body: bytes,
    call: Call,
    *,
    model: str | None = None,
    force_usage: bool = False,
    output_cap: int | None = None,
    cap_field: str = "max_completion_tokens",
    never_store: bool = False,
    cache_scope: str = "",
) -> bytes:
    """`body` with another model name, with usage asked for, with a cap, without storing, with a cache key of its own.

    `output_cap` replaces the caller's cap where one stands, else it is written as `cap_field`. `cache_scope` is put
    before the caller's prompt_cache_key, if there is one.
    """
    fields = call.fields
    splices: list[tuple[int, int, bytes]] = []  # (from, until, new bytes)
    front: list[bytes] = []
    if model is not None and model != call.model:
        if "model" in fields:
            splices.append((*span_of(body, fields, "model"), _encode(model)))
        else:
            front.append(b'"model":' + _encode(model))
    if force_usage and call.stream and not call.include_usage:
        if (options := fields.get("stream_options")) is None:
            front.append(b'"stream_options":{"include_usage":true}')
        else:
            splices.append((*span_of(body, fields, "stream_options"), _with_usage(bytes(options))))
    if output_cap is not None:
        text = b"%d" % output_cap
        named = [name for name in _CAPS if name in fields and bytes(fields[name]) != b"null"]
        for name in named or [cap_field]:
            if name not in fields:
                front.append(b'"%b":%b' % (name.encode(), text))
            elif bytes(fields[name]) != text:
                splices.append((*span_of(body, fields, name), text))
    if never_store and call.store:
        splices.append((*span_of(body, fields, "store"), b"false"))
    if cache_scope and (key := fields.get("prompt_cache_key")) is not None and bytes(key) != b"null":
        splices.append((*span_of(body, fields, "prompt_cache_key"), _encode(scoped(cache_scope, bytes(key)))))
    if front:
        at = body.index(b"{") + 1
        splices.append((at, at, b",".join(front) + b","))
    return _spliced(body, splices) if splices else body


def scoped(scope: str, raw: bytes) -> str:
    """A cache key (as JSON) that no other customer's key can be equal to."""
    try:
        key = str(_read(raw))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        key = ""
    if not key.isascii() or len(key) > _CACHE_KEY_LETTERS:
        key = sha256(raw).hexdigest()[:_CACHE_KEY_LETTERS]
    return f"{scope}-{key}"


def _spliced(body: bytes, splices: list[tuple[int, int, bytes]]) -> bytes:
    if len(splices) == 1:
        start, end, new = splices[0]
        return body[:start] + new + body[end:]
    splices.sort()
    parts: list[bytes] = []
    done = 0
    for start, end, new in splices:
        parts += (body[done:start], new)
        done = end
    parts.append(body[done:])
    return b"".join(parts)


def _with_usage(raw: bytes) -> bytes:
    """stream_options with include_usage true, its other bytes unchanged."""
    if raw == b"null":
        return b'{"include_usage":true}'
    options = read_fields(raw)
    if "include_usage" in options:
        start, end = span_of(raw, options, "include_usage")
        return raw[:start] + b"true" + raw[end:]
    return b'{"include_usage":true' + (b"," if options else b"") + raw[1:]
