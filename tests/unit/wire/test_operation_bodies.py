"""Bodies of completions and embeddings, and what is changed in a body whatever it asks for."""

import json
from typing import Any

import pytest

from entrepot.wire.openai import COMPLETION_CAP, BadField, read_call, read_chat, read_completion, read_embedding
from entrepot.wire.prompts import MAX_INPUTS
from entrepot.wire.rewrite import rewrite


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", **fields}, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("fields", "n", "inputs"),
    [
        ({"prompt": "a"}, 1, 1),
        ({"prompt": "a", "n": 2}, 2, 1),
        ({"prompt": "a", "n": 2, "best_of": 5}, 5, 1),
        ({"prompt": ["a", "b", "c"], "best_of": 2}, 6, 3),
        ({"prompt": [1, 2, 3]}, 1, 1),
        ({"prompt": [[1, 2], [3]], "n": 4}, 8, 2),
    ],
)
def test_every_answer_that_is_written_counts_as_output(fields: dict[str, Any], n: int, inputs: int) -> None:
    call = read_completion(body(**fields))
    assert (call.operation, call.n, call.inputs) == ("completion", n, inputs)


def test_a_completion_without_a_cap_has_openais() -> None:
    call = read_completion(body(prompt="a"))
    assert (call.output_cap, call.default_cap) == (None, COMPLETION_CAP)
    assert read_completion(body(prompt="a", max_tokens=0)).output_cap == 0
    assert read_completion(body(prompt="a", max_tokens=900)).output_cap == 900


def test_an_embedding_has_no_output() -> None:
    call = read_embedding(body(input=["a", "b"], encoding_format="base64", dimensions=8, user="u"))
    assert (call.operation, call.n, call.output_cap, call.inputs, call.stream) == ("embedding", 0, 0, 2, False)


def test_token_lists_are_bound_by_their_number_not_their_bytes() -> None:
    few = read_embedding(body(input=[100_000] * 50))
    many = read_embedding(body(input=[[100_000] * 25, [100_000] * 25]))
    assert 50 <= few.input_bound < 100
    assert 50 <= many.input_bound < 100
    text = read_embedding(body(input="x" * 1000))
    assert text.input_bound >= 1000
    suffix = read_completion(body(prompt=[1], suffix="y" * 1000))
    assert suffix.input_bound >= 1000


@pytest.mark.parametrize(
    ("operation", "fields", "param"),
    [
        ("completion", {}, "prompt"),
        ("completion", {"prompt": []}, "prompt"),
        ("completion", {"prompt": [[]]}, "prompt"),
        ("completion", {"prompt": {}}, "prompt"),
        ("completion", {"prompt": 5}, "prompt"),
        ("completion", {"prompt": ["a", 1]}, "prompt"),
        ("completion", {"prompt": [1, "a"]}, "prompt"),
        ("completion", {"prompt": [[1], "a"]}, "prompt"),
        ("completion", {"prompt": ["a"] * (MAX_INPUTS + 1)}, "prompt"),
        ("completion", {"prompt": "a", "max_tokens": -1}, "max_tokens"),
        ("completion", {"prompt": "a", "max_completion_tokens": 5}, "max_completion_tokens"),
        ("completion", {"prompt": "a", "best_of": -1}, "best_of"),
        ("completion", {"prompt": "a", "best_of": 129}, "best_of"),
        ("completion", {"prompt": "a", "echo": "yes"}, "echo"),
        ("completion", {"prompt": "a", "Best_Of": 20}, "Best_Of"),
        ("completion", {"prompt": "a", "stream_options": {"include_usage": True}}, "stream_options"),
        ("embedding", {}, "input"),
        ("embedding", {"input": None}, "input"),
        ("embedding", {"input": [1.5]}, "input"),
        ("embedding", {"input": [[1], []]}, "input"),
        ("embedding", {"input": ["a"] * (MAX_INPUTS + 1)}, "input"),
        ("embedding", {"input": "a", "dimensions": 0}, "dimensions"),
        ("embedding", {"input": "a", "INPUT": "b"}, "INPUT"),
    ],
)
def test_what_is_not_admitted_is_named(operation: str, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadField) as caught:
        read_call(operation, body(**fields))
    assert caught.value.param == param


def test_the_most_inputs_fit() -> None:
    assert read_embedding(body(input=["a"] * MAX_INPUTS)).inputs == MAX_INPUTS
    assert read_embedding(body(input=[[1]] * MAX_INPUTS)).inputs == MAX_INPUTS


def test_a_body_too_deep_is_refused_before_it_is_measured() -> None:
    text = b'{"model":"m","input":"a","x":' + b"[" * 70 + b"]" * 70 + b"}"
    with pytest.raises(BadField, match="deeper"):
        read_embedding(text)


@pytest.mark.parametrize("operation", ["chat", "completion"])
@pytest.mark.parametrize(
    ("field", "value", "code"),
    [("background", True, "unsupported_value"), ("previous_response_id", "resp_1", "previous_response_not_found")],
)
def test_what_needs_something_kept_is_refused_by_name(operation: str, field: str, value: Any, code: str) -> None:
    text = {"messages": [{"role": "user", "content": "a"}], "prompt": "a", field: value}
    with pytest.raises(BadField) as caught:
        read_call(operation, body(**text))
    assert (caught.value.param, caught.value.code) == (field, code)
    text[field] = None if value != True else False  # noqa: E712 a text is no flag
    read_call(operation, body(**text))


def test_nothing_is_stored_at_the_vendor() -> None:
    text = body(messages=[{"role": "user", "content": "a"}], store=True)
    out = rewrite(text, read_chat(text), never_store=True)
    assert out == text.replace(b'"store":true', b'"store":false')
    kept = body(messages=[{"role": "user", "content": "a"}], store=False)
    assert rewrite(kept, read_chat(kept), never_store=True) == kept


@pytest.mark.parametrize(
    ("key", "scoped"),
    [("agent-7", "abc-agent-7"), ("k" * 48, "abc-" + "k" * 48)],
)
def test_a_cache_key_is_one_customers_own(key: str, scoped: str) -> None:
    text = body(messages=[{"role": "user", "content": "a"}], prompt_cache_key=key)
    out = json.loads(rewrite(text, read_chat(text), cache_scope="abc"))
    assert out["prompt_cache_key"] == scoped


@pytest.mark.parametrize("key", ["k" * 49, "über", ""])
def test_a_scoped_cache_key_fits_whatever_the_caller_wrote(key: str) -> None:
    text = body(messages=[{"role": "user", "content": "a"}], prompt_cache_key=key)
    out = json.loads(rewrite(text, read_chat(text), cache_scope="abcdefabcdef"))
    assert out["prompt_cache_key"].startswith("abcdefabcdef-")
    assert len(out["prompt_cache_key"]) <= 64


@pytest.mark.parametrize(
    "fields", [{"prompt": 'é " x', "max_tokens": 900}, {"prompt": ["a"], "max_tokens": None}, {"prompt": "a"}]
)
def test_a_completions_cap_is_written_where_it_counts(fields: dict[str, Any]) -> None:
    text = body(**fields)
    out = json.loads(rewrite(text, read_completion(text), model="v", output_cap=16, cap_field="max_tokens"))
    assert out == json.loads(text) | {"model": "v", "max_tokens": 16}
