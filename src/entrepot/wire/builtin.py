"""What the built-in engine may be asked: a closed list, since it reads many fields of its own beside OpenAI's.

Some of those go around the cap of a call (`n_predict`, `ignore_eos`), make one call many (`n_cmpl`) or reach what the
engine keeps of other callers (`cache_prompt`, `id_slot`); the next release may bring more. So what is not known to be
harmless never gets there. A vendor's endpoint is another matter: it guards itself, and gets what the caller wrote.
"""

import re
from typing import Final

import msgspec

from entrepot.wire.fields import BadField
from entrepot.wire.openai import Call

MAX_TOP_LOGPROBS: Final = 20
#: Honoured by the engine; then those that change no answer and that SDKs send with every call.
BUILTIN_FIELDS: Final = frozenset((
    "model", "messages", "max_tokens", "max_completion_tokens", "n", "stream", "stream_options", "temperature", "top_p",
    "stop", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs",
    "response_format", "tools", "tool_choice", "parallel_tool_calls",
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key",
))  # fmt: skip


_COMPLETION_FIELDS: Final = BUILTIN_FIELDS - {
    "messages", "max_completion_tokens", "top_logprobs", "response_format", "tools", "tool_choice",
    "parallel_tool_calls",
} | {"prompt"}  # fmt: skip
_EMBEDDING_FIELDS: Final = frozenset(("model", "input", "encoding_format", "user"))
_FIELDS: Final = {"chat": BUILTIN_FIELDS, "completion": _COMPLETION_FIELDS, "embedding": _EMBEDDING_FIELDS}


class _Part(msgspec.Struct):
    type: str


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None


_read_messages = msgspec.json.Decoder(list[_Message]).decode
_read_number = msgspec.json.Decoder(int | None).decode
_GIVEN: Final = {"completion": "prompt", "embedding": "input"}
_TEXTS = re.compile(rb'\s*(?:\[\s*)?"').match
_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)


def check_builtin(call: Call) -> None:
    """Raises BadField for a call that the built-in engine shall not get."""
    fields, known = call.fields, _FIELDS[call.operation]
    if not known.issuperset(fields):
        name = next(name for name in fields if name not in known)
        raise BadField(f"the built-in model has no parameter {name[:64]!r}", name[:64], "unknown_parameter")
    if call.n > 1:
        name = "n" if call.inputs == 1 else "prompt"
        raise BadField(f"the built-in model gives one answer a call, not {call.n}", name, "unsupported_value")
    if (raw := fields.get("top_logprobs")) is not None:
        try:
            number = _read_number(raw)
        except _FAULTS:
            number = -1
        if number is not None and not 0 <= number <= MAX_TOP_LOGPROBS:
            raise BadField(f"top_logprobs is a whole number from 0 to {MAX_TOP_LOGPROBS}", "top_logprobs")
    given = _GIVEN.get(call.operation)
    if given is not None and not _TEXTS(bytes(fields[given])):
        raise BadField(
            f"{given} is text for the built-in model, whose tokens have other numbers", given, "unsupported_value"
        )
    if call.operation != "chat":
        return
    try:
        messages: list[_Message] = _read_messages(fields["messages"])
    except _FAULTS:
        raise BadField("the content of a message is a text or a list of parts of type text", "messages") from None
    for message in messages:
        if isinstance(message.content, list):
            for part in message.content:
                if part.type != "text":
                    raise BadField(
                        f"the built-in model reads text only, no {part.type[:64]!r}", "messages", "unsupported_value"
                    )
