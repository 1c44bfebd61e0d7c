"""The trial `budget`: a thousand callers at once against one dollar, again and again, over 1, 2 and 4 workers.

Spend is what the fake vendor wrote into its own ledger times the price in the catalog, never a figure of ours.
"""

import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec

from entrepot.catalog.contents import Per
from entrepot.kernel.instants import HOUR
from entrepot.kernel.money import show
from entrepot.limits.budget import Budget, period_of
from entrepot.prove.books import accepted
from entrepot.prove.compare import Comparison, compare
from entrepot.prove.house import House
from entrepot.prove.processes import RigBroken, start_vendor
from entrepot.prove.rush import Order, Round, RoundReport

_PRICE = ("1.00", "0.50", "40.00")  # dear output: few bytes move much money
_UNITS = (1_000, 500, 40_000)  # the same in ledger units a token
_SCALE = 10**9
_USABLE = 99.0
_KINDS = {"balance": "a balance", "budgets": "budgets of two periods at once", "": "nothing"}
_KILLED_BEFORE_S = 8.0  # a refusal so soon after a kill is the truth: the process was not there
_ROUND_S = 60.0
Say = Callable[[str], None]


class Run(msgspec.Struct, kw_only=True):
    """All rounds over one number of workers."""

    workers: int
    rounds: list[RoundReport]
    seconds: float
    comparison: Comparison
    kills: list[float]  # time.time
    verify_code: int
    verify_text: str


class BudgetReport(msgspec.Struct, kw_only=True):
    """Everything the trial found."""

    seed: int
    runs: list[Run]

    def failures(self) -> list[str]:
        """Why the trial did not pass; empty when it did."""
        return [f"{run.workers} workers: {text}" for run in self.runs for text in _failures(run)]


def overspent(report: RoundReport, *, killed: bool) -> int:
    """Ledger units beyond the limit. What a killed process cut is charged at most as delivered (protocol §1), which the
    comparison of the two ledgers checks call by call; the vendor's own figure for it is a loss of the house's."""
    return max(0, report.spent + (0 if killed else report.unsure) - report.limit)


def false_refusals(run: Run) -> list[tuple[str, str]]:
    """(round, what was refused) of refusals that were not true."""
    return [
        (each.tag, f"{found.when}: {found.code} for a hold of {found.hold}, and {found.left} was left")
        for each in run.rounds
        for found in each.false
        if not any(0 <= found.at - kill < _KILLED_BEFORE_S for kill in run.kills)
    ]


def _failures(run: Run) -> list[str]:
    killed = bool(run.kills)
    found = []
    for each in run.rounds:
        beyond = overspent(each, killed=killed)
        if beyond:
            found.append(f"round {each.tag}: {_usd(beyond)} USD more was spent than there was")
        if 100 * each.usable < _USABLE * each.limit:
            share = 100 * each.usable / each.limit
            found.append(f"round {each.tag}: only {share:.2f} % could be spent (wanted: {_USABLE} %)")
        if each.cut and not killed:
            found.append(f"round {each.tag}: {each.cut} connections broke")
        if each.other:
            found.append(f"round {each.tag}: an answer that should not be: {each.other}")
        if each.trouble:
            found.append(f"round {each.tag}: {each.trouble}")
    found += [f"round {tag}: a refusal that is not true: {text}" for tag, text in false_refusals(run)]
    found += run.comparison.differences
    if run.verify_code:
        found.append(f"entrepot verify exits {run.verify_code}:\n{run.verify_text}")
    return found


def run_budget(
    *, rounds: int, connections: int, workers: tuple[int, ...], balance: Decimal, kills: int, seed: int, say: Say,
    keep: bool = False,
) -> BudgetReport:  # fmt: skip
    """One house for each number of workers. Raises RigBroken where the trial itself cannot go on."""
    limit = int(balance * _SCALE)
    runs = [_run(count, rounds, connections, limit, kills, seed, say, keep) for count in workers]
    return BudgetReport(seed=seed, runs=runs)


