"""How one language writes numbers, dates and months; a package that writes for people adds its own words."""

from datetime import date as Date

import msgspec


class Speech(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part that all language files share."""

    decimal: str
    group: str
    date: str  # in a letter: 3 December 2026
    day: str  # in a table: 2026-12-03
    month_year: str = "{month} {year}"
    months: list[str]
    words: dict[str, str]

    def number(self, digits: str) -> str:
        """Plain digits with this language's marks: `1234.5` is `1,234.5`."""
        whole, point, part = digits.removeprefix("-").partition(".")
        grouped = f"{int(whole):,}".replace(",", self.group)
        sign = "\u2212" if digits.startswith("-") else ""
        return f"{sign}{grouped}{self.decimal}{part}" if point else f"{sign}{grouped}"

    def written(self, on: Date) -> str:
        return self.date.format(day=on.day, month=self.months[on.month - 1], year=on.year)

    def short(self, on: Date) -> str:
        return self.day.format(day=on.day, month=on.month, year=on.year)

    def month(self, name: str) -> str:
        """`2026-10` as `October 2026`."""
        year, _, number = name.partition("-")
        return self.month_year.format(month=self.months[int(number) - 1], year=year)
