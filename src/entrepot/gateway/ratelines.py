"""What a caller is told about its limits: header lines of every answer, and the refusal with the time to wait.

`remaining` is the limit less what this worker's window holds, less what other workers last said that theirs hold (once
a second). What a refusal says to wait is computed from the same windows.
"""

from collections.abc import Callable, Sequence

from entrepot.gateway import limited
from entrepot.gateway.problem import Problem
from entrepot.limits.rate import NEVER, SUB_BUCKETS, Meter, Schedule, free_in

_CALLS_RETRY_MS = 1_000  # when a call ends nobody knows


class SharedMeter(Meter):
    """A meter with what is known of other workers' part of it."""

    __slots__ = ("_others", "_others_until", "asking", "elsewhere", "idle_since", "quiet_until", "told", "whose")

    def __init__(self, name: str, most: int, width: int, life: int) -> None:
        super().__init__(name, most, width, life)
        self.whose = ""  # in the caller's words
        self.asking = False
        self.quiet_until = 0  # the keeper has nothing to give before
        self.elsewhere: Schedule = ()  # when what others have is free, as instants of this worker's clock
        self.told = 0
        self.idle_since = 0
        self._others = 0
        self._others_until = 0

    def others(self, used: int, until: int) -> None:
        """What other workers use, and when that will be free."""
        self._others = used
        self._others_until = until if self.width else NEVER

    def short(self, elsewhere: Schedule, now: int) -> int:
        """The keeper has nothing to give, and this is when what others have is free; the first such instant."""
        told = tuple((now + wait if wait < NEVER else NEVER, amount) for wait, amount in elsewhere if wait > 0)
        self.elsewhere = told
        self.others(sum(amount for _, amount in told), max((at for at, _ in told if at < NEVER), default=now))
        return min((at for at, _ in told), default=now)

    def used_in_all(self, now: int) -> int:
        return self.used + self._others if now < self._others_until else self.used

    def remaining(self, now: int) -> int:
        if now >= self.turn_at:
            self.turn(now)
        left = self.most - self.used - (self._others if now < self._others_until else 0)
        return left if left > 0 else 0

    def reset_in(self, now: int) -> int:
        """µs until all of the limit is there again, if no other call comes."""
        at = self.index % SUB_BUCKETS  # the common case: something was taken just now
        own = (self.index + SUB_BUCKETS) * self.width - now if self._amounts[at] else self.empty_in(now)
        if self._others and now < self._others_until:
            return max(own, self._others_until - now)
        return own


class Allowance:
    """The meters that apply to the calls of one offer: a call takes one request, its tokens, and one call at once."""

    __slots__ = ("_clock", "calls", "every", "requests", "tokens")

    def __init__(
        self, requests: Sequence[SharedMeter], tokens: Sequence[SharedMeter], calls: Sequence[SharedMeter],
        clock: Callable[[], int],
    ) -> None:  # fmt: skip
        self.requests = tuple(requests)
        self.tokens = tuple(tokens)
        self.calls = tuple(calls)
        self.every = (*requests, *tokens, *calls)
        self._clock = clock

    def told(self) -> bytes:
        """Header lines as they are now."""
        return self.lines(self._clock())

    def amount(self, meter: SharedMeter, tokens: int) -> int:
        """What a call with so many tokens takes of a meter."""
        return tokens if meter in self.tokens else 1

    def lines(self, now: int) -> bytes:
        """`x-ratelimit-*` of the tightest limit of each kind (reference/wire.md 15)."""
        found = b""
        if self.requests:
            found = _REQUESTS % _figures(self.requests, now)
        if self.tokens:
            found += _TOKENS % _figures(self.tokens, now)
        return found


