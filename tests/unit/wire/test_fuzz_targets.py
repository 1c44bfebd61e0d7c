import random

import pytest

from entrepot.prove import fuzz
from entrepot.prove.fuzz_targets import TARGETS, Target


@pytest.mark.long
@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run_from_a_fixed_seed_finds_nothing(name: str):
    outcome = fuzz.run(name, 20261122, executions=1200)
    assert not outcome.finding, (outcome.finding, outcome.data)
    assert outcome.accepted > 100


def test_a_finding_is_reported_with_its_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def check(data: bytes, chance: random.Random) -> bool:
        assert b"\n\n" not in data, "two line ends"
        return True

    monkeypatch.setitem(TARGETS, "sse", Target((b"a\n",), (b"b\n",), check))
    assert fuzz.main(["--target", "sse", "--executions", "5000", "--seed", "1"]) == 1
    assert "FOUND AssertionError: two line ends" in capsys.readouterr().out
