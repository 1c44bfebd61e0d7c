"""A catalog file on its way to the server: its text, and the credentials it names, read in this environment."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from entrepot.cli.session import Admin, AdminError
from entrepot.cli.terminal import MISUSED, Stop, program

if TYPE_CHECKING:
    from entrepot.catalog.file import CatalogFile
    from entrepot.catalog.issues import CatalogBroken

_LONGEST_SECRET = 16 * 1024


def text_of(path: Path) -> str:
    """The file's text; raises Stop where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        do = f"{program()} apply examples/demo.toml      shows what one looks like"
        raise Stop(f"there is no file {path}", do=do, exit_code=MISUSED) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Stop(f"{path} cannot be read: {error}", exit_code=MISUSED) from None


def of_catalog(broken: "CatalogBroken") -> Stop:
    """The mistakes of a file in their own layout, and one by one for --json."""
    stop = Stop(broken.message, lines=broken.message)
    stop.code = broken.code
    issues = [{"line": each.line, "text": each.text, "why": list(each.why)} for each in broken.issues]
    stop.details = {"file": broken.file, "issues": issues}
    return stop


def ask_of_catalog(api: Admin, path: tuple[str, ...], body: dict[str, Any]) -> dict[str, Any]:
    """Send a catalog's text; the mistakes that the server finds come in their own layout."""
    try:
        return api.post(*path, body=body)
    except AdminError as error:
        if error.code == "catalog_broken":
            error.lines = error.message
        raise


def secrets_of(file: "CatalogFile", path: Path) -> dict[str, str]:
    """Id of an upstream or webhook → credential, for those that are there; what is missing is for the keeper to miss,
    which may have it.

    A relative `file` lies beside the catalog.
    """
    found = {}
    for upstream in file.catalog.credentialed:
        if upstream.key_env and os.environ.get(upstream.key_env):
            found[upstream.id] = os.environ[upstream.key_env]
        elif upstream.key_file:
            try:
                with (path.parent / upstream.key_file).open(encoding="utf-8") as secret:
                    found[upstream.id] = secret.read(_LONGEST_SECRET + 1).strip()
            except (OSError, UnicodeDecodeError):
                continue
    return found