def _run(  # noqa: PLR0917 the trial's figures, from one place
    workers: int, rounds: int, connections: int, limit: int, kills: int, seed: int, say: Say, keep: bool
) -> Run:
    with tempfile.TemporaryDirectory(prefix="entrepot-vendor-") as folder:
        ledger = Path(folder) / "vendor.ledger"
        vendor = start_vendor(ledger)
        house = House(vendor.port, price=_PRICE, workers=workers)
        whole = False
        try:
            _declare(house, rounds, limit)
            house.start()
            house.first_answer()
            order = Order(
                port=house.port, model=house.model, ledger=str(ledger), database=str(house.folder.database),
                connections=connections, rounds=tuple(_fund(house, n, limit) for n in range(1, rounds + 1)),
                price=_UNITS, largest=limit // 100, seed=seed * 100 + workers, killed=kills > 0,
            )  # fmt: skip
            say(f"{workers} workers: {rounds} rounds of {connections:,} connections; data in {house.folder.root}")
            began = time.monotonic()
            done, killed = _rush(house, order, kills, say)
            seconds = time.monotonic() - began
            house.stop()
            vendor.end()
            verified = house.command("verify", timeout=600)
            run = Run(
                workers=workers, rounds=done, seconds=seconds, comparison=compare(accepted(ledger), house.ours()),
                kills=killed, verify_code=verified.returncode,
                verify_text=(verified.stdout + verified.stderr).strip(),
            )  # fmt: skip
            whole = not _failures(run)
            return run
        finally:
            vendor.end()
            house.end(keep=keep or not whole)


def _kind(number: int) -> str:
    """What a round's sum is: the balance of a customer, or its budgets of two periods at once with a full balance."""
    return "balance" if number % 3 else "budgets"


