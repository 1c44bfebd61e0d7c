"""What a call counts for its limits."""

from pathlib import Path

from test_exchange import ANSWER, Bench, give_shares, head, limited, run

from desks import KEY
from entrepot.gateway.relay import Exchange
from entrepot.snapshot import LimitEntry


def test_a_file_counts_for_limits_by_the_context_at_the_most(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        give_shares(bench)
        part = b'{"type":"file","file":{"file_id":"f"}}'
        body = b'{"model":"gpt-4o","max_tokens":1,"messages":[{"role":"user","content":[' + part + b"]}]}"
        head_ = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n" % KEY.encode()
        bench.client.data_received(head_ + b"content-length: %d\r\n\r\n" % len(body) + body)
        assert limited(bench)["tokens"] == 128_000 + 1
        bench.disk()
        exchange = bench.client.answering
        assert isinstance(exchange, Exchange)
        exchange.answer(head(len(ANSWER)), ANSWER)
        bench.disk()

    run(tmp_path, work, key={"limit": LimitEntry(id="l", scope="key", tokens=200_000)})
