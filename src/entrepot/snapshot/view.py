"""The reader: what a gateway asks, answered from the mapped base, the deltas over it and a small cache."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from entrepot.kernel.instants import Instant
from entrepot.snapshot.entries import (
    TABLES,
    AliasEntry,
    CustomerEntry,
    DeploymentEntry,
    KeyEntry,
    ModelEntry,
    PriceEntry,
    UpstreamEntry,
    version_at,
)
from entrepot.snapshot.files import Base, Changes, SnapshotBroken, apply_changes, listing, open_latest, read_delta

#: Decoded entries kept per snapshot; when it is full it is emptied, which costs one decoding per entry in use.
CACHED = 16_384
_DECODERS: dict[str, msgspec.msgpack.Decoder[Any]] = {
    table: msgspec.msgpack.Decoder(entry) for table, entry in TABLES.items()
}
_Entry = TypeVar("_Entry")
_UNSEEN = object()


class Snapshot:
    """One version, never changing. `refresh` gives the newer one as a new value."""

    def __init__(self, base: Base, changes: Changes, version: int) -> None:
        self.version = version
        self._base = base
        self._changes = changes
        self._cache: dict[tuple[str, str], Any] = {}

    @classmethod
    def load(cls, where: Path) -> "Snapshot":
        """The newest whole version in DATA/snapshot; raises SnapshotBroken if there is none."""
        return cls(*open_latest(where))

    def refresh(self, where: Path) -> "Snapshot":
        """The newest version, or this one if there is none newer. Reads only the deltas that are new."""
        bases, deltas = listing(where)
        newest = max((*bases, *deltas), default=0)
        if newest <= self.version:
            return self
        wanted = range(self.version + 1, newest + 1)
        if set(wanted) <= set(deltas):
            changes: Changes = {table: dict(rows) for table, rows in self._changes.items()}
            try:
                for version in wanted:
                    apply_changes(changes, read_delta(where / f"delta-{version:012d}", version))
            except (FileNotFoundError, SnapshotBroken):
                pass
            else:
                return Snapshot(self._base, changes, newest)
        found = Snapshot.load(where)
        return found if found.version > self.version else self

    def key(self, key_id: str) -> KeyEntry | None:
        return self._find("key", key_id, KeyEntry)

    def customer(self, customer: str) -> CustomerEntry | None:
        return self._find("customer", customer, CustomerEntry)

    def model(self, model: str) -> ModelEntry | None:
        return self._find("model", model, ModelEntry)

    def upstream(self, upstream: str) -> UpstreamEntry | None:
        return self._find("upstream", upstream, UpstreamEntry)

    def prices(self, book: str, model: str) -> PriceEntry | None:
        """All versions of a model's price in a book that are in force or to come; None if the book never names it."""
        return self._find("price", f"{book}/{model}", PriceEntry)

    def deployment(self, customer: str, project: str, name: str) -> DeploymentEntry | None:
        """What `name` means in this project. For an open customer every model's name is a deployment; whether it has
        a price now is admission's question, so that a model without one is refused as such."""
        buyer = self.customer(customer)
        if buyer is None:
            return None
        if not buyer.open:
            return self._find("deployment", f"{customer}/{project}/{name}", DeploymentEntry)
        if self.model(name) is not None:
            return DeploymentEntry(customer=customer, project=project, name=name, model=name, output_cap=0)
        alias = self._find("alias", name, AliasEntry)
        return None if alias is None else _of_alias(customer, project, alias)

    def deployments(self, customer: str, project: str, at: Instant | None = None) -> list[DeploymentEntry]:
        """All deployments of a project by name; for an open customer one per model that the book prices: at `at`, or
        without it in any version in force or to come."""
        buyer = self.customer(customer)
        if buyer is None:
            return []
        if not buyer.open:
            rows = self._all("deployment", f"{customer}/{project}/")
            return [self._decoded("deployment", key, value) for key, value in sorted(rows.items())]
        priced = [model for model in self.models() if self._priced(buyer.book, model, at)]
        found = [
            DeploymentEntry(customer=customer, project=project, name=model.id, model=model.id, output_cap=0)
            for model in priced
        ]
        sold = {model.id for model in priced}
        aliases = [self._decoded("alias", key, value) for key, value in sorted(self._all("alias", "").items())]
        return found + [_of_alias(customer, project, alias) for alias in aliases if alias.model in sold]

    def models(self) -> list[ModelEntry]:
        """Every model by id."""
        return [self._decoded("model", key, value) for key, value in sorted(self._all("model", "").items())]

    def upstreams(self) -> list[UpstreamEntry]:
        """Every upstream by id."""
        return [self._decoded("upstream", key, value) for key, value in sorted(self._all("upstream", "").items())]

    def _priced(self, book: str, model: ModelEntry, at: Instant | None) -> bool:
        entry = self.prices(book, model.id)
        if entry is None:
            return False
        lists = (entry.versions, *entry.by_vendor.values())
        if at is None:
            return any(each.sells(model.operations) for versions in lists for each in versions)
        in_force = (version_at(versions, at) for versions in lists)
        return any(each is not None and each.sells(model.operations) for each in in_force)

    def _find(self, table: str, key: str, _entry: type[_Entry]) -> _Entry | None:
        cached = self._cache.get((table, key), _UNSEEN)
        if cached is not _UNSEEN:
            found: _Entry | None = cached
            return found
        value = self._changes[table][key] if key in self._changes.get(table, ()) else self._base.find(table, key)
        if value is None:
            return None  # not cached: strangers could fill the cache with names that do not exist
        entry: _Entry = self._decoded(table, key, value)
        return entry

    def _all(self, table: str, prefix: str) -> dict[str, bytes]:
        rows: dict[str, bytes | None] = {**self._base.starting_with(table, prefix)}
        rows.update((key, value) for key, value in self._changes.get(table, {}).items() if key.startswith(prefix))
        return {key: value for key, value in rows.items() if value is not None}

    def _decoded(self, table: str, key: str, value: bytes) -> Any:
        entry = self._cache.get((table, key))
        if entry is None:
            entry = _DECODERS[table].decode(value)
            if len(self._cache) >= CACHED:
                self._cache.clear()
            self._cache[table, key] = entry
        return entry


def _of_alias(customer: str, project: str, alias: AliasEntry) -> DeploymentEntry:
    return DeploymentEntry(
        customer=customer, project=project, name=alias.name, model=alias.model, output_cap=0, version=alias.version,
        upgrade="never",
    )  # fmt: skip
