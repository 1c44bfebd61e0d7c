"""The screens of `entrepot usage`, from fixed facts."""

from typing import Any

from entrepot.cli.usage import usage_text


def _row(**given: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("cached", "reasoning", "cache_write", "audio_input", "audio_output", "image_input"), 0)
    return {**nothing, "currency": "USD", **given}


def _facts(rows: list[dict[str, Any]], **given: Any) -> dict[str, Any]:
    states = {"final": sum(row["requests"] for row in rows), "aborted": 0, "estimated": 0, "void": 0}
    base = {"today": True, "fresh": True, "from": "2026-11-21T00:00:00Z", "until": None, "up_to": None}
    return {**base, "rows": rows, "states": states, "unrated": 0, **given}


FIRST = """\
today (UTC), up to 0.6 s ago

customer  model                   requests  input  cached  output  reasoning   charge USD
demo      smollm2-135m-instruct          1     41       0      23          0    0.0000133

1 final · 0 aborted · 0 estimated · 0 unrated"""

REPLAYED = """\
today (UTC), up to 0.8 s ago

customer    requests       input  cached     output  reasoning       charge USD     share
azure-conv    19,366  22,361,870       0  4,088,665          0       96.791325     67.0 %
azure-code     8,819  18,059,974       0    245,896          0       47.608895     33.0 %
demo               3         118       0         71          0        0.0000402     0.0 %
              28,188  40,421,962       0  4,334,632          0      144.4002602

28,188 final · 0 aborted · 0 estimated · 0 unrated            --sql shows the query, --json the same as data"""


def test_after_the_first_call() -> None:
    row = _row(customer="demo", model="smollm2-135m-instruct", requests=1, input=41, output=23, charge="0.0000133")
    assert usage_text(_facts([row], by=["customer", "model"], age_s=0.6)) == FIRST


def test_after_the_replay_of_both_azure_hours() -> None:
    rows = [
        _row(customer="azure-conv", requests=19366, input=22361870, output=4088665, charge="96.791325"),
        _row(customer="azure-code", requests=8819, input=18059974, output=245896, charge="47.608895"),
        _row(customer="demo", requests=3, input=118, output=71, charge="0.0000402"),
    ]
    assert usage_text(_facts(rows, by=["customer"], age_s=0.8)) == REPLAYED


def test_no_calls_yet() -> None:
    assert "no calls" in usage_text(_facts([], by=["customer", "model"], age_s=0.1))


def test_two_currencies_are_never_added() -> None:
    rows = [
        _row(customer="a", requests=1, input=1, output=1, charge="1.5", currency="EUR"),
        _row(customer="b", requests=1, input=1, output=1, charge="10", currency="USD"),
    ]
    text = usage_text(_facts(rows, by=["customer"], age_s=0.1))
    assert "11.5" not in text
    assert "1.5  EUR" in text
    assert "share" not in text


def test_stale_figures_say_so() -> None:
    text = usage_text(_facts([], by=["customer"], fresh=False, up_to="2026-11-21T12:31:07.5Z", age_s=9.0))
    assert text.startswith("today (UTC), up to 2026-11-21 12:31:07; the keeper did not answer in time")


def test_a_bucket_beyond_the_usual_four_appears_when_it_was_used() -> None:
    text = usage_text(_facts([_row(customer="a", requests=1, input=1, output=1, cache_write=7, charge="1")],
                             by=["customer"], age_s=0.1))  # fmt: skip
    assert "cache write" in text
