"""The report as a value: pages of figures that know where they come from. How it looks is said elsewhere."""

from datetime import date as Date

import msgspec

from entrepot.insight.drawing.chart import Chart
from entrepot.insight.facts import Standing


class Figure(msgspec.Struct, frozen=True, kw_only=True, tag="figure"):
    """What is read, where it comes from in one word, and the numbers of its footnotes: never none."""

    text: str
    standing: Standing
    notes: tuple[int, ...]


#: Words and figures in the order in which they are read.
Words = tuple[str | Figure, ...]


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A footnote: how the figure is made, and of which inputs."""

    number: int
    standing: Standing
    text: str


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """One of the key figures, and below it what it is to be read against."""

    name: str
    figure: Figure
    about: Words = ()


class Tiles(msgspec.Struct, frozen=True, kw_only=True, tag="tiles"):
    tiles: tuple[Tile, ...]


class Text(msgspec.Struct, frozen=True, kw_only=True, tag="text"):
    words: Words


class Table(msgspec.Struct, frozen=True, kw_only=True, tag="table"):
    """The first column holds names, the others figures."""

    title: str
    whole: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Words, ...], ...]


class Picture(msgspec.Struct, frozen=True, kw_only=True, tag="picture"):
    """`alt` says in words what is seen; `notes` are those of all that is drawn."""

    chart: Chart
    alt: str
    notes: tuple[int, ...]


Block = Tiles | Text | Table | Picture


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """`inputs` are what the notes name by a letter."""

    heading: str
    blocks: tuple[Block, ...]
    notes: tuple[Note, ...]
    inputs: tuple[tuple[str, str], ...] = ()


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """`about` says of which month, base and currency all figures are, `made` when and from what state
    of the books."""

    language: str
    made_on: Date
    title: str
    about: str
    made: str
    lead: Words
    pages: tuple[Page, ...]
    legend: tuple[tuple[Standing, str], ...]


class Notes:
    """Footnotes in the order in which they are first cited, and by letters what they were made of: the same words are
    one note, the same inputs one letter. A page shows those that came since the last one."""

    def __init__(self) -> None:
        self._notes: dict[str, Note] = {}
        self._inputs: dict[str, str] = {}
        self._told = 0, 0

    def cite(self, text: str, standing: Standing) -> int:
        return self._notes.setdefault(text, Note(number=len(self._notes) + 1, standing=standing, text=text)).number

    def letter(self, inputs: str) -> str:
        """A, B, …, Z, AA: under which these inputs stand."""
        number, letters = len(self._inputs), ""
        while number >= 0:
            number, letters = number // 26 - 1, chr(ord("A") + number % 26) + letters
        return self._inputs.setdefault(inputs, letters)

    def of_page(self) -> tuple[tuple[Note, ...], tuple[tuple[str, str], ...]]:
        notes, inputs = self._told
        self._told = len(self._notes), len(self._inputs)
        lettered = tuple((letters, told) for told, letters in self._inputs.items())
        return tuple(self._notes.values())[notes:], lettered[inputs:]


def filled(words: str, **parts: str | Figure) -> Words:
    """`{rise} on {month}` with what stands in its places; what a name itself says is left as it is."""
    found: list[str | Figure] = []
    rest = words
    while "{" in rest:
        text, _, rest = rest.partition("{")
        name, _, rest = rest.partition("}")
        found += [text, parts[name]]
    return tuple(each for each in (*found, rest) if each != "")


def figures(block: Block) -> list[Figure]:
    """All of a block, in the order in which they are read."""
    if isinstance(block, Tiles):
        found = [[tile.figure, *tile.about] for tile in block.tiles]
    elif isinstance(block, Text):
        found = [list(block.words)]
    elif isinstance(block, Table):
        found = [list(cell) for row in block.rows for cell in row]
    else:
        found = []
    return [each for words in found for each in words if isinstance(each, Figure)]
