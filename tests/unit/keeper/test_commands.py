"""What control and the command line may ask for: one transaction each, harmless when sent again."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from entrepot.catalog.export import export as export_text
from entrepot.catalog.issues import CatalogBroken
from entrepot.catalog.prices import Thing
from entrepot.customers.key import hmac_of, parse
from entrepot.customers.tables import customer_table, read_keys, read_stored
from entrepot.keeper import money
from entrepot.keeper.commands import CommandRefused, CommandUnknown, execute, export
from entrepot.keeper.compile import compile
from entrepot.keeper.first_start import make_secrets
from entrepot.keeper.secrets import CredentialBroken, CredentialMissing
from entrepot.kernel import instants
from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.instants import DAY, HOUR, SECOND
from entrepot.ledger.tables import balance_of, post_charges, prepaid_of, set_credit
from entrepot.ledger.transfer import TransactionConflict
from entrepot.limits import tables as leases
from entrepot.snapshot import Snapshot, publish
from entrepot.storage.database import metadata, open_database, prepare, read, write
from entrepot.storage.folder import Folder

NOW = instants.parse("2026-11-21T12:00:00Z")
SHOP = """\
format = 1
vendor.openai = { name = "OpenAI" }
[upstream.openai]
vendor = "openai"
endpoint = { dialect = "openai", url = "https://api.openai.com/v1", key = { env = "OPENAI_API_KEY" } }
[model]
gpt-4o = { routes = ["openai/gpt-4o"], context = 128_000, output_max = 16_384 }
[[book.list]]
currency = "USD"
valid_from = 2026-01-01T00:00:00Z
prices = [{ model = "gpt-4o", input = 2.50, cached = 1.25, output = 10.00 }]
[customer.acme]
deployments = [{ project = "search", name = "chat", model = "gpt-4o" }]
[customer.demo]
[customer.wide]
projects = ["a", "b"]
"""
NEXT = """
[[book.list]]
currency = "USD"
valid_from = 2027-01-01T00:00:00Z
prices = [{ model = "gpt-4o", output = 9.00 }]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path)
    folder.create()
    make_secrets(folder)
    return folder


@pytest.fixture
def fresh(folder: Folder) -> "House":
    engine = open_database(folder.database)
    prepare(engine)
    return House(engine, folder)


@pytest.fixture
def house(fresh: "House") -> "House":
    fresh.apply(SHOP, {"openai": "sk-one"})
    return fresh


class House:
    """Commands on one database and folder."""

    def __init__(self, engine: Engine, folder: Folder) -> None:
        self.engine, self.folder, self.now = engine, folder, NOW

    def do(self, command: str, /, **args: object) -> dict[str, object]:
        return execute(self.engine, self.folder, command, args, self.now)

    def apply(self, catalog: str, secrets: Mapping[str, str] | None = None, **args: object) -> dict[str, object]:
        return self.do("apply", text=catalog, file="shop.toml", secrets=secrets or {}, **args)

    def snapshot(self) -> Snapshot:
        with read(self.engine) as connection:
            publish(self.folder.snapshot, compile(connection, self.now))
        return Snapshot.load(self.folder.snapshot)

    def everything(self) -> list[object]:
        """All rows of all tables: equal before and after means that nothing was changed."""
        with read(self.engine) as connection:
            tables = sorted(metadata.tables.values(), key=lambda each: each.name)
            return [tuple(row) for table in tables for row in connection.execute(select(table))]

    def credential(self) -> str:
        upstream = self.snapshot().upstream("openai")
        assert upstream is not None
        return self.folder.secret(upstream.secret).decode()


def test_apply_puts_everything_into_the_snapshot(house: House) -> None:
    snapshot = house.snapshot()
    assert [each.name for each in snapshot.deployments("acme", "search")] == ["chat"]
    assert [each.name for each in snapshot.deployments("demo", "default")] == ["gpt-4o"]
    price = snapshot.prices("list", "gpt-4o")
    assert price is not None
    assert [(each.id, each.rates[:4]) for each in price.versions] == [("list/1", (2500, 1250, -1, 10000))]
    customer = snapshot.customer("acme")
    assert customer is not None
    assert (customer.open, customer.currency, customer.balance) == (False, "USD", "acme")
    assert house.credential() == "sk-one"


