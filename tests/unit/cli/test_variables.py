"""Which variables point a program here, and how shells are told."""

import subprocess

import pytest

from entrepot.cli.env import _WRITERS, target_of
from entrepot.cli.variables import Target, applied, variables

HERE = Target(base_url="http://127.0.0.1:8080/v1", azure_endpoint="http://127.0.0.1:8080", key="ep_live_x")


def test_both_kinds_of_client_are_pointed_here() -> None:
    found = variables(HERE, {})
    assert found["OPENAI_BASE_URL"] == "http://127.0.0.1:8080/v1"
    assert found["AZURE_OPENAI_ENDPOINT"] == "http://127.0.0.1:8080"
    assert found["OPENAI_API_KEY"] == found["AZURE_OPENAI_API_KEY"] == "ep_live_x"
    assert found["OPENAI_API_TYPE"] == "openai"


def test_a_choice_of_dialect_stays() -> None:
    assert "OPENAI_API_TYPE" not in variables(HERE, {"OPENAI_API_TYPE": "azure"})


def test_a_token_of_another_service_is_not_sent_here() -> None:
    before = {"AZURE_OPENAI_AD_TOKEN": "secret", "HOME": "h"}
    after = applied(variables(HERE, before), before)
    assert "AZURE_OPENAI_AD_TOKEN" not in after
    assert after["HOME"] == "h"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"NO_PROXY": "x"}, None),
        ({"HTTP_PROXY": "http://proxy"}, "127.0.0.1"),
        ({"all_proxy": "http://proxy", "NO_PROXY": "a.example, b.example"}, "a.example,b.example,127.0.0.1"),
        ({"http_proxy": "http://proxy", "no_proxy": "127.0.0.1"}, None),
        ({"http_proxy": "http://proxy", "no_proxy": "*"}, None),
    ],
)
def test_a_proxy_is_not_asked_for_this_machine(environment: dict[str, str], expected: str | None) -> None:
    assert variables(HERE, environment).get("no_proxy") == expected
    assert variables(HERE, environment).get("NO_PROXY") == expected


def test_a_server_elsewhere_may_need_the_proxy() -> None:
    away = Target(base_url="https://models.example/v1", azure_endpoint="https://models.example", key="k")
    assert "no_proxy" not in variables(away, {"http_proxy": "http://proxy"})


def test_an_address_given_by_hand_serves_both_dialects() -> None:
    found = target_of({"base_url": "http://old/v1", "azure_endpoint": "http://old"}, "k", "https://new.example/v1/")
    assert found == Target(base_url="https://new.example/v1", azure_endpoint="https://new.example", key="k")


def test_a_shell_reads_back_what_was_written() -> None:
    value = "it's $HOME `and` \"more\" \\"
    line = _WRITERS["sh"]("X", value)
    done = subprocess.run(["sh", "-c", f'{line}; printf %s "$X"'], capture_output=True, text=True, check=True)
    assert done.stdout == value
    assert _WRITERS["fish"]("X", "a'b\\") == "set -gx X 'a\\'b\\\\'"
    assert _WRITERS["powershell"]("X", "a'b") == "$env:X = 'a''b'"
    assert _WRITERS["sh"]("X", None) == "unset X"
