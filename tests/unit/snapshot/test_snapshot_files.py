"""A reader sees a whole version or the one before it, whatever is damaged, missing or half written."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.snapshot import files
from entrepot.snapshot.files import (
    Base,
    SnapshotBroken,
    Tables,
    difference,
    publish,
    read_tables,
    write_base,
    write_delta,
)

ids = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
tables = st.dictionaries(
    st.sampled_from(["key", "customer", "größe"]), st.dictionaries(ids, st.binary(max_size=9), max_size=9), max_size=3
)


@pytest.mark.long
@settings(deadline=None)
@given(tables=tables)
def test_a_base_gives_back_every_entry_and_no_other(tmp_path_factory: pytest.TempPathFactory, tables: Tables) -> None:
    where = tmp_path_factory.mktemp("snapshot")
    write_base(where, 7, tables)
    base = Base(where / "base-000000000007")
    assert base.version == 7
    for table, rows in tables.items():
        assert base.starting_with(table, "") == rows
        for key, value in rows.items():
            assert base.find(table, key) == value
            assert base.find(table, key + "x") == rows.get(key + "x")
            assert base.starting_with(table, key) == {name: rows[name] for name in rows if name.startswith(key)}
    assert base.find("nothing", "a") is None
    assert base.starting_with("nothing", "") == {}


@pytest.mark.long
@settings(deadline=None, max_examples=30)
@given(versions=st.lists(tables, min_size=1, max_size=8))
def test_every_version_that_is_published_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, versions: list[Tables]
) -> None:
    where, before, number = tmp_path_factory.mktemp("snapshot"), None, 0
    for each in versions:
        wanted = {table: rows for table, rows in each.items() if rows}
        published = publish(where, each)
        version, found = read_tables(where)
        assert version == published == (number if wanted == before else number + 1)
        assert {table: rows for table, rows in found.items() if rows} == wanted
        number, before = version, wanted


@pytest.mark.long
@given(tables, tables)
def test_a_difference_turns_the_one_into_the_other(before: Tables, after: Tables) -> None:
    rows = {(table, key): value for table, entries in before.items() for key, value in entries.items()}
    for table, changes in difference(before, after).items():
        for key, change in changes.items():
            assert rows.get((table, key)) != change
            rows[table, key] = change  # type: ignore[assignment]
    wanted = {(table, key): value for table, entries in after.items() for key, value in entries.items()}
    assert {place: value for place, value in rows.items() if value is not None} == wanted


def test_the_same_tables_again_write_nothing(tmp_path: Path) -> None:
    assert publish(tmp_path, {"key": {"a": b"1"}}) == 1
    assert publish(tmp_path, {"key": {"a": b"1"}}) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["base-000000000001"]


def test_a_small_change_is_a_small_file(tmp_path: Path) -> None:
    rows = {f"{number:05d}": b"x" * 100 for number in range(5000)}
    publish(tmp_path, {"key": rows})
    publish(tmp_path, {"key": {**rows, "00001": b"y"}})
    assert (tmp_path / "delta-000000000002").stat().st_size < 100


@pytest.mark.parametrize("cut", [0, 1, 10, 30, -5, -1])
def test_a_cut_delta_is_not_seen_and_its_number_is_not_used_again(tmp_path: Path, cut: int) -> None:
    publish(tmp_path, {"key": {"a": b"1"}})
    publish(tmp_path, {"key": {"a": b"2"}})
    delta = tmp_path / "delta-000000000002"
    delta.write_bytes(delta.read_bytes()[:cut])
    assert read_tables(tmp_path) == (1, {"key": {"a": b"1"}})
    assert publish(tmp_path, {"key": {"a": b"3"}}) == 3
    assert read_tables(tmp_path) == (3, {"key": {"a": b"3"}})


def test_every_flipped_bit_of_a_file_is_noticed(tmp_path: Path) -> None:
    publish(tmp_path, {"key": {"a": b"1", "b": b"2"}})
    publish(tmp_path, {"key": {"a": b"2", "b": b"2"}})
    for name, version in (("delta-000000000002", 1), ("base-000000000001", 0)):
        whole = (tmp_path / name).read_bytes()
        for place in range(len(whole)):
            (tmp_path / name).write_bytes(whole[:place] + bytes((whole[place] ^ 16,)) + whole[place + 1 :])
            if version:
                assert read_tables(tmp_path)[0] == version
            else:
                with pytest.raises(SnapshotBroken):
                    read_tables(tmp_path)
        (tmp_path / name).write_bytes(whole)


def test_a_damaged_base_falls_back_to_the_one_before(tmp_path: Path) -> None:
    write_base(tmp_path, 1, {"key": {"a": b"1"}})
    write_delta(tmp_path, 2, {"key": {"a": b"2"}})
    write_base(tmp_path, 3, {"key": {"a": b"3"}})
    (tmp_path / "base-000000000003").write_bytes(b"")
    assert read_tables(tmp_path) == (2, {"key": {"a": b"2"}})


def test_a_file_under_a_wrong_number_is_no_version(tmp_path: Path) -> None:
    write_base(tmp_path, 1, {"key": {"a": b"1"}})
    write_delta(tmp_path, 2, {"key": {"a": b"2"}})
    (tmp_path / "delta-000000000002").rename(tmp_path / "delta-000000000003")
    (tmp_path / "base-000000000009").write_bytes((tmp_path / "base-000000000001").read_bytes())
    assert read_tables(tmp_path) == (1, {"key": {"a": b"1"}})


def test_files_that_are_being_written_are_not_seen(tmp_path: Path) -> None:
    publish(tmp_path, {"key": {"a": b"1"}})
    (tmp_path / ".delta-000000000002.4711").write_bytes(b"half")
    (tmp_path / "delta-x").write_bytes(b"")
    assert read_tables(tmp_path)[0] == 1


def test_after_many_deltas_a_new_base_stands_and_older_files_go(tmp_path: Path) -> None:
    for number in range(3 * files.DELTAS_PER_BASE):
        publish(tmp_path, {"key": {"a": b"%d" % number}})
    bases, deltas = files.listing(tmp_path)
    assert len(bases) == 2
    assert len(deltas) <= 2 * files.DELTAS_PER_BASE
    assert read_tables(tmp_path) == (3 * files.DELTAS_PER_BASE, {"key": {"a": b"%d" % (3 * files.DELTAS_PER_BASE - 1)}})


def test_an_empty_folder_has_no_snapshot(tmp_path: Path) -> None:
    with pytest.raises(SnapshotBroken):
        read_tables(tmp_path)