class Taken:
    """What a call has taken of its limits; `end` says once what became of it."""

    __slots__ = ("_allowance", "_second", "tokens")

    def __init__(self, allowance: Allowance, tokens: int) -> None:
        """To be made in the turn in which it was taken."""
        self._allowance = allowance
        self._second = allowance.tokens[0].index if allowance.tokens else 0
        self.tokens = tokens

    def end(self, tokens: int) -> None:
        """Its calls at once are free again, its estimate becomes what was used; the request stays counted."""
        for meter in self._allowance.calls:
            meter.correct(0, -1)
        if tokens != self.tokens:
            for meter in self._allowance.tokens:
                meter.correct(self._second, tokens - self.tokens)


_LINES = b"x-ratelimit-limit-{0}: %d\r\nx-ratelimit-remaining-{0}: %d\r\nx-ratelimit-reset-{0}: %b\r\n"
_REQUESTS = _LINES.replace(b"{0}", b"requests")
_TOKENS = _LINES.replace(b"{0}", b"tokens")


def _figures(meters: tuple[SharedMeter, ...], now: int) -> tuple[int, int, bytes]:
    meter = meters[0]
    left = meter.remaining(now)
    if len(meters) > 1:
        for other in meters:
            less = other.remaining(now)
            if less < left:
                meter, left = other, less
    reset = meter.reset_in(now)
    return meter.most, left, _SECONDS[-(-reset // 1_000_000)] if 1_000_000 < reset < _TABLE else duration(reset)


_TABLE = 3_600_000_000
_SECONDS = tuple(b"%ds" % s if s < 60 else b"%dm%ds" % divmod(s, 60) for s in range(3_601))


def duration(us: int) -> bytes:
    """As OpenAI writes one: 20ms, 1s, 1m1s; above a second in whole seconds, rounded up."""
    if us <= 1_000_000:
        ms = -(-us // 1000)
        return b"%dms" % ms if ms < 1000 else b"1s"
    seconds = -(-us // 1_000_000)
    return _SECONDS[seconds] if seconds <= 3_600 else b"%dm%ds" % divmod(seconds, 60)


def refusal(allowance: Allowance, tokens: int, now: int, *, known: bool) -> Problem | None:
    """Why this call has no room and when it will, by the meter that takes longest. `known`: the keeper has said what
    others have; without it only this worker's own share counts, and None means that the share alone is what is short.
    """
    worst: SharedMeter | None = None
    longest = -1
    for meter in allowance.every:
        meter.turn(now)
        amount = allowance.amount(meter, tokens)
        if meter.used + amount <= meter.room:
            continue
        if amount > meter.most:
            return limited.above_limit(amount, meter.most, _per(meter), meter.whose, allowance.lines(now))
        wait = _CALLS_RETRY_MS * 1000 if not meter.width else _wait(meter, amount, now, known=known)
        if wait > longest:
            worst, longest = meter, wait
    if worst is None or longest >= NEVER:
        return None
    wait_ms = max(1, -(-longest // 1000))
    if not worst.width:
        return limited.too_many_at_once(worst.most, worst.whose, wait_ms, allowance.lines(now))
    amount = allowance.amount(worst, tokens)
    used = worst.used_in_all(now)
    return limited.rate_limited(
        (_per(worst), worst.whose), (worst.most, used, amount), wait_ms, allowance.lines(now),
        tokens=worst in allowance.tokens,
    )  # fmt: skip


def _wait(meter: SharedMeter, amount: int, now: int, *, known: bool) -> int:
    """µs until `amount` fits into the share in hand, or into the limit once the keeper can be asked again."""
    own = meter.schedule(now)
    wait = free_in(amount, meter.room, (own,))
    if known:
        elsewhere = tuple((at - now, size) for at, size in meter.elsewhere if at > now)
        wait = min(wait, max(free_in(amount, meter.most, (own, elsewhere)), meter.quiet_until - now))
    return wait


def _per(meter: SharedMeter) -> str:
    """What is counted, over which time."""
    kind = meter.name.rpartition(":")[2]
    if kind == "tokens":
        return "tokens per minute"
    window = kind.partition("/")[2]
    return {"60": "requests per minute", "1": "requests per second"}.get(window, f"requests per {window} s")
