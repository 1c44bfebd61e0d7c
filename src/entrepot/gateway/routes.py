"""Which operation is asked for? Authorisation and handling hang on the matched route, never on the text of the URL."""

from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from entrepot.gateway import problem
from entrepot.gateway.problem import Dialect, Problem
from entrepot.wire.http1 import RequestHead

SEEN_LIMIT = 4 * 1024


class Route(msgspec.Struct, frozen=True):
    """A matched route: authorisation and handling hang on this value, never on the text of the URL."""

    operation: str
    dialect: Dialect
    deployment: str = ""
    public: bool = False
    method: str = "GET"


_CHAT = b"/v1/chat/completions"
_MODELS = b"/v1/models"
_ONE_MODEL = b"/v1/models/"
_AZURE = b"/openai/deployments/"
_AZURE_CHAT = b"/chat/completions"
_OPENAI_CHAT = Route(operation="chat", dialect=Dialect.OPENAI, method="POST")
_OPENAI_MODELS = Route(operation="models", dialect=Dialect.OPENAI)
_HEALTH = Route(operation="health", dialect=Dialect.OPENAI, public=True)
_KNOWN = {
    _CHAT: ("POST", _OPENAI_CHAT),
    _MODELS: ("GET", _OPENAI_MODELS),
    b"/healthz": ("GET", _HEALTH),
}


def match(head: RequestHead) -> Route | Problem:
    """The route of a request; whatever is not in the table does not exist."""
    known = _KNOWN.get(head.path)
    if known is None:
        return _named(head)
    method, route = known
    if head.method.decode("ascii") == method or (method == "GET" and head.method == b"HEAD"):
        return route
    return problem.wrong_method(_text(head.method), _text(head.path), method)


def _named(head: RequestHead) -> Route | Problem:
    """Paths that name the model: that of one model, and Azure's classic ones."""
    path = head.path
    if path.startswith(_ONE_MODEL) and len(path) > len(_ONE_MODEL):
        if head.method not in (b"GET", b"HEAD"):
            return problem.wrong_method(_text(head.method), _text(path), "GET")
        return Route(operation="models", dialect=Dialect.OPENAI, deployment=_name(path[len(_ONE_MODEL) :]))
    if path.startswith(_AZURE) and path.endswith(_AZURE_CHAT) and len(path) > len(_AZURE) + len(_AZURE_CHAT):
        name = _name(path[len(_AZURE) : -len(_AZURE_CHAT)])
        if "/" not in name:
            if head.method != b"POST":
                return problem.wrong_method(_text(head.method), _text(path), "POST")
            return Route(operation="chat", dialect=Dialect.AZURE, deployment=name, method="POST")
    return problem.unknown_url(_text(head.method), _text(path))


class Seen(NamedTuple):
    """The head of the last request on a connection, cut open at its length: an SDK sends the same with each call."""

    before: bytes
    after: bytes
    head: RequestHead
    route: Route
    caller: object


def remember(block: bytes, head: RequestHead, route: Route, caller: object) -> Seen | None:
    """What to compare the next head with; None for one that is better read afresh."""
    if head.length is None or head.expect_continue or len(block) > SEEN_LIMIT:
        return None
    at = block.lower().find(b"\r\ncontent-length:") + 17
    value = block[at : block.find(b"\r\n", at)]
    at += len(value) - len(value.lstrip(b" \t"))
    return Seen(block[:at], block[at + len(value.strip(b" \t")) :], head, route, caller)


def _name(raw: bytes) -> str:
    return unquote(raw.decode("ascii", "replace"))


def _text(raw: bytes) -> str:
    return raw[:200].decode("ascii", "replace")
