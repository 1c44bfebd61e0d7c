"""`entrepot top`: requests, tokens and money per second, live.

Workers keep counters that only grow; this command looks at them once a second and shows the difference. On a terminal
it redraws one screen, elsewhere it writes a line a second.
"""

import contextlib
import json
import math
import sys
import time

import click

from entrepot.cli.command import command as verb
from entrepot.cli.command import options
from entrepot.cli.rates import Rates, Sample, line_text, screen_lines
from entrepot.cli.screen import Screen, fits
from entrepot.cli.session import Admin, AdminError, Unreachable, admin
from entrepot.cli.terminal import MISUSED, Stop, say
from entrepot.kernel.text import plain_facts

_BY = ("customer", "model", "customer,model")
_SECONDS = 60.0
_WIDE, _HIGH = 200, 1_000  # of what is written once
_ENDS = {"q", "Q", "\x03", "\x04"}


@verb("requests, tokens and money per second, live")
@click.option("--by", type=click.Choice(_BY), default="customer,model", help="What has a line [customer,model].")
@click.option("--every", type=click.FloatRange(0.5, _SECONDS), default=1.0, help="Seconds between two looks [1].")
@click.option("--once", is_flag=True, help="Look for that long, show it, end.")
def command(by: str, every: float, once: bool) -> None:
    """What happens now, of all workers together. q or Ctrl-C ends it. With --json a line of data for each look."""
    names = tuple(by.split(","))
    if math.isnan(every):
        raise Stop("--every is a number of seconds", do="--every 2", exit_code=MISUSED)
    with admin() as api:
        before = _look(api)
        if once:
            time.sleep(every)
            rates = Rates.between(before, _look(api), names)
            say(_as_json(rates) if options().json else "\n".join(screen_lines(rates, (_WIDE, _HIGH))[:-2]))
        elif fits() and not options().json:
            _watch(api, before, names, every)
        else:
            with contextlib.suppress(KeyboardInterrupt):  # that is how it ends
                _write(api, before, names, every)


def _look(api: Admin) -> Sample:
    """The counters now. Raises Unreachable where no gateway answers."""
    facts = plain_facts(api.get("live"))
    if not facts["workers"]:
        raise Unreachable("no gateway answers; is a server running on this folder?", do="entrepot status")
    return Sample.of(facts, time.monotonic())


def _write(api: Admin, before: Sample, names: tuple[str, ...], every: float) -> None:
    """A line for each look, until somebody ends it."""
    while True:
        time.sleep(every)
        now = _look(api).after(before)
        rates = Rates.between(before, now, names)
        say(_as_json(rates) if options().json else line_text(rates))
        sys.stdout.flush()
        before = now


def _watch(api: Admin, before: Sample, names: tuple[str, ...], every: float) -> None:
    """One screen, redrawn until q or Ctrl-C. Workers that are away for a moment are said to be, and waited for."""
    rates = Rates.between(before, before, names)
    trouble = ""
    with Screen() as screen:
        due = time.monotonic() + every
        while True:
            screen.draw(screen_lines(rates, screen.size, trouble))
            if _ENDS & {*screen.wait(due - time.monotonic())}:
                return
            if time.monotonic() < due:
                continue  # another key, or another size
            due = time.monotonic() + every
            try:
                now = _look(api).after(before)
            except (Unreachable, AdminError) as away:
                trouble = away.message
                continue
            rates, before, trouble = Rates.between(before, now, names), now, ""


def _as_json(rates: Rates) -> str:
    return json.dumps(rates.facts())
