"""The smallest value that a JSON schema allows, of the keywords that SDKs write."""

from typing import Any

_DEPTH_LIMIT = 16


def instance(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """A value of `schema`; its references are looked up in `root`."""
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > _DEPTH_LIMIT:
        return None
    if "$ref" in schema:
        found = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found.get(part, {})
        return instance(found, root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for several in ("anyOf", "oneOf", "allOf"):
        if schema.get(several):
            return instance(schema[several][0], root, depth + 1)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object" or "properties" in schema:
        needed = schema.get("required", list(schema.get("properties", {})))
        return {name: instance(schema.get("properties", {}).get(name, {}), root, depth + 1) for name in needed}
    if kind == "array":
        return [instance(schema.get("items", {}), root, depth + 1) for _ in range(schema.get("minItems", 1))]
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    return {"boolean": True, "null": None}.get(kind or "", "word")
