"""The kill table's row: disk full | prepared space gone | open calls end, new ones 503 | Retry-After | equal."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
MOUNT = 'mount -t tmpfs -o size=12m tmpfs "$1" && TMPDIR="$1" exec "${@:2}" "$1" "$1/../ledger"'


@pytest.fixture
def small() -> Iterator[Path]:
    """A short path: local sockets lie below it."""
    with tempfile.TemporaryDirectory(prefix="ep-") as folder:
        (Path(folder) / "d").mkdir()
        yield Path(folder) / "d"


def test_on_a_full_disk_open_calls_end_new_ones_wait_and_nothing_is_lost(small: Path) -> None:
    """A house whose DATA is a tmpfs of 12 MiB, in a user namespace of its own."""
    if subprocess.run(["unshare", "-Ur", "-m", "true"], capture_output=True).returncode:
        pytest.fail("this kernel gives no user namespace to mount a small file system in")
    command = ["unshare", "-Ur", "-m", "bash", "-c", MOUNT, "bash", str(small), sys.executable]
    done = subprocess.run([*command, str(TESTS / "full_house.py")], capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr[-4000:]
    went = json.loads(done.stdout)
    assert set(went["seen"]) == {"answered 200", "refused 503"}
    assert json.loads(went["refused"])["error"]["code"] == "storage_full"
    assert went["retry_after"] == "5"
    assert went["finished"] == ["answered True"] * 5
    assert went["dry"] == 5
    assert "full" in went["failing"], "the keeper ingests into a database that cannot grow"
    assert went["resumed"] < 15
    assert went["behind"] < 20
    assert went["ingested"] < went["records"] == went["equal"]
