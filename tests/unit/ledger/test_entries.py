"""The ledger as it is read: page by page, over a period, and as an export that is worked out again from outside."""

import csv
import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine

from entrepot.ledger import grant_tables
from entrepot.ledger.chain import START, link
from entrepot.ledger.entries import Asked, entries, over_period, to_csv, to_lines
from entrepot.ledger.tables import head, open_balance, post, post_charges
from entrepot.ledger.transfer import Transaction
from entrepot.storage.database import read, write

USD = 10**9
HOWTO = Path(__file__).resolve().parents[3] / "docs" / "howto" / "audit-the-ledger.md"


@pytest.fixture
def filled(engine: Engine) -> Engine:
    """Ten transactions of two customers at 10, 20, … 100; the seventh moves nothing."""
    with write(engine) as conn:
        for name in ("acme", "bee"):
            open_balance(conn, name, "USD")
        grant_tables.top_up(conn, "acme", 100 * USD, "USD", "P-1", 10)
        grant_tables.top_up(conn, "bee", 50 * USD, "USD", "P-2 ü\u2028\"\\", 20)
        for at in range(30, 110, 10):
            if at == 70:
                post(conn, Transaction(id="nothing", kind="note", at=at, transfers=(), about="no move"))
                continue
            post_charges(conn, f"usage/{at}", at, {("acme" if at % 20 else "bee", "USD", "m"): at}, {})
    return engine


def seqs(conn: Connection, limit: int = 1000, **asked: object) -> list[int]:
    return [each.seq for each in entries(conn, Asked(**asked), limit)]  # type: ignore[arg-type]


def test_pages_follow_each_other_and_filters_narrow(filled: Engine) -> None:
    with read(filled) as conn:
        assert seqs(conn) == list(range(1, 11))
        assert seqs(conn, 4) == [1, 2, 3, 4]
        assert seqs(conn, 4, after=4) == [5, 6, 7, 8]
        assert seqs(conn, after=10) == []
        assert seqs(conn, from_=30, until=50) == [3, 4]
        assert seqs(conn, kind="top-up") == [1, 2]
        assert seqs(conn, customer="bee") == [2, 4, 6, 8, 10]
        assert seqs(conn, customer="bee", kind="usage", from_=80) == [8, 10]
        assert seqs(conn, account="USD:revenue") == [3, 4, 5, 6, 8, 9, 10]
        assert seqs(conn, account="USD:cash") == [1, 2]
        assert seqs(conn, account="USD:prepaid credit:acme", after=1, limit=2) == [3, 5]
        assert seqs(conn, account="US_:") == []
        found = entries(conn, Asked(account="USD:prepaid credit:bee", after=2))
        whole = {each.seq: each for each in entries(conn, Asked())}
        assert all(whole[each.seq] == each and each.previous == whole[each.seq - 1].hash for each in found)


def test_an_account_over_a_period_opens_where_the_one_before_closed(filled: Engine) -> None:
    def of(conn: Connection, **span: int) -> dict[str, tuple[int, int, int, int]]:
        found = over_period(conn, **span)  # type: ignore[arg-type]
        return {each.account.id: (each.opening, each.debits, each.credits, each.closing) for each in found}

    with read(filled) as conn:
        all_of_it = of(conn)
        assert all_of_it["USD:prepaid credit:acme"] == (0, 170, 100 * USD, 100 * USD - 170)
        assert all_of_it["USD:cash"] == (0, 150 * USD, 0, 150 * USD)
        assert of(conn, until=30)["USD:prepaid credit:acme"] == (0, 0, 100 * USD, 100 * USD)
        assert "USD:revenue::m" not in of(conn, until=30)
        assert of(conn, from_=30, until=60)["USD:prepaid credit:acme"] == (100 * USD, 80, 0, 100 * USD - 80)
        assert of(conn, from_=30, until=60)["USD:revenue::m"] == (0, 0, 120, 120)
        assert of(conn, from_=60)["USD:revenue::m"] == (120, 0, 330, 450)
        assert of(conn, from_=200)["USD:cash"] == (150 * USD, 0, 0, 150 * USD)
        assert {each.account.party for each in over_period(conn, customer="bee")} == {"bee"}
        assert [each.account.kind for each in over_period(conn, account="USD:re")] == ["revenue"]
        assert of(conn, until=10) == {}
        assert of(conn, from_=10, until=11)["USD:cash"] == (0, 100 * USD, 0, 100 * USD)
        for span in ({}, {"from_": 30, "until": 60}):
            rows = over_period(conn, **span)  # type: ignore[arg-type]
            assert sum(each.debits for each in rows) == sum(each.credits for each in rows)


