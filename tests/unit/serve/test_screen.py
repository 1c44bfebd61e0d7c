"""The ready screen and the lines below it, word for word."""

import io

import msgspec
import pytest

from entrepot.kernel.text import is_plain
from entrepot.serve.screen import Paint, Screen, Terminal, call_line, last_run, ready_screen, second_line

KEY = "ep_live_Ky9Pf34qY6Nb3wWD25RQ4F5ZR3qa7yEeeby3abP3E21F0XHE"
FIRST = Screen(
    version="0.1.0",
    seconds=1.42,
    azure_endpoint="http://127.0.0.1:8080",
    base_url="http://127.0.0.1:8080/v1",
    key=KEY,
    customer="demo",
    balance="5.00 USD prepaid",
    model="smollm2-135m-instruct",
    model_note="built in, works offline; 0.10 in / 0.40 out USD per million tokens",
    model_missing=False,
    python=".venv/bin/python",
    program=".venv/bin/entrepot",
    data="data",
    data_option="",
    before=(),
    example="examples/openai.toml",
)
FIRST_TEXT = """
  entrepot 0.1.0 is ready (1.4 s). Ctrl-C stops it; nothing is lost.

  OpenAI clients    http://127.0.0.1:8080/v1
  Azure clients     http://127.0.0.1:8080            azure_endpoint; deployment = model name
  Key               ep_live_Ky9Pf34qY6Nb3wWD25RQ4F5ZR3qa7yEeeby3abP3E21F0XHE
                    customer demo, 5.00 USD prepaid
  Model             smollm2-135m-instruct            built in, works offline; 0.10 in / 0.40 out USD per million tokens

  Paste into another terminal:

curl http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' \\
  -H 'Authorization: Bearer ep_live_Ky9Pf34qY6Nb3wWD25RQ4F5ZR3qa7yEeeby3abP3E21F0XHE' \\
  -d '{"model":"smollm2-135m-instruct","messages":[{"role":"user","content":"Name three ports."}]}'

  or in Python (.venv/bin/python has the openai package):

from openai import OpenAI
client = OpenAI(base_url="http://127.0.0.1:8080/v1", api_key="ep_live_Ky9Pf34qY6Nb3wWD25RQ4F5ZR3qa7yEeeby3abP3E21F0XHE")
print(client.chat.completions.create(model="smollm2-135m-instruct",
      messages=[{"role": "user", "content": "Name three ports."}]).choices[0].message.content)

  What did it cost?     .venv/bin/entrepot usage
  Sell a real model     export OPENAI_API_KEY=… && .venv/bin/entrepot apply examples/openai.toml
  Start afresh          stop, then delete data/
"""


def test_the_first_screen_is_the_one_in_the_docs() -> None:
    assert ready_screen(FIRST, Paint(False)) == FIRST_TEXT


def test_colour_adds_nothing_but_colour() -> None:
    plain, coloured = ready_screen(FIRST, Paint(False)), ready_screen(FIRST, Paint(True))
    assert f"\x1b[1m{KEY}\x1b[0m" in coloured
    for code in ("1", "2", "32", "33"):
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured.replace("\x1b[0m", "") == plain


def test_a_model_that_cannot_answer_is_named_and_not_offered_to_paste() -> None:
    missing = msgspec.structs.replace(FIRST, model_note="built-in model not installed", model_missing=True)
    text = ready_screen(missing, Paint(False))
    assert "smollm2-135m-instruct            built-in model not installed\n" in text
    assert "curl" not in text


def test_another_folder_is_named_in_the_commands_that_need_it() -> None:
    text = ready_screen(msgspec.structs.replace(FIRST, data="shop", data_option=" --data shop"), Paint(False))
    assert "  What did it cost?     .venv/bin/entrepot usage --data shop\n" in text
    assert text.endswith("  Start afresh          stop, then delete shop/\n")


@pytest.mark.parametrize(
    ("keeper", "cut", "lines"),
    [
        ({"first_start": True}, 0, ()),
        (
            {"records": 28188, "last_at": 45067_000_000},
            0,
            ("data/ has 28,188 usage records, the last of 12:31:07; journal whole",),
        ),
        (
            {"records": 1, "last_at": 0},
            2,
            (
                "data/ has 1 usage record; journal whole",
                "data/: 2 calls were under way when the last run was killed; both are recorded as estimated "
                "(entrepot usage --state estimated)",
            ),
        ),
        ({"records": 3, "whole": False}, 0, ("data/ has 3 usage records; journal damaged",)),
    ],
)
def test_a_later_start_says_what_it_found(keeper: dict[str, object], cut: int, lines: tuple[str, ...]) -> None:
    assert last_run("data", keeper, cut) == ((*lines, "") if lines else ())


def test_a_call_ends_with_its_charge_and_its_id() -> None:
    call = {
        "at": 43471_000_000, "status": 200, "customer": "demo", "model": "smollm2-135m-instruct", "input": 41,
        "output": 23, "charge": "0.0000133 USD", "ms": 612, "request": "req_01M7YZWT4R8JT97KB6CQ643DZV",
    }  # fmt: skip
    assert call_line(call) == (
        "12:04:31  200  demo  smollm2-135m-instruct   41 in  23 out   0.0000133 USD   612 ms   "
        "req_01M7YZWT4R8JT97KB6CQ643DZV"
    )


def test_a_refusal_says_its_reason() -> None:
    call = {
        "at": 43498_000_000, "status": 429, "customer": "demo", "model": "smollm2-135m-instruct", "refused": "budget",
        "charge": "0 USD", "ms": 1, "request": "req_01M7YZXKD2M0S5V9QF1N7H3BWC",
    }  # fmt: skip
    assert call_line(call) == (
        "12:04:58  429  demo  smollm2-135m-instruct   refused: budget  0 USD             1 ms   "
        "req_01M7YZXKD2M0S5V9QF1N7H3BWC"
    )


def test_a_model_name_moves_no_cursor_and_forges_no_line() -> None:
    name = "x\x1b[2J\x1b]0;owned\x07\r\n12:04:59  200  demo  gpt\u202e" + "y" * 100_000
    call = {"at": 0, "status": 404, "customer": "demo", "model": name, "refused": "model_not_found", "ms": 0,
            "request": "req_01M7YZXKD2M0S5V9QF1N7H3BWC"}  # fmt: skip
    line = call_line(call)
    assert is_plain(line)
    assert len(line) < 300
    assert line.endswith("req_01M7YZXKD2M0S5V9QF1N7H3BWC")


def test_a_terminal_without_our_letters_does_not_end_the_screen() -> None:
    raw = io.BytesIO()
    terminal = Terminal(io.TextIOWrapper(raw, encoding="ascii"))
    terminal.say("a …")
    terminal.say("b")
    terminal.close()
    assert raw.getvalue() == b"a \\u2026\nb\n"


def test_many_calls_fold_into_one_line_a_second() -> None:
    second = {"at": 43502_000_000, "calls": 1204, "tokens": 3_100_000, "charge": "9.84 USD", "p50_ms": 1.1}
    assert second_line(second) == "12:05:02   1,204/s   0 refused   3.1 M tokens   9.84 USD   p50 1.1 ms added"
