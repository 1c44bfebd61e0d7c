"""The data folder: which file lies where, its lock, its secrets, the deny list. Imports no database."""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from entrepot.kernel.errors import EntrepotError, Fault

_MINE = 0o700
_SOCKET_PATH_LIMIT = 100  # sun_path holds 108 bytes with its NUL


class FolderInUse(EntrepotError):
    """Another process holds the lock on DATA."""

    code = "data_in_use"
    fault = Fault.CALLER


class SecretMissing(EntrepotError):
    """A secret that the snapshot names is not in DATA/secrets."""

    code = "secret_missing"


class Folder:
    """Paths below DATA. Nothing is created by naming a path."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.credentials = root / "credentials.json"
        self.secrets = root / "secrets"
        self.deny = root / "deny"
        self.database = root / "entrepot.sqlite"
        self.snapshot = root / "snapshot"
        self.journal = root / "journal"
        self.lake = root / "lake"

    def create(self) -> None:
        """Make the folder and its rooms, for this user alone. Rooms and databases that others could read are closed to
        them; a folder that was there keeps its own mode."""
        self.root.mkdir(mode=_MINE, parents=True, exist_ok=True)
        for path in (self.secrets, self.snapshot, self.journal, self.lake, self.root / "run"):
            path.mkdir(mode=_MINE, exist_ok=True)
            path.chmod(_MINE)
        self.deny.touch(mode=0o600)
        for path in (self.deny, *self.root.glob(f"{self.database.name}*")):
            path.chmod(0o600)

    def socket(self, name: str) -> Path:
        """Path of a local socket. A folder too deep for a socket address gets a private one in the temporary directory,
        the same for every process that names this folder."""
        path = self.root / "run" / name
        if len(os.fsencode(path.absolute())) <= _SOCKET_PATH_LIMIT:
            return path.absolute()
        import tempfile  # a start that does not need it does not pay for it

        mark = hashlib.sha256(os.fsencode(self.root.resolve())).hexdigest()[:16]
        short = Path(tempfile.gettempdir()) / f"entrepot-{os.getuid()}-{mark}"
        short.mkdir(mode=0o700, exist_ok=True)
        if short.stat().st_uid != os.getuid():
            raise FolderInUse(f"{short} belongs to somebody else; choose a shorter --data path")
        return short / name

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Hold the exclusive lock on DATA; raises FolderInUse at once if another process has it."""
        self.root.mkdir(mode=_MINE, parents=True, exist_ok=True)
        fd = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise FolderInUse(f"{self.root} is in use by another entrepot process") from None
            yield fd
        finally:
            os.close(fd)

    def keep_secret(self, name: str, value: bytes) -> None:
        """Write DATA/secrets/NAME with mode 0600, whole or not at all."""
        write_whole(self.secrets / _secret_file(name), value, mode=0o600)

    def secret(self, name: str) -> bytes:
        """Read a secret; raises SecretMissing."""
        try:
            return (self.secrets / _secret_file(name)).read_bytes()
        except FileNotFoundError:
            raise SecretMissing(f"there is no secret {name!r} in {self.secrets}; apply the catalog again") from None

    def read_credentials(self) -> dict[str, str]:
        """`credentials.json`, or {} where there is none yet."""
        try:
            found: dict[str, str] = json.loads(self.credentials.read_bytes())
        except FileNotFoundError:
            return {}
        return found

    def write_credentials(self, facts: dict[str, str]) -> None:
        write_whole(self.credentials, json.dumps(facts, indent=2).encode() + b"\n", mode=0o600)

    def deny_key(self, key_id: str) -> None:
        """Append a key id to the deny list, synced: works with every process down."""
        fd = os.open(self.deny, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, key_id.encode("ascii") + b"\n")
            os.fsync(fd)
        finally:
            os.close(fd)

    def denied(self, start: int) -> tuple[list[str], int]:
        """Key ids appended since byte `start`, and where to go on."""
        try:
            with self.deny.open("rb") as file:
                file.seek(start)
                data = file.read()
        except FileNotFoundError:
            return [], start
        whole = data[: data.rfind(b"\n") + 1]
        return whole.decode("ascii", "replace").split(), start + len(whole)


@contextmanager
def for_us_alone() -> Iterator[None]:
    """Whatever this process makes in here, and the processes it starts, no other user may read: databases and files of
    libraries too, whose modes nobody asks us about."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def write_whole(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write aside, sync, rename, sync the directory: a reader sees the old file or the new one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.fchmod(fd, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    aside.rename(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _secret_file(name: str) -> str:
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise SecretMissing(f"{name!r} cannot name a secret")
    return name
