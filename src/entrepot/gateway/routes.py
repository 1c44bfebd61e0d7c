"""Which operation is asked for? Authorisation and handling hang on the matched route, never on the text of the URL."""

import re
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

import msgspec

from entrepot.gateway import problem
from entrepot.gateway.problem import Dialect, Problem
from entrepot.kernel.instants import parse
from entrepot.wire.http1 import RequestHead

SEEN_LIMIT = 4 * 1024
#: Azure's dated versions of the inference API: generally available ones by name (AZ: api-version lifecycle, 2026);
#: previews by their form, since a new one comes nearly every month and all have the same three operations.
GENERAL_VERSIONS = ("2022-12-01", "2023-05-15", "2024-02-01", "2024-06-01", "2024-10-21")
FIRST_PREVIEW = "2023-03-15"
_PREVIEW = re.compile(r"(\d{4}-\d{2}-\d{2})-preview", re.ASCII)
_V1_VERSIONS = ("", "v1", "preview", "latest")


class Route(msgspec.Struct, frozen=True):
    """A matched route: authorisation and handling hang on this value, never on the text of the URL."""

    operation: str
    dialect: Dialect
    deployment: str = ""
    public: bool = False
    method: str = "GET"

    @property
    def takes_body(self) -> bool:
        return self.method == "POST"


_PATHS = {b"/chat/completions": "chat", b"/completions": "completion", b"/embeddings": "embedding"}
_CALLS = {
    prefix + path: Route(operation, dialect, method="POST")
    for prefix, dialect in ((b"/v1", Dialect.OPENAI), (b"/openai/v1", Dialect.AZURE))
    for path, operation in _PATHS.items()
}
_CLASSIC = {path: Route(operation, Dialect.AZURE, method="POST") for path, operation in _PATHS.items()}
_LISTS = {
    b"/v1/models": Route("models", Dialect.OPENAI),
    b"/openai/v1/models": Route("models", Dialect.AZURE),
    b"/openai/models": Route("models", Dialect.AZURE),
    b"/healthz": Route("health", Dialect.OPENAI, public=True),
}
_KNOWN = _CALLS | _LISTS
_CORS = Route("cors", Dialect.OPENAI, public=True, method="OPTIONS")
_AZURE = b"/openai"
_AZURE_V1 = b"/openai/v1/"
_DEPLOYMENTS = b"/openai/deployments/"
#: What the vendors have and we do not: first part of the path → why. What keeps something, by promise 7.
_NOT_SERVED = {
    "responses": "Responses are kept by their service, and nothing is kept here",
    "conversations": "Conversations are kept by their service, and nothing is kept here",
    "files": "Files are not kept here",
    "uploads": "Files are not kept here",
    "batches": "Batches are not served",
    "vector_stores": "Vector stores are not kept here",
    "assistants": "Assistants and threads are not kept here",
    "threads": "Assistants and threads are not kept here",
    "fine_tuning": "Fine-tuning is not served",
    "images": "Images are not served",
    "audio": "Audio is not served as an operation of its own",
    "moderations": "Moderations are not served",
    "realtime": "Realtime is not served",
}


def match(head: RequestHead) -> Route | Problem:
    """The route of a request; whatever is not in the table does not exist."""
    method = head.method
    if method == b"OPTIONS":
        return _CORS
    known = _KNOWN.get(head.path) or _named(head)
    if isinstance(known, Problem):
        return known
    if method != known.method.encode() and not (known.method == "GET" and method == b"HEAD"):
        return problem.wrong_method(_text(method), _text(head.path), known.method)
    if known.dialect is Dialect.AZURE:
        return _version_trouble(head) or known
    return known


def dialect_of(head: RequestHead | None) -> Dialect:
    """How a caller speaks whose request has no route."""
    return Dialect.AZURE if head is not None and head.path.startswith(_AZURE) else Dialect.OPENAI


def _named(head: RequestHead) -> Route | Problem:
    """Paths that name the model: that of one model, and Azure's classic ones."""
    path = head.path
    for prefix, route in _LISTS.items():
        if route.operation == "models" and path.startswith(prefix + b"/") and len(path) > len(prefix) + 1:
            return msgspec.structs.replace(route, deployment=_name(path[len(prefix) + 1 :]))
    if path.startswith(_DEPLOYMENTS):
        deployment, slash, rest = path[len(_DEPLOYMENTS) :].partition(b"/")
        classic = _CLASSIC.get(slash + rest)
        if deployment and classic is not None:
            return msgspec.structs.replace(classic, deployment=_name(deployment))
    base = next((base for base in (b"/v1/", _AZURE_V1, b"/openai/") if path.startswith(base)), None)
    noun = _text(path[len(base) :]).partition("/")[0] if base else ""
    if path.startswith(_DEPLOYMENTS):
        noun = _text(path).split("/")[4] if path.count(b"/") > 3 else ""
    if noun in _NOT_SERVED:
        return problem.not_served(_text(head.method), _text(path), _NOT_SERVED[noun])
    return problem.unknown_url(_text(head.method), _text(path))


def _version_trouble(head: RequestHead) -> Problem | None:
    """Azure refuses a classic path without an api-version that it knows; /openai/v1 needs none."""
    given = [value for name, value in parse_qsl(head.query.decode("ascii", "replace")) if name == "api-version"]
    version = given[0] if len(set(given)) == 1 else ""
    if head.path.startswith(_AZURE_V1):
        return None if len(given) < 2 and version in _V1_VERSIONS else problem.unknown_version(", ".join(given)[:100])
    if not given:
        return problem.no_version(GENERAL_VERSIONS[-1])
    if version in GENERAL_VERSIONS:
        return None
    preview = _PREVIEW.fullmatch(version)
    if preview is not None and preview[1] >= FIRST_PREVIEW and _is_day(preview[1]):
        return None
    return problem.unknown_version(", ".join(given)[:100])


def _is_day(text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


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
