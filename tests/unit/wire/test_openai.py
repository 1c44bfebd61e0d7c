import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.wire.media import TOKENS_PER_FILE, TOKENS_PER_IMAGE
from entrepot.wire.openai import BadField, read_chat
from entrepot.wire.rewrite import rewrite

MESSAGES = [{"role": "user", "content": "Name three ports."}]


def body(*, indent: int | None = None, spaced: bool = False, **fields: Any) -> bytes:
    separators = (", ", ": ") if spaced else (",", ":")
    value = {"model": "m", "messages": MESSAGES, **fields}
    return json.dumps(value, separators=separators, indent=indent, ensure_ascii=False).encode()


LAYOUTS = pytest.mark.parametrize(
    "layout", [{}, {"spaced": True}, {"indent": 2}], ids=["compact", "spaced", "indented"]
)


@LAYOUTS
def test_reads_the_fields_that_govern(layout: dict[str, Any]):
    call = read_chat(body(max_tokens=7, n=2, stream=True, stream_options={"include_usage": True}, store=True, **layout))
    assert (call.model, call.output_cap, call.n, call.stream, call.include_usage) == ("m", 7, 2, True, True)
    assert (call.service_tier, call.store, call.media) == ("", True, 0)
    assert call.messages >= 1


def test_what_is_absent_or_null_is_the_vendors_default():
    absent = read_chat(body())
    nulls = dict.fromkeys(
        ("max_tokens", "max_completion_tokens", "n", "stream", "stream_options", "service_tier", "store")
    )
    for call in (absent, read_chat(body(**nulls))):
        assert (call.output_cap, call.n, call.stream, call.include_usage, call.service_tier, call.store) == (
            None, 1, False, False, "", False,
        )  # fmt: skip


def test_both_caps_may_be_there_if_they_are_equal():
    assert read_chat(body(max_tokens=5, max_completion_tokens=5)).output_cap == 5
    assert read_chat(body(max_tokens=None, max_completion_tokens=5)).output_cap == 5
    assert read_chat(body(max_tokens=5, max_completion_tokens=None)).output_cap == 5


@pytest.mark.parametrize(("tier", "read"), [("auto", ""), ("default", ""), ("flex", "flex"), ("priority", "priority")])
def test_a_service_tier_that_is_not_the_standard_is_reported(tier: str, read: str):
    assert read_chat(body(service_tier=tier)).service_tier == read


