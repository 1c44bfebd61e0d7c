"""What the built-in engine may be asked."""

import json
from typing import Any

import pytest

from entrepot.wire.builtin import check_builtin
from entrepot.wire.openai import BadField, read_chat, read_completion, read_embedding

TEXT = {"role": "user", "content": "Name three ports."}


def check(**fields: Any) -> None:
    call = read_chat(json.dumps({"model": "m", "messages": [TEXT], **fields}).encode())
    check_builtin(call)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n": 1, "max_tokens": 5, "stream": True, "stream_options": {"include_usage": True}},
        {"temperature": 0.5, "top_p": 1, "stop": ["x"], "seed": 4, "logit_bias": {"2": -100}, "user": "u"},
        {"logprobs": True, "top_logprobs": 20, "presence_penalty": 0, "frequency_penalty": 0, "metadata": {}},
        {"n": None, "top_logprobs": None, "max_completion_tokens": None},
        {"response_format": {"type": "json_object"}, "tools": [], "tool_choice": "auto", "parallel_tool_calls": False},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
        {"messages": [TEXT, {"role": "assistant", "content": None, "tool_calls": []}]},
    ],
)
def test_what_openais_clients_send_is_taken(fields: dict[str, Any]) -> None:
    check(**fields)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_predict", -1), ("n_cmpl", 32), ("ignore_eos", True), ("cache_prompt", True), ("id_slot", 0),
        ("n_probs", 50_000), ("t_max_predict_ms", 0), ("lora", []), ("grammar", "root ::= .*"), ("prompt", "x"),
        ("n_keep", 1), ("samplers", []), ("return_tokens", True), ("chat_template_kwargs", {}), ("json_schema", {}),
        ("timings_per_token", True), ("min_keep", 1), ("Max_Tokens", 1), ("best_of", 8), ("functions", []), ("", 1),
    ],
)  # fmt: skip
def test_a_field_of_the_engines_own_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(BadField) as caught:
        check(**{field: value})
    assert (caught.value.param, caught.value.code) == (field, "unknown_parameter")


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"n": 2}, "n", "unsupported_value"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "invalid_value"),
        ({"top_logprobs": -1}, "top_logprobs", "invalid_value"),
        ({"top_logprobs": 5.5}, "top_logprobs", "invalid_value"),
        ({"top_logprobs": 10**30}, "top_logprobs", "invalid_value"),
    ],
)
def test_more_than_one_answer_or_too_many_alternatives_are_refused(
    fields: dict[str, Any], param: str, code: str
) -> None:
    with pytest.raises(BadField) as caught:
        check(**fields)
    assert (caught.value.param, caught.value.code) == (param, code)


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}],
        [{"type": "text", "text": "a"}, {"type": "input_audio", "input_audio": {}}],
        [{"type": "media_marker", "text": "x"}],
        [{"text": "no type"}],
        [{"type": 7}],
        ["text"],
        {"type": "text"},
        7,
    ],
)
def test_content_that_is_no_text_is_refused(content: object) -> None:
    with pytest.raises(BadField) as caught:
        check(messages=[TEXT, {"role": "user", "content": content}])
    assert caught.value.param == "messages"


def test_of_a_key_that_occurs_twice_the_last_counts_as_it_does_for_the_engine() -> None:
    part = '{"type":"text","type":"image_url","image_url":{"url":"u"}}'
    call = read_chat(b'{"model":"m","messages":[{"role":"user","content":[%b]}]}' % part.encode())
    with pytest.raises(BadField):
        check_builtin(call)


@pytest.mark.parametrize("given", ["a text", ["a", "b"], " [", ""])
def test_text_is_embedded(given: Any) -> None:
    check_builtin(read_embedding(json.dumps({"model": "m", "input": given, "encoding_format": "base64"}).encode()))


@pytest.mark.parametrize("given", [[1, 2, 3], [[1, 2, 49_999_999]]])
def test_tokens_of_another_vocabulary_do_not_reach_the_engine(given: Any) -> None:
    for read, name in ((read_embedding, "input"), (read_completion, "prompt")):
        with pytest.raises(BadField, match=f"{name} is text for the built-in model"):
            check_builtin(read(json.dumps({"model": "m", name: given}).encode()))
