"""What needs a person, from the facts of a status."""

from typing import Any

from entrepot.catalog.contents import Model
from entrepot.catalog.lifecycle import Version
from entrepot.control.needs import LEAST_FREE, of, retiring
from entrepot.kernel.instants import DAY, parse, show

NOW = parse("2026-11-21T12:20:00Z")


def _facts(**given: Any) -> dict[str, Any]:
    well: dict[str, Any] = {
        "keeper": {"answers": True},
        "gateways": [],
        "database": {"answers": True, "unrated": 0, "missing_prices": {}},
        "journal": {"quarantined": []},
        "disk": {"free": LEAST_FREE},
    }
    return {**well, **given}


def test_a_house_that_is_well_needs_nobody() -> None:
    assert of(_facts(), NOW) == []


def test_a_model_without_a_price_as_in_the_first_minutes() -> None:
    need = {"kind": "not_priced", "model": "gpt-5", "since": parse("2026-11-21T12:10:03Z"), "count": 14}
    missing = {"gpt-5": {"book": "list", "reason": "no price for cached input on 2026-11-21"}}
    facts = _facts(gateways=[{"needs": [need]}], database={"answers": True, "missing_prices": missing})
    assert of(facts, NOW) == [
        {
            "what": "gpt-5 was refused 14 times since 12:10: no price for cached input on 2026-11-21",
            "do": "add it to FILE under [[book.list]] with a new valid_from, then: entrepot apply FILE",
        }
    ]


def test_what_several_gateways_met_is_one_need() -> None:
    first = {"kind": "not_priced", "model": "gpt-5", "since": parse("2026-11-21T12:10:03Z"), "count": 14}
    other = {**first, "since": parse("2026-11-21T12:09:03Z"), "count": 2}
    trouble = {"upstream": "openai", "status": 403, "since": parse("2026-11-21T12:00:00Z"), "count": 3}
    gateways = [{"needs": [first], "trouble": [trouble]}, {"needs": [other], "trouble": [trouble]}]
    price, credential = of(_facts(gateways=gateways), NOW)
    assert price["what"].startswith("gpt-5 was refused 16 times since 12:09: ")
    assert credential["what"] == "upstream openai does not accept our credential (403) since 12:00"


def test_a_credential_that_a_vendor_refuses_and_other_errors_do_not() -> None:
    trouble = [
        {"upstream": "openai", "status": 401, "since": parse("2026-11-21T12:00:00Z"), "count": 3},
        {"upstream": "other", "status": 500, "since": NOW, "count": 3},
    ]
    (need,) = of(_facts(gateways=[{"trouble": trouble}]), NOW)
    assert need["what"] == "upstream openai does not accept our credential (401) since 12:00"


def test_the_worst_comes_first() -> None:
    facts = _facts(
        journal={"quarantined": ["w2"]},
        database={"answers": False, "why": "disk I/O error"},
        disk={"free": LEAST_FREE - 1},
        keeper={"answers": True, "failing": "x", "damaged": ["slot w3 …"]},
    )
    whats = [need["what"] for need in of(facts, NOW)]
    assert [what.split()[0] for what in whats] == ["slot", "the", "1,023", "the", "ingestion"]


def test_a_version_that_retires_soon_is_told_of_with_its_successor() -> None:
    soon = Version(name="old", routes=(("u", "m"),), retires_at=NOW + 30 * DAY, replaced_by="next")
    later = Version(name="new", routes=(("u", "m"),), retires_at=NOW + 400 * DAY)
    models = {"m": Model(id="m", versions=(soon, later), context=9, output_max=9, default="new")}
    (need,) = of(_facts(database={"answers": True, "retiring": retiring(models, NOW)}), NOW)
    assert need["what"] == f"m old retires on {show(NOW + 30 * DAY)[:10]}; next takes its place"
    assert "move their deployments" in need["do"]
