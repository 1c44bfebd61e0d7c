"""What is said to `entrepot invoice`, before anything is asked of a server."""

from pathlib import Path
from typing import Any

import pytest

from entrepot.cli.invoice import listed, rights_of
from entrepot.cli.output import write_out
from entrepot.cli.terminal import Stop


def test_a_line_that_is_credited_is_named_once() -> None:
    assert rights_of(("3=1,200@2.50", "4=0")) == {"3": {"quantity": "1200", "price": "2.50"}, "4": {"quantity": "0"}}
    with pytest.raises(Stop, match="line 3 is named twice: --line 3=0 and --line 3=5") as refused:
        rights_of(("3=0", "4=0", "3=5"))
    assert refused.value.exit_code == 2


def test_a_file_that_cannot_be_written_says_why_and_what_to_do(tmp_path: Path) -> None:
    there = tmp_path / "no" / "x.pdf"
    with pytest.raises(Stop, match=f"^{there} cannot be written: there is no folder {there.parent}$") as refused:
        write_out(there, b"x")
    assert refused.value.do == f"mkdir -p {there.parent}, then the same again"
    with pytest.raises(Stop, match=f"^{tmp_path} cannot be written: is a directory$"):
        write_out(tmp_path, b"x")
    write_out(tmp_path / "x.pdf", b"x")
    assert (tmp_path / "x.pdf").read_bytes() == b"x"


def test_a_list_without_a_document_of_that_kind_does_not_say_that_there_are_none() -> None:
    none: dict[str, list[Any]] = {"invoices": []}
    assert listed(none, "draft, of acme").startswith("no document is draft, of acme; ")
    assert listed(none, "").startswith("no invoices yet; ")
