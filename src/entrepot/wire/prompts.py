"""How large is the prompt of a completion, or the input of an embedding? A text, texts, tokens, or lists of tokens."""

from typing import Final

import msgspec

from entrepot.wire.fields import BadField, refuse_deep

#: OpenAI and Azure take as many inputs in one call (reference: Azure's limits); of tokens in one of them likewise.
MAX_INPUTS: Final = 2_048
#: What a vendor may put before and behind an input (begin and end of text).
TOKENS_PER_INPUT: Final = 2
_read_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_tokens = msgspec.json.Decoder(list[int]).decode
_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)


def measure_inputs(body: bytes, value: msgspec.Raw, name: str) -> tuple[int, int]:
    """(inputs, tokens that they cannot exceed): bytes of the whole body, tokens by their number where tokens came."""
    refuse_deep(body)
    raw = bytes(value)
    if raw.startswith(b'"') or raw == b"null":  # null: a vendor begins with its own end-of-text
        return 1, len(body) + TOKENS_PER_INPUT
    try:
        inputs = _read_list(raw)
    except _FAULTS:
        inputs = []
    first = bytes(inputs[0])[:1] if inputs else b""
    if first == b'"':
        if any(bytes(each)[:1] != b'"' for each in inputs):
            raise _wrong(name)
        _limit(len(inputs), name)
        return len(inputs), len(body) + TOKENS_PER_INPUT * len(inputs)
    if first == b"[":
        _limit(len(inputs), name)
        tokens = sum(_tokens(bytes(each), name) for each in inputs)
        return len(inputs), len(body) - len(raw) + tokens + TOKENS_PER_INPUT * len(inputs)
    return 1, len(body) - len(raw) + _tokens(raw, name) + TOKENS_PER_INPUT


def _tokens(raw: bytes, name: str) -> int:
    try:
        count = len(_read_tokens(raw))
    except _FAULTS:
        count = 0
    if not count:
        raise _wrong(name)
    return count


def _limit(inputs: int, name: str) -> None:
    if inputs > MAX_INPUTS:
        raise BadField(f"{name} has {inputs:,} entries; at most {MAX_INPUTS:,} go in one call", name)


def _wrong(name: str) -> BadField:
    return BadField(f"{name} is a text, or a list of texts, of tokens or of lists of tokens", name, "invalid_type")
