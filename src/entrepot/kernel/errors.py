"""One root for every error that Entrepot names."""

from enum import Enum


class Fault(Enum):
    """Who has to do something about it."""

    CALLER = "caller"
    UPSTREAM = "upstream"
    US = "us"


class EntrepotError(Exception):
    """An error with a stable code. The message says what, the value, the limit and the way out; never a secret, a
    prompt or an answer."""

    code: str = "internal_error"
    fault: Fault = Fault.US
    retryable: bool = False

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
