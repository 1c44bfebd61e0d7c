"""Fuzz checks of what reads JSON: chat bodies against three vendors' parsers, usage against sums by the letter."""

import json
import random
import re
from typing import Any, Final

from entrepot.kernel.buckets import INPUT_SIDE, OUTPUT_SIDE
from entrepot.wire.fields import BadField
from entrepot.wire.openai import Call, read_chat
from entrepot.wire.rewrite import rewrite
from entrepot.wire.usage import MAX_TOKENS, chat_usage, read_unary

Pairs = list[tuple[str, Any]]


class _Object(list[tuple[str, Any]]):
    """A JSON object as its pairs."""


def _constant(name: str) -> Any:
    raise ValueError(name)


def _pairs(body: bytes) -> Any:
    return json.loads(
        body.decode(), object_pairs_hook=_Object, parse_constant=_constant, parse_float=str, parse_int=_whole
    )


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) < 40 else digits


def _get(pairs: Pairs, name: str, style: str) -> Any:
    """A field as a vendor's parser reads it: `first` wins, `last` wins, or `fold`ing case with the last winning."""
    found = [
        value for key, value in pairs if key == name or (style == "fold" and key.casefold().strip() == name.casefold())
    ]
    return None if not found else found[0] if style == "first" else found[-1]


