"""Mistakes of a catalog file: found all at once, shown with their line, the reason and the way out."""

import difflib
from collections.abc import Iterable, Mapping

import msgspec

from entrepot.kernel.errors import EntrepotError, Fault


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """One mistake. `text` is what stands in that line, `why` what is so and what to do: one or more lines."""

    line: int
    text: str
    why: tuple[str, ...]


class CatalogBroken(EntrepotError):
    """The file has mistakes; nothing was changed."""

    code = "catalog_broken"
    fault = Fault.CALLER

    def __init__(self, file: str, issues: Iterable[Issue]) -> None:
        self.file = file
        self.issues = sorted(set(issues), key=lambda issue: (issue.line, issue.text, issue.why))
        super().__init__(show(file, self.issues))


def show(file: str, issues: list[Issue]) -> str:
    """The layout of the terminal, without colour and without a last newline."""
    count = "1 mistake" if len(issues) == 1 else f"{len(issues)} mistakes"
    blocks = [f"{file}: {count}, nothing was changed"]
    for issue in issues:
        label = f"line {issue.line}".ljust(10)
        blocks.append("\n".join([f"  {label}{issue.text}", *(f"  {'':10}{each}" for each in issue.why)]))
    return "\n\n".join(blocks)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant; case does not count."""
    folded: Mapping[str, str] = {each.casefold(): each for each in sorted(known, reverse=True)}
    found = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?`, a list of what there is if it is short, or nothing."""
    names = sorted(set(known))
    meant = nearest(name, names)
    if meant is not None:
        return f' Did you mean "{meant}"?'
    return f" Known here: {', '.join(names)}." if 0 < len(names) <= 12 else ""
