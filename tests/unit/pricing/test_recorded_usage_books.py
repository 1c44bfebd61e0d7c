"""Recorded usage through books: vendors' list prices are proposed, published in a database and read back, and sold on
by a list book on top of them, with a discount, and in batch. Compared with the oracle's prices to the last digit.
"""

import csv
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from test_recorded_usage import INPUT_ONLY, ORACLE_OVERLOOKS_CACHE_WRITES, UNIT, book_of, cost, find, in_force

from endings import terms as some_terms
from entrepot.catalog.contents import Catalog, Contract, Customer, Model, Upstream, Vendor, Version
from entrepot.catalog.difference import difference
from entrepot.catalog.file import read as read_file
from entrepot.catalog.prices import METERS, When
from entrepot.catalog.vendor_prices import propose, read_data
from entrepot.gateway.tariff import Tariff, in_zone
from entrepot.keeper.prices import PriceLists, price_list_of
from entrepot.keeper.state import carry_out, standing
from entrepot.kernel.buckets import BUCKETS, CACHE_WRITE, CACHED, INPUT_SIDE, OUTPUT_SIDE, Quantities
from entrepot.kernel.instants import MINUTE, parse
from entrepot.pricing.agreement import agreed, agreement_of
from entrepot.pricing.charge import charge, unrated
from entrepot.pricing.publication import check
from entrepot.snapshot.entries import PriceEntry, version_at
from entrepot.storage.database import open_database, prepare, read, write
from entrepot.wire.usage import Usage, chat_usage
from shared_data import SHARED, rows

NOW = parse("2026-11-22T12:00:00Z")
#: A fifth on the vendor's price, and batch at half of that.
LIST = """
format = 1
[[book.list]]
currency = "USD"
valid_from = 2026-11-01T00:00:00Z
prices = [{ model = "*", cost_plus_percent = 20 }, { model = "*", tier = "batch", percent_of_matching_standard = 50 }]
"""
#: (customer, tier) → what the line is of the vendor's price.
FACTORS = {
    ("plain", ""): Fraction(12, 10), ("plain", "batch"): Fraction(6, 10),
    ("less", ""): Fraction(12, 10) * Fraction(92, 100), ("less", "batch"): Fraction(6, 10) * Fraction(92, 100),
}  # fmt: skip


class Asked(NamedTuple):
    """One reading of one recorded usage object."""

    number: int
    model: str
    usage: dict[str, Any]
    oracle: dict[str, Any]


def recorded() -> Iterator[Asked]:
    """Those of our dialect which the oracle priced."""
    for row in rows("prices/usage_bodies_a.jsonl.gz"):
        usage = row["body"].get("usage")
        for extracted in row["extracted"]:
            for oracle in extracted["extractors"]:
                priced = "input_price" in oracle or "output_price" in oracle
                if isinstance(usage, dict) and "prompt_tokens" in usage and priced:
                    yield Asked(row["id"], row["body"]["model"], usage, oracle)


def published(where: Path, served: dict[str, set[str]]) -> tuple[Catalog, tuple[str, ...]]:
    """A house whose books came all the way: models by name → the vendors that serve them. And what was not proposed."""
    path = SHARED / "data" / "prices" / "genai_prices_v2.json.gz"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    data = read_data(gzip.decompress(path.read_bytes()).decode())
    vendors = sorted(set().union(*served.values()))
    engine = open_database(where / "books.sqlite")
    prepare(engine)
    house = Catalog(
        vendors={each: Vendor(each, {"name": each}) for each in vendors},
        upstreams={
            each: Upstream(id=each, vendor=each, dialect="openai", url=f"https://{each}.test") for each in vendors
        },
        models={
            name_of(model): Model(
                id=name_of(model), context=10**7, output_max=10**6,
                versions=(Version(name="", routes=tuple((each, model) for each in sorted(by))),),
            )
            for model, by in served.items()
        },
        customers={
            "plain": Customer(id="plain", contracts=(Contract(book="list"),)),
            "less": Customer(id="less", contracts=(Contract(book="list", discount_percent=Decimal(8)),)),
        },
    )  # fmt: skip
    apply(engine, msgspec.structs.replace(house, customers={}))
    proposal = propose(house, data, {each: each for each in vendors}, "genai-prices", NOW)
    for text in (proposal.text, LIST):
        file = read_file(text, "books.toml")
        with read(engine) as connection:
            check(file, standing(connection), NOW)
        apply(engine, file.catalog)
    apply(engine, Catalog(customers=house.customers))
    with read(engine) as connection:
        return standing(connection), proposal.notes


def apply(engine: Any, wanted: Catalog) -> None:
    with write(engine) as connection:
        carry_out(connection, difference(standing(connection), wanted), NOW)


