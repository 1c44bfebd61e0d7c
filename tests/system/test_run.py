"""`entrepot run` and `entrepot env` against a started server."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.prove.house import House
from served_house import served

BILL = re.compile(r"entrepot: (.*) · \d+\.\d s(?: {10}entrepot usage --run (\w{4}) --data \S+)?$", re.MULTILINE)
#: What a program does with the official SDK, in both dialects: nothing of it says where the server is.
PROGRAM = """
import json, openai, sys
ask = lambda **script: [{"role": "user", "content": json.dumps(script)}]
client = openai.OpenAI(max_retries=0)
client.chat.completions.create(model="fake-model", messages=ask(prompt=1000, cached=200, completion=30))
list(client.chat.completions.create(model="fake-model", messages=ask(prompt=50, completion=9), stream=True))
openai.AzureOpenAI(max_retries=0).chat.completions.create(model="fake-model", messages=ask(prompt=7, completion=3))
openai.chat.completions.create(model="fake-model", messages=ask(prompt=1, completion=1))
for _ in range(2):
    try:
        client.chat.completions.create(model="unheard-of", messages=ask(prompt=1))
    except openai.NotFoundError:
        pass
print("said", file=sys.stdout)
print("whispered", file=sys.stderr)
sys.exit(int(sys.stdin.read() or 0))
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with served(tmp_path_factory.mktemp("vendor")) as found:
        yield found


def _start(house: House, *words: str) -> "subprocess.Popen[str]":
    launch = "import sys; from entrepot.cli import main; sys.argv[0] = 'entrepot'; main()"
    return subprocess.Popen(
        [sys.executable, "-c", launch, "run", "--data", str(house.folder.root), *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=house.root,
    )  # fmt: skip


def _run(house: House, *words: str, given: str = "") -> tuple[int, str, str]:
    process = _start(house, *words)
    out, err = process.communicate(given, timeout=60)
    return process.returncode, out, err


def test_the_bill_of_a_program_is_exact_and_its_own(house: House) -> None:
    code, out, err = _run(house, "--", sys.executable, "-c", PROGRAM, given="7")
    assert (code, out) == (7, "said\n"), err
    assert err.startswith("whispered\n")
    found = BILL.search(err)
    assert found, err
    # 858 input × 0.10, 200 cached × 0.05, 43 output × 0.40 per million
    said = "6 calls · 1,058 in · 43 out · 0.000113 USD · 2 errors (refused: 2 model_not_found)"
    assert found[1] == said
    again = house.ask("usage", "--run", found[2])
    assert [(row["requests"], row["input"], row["cached"], row["output"], row["charge"]) for row in again["rows"]] == [
        (4, 858, 200, 43, "0.000113")
    ]
    assert again["rows"] != house.ask("usage")["rows"], "the house has more than this run"


def test_a_runs_key_is_of_no_use_afterwards(house: House) -> None:
    _, out, _ = _run(house, sys.executable, "-c", "import os; print(os.environ['OPENAI_API_KEY'])")
    status, body = house.post(b"{}", key=out.strip())
    assert status == 401, body
    (shown,) = [key for key in house.ask("key", "list")["keys"] if out[8:18] == key["id"]]
    assert (shown["state"], shown["name"][:4]) == ("revoked", "run-")
    assert out[8:18] not in house.command("key", "list").stdout
    assert out[8:18] in house.command("key", "list", "--all").stdout


def test_the_bill_is_written_to_a_file_for_programs(house: House, tmp_path: Path) -> None:
    code, _, err = _run(house, "--json", "--bill", str(tmp_path / "bill.json"), "true")
    bill = json.loads((tmp_path / "bill.json").read_text())
    assert (code, bill["calls"], bill["charge"], bill["settled"]) == (0, 0, "0", True)
    assert json.loads(err) == bill


def test_a_bill_that_cannot_be_written_takes_nothing_from_the_program(house: House, tmp_path: Path) -> None:
    code, _, err = _run(house, "--bill", str(tmp_path), sys.executable, "-c", "import sys; sys.exit(7)")
    assert code == 7
    assert BILL.search(err), err
    assert f"the bill cannot be written to {tmp_path}: Is a directory" in err


def test_with_a_key_of_your_own_the_bill_is_what_it_used_meanwhile(house: House) -> None:
    code, _, err = _run(house, "--key", house.key, sys.executable, "-c", PROGRAM)
    assert code == 0
    assert "6 calls · 1,058 in · 43 out · 0.000113 USD · 2 errors" in err
    assert "usage --run" not in err
    assert house.first_answer() > 0, "and it still works"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_reaches_the_program_and_the_bill_still_comes(house: House, number: signal.Signals) -> None:
    program = (
        "import signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(42))\n"
        "print('ready', flush=True)\n"
        "for _ in range(600):\n    time.sleep(0.1)  # a signal that comes just before a sleep is seen after it\n"
    )
    process = _start(house, sys.executable, "-c", program)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    began = time.monotonic()
    os.kill(process.pid, number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 42
    assert time.monotonic() - began < 20
    assert BILL.search(err), err


def test_a_program_that_a_signal_ended_says_so_as_in_a_shell(house: House) -> None:
    assert _run(house, "sh", "-c", "kill -KILL $$")[0] == 128 + 9


def test_what_cannot_be_run_makes_no_key(house: House) -> None:
    before = len(house.ask("key")["keys"])
    code, _, err = _run(house, "no-such-program")
    assert (code, err) == (127, "entrepot: there is no program no-such-program\n")
    assert len(house.ask("key")["keys"]) == before


def test_without_a_server_nothing_is_run(house: House, tmp_path: Path) -> None:
    done = house.command("run", "--base-url", "http://127.0.0.1:9/v1", "--", "touch", str(tmp_path / "ran"))
    assert done.returncode == 3
    assert done.stderr.startswith("error: no server answers at http://127.0.0.1:9/v1")
    assert not (tmp_path / "ran").exists()


def test_an_unknown_run_is_said_to_be_unknown(house: House) -> None:
    done = house.command("usage", "--run", "nope")
    assert (done.returncode, "there is no run 'nope'" in done.stderr) == (1, True)


def test_a_shell_that_reads_env_calls_this_server(house: House) -> None:
    lines = house.command("env", "--shell", "sh").stdout
    script = f"{lines}\nexec {sys.executable} -c \"$PROGRAM\""
    environment = {**os.environ, "PROGRAM": PROGRAM}
    done = subprocess.run(
        ["sh", "-c", script], env=environment, input="", text=True, check=False, capture_output=True, timeout=60
    )
    assert done.stdout == "said\n", done.stderr
    assert house.ask("env")["OPENAI_BASE_URL"] == f"http://127.0.0.1:{house.port}/v1"
