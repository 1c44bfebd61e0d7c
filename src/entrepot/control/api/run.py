"""`/admin/runs`: a key of its own for one run of a program, so that its bill can be told apart."""

import asyncio
import secrets as chance
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from entrepot.control.amount import exact
from entrepot.control.house import House, house
from entrepot.control.problem import Mistaken, NotFound
from entrepot.customers.key import ID_LETTERS, PREFIX
from entrepot.customers.tables import StoredKey, read_keys, read_stored
from entrepot.kernel.buckets import BUCKETS
from entrepot.kernel.instants import show
from entrepot.metering import tables as metering
from entrepot.storage.database import read

router = APIRouter(tags=["run"])
NAME = "run-"  # of a run's key; the rest is the run's id
LIFE = "7d"  # of a run's key, for runs whose end nobody told
_LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  # none that are taken for another
_ID_LETTERS = 4
_TRIES = 20


class NewRun(BaseModel):
    """Without a customer: the one of the first start's key, and its project."""

    model_config = ConfigDict(extra="forbid")
    customer: Annotated[str, Field(max_length=128)] = ""
    project: str | None = None
    models: list[str] | None = None


@router.post("/runs", name="run.begin")
async def begin(body: NewRun, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """A new key named `run-ID`, this once, and the addresses where it works. It expires after seven days; whoever ends
    the run before that revokes it."""
    keys = await asyncio.to_thread(_keys, where)
    customer, project = body.customer, body.project
    if not customer:
        own = next((key for key in keys if key.id == _first_key(where)), None)
        if own is None:
            raise Mistaken("this server has no key of a first start, so say for which customer the run is")
        customer, project = own.customer, project or own.project
    run = _free_id({key.name for key in keys})
    wanted = {"customer": customer, "project": project, "models": body.models, "name": NAME + run, "expires": LIFE}
    key = await where.keeper.execute("key.create", {name: value for name, value in wanted.items() if value})
    credentials = where.folder.read_credentials()
    addresses = {name: credentials.get(name, "") for name in ("base_url", "azure_endpoint", "model")}
    return {"run": run, **key, **addresses}


@router.get("/keys/{id_}/bill", name="key.bill")
async def bill(id_: str, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Everything that this key was ever used for. `settled` is false while calls of it are under way."""
    answers = [facts for facts in (await where.ask_gateways({"ask": "key", "id": id_})).values() if facts]
    fresh = await where.freshen()
    moving = sum(int(facts.get("open", 0)) + int(facts.get("untold", 0)) for facts in answers)
    facts = await asyncio.to_thread(_bill, where, id_)
    return {**facts, "open": sum(int(each.get("open", 0)) for each in answers), "settled": fresh and not moving}


def key_of_run(connection: Connection, run: str) -> StoredKey:
    """The key of a run, the latest where an id came again. Raises NotFound."""
    found = [key for key in read_keys(connection) if key.name == NAME + run.removeprefix(NAME)]
    if not found:
        raise NotFound(f"there is no run {run!r}; the bill of a run names it, and `entrepot key list --all` shows all")
    return found[-1]


def refused_of_key(connection: Connection, key_id: str, since: int) -> dict[str, int]:
    """Reason → refused requests of this key."""
    found: dict[str, int] = {}
    for _, name, requests in metering.refused(connection, since, key_id):
        reason = name.partition(" ")[2]
        found[reason] = found.get(reason, 0) + requests
    return found


def _bill(where: House, key_id: str) -> dict[str, Any]:
    with read(where.engine) as connection:
        keys = read_keys(connection, key_id)
        if not keys:
            raise NotFound(f"there is no key {key_id!r}; a key's id is the 10 characters after {PREFIX}")
        rows = metering.usage(connection, ["state", "source"], filters={"key": key_id})
        refused = refused_of_key(connection, key_id, keys[0].created_at)
        currency = read_stored(connection)[keys[0].customer].currency  # the one of its book: all rows have it
    calls = sum(row.requests for row in rows)
    whole = sum(row.attempts for row in rows if row.by["state"] == "final" or row.by["source"] == "drained")
    return {
        "key": key_id, "name": keys[0].name, "customer": keys[0].customer, "project": keys[0].project,
        "began": show(keys[0].created_at),
        "calls": calls + sum(refused.values()), "refused": refused,
        "errors": max(0, calls - whole) + sum(refused.values()),
        **{name: sum(row.charged[i] for row in rows) for i, name in enumerate(BUCKETS)},
        "charge": exact(sum(row.charge for row in rows), currency), "currency": currency,
    }  # fmt: skip


def _keys(where: House) -> list[StoredKey]:
    with read(where.engine) as connection:
        return read_keys(connection)


def _first_key(where: House) -> str:
    return where.folder.read_credentials().get("api_key", "").removeprefix(PREFIX)[:ID_LETTERS]


def _free_id(names: set[str]) -> str:
    """Four letters that no key's name has; longer where those become rare."""
    length = _ID_LETTERS
    while True:
        for _ in range(_TRIES):
            found = "".join(chance.choice(_LETTERS) for _ in range(length))
            if NAME + found not in names:
                return found
        length += 1