def name_of(model: str) -> str:
    """The recorded name, as one of ours."""
    letters = (letter if letter.isalnum() or letter in "._-" else "-" for letter in model.lower())
    return "".join(letters)[:64].lstrip("-._")


class Desk:
    """What gateways and rating know: compiled price lists, and agreements."""

    def __init__(self, house: Catalog, notes: tuple[str, ...]) -> None:
        self.house, self.notes = house, notes
        decode = msgspec.msgpack.Decoder(PriceEntry).decode
        self.entries = {key: decode(data) for key, data in PriceLists().tables(house, NOW).items()}

    def priced(self, customer: str, model: str, vendor: str, tier: str, used: Quantities) -> tuple[int, Any, When, str]:
        """(charge, terms, conditions of the rollup row, price version) of a call."""
        name, _ = price_list_of(self.house.customers[customer], NOW)
        entry = self.entries[f"{name}/{model}"]
        version = version_at(entry.of(vendor), NOW)
        cost = version_at(self.entries[f"{vendor}-cost/{model}"].versions, NOW)
        assert version is not None
        assert cost is not None
        book = in_zone(version, "")
        plain = some_terms(
            den=version.den, rates=book.at("", 0).per_bucket, request_rate=book.at("", 0).request,
            price_version=version.id, cost_den=cost.den, cost_rates=cost.rates, cost_version=cost.id,
        )  # fmt: skip
        terms, _ = Tariff(plain, book, in_zone(cost, "")).applied(tier, sum(used[bucket] for bucket in INPUT_SIDE))
        when = When(tier=tier, request_over=int(terms.bracket or 0))
        return charge(used, terms.den, terms.rates, terms.request_rate), terms, when, version.id

    def line(self, customer: str, model: str, vendor: str, when: When, version: str) -> dict[str, Fraction]:
        """Meter → price of one, as rating finds it for the hour of the call."""
        contract = self.house.customers[customer].contract(NOW)
        agreement = agreement_of(contract, self.house.versions)
        prices = agreed(agreement, model, NOW - NOW % (60 * MINUTE), when, vendor, pinned=version)
        return {meter: each.exact for meter, each in prices.items()}


def amounts(prices: dict[str, Fraction], used: Quantities) -> tuple[Fraction, Fraction]:
    """What the line says of each side, in USD."""
    given, made = (
        sum((prices.get(METERS[bucket], Fraction(0)) * used[bucket] for bucket in side), Fraction(0))
        for side in (INPUT_SIDE, OUTPUT_SIDE)
    )
    return given, made


