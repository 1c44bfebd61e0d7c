"""`docs/reference/admin-api.md`, printed from the routes themselves."""

import inspect
import typing

from fastapi.routing import APIRoute
from pydantic import BaseModel

from entrepot.control.app import all_routes

_HEAD = """\
# Admin API

Printed by `make reference`. It listens on the admin address (`--admin-port`, 8081) and wants
`Authorization: Bearer ADMIN_TOKEN`; the token is in `data/credentials.json`. Requests and answers are JSON, at most
16 MiB; amounts are exact decimals in strings, instants are UTC. A failure is
`{"error": {"code", "message", …}}`: 400 wrong use, 401 and 403 not permitted, 404 not found, 409 refused by a rule,
503 the keeper or the database does not answer.

| method and path | permission | what |
|---|---|---|
"""


def reference() -> str:
    """The page: every route, then the fields of its body or query."""
    rows, details = [], []
    for route in all_routes():
        for method in sorted(route.methods or ()):
            about = " ".join((route.endpoint.__doc__ or "").split())
            rows.append(f"| `{method} {_path(route)}` | {route.name} | {about} |")
            fields = _fields(route)
            if fields:
                details.append(f"\n## {method} {_path(route)}\n\n" + "\n".join(fields))
    return _HEAD + "\n".join(rows) + "\n" + "\n".join(details) + "\n"


def _path(route: APIRoute) -> str:
    return f"/admin{route.path}".replace("{id_:path}", "{id}").replace("{id_}", "{id}")


def _fields(route: APIRoute) -> list[str]:
    found = [
        f"- `?{each.alias}=`{_default(each.default)}{_about(each.field_info.description)}"
        for each in route.dependant.query_params
    ]
    for annotation in typing.get_type_hints(route.endpoint).values():
        if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
            for name, field in annotation.model_fields.items():
                needed = ", required" if field.is_required() else _default(field.default)
                found.append(f"- `{name}`: {_type(field.annotation)}{needed}{_about(field.description)}")
    return found


def _type(annotation: object) -> str:
    text = annotation.__name__ if isinstance(annotation, type) and not typing.get_args(annotation) else str(annotation)
    words = {"str": "text", "int": "whole number", "bool": "true or false"}
    return words.get(text, text.replace("str", "text").replace(" | None", ""))


def _default(value: object) -> str:
    return f", default `{value}`" if value not in (None, "", False) and value != {} else ""


def _about(text: str | None) -> str:
    return f": {text}" if text else ""
