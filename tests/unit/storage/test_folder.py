"""Who may read what in DATA."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.storage.folder import Folder, for_us_alone, write_whole


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_folder_and_its_rooms_are_for_this_user_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data")
    folder.create()
    folder.deny_key("Ky9Pf34qY6")
    assert {path.name: oct(_mode(path)) for path in (folder.root, *folder.root.iterdir()) if _mode(path) & 0o077} == {}


def test_the_lock_makes_no_open_folder_either(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data")
    with folder.locked():
        assert _mode(folder.root) == 0o700


def test_what_an_older_version_left_open_is_closed(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data")
    folder.lake.mkdir(parents=True)
    for name in ("", "-wal", "-shm"):
        Path(f"{folder.database}{name}").touch(mode=0o644)
    folder.create()
    assert _mode(folder.root) == 0o755, "the folder itself may hold other things"
    assert {_mode(path) for path in folder.root.glob("entrepot.sqlite*")} == {0o600}
    assert _mode(folder.lake) == 0o700


def test_a_file_written_whole_is_not_for_others(tmp_path: Path) -> None:
    write_whole(tmp_path / "base-1", b"x")
    assert _mode(tmp_path / "base-1") == 0o600


def test_what_is_made_for_us_alone_is_and_afterwards_as_before(tmp_path: Path) -> None:
    with for_us_alone():
        (tmp_path / "a").touch()
    (tmp_path / "b").touch()
    assert (_mode(tmp_path / "a"), _mode(tmp_path / "b")) == (0o600, 0o644)
