"""Which module plays which role: the only place that picks an implementation.

A role's module has `run(data, [listener,] alive_fd, beat, ready, settings)`; it is imported in its own process only.
"""

from typing import Literal

import msgspec

Port = Literal["", "api", "admin"]


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of child process."""

    name: str
    module: str
    port: Port = ""  # the listening socket it inherits
    alone: bool = False  # two of them must never run on one DATA, even while an old one drains
    many: bool = False  # as many of it as the setting `workers` says
    first: bool = False  # on a fresh DATA it is ready before the others start
    needed: bool = True  # without it there is nothing to serve
    nice: int = 0  # calls go before what can wait: a start of everything at once is a start of the gateway first
    stops: int = 1  # order of stopping, lowest first: who takes calls stops before who serves it


ROLES: tuple[Role, ...] = (
    Role(name="keeper", module="entrepot.keeper.app", alone=True, first=True, nice=5, stops=2),
    Role(name="gateway", module="entrepot.gateway.worker", port="api", many=True),
    Role(name="control", module="entrepot.control.app", port="admin", nice=10),
    Role(name="local", module="entrepot.upstream.local", needed=False, nice=5, stops=2),
)
