"""The first minutes with the real processes: the screen, what it offers to paste, the second start, the errors."""

import json
import math
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import openai
import pytest

ROOT = Path(__file__).resolve().parents[2]
ENTREPOT = Path(sys.executable).parent / "entrepot"
EMBEDDING = "smollm2-135m-embedding"
ENVIRONMENT = {**os.environ, "NO_COLOR": "1"}
ENVIRONMENT.pop("ENTREPOT_DATA", None)
STARTS_SECONDS = 90  # on a machine that is busy with other tests; the measured time is on the screen


class Start:
    """One `entrepot serve` in a folder of its own, and its screen."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._log = folder / f"screen-{time.monotonic_ns()}"
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [ENTREPOT, "serve", "--port", "0", "--admin-port", "0", *options],
                cwd=folder, stdout=output, stderr=subprocess.STDOUT, env=ENVIRONMENT,
            )  # fmt: skip

    @property
    def screen(self) -> str:
        return self._log.read_text()

    def wait_for(self, what: str) -> str:
        until = time.monotonic() + STARTS_SECONDS
        while what not in self.screen:
            assert time.monotonic() < until, f"the screen never showed {what!r}:\n{self.screen}"
            assert self.process.poll() is None, self.screen
            time.sleep(0.05)
        return self.screen

    def pasted(self, pattern: str) -> str:
        found = re.search(pattern, self.wait_for("Start afresh"), re.MULTILINE | re.DOTALL)
        assert found is not None, self.screen
        return found[0]

    def entrepot(self, *arguments: str) -> str:
        done = subprocess.run(
            [ENTREPOT, *arguments],
            cwd=self.folder,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    def kill_all(self) -> None:
        """The parent and every child of it, as a machine that dies."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in [self.process.pid, *map(int, children)]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Start]]:
    folder = tmp_path_factory.mktemp("first")
    (folder / "examples").symlink_to(ROOT / "examples")
    running: list[Start] = []

    def start(*options: str) -> Start:
        running.append(Start(folder, *options))
        return running[-1]

    yield start
    for each in running:
        each.process.terminate()
    for each in running:
        each.process.wait(60)


@pytest.fixture(scope="module")
def first(starts: Callable[..., Start]) -> Start:
    return starts()


def test_the_screen_names_what_works_and_credentials_say_the_same(first: Start) -> None:
    screen = first.wait_for("Start afresh")
    assert re.search(
        r"^  entrepot 0\.1\.0 is ready \(\d+\.\d s\)\. Ctrl-C stops it; nothing is lost\.$", screen, re.MULTILINE
    )
    file = first.folder / "data" / "credentials.json"
    found = json.loads(file.read_text())
    assert file.stat().st_mode & 0o777 == 0o600
    assert set(found) == {"base_url", "azure_endpoint", "admin_url", "api_key", "admin_token", "model"}
    assert f"  OpenAI clients    {found['base_url']}\n" in screen
    assert f"  Azure clients     {found['azure_endpoint']} " in screen
    assert f"  Key               {found['api_key']}\n                    customer demo, 5.00 USD prepaid\n" in screen
    assert (
        "  Model             smollm2-135m-instruct            "
        "built in, works offline; 0.10 in / 0.40 out USD per million tokens\n"
    ) in screen


def test_the_pasted_curl_answers_and_usage_and_explain_show_the_call(first: Start) -> None:
    curl = first.pasted(r"^curl .*?\}'$")
    done = subprocess.run(["sh", "-c", curl + " -sS"], capture_output=True, text=True, timeout=90, check=True)
    answer = json.loads(done.stdout)
    assert len(answer["choices"][0]["message"]["content"]) > 3
    used = answer["usage"]
    line = re.search(
        r"^\d\d:\d\d:\d\d  200  demo  smollm2-135m-instruct .*(req_\w{26})$", first.wait_for("req_"), re.MULTILINE
    )
    assert line is not None
    assert f"{used['prompt_tokens']} in  {used['completion_tokens']} out" in line[0]
    table = first.entrepot("usage")
    assert re.search(
        rf"^demo +smollm2-135m-instruct +1 +{used['prompt_tokens']} +0 +{used['completion_tokens']} ", table, re.M
    )
    assert "1 final · 0 aborted · 0 estimated · 0 unrated" in table
    story = first.entrepot("explain", line[1])
    assert "final, numbers from the vendor" in story
    assert re.search("on disk: stream w[12]-000001, segment 000001", story)
    assert f"prompt {used['prompt_tokens']}, completion {used['completion_tokens']}" in story


def test_the_pasted_python_answers(first: Start) -> None:
    code = first.pasted(r"^from openai import OpenAI$.*?^      messages=.*?$")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=90, check=True)
    assert len(done.stdout.strip()) > 3


def test_the_azure_line_is_true_for_the_azure_client(first: Start) -> None:
    from openai import AzureOpenAI

    found = json.loads((first.folder / "data" / "credentials.json").read_text())
    client = AzureOpenAI(azure_endpoint=found["azure_endpoint"], api_key=found["api_key"], api_version="2024-10-21")
    answer = client.chat.completions.create(
        model=found["model"], messages=[{"role": "user", "content": "Name a port."}], max_tokens=8
    )
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 8


