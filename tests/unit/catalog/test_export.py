"""An export is a file that changes nothing when it is applied."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.catalog.contents import (
    Catalog,
    Contract,
    Customer,
    DeclaredBudget,
    DeclaredLimit,
    Deployment,
    Model,
    Operator,
    Pays,
    Quota,
    Rates,
    Upstream,
    Vendor,
)
from entrepot.catalog.difference import difference
from entrepot.catalog.export import export
from entrepot.catalog.file import read
from entrepot.catalog.lifecycle import Version
from entrepot.catalog.prices import BookVersion, PriceRow
from entrepot.kernel.buckets import BUCKETS
from entrepot.kernel.instants import DAY, HOUR, MINUTE
from entrepot.pricing.publication import check

NOW = 1_795_262_400_000_000
VERSIONS = ("2026-01-01", "2026-07-01")  # longer than a model's name here, so that no dated name is one
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
abouts = st.dictionaries(st.sampled_from(["name", "contact", "order", "buyer_reference"]), words, max_size=3)
addresses = st.dictionaries(st.sampled_from(["street", "postcode", "city"]), words, max_size=3) | st.fixed_dictionaries(
    {"country": st.sampled_from(["DE", "US"]), "street": words}
)
operators = st.builds(
    lambda address, invoice: Operator({"name": "Shop", "address": address, "invoice": invoice}), addresses,
    st.fixed_dictionaries({}, optional={
        "series": st.just("R/{n}"), "due_days": st.integers(1, 90), "iban": st.just("DE89 3704 0044 0532 0130 00"),
    }),
)  # fmt: skip
prices = st.decimals(0, 10**6, places=6) | st.integers(0, 999).map(Decimal)
instants = st.integers(-5 * 365 * DAY, 365 * DAY).map(lambda offset: NOW + offset)


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    vendors = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    upstreams = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    models = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    sizes = {model: draw(st.integers(1, 10**6)) for model in models}
    books = draw(st.lists(names, min_size=1, max_size=2, unique=True))
    currency = draw(st.sampled_from(["USD", "EUR", "JPY"]))
    return Catalog(
        operator=draw(st.none() | operators),
        vendors={each: Vendor(each, {"name": draw(words)}) for each in vendors},
        upstreams={each: draw(upstreams_of(each, vendors)) for each in upstreams},
        models={each: draw(models_of(each, sizes[each], upstreams, models)) for each in models},
        versions=tuple(each for book in books for each in draw(versions_of(book, currency, models))),
        customers={
            each: draw(customers_of(each, books, sizes)) for each in draw(st.lists(names, max_size=2, unique=True))
        },
    )  # fmt: skip


def has_versions(size: int) -> bool:
    """Chance enough: whether a model of this context has named versions."""
    return size % 2 == 1


@st.composite
def models_of(draw: st.DrawFn, name: str, size: int, upstreams: list[str], models: list[str]) -> Model:
    named = VERSIONS[: draw(st.integers(1, 2))] if has_versions(size) else ("",)
    versions = tuple(
        Version(
            name=each,
            routes=tuple(draw(st.lists(st.tuples(st.sampled_from(upstreams), names), min_size=1, max_size=2))),
            lifecycle=draw(st.sampled_from(("preview", "ga", "legacy", "deprecated", "retired"))),
            retires_at=draw(st.just(0) | instants), replaced_by=draw(st.sampled_from(["", *models])),
        )
        for each in named
    )  # fmt: skip
    return Model(
        id=name, versions=versions, context=size, output_max=draw(st.integers(1, size)),
        default=draw(st.sampled_from(named)),
        operations=draw(st.sampled_from((("chat", "completion"), ("embedding",), ("chat",)))),
        aliases=draw(st.sampled_from(((), (f"{name}-an-alias",)))),
    )  # fmt: skip


@st.composite
def upstreams_of(draw: st.DrawFn, name: str, vendors: list[str]) -> Upstream:
    vendor = draw(st.sampled_from(vendors))
    if draw(st.booleans()):
        return Upstream(id=name, vendor=vendor, dialect="builtin")
    env, file = draw(st.sampled_from([("", ""), ("A_KEY", ""), ("", "secrets/a b")]))
    return Upstream(
        id=name, vendor=vendor, dialect="openai", url="https://a.example:8443/v1",
        zone=draw(st.sampled_from(["", "EU"])),
        key_env=env, key_file=file, client_gone=draw(st.sampled_from(["drain", "cancel"])),
        drain_seconds=draw(st.integers(1, 120)),
    )  # fmt: skip


@st.composite
def versions_of(draw: st.DrawFn, book: str, currency: str, models: list[str]) -> list[BookVersion]:
    found = []
    for number, at in enumerate(draw(st.lists(instants, min_size=1, max_size=3, unique=True)), 1):
        rows = [
            PriceRow(
                model=model, per=draw(st.sampled_from([1_000_000, 1000])),
                prices=draw(st.dictionaries(st.sampled_from(BUCKETS), prices, min_size=1, max_size=3)),
            )
            for model in draw(st.lists(st.sampled_from(models), min_size=1, max_size=3, unique=True))
        ]  # fmt: skip
        found.append(
            BookVersion(
                book=book, currency=currency, valid_from=at, rows=tuple(rows), number=number, published_at=NOW - MINUTE
            )
        )
    return found


amounts = st.decimals(0, 10**6, places=2)
pays = st.builds(Pays, warn_below=st.none() | amounts) | st.builds(
    Pays, by=st.just("invoice"), credit_limit=amounts, warn_below=st.none() | amounts, due_days=st.integers(0, 90),
    language=st.sampled_from(["", "de", "en"]),
)


@st.composite
def rates_of(draw: st.DrawFn, window: int) -> Rates:
    rpm = draw(st.integers(1, 100)) * (60 // window)
    return Rates(tpm=draw(st.integers(0, 10**6)), rpm=rpm, window=window, concurrent=draw(st.integers(0, 50)))


@st.composite
def customers_of(draw: st.DrawFn, name: str, books: list[str], sizes: dict[str, int]) -> Customer:
    found: dict[tuple[str, str], Deployment] = {}
    for project, model in draw(st.lists(st.tuples(names, st.sampled_from(sorted(sizes))), max_size=2)):
        place = (project, draw(names))
        cap = draw(st.integers(0, 1))
        version = draw(st.sampled_from(("", VERSIONS[0]))) if has_versions(sizes[model]) else ""
        upgrade = draw(st.sampled_from(("expired", "never"))) if version else "expired"
        found[place] = Deployment(
            project=place[0], name=place[1], model=model, output_max=cap, version=version, upgrade=upgrade
        )
    start = draw(st.just(0) | st.integers(NOW + 366 * DAY, NOW + 3 * 365 * DAY))  # when every book has a price
    projects = draw(st.lists(names, max_size=2, unique=True))
    known = [*projects, *(project for project, _ in found)]
    scopes = st.tuples(st.just("") | st.sampled_from(known) if known else st.just(""), st.sampled_from([1, 10, 60]))
    limits = {
        (project, window): DeclaredLimit(project=project, rates=draw(rates_of(window)))
        for project, window in draw(st.lists(scopes, max_size=3))
    }
    budgets = {
        each: DeclaredBudget(
            id=each,
            project=draw(st.sampled_from(["", *known])),
            per=draw(st.sampled_from(["day", "month", "total"])),
            amount=draw(amounts),
            hard=draw(st.booleans()),
            warn_at=tuple(sorted(draw(st.sets(st.integers(1, 1000), max_size=3)))),
        )
        for each in draw(st.lists(names.filter(lambda name: not name.startswith("key-")), max_size=3, unique=True))
    }
    quota = [
        Quota(model=model, rates=Rates(tpm=draw(st.integers(1, 10**7)), concurrent=draw(st.integers(0, 5))))
        for model in draw(st.lists(st.sampled_from(sorted(sizes)), max_size=2, unique=True))
    ]
    return Customer(
        pays=draw(pays), budgets=tuple(budgets.values()), limits=tuple(limits.values()), quota=tuple(quota),
        id=name, about=draw(abouts), address=draw(addresses), deployments=tuple(found.values()),
        projects=tuple(projects),
        contracts=tuple(draw(contracts_of(books, sorted(sizes), start))),
    )  # fmt: skip


@st.composite
def contracts_of(draw: st.DrawFn, books: list[str], models: list[str], start: int) -> list[Contract]:
    """One after the other, each of a day and ending on the hour; the last may be open."""
    count = draw(st.integers(1, 3)) if start else 1
    begins = [start, *((start // HOUR * HOUR + number * DAY) if start else 0 for number in range(1, count + 1))]
    found = []
    for number in range(count):
        rows = [
            PriceRow(model=model, prices=draw(st.dictionaries(st.sampled_from(BUCKETS), prices, min_size=1)))
            for model in draw(st.lists(st.sampled_from(models), max_size=2, unique=True))
        ]
        ends = number < count - 1 or (start and draw(st.booleans()))
        found.append(
            Contract(
                book=draw(st.sampled_from(books)), id=draw(st.sampled_from(["", f"K-{number}"])),
                starts_at=begins[number], ends_at=begins[number + 1] if ends else 0,
                discount_percent=draw(st.decimals(0, 100, places=2)), rows=tuple(rows),
                notice_days=draw(st.integers(0, 90)),
            )
        )  # fmt: skip
    return found


@pytest.mark.long
@settings(deadline=None, max_examples=40)
@given(catalogs())
def test_an_export_applied_to_what_it_came_from_is_empty(catalog: Catalog) -> None:
    text = export(catalog)
    file = read(text, "export.toml")
    check(file, catalog, NOW)
    assert difference(catalog, file.catalog) == []
    assert file.catalog.operator == catalog.operator
    assert file.catalog.customers == catalog.customers


@pytest.mark.long
@settings(deadline=None, max_examples=40)
@given(catalogs())
def test_an_export_applied_to_an_empty_house_makes_the_same_house(catalog: Catalog) -> None:
    file = read(export(catalog), "export.toml")
    check(file, Catalog(), NOW)
    assert difference(file.catalog, catalog) == []
    assert len(difference(Catalog(), file.catalog)) == (
        (catalog.operator is not None) + len(catalog.vendors) + len(catalog.upstreams) + len(catalog.models)
        + len(catalog.versions) + len(catalog.customers)
    )  # fmt: skip


@pytest.mark.long
@given(catalogs())
@settings(deadline=None, max_examples=40)
def test_the_order_in_an_export_does_not_depend_on_the_order_in_the_house(catalog: Catalog) -> None:
    turned = msgspec.structs.replace(
        catalog, models=dict(reversed(catalog.models.items())), vendors=dict(reversed(catalog.vendors.items()))
    )
    assert export(turned) == export(catalog)
