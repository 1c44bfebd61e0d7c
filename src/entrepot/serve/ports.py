"""The listening sockets: bound once by the parent, inherited by every child that needs one."""

import errno
import os
import re
import socket
import time
from pathlib import Path

from entrepot.kernel.errors import EntrepotError, Fault

_BACKLOG = 4096  # calls that may queue while a worker is replaced
_ORPHANS_SECONDS = 5.0  # children of a killed parent close their listeners at once; longer means that one is stuck
_CHILD_MARK = "entrepot.serve.child"
_OURS = re.compile(r"\bentrepot serve\b|\bentrepot\.serve\.")


class PortTaken(EntrepotError):
    """Somebody else listens where we were asked to."""

    code = "port_taken"
    fault = Fault.CALLER

    admin = False  # which of our two ports it is

    def __init__(self, host: str, port: int, holder: str, free: int) -> None:
        by = f" (by {holder})" if holder else ""
        super().__init__(f"{show_host(host)}:{port} is taken{by}")
        self.free = free


class HostUnknown(EntrepotError):
    """An address that this machine does not have."""

    code = "host_unknown"
    fault = Fault.CALLER


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises PortTaken, HostUnknown.

    Waits a moment if only children of a killed parent hold the port: they close it as soon as they notice.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as error:
        raise HostUnknown(f"cannot listen on {host!r}: {error.strerror}") from None
    until = time.monotonic() + _ORPHANS_SECONDS
    while True:
        try:
            listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
        except OSError as error:
            if error.errno == errno.EACCES:
                raise HostUnknown(f"{show_host(host)}:{port} needs rights that this user lacks") from None
            if error.errno != errno.EADDRINUSE:
                raise HostUnknown(f"cannot listen on {show_host(host)}:{port}: {error.strerror}") from None
            holders = holders_of(port)
            if not holders or any(_CHILD_MARK not in line for _, _, line in holders) or time.monotonic() > until:
                raise PortTaken(host, port, _name(holders), _free_near(host, port)) from None
            time.sleep(0.02)
        else:
            listener.setblocking(False)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is accepted from it inherits this
            return listener


def holders_of(port: int) -> list[tuple[int, str, str]]:
    """(process, name, command line) of everybody who listens on `port`, as far as /proc lets us see."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    found = []
    for entry in os.scandir("/proc") if sockets else ():
        if not entry.name.isdigit():
            continue
        try:
            if any(os.readlink(fd.path) in sockets for fd in os.scandir(f"/proc/{entry.name}/fd")):
                name = Path(f"/proc/{entry.name}/comm").read_text().strip()
                line = Path(f"/proc/{entry.name}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found.append((int(entry.name), name, line))
        except OSError:
            continue  # gone meanwhile, or somebody else's
    return sorted(found)


def show_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def url_host(host: str) -> str:
    """What a client on this machine writes: a wildcard address is no address to call."""
    return show_host({"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host))


def _listening_inodes(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(fields[9])
    return inodes


def _name(holders: list[tuple[int, str, str]]) -> str:
    if not holders:
        return ""
    process, name, line = holders[0]
    return f"{'entrepot' if _OURS.search(line) else name}, process {process}"


def _free_near(host: str, port: int) -> int:
    """A port to suggest: 10 further, or the next that is free."""
    for candidate in range(port + 10, min(port + 200, 65536), 10):
        if not _listening_inodes(candidate):
            return candidate
    return 0
