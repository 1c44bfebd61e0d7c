"""Where an operation is asked for at a vendor. Pure."""

from urllib.parse import quote, urlencode

_PATHS = {"chat": "chat/completions", "completion": "completions", "embedding": "embeddings", "models": "models"}
#: `api_version` of an Azure endpoint without classic paths.
AZURE_V1 = "v1"


def path_of(dialect: str, base: str, api_version: str, operation: str, vendor_model: str) -> str:
    """Path and query. `base` is the path of the endpoint's address: with /v1 for OpenAI's, before /openai for Azure's.

    Azure's classic paths name the deployment (the vendor's name of the model) and need an api-version; its v1 paths
    name it in the body, as OpenAI's do (reference/wire.md 3-5).
    """
    place = _PATHS[operation]
    if dialect != "azure":
        return f"{base}/{place}"
    if api_version == AZURE_V1:
        return f"{base}/openai/v1/{place}"
    version = urlencode({"api-version": api_version})
    if operation == "models":
        return f"{base}/openai/models?{version}"
    return f"{base}/openai/deployments/{quote(vendor_model, safe='')}/{place}?{version}"