@pytest.mark.long
def test_the_same_file_again_changes_nothing(house: House) -> None:
    before, version = house.everything(), house.snapshot().version
    found = house.apply(SHOP, {"openai": "sk-one"})
    assert (found["changed"], found["changes"], found["secrets"]) == (False, [], [])
    assert (house.everything(), house.snapshot().version) == (before, version)


def test_an_export_applied_changes_nothing(house: House) -> None:
    house.apply("format = 1\n" + NEXT)
    assert house.apply(export_text(export(house.engine)))["changed"] is False


def test_the_difference_is_said_in_lines(house: House) -> None:
    found = house.apply("format = 1\n" + NEXT, dry_run=True)
    assert found["lines"] == ["+ book list   valid from 2027-01-01, USD; gpt-4o output 9.00"]
    assert found["dry_run"] is True
    assert house.apply("format = 1\n" + NEXT)["changed"] is True


def test_a_dry_run_changes_nothing_and_finds_the_same_mistakes(house: House) -> None:
    before, files = house.everything(), sorted(house.folder.secrets.iterdir())
    house.apply("format = 1\n" + NEXT, {"openai": "sk-two"}, dry_run=True)
    planned = house.apply(SHOP, {"openai": "sk-two"}, dry_run=True)
    assert planned["lines"] == ["~ credential of upstream openai, kept in the data folder"]
    assert house.apply(SHOP, {"openai": "sk-one"}, dry_run=True)["changed"] is False
    with pytest.raises(CatalogBroken):
        house.apply("format = 2\n", dry_run=True)
    assert (house.everything(), sorted(house.folder.secrets.iterdir())) == (before, files)


def test_a_file_with_a_mistake_changes_nothing_at_all(house: House) -> None:
    before = house.everything()
    with pytest.raises(CatalogBroken, match="nothing was changed"):
        house.apply("format = 1\nmodel.new = { routes = ['openai/x'], context = 5 }\n[customer.new]\ncolour = 1\n")
    assert house.everything() == before


def test_a_published_version_stays_and_its_number_counts(house: House) -> None:
    with pytest.raises(CatalogBroken, match="list/1 is published and never changes"):
        house.apply(SHOP.replace("2.50", "2.60"))
    house.apply("format = 1\n" + NEXT)
    assert [each.id for each in export(house.engine).versions] == ["list/1", "list/2"]
    assert export(house.engine).versions[1].things() == {Thing("gpt-4o", "output"): (Decimal("9.00"), 1_000_000)}


def test_prices_of_the_next_48_hours_are_in_the_snapshot(house: House) -> None:
    house.apply("format = 1\n" + NEXT)
    start = instants.parse("2027-01-01")
    seen = {}
    for offset in (-49 * HOUR, -47 * HOUR, 0, HOUR - 1, HOUR):
        house.now = start + offset
        price = house.snapshot().prices("list", "gpt-4o")
        assert price is not None
        seen[offset] = [each.id for each in price.versions]
        found = price.at(house.now)
        assert found is not None
        assert found.rates[3] == (10000 if offset < 0 else 9000)
    assert seen == {
        -49 * HOUR: ["list/1"], -47 * HOUR: ["list/1", "list/2"], 0: ["list/1", "list/2"],
        HOUR - 1: ["list/1", "list/2"], HOUR: ["list/2"],
    }  # fmt: skip


def test_a_credential_that_is_not_there_is_asked_for_word_for_word(fresh: House) -> None:
    """first-minutes.md §4, error 4."""
    with pytest.raises(CredentialMissing) as caught:
        fresh.apply(SHOP)
    assert "error: " + caught.value.message == (
        'error: upstream "openai" wants the environment variable OPENAI_API_KEY, which is not set (shop.toml, line 5)\n'
        "  do    export OPENAI_API_KEY=…      then: entrepot apply shop.toml"
    )


