"""`entrepot scenario`: what if, out of files."""

import base64
from pathlib import Path
from typing import Any

import click

from entrepot.cli.answer import show_or_json
from entrepot.cli.catalog_file import text_of
from entrepot.cli.command import noun, options
from entrepot.cli.output import write_out
from entrepot.cli.scenario_text import listed, outcome
from entrepot.cli.session import AdminError, admin
from entrepot.cli.terminal import MISUSED, Stop, note, program

command = noun("scenario", "What if: somebody leaves, prices rise, minima fall; out of files.")
_PATIENCE_S = 960.0
_PICTURES = (".svg", ".png", ".pdf")
_FOLDER = click.option(
    "--folder", type=click.Path(path_type=Path),
    help="Where the files are [scenarios, DATA/scenarios, examples/scenarios].",
)  # fmt: skip


@command.command("list", short_help="the scenario files there are, and their titles")
@_FOLDER
def list_(folder: Path | None) -> None:
    """Every scenario by name; one with mistakes says so. Needs no server."""
    from entrepot.insight.scenario_file import ScenarioBroken, read_scenario

    rows: list[dict[str, Any]] = []
    for name, path in sorted(_files(folder).items()):
        try:
            scenario, _ = read_scenario(text_of(path), path.name)
            rows.append({"name": name, "title": scenario.title, "file": str(path), "mistakes": 0})
        except ScenarioBroken as broken:
            rows.append({"name": name, "title": "", "file": str(path), "mistakes": len(broken.issues)})
    show_or_json({"scenarios": rows, "folders": [str(each) for each in _folders(folder)]}, listed)


@command.command("run", short_help="what a scenario would do: revenue, margin, what is idle, growth to recover")
@click.argument("name", metavar="NAME|FILE")
@_FOLDER
@click.option("--base", type=click.Choice(("billed", "earned", "stated")), help="Which figures; default billed.")
@click.option("--view", type=click.Choice(("gross", "net")), help="Of agents' sales all, or the fee.")
@click.option("--from", "from_", metavar="MONTH|DATE", help="Included, UTC; default the last whole month.")
@click.option("--until", metavar="MONTH|DATE", help="Excluded; default: one month.")
@click.option("--currency", metavar="CURRENCY", help="Default: the only one, or the operator's.")
@click.option("--picture", metavar="FILE.svg|png|pdf", help="Also as a picture, into this file.")
def run(name: str, folder: Path | None, picture: str | None, **given: Any) -> None:
    """Try a scenario on what was sold: a mean month of the period, and each month ahead. Every figure that is not from
    the books is printed with its standing and source. Nothing is changed."""
    from entrepot.insight.scenario_file import ScenarioBroken, read_scenario

    ending = Path(picture).suffix if picture else ""
    if picture and ending not in _PICTURES:
        raise Stop(f"{picture!r} is no picture that can be made", do="--picture FILE.svg, .png or .pdf",
                   exit_code=MISUSED)  # fmt: skip
    path = _file(name, folder)
    text = text_of(path)
    try:
        read_scenario(text, path.name)
    except ScenarioBroken as broken:
        stop = Stop(broken.message, lines=broken.message)
        stop.code = broken.code
        raise stop from None
    asked = {key.rstrip("_"): value for key, value in given.items() if value}
    with admin(patience_s=_PATIENCE_S) as api:
        try:
            facts = api.post("scenario", body={**asked, "name": path.name, "text": text, "picture": ending[1:]})
        except AdminError as error:
            if error.code == "scenario_broken":
                error.lines = error.message
            raise
    drawn = facts.pop("picture", None)
    if picture and drawn:
        write_out(Path(picture), base64.b64decode(drawn))
        facts["file"] = picture
    show_or_json(facts, outcome)
    if picture:
        note(f"the picture is in {picture}")


def _folders(folder: Path | None) -> list[Path]:
    return [folder] if folder else [Path("scenarios"), options().data / "scenarios", Path("examples/scenarios")]


def _files(folder: Path | None) -> dict[str, Path]:
    """Name → file; the first folder that has a name counts. Raises Stop where a folder that was named is none."""
    if folder and not folder.is_dir():
        raise Stop(f"there is no folder {folder}", exit_code=MISUSED)
    found: dict[str, Path] = {}
    for each in _folders(folder):
        for path in sorted(each.glob("*.toml")):
            found.setdefault(path.stem, path)
    return found


def _file(name: str, folder: Path | None) -> Path:
    if name.endswith(".toml") or "/" in name:
        return Path(name)
    known = _files(folder)
    if name not in known:
        from entrepot.catalog.issues import did_you_mean

        looked = ", ".join(f"{each}/" for each in _folders(folder))
        do = f"{program()} scenario list"
        raise Stop(f"no scenario is called {name!r} in {looked}.{did_you_mean(name, known)}", do=do, exit_code=MISUSED)
    return known[name]
