"""The chat call of OpenAI's dialect: the fields that govern its price, and the few bytes that we change in it.

A vendor may read a repeated key first-wins, last-wins or ignoring case. We must never have admitted less than it
serves, so the top level of a body is accepted only if each of its bytes is accounted for: keys once, without escapes,
no case variant of a key that governs. The common bodies (compact JSON) are proven by encoding what was read and
comparing bytes; any other layout is walked key by key. Nested keys of the same names (tool schemas) do not matter.
"""

import json
import re
from collections.abc import Iterator
from typing import Final, NoReturn

import msgspec

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.wire.json_text import MAX_DEPTH, depth_of, name_fault

MAX_MODEL_LETTERS: Final = 256
MAX_CHOICES: Final = 128
MAX_CAP: Final = 1 << 31
#: Input bound (protocol §4): role, separators and reply primer of a message are below 8 tokens in OpenAI's encodings.
TOKENS_PER_MESSAGE: Final = 8
#: The dearest image of OpenAI's vision guide: gpt-4o-mini, high detail, 8 tiles: 2,833 + 8 × 5,667.
TOKENS_PER_IMAGE: Final = 48_169
#: Audio is 10 tokens a second; no codec goes below 640 base64 bytes a second (3.8 kbit/s), which is 64 bytes a token.
AUDIO_BYTES_PER_TOKEN: Final = 64
#: Nothing in a request bounds the pages behind a file, so its bound is the context window that the caller cuts to.
TOKENS_PER_FILE: Final = 1 << 22

GOVERNING: Final = frozenset((
    "model", "messages", "max_tokens", "max_completion_tokens", "n", "stream", "stream_options", "service_tier",
    "store", "best_of", "modalities", "audio", "tools", "functions", "web_search_options", "prediction",
    "reasoning_effort",
))  # fmt: skip
_KNOWN: Final = GOVERNING | frozenset((
    "temperature", "top_p", "stop", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs",
    "user", "seed", "tool_choice", "parallel_tool_calls", "response_format", "metadata", "safety_identifier",
    "verbosity", "prompt_cache_key", "function_call", "data_sources", "prompt_cache_retention", "user_security_context",
))  # fmt: skip

_read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_text = msgspec.json.Decoder(str).decode
_read_count = msgspec.json.Decoder(int | None).decode
_read_flag = msgspec.json.Decoder(bool | None).decode
_read_tier = msgspec.json.Decoder(str | None).decode
_encode = msgspec.json.Encoder().encode
_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)
_KEY = re.compile(rb'[ \t\n\r]*"((?:[^"\\]|\\.)*+)"[ \t\n\r]*:[ \t\n\r]*', re.DOTALL)
_GAP = re.compile(rb"[ \t\n\r]*([,}])")
_MEDIA: Final = {"image_url": TOKENS_PER_IMAGE, "input_audio": 0, "file": TOKENS_PER_FILE}
_SPACE = b" \t\n\r"
#: An ASCII letter, digit or underscore written as an escape: nobody's encoder does this.
_DISGUISED = re.compile(rb"\\u00(?:3[0-9]|4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aA])")


class BadField(EntrepotError):
    """A chat call that we do not admit: 400 with the field's name in `param`."""

    code = "invalid_value"
    fault = Fault.CALLER

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.param = param


class ChatCall(msgspec.Struct, frozen=True, kw_only=True):
    """What a chat call asks for, as every parser of it must read it.

    `input_bound`: tokens that the input cannot exceed, not yet cut to the model's context window; `text_bytes`: of the
    body, without media data. `messages`: at least as many as there are. `service_tier`: as sent, "" where absent, null,
    auto or default. `fields`: the top level.
    """

    model: str
    output_cap: int | None
    n: int
    stream: bool
    include_usage: bool
    service_tier: str
    store: bool
    messages: int
    media: int
    text_bytes: int
    input_bound: int
    fields: dict[str, msgspec.Raw]


