"""The calls of OpenAI's dialect: the fields of each that govern its price.

The top level is read by `fields`, so that every parser of the body reads what we admitted. Nested keys of the same
names (tool schemas) do not matter. What does not govern a price is neither read nor changed.
"""

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from entrepot.wire.fields import BadField, Fields, read_fields, refuse_variants
from entrepot.wire.governing import MAX_CAP, MAX_CHOICES, count_of, flag_of, model_of, tier_of, usage_wanted
from entrepot.wire.media import measure
from entrepot.wire.prompts import measure_inputs

__all__ = ["GOVERNING", "BadField", "Call", "Operation", "read_call", "read_chat", "read_completion", "read_embedding"]

Operation = Literal["chat", "completion", "embedding"]
#: Input bound (protocol §4): role, separators and reply primer of a message are below 8 tokens in OpenAI's encodings.
TOKENS_PER_MESSAGE: Final = 8
#: What OpenAI writes at the most where a completion names no cap (openapi.yaml, CreateCompletionRequest).
COMPLETION_CAP: Final = 16

GOVERNING: Final = frozenset((
    "model", "messages", "max_tokens", "max_completion_tokens", "n", "stream", "stream_options", "service_tier",
    "store", "best_of", "modalities", "audio", "tools", "functions", "web_search_options", "prediction",
    "reasoning_effort", "background", "previous_response_id", "prompt_cache_key", "data_sources",
))  # fmt: skip
_KNOWN: Final = GOVERNING | frozenset((
    "temperature", "top_p", "stop", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs",
    "user", "seed", "tool_choice", "parallel_tool_calls", "response_format", "metadata", "safety_identifier",
    "verbosity", "function_call", "prompt_cache_retention", "user_security_context",
))  # fmt: skip
#: With these a vendor puts texts that it finds into the prompt, and bills them as input (Azure's data, web search).
_GROUNDED: Final = ("data_sources", "web_search_options")
_COMPLETION: Final = frozenset((
    "model", "prompt", "suffix", "max_tokens", "max_completion_tokens", "n", "best_of", "echo", "stream",
    "stream_options", "service_tier", "store", "background", "prompt_cache_key",
))  # fmt: skip
_EMBEDDING: Final = frozenset(("model", "input", "encoding_format", "dimensions", "service_tier"))
#: Fields that keep something at the vendor, or need what was kept: never forwarded (DESIGN, promise 7).
_KEPT: Final = {
    "background": ("unsupported_value", "a call in the background would have to be kept, and none is: leave it out"),
    "previous_response_id": ("previous_response_not_found", "no earlier response is kept: send the whole conversation"),
}


#: A call with none of these needs no look at them: nearly all have none.
_RARE: Final = frozenset((*_GROUNDED, *_KEPT, "store", "service_tier"))
_COMMON: Final = _KNOWN - _RARE


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What a call asks for, as every parser of it must read it.

    `n`: answers that the vendor may write, all prompts together. `inputs`: texts that each have the model's context for
    themselves. `input_bound`: tokens that all of them cannot exceed, not yet cut to the model's context window;
    `text_bytes`: of the body, without media data. `messages`: at least as many as there are. `service_tier`: as sent,
    "" where absent, null, auto or default. `grounded`: the vendor adds texts of its own, which nothing bounds but the
    model's context. `default_cap`: what counts where the caller names no cap, 0: the deployment's. `fields`: the top
    level.
    """

    operation: Operation = "chat"
    model: str
    output_cap: int | None = None
    n: int = 1
    stream: bool = False
    include_usage: bool = False
    service_tier: str = ""
    store: bool = False
    messages: int = 0
    media: int = 0
    inputs: int = 1
    text_bytes: int
    input_bound: int
    grounded: bool = False
    default_cap: int = 0
    fields: Fields


def read_chat(body: bytes, *, model_required: bool = True) -> Call:
    """Reads and checks a chat body; raises BadField. Azure's classic paths name the deployment, so need no model."""
    fields = read_fields(body)
    get = fields.get
    cap, n, stream, include_usage = None, 1, False, False
    tier, store, grounded = "", False, False
    if not _COMMON.issuperset(fields):
        if not _KNOWN.issuperset(fields):
            refuse_variants(fields, GOVERNING)
        store, grounded = _store(fields), _grounded(fields)
        if (raw := get("service_tier")) is not None:
            tier = tier_of(raw)
    model = model_of(get("model"), required=model_required)
    if (raw := get("max_completion_tokens")) is not None:
        cap = count_of(raw, "max_completion_tokens", MAX_CAP)
    if (raw := get("max_tokens")) is not None:
        older = count_of(raw, "max_tokens", MAX_CAP)
        if cap is not None and older is not None and cap != older:
            raise BadField(f"max_tokens is {older} and max_completion_tokens {cap}: send one of them", "max_tokens")
        cap = older if cap is None else cap
    if (raw := get("stream")) is not None:
        stream = flag_of(raw, "stream")
    if (raw := get("n")) is not None:
        n = count_of(raw, "n", MAX_CHOICES) or 1
    if (raw := get("stream_options")) is not None:
        include_usage = usage_wanted(raw, stream=stream)
    if (raw := get("messages")) is None:
        raise BadField("the body has no messages", "messages", "missing_required_parameter")
    messages, media, data_bytes, media_bound = measure(body, raw)
    text_bytes = len(body) - data_bytes
    return Call(
        model=model, output_cap=cap, n=n, stream=stream, include_usage=include_usage,
        service_tier=tier, store=store, messages=messages, media=media, text_bytes=text_bytes,
        input_bound=text_bytes + TOKENS_PER_MESSAGE * messages + media_bound, grounded=grounded, fields=fields,
    )  # fmt: skip


