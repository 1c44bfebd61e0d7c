"""Rows about paths and queries: 1, 3, 4, 5, 8."""

from typing import Any

from compatibility.table import row
from tape_house import EMBEDDINGS, MODEL, Reply, TapeHouse

VERSION = "2024-10-21"
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}]}
BODIES: dict[str, dict[str, Any]] = {
    "chat/completions": ASK,
    "completions": {"prompt": "x"},
    "embeddings": {"input": "x"},
}
OBJECTS = {"chat/completions": "chat.completion", "completions": "text_completion", "embeddings": "list"}


def post(house: TapeHouse, operation: str, prefix: str = "/v1", *, version: str = "", **more: Any) -> Reply:
    """A call of an operation; `prefix` may name the deployment as {}."""
    model = EMBEDDINGS if operation == "embeddings" else MODEL
    query = f"?api-version={version}" if version else ""
    return house.send(
        "POST", f"{prefix.format(model)}/{operation}{query}", {"model": model, **BODIES[operation], **more}
    )


def answers(house: TapeHouse, operation: str, prefix: str, version: str = "") -> None:
    reply = post(house, operation, prefix, version=version)
    assert reply.status == 200, reply
    assert reply.json["object"] == OBJECTS[operation]
    assert reply.json["usage"]["total_tokens"] >= 10
    assert house.ending(reply).state == "final"


@row(1, "`POST /v1/chat/completions`", "a chat completion with usage, metered")
def chat(house: TapeHouse) -> None:
    answers(house, "chat/completions", "/v1")


@row(1, "`POST /v1/completions`", "a text completion with usage, metered")
def completions(house: TapeHouse) -> None:
    answers(house, "completions", "/v1")


@row(1, "`POST /v1/embeddings`", "a list of vectors with usage, metered")
def embeddings(house: TapeHouse) -> None:
    answers(house, "embeddings", "/v1")


CLASSIC = "/openai/deployments/{}"


@row(3, "`POST /openai/deployments/{d}/chat/completions?api-version=`", "the same as OpenAI's path")
def azure_chat(house: TapeHouse) -> None:
    answers(house, "chat/completions", CLASSIC, VERSION)


@row(3, "`POST /openai/deployments/{d}/completions?api-version=`", "the same as OpenAI's path")
def azure_completions(house: TapeHouse) -> None:
    answers(house, "completions", CLASSIC, VERSION)


@row(3, "`POST /openai/deployments/{d}/embeddings?api-version=`", "the same as OpenAI's path")
def azure_embeddings(house: TapeHouse) -> None:
    answers(house, "embeddings", CLASSIC, VERSION)


@row(3, "`GET /openai/models?api-version=`", "other operations have no deployment in the path")
def azure_models(house: TapeHouse) -> None:
    reply = house.send("GET", f"/openai/models?api-version={VERSION}")
    assert reply.status == 200
    assert MODEL in [model["id"] for model in reply.json["data"]]


@row(4, "`POST /openai/v1/chat/completions`, `completions`, `embeddings`", "no api-version; `model` is the deployment")
def azure_v1(house: TapeHouse) -> None:
    for operation in BODIES:
        answers(house, operation, "/openai/v1")


@row(4, "`GET /openai/v1/models`", "the list, without api-version")
def azure_v1_models(house: TapeHouse) -> None:
    reply = house.send("GET", "/openai/v1/models")
    assert reply.status == 200
    assert MODEL in [model["id"] for model in reply.json["data"]]


@row(4, "`Host: acme.openai.azure.com`, `acme.services.ai.azure.com`", "any host name is answered, as behind a proxy")
def azure_hosts(house: TapeHouse) -> None:
    for host in ("acme.openai.azure.com", "acme.services.ai.azure.com"):
        reply = house.send("POST", "/openai/v1/chat/completions", {"model": MODEL, **ASK}, headers={"Host": host})
        assert reply.status == 200


@row(5, "classic path, `model` in the body: another, null, absent", "the deployment in the path decides")
def path_decides(house: TapeHouse) -> None:
    path = f"/openai/deployments/{MODEL}/chat/completions?api-version={VERSION}"
    for named in ({"model": "gpt-35-turbo"}, {"model": None}, {}):
        reply = house.send("POST", path, {**ASK, **named, "user": "echo"})
        assert reply.status == 200, (named, reply)
        assert f'"model": "{MODEL}"' in house.heard(reply)["body"].replace('":"', '": "')


@row(5, "classic path without `api-version`, or with one that does not exist", "refused, in Azure's shape")
def version_needed(house: TapeHouse) -> None:
    for query in ("", "?api-version=", "?api-version=2019-01-01", "?api-version=next"):
        reply = house.send("POST", f"/openai/deployments/{MODEL}/chat/completions{query}", ASK)
        assert reply.status in (400, 404), (query, reply)
        assert "message" in reply.error


@row(5, "classic path, dated versions and previews of today's SDKs", "served")
def versions_known(house: TapeHouse) -> None:
    for version in ("2023-05-15", "2024-02-01", "2024-06-01", "2024-10-21", "2025-03-01-preview", "2025-04-01-preview"):
        assert post(house, "chat/completions", CLASSIC, version=version).status == 200, version


@row(8, "`GET /v1/models`", '`{"object":"list","data":[{"id","object":"model","created","owned_by"}]}`')
def models(house: TapeHouse) -> None:
    reply = house.send("GET", "/v1/models")
    assert reply.status == 200
    assert reply.json["object"] == "list"
    for model in reply.json["data"]:
        assert set(model) == {"id", "object", "created", "owned_by"}
        assert model["object"] == "model"


@row(8, "`GET /v1/models/{id}`", "the same object; an unknown one is 404 `model_not_found`")
def one_model(house: TapeHouse) -> None:
    reply = house.send("GET", f"/v1/models/{MODEL}")
    assert reply.json in house.send("GET", "/v1/models").json["data"]
    unknown = house.send("GET", "/v1/models/no-such-model")
    assert (unknown.status, unknown.error["code"]) == (404, "model_not_found")


@row(8, "a key that may call one of two models", "sees that one; the other is 404, the same as one that does not exist")
def models_of_a_key(house: TapeHouse) -> None:
    listed = house.send("GET", "/v1/models", key=house.poor)
    assert [model["id"] for model in listed.json["data"]] == [MODEL]
    nothing = EMBEDDINGS[:-1] + "x"  # as far from the names that it may use
    said = []
    for name in (EMBEDDINGS, nothing):
        asked = house.send("GET", f"/v1/models/{name}", key=house.poor)
        called = house.send("POST", "/v1/embeddings", {"model": name, "input": "x"}, key=house.poor)
        assert (asked.status, called.status) == (404, 404)
        said.append([reply.error["message"].replace(name, "") for reply in (asked, called)])
    assert said[0] == said[1]
