"""The shares of limits that this worker has: what a call takes of them, and its talk with the keeper about more.

With room in its shares a call compares a few integers and waits for nobody. Without, the keeper is asked once and the
call waits at most 250 ms; while the keeper has nothing to give, calls are refused at once, until something runs off.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from entrepot.gateway import limited
from entrepot.gateway.problem import Problem
from entrepot.gateway.ratelines import Allowance, SharedMeter, refusal
from entrepot.limits.message import Ask, Cede, Ceded, FromKeeper, Leaving, Others, Share, ToKeeper, Using
from entrepot.limits.rate import width_of
from entrepot.limits.share import Held
from entrepot.snapshot import LimitEntry

WAIT_S: Final = 0.25  # as for money: the keeper is asked once, this long
_SECOND: Final = 1_000_000
_QUIET_LEAST: Final = _SECOND // 10  # between two questions that the keeper answers with nothing
_QUIET_MOST: Final = _SECOND
_WAITERS_LIMIT: Final = 10_000
_IDLE_S: Final = 600  # a share that was not used so long goes back
_ROWS: Final = 2_000  # of one message: below 100 KiB
_USUAL: Final = 500  # tokens of an answer without a cap, before one was seen

#: Called once with None when everything was taken, else with the refusal.
Decided = Callable[[Problem | None], None]


class Loop(Protocol):
    """What is asked of the event loop."""

    def call_later(self, delay: float, callback: Callable[..., None], /) -> object: ...


class Waiter:
    """A call that waits for a share."""

    __slots__ = ("allowance", "decided", "over", "tokens")

    def __init__(self, allowance: Allowance, tokens: int, decided: Decided) -> None:
        self.allowance = allowance
        self.tokens = tokens
        self.decided = decided
        self.over = False


class Rates:
    """All shares of this worker. `clock`: µs that never step."""

    def __init__(self, loop: Loop, clock: Callable[[], int]) -> None:
        self._loop = loop
        self.clock = clock
        self._meters: dict[str, SharedMeter] = {}
        self._waiting: dict[SharedMeter, deque[Waiter]] = {}
        self._waiters = 0
        self._send: Callable[[ToKeeper], None] | None = None
        self._lives = 0
        self._usual: dict[str, int] = {}
        self._ticks = 0
        self.version = 0

    # allowances

    @property
    def waiting(self) -> int:
        """Calls that wait for a share."""
        return self._waiters

    def renew(self, version: int) -> None:
        """A new snapshot: allowances are made anew. What nobody uses, holds a share of or waits with is forgotten."""
        self.version = version
        waited = {each for queue in self._waiting.values() for waiter in queue for each in waiter.allowance.every}
        for name, meter in list(self._meters.items()):
            if not meter.used and not meter.share and not meter.asking and meter not in waited:
                del self._meters[name]

    def allowance(self, limits: Iterable[tuple[str, str, LimitEntry]]) -> Allowance | None:
        """The meters of these limits, each an id, whom it is for in words, and its numbers; None without any."""
        requests, tokens, calls = [], [], []
        for name, whose, limit in limits:
            if limit.requests:
                kind = f"{name}:requests/{limit.window_s}"
                requests.append(self._meter(kind, whose, limit.requests, width_of(limit.window_s)))
            if limit.tokens:
                tokens.append(self._meter(f"{name}:tokens", whose, limit.tokens, width_of(60)))
            if limit.concurrent:
                calls.append(self._meter(f"{name}:calls", whose, limit.concurrent, 0))
        if not requests and not tokens and not calls:
            return None
        return Allowance(requests, tokens, calls, self.clock)

    def _meter(self, name: str, whose: str, most: int, width: int) -> SharedMeter:
        meter = self._meters.get(name)
        if meter is None:
            self._lives += 1
            meter = self._meters[name] = SharedMeter(name, most, width, self._lives)
        meter.whose = whose
        if meter.most != most:
            meter.fit(most)
            meter.quiet_until = 0
            self._tell(meter)
        return meter

    # calls

    def estimate(self, model: str, prompt: int, cap: int | None, choices: int, most: int) -> int:
        """Tokens of a call for rates: its prompt by size, and its cap; without one what answers of the model have taken
        lately, at most `most`."""
        if cap is None:
            cap = self._usual.get(model, _USUAL)
        return prompt + min(cap, most) * choices

    def learn(self, model: str, output: int) -> None:
        """How long an answer without a cap became."""
        usual = self._usual.get(model, _USUAL)
        self._usual[model] = max(1, usual + (output - usual) // 8)

    def take(self, allowance: Allowance, tokens: int, now: int) -> SharedMeter | None:
        """Take one call of everything, or of nothing: then the first meter without room."""
        for meter in allowance.requests:
            if now >= meter.turn_at:
                meter.turn(now)
            if meter.used >= meter.room:
                return meter
        for meter in allowance.tokens:
            if now >= meter.turn_at:
                meter.turn(now)
            if meter.used + tokens > meter.room:
                return meter
        for meter in allowance.calls:
            if meter.used >= meter.room:
                return meter
        for meter in allowance.requests:
            meter.add(1)
        for meter in allowance.tokens:
            meter.add(tokens)
        for meter in allowance.calls:
            meter.add(1)
        return None

    def admit(self, allowance: Allowance, tokens: int, now: int, decided: Decided) -> Problem | Waiter | None:
        """None: taken. A refusal; or a Waiter, and `decided` is called within 250 ms unless it is `over` before."""
        short = self.take(allowance, tokens, now)
        if short is None:
            return None
        if not self._may_ask(short, allowance.amount(short, tokens), now) or self._waiters >= _WAITERS_LIMIT:
            return self._refused(allowance, tokens, now)
        waiter = Waiter(allowance, tokens, decided)
        self._waiters += 1
        self._loop.call_later(WAIT_S, lambda: self._expire(waiter))
        self._wait(short, waiter, now)
        for meter in allowance.every:  # what else is short is asked for in the same turn
            if meter is not short and meter.used + allowance.amount(meter, tokens) > meter.room:
                self._ask(meter, allowance.amount(meter, tokens), now)
        return waiter

    def count_refused(self, allowance: Allowance, now: int) -> None:
        """A call that was refused for another reason than its request rate counts as a request all the same."""
        for meter in allowance.requests:
            if now >= meter.turn_at:
                meter.turn(now)
            if meter.used < meter.room:
                meter.add(1)

    # the keeper

    def _may_ask(self, meter: SharedMeter, amount: int, now: int) -> bool:
        return self._send is not None and amount <= meter.most and now >= meter.quiet_until

    def _wait(self, meter: SharedMeter, waiter: Waiter, now: int) -> None:
        self._waiting.setdefault(meter, deque()).append(waiter)
        self._ask(meter, waiter.allowance.amount(meter, waiter.tokens), now)

    def _ask(self, meter: SharedMeter, first: int, now: int) -> None:
        """One question at a time for a meter: at least the first that waits, better all that do."""
        if self._send is None or meter.asking or now < meter.quiet_until:
            return
        waiting = self._waiting.get(meter, ())
        meter.turn(now)
        free = meter.room - meter.used
        wish = sum(waiter.allowance.amount(meter, waiter.tokens) for waiter in waiting)
        meter.asking = True
        self._send(Ask(held=self._held(meter), need=max(1, first - free), wish=max(1, max(first, wish) - free)))

    def _held(self, meter: SharedMeter, window: bool = False) -> Held:
        return Held(
            meter=meter.name, most=meter.most, width=meter.width, version=self.version, life=meter.life,
            given=meter.given, returned=meter.returned, window=meter.schedule(self.clock()) if window else (),
        )  # fmt: skip

    def _tell(self, meter: SharedMeter) -> None:
        if self._send is not None and meter.given:
            self._send(Ceded(self._held(meter, window=True)))

    def hear(self, message: FromKeeper) -> None:
        """A message of the keeper that concerns shares; all others are none of ours."""
        now = self.clock()
        if isinstance(message, Share):
            meter = self._meters.get(message.meter)
            if meter is not None and meter.life == message.life:
                self._shared(meter, message, now)
        elif isinstance(message, Cede):
            meter = self._meters.get(message.meter)
            if meter is not None:
                meter.turn(now)
                meter.cede(message.keep)
                self._tell(meter)
        elif isinstance(message, Others):
            for name, used, empty_in in message.rows:
                if (meter := self._meters.get(name)) is not None:
                    meter.others(used, now + empty_in)

    def _shared(self, meter: SharedMeter, message: Share, now: int) -> None:
        meter.asking = False
        meter.grant(message.life, message.given)
        if message.short:
            first = meter.short(message.elsewhere, now)
            meter.quiet_until = min(max(first, now + _QUIET_LEAST), now + _QUIET_MOST)
        else:
            meter.quiet_until = 0
            meter.elsewhere = ()
        waiting = self._waiting.pop(meter, None)
        while waiting:
            waiter = waiting.popleft()
            if waiter.over:
                continue
            short = self.take(waiter.allowance, waiter.tokens, now)
            if short is None:
                self._decide(waiter, None)
            elif self._may_ask(short, waiter.allowance.amount(short, waiter.tokens), now):
                self._wait(short, waiter, now)
            else:
                self._decide(waiter, self._refused(waiter.allowance, waiter.tokens, now))

    def _decide(self, waiter: Waiter, word: Problem | None) -> None:
        waiter.over = True
        self._waiters -= 1
        waiter.decided(word)

    def give_up(self, waiter: Waiter) -> None:
        """The call is not wanted any more: it has taken nothing and takes nothing."""
        if not waiter.over:
            waiter.over = True
            self._waiters -= 1

    def _expire(self, waiter: Waiter) -> None:
        """The keeper did not answer in time: what is in hand decides."""
        if waiter.over:
            return
        now = self.clock()
        for meter in waiter.allowance.every:
            meter.asking = False
        if self.take(waiter.allowance, waiter.tokens, now) is None:
            self._decide(waiter, None)
        else:
            self._decide(waiter, self._refused(waiter.allowance, waiter.tokens, now, answered=False))

    def _refused(self, allowance: Allowance, tokens: int, now: int, *, answered: bool = True) -> Problem:
        """The refusal of a call, which counts as a request unless requests are what is short."""
        found = refusal(allowance, tokens, now, known=answered and self._send is not None)
        if found is None:  # all that is missing is a share, and nobody can be asked for it
            found = limited.limit_unavailable()
        if all(meter.used < meter.room for meter in allowance.requests):
            self.count_refused(allowance, now)
        return found

    # the connection to the keeper

    def linked(self, send: Callable[[ToKeeper], None] | None) -> None:
        """The keeper is there (or None: it has gone). It forgets no total, so nothing has to be said again."""
        self._send = send
        now = self.clock()
        for meter in self._meters.values():
            meter.asking = False
            meter.quiet_until = 0
        if send is not None:
            for meter, waiting in self._waiting.items():
                if waiting:
                    self._ask(meter, waiting[0].allowance.amount(meter, waiting[0].tokens), now)

    def held(self) -> tuple[Held, ...]:
        """Every share, for the hello."""
        now = self.clock()
        for meter in self._meters.values():
            meter.turn(now)
        return tuple(self._held(meter, window=True) for meter in self._meters.values() if meter.given)

    def tick(self) -> None:
        """Once a second: tell what moved; what is to come down does; what is long unused goes back."""
        now = self.clock()
        self._ticks += 1
        rows = []
        for meter in self._meters.values():
            if not meter.used and not meter.told and not meter.share:
                continue
            meter.turn(now)
            if meter.lowering >= 0:
                meter.cede(meter.lowering)
                self._tell(meter)
            if meter.used != meter.told:
                meter.told = meter.used
                rows.append((meter.name, meter.used, meter.empty_in(now)))
            if meter.used:
                meter.idle_since = self._ticks
            elif meter.share and self._ticks - meter.idle_since > _IDLE_S:
                meter.cede()
                self._tell(meter)
        if self._send is not None:
            for start in range(0, len(rows), _ROWS):
                self._send(Using(tuple(rows[start : start + _ROWS])))

    def leave(self) -> None:
        """No call will come any more: the keeper may know exactly when what is used is free again."""
        if self._send is not None:
            held = self.held()
            for start in range(0, len(held), _ROWS):
                self._send(Leaving(held[start : start + _ROWS]))
