"""Error → status and body of the admin API: `{"error": {"code", "message", …}}`."""

from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.text import plain

#: How fields are written that have a pattern, for the models of `control/api` and for the words of a refusal.
AMOUNT = r"^[0-9]{1,18}(\.[0-9]{1,18})?$"
CURRENCY = "^[A-Z]{3}$"
MONTH = "^20[0-9]{2}-(0[1-9]|1[0-2])$"
_PATTERNS = {
    AMOUNT: "is an amount of money: at most 18 digits before and after the point, without separators, like 99.50",
    CURRENCY: "is a currency: three capital letters, like USD",
    MONTH: "is a month, YYYY-MM, like 2026-10",
}
#: Kind of a validator's error → words; `{…}` stands for its facts. Never the value: it may be a secret.
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not known here: leave it out",
    "string_type": "is a text",
    "string_too_short": "is a text of at least {min_length} characters",
    "string_too_long": "is a text of at most {max_length:,} characters",
    "string_pattern_mismatch": "{pattern}",
    "string_unicode": "is a text in UTF-8",
    "int_type": "is a whole number",
    "int_parsing": "is a whole number",
    "int_from_float": "is a whole number",
    "greater_than_equal": "is at least {ge:,}",
    "less_than_equal": "is at most {le:,}",
    "literal_error": "is one of {expected}",
    "bool_type": "is true or false",
    "bool_parsing": "is true or false",
    "list_type": "is a list",
    "dict_type": "is an object",
    "model_attributes_type": "is an object",
}


class NotFound(EntrepotError):
    """Nothing here has this name."""

    code = "not_found"
    fault = Fault.CALLER


class Mistaken(EntrepotError):
    """The request itself is wrong: a parameter that does not parse."""

    code = "bad_request"
    fault = Fault.CALLER


class NotAllowed(EntrepotError):
    """Wrong token, wrong Host, or a route that this token may not use."""

    code = "not_permitted"
    fault = Fault.CALLER


class KeeperUnreachable(EntrepotError):
    """The keeper did not answer in time; whether it acted is not known unless it refused the connection."""

    code = "keeper_unreachable"
    retryable = True


class Refused(EntrepotError):
    """What the keeper answered to a command; `details` are its further facts."""

    fault = Fault.CALLER

    def __init__(self, code: str, message: str, details: dict[str, Any]) -> None:
        super().__init__(message, code=code)
        self.details = details


_STATUS = {
    "bad_request": 400, "invalid_token": 401, "not_permitted": 403, "host_not_allowed": 403, "not_found": 404,
    "usage_question": 400,
    "keeper_unreachable": 503, "database_unavailable": 503, "internal_error": 500,
}  # fmt: skip


def status_of(error: EntrepotError) -> int:
    """HTTP status; a rule that says no is 409, unless the code has a status of its own."""
    if error.code in _STATUS:
        return _STATUS[error.code]
    if error.retryable:
        return 503
    return {Fault.CALLER: 409, Fault.UPSTREAM: 502, Fault.US: 500}[error.fault]


def body_of(error: EntrepotError) -> dict[str, Any]:
    """`details` of a keeper's answer and the `issues` of a document stand beside code and message."""
    details: dict[str, Any] = dict(getattr(error, "details", None) or {})
    issues = getattr(error, "issues", None)
    if issues:
        details["issues"] = msgspec.to_builtins(issues)
    return {"error": {**details, "code": error.code, "message": error.message}}


def answer(error: EntrepotError) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if error.code == "invalid_token" else {}
    return JSONResponse(body_of(error), status_of(error), headers=headers)


async def _named(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, EntrepotError)
    return answer(error)


async def _misread(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    issues = [_issue(each) for each in error.errors()] or [{"where": "request", "message": "the request: not readable"}]
    problem = Mistaken("; ".join(each["message"] for each in issues[:3]))
    return JSONResponse({"error": {**body_of(problem)["error"], "issues": issues}}, 400)


def _issue(error: Any) -> dict[str, str]:
    """Where, and what is so, in our words."""
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "json_invalid":
        return {"where": where, "message": "the body is not JSON"}
    name = ".".join(map(str, error["loc"][1:])) or f"the {where}"
    facts = dict(error.get("ctx") or {})
    if "pattern" in facts:
        facts["pattern"] = _PATTERNS.get(facts["pattern"], f"is written like {facts['pattern']}")
    words = _WORDS.get(error["type"])
    said = words.format(**facts) if words else str(error["msg"])
    if error["type"] == "literal_error" and error["loc"][0] == "query":
        name = f"{name} {str(error['input'])[:80]!r} is not known: it"  # of a short list, and in the address anyway
    return {"where": where, "message": plain(f"{name} {said}")}


async def _plain(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "bad_request")
    asked = plain(f"{request.method} {request.url.path}")
    words = {404: f"the admin API has nothing at {asked}", 405: f"the admin API does not know {asked}"}
    message = words.get(error.status_code, str(error.detail))
    return JSONResponse({"error": {"code": code, "message": message}}, error.status_code)


async def _database(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, OperationalError)
    return answer(EntrepotError(f"the database does not answer: {error.orig}", code="database_unavailable"))


async def _unexpected(_request: Request, error: Exception) -> JSONResponse:
    return answer(EntrepotError(f"{type(error).__name__}: {error}"))


def install(app: FastAPI) -> None:
    """One place where an exception becomes an answer."""
    app.add_exception_handler(EntrepotError, _named)
    app.add_exception_handler(RequestValidationError, _misread)
    app.add_exception_handler(HTTPException, _plain)
    app.add_exception_handler(OperationalError, _database)
    app.add_exception_handler(Exception, _unexpected)
