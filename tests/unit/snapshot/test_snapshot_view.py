"""What a gateway is told: by key, customer, project, model; the newest whole version; without a database."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from entrepot.snapshot import (
    CustomerEntry,
    DeploymentEntry,
    KeyEntry,
    KeySecret,
    ModelEntry,
    PriceEntry,
    PriceVersion,
    Snapshot,
    SnapshotBroken,
    Tables,
    publish,
    write_base,
    write_delta,
)

encode = msgspec.msgpack.Encoder().encode


def customer(name: str, *, open: bool) -> CustomerEntry:
    return CustomerEntry(id=name, state="active", book="list", balance=name, currency="USD", open=open)


def model(name: str) -> ModelEntry:
    return ModelEntry(id=name, routes=(("up", name),), context=10, output_max=5, created=0, owned_by="v")


def price(*starts: int, output: int = 2) -> PriceEntry:
    return PriceEntry(
        versions=tuple(
            PriceVersion(id=f"list/{n}", valid_from=at, currency="USD", den=1, rates=(n, -1, -1, output, 2, -1, -1, -1))
            for n, at in enumerate(starts, 1)
        )
    )


def deployment(project: str, name: str) -> DeploymentEntry:
    return DeploymentEntry(customer="acme", project=project, name=name, model="m", output_cap=3)


def tables() -> Tables:
    key = KeyEntry(id="k" * 10, customer="acme", project="a", secrets=(KeySecret(b"h", 0),), models=None, expires_at=0)
    return {
        "key": {key.id: encode(key)},
        "customer": {"acme": encode(customer("acme", open=False)), "demo": encode(customer("demo", open=True))},
        "model": {each: encode(model(each)) for each in ("half", "later", "m", "none")},
        "deployment": {
            f"acme/{each.project}/{each.name}": encode(each)
            for each in (deployment("a", "one"), deployment("a", "two"), deployment("ab", "three"))
        },
        "price": {
            "list/m": encode(price(100, 200)), "list/later": encode(price(150)),
            "list/half": encode(price(100, output=-1)),
        },
        "upstream": {},
    }  # fmt: skip


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    publish(tmp_path, tables())
    return Snapshot.load(tmp_path)


def test_entries_are_found_by_their_ids(snapshot: Snapshot) -> None:
    assert snapshot.version == 1
    key = snapshot.key("k" * 10)
    assert key is not None
    assert key.project == "a"
    assert key.secrets[0].hmac == b"h"
    assert snapshot.key("unknown") is None
    assert snapshot.customer("acme") == customer("acme", open=False)
    assert snapshot.model("m") == model("m")
    assert snapshot.upstream("m") is None


def test_a_project_has_its_own_deployments_only(snapshot: Snapshot) -> None:
    assert snapshot.deployment("acme", "a", "one") == deployment("a", "one")
    assert snapshot.deployment("acme", "ab", "one") is None
    assert snapshot.deployment("acme", "a", "m") is None
    assert [each.name for each in snapshot.deployments("acme", "a")] == ["one", "two"]
    assert snapshot.deployments("acme", "b") == []
    assert snapshot.deployments("nobody", "a") == []
    assert snapshot.deployment("nobody", "a", "one") is None


def test_an_open_customer_has_one_per_priced_model_under_the_models_name(snapshot: Snapshot) -> None:
    assert [each.name for each in snapshot.deployments("demo", "default")] == ["later", "m"]
    assert [each.name for each in snapshot.deployments("demo", "default", at=149)] == ["m"]
    assert [each.name for each in snapshot.deployments("demo", "default", at=150)] == ["later", "m"]
    assert [each.name for each in snapshot.deployments("demo", "default", at=99)] == []
    found = snapshot.deployment("demo", "default", "m")
    assert found is not None
    assert (found.model, found.project, found.output_cap) == ("m", "default", 0)


def test_a_model_without_a_price_is_still_named_so_that_the_refusal_can_say_so(snapshot: Snapshot) -> None:
    assert snapshot.deployment("demo", "default", "none") is not None
    assert snapshot.prices("list", "none") is None
    assert snapshot.deployment("demo", "default", "never-heard-of") is None


@pytest.mark.parametrize(("at", "version"), [(99, None), (100, "list/1"), (199, "list/1"), (200, "list/2")])
def test_the_price_of_an_instant(snapshot: Snapshot, at: int, version: str | None) -> None:
    entry = snapshot.prices("list", "m")
    assert entry is not None
    found = entry.at(at)
    assert (found and found.id) == version


def test_refresh_follows_deltas_and_bases_and_leaves_the_old_value_alone(snapshot: Snapshot, tmp_path: Path) -> None:
    assert snapshot.refresh(tmp_path) is snapshot
    write_delta(tmp_path, 2, {"key": {"k" * 10: None}, "customer": {"demo": encode(customer("demo", open=False))}})
    second = snapshot.refresh(tmp_path)
    assert second.version == 2
    assert second.key("k" * 10) is None
    assert snapshot.key("k" * 10) is not None
    write_base(tmp_path, 3, {"key": {}})
    third = second.refresh(tmp_path)
    assert (third.version, third.customer("acme")) == (3, None)
    assert second.customer("acme") is not None


@pytest.mark.long
def test_refresh_jumps_over_many_versions_at_once(snapshot: Snapshot, tmp_path: Path) -> None:
    rows = tables()
    for number in range(200):
        rows["model"] = {"m": encode(model("m")), f"n{number}": encode(model(f"n{number}"))}
        publish(tmp_path, rows)
    last = snapshot.refresh(tmp_path)
    assert last.version == 201
    assert [each.id for each in last.models()] == ["m", "n199"]


def test_a_damaged_newer_version_is_not_followed(snapshot: Snapshot, tmp_path: Path) -> None:
    (tmp_path / "delta-000000000002").write_bytes(b"half")
    assert snapshot.refresh(tmp_path) is snapshot
    assert Snapshot.load(tmp_path).version == 1


def test_without_a_file_there_is_nothing_to_load(tmp_path: Path) -> None:
    with pytest.raises(SnapshotBroken):
        Snapshot.load(tmp_path)


def test_reading_a_snapshot_loads_no_database() -> None:
    code = "import entrepot.snapshot, sys; print({'sqlalchemy', 'duckdb', 'fastapi'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
