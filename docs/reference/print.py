"""Prints the reference pages from the code, and the list of packages in ARCHITECTURE.md: `make reference`.

A page that differs from what this prints fails `tests/house`.
"""

import ast
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path

import entrepot
from entrepot.kernel.errors import EntrepotError
from entrepot.serve.wiring import ROLES

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "entrepot"
#: The life of a cent, and the order of imports (pyproject.toml has it the other way round).
ORDER = (
    "kernel", "wire", "journal", "storage", "catalog", "customers", "metering", "limits", "pricing", "rating", "ledger",
    "billing", "insight", "snapshot", "upstream", "gateway", "keeper", "control", "serve", "prove", "cli",
)  # fmt: skip
BEGIN, END = "<!-- packages: printed by make reference -->\n", "<!-- end of packages -->\n"


def pages() -> dict[Path, str]:
    """Every printed page by its path."""
    from entrepot.cli import reference as commands
    from entrepot.control import reference as admin
    from entrepot.insight import reference as measures
    from entrepot.serve import settings

    sys.path.insert(0, str(ROOT / "tests"))
    from compatibility import table

    here = ROOT / "docs" / "reference"
    architecture = ROOT / "ARCHITECTURE.md"
    return {
        here / "commands.md": commands.reference(),
        here / "admin-api.md": admin.reference(),
        here / "settings.md": settings.reference(),
        here / "errors.md": errors(),
        here / "measures.md": measures.reference(),
        here / "compatibility.md": table.page(),
        architecture: with_packages(architecture.read_text(encoding="utf-8")),
    }


def with_packages(text: str) -> str:
    """ARCHITECTURE.md with its list of packages as their docstrings begin."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = "".join(f"| `{name}` | {first_line(SOURCE / name)} |\n" for name in ORDER)
    return f"{before}{BEGIN}| package | the question it answers |\n|---|---|\n{rows}{END}{after}"


def first_line(package: Path) -> str:
    module = ast.parse((package / "__init__.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(module) or "").splitlines()[0]


def errors() -> str:
    """`errors.md`: what customers get from the API, then what operators get from commands and the admin API."""
    api = sorted({(code, status, kind, retry) for code, status, kind, retry in _problems()})
    rows = [
        "# Errors",
        "",
        "Printed by `make reference`. Codes are stable: programs may depend on them, on nothing else in a message.",
        "",
        "## What customers get",
        "",
        "In the dialect of the caller: OpenAI's `error` object, or Azure's. `retry` is the header `x-should-retry`;",
        "without one the SDK decides by the status. A refused call costs nothing.",
        "",
        "| code | status | type | retry |",
        "|---|---|---|---|",
        *(f"| `{code}` | {status} | `{kind}` | {retry} |" for code, status, kind, retry in api),
        "",
        "## What operators get",
        "",
        'From commands and the admin API (`{"error": {"code", "message", …}}`). Fault: who has to act.',
        "",
        "| code | fault | retry | what it is |",
        "|---|---|---|---|",
        *_operator_rows(),
        "",
    ]
    return "\n".join(rows)


def _operator_rows() -> list[str]:
    for module in pkgutil.walk_packages(entrepot.__path__, "entrepot."):
        if not module.name.endswith("__main__") and ".migrations" not in module.name:
            importlib.import_module(module.name)
    found: dict[str, str] = {}
    for error in _subclasses(EntrepotError):
        if "code" in vars(error) and error.__module__.startswith("entrepot."):
            meaning = " ".join((error.__doc__ or "").split())
            row = f"| `{error.code}` | {error.fault.value} | {'yes' if error.retryable else 'no'} | {meaning} |"
            found.setdefault(error.code, row)
    return [found[code] for code in sorted(found)]


def _subclasses(root: type[EntrepotError]) -> Iterator[type[EntrepotError]]:
    for error in sorted(root.__subclasses__(), key=lambda each: (each.__module__, each.__name__)):
        yield error
        yield from _subclasses(error)


def _problems() -> Iterator[tuple[str, str, str, str]]:
    """(code, status, type, retry) of every answer that the gateway can give, as the source of its refusals says."""
    from entrepot.gateway import problem

    for status, code, _message, retry in problem._FAILED.values():
        yield code, str(status), "server_error", "true" if retry else "false"
    texts = [(SOURCE / "gateway" / name).read_text(encoding="utf-8") for name in ("problem.py", "limited.py")]
    for function in [each for text in texts for each in ast.parse(text).body]:
        if isinstance(function, ast.FunctionDef):
            defaults = _defaults(function)
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Problem":
                    words = {keyword.arg: _value(keyword.value, defaults) for keyword in call.keywords}
                    if words.get("code") and words.get("status"):
                        retry = {"True": "true", "False": "false"}.get(words.get("retry", ""), "")
                        yield words["code"], words["status"], words.get("type", ""), retry
    for file in [*sorted((SOURCE / "gateway").glob("*.py")), *sorted((SOURCE / "wire").glob("*.py"))]:
        yield from _chosen_codes(ast.parse(file.read_text(encoding="utf-8")))


def _chosen_codes(module: ast.Module) -> Iterator[tuple[str, str, str, str]]:
    """Codes that a caller of `bad_request`, `bad_key` or `BadField` picks."""
    for call in ast.walk(module):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        words = {keyword.arg: _value(keyword.value, {}) for keyword in call.keywords}
        if name == "bad_request" and words.get("code"):
            yield words["code"], words.get("status") or "400", "invalid_request_error", "false"
        elif name == "bad_key" and words.get("code"):
            yield words["code"], "401", "authentication_error", ""
        elif name == "BadField" and len(call.args) > 2 and _value(call.args[2], {}):
            yield _value(call.args[2], {}), "400", "invalid_request_error", "false"


def _defaults(function: ast.FunctionDef) -> dict[str, str]:
    arguments = function.args
    positional = arguments.args[len(arguments.args) - len(arguments.defaults) :]
    pairs = [
        *zip(positional, arguments.defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    return {argument.arg: _value(default, {}) for argument, default in pairs if default is not None}


def _value(node: ast.expr, names: dict[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return "" if node.value is None else str(node.value)
    return names.get(node.id, "") if isinstance(node, ast.Name) else ""


def main() -> None:
    assert {role.module.split(".")[1] for role in ROLES} <= set(ORDER)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
