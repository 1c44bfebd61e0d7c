"""Which models may this key call? The answer of the models operation: only what the key may use, by its own names."""

from difflib import get_close_matches

from entrepot.gateway import problem
from entrepot.gateway.desk import Desk
from entrepot.gateway.problem import Problem
from entrepot.kernel.instants import SECOND, Instant
from entrepot.snapshot import KeyEntry

_STATUS = {"ga": "generally-available"}


def usable_models(desk: Desk, key: KeyEntry, at: Instant) -> dict[str, object]:
    """The list."""
    return {"object": "list", "data": _entries(desk, key, at)}


def one_model(desk: Desk, key: KeyEntry, name: str, at: Instant) -> dict[str, object] | Problem:
    """The one of this name; what the key may not use does not exist."""
    entries = _entries(desk, key, at)
    found = next((entry for entry in entries if entry["id"] == name), None)
    if found is not None:
        return found
    names = [str(entry["id"]) for entry in entries]
    close = get_close_matches(name[:100], names, n=1)
    return problem.unknown_model(name[:100], names, close[0] if close else None)


def _entries(desk: Desk, key: KeyEntry, at: Instant) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for deployment in desk.usable(key):
        model = desk.snapshot.model(deployment.model)
        if model is None or not (version := model.version(deployment, at)[0]).serves(at):
            continue
        entry: dict[str, object] = {
            "id": deployment.name, "object": "model", "created": model.created, "owned_by": model.owned_by,
        }  # fmt: skip
        if version.lifecycle != "ga" or version.retires_at:  # as Azure's list of models says it
            entry["lifecycle_status"] = _STATUS.get(version.lifecycle, version.lifecycle)
            entry["deprecation"] = {"inference": version.retires_at // SECOND} if version.retires_at else None
        found.append(entry)
    return found
