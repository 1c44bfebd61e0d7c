"""What is said to `entrepot invoice`, before anything is asked of a server."""

import pytest

from entrepot.cli.invoice import rights_of
from entrepot.cli.terminal import Stop


def test_a_line_that_is_credited_is_named_once() -> None:
    assert rights_of(("3=1,200@2.50", "4=0")) == {"3": {"quantity": "1200", "price": "2.50"}, "4": {"quantity": "0"}}
    with pytest.raises(Stop, match="line 3 is named twice: --line 3=0 and --line 3=5") as refused:
        rights_of(("3=0", "4=0", "3=5"))
    assert refused.value.exit_code == 2
