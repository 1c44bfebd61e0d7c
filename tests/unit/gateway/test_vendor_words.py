"""Which errors of a vendor go on to the customer, and which tell too much."""

import json

import pytest

from entrepot.gateway.vendor_words import is_answer, is_error, tells_too_much


@pytest.mark.parametrize(
    "message",
    [
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "The response was filtered. To learn more please read https://go.microsoft.com/fwlink/?linkid=2198766.",
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 131072 tokens.",
        "Invalid schema for response_format 'port': In context=('properties', 'city'), 'required' is required.",
        "Invalid 'messages[0].content': see https://platform.openai.com/docs/api-reference/chat",
        "Could not parse the file notes.py: project-related, organised by request.",
    ],
)
def test_a_word_about_the_request_goes_on(message: str) -> None:
    body = json.dumps({"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}})
    assert is_error(body.encode())
    assert not tells_too_much(body.encode(), "api.vendor.example")


@pytest.mark.parametrize(
    "message",
    [
        "Your organization org-AbCdEf123456 must be verified to stream this model.",
        "Project proj_AbCdEf123456 does not have access.",
        "Please include the request ID req_0123456789abcdef in your message.",
        "Incorrect API key provided: sk-proj-abc123def456.",
        "The resource /subscriptions/1/resourceGroups/rg has no deployment.",
        "See https://quayside.openai.azure.com.",
        "tenant 0f8fad5b-d9cb-469f-a165-70867728950e",
        "asked at api.vendor.example",
        'Traceback (most recent call last):\n  File "engine.py", line 4, in run',
        "panic: main.go:41",
    ],
)
@pytest.mark.parametrize("escaped", [False, True])
def test_a_word_about_the_account_or_the_code_does_not(message: str, escaped: bool) -> None:
    text = json.dumps({"error": {"message": message}})
    if escaped:
        text = "".join(f"\\u{ord(each):04x}" if each in "-_/.:" and at > 21 else each for at, each in enumerate(text))
        assert json.loads(text) == {"error": {"message": message}}
    assert tells_too_much(text.encode(), "api.vendor.example")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"detail":"x"}', b'{"error":"x"}', b'{"error":null}', b"\xff"]
)
def test_what_no_program_of_the_caller_reads_is_no_error_object(body: bytes) -> None:
    assert not is_error(body)


def test_an_answer_has_choices_or_data() -> None:
    assert is_answer(b'{"choices":[]}')
    assert is_answer(b'{"object":"list","data":[]}')
    assert not is_answer(b'{"detail":"x"}')
