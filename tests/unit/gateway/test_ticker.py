"""What the operator's screen hears of calls."""

from pathlib import Path
from typing import Any

import pytest
from test_exchange import Bench, run

from entrepot.gateway.problem import unknown_model
from entrepot.gateway.ticker import Ticker, answered
from entrepot.kernel.ids import RequestIds, made_at_ms
from entrepot.wire.http1 import parse_response_head

AT_MS = 1_795_262_400_123
REQUEST = RequestIds(bytes(range(32))).make(AT_MS, 1, 7, 42)


@pytest.mark.parametrize(
    ("status", "reason", "begun", "got"),
    [
        (200, "", False, 200), (401, "upstream_401", False, 502), (403, "upstream_403", False, 502),
        (500, "upstream_500", False, 502), (429, "upstream_429", False, 429), (529, "upstream_529", False, 429),
        (400, "upstream_400", False, 400), (422, "upstream_422", False, 422), (0, "upstream_connect", False, 502),
        (0, "upstream_timeout", False, 504), (0, "upstream_busy", False, 503), (200, "upstream_invalid", False, 502),
        (200, "upstream_reset", True, 200), (0, "internal_error", False, 500), (200, "client_gone", True, 200),
        (200, "absurd_usage", False, 200),
    ],
)  # fmt: skip
def test_the_line_shows_the_status_that_the_client_got(status: int, reason: str, begun: bool, got: int) -> None:
    assert answered(status, reason, begun=begun) == got


def test_a_request_id_says_when_it_was_made() -> None:
    assert made_at_ms(REQUEST) == AT_MS


def test_a_refusal_shows_how_long_it_took_and_what_it_cost() -> None:
    told: list[dict[str, Any]] = []
    ticker = Ticker(told.append)
    now = (AT_MS + 5) * 1000
    ticker.refused(now, "acme", "m" * 1_000_000, unknown_model("m", [], None), REQUEST, "USD")
    ticker.flush(now)
    call = told[0]["call"]
    assert (call["charge"], call["ms"], call["status"], call["refused"]) == ("0 USD", 5, 404, "model_not_found")
    assert len(call["model"]) == 200


def test_the_screen_hears_that_a_stream_which_broke_had_begun(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        told: list[dict[str, Any]] = []
        bench.gateway._ticker = Ticker(told.append)
        exchange = bench.call(b'"max_tokens":100,"stream":true')
        bench.disk()
        assert exchange.wants_stream(parse_response_head(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"))
        exchange.stream_data(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n')
        exchange.lost("reset", answered=True, reused=False)
        bench.disk()
        bench.gateway._ticker.flush(bench.at)
        assert [each["call"]["status"] for each in told] == [200]

    run(tmp_path, work)