def _depth(value: Any) -> int:
    if isinstance(value, _Object):
        return 1 + max((_depth(inner) for _, inner in value), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _plain(value: Any) -> Any:
    if isinstance(value, _Object):
        return {key: _plain(inner) for key, inner in value}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _images(pairs: Pairs, style: str) -> int:
    """Image parts that this vendor's parser sees."""
    count = 0
    for message in _get(pairs, "messages", style) or ():
        content = _get(message, "content", style) if isinstance(message, _Object) else None
        if isinstance(content, list) and not isinstance(content, _Object):
            parts = [part for part in content if isinstance(part, _Object)]
            count += sum(_get(part, "type", style if style != "fold" else "last") == "image_url" for part in parts)
    return count


def check_openai(data: bytes, chance: random.Random) -> bool:
    """What we admit is what every vendor's parser serves; a rewrite changes what it is asked to, and no other byte."""
    call = _admitted(data)
    if call is None:
        return False
    pairs = _pairs(data)
    assert isinstance(pairs, _Object)
    assert _depth(pairs) <= 64, "deeper than 64"
    json.dumps(_plain(pairs), ensure_ascii=False).encode()  # raises on half a surrogate pair
    for style in ("first", "last", "fold"):
        _same_call(call, pairs, style)
        assert call.media >= _images(pairs, style), "an image was missed"
    _check_rewrite(data, call, pairs, chance)
    return True


def _admitted(data: bytes) -> Call | None:
    try:
        return read_chat(data)
    except BadField as bad:
        if not bad.message or not bad.code:
            raise AssertionError("a refusal without message or code") from bad
        return None


def _same_call(call: Call, pairs: Pairs, style: str) -> None:
    caps = [cap for name in ("max_completion_tokens", "max_tokens") if (cap := _get(pairs, name, style)) is not None]
    options = _get(pairs, "stream_options", style)
    wants = _get(options, "include_usage", style) if options is not None else None
    tier = _get(pairs, "service_tier", style)
    theirs = (
        _get(pairs, "model", style), caps[0] if caps else None, _get(pairs, "n", style) or 1,
        bool(_get(pairs, "stream", style)), bool(wants), "" if tier in (None, "auto", "default") else tier[:64],
    )  # fmt: skip
    ours = call.model, call.output_cap, call.n, call.stream, call.include_usage, call.service_tier
    assert ours == theirs, f"a {style} parser reads {theirs}, we {ours}"
    assert len(set(caps)) < 2
    assert all(type(cap) is int and cap > 0 for cap in caps)
    messages = _get(pairs, "messages", style)
    assert call.messages >= len(messages) > 0
    assert call.input_bound >= call.text_bytes >= 0


def _check_rewrite(data: bytes, call: Call, pairs: Pairs, chance: random.Random) -> None:
    assert rewrite(data, call) == data
    model = chance.choice((None, "vendor-model", call.model, 'odd "model"'))
    force, cap = chance.random() < 0.5, chance.choice((None, 77, 1 << 20))
    field = chance.choice(("max_tokens", "max_completion_tokens"))
    out = rewrite(data, call, model=model, force_usage=force, output_cap=cap, cap_field=field)
    wanted = _plain(pairs)
    if model is not None:
        wanted["model"] = model
    if force and call.stream:
        wanted["stream_options"] = (wanted.get("stream_options") or {}) | {"include_usage": True}
    if cap is not None:
        named = [name for name in ("max_tokens", "max_completion_tokens") if wanted.get(name) is not None]
        wanted |= dict.fromkeys(named or [field], cap)
    again = _pairs(out)
    assert _plain(again) == wanted, "the rewrite means something else"
    assert len(again) == len({key for key, _ in again}), "the rewrite repeats a key"
    old, new = _segments(data.decode()), _segments(out.decode())
    inserted = len(new) - len(old)
    assert {key for key, _, _ in new[:inserted]} <= set(_OURS), "something else was inserted"
    for (key, gap, value), (key2, gap2, value2) in zip(old, new[inserted:], strict=True):
        assert key == key2, "the order changed"
        assert gap == gap2 or (inserted and key == old[0][0]), "bytes between fields changed"
        assert value == value2 or key in _OURS, f"{key} changed"


_OURS: Final = ("model", "stream_options", "max_tokens", "max_completion_tokens")
_BLANK = re.compile(r"[ \t\n\r]*")


def _segments(text: str) -> list[tuple[str, str, str]]:
    """(key, all that stands before its value, its value) of each top-level field, then ("", the rest, "")."""
    segments, decoder = [], json.JSONDecoder(parse_int=str)
    at, start = text.index("{") + 1, 0
    while True:
        at = _blank(text, at)
        key, at = decoder.raw_decode(text, at)
        at = _blank(text, _blank(text, at) + 1)
        _, end = decoder.raw_decode(text, at)
        segments.append((key, text[start:at], text[at:end]))
        start = end
        at = _blank(text, end)
        if text[at] == "}":
            return [*segments, ("", text[start:], "")]
        at += 1


def _blank(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    assert match is not None
    return match.end()


def check_usage(data: bytes, chance: random.Random) -> bool:
    """Buckets are disjoint and add up to the vendor's own sums; nothing raises."""
    usage = chat_usage(data)
    answer = read_unary(b'{"usage":' + data + b',"model":"m"}')
    if not answer.broken and answer.usage is not None and _is_json(data):
        assert answer.usage.quantities == usage.quantities, "an answer's usage is read otherwise"
    read_unary(data)
    if usage.absurd:
        assert usage.quantities == (0,) * 8
        return False
    counts = json.loads(data.decode(errors="replace"), parse_int=_whole)
    prompt, completion = counts["prompt_tokens"], counts.get("completion_tokens") or 0
    details = counts.get("completion_tokens_details") or {}
    beside = (counts.get("total_tokens") or 0) - prompt - completion
    if beside > 0 and beside == (details.get("reasoning_tokens") or 0):
        completion += beside
    assert all(0 <= quantity <= 2 * MAX_TOKENS for quantity in usage.quantities)
    assert sum(usage.quantities[bucket] for bucket in INPUT_SIDE) == prompt, "input does not add up"
    assert sum(usage.quantities[bucket] for bucket in OUTPUT_SIDE) == completion, "output does not add up"
    assert usage.total == prompt + completion
    return True


CHAT_BODIES: Final = (
    b'{"model":"gpt-4o","messages":[{"role":"user","content":"Name three ports."}],"max_tokens":5,"stream":true}',
    b'{"messages":[{"role":"user","content":"\xc3\xa9 \\u00e9 \\ud83d\\ude00 \\"model\\":\\"x\\""}],"model":"m","n":2,'
    b'"stream":true,"stream_options":{"include_usage":false},"temperature":0.7,"service_tier":"flex","store":false}',
    b'{\n  "model": "m",\n  "messages": [ {"role": "user", "content": "hi"} ],\n  "max_completion_tokens": 9,\n'
    b'  "tools": [{"type":"function","function":{"name":"f","parameters":{"properties":{"model":{"type":"string"},'
    b'"max_tokens":{"type":"integer"}}}}}]\n}\n',
    b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"what?"},{"type":"image_url","image_url":'
    b'{"url":"data:image/png;base64,iVBORw0KGgo="}},{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}},'
    b'{"type":"file","file":{"file_data":"QUJD"}}]}],"stream_options":null,"max_tokens":null}',
    b'{"model": "m", "messages": [{"role": "user", "content": "a"}], "stream": true, "stream_options": {"x": 1}}',
)
CHAT_PIECES: Final = (
    b'"model":"b",', b'"max_tokens":1,', b'"Max_Tokens":1,', b'"max\\u005ftokens":1,', b'"n":3,', b'"stream":false,',
    b'"stream_options":{"include_usage":true},', b'"stream_options":{},', b'"include_usage":true', b'"messages":[{}],',
    b'"service_tier":"priority",', b'"a":{"b":[', b"[" * 70, b"]" * 70, b'{"a":' * 40, b"}" * 40,
    b'"max_to\xe2\x84\xaaens":5,',
    b'"\xc5\xbftream":true,', b"1.0", b"1e2", b"-5", b"true", b"null", b" ", b"\n", b'{"type":"image_url"},',
    b"\\ud83d",
    b'"type":"image\\u005furl"', b'"content":[{"type":"image_url","image_url":{"url":"u"}}],',
    b"9" * 50, b"\xef\xbb\xbf",
)  # fmt: skip


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data.decode(errors="replace"), parse_int=_whole)
    except (ValueError, RecursionError):
        return False
    return True


USAGES: Final = (
    b'{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":4,'
    b'"audio_tokens":1},"completion_tokens_details":{"reasoning_tokens":5,"audio_tokens":1,"accepted_prediction_tokens":1,'
    b'"rejected_prediction_tokens":2}}',
    b'{"prompt_tokens":8,"total_tokens":8}',
    b'{"prompt_tokens":100,"completion_tokens":3,"total_tokens":150,"completion_tokens_details":{"reasoning_tokens":47}}',
    b'{"prompt_tokens":100,"completion_tokens":3,"prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":20,'
    b'"image_tokens":30,"audio_tokens":50,"text_tokens":9},"completion_tokens_details":null}',
)
USAGE_PIECES: Final = (
    b'"prompt_tokens":5,', b'"completion_tokens":7,', b'"total_tokens":12,', b'"cached_tokens":3,',
    b'"reasoning_tokens":2,',
    b'"prompt_tokens_details":{},', b'"completion_tokens_details":null,', b"-1", b"1.5", b"true", b"null", b'"9"',
    b"1099511627777", b"9" * 30, b"9" * 5000, b"[]", b"{}", b'"x":{"y":[1]},', b"0",
)  # fmt: skip
