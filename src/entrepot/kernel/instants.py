"""Instants: integers of microseconds since 1970-01-01T00:00:00Z. Never local time, never a float."""

from datetime import UTC, datetime, timedelta

Instant = int

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def from_datetime(moment: datetime) -> Instant:
    """Microseconds of an aware datetime; a naive one is refused."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone; instants are UTC")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def to_datetime(at: Instant) -> datetime:
    return _EPOCH + timedelta(microseconds=at)


def parse(text: str) -> Instant:
    """`2026-11-22`, `2026-11-22T10:00:00Z` or with an offset; a date alone is its midnight UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def show(at: Instant) -> str:
    """`2026-11-22T10:00:00.123456Z`, without a fraction where there is none."""
    return to_datetime(at).isoformat().replace("+00:00", "Z")


def clock(at: Instant, *, digits: int = 0) -> str:
    """Time of day, UTC: `12:07:31` or with digits=3 `12:07:31.007`."""
    moment = to_datetime(at)
    text = moment.strftime("%H:%M:%S")
    return f"{text}.{moment.microsecond:06d}"[: len(text) + 1 + digits] if digits else text


def hour_of(at: Instant) -> Instant:
    """Start of the UTC hour that holds `at`."""
    return at - at % HOUR


def day_of(at: Instant) -> Instant:
    """Start of the UTC day that holds `at`."""
    return at - at % DAY
