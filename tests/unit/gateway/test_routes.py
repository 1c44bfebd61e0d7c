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
        ("PUT /v1/embeddings", "POST"),
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
        ("/v1/models/", False), ("/openai/deployments/a/b/chat/completions", False),
        ("/openai/deployments//embeddings", False), ("/openai/v2/embeddings", False),
    ],
)  # fmt: skip
def test_the_base_url_is_only_explained_to_who_has_it_wrong(path: str, hint: bool) -> None:
    found = asked(f"POST {path}?api-version=2024-10-21")
    assert isinstance(found, Problem)
    assert found.code == "unknown_url"
    assert ("base URL that ends in /v1" in found.message) is hint


@pytest.mark.parametrize(
    ("path", "operation"),
    [("chat/completions", "chat"), ("completions", "completion"), ("embeddings", "embedding")],
)
def test_each_operation_has_a_path_in_both_dialects(path: str, operation: str) -> None:
    assert asked(f"POST /v1/{path}") == Route(operation, Dialect.OPENAI, method="POST")
    assert asked(f"POST /openai/v1/{path}") == Route(operation, Dialect.AZURE, method="POST")
    assert asked(f"POST /openai/deployments/d/{path}?api-version=2025-03-01-preview") == Route(
        operation, Dialect.AZURE, "d", method="POST"
    )


@pytest.mark.parametrize("path", ["/openai/models", "/openai/models/gpt", "/openai/deployments/d/embeddings"])
def test_a_classic_path_wants_an_api_version(path: str) -> None:
    method = "POST" if "deployments" in path else "GET"
    found = asked(f"{method} {path}")
    assert isinstance(found, Problem)
    assert (found.status, found.code) == (404, "api_version_missing")


@pytest.mark.parametrize(
    ("given", "good"),
    [
        ("2024-10-21", True), ("2024-06-01", True), ("2025-04-01-preview", True), ("2024-02-30-preview", False),
        ("2024-13-01-preview", False), ("2020-01-01-preview", False), ("2024-10-22", False), ("latest", False),
        ("2024-10-21-Preview", False), ("", False), ("2024-10-21&api-version=2024-06-01", False), ("1", False),
        ("2024-10-21&api-version=2024-10-21", True),
    ],
)  # fmt: skip
def test_only_versions_that_exist_are_taken(given: str, good: bool) -> None:
    found = asked(f"POST /openai/deployments/d/embeddings?api-version={given}")
    assert isinstance(found, Route) is good
    if isinstance(found, Problem) and given:
        assert (found.status, found.code, found.param) == (400, "api_version_unknown", "api-version")


@pytest.mark.parametrize(("given", "good"), [("", True), ("?api-version=preview", True), ("?api-version=x", False)])
def test_the_v1_paths_need_no_version(given: str, good: bool) -> None:
    assert isinstance(asked(f"POST /openai/v1/embeddings{given}"), Route) is good


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("POST /v1/responses", "kept"), ("GET /v1/files/file-1", "Files"), ("POST /v1/batches", "Batches"),
        ("POST /v1/audio/speech", "Audio"), ("POST /openai/v1/responses", "kept"),
        ("POST /openai/deployments/d/images/generations?api-version=2024-10-21", "Images"),
    ],
)  # fmt: skip
def test_what_is_not_served_is_refused_by_name(line: str, word: str) -> None:
    found = asked(line)
    assert isinstance(found, Problem)
    assert (found.status, found.code) == (404, "not_served")
    assert word in found.message


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/nothing", "/openai/deployments/d/embeddings"])
def test_options_is_answered_anywhere(path: str) -> None:
    found = asked(f"OPTIONS {path}")
    assert isinstance(found, Route)
    assert (found.operation, found.public) == ("cors", True)
