"""A vendor's endpoint as this worker calls it: its connections, the head of every request to it, the body it gets."""

import asyncio
from hashlib import sha256

from entrepot.gateway.desk import Offer
from entrepot.snapshot import UpstreamEntry
from entrepot.upstream.address import path_of
from entrepot.upstream.client import Budget, Pool, Target
from entrepot.wire.openai import Call
from entrepot.wire.rewrite import rewrite

_HEADS_LIMIT = 1_024  # (operation, the vendor's model) of one upstream
_SCOPE_LETTERS = 12


class Upstream:
    """One endpoint: connections, and heads that are put together once."""

    def __init__(  # noqa: PLR0917 made once, by the worker
        self,
        loop: asyncio.AbstractEventLoop,
        entry: UpstreamEntry,
        secret: bytes,
        local_socket: str,
        budget: Budget,
        proxy: Target | None,
    ) -> None:
        self.entry = entry
        if entry.dialect == "builtin":
            target = Target("http://builtin/v1", unix_path=local_socket)
        else:
            target = Target(entry.url)
        self.target = target
        self.pool = Pool(loop, target, budget=budget, proxy=None if target.unix_path else proxy)
        name = b"api-key: %b\r\n" if entry.dialect == "azure" else b"authorization: Bearer %b\r\n"
        self._credential = name % secret if secret else b""
        self._heads: dict[tuple[str, str], bytes] = {}

    def head(self, operation: str, vendor_model: str) -> bytes:
        """Head of a request up to the value of its length."""
        head = self._heads.get((operation, vendor_model))
        if head is None:
            entry, target = self.entry, self.target
            path = path_of(entry.dialect, target.path, entry.api_version, operation, vendor_model)
            head = (
                b"POST %b HTTP/1.1\r\nhost: %b\r\ncontent-type: application/json\r\n"
                b"accept: application/json, text/event-stream\r\naccept-encoding: identity\r\n"
                b"user-agent: entrepot\r\n%bcontent-length: "
                % (path.encode(), target.authority.encode(), self._credential)
            )
            if len(self._heads) < _HEADS_LIMIT:
                self._heads[operation, vendor_model] = head
        return head


def forwarded(offer: Offer, call: Call, body: bytes) -> bytes:
    """The body as the vendor gets it: the caller's bytes, but for what must change."""
    model = None if offer.vendor_model == call.model else offer.vendor_model
    force = call.stream and not call.include_usage
    cap = None
    if call.output_cap is None:
        if call.default_cap:
            cap = min(call.default_cap, offer.output_cap)
        elif offer.write_cap:
            cap = offer.output_cap
    elif call.output_cap > offer.output_max:
        cap = offer.output_max  # what is held is what the vendor may write
    scoped = "prompt_cache_key" in call.fields
    if model is None and not force and cap is None and not scoped and not call.store:
        return body
    return rewrite(
        body, call, model=model, force_usage=force, output_cap=cap,
        cap_field="max_tokens" if call.operation == "completion" else offer.cap_field,
        never_store=True, cache_scope=cache_scope(offer.customer.id) if scoped else "",
    )  # fmt: skip


def cache_scope(customer: str) -> str:
    """What stands before a customer's cache keys at a vendor: the same for all its calls, and telling nobody its name.
    Customers share our account there, and no cache of one may answer another."""
    return sha256(b"prompt cache of " + customer.encode()).hexdigest()[:_SCOPE_LETTERS]
