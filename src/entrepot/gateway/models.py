"""Which models may this key call? The answer of the models operation: only what the key may use, by its own names."""

from difflib import get_close_matches

from entrepot.gateway import problem
from entrepot.gateway.desk import Desk
from entrepot.gateway.problem import Problem
from entrepot.snapshot import KeyEntry


def usable_models(desk: Desk, key: KeyEntry) -> dict[str, object]:
    """The list."""
    return {"object": "list", "data": _entries(desk, key)}


def one_model(desk: Desk, key: KeyEntry, name: str) -> dict[str, object] | Problem:
    """The one of this name; what the key may not use does not exist."""
    entries = _entries(desk, key)
    found = next((entry for entry in entries if entry["id"] == name), None)
    if found is not None:
        return found
    names = [str(entry["id"]) for entry in entries]
    close = get_close_matches(name[:100], names, n=1)
    return problem.unknown_model(name[:100], names, close[0] if close else None)


def _entries(desk: Desk, key: KeyEntry) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for deployment in desk.usable(key):
        model = desk.snapshot.model(deployment.model)
        if model is not None:
            found.append(
                {"id": deployment.name, "object": "model", "created": model.created, "owned_by": model.owned_by}
            )
    return found
