"""Break every line of the rules of money, one way at a time, and see whether a test fails: `make mutation`.

The tests are collected once and run once unbroken; that tells which of them reach which statement. A mutant is a fork
in which the code object of one function is replaced, and those tests run until one fails: first the one that killed
most mutants of the same function, then the quickest. Options: `--jobs N`, and parts of file names. Prints what
survives; `docs/decisions/mutation.md` has a sentence for each. Exit 1 where one is not listed there, or where fewer
than 90 % are killed.
"""

import argparse
import re
import sys
import time
from pathlib import Path

import pytest

from mutation.forks import Fate, Forks

ROOT = Path(__file__).resolve().parents[2]
LISTED = ROOT / "docs" / "decisions" / "mutation.md"
FILES = (
    "pricing/charge.py", "kernel/money.py",
    *(f"ledger/{name}.py" for name in (
        "attribution", "grants", "postings", "transfer", "account", "chain", "taken_tables", "grant_tables", "tables",
        "entries", "check",
    )),
)  # fmt: skip
TESTS = (
    "tests/unit/ledger", "tests/unit/keeper/test_purchase_tax.py", "tests/unit/pricing/test_charge.py",
    "tests/unit/kernel/test_amounts.py", "tests/unit/control/test_ledger_reading.py",
)  # fmt: skip
LEAST = 90
_OPTIONS = ("-q", "-x", "--no-header", "-p", "no:cacheprovider", "-k", "not postgresql", "--hypothesis-seed=1")


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutation")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("parts", nargs="*", help="only files whose name holds one of these")
    given = parser.parse_args()
    files = [name for name in FILES if not given.parts or any(part in name for part in given.parts)]
    forks, started = Forks(ROOT / "src" / "entrepot", files, given.jobs), time.monotonic()
    failed = pytest.main([*_OPTIONS, *(str(ROOT / each) for each in TESTS)], plugins=[forks])
    return int(failed) if not forks.fates else _report(forks.fates, time.monotonic() - started)


def _report(fates: list[Fate], seconds: float) -> int:
    """The table, the survivors, and whether that is good enough."""
    text = LISTED.read_text(encoding="utf-8") if LISTED.exists() else ""
    explained = set(re.findall(r"^- (.+?) — ", text, re.MULTILINE))
    _say(f"\n{'file':<28}{'mutants':>9}{'killed':>9}{'rate':>9}")
    for name in (*dict.fromkeys(each.file for each in fates), ""):
        mine = [each for each in fates if name in ("", each.file)]
        killed = sum(each.killed for each in mine)
        _say(f"{name or 'all':<28}{len(mine):>9}{killed:>9}{killed / len(mine):>9.1%}")
    survivors = [each for each in fates if not each.killed]
    unknown = [each for each in survivors if each.name not in explained]
    _say(f"{len(survivors) - len(unknown)} of {len(survivors)} survivors are explained; {seconds:.0f} s")
    for each in unknown:
        _say(f"survives  {each.name}  (line {each.mutant.line})")
    for name in sorted({name for name in explained if name.split()[0] in {each.file for each in fates}}
                       - {each.name for each in survivors}):  # fmt: skip
        _say(f"explained, and survives no more  {name}")
    return int(bool(unknown) or sum(each.killed for each in fates) * 100 < LEAST * len(fates))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
