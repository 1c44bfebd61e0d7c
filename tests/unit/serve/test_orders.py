"""Questions to the parent: whatever is asked, it lives on."""

import pytest

from entrepot.serve.orders import _question


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b"{}\n", b"\xff\n", b'{"ask":\n', b"[" * 4000 + b"\n"])
def test_what_is_no_question_asks_for_nothing(line: bytes) -> None:
    assert not _question(line)