def script() -> str:
    (found,) = re.findall(r"```python\n(.*?)```", HOWTO.read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


def audited(text: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", script()], input=text, capture_output=True, text=True, encoding="utf-8", check=False
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_ten_lines_of_the_manual_work_the_chain_and_the_trial_balance_out_again(filled: Engine) -> None:
    assert len(script().splitlines()) == 10
    with read(filled) as conn:
        text = to_lines(entries(conn, Asked()))
        assert "\u2028" in text
        last = bytes(conn.execute(head.select()).one().hash).hex()
        balances = {each.account.id: each.debits - each.credits for each in over_period(conn)}
        part = to_lines(entries(conn, Asked(from_=50)))
    code, said = audited(text)
    assert code == 0, said
    *rows, hash_ = said.splitlines()
    assert hash_ == last
    assert {line.split("\t")[0]: int(line.split("\t")[1]) for line in rows} == balances
    assert audited(part)[1].splitlines()[-1] == last


@pytest.mark.long
def test_any_changed_removed_or_moved_line_is_found_by_them(filled: Engine) -> None:
    with read(filled) as conn:
        lines = [to_lines([each]) for each in entries(conn, Asked())]
    row = json.loads(lines[2])
    for name, value in (
        ("at", row["at"] + 1), ("about", "other"), ("kind", "note"), ("id", "usage/31"), ("lines", []),
        ("lines", [[row["lines"][0][0], row["lines"][0][1], "31"]]), ("hash", "00" * 32), ("seq", 4),
    ):  # fmt: skip
        changed = [*lines[:2], json.dumps({**row, name: value}) + "\n", *lines[3:]]
        assert audited("".join(changed))[0] == 1, name
    assert audited("".join([*lines[:2], *lines[3:]]))[0] == 1
    assert audited("".join([*lines[:2], lines[3], lines[2], *lines[4:]]))[0] == 1
    assert audited("".join(lines))[0] == 0


def test_csv_has_a_row_per_transfer_from_which_the_chain_can_be_worked_out_as_well(filled: Engine) -> None:
    with read(filled) as conn:
        text = to_csv(entries(conn, Asked(), 6), header=True) + to_csv(entries(conn, Asked(after=6)), header=False)
        expected = entries(conn, Asked())
    rows = list(csv.DictReader(io.StringIO(text)))
    previous = START
    for entry in expected:
        mine = [row for row in rows if int(row["seq"]) == entry.seq]
        lines = [[row["debit"], row["credit"], row["amount"]] for row in mine if row["line"] != "0"]
        first = mine[0]
        previous = link(previous, entry.seq, (first["id"], first["kind"], int(first["at"]), first["about"]), lines)
        assert previous.hex() == first["hash"] == entry.hash
    assert [[row["line"] for row in rows if row["seq"] == seq] for seq in "67"] == [["1"], ["0"]]


_LINES = st.lists(st.lists(st.text(), min_size=3, max_size=3))


@pytest.mark.long
@given(st.text(), st.text(), st.integers(-(2**62), 2**62), _LINES)
def test_what_is_hashed_is_the_json_of_the_standard_library(
    id: str, about: str, at: int, lines: list[list[str]]
) -> None:
    text = json.dumps([7, id, "kind", at, about, lines], separators=(",", ":"), ensure_ascii=False)
    assert link(START, 7, (id, "kind", at, about), lines) == hashlib.sha256(START + text.encode()).digest()
