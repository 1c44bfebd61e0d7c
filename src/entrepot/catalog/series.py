"""Series of document numbers as the catalog writes them, `R-{year}-{n:05}`: what is one, and which two would write the
same number. Pure."""

import re
from collections.abc import Iterator
from functools import cache
from string import digits

SERIES = "R-{year}-{n:05}"
CREDIT_NOTES = "G-{year}-{n:05}"
LONGEST = 40
#: `{year}`, or `{n}` with its least width.
HOLE = re.compile(r"\{(year|n(?::0?(?P<width>[1-9]))?)\}")
_AROUND = re.compile(r"[A-Za-z0-9/._-]*")

#: The letters that may stand at a place, and whether any number of them may.
_Place = tuple[str, bool]


def is_series(text: str) -> bool:
    """It holds {n} or {n:05} once, {year} at most once, and plain letters, digits and marks around them."""
    found = [hole[1] for hole in HOLE.finditer(text)]
    counts = sum(each.startswith("n") for each in found)
    plain = _AROUND.fullmatch(HOLE.sub("", text)) is not None
    return counts == 1 and len(found) - counts <= 1 and plain and len(text) <= LONGEST


def written(series: str, year: int, n: int) -> str:
    """The n-th number of the series in this year."""

    def fill(hole: re.Match[str]) -> str:
        return str(year) if hole[1] == "year" else f"{n:0{hole['width'] or 1}d}"

    return HOLE.sub(fill, series)


def common(first: str, second: str) -> str:
    """A number that both series would write in some year, the shortest; "": there is none."""
    found = [
        both for ours in _shapes(first) for theirs in _shapes(second) if (both := _both(ours, theirs)) is not None
    ]  # fmt: skip
    return min(found, key=lambda each: (len(each), each), default="")


def writes(series: str, number: str, year: int) -> bool:
    """Whether the series gives this number in this year or a later one."""
    pattern, at = "", 0
    for hole in HOLE.finditer(series):
        pattern += re.escape(series[at : hole.start()])
        width = hole["width"] or "1"
        pattern += "(?P<year>[0-9]{4})" if hole[1] == "year" else f"(?P<n>[0-9]{{{width}}}|[1-9][0-9]{{{width},}})"
        at = hole.end()
    found = re.fullmatch(pattern + re.escape(series[at:]), number)
    return found is not None and int(found["n"]) > 0 and int(found.groupdict().get("year") or year) >= year


def _shapes(series: str) -> Iterator[tuple[_Place, ...]]:
    """What numbers of the series look like: as wide as it says with some zeros before, or wider without."""
    widths = [int(hole["width"] or 1) for hole in HOLE.finditer(series) if hole[1] != "year"]
    for zeros in range(-1, max(widths, default=0)):
        places: list[_Place] = []
        at = 0
        for hole in HOLE.finditer(series):
            places += [(letter, False) for letter in series[at : hole.start()]]
            width = int(hole["width"] or 1)
            if hole[1] == "year":
                places += [("2", False), *[(digits, False)] * 3]
            elif zeros < 0:
                places += [(digits[1:], False), *[(digits, False)] * width, (digits, True)]
            else:
                places += [("0", False)] * zeros + [(digits[1:], False)] + [(digits, False)] * (width - zeros - 1)
            at = hole.end()
        yield (*places, *((letter, False) for letter in series[at:]))


def _both(first: tuple[_Place, ...], second: tuple[_Place, ...]) -> str | None:
    """The shortest text of both shapes; None: there is none."""

    @cache
    def rest(ours: int, theirs: int) -> str | None:
        if ours == len(first) and theirs == len(second):
            return ""
        found = []
        here, there = first[ours : ours + 1], second[theirs : theirs + 1]
        if here and here[0][1]:
            found.append(rest(ours + 1, theirs))
        if there and there[0][1]:
            found.append(rest(ours, theirs + 1))
        letters = sorted({*here[0][0]} & {*there[0][0]}, key=lambda each: (each == "0", each)) if here and there else []
        if letters and not (here[0][1] and there[0][1]):
            tail = rest(ours if here[0][1] else ours + 1, theirs if there[0][1] else theirs + 1)
            found.append(None if tail is None else letters[0] + tail)
        return min((each for each in found if each is not None), key=lambda each: (len(each), each), default=None)

    return rest(0, 0)