def test_the_built_in_model_embeds(first: Start) -> None:
    found = json.loads((first.folder / "data" / "credentials.json").read_text())
    client = openai.OpenAI(base_url=found["base_url"], api_key=found["api_key"], max_retries=2)
    assert {"smollm2-135m-instruct", EMBEDDING} <= {model.id for model in client.models.list()}
    texts = ["A small boat in the harbour.", "Ships lie in the port.", "SELECT name FROM people WHERE age > 30"]
    answer = client.embeddings.create(model=EMBEDDING, input=texts)  # as base64, which the SDK asks for and unpacks
    assert [item.index for item in answer.data] == [0, 1, 2]
    vectors = [item.embedding for item in answer.data]
    for vector in vectors:
        assert len(vector) == 576
        assert math.isclose(math.hypot(*vector), 1.0, abs_tol=1e-4)
    boats, query = _alike(vectors[0], vectors[1]), _alike(vectors[0], vectors[2])
    assert boats > query
    plain = client.embeddings.create(model=EMBEDDING, input=texts[0], encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(vectors[0], abs=2e-3), "whole, or in a batch"
    alone = sum(client.embeddings.create(model=EMBEDDING, input=text).usage.prompt_tokens for text in texts)
    assert alone == answer.usage.prompt_tokens == answer.usage.total_tokens


def test_an_embedding_that_is_too_long_is_the_callers_mistake(first: Start) -> None:
    found = json.loads((first.folder / "data" / "credentials.json").read_text())
    client = openai.OpenAI(base_url=found["base_url"], api_key=found["api_key"], max_retries=2)
    with pytest.raises(openai.BadRequestError, match="more tokens than the 512 that this model reads") as caught:
        client.embeddings.create(model=EMBEDDING, input="word " * 600)
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError, match="input is text for the built-in model"):
        client.embeddings.create(model=EMBEDDING, input=[[1, 2, 3]])
    with pytest.raises(openai.NotFoundError, match="is not served at /chat/completions"):
        client.chat.completions.create(model=EMBEDDING, messages=[{"role": "user", "content": "hello"}])


def test_the_engines_own_fields_do_not_reach_it(first: Start) -> None:
    import openai

    found = json.loads((first.folder / "data" / "credentials.json").read_text())
    client = openai.OpenAI(base_url=found["base_url"], api_key=found["api_key"])
    for name, value in (("n_predict", 500), ("ignore_eos", True), ("cache_prompt", True)):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(
                model=found["model"], messages=[{"role": "user", "content": "Name a port."}], max_tokens=8,
                extra_body={name: value},
            )  # fmt: skip
        assert (caught.value.code, caught.value.param) == ("unknown_parameter", name)


def test_status_finds_nothing_to_do(first: Start) -> None:
    assert "nothing needs you" in first.entrepot("status")


def test_a_call_under_way_when_everything_is_killed_is_named_at_the_next_start(
    first: Start, starts: Callable[..., Start]
) -> None:
    found = json.loads((first.folder / "data" / "credentials.json").read_text())
    body = {
        "model": found["model"], "messages": [{"role": "user", "content": "Tell a story."}],
        "logit_bias": {"0": -100, "2": -100},  # the tokens that end an answer
    }  # fmt: skip
    host, port = found["base_url"].removeprefix("http://").removesuffix("/v1").split(":")
    with socket.create_connection((host, int(port))) as connection:
        text = json.dumps(body)
        connection.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {found['api_key']}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n{text}".encode()
        )
        time.sleep(0.5)
        first.kill_all()
    again = starts()
    screen = again.wait_for("Start afresh")
    assert re.search(r"^data/ has \d+ usage records?, the last of \d\d:\d\d:\d\d; journal whole$", screen, re.MULTILINE)
    assert (
        "data/: 1 call was under way when the last run was killed; it is recorded as estimated "
        "(entrepot usage --state estimated)\n"
    ) in screen
    assert found["api_key"] in screen
    assert "1 estimated" in again.entrepot("usage")


def test_a_taken_port_names_who_has_it_and_the_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        name = Path("/proc/self/comm").read_text().strip()
        done = subprocess.run(
            [ENTREPOT, "serve", "--port", str(port), "--admin-port", "0"],
            cwd=tmp_path, env={**ENVIRONMENT, "MAKELEVEL": "1"}, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
    assert done.returncode == 1
    what = rf"error: 127\.0\.0\.1:{port} is taken \(by {re.escape(name)}, process {os.getpid()}\)"
    assert re.fullmatch(what + r"\n  do    make serve PORT=\d+\n", done.stderr)


def test_a_broken_catalog_stops_the_first_start_and_says_why(tmp_path: Path) -> None:
    typed = {name: value for name, value in ENVIRONMENT.items() if name != "MAKELEVEL"}  # as if no make had started it
    (tmp_path / "shop.toml").write_text('format = 1\n[vendor]\na = { name = "A" }\n[upstream.x]\nvendor = "b"\n')
    done = subprocess.run(
        [ENTREPOT, "serve", "--port", "0", "--admin-port", "0", "--catalog", "shop.toml"],
        cwd=tmp_path, env=typed, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert re.match(r"shop\.toml: \d mistakes, nothing was changed\n\n  line 4 ", done.stderr)
    assert re.search(r"\n  do    correct them, then again: .*serve .*--catalog shop\.toml\n$", done.stderr)
    assert "error: " not in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_venv_module_make_says_how_to_get_it(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; sys.modules['ensurepip'] = None; sys.path.insert(0, sys.argv[1]); import install; "
        "install.VENV = pathlib.Path(sys.argv[2]); sys.exit(install.main('serve'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(ROOT / "requirements"), str(tmp_path / "venv")],
        env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert done.returncode == 1
    assert done.stderr == (
        f"error: this Python {version} cannot make a virtual environment (ensurepip is missing); "
        "Debian ships that part separately\n"
        "  do    sudo apt-get install python3-venv      then again: make serve\n"
    )


def _alike(a: list[float], b: list[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))
