"""Programs of others check what we answer (schemathesis) and what we send upstream (the mock of OpenAI's SDK tests).

Both read the vendors' own OpenAPI files. The first also makes the requests: whatever those files allow, for every
operation that we serve.
"""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrepot.prove.processes import free_port, wait_for_port
from shared_data import SHARED
from tape_house import EMBEDDINGS, MODEL, SELLS_EMBEDDINGS, VENDOR, TapeHouse

ROOT = Path(__file__).resolve().parents[2]
CHECKER = ROOT / ".venv" / "clients" / "bin" / "schemathesis"
MOCK = ROOT / ".venv" / "node" / "node_modules" / ".bin" / "steady"
OPENAI = SHARED / "specs" / "openai" / "openapi.yaml"
AZURE = SHARED / "specs" / "azure" / "inference-2024-10-21-ga.yaml"
AZURE_V1 = SHARED / "specs" / "azure" / "openai-v1.json"
VERSION = "2024-10-21"
EXAMPLES = 25
CHECKS = "not_a_server_error,content_type_conformance,response_schema_conformance"
#: Refused although the file allows it, and why: what governs a price is read strictly (docs/reference/wire-limits.md).
REFUSED_BY_RULE = {
    "is a whole number, not ": "1739500.0 is an integer to JSON Schema",
    "input is a text, or a list of": "so is each token 1.0",
    "prompt is a text, or a list of": "so is each token 1.0, and the file allows an empty list of prompts",
}


@pytest.fixture(scope="module", autouse=True)
def _tools() -> None:
    if not OPENAI.exists():
        pytest.skip(f"{OPENAI} is missing")
    for program in (CHECKER, MOCK):
        assert program.exists(), "run: make .venv/clients.stamp"


def check(house: TapeHouse, spec: Path, url: str, calls: list[str], folder: Path, *, checks: str = CHECKS) -> Any:
    """Run the checker; (its exit code and words, what was answered)."""
    log = folder / f"calls-{spec.stem}"
    sent = f"api-key: {house.key}" if "azure" in str(spec) else f"Authorization: Bearer {house.key}"
    options = ["--phases", "fuzzing", "--mode", "positive", "--no-color", "--generation-deterministic"]
    for call in calls:
        options += ["--include-name", call]
    told = {
        "CHECK_MODEL": MODEL, "CHECK_EMBEDDINGS": EMBEDDINGS, "CHECK_VERSION": VERSION, "CHECK_LOG": str(log),
        "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(ROOT / "tests" / "clients"),
    }  # fmt: skip
    done = subprocess.run(
        [str(CHECKER), "run", str(spec), "--url", url, "-H", sent, "--max-examples", str(EXAMPLES), "--checks", checks,
         "--workers", "1", *options],
        env={**os.environ, **told}, capture_output=True, text=True, timeout=300, check=False, cwd=folder,
    )  # fmt: skip
    answered = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return done, [one for one in answered if one["call"] in calls]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TapeHouse]:
    house = TapeHouse(tmp_path_factory.mktemp("answers"), catalog=SELLS_EMBEDDINGS)
    yield house
    house.end()


SERVED = [
    (OPENAI, "/v1", ["POST /chat/completions", "POST /completions", "POST /embeddings", "GET /models",
                     "GET /models/{model}"]),
    (AZURE, "/openai", ["POST /deployments/{deployment-id}/chat/completions",
                        "POST /deployments/{deployment-id}/completions",
                        "POST /deployments/{deployment-id}/embeddings"]),
    (AZURE_V1, "/openai/v1", ["POST /chat/completions", "POST /embeddings", "GET /models", "GET /models/{model}"]),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "base", "calls"), SERVED, ids=["openai", "azure", "azure_v1"])
def test_what_we_answer_is_what_the_vendors_file_describes(
    house: TapeHouse, tmp_path: Path, spec: Path, base: str, calls: list[str]
) -> None:
    done, answered = check(house, spec, house.azure_endpoint + base, calls, tmp_path)
    assert done.returncode == 0, done.stdout[-5000:]
    seen = Counter((one["call"], one["status"]) for one in answered)
    print({f"{call} {status}": count for (call, status), count in seen.items()})
    refused = [one for one in answered if one["status"] != 200]
    assert [one for one in refused if not any(rule in one["text"] for rule in REFUSED_BY_RULE)] == []
    assert {call for call, status in seen if status == 200} == set(calls)


class Mock:
    """The mock of a vendor, and its word about each request that it got."""

    def __init__(self, spec: Path, folder: Path) -> None:
        self.port = free_port()
        self._log = folder / "mock.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(MOCK), "--host", "127.0.0.1", "-p", str(self.port), "--log-format", "json", str(spec)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        wait_for_port(self.port, seconds=60)
        self._read = 0

    def heard(self) -> tuple[Counter[str], Counter[str]]:
        """(requests by path, what was wrong with them) since the last time."""
        lines = self._log.read_text().splitlines()
        new, self._read = lines[self._read :], len(lines)
        requests = [row for row in map(json.loads, new) if row["type"] == "request"]
        wrong: Counter[str] = Counter()
        for row in requests:
            for found in row["diagnostics"]:
                wrong[f"{row['request']['path']} {found['code']} {found['requestPath']}: {found['message']}"] += 1
        return Counter(row["request"]["path"] for row in requests), wrong

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mock]:
    mock = Mock(OPENAI, tmp_path_factory.mktemp("mock"))
    yield mock
    mock.end()


