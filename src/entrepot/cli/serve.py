"""`entrepot serve`: everything on this machine."""

import os
import shlex
import sys
import time
from pathlib import Path

import click

from entrepot.cli.command import command as verb
from entrepot.cli.command import options
from entrepot.cli.terminal import MISUSED, Stop, program
from entrepot.serve import settings as known
from entrepot.serve.house import House
from entrepot.serve.parent import Parent, StartFailed
from entrepot.serve.ports import HostUnknown, PortTaken
from entrepot.storage.folder import FolderInUse


@verb("everything on this machine")
def command(**given: str | int | None) -> None:
    """Start everything on this machine: the API, the keeper of the books, the admin API, the built-in model.

    Ctrl-C stops it: calls under way end first, nothing is lost. Every setting that has no option here is a variable of
    the environment: docs/reference/settings.md.
    """
    values = known.read({**given, "data": str(options().data)})
    catalog = Path(str(values["catalog"]))
    if given["catalog"] and not catalog.is_file():
        raise Stop(
            f"there is no catalog file {catalog}",
            do=f"{program()} serve --catalog examples/demo.toml",
            exit_code=MISUSED,
        )
    values["catalog"] = str(catalog.absolute()) if catalog.is_file() else ""
    house = House(values, sys.stdout, program())
    try:
        Parent(values, house, started_at=_process_started()).run()
    except PortTaken as taken:
        raise Stop(taken.message, do=_elsewhere(taken)) from None
    except FolderInUse as used:
        raise Stop(used.message, do=f"{program()} status      or another folder: {_again('data', 'data2')}") from None
    except HostUnknown as unknown:
        raise Stop(unknown.message, do=_again("host", "127.0.0.1"), exit_code=MISUSED) from None
    except StartFailed as failed:
        raise _explained(failed) from None
    finally:
        house.close()


def _explained(failed: StartFailed) -> Stop:
    """The mistakes of a catalog have a layout of their own, and their way out is this start, once more."""
    again = f"\n\n  do    correct them, then again: {_same()}"
    lines = failed.message + again if failed.code == "catalog_broken" else ""
    stop = Stop(failed.message, lines=lines)
    stop.code = failed.code
    return stop


def _same() -> str:
    """This start, as it was typed."""
    return "make serve" if os.environ.get("MAKELEVEL") else f"{program()} {shlex.join(sys.argv[1:])}"


def _elsewhere(taken: PortTaken) -> str:
    return _again("admin_port" if taken.admin else "port", taken.free) if taken.free else ""


def _again(setting: str, value: str | int) -> str:
    """The same start with one setting changed, in the words it was started with."""
    if os.environ.get("MAKELEVEL"):
        return f"make serve {setting.upper()}={value}"
    return f"{program()} serve --{setting.replace('_', '-')} {value}"


def _process_started() -> float:
    """CLOCK_MONOTONIC when this process began, so that the shown start time includes the interpreter's own."""
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return time.monotonic() - age


command.params = [
    *(
        click.Option(
            [setting.flag],
            type=int if isinstance(setting.default, int) else str,
            metavar=setting.name.rpartition("_")[2].upper(),
            help=f"{setting.meaning} [{setting.default}]",
        )
        for setting in known.SETTINGS
        if setting.option and setting.name != "data"  # --data stands with the options that all commands share
    ),
    *command.params,
]
