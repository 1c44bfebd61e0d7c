"""Counting: whatever the text is, the call that waits for its count hears of one."""

import asyncio

import pytest

from entrepot.gateway import count
from entrepot.gateway.count import Counter, count_body, guess


def counted(*texts: bytes) -> list[int]:
    """What the counter tells, in a loop of its own."""

    async def ask() -> list[int]:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[list[int]] = loop.create_future()
        counter = Counter(loop)
        try:
            counter.count(texts, told.set_result)
            return await asyncio.wait_for(told, 20)
        finally:
            counter.close()

    return asyncio.run(ask())


@pytest.mark.long
def test_the_text_of_a_request_and_of_an_answer_is_counted() -> None:
    request = b'{"messages":[{"role":"user","content":"hello world"}]}'
    answer = b'{"choices":[{"message":{"content":[{"type":"text","text":"hello world"}]}}]}'
    assert counted(request, answer, b"") == [6, 2, 0]


@pytest.mark.long
@pytest.mark.parametrize(
    "body",
    [b'{"messages":[{"content":"\xff\xfe"}]}', b"\xff", b"[", b"[" * 100_000, b'{"messages":[{"content":"\\ud800"}]}'],
)
def test_what_cannot_be_read_is_guessed(body: bytes) -> None:
    assert count_body(body) == guess(len(body))
    assert counted(body, b"") == [guess(len(body)), 0]


@pytest.mark.parametrize("failure", [MemoryError(), UnicodeDecodeError("utf-8", b"x", 0, 1, "y"), SystemExit()])
def test_a_count_that_fails_is_guessed_and_the_next_one_is_made(
    failure: BaseException, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_body: bytes) -> int:
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(count, "count_body", fails)
        assert counted(b"four", b"12345") == [1, 2]
    assert "could not be counted" in caplog.text
    assert counted(b'{"messages":[]}') == [0]


def test_prompts_and_inputs_are_counted_as_text_or_as_tokens() -> None:
    assert count_body(b'{"prompt":"hello world"}') == 2
    assert count_body(b'{"input":["hello","hello world"]}') == 3
    assert count_body(b'{"input":[1,2,3]}') == 3
    assert count_body(b'{"prompt":[[1,2],[3]]}') == 3
    assert count_body(b'{"choices":[{"text":"hello world","index":0}]}') == 2
