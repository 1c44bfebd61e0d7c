"""Two ledgers, written by two parties: does every call of the vendor's have exactly one record of ours, and are they
equal to the token where we say that we know? Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from entrepot.kernel.buckets import INPUT_SIDE, OUTPUT_SIDE, Quantities
from entrepot.metering.record import Ending
from entrepot.prove.books import Accepted


class Ours(msgspec.Struct, frozen=True, kw_only=True):
    """What our journal holds: endings by attempt id, and intents that have none."""

    endings: Mapping[str, list[Ending]]
    unended: frozenset[str]


class Comparison(msgspec.Struct, kw_only=True):
    """What was found; `differences` empty means that the two ledgers agree."""

    rows: int = 0
    records: int = 0
    equal: int = 0  # to the token
    marked: int = 0  # with a call at the vendor, and a state that says that our figures are not the vendor's
    unsent: int = 0  # an intent on disk whose call the vendor never accepted
    states: Counter[str] = msgspec.field(default_factory=Counter)
    charge: int = 0
    hold: int = 0
    differences: list[str] = msgspec.field(default_factory=list)


def tokens(quantities: Quantities) -> tuple[int, int]:
    """(prompt, completion) as a vendor counts them: the sums of our disjoint buckets."""
    return sum(quantities[i] for i in INPUT_SIDE), sum(quantities[i] for i in OUTPUT_SIDE)


def compare(rows: Iterable[Accepted], ours: Ours) -> Comparison:
    """Compare whole ledgers."""
    found = Comparison()
    theirs: dict[str, list[Accepted]] = {}
    for row in rows:
        found.rows += 1
        theirs.setdefault(row.attempt, []).append(row)
    for attempt, calls in theirs.items():
        records = ours.endings.get(attempt, [])
        if len(calls) > 1:
            found.differences.append(f"attempt {attempt!r}: the vendor was called {len(calls)} times")
        if len(records) != 1:
            found.differences.append(f"attempt {attempt!r}: {len(records)} records for call {calls[0].n}")
            continue
        _one(found, attempt, calls[0], records[0])
    for attempt, records in ours.endings.items():
        for record in records:
            _count(found, attempt, record)
        if attempt not in theirs:
            if len(records) != 1:
                found.differences.append(f"attempt {attempt}: {len(records)} records and no call")
            _without_call(found, attempt, records[0])
    found.differences += [f"attempt {attempt}: an intent without an ending" for attempt in sorted(ours.unended)]
    return found


def _one(found: Comparison, attempt: str, call: Accepted, record: Ending) -> None:
    exact = record.state == "final" or (record.state == "aborted" and record.source in ("vendor", "drained"))
    if exact:
        if tokens(record.quantities) == (call.prompt, call.completion):
            found.equal += 1
        else:
            found.differences.append(
                f"attempt {attempt}: {record.state}/{record.source} says {tokens(record.quantities)} tokens, "
                f"the vendor ({call.prompt}, {call.completion}), call {call.n} {call.fault}"
            )
    elif record.state == "void":
        if call.billed:
            found.differences.append(f"attempt {attempt}: void, but the vendor bills call {call.n} {call.fault}")
        else:
            found.equal += 1
    else:
        found.marked += 1


def _without_call(found: Comparison, attempt: str, record: Ending) -> None:
    if record.state == "void":
        return
    if record.state == "estimated" and record.charge == 0:
        found.unsent += 1
        return
    found.differences.append(
        f"attempt {attempt}: {record.state}/{record.source}, charge {record.charge}, and no call at the vendor"
    )


def _count(found: Comparison, attempt: str, record: Ending) -> None:
    found.records += 1
    found.states[f"{record.state}/{record.source}" if record.state == "aborted" else record.state] += 1
    found.charge += record.charge
    found.hold += record.hold
    if not 0 <= record.charge <= record.hold:
        found.differences.append(f"attempt {attempt}: charge {record.charge} is outside 0..{record.hold}, its hold")
