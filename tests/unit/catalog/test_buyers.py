"""What a customer may use at most, as the file declares it, and the mistakes that it can hold: word for word."""

from decimal import Decimal

import pytest

from entrepot.catalog.contents import Catalog, DeclaredBudget, DeclaredLimit, Pays, Quota, Rates
from entrepot.catalog.difference import difference
from entrepot.catalog.file import read
from entrepot.catalog.issues import CatalogBroken
from entrepot.kernel import instants
from entrepot.pricing.publication import check

NOW = instants.parse("2026-11-22T12:00:00Z")
SHOP = """\
format = 1
vendor.maker = { name = "Maker" }
upstream.eu = { vendor = "maker", endpoint = { dialect = "openai", url = "https://eu.example/v1", zone = "EU" } }
model.large = { routes = ["eu/large"], context = 100 }
[[book.list]]
currency = "USD"
valid_from = 2026-01-01T00:00:00Z
prices = [{ model = "large", input = 2.50, output = 10.00 }]
[customer.acme]
projects = ["app"]
"""


def mistakes(lines: str) -> str:
    """What is said about these lines of customer acme; "" if nothing is."""
    file = read(SHOP + lines, "shop.toml")
    try:
        check(file, Catalog(), NOW)
    except CatalogBroken as broken:
        return broken.message
    return ""


def test_budgets_limits_quota_and_terms_are_read_as_they_stand() -> None:
    lines = """\
pays = { by = "invoice", credit_limit = 90_000.00, warn_below = 500, due_days = 30 }
deployments = [{ project = "app", name = "l", model = "large", tpm = 60_000, rpm = 600, window = 10, concurrent = 4 }]
budgets = [
  { project = "app", per = "day", amount = 50.00 },
  { id = "year-end", per = "total", amount = 1_000, hard = false, warn_at = [50, 100, 120] },
]
limits = [
  { rpm = 600, tpm = 100_000 }, { rpm = 120, window = 1 }, { project = "app", concurrent = 8 },
  { each = "key", rpm = 60 },
]
quota = [{ model = "large", zone = "EU", tpm = 100_000 }]
"""
    assert mistakes(lines) == ""
    found = read(SHOP + lines, "shop.toml").catalog.customers["acme"]
    assert found.pays == Pays(
        by="invoice", credit_limit=Decimal("90000.00"), warn_below=Decimal(500), due_days=30
    )  # fmt: skip
    assert found.deployments[0].rates == Rates(tpm=60_000, rpm=600, window=10, concurrent=4)
    assert found.budgets == (
        DeclaredBudget(id="app-day", project="app", per="day", amount=Decimal("50.00"), hard=True, warn_at=(80, 95)),
        DeclaredBudget(id="year-end", per="total", amount=Decimal(1000), hard=False, warn_at=(50, 100, 120)),
    )
    assert found.limits == (
        DeclaredLimit(rates=Rates(tpm=100_000, rpm=600)),
        DeclaredLimit(rates=Rates(rpm=120, window=1)),
        DeclaredLimit(project="app", rates=Rates(concurrent=8)),
        DeclaredLimit(each_key=True, rates=Rates(rpm=60)),
    )
    assert found.quota == (Quota(model="large", zone="EU", rates=Rates(tpm=100_000)),)


