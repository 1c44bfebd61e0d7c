"""What a customer reads when a call cannot be made: the words, in every operation and both dialects."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tape_house import EMBEDDINGS, MODEL, SELLS_EMBEDDINGS, Reply, TapeHouse

VERSION = "2024-10-21"
PROMPTS: dict[str, dict[str, Any]] = {
    "chat/completions": {"messages": [{"role": "user", "content": "x"}]}, "completions": {"prompt": "x"},
    "embeddings": {"input": "x"},
}  # fmt: skip
UNPRICED = """
[model.gpt-5]
routes = ["fake/gpt-5"]
context = 8_192
output_max = 1_000

[model.vectors-9]
routes = ["fake/vectors-9"]
context = 8_192
operations = ["embedding"]

[customer.acme]
contract = { book = "list" }
projects = ["search"]
budgets = [{ project = "search", amount = 0.0001, per = "month" }]
"""
DIALECTS = pytest.mark.parametrize("azure", [False, True], ids=["openai", "azure"])
OPERATIONS = pytest.mark.parametrize("operation", list(PROMPTS))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TapeHouse]:
    house = TapeHouse(tmp_path_factory.mktemp("texts"), catalog=SELLS_EMBEDDINGS + UNPRICED)
    house.poor = house.key_of("acme", "--project", "search")
    yield house
    house.end()


def sells(operation: str) -> str:
    return EMBEDDINGS if operation == "embeddings" else MODEL


def ask(house: TapeHouse, operation: str, azure: bool, model: str = "", key: str = "", **more: Any) -> Reply:
    model = model or sells(operation)
    path = f"/openai/deployments/{model}/{operation}?api-version={VERSION}" if azure else f"/v1/{operation}"
    return house.send("POST", path, {"model": model, **PROMPTS[operation], **more}, key=key)


def says(reply: Reply, azure: bool, before: str, text: str) -> None:
    """The message, after the words that Azure puts in front of it."""
    assert reply.error["message"] == (before if azure else "") + text


@DIALECTS
@OPERATIONS
def test_a_key_that_was_cut(house: TapeHouse, operation: str, azure: bool) -> None:
    reply = ask(house, operation, azure, key=house.key[: len("ep_live_") + 41])
    azures = (
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
        "active subscription and use a correct regional API endpoint for your resource. "
    )
    text = (
        "This API key is incomplete: 41 characters follow 'ep_live_', a whole key has 48. "
        "It was probably cut when it was copied."
    )
    says(reply, azure, azures, text)
    assert (reply.status, reply.error["type"]) == (401, "authentication_error")
    assert reply.error["code"] == ("401" if azure else "invalid_api_key")


@DIALECTS
@OPERATIONS
def test_a_model_that_the_key_cannot_use(house: TapeHouse, operation: str, azure: bool) -> None:
    reply = ask(house, operation, azure, model=sells(operation).replace("fake", "fak"))
    text = (
        f"The model '{sells(operation).replace('fake', 'fak')}' does not exist or you do not have access to it. "
        f"Did you mean '{sells(operation)}'? This key can use: {EMBEDDINGS}, {MODEL}."
    )
    says(reply, azure, "The API deployment for this resource does not exist. ", text)
    assert (reply.status, reply.error["type"], reply.error["param"]) == (404, "invalid_request_error", "model")
    assert reply.error["code"] == ("DeploymentNotFound" if azure else "model_not_found")


@DIALECTS
@OPERATIONS
def test_a_model_without_a_price(house: TapeHouse, operation: str, azure: bool) -> None:
    name = "vectors-9" if operation == "embeddings" else "gpt-5"
    before = house.ledger.read_bytes()
    reply = ask(house, operation, azure, model=name)
    text = (
        f"The model '{name}' is not for sale at the moment. Nothing was charged. "
        f"Tell your provider this id: {reply.request_id}."
    )
    says(reply, False, "", text)
    assert (reply.status, reply.error["type"], reply.error["param"]) == (503, "server_error", "model")
    assert reply.error["code"] == "model_not_priced"
    assert reply.headers["x-should-retry"] == "false"
    assert house.ledger.read_bytes() == before


def test_the_operator_reads_which_model_wants_a_price(house: TapeHouse) -> None:
    for _ in range(2):
        ask(house, "chat/completions", False, model="gpt-5")
    house.wait(lambda: "gpt-5 was refused" in house.house.command("status").stdout)
    status = house.house.command("status").stdout
    assert re.search(
        r"gpt-5 was refused \d+ times since \d\d:\d\d: no price for input and output on \d{4}-\d\d-\d\d", status
    )
    assert re.search(
        r"do    add it to \S+ under \[\[book\.list\]\] with a new valid_from, then: entrepot apply \S+", status
    )


MONEY = re.compile(
    r"This call could cost up to \d+\.\d+ USD \([\d,]+ input tokens(, (?P<name>\w+) (?P<cap>[\d,]+))?\) "
    r"and [\d.]+ USD is left of project 'search', budget (?P<month>\w+)\. (?P<way>.+)"
)


@DIALECTS
@pytest.mark.parametrize("operation", ["chat/completions", "completions"])
def test_a_budget_that_is_spent_names_the_cap_that_would_fit(house: TapeHouse, operation: str, azure: bool) -> None:
    reply = ask(house, operation, azure, key=house.poor, max_tokens=5_780)
    found = MONEY.fullmatch(reply.error["message"].partition(" Please retry")[0])
    assert found is not None, reply.error["message"]
    assert (found["name"], found["cap"], found["month"]) == ("max_tokens", "5,780", f"{datetime.now(UTC):%B}")
    fits = re.fullmatch(r"Lower max_tokens to ([\d,]+) or less, or ask for a higher budget\.", found["way"])
    assert fits is not None
    assert (reply.status, reply.error["type"], reply.error["code"]) == (429, "insufficient_quota", "insufficient_quota")
    assert (reply.error["param"], reply.headers["x-should-retry"]) == ("max_tokens", "false")
    most = int(fits[1].replace(",", ""))
    assert ask(house, operation, azure, key=house.poor, max_tokens=most + 1).status == 429


@DIALECTS
def test_a_budget_that_is_spent_says_so_of_embeddings_too(house: TapeHouse, azure: bool) -> None:
    reply = ask(house, "embeddings", azure, key=house.poor, input="x" * 30_000)
    found = MONEY.fullmatch(reply.error["message"])
    assert found is not None, reply.error["message"]
    assert found["name"] is None
    assert found["way"] == "A shorter prompt, or a higher budget, would let it through."
    assert (reply.status, reply.error["param"]) == (429, "input")
