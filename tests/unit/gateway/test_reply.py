"""What a client of a stream sees while nothing comes: comments, and whatever happens then as an event."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_exchange import Bench, head, run

from desks import KEY
from entrepot.gateway.reply import KEEP_ALIVE
from entrepot.kernel.instants import SECOND

COMMENT = b": waiting for the model\n\n"
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\n'


def later(bench: Bench, seconds: float) -> None:
    bench.at += int(seconds * SECOND)
    bench.gateway.tick()


def streamed(bench: Bench, fields: bytes = b'"stream":true') -> Any:
    exchange = bench.call(fields)
    bench.disk()
    return exchange


def test_a_silent_stream_is_kept_alive_between_ten_and_fifteen_seconds(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = streamed(bench)
        for second in range(35):
            later(bench, 1)
            assert bench.wire.got.count(COMMENT) == (second + 1) // (KEEP_ALIVE // SECOND)
        assert bench.wire.got.count(b"HTTP/1.1 200 OK") == 1
        assert exchange.wants_stream(head(0, 200, b"content-type: text/event-stream\r\n"))
        exchange.stream_data(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n')
        later(bench, 60)
        assert bench.wire.got.count(COMMENT) == 3  # a stream that brings something is the vendor's
        exchange.stream_data(USAGE + b"data: [DONE]\n\n")
        bench.disk()
        assert bench.wire.got.count(b"HTTP/1.1 200 OK") == 1
        assert bench.wire.got.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert bench.endings[0].state == "final"

    run(tmp_path, work)


def test_a_whole_answer_gets_no_comment(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = streamed(bench, b'"max_tokens":5')
        later(bench, 60)
        assert bench.wire.got == b""
        exchange.lost("reset", answered=False, reused=False)
        bench.disk()

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("happens", "code"),
    [
        (lambda e: e.answer(head(2, 429), b"{}"), "upstream_rate_limited"),
        (lambda e: e.answer(head(2, 500), b"{}"), "upstream_error"),
        (lambda e: e.lost("timeout", answered=False, reused=False), "upstream_timeout"),
        (lambda e: e.answer(head(40, 400), b'{\n "error": {"code":"bad","message":""}\n}'), "bad"),
    ],
)
def test_an_error_behind_a_comment_is_an_event(tmp_path: Path, happens: Callable[[Any], None], code: str) -> None:
    async def work(bench: Bench) -> None:
        exchange = streamed(bench)
        later(bench, 11)
        happens(exchange)
        bench.disk()
        assert bench.wire.got.count(b"HTTP/1.1") == 1
        data = bench.wire.got.split(COMMENT)[1].split(b"\r\n")[2]
        lines = [line[6:] for line in data.split(b"\n") if line.startswith(b"data: ")]
        assert json.loads(b"\n".join(lines))["error"]["code"] == code
        assert bench.wire.got.endswith(b"0\r\n\r\n")

    run(tmp_path, work)


def test_a_browser_may_read_the_answer_and_ask_before_its_call(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.client.data_received(b"OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: x\r\norigin: http://a\r\n\r\n")
        assert bench.wire.got.startswith(b"HTTP/1.1 204 No Content\r\n")
        assert b"access-control-allow-origin: *\r\n" in bench.wire.got
        assert b"access-control-allow-headers: *, authorization\r\n" in bench.wire.got
        assert bench.wire.got.endswith(b"\r\n\r\n")
        assert bench.records == []
        bench.wire.got = b""
        bench.client.data_received(b"GET /v1/models HTTP/1.1\r\nhost: x\r\norigin: http://a\r\n\r\n")
        assert b"401 Unauthorized" in bench.wire.got
        assert b"access-control-allow-origin: *\r\n" in bench.wire.got

    run(tmp_path, work)


def test_a_client_of_http_1_0_gets_a_stream_without_chunks_that_ends_with_its_connection(tmp_path: Path) -> None:
    event = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'

    async def work(bench: Bench) -> None:
        body = b'{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hi"}]}'
        lines = b"POST /v1/chat/completions HTTP/1.0\r\nauthorization: Bearer %b\r\ncontent-length: %d\r\n\r\n"
        bench.client.data_received(lines % (KEY.encode(), len(body)) + body)
        bench.disk()
        exchange: Any = bench.client.answering
        later(bench, 11)
        assert exchange.wants_stream(head(0, 200, b"content-type: text/event-stream\r\n"))
        exchange.stream_data(event)
        exchange.stream_data(USAGE + b"data: [DONE]\n\n")
        bench.disk()
        lines, _, got = bench.wire.got.partition(b"\r\n\r\n")
        assert b"transfer-encoding" not in lines
        assert b"connection: close" in lines
        assert got == COMMENT + event + b"data: [DONE]\n\n"
        assert bench.wire.closed

    run(tmp_path, work)
