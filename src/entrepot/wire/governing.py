"""Values of the fields that govern a call's price: read strictly, so that no parser reads another one."""

from typing import Final

import msgspec

from entrepot.wire.fields import BadField, read_fields, refuse_variants

MAX_MODEL_LETTERS: Final = 256
MAX_CHOICES: Final = 128
MAX_CAP: Final = 1 << 31

_read_text = msgspec.json.Decoder(str).decode
_read_count = msgspec.json.Decoder(int | None).decode
_read_flag = msgspec.json.Decoder(bool | None).decode
_read_tier = msgspec.json.Decoder(str | None).decode
_STREAM_OPTIONS: Final = frozenset(("include_usage",))
_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)


def model_of(raw: msgspec.Raw | None, *, required: bool) -> str:
    """The name of the model; "" where it may be and is absent, or null: so langchain-openai on Azure's paths."""
    if raw is None or (not required and bytes(raw) == b"null"):
        if required:
            raise BadField("the body names no model", "model", "missing_required_parameter")
        return ""
    try:
        model: str = _read_text(raw)
    except _FAULTS:
        model = ""
    if not model or len(model) > MAX_MODEL_LETTERS:
        raise BadField(f"model is a text of 1 to {MAX_MODEL_LETTERS} letters", "model", "invalid_type")
    return model


def count_of(raw: msgspec.Raw, name: str, most: int, least: int = 1) -> int | None:
    """A whole number between `least` and `most`, or null."""
    try:
        number: int | None = _read_count(raw)
    except _FAULTS:
        raise BadField(f"{name} is a whole number, not {_show(raw)}", name, "invalid_type") from None
    if number is not None and not least <= number <= most:
        raise BadField(f"{name} is {_show(raw)}; it goes from {least} to {most}", name)
    return number


def flag_of(raw: msgspec.Raw, name: str) -> bool:
    """True or false; null is false."""
    try:
        return _read_flag(raw) or False
    except _FAULTS:
        raise BadField(f"{name} is true or false, not {_show(raw)}", name, "invalid_type") from None


def tier_of(raw: msgspec.Raw) -> str:
    """The service tier; "" for the standard one."""
    try:
        tier: str | None = _read_tier(raw)
    except _FAULTS:
        raise BadField(f"service_tier is a text, not {_show(raw)}", "service_tier", "invalid_type") from None
    return "" if tier is None or tier in ("auto", "default") else tier[:64]


def usage_wanted(value: msgspec.Raw, *, stream: bool) -> bool:
    """Whether `stream_options` asks for a last event with the usage."""
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
    return False if wanted is None else flag_of(wanted, "stream_options.include_usage")


def _show(raw: msgspec.Raw) -> str:
    text = bytes(raw)[:24].decode(errors="replace")
    return text if len(text) < 24 else text + "…"
