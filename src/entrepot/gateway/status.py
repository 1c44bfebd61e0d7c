"""What this worker says about itself over a local socket: answers that may be lost and change nothing for calls."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from entrepot.gateway.problem import Problem
from entrepot.kernel.instants import Instant
from entrepot.snapshot import KeyEntry

if TYPE_CHECKING:
    from entrepot.gateway.app import Gateway

Answer = Callable[[dict[str, Any]], dict[str, Any]]
REFUSALS_KEPT = 10_000
_TROUBLE_KEPT = 100
_LINE_LIMIT = 4_096
_NAME_MOST, _MESSAGE_MOST = 200, 2_000  # both may hold what a customer wrote, of any length


class Refusals:
    """The last 10,000 refusals of authenticated keys, and what went wrong with upstreams."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._needs: dict[tuple[str, str], dict[str, Any]] = {}
        self._trouble: dict[str, dict[str, Any]] = {}
        self.count = 0

    def add(self, request_id: str, at: Instant, key: KeyEntry, model: str, trouble: Problem) -> None:
        self.count += 1
        self._kept[request_id] = {
            "at": at, "customer": key.customer, "project": key.project, "key": key.id,
            "model": model[:_NAME_MOST], "status": trouble.status, "code": trouble.code,
            "message": trouble.message[:_MESSAGE_MOST], **({"details": trouble.details} if trouble.details else {}),
        }  # fmt: skip
        if len(self._kept) > REFUSALS_KEPT:
            self._kept.popitem(last=False)
        if trouble.code == "model_not_priced":
            need = self._needs.setdefault(
                ("not_priced", model), {"kind": "not_priced", "model": model, "since": at, "count": 0}
            )
            need["count"] += 1

    def trouble(self, upstream: str, status: int, at: Instant) -> None:
        """A vendor's error: 401 and 403 mean that our credential is not accepted."""
        if upstream in self._trouble or len(self._trouble) < _TROUBLE_KEPT:
            entry = self._trouble.setdefault(upstream, {"upstream": upstream, "since": at, "count": 0})
            entry["count"] += 1
            entry["status"] = status
            entry["last"] = at

    def find(self, request_id: str) -> dict[str, Any]:
        found = self._kept.get(request_id)
        return {"found": False} if found is None else {"found": True, "id": request_id, **found}

    def summary(self) -> dict[str, Any]:
        return {"refused": self.count, "needs": list(self._needs.values()), "trouble": list(self._trouble.values())}


def questions(gateway: "Gateway") -> dict[str, Answer]:
    """What may be asked of a worker, by the word in `ask`."""
    return {
        "status": lambda _: gateway.status(),
        "refusal": lambda question: gateway.refusals.find(str(question.get("id", ""))),
        "key": lambda question: _key(gateway, str(question.get("id", ""))),
        "held": lambda question: _held(gateway, str(question.get("customer", ""))),
        "live": lambda _: _live(gateway),
    }


def _key(gateway: "Gateway", key_id: str) -> dict[str, Any]:
    """Whether this key's books may still move: calls under way, and refusals that are not yet in the journal."""
    calls = (*gateway.open.values(), *gateway.ending.values())
    untold = sum(n for mark, n in gateway.tally.items() if mark.startswith(f"{key_id} "))
    return {"open": sum(exchange.offer.key.id == key_id for exchange in calls), "untold": untold}


def _held(gateway: "Gateway", customer: str) -> dict[str, Any]:
    """What this customer's calls under way hold, in ledger units."""
    return {"held": sum(each.hold for each in gateway.open.values() if each.offer.customer.id == customer)}


def _live(gateway: "Gateway") -> dict[str, Any]:
    under_way: dict[tuple[str, str], int] = {}
    for exchange in gateway.open.values():
        terms = exchange.offer.terms
        pair = (terms.customer, terms.deployment)
        under_way[pair] = under_way.get(pair, 0) + 1
    return {"slot": gateway.slot, "epoch": gateway.epoch, "at": gateway.now(), "rows": gateway.live.rows(under_way)}


async def serve_status(path: Path, asked: Mapping[str, Answer]) -> asyncio.Server:
    """Answer one JSON line per JSON line on a local socket: {"ask": "status"} or {"ask": "refusal", "id": …}."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await asyncio.wait_for(reader.readline(), 10):
                try:
                    question = msgspec.json.decode(line, type=dict[str, Any])
                except (msgspec.DecodeError, msgspec.ValidationError):
                    break
                answer = asked.get(str(question.get("ask"))) or asked["status"]
                writer.write(msgspec.json.encode(answer(question)) + b"\n")
                await writer.drain()
        except (OSError, TimeoutError, ValueError):
            pass
        finally:
            writer.close()

    path.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(talk, str(path), limit=_LINE_LIMIT, start_serving=False)
    path.chmod(0o600)  # what it tells are customers' calls
    await server.start_serving()
    return server