def test_a_credential_that_is_kept_is_not_asked_for_again(house: House) -> None:
    house.apply(SHOP)
    house.apply(SHOP.replace("openai.com/v1", "openai.com/v2"))
    assert house.credential() == "sk-one"


def test_a_credential_never_follows_its_upstream_to_another_host(house: House) -> None:
    before = house.everything()
    for other in ("https://evil.example/v1", "http://api.openai.com/v1", "https://api.openai.com:444/v1"):
        with pytest.raises(CredentialMissing, match=r"the one that is kept belongs to https://api\.openai\.com"):
            house.apply(SHOP.replace("https://api.openai.com/v1", other))
        assert house.everything() == before
    house.apply(SHOP.replace("https://api.openai.com/v1", "https://other.example/v1"), {"openai": "sk-two"})
    assert house.credential() == "sk-two"
    with pytest.raises(CredentialMissing):
        house.apply(SHOP)


def test_an_upstream_that_no_longer_wants_a_key_has_none(house: House) -> None:
    house.apply(SHOP.replace(', key = { env = "OPENAI_API_KEY" }', ""))
    upstream = house.snapshot().upstream("openai")
    assert upstream is not None
    assert upstream.secret == ""


def test_a_new_credential_is_a_new_file_and_the_old_one_goes_one_apply_later(house: House) -> None:
    first = house.snapshot().upstream("openai")
    house.apply(SHOP, {"openai": "sk-two"})
    second = house.snapshot().upstream("openai")
    assert first is not None
    assert second is not None
    assert first.secret != second.secret
    assert house.folder.secret(first.secret) == b"sk-one"
    house.apply(SHOP)
    names = {each.name for each in house.folder.secrets.glob("upstream-*")}
    assert names == {second.secret}
    assert (house.folder.secrets / second.secret).stat().st_mode & 0o777 == 0o600


@pytest.mark.long
def test_no_credential_is_in_the_database_the_export_or_an_answer(house: House) -> None:
    answer = house.apply(SHOP, {"openai": "sk-very-secret"})
    assert "very-secret" not in str(answer) + str(house.everything()) + export_text(export(house.engine))


@pytest.mark.parametrize("value", ["sk one", "sk\r\nx: y", "sk-é"])
def test_a_credential_that_could_break_a_header_is_refused(house: House, value: str) -> None:
    with pytest.raises(CredentialBroken) as caught:
        house.apply(SHOP, {"openai": value})
    assert value not in caught.value.message


def test_a_key_is_told_once_and_kept_as_an_hmac(house: House) -> None:
    made = house.do("key.create", customer="acme")
    key = parse(str(made["key"]))
    with read(house.engine) as connection:
        (stored,) = read_keys(connection)
    assert (stored.id, stored.secrets[0].hmac) == (key.id, hmac_of(house.folder.secret("pepper"), key.secret))
    assert key.secret not in str(house.everything())
    assert made["shown"] == f"ep_live_{key.id[:4]}…{str(made['key'])[-4:]}"
    assert stored.expires_at == NOW + 365 * DAY
    found = house.snapshot().key(key.id)
    assert found is not None
    assert (found.customer, found.project, found.models) == ("acme", "search", None)


@pytest.mark.long
@pytest.mark.parametrize(
    ("args", "project"),
    [
        ({"customer": "acme"}, "search"),
        ({"customer": "demo"}, "default"),
        ({"customer": "wide"}, "default"),
        ({"customer": "wide", "project": "b"}, "b"),
    ],
)
def test_a_key_belongs_to_the_project_named_else_the_only_one_else_default(
    house: House, args: dict[str, object], project: str
) -> None:
    assert house.do("key.create", **args)["project"] == project


