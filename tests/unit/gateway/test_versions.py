"""Versions of a model as a customer meets them: pinned, followed, retired, under further names."""

from pathlib import Path
from typing import Any

import pytest
from test_azure import answered, ask
from test_exchange import ANSWER, Bench, head, run

from desks import KEY
from entrepot.catalog.lifecycle import Version
from entrepot.kernel.instants import SECOND, to_datetime
from entrepot.snapshot import DeploymentEntry
from entrepot.snapshot.entries import AliasEntry

START = 1_800_000_000 * SECOND
END = START + 60 * SECOND
VERSIONS = (
    Version(name="old", routes=(("openai", "m-old"),), lifecycle="deprecated", retires_at=END, replaced_by="gpt-5"),
    Version(name="new", routes=(("openai", "m-new"),)),
)
LIFE: dict[str, object] = {"versions": VERSIONS, "default": "new"}
ALIASES = (
    AliasEntry(name="gpt-4o-old", model="gpt-4o", version="old"),
    AliasEntry(name="latest", model="gpt-4o", version=""),
)


def deployed(name: str, version: str, upgrade: Any) -> DeploymentEntry:
    return DeploymentEntry(
        customer="acme", project="default", name=name, model="gpt-4o", output_cap=0, version=version, upgrade=upgrade
    )


def sent_to(bench: Bench, name: bytes) -> bytes:
    """The vendor's name of the model that a call under `name` goes to; b"" if it goes nowhere."""
    before = len(bench.sent)
    exchange = bench.call(model=name)
    bench.disk()
    if len(bench.sent) == before:
        return b""
    exchange.answer(head(len(ANSWER)), ANSWER)
    bench.disk()
    return bench.sent[-1].partition(b'"model":"')[2].partition(b'"')[0]


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (b"gpt-4o", b"m-new", b"m-new"),
        (b"latest", b"m-new", b"m-new"),
        (b"gpt-4o-old", b"m-old", b""),
        (b"x", b"", b""),
    ],
)
def test_further_names_lead_to_their_version_until_it_retires(
    tmp_path: Path, name: bytes, before: bytes, after: bytes
) -> None:
    async def work(bench: Bench) -> None:
        assert sent_to(bench, name) == before
        bench.at = END
        assert sent_to(bench, name) == after

    run(tmp_path, work, life=LIFE, aliases=ALIASES)


@pytest.mark.parametrize(
    ("version", "upgrade", "before", "after"),
    [("", "expired", b"m-new", b"m-new"), ("old", "expired", b"m-old", b"m-new"), ("old", "never", b"m-old", b"")],
)
def test_a_pinned_deployment_follows_when_its_version_expires_or_ends(
    tmp_path: Path, version: str, upgrade: str, before: bytes, after: bytes
) -> None:
    async def work(bench: Bench) -> None:
        assert sent_to(bench, b"mine") == before
        bench.at = END
        assert sent_to(bench, b"mine") == after

    run(tmp_path, work, life=LIFE, customer={"open": False}, deployments=(deployed("mine", version, upgrade),))


def test_a_retired_model_is_404_at_openai_and_410_at_azure(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        bench.at = END
        bench.call(model=b"gpt-4o-old")
        status, _, error = answered(bench)
        assert (status, error["error"]["code"], error["error"]["param"]) == (404, "model_retired", "model")
        assert error["error"]["message"].endswith("Use 'gpt-5' instead.")
        bench.wire.got = b""
        ask(bench, b"POST /openai/deployments/gpt-4o-old/chat/completions?api-version=2024-10-21 HTTP/1.1\r\n")
        status, _, error = answered(bench)
        assert (status, error["error"]["code"]) == (410, "410")

    run(tmp_path, work, life=LIFE, aliases=ALIASES)


def test_an_answer_of_a_version_that_will_end_says_when(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        assert sent_to(bench, b"gpt-4o-old") == b"m-old"
        assert answered(bench)[1]["sunset"] == to_datetime(END).strftime("%a, %d %b %Y %H:%M:%S GMT")
        bench.wire.got = b""
        assert sent_to(bench, b"gpt-4o") == b"m-new"
        assert "sunset" not in answered(bench)[1]

    run(tmp_path, work, life=LIFE, aliases=ALIASES)


def test_the_list_of_models_has_what_serves_now(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        def listed() -> dict[str, Any]:
            bench.wire.got = b""
            request = b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n\r\n" % KEY.encode()
            bench.client.data_received(request)
            return {one["id"]: one for one in answered(bench)[2]["data"]}

        found = listed()
        assert set(found) == {"gpt-4o", "gpt-4o-old", "latest"}
        assert found["gpt-4o-old"]["lifecycle_status"] == "deprecated"
        assert found["gpt-4o-old"]["deprecation"] == {"inference": END // SECOND}
        assert set(found["gpt-4o"]) == {"id", "object", "created", "owned_by"}
        bench.at = END
        assert set(listed()) == {"gpt-4o", "latest"}

    run(tmp_path, work, life=LIFE, aliases=ALIASES)


def test_what_a_key_may_not_use_is_answered_as_what_does_not_exist(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        said = []
        for name in (b"gpt-4o", b"gpt-4x"):  # the one exists for others of the project, the other for nobody
            bench.wire.got = b""
            bench.call(model=name)
            status, _, error = answered(bench)
            said.append((status, error["error"]["message"].replace(name.decode(), "NAME"), error["error"]["code"]))
        assert said[0] == said[1]
        assert "gpt-4o" not in said[0][1]

    run(tmp_path, work, life=LIFE, aliases=ALIASES, key={"models": ("latest",)})
