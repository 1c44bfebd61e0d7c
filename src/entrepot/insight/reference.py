"""`docs/reference/measures.md`, printed from what the measures say of themselves."""

import inspect
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Final, get_type_hints

from entrepot.insight import (
    change,
    concentration,
    currency,
    dependence,
    exposure,
    fiscal,
    growth,
    loss,
    margin,
    payback,
)  # fmt: skip

#: In the order of the page.
MODULES: Final = (concentration, change, growth, fiscal, margin, dependence, exposure, payback, loss, currency)
#: What a measure says of itself, each at the beginning of a line.
WORDS: Final = ("Formula", "Shape", "Unit", "Range", "Bad input", "Source")
_FIELD: Final = re.compile(rf"^({'|'.join(WORDS)}): ", re.MULTILINE)
_HEAD: Final = """\
# Measures

Printed by `make reference` from the code. Each is a plain function of facts: sales by month, customer and whatever a
cut asks for, on one base. Shares and rates are exact fractions; amounts are whole numbers in units of the base.

A **base** says what a figure is a figure of: `billed` (issued lines without tax, by the month of their service),
`earned` (what usage posted to revenue, by the month of the call), `run-rate` (a year at the pace of a window, which is
stated) or `stated` (entered from a report); `gross` (what customers pay) or `net` (of an agent's contract only the
fee); a currency; a period; and the whole that shares are shares of. Figures of two bases never meet: that is an error
that names what differs. A figure **stands** in the books, is reported by somebody, or assumed, and keeps its source.

What cannot be measured is a sentence (`nothing_sold`, `bases_mixed`, `expectation_missing`, `exchange_rate_missing`,
`insight_unknown_name`, `insight_refused`), or nothing with its reason beside it: never a number that is none.
"""


def reference() -> str:
    """The page: each module's question, then its measures."""
    sections = [_HEAD]
    for module in MODULES:
        question = (inspect.getdoc(module) or "").splitlines()[0]
        sections.append(f"## {module.__name__.rpartition('.')[2].capitalize()}\n\n{question}\n")
        sections += [_section(measure) for measure in measures(module)]
    return "\n".join(sections)


def measures(module: ModuleType) -> Iterator[Callable[..., object]]:
    """The functions of a module that say where their formula comes from, in their order."""
    for name, found in vars(module).items():
        own = inspect.isfunction(found) and found.__module__ == module.__name__ and not name.startswith("_")
        if own and "Source" in fields(found):
            yield found


def fields(measure: Callable[..., object]) -> dict[str, str]:
    """What its docstring says, by word; under "" the sentence it begins with."""
    parts = _FIELD.split(inspect.getdoc(measure) or "")
    return {"": _line(parts[0])} | {word: _line(text) for word, text in zip(parts[1::2], parts[2::2], strict=True)}


def _section(measure: Callable[..., object]) -> str:
    said = fields(measure)
    about = said.pop("")
    rows = "".join(f"- {word}: {text}\n" for word, text in (*said.items(), *_given(measure)))
    return f"### {measure.__name__}\n\n{about}\n\n{rows}"


def _given(measure: Callable[..., object]) -> Iterator[tuple[str, str]]:
    """What comes out, where that is a record of its own."""
    given = get_type_hints(measure)["return"]
    if inspect.isclass(given) and given.__module__ == measure.__module__:
        yield "Gives", f"`{given.__name__}`. {_line(inspect.getdoc(given) or '')}"


def _line(text: str) -> str:
    return " ".join(text.split())
