"""`entrepot replay` and `entrepot prove trace`: recorded hours through a started server."""

import re
import time
from collections.abc import Iterator

import pytest

from entrepot.prove.house import House
from entrepot.prove.trace import run_trace
from served_house import served
from shared_data import SHARED
from terminal import Terminal

TRACES = SHARED / "data" / "traces"
HOURS = (("azure_llm_2023_conv.csv.gz", "azure-conv"), ("azure_llm_2023_code.csv.gz", "azure-code"))
SMALL = "t_s,input_tokens,cached_input_tokens,output_tokens,stream\n" + "".join(
    f"{i / 10},{100 + i},{i},{1 + i % 7},{i % 2}\n" for i in range(40)
)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with served(tmp_path_factory.mktemp("vendor")) as found:
        (found.root / "small.csv").write_text(SMALL)
        yield found


@pytest.mark.parametrize("workers", [1, 2])
def test_both_azure_hours_are_billed_to_the_token_and_the_last_digit(workers: int) -> None:
    traces = [(TRACES / name, customer) for name, customer in HOURS]
    for path, _ in traces:
        if not path.exists():
            pytest.skip(f"{path} is missing")
    report = run_trace(traces, workers=workers, speed="max", say=print)
    assert report.failures() == []
    by_customer = {hour.customer: hour.found for hour in report.hours}
    conv, code = by_customer["azure-conv"], by_customer["azure-code"]
    assert (conv["requests"], conv["input"], conv["output"]) == (19_366, 22_361_870, 4_088_665)
    assert (code["requests"], code["input"], code["output"]) == (8_819, 18_059_974, 245_896)
    assert (conv["charge"], code["charge"]) == ("96.791325", "47.608895")
    assert sum(hour.replay["streamed"] for hour in report.hours) == 28_185 // 2
    assert "all agree" in report.verify_text


def test_a_replay_keeps_the_times_the_sizes_and_what_was_streamed(house: House) -> None:
    began = time.monotonic()
    facts = house.ask("replay", "small.csv", "--speed", "2", "--yes")
    assert time.monotonic() - began > 1.9, "3.9 seconds at twice the speed"
    assert (facts["customer"], facts["answered"], facts["streamed"], facts["failed"]) == ("small", 40, 20, {})
    given, cached, written = sum(range(100, 140)), sum(range(40)), sum(1 + i % 7 for i in range(40))
    assert (facts["input"], facts["cached"], facts["output"]) == (given - cached, cached, written)
    charge = ((given - cached) * 2.5 + cached * 1.25 + written * 10) / 1e6
    assert facts["charge"] == f"{charge:.9f}".rstrip("0")
    assert facts["equal"]
    again = house.ask("replay", "small.csv", "--speed", "max", "--stream", "0.25", "--calls", "20", "--yes")
    assert (again["answered"], again["streamed"], again["equal"]) == (20, 5, True)


def test_a_model_of_ones_own_gets_prompts_of_the_recorded_size(house: House) -> None:
    facts = house.ask("replay", "small.csv", "--speed", "max", "--model", house.model, "--calls", "10", "--yes")
    assert (facts["customer"], facts["answered"], facts["equal"]) == ("demo", 10, False)
    # the vendor of the house knows no trace: it answers as always, at most the cap of a call
    assert facts["input"] == 100
    text = house.command("replay", "small.csv", "--model", house.model, "--dry-run").stdout
    assert "to demo at 0.10 / 0.05 / 0.40 USD per million" in text


def test_a_dry_run_says_what_would_be_done_and_does_nothing(house: House) -> None:
    before = house.ask("customer")
    text = house.command("replay", "small.csv", "--customer", "new-one", "--speed", "60", "--dry-run").stdout
    assert "trace    small.csv: sessions, 40 calls in 3.9 seconds\n" in text
    assert "charge   0.012525 USD to new-one at " in text
    assert "brings   customer new-one, model, upstream and book replay-new-one, and " in text
    assert house.ask("customer") == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("small.csv",), 2, "nobody is here to ask; nothing was sent"),
        (("small.csv", "--customer", "demo", "--yes"), 1, "there is a customer demo already, and it is no replay's"),
        (("small.csv", "--model", "lamp", "--yes"), 1, "demo cannot call 'lamp': book list has no price for it now"),
        (("small.csv", "--speed", "fast", "--yes"), 2, "--speed 'fast' is not a number"),
        (("absent.csv", "--yes"), 1, "absent.csv cannot be read: No such file"),
        (("catalog.toml", "--yes"), 1, "catalog.toml"),
    ],
)
def test_what_cannot_be_replayed_is_said(house: House, words: tuple[str, ...], code: int, said: str) -> None:
    done = house.command("replay", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("error: ")
    assert said in done.stderr


def test_on_a_terminal_it_asks_shows_a_bar_and_leaves_a_clean_line(house: House) -> None:
    terminal = Terminal(["replay", "small.csv", "--customer", "seen", "--data", str(house.folder.root)], house.root)
    try:
        terminal.read_until("[y/N]: ")
        terminal.type("y\n")
        assert terminal.end() == 0, terminal.shown
    finally:
        terminal.close()
    shown = terminal.shown
    assert "Send it? [y/N]: " in shown
    assert re.search(r"\rsmall\.csv  [█░]{24} +\d+%  \d+ of 40  \d+/s · \d+ open · 0 errors · \d+ s left\x1b\[K", shown)
    bars = [part for part in shown.split("\r") if "█" in part or "░" in part]
    assert max(len(part.partition("\x1b")[0]) for part in bars) < 100
    after = shown.rpartition("\r\x1b[K")[2]
    assert after.startswith("small.csv as seen, 1 × as recorded: "), repr(after[:200])
    assert "calls    40 of 40 answered, 20 streamed" in after
    assert "= the trace at its prices" in after
