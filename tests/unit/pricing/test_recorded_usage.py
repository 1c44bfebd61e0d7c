"""Recorded usage objects, rated by our rules with another project's price list, against what that project made of them.

The oracle (genai-prices) read each object the way each of its providers' extractors does, and priced it where it knows
the model. Compared are all objects of the dialect that we serve (`prompt_tokens`); everything else is counted by name.
"""

import csv
import gzip
import json
import re
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any

import pytest

from entrepot.kernel.buckets import BUCKETS, INPUT_SIDE, OUTPUT_SIDE
from entrepot.pricing.book import PriceInForce
from entrepot.pricing.charge import Rates, charge, unrated
from entrepot.pricing.rates import rates
from entrepot.wire.usage import Usage, chat_usage
from shared_data import SHARED, rows

#: What the list calls the price of each bucket.
NAMES = {
    "input": "input_mtok", "cached": "cache_read_mtok", "cache_write": "cache_write_mtok", "output": "output_mtok",
    "reasoning": "output_reasoning_mtok", "audio_input": "input_audio_mtok", "audio_output": "output_audio_mtok",
    "image_input": "input_image_mtok",
}  # fmt: skip
#: (object, provider, flavor) where the oracle differs, and why we do not follow it.
ORACLE_OVERLOOKS_CACHE_WRITES = {(352, "azure", "chat"), (352, "azure", "embeddings"), (352, "openai", "embeddings")}
#: Embeddings have no output, so the oracle's extractor for them reads the input side of any object.
INPUT_ONLY = "embeddings"
#: 1 nano-USD: the unit of the ledger.
UNIT = 10**9


@cache
def price_list() -> dict[str, dict[str, Any]]:
    path = SHARED / "data" / "prices" / "genai_prices_v2.json.gz"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    with gzip.open(path) as file:
        return {provider["id"]: provider for provider in json.load(file, parse_float=Decimal)}


def matches(clause: dict[str, Any], text: str) -> bool:
    ((kind, value),) = clause.items()
    if kind in ("or", "and"):
        each = (matches(inner, text) for inner in value)
        return any(each) if kind == "or" else all(each)
    if kind == "regex":
        return re.search(value, text) is not None
    return {
        "equals": text == value, "starts_with": text.startswith(value), "ends_with": text.endswith(value),
        "contains": value in text,
    }[kind]  # fmt: skip


def find(provider: str, model: str) -> dict[str, Any] | None:
    """The model as this provider lists it, or those it resells."""
    own = (listed for listed in price_list()[provider]["models"] if matches(listed["match"], model))
    found = next(own, None)
    for other in price_list()[provider].get("fallback_model_providers", []):
        found = found or find(other, model)
    return found


def in_force(model: dict[str, Any]) -> dict[str, Any]:
    """Prices for each kind; of several that began one after the other, the last."""
    prices = model["prices"]
    chosen: dict[str, Any] = prices[-1]["prices"] if isinstance(prices, list) else prices
    return chosen


def book_of(prices: dict[str, Any], *, tokens_in: int, as_input: bool = False) -> Rates:
    """Our rates from a listed price. A tier holds from so many input tokens on; `as_input` gives each kind that is not
    listed the price of the side it is on, as the oracle does."""
    found: dict[str, PriceInForce] = {}
    for bucket, name in NAMES.items():
        price = prices.get(name)
        if price is None and as_input:
            price = prices.get("output_mtok" if BUCKETS.index(bucket) in OUTPUT_SIDE else "input_mtok")
        if isinstance(price, dict):
            reached = [tier["price"] for tier in price["tiers"] if tokens_in > tier["start"]]
            price = reached[-1] if reached else price["base"]
        if price is not None:
            found[bucket] = PriceInForce(price=Decimal(price), per=1_000_000, version=1)
    return rates(found, "USD")


def cost(read: Usage, chosen: Rates, side: tuple[int, ...]) -> Fraction:
    """USD of one side, exact."""
    used = sum(read.quantities[bucket] * max(chosen.per_bucket[bucket], 0) for bucket in side)
    return Fraction(used, chosen.den * UNIT)


