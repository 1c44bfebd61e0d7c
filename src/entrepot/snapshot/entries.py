"""Entries of the snapshot's tables: small structs, on disk as msgpack arrays. Fields are only ever appended."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from entrepot.catalog.lifecycle import Upgrade, Version, version_in_use
from entrepot.kernel.buckets import INPUT, OUTPUT, Quantities
from entrepot.kernel.instants import Instant
from entrepot.limits.budget import Budget

LimitScope = Literal["customer", "project", "each_key", "pool", "key", "deployment"]
#: A budget as a gateway knows it is the budget itself.
BudgetEntry = Budget


class KeySecret(msgspec.Struct, frozen=True, array_like=True):
    """One of at most two overlapping secrets of a key."""

    hmac: bytes  # HMAC-SHA-256(pepper, secret)
    expires_at: Instant  # 0: never


class LimitEntry(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Requests and tokens per time, and calls at once; 0: not limited. `id` is unique in the house.

    `customer` counts all calls of the customer, `project` those of one project, `each_key` those of every key for
    itself, `pool` those of a model (and zone, "" any) over all deployments; `key` and `deployment` stand at theirs.
    """

    id: str
    scope: LimitScope
    project: str = ""
    model: str = ""
    zone: str = ""
    tokens: int = 0  # per minute, estimated at admission
    requests: int = 0  # per `window_s`
    window_s: int = 60  # 1, 10 or 60
    concurrent: int = 0


class KeyEntry(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Table `key`, by the key's id (10 characters)."""

    id: str
    customer: str
    project: str
    secrets: tuple[KeySecret, ...]
    models: tuple[str, ...] | None  # deployment names this key may use; None: all of the project
    expires_at: Instant  # 0: never
    limit: LimitEntry | None = None
    budget: BudgetEntry | None = None  # beside those of the customer


class CustomerEntry(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Table `customer`, by id."""

    id: str
    state: Literal["active", "suspended"]
    book: str  # its price list: a book, or what its contract makes of one
    balance: str  # id of the balance its calls draw on
    currency: str
    open: bool  # no declared deployments: every priced model is one, under the model's name
    budgets: tuple[BudgetEntry, ...] = ()
    limits: tuple[LimitEntry, ...] = ()
    starts_at: Instant = 0  # of the contract, 0: not given
    ends_at: Instant = 0


class DeploymentEntry(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Table `deployment`, by "customer/project/name"."""

    customer: str
    project: str
    name: str
    model: str
    output_cap: int  # 0: the model's maximum
    limit: LimitEntry | None = None
    version: str = ""  # of the model; "" follows its default
    upgrade: Upgrade = "expired"


class ModelEntry(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Table `model`, by id."""

    id: str
    routes: tuple[tuple[str, str], ...]  # (upstream id, the vendor's model name), of all versions
    context: int
    output_max: int
    created: int  # unix seconds, for /v1/models
    owned_by: str
    operations: tuple[str, ...] = ("chat", "completion")
    versions: tuple[Version, ...] = ()
    default: str = ""

    def version(self, deployment: DeploymentEntry, at: Instant) -> tuple[Version, Instant]:
        """The one that a deployment has at `at`, and since when."""
        if not self.versions:
            return Version(name="", routes=self.routes), 0
        return version_in_use(self.versions, self.default, deployment.version, deployment.upgrade, at)


class AliasEntry(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Table `alias`, by a further name of a model, for customers without declared deployments."""

    name: str
    model: str
    version: str  # "" follows the default


class UpstreamEntry(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Table `upstream`, by id."""

    id: str
    vendor: str
    dialect: Literal["openai", "azure", "builtin"]
    url: str  # "" for the built-in model
    zone: str
    secret: str  # file name in DATA/secrets, "" for none
    client_gone: Literal["drain", "cancel"]
    drain_seconds: int
    cost_book: str  # "" where none
    api_version: str = ""  # Azure: a dated one for classic paths, "v1" for the others


class Variant(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The rates of calls under conditions, over the denominator of their version."""

    tier: str  # "": the one that every call gets
    zone: str
    over: int  # a request with more input tokens than this, 0: any
    rates: Quantities
    request: int = 0  # for a call that has used anything


class PriceVersion(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One version of a book as far as it concerns one model."""

    id: str  # "list/3"
    valid_from: Instant
    currency: str
    den: int
    rates: Quantities  # without any condition
    variants: tuple[Variant, ...] = ()  # every combination that the book tells apart, if it tells any
    request: int = 0

    def sells(self, operations: tuple[str, ...]) -> bool:
        """Whether it has the prices that at least one of the operations needs: embeddings have no output."""
        return self.rates[INPUT] >= 0 and (self.rates[OUTPUT] >= 0 or "embedding" in operations)


class PriceEntry(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """Table `price`, by "list/model": versions in force and to come, oldest first. `by_vendor` has those of further
    vendors where prices are on the vendor's own."""

    versions: tuple[PriceVersion, ...]
    by_vendor: dict[str, tuple[PriceVersion, ...]] = {}

    def of(self, vendor: str) -> tuple[PriceVersion, ...]:
        """The versions for calls that this vendor serves."""
        return self.by_vendor.get(vendor, self.versions)

    def at(self, moment: Instant) -> PriceVersion | None:
        """The version in force at `moment`; None before the first."""
        return version_at(self.versions, moment)


def version_at(versions: Sequence[PriceVersion], moment: Instant) -> PriceVersion | None:
    """Of versions, oldest first, the one in force."""
    found = None
    for version in versions:
        if version.valid_from > moment:
            break
        found = version
    return found


TABLES: dict[str, type[msgspec.Struct]] = {
    "key": KeyEntry, "customer": CustomerEntry, "deployment": DeploymentEntry, "model": ModelEntry, "alias": AliasEntry,
    "upstream": UpstreamEntry, "price": PriceEntry,
}  # fmt: skip

to_bytes = msgspec.msgpack.Encoder().encode
