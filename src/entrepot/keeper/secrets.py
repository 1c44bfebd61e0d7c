"""Upstream credentials: files in DATA/secrets, each bound to the one host that it is sent to.

A file is named after upstream, host and content (under the pepper, so that the name gives nothing away): a new value
or another host is a new file, hence a change in the snapshot, and a value can never follow its upstream to a new host.
"""

import hmac
from collections.abc import Iterable, Mapping
from hashlib import sha256
from urllib.parse import urlsplit

from sqlalchemy import Connection

from entrepot.catalog import tables as catalog_tables
from entrepot.catalog.contents import Upstream
from entrepot.catalog.file import CatalogFile
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.storage.folder import Folder

LONGEST = 16 * 1024
PREFIX = "upstream-"
Kept = Mapping[str, tuple[str, str]]  # upstream id → (file name, host)


class CredentialMissing(EntrepotError):
    """An upstream wants a credential that was not handed over and is not kept for its host."""

    code = "credential_missing"
    fault = Fault.CALLER


class CredentialBroken(EntrepotError):
    """A credential that cannot go into a header."""

    code = "credential_broken"
    fault = Fault.CALLER


def kept(connection: Connection) -> Kept:
    """What is kept for each upstream."""
    return catalog_tables.read_secrets(connection)


def host_of(upstream: Upstream) -> str:
    """Scheme, host and port: what a credential is bound to."""
    parts = urlsplit(upstream.url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def missing(file: CatalogFile, upstreams: Iterable[Upstream], given: Mapping[str, str], kept: Kept) -> None:
    """Raise CredentialMissing for the first upstream of the file that has no usable credential."""
    for upstream in upstreams:
        if not upstream.wants_key or given.get(upstream.id):
            continue
        name, host = kept.get(upstream.id, ("", ""))
        if name and host == host_of(upstream):
            continue
        where = f"({file.name}, line {file.line('upstream', upstream.id, 'endpoint', 'key')})"
        moved = f"; the one that is kept belongs to {host}" if name else ""
        if upstream.key_env:
            raise CredentialMissing(
                f'upstream "{upstream.id}" wants the environment variable {upstream.key_env}, which is not set '
                f"{where}{moved}\n  do    export {upstream.key_env}=…      then: entrepot apply {file.name}"
            )
        raise CredentialMissing(
            f'upstream "{upstream.id}" wants the file {upstream.key_file}, which is not there {where}{moved}\n'
            f"  do    write the credential into {upstream.key_file}      then: entrepot apply {file.name}"
        )


def renewed(
    folder: Folder, kept: Kept, upstreams: Iterable[Upstream], given: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """Upstream id → (file name, host) of every credential that changes: what is given is named, what belongs to another
    host is void. Writes nothing. Raises CredentialBroken."""
    found = {}
    for upstream in upstreams:
        before = kept.get(upstream.id, ("", ""))
        value, host = given.get(upstream.id, "").strip(), host_of(upstream)
        if upstream.wants_key and value:
            now = (_file_name(folder, upstream.id, host, value), host)
        elif upstream.wants_key and before[1] == host:
            now = before
        else:
            now = ("", "")
        if now != before:
            found[upstream.id] = now
    return found


def keep(
    connection: Connection, folder: Folder, changes: Mapping[str, tuple[str, str]], given: Mapping[str, str]
) -> None:
    """Write the files of `renewed` and name them in the database. The files are there before the transaction commits;
    `sweep` removes what nobody needs after it."""
    for upstream, (name, host) in changes.items():
        if name:
            folder.keep_secret(name, given[upstream].strip().encode())
        catalog_tables.put_secret(connection, upstream, name, host)


def sweep(folder: Folder, needed: Iterable[str]) -> None:
    """Remove credential files that no snapshot in use names any more."""
    names = set(needed)
    for path in folder.secrets.glob(f"{PREFIX}*"):
        if path.name not in names:
            path.unlink(missing_ok=True)


def _file_name(folder: Folder, upstream: str, host: str, text: str) -> str:
    if not 0 < len(text) <= LONGEST or any(not 32 < ord(each) < 127 for each in text):
        raise CredentialBroken(f'the credential of upstream "{upstream}" is not one line of visible ASCII characters')
    mark = hmac.digest(folder.secret("pepper"), f"{host}\0{text}".encode(), sha256).hex()[:12]
    return f"{PREFIX}{upstream}-{mark}"
