"""`entrepot prove`: the promises' own tests, here, with figures."""

import re

import click

from entrepot.cli.command import Command
from entrepot.cli.terminal import DONE, REFUSED

_SHOWN = 20


@click.group(short_help="a promise's own test, here, with figures", invoke_without_command=True)
def command() -> None:
    """Test a promise on this machine: real processes, a fake vendor with a ledger of its own, a data folder of its own.

    Nothing of yours is touched.
    """
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@command.command("crash", cls=Command, short_help="kill -9 under load, then compare two ledgers")
@click.option("--kills", type=click.IntRange(1, 100_000), default=20, help="How many kills [20].")
@click.option("--seed", type=int, default=1, help="Which script [1].")
@click.option("--keep", is_flag=True, help="Keep the data folder of the trial.")
def crash(kills: int, seed: int, keep: bool) -> None:
    """Kill worker, keeper, parent or all with calls in flight, start again, and compare every call with its record."""
    from entrepot.prove.crash import run_crash, show_crash

    click.echo(f"prove crash: {kills} kills, seed {seed}")
    report = run_crash(kills=kills, seed=seed, say=_say, keep=keep)
    show_crash(report, _say)
    _verdict(report.failures())


@command.command("outage", cls=Command, short_help="keeper and control gone under load")
@click.option("--minutes", type=click.FloatRange(0.1, 600), default=1.0, help="How long each is gone [1].")
@click.option("--seed", type=int, default=1, help="Which script [1].")
@click.option("--keep", is_flag=True, help="Keep the data folder of the trial.")
def outage(minutes: float, seed: int, keep: bool) -> None:
    """Take away keeper, then control, then both; calls go on, a revoked key does not, nothing is lost."""
    from entrepot.prove.outage import run_outage, show_outage

    click.echo(f"prove outage: keeper, control, both gone for {minutes:g} min each, seed {seed}")
    report = run_outage(minutes=minutes, seed=seed, say=_say, keep=keep)
    show_outage(report, _say)
    _verdict(report.failures())


@command.command("budget", cls=Command, short_help="a thousand callers at once against one dollar")
@click.option("--rounds", type=click.IntRange(1, 10_000), default=10, help="How many sums of money [10].")
@click.option("--connections", type=click.IntRange(1, 10_000), default=1_000, help="Callers at once [1000].")
@click.option("--workers", default="1,2,4", metavar="N,N,…", help="Numbers of workers, one after the other [1,2,4].")
@click.option("--balance", default="1.00", metavar="USD", help="The sum of each round [1.00].")
@click.option(
    "--kills", type=click.IntRange(0, 10_000), default=0, help="Kills of a worker or the keeper meanwhile [0]."
)
@click.option("--seed", type=int, default=1, help="Which script [1].")
@click.option("--keep", is_flag=True, help="Keep the data folder of the trial.")
def budget(  # noqa: PLR0917 one parameter an option
    rounds: int, connections: int, workers: str, balance: str, kills: int, seed: int, keep: bool
) -> None:
    """Call from a thousand connections until one dollar is spent; never more is, by the vendor's ledger."""
    from decimal import Decimal

    from entrepot.prove.budget import run_budget, show_budget

    if not re.fullmatch(r"[1-9][0-9]?(,[1-9][0-9]?)*", workers):
        raise click.BadParameter(
            f"{workers!r} is no list of numbers from 1 to 99, such as 1,2,4", param_hint="--workers"
        )
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,9})?", balance) or Decimal(balance) < Decimal("0.1"):
        raise click.BadParameter(f"{balance!r} is no amount of at least 0.10 USD, such as 1.00", param_hint="--balance")
    click.echo(f"prove budget: {rounds} rounds of {connections:,} connections against {balance} USD, seed {seed}")
    report = run_budget(
        rounds=rounds, connections=connections, workers=tuple(map(int, workers.split(","))), balance=Decimal(balance),
        kills=kills, seed=seed, say=_say, keep=keep,
    )  # fmt: skip
    show_budget(report, _say)
    _verdict(report.failures())


def _say(line: str) -> None:
    click.echo(line)


def _verdict(failures: list[str]) -> None:
    for failure in failures[:_SHOWN]:
        click.echo(f"  {failure}")
    if len(failures) > _SHOWN:
        click.echo(f"  and {len(failures) - _SHOWN} more")
    click.echo("failed" if failures else "passed")
    raise click.exceptions.Exit(REFUSED if failures else DONE)