REFUSED: list[tuple[str, dict[str, object], str]] = [
    ("key.create", {}, "customer is missing"),
    ("key.create", {"customer": 5}, "customer is a text, not int"),
    ("key.create", {"customer": "acm"}, 'there is no customer "acm". Did you mean "acme"?'),
    ("key.create", {"customer": "wide", "project": "c"}, 'wide has no project "c". Known here: a, b.'),
    ("key.create", {"customer": "acme", "models": ["chta"]}, 'has no model "chta". Did you mean "chat"?'),
    ("key.create", {"customer": "acme", "models": ["gpt-4o"]}, 'has no model "gpt-4o"'),
    ("key.create", {"customer": "acme", "models": "chat"}, "models is a list"),
    ("key.create", {"customer": "acme", "expires": "soon"}, 'not "soon"'),
    ("key.create", {"customer": "acme", "expires": "2026-11-21"}, "expires 2026-11-21 is past already"),
    ("key.create", {"customer": "acme", "expires": "999999999999d"}, "expires is a date"),
    ("key.create", {"customer": "acme", "name": "a\x1b[2Jb"}, "holds control or invisible characters"),
    ("key.create", {"customer": "acme", "name": "evil\u202ecod"}, "holds control or invisible characters"),
    ("key.create", {"customer": "acme", "name": "n" * 201}, "name has 201 characters; at most 200"),
    ("key.create", {"customer": "acme", "expires": "٣d"}, "expires is a date"),
    ("balance.top_up", {"customer": "acme", "amount": "1", "currency": "USD", "id": "P\n7"}, "control or invisible"),
    ("balance.top_up", {"customer": "acme", "amount": "1", "currency": "USD", "id": "P" * 129}, "at most 128"),
    ("key.rotate", {"id": "nokeyatall"}, 'there is no key "nokeyatall"'),
    ("key.revoke", {"id": "nokeyatall"}, 'there is no key "nokeyatall"'),
    ("key.revoke", {}, "id is missing"),
    ("balance.top_up", {"customer": "acme", "amount": "1", "currency": "USD"}, "id is missing"),
    ("balance.top_up", {"customer": "acme", "amount": "0", "currency": "USD", "id": "x"}, "more than 0"),
    ("balance.top_up", {"customer": "acme", "amount": "-1", "currency": "USD", "id": "x"}, "more than 0"),
    ("balance.top_up", {"customer": "acme", "amount": "1,5", "currency": "USD", "id": "x"}, "not an amount of money"),
    ("balance.top_up", {"customer": "acme", "amount": "٣", "currency": "USD", "id": "x"}, "not an amount of money"),
    ("balance.top_up", {"customer": "acme", "amount": "9" * 25, "currency": "USD", "id": "x"}, "at most 18 digits"),
    ("balance.top_up", {"customer": "acme", "amount": "nan", "currency": "USD", "id": "x"}, "not an amount"),
    ("balance.top_up", {"customer": "acme", "amount": "0.0000000001", "currency": "USD", "id": "x"}, "finer than"),
    ("balance.top_up", {"customer": "acme", "amount": "1", "currency": "EUR", "id": "x"}, "is kept in USD"),
    ("balance.top_up", {"customer": "acme", "amount": "1", "currency": "XXX", "id": "x"}, "is not kept here"),
    ("balance.top_up", {"customer": "acm", "amount": "1", "currency": "USD", "id": "x"}, 'no customer "acm"'),
    ("apply", {}, "text is missing"),
    ("apply", {"text": "format = 1", "secrets": ["x"]}, "secrets is a table"),
    ("key.revok", {}, 'no command is called "key.revok". Did you mean "key.revoke"?'),
]


@pytest.mark.long
def test_what_is_refused_says_why_and_changes_nothing(house: House) -> None:
    before = house.everything()
    for name, args, said in REFUSED:
        with pytest.raises(EntrepotError) as caught:
            house.do(name, **args)
        assert said in caught.value.message
        assert house.everything() == before


def test_a_command_nobody_knows_has_its_own_code(house: House) -> None:
    with pytest.raises(CommandUnknown):
        house.do("drop.everything")


