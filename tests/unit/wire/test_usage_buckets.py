import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.buckets import INPUT_SIDE, OUTPUT_SIDE
from entrepot.wire.usage import MAX_TOKENS, Answer, chat_usage, read_unary
from shared_data import rows


def details(prompt: dict[str, Any] | None = None, completion: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"prompt_tokens_details": prompt, "completion_tokens_details": completion}


# The order: input, cached, cache_write, output, reasoning, audio_input, audio_output, image_input.
@pytest.mark.parametrize(
    ("usage", "buckets"),
    [
        ({"prompt_tokens": 8, "total_tokens": 8}, (8, 0, 0, 0, 0, 0, 0, 0)),
        ({"prompt_tokens": 100, "completion_tokens": 50}, (100, 0, 0, 50, 0, 0, 0, 0)),
        (
            {"prompt_tokens": 100, "completion_tokens": 50}
            | details({"cached_tokens": 40, "audio_tokens": 5}, {"reasoning_tokens": 30, "audio_tokens": 9}),
            (55, 40, 0, 11, 30, 5, 9, 0),
        ),
        (  # rejected predictions are output, accepted ones too; fields we do not know change nothing
            {"prompt_tokens": 1, "completion_tokens": 50, "new_tokens": 3}
            | details({"new": {}}, {"rejected_prediction_tokens": 20, "accepted_prediction_tokens": 5}),
            (1, 0, 0, 50, 0, 0, 0, 0),
        ),
        (
            {"prompt_tokens": 100, "completion_tokens": 0} | details({"cache_write_tokens": 60, "image_tokens": 10}),
            (30, 0, 60, 0, 0, 0, 0, 10),
        ),
        (  # what is cached and an image is billed as cached
            {"prompt_tokens": 100, "completion_tokens": 0} | details({"cached_tokens": 80, "image_tokens": 90}),
            (0, 80, 0, 0, 0, 0, 0, 20),
        ),
        ({"prompt_tokens": 5, "completion_tokens": 1} | details({"cached_tokens": None}), (5, 0, 0, 1, 0, 0, 0, 0)),
        ({"prompt_tokens": 64, "completion_tokens": 6, "num_cached_tokens": 32}, (32, 32, 0, 6, 0, 0, 0, 0)),
        (  # xAI counts reasoning beside completion_tokens
            {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 17} | details(None, {"reasoning_tokens": 10}),
            (5, 0, 0, 2, 10, 0, 0, 0),
        ),
        ({"prompt_tokens": 0, "completion_tokens": 0}, (0, 0, 0, 0, 0, 0, 0, 0)),
        ({"prompt_tokens": MAX_TOKENS, "completion_tokens": 0}, (MAX_TOKENS, 0, 0, 0, 0, 0, 0, 0)),
    ],
)
def test_counts_are_taken_apart(usage: dict[str, Any], buckets: tuple[int, ...]):
    read = chat_usage(usage)
    assert read.quantities == buckets
    assert not read.absurd
    assert read.total == sum(buckets)
    assert chat_usage(json.dumps(usage).encode()).quantities == buckets


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -1, "completion_tokens": 1},
        {"prompt_tokens": 1, "completion_tokens": -1},
        {"prompt_tokens": 1.0, "completion_tokens": 1},
        {"prompt_tokens": True, "completion_tokens": 1},
        {"prompt_tokens": "1", "completion_tokens": 1},
        {"prompt_tokens": None, "completion_tokens": 1},
        {"completion_tokens": 1},
        {"prompt_tokens": MAX_TOKENS + 1, "completion_tokens": 1},
        {"prompt_tokens": 1, "completion_tokens": MAX_TOKENS + 1},
        {"prompt_tokens": 10, "completion_tokens": 1} | details({"cached_tokens": 11}),
        {"prompt_tokens": 10, "completion_tokens": 1} | details({"cached_tokens": 6, "cache_write_tokens": 5}),
        {"prompt_tokens": 10, "completion_tokens": 1} | details({"cached_tokens": -1}),
        {"prompt_tokens": 10, "completion_tokens": 1} | details(None, {"reasoning_tokens": 2}),
        {"prompt_tokens": 10, "completion_tokens": 5} | details(None, {"reasoning_tokens": 3, "audio_tokens": 3}),
        {"prompt_tokens": 10, "total_tokens": 12},
        [],
        7,
        {},
    ],
)
def test_a_count_that_cannot_be_true_makes_the_usage_absurd(usage: object):
    read = chat_usage(usage)
    assert read.absurd
    assert read.quantities == (0,) * 8