def test_the_path_may_name_the_deployment_instead():
    text = json.dumps({"messages": MESSAGES}).encode()
    assert read_chat(text, model_required=False).model == ""
    null = json.dumps({"model": None, "messages": MESSAGES}).encode()
    assert read_chat(null, model_required=False).model == ""
    with pytest.raises(BadField) as caught:
        read_chat(text)
    assert (caught.value.param, caught.value.code) == ("model", "missing_required_parameter")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"model": None}, "model"),
        ({"model": "m" * 257}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": "text"}, "messages"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -5}, "max_tokens"),
        ({"max_tokens": 5.0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": 2**31 + 1}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"max_completion_tokens": [5]}, "max_completion_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": 1.5}, "n"),
        ({"n": False}, "n"),
        ({"stream": 1}, "stream"),
        ({"stream": "true"}, "stream"),
        ({"store": "no"}, "store"),
        ({"service_tier": 1}, "service_tier"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": []}, "stream_options"),
        ({"stream": True, "stream_options": True}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"stream": True, "stream_options": {"Include_Usage": True}}, "Include_Usage"),
        ({"Model": "x"}, "Model"),
        ({"MAX_TOKENS": 5}, "MAX_TOKENS"),
        ({"max_tokens ": 5}, "max_tokens "),
        ({"max_to\u212aens": 5}, "max_to\u212aens"),
        ({"\u017ftream": True}, "\u017ftream"),
    ],
)
@LAYOUTS
def test_a_field_that_we_do_not_admit_is_named(fields: dict[str, Any], param: str, layout: dict[str, Any]):
    with pytest.raises(BadField) as caught:
        read_chat(body(**fields, **layout))
    assert caught.value.param == param
    assert caught.value.code != "internal_error"


@pytest.mark.parametrize(
    "text",
    [
        b'{"model":"a","model":"b","messages":[{}]}',
        b'{"model":"a","messages":[{}],"model":"a"}',
        b'{"model":"a","max_tokens":1,"messages":[{}],"max_tokens":10}',
        b'{"model":"a","max_tokens":10,"messages":[{}],"max_tokens":1}',
        b'{"model":"a","messages":[{}],"temperature":1,"temperature":1}',
        b'{ "model":"a", "messages":[{}], "n":1, "n":1 }',
        b'{"model":"a","messages":[{}],"messages":[{}]}',
        b'{"n":10,"model":"a","messages":[{}],"n":1}',
        b'{"model":"a","messages":[{}],"stream":true,"stream_options":{"include_usage":true,"include_usage":false}}',
        b'{"model":"a","messages":[{}],"x":{"n":1},"n":2,"x":{"n":1}}',
    ],
)
def test_a_key_that_stands_twice_is_refused(text: bytes):
    with pytest.raises(BadField, match="twice") as caught:
        read_chat(text)
    assert caught.value.code == "duplicate_parameter"


@pytest.mark.parametrize(
    "key", [b"max\\u005ftokens", b"\\u006dax_tokens", b"\\u006Dodel", b"max_tokens\\u0020", b"a\\/b", b"\\u00e9"]
)
def test_a_key_written_with_an_escape_is_refused(key: bytes):
    with pytest.raises(BadField, match="escape"):
        read_chat(b'{"model":"a","messages":[{}],"' + key + b'":5}')


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "not JSON: Expecting value at line 1, column 1"),
        (b"[]", "not an object"),
        (b"{", "not JSON"),
        (b'{"model":"a",}', "not JSON"),
        (b'{"model":"a"} x', "not JSON: Extra data at line 1, column 15"),
        (b"{'model':'a'}", "not JSON"),
        (b'\xef\xbb\xbf{"model":"a"}', "byte order mark"),
        (b'{"model":"\xff"}', "not UTF-8 at byte 10"),
        (b'{"model":"a","messages":[{"content":"\xed\xa0\x80"}]}', "not UTF-8 at byte 37"),
        (b'{"model":"a","messages":[{"content":"\\ud83d"}]}', r"half of a surrogate pair \(.ud83d\) at character 37"),
        (b'{"model":"a","messages":[{"content":"\\udc00 \\ud83d\\ude00"}]}', "half of a surrogate"),
        (b'{"model":"a","messages":[{}],"temperature":NaN}', "NaN, which is no JSON number"),
        (b'{"model":"a","messages":[{}],"temperature":-Infinity}', "-Infinity, which"),
        (b'{"model":"a","messages":' + b"[" * 65 + b"]" * 65 + b"}", "deeper than 64"),
        (b'{"model":"a","messages":[{}],"x":' + b'{"a":' * 64 + b"1" + b"}" * 64 + b"}", "deeper than 64"),
        (b'{"model":"a","messages":[{}],"x":' + b"[" * 100_000, "deeper than 64"),
        *[
            (b'{"model":"a","x":' + b"[" * deep + b"NaN", "deeper than 64|no JSON number")
            for deep in range(880, 1000, 7)
        ],
    ],
)
def test_what_is_no_json_of_ours_is_refused_with_its_place(text: bytes, says: str):
    with pytest.raises(BadField, match=says) as caught:
        read_chat(text)
    assert caught.value.code == "invalid_json"


def test_depth_64_is_read_and_brackets_in_texts_do_not_count():
    read_chat(b'{"model":"a","messages":[{}],"x":' + b"[" * 63 + b"]" * 63 + b"}")
    read_chat(body(messages=[{"role": "user", "content": "[{" * 200 + '\\"]'}]))
    read_chat(body(messages=[{"role": "user", "content": "\\"}, {"role": "user", "content": "[{" * 200}]))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b'{"n":1,"model":"m","messages":[{}],"x":[' + b"[]," * 400_000 + b'[]],"n":1}', "occurs twice"),
        (b'{"model":"m","messages":[{}],"x":[' + b"[]," * 400_000 + b"[]]}", "more than 100000 lists"),
        (b'{"model":"m","messages":[{}],"x":[' + (b"[" * 60 + b"]" * 60 + b",") * 9_000 + b"1]}", "more than 100000"),
        (b'{"model":"m","messages":[{}],"x":' + b"[" * 800 + b"]" * 800 + b"}", "deeper than 64"),
        (b'{"model":"m","messages":[{}]' + b"".join(b',"k%d":1' % i for i in range(90_000)) + b"}", "more than 256"),
        (b'{"model":"m","messages":[{}],"x":[' + b"[]," * 400_000 + b"NaN]}", "not JSON that we read"),
    ],
    ids=["repeat", "many", "chains", "deep", "keys", "broken"],
)
def test_a_large_body_made_to_keep_us_busy_is_refused(text: bytes, says: str):
    with pytest.raises(BadField, match=says):
        read_chat(text)