def test_models_and_expiry_of_a_key_are_in_the_snapshot(house: House) -> None:
    made = house.do("key.create", customer="acme", models=["chat"], expires="90d", name="ci")
    found = house.snapshot().key(str(made["id"]))
    assert found is not None
    assert (found.models, found.expires_at) == (("chat",), NOW + 90 * DAY)
    assert house.do("key.create", customer="demo", models=["gpt-4o"], expires="never")["expires_at"] is None
    house.now = NOW + 90 * DAY
    assert house.snapshot().key(str(made["id"])) is None


def test_after_a_rotation_two_secrets_live_until_the_overlap_ends(house: House) -> None:
    key_id = str(house.do("key.create", customer="acme")["id"])
    turned = house.do("key.rotate", id=key_id, overlap_seconds=600)
    assert turned["old_until"] == instants.show(NOW + 600 * SECOND)
    assert parse(str(turned["key"])).id == key_id
    found = house.snapshot().key(key_id)
    assert found is not None
    assert [each.expires_at for each in found.secrets] == [NOW + 600 * SECOND, 0]
    assert found.secrets[1].hmac == hmac_of(house.folder.secret("pepper"), parse(str(turned["key"])).secret)
    house.now = NOW + 600 * SECOND
    found = house.snapshot().key(key_id)
    assert found is not None
    assert [each.expires_at for each in found.secrets] == [0]


@pytest.mark.long
def test_never_more_than_two_secrets_live(house: House) -> None:
    key_id = str(house.do("key.create", customer="acme")["id"])
    texts = [str(house.do("key.rotate", id=key_id, overlap_seconds=600)["key"]) for _ in range(3)]
    found = house.snapshot().key(key_id)
    assert found is not None
    pepper = house.folder.secret("pepper")
    assert [each.hmac for each in found.secrets] == [hmac_of(pepper, parse(each).secret) for each in texts[-2:]]


@pytest.mark.parametrize("overlap", [-1, "10", 1.5, True, 10**9])
def test_an_overlap_is_a_whole_number_of_seconds_within_its_bound(house: House, overlap: object) -> None:
    key_id = house.do("key.create", customer="acme")["id"]
    with pytest.raises(CommandRefused, match="overlap_seconds is a whole number"):
        house.do("key.rotate", id=key_id, overlap_seconds=overlap)


@pytest.mark.long
def test_a_rotation_within_an_overlap_says_which_secret_ends_at_once(house: House) -> None:
    made = house.do("key.create", customer="acme")
    first = house.do("key.rotate", id=made["id"], overlap_seconds=600)
    assert (first["old"], first["ended"]) == (str(made["key"])[-4:], [])
    second = house.do("key.rotate", id=made["id"], overlap_seconds=600)
    assert (second["old"], second["ended"]) == (str(first["key"])[-4:], [str(made["key"])[-4:]])


def test_amounts_in_answers_are_digits_for_programs(house: House) -> None:
    done = house.do("balance.top_up", customer="acme", amount="1234567.5", currency="USD", id="PAY-9")
    assert (done["amount"], done["balance"]) == ("1234567.50", "1234567.50")


def test_a_revoked_key_is_denied_gone_from_the_snapshot_and_stays_so(house: House) -> None:
    key_id = str(house.do("key.create", customer="acme")["id"])
    first = house.do("key.revoke", id=key_id)
    assert house.folder.denied(0)[0] == [key_id]
    assert house.snapshot().key(key_id) is None
    house.now += HOUR
    assert house.do("key.revoke", id=key_id) == first
    assert house.folder.denied(0)[0] == [key_id]
    with pytest.raises(CommandRefused, match=f"key {key_id} is revoked"):
        house.do("key.rotate", id=key_id, overlap_seconds=0)


def test_a_top_up_counts_once_however_often_it_is_sent(house: House) -> None:
    args = {"customer": "acme", "amount": "100.5", "currency": "USD", "id": "PAY-7"}
    assert house.do("balance.top_up", **args, dry_run=True)["balance"] == "0.00"
    first = house.do("balance.top_up", **args)
    again = house.do("balance.top_up", **args)
    assert (first["posted"], again["posted"]) == (True, False)
    assert (first["amount"], first["balance"], again["balance"]) == ("100.50", "100.50", "100.50")
    with pytest.raises(TransactionConflict):
        house.do("balance.top_up", **{**args, "amount": "100"})
    with read(house.engine) as connection:
        assert balance_of(connection, "acme") == 100_500_000_000


