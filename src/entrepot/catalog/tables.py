"""Operator, vendors, upstreams and models in the database. Takes a connection and opens none."""

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import BigInteger, Column, Connection, ForeignKey, Integer, Table, Text, delete, insert, select, update

from entrepot.catalog import toml_text
from entrepot.catalog.contents import ClientGone, Dialect, Model, Operation, Operator, Upstream, Vendor
from entrepot.catalog.lifecycle import Lifecycle, Version
from entrepot.kernel.instants import Instant
from entrepot.storage.database import metadata

_Row = dict[str, Any]

operator_table = Table(
    "operator",
    metadata,
    Column("id", Integer, primary_key=True),  # 1: there is one operator
    Column("facts", Text, nullable=False),
)

vendor_table = Table(
    "vendor",
    metadata,
    Column("id", Text, primary_key=True),
    Column("facts", Text, nullable=False),
)

upstream_table = Table(
    "upstream",
    metadata,
    Column("id", Text, primary_key=True),
    Column("vendor", Text, ForeignKey("vendor.id"), nullable=False),
    Column("dialect", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("key_env", Text, nullable=False),
    Column("key_file", Text, nullable=False),
    Column("client_gone", Text, nullable=False),
    Column("drain_seconds", Integer, nullable=False),
    Column("api_version", Text, nullable=False),
    Column("secret", Text, nullable=False),  # file in DATA/secrets, "" for none
    Column("secret_host", Text, nullable=False),  # the only host that this secret is ever sent to
)

model_table = Table(
    "model",
    metadata,
    Column("id", Text, primary_key=True),
    Column("context", BigInteger, nullable=False),
    Column("output_max", BigInteger, nullable=False),
    Column("operations", Text, nullable=False),  # divided by blanks
    Column("aliases", Text, nullable=False),  # divided by blanks
    Column("default_version", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

version_table = Table(
    "model_version",
    metadata,
    Column("model", Text, ForeignKey("model.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("name", Text, nullable=False),  # "" where the model has no named versions
    Column("lifecycle", Text, nullable=False),
    Column("retires_at", BigInteger, nullable=False),  # 0: not known
    Column("replaced_by", Text, nullable=False),
)

route_table = Table(
    "route",
    metadata,
    Column("model", Text, ForeignKey("model.id"), primary_key=True),
    Column("version", Integer, primary_key=True),  # its position
    Column("position", Integer, primary_key=True),
    Column("upstream", Text, ForeignKey("upstream.id"), nullable=False),
    Column("vendor_model", Text, nullable=False),
)


def facts_to_text(facts: Mapping[str, object]) -> str:
    """A table of free facts as one TOML value: decimals and dates come back as they were."""
    return toml_text.value(facts)


def facts_from_text(text: str) -> dict[str, object]:
    if text == "{}":  # most: there may be thousands
        return {}
    return cast("dict[str, object]", tomllib.loads(f"facts = {text}", parse_float=Decimal)["facts"])


def read_operator(connection: Connection) -> Operator | None:
    text = connection.scalar(select(operator_table.c.facts))
    return None if text is None else Operator(facts_from_text(text))


def read_vendors(connection: Connection) -> dict[str, Vendor]:
    rows = connection.execute(select(vendor_table).order_by(vendor_table.c.id))
    return {row.id: Vendor(row.id, facts_from_text(row.facts)) for row in rows}


def read_upstreams(connection: Connection) -> dict[str, Upstream]:
    rows = connection.execute(select(upstream_table).order_by(upstream_table.c.id))
    return {
        row.id: Upstream(
            id=row.id, vendor=row.vendor, dialect=cast("Dialect", row.dialect), url=row.url, zone=row.zone,
            key_env=row.key_env, key_file=row.key_file, client_gone=cast("ClientGone", row.client_gone),
            drain_seconds=row.drain_seconds, api_version=row.api_version,
        )
        for row in rows
    }  # fmt: skip


def read_secrets(connection: Connection) -> dict[str, tuple[str, str]]:
    """Upstream id → (file in DATA/secrets or "", host that it belongs to)."""
    columns = select(upstream_table.c.id, upstream_table.c.secret, upstream_table.c.secret_host)
    return {row.id: (row.secret, row.secret_host) for row in connection.execute(columns)}


def read_models(connection: Connection) -> dict[str, Model]:
    routes: dict[tuple[str, int], list[tuple[str, str]]] = {}
    for row in connection.execute(select(route_table).order_by(route_table.c.position)):
        routes.setdefault((row.model, row.version), []).append((row.upstream, row.vendor_model))
    versions: dict[str, list[Version]] = {}
    for row in connection.execute(select(version_table).order_by(version_table.c.model, version_table.c.position)):
        versions.setdefault(row.model, []).append(
            Version(
                name=row.name, routes=tuple(routes.get((row.model, row.position), ())), retires_at=row.retires_at,
                lifecycle=cast("Lifecycle", row.lifecycle), replaced_by=row.replaced_by,
            )
        )  # fmt: skip
    rows = connection.execute(select(model_table).order_by(model_table.c.id))
    return {
        row.id: Model(
            id=row.id, versions=tuple(versions.get(row.id, ())), context=row.context, output_max=row.output_max,
            operations=cast("tuple[Operation, ...]", tuple(row.operations.split())),
            default=row.default_version, aliases=tuple(row.aliases.split()),
        )
        for row in rows
    }  # fmt: skip


def read_created(connection: Connection) -> dict[str, Instant]:
    """Model id → when it came into the catalog."""
    return {row.id: row.created_at for row in connection.execute(select(model_table.c.id, model_table.c.created_at))}


def put_operator(connection: Connection, operator: Operator) -> None:
    _put(connection, operator_table, {"id": 1}, {"facts": facts_to_text(operator.facts)})


def put_vendor(connection: Connection, vendor: Vendor) -> None:
    _put(connection, vendor_table, {"id": vendor.id}, {"facts": facts_to_text(vendor.facts)})


def put_upstream(connection: Connection, upstream: Upstream) -> None:
    """Add or change an upstream; its secret stays as it is (`put_secret`)."""
    facts = {
        "vendor": upstream.vendor, "dialect": upstream.dialect, "url": upstream.url, "zone": upstream.zone,
        "key_env": upstream.key_env, "key_file": upstream.key_file, "client_gone": upstream.client_gone,
        "drain_seconds": upstream.drain_seconds, "api_version": upstream.api_version,
    }  # fmt: skip
    _put(connection, upstream_table, {"id": upstream.id}, facts, first={"secret": "", "secret_host": ""})


def put_secret(connection: Connection, upstream: str, secret: str, host: str) -> None:
    """Name the file that holds the upstream's credential, and the host that it belongs to."""
    where = upstream_table.c.id == upstream
    connection.execute(update(upstream_table).where(where).values(secret=secret, secret_host=host))


def put_model(connection: Connection, model: Model, at: Instant) -> None:
    facts = {
        "context": model.context, "output_max": model.output_max, "operations": " ".join(model.operations),
        "aliases": " ".join(model.aliases), "default_version": model.default,
    }  # fmt: skip
    _put(connection, model_table, {"id": model.id}, facts, first={"created_at": at})
    versions: list[_Row] = []
    routes: list[_Row] = []
    for number, each in enumerate(model.versions):
        life = {"lifecycle": each.lifecycle, "retires_at": each.retires_at, "replaced_by": each.replaced_by}
        versions.append({"model": model.id, "position": number, "name": each.name, **life})
        for place, (upstream, name) in enumerate(each.routes):
            where = {"model": model.id, "version": number, "position": place}
            routes.append({**where, "upstream": upstream, "vendor_model": name})
    for table, rows in ((route_table, routes), (version_table, versions)):
        connection.execute(delete(table).where(table.c.model == model.id))
        if rows:
            connection.execute(insert(table), rows)


def _put(
    connection: Connection, table: Table, key: _Row, facts: _Row, *, first: _Row | None = None
) -> None:
    """Change the row under `key`, or add it with the facts of `first` beside."""
    where = [table.c[name] == value for name, value in key.items()]
    if connection.execute(update(table).where(*where).values(facts)).rowcount == 0:
        connection.execute(insert(table).values({**key, **facts, **(first or {})}))
