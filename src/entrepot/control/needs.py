"""What of a status needs a person, and what to do about it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from entrepot.catalog.contents import Catalog, Contract, Model
from entrepot.catalog.standing import models_of
from entrepot.kernel.instants import Instant, clock, show
from entrepot.pricing.book import not_for_sale
from entrepot.pricing.offered import why_not_for_sale

LEAST_FREE = 1 << 30  # of disk: 32 segments ahead of the journal
_CREDENTIAL = {401, 403}
#: What helps, by the kind of an event.
_WAYS = {
    "balance.low": "entrepot balance top-up {customer} AMOUNT CURRENCY --id ID",
    "credit.low": "have open invoices of {customer} paid, or raise its credit_limit in FILE, then: entrepot apply FILE",
    "budget.threshold": "entrepot budget list --customer {customer}; its amount stands in the catalog file",
}


def of(facts: dict[str, Any], now: Instant) -> list[dict[str, str]]:
    """`what` is so, and what to `do`; the worst first."""
    found: list[dict[str, str]] = []
    for slot in facts["journal"]["quarantined"]:
        what = f"slot {slot} of the journal is damaged and stands aside; the other slots serve on"
        found.append(_need(what, f"read journal/{slot}/quarantine, then put the segment back from a backup"))
    if not facts["database"]["answers"]:
        found.append(_need(f"the database does not answer: {facts['database']['why']}", "entrepot verify"))
    if facts["disk"]["free"] < LEAST_FREE:
        free = facts["disk"]["free"] // (1 << 20)
        found.append(_need(f"{free:,} MB of disk are left; the journal needs room", "make room on the disk of DATA"))
    for message in facts["keeper"].get("damaged") or []:
        found.append(_need(f"the journal is damaged: {message}", "entrepot verify journal"))
    if facts["keeper"].get("failing"):
        found.append(_need(f"ingestion fails: {facts['keeper']['failing']}", "read run/keeper.log in DATA"))
    found += _not_priced(facts["gateways"], facts["database"].get("missing_prices", {}), now)
    found += _credentials(facts["gateways"])
    for each in facts["database"].get("retiring", []):
        name = f"{each['model']} {each['version']}".strip()
        instead = f"; {each['replaced_by']} takes its place" if each["replaced_by"] else ""
        what = f"{name} retires on {each['retires_at'][:10]}{instead}"
        found.append(_need(what, "tell its customers; give it a later retires, or move their deployments in FILE"))
    unrated = facts["database"].get("unrated", 0)
    if unrated:
        calls = "1 call has" if unrated == 1 else f"{unrated} calls have"
        what = f"{calls} tokens that the book does not price: our cost, not charged"
        found.append(_need(what, "entrepot usage --by model,price_version shows them; give the book a price"))
    for event in facts["database"].get("events", []):
        found.append(_need(event["about"], _WAYS[event["kind"]].format(customer=event["customer"])))
    late = [row for row in facts["database"].get("webhooks", []) if row["attempts"]]
    found += map(_of_webhook, late)
    return found


def retiring(models: Mapping[str, Model], now: Instant) -> list[dict[str, str]]:
    """Versions that retire soon: their customers want to hear of it before (azure-rules: 60 to 90 days)."""
    return [
        {"model": model.id, "version": each.name, "retires_at": show(each.retires_at), "replaced_by": each.replaced_by}
        for model in models.values()
        for each in model.versions
        if each.ends_soon(now)
    ]


def missing_prices(
    catalog: Catalog, now: Instant
) -> dict[str, dict[str, str]]:
    """Model → {"book", "reason"} for models that a list book names and cannot sell now."""
    found = {}
    for book in sorted({each.book for each in catalog.versions if not each.buys_from}):
        for model in models_of(catalog.book(book), catalog.models):
            reason = why_not_for_sale(catalog, Contract(book=book), model, now)
            if reason:
                found[model] = {"book": book, "reason": reason}
    return found


def _not_priced(
    gateways: Sequence[dict[str, Any]], missing: dict[str, dict[str, str]], now: Instant
) -> list[dict[str, str]]:
    """A model that several gateways refused is one need: the counts are added, the first time counts."""
    refused: dict[str, tuple[Instant, int]] = {}
    for need in (need for gateway in gateways for need in gateway.get("needs", [])):
        if need.get("kind") == "not_priced":
            since, times = refused.get(need["model"], (need["since"], 0))
            refused[need["model"]] = (min(since, need["since"]), times + need["count"])
    found = []
    for model, (since, count) in refused.items():
        why = missing.get(model) or {"book": "list", "reason": not_for_sale({}, now)}
        times_said = "once" if count == 1 else f"{count:,} times"
        what = f"{model} was refused {times_said} since {clock(since)[:5]}: {why['reason']}"
        do = f"add it to FILE under [[book.{why['book']}]] with a new valid_from, then: entrepot apply FILE"
        found.append(_need(what, do))
    return found


def _credentials(gateways: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """An upstream that does not know us is one need, whichever gateways have met it."""
    refusing: dict[str, tuple[Instant, int]] = {}
    for trouble in (trouble for gateway in gateways for trouble in gateway.get("trouble", [])):
        if trouble.get("status") in _CREDENTIAL:
            since, _ = refusing.get(trouble["upstream"], (trouble["since"], 0))
            refusing[trouble["upstream"]] = (min(since, trouble["since"]), trouble["status"])
    do = "set the variable that the catalog names, then: entrepot apply FILE"
    return [
        _need(f"upstream {name} does not accept our credential ({status}) since {clock(since)[:5]}", do)
        for name, (since, status) in refusing.items()
    ]


def _of_webhook(row: dict[str, Any]) -> dict[str, str]:
    events = "1 event" if row["count"] == 1 else f"{row['count']:,} events"
    if row["state"] == "failed":
        what = f"webhook {row['webhook']} was never told {events}: {row['answer']}"
        return _need(what, "GET /admin/events of the admin API has them")
    why = f": {row['answer']}" if row["answer"] else ""
    what = f"webhook {row['webhook']} has not taken {events} yet, the oldest of {row['since'][:16]}Z{why}"
    return _need(what, "nothing, if it was away for a moment: it is told again, for three days")


def _need(what: str, do: str) -> dict[str, str]:
    return {"what": what, "do": do}
