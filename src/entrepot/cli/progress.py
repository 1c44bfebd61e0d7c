"""How far a long command is: one line rewritten in place on a terminal, else a line now and then."""

import os
import sys
import time

import click

_BAR = 24
_LINES_EVERY_S = 10.0


class ProgressLine:
    """On standard error, so that what is piped stays clean."""

    def __init__(self, title: str, total: int) -> None:
        self._title = title
        self.total = total
        self._live = sys.stderr.isatty()
        self._next = time.monotonic() + _LINES_EVERY_S
        self._shown = False

    def show(self, done: int, facts: str) -> None:
        """`facts` stand behind the bar; called as often as one likes."""
        share = done / self.total if self.total else 1.0
        if self._live:
            full = int(share * _BAR)
            bar = "█" * full + "░" * (_BAR - full)
            line = f"{self._title}  {bar} {share:4.0%}  {done:,} of {self.total:,}  {facts}"
            width = os.get_terminal_size(sys.stderr.fileno()).columns - 1
            click.echo(f"\r{line[:width]}\x1b[K", err=True, nl=False)
            self._shown = True
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINES_EVERY_S
            click.echo(f"{self._title}  {share:.0%}  {done:,} of {self.total:,}  {facts}", err=True)

    def end(self) -> None:
        """Leave the terminal as it was."""
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._shown = False
