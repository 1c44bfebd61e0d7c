"""Books and contracts → the price lists that gateways hold and charge by. A pure function of its arguments.

A customer whose contract changes nothing of its book has the book as its price list; others have one of their own,
named by what they agreed, so that those who agreed the same share it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from entrepot.catalog.contents import Catalog, Contract, Customer
from entrepot.catalog.prices import BookVersion, hours_of
from entrepot.catalog.standing import models_of
from entrepot.kernel.instants import DAY, HOUR, Instant
from entrepot.pricing.agreement import Agreement, Quote, agreement_of
from entrepot.pricing.book import conditions_of
from entrepot.pricing.rates import rates_together
from entrepot.snapshot.entries import PriceEntry, PriceVersion, Variant, to_bytes

#: Prices that begin within this time are in the snapshot: a gateway that hears nothing for so long still prices right.
AHEAD = 48 * HOUR
#: And those that ended no longer ago than this: a call admitted just before a change keeps its price.
BEHIND = HOUR
#: Price lists by what they were made of, kept from one compilation to the next: most do not change.
_KEPT = 200_000
_FOREVER: Instant = 1 << 62


class PriceList(NamedTuple):
    """Which contracts make it, one after the other, and which models it is asked for; None: all."""

    contracts: tuple[Contract, ...]
    models: frozenset[str] | None


class _Known(NamedTuple):
    """An entry, and for which `now` it is the same."""

    data: bytes
    since: Instant
    until: Instant


class PriceLists:
    """Compiles price lists; what was compiled before from the same is not compiled again."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, str, tuple[str, ...]], _Known] = {}

    def tables(self, catalog: Catalog, now: Instant) -> dict[str, bytes]:
        """Every price that a gateway may be asked for, by "list/model"."""
        lists = {each.book: PriceList((Contract(book=each.book),), None) for each in catalog.versions}
        for customer in catalog.customers.values():
            name, contracts = price_list_of(customer, now)
            models = frozenset(each.model for each in customer.deployments) or None
            if name not in lists:
                lists[name] = PriceList(contracts, models)
            elif lists[name].models is not None:
                more = frozenset.union(lists[name].models or frozenset(), models) if models else None
                lists[name] = PriceList(contracts, more)
        digests = {each.book: _digest(catalog.book(each.book)) for each in catalog.versions}
        found = {}
        for name, wanted in sorted(lists.items()):
            agreements = [_agreement(each, catalog) for each in wanted.contracts]
            books = [version for each in agreements for version in _versions(each)]
            made_of = repr((tuple(map(_terms, wanted.contracts)), sorted(digests.items())))
            mark = hashlib.sha256(made_of.encode()).digest()
            asked = models_of(books, catalog.models) if wanted.models is None else sorted(wanted.models)
            for model in asked:
                if any(each.names(model) for each in books):
                    data = self._entry(mark, agreements, model, catalog.vendors_of(model) or ("",), now)
                    if data:
                        found[f"{name}/{model}"] = data
        return found

    def _entry(
        self, mark: bytes, agreements: Sequence[Agreement], model: str, vendors: tuple[str, ...], now: Instant
    ) -> bytes:
        known = self._known.get((mark, model, vendors))
        if known is None or not known.since <= now < known.until:
            instants, until = _instants(agreements, model, now)
            entry = _compiled(agreements, model, vendors, instants)
            known = _Known(to_bytes(entry) if entry.versions else b"", now, until)
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[mark, model, vendors] = known
        return known.data


def price_list_of(customer: Customer, now: Instant) -> tuple[str, tuple[Contract, ...]]:
    """The name of the customer's price list, and the contracts that a snapshot of `now` covers."""
    contracts = tuple(
        each for each in customer.contracts
        if each.starts_at <= now + AHEAD and (not each.ends_at or now - BEHIND < each.ends_at)
    ) or (customer.contract(now),)  # fmt: skip
    first = contracts[0]
    if len(contracts) == 1 and not first.discount_percent and not first.rows:
        return first.book, (Contract(book=first.book),)
    if len(contracts) == 1:  # outside of its term no call is let in, so that its beginning and end make no other prices
        contracts = (msgspec.structs.replace(first, starts_at=0, ends_at=0),)
    digest = hashlib.sha256(repr(tuple(map(_terms, contracts))).encode()).hexdigest()
    return f"{first.book}@{digest[:16]}", contracts


