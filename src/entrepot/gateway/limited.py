"""Refusals by limits, each with the time after which the call may come back."""

from entrepot.gateway.problem import Problem


def rate_limited(
    what: tuple[str, str], figures: tuple[int, int, int], wait_ms: int, lines: bytes, *, tokens: bool
) -> Problem:
    """429: `what` is counted and for whom; `figures` are the limit, what is used of it, and what this call asks for.
    The wait is the window's own: who comes back then is let through if nobody else has come."""
    per, whose = what
    most, used, asked = figures
    estimate = " (its prompt by size and its max_tokens)" if tokens else ""
    return Problem(
        status=429,
        message=f"Rate limit reached for {per} of {whose}: limit {most:,}, used {min(used, most):,}, this call "
        f"{asked:,}{estimate}. Please try again in {wait_ms / 1000:g} s.",
        type="rate_limit_error",
        code="rate_limit_exceeded",
        retry=True,
        retry_after_ms=wait_ms,
        lines=lines,
    )


def above_limit(asked: int, most: int, per: str, whose: str, lines: bytes) -> Problem:
    return Problem(
        status=429,
        message=f"This call asks for {asked:,} (its prompt by size and its max_tokens), and the limit is {most:,} "
        f"{per} of {whose}: it can never fit. Lower max_tokens or shorten the prompt.",
        type="rate_limit_error",
        code="rate_limit_exceeded",
        retry=False,
        lines=lines,
    )


def too_many_at_once(most: int, whose: str, wait_ms: int, lines: bytes) -> Problem:
    return Problem(
        status=429,
        message=f"The limit of {whose} is {most:,} calls at once, and so many are under way. Retry when one has ended.",
        type="rate_limit_error",
        code="concurrency_limit_exceeded",
        retry=True,
        retry_after_ms=wait_ms,
        lines=lines,
    )


def limit_unavailable() -> Problem:
    return Problem(
        status=503,
        message="Your rate limit cannot be checked at the moment. Nothing was charged. Retry in a second.",
        type="server_error",
        code="limit_unavailable",
        retry=True,
        retry_after_ms=1000,
    )
