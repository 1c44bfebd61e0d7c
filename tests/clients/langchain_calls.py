"""langchain-openai against a started house: `langchain_calls.py BASE_URL AZURE_ENDPOINT KEY MODEL EMBEDDINGS`.

Run by the Python of .venv/clients. Prints in JSON what each way of calling brought.
"""

import json
import sys
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import AzureChatOpenAI, AzureOpenAIEmbeddings, ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

BASE, AZURE, KEY, MODEL, EMBEDDINGS = sys.argv[1:]
VERSION = "2024-10-21"


class Port(BaseModel):
    """A port."""

    city: str
    piers: list[int]


@tool
def find_port(city: str) -> str:
    """Find a port."""
    return city


def calls(model: Any) -> dict[str, Any]:
    answer = model.invoke("hello")
    parts = list(model.stream("hello", stream_usage=True))
    called = model.bind_tools([find_port]).invoke("hello")
    (wanted,) = called.tool_calls
    told = [HumanMessage("hello"), called, ToolMessage("7", tool_call_id=wanted["id"])]
    batch = model.batch(["a", "b", "c"])
    return {
        "text": answer.content,
        "usage": answer.usage_metadata["total_tokens"],
        "stream": "".join(part.content for part in parts),
        "stream_usage": sum((part.usage_metadata or {}).get("total_tokens", 0) for part in parts),
        "tool": [wanted["name"], wanted["args"]],
        "told": model.bind_tools([find_port]).invoke(told).content,
        "schema": model.with_structured_output(Port).invoke("hello").model_dump(),
        "function": model.with_structured_output(Port, method="function_calling").invoke("hello").model_dump(),
        "batch": [one.content for one in batch],
    }


def main() -> None:
    azure = {"azure_endpoint": AZURE, "api_key": KEY, "api_version": VERSION}
    embed = {"dimensions": 4, "check_embedding_ctx_length": False}  # its own counting loads a vocabulary from afar
    plain = OpenAIEmbeddings(base_url=BASE, api_key=KEY, model=EMBEDDINGS, **embed)
    theirs = AzureOpenAIEmbeddings(azure_deployment=EMBEDDINGS, model=EMBEDDINGS, **azure, **embed)
    found = {
        "openai": calls(ChatOpenAI(base_url=BASE, api_key=KEY, model=MODEL, max_retries=0)),
        "azure": calls(AzureChatOpenAI(azure_deployment=MODEL, **azure, max_retries=0)),
        "embeddings": [plain.embed_documents(["a", "b"]), [plain.embed_query("a")]],
        "azure_embeddings": [theirs.embed_documents(["a", "b"]), [theirs.embed_query("a")]],
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
