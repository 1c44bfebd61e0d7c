import json

import pytest

from entrepot.wire.openai import BadField, read_chat, rewrite_chat

MESSAGES = [{"role": "user", "content": "Name three ports."}]


def body(**fields: object) -> bytes:
    return json.dumps({"model": "m", "messages": MESSAGES, **fields}, separators=(",", ":")).encode()


def test_reads_the_fields_that_govern():
    call = read_chat(body(max_tokens=7, n=2, stream=True, stream_options={"include_usage": True}, store=False))
    assert (call.model, call.output_cap, call.n, call.stream, call.include_usage) == ("m", 7, 2, True, True)
    assert call.messages >= 1
    assert call.media == 0


def test_rewrites_only_what_must_change():
    sent = body(stream=True)
    out = rewrite_chat(sent, read_chat(sent), model="vendor", force_usage=True, output_cap=99)
    assert json.loads(out) == json.loads(sent) | {
        "model": "vendor", "stream_options": {"include_usage": True}, "max_completion_tokens": 99,
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        b'{"model":"a","model":"b","messages":[{}]}',
        b'{"model":"a","messages":[{}],"Max_Tokens":5}',
        b'{"model":"a","messages":[{}],"max\\u005ftokens":5}',
        b'{"model":"a","messages":[{}],"max_to\xe2\x84\xaaens":5}',
    ],
)
def test_what_two_parsers_read_in_two_ways_is_refused(text: bytes):
    with pytest.raises(BadField):
        read_chat(text)
