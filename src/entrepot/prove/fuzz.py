"""Fuzzes the wire room: `python -m entrepot.prove.fuzz --target all --minutes 10`.

Mutates a built-in corpus, grammar pieces and bytes; what a target accepts joins the pool. Each execution
asks of `fuzz_targets`: whole = byte by byte = random splits, trailing bytes untouched, only the named errors, the same
meaning as an independent reader, at most a second, bounded memory. Exit 1 on a finding.
"""

import argparse
import random
import resource
import sys
import time
from typing import Final

import msgspec

from entrepot.prove.fuzz_targets import TARGETS, Target

MAX_INPUT_BYTES: Final = 8 * 1024
MAX_POOL: Final = 1500
MAX_SECONDS: Final = 1.0  # CPU time of one execution
MAX_GROWTH_KIB: Final = 256 * 1024  # of the process: pools and memories of parsed lines are far below it
_INTERESTING: Final = (
    b"\x00", b"\n", b"\r", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b",", b";", b'"', b"\\", b"\\u0061", b"\\ud800",
    b"{",
    b"}", b"[", b"]", b"0", b"-1", b"1e9", b"true", b"null", b"NaN", b"9223372036854775808", b"\xff", b"\xc3\xa9",
    b"\x7f",
    b"\xe2\x84\xaa", b"\x0b", b"\x0c", b"\x85", b"%", b"#", b"?", b"=",
)  # fmt: skip


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One target's run."""

    target: str
    executions: int
    accepted: int
    finding: str
    data: bytes


def mutate(chance: random.Random, data: bytes, pool: list[bytes], pieces: tuple[bytes, ...]) -> bytes:
    """`data` after one to five changes."""
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5))):
        size = len(data)
        at = chance.randrange(size + 1)
        until = min(size, at + chance.choice((1, 1, 2, 4, 8, 32)))
        kind = chance.randrange(10)
        if kind == 0 and size:
            data = data[: at - 1] + bytes((chance.randrange(256),)) + data[at:]
        elif kind == 1:
            data = data[:at] + data[until:]
        elif kind == 2:
            data = data[:until] + data[at:]
        elif kind <= 4:
            data = data[:at] + chance.choice(_INTERESTING) + data[at:]
        elif kind <= 7:
            data = data[:at] + chance.choice(pieces) + data[chance.choice((at, at, until)) :]
        elif kind == 8:
            other = chance.choice(pool)
            data = data[:at] + other[chance.randrange(len(other) + 1) :]
        else:
            lines = data.split(b"\n")
            one, two = chance.randrange(len(lines)), chance.randrange(len(lines))
            lines[one], lines[two] = lines[two], lines[chance.choice((one, two))]
            data = b"\n".join(lines)
    return data[:MAX_INPUT_BYTES]


def run(name: str, seed: int, *, seconds: float = 0.0, executions: int = 0) -> Outcome:
    """Runs one target until the time or the number of executions is over, or something is found."""
    target: Target = TARGETS[name]
    chance = random.Random(f"{seed} {name}")
    pool = list(target.corpus)
    until = time.monotonic() + seconds
    done = accepted = 0
    growth_from = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    while done < executions or (not executions and time.monotonic() < until):
        if done < len(target.corpus):
            data = pool[done]
        else:
            data = mutate(chance, chance.choice(pool), pool, target.pieces)
        done += 1
        start = time.process_time()
        try:
            welcome = target.check(data, chance)
        except Exception as error:  # noqa: BLE001 - any error that a check did not expect is the finding
            return _found(name, done, accepted, f"{type(error).__name__}: {error}", data)
        spent = time.process_time() - start
        if spent > MAX_SECONDS:
            return _found(name, done, accepted, f"took {spent:.1f} s", data)
        if welcome:
            accepted += 1
            if len(pool) < MAX_POOL:
                pool.append(data)
            else:
                pool[chance.randrange(len(target.corpus), MAX_POOL)] = data
        if done % 5000 == 0 and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - growth_from > MAX_GROWTH_KIB:
            return _found(name, done, accepted, f"memory grew by more than {MAX_GROWTH_KIB} KiB", data)
    return Outcome(target=name, executions=done, accepted=accepted, finding="", data=b"")


def _found(name: str, executions: int, accepted: int, finding: str, data: bytes) -> Outcome:
    return Outcome(target=name, executions=executions, accepted=accepted, finding=finding, data=data)


def main(arguments: list[str] | None = None) -> int:
    """Command line; 1 if something was found."""
    parser = argparse.ArgumentParser(prog="python -m entrepot.prove.fuzz", description="Fuzz what reads bytes.")
    parser.add_argument("--target", default="all", choices=[*TARGETS, "all"])
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--executions", type=int, default=0, help="a number instead of a time")
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else time.time_ns() % 1_000_000_007
    findings = 0
    for name in TARGETS if options.target == "all" else (options.target,):
        outcome = run(name, seed, seconds=options.minutes * 60, executions=options.executions)
        verdict = "nothing found"
        if outcome.finding:
            findings += 1
            verdict = f"FOUND {outcome.finding}\n  input {outcome.data!r}"
        print(
            f"{name}: {outcome.executions:,} executions, {outcome.accepted:,} accepted, seed {seed}: {verdict}",
            flush=True,
        )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
