"""A snapshot, a desk and leases for gateway tests: real parts, no process."""

from pathlib import Path

import msgspec

from entrepot.customers.key import hmac_of, make
from entrepot.gateway.desk import Desk
from entrepot.gateway.rates import Rates
from entrepot.limits.lease import Lease
from entrepot.snapshot import (
    CustomerEntry,
    DeploymentEntry,
    KeyEntry,
    KeySecret,
    ModelEntry,
    PriceEntry,
    PriceVersion,
    Snapshot,
    UpstreamEntry,
)
from entrepot.snapshot.entries import AliasEntry
from entrepot.snapshot.files import publish
from hand_driven import Loop

PEPPER = b"pepper" * 6
KEY_ID, SECRET = "Ky9Pf34qY6", "Nb3wWD25RQ4F5ZR3qa7yEeeby3abP3E2"
KEY = make(KEY_ID, SECRET)
#: 2.50 / 1.25 / 10.00 USD per million: 2,500 / 1,250 / 10,000 units of 10^-9 USD a token.
RATES = (2500, 1250, -1, 10_000, 10_000, -1, -1, -1)


def price(version: str, valid_from: int, rates: tuple[int, ...] = RATES) -> PriceVersion:
    return PriceVersion(id=version, valid_from=valid_from, currency="USD", den=1, rates=rates)  # type: ignore[arg-type]


def upstream(name: str, **given: object) -> UpstreamEntry:
    facts = {"vendor": "openai", "dialect": "openai", "url": "http://127.0.0.1:1/v1", "zone": "eu", "secret": ""}
    facts |= {"client_gone": "drain", "drain_seconds": 30, "cost_book": ""}  # type: ignore[dict-item]
    return UpstreamEntry(**{"id": name, **facts, **given})  # type: ignore[arg-type]


def desk(
    where: Path,
    *,
    free: int = 10**12,
    versions: tuple[PriceVersion, ...] = (price("list/1", 0),),
    key: dict[str, object] | None = None,
    customer: dict[str, object] | None = None,
    deployments: tuple[DeploymentEntry, ...] = (),
    operations: tuple[str, ...] = ("chat", "completion"),
    upstreams: tuple[UpstreamEntry, ...] = (),
    life: dict[str, object] | None = None,
    aliases: tuple[AliasEntry, ...] = (),
    by_vendor: dict[str, tuple[PriceVersion, ...]] | None = None,
) -> tuple[Desk, Lease]:
    """A desk over one customer `acme` with model `gpt-4o`, and the lease that its calls draw on."""
    keys = {"id": KEY_ID, "customer": "acme", "project": "default", "models": None, "expires_at": 0}
    keys["secrets"] = (KeySecret(hmac_of(PEPPER, SECRET), 0),)
    buyer = {"id": "acme", "state": "active", "book": "list", "balance": "acme", "currency": "USD", "open": True}
    encode = msgspec.msgpack.encode
    tables = {
        "key": {KEY_ID: encode(KeyEntry(**{**keys, **(key or {})}))},  # type: ignore[arg-type]
        "customer": {"acme": encode(CustomerEntry(**{**buyer, **(customer or {})}))},  # type: ignore[arg-type]
        "deployment": {f"{d.customer}/{d.project}/{d.name}": encode(d) for d in deployments},
        "model": {
            "gpt-4o": encode(
                ModelEntry(
                    id="gpt-4o",
                    routes=(("openai", "gpt-4o-2024"), ("second", "gpt-4o-2024")),
                    context=128_000,
                    output_max=16_000,
                    created=1_700_000_000,
                    owned_by="openai",
                    operations=operations,
                    **(life or {}),  # type: ignore[arg-type]
                )
            )
        },
        "alias": {each.name: encode(each) for each in aliases},
        "upstream": {
            each.id: encode(each)
            for each in (*upstreams, *map(upstream, ("openai", "second")[len(upstreams) :]))
        },
        "price": {"list/gpt-4o": encode(PriceEntry(versions=versions, by_vendor=by_vendor or {}))},
    }
    publish(where, tables)
    lease = Lease("acme", granted=free)
    return Desk(Snapshot.load(where), PEPPER, lambda _balance: lease, Rates(Loop(), lambda: 10**12)), lease
