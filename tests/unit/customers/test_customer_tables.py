"""What the file declares of a customer comes back from the database as it was, and reaches the snapshot."""

from decimal import Decimal

import msgspec
import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from entrepot.catalog.contents import (
    Contract,
    Customer,
    DeclaredBudget,
    DeclaredLimit,
    Deployment,
    Model,
    Pays,
    Quota,
    Rates,
    Upstream,
    Vendor,
)
from entrepot.catalog.lifecycle import Version
from entrepot.catalog.prices import CostPlus, PeriodPrice, PriceRow, Steps, When
from entrepot.catalog.tables import put_model, put_upstream, put_vendor
from entrepot.customers import tables
from entrepot.customers.limit_tables import UNDECLARED, put_budget
from entrepot.keeper.compile import deployment_limit, limits_of
from entrepot.limits.budget import Budget
from entrepot.limits.declared import read_budget, read_budgets
from entrepot.snapshot import LimitEntry
from entrepot.storage.database import read, write

ACME = Customer(
    id="acme",
    contracts=(Contract(book="list"),),
    projects=("app",),
    pays=Pays(by="invoice", credit_limit=Decimal("90000.00"), warn_below=Decimal("0.0005"), due_days=30),
    deployments=(Deployment(project="app", name="l", model="large", rates=Rates(tpm=9, rpm=600, window=10)),),
    budgets=(
        DeclaredBudget(id="app-day", project="app", per="day", amount=Decimal("50.00"), warn_at=(80, 95)),
        DeclaredBudget(id="all", per="total", amount=Decimal("1.5"), hard=False),
    ),
    limits=(
        DeclaredLimit(rates=Rates(tpm=100)),
        DeclaredLimit(project="app", rates=Rates(rpm=120, window=1)),
        DeclaredLimit(each_key=True, rates=Rates(concurrent=2)),
    ),
    quota=(Quota(model="large", zone="EU", rates=Rates(tpm=10**7)),),
)


def _stock(conn: Connection) -> None:
    put_vendor(conn, Vendor("maker", {"name": "Maker"}))
    put_upstream(conn, Upstream(id="eu", vendor="maker", dialect="openai", url="https://eu.example/v1"))
    versions = (Version(name="", routes=(("eu", "large"),)),)
    put_model(conn, Model(id="large", versions=versions, context=100, output_max=100), 1)


@pytest.mark.parametrize("later", [ACME, Customer(id="acme", contracts=(Contract(book="list"),), projects=("app",))])
def test_a_customer_comes_back_as_it_was_declared_last(engine: Engine, later: Customer) -> None:
    with write(engine) as conn:
        _stock(conn)
        tables.put_customer(conn, ACME, "USD", 1)
        put_budget(
            conn, "acme", DeclaredBudget(id="key-K1", project="app", per="month", amount=Decimal(5)), "USD",
            position=UNDECLARED, key="K1",
        )  # fmt: skip
        tables.put_customer(conn, later, "USD", 2)
    with read(engine) as conn:
        assert tables.read_customers(conn) == {"acme": later} == tables.read_customers(conn, "acme")
        assert tables.read_customers(conn, "other") == {}
        assert "key-K1" in {each.id for each in read_budgets(conn)["acme"]}


def test_money_of_terms_and_budgets_is_kept_in_ledger_units(engine: Engine) -> None:
    with write(engine) as conn:
        _stock(conn)
        tables.put_customer(conn, ACME, "USD", 1)
    with read(engine) as conn:
        pays = tables.read_pays(conn, "acme")
        assert pays is not None
        assert (pays.by, pays.credit_limit, pays.warn_below) == ("invoice", 90_000 * 10**9, 500_000)
        assert tables.read_pays(conn, "nobody") is None
        assert read_budget(conn, "acme", "app-day") == Budget(
            id="app-day", project="app", per="day", amount=50 * 10**9, hard=True, warn_at=(80, 95)
        )
        assert read_budget(conn, "acme", "gone") is None


def test_limits_reach_the_snapshot_with_whole_requests_per_window() -> None:
    assert limits_of(ACME) == (
        LimitEntry(id="acme/limit/customer/60", scope="customer", tokens=100),
        LimitEntry(id="acme/limit/project/app/1", scope="project", project="app", requests=2, window_s=1),
        LimitEntry(id="acme/limit/each_key/60", scope="each_key", concurrent=2),
        LimitEntry(id="acme/pool/large/EU", scope="pool", model="large", zone="EU", tokens=10**7),
    )
    assert deployment_limit("acme", ACME.deployments[0]) == LimitEntry(
        id="acme/deployment/app/l", scope="deployment", tokens=9, requests=100, window_s=10
    )
    assert deployment_limit("acme", msgspec.structs.replace(ACME.deployments[0], rates=Rates())) is None


def test_the_id_of_a_limit_stays_when_its_number_changes() -> None:
    more = msgspec.structs.replace(ACME, limits=(DeclaredLimit(rates=Rates(tpm=200)),))
    assert limits_of(more)[0].id == limits_of(ACME)[0].id


CONTRACTS = (
    Contract(book="list", id="K-1", starts_at=5, ends_at=9, discount_percent=Decimal("7.50"), notice_days=30),
    Contract(book="list", id="K-2", starts_at=9, rows=(
        PriceRow(model="large", prices={"input": Decimal("2.50")}, per=1000, when=When(tier="batch", hours="22-06")),
        PriceRow(model="large", steps={"output": Steps(rows=((10, Decimal("9.0")), (None, Decimal(8))))}),
        PriceRow(model="l*", cost_plus=CostPlus(percent=Decimal(20)), meters=("cached",)),
        PriceRow(model="x", included="part of the seat"), PriceRow(model="y", percent=Decimal(50), when=When(tier="b")),
        PriceRow(product="floor", period=PeriodPrice(minimum=Decimal(500))),
    )),
)  # fmt: skip


def test_contracts_come_back_with_every_kind_of_price_and_as_they_were_known(engine: Engine) -> None:
    later = msgspec.structs.replace(ACME, contracts=CONTRACTS, pays=Pays(
        by="invoice", credit_limit=Decimal(9), format="xrechnung", language="de", currency="USD",
    ))  # fmt: skip
    with write(engine) as conn:
        _stock(conn)
        tables.put_customer(conn, ACME, "USD", 100)
        tables.put_customer(conn, later, "USD", 200)
        tables.put_customer(conn, later, "USD", 300)
    with read(engine) as conn:
        assert tables.read_customers(conn)["acme"] == later
        assert tables.read_contracts(conn) == {"acme": CONTRACTS}
        assert tables.read_contracts(conn, known_at=199) == {"acme": ACME.contracts}
        assert tables.read_contracts(conn, known_at=99) == {}
        recorded = [row.recorded_at for row in conn.execute(tables.contract_table.select())]
        assert recorded == [100, 200], "what says the same is no new revision"


@pytest.mark.long
@pytest.mark.parametrize("verb", ["UPDATE contract SET contracts = '[]'", "DELETE FROM contract"])
def test_a_contract_is_never_changed_in_its_table(engine: Engine, verb: str) -> None:
    with write(engine) as conn:
        _stock(conn)
        tables.put_customer(conn, ACME, "USD", 100)
    with pytest.raises(DBAPIError, match="append-only"), write(engine) as conn:
        conn.exec_driver_sql(verb)
