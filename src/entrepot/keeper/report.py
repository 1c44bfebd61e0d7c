"""What `verify` found, and how it is shown."""

import msgspec

from entrepot.kernel.money import show

_LABEL, _MIDDLE = 11, 43


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first place where two parts go different ways."""

    part: str
    what: str
    found: str
    expected: str

    def to_text(self) -> str:
        values = f": {self.found}, expected {self.expected}" if self.found or self.expected else ""
        return f"{self.part:<{_LABEL}}{self.what}{values}"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of everything compared. `unlisted`: segments without a file; `pending`: endings that the rollup has not
    taken yet; `charges` in ledger units by currency."""

    streams: int
    segments: int
    records: int
    intents: int
    endings: int
    open: int
    pending: int
    unlisted: int
    files: int
    charges: dict[str, int]
    transfers: int
    differences: tuple[Difference, ...]
    seconds: float
    documents: int = 0

    @property
    def agree(self) -> bool:
        return not self.differences

    def to_text(self) -> str:
        """The screen of `entrepot verify`."""
        bad = {difference.part for difference in self.differences}
        charges = " + ".join(f"{show(n, currency)} {currency}" for currency, n in sorted(self.charges.items())) or "0"
        balanced = "=" if not self.open else "≠"
        others = self.records - self.intents - self.endings
        lines = [
            _line(
                "journal",
                f"{_n(self.streams, 'stream')}, {_n(self.segments, 'segment')}, {_n(self.records, 'record')}",
                _verdict("journal", bad, "no gap, no damage"),
            ),
            _line("", f"{_n(self.intents, 'intent')} {balanced} {_n(self.endings, 'ending')}, {_n(others, 'other')}",
                  f"{self.open:,} open"),
            _line("lake", _n(self.files, "file"), _verdict("lake", bad, "each equal to its segment's endings")),
            _line("rollup", charges, _verdict("rollup", bad, f"= lake + {_n(self.unlisted, 'open segment')}")),
            _line("ledger", f"{_n(self.transfers, 'transfer')}, {self.pending:,} pending",
                  _verdict("ledger", bad, "debits = credits, chain whole")),
            _line("invoices", _n(self.documents, "document"),
                  _verdict("invoices", bad, "made again the same, no number missing")),
        ]  # fmt: skip
        if self.differences:
            lines += ["", *(difference.to_text() for difference in self.differences), ""]
        last = "all agree" if self.agree else _n(len(self.differences), "difference")
        return "\n".join([*lines, f"{last:<{_LABEL + _MIDDLE}}{self.seconds:.1f} s"])


def _line(label: str, left: str, right: str) -> str:
    return f"{label:<{_LABEL}}{left:<{_MIDDLE}}" + ("" if len(left) < _MIDDLE else "   ") + right


def _verdict(part: str, bad: set[str], good: str) -> str:
    return "DIFFERS, see below" if part in bad else good


def _n(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
