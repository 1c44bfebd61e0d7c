"""Azure's dialect on both sides: paths, headers, error bodies inbound; addresses and errors of an Azure upstream."""

import json
from pathlib import Path
from typing import Any

import pytest
from test_exchange import ANSWER, Bench, head, run

from desks import KEY, upstream
from entrepot.upstream.address import path_of

CLASSIC = b"POST /openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21 HTTP/1.1\r\n"
BODY = b'{"model":"whatever","messages":[{"role":"user","content":"hi"}],"max_tokens":5}'


def ask(bench: Bench, start: bytes = CLASSIC, *lines: bytes, body: bytes = BODY, key: str = KEY) -> Any:
    block = start + b"host: x\r\napi-key: %b\r\n" % key.encode() + b"".join(line + b"\r\n" for line in lines)
    bench.client.data_received(block + b"content-length: %d\r\n\r\n" % len(body) + body)
    return bench.client.answering


def answered(bench: Bench) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON of the one answer that the client has."""
    block, _, body = bench.wire.got.partition(b"\r\n\r\n")
    start, *lines = block.decode().split("\r\n")
    headers = {name: value for name, _, value in (line.partition(": ") for line in lines)}
    return int(start.split()[1]), headers, json.loads(body) if body else None


def test_the_deployment_of_the_path_decides_and_the_answer_says_where_it_was_served(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = ask(bench, CLASSIC, b"x-ms-client-request-id: 7d1f-Ab.1")
        bench.disk()
        assert bench.sent[0].endswith(BODY.replace(b"whatever", b"gpt-4o-2024"))
        exchange.answer(head(len(ANSWER)), ANSWER)
        bench.disk()
        status, headers, body = answered(bench)
        assert (status, body["model"]) == (200, "m")
        assert headers["apim-request-id"] == headers["x-request-id"] == exchange.request_id
        assert headers["x-ms-client-request-id"] == "7d1f-Ab.1"
        assert (headers["x-ms-deployment-name"], headers["x-ms-region"]) == ("gpt-4o", "eu")

    run(tmp_path, work)


@pytest.mark.parametrize("given", [b"a b", b"x" * 129, b"\xff", b""])
def test_a_client_id_that_is_no_plain_short_text_is_not_echoed(tmp_path: Path, given: bytes) -> None:
    async def work(bench: Bench) -> None:
        ask(bench, CLASSIC, b"x-ms-client-request-id: " + given, key="wrong")
        assert "x-ms-client-request-id" not in answered(bench)[1]

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("start", "key", "status", "code", "words"),
    [
        (CLASSIC, "no", 401, "401", "Access denied due to invalid subscription key"),
        (CLASSIC.replace(b"gpt-4o", b"gpt-5"), KEY, 404, "DeploymentNotFound", "does not exist"),
        (CLASSIC.replace(b"/chat/completions", b"/embeddings"), KEY, 400, "OperationNotSupported", "not served at"),
        (CLASSIC.replace(b"?api-version=2024-10-21", b""), KEY, 404, "404", "Resource not found"),
        (CLASSIC.replace(b"2024-10-21", b"2031-01-01"), KEY, 400, "BadRequest", "API version not supported"),
        (CLASSIC.replace(b"POST", b"PUT"), KEY, 405, "method_not_allowed", "use POST"),
    ],
)
def test_errors_are_said_as_azure_says_them(
    tmp_path: Path, start: bytes, key: str, status: int, code: str, words: str
) -> None:
    async def work(bench: Bench) -> None:
        body = BODY if b"embeddings" not in start else b'{"input":"a"}'
        ask(bench, start, body=body, key=key)
        got, headers, error = answered(bench)
        assert (got, error["error"]["code"]) == (status, code)
        assert words in error["error"]["message"]
        assert headers["apim-request-id"].startswith("req_")

    run(tmp_path, work)


def test_a_full_vendor_is_azures_429_with_the_wait(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = ask(bench)
        bench.disk()
        exchange.answer(head(2, 429, b"retry-after-ms: 2500\r\n"), b"{}")
        bench.disk()
        status, headers, error = answered(bench)
        assert (status, error["error"]["code"], headers["retry-after"]) == (429, "429", "3")
        assert headers["retry-after-ms"] == "2500"
        assert error["error"]["message"].endswith("Please retry after 3 seconds.")

    run(tmp_path, work)


def test_more_than_ten_custom_headers_are_too_many(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        usual = [b"x-stainless-lang: python", b"x-ms-useragent: u", b"user-agent: a", b"traceparent: 0", b"accept: */*"]
        ask(bench, CLASSIC, *usual, *(b"x-mine-%d: 1" % n for n in range(10)))
        bench.disk()
        assert len(bench.sent) == 1
        bench.client.answering.lost("connect", answered=False, reused=False)
        bench.disk()
        bench.client.answering.lost("connect", answered=False, reused=False)
        bench.disk()
        bench.wire.got = b""
        ask(bench, CLASSIC, *usual, *(b"x-mine-%d: 1" % n for n in range(11)))
        assert answered(bench)[0] == 431

    run(tmp_path, work)


def test_the_content_filters_400_is_passed_on_and_its_prompt_charged(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = ask(bench)
        bench.disk()
        body = b'{"error":{"message":"filtered","type":null,"param":"prompt","code":"content_filter","status":400,'
        body += b'"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{}}},'
        body += b'"usage":{"prompt_tokens":9,"completion_tokens":0,"total_tokens":9}}'
        exchange.answer(head(len(body), 400), body)
        bench.disk()
        assert bench.wire.got.endswith(body)
        (ending,) = bench.endings
        assert (ending.state, ending.charge, ending.quantities[0]) == ("final", 22_500, 9)

    run(tmp_path, work)


def test_annotations_of_the_filter_are_passed_on_as_the_first_event(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = ask(bench, body=BODY[:-1] + b',"stream":true}')
        bench.disk()
        first = b'data: {"choices":[],"id":"","model":"","prompt_filter_results":[{"prompt_index":0}]}\n\n'
        delta = b'data: {"choices":[{"delta":{"content":"x"},"content_filter_results":{},"index":0}],"usage":null}\n\n'
        late = b'data: {"choices":[{"delta":{},"content_filter_offsets":{"check_offset":1},"index":0}]}\n\n'
        usage = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\n'
        assert exchange.wants_stream(stream())
        exchange.stream_data(first + delta + late + usage + b"data: [DONE]\n\n")
        bench.disk()
        for event in (first, delta, late, b"data: [DONE]\n\n"):
            assert event in bench.wire.got
        assert usage not in bench.wire.got  # nobody asked for it
        assert bench.endings[0].events == 1

    run(tmp_path, work)


def stream() -> Any:
    return head(0, 200, b"content-type: text/event-stream\r\n")


# an Azure upstream


@pytest.mark.parametrize(
    ("version", "operation", "path"),
    [
        ("2024-10-21", "chat", "/openai/deployments/chat%207/chat/completions?api-version=2024-10-21"),
        ("2024-10-21", "embedding", "/openai/deployments/chat%207/embeddings?api-version=2024-10-21"),
        ("2025-01-01-preview", "models", "/openai/models?api-version=2025-01-01-preview"),
        ("v1", "chat", "/openai/v1/chat/completions"),
        ("v1", "models", "/openai/v1/models"),
    ],
)
def test_azures_paths_name_the_deployment(version: str, operation: str, path: str) -> None:
    assert path_of("azure", "", version, operation, "chat 7") == path
    assert path_of("azure", "/front", version, operation, "chat 7") == "/front" + path
    assert path_of("openai", "/v1", "", "completion", "m") == "/v1/completions"


AZURE = upstream("openai", dialect="azure", url="https://shop.openai.azure.com", api_version="2024-10-21")


def test_an_azure_upstream_is_asked_by_its_deployment(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        exchange = bench.call()
        bench.disk()
        start = b"POST /openai/deployments/gpt-4o-2024/chat/completions?api-version=2024-10-21 HTTP/1.1\r\n"
        assert bench.sent[0].startswith(start + b"host: shop.openai.azure.com\r\n")
        exchange.answer(head(len(ANSWER)), ANSWER)
        bench.disk()

    run(tmp_path, work, upstreams=(AZURE,))


@pytest.mark.parametrize(
    "words",
    [
        "Resource shop.openai.azure.com has no such thing",
        "see https://other.cognitiveservices.azure.com",
        "organization org-AbCdEfGhIjKlMnOp must verify",
        "subscription 0f8fad5b-d9cb-469f-a165-70867728950e is over",
    ],
)
def test_an_error_that_names_our_account_is_not_passed_on(tmp_path: Path, words: str) -> None:
    async def work(bench: Bench) -> None:
        exchange = bench.call()
        bench.disk()
        body = json.dumps({"error": {"code": "BadRequest", "message": words}}).encode()
        exchange.answer(head(len(body), 400), body)
        bench.disk()
        status, _, error = answered(bench)
        assert (status, error["error"]["code"]) == (400, "upstream_refused")
        assert bench.endings[0].state == "void"

    run(tmp_path, work, upstreams=(AZURE,))


@pytest.mark.parametrize("status", [401, 403, 404, 410, 500])
def test_what_is_wrong_with_our_account_is_no_matter_of_the_callers(tmp_path: Path, status: int) -> None:
    async def work(bench: Bench) -> None:
        exchange = bench.call()
        bench.disk()
        body = b'{"error":{"code":"DeploymentNotFound","message":"The API deployment gpt-4o-2024 does not exist"}}'
        exchange.answer(head(len(body), status), body)
        bench.disk()
        got, _, error = answered(bench)
        assert (got, error["error"]["code"]) == (502, "upstream_error")
        assert "gpt-4o-2024" not in json.dumps(error)

    run(tmp_path, work, upstreams=(AZURE,))
