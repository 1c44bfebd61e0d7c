"""What a worker knows when a call comes: who calls, and what the deployment that is called offers.

What depends only on (key, deployment) is worked out once per snapshot and kept as an Offer, so that a call compares
numbers.
"""

import hmac
from collections.abc import Callable
from difflib import get_close_matches

import msgspec

from entrepot.catalog.lifecycle import Version
from entrepot.customers.key import KeyBroken, hmac_of, parse
from entrepot.gateway import problem
from entrepot.gateway.heads import sunset_line
from entrepot.gateway.problem import Problem
from entrepot.gateway.ratelines import Allowance
from entrepot.gateway.rates import Rates
from entrepot.gateway.tariff import Tariff, in_zone
from entrepot.kernel.buckets import INPUT_SIDE, OUTPUT, OUTPUT_SIDE
from entrepot.kernel.instants import Instant
from entrepot.kernel.instants import show as show_instant
from entrepot.limits.budget import period_of
from entrepot.limits.lease import Lease
from entrepot.metering.record import Terms
from entrepot.snapshot import (
    CustomerEntry,
    DeploymentEntry,
    KeyEntry,
    LimitEntry,
    ModelEntry,
    PriceVersion,
    Snapshot,
    UpstreamEntry,
)

_FOREVER: Instant = 1 << 62
_OFFERS_KEPT = 20_000
_encode = msgspec.msgpack.Encoder().encode


class Offer:
    """One deployment as one key may call it, in [`valid_from`, `valid_until`) or until the next snapshot.

    `leases` are what its calls draw on, all or nothing: the balance, then the hard budgets.
    """

    __slots__ = (
        "allowance", "builtin", "cap_field", "context", "customer", "den", "deployment", "input_rate", "key", "leases",
        "model", "notice", "output_cap", "output_max", "output_priced", "output_rate", "raw_terms", "request_rate",
        "routes", "tariff", "terms", "upstream", "valid_from", "valid_until", "vendor_model", "write_cap",
    )  # fmt: skip

    def __init__(  # noqa: PLR0917 the one place that puts an offer together
        self,
        key: KeyEntry,
        customer: CustomerEntry,
        deployment: DeploymentEntry,
        model: ModelEntry,
        upstream: UpstreamEntry,
        vendor_model: str,
        served: Version,
        terms: Terms,
        valid: tuple[Instant, Instant],
        leases: tuple[Lease, ...],
        tariff: Tariff | None = None,
    ) -> None:
        self.key = key
        self.customer = customer
        self.deployment = deployment
        self.model = model
        self.upstream = upstream
        self.vendor_model = vendor_model
        self.routes = served.routes
        self.notice = sunset_line(served.retires_at)
        self.terms = terms
        self.raw_terms = msgspec.Raw(_encode(terms))
        self.valid_from, self.valid_until = valid
        self.leases = leases
        self.tariff = tariff  # where the books have conditions
        self.allowance: Allowance | None = None
        self.builtin = False  # one of the model's routes is the built-in engine: it knows fewer fields
        self.den = terms.den
        self.input_rate = max(terms.rates[b] for b in INPUT_SIDE)
        self.output_rate = max(terms.rates[b] for b in OUTPUT_SIDE)
        self.request_rate = terms.request_rate
        self.output_priced = terms.rates[OUTPUT] >= 0
        self.context = model.context
        self.output_max = model.output_max
        self.output_cap = deployment.output_cap or model.output_max
        # a cap that only we know must be said to the vendor; the built-in engine has none of its own
        self.write_cap = bool(deployment.output_cap) or upstream.dialect == "builtin"
        self.cap_field = "max_tokens" if upstream.dialect == "builtin" else "max_completion_tokens"

    def held(self, tier: str, input_bound: int) -> tuple[int, int, int]:
        """(input, output, request) rates to hold by: the dearest that such a call can come to."""
        if self.tariff is None:
            return self.input_rate, self.output_rate, self.request_rate
        return self.tariff.held(tier, input_bound)


