"""Credentials of upstreams, and secrets of webhooks: files in DATA/secrets, each bound to the one host it is for.

A file is named after upstream, host and content (under the pepper, so that the name gives nothing away): a new value
or another host is a new file, hence a change in the snapshot, and a value can never follow its upstream to a new host.
"""

import hmac
from collections.abc import Iterable, Mapping
from hashlib import sha256
from urllib.parse import urlsplit

from sqlalchemy import Connection

from entrepot.catalog import tables as catalog_tables
from entrepot.catalog import webhook_tables
from entrepot.catalog.contents import Upstream, Webhook
from entrepot.catalog.file import CatalogFile
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.storage.folder import Folder
from entrepot.wire.webhook import SecretBroken, signing_key

LONGEST = 16 * 1024
PREFIXES = ("upstream-", "webhook-")
Kept = Mapping[str, tuple[str, str]]  # id of an upstream or webhook → (file name, host)
Wanting = Upstream | Webhook


class CredentialMissing(EntrepotError):
    """An upstream wants a credential that was not handed over and is not kept for its host."""

    code = "credential_missing"
    fault = Fault.CALLER


class CredentialBroken(EntrepotError):
    """A credential that cannot go into a header."""

    code = "credential_broken"
    fault = Fault.CALLER


def kept(connection: Connection) -> Kept:
    """What is kept for each upstream and webhook."""
    return {**catalog_tables.read_secrets(connection), **webhook_tables.read_secrets(connection)}


def host_of(wanting: Wanting) -> str:
    """Scheme, host and port: what a credential is bound to."""
    parts = urlsplit(wanting.url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def missing(file: CatalogFile, wanting: Iterable[Wanting], given: Mapping[str, str], kept: Kept) -> None:
    """Raise CredentialMissing for the first upstream or webhook of the file that has no usable credential."""
    for each in wanting:
        if not each.wants_key or given.get(each.id):
            continue
        name, host = kept.get(each.id, ("", ""))
        if name and host == host_of(each):
            continue
        where = f"({file.name}, line {_line(file, each)})"
        moved = f"; the one that is kept belongs to {host}" if name else ""
        if each.key_env:
            raise CredentialMissing(
                f"{_called(each)} wants the environment variable {each.key_env}, which is not set "
                f"{where}{moved}\n  do    export {each.key_env}=…      then: entrepot apply {file.name}"
            )
        raise CredentialMissing(
            f"{_called(each)} wants the file {each.key_file}, which is not there {where}{moved}\n"
            f"  do    write the credential into {each.key_file}      then: entrepot apply {file.name}"
        )


def renewed(
    folder: Folder, kept: Kept, wanting: Iterable[Wanting], given: Mapping[str, str]
) -> dict[str, tuple[str, str]]:
    """Id → (file name, host) of every credential that changes: what is given is named, what belongs to another host is
    void. Writes nothing. Raises CredentialBroken."""
    found = {}
    for each in wanting:
        before = kept.get(each.id, ("", ""))
        value, host = given.get(each.id, "").strip(), host_of(each)
        if each.wants_key and value:
            now = (_file_name(folder, each, host, value), host)
        elif each.wants_key and before[1] == host:
            now = before
        else:
            now = ("", "")
        if now != before:
            found[each.id] = now
    return found


def keep(
    connection: Connection, folder: Folder, changes: Mapping[str, tuple[str, str]], given: Mapping[str, str]
) -> None:
    """Write the files of `renewed` and name them in the database. The files are there before the transaction commits;
    `sweep` removes what nobody needs after it."""
    for id, (name, host) in changes.items():
        if name:
            folder.keep_secret(name, given[id].strip().encode())
        put = webhook_tables.put_secret if id.startswith("webhook/") else catalog_tables.put_secret
        put(connection, id, name, host)


def sweep(folder: Folder, needed: Iterable[str]) -> None:
    """Remove credential files that no snapshot in use names any more."""
    names = set(needed)
    for prefix in PREFIXES:
        for path in folder.secrets.glob(f"{prefix}*"):
            if path.name not in names:
                path.unlink(missing_ok=True)


def _called(wanting: Wanting) -> str:
    return f'upstream "{wanting.id}"' if isinstance(wanting, Upstream) else f'webhook "{wanting.name}"'


def _line(file: CatalogFile, wanting: Wanting) -> int:
    if isinstance(wanting, Upstream):
        return file.line("upstream", wanting.id, "endpoint", "key")
    operator = file.catalog.operator
    names = [each.name for each in operator.webhooks] if operator else []
    return file.line("operator", "webhooks", names.index(wanting.name), "secret")


def _file_name(folder: Folder, wanting: Wanting, host: str, text: str) -> str:
    if not 0 < len(text) <= LONGEST or any(not 32 < ord(each) < 127 for each in text):
        raise CredentialBroken(f"the credential of {_called(wanting)} is not one line of visible ASCII characters")
    if isinstance(wanting, Webhook):
        try:
            signing_key(text)
        except SecretBroken as broken:
            raise CredentialBroken(f"the secret of {_called(wanting)} {broken.message}") from None
    mark = hmac.digest(folder.secret("pepper"), f"{host}\0{text}".encode(), sha256).hex()[:12]
    name = wanting.id if isinstance(wanting, Upstream) else wanting.name
    return f"{PREFIXES[isinstance(wanting, Webhook)]}{name}-{mark}"
