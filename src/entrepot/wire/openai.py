"""The chat call of OpenAI's dialect: the fields that govern its price, and the few bytes that we change in it.

The top level is read by `fields`, so that every parser of the body reads what we admitted. Nested keys of the same
names (tool schemas) do not matter.
"""

from typing import Final

import msgspec

from entrepot.wire.fields import BadField, Fields, read_fields, refuse_variants, span_of
from entrepot.wire.media import measure

__all__ = ["GOVERNING", "BadField", "ChatCall", "read_chat", "rewrite_chat"]

MAX_MODEL_LETTERS: Final = 256
MAX_CHOICES: Final = 128
MAX_CAP: Final = 1 << 31
#: Input bound (protocol §4): role, separators and reply primer of a message are below 8 tokens in OpenAI's encodings.
TOKENS_PER_MESSAGE: Final = 8

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

_read_text = msgspec.json.Decoder(str).decode
_read_count = msgspec.json.Decoder(int | None).decode
_read_flag = msgspec.json.Decoder(bool | None).decode
_read_tier = msgspec.json.Decoder(str | None).decode
_encode = msgspec.json.Encoder().encode
_STREAM_OPTIONS: Final = frozenset(("include_usage",))
_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)


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
    fields: Fields


def read_chat(body: bytes, *, model_required: bool = True) -> ChatCall:
    """Reads and checks a chat body; raises BadField. Azure's classic paths name the deployment, so need no model."""
    fields = read_fields(body)
    if not _KNOWN.issuperset(fields):
        refuse_variants(fields, GOVERNING)
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
    messages, media, data_bytes, media_bound = measure(body, raw)
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
            splices.append((*span_of(body, fields, "model"), _encode(model)))
        else:
            front.append(b'"model":' + _encode(model))
    if force_usage and call.stream and not call.include_usage:
        if (raw := fields.get("stream_options")) is None:
            front.append(b'"stream_options":{"include_usage":true}')
        else:
            splices.append((*span_of(body, fields, "stream_options"), _with_usage(bytes(raw))))
    if output_cap is not None:
        text = b"%d" % output_cap
        present = [name for name in ("max_tokens", "max_completion_tokens") if name in fields]
        named = [name for name in present if bytes(fields[name]) != b"null"]
        if named:
            splices += [(*span_of(body, fields, name), text) for name in named if bytes(fields[name]) != text]
        elif cap_field in present:
            splices.append((*span_of(body, fields, cap_field), text))
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
    if not raw.startswith(b"{"):
        raise BadField("stream_options is an object", "stream_options", "invalid_type")
    if not stream:
        raise BadField("stream_options goes with stream true only", "stream_options")
    options = read_fields(raw)
    refuse_variants(options, _STREAM_OPTIONS)
    wanted = options.get("include_usage")
    return False if wanted is None else _flag(wanted, "stream_options.include_usage")


def _with_usage(raw: bytes) -> bytes:
    """stream_options with include_usage true, its other bytes unchanged."""
    if raw == b"null":
        return b'{"include_usage":true}'
    options = read_fields(raw)
    if "include_usage" in options:
        start, end = span_of(raw, options, "include_usage")
        return raw[:start] + b"true" + raw[end:]
    return b'{"include_usage":true' + (b"," if options else b"") + raw[1:]


def _show(raw: msgspec.Raw) -> str:
    text = bytes(raw)[:24].decode(errors="replace")
    return text if len(text) < 24 else text + "…"