def test_a_grant_that_is_sent_again_later_is_the_same_grant(house: House) -> None:
    args = {"customer": "acme", "amount": "5", "until": "1d", "id": "GIFT"}
    first = house.do("balance.grant", **args)
    house.now += 2 * DAY
    again = house.do("balance.grant", **args)
    assert (first["posted"], again["posted"], again["known"]) == (True, False, True)
    assert again["until"] == first["until"]
    with pytest.raises(TransactionConflict):
        house.do("balance.grant", **{**args, "until": "2d"})


def test_what_was_paid_ahead_ends_at_its_end_also_after_the_change_to_invoices(house: House) -> None:
    house.do("balance.grant", customer="acme", amount="5", kind="paid", until="1d", id="PAY")
    with write(house.engine) as connection:
        set_credit(connection, "acme", 10**12)
        post_charges(connection, "usage/1", house.now, {("acme", "USD", "gpt-4o"): 10**9}, {})
        assert leases.grant(connection, "acme", 1, 10**9, 10**12)
    house.now += DAY
    assert money.expire(house.engine, house.now) == []
    with read(house.engine) as connection:
        assert prepaid_of(connection, "acme") == 0


def test_a_dry_run_tells_nobody_what_has_not_come_true(house: House, caplog: pytest.LogCaptureFixture) -> None:
    house.do("balance.top_up", customer="acme", amount="5", currency="USD", id="PAY")
    with write(house.engine) as connection:
        connection.execute(update(customer_table).where(customer_table.c.id == "acme").values(warn_below=3 * 10**9))
    args = {"customer": "acme", "amount": "4", "id": "R-1"}
    house.do("balance.refund", **args, dry_run=True)
    assert caplog.messages == []
    house.do("balance.refund", **args)
    assert len(caplog.messages) == 1


def test_a_customer_that_changes_keeps_its_keys_projects_and_balance(house: House) -> None:
    key_id = str(house.do("key.create", customer="acme")["id"])
    house.do("balance.top_up", customer="acme", amount="1", currency="USD", id="P")
    moved = '[customer.acme]\ndeployments = [{ project = "new", name = "chat", model = "gpt-4o" }]\n'
    house.apply("format = 1\n" + moved)
    snapshot = house.snapshot()
    assert snapshot.key(key_id) is not None
    assert [each.name for each in snapshot.deployments("acme", "new")] == ["chat"]
    assert snapshot.deployments("acme", "search") == []
    with read(house.engine) as connection:
        assert set(read_stored(connection)["acme"].projects) == {"new", "search"}
        assert balance_of(connection, "acme") == 1_000_000_000


@pytest.mark.long
def test_every_command_does_the_same_on_both_databases(engine: Engine, folder: Folder) -> None:
    house = House(engine, folder)
    house.apply(SHOP, {"openai": "sk-one"})
    house.apply(SHOP.replace("128_000", "64_000") + NEXT)
    assert house.apply(export_text(export(engine)))["changed"] is False
    key_id = str(house.do("key.create", customer="acme", models=["chat"])["id"])
    turned = parse(str(house.do("key.rotate", id=key_id, overlap_seconds=600)["key"]))
    found = house.snapshot().key(key_id)
    assert found is not None
    assert found.secrets[1].hmac == hmac_of(folder.secret("pepper"), turned.secret)
    args = {"customer": "acme", "amount": "100.5", "currency": "USD", "id": "PAY-7"}
    assert [house.do("balance.top_up", **args)["posted"] for _ in range(2)] == [True, False]
    house.do("key.revoke", id=key_id)
    snapshot = house.snapshot()
    assert snapshot.key(key_id) is None
    model = snapshot.model("gpt-4o")
    assert model is not None
    assert model.context == 64_000
