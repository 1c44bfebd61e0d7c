"""How the fake vendor reads a request."""

import pytest

from entrepot.prove.script import Script, ScriptBroken, read_call, script_text


def body(extra: str, content: str = "hello") -> bytes:
    import json

    return f'{{"model": "m", "messages": [{{"role": "user", "content": {json.dumps(content)}}}]{extra}}}'.encode()


def test_a_plain_message_gets_the_default_script() -> None:
    call = read_call(body(""))
    assert call.script == Script()
    assert (call.model, call.stream, call.completion) == ("m", False, 20)


def test_the_last_user_message_carries_the_script() -> None:
    call = read_call(body("", script_text(prompt=7, completion=9, fault="reset@120")))
    assert (call.script.prompt, call.completion) == (7, 9)
    assert (call.script.fault_name, call.script.fault_number(0)) == ("reset", 120)


@pytest.mark.parametrize(
    ("mode", "served"), [("last", 3), ("first", 12), ("fold", 3)], ids=["last wins", "first wins", "case folded"]
)
def test_a_duplicate_cap_is_read_as_the_parser_does(mode: str, served: int) -> None:
    text = body(', "max_tokens": 12, "max_tokens": 3', script_text(completion=50))
    assert read_call(text, mode).completion == served  # type: ignore[arg-type]


def test_a_case_variant_governs_only_the_folding_parser() -> None:
    text = body(', "max_tokens": 3, "MAX_TOKENS": 12', script_text(completion=50))
    assert [read_call(text, mode).completion for mode in ("last", "first", "fold")] == [3, 3, 12]


def test_choices_multiply_the_tokens_served() -> None:
    assert read_call(body(', "max_tokens": 5, "n": 3', script_text(completion=50))).completion == 15


@pytest.mark.parametrize("text", [b"{", b"[]", b"{}", b'{"model": "m", "messages": [1]}'])
def test_what_cannot_be_read_is_refused(text: bytes) -> None:
    with pytest.raises(ScriptBroken):
        read_call(text)