def test_media_among_very_many_objects_count_as_the_whole_window():
    parts = b'{"type":"image_url"},' * 15_000
    call = read_chat(b'{"model":"m","messages":[{"content":[' + parts + b"{}]}]}")
    assert call.input_bound > TOKENS_PER_FILE
    assert call.media >= 15_000


def test_braces_in_a_long_text_are_no_objects():
    text = "if (a[1]) { b[2] = {} }\n" * 60_000
    assert read_chat(body(messages=[{"role": "user", "content": text}])).messages == 1


def test_a_refusal_shows_nothing_of_a_prompt():
    with pytest.raises(BadField) as caught:
        read_chat(b'{"model":"a","messages":[{"content":"my secret prompt\n"}]}')
    assert "secret" not in caught.value.message


def test_keys_of_the_same_name_in_tool_schemas_do_not_matter():
    schema = {"type": "object", "properties": {"model": {"type": "string"}, "max_tokens": {}, "n": {}, "N": {}}}
    call = read_chat(body(tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}], max_tokens=3))
    assert (call.model, call.output_cap) == ("m", 3)


def test_the_text_bounds_the_input():
    text = body()
    call = read_chat(text)
    assert call.text_bytes == len(text)
    assert call.input_bound >= len(text) + 8


def test_media_are_bounded_by_kind_and_their_data_is_no_text():
    image = "data:image/png;base64," + "A" * 5000
    parts = [
        {"type": "text", "text": "what is [this]?"},
        {"type": "image_url", "image_url": {"url": image, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "A" * 6400, "format": "wav"}},
    ]
    text = body(messages=[{"role": "user", "content": parts}])
    call = read_chat(text)
    assert (call.messages, call.media) == (1, 3)
    assert call.text_bytes == len(text) - len(image) - len("https://example.org/a.png") - 6400
    assert call.input_bound == call.text_bytes + 8 + 2 * TOKENS_PER_IMAGE + 100


@pytest.mark.parametrize(
    ("part", "at_least"),
    [
        (b'{"type":"file","file":{"file_id":"f"}}', TOKENS_PER_FILE),
        (b'{"type":"video_url","video_url":{"url":"u"}}', TOKENS_PER_FILE),
        (b'{"type":"image\\u005furl","image_url":{"url":"u"}}', TOKENS_PER_IMAGE),
        (b'{"type":"\\u0069mage_url","\\u0069mage_url":{"url":"u"}}', TOKENS_PER_IMAGE),
        (b'{"type":"image\\u005furl","image\\u005furl":{"url":"u"}}', TOKENS_PER_IMAGE),
        (b'{"Type":"image_url","Image_Url":{"url":"u"}}', TOKENS_PER_IMAGE),
        (b'{"type":"text","type":"image_url","image_url":{"url":"u"},"text":"x"}', TOKENS_PER_IMAGE),
        (b'{"type":"image_url","type":"text","image_url":{"url":"u"},"text":"x"}', TOKENS_PER_IMAGE),
    ],
)
def test_no_spelling_hides_media(part: bytes, at_least: int):
    call = read_chat(b'{"model":"m","messages":[{"role":"user","content":[' + part + b"]}]}")
    assert call.media == 1
    assert call.input_bound >= at_least


@pytest.mark.parametrize("key", ["Content", "CONTENT"])
def test_media_in_a_content_in_other_letters_are_counted(key: str):
    part = {"type": "image_url", "image_url": {"url": "u"}}
    assert read_chat(body(messages=[{"role": "user", "content": "", key: [part]}])).media == 1


def test_media_in_a_content_that_is_repeated_are_counted():
    call = read_chat(
        b'{"model":"m","messages":[{"content":[{"type":"image_url","image_url":{"url":"u"}}],"content":"x","n":'
        + b"9" * 5000 + b"}]}"
    )  # fmt: skip
    assert call.media == 1


@LAYOUTS
def test_a_rewrite_changes_the_model_only(layout: dict[str, Any]):
    sent = body(tools=[{"model": "m"}], **layout)
    out = rewrite(sent, read_chat(sent), model='ve"ndor')
    assert out == sent.replace(b'"m"', b'"ve\\"ndor"', 1)


