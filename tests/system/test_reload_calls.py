"""Calls of an official client, with no retry, while every process is replaced; and where nothing runs."""

import subprocess
import sys
import threading
from pathlib import Path

import openai

from entrepot.prove.house import House
from entrepot.prove.processes import start_vendor


def test_an_official_client_without_retries_sees_nothing_of_a_reload(tmp_path: Path) -> None:
    vendor = start_vendor(tmp_path / "ledger")
    house = House(vendor.port)
    try:
        house.start()
        house.first_answer()
        house.top_up()
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{house.port}/v1", api_key=house.key, max_retries=0)
        stop, failed, answered = threading.Event(), [], []

        def call(stream: bool) -> None:
            while not stop.is_set():
                try:
                    said = client.chat.completions.create(
                        model=house.model, messages=[{"role": "user", "content": "hi"}], max_tokens=20, stream=stream
                    )
                    answered.append(list(said)[-1] if stream else said)
                except openai.OpenAIError as error:
                    failed.append(repr(error))

        threads = [threading.Thread(target=call, args=(stream,)) for stream in (True, False, True)]
        for thread in threads:
            thread.start()
        try:
            for generation in (2, 3):
                facts = house.ask("reload")
                assert facts["generation"] == generation
                assert facts["replaced"][0] == "keeper"
                assert set(facts["replaced"]) == {"keeper", "gateway-1", "gateway-2", "control"}
            seen = len(answered)
            while len(answered) < seen + 20 and not failed:
                stop.wait(0.02)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert failed == []
        assert len(answered) > 20
        status = house.command("status").stdout
        assert "w3 answers" in status or "w1 answers" in status
        assert house.stop() == 0
        assert "all agree" in house.command("verify").stdout
        nothing = house.command("reload")
        assert nothing.returncode == 3
        assert "no server runs on" in nothing.stdout + nothing.stderr
    finally:
        house.end()
        vendor.end()


def test_a_reload_of_a_folder_that_never_was_says_so(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "import sys; from entrepot.cli import main; sys.argv[0] = 'entrepot'; main()"]
    done = subprocess.run(
        [*words, "reload", "--data", str(tmp_path / "none")], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 3
    assert "no server has run on" in done.stderr
