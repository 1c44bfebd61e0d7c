"""Plain aligned text: words to the left, numbers to the right, decimals under each other at the point."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from entrepot.kernel.text import plain

Kind = Literal["text", "count", "amount"]
_CELL_MOST = 400


class Column(NamedTuple):
    """`gap` is the room before the column; an amount arrives as its exact digits, `1,234.56`."""

    title: str
    kind: Kind = "text"
    gap: int = 2


def count(number: int) -> str:
    return f"{number:,}"


def at_the_point(amounts: Sequence[str]) -> list[str]:
    """The same digits, padded on both sides so that the points stand under each other; "" stays blank."""
    parts = [amount.partition(".") for amount in amounts]
    whole = max((len(part[0]) for part in parts), default=0)
    rest = max((len(part[1]) + len(part[2]) for part in parts), default=0)
    return [f"{a:>{whole}}{(point + b):<{rest}}" for a, point, b in parts]


def lay_out(columns: Sequence[Column], rows: Sequence[Sequence[str]], total: Sequence[str] | None = None) -> str:
    """Header, rows and perhaps a line of totals, without trailing blanks."""
    lines: list[Sequence[str]] = [*rows, *([total] if total is not None else [])]
    cells = [[plain(str(line[i]), _CELL_MOST) for line in lines] for i in range(len(columns))]
    texts: list[list[str]] = []
    for column, values in zip(columns, cells, strict=True):
        shown = at_the_point(values) if column.kind == "amount" else values
        width = max(len(column.title), *(len(value) for value in shown)) if shown else len(column.title)
        left = column.kind == "text"
        texts.append([f"{value:<{width}}" if left else f"{value:>{width}}" for value in (column.title, *shown)])
    lines_out = []
    for n in range(len(lines) + 1):
        line = "".join((" " * c.gap if i else "") + texts[i][n] for i, c in enumerate(columns))
        lines_out.append(line.rstrip())
    return "\n".join(lines_out)
