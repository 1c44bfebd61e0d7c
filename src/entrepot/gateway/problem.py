"""Error → status and body, per dialect. The only place of the request path that knows status codes."""

from enum import Enum
from typing import NamedTuple

import msgspec

from entrepot.wire.fields import BadField

_encode = msgspec.json.Encoder().encode


class Dialect(Enum):
    """How the caller speaks."""

    OPENAI = "openai"
    AZURE = "azure"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal or failure as the caller sees it. `retry`: None says nothing to the SDK, else `x-should-retry`."""

    status: int
    message: str
    type: str
    code: str
    param: str | None = None
    retry: bool | None = None
    retry_after_ms: int | None = None
    allow: str | None = None
    details: dict[str, str] | None = None  # for `explain`
    lines: bytes = b""  # more header lines, each with its end


REASONS = {
    200: b"OK", 204: b"No Content", 400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden", 404: b"Not Found",
    405: b"Method Not Allowed", 408: b"Request Timeout", 409: b"Conflict", 410: b"Gone", 411: b"Length Required",
    413: b"Content Too Large", 415: b"Unsupported Media Type", 417: b"Expectation Failed",
    422: b"Unprocessable Content",
    429: b"Too Many Requests", 431: b"Request Header Fields Too Large", 500: b"Internal Server Error",
    501: b"Not Implemented", 502: b"Bad Gateway", 503: b"Service Unavailable", 504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}  # fmt: skip


class _Azure(NamedTuple):
    """How Azure says what OpenAI's dialect says otherwise (reference/wire.md 28-32); 0 and "" keep ours."""

    code: str
    status: int = 0
    before: str = ""


_AZURE_BY_CODE = {
    "model_not_found": _Azure("DeploymentNotFound", 0, "The API deployment for this resource does not exist. "),
    "model_retired": _Azure("410", 410),
    "operation_not_supported": _Azure("OperationNotSupported", 400),
    "unknown_url": _Azure("404", 0, "Resource not found. "),
    "not_served": _Azure("404", 0, "Resource not found. "),
    "api_version_missing": _Azure("404", 0, "Resource not found. "),
    "api_version_unknown": _Azure("BadRequest", 0, "API version not supported. "),
    "account_suspended": _Azure("403", 0, "Your resource has been temporarily blocked. "),
    "insufficient_quota": _Azure("insufficient_quota"),
}
_AZURE_BY_STATUS = {
    401: _Azure(
        "401", 0,
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
        "active subscription and use a correct regional API endpoint for your resource. ",
    ),
    429: _Azure("429"),
}  # fmt: skip


def in_dialect(problem: Problem, dialect: Dialect) -> Problem:
    """The problem in the caller's words."""
    if dialect is not Dialect.AZURE:
        return problem
    words = _AZURE_BY_CODE.get(problem.code) or _AZURE_BY_STATUS.get(problem.status)
    if words is None:
        return problem
    message = words.before + problem.message
    if problem.status == 429 and problem.retry_after_ms is not None:
        message += f" Please retry after {-(-problem.retry_after_ms // 1000)} seconds."
    return msgspec.structs.replace(
        problem, code=words.code, status=words.status or problem.status, message=message
    )  # fmt: skip


def body_of(problem: Problem, dialect: Dialect) -> bytes:
    """The JSON body. Azure's has no `param` where there is none (inference-2024-10-21-ga: a string, if it is there)."""
    said = in_dialect(problem, dialect)
    error = {"message": said.message, "type": said.type, "param": said.param, "code": said.code}
    if dialect is Dialect.AZURE and said.param is None:
        del error["param"]
    return _encode({"error": error})


