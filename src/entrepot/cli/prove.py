"""`entrepot prove`: the promises' own tests, here, with figures."""

import re
from pathlib import Path

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


@command.command("trace", cls=Command, short_help="recorded hours equal their bill to the token")
@click.argument("traces", metavar="TRACE…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--customer", "customers", multiple=True, metavar="ID", help="One for each trace [from its name].")
@click.option("--workers", default="1,2", metavar="N,N", help="A run with so many workers each [1,2].")
@click.option("--speed", default="max", metavar="N", help="Times faster than recorded, or max [max].")
@click.option("--calls", type=click.IntRange(1), help="Only the first so many of each.")
@click.option("--keep", is_flag=True, help="Keep the data folder of the trial.")
def trace(  # noqa: PLR0917  click passes by name
    traces: tuple[Path, ...], customers: tuple[str, ...], workers: str, speed: str, calls: int | None, keep: bool
) -> None:
    """Replay recorded traces through a started server, to a fake vendor that answers with the traces' own counts, half
    of the calls streamed; then usage, charge, journal, lake and ledger are what the traces say.
    """
    from entrepot.cli.rehearsal import customer_of
    from entrepot.prove.trace import run_trace, show_trace

    if customers and len(customers) != len(traces):
        raise click.UsageError(f"{len(traces)} traces and {len(customers)} customers: name one for each, or none")
    if not re.fullmatch("[1-8](,[1-8])*", workers):
        raise click.UsageError(f"--workers {workers!r} is not a list of numbers from 1 to 8, like 1,2")
    pairs = list(zip(traces, customers or map(customer_of, traces), strict=True))
    failures = []
    for number in map(int, workers.split(",")):
        report = run_trace(pairs, workers=number, speed=speed, say=_say, calls=calls or 0, keep=keep)
        show_trace(report, _say)
        failures += report.failures()
    _verdict(failures)


@command.command("reload", cls=Command, short_help="every process replaced under load, nothing fails")
@click.option("--reloads", type=click.IntRange(0, 10_000), default=10, help="With 2 s streams always open [10].")
@click.option("--long", type=click.IntRange(0, 100), default=1, help="More, in a row, with 60 s streams open [1].")
@click.option("--workers", type=click.IntRange(1, 64), default=2, help="How many gateways [2].")
@click.option("--seed", type=int, default=1, help="Which script [1].")
@click.option("--keep", is_flag=True, help="Keep the data folder of the trial.")
def reload(reloads: int, long: int, workers: int, seed: int, keep: bool) -> None:
    """Reload a server under load again and again: no request fails, no stream is cut, no connection is reset."""
    from entrepot.prove.reload import run_reload, show_reload

    click.echo(f"prove reload: {reloads} reloads with 2 s streams, {long} with 60 s streams, {workers} workers")
    report = run_reload(reloads=reloads, long=long, workers=workers, seed=seed, say=_say, keep=keep)
    show_reload(report, _say)
    _verdict(report.failures())


@command.command("rates", cls=Command, short_help="floods against limits, over several workers")
@click.option("--workers", default="1,2,4", metavar="N,N", help="A run with so many workers each [1,2,4].")
@click.option("--turns", type=click.IntRange(1, 100), default=2, help="Times 61 seconds of flood [2].")
@click.option("--keep", is_flag=True, help="Keep the data folder of the trial.")
def rates(workers: str, turns: int, keep: bool) -> None:
    """Flood a limit of requests and one of tokens, three times what they let through; count in the vendor's ledger."""
    from entrepot.prove.rates import run_rates, show_rates

    if not re.fullmatch("[1-8](,[1-8])*", workers):
        raise click.UsageError(f"--workers {workers!r} is not a list of numbers from 1 to 8, like 1,2,4")
    numbers = [int(each) for each in workers.split(",")]
    click.echo(f"prove rates: {workers} workers, {turns} turns of 61 s, and one in which a worker is killed")
    floods = run_rates(workers=numbers, turns=turns, say=_say, keep=keep)
    show_rates(floods, _say)
    _verdict([failure for flood in floods for failure in flood.failures()])


@command.command("overload", cls=Command, short_help="three times as much as one worker can take")
@click.option("--seconds", type=click.FloatRange(1, 600), default=10.0, help="Of each load [10].")
@click.option("--keep", is_flag=True, help="Keep the data folder of the trial.")
def overload(seconds: float, keep: bool) -> None:
    """Find what one worker can serve, then offer it once, twice and three times as much."""
    from entrepot.prove.overload import run_overload, show_overload

    click.echo(f"prove overload: 1, 2 and 3 times the peak of one worker, {seconds:g} s each")
    found = run_overload(seconds=seconds, say=_say, keep=keep)
    show_overload(found, _say)
    _verdict(found.failures())


@command.command("neighbour", cls=Command, short_help="what others notice when the largest client floods")
@click.argument("trace", metavar="RATES.csv.gz", type=click.Path(path_type=Path, exists=True))
@click.option("--workers", type=click.IntRange(1, 64), default=2, help="How many gateways [2].")
@click.option("--rate", type=click.FloatRange(1, 10_000), default=100.0, help="Calls a second of all clients [100].")
@click.option("--seconds", type=click.FloatRange(1, 3_600), default=20.0, help="Of each run [20].")
@click.option("--rounds", type=click.IntRange(1, 100), default=3, help="Of a run without the flood and one with [3].")
@click.option("--keep", is_flag=True, help="Keep the data folder of the trial.")
def neighbour(  # noqa: PLR0917 one parameter an option
    trace: Path, workers: int, rate: float, seconds: float, rounds: int, keep: bool
) -> None:
    """Replay the busiest window of a trace of rates (ServeGen), one key per client, without and with a flood."""
    from entrepot.prove.neighbour import run_neighbour, show_neighbour

    click.echo(f"prove neighbour: {trace.name}, {workers} workers, {rounds} rounds of {seconds:g} s")
    found = run_neighbour(trace, workers=workers, rate=rate, seconds=seconds, rounds=rounds, say=_say, keep=keep)
    show_neighbour(found, _say)
    _verdict(found.failures())


@command.command("signs", cls=Command, short_help="early signs in a recorded mix of clients, and false ones")
@click.argument("rates", metavar="RATES.csv.gz", type=click.Path(path_type=Path, exists=True))
@click.argument("tokens", metavar="TOKENS.csv.gz", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--least", type=click.FloatRange(0, 0.5), default=0.0, help="Only clients with this part of all calls [0]."
)
def signs(rates: Path, tokens: Path, least: float) -> None:
    """Put falling, split, shifted and shrinking traffic into the clients of a trace (ServeGen, two weeks); count the
    days until it is seen, and the false alarms of the clients as they are."""
    from entrepot.prove.signs import run_signs, show_signs

    click.echo(f"prove signs: {rates.name}, {tokens.name}")
    report = run_signs(rates, tokens, least=least)
    show_signs(report, _say)
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
