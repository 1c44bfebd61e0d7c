"""`entrepot book`: what things cost, and from when."""

import gzip
import zlib
from pathlib import Path
from typing import Any

import click

from entrepot.cli.answer import show_or_json
from entrepot.cli.catalog_file import ask_of_catalog, text_of
from entrepot.cli.command import noun
from entrepot.cli.effect_text import effect_text, rerating_text
from entrepot.cli.session import admin
from entrepot.cli.table import Column, count, lay_out
from entrepot.cli.terminal import MISUSED, Stop, note, program
from entrepot.kernel.text import plain

#: Of a file that is sent to the admin API, which reads 16 MiB.
LARGEST = 12 * 1024 * 1024

command = noun("book", "What things cost, and from when.")


@command.command("list", short_help="every book")
def list_() -> None:
    """Every book: what we charge (list) or pay (cost)."""
    with admin() as api:
        facts = api.get("books")
    show_or_json(facts, _list)


@command.command("show", short_help="prices in force, and every version")
@click.argument("book")
def show(book: str) -> None:
    """The prices of BOOK in force now, and when its versions begin."""
    with admin() as api:
        facts = api.get("books", book)
    show_or_json(facts, _show)


@command.command("preview", short_help="what prices would have done to last month's bills")
@click.argument("what", metavar="FILE|BOOK")
@click.argument("version", type=int, default=0, metavar="[VERSION]")
@click.option("--lines", default=5, show_default=True, help="Prices that are shown of each customer.")
def preview(what: str, version: int, lines: int) -> None:
    """Rate last month's usage once as it is and once with what FILE says, or with the published VERSION of BOOK: by
    customer, and what we pay vendors. Where nothing was used yet, a sample. Nothing is changed.
    """
    body = {"book": what, "version": version} if version else {"text": text_of(Path(what)), "file": what}
    with admin() as api:
        facts = ask_of_catalog(api, ("books", "preview"), body)
    show_or_json(facts, lambda facts: effect_text(facts, lines=lines))


@command.command("rerate", short_help="price past usage as by another version, after approval")
@click.argument("book")
@click.argument("version", type=int)
@click.option("--from", "from_", required=True, metavar="WHEN", help="First hour of the usage, UTC.")
@click.option("--until", required=True, metavar="WHEN", help="The hour at which it ends.")
@click.option("--customer", "customers", multiple=True, help="Only this one; may be repeated.")
@click.option("--id", "id_", default="", help="Approve it under this id, once however often it is repeated.")
@click.option("--by", default="", help="Who approves it.")
@click.option("--reason", default="", help="Why; it stands with the decision.")
@click.option("--lines", default=5, show_default=True, help="Prices that are shown of each customer.")
@click.option("--dry-run", is_flag=True, help="Show what it comes to only.")
def rerate(lines: int, **given: Any) -> None:
    """Price usage that there was as if VERSION of BOOK had been in force: by customer and month, what it comes to.

    Without --id nothing is approved. With it the decision is kept, and what is billed already is corrected by lines on
    the next invoice; months that are not billed yet are billed at these prices.
    """
    named = {"from": given.pop("from_"), "id": given.pop("id_"), "customers": list(given.pop("customers"))}
    with admin() as api:
        facts = api.post("books", "rerate", body={**given, **named})
    show_or_json(facts, lambda facts: rerating_text(facts, lines=lines))


@command.command("import", short_help="cost books as vendors' price lists have them, to review and apply")
@click.argument("source", type=click.Choice(["genai-prices"]))
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--vendor", "vendors", multiple=True, metavar="VENDOR=PROVIDER", help="Which provider a vendor is there.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the proposal to this file.")
def import_(source: str, file: Path, vendors: tuple[str, ...], output: Path | None) -> None:
    """Look up the models of the catalog in FILE, the `data.json` (v2) of genai-prices, plain or as .gz, and write cost
    books for their vendors. What comes out is a proposal: read it, change it, then `entrepot apply` it.
    """
    named = dict(each.partition("=")[::2] for each in vendors)
    if not all(named) or not all(named.values()):
        raise Stop("--vendor is VENDOR=PROVIDER, for example --vendor claude=anthropic", exit_code=MISUSED)
    with admin() as api:
        facts = api.post("books", "import", body={"text": _data_of(file), "file": file.name, "vendors": named})
    for each in facts["notes"]:
        note(f"{plain(each)}")
    if facts["text"] and output is not None:
        _write(output, facts["text"])
    show_or_json(facts, lambda shown: _proposed(shown, str(facts["text"]), output))


def _proposed(facts: dict[str, Any], text: str, output: Path | None) -> str:
    """The catalog text itself holds no character that a terminal would obey."""
    same = f"{len(facts['same'])} as the book has them already"
    if not text:
        return f"nothing to propose: {same}"
    if output is None:
        return text.rstrip()
    then = f"{program()} apply {output} --dry-run"
    return f"prices of {len(facts['models'])} models in {output}, {same}\n  do    read it, then: {then}"


def _data_of(file: Path) -> str:
    """The file's text, taken out of its .gz; at most as much as the admin API reads."""
    try:
        with (gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb")) as source:
            data = source.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise Stop(f"{file} has more than {LARGEST:,} bytes: this is no price data", exit_code=MISUSED)
        return data.decode("utf-8")
    except FileNotFoundError:
        do = "prices/new_data/v2/data.json of the project genai-prices (pydantic, MIT) is one"
        raise Stop(f"there is no file {file}", do=do, exit_code=MISUSED) from None
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise Stop(f"{file} cannot be read: {error}", exit_code=MISUSED) from None


def _write(output: Path, text: str) -> None:
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Stop(f"{output} is there already; nothing was written", exit_code=MISUSED) from None
    except OSError as error:
        raise Stop(f"{output} cannot be written: {error}", exit_code=MISUSED) from None


def _list(facts: dict[str, Any]) -> str:
    columns = [
        Column("book"),
        Column("kind"),
        Column("currency"),
        Column("versions", "count"),
        Column("models", "count"),
    ]
    rows = [
        (
            b["book"],
            f"cost, {b['buys_from']}" if b["buys_from"] else "list",
            b["currency"],
            count(b["versions"]),
            count(len(b["models"])),
            f"next from {b['to_come'][0]}" if b["to_come"] else "",
        )
        for b in facts["books"]
    ]
    return lay_out([*columns, Column("")], rows) if rows else "no books yet; they stand in the catalog file"


def _show(b: dict[str, Any]) -> str:
    kind = f"what we pay {b['buys_from']}" if b["buys_from"] else "what customers pay"
    head = f"{b['book']}: {kind}, {b['currency']}; in force now"
    columns = [
        Column("model"),
        Column("bucket"),
        Column("price", "amount"),
        Column("per", "count"),
        Column("version", "count"),
        Column("when"),
        Column("note"),
    ]
    rows = [
        (p["model"], p["bucket"], p["price"], count(p["per"]), str(p["version"]), p["when"], p["note"])
        for p in b["in_force"]
    ]
    versions = [
        f"  version {v['version']}   from {v['valid_from']}   published {v['published_at'][:19]}Z"
        for v in b["published"]
    ]
    return "\n\n".join([head, lay_out(columns, rows), "\n".join(versions)])
