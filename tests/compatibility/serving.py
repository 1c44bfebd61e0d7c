"""Rows about serving: 73 to 76, 78."""

import http.client
import json
import socket
import tempfile
import threading
import time
from pathlib import Path

from compatibility.headers import chat
from compatibility.paths import ASK, post
from compatibility.refusals import faulty, head
from compatibility.streams import WANTED
from compatibility.table import row
from entrepot.prove.script import script_text
from tape_house import CHAT, MODEL, TapeHouse


@row(73, "answers, refusals and failures", "each has an id; `entrepot explain ID` tells its story")
def explained(house: TapeHouse) -> None:
    for reply, word in ((chat(house), "final"), (faulty(house, "status@500"), "void"), (chat(house, n=0), "refused")):
        house.wait(lambda reply=reply: house.house.command("explain", reply.request_id).returncode == 0)
        assert word in house.house.command("explain", reply.request_id).stdout


@row(74, "`HEAD` and `OPTIONS` (CORS)", "answered, without a charge")
def free_methods(house: TapeHouse) -> None:
    before = house.endings()
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST",
             "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang"}  # fmt: skip
    for path in (CHAT, "/openai/v1/chat/completions"):
        reply = house.send("OPTIONS", path, key=None, headers=asked)
        assert reply.status in (200, 204)
        assert reply.headers["access-control-allow-origin"] in ("*", "https://app.example")
        assert "POST" in reply.headers["access-control-allow-methods"]
    looked = house.send("HEAD", "/v1/models")
    assert (looked.status, looked.body) == (200, b"")
    assert house.endings() == before
    assert "access-control-allow-origin" in chat(house, headers={"Origin": "https://app.example"}).headers


@row(
    75, "a client that goes away in a stream", "noticed within 1 s; the vendor is drained by policy, the record says so"
)
def gone(house: TapeHouse) -> None:
    body = json.dumps({
        "model": MODEL, **WANTED,
        "messages": [{"role": "user", "content": script_text(events=20, delay_ms=100, completion=20)}],
    }).encode()  # fmt: skip
    before = {record for rows in house.house.ours().endings.values() for record in (row.request for row in rows)}
    with socket.create_connection(("127.0.0.1", house.house.port), timeout=10) as line:
        line.sendall(head(house, CHAT, f"Content-Length: {len(body)}").replace(b"api-key: ", b"Authorization: Bearer "))
        line.sendall(body)
        assert line.recv(1000).startswith(b"HTTP/1.1 200")
    left = time.monotonic()
    house.wait(lambda: house.calls("drained") > 0, seconds=1.0)
    assert time.monotonic() - left < 1.0

    def ended() -> bool:
        found = [row for rows in house.house.ours().endings.values() for row in rows if row.request not in before]
        return [(one.state, one.source, one.reason) for one in found] == [("aborted", "drained", "client_gone")]

    house.wait(ended)


@row(76, "three calls on one connection, one of them refused", "HTTP/1.1 keep-alive")
def keep_alive(house: TapeHouse) -> None:
    line = http.client.HTTPConnection("127.0.0.1", house.house.port, timeout=10)
    ports = set()
    for n in (1, 0, 1):
        body = json.dumps({"model": MODEL, **ASK, "n": n})
        line.request("POST", CHAT, body, {"Authorization": f"Bearer {house.key}", "Content-Type": "application/json"})
        answer = line.getresponse()
        answer.read()
        assert answer.status == (200 if n else 400)
        ports.add(line.sock.getsockname()[1])
    line.close()
    assert len(ports) == 1


@row(76, "a stop (SIGTERM) while a stream is open", "the stream finishes")
def drained(_house: TapeHouse) -> None:
    with tempfile.TemporaryDirectory() as folder:
        own = TapeHouse(Path(folder))
        try:
            long = [{"role": "user", "content": script_text(events=20, delay_ms=100, completion=20)}]
            bodies: list[bytes] = []
            calling = threading.Thread(target=lambda: bodies.append(chat(own, messages=long, **WANTED).body))
            calling.start()
            own.wait(lambda: own.calls() == 1)
            assert own.house.stop() == 0
            calling.join(30)
            assert bodies[0].endswith(b"data: [DONE]\n\n")
            assert b'"total_tokens":30' in bodies[0]
        finally:
            own.end()


@row(76, "HTTP/2", "served", unmet="HTTP/1.1 only; a proxy in front speaks HTTP/2 and TLS")
def http2(house: TapeHouse) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    assert house.raw(preface)[3:4] == b"\x04"


@row(78, "`created`", "integer Unix seconds")
def created(house: TapeHouse) -> None:
    found = [chat(house).json["created"], post(house, "completions").json["created"]]
    found += [model["created"] for model in house.send("GET", "/v1/models").json["data"]]
    assert all(type(each) is int and 10**9 < each < 10**11 for each in found)