def response(problem: Problem, dialect: Dialect, request_id: str, *, close: bool, lines: bytes = b"") -> bytes:
    """Head and body, ready to write. `lines`: further header lines, each with its end."""
    body = body_of(problem, dialect)
    status = in_dialect(problem, dialect).status
    parts = [
        b"HTTP/1.1 %d %b" % (status, REASONS.get(status, b"Error")),
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        b"x-request-id: " + request_id.encode(),
    ]
    if dialect is Dialect.AZURE:
        parts.append(b"apim-request-id: " + request_id.encode())
    if problem.retry is not None:
        parts.append(b"x-should-retry: " + (b"true" if problem.retry else b"false"))
    if problem.retry_after_ms is not None:
        parts.append(b"retry-after: %d" % -(-problem.retry_after_ms // 1000))
        parts.append(b"retry-after-ms: %d" % problem.retry_after_ms)
    if problem.allow is not None:
        parts.append(b"allow: " + problem.allow.encode())
    if close:
        parts.append(b"connection: close")
    return b"%b\r\n%b%b\r\n%b" % (b"\r\n".join(parts), problem.lines, lines, body)


def stream_error(problem: Problem, dialect: Dialect) -> bytes:
    """An error after the stream has begun: a `data:` line with a top-level `error` (reference/wire.md 40)."""
    return b"data: " + body_of(problem, dialect) + b"\n\n"


# what goes wrong, in the caller's words


def bad_request(message: str, *, param: str | None = None, code: str = "invalid_request", status: int = 400) -> Problem:
    return Problem(status=status, message=message, type="invalid_request_error", code=code, param=param, retry=False)


def bad_field(bad: BadField) -> Problem:
    status = 404 if bad.code == "previous_response_not_found" else 400
    return bad_request(bad.message, param=bad.param, code=bad.code, status=status)


def too_large(size: int, limit: int) -> Problem:
    return bad_request(
        f"The request body is {size:,} bytes; the limit is {limit:,}.", status=413, code="request_too_large"
    )


def too_slow() -> Problem:
    return bad_request(
        "The request was received too slowly: 30 s and 1 s for each 64 KiB, and of a body no 10 s without a byte.",
        status=408,
    )


def bad_key(message: str, code: str = "invalid_api_key") -> Problem:
    return Problem(status=401, message=message, type="authentication_error", code=code)


def unknown_url(method: str, path: str) -> Problem:
    hint = "" if path.startswith(("/v1", "/openai")) else " OpenAI clients use a base URL that ends in /v1."
    return Problem(
        status=404,
        message=f"Unknown request URL: {method} {path}.{hint}",
        type="invalid_request_error",
        code="unknown_url",
    )


def not_served(method: str, path: str, why: str) -> Problem:
    """What the vendors have and we do not, refused by name (DESIGN, promise 7)."""
    return Problem(
        status=404,
        message=f"{why}: {method} {path} has no answer. Served are chat/completions, completions, embeddings, models.",
        type="invalid_request_error",
        code="not_served",
        retry=False,
    )


def no_version(example: str) -> Problem:
    return Problem(
        status=404,
        message=f"This path needs an API version: add ?api-version={example}, or use /openai/v1.",
        type="invalid_request_error",
        code="api_version_missing",
        param="api-version",
    )


def unknown_version(given: str) -> Problem:
    return bad_request(
        f"'{given}' is no version of this API; 2024-10-21 is one, and so is /openai/v1 without any.",
        param="api-version",
        code="api_version_unknown",
    )


def too_many_headers(count: int, limit: int) -> Problem:
    """Azure takes at most ten custom headers (azure-rules §1.10)."""
    return bad_request(
        f"The request has {count} custom headers; the limit is {limit}.", code="too_many_headers", status=431
    )


def wrong_method(method: str, path: str, allow: str) -> Problem:
    return Problem(
        status=405,
        message=f"{method} is not allowed on {path}; use {allow}.",
        type="invalid_request_error",
        code="method_not_allowed",
        allow=allow,
    )


def unknown_model(name: str, usable: list[str], suggestion: str | None) -> Problem:
    """404, the same whether the model exists or not (first-minutes §4.6)."""
    shown = usable[:20]
    meant = f" Did you mean '{suggestion}'?" if suggestion else ""
    if not shown:
        can = " This key can use no model yet."
    else:
        more = f" and {len(usable) - len(shown)} more" if len(usable) > len(shown) else ""
        can = f" This key can use: {', '.join(shown)}{more}."
    return Problem(
        status=404,
        message=f"The model '{name}' does not exist or you do not have access to it.{meant}{can}",
        type="invalid_request_error",
        param="model",
        code="model_not_found",
        retry=False,
    )


def model_retired(name: str, replaced_by: str) -> Problem:
    """404, on Azure 410: this key could use it until it retired."""
    instead = f" Use '{replaced_by}' instead." if replaced_by else ""
    return Problem(
        status=404,
        message=f"The model '{name}' has been retired and is not served any longer.{instead}",
        type="invalid_request_error",
        param="model",
        code="model_retired",
        retry=False,
    )


def not_priced(name: str, request_id: str) -> Problem:
    return Problem(
        status=503,
        message=f"The model '{name}' is not for sale at the moment. Nothing was charged. "
        f"Tell your provider this id: {request_id}.",
        type="server_error",
        param="model",
        code="model_not_priced",
        retry=False,
    )


_PATHS = {"chat": "/chat/completions", "completion": "/completions", "embedding": "/embeddings"}  # after either prefix


def wrong_operation(asked: str, name: str, serves: tuple[str, ...]) -> Problem:
    """OpenAI answers 404 to a model that another endpoint serves, Azure 400 `OperationNotSupported`."""
    paths = " and ".join(_PATHS[each] for each in serves)
    return Problem(
        status=404,
        message=f"The model '{name}' is not served at {_PATHS[asked]}. Did you mean to use {paths}?",
        type="invalid_request_error",
        param="model",
        code="operation_not_supported",
        retry=False,
    )


def spent(message: str, param: str, details: dict[str, str]) -> Problem:
    """429 `insufficient_quota` (first-minutes §4.8): only the keeper may say so. Texts: gateway.shortage."""
    return Problem(
        status=429,
        message=message,
        type="insufficient_quota",
        param=param,
        code="insufficient_quota",
        retry=False,
        details=details,
    )


def held(message: str, param: str, details: dict[str, str]) -> Problem:
    """429 to retry: the money is there, and calls under way hold it."""
    return Problem(
        status=429,
        message=message,
        type="rate_limit_error",
        param=param,
        code="balance_held",
        retry=True,
        retry_after_ms=500,
        details=details,
    )


def lease_unavailable() -> Problem:
    return Problem(
        status=503,
        message="Your balance cannot be checked at the moment. Nothing was charged. Retry in a few seconds.",
        type="server_error",
        code="lease_unavailable",
        retry=True,
        retry_after_ms=2000,
    )


def journal_full() -> Problem:
    return Problem(
        status=503,
        message="New calls cannot be recorded at the moment, so none is begun. Nothing was charged. "
        "Retry in a few seconds.",
        type="server_error",
        code="storage_full",
        retry=True,
        retry_after_ms=5000,
    )


def overloaded(message: str = "The service is busy. Nothing was charged. Retry in a moment.") -> Problem:
    return Problem(status=503, message=message, type="server_error", code="overloaded", retry=True, retry_after_ms=1000)


def internal() -> Problem:
    return Problem(
        status=500,
        message="Something went wrong on our side. Tell your provider the request id.",
        type="server_error",
        code="internal_error",
        retry=False,
    )


def suspended() -> Problem:
    return Problem(
        status=403,
        message="This account is suspended. Ask your provider.",
        type="permission_error",
        code="account_suspended",
        retry=False,
    )


def out_of_contract(begins: str, ended: str) -> Problem:
    """403: the customer's contract is not in force; one of the two instants is given."""
    what = f"begins at {begins}" if begins else f"ended at {ended}"
    return Problem(
        status=403,
        message=f"The contract of this account {what}, so no call is let in now. Ask your provider.",
        type="permission_error",
        code="contract_not_in_force",
        retry=False,
    )


#: Why an attempt brought nothing, per reason of the upstream client.
_FAILED = {
    "connect": (502, "upstream_unreachable", "The model could not be reached. Nothing was charged.", True),
    "reset": (502, "upstream_reset", "The model's server ended the connection early.", True),
    "timeout": (504, "upstream_timeout", "The model did not answer in time.", True),
    "garbage": (502, "upstream_invalid", "The model's server gave an answer that is not valid HTTP.", True),
    "too_large": (502, "upstream_too_large", "The model's answer is larger than can be passed on.", False),
    "busy": (503, "upstream_busy", "Too many calls to this model are under way. Nothing was charged.", True),
    "error": (502, "upstream_error", "The model's server reported an error. Nothing was charged.", True),
    "invalid": (502, "upstream_invalid", "The model's server gave an answer that is not valid.", True),
}


def upstream_failed(reason: str, retry_after_ms: int | None = None) -> Problem:
    status, code, message, retry = _FAILED.get(reason, _FAILED["error"])
    return Problem(
        status=status, message=message, type="server_error", code=code, retry=retry, retry_after_ms=retry_after_ms
    )


def upstream_refused(status: int) -> Problem:
    """The vendor's own word about the request, withheld since it tells more than that, or is no error object."""
    return bad_request(
        "The model's server does not take this request; what it said is about its own house and not passed on.",
        status=status,
        code="upstream_refused",
    )


def upstream_limited(retry_after_ms: int | None, lines: bytes = b"") -> Problem:
    return Problem(
        status=429,
        message="The model is receiving more calls than it can take at the moment. Nothing was charged. Retry later.",
        type="rate_limit_error",
        code="upstream_rate_limited",
        retry=True,
        retry_after_ms=retry_after_ms or 1000,
        lines=lines,
    )
