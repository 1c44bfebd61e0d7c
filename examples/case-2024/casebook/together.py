"""Both loadings at once, each in a process of its own, and one line that says how far they are."""

import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path

from casebook.house import Told
from casebook.loading import load
from casebook.story import FILES, Written, tell
from entrepot.cli.progress import ProgressLine
from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.instants import DAY
from entrepot.rating.period import month as month_of

_Said = tuple[str, int, int, int]  # what is done in words, steps so far, done of it, of how many


class LoadingFailed(EntrepotError):
    """The process of one loading broke off; the message is its own."""

    code = "case_broken"


def load_books(root: Path, names: Sequence[str], *, files: Path = FILES, fine: bool = True) -> list[Written]:
    """Load these into folders of their names below `root`. Raises LoadingFailed."""
    context = multiprocessing.get_context("spawn")
    open_ends: dict[Connection, str] = {}
    for name in names:
        ours, theirs = context.Pipe(duplex=False)
        context.Process(target=_load, args=(theirs, root / name, files, name, fine), daemon=True).start()
        theirs.close()
        open_ends[ours] = name
    line = ProgressLine("loading", sum(_steps(files, name) for name in names))
    done, said, written = dict.fromkeys(names, 0), dict.fromkeys(names, "opening the books"), {}
    try:
        while open_ends:
            for end in wait(list(open_ends)):
                assert isinstance(end, Connection)
                name = open_ends[end]
                message = _next(end)
                if isinstance(message, Written):
                    written[name], said[name], done[name] = message, "whole", _steps(files, name)
                    del open_ends[end]
                elif isinstance(message, str):
                    raise LoadingFailed(f"{name}: {message}")
                else:
                    what, done[name], count, of = message
                    said[name] = f"{what} {count} of {of}"
                line.show(sum(done.values()), " · ".join(f"{each}: {said[each]}" for each in names))
    finally:
        line.end()
    return [written[name] for name in names]


def _next(end: Connection) -> "_Said | Written | str":
    try:
        message: _Said | Written | str = end.recv()
    except EOFError:
        return "its process ended without a word"
    return message


def _load(end: Connection, root: Path, files: Path, name: str, fine: bool) -> None:
    """The child."""
    reached = 0

    def told(month: str) -> Told:
        def say(what: str, done: int, of: int) -> None:
            nonlocal reached
            reached += 1
            end.send((f"{month}, {what}", reached, done, of))

        return say

    try:
        end.send(tell(root, name, told, files=files, fine=fine))
    except EntrepotError as error:
        end.send(error.message)


def _steps(files: Path, name: str) -> int:
    """Days served and invoices issued."""
    loading, _ = load(files, name)
    days = sum((month_of(each).ends_at - month_of(each).starts_at) // DAY for each in loading.months)
    return days + len(loading.amounts)
