"""What OpenAI and Azure really sent, through a started house: the same bytes to the client, tokens in their buckets."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from entrepot.wire.sse import Relay
from shared_data import rows
from tape_house import AZURE_CHAT, CHAT, EMBEDDINGS, MODEL, SELLS_EMBEDDINGS, Reply, TapeHouse

#: Which operation answers so. The rest is of operations that we do not serve.
SERVED = {"chat": CHAT, "completion": "/v1/completions", "embedding": "/v1/embeddings"}
MODELS = {"embedding": EMBEDDINGS}
PLAYED = ("", " bytes", " random 1", " random 2", " random 3")


def kind_of(row: dict[str, Any]) -> str:
    """The operation that a record answers; azure's folder holds several."""
    first = row["events"][0] if row["kind"] == "sse_events" else row["body"]
    if row["path"].startswith("packages/openai/"):
        return str(row["path"].split("/")[3])
    return "chat" if str(first.get("object", "")).startswith("chat.completion") else "responses"


def recorded() -> list[tuple[str, dict[str, Any]]]:
    return [
        (kind_of(row), row) for name in ("openai", "azure") for row in rows(f"wire/provider_responses_{name}.jsonl.gz")
    ]


def text_of(row: dict[str, Any]) -> str:
    """The body as its vendor sends it: compact JSON, of a stream with its framing and end."""
    if row["kind"] == "json":
        return json.dumps(row["body"], ensure_ascii=False, separators=(",", ":"))
    events = [json.dumps(event, ensure_ascii=False, separators=(",", ":")) for event in row["events"]]
    return "".join(f"data: {event}\n\n" for event in [*events, "[DONE]"])


def tape() -> Iterator[dict[str, Any]]:
    for number, (kind, row) in enumerate(recorded()):
        if kind in SERVED:
            stream = row["kind"] == "sse_events"
            content = "text/event-stream; charset=utf-8" if stream else "application/json"
            text = text_of(row)
            pieces = [[0, part + "\n\n"] for part in text.split("\n\n")[:-1]] if stream else [[0, text]]
            status = 400 if "error" in row.get("body", {}) else 200
            yield {"name": f"r{number}", "status": status, "stream": stream, "pieces": pieces,
                   "headers": [["Content-Type", content]]}  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TapeHouse]:
    house = TapeHouse(tmp_path_factory.mktemp("recorded"), tape(), catalog=SELLS_EMBEDDINGS)
    yield house
    house.end()


def ask(house: TapeHouse, kind: str, path: str, user: str, *, stream: bool) -> Reply:
    fields: dict[str, Any] = {"model": MODELS.get(kind, MODEL), "user": user}
    fields |= {"messages": [{"role": "user", "content": "x"}]} if kind == "chat" else {}
    fields |= {"prompt": "x", "max_tokens": 16} if kind == "completion" else {}
    fields |= {"input": "x"} if kind == "embedding" else {}
    if stream:
        fields |= {"stream": True, "stream_options": {"include_usage": True}}
    return house.send("POST", path, fields)


def buckets(usage: dict[str, Any]) -> tuple[int, ...]:
    """Of a vendor's own words: input, cached, cache_write, output, reasoning, audio in, audio out, image."""
    given = usage.get("prompt_tokens_details") or {}
    written = usage.get("completion_tokens_details") or {}
    cached, audio = given.get("cached_tokens", 0), given.get("audio_tokens", 0)
    reasoning, spoken = written.get("reasoning_tokens", 0), written.get("audio_tokens", 0)
    completion = usage.get("completion_tokens", 0)
    rest = usage["prompt_tokens"] - cached - audio
    return (rest, cached, 0, completion - reasoning - spoken, reasoning, audio, spoken, 0)


def usage_of(row: dict[str, Any]) -> dict[str, Any] | None:
    found = (
        [e["usage"] for e in row["events"] if e.get("usage")]
        if row["kind"] == "sse_events"
        else [row["body"].get("usage")]
    )
    return found[-1] if found else None


def test_every_answer_of_a_served_operation_reaches_the_client_byte_for_byte_and_is_metered(house: TapeHouse) -> None:
    seen: Counter[str] = Counter()
    for number, (kind, row) in enumerate(recorded()):
        if kind not in SERVED:
            continue
        model = MODELS.get(kind, MODEL)
        paths = [SERVED[kind], f"/openai/deployments/{model}/{SERVED[kind][4:]}?api-version=2024-10-21"]
        for path in paths:
            for played in PLAYED:
                stream = row["kind"] == "sse_events"
                reply = ask(house, kind, path, f"tape r{number}{played}", stream=stream)
                assert reply.body == text_of(row).encode(), (row["name"], path, played)
                record = house.ending(reply)
                usage = usage_of(row)
                seen[kind] += 1
                if usage is None:
                    assert (reply.status, record.state, record.charge) == (400, "void", 0), row["name"]
                    continue
                assert (reply.status, record.state, record.source) == (200, "final", "vendor"), row["name"]
                assert record.quantities == buckets(usage), row["name"]
                assert record.operation == kind
    each = len(PLAYED) * 2
    assert seen == {"chat": 6 * each, "completion": 2 * each, "embedding": each}


def test_a_client_that_did_not_ask_for_usage_gets_all_but_that_event(house: TapeHouse) -> None:
    for number, (kind, row) in enumerate(recorded()):
        if kind != "chat" or row["kind"] != "sse_events":
            continue
        for path in (CHAT, AZURE_CHAT):
            for played in PLAYED:
                reply = house.chat(path, user=f"tape r{number}{played}", stream=True)
                whole = text_of(row).split("\n\n")
                bearing = [part for part in whole if '"usage":{' in part]
                assert [part for part in whole if part not in bearing] == reply.body.decode().split("\n\n")
                usage = usage_of(row)
                assert usage is not None
                assert house.ending(reply).quantities == buckets(usage)


def test_what_no_served_operation_covers_is_known_by_name() -> None:
    left = Counter(kind for kind, _ in recorded() if kind not in SERVED)
    print(f"recorded answers of operations that are not served: {dict(left)}")
    assert left == {"responses": 76, "image": 3, "skills": 1, "speech-translation": 1, "transcription": 1}


def test_every_recorded_stream_passes_the_splitter_unchanged_however_it_is_cut() -> None:
    chance = random.Random(11)
    passed = 0
    for name in ("openai", "azure", "anthropic"):
        for row in rows(f"wire/provider_responses_{name}.jsonl.gz"):
            if row["kind"] != "sse_events":
                continue
            whole = text_of(row).encode()
            for most in (1 if len(whole) < 20_000 else 9, 60, 4000):
                relay, got, at = Relay(), [], 0
                while at < len(whole):
                    size = chance.randint(1, most)
                    forward, held = relay.feed(whole[at : at + size])
                    got += [forward, held or b""]
                    at += size
                assert b"".join([*got, relay.end()]) == whole, row["name"]
            passed += 1
    print(f"{passed} recorded streams pass the splitter unchanged")
    assert passed == 74