def read_chat(body: bytes, *, model_required: bool = True) -> ChatCall:
    """Reads and checks a chat body; raises BadField. Azure's classic paths name the deployment, so need no model."""
    try:
        if not body.isascii():
            body.decode()
        fields = _read_fields(body)
    except _FAULTS:
        _refuse(body)
    if _encode(fields) != body:
        _walk(body, fields)
    if not _KNOWN.issuperset(fields):
        _check_variants(fields)
    get = fields.get
    model, tier, cap, n, stream, include_usage, store = "", "", None, 1, False, False, False
    if (raw := get("model")) is not None:
        model = _model(raw)
    elif model_required:
        raise BadField("the body names no model", "model", "missing_required_parameter")
    if (raw := get("max_completion_tokens")) is not None:
        cap = _count(raw, "max_completion_tokens", MAX_CAP)
    if (raw := get("max_tokens")) is not None:
        older = _count(raw, "max_tokens", MAX_CAP)
        if cap is not None and older is not None and cap != older:
            raise BadField(f"max_tokens is {older} and max_completion_tokens {cap}: send one of them", "max_tokens")
        cap = older if cap is None else cap
    if (raw := get("stream")) is not None:
        stream = _flag(raw, "stream")
    if (raw := get("n")) is not None:
        n = _count(raw, "n", MAX_CHOICES) or 1
    if (raw := get("stream_options")) is not None:
        include_usage = _include_usage(raw, stream=stream)
    if (raw := get("service_tier")) is not None:
        tier = _tier(raw)
    if (raw := get("store")) is not None:
        store = _flag(raw, "store")
    if (raw := get("messages")) is None:
        raise BadField("the body has no messages", "messages", "missing_required_parameter")
    messages, media, data_bytes, media_bound = _measure(body, raw)
    text_bytes = len(body) - data_bytes
    return ChatCall(
        model=model, output_cap=cap, n=n, stream=stream, include_usage=include_usage, service_tier=tier, store=store,
        messages=messages, media=media, text_bytes=text_bytes,
        input_bound=text_bytes + TOKENS_PER_MESSAGE * messages + media_bound, fields=fields,
    )  # fmt: skip


def rewrite_chat(
    body: bytes,
    call: ChatCall,
    *,
    model: str | None = None,
    force_usage: bool = False,
    output_cap: int | None = None,
    cap_field: str = "max_completion_tokens",
) -> bytes:
    """`body` with another model name, with usage asked for, with a cap: only what must change, every other byte stays.

    `output_cap` replaces the caller's cap where one stands, else it is written as `cap_field`.
    """
    fields = call.fields
    splices: list[tuple[int, int, bytes]] = []  # (from, until, new bytes)
    front: list[bytes] = []
    if model is not None and model != call.model:
        if "model" in fields:
            splices.append((*_span(body, fields, "model"), _encode(model)))
        else:
            front.append(b'"model":' + _encode(model))
    if force_usage and call.stream and not call.include_usage:
        if (raw := fields.get("stream_options")) is None:
            front.append(b'"stream_options":{"include_usage":true}')
        else:
            splices.append((*_span(body, fields, "stream_options"), _with_usage(bytes(raw))))
    if output_cap is not None:
        text = b"%d" % output_cap
        present = [name for name in ("max_tokens", "max_completion_tokens") if name in fields]
        named = [name for name in present if bytes(fields[name]) != b"null"]
        if named:
            splices += [(*_span(body, fields, name), text) for name in named if bytes(fields[name]) != text]
        elif cap_field in present:
            splices.append((*_span(body, fields, cap_field), text))
        else:
            front.append(b'"%b":%b' % (cap_field.encode(), text))
    if front:
        at = body.index(b"{") + 1
        splices.append((at, at, b",".join(front) + b","))
    if not splices:
        return body
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


