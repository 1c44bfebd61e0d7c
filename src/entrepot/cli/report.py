"""`entrepot report`: reports of the books, as files."""

import base64
from pathlib import Path
from typing import Any

import click

from entrepot.cli.answer import show_or_json
from entrepot.cli.command import noun
from entrepot.cli.output import write_out
from entrepot.cli.session import admin
from entrepot.cli.table import Column, lay_out
from entrepot.cli.terminal import MISUSED, Stop, program

command = noun("report", "Reports of the books for people who do not read commands, as files.")
#: A hundred million records are read in a minute.
_PATIENCE_S = 960.0
_FORMATS = ("html", "pdf", "png")


@command.command("list", short_help="which reports there are")
def list_() -> None:
    """Each with what it shows, its languages and its formats."""
    with admin() as api:
        facts = api.get("reports")
    show_or_json(facts, _list)


@command.command("run", short_help="make a report of a month, as HTML and PDF")
@click.argument("name", metavar="REPORT")
@click.option("--month", required=True, metavar="2026-10", help="The month that it is about.")
@click.option("--language", default="en", metavar="CODE", help="en, de or pt; default en.")
@click.option("--format", "formats", multiple=True, type=click.Choice(_FORMATS), help="Again for more; html and pdf.")
@click.option("--output", "-o", default=".", metavar="DIR", type=click.Path(path_type=Path), help="Where to; here.")
@click.option("--base", type=click.Choice(("billed", "earned", "stated")), help="Which figures; default billed.")
@click.option("--view", type=click.Choice(("gross", "net")), help="Of agents' sales all, or the fee.")
@click.option("--currency", metavar="CURRENCY", help="Default: the only one, or the operator's.")
@click.option("--year-starts", metavar="07-01", help="Where the fiscal year is not the calendar's.")
@click.option("--scenario", "scenarios", multiple=True, metavar="FILE", type=click.Path(path_type=Path),
              help="A scenario file; again for more. Default: the usual three.")  # fmt: skip
def run(name: str, output: Path, formats: tuple[str, ...], scenarios: tuple[Path, ...], **given: Any) -> None:
    """Make a report and write its files, named after it, the month and the language. The same books give the same
    files; nothing is changed. `board`: two pages, each figure with a footnote to what it was made of."""
    if not output.is_dir():
        raise Stop(f"{output} is not a folder", do=f"mkdir {output}", exit_code=MISUSED)
    body = {
        "report": name, "formats": list(dict.fromkeys(formats)) or ["html", "pdf"],
        "scenarios": [_scenario(each) for each in scenarios],
        **{option: value for option, value in given.items() if value},
    }  # fmt: skip
    with admin(patience_s=_PATIENCE_S) as api:
        known = [each["name"] for each in api.get("reports")["reports"]]
        if name not in known:
            what = f"there is no report {name!r}; there is {', '.join(known)}"
            raise Stop(what, do=f"{program()} report list", exit_code=MISUSED)
        facts = api.post("report-runs", body=body)
    for each in facts["files"]:
        path = output / each["name"]
        write_out(path, base64.b64decode(each.pop("base64")))
        each["file"] = str(path)
    show_or_json(facts, _written)


def _scenario(file: Path) -> dict[str, str]:
    try:
        return {"name": file.name, "text": file.read_text(encoding="utf-8")}
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(f"{file} cannot be read: {error}", exit_code=MISUSED) from None


def _list(facts: dict[str, Any]) -> str:
    rows = [
        [each["name"], ", ".join(each["languages"]), ", ".join(each["formats"]), each["shows"]]
        for each in facts["reports"]
    ]  # fmt: skip
    return lay_out([Column("report"), Column("languages"), Column("formats"), Column("shows")], rows)


def _written(facts: dict[str, Any]) -> str:
    lead = "".join(each if isinstance(each, str) else each["text"] for each in facts["board"]["lead"])
    return "\n".join([lead, *(f"{each['file']}, {each['size']:,} bytes" for each in facts["files"])])
