"""Where `apply` finds the credentials that a file names: its own environment, or files beside the catalog file."""

from collections.abc import Callable, Mapping

from entrepot.catalog.contents import Catalog


def gather(catalog: Catalog, environ: Mapping[str, str], read_text: Callable[[str], str]) -> dict[str, str]:
    """Id of an upstream or webhook → credential, of those that are there. What is missing is the keeper's to judge: it
    may be kept already. `read_text` takes a path as written and raises OSError or UnicodeError if nothing is there."""
    found = {}
    for upstream in catalog.credentialed:
        value = environ.get(upstream.key_env, "") if upstream.key_env else ""
        if upstream.key_file:
            try:
                value = read_text(upstream.key_file)
            except (OSError, UnicodeError):
                value = ""
        if value.strip():
            found[upstream.id] = value.strip()
    return found
