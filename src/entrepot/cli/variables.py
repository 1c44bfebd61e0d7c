"""The variables by which programs find a model service: which ones, and what they must be to lead here.

What the official SDKs read (openai-python 2.x `_client.py`, `lib/azure.py`), and two names that older programs read.
"""

import urllib.parse
from collections.abc import Mapping
from typing import Final

import msgspec

API_VERSION: Final = "2024-10-21"  # Azure's latest that is generally available under deployment paths
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_PROXIES: Final = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where calls go, and with which key."""

    base_url: str
    azure_endpoint: str
    key: str


def variables(target: Target, environment: Mapping[str, str]) -> dict[str, str | None]:
    """Name → value; None: it must not be there. `environment` is what the program would else see."""
    found: dict[str, str | None] = {
        "OPENAI_BASE_URL": target.base_url,
        "OPENAI_API_BASE": target.base_url,  # read by openai before 1.0 and by programs that began with it
        "OPENAI_API_KEY": target.key,
        "AZURE_OPENAI_ENDPOINT": target.azure_endpoint,
        "AZURE_OPENAI_API_KEY": target.key,
        "OPENAI_API_VERSION": API_VERSION,
    }
    if not environment.get("OPENAI_API_TYPE"):
        found["OPENAI_API_TYPE"] = "openai"  # with both kinds of key present, the SDK's module-level client asks which
    if "AZURE_OPENAI_AD_TOKEN" in environment:
        found["AZURE_OPENAI_AD_TOKEN"] = None  # the SDK prefers it to a key, and it would be sent here
    if any(environment.get(name) for name in _PROXIES):
        found |= _past_the_proxy(target, environment)
    return found


def applied(found: Mapping[str, str | None], environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with the variables in place."""
    return {name: value for name, value in {**environment, **found}.items() if value is not None}


def _past_the_proxy(target: Target, environment: Mapping[str, str]) -> dict[str, str | None]:
    """A proxy cannot reach this machine's own addresses, so the clients must not ask it to."""
    host = urllib.parse.urlsplit(target.base_url).hostname or ""
    if host not in _LOOPBACK:
        return {}
    before = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    names = [name.strip() for name in before.split(",") if name.strip()]
    if "*" in names or host in names:
        return {}
    after = ",".join([*names, host])
    return {"no_proxy": after, "NO_PROXY": after}
