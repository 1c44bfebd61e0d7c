"""langchain-openai and the llm command against a started house. Both live in .venv/clients."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tape_house import EMBEDDINGS, MODEL, SELLS_EMBEDDINGS, TapeHouse

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / ".venv" / "clients" / "bin"
SAID = "tok " * 20  # what the vendor answers to a message without a script


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TapeHouse]:
    assert (CLIENTS / "llm").exists(), "run: make .venv/clients.stamp"
    house = TapeHouse(tmp_path_factory.mktemp("clients"), catalog=SELLS_EMBEDDINGS)
    yield house
    house.end()


def test_langchain_invokes_streams_calls_tools_and_embeds(house: TapeHouse) -> None:
    script = ROOT / "tests" / "clients" / "langchain_calls.py"
    done = subprocess.run(
        [str(CLIENTS / "python"), str(script), house.base_url, house.azure_endpoint, house.key, MODEL, EMBEDDINGS],
        capture_output=True, text=True, timeout=120, check=False, env={**os.environ, "LANGSMITH_TRACING": "false"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    called = {
        "text": SAID, "usage": 30, "stream": SAID, "stream_usage": 30, "tool": ["find_port", {"city": "word"}],
        "told": SAID, "schema": {"city": "word", "piers": [1]}, "function": {"city": "word", "piers": [1]},
        "batch": [SAID] * 3,
    }  # fmt: skip
    assert found["openai"] == called
    assert found["azure"] == called
    for name in ("embeddings", "azure_embeddings"):
        documents, query = found[name]
        assert [len(vector) for vector in documents] == [4, 4]
        assert query[0] == documents[0]


def test_the_llm_command_answers_streams_follows_a_schema_and_embeds(house: TapeHouse, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps({"house": house.key}))
    (tmp_path / "extra-openai-models.yaml").write_text(
        f"- model_id: harbour\n  model_name: {MODEL}\n  api_base: {house.base_url}\n  api_key_name: house\n"
        "  supports_schema: true\n  supports_tools: true\n"
    )

    def llm(*words: str) -> str:
        done = subprocess.run(
            [str(CLIENTS / "llm"), *words], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
            env={**os.environ, "LLM_USER_PATH": str(tmp_path)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    assert "harbour" in llm("models", "list")
    before = house.endings()
    assert llm("-m", "harbour", "hello").strip() == SAID.strip()
    assert llm("-m", "harbour", "--no-stream", "hello").strip() == SAID.strip()
    assert json.loads(llm("-m", "harbour", "--schema", "city, piers int", "hello")) == {"city": "word", "piers": 1}
    assert llm("-m", "harbour", "-T", "llm_version", "hello").strip() == SAID.strip()  # its answer to a tool's result
    assert house.endings() == before + 5
    logged = json.loads(llm("logs", "-n", "1", "--json"))
    assert (logged[0]["model"], logged[0]["input_tokens"], logged[0]["output_tokens"]) == ("harbour", 10, 20)
