"""What a limit says: so many tokens a minute, so many requests a window, so many calls at once."""

from typing import Final, Literal

import msgspec

from entrepot.kernel.errors import EntrepotError

WINDOWS_S: Final = (1, 10, 60)


class LimitBroken(EntrepotError):
    """What was declared cannot be a limit."""

    code = "limit_broken"


class Limit(msgspec.Struct, frozen=True):
    """One declared limit. 0 means that this number is not limited."""

    id: str  # unique in the house and the same for as long as the limit is the same one, whatever its numbers
    tokens: int = 0  # a minute
    requests: int = 0  # per `window_s`
    window_s: Literal[1, 10, 60] = 60
    concurrent: int = 0  # calls at once

    def __post_init__(self) -> None:
        if min(self.tokens, self.requests, self.concurrent) < 0:
            raise LimitBroken(
                f"limit {self.id}: tokens {self.tokens}, requests {self.requests}, concurrent {self.concurrent}: none "
                "may be below 0; 0 means not limited"
            )
        if self.window_s not in WINDOWS_S:
            raise LimitBroken(f"limit {self.id}: a window of {self.window_s} s; it is 1, 10 or 60")
