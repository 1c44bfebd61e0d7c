"""Windows: how much of a limit is used in the time that counts, and when it is free again."""

from typing import Final

SUB_BUCKETS: Final = 61
NEVER: Final = 1 << 62
#: (in how many µs, how much) of what a window holds is free again.
Schedule = tuple[tuple[int, int], ...]


def width_of(window_s: int) -> int:
    """Length of a sub-bucket in µs: a sixtieth of the window, so that 61 of them are never shorter than the window."""
    return -(-window_s * 1_000_000 // (SUB_BUCKETS - 1))


class Meter:
    """One number of one limit as one worker may use it: its share, and what its window holds of it.

    What is taken at an instant is free again 61 sub-buckets later, never earlier than a whole window: 60/61 = 98.4 % of
    the limit can be used, and no window, wherever it begins, holds more than the share. A width of 0 is a number of
    calls at once: nothing runs off, an ending gives back. Mutable on purpose: it lives on the request path of one
    worker. Instants are µs of a clock that never steps.

    The share is given - returned, two totals that only grow during one `life` of the meter; only what the window does
    not hold is ever returned, so used ≤ share but for corrections upwards.
    """

    __slots__ = (
        "_amounts",
        "_keep",
        "given",
        "index",
        "life",
        "most",
        "name",
        "returned",
        "room",
        "turn_at",
        "used",
        "width",
    )  # fmt: skip

    def __init__(self, name: str, most: int, width: int, life: int = 0) -> None:
        self.name = name
        self.most = most
        self.width = width
        self.life = life
        self.used = 0
        self.given = 0
        self.returned = 0
        self.room = 0  # what `used` may come to now
        self.turn_at = 0 if width else NEVER
        self.index = 0
        self._keep = NEVER
        self._amounts = [0] * SUB_BUCKETS

    @property
    def share(self) -> int:
        return self.given - self.returned

    def turn(self, now: int) -> None:
        """Let run off what a whole window has passed over. To be called once `now` ≥ `turn_at`."""
        if not self.width:
            return
        index = now // self.width
        if index <= self.index:
            return
        amounts = self._amounts
        if index - self.index >= SUB_BUCKETS or not self.used:
            if self.used:
                self._amounts = [0] * SUB_BUCKETS
                self.used = 0
        else:
            for passed in range(self.index + 1, index + 1):
                at = passed % SUB_BUCKETS
                if amounts[at]:
                    self.used -= amounts[at]
                    amounts[at] = 0
        self.index = index
        self.turn_at = (index + 1) * self.width

    def add(self, amount: int) -> None:
        """Take `amount` in the sub-bucket of the last `turn`."""
        self._amounts[self.index % SUB_BUCKETS] += amount
        self.used += amount

    def correct(self, index: int, difference: int) -> None:
        """What was taken in sub-bucket `index` turned out to be more or less; one that has run off changes nothing."""
        if index > self.index - SUB_BUCKETS:
            self._amounts[index % SUB_BUCKETS] += difference
            self.used += difference

    # the share

    def fit(self, most: int | None = None) -> None:
        """`room` anew, after the limit or the share has changed."""
        if most is not None:
            self.most = most
        self.room = min(self.share, self.most, self._keep)

    def grant(self, life: int, given: int) -> bool:
        """The keeper's total; one of an earlier life, or an older one, changes nothing. True if there is more."""
        if life != self.life or given <= self.given:
            return False
        self.given = given
        self.fit()
        return True

    def cede(self, keep: int = -1) -> int:
        """Give up what the window does not hold; the total ever returned. `keep` ≥ 0: until the share has come down to
        it, nothing above it is used either, and each call gives up what has run off since."""
        if keep >= 0:
            self._keep = keep
        least = self.used if keep < 0 else max(self.used, keep)
        self.returned += max(0, self.share - max(0, least))
        if self.share <= self._keep:
            self._keep = NEVER
        self.fit()
        return self.returned

    @property
    def lowering(self) -> int:
        """What the share has to come down to; -1: nothing."""
        return -1 if self._keep == NEVER else self._keep

    def schedule(self, now: int) -> Schedule:
        """When what the window holds runs off, the oldest first. `turn` comes before."""
        if not self.used or not self.width:
            return ((NEVER, self.used),) if self.used > 0 else ()
        found = []
        for index in range(self.index - SUB_BUCKETS + 1, self.index + 1):
            amount = self._amounts[index % SUB_BUCKETS]
            if amount:
                found.append(((index + SUB_BUCKETS) * self.width - now, amount))
        return tuple(found)

    def empty_in(self, now: int) -> int:
        """µs until nothing is used any more, if nothing else comes."""
        if not self.width or self.used <= 0:
            return 0
        for back in range(SUB_BUCKETS):
            index = self.index - back
            if self._amounts[index % SUB_BUCKETS]:
                return max(0, (index + SUB_BUCKETS) * self.width - now)
        return 0


def free_in(amount: int, most: int, schedules: tuple[Schedule, ...]) -> int:
    """µs until `amount` fits below `most`, if nothing else comes; NEVER if what runs off is not enough."""
    entries = sorted(entry for schedule in schedules for entry in schedule)
    used = sum(taken for _, taken in entries)
    if used + amount <= most:
        return 0
    for wait, taken in entries:
        used -= taken
        if used + amount <= most:
            return wait
    return NEVER
