"""A house in a small file system that is filled up and freed again: `full_house.py FOLDER LEDGER`.

FOLDER is the small file system, TMPDIR too, LEDGER the vendor's file elsewhere. Prints in JSON how it went.
"""

import asyncio
import contextlib
import http.client
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from entrepot.prove.client import Client, Outcome, chat_body
from entrepot.prove.house import House
from entrepot.prove.processes import start_vendor
from trial_house import Trial

_TESTS = Path(__file__).parent
_STREAMS = 5


def fill(path: Path) -> None:
    """To the last byte."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    for size in (65536, 4096, 1):
        with contextlib.suppress(OSError):
            while True:
                os.write(fd, bytes(size))
    os.close(fd)


def retry_after(house: House) -> str:
    """Of a refusal, as the SDKs read it."""
    line = http.client.HTTPConnection("127.0.0.1", house.port, timeout=10)
    headers = {"Authorization": f"Bearer {house.key}", "Content-Type": "application/json"}
    line.request("POST", "/v1/chat/completions", chat_body(house.model), headers)
    answer = line.getresponse()
    answer.read()
    line.close()
    return answer.getheader("retry-after", "")


async def starve(trial: Trial, filler: Path) -> dict[str, object]:
    house = trial.house
    open_calls = [Client(house.port, house.key, timeout=60) for _ in range(_STREAMS)]
    body = chat_body(house.model, stream=True, events=60, delay_ms=100, prompt=7, completion=9)
    tasks = [asyncio.create_task(client.chat(body)) for client in open_calls]
    await asyncio.sleep(1)
    fill(filler)
    seen: Counter[str] = Counter()
    refused: Outcome | None = None
    caller = Client(house.port, house.key)
    until = time.monotonic() + 40
    while time.monotonic() < until and (refused is None or not all(task.done() for task in tasks)):
        outcome = await caller.chat(chat_body(house.model))
        seen[f"{outcome.how} {outcome.status}"] += 1
        if outcome.status == 503:
            refused = outcome
            await asyncio.sleep(0.05)
    finished = [await task for task in tasks]
    keeper = (await asyncio.to_thread(trial.admin, "GET", "status"))["keeper"]
    dry = 0
    for _ in range(200):  # without a call open there is room for a few more
        dry = dry + 1 if (await caller.chat(chat_body(house.model))).status == 503 else 0
        if dry == 5:
            break
    wait = await asyncio.to_thread(retry_after, house)
    filler.unlink()
    freed = time.monotonic()
    while (await caller.chat(chat_body(house.model))).how != "answered" and time.monotonic() < freed + 30:
        await asyncio.sleep(0.05)
    resumed = time.monotonic() - freed
    caller.close()
    return {
        "seen": dict(seen), "refused": refused.body.decode() if refused else "", "dry": dry, "retry_after": wait,
        "finished": [f"{o.how} {o.body.endswith(b'data: [DONE]' + bytes((10, 10)))}" for o in finished],
        "resumed": resumed, "failing": keeper["failing"], "ingested": sum(keeper["states"].values()),
    }  # fmt: skip


def ingested(trial: Trial) -> int:
    """Usage records that the database has."""
    return sum(trial.admin("GET", "status")["keeper"]["states"].values())


def main() -> None:
    folder, ledger = Path(sys.argv[1]), Path(sys.argv[2])
    vendor = start_vendor(ledger)
    launch = [sys.executable, str(_TESTS / "kill_points.py")]  # small segments
    house = House(vendor.port, workers=1, launch=launch, environment={"PYTHONPATH": str(_TESTS)})
    trial = Trial(house, ledger)
    try:
        house.start()
        house.first_answer()
        trial.admin("GET", "status")
        went = asyncio.run(starve(trial, folder / "filler"))
        behind = time.monotonic()
        trial.wait(lambda: ingested(trial) == trial.compared().records, "the keeper stays behind")
        behind = time.monotonic() - behind
        compared = trial.agree()
        trial.let_go()
        print(json.dumps({**went, "records": compared.records, "equal": compared.equal, "behind": behind}))
    finally:
        house.end()
        vendor.end()


if __name__ == "__main__":
    main()
