"""What admission costs: key, offer, limits, hold, and giving all of it back at the end. Run as
`python -m bench.admission`; microseconds of CPU a call as JSON.

The real desk, limits and leases in one process without a keeper: the leases and shares are in hand, as they are for all
but few calls. Reading the body, the journal and the sockets are not in it: they are in the figures of a whole call.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

import msgspec

from entrepot.customers.key import hmac_of, make
from entrepot.gateway.admit import Plan, admit
from entrepot.gateway.count import guess_prompt
from entrepot.gateway.desk import Desk, Offer
from entrepot.gateway.problem import Problem
from entrepot.gateway.ratelines import Taken
from entrepot.gateway.rates import Rates
from entrepot.limits.budget import Budget
from entrepot.limits.lease import Lease, end_all
from entrepot.prove.client import chat_body
from entrepot.snapshot import (
    CustomerEntry,
    KeyEntry,
    KeySecret,
    LimitEntry,
    ModelEntry,
    PriceEntry,
    PriceVersion,
    Snapshot,
    UpstreamEntry,
)
from entrepot.snapshot.files import publish
from entrepot.wire.openai import read_chat

CALLS = 20_000
REPEATS = 7
_PEPPER = b"bench" * 8
_ID, _SECRET = "Ky9Pf34qY6", "Nb3wWD25RQ4F5ZR3qa7yEeeby3abP3E2"
_KEY = make(_ID, _SECRET)
_PLENTY = 10**15
_BUDGETS = (
    Budget(id="day", per="day", amount=_PLENTY, hard=True),
    Budget(id="month", per="month", amount=_PLENTY, hard=True),
)
_LIMITS = (
    LimitEntry(id="acme", scope="customer", tokens=10**9, requests=10**9, concurrent=10**6),
    LimitEntry(id="acme/key", scope="each_key", tokens=10**9, requests=10**9),
    LimitEntry(id="acme/quota", scope="pool", model="large", tokens=10**9),
)
#: What is on, in the order of the rows.
CASES: dict[str, tuple[tuple[Budget, ...], tuple[LimitEntry, ...]]] = {
    "balance": ((), ()),
    "balance and budgets of a day and a month": (_BUDGETS, ()),
    "balance and rates": ((), _LIMITS),
    "all of it": (_BUDGETS, _LIMITS),
}


class _NoLoop:
    def call_later(self, *_args: object) -> None:
        raise RuntimeError("a call had to wait: then this measures something else")


class Counter:
    """One customer as a worker knows it."""

    def __init__(self, folder: Path, budgets: tuple[Budget, ...], limits: tuple[LimitEntry, ...]) -> None:
        encode = msgspec.msgpack.encode
        rates = (2500, 1250, -1, 10_000, 10_000, -1, -1, -1)
        version = PriceVersion(id="list/1", valid_from=0, currency="USD", den=1, rates=rates)
        secret = KeySecret(hmac_of(_PEPPER, _SECRET), 0)
        folder.mkdir()
        publish(folder, {
            "key": {_ID: encode(KeyEntry(
                id=_ID, customer="acme", project="default", models=None, expires_at=0, secrets=(secret,),
            ))},
            "customer": {"acme": encode(CustomerEntry(
                id="acme", state="active", book="list", balance="acme", currency="USD", open=True, budgets=budgets,
                limits=limits,
            ))},
            "model": {"large": encode(ModelEntry(
                id="large", routes=(("up", "large"),), context=128_000, output_max=16_000, created=0, owned_by="x",
            ))},
            "upstream": {"up": encode(UpstreamEntry(
                id="up", vendor="x", dialect="openai", url="http://127.0.0.1:1/v1", zone="EU", secret="",
                client_gone="drain", drain_seconds=30, cost_book="",
            ))},
            "price": {"list/large": encode(PriceEntry(versions=(version,)))},
            "deployment": {},
        })  # fmt: skip
        self.rates = Rates(_NoLoop(), lambda: time.monotonic_ns() // 1000)
        self.desk = Desk(Snapshot.load(folder), _PEPPER, lambda name: Lease(name, granted=_PLENTY), self.rates)
        self.presented = _KEY.encode()
        self.call = read_chat(chat_body("large", max_tokens=200))
        offer = self.desk.offer(*self.who(), "large", time.time_ns() // 1000)
        assert isinstance(offer, Offer)
        for meter in self.rates._meters.values():
            meter.grant(meter.life, 10**9)

    def who(self) -> tuple[KeyEntry, CustomerEntry]:
        found = self.desk.authenticate(self.presented, time.time_ns() // 1000)
        assert not isinstance(found, Problem)
        return found

    def once(self) -> None:
        """One call: let in, told its limits, over."""
        offer = self.desk.offer(*self.who(), "large", time.time_ns() // 1000)
        assert isinstance(offer, Offer)
        call, taken, allowance = self.call, None, offer.allowance
        if allowance is not None:
            tokens = self.rates.estimate(offer.model.id, guess_prompt(call), call.output_cap, call.n, offer.output_max)
            clock = self.rates.clock()
            assert self.rates.take(allowance, tokens, clock) is None
            taken = Taken(allowance, tokens)
            allowance.lines(clock)
        plan = admit(offer, call)
        assert isinstance(plan, Plan)
        end_all(offer.leases, plan.hold, plan.hold // 3)
        if taken is not None:
            taken.end(150)

    def cpu_us(self) -> float:
        """Of a call, on average."""
        began = time.process_time_ns()
        for _ in range(CALLS):
            self.once()
        return (time.process_time_ns() - began) / 1000 / CALLS


def measure() -> dict[str, float]:
    """Median of the repeats; the cases take turns, so that all see the same machine."""
    with tempfile.TemporaryDirectory(prefix="bench-admission-") as scratch:
        counters = {name: Counter(Path(scratch) / str(n), *case) for n, (name, case) in enumerate(CASES.items())}
        found: dict[str, list[float]] = {name: [] for name in counters}
        for _ in range(REPEATS):
            for name, counter in counters.items():
                found[name].append(counter.cpu_us())
    return {name: statistics.median(each) for name, each in found.items()}


if __name__ == "__main__":
    print(json.dumps(measure()))
