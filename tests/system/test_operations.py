"""Operations, versions and an Azure upstream in a started house; the commands that show and try them."""

from collections.abc import Iterator
from typing import Any

import pytest

from entrepot.prove.processes import start_vendor
from entrepot.prove.script import script_text
from tape_house import EMBEDDINGS, MODEL, SELLS_EMBEDDINGS, TapeHouse

CATALOG = """
[upstream.azure]
vendor = "fake"
endpoint = { dialect = "azure", url = "AZURE", api_version = "2024-10-21", zone = "EU", key = { file = "vendor.key" } }

[model.both]
context = 8_192
output_max = 1_024
default = "new"
aliases = ["both-latest"]
versions = [
  { version = "old", routes = ["azure/both 1"], lifecycle = "retired", replaced_by = "fake-model" },
  { version = "new", routes = ["azure/both 2"], retires = 2199-01-01T00:00:00Z },
]

[[book.list]]
currency = "USD"
valid_from = 2026-01-03T00:00:00Z
prices = [{ model = "both", input = 1.00, output = 2.00 }]

[customer.pins]
contract = { book = "list" }
deployments = [
  { name = "stays", model = "both", version = "old", upgrade = "never" },
  { name = "moves", model = "both", version = "old" },
]
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TapeHouse]:
    folder = tmp_path_factory.mktemp("operations")
    other = start_vendor(folder / "azure-ledger")
    catalog = SELLS_EMBEDDINGS + CATALOG.replace("AZURE", f"http://127.0.0.1:{other.port}")
    house = TapeHouse(folder, [], catalog=catalog)
    try:
        house.poor = house.key_of("pins")  # with deployments, so that no other model is there for it
        yield house
    finally:
        house.end()
        other.end()


def chat(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": script_text(prompt=7, completion=9)}], **fields}


def test_a_completion_is_charged_for_every_answer_and_held_at_its_default_cap(house: TapeHouse) -> None:
    reply = house.send("POST", "/v1/completions", {"model": MODEL, "prompt": "say", "n": 2})
    assert reply.status == 200
    assert reply.json["object"] == "text_completion"
    ending = house.ending(reply)
    assert (ending.operation, ending.state, ending.output_cap) == ("completion", "final", 32)
    assert ending.quantities[3] == reply.json["usage"]["completion_tokens"]


@pytest.mark.parametrize("encoding", ["float", "base64"])
@pytest.mark.parametrize("given", ["one", ["one", "two"], [1, 2, 3], [[1, 2], [3]]])
def test_embeddings_pay_their_input(house: TapeHouse, given: Any, encoding: str) -> None:
    body = {"model": EMBEDDINGS, "input": given, "encoding_format": encoding}
    reply = house.send("POST", f"/openai/deployments/{EMBEDDINGS}/embeddings?api-version=2024-10-21", body)
    assert reply.status == 200
    kind = str if encoding == "base64" else list
    assert all(isinstance(row["embedding"], kind) for row in reply.json["data"])
    ending = house.ending(reply)
    assert (ending.operation, ending.output_cap) == ("embedding", 0)
    assert ending.quantities[0] == reply.json["usage"]["prompt_tokens"]
    assert ending.charge == ending.quantities[0] * 20


def test_a_model_is_served_by_an_azure_upstream_under_all_its_names(house: TapeHouse) -> None:
    for name in ("both", "both-latest", "both-new"):
        reply = house.send("POST", "/v1/chat/completions", chat(name))
        assert (reply.status, reply.json["model"]) == (200, "both 2")
        assert reply.headers["sunset"].startswith("Tue, 01 Jan 2199")
        ending = house.ending(reply)
        assert (ending.terms.upstream, ending.terms.model, ending.charge) == ("azure", "both", 7 * 1000 + 9 * 2000)


def test_a_retired_version_ends_or_is_followed(house: TapeHouse) -> None:
    assert house.send("POST", "/v1/chat/completions", chat("both-old")).error["code"] == "model_retired"
    stays = house.send("POST", "/v1/chat/completions", chat("stays"), key=house.poor)
    assert (stays.status, stays.error["code"]) == (404, "model_retired")
    assert "fake-model" in stays.error["message"]
    gone = house.send(
        "POST", "/openai/deployments/stays/chat/completions?api-version=2024-10-21", chat("x"), key=house.poor
    )
    assert (gone.status, gone.error["code"]) == (410, "410")
    moves = house.send("POST", "/v1/chat/completions", chat("moves"), key=house.poor)
    assert (moves.status, moves.json["model"]) == (200, "both 2")


def test_usage_tells_operations_apart(house: TapeHouse) -> None:
    house.send("POST", "/v1/embeddings", {"model": EMBEDDINGS, "input": "a"})
    facts = house.house.ask("usage", "--by", "operation")
    found = {row["operation"] for row in facts["rows"]}
    assert {"chat", "embedding"} <= found


def test_an_upstream_is_really_asked(house: TapeHouse) -> None:
    fake = house.house.ask("upstream", "test", "fake")
    assert (fake["good"], fake["status"], fake["listed"]) == (True, 200, 1)
    assert fake["did"] == "asked for its models: GET /v1/models"
    assert {route["vendor_model"]: route["listed"] for route in fake["routes"]} == {MODEL: False, EMBEDDINGS: False}
    azure = house.house.ask("upstream", "test", "azure")
    assert azure["did"] == "asked for its models: GET /openai/models?api-version=2024-10-21"


def test_a_deployment_is_shown_with_its_version_and_prices(house: TapeHouse) -> None:
    def shown(*words: str) -> str:
        return house.house.command("deployment", "show", *words).stdout

    text = shown("pins", "moves")
    assert "moves of pins/default: both new, for sale" in text
    assert "azure/both 2" in text
    assert "output 2.00 USD per 1,000,000" in text
    assert "not for sale: both old is retired" in shown("pins", "stays")
    assert "fake-embeddings, for sale" in shown("demo", EMBEDDINGS)