class Desk:
    """What admission looks at: a snapshot, this worker's leases, the deny list, and what was worked out from them."""

    def __init__(
        self, snapshot: Snapshot, pepper: bytes, lease_of: Callable[[str], Lease], rates: Rates | None = None
    ) -> None:
        self.snapshot = snapshot
        self.pepper = pepper
        self.lease_of = lease_of
        self.rates = rates
        self.denied: set[str] = set()
        self.generation = 0  # of what keys are judged by: a new one ends every earlier judgement
        self._keys: dict[bytes, tuple[KeyEntry, CustomerEntry, Instant]] = {}
        self._offers: dict[tuple[str, str, int], Offer] = {}
        self._allowances: dict[str, Allowance | None] = {}

    def renew(self, snapshot: Snapshot) -> None:
        """Answer from this snapshot from now on."""
        self.snapshot = snapshot
        self.generation += 1
        self._keys.clear()
        self._offers.clear()
        self._allowances.clear()
        if self.rates is not None:
            self.rates.renew(snapshot.version)

    def deny(self, key_ids: list[str]) -> None:
        """Refuse these keys, whatever the snapshot says."""
        self.denied.update(key_ids)
        self.generation += 1
        self._keys.clear()

    def authenticate(self, presented: bytes, now: Instant) -> tuple[KeyEntry, CustomerEntry] | Problem:
        """The key behind a credential. Checksum before any look-up; the MAC is compared in constant time.

        A credential found good is remembered until the next snapshot, so that a call does not pay for a MAC again.
        """
        known = self._keys.get(presented)
        if known is not None and now < known[2]:
            return known[0], known[1]
        try:
            parsed = parse(presented.decode("ascii", "replace"))
        except KeyBroken as broken:
            return problem.bad_key(broken.message)
        wrong = problem.bad_key(
            f"Incorrect API key provided: ep_live_{parsed.id[:4]}…. It is unknown here or was revoked."
        )
        key = self.snapshot.key(parsed.id)
        if key is None or key.id in self.denied:
            return wrong
        mac = hmac_of(self.pepper, parsed.secret)
        until = 0
        for secret in key.secrets:
            if hmac.compare_digest(secret.hmac, mac):
                until = secret.expires_at or _FOREVER
        if not until:
            return wrong
        until = min(until, key.expires_at or _FOREVER)
        if now >= until:
            return problem.bad_key(
                f"The API key ep_live_{key.id[:4]}… has expired. Ask for a new one.", code="expired_api_key"
            )
        customer = self.snapshot.customer(key.customer)
        if customer is None:
            return wrong
        if len(self._keys) >= _OFFERS_KEPT:
            self._keys.clear()
        self._keys[presented] = (key, customer, until)
        return key, customer

    def good_until(self, presented: bytes) -> Instant:
        """When the credential that was just found good ends."""
        known = self._keys.get(presented)
        return known[2] if known is not None else 0

    def turned_away(self, key: KeyEntry, customer: CustomerEntry) -> Problem | None:
        """Why a call that had to wait may not go out any more: its key was revoked, or its customer suspended."""
        buyer = self.snapshot.customer(customer.id)
        if buyer is None or key.id in self.denied or self.snapshot.key(key.id) is None:
            return problem.bad_key(f"The API key ep_live_{key.id[:4]}… was revoked.")
        return problem.suspended() if buyer.state != "active" else None

    def usable(self, key: KeyEntry) -> list[DeploymentEntry]:
        """The deployments of the key's project that its scope allows."""
        found = self.snapshot.deployments(key.customer, key.project)
        return found if key.models is None else [d for d in found if d.name in key.models]

    def offer(self, key: KeyEntry, customer: CustomerEntry, name: str, at: Instant, route: int = 0) -> Offer | Problem:
        """The offer behind a deployment name, or why there is none (unpriced: a Problem without request id)."""
        mark = (key.id, name, route)
        offer = self._offers.get(mark)
        if offer is not None and offer.valid_from <= at < offer.valid_until:  # a clock may step back, too
            return offer
        found = self._work_out(key, customer, name, at, route)
        if isinstance(found, Offer):
            if len(self._offers) >= _OFFERS_KEPT:
                self._offers.clear()
            self._offers[mark] = found
        return found

    def offer_anew(self, offer: Offer, at: Instant, route: int) -> Offer | Problem:
        """The same deployment on another route, by what is known of key and customer now."""
        key = self.snapshot.key(offer.key.id)
        customer = self.snapshot.customer(offer.customer.id)
        if key is None or customer is None or key.id in self.denied:
            return problem.upstream_failed("connect")
        return self.offer(key, customer, offer.deployment.name, at, route)

    def _work_out(self, key: KeyEntry, customer: CustomerEntry, name: str, at: Instant, route: int) -> Offer | Problem:
        snapshot = self.snapshot
        if at < customer.starts_at:
            return problem.out_of_contract(show_instant(customer.starts_at), "")
        if 0 < customer.ends_at <= at:
            return problem.out_of_contract("", show_instant(customer.ends_at))
        deployment = None
        if key.models is None or name in key.models:
            deployment = snapshot.deployment(key.customer, key.project, name)
        model = snapshot.model(deployment.model) if deployment else None
        if deployment is None or model is None:
            names = [d.name for d in self.usable(key)]
            close = get_close_matches(name[:100], names, n=1)
            return problem.unknown_model(name[:100], names, close[0] if close else None)
        served, served_since = model.version(deployment, at)
        if not served.serves(at):
            return problem.model_retired(name, served.replaced_by)
        if route >= len(served.routes):
            return problem.upstream_failed("connect")
        upstream_id, vendor_model = served.routes[route]
        upstream = snapshot.upstream(upstream_id)
        prices = snapshot.prices(customer.book, model.id)
        version, since, until = _in_force(prices.of(upstream.vendor) if prices and upstream else (), at)
        if upstream is None or version is None or not version.sells(model.operations):
            return problem.not_priced(name, "")
        costs = snapshot.prices(upstream.cost_book, model.id) if upstream.cost_book else None
        cost, cost_since, cost_until = _in_force(costs.versions if costs else (), at)
        since = max(since, cost_since, served_since)
        until = min(until, cost_until, served.retires_at or _FOREVER)
        hard: list[str] = []
        soft: list[str] = []
        for budget in (*customer.budgets, key.budget):
            if budget is not None and budget.covers(key.project, key.id):
                period = period_of(budget.per, at)
                since, until = max(since, period.starts_at), min(until, period.ends_at)
                (hard if budget.hard else soft).append(budget.lease_id(customer.id, at))
        price_book = in_zone(version, upstream.zone)
        cost_book = in_zone(cost, upstream.zone) if cost else None
        terms = Terms(
            key=key.id, customer=customer.id, project=key.project, deployment=deployment.name, model=model.id,
            upstream=upstream.id, vendor=upstream.vendor, zone=upstream.zone, balance=customer.balance,
            currency=version.currency, price_version=version.id, den=version.den,
            rates=price_book.at("", 0).per_bucket, request_rate=price_book.at("", 0).request,
            cost_version=cost.id if cost else "", cost_currency=cost.currency if cost else "",
            cost_den=cost.den if cost else 1, cost_rates=cost_book.at("", 0).per_bucket if cost_book else (-1,) * 8,
            cost_request_rate=cost_book.at("", 0).request if cost_book else 0,
            budgets=tuple(hard), watched=tuple(soft),
        )  # fmt: skip
        offer = Offer(
            key, customer, deployment, model, upstream, vendor_model, served, terms,
            (max(since, customer.starts_at), min(until, customer.ends_at or _FOREVER)),
            tuple(map(self.lease_of, terms.drawn_on)),
            Tariff(terms, price_book, cost_book) if version.variants or (cost and cost.variants) else None,
        )  # fmt: skip
        routes = (snapshot.upstream(each) for each, _ in offer.routes)
        offer.builtin = any(entry is not None and entry.dialect == "builtin" for entry in routes)
        if self.rates is not None:
            offer.allowance = self.rates.allowance(limits_of(key, customer, deployment, upstream.zone))
        return offer

    def allowance(self, key: KeyEntry, customer: CustomerEntry) -> Allowance | None:
        """The limits of a caller, whatever it calls: what a request counts for that no offer was found for."""
        if self.rates is None:
            return None
        if key.id not in self._allowances:
            if len(self._allowances) >= _OFFERS_KEPT:
                self._allowances.clear()
            self._allowances[key.id] = self.rates.allowance(limits_of(key, customer))
        return self._allowances[key.id]