def test_a_rewrite_leaves_an_equal_field_further_in_alone():
    sent = b'{"x": {"model":"m"}, "model": "m", "messages": [{}]}'
    assert rewrite(sent, read_chat(sent), model="v") == b'{"x": {"model":"m"}, "model": "v", "messages": [{}]}'


def test_a_rewrite_with_nothing_to_do_gives_the_same_bytes():
    sent = body(stream=True, stream_options={"include_usage": True}, max_tokens=5)
    assert rewrite(sent, read_chat(sent), model="m", force_usage=True, output_cap=5) is sent


@pytest.mark.parametrize(
    ("options", "becomes"),
    [
        (b"", b'{"stream_options":{"include_usage":true},"model":"m","messages":[{}],"stream":true}'),
        (b',"stream_options":null', None),
        (b',"stream_options":{}', None),
        (b',"stream_options":{"include_usage":false}', None),
        (b',"stream_options":{"include_obfuscation":false}', None),
        (b', "stream_options" : { "a":1, "include_usage" : false }', None),
    ],
)
def test_usage_is_asked_for_whatever_the_caller_sent(options: bytes, becomes: bytes | None):
    sent = b'{"model":"m","messages":[{}],"stream":true' + options + b"}"
    out = rewrite(sent, read_chat(sent), force_usage=True)
    assert becomes in (None, out)
    wanted = json.loads(sent)
    wanted["stream_options"] = (wanted.get("stream_options") or {}) | {"include_usage": True}
    assert json.loads(out) == wanted
    assert read_chat(out).include_usage


def test_usage_is_not_asked_for_where_nothing_streams():
    sent = body()
    assert rewrite(sent, read_chat(sent), force_usage=True) == sent


@pytest.mark.parametrize(
    ("fields", "written"),
    [
        ({}, {"max_completion_tokens": 9}),
        ({"max_tokens": None}, {"max_tokens": None, "max_completion_tokens": 9}),
        ({"max_completion_tokens": None}, {"max_completion_tokens": 9}),
        ({"max_tokens": 50}, {"max_tokens": 9}),
        ({"max_tokens": 50, "max_completion_tokens": 50}, {"max_tokens": 9, "max_completion_tokens": 9}),
    ],
)
@LAYOUTS
def test_a_cap_is_written_where_one_stands(fields: dict[str, Any], written: dict[str, Any], layout: dict[str, Any]):
    sent = body(**fields, **layout)
    out = rewrite(sent, read_chat(sent), output_cap=9)
    assert json.loads(out) == json.loads(sent) | written
    assert read_chat(out).output_cap == 9


def test_the_dialect_names_the_field_of_the_cap():
    sent = body()
    assert json.loads(rewrite(sent, read_chat(sent), output_cap=9, cap_field="max_tokens"))["max_tokens"] == 9


names = st.sampled_from(["model", "temperature", "x", "top_p", "tools", "\u00e9"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.just("m"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
extras = st.dictionaries(st.text(min_size=1, max_size=6).filter(str.isalpha), values, max_size=4)


@pytest.mark.long
@given(extras, st.sampled_from([None, 1, 3]), st.booleans(), st.booleans(), st.sampled_from([None, 9]))
def test_a_rewrite_means_the_same_but_for_what_it_was_asked(
    more: dict[str, Any], indent: int | None, stream: bool, force: bool, cap: int | None
):
    fields = {**more, "messages": MESSAGES, "stream": stream, "model": "m"}
    sent = json.dumps(fields, indent=indent, ensure_ascii=False).encode()
    try:
        call = read_chat(sent)
    except BadField:
        return
    out = rewrite(sent, call, model="a vendor", force_usage=force, output_cap=cap)
    wanted = fields | {"model": "a vendor"}
    if force and stream:
        wanted |= {"stream_options": {"include_usage": True}}
    if cap:
        wanted |= {"max_completion_tokens": cap}
    assert json.loads(out) == wanted
    back = out.replace(b'"stream_options":{"include_usage":true},', b"").replace(b'"max_completion_tokens":9,', b"")
    assert back.replace(b'"a vendor"', b'"m"') == sent


@pytest.mark.parametrize("field", ["data_sources", "web_search_options"])
def test_a_call_that_lets_the_vendor_search_is_not_bound_by_its_own_bytes(field: str):
    assert read_chat(body(**{field: [{"type": "azure_search"}]})).grounded
    assert not read_chat(body(**{field: None})).grounded
    assert not read_chat(body()).grounded
    with pytest.raises(BadField) as bad:
        read_chat(body(**{field.upper(): []}))
    assert bad.value.param == field.upper()
