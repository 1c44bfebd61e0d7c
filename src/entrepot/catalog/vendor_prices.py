"""What vendors say they charge, from the data of genai-prices, as cost books for a person to review and apply.

Only models of the catalog are looked up, each by the vendor's own name for it. What the data says and a book cannot say
(a search per call, half hours) is told and not proposed; nothing is ever published from here. Pure.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from entrepot.catalog.contents import Catalog, Model, Vendor
from entrepot.catalog.contract_rules import NOTICE, round_up
from entrepot.catalog.export import export
from entrepot.catalog.issues import did_you_mean
from entrepot.catalog.prices import ALWAYS, REQUEST, BookVersion, PriceRow, When
from entrepot.catalog.standing import everything
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import DAY, Instant, from_datetime, show, to_datetime
from entrepot.kernel.text import plain

#: Field of the data → meter, all per million but the last, which is per thousand.
_METERS = {
    "input_mtok": "input", "cache_read_mtok": "cached", "cache_write_mtok": "cache_write", "output_mtok": "output",
    "output_reasoning_mtok": "reasoning", "input_audio_mtok": "audio_input", "output_audio_mtok": "audio_output",
    "input_image_mtok": "image_input", "requests_kcount": REQUEST,
}  # fmt: skip
_WHOLE_HOURS = re.compile(r"(\d\d):00:00Z")
_CAUTION = "Vendors change their prices, and this data may be wrong: compare it with your own price list, then apply."
_LONGEST = 200  # letters of a pattern or a name: the data is a stranger's


class PriceDataBroken(EntrepotError):
    """The file is not what genai-prices publishes."""

    code = "price_data_broken"
    fault = Fault.CALLER


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A catalog text, the models whose price is in it, and what a person has to look at."""

    text: str
    models: tuple[str, ...]
    same: tuple[str, ...]  # the book says so already
    notes: tuple[str, ...]


def read_data(text: str) -> list[dict[str, Any]]:
    """The providers of a `data.json` (v2). Raises PriceDataBroken."""
    try:
        data = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise PriceDataBroken(f"the file is no JSON: {error}") from None
    if not isinstance(data, list) or not all(isinstance(each, dict) and "models" in each for each in data):
        raise PriceDataBroken("the file is no list of providers; prices/new_data/v2/data.json of genai-prices is one")
    return data


def propose(
    catalog: Catalog, data: Sequence[Mapping[str, Any]], providers: Mapping[str, str], source: str, now: Instant
) -> Proposal:
    """Cost books for every vendor of the catalog that is a provider of the data: by `providers` (vendor → provider),
    else by the address of its upstreams. `source` says where the data comes from. Raises PriceDataBroken."""
    known = {str(each.get("id")): each for each in data}
    for named, provider in providers.items():
        if named not in catalog.vendors:
            raise PriceDataBroken(f'no vendor is called "{named}".{did_you_mean(named, catalog.vendors)}')
        if provider not in known:
            raise PriceDataBroken(f'the data has no provider "{provider}".{did_you_mean(provider, known)}')
    found = []
    for vendor in sorted(catalog.vendors.values(), key=lambda each: each.id):
        name = providers.get(vendor.id) or _by_address(catalog, vendor.id, data)
        if name:
            others = known[name].get("fallback_model_providers") or []
            places = [known[name], *(known[each] for each in others if each in known)]
            found.append(_Lookup(catalog, vendor, places, now))
            found[-1].look()
    versions = tuple(version for each in found for version in each.proposed())
    heads = [each.provenance(source, now) for each in found if each.versions]
    comments = [f"# {_one_line(each)}" for each in (*heads, _CAUTION)]
    text = "\n".join([*comments, "", export(Catalog(versions=versions))])
    return Proposal(
        text=text if versions else "", models=tuple(model for each in found for model in each.priced),
        same=tuple(model for each in found for model in each.same),
        notes=tuple(dict.fromkeys(note for each in found for note in each.notes)),
    )  # fmt: skip