def limits_of(
    key: KeyEntry, customer: CustomerEntry, deployment: DeploymentEntry | None = None, zone: str = ""
) -> list[tuple[str, str, LimitEntry]]:
    """Every limit that a call counts for: its id, whose it is in the caller's words, its numbers. Without a deployment
    those of the caller alone."""
    found = []
    if key.limit is not None:
        found.append((key.limit.id, "this key", key.limit))
    for limit in customer.limits:
        if limit.scope == "customer":
            found.append((limit.id, "your account", limit))
        elif limit.scope == "each_key":
            found.append((f"{limit.id}/{key.id}", "this key", limit))
        elif limit.scope == "project":
            if limit.project == key.project:
                found.append((limit.id, f"project {limit.project}", limit))
        elif deployment is not None and limit.model == deployment.model and limit.zone in ("", zone):
            where = f" in {limit.zone}" if limit.zone else ""
            found.append((limit.id, f"your quota of {limit.model}{where}", limit))
    if deployment is not None and deployment.limit is not None:
        found.append((deployment.limit.id, f"deployment {deployment.name}", deployment.limit))
    return found


def _in_force(versions: tuple[PriceVersion, ...], at: Instant) -> tuple[PriceVersion | None, Instant, Instant]:
    """The version valid at `at`, since when, and the instant at which another one takes over."""
    found: PriceVersion | None = None
    since = 0
    for version in versions:
        if version.valid_from > at:
            return found, since, version.valid_from
        found, since = version, version.valid_from
    return found, since, _FOREVER