def read_completion(body: bytes, *, model_required: bool = True) -> Call:
    """Reads and checks a body of completions; raises BadField. `best_of` answers are written, `n` of them sent."""
    fields = read_fields(body)
    refuse_variants(fields, _COMPLETION)
    get = fields.get
    cap, n, stream, include_usage = None, 1, False, False
    model = model_of(get("model"), required=model_required)
    if "max_completion_tokens" in fields:
        raise BadField(
            "completions have no max_completion_tokens; use max_tokens", "max_completion_tokens", "unknown_parameter"
        )
    if (raw := get("max_tokens")) is not None:
        cap = count_of(raw, "max_tokens", MAX_CAP, 0)
    for name in ("n", "best_of"):
        if (raw := get(name)) is not None:
            n = max(n, count_of(raw, name, MAX_CHOICES, int(name == "n")) or 1)
    if (raw := get("stream")) is not None:
        stream = flag_of(raw, "stream")
    if (raw := get("echo")) is not None:
        flag_of(raw, "echo")
    if (raw := get("stream_options")) is not None:
        include_usage = usage_wanted(raw, stream=stream)
    if (raw := get("prompt")) is None:
        raise BadField("the body has no prompt", "prompt", "missing_required_parameter")
    inputs, input_bound = measure_inputs(body, raw, "prompt")
    return Call(
        operation="completion", model=model, output_cap=cap, n=n * inputs, stream=stream,
        include_usage=include_usage, service_tier="" if (raw := get("service_tier")) is None else tier_of(raw),
        store=_store(fields), inputs=inputs, text_bytes=len(body), input_bound=input_bound,
        default_cap=COMPLETION_CAP, fields=fields,
    )  # fmt: skip


def read_embedding(body: bytes, *, model_required: bool = True) -> Call:
    """Reads and checks a body of embeddings; raises BadField. It has input and no output."""
    fields = read_fields(body)
    refuse_variants(fields, _EMBEDDING)
    get = fields.get
    model = model_of(get("model"), required=model_required)
    if (raw := get("dimensions")) is not None:
        count_of(raw, "dimensions", MAX_CAP)
    if (raw := get("input")) is None or bytes(raw) == b"null":
        raise BadField("the body has no input", "input", "missing_required_parameter")
    inputs, input_bound = measure_inputs(body, raw, "input")
    return Call(
        operation="embedding", model=model, output_cap=0, n=0,
        service_tier="" if (raw := get("service_tier")) is None else tier_of(raw), inputs=inputs,
        text_bytes=len(body), input_bound=input_bound, fields=fields,
    )  # fmt: skip


_READERS: Final[dict[str, Callable[..., Call]]] = {
    "chat": read_chat, "completion": read_completion, "embedding": read_embedding,
}  # fmt: skip


def read_call(operation: str, body: bytes, *, model_required: bool = True) -> Call:
    """Reads and checks the body of an operation; raises BadField."""
    return _READERS[operation](body, model_required=model_required)


def _grounded(fields: Fields) -> bool:
    return any((raw := fields.get(name)) is not None and bytes(raw) != b"null" for name in _GROUNDED)


def _store(fields: Fields) -> bool:
    """Whether the caller asks to have the call kept; fields that need what was kept are refused by name."""
    for name, (code, why) in _KEPT.items():
        if (raw := fields.get(name)) is not None and bytes(raw) not in (b"null", b"false"):
            raise BadField(why, name, code)
    return (raw := fields.get("store")) is not None and flag_of(raw, "store")