def price_entry(versions: Sequence[BookVersion], model: str, now: Instant) -> PriceEntry:
    """Every version in force between BEHIND `now` and AHEAD of it, of one book and model."""
    agreements = [Agreement(book=tuple(versions))]
    return _compiled(agreements, model, ("",), _instants(agreements, model, now)[0])


def _terms(contract: Contract) -> tuple[object, ...]:
    """What of a contract makes its prices."""
    own = msgspec.json.encode((contract.discount_percent, contract.rows))
    return contract.book, contract.starts_at, contract.ends_at, own


def _agreement(contract: Contract, catalog: Catalog) -> Agreement:
    """A cost book is a price list, too: what we pay."""
    versions = catalog.book(contract.book)
    if versions and versions[0].buys_from:
        return Agreement(book=versions)
    return agreement_of(contract, catalog.versions)


def _digest(versions: Iterable[BookVersion]) -> bytes:
    return hashlib.sha256(msgspec.json.encode(list(versions))).digest()


def _versions(agreement: Agreement) -> list[BookVersion]:
    return [*agreement.book, *agreement.own]


def _instants(agreements: Sequence[Agreement], model: str, now: Instant) -> tuple[list[Instant], Instant]:
    """At which a price of the model may begin: the last one BEHIND `now`, and all until AHEAD of it. And the `now` from
    which on they are others."""
    found: set[Instant] = set()
    for each in agreements:
        books = [*_versions(each), *(version for cost in each.costs.values() for version in cost)]
        begins = {version.valid_from for version in books if version.names(model)}
        if each.starts_at:
            begins.add(each.starts_at)
        if begins:
            hours = {at for at in _hours(books, model, now) if at > min(begins)}
            found.update(at for at in begins | hours if each.in_term(at))
    past = [at for at in sorted(found) if at <= now - BEHIND]
    covered = [at for at in sorted(found) if now - BEHIND < at <= now + AHEAD]
    later = [at - AHEAD for at in found if at > now + AHEAD]
    return [*past[-1:], *covered], min([*(at + BEHIND for at in covered), *later], default=_FOREVER)


def _hours(books: Iterable[BookVersion], model: str, now: Instant) -> set[Instant]:
    """The instants at which hours of the day begin or end that a price depends on."""
    named = {thing.when.hours for each in books for thing, _ in each.of(model) if thing.when.hours}
    edges = {hour for hours in named for hour in _edges(hours_of(hours))}
    first = (now - BEHIND) // DAY * DAY - DAY
    return {
        first + day * DAY + hour * HOUR
        for hour in edges for day in range((AHEAD + BEHIND) // DAY + 4)
    }  # fmt: skip


def _edges(hours: frozenset[int]) -> set[int]:
    return {hour for hour in range(24) if (hour in hours) != ((hour - 1) % 24 in hours)}


def _compiled(
    agreements: Sequence[Agreement], model: str, vendors: Sequence[str], instants: Iterable[Instant]
) -> PriceEntry:
    by_vendor: dict[str, list[PriceVersion]] = {}
    on_cost = False
    for at in instants:
        agreement = next((each for each in reversed(agreements) if each.starts_at <= at), agreements[0])
        for vendor in vendors:
            quote = Quote(agreement, model, at, vendor)
            on_cost = on_cost or quote.on_cost
            by_vendor.setdefault(vendor, []).append(_version(agreement, quote, model, at, vendor))
    found = {vendor: tuple(versions) for vendor, versions in by_vendor.items()}
    plain = found.pop(vendors[0], ())
    return PriceEntry(versions=plain, by_vendor=found if on_cost else {})


def _version(agreement: Agreement, quote: Quote, model: str, at: Instant, vendor: str) -> PriceVersion:
    books = [*agreement.book, *agreement.own, *(agreement.costs.get(vendor, ()) if quote.on_cost else ())]
    conditions = conditions_of(books, model)
    rates = rates_together([quote.prices(when) for when in conditions], agreement.currency)
    plain = rates[0]
    variants = tuple(
        Variant(tier=when.tier, zone=when.zone, over=when.request_over, rates=each.per_bucket, request=each.request)
        for when, each in zip(conditions, rates, strict=True)
    )
    return PriceVersion(
        id=quote.name, valid_from=at, currency=agreement.currency, den=plain.den, rates=plain.per_bucket,
        variants=variants if len(variants) > 1 else (), request=plain.request,
    )  # fmt: skip

