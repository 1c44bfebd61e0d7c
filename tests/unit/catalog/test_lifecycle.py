"""Which version a deployment has, at each instant of a model's life."""

import pytest

from entrepot.catalog.lifecycle import NOTICE, Upgrade, Version, version_in_use
from entrepot.kernel.instants import DAY

OLD = Version(name="old", routes=(("u", "m-old"),), lifecycle="deprecated", retires_at=100 * DAY, replaced_by="next")
NEW = Version(name="new", routes=(("u", "m-new"),))
GONE = Version(name="gone", routes=(("u", "m-gone"),), lifecycle="retired")


@pytest.mark.parametrize(
    ("pinned", "upgrade", "day", "name", "serves"),
    [
        ("", "expired", 1, "new", True),
        ("old", "expired", 99, "old", True),
        ("old", "expired", 100, "new", True),
        ("old", "never", 99, "old", True),
        ("old", "never", 100, "old", False),
        ("gone", "expired", 1, "new", True),
        ("gone", "never", 1, "gone", False),
        ("unknown", "never", 1, "new", True),
    ],
)
def test_a_deployment_follows_or_stays_as_it_says(
    pinned: str, upgrade: Upgrade, day: int, name: str, serves: bool
) -> None:
    version, _ = version_in_use((OLD, NEW, GONE), "new", pinned, upgrade, day * DAY)
    assert (version.name, version.serves(day * DAY)) == (name, serves)


def test_where_the_default_is_retired_too_nothing_serves() -> None:
    version, since = version_in_use((OLD, GONE), "gone", "old", "expired", 100 * DAY)
    assert (version.name, version.serves(100 * DAY), since) == ("gone", False, 100 * DAY)


def test_what_retires_is_told_of_in_time() -> None:
    assert not OLD.ends_soon(OLD.retires_at - NOTICE - 1)
    assert OLD.ends_soon(OLD.retires_at - NOTICE)
    assert not OLD.ends_soon(OLD.retires_at)
    assert not NEW.ends_soon(0)