def compare(number: int, usage: dict[str, Any], model: str, oracle: dict[str, Any]) -> str:
    """`equal`, or the name of the exception; fails on a difference that has none."""
    listed = find(oracle["provider_id"], model.lower())
    assert listed is not None, (oracle["provider_id"], model)
    read = chat_usage(json.dumps(usage, default=float).encode())
    assert not read.absurd, usage
    tokens_in = sum(read.quantities[bucket] for bucket in INPUT_SIDE)
    chosen = book_of(in_force(listed), tokens_in=tokens_in)
    missing = unrated(read.quantities, chosen.per_bucket)
    if missing:
        chosen = book_of(in_force(listed), tokens_in=tokens_in, as_input=True)
    theirs = Fraction(oracle.get("input_price", "0")), Fraction(oracle.get("output_price", "0"))
    ours = cost(read, chosen, INPUT_SIDE), cost(read, chosen, OUTPUT_SIDE)
    if oracle["api_flavor"] == INPUT_ONLY:
        ours = ours[0], theirs[1]
    if (number, oracle["provider_id"], oracle["api_flavor"]) in ORACLE_OVERLOOKS_CACHE_WRITES:
        written = Fraction(read.quantities[2] * (chosen.per_bucket[2] - chosen.per_bucket[0]), chosen.den * UNIT)
        assert ours == (theirs[0] + written, theirs[1]) != theirs
        return "the oracle's extractor overlooks cache_write_tokens, which its list prices; ours bills them as listed"
    assert ours == theirs, (number, oracle, usage)
    if 0 in missing:
        return "no listed price for input: not for sale here, where the oracle bills 0"
    if missing:
        return f"no listed price for {BUCKETS[missing[0]]}: unrated here, where the oracle takes the price of input"
    if oracle["api_flavor"] != INPUT_ONLY:
        units = (theirs[0] + theirs[1]) * UNIT
        assert charge(read.quantities, chosen.den, chosen.per_bucket) == -(-units.numerator // units.denominator)
    return "equal"


def test_usage_is_rated_as_another_project_rates_it_wherever_both_define_the_case() -> None:
    seen: Counter[str] = Counter()
    for row in rows("prices/usage_bodies_a.jsonl.gz"):
        usage = row["body"].get("usage")
        for extracted in row["extracted"]:
            for oracle in extracted["extractors"]:
                if not isinstance(usage, dict) or "prompt_tokens" not in usage:
                    seen["another dialect (Anthropic, Bedrock, Cohere, Gemini, Responses)"] += 1
                elif "input_price" not in oracle and "output_price" not in oracle:
                    seen["the oracle has no price: its provider does not list the model"] += 1
                else:
                    seen[compare(row["id"], usage, row["body"]["model"], oracle)] += 1
    for name, count in seen.most_common():
        print(f"{count:6,}  {name}")
    assert seen == {
        "the oracle has no price: its provider does not list the model": 6_205,
        "another dialect (Anthropic, Bedrock, Cohere, Gemini, Responses)": 2_735,
        "equal": 575,
        "no listed price for cached: unrated here, where the oracle takes the price of input": 22,
        "no listed price for audio_input: unrated here, where the oracle takes the price of input": 4,
        "no listed price for input: not for sale here, where the oracle bills 0": 1,
        "the oracle's extractor overlooks cache_write_tokens, which its list prices; ours bills them as listed": 3,
    }


@pytest.mark.long
def test_a_batch_of_recorded_usage_adds_up_to_the_token_and_the_last_digit() -> None:
    path = SHARED / "data" / "traces" / "openai_batch_judge_usage.csv.gz"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    count, charged = 0, 0
    said: dict[str, Counter[str]] = {}
    sums: dict[str, list[int]] = {}
    with gzip.open(path, "rt") as file:
        for row in csv.DictReader(file):
            usage = {name: int(row[name]) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
            read = chat_usage(json.dumps(usage).encode())
            assert read.total == usage["total_tokens"]
            model = row["judge_model"]
            said.setdefault(model, Counter()).update(usage)
            sums[model] = [a + b for a, b in zip(sums.get(model, [0] * 8), read.quantities, strict=True)]
            listed = find("openai", model)
            assert listed is not None
            chosen = book_of(in_force(listed), tokens_in=0)
            charged += charge(read.quantities, chosen.den, chosen.per_bucket)
            count += 1
    for model, counts in said.items():
        assert sums[model] == [counts["prompt_tokens"], 0, 0, counts["completion_tokens"], 0, 0, 0, 0]
    tokens = [sum(each[side] for each in sums.values()) for side in (0, 3)]
    print(f"{count:,} calls: {tokens[0]:,} in, {tokens[1]:,} out, {Decimal(charged) / UNIT} USD")
    assert count == 4_089
    # 10 and 30, 2.50 and 10 USD a million: whole units of the ledger a token, so no call is rounded.
    turbo, newer = sums["gpt-4-turbo-2024-04-09"], sums["gpt-4o-2024-05-13"]
    assert charged == 10_000 * turbo[0] + 30_000 * turbo[3] + 2_500 * newer[0] + 10_000 * newer[3]
