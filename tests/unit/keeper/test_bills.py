"""Issued documents against their hash, their inputs, their series and the ledger: what was changed behind our back."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from entrepot.keeper.bills.check import BillCheck, check_bills
from entrepot.storage.database import open_database, prepare, read
from rated_usage import Desk

USAGE = [("aurora-large", "input", 22_361_870, "3.00"), ("aurora-small", "input", 1_000_003, "0.50")]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    engine: Engine = open_database(tmp_path / "bills.sqlite")
    prepare(engine)
    desk = Desk(engine, tmp_path)
    for name in ("kontor", "wien"):
        desk.issue(desk.use(name, USAGE))
    desk.do("invoice.credit_note", customer="kontor", number="R-2026-00001", id="CN", reason="x",
            lines={"1": {"quantity": "5"}})  # fmt: skip
    desk.do("payment.record", customer="kontor", amount="500", id="BANK-1")
    desk.do("invoice.write_off", customer="wien", number="R-2026-00002", id="WO", reason="insolvent")
    return desk


_OTHER = "UPDATE invoice SET {0} = CAST(replace(CAST({0} AS TEXT), '{1}', '{2}') AS BLOB) WHERE seq = 1"


def checked(desk: Desk) -> BillCheck:
    with read(desk.engine) as connection:
        return check_bills(connection)


def behind_our_back(desk: Desk, *statements: str) -> None:
    """As somebody with the file and without our triggers."""
    with desk.engine.connect() as connection, connection.begin():
        for name in ("invoice_no_update", "invoice_no_delete", "payment_allocation_no_update"):
            connection.execute(text(f"DROP TRIGGER {name}"))
        for statement in statements:
            connection.execute(text(statement))


def test_what_was_issued_credited_paid_and_written_off_agrees(desk: Desk) -> None:
    assert checked(desk) == BillCheck(documents=3, differences=[])


@pytest.mark.long
@pytest.mark.parametrize(
    ("statement", "where"),
    [
        (_OTHER.format("document", "Kontor", "Contor"), "R-2026-00001: SHA-256"),
        (_OTHER.format("inputs", "22361870", "22361871"), "made again of its inputs"),
        ("UPDATE invoice SET inputs = CAST('{}' AS BLOB) WHERE seq = 2", "R-2026-00002: made again of its inputs"),
        ("UPDATE invoice SET payable = '99999' WHERE seq = 1", "receivable of kontor in EUR"),
        ("UPDATE payment_allocation SET amount = '1'", "receivable of kontor in EUR"),
        ("UPDATE invoice SET total = '99999' WHERE kind = '381'", "R-2026-00001: credited"),
        ("UPDATE invoice_series SET last = 4 WHERE series LIKE 'R%'", "number R-2026-00003"),
        ("UPDATE invoice_series SET last = 1 WHERE series LIKE 'R%'", "number R-2026-00002"),
    ],
)
def test_what_was_changed_behind_our_back_is_found(desk: Desk, statement: str, where: str) -> None:
    behind_our_back(desk, statement)
    assert any(where in what for what, _, _ in checked(desk).differences), checked(desk)