def _periods() -> tuple[Per, Per]:
    """Of a round's budgets. No day may end while it is measured."""
    ends_at = period_of("day", time.time_ns() // 1000).ends_at
    return ("day", "month") if ends_at - time.time_ns() // 1000 > 2 * HOUR else ("month", "total")


def _declare(house: House, rounds: int, limit: int) -> None:
    """A customer for each round, in the house's catalog; before its first start."""
    short, long = _periods()
    rows = f'{{ per = "{short}", amount = {_usd(limit)} }}, {{ per = "{long}", amount = {_usd(limit * 3 // 2)} }}'
    declared = []
    for number in range(1, rounds + 1):
        declared.append(f'\n[customer.r{number}]\ncontract = {{ book = "list" }}\n')
        if _kind(number) == "budgets":
            declared.append(f"budgets = [{rows}]\n")
    house.catalog.write_text(house.catalog.read_text() + "".join(declared))


def _fund(house: House, number: int, limit: int) -> Round:
    """Money and a key for one round."""
    customer, kind = f"r{number}", _kind(number)
    paid = {"amount": _usd(limit if kind == "balance" else 10 * limit), "currency": "USD", "id": f"trial-{customer}"}
    house.admin("POST", f"balances/{customer}/top-ups", paid)
    key = str(house.admin("POST", "keys", {"customer": customer})["key"])
    accounts = [customer]
    if kind == "budgets":
        now = time.time_ns() // 1000
        budgets = [Budget(id=f"all-{per}", per=per, amount=limit, hard=True) for per in _periods()]
        accounts = [*(budget.lease_id(customer, now) for budget in budgets), customer]
    return Round(tag=customer, key=key, kind=kind, limit=limit, accounts=tuple(accounts))


def _rush(house: House, order: Order, kills: int, say: Say) -> tuple[list[RoundReport], list[float]]:
    """All rounds in a process of their own, and when processes were killed meanwhile."""
    process = subprocess.Popen(
        [sys.executable, "-m", "entrepot.prove.rush"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    reaper = _Reaper(house, kills, order.seed)
    watchdog = threading.Timer(_ROUND_S * (len(order.rounds) + 2), process.kill)
    watchdog.start()
    done: list[RoundReport] = []
    try:
        process.stdin.write(msgspec.json.encode(order))
        process.stdin.close()
        reaper.start()
        for line in process.stdout:
            done.append(msgspec.json.decode(line, type=RoundReport))
            if len(done) % 10 == 0:
                say(f"  {len(done)} rounds, {sum(each.answered for each in done):,} calls answered")
    finally:
        watchdog.cancel()
        reaper.stop()
        process.kill()
        process.wait()
    if len(done) != len(order.rounds):
        raise RigBroken(f"the callers ended after {len(done)} of {len(order.rounds)} rounds\n{house.tail()}")
    return done, reaper.killed


class _Reaper(threading.Thread):
    """Kills a worker or the keeper now and then, as often as it was told to."""

    def __init__(self, house: House, kills: int, seed: int) -> None:
        super().__init__(daemon=True)
        self._house = house
        self._kills = kills
        self._chance = random.Random(seed)
        self._over = threading.Event()
        self.killed: list[float] = []

    def run(self) -> None:
        for number in range(self._kills):
            if self._over.wait(self._chance.uniform(1.0, 4.0)):
                return
            self.killed.append(time.time())
            self._house.kill_one("keeper" if number % 2 else "worker", self._chance)

    def stop(self) -> None:
        self._over.set()
        if self.ident is not None:
            self.join()


def show_budget(report: BudgetReport, say: Say) -> None:
    """The trial's figures, a block for each number of workers."""
    for run in report.runs:
        killed = bool(run.kills)
        codes: Counter[str] = Counter()
        for each in run.rounds:
            codes.update(each.refused)
        limit = sum(each.limit for each in run.rounds)
        spent = sum(each.spent + each.unsure for each in run.rounds)
        shares = sorted(100 * each.usable / each.limit for each in run.rounds)
        rushed = sorted(100 * each.rushed / each.limit for each in run.rounds)
        calls, answered, left, cut, gave_up = (
            sum(getattr(each, name) for each in run.rounds) for name in ("calls", "answered", "left", "cut", "gave_up")
        )
        kinds = Counter(each.kind for each in run.rounds)
        say(f"{run.workers} workers: " + ", ".join(f"{n} rounds against {_KINDS[kind]}" for kind, n in kinds.items()))
        say(f"  admissions      {calls:,} at once in {len(run.rounds)} rounds, {run.seconds:.0f} s: {answered:,} "
            f"answered, {left:,} left by their caller, {cut:,} cut")  # fmt: skip
        say(f"  spend           {_usd(spent)} of {_usd(limit)} USD, by the vendor's ledger of {run.comparison.rows:,} "
            f"calls; overspend {_usd(sum(overspent(each, killed=killed) for each in run.rounds))}")  # fmt: skip
        say("  refusals        " + (", ".join(f"{name} {n:,}" for name, n in codes.most_common()) or "none")
            + f"; gave up {gave_up:,}; false {len(false_refusals(run))}")  # fmt: skip
        say(f"  usable          {shares[0]:.3f} % at least, {sum(shares) / len(shares):.3f} % on average; "
            f"spent by those at once {rushed[0]:.2f} % at least")  # fmt: skip
        say(f"  largest idle    {_usd(max(each.idle_lease for each in run.rounds))} USD in one worker's lease when all "
            "was quiet")  # fmt: skip
        if killed:
            say(f"  kills           {len(run.kills)}: the vendor's ledger has {run.comparison.marked:,} calls that no "
                "record knows exactly")  # fmt: skip
        agree = "all agree" if run.verify_code == 0 else f"exit {run.verify_code}"
        say(f"  two ledgers     {run.comparison.equal:,} calls equal to the token, differences "
            f"{len(run.comparison.differences)}; verify: {agree}")  # fmt: skip


def _usd(units: int) -> str:
    return show(units, "USD")
