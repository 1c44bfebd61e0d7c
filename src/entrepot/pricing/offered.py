"""What is for sale at an instant, for a person to see. Pure."""

from collections.abc import Mapping

from entrepot.catalog.contents import Catalog, Contract
from entrepot.catalog.prices import ALWAYS, Graduated, When
from entrepot.kernel.instants import Instant
from entrepot.pricing.agreement import AgreedPrice, Agreement, agreed, agreement_of
from entrepot.pricing.book import not_for_sale


def offered(
    catalog: Catalog, contract: Contract, model: str, at: Instant, when: When = ALWAYS
) -> dict[str, AgreedPrice]:
    """Meter → price under a contract, served by the vendor of the first route. A cost book is what that vendor asks."""
    agreement = _agreement(catalog, contract)
    return agreed(agreement, model, at, when, next(iter(catalog.vendors_of(model)), ""))


def why_not_for_sale(catalog: Catalog, contract: Contract, model: str, at: Instant) -> str:
    """Why calls of the model find no price under the contract, or ""; a term that has not begun is no reason."""
    inside = contract.starts_at if at < contract.starts_at else at
    operations = catalog.models[model].operations if model in catalog.models else ("chat",)
    return not_for_sale(offered(catalog, contract, model, inside), at, operations)


def note(price: AgreedPrice) -> str:
    """What a price alone does not say: its steps, why it is nothing, whose price it is on."""
    if price.reason:
        return f"included: {price.reason}"
    if price.steps is not None:
        return str(Graduated(price.steps, price.per))
    return price.basis.partition(" ")[2]


def shown(prices: Mapping[str, AgreedPrice]) -> list[dict[str, object]]:
    """As the admin API says prices."""
    return [
        {
            "bucket": meter, "price": f"{each.price:f}", "per": each.per, "version": each.version,
            "note": note(each),
        }
        for meter, each in prices.items()
    ]  # fmt: skip


def _agreement(catalog: Catalog, contract: Contract) -> Agreement:
    versions = catalog.book(contract.book)
    return Agreement(book=versions) if versions and versions[0].buys_from else agreement_of(contract, catalog.versions)