def compare(desk: Desk, asked: Asked, seen: Counter[str]) -> None:
    vendor, flavor = asked.oracle["provider_id"], asked.oracle["api_flavor"]
    model, used = name_of(asked.model), chat_usage(json.dumps(asked.usage, default=float).encode()).quantities
    theirs = Fraction(asked.oracle.get("input_price", "0")), Fraction(asked.oracle.get("output_price", "0"))
    if f"{vendor}-cost/{model}" not in desk.entries:
        seen["the list has the model without a price: not for sale here, where the oracle bills 0"] += 1
        return
    if any(note.startswith(f"{model}: a price from 00:30:00Z") for note in desk.notes):
        seen["by half hours of the day, which a book cannot say: told, and not proposed"] += 1
        return
    for (customer, tier), factor in FACTORS.items():
        charged, terms, when, version = desk.priced(customer, model, vendor, tier, used)
        missing = unrated(used, terms.rates)
        if missing:
            seen[f"no listed price for {BUCKETS[missing[0]]}: unrated"] += 1
            return
        prices = desk.line(customer, model, vendor, when, version)
        given, made = amounts(prices, used)
        assert charged == -(-((given + made) * UNIT).numerator // ((given + made) * UNIT).denominator)
        if flavor == INPUT_ONLY:
            made = theirs[1] * factor
        if (asked.number, vendor, flavor) in ORACLE_OVERLOOKS_CACHE_WRITES:
            given -= used[CACHE_WRITE] * (prices["cache_write"] - prices["input"])
        assert (given, made) == (theirs[0] * factor, theirs[1] * factor), (asked, customer, tier)
        if not tier:  # what we pay is what the oracle says
            paid = sum(n * max(rate, 0) for n, rate in zip(used, terms.cost_rates, strict=True))
            assert Fraction(paid, terms.cost_den * UNIT) * factor == sum(amounts(prices, used))
        seen[f"equal, {customer}{', batch' if tier else ''}"] += 1
        seen["with cached tokens"] += used[CACHED] > 0
        seen["with cache writes"] += used[CACHE_WRITE] > 0


def made_long(desk: Desk, asked: Asked, seen: Counter[str]) -> None:
    """The same usage, so many times over that it comes to the end of each bracket of its model and over it. The oracle
    saw none so long: compared with the list as it is read here."""
    vendor, model = asked.oracle["provider_id"], name_of(asked.model)
    listed = find(vendor, asked.model.lower())
    assert listed is not None
    used = chat_usage(json.dumps(asked.usage, default=float).encode()).quantities
    given = sum(used[bucket] for bucket in INPUT_SIDE)
    prices = [each for each in in_force(listed).values() if isinstance(each, dict)]
    for start in sorted({tier["start"] for each in prices for tier in each["tiers"]}) if given else []:
        for exactly in (start, start + 1):  # the bracket begins with the token after it
            more = exactly - given * (exactly // given)
            long: Quantities = tuple(n * (exactly // given) for n in used)  # type: ignore[assignment]
            long = (long[0] + more, *long[1:])
            expected = book_of(in_force(listed), tokens_in=exactly)
            if unrated(long, expected.per_bucket):
                continue
            for (customer, tier), factor in FACTORS.items():
                charged, terms, when, version = desk.priced(customer, model, vendor, tier, long)
                due = (cost(chat(long), expected, INPUT_SIDE) + cost(chat(long), expected, OUTPUT_SIDE)) * factor
                assert sum(amounts(desk.line(customer, model, vendor, when, version), long)) == due
                assert charged == -(-(due * UNIT).numerator // (due * UNIT).denominator)
                seen["just over a bracket" if terms.bracket == str(start) else "at its end"] += 1


def chat(used: Quantities) -> Usage:
    return Usage(quantities=used, total=sum(used), absurd=False, raw=b"")


@pytest.mark.long
def test_recorded_usage_costs_through_published_books_what_the_oracle_says(tmp_path: Path) -> None:
    asked = list(recorded())
    served: dict[str, set[str]] = {}
    for each in asked:
        served.setdefault(each.model, set()).add(each.oracle["provider_id"])
    desk = Desk(*published(tmp_path, served))
    seen: Counter[str] = Counter()
    for each in asked:
        compare(desk, each, seen)
        made_long(desk, each, seen)
    for name, count in seen.most_common():
        print(f"{count:6,}  {name}")
    assert seen == {
        "equal, plain": 574, "equal, plain, batch": 574, "equal, less": 574, "equal, less, batch": 574,
        "with cached tokens": 12, "with cache writes": 28, "just over a bracket": 28, "at its end": 28,
        "no listed price for cached: unrated": 22, "no listed price for audio_input: unrated": 4,
        "by half hours of the day, which a book cannot say: told, and not proposed": 4,
        "the list has the model without a price: not for sale here, where the oracle bills 0": 1,
    }  # fmt: skip


@pytest.mark.long
def test_a_batch_of_recorded_usage_is_half_of_what_the_same_calls_cost(tmp_path: Path) -> None:
    path = SHARED / "data" / "traces" / "openai_batch_judge_usage.csv.gz"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    with gzip.open(path, "rt") as file:
        calls = list(csv.DictReader(file))
    desk = Desk(*published(tmp_path, {each["judge_model"]: {"openai"} for each in calls}))
    charged = {"": 0, "batch": 0}
    sums: dict[str, list[int]] = {}
    for each in calls:
        usage = {name: int(each[name]) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
        used = chat_usage(json.dumps(usage).encode()).quantities
        model = name_of(each["judge_model"])
        for tier in charged:
            charged[tier] += desk.priced("plain", model, "openai", tier, used)[0]
        sums[model] = [a + b for a, b in zip(sums.get(model, [0] * len(BUCKETS)), used, strict=True)]
    lines = {"": Fraction(0), "batch": Fraction(0)}
    for model, total in sums.items():
        quantities: Quantities = tuple(total)  # type: ignore[assignment]
        for tier in lines:
            *_, when, version = desk.priced("plain", model, "openai", tier, quantities)
            lines[tier] += sum(amounts(desk.line("plain", model, "openai", when, version), quantities))
    print(f"{len(calls):,} calls: {Decimal(charged['']) / UNIT} USD, in batch {Decimal(charged['batch']) / UNIT} USD")
    # 10 and 30, 2.50 and 10 USD a million, a fifth more: whole units of the ledger a token, so no call is rounded.
    turbo, newer = sums["gpt-4-turbo-2024-04-09"], sums["gpt-4o-2024-05-13"]
    assert charged[""] == 12_000 * turbo[0] + 36_000 * turbo[3] + 3_000 * newer[0] + 12_000 * newer[3]
    assert charged[""] == 2 * charged["batch"] == lines[""] * UNIT == 2 * lines["batch"] * UNIT
    assert len(calls) == 4_089