class _Lookup:
    """The models of one vendor, looked up at one provider of the data, then at those whose models it serves too."""

    def __init__(self, catalog: Catalog, vendor: Vendor, places: Sequence[Mapping[str, Any]], now: Instant) -> None:
        self.catalog, self.vendor, self.places, self.provider = catalog, vendor.id, places, places[0]
        self.standing = [each for each in catalog.versions if each.buys_from == vendor.id]
        self.book = self.standing[0].book if self.standing else f"{vendor.id}-cost"
        self.currency = self.standing[0].currency if self.standing else "USD"
        month = to_datetime(now).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        self.starts_at = -(-round_up(now + NOTICE) // DAY) * DAY if self.standing else from_datetime(month)
        self.versions: dict[Instant, list[PriceRow]] = {}
        self.priced: list[str] = []
        self.same: list[str] = []
        self.notes: list[str] = []

    def look(self) -> None:
        if self.currency != "USD":
            self.notes.append(f"{self.book} is in {self.currency} and the data in USD: nothing is proposed for it")
            return
        for model in sorted(self.catalog.models.values(), key=lambda each: each.id):
            names = self._names(model)
            entry = next(filter(None, (_find(place, name) for place in self.places for name in names)), None)
            if entry is None:
                self.notes += [f"{model.id}: {self.provider['id']} has no {' or '.join(names)}"] if names else []
            else:
                self._take(model.id, entry)

    def provenance(self, source: str, now: Instant) -> str:
        url = next((str(each) for each in self.provider.get("pricing_urls") or ()), "")
        return f"{self.vendor}: proposed {show(now)} from {source}, provider {self.provider['id']}. {url}"

    def proposed(self) -> list[BookVersion]:
        return [
            BookVersion(book=self.book, buys_from=self.vendor, currency=self.currency, valid_from=at, rows=tuple(rows))
            for at, rows in sorted(self.versions.items())
        ]

    def _names(self, model: Model) -> list[str]:
        """What the vendor calls the model: in the version that deployments follow, in others, then our own name."""
        versions = sorted(model.versions, key=lambda each: each.name != model.default)
        routes = [
            name for version in versions for upstream, name in version.routes
            if upstream in self.catalog.upstreams and self.catalog.upstreams[upstream].vendor == self.vendor
        ]  # fmt: skip
        return list(dict.fromkeys([*routes, model.id])) if routes else []

    def _take(self, model: str, entry: Mapping[str, Any]) -> None:
        """Rows of one model, those that the book does not say already."""
        dated: dict[Instant, list[PriceRow]] = {}
        for starts_at, rows in self._entries(model, entry):
            dated.setdefault(starts_at, []).extend(rows)
        past = [at for at in dated if at <= self.starts_at]
        wanted = {at: rows for at, rows in dated.items() if at > self.starts_at}
        if past:
            wanted[self.starts_at] = dated[max(past)]
        fresh = {at: [row for row in rows if self._is_new(row, at)] for at, rows in wanted.items()}
        for at, rows in fresh.items():
            if rows:
                self.versions.setdefault(at, []).extend(rows)
        said = {thing for row in wanted.get(self.starts_at, ()) for thing in row.says()}
        gone = [each for each in everything(self.standing, self.starts_at) if each.model == model and each not in said]
        self.notes += [f"{thing} stands in {self.book} and not in the data: it stays" for thing in gone]
        (self.priced if any(fresh.values()) else self.same).append(model)

    def _is_new(self, row: PriceRow, at: Instant) -> bool:
        said = everything(self.standing, at)
        return any(thing not in said or said[thing].said != says for thing, says in row.says().items())

    def _entries(self, model: str, entry: Mapping[str, Any]) -> Iterator[tuple[Instant, list[PriceRow]]]:
        """Rows and the instant from which they hold (0: always), as the data has them."""
        prices = entry.get("prices")
        for each in prices if isinstance(prices, list) else [{"prices": prices}]:
            constraint = each.get("constraint") or {}
            hours = ""
            if "start_time" in constraint:
                hours = _hours(constraint)
                if not hours:
                    times = f"{constraint.get('start_time')} to {constraint.get('end_time')}"
                    self.notes.append(f"{model}: a price from {times} is not proposed; hours of a book are whole ones")
                    continue
            yield _day(constraint.get("start_date")), list(self._rows(model, each.get("prices") or {}, hours))

    def _rows(self, model: str, prices: Mapping[str, Any], hours: str) -> Iterable[PriceRow]:
        """One row, and one for each bracket."""
        rows: dict[int, dict[str, Decimal]] = {}
        for field, price in prices.items():
            meter = _METERS.get(field)
            if meter is None:
                self.notes.append(f"{model}: {field} is not proposed; nothing here counts it")
                continue
            for over, amount in _brackets(price):
                exact = amount if meter != REQUEST else amount.scaleb(-3)
                rows.setdefault(over, {})[meter] = exact
        for over, found in sorted(rows.items()):
            when = When(request_over=over, hours=hours) if over or hours else ALWAYS
            yield PriceRow(model=model, prices=found, when=when)


def _brackets(price: Any) -> Iterator[tuple[int, Decimal]]:
    if isinstance(price, Mapping):
        yield 0, _exact(price.get("base"))
        for tier in price.get("tiers") or ():
            yield int(tier["start"]), _exact(tier["price"])
    else:
        yield 0, _exact(price)


def _exact(number: Any) -> Decimal:
    if isinstance(number, bool) or not isinstance(number, int | Decimal) or not 0 <= number < 10**6:
        raise PriceDataBroken(f"{number!r} is no price per million")
    return Decimal(number)


def _hours(constraint: Mapping[str, Any]) -> str:
    first, end = (_WHOLE_HOURS.fullmatch(str(constraint.get(name))) for name in ("start_time", "end_time"))
    return f"{first[1]}-{end[1]}" if first and end else ""


def _day(text: Any) -> Instant:
    if text is None:
        return 0
    try:
        return from_datetime(datetime.fromisoformat(str(text)).replace(tzinfo=UTC))
    except ValueError:
        raise PriceDataBroken(f"{text!r} is no date") from None


def _by_address(catalog: Catalog, vendor: str, data: Sequence[Mapping[str, Any]]) -> str:
    """The provider whose addresses one of the vendor's upstreams has."""
    urls = [each.url for each in catalog.upstreams.values() if each.vendor == vendor and each.url]
    for provider in data:
        pattern = str(provider.get("api_pattern") or "")
        if pattern and len(pattern) <= _LONGEST and any(_matches(pattern, url) for url in urls):
            return str(provider.get("id"))
    return ""


def _find(provider: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """The first model of the provider whose rule the name fits: the order of the data decides, as its readers do."""
    found: Mapping[str, Any]
    for found in provider.get("models") or ():
        if _fits(found.get("match") or {}, name.lower()):
            return found
    return None


def _fits(rule: Mapping[str, Any], name: str) -> bool:
    for word, what in rule.items():
        match word:
            case "or":
                return any(_fits(each, name) for each in what)
            case "and":
                return all(_fits(each, name) for each in what)
            case "equals":
                return name == str(what).lower()
            case "starts_with":
                return name.startswith(str(what).lower())
            case "ends_with":
                return name.endswith(str(what).lower())
            case "contains":
                return str(what).lower() in name
            case "regex":
                return len(str(what)) <= _LONGEST and _matches(str(what), name)
    return False


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text[:_LONGEST]) is not None
    except re.error:
        return False


def _one_line(text: str) -> str:
    """On one line of a comment."""
    return plain(" ".join(text.split()))
