"""The house rules that a program can check. What it cannot check stands in CONTRIBUTING.md."""

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "entrepot"
MONEY = (
    "kernel/money.py", "kernel/buckets.py", "pricing", "rating", "ledger", "limits", "metering", "catalog", "customers",
)  # fmt: skip
NO_MONEY = (SOURCE / "catalog" / "issues.py",)  # how alike two names are
#: Files over 400 lines, each with its reason.
LONG_FILES = {
    "tests/unit/keeper/test_commands.py": "one list of what every command does and refuses",
    "tests/unit/journal/test_writer.py": "one list of what the writer promises",
    "tests/system/test_kill_table.py": "the kill table, row by row, in its order",
}
FORBIDDEN_FILES = {"utils", "helpers", "common", "misc", "manager", "managers", "util", "helper", "base", "core"}
FORBIDDEN_NAME = re.compile(r"(_v2|_helper|_util|Manager|Helper|Utils?)$")
#: Words that say something else here than where they came from: docs/glossary.md.
FORBIDDEN_WORDS = re.compile(r"\b(finalise|finalize|catalogue)", re.IGNORECASE)
MACHINE_PATH = re.compile(r"(?<![\w.])/(home|root|Users|work|mnt|opt)/\w")
#: In two halves each, or this file would be the first to hold one.
REGISTRY = re.compile(
    "|".join(("py" + "pi[.]org/simple", "python" + "hosted", "--(extra-)?index-" + "url", "--find-" + "links"))
)


def _tracked() -> list[Path]:
    """Files of the repository as git lists them, new ones included; without git, everything but what is built."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


TRACKED = _tracked()
PYTHON = [path for path in TRACKED if path.suffix == ".py"]


def _of_money() -> Iterator[Path]:
    for place in MONEY:
        path = SOURCE / place
        yield from [path] if path.is_file() else (file for file in sorted(path.rglob("*.py")) if file not in NO_MONEY)


def test_files_are_short() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in PYTHON}
    assert {name: lines for name, lines in lengths.items() if lines > 400 and name not in LONG_FILES} == {}


def test_every_test_module_has_a_name_of_its_own() -> None:
    names = [path.name for path in PYTHON if path.name.startswith("test_")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


def test_no_file_is_named_after_nothing() -> None:
    assert [str(path) for path in PYTHON if path.stem in FORBIDDEN_FILES] == []


def test_no_name_says_that_it_is_newer_or_helps() -> None:
    defined = re.compile(r"^[ \t]*(?:async def|def|class) (\w+)", re.MULTILINE)
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in PYTHON
        for name in defined.findall(path.read_text(encoding="utf-8"))
        if FORBIDDEN_NAME.search(name)
    ]
    assert found == []


def test_money_is_never_a_float() -> None:
    found = []
    for path in _of_money():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_float = isinstance(node, ast.Constant) and isinstance(node.value, float)
            names_float = isinstance(node, ast.Name) and node.id == "float"
            if is_float or names_float:
                found.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}")
    assert found == []


def test_every_package_says_what_question_it_answers_in_at_most_15_lines() -> None:
    for package in sorted(path.parent for path in SOURCE.glob("*/__init__.py")):
        text = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
        assert text.splitlines()[0].endswith("?"), package.name
        assert len(text.splitlines()) <= 15, package.name


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = []
    for path in TRACKED:
        if path == Path(__file__).resolve() or path.suffix in {".svg", ".parquet", ".png"}:
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in MACHINE_PATH.finditer(text)]
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in REGISTRY.finditer(text)]
    assert found == []


def test_words_are_those_of_the_glossary() -> None:
    found = []
    for path in TRACKED:
        if path.suffix in {".py", ".md", ".toml", ".sql"} and path not in (
            Path(__file__).resolve(),
            ROOT / "docs/glossary.md",
        ):
            text = path.read_text(encoding="utf-8")
            found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in FORBIDDEN_WORDS.finditer(text)]
    assert found == []


def test_nothing_is_left_for_later() -> None:
    mark = re.compile(r"#.*\b(TODO|FIXME)\b")
    found = [
        str(path)
        for path in PYTHON
        if path != Path(__file__).resolve() and mark.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def _printed() -> dict[Path, str]:
    spec = importlib.util.spec_from_file_location("entrepot_reference", ROOT / "docs" / "reference" / "print.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pages: dict[Path, str] = module.pages()
    return pages


@pytest.mark.parametrize(
    "name",
    [
        "commands.md", "admin-api.md", "settings.md", "errors.md", "measures.md", "compatibility.md", "ARCHITECTURE.md",
    ],
)  # fmt: skip
def test_printed_pages_are_what_the_code_says(name: str) -> None:
    page, text = next((path, text) for path, text in _printed().items() if path.name == name)
    assert page.read_text(encoding="utf-8") == text, "run: make reference"


def test_the_packages_of_architecture_are_those_that_exist() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(path.parent.name for path in SOURCE.glob("*/__init__.py"))


def test_every_command_of_the_readme_and_the_howtos_exists() -> None:
    from entrepot.cli.group import entrepot as commands

    known = set(commands.list_commands(None))  # type: ignore[arg-type]
    called = re.compile(r"(?:^|`|\.venv/bin/)entrepot ([a-z][a-z-]+)", re.MULTILINE)
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        missing = {name for name in called.findall(page.read_text(encoding="utf-8")) if name not in known}
        assert missing == set(), page.name


def test_every_link_in_the_docs_leads_somewhere() -> None:
    link = re.compile(r"\]\((?!https?://|#|mailto:)([^)#]+)")
    for page in [path for path in TRACKED if path.suffix == ".md"]:
        for target in link.findall(page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} → {target}"


@pytest.mark.parametrize("role", ["entrepot.gateway.worker", "entrepot.serve.parent", "entrepot.upstream.local"])
def test_the_request_path_and_the_parent_load_no_database_and_no_framework(role: str) -> None:
    code = f"import sys, {role}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {
        "sqlalchemy",
        "alembic",
        "fastapi",
        "starlette",
        "pydantic",
        "jinja2",
        "duckdb",
        "pyarrow",
        "httpx",
        "uvicorn",
    }
    assert heavy & set(loaded) == set()


def test_the_lock_files_carry_hashes_and_no_addresses() -> None:
    for lock in sorted((ROOT / "requirements").glob("*.lock")):
        text = lock.read_text(encoding="utf-8")
        pinned = re.findall(r"^[A-Za-z0-9_.-]+(?:\[\w+\])?==\S+.*\\$", text, re.MULTILINE)
        assert pinned, lock.name
        assert "://" not in text, lock.name
        assert all("--hash=sha256:" in part for part in re.split(r"\n(?=\S)", text.strip())), lock.name
