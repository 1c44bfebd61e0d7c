"""Who sends this request? The credential that its headers present, and whom it was found to belong to."""

from collections.abc import Mapping
from typing import Protocol

from entrepot.gateway import problem
from entrepot.gateway.problem import Problem
from entrepot.snapshot import CustomerEntry, KeyEntry

_CREDENTIALS = (b"api-key", b"x-api-key")  # beside the Authorization header


class Known(Protocol):
    """A connection, as far as this question goes."""

    @property
    def caller(self) -> object: ...


def credential(headers: Mapping[bytes, bytes]) -> bytes | Problem:
    """The one credential of a request, or why there is none."""
    sent = {value for name in _CREDENTIALS if (value := headers.get(name)) is not None}
    bearer = headers.get(b"authorization")
    if bearer is not None:
        if bearer[:7].lower() != b"bearer ":
            return problem.bad_key("The Authorization header has to read: Bearer YOUR_API_KEY.")
        sent.add(bearer[7:].strip())
    if not sent:
        return problem.bad_key(
            "No API key came with this request. Send it as 'Authorization: Bearer YOUR_API_KEY' or as 'api-key'.",
            code="missing_api_key",
        )
    if len(sent) > 1:
        return problem.bad_request("Two different credentials came with this request: send one.", status=400)
    return sent.pop()


def caller_of(connection: Known) -> tuple[KeyEntry, CustomerEntry]:
    """Who `allow` found behind the credential; every route that is not public has one."""
    caller = connection.caller
    if not isinstance(caller, tuple):
        raise TypeError("a route was handled before its caller was known")
    return caller
