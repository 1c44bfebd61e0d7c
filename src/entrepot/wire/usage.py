"""How many tokens an answer used, in disjoint buckets.

OpenAI's counts overlap: `prompt_tokens` includes cached, cache-write, audio and image tokens; `completion_tokens`
includes reasoning, audio and rejected prediction tokens, and the last are billed as output (OpenAI usage guide;
reference wire 53-57). A count that cannot be true makes the usage `absurd`: the record is then an estimate.
"""

from typing import Final

import msgspec

from entrepot.kernel.buckets import NOTHING, Quantities

#: No call has a trillion tokens; beyond it a count is a fault, and products with rates would leave 64 bits.
MAX_TOKENS: Final = 1 << 40
#: Journalled as sent up to this size (protocol §2).
MAX_RAW_USAGE: Final = 4 * 1024
_NULL = msgspec.Raw(b"null")


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """`total` is the sum of the buckets; `raw` the vendor's object as sent, cut to nothing above 4 KiB.

    `beyond` counts tokens of the vendor's own total that none of its counts names (thinking that some
    OpenAI-compatible services leave out): they are in no bucket, so that nobody is charged for what is not itemised.
    """

    quantities: Quantities = NOTHING
    total: int = 0
    beyond: int = 0
    absurd: bool = False
    raw: bytes = b""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What metering reads of an answer or of one event of a stream; `broken`: it is not a JSON object."""

    usage: Usage | None = None
    model: str = ""
    id: str = ""
    service_tier: str = ""
    error: bytes = b""  # the top-level error as sent
    broken: bool = False


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = 0
    audio_tokens: int | None = 0
    image_tokens: int | None = 0
    cache_write_tokens: int | None = 0


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = 0
    audio_tokens: int | None = 0


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    # Cached tokens, as services say it that leave the details out: Mistral, DeepSeek, Moonshot.
    num_cached_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Answer(msgspec.Struct):
    usage: msgspec.Raw = _NULL
    model: str | None = None
    id: str | None = None
    service_tier: str | None = None
    error: msgspec.Raw = _NULL


class _LooseAnswer(msgspec.Struct):
    """For an answer whose names are not texts: what can be read of it is read."""

    usage: msgspec.Raw = _NULL
    model: object = None
    id: object = None
    service_tier: object = None
    error: msgspec.Raw = _NULL


_decode_usage = msgspec.json.Decoder(_Usage).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_loose = msgspec.json.Decoder(_LooseAnswer).decode
_BROKEN = Answer(broken=True)
_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)


def read_unary(body: bytes) -> Answer:
    """The metered fields of a chat, completion or embedding answer; never raises."""
    try:
        answer: _Answer | _LooseAnswer = _decode_answer(body)
    except _FAULTS:
        try:
            answer = _decode_loose(body)
        except _FAULTS:
            return _BROKEN
    usage = bytes(answer.usage)
    error = bytes(answer.error)
    model, id_, tier = answer.model, answer.id, answer.service_tier
    return Answer(
        usage=None if usage == b"null" else chat_usage(usage),
        model=model if isinstance(model, str) else "",
        id=id_ if isinstance(id_, str) else "",
        service_tier=tier if isinstance(tier, str) else "",
        error=b"" if error == b"null" else error,
    )


#: An event of a stream has the same fields at its top.
read_event = read_unary


def chat_usage(usage: bytes | object) -> Usage:
    """Disjoint buckets of a chat, completion or embedding usage object (JSON, or decoded); never raises."""
    try:
        raw = usage if isinstance(usage, bytes) else msgspec.json.encode(usage)
        counts = _decode_usage(raw)
    except (*_FAULTS, TypeError):
        return Usage(absurd=True, raw=_cut(usage) if isinstance(usage, bytes) else b"")
    prompt, completion = counts.prompt_tokens, counts.completion_tokens
    cached = written = audio_in = image = reasoning = audio_out = 0
    if (details := counts.prompt_tokens_details) is not None:
        cached = details.cached_tokens or 0
        written = details.cache_write_tokens or 0
        audio_in = details.audio_tokens or 0
        image = details.image_tokens or 0
    if not cached:
        cached = counts.num_cached_tokens or counts.prompt_cache_hit_tokens or counts.cached_tokens or 0
    if (more := counts.completion_tokens_details) is not None:
        reasoning = more.reasoning_tokens or 0
        audio_out = more.audio_tokens or 0
    stated = counts.total_tokens
    if completion is None:  # embeddings have no completion; a total that says otherwise is not believed
        completion = 0
        if stated is not None and stated != prompt:
            return Usage(absurd=True, raw=_cut(raw))
    beyond = 0 if stated is None else stated - prompt - completion
    if beyond > 0 and beyond == reasoning:  # xAI counts reasoning beside completion_tokens, and bills it as output
        completion += reasoning
        beyond = 0
    if (
        not 0 <= prompt <= MAX_TOKENS or not 0 <= completion <= MAX_TOKENS
        or cached < 0 or written < 0 or audio_in < 0 or image < 0 or reasoning < 0 or audio_out < 0
        or cached + written > prompt or audio_in > prompt or image > prompt or reasoning + audio_out > completion
    ):  # fmt: skip
        return Usage(absurd=True, raw=_cut(raw))
    rest = prompt - cached - written
    if audio_in or image:  # a cached image is billed as cached: kinds get what the cache leaves
        audio_in = min(audio_in, rest)
        image = min(image, rest - audio_in)
        rest -= audio_in + image
    return Usage(
        quantities=(rest, cached, written, completion - reasoning - audio_out, reasoning, audio_in, audio_out, image),
        total=prompt + completion,
        beyond=max(beyond, 0),
        raw=_cut(raw),
    )


def _cut(raw: bytes) -> bytes:
    return raw if len(raw) <= MAX_RAW_USAGE else b""
