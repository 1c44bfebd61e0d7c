"""`entrepot insight`: what the business depends on, from invoices, ledger and entered figures."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from entrepot.cli import insight_text, risk_text, signs_text
from entrepot.cli.answer import show_or_json
from entrepot.cli.command import noun
from entrepot.cli.output import write_out
from entrepot.cli.session import admin
from entrepot.cli.terminal import MISUSED, Stop, note

command = noun("insight", "What the business depends on: measures over invoices, ledger and entered figures.")
_PATIENCE_S = 960.0
_PICTURES = (".svg", ".png", ".pdf")
Option = Callable[[Callable[..., None]], Callable[..., None]]
_BASES = ("billed", "earned", "run-rate", "stated")


def _asking(*options: Option) -> Option:
    """The options that every measure has, before its own."""
    shared: list[Option] = [
        click.option("--base", type=click.Choice(_BASES), help="Which figures; default billed."),
        click.option("--view", type=click.Choice(("gross", "net")), help="Of agents' sales all, or the fee."),
        click.option(
            "--from", "from_", metavar="MONTH|DATE", help="Included, UTC; default the month before --until, or today."
        ),
        click.option("--until", metavar="MONTH|DATE", help="Excluded; default: one month."),
        click.option("--currency", metavar="CURRENCY", help="Default: the only one, or the operator's."),
        click.option("--picture", metavar="FILE.svg|png|pdf", help="Also as a picture, into this file."),
    ]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        for each in reversed([*options, *shared]):
            function = each(function)
        return function

    return decorate


_BY = click.option("--by", metavar="NAME", help="customer, group, industry, country, own, product, model, vendor, …")
_BEFORE = click.option("--before", metavar="MONTH|DATE", help="Begin of the period before; default: right before.")


@command.command("list", short_help="the measures there are, and the figures entered for them")
def list_() -> None:
    """What may be asked, and which files of entered figures count now."""
    measures = [
        {"name": name, "about": each.short_help or ""}
        for name, each in command.commands.items()
        if name not in ("list", "enter")
    ]
    with admin() as api:
        facts = api.get("insight-figures")
    show_or_json({"measures": measures, **facts}, insight_text.listed)


@command.command("concentration", short_help="shares, HHI and the 10 % list, by customer, industry, model, …")
@_asking(_BY)
def concentration(**given: Any) -> None:
    """How much of the revenue hangs on how few: shares with their whole, the largest together (CR), HHI with whose its
    marks are, the effective number, Gini, and who reaches 10 % (ASC 280, IFRS 8.34). Control groups count as one."""
    _measure("concentration", insight_text.concentration, **given)


@command.command("change", short_help="why it is more or less than before: volume, price, mix, new, gone")
@_asking(_BY, _BEFORE)
def change(**given: Any) -> None:
    """The change of revenue on the period before, split into parts that add up to it: volume, price and mix of those
    who are there in both periods, new and gone names. What it did to HHI stands below."""
    _measure("change", insight_text.change, **given)


@command.command("growth", short_help="month by month, run-rate, and what makes up for the largest")
@_asking(
    _BY,
    click.option("--window", type=click.Choice(("month", "quarter", "days")), help="Of the run-rate; default month."),
    click.option("--quarters", is_flag=True, help="Quarters in the place of months."),
    click.option("--year-starts", metavar="MM-DD", help="First day of the fiscal year; default 01-01."),
    click.option("--name", metavar="NAME", help="Whose loss is to be made up for; default: the largest."),
    click.option("--months", type=int, help="In so many months; default 12."),
)
def growth(**given: Any) -> None:
    """Every month with its calendar and fiscal name and its growth on the month and the year before; without --from
    the last 13 months. The run-rate says its window. What the others must grow if the largest goes."""
    _measure("growth", insight_text.growth, **given)


@command.command("retention", short_help="what those who paid before pay now: NRR and GRR")
@_asking(_BY, _BEFORE)
def retention(**given: Any) -> None:
    """Net and gross revenue retention of everybody who paid in the period before: expansion, contraction, churn."""
    _measure("retention", insight_text.retention, **given)


@command.command("surprise", short_help="what was expected, and what came")
@_asking(click.option("--name", metavar="MEASURE", help="Expectations of this measure only."))
def surprise(**given: Any) -> None:
    """Entered guidance and consensus against what came, in points, in parts of what was expected, and, with two
    earlier ones, in usual surprises (SUE). What came is entered beside it, or of revenue and growth from our books."""
    _measure("surprise", insight_text.surprise, **given)


@command.command("margin", short_help="what is left after what it cost, by customer, model, deployment, …")
@_asking(_BY)
def margin(**given: Any) -> None:
    """Revenue, the vendors' cost of it, and what is left. A cost that is not known is never 0: its revenue stands in a
    column of its own."""
    _measure("margin", insight_text.margin, **given)


@command.command("dependence", short_help="what rides on each vendor, and what could go elsewhere")
@_asking()
def dependence(**given: Any) -> None:
    """Per vendor: share of revenue and cost, the traffic that entered substitutes could take, what a price rise would
    cost, and how long entered terms (exclusivity, licence) still bind."""
    _measure("dependence", insight_text.dependence, **given)


@command.command("positions", short_help="what goes both ways between us and each counterparty")
@_asking()
def positions(**given: Any) -> None:
    """Vendors, and whoever else money was entered of (resale, rent, share, seats): received, paid and net, with what is
    from our books, reported and assumed apart. A supplier may be a customer as well: both sides stand here."""
    _measure("positions", risk_text.positions, **given)


@command.command("payback", short_help="how long today's margin needs to earn an entered outlay back")
@_asking(click.option("--name", metavar="FIGURE", help="The entered outlay; default: capital expenditure."))
def payback(**given: Any) -> None:
    """Months in which the gross margin of the period earns the outlay back, plain and discounted, and what it would
    have to be for the years entered. Rests on the entered figures "capital expenditure", "discount rate" (% a year) and
    "years to earn capital expenditure back"."""
    _measure("payback", risk_text.payback, **given)


@command.command("loss", short_help="what may be lost if customers leave by chance")
@_asking()
def loss(**given: Any) -> None:
    """Expected loss, its spread, the concentration-adjusted run-rate, and how likely more than so much is lost. Rests
    on the entered figures "chance that a customer leaves" and "chance that NAME leaves", in %."""
    _measure("loss", risk_text.loss, **given)


@command.command("signs", short_help="who may be leaving: falling, split, shifted or shrinking traffic")
@click.option("--from", "from_", metavar="DATE", help="Included, UTC; default 56 days before the end.")
@click.option("--until", metavar="DATE", help="Excluded; default today.")
@click.option("--picture", metavar="FILE.svg|png|pdf", help="Also as a picture, into this file.")
def signs(**given: Any) -> None:
    """Early signs that a customer leaves, with the day they began, the day they were seen, and the figures they were
    seen by. A customer needs a week of calls, 25 a day. `entrepot prove signs` tells how often this errs."""
    _measure("signs", signs_text.signs, **given)


@command.command("enter", short_help="figures that others report or that are assumed, as a file")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what it would do, and change nothing.")
def enter(file: Path, dry_run: bool) -> None:
    """Exchange rates, expectations, sales and money streams of others, terms, substitutes: each with its standing
    (reported, assumed) and source. A file of the same name takes the place of the one before, which is kept."""
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(f"{file} cannot be read: {error}", exit_code=MISUSED) from None
    with admin() as api:
        facts = api.post("insight-figures", body={"name": file.name, "text": text, "dry_run": dry_run})
    show_or_json(facts, insight_text.entered_now)


def _measure(measure: str, text: Any, *, picture: str | None, **given: Any) -> None:
    ending = Path(picture).suffix if picture else ""
    if picture and ending not in _PICTURES:
        raise Stop(f"{picture!r} is no picture that can be made", do="--picture FILE.svg, .png or .pdf",
                   exit_code=MISUSED)  # fmt: skip
    with admin(patience_s=_PATIENCE_S) as api:
        facts = api.get("insight", measure, picture=ending[1:], **given)
    drawn = facts.pop("picture", None)
    if picture and drawn:
        write_out(Path(picture), base64.b64decode(drawn))
        facts["file"] = picture
    show_or_json(facts, text)
    if picture:
        note(f"the picture is in {picture}" if drawn else "there is nothing to draw, so no picture was made")
