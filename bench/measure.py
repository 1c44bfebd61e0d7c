"""One measurement: a target, a kind of call, so many open calls; CPU and latency of exactly the counted seconds."""

import json
from collections.abc import Callable
from typing import Literal

import msgspec

from entrepot.prove.canned import menu
from entrepot.prove.load import Order, Report, chat_request
from entrepot.prove.processes import load

Kind = Literal["unary", "burst", "single", "slow"]
EVENTS = 100
PAUSE_MS = 5.0
SIZE = 600
MODEL = "bench-model"
_EVENT_BYTES = len(menu().event)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Something that answers chat calls."""

    name: str
    port: Callable[[Kind], int]
    pids: Callable[[], tuple[int, ...]]
    key: str = ""
    path: str = "/v1/chat/completions"
    headers: tuple[tuple[str, str], ...] = ()
    model: str = MODEL


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured."""

    target: str
    kind: Kind
    open_calls: int
    rate: float  # 0: closed loop
    calls: int
    failed: int
    calls_per_s: float
    cpu_us_per_call: float
    cpu_us_per_event: float  # 0 for unary
    cpu_share: float  # of one core
    p50_us: float
    p99_us: float


def request(target: Target, kind: Kind) -> bytes:
    """A call as an SDK sends it."""
    fields: dict[str, object] = {
        "model": target.model,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant. Answer briefly."},
            {"role": "user", "content": f"Which three ports does the next ship call at, and when? @{kind}"},
        ],
        "max_tokens": 64,
        "temperature": 0.2,
    }
    if kind != "unary":
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    body = json.dumps(fields, separators=(",", ":")).encode()  # compact, as httpx and with it the official SDK sends it
    whole = chat_request("127.0.0.1", body, key=target.key, path=target.path)
    extra = "".join(f"{name}: {value}\r\n" for name, value in target.headers).encode()
    return whole.replace(b"\r\nAccept:", b"\r\n" + extra + b"Accept:", 1)


def order(
    target: Target, kind: Kind, open_calls: int, *, seconds: float, rate: float = 0.0, warm: float = 1.0
) -> Order:
    return Order(
        host="127.0.0.1",
        port=target.port(kind),
        requests=(request(target, kind),),
        connections=open_calls,
        seconds=seconds,
        warm_seconds=warm,
        rate=rate,
        watch=target.pids(),
    )


def measure(target: Target, kind: Kind, open_calls: int, *, seconds: float, rate: float = 0.0, core: int | None) -> Row:
    """Run the load once."""
    return row(
        target, kind, open_calls, rate, load(order(target, kind, open_calls, seconds=seconds, rate=rate), core=core)
    )


def row(target: Target, kind: Kind, open_calls: int, rate: float, got: Report) -> Row:
    cpu_us = got.cpu_ns / 1000
    events = 0.0
    if kind == "single":
        events = got.received / _EVENT_BYTES
    elif kind == "burst":
        events = float(got.calls * EVENTS)
    return Row(
        target=target.name,
        kind=kind,
        open_calls=open_calls,
        rate=rate,
        calls=got.calls,
        failed=got.failed,
        calls_per_s=got.calls / got.seconds,
        cpu_us_per_call=cpu_us / got.calls if got.calls else 0.0,
        cpu_us_per_event=cpu_us / events if events else 0.0,
        cpu_share=got.cpu_ns / 1e9 / got.seconds,
        p50_us=got.p50_us,
        p99_us=got.p99_us,
    )