def test_a_customer_without_a_word_is_prepaid_and_unlimited() -> None:
    found = read(SHOP, "shop.toml").catalog.customers["acme"]
    assert (found.pays, found.budgets, found.limits, found.quota) == (Pays(), (), (), ())


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('pays = { by = "invoice" }',
         "line 11   pays = { by = \"invoice\" }\n"
         "            credit_limit is missing: the most that this customer may owe, open invoices and unbilled calls."),
        ('pays = { by = "prepaid", credit_limit = 5 }',
         'credit_limit is for customers that pay by invoice: by = "invoice".'),
        ('pays = { by = "prepaid", warn_below = -5 }', "warn_below is an amount of money: a number of at least 0."),
        ('pays = { by = "prepaid", warn_below = 0.00000000001 }',
         "1E-11 USD is finer than the ledger unit, 10^-9 USD."),
        ('budgets = [{ project = "ap", amount = 5 }]',
         'acme has no project "ap". Did you mean "app"?\n'
         '            Declare it if it is right: projects = ["ap"].'),
        ('budgets = [{ project = "app" }]', "amount is missing; it is an amount of money."),
        ('budgets = [{ per = "week", amount = 5 }]', 'per is one of "day", "month" and "total".'),
        ('budgets = [{ amount = "5" }]', "amount is an amount of money: a number of at least 0."),
        ('budgets = [{ amount = 5, hard = "yes" }]', "hard is true or false."),
        ('budgets = [{ amount = 5, warn_at = [100, 80] }]', "warn_at is a list of whole percents, rising"),
        ('budgets = [{ amount = 5, warn_at = [0] }]', "warn_at is a list of whole percents, rising"),
        ('budgets = [{ amount = 5, warn_at = 80 }]', "warn_at is a list of whole percents, rising"),
        ('budgets = [\n{ amount = 5 },\n{ amount = 6 }]',
         'line 13   { amount = 6 }\n            Another budget is called "all-month" (line 12).\n'
         "            Give this one an id."),
        ('budgets = [{ amount = 5, id = "a b" }]', 'at most 64 letters, digits'),
        ('budgets = [{ amount = 5, id = "key-a" }]', 'Names with "key-" are those of keys'),
        ('budgets = [{ amount = 5, wran_at = [1] }]', 'Nothing here is called "wran_at". Did you mean "warn_at"?'),
        ('limits = [{ each = "key" }]', "This limits nothing: give rpm, tpm or concurrent."),
        ('limits = [{ each = "project", rpm = 1 }]', 'each is one of "key".'),
        ('limits = [{ each = "key", project = "app", rpm = 1 }]',
         "A limit is of one project or of each key: write two."),
        ('limits = [{ rpm = 30, window = 1 }]', "rpm is a multiple of 60."),
        ('limits = [{ rpm = 31, window = 10 }]', "rpm is a multiple of 6."),
        ('limits = [{ rpm = 60, window = 5 }]', "window is 1, 10 or 60: the seconds in which requests are counted."),
        ('limits = [{ tpm = 60, window = 1 }]', "window is the window of rpm, which is missing."),
        ('limits = [{ rpm = 0 }]', "rpm is a whole number of at least 1."),
        ('limits = [\n{ rpm = 1 },\n{ tpm = 1 }]', "Line 12 limits the same with the same window: make one of both."),
        ('limits = [{ project = "web", rpm = 1 }]', 'acme has no project "web".'),
        ('quota = [{ model = "lrge", tpm = 1 }]', 'No model has this name. Did you mean "large" (line 4)?'),
        ('quota = [{ model = "large", zone = "US", tpm = 1 }]',
         'No route of large goes to the zone "US". Known here: EU.'),
        ('quota = [{ model = "large" }]', "This limits nothing: give tpm, rpm or concurrent."),
        ('quota = [\n{ model = "large", tpm = 1 },\n{ model = "large", tpm = 2 }]',
         "Line 12 has the quota of large already."),
        ('deployments = [\n{ name = "a", model = "large", tpm = 60_000 },\n'
         '{ name = "b", model = "large", tpm = 50_000 }]\n'
         'quota = [{ model = "large", tpm = 100_000 }]',
         "The deployments of large take 110,000 tpm together, this pool has 100,000: 60,000 of line 12, "
         "50,000 of line 13.\n            Take less there, or make the pool larger."),
    ],
)  # fmt: skip
def test_every_mistake_is_told_with_its_line_and_the_way_out(lines: str, said: str) -> None:
    assert said in mistakes(lines)


def test_deployments_that_fill_their_pool_exactly_are_good() -> None:
    lines = """\
deployments = [{ name = "a", model = "large", tpm = 60_000 }, { name = "b", model = "large", tpm = 40_000 }]
quota = [{ model = "large", zone = "EU", tpm = 100_000 }]
"""
    assert mistakes(lines) == ""


def test_a_difference_shows_budgets_and_limits_as_they_are_written() -> None:
    before = read(SHOP + 'budgets = [{ amount = 5 }]\nlimits = [{ tpm = 10 }]\n', "shop.toml").catalog
    after = read(
        SHOP + 'budgets = [{ amount = 6 }]\nlimits = [{ tpm = 10 }, { each = "key", rpm = 5 }]\n', "shop.toml"
    ).catalog
    (change,) = difference(before, after)
    assert change.notes == (
        '- budgets { id = "all-month", per = "month", amount = 5.0, hard = true, warn_at = [80, 95] }',
        '+ budgets { id = "all-month", per = "month", amount = 6.0, hard = true, warn_at = [80, 95] }',
        '+ limits { each = "key", rpm = 5 }',
    )
