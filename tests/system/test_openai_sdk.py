"""The official openai package against a started house: both of its clients, sync, async and streamed."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from pydantic import BaseModel

from entrepot.prove.script import script_text
from tape_house import EMBEDDINGS, MODEL, POOR, SELLS_EMBEDDINGS, TapeHouse

VERSION = "2024-10-21"
ASK = [{"role": "user", "content": script_text(prompt=11, completion=6, events=3)}]
TOOL: Any = {"type": "function", "function": {"name": "find_port", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False,
}}}  # fmt: skip


class Port(BaseModel):
    city: str
    piers: list[int]
    deep: bool


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TapeHouse]:
    house = TapeHouse(tmp_path_factory.mktemp("sdk"), catalog=SELLS_EMBEDDINGS + POOR)
    house.poor = house.key_of("poor")
    yield house
    house.end()


def client_of(
    house: TapeHouse, kind: str, *, key: str = "", sent: list[httpx.Request] | None = None, **more: Any
) -> Any:
    """`openai`, `azure` (deployment paths) or `azure_v1`; a name that ends in _async gives the async one."""
    name = kind.removesuffix("_async")
    wait = kind != name
    given: dict[str, Any] = {"api_key": key or house.key, "max_retries": 0, **more}
    if sent is not None:
        given["http_client"] = httpx.Client(event_hooks={"request": [sent.append]})
    if name == "azure":
        made = openai.AsyncAzureOpenAI if wait else openai.AzureOpenAI
        return made(azure_endpoint=house.azure_endpoint, api_version=VERSION, **given)
    base = house.base_url if name == "openai" else f"{house.azure_endpoint}/openai/v1"
    return (openai.AsyncOpenAI if wait else openai.OpenAI)(base_url=base, **given)


KINDS = pytest.mark.parametrize("kind", ["openai", "azure", "azure_v1"])


@KINDS
def test_a_chat_answers_with_its_usage_and_our_id(house: TapeHouse, kind: str) -> None:
    with client_of(house, kind) as client:
        answer = client.chat.completions.create(model=MODEL, messages=ASK)
        assert answer.choices[0].message.content == "tok " * 6
        assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 6)
        assert answer._request_id.startswith("req_")
        raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=ASK)
        assert raw.headers["x-request-id"] == raw.request_id
        assert raw.parse().usage.total_tokens == 17


@KINDS
@pytest.mark.parametrize("usage", [True, False])
def test_a_stream_has_the_text_and_usage_only_if_asked(house: TapeHouse, kind: str, usage: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if usage else {}
    with client_of(house, kind) as client:
        chunks = list(client.chat.completions.create(model=MODEL, messages=ASK, stream=True, **options))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "tok " * 6
    counted = [chunk.usage for chunk in chunks if chunk.usage]
    assert [each.total_tokens for each in counted] == ([17] if usage else [])
    assert len({chunk.id for chunk in chunks}) == 1


@pytest.mark.parametrize("kind", ["openai_async", "azure_async"])
def test_async_clients_answer_and_stream_side_by_side(house: TapeHouse, kind: str) -> None:
    async def one(client: Any, stream: bool) -> str:
        if not stream:
            answer = await client.chat.completions.create(model=MODEL, messages=ASK)
            return str(answer.choices[0].message.content)
        chunks = [c async for c in await client.chat.completions.create(model=MODEL, messages=ASK, stream=True)]
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    async def main() -> list[str]:
        async with client_of(house, kind) as client:
            return await asyncio.gather(*(one(client, stream=n % 2 == 0) for n in range(20)))

    assert asyncio.run(main()) == ["tok " * 6] * 20


@KINDS
def test_a_tool_is_called_and_its_result_answered(house: TapeHouse, kind: str) -> None:
    with client_of(house, kind) as client:
        answer = client.chat.completions.create(model=MODEL, messages=ASK, tools=[TOOL], parallel_tool_calls=False)
        (call,) = answer.choices[0].message.tool_calls
        assert (call.function.name, json.loads(call.function.arguments)) == ("find_port", {"city": "word"})
        told = [*ASK, answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "7"}]
        assert client.chat.completions.create(model=MODEL, messages=told, tools=[TOOL]).choices[0].message.content
        with client.chat.completions.stream(model=MODEL, messages=ASK, tools=[TOOL]) as stream:
            fragments = [e.arguments_delta for e in stream if e.type == "tool_calls.function.arguments.delta"]
            whole = stream.get_final_completion().choices[0].message.tool_calls[0].function.arguments
    assert "".join(fragments) == whole == '{"city": "word"}'


@KINDS
def test_a_structured_answer_is_an_object_of_its_class(house: TapeHouse, kind: str) -> None:
    wanted = Port(city="word", piers=[1], deep=True)
    with client_of(house, kind) as client:
        parsed = client.chat.completions.parse(model=MODEL, messages=ASK, response_format=Port)
        assert parsed.choices[0].message.parsed == wanted
        with client.chat.completions.stream(model=MODEL, messages=ASK, response_format=Port) as stream:
            assert stream.get_final_completion().choices[0].message.parsed == wanted


@KINDS
def test_embeddings_come_as_the_sdk_asks_for_them_and_as_floats(house: TapeHouse, kind: str) -> None:
    with client_of(house, kind) as client:
        packed = client.embeddings.create(model=EMBEDDINGS, input=["a", "b"], dimensions=4)  # base64 on the wire
        plain = client.embeddings.create(model=EMBEDDINGS, input=["a", "b"], dimensions=4, encoding_format="float")
        tokens = client.embeddings.create(model=EMBEDDINGS, input=[[1, 2, 3], [4]])
    assert [len(one.embedding) for one in packed.data] == [4, 4]
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert packed.usage.prompt_tokens == packed.usage.total_tokens == 10
    assert len(tokens.data) == 2


@KINDS
def test_completions_answer_and_stream(house: TapeHouse, kind: str) -> None:
    prompt = script_text(prompt=5, completion=9)
    with client_of(house, kind) as client:
        answer = client.completions.create(model=MODEL, prompt=prompt, max_tokens=7)
        chunks = list(client.completions.create(model=MODEL, prompt=prompt, max_tokens=7, stream=True))
    assert (answer.choices[0].text, answer.usage.total_tokens) == ("tok " * 7, 12)
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "tok " * 7


@KINDS
def test_models_are_listed_and_looked_up(house: TapeHouse, kind: str) -> None:
    with client_of(house, kind) as client:
        assert {MODEL, EMBEDDINGS} <= {model.id for model in client.models.list()}
        one = client.models.retrieve(MODEL)
        assert (one.id, one.object) == (MODEL, "model")
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("no-such-model")


@KINDS
def test_errors_are_the_sdks_own(house: TapeHouse, kind: str) -> None:
    azure = kind != "openai"
    with client_of(house, kind) as client:
        with pytest.raises(openai.NotFoundError) as unknown:
            client.chat.completions.create(model="no-such-model", messages=ASK)
        assert unknown.value.code == ("DeploymentNotFound" if azure else "model_not_found")
        assert unknown.value.request_id.startswith("req_")
        with pytest.raises(openai.BadRequestError) as wrong:
            client.chat.completions.create(model=MODEL, messages=ASK, n=0)
        assert wrong.value.param == "n"
    with client_of(house, kind, key="ep_live_cut") as client:
        with pytest.raises(openai.AuthenticationError) as cut:
            client.chat.completions.create(model=MODEL, messages=ASK)
        assert cut.value.code == ("401" if azure else "invalid_api_key")


@KINDS
def test_an_error_in_a_stream_is_raised(house: TapeHouse, kind: str) -> None:
    broken = [{"role": "user", "content": script_text(fault="error_event@2")}]
    with client_of(house, kind) as client, pytest.raises(openai.APIError, match="the engine broke"):
        list(client.chat.completions.create(model=MODEL, messages=broken, stream=True))


@KINDS
@pytest.mark.parametrize(("status", "raised"), [(429, openai.RateLimitError), (500, openai.InternalServerError)])
def test_what_may_be_retried_is_after_the_time_we_name(
    house: TapeHouse, kind: str, status: int, raised: type[openai.APIStatusError]
) -> None:
    sent: list[httpx.Request] = []
    faulty = [{"role": "user", "content": script_text(fault=f"status@{status}")}]
    began = time.monotonic()
    with client_of(house, kind, sent=sent, max_retries=1) as client, pytest.raises(raised) as caught:
        client.chat.completions.create(model=MODEL, messages=faulty)
    assert len(sent) == 2
    assert caught.value.response.headers["x-should-retry"] == "true"
    if status == 429:
        assert 0.9 <= int(caught.value.response.headers["retry-after-ms"]) / 1000 <= time.monotonic() - began


@KINDS
def test_what_may_not_be_retried_is_sent_once(house: TapeHouse, kind: str) -> None:
    sent: list[httpx.Request] = []
    client = client_of(house, kind, key=house.poor, sent=sent, max_retries=3)
    with client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model=MODEL, messages=ASK, max_completion_tokens=16_000, n=128)
    assert len(sent) == 1
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.code == "insufficient_quota"
