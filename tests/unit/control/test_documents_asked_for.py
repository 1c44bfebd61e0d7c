"""Documents that are asked for in a list or line by line: what is not there, and what is only a draft."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Engine

from entrepot.cli.explain import explain_text
from entrepot.control.bill_line import explain_line
from entrepot.control.house import House
from rated_usage import Desk

Call = Callable[..., tuple[int, dict[str, Any]]]


def test_a_state_that_there_is_not_is_refused_with_those_that_there_are(call: Call) -> None:
    status, facts = call("GET", "/admin/invoices?state=overdu")
    assert status == 400
    assert "'overdu' is no state of a document; there is draft, issued, part-paid, paid," in facts["error"]["message"]
    assert 'Did you mean "overdue"?' in facts["error"]["message"]
    assert call("GET", "/admin/invoices?state=written off") == (200, {"invoices": []})


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_line_of_a_draft_says_where_it_comes_from(engine: Engine, tmp_path: Path) -> None:
    desk = Desk(engine, tmp_path)
    desk.draft(desk.use("kontor", [("aurora-large", "input", 22_361_870, "3.00")]))
    told = asyncio.run(explain_line(cast("House", desk), "kontor:2026-11", "1"))
    assert told is not None
    text = explain_text(told)
    assert "kontor:2026-11, line 1: aurora-large, input" in text
    assert "3 EUR per 1,000,000" in text
    assert "22,361,870 × 3 ÷ 1,000,000 = 67.08561 EUR" in text
    assert "entrepot invoice issue kontor:2026-11" in text
    assert asyncio.run(explain_line(cast("House", desk), "kontor:2026-11", "2")) is None
