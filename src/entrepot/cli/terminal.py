"""How the terminal is spoken to: colours where they are wanted, errors in their four parts, this command's name."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any, TextIO

import click

from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.text import plain_lines

DONE, REFUSED, MISUSED, UNREACHABLE = 0, 1, 2, 3


class Stop(EntrepotError):
    """A command ends here. `message` says what, where and why; `do` the commands that help; `exit_code` is one of ours.

    `lines` replaces the whole text where a screen has a layout of its own (the mistakes of a catalog file).
    """

    code = "command_stopped"

    def __init__(self, message: str, *, do: str = "", exit_code: int = REFUSED, lines: str = "") -> None:
        super().__init__(message)
        self.do = do
        self.exit_code = exit_code
        self.lines = lines
        self.details: dict[str, Any] = {}  # beside code and message, for --json


def coloured(stream: TextIO) -> bool:
    """Colour only where a person looks, and not where NO_COLOR is set (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def bold(text: str) -> str:
    return click.style(text, bold=True) if coloured(sys.stdout) else text


def ready(text: str) -> str:
    return click.style(text, fg="green") if coloured(sys.stdout) else text


def needs_you(text: str) -> str:
    return click.style(text, fg="yellow") if coloured(sys.stdout) else text


def dim(text: str) -> str:
    return click.style(text, dim=True) if coloured(sys.stdout) else text


def say(text: str = "") -> None:
    """One line or screen on standard output."""
    click.echo(text)


def note(text: str) -> None:
    """A word beside the answer, on standard error, so that what is piped stays clean."""
    click.echo(plain_lines(text), err=True)


def confirm(question: str, *, yes: bool, alone: str) -> None:
    """Ask a person before what cannot be undone; where nobody is, stop and say so (`alone`: what was not done)."""
    if yes:
        return
    if not sys.stdin.isatty() or "--json" in sys.argv:
        raise Stop(f"{alone}, and nobody is here to ask", do="the same command with --yes", exit_code=MISUSED)
    if not click.confirm(question, default=False):
        raise Stop("nothing was changed")


def program() -> str:
    """The command as it works from here: `entrepot` where that is on the PATH, else the path it was called by."""
    called = Path(sys.argv[0] or "entrepot")
    if called.name != "entrepot":
        return "entrepot"
    found = shutil.which("entrepot")
    if found and Path(found).resolve() == called.resolve():
        return "entrepot"
    try:
        return str(called.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(called)


def error_text(message: str, do: str = "") -> str:
    """`error: …` and below it what to do."""
    text = f"error: {plain_lines(message)}"
    return f"{text}\n  do    {plain_lines(do)}" if do else text