def _span(body: bytes, fields: dict[str, msgspec.Raw], name: str) -> tuple[int, int]:
    """Where the value of a top-level field stands."""
    raw = bytes(fields[name])
    key = b'"%b":' % name.encode()
    at = body.find(key + raw)
    if at == 1 or (at > 0 and body.find(key + raw, at + 1) < 0 and _encode(fields) == body):
        return at + len(key), at + len(key) + len(raw)
    return _walk(body, fields)[name]


def _walk(body: bytes, fields: dict[str, msgspec.Raw]) -> dict[str, tuple[int, int]]:
    """Span of every top-level value, proving on the way that no byte of the top level is unaccounted for."""
    spans: dict[str, tuple[int, int]] = {}
    at = len(body) - len(body.lstrip(_SPACE)) + 1
    last = b","
    for name, value in fields.items():
        key = _KEY.match(body, at)
        if key is None or last != b"," or key[1] != name.encode():
            _refuse_repeat(body)
        raw = bytes(value)
        start = key.end()
        end = start + len(raw)
        gap = _GAP.match(body, end)
        if gap is None or not body.startswith(raw, start):
            _refuse_repeat(body)
        spans[name] = (start, end)
        at = gap.end()
        last = gap[1]
    if fields and (last != b"}" or body[at:].strip(_SPACE)):
        _refuse_repeat(body)
    return spans


def _refuse_repeat(body: bytes) -> NoReturn:
    seen: set[str] = set()
    at = body.find(b"{") + 1
    while (key := _KEY.match(body, at)) is not None:
        if b"\\" in key[1]:
            raise BadField(
                f"a key of the body is written with an escape: {key[1][:64].decode(errors='replace')}",
                None,
                "invalid_json",
            )
        name = key[1].decode()
        if name in seen:
            raise BadField(f"{name[:64]!r} is in the body twice; send it once", name[:64], "duplicate_parameter")
        seen.add(name)
        at = _value_end(body, key.end())
        if body[at : at + 1] == b"}":
            break
        at += 1
    raise BadField("a key of the body occurs twice; send each once", None, "duplicate_parameter")


_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_PLAIN = re.compile(rb'[^"\[\]{},]++')


def _value_end(body: bytes, at: int) -> int:
    """Index of the comma or bracket behind a value of valid JSON."""
    depth = 0
    while at < len(body):
        letter = body[at : at + 1]
        if letter == b'"':
            match = _STRING.match(body, at)
            at = match.end() if match else len(body)
        elif letter in b"[{":
            depth += 1
            at += 1
        elif letter in b"]}":
            if not depth:
                return at
            depth -= 1
            at += 1
        elif letter == b",":
            if not depth:
                return at
            at += 1
        else:
            match = _PLAIN.match(body, at)
            at = match.end() if match else len(body)
    return at


def _check_variants(fields: dict[str, msgspec.Raw]) -> None:
    for name in fields:
        if name not in _KNOWN and (meant := name.casefold().strip()) in GOVERNING:
            raise BadField(
                f"{name[:64]!r} is not a field; {meant!r} is, and some parsers take one for the other",
                name[:64],
                "unknown_parameter",
            )


def _refuse(body: bytes) -> NoReturn:
    raise BadField(name_fault(body), None, "invalid_json")


def _model(raw: msgspec.Raw) -> str:
    try:
        model: str = _read_text(raw)
    except _FAULTS:
        model = ""
    if not model or len(model) > MAX_MODEL_LETTERS:
        raise BadField(f"model is a text of 1 to {MAX_MODEL_LETTERS} letters", "model", "invalid_type")
    return model


def _count(raw: msgspec.Raw, name: str, most: int) -> int | None:
    try:
        number: int | None = _read_count(raw)
    except _FAULTS:
        raise BadField(f"{name} is a whole number, not {_show(raw)}", name, "invalid_type")
    if number is not None and not 1 <= number <= most:
        raise BadField(f"{name} is {_show(raw)}; it goes from 1 to {most}", name)
    return number


def _flag(raw: msgspec.Raw, name: str) -> bool:
    try:
        return _read_flag(raw) or False
    except _FAULTS:
        raise BadField(f"{name} is true or false, not {_show(raw)}", name, "invalid_type")


