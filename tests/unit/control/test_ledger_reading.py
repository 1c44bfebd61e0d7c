"""`/admin/ledger` and its screens, on a folder after its first start and some movements."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrepot.cli.group import run
from entrepot.limits import tables as leases
from entrepot.metering.record import LeaseTotals
from entrepot.storage.database import open_database, write
from entrepot.storage.folder import Folder

Call = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def moved(call: Call, folder: Folder) -> Folder:
    for id, amount in (("P-1", "100"), ("P-2", "7.5")):
        body = {"amount": amount, "currency": "USD", "id": id}
        assert call("POST", "/admin/balances/acme/top-ups", json=body)[0] == 200
    body = {"amount": "2", "id": "G-1", "kind": "promo"}
    assert call("POST", "/admin/balances/acme/grants", json=body)[0] == 200
    engine = open_database(folder.database)
    with write(engine) as conn:
        leases.move(conn, 1, granted={"acme": 5 * 10**9}, returned={"acme": 10**9}, charged={"acme": 10**9})
        leases.move(conn, 2, granted={"acme": 10**9})
        assert leases.lease_sums(conn) == {"acme": LeaseTotals("acme", 6 * 10**9, 10**9, 10**9)}
    engine.dispose()
    return folder


@pytest.mark.long
def test_accounts_show_what_moved_and_what_leases_have_pending(call: Call, moved: Folder) -> None:
    _, facts = call("GET", "/admin/ledger/balance")
    accounts = {each["account"]: each for each in facts["accounts"]}
    acme = accounts["USD:prepaid credit:acme"]
    assert (acme["debits"], acme["credits"], acme["closing"], acme["pending"]) == ("0", "109.5", "109.5", "4")
    assert accounts["USD:cash"]["pending"] is None
    assert accounts["USD:promotional"]["closing"] == "-2"
    assert facts["leases"] == [
        {"balance": "acme", "currency": "USD", "granted": "6", "posted": "1", "voided": "1", "pending": "4"}
    ]
    _, facts = call("GET", "/admin/ledger/balance?customer=demo")
    assert [each["account"] for each in facts["accounts"]] == ["USD:prepaid credit:demo"]
    assert facts["leases"] == []
    _, facts = call("GET", "/admin/ledger/balance?from=2099-01-01&account=USD:cash")
    assert [(each["opening"], each["closing"]) for each in facts["accounts"]] == [("112.5", "112.5")]


@pytest.mark.long
def test_entries_come_in_pages(call: Call, moved: Folder) -> None:
    _, first = call("GET", "/admin/ledger/entries?limit=3")
    _, rest = call("GET", f"/admin/ledger/entries?limit=3&after={first['next']}")
    assert [each["id"] for each in first["entries"]] == ["top-up/first-start", "top-up/P-1", "top-up/P-2"]
    assert ([each["id"] for each in rest["entries"]], rest["next"]) == (["grant/G-1"], None)
    assert rest["entries"][0]["transfers"] == [
        {"debit": "USD:promotional", "credit": "USD:prepaid credit:acme", "amount": "2", "currency": "USD"}
    ]
    assert call("GET", "/admin/ledger/entries?limit=4")[1]["next"] is None
    assert len(call("GET", "/admin/ledger/entries?kind=grant&customer=acme&account=USD:promo")[1]["entries"]) == 1


@pytest.mark.long
@pytest.mark.parametrize(
    "query",
    ["from=tomorrow", "until=2026-02-31", "from=2026-02-01&until=2026-02-01", "from=2026-02-02&until=2026-02-01"],
)
@pytest.mark.parametrize("page", ["balance", "entries", "export"])
def test_a_period_that_is_none_is_refused_with_its_value(call: Call, page: str, query: str) -> None:
    status, facts = call("GET", f"/admin/ledger/{page}?{query}")
    assert status == 400
    assert query.split("=")[-1] in facts["error"]["message"]


_TOO_LONG = "account=" + "x" * 401


@pytest.mark.long
@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "after=-1", "after=x", "format=xml", _TOO_LONG])
def test_what_is_no_page_is_refused(call: Call, query: str) -> None:
    page = "export" if query.startswith("format") else "entries"
    assert call("GET", f"/admin/ledger/{page}?{query}")[0] == 400


@pytest.mark.long
@pytest.mark.parametrize("page", ["balance", "entries", "export"])
def test_nobody_reads_the_books_without_the_token(call: Call, moved: Folder, page: str) -> None:
    assert call("GET", f"/admin/ledger/{page}", token="ep_admin_x")[0] == 401
    assert call("GET", f"/admin/ledger/{page}", token=None)[0] == 401
    assert call("POST", f"/admin/ledger/{page}", json={})[0] == 405


@pytest.mark.long
def test_the_screens(call: Call, moved: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--data", str(moved.root)]
    assert run(["ledger", *where, "--account", "USD:prepaid"]) != 0  # its options belong to its verbs
    capsys.readouterr()
    assert run(["ledger", "balance", "--account", "USD:prepaid", *where]) == 0
    assert capsys.readouterr().out == (
        "account                   opening   debits   credits   closing   pending in leases\n"
        "USD:prepaid credit:acme         0        0     109.5     109.5                   4\n"
        "USD:prepaid credit:demo         0        0       5         5\n"
    )
    assert run(["ledger", *where]) == 0
    assert "USD:promotional" in capsys.readouterr().out
    assert run(["ledger", "entries", "--limit", "2", *where]) == 0
    screen = capsys.readouterr().out.splitlines()
    assert screen[0].split() == ["seq", "at", "id", "debit", "credit", "amount"]
    assert screen[2].endswith("top-up/P-1          USD:cash  USD:prepaid credit:acme      100")
    assert screen[-1] == "more: entrepot ledger entries --after 2"
    assert run(["ledger", "entries", "--kind", "invoice", *where]) == 0
    assert capsys.readouterr().out == "no such transaction\n"
    for form in ("json", "csv"):
        target = tmp_path / f"ledger.{form}"
        assert run(["ledger", "export", "--format", form, "-o", str(target), *where]) == 0
        assert "4 transactions written" in capsys.readouterr().err
        assert run(["ledger", "export", "--format", form, *where]) == 0
        assert capsys.readouterr().out == target.read_text(encoding="utf-8")
    assert len((tmp_path / "ledger.json").read_text(encoding="utf-8").splitlines()) == 4
