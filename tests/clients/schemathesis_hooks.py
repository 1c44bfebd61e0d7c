"""What the checker of our answers has to know: which model exists here, and that its calls are to be cheap."""

import json
import os

import schemathesis

MODELS = {"/embeddings": os.environ["CHECK_EMBEDDINGS"]}
CHAT = os.environ["CHECK_MODEL"]


def _model(path: str) -> str:
    return next((model for end, model in MODELS.items() if path.endswith(end)), CHAT)


@schemathesis.hook
def map_body(context, body):  # type: ignore[no-untyped-def]
    """The model is one that is for sale, and calls are cheap. Vectors are asked for as numbers, the files describe no
    others, and for something, which Azure's forgets to require. No stream: the files describe its chunks, the checker
    wants to see events. No tool is called: OpenAI's file tells kinds of calls apart by names that no call has. No cap
    of 0 and no empty input, which are refused: errors of /openai/v1 have a type there that Azure does not send. A field
    that nobody knows has a name that needs no escapes."""
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if json.dumps(name) == f'"{name}"'}
        body["model"] = _model(context.operation.path)
        if body.get("encoding_format") == "base64":
            body["encoding_format"] = "float"
        if context.operation.path.endswith("/embeddings"):
            given = body.get("input")
            body["input"] = ([one for one in given if one != []] if isinstance(given, list) else given) or "x"
        body.pop("stream_options", None)
        if "tools" in body:
            body["tool_choice"] = "none"
        for cap in ("max_tokens", "max_completion_tokens"):
            if isinstance(body.get(cap), int):
                body[cap] = max(1, min(body[cap], 1_000))
        for many in ("n", "best_of"):
            if isinstance(body.get(many), int):
                body[many] = min(body[many], 4)
        if "stream" in body:
            body["stream"] = False
    return body


@schemathesis.hook
def map_headers(context, headers):  # type: ignore[no-untyped-def]
    """The one key that we give, not one more under each name."""
    return {name: value for name, value in (headers or {}).items() if name.lower() not in ("authorization", "api-key")}


@schemathesis.hook
def map_path_parameters(context, path_parameters):  # type: ignore[no-untyped-def]
    """So are the deployment of Azure's paths and the model that is looked up."""
    given = dict(path_parameters or {})
    for name in ("deployment-id", "model"):
        if name in given:
            given[name] = _model(context.operation.path)
    return given


@schemathesis.hook
def map_query(context, query):  # type: ignore[no-untyped-def]
    """A version that exists; the newer paths need none."""
    kept = {name: value for name, value in (query or {}).items() if name != "api-version"}
    return {**kept, "api-version": os.environ["CHECK_VERSION"]} if "{deployment-id}" in context.operation.path else kept


@schemathesis.hook
def after_call(context, case, response):  # type: ignore[no-untyped-def]
    """One line a call, for the test to look at."""
    with open(os.environ["CHECK_LOG"], "a", encoding="utf-8") as log:
        path = f"{case.method.upper()} {case.operation.path}"
        log.write(json.dumps({"call": path, "status": response.status_code, "text": response.text[:500]}) + "\n")
