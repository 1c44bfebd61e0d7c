"""Which operation a request line asks for, and what is said where there is none."""

import pytest

from entrepot.gateway.problem import Dialect, Problem
from entrepot.gateway.routes import Route, match
from entrepot.wire.http1 import parse_request_head


def asked(line: str) -> Route | Problem:
    return match(parse_request_head(f"{line} HTTP/1.1\r\nhost: x\r\n\r\n".encode()))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("gpt-4o", "gpt-4o"),
        ("org/model", "org/model"),
        ("org%2Fmodel", "org/model"),
        ("caf%C3%A9", "café"),
        ("a?b=c", "a"),
    ],
)
def test_one_model_is_asked_for_by_its_name(method: str, path: str, name: str) -> None:
    assert asked(f"{method} /v1/models/{path}") == Route(operation="models", dialect=Dialect.OPENAI, deployment=name)


def test_azures_classic_path_names_the_deployment() -> None:
    found = asked("POST /openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21")
    assert found == Route(operation="chat", dialect=Dialect.AZURE, deployment="my gpt", method="POST")


@pytest.mark.parametrize(
    ("line", "allow"),
    [
        ("GET /v1/chat/completions", "POST"),
        ("POST /v1/models", "GET"),
        ("DELETE /v1/models/gpt-4o", "GET"),
        ("GET /openai/deployments/x/chat/completions", "POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_one(line: str, allow: str) -> None:
    found = asked(line)
    assert isinstance(found, Problem)
    assert (found.status, found.allow) == (405, allow)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/chat/completions", True), ("/", True), ("/models", True), ("/v1/chat/completion", False),
        ("/v1/models/", False), ("/v1/embeddings", False), ("/openai/deployments/a/b/chat/completions", False),
        ("/openai/deployments/a/embeddings", False),
    ],
)  # fmt: skip
def test_the_base_url_is_only_explained_to_who_has_it_wrong(path: str, hint: bool) -> None:
    found = asked(f"POST {path}")
    assert isinstance(found, Problem)
    assert found.code == "unknown_url"
    assert ("base URL that ends in /v1" in found.message) is hint