def _tier(raw: msgspec.Raw) -> str:
    try:
        tier: str | None = _read_tier(raw)
    except _FAULTS:
        raise BadField(f"service_tier is a text, not {_show(raw)}", "service_tier", "invalid_type")
    return "" if tier is None or tier in ("auto", "default") else tier[:64]


def _include_usage(value: msgspec.Raw, *, stream: bool) -> bool:
    raw = bytes(value)
    if raw == b"null":
        return False
    try:
        options = _read_fields(raw)
    except _FAULTS:
        raise BadField("stream_options is an object", "stream_options", "invalid_type")
    if not stream:
        raise BadField("stream_options goes with stream true only", "stream_options")
    if _encode(options) != raw:
        _walk(raw, options)
    for name in options:
        if name != "include_usage" and name.casefold().strip() == "include_usage":
            raise BadField(f"{name[:64]!r} is not a field; 'include_usage' is", "stream_options", "unknown_parameter")
    wanted = options.get("include_usage")
    return False if wanted is None else _flag(wanted, "stream_options.include_usage")


def _with_usage(raw: bytes) -> bytes:
    """stream_options with include_usage true, its other bytes unchanged."""
    if raw == b"null":
        return b'{"include_usage":true}'
    options = _read_fields(raw)
    if "include_usage" in options:
        start, end = _span(raw, options, "include_usage")
        return raw[:start] + b"true" + raw[end:]
    return b'{"include_usage":true' + (b"," if options else b"") + raw[1:]


def _measure(body: bytes, messages: msgspec.Raw) -> tuple[int, int, int, int]:
    """(messages, media parts, bytes of their data, tokens that they cannot exceed); depth is checked on the way.

    Where nothing is nested in lists, the brackets count the messages; that may be too many, never too few.
    """
    text = bytes(messages)
    count = body.count(b"{") - 1
    if text[:2] != b"[{" or text.find(b"[", 1) > 0 or count > MAX_DEPTH // 2:
        if body.count(b"[") + count > MAX_DEPTH and depth_of(body) > MAX_DEPTH:
            raise BadField(f"the body is nested deeper than {MAX_DEPTH}", None, "invalid_json")
        try:
            count = len(_read_list(text))
        except _FAULTS:
            count = 0
        if not count:
            raise BadField("messages is a list of at least one message", "messages", "invalid_type")
        if (
            b'_url"' in text or b'"input_audio"' in text or b'"file"' in text
            or (b"\\u00" in text and _DISGUISED.search(text) is not None)
        ):  # fmt: skip
            return count, *_media(text)
    return count, 0, 0, 0


def _media(messages: bytes) -> tuple[int, int, int]:
    """(media parts, bytes of their data within the body, tokens that they cannot exceed).

    Parts of a repeated key are all counted: a vendor may read either.
    """
    count = data_bytes = bound = 0
    for part in _parts(json.loads(messages, object_pairs_hook=_Pairs)):
        kinds = {value for key, value in part if key == "type" and isinstance(value, str)}
        media = kinds - {"text", "refusal"} | {key for key, _ in part if key in _MEDIA}
        for kind in media:
            size = sum(_data_bytes(value) for key, value in part if key == kind)
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
            if key == "content" and isinstance(content, list) and not isinstance(content, _Pairs):
                yield from (part for part in content if isinstance(part, _Pairs))


def _data_bytes(part: object) -> int:
    """Bytes of a part's data that are no text: data URLs and base64, of which each character stands as one byte."""
    if isinstance(part, str):
        return len(part) if part.startswith("data:") and part.isascii() else 0
    if not isinstance(part, _Pairs):
        return 0
    texts = [value for key, value in part if key in ("url", "data", "file_data") and isinstance(value, str)]
    return sum(len(text) for text in texts if text.isascii())


def _show(raw: msgspec.Raw) -> str:
    text = bytes(raw)[:24].decode(errors="replace")
    return text if len(text) < 24 else text + "…"
