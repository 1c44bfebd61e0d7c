"""Which version of a model is served, and until when? Preview, general availability, legacy, deprecated, retired.

As on Azure (azure-rules §1.10, `versionUpgradeOption`): a deployment follows the default version, or stays on one until
it retires and then follows the default, or is never moved and ends with its version. Pure: the instant is an argument.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from entrepot.kernel.instants import DAY, Instant

Lifecycle = Literal["preview", "ga", "legacy", "deprecated", "retired"]
Upgrade = Literal["default", "expired", "never"]
#: A version that retires within this time is told of: Azure gives 60 days' notice, and its successor 90 before.
NOTICE = 90 * DAY


class Version(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """One version of a model; `name` is "" where a model has no named versions.

    Routes are (upstream id, the vendor's name for it), in order of preference. `retires_at` 0: not known yet.
    """

    name: str
    routes: tuple[tuple[str, str], ...]
    lifecycle: Lifecycle = "ga"
    retires_at: Instant = 0
    replaced_by: str = ""  # a model that is sold in its place

    def serves(self, at: Instant) -> bool:
        return self.lifecycle != "retired" and (not self.retires_at or at < self.retires_at)

    def ends_soon(self, at: Instant) -> bool:
        """Whether its customers should be told now."""
        return self.serves(at) and 0 < self.retires_at <= at + NOTICE


def version_in_use(
    versions: Sequence[Version], default: str, pinned: str, upgrade: Upgrade, at: Instant
) -> tuple[Version, Instant]:
    """The version that a deployment has at `at`, and since when (0: always). Whether it still serves is its own word;
    `pinned` "" follows the default."""
    named = {each.name: each for each in versions}
    following = named[default]
    chosen = named.get(pinned, following) if pinned else following
    if upgrade == "expired" and chosen is not following and not chosen.serves(at):
        return following, chosen.retires_at
    return chosen, 0
