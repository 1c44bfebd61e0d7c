"""Figures that people enter: kept as a file under its name, each change of it beside what it was."""

from collections.abc import Callable

from sqlalchemy import Engine

from entrepot.insight.entered import read_entered
from entrepot.insight.tables import put_entered
from entrepot.keeper.arguments import NAME_MOST, Args, Facts, name_of, text_of
from entrepot.kernel.instants import Instant
from entrepot.storage.database import read, write
from entrepot.storage.folder import Folder


def enter(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{name, text, dry_run}: what the file of this name says from now on. Nothing is changed where it has mistakes."""
    name, text = name_of(args, "name", NAME_MOST), text_of(args, "text")
    found = read_entered(text, name)
    counts = {kind: len(getattr(found, kind)) for kind in found.__struct_fields__}
    if args.get("dry_run"):
        with read(engine):
            return {"name": name, "entries": counts, "known": False, "dry_run": True}
    with write(engine) as connection:
        kept = put_entered(connection, name, text, now)
    return {"name": name, "entries": counts, "known": kept is None, "dry_run": False}


COMMANDS: dict[str, Callable[[Engine, Folder, Args, Instant], Facts]] = {"insight.enter": enter}