@pytest.fixture(scope="module")
def before_mock(mock: Mock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TapeHouse]:
    """A house that sells the mock's models under other names: so every body is rewritten."""
    swaps = [(VENDOR, f"http://127.0.0.1:{mock.port}"), (f'"fake/{MODEL}"', '"fake/gpt-4o-2024-08-06"')]
    house = TapeHouse(tmp_path_factory.mktemp("requests"), catalog=SELLS_EMBEDDINGS, swaps=swaps)
    yield house
    house.end()


CALLS = ["POST /chat/completions", "POST /completions", "POST /embeddings"]


def test_what_is_valid_when_it_comes_is_valid_when_it_goes(mock: Mock, before_mock: TapeHouse, tmp_path: Path) -> None:
    for name in ("direct", "through"):
        (tmp_path / name).mkdir()
    mock.heard()
    check(before_mock, OPENAI, f"http://127.0.0.1:{mock.port}", CALLS, tmp_path / "direct", checks="not_a_server_error")
    sent, wrong_as_sent = mock.heard()
    check(before_mock, OPENAI, before_mock.base_url, CALLS, tmp_path / "through", checks="not_a_server_error")
    passed, wrong = mock.heard()
    print(f"{dict(passed)} of {dict(sent)} requests reached the vendor; wrong in its eyes: {dict(wrong)}")
    assert wrong - wrong_as_sent == Counter()
    assert set(passed) == {call.split()[1] for call in CALLS}
    assert sum(passed.values()) > 0.8 * sum(sent.values())


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
SOUND = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
ASK = [{"role": "user", "content": "x"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "p", "strict": True, "schema": {"type": "object"}}}
#: Bodies of which we change something, or which carry what must go on as it came.
BODIES: list[tuple[str, dict[str, Any]]] = [
    ("chat/completions", {"messages": ASK}),
    ("chat/completions", {"messages": ASK, "stream": True}),
    ("chat/completions", {"messages": ASK, "stream": True, "stream_options": {"include_usage": False}}),
    ("chat/completions", {"messages": ASK, "stream": True, "stream_options": None}),
    ("chat/completions", {"messages": ASK, "max_tokens": 100_000}),
    ("chat/completions", {"messages": ASK, "max_completion_tokens": 100_000, "reasoning_effort": "low"}),
    ("chat/completions", {"messages": ASK, "store": True, "metadata": {"a": "b"}, "prompt_cache_key": "k"}),
    ("chat/completions", {"messages": ASK, "tools": TOOLS, "tool_choice": "auto", "parallel_tool_calls": False}),
    ("chat/completions", {"messages": ASK, "response_format": SCHEMA, "seed": 7, "logprobs": True, "top_logprobs": 2}),
    ("chat/completions", {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, IMAGE, SOUND]}]}),
    ("chat/completions", {"messages": ASK, "n": 3, "stop": ["a"], "logit_bias": {"1": 5}, "user": "u", "top_p": 0.5}),
    ("chat/completions", {"messages": ASK, "prediction": {"type": "content", "content": "x"}, "verbosity": "low"}),
    ("completions", {"prompt": "x"}),
    ("completions", {"prompt": ["x", "y"], "max_tokens": 5, "n": 2, "best_of": 3, "suffix": "s", "echo": True}),
    ("completions", {"prompt": [[1, 2], [3]], "stream": True, "logprobs": 3}),
    ("embeddings", {"input": "x"}),
    ("embeddings", {"input": [[1, 2], [3]], "dimensions": 3, "encoding_format": "base64", "user": "u"}),
]


@pytest.mark.parametrize("classic", [False, True], ids=["openai", "azure"])
def test_what_we_write_into_a_request_is_valid(mock: Mock, before_mock: TapeHouse, classic: bool) -> None:
    mock.heard()
    for path, fields in BODIES:
        model = EMBEDDINGS if path == "embeddings" else MODEL
        asked = f"/openai/deployments/{model}/{path}?api-version={VERSION}" if classic else f"/v1/{path}"
        before_mock.send("POST", asked, fields if classic else {"model": model, **fields})
    passed, wrong = mock.heard()
    assert wrong == Counter()
    assert sum(passed.values()) == len(BODIES)


def test_the_mock_refuses_what_is_wrong(mock: Mock, before_mock: TapeHouse) -> None:
    mock.heard()
    assert before_mock.chat(temperature="hot").status == 400
    _, wrong = mock.heard()
    assert any("body.temperature" in one for one in wrong)