def test_tokens_that_no_count_names_are_reported_and_charged_to_nobody():
    read = chat_usage({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109})
    assert (read.total, read.beyond) == (47, 62)


def test_the_usage_is_kept_as_sent_up_to_4_kib():
    sent = b'{"prompt_tokens": 1, "completion_tokens":2 }'
    assert chat_usage(sent).raw == sent
    assert chat_usage(sent[:-1] + b" " * 5000 + b"}").raw == b""


counts = st.integers(0, 10_000)


@given(counts, counts, counts, counts, counts, counts, counts, counts)
def test_buckets_add_up_to_what_the_vendor_says_or_the_usage_is_absurd(
    prompt: int, completion: int, cached: int, written: int, audio: int, image: int, reasoning: int, spoken: int
):
    read = chat_usage(
        {"prompt_tokens": prompt, "completion_tokens": completion}
        | details(
            {"cached_tokens": cached, "cache_write_tokens": written, "audio_tokens": audio, "image_tokens": image},
            {"reasoning_tokens": reasoning, "audio_tokens": spoken},
        )
    )
    if read.absurd:
        assert cached + written > prompt or reasoning + spoken > completion or max(audio, image) > prompt
    else:
        assert min(read.quantities) >= 0
        assert sum(read.quantities[bucket] for bucket in INPUT_SIDE) == prompt
        assert sum(read.quantities[bucket] for bucket in OUTPUT_SIDE) == completion


def test_an_answer_is_read():
    answer = read_unary(
        b'{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[{"index":0}],'
        b'"usage":{"prompt_tokens":3,"completion_tokens":4},"service_tier":"default"}'
    )
    assert (answer.id, answer.model, answer.service_tier, answer.error, answer.broken) == (
        "chatcmpl-1", "gpt-4o-2024-08-06", "default", b"", False,
    )  # fmt: skip
    assert answer.usage is not None
    assert answer.usage.quantities == (3, 0, 0, 4, 0, 0, 0, 0)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"usage":', b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_broken(body: bytes):
    assert read_unary(body) == Answer(broken=True)


def test_an_error_and_odd_names_do_not_hide_the_usage():
    answer = read_unary(b'{"id":7,"model":null,"error":{"code":"x"},"usage":{"prompt_tokens":3,"completion_tokens":0}}')
    assert (answer.id, answer.model, answer.error) == ("", "", b'{"code":"x"}')
    assert answer.usage is not None
    assert answer.usage.total == 3


def test_usage_null_is_no_usage():
    assert read_unary(b'{"usage":null,"error":null}') == Answer()


def test_agrees_with_another_projects_reading_of_recorded_usage():
    """genai-prices' extractors for OpenAI's dialect, over every usage body of that shape."""
    compared = 0
    for row in rows("prices/usage_bodies_a.jsonl.gz"):
        usage = row["body"].get("usage")
        theirs = [
            extracted["usage"]
            for extracted in row["extracted"]
            if any(e["provider_id"] == "openai" and e["api_flavor"] == "chat" for e in extracted["extractors"])
        ]
        if not isinstance(usage, dict) or "prompt_tokens" not in usage or not theirs:
            continue
        read = chat_usage(usage)
        assert not read.absurd, usage
        assert theirs[0]["input_tokens"] == sum(read.quantities[bucket] for bucket in INPUT_SIDE), usage
        assert theirs[0].get("output_tokens", 0) == sum(read.quantities[bucket] for bucket in OUTPUT_SIDE), usage
        assert theirs[0].get("cache_read_tokens", 0) in (read.quantities[1], 0), usage
        assert theirs[0].get("output_reasoning_tokens", 0) == read.quantities[4], usage
        compared += 1
    assert compared > 100


def test_recorded_answers_are_read():
    metered = 0
    for name in ("openai", "azure"):
        for row in rows(f"wire/provider_responses_{name}.jsonl.gz"):
            if row["kind"] != "json" or not isinstance(row["body"], dict):
                continue
            answer = read_unary(json.dumps(row["body"]).encode())
            usage = row["body"].get("usage")
            if isinstance(usage, dict) and "prompt_tokens" in usage:
                assert answer.usage is not None
                assert answer.usage.total == usage["total_tokens"], row["name"]
                metered += 1
    assert metered >= 3
