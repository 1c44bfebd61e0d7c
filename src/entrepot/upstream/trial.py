"""Does an upstream answer, with this address and this credential? A person asks; the request path has no part in it.

First the vendor's list of models, which costs nothing. A vendor without one gets a call of one token.
"""

import time
from typing import Any

import httpx
import msgspec

from entrepot.upstream.address import path_of
from entrepot.upstream.client import Target

TIMEOUT_S = 20.0
_NO_LIST = (404, 405, 501)
_ANSWER_LIMIT = 8 * 1024 * 1024  # a list of models; OpenAI's is 20 KB
_BODIES: dict[str, dict[str, object]] = {
    "chat": {"messages": [{"role": "user", "content": "1"}], "max_tokens": 1},
    "completion": {"prompt": "1", "max_tokens": 1},
    "embedding": {"input": "1"},
}


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked and what came. `status` 0: nothing did, and `trouble` says why."""

    did: str
    status: int = 0
    ms: float = 0.0
    trouble: str = ""
    listed: tuple[str, ...] | None = None  # the vendor's models, where it lists them

    @property
    def good(self) -> bool:
        return self.status == 200 and not self.trouble


async def try_upstream(  # noqa: PLR0917 what an upstream is, and what to ask for
    dialect: str, url: str, api_version: str, secret: str, socket: str, vendor_model: str, operation: str
) -> Trial:
    """Ask for the models; where the vendor lists none, call `vendor_model` with one token. `socket`: of the built-in
    model, else ""."""
    target = Target("http://builtin/v1" if socket else url)
    name, value = ("api-key", secret) if dialect == "azure" else ("authorization", f"Bearer {secret}")
    transport = httpx.AsyncHTTPTransport(uds=socket) if socket else None
    base = f"{'https' if target.tls else 'http'}://{target.authority}"
    async with httpx.AsyncClient(
        base_url=base, transport=transport, timeout=TIMEOUT_S, follow_redirects=False, trust_env=False,
        headers={name: value, "user-agent": "entrepot"} if secret else {"user-agent": "entrepot"},
    ) as client:  # fmt: skip
        path = path_of(dialect, target.path, api_version, "models", "")
        found = await _ask(client, "GET", path, None, "asked for its models")
        if found.status not in _NO_LIST or not vendor_model:
            return found
        path = path_of(dialect, target.path, api_version, operation, vendor_model)
        body = {"model": vendor_model, **_BODIES[operation]}
        did = f"it lists no models, so {vendor_model} was called with one token"
        return await _ask(client, "POST", path, body, did)


async def _ask(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, object] | None, did: str
) -> Trial:
    start = time.monotonic()
    did = f"{did}: {method} {path}"
    try:
        async with client.stream(method, path, json=body) as answer:
            data = b""
            async for part in answer.aiter_bytes():
                data += part
                if len(data) > _ANSWER_LIMIT:
                    return Trial(did=did, status=answer.status_code, trouble="the answer is larger than 8 MiB")
    except httpx.TimeoutException:
        return Trial(did=did, ms=_since(start), trouble=f"no answer within {TIMEOUT_S:.0f} s")
    except httpx.HTTPError as failure:
        return Trial(did=did, ms=_since(start), trouble=str(failure) or type(failure).__name__)
    listed, trouble = None, ""
    if answer.status_code != 200:
        trouble = _words(data) or answer.reason_phrase
    elif body is None:
        listed = _models(data)
        trouble = "" if listed is not None else "the answer is no list of models"
    return Trial(did=did, status=answer.status_code, ms=_since(start), trouble=trouble, listed=listed)


def _since(start: float) -> float:
    return round((time.monotonic() - start) * 1000, 1)


def _read(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _models(data: bytes) -> tuple[str, ...] | None:
    read = _read(data)
    rows = read.get("data") if isinstance(read, dict) else None
    if not isinstance(rows, list):
        return None
    return tuple(str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row)


def _words(data: bytes) -> str:
    """The vendor's own words of an error, shortened: they are for the operator."""
    read = _read(data)
    error = read.get("error") if isinstance(read, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return str(message)[:300] if message else ""
