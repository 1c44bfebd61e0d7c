"""What a file says, and what it is told when it has mistakes: word for word."""

import re
from decimal import Decimal
from pathlib import Path

import pytest

from entrepot.catalog.contents import Catalog
from entrepot.catalog.credentials import gather
from entrepot.catalog.file import CatalogFile, read
from entrepot.catalog.issues import CatalogBroken
from entrepot.catalog.prices import Thing, Unit
from entrepot.kernel import instants
from entrepot.kernel.text import is_plain
from entrepot.pricing.publication import check

NOW = instants.parse("2026-11-21T12:00:00Z")
EXAMPLES = Path(__file__).parents[3] / "examples"

SHOP = """\
format = 1
vendor.openai = { name = "OpenAI" }
[upstream.openai]
vendor = "openai"
endpoint = { dialect = "openai", url = "https://api.openai.com/v1", zone = "US", key = { env = "OPENAI_API_KEY" } }
client_gone = { do = "drain", seconds = 30 }

[operator]
name = "Shop"
books = { currency = "USD" }

[model.gpt-4o]
context = 128_000
routes = ["openai/gpt-4o"]
[[book.list]]
currency = "USD"
valid_from = 2027-01-01T00:00:00Z
prices = [{ model = "gpt-4o", output = 9.00 }]

[[book.list]]
currency = "USD"
valid_from = 2026-12-01T00:00:00Z
prices = [{ model = "gpt-4o", input = 2.50, output = 10.00 }]
"""

BROKEN = (
    SHOP.replace('["openai/', '["open-ai/')
    + """
[[book.list]]
currency = "USD"
valid_from = 2026-12-01T00:00:00Z
prices = [{ model = "gpt-4o", output = 11.00 }]

[upstream.openai-eu]
api_key = "sk-…"
vendor = "openai"
endpoint = { dialect = "openai", url = "https://eu.api.openai.com/v1", zone = "EU", key = { env = "OPENAI_API_KEY" } }
"""
)

#: first-minutes.md §4, error 3
MISTAKES = """\
shop.toml: 3 mistakes, nothing was changed

  line 14   routes = ["open-ai/gpt-4o"]
            No upstream has this name. Did you mean "openai" (line 3)?

  line 22   valid_from = 2026-12-01T00:00:00Z
            gpt-4o output has two prices from 2026-12-01 until 2027-01-01: this one and that of line 27.
            A later version ends the earlier one by itself: give this one a later valid_from, or remove it.

  line 31   api_key = "sk-…"
            Secrets do not belong in this file. Write key = { env = "OPENAI_API_KEY" } or key = { file = "…" }."""


def mistakes(text: str, existing: Catalog | None = None) -> str:
    with pytest.raises(CatalogBroken) as caught:
        check(read(text, "shop.toml"), existing or Catalog(), NOW)
    return caught.value.message


def good(text: str) -> CatalogFile:
    file = read(text, "shop.toml")
    check(file, Catalog(), NOW)
    return file


def test_three_mistakes_at_once_are_shown_word_for_word() -> None:
    assert mistakes(BROKEN) == MISTAKES


def test_a_real_secret_is_masked_in_every_line_that_is_shown() -> None:
    text = BROKEN.replace('"sk-…"', '"sk-proj-1234567890abcdef"')
    text = text.replace('key = { env = "OPENAI_API_KEY" } }\nclient', 'key = "hunter2", colour = "red" }\nclient')
    said = mistakes(text)
    assert "1234567890" not in said
    assert "hunter2" not in said
    assert '  line 31   api_key = "sk-…"\n' in said
    assert '  line 5    key = "…"\n' in said
    assert 'Nothing here is called "colour".' in said


@pytest.mark.parametrize(
    "line",
    [
        'api_key = "abc"', 'secret = "abc"', 'auth-token = "abc"', 'key = "abc"', 'password = "abc"',
        'x = "sk-abcdefghijklmnopqrs"',
    ],
)  # fmt: skip
def test_an_inline_secret_is_refused_wherever_it_stands(line: str) -> None:
    said = mistakes(SHOP.replace('vendor = "openai"\n', f'vendor = "openai"\n{line}\n'))
    assert "Secrets do not belong in this file." in said
    assert "abc" not in said


def test_a_good_file_is_read_as_it_stands() -> None:
    catalog = good(SHOP).catalog
    upstream = catalog.upstreams["openai"]
    assert (upstream.vendor, upstream.key_env) == ("openai", "OPENAI_API_KEY")
    assert upstream.url == "https://api.openai.com/v1"
    assert (upstream.client_gone, upstream.drain_seconds) == ("drain", 30)
    assert catalog.models["gpt-4o"].routes == (("openai", "gpt-4o"),)
    assert catalog.models["gpt-4o"].output_max == 128_000
    first = catalog.versions[1]
    assert (first.book, first.currency, first.buys_from) == ("list", "USD", "")
    assert first.things()[Thing("gpt-4o", "input")] == Unit(Decimal("2.50"), 1_000_000)


def test_prices_are_exact_decimals() -> None:
    file = good(SHOP.replace("input = 2.50", "input = 0.1"))
    assert file.catalog.versions[1].things()[Thing("gpt-4o", "input")] == Unit(Decimal("0.1"), 1_000_000)


@pytest.mark.parametrize("price", ["-1.0", "nan", "inf", '"2.50"', "1e-19", "1e30", "true", "-0.5"])
def test_what_is_no_price_is_refused_with_its_line(price: str) -> None:
    said = mistakes(SHOP.replace("input = 2.50", f"input = {price}"))
    assert "line 23" in said
    assert "input is a price" in said


LATER = {
    "upstream": ["our_balance = { warn_below = 500.0 }", "capacity = { units = 300 }"],
    "row": ['per = "PTU-hour"', 'per = "PTU-month"', 'per = "seat-month"', "tokens = 5", "includes = { tokens = 5 }"],
    "model": ["ptu = { minimum = 50 }"],
    "customer": ["commitment = { amount = 5 }", "seats = []", "contract = { retention = 5 }",
                 'deployments = [{ model = "gpt-4o", kind = "provisioned" }]'],
    "root": ["[settlement]\nrent = { kind = \"rent-received\" }"],
}  # fmt: skip
PLACES = {
    "upstream": ("client_gone", "{}\nclient_gone"),
    "row": ("input = 2.50", "{}, input = 2.50"),
    "model": ("context =", "{}\ncontext ="),
    "customer": ("[model.gpt-4o]", "[customer.acme]\n{}\n[model.gpt-4o]"),
    "root": ("[model.gpt-4o]", "{}\n[model.gpt-4o]"),
}


@pytest.mark.parametrize(("place", "line"), [(place, line) for place, lines in LATER.items() for line in lines])
def test_what_this_version_cannot_do_is_refused_by_name(place: str, line: str) -> None:
    before, after = PLACES[place]
    said = mistakes(SHOP.replace(before, after.format(line), 1))
    assert "not for sale yet in this version" in said


def test_every_line_of_the_full_format_that_comes_later_is_refused_and_no_other() -> None:
    text = Path(__file__).with_name("full.toml").read_text()
    file = read(text, "full.toml")
    lines = {issue.line for issue in file.issues}
    wanted = {number for number, line in enumerate(text.split("\n"), 1) if "#later" in line}
    assert lines == wanted
    assert all("not for sale yet in this version" in issue.why[0] for issue in file.issues)


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("format = 1\nx = \n", 2, "This is not TOML: invalid value, column 5."),
        ("format = 1\nformat = 2\n", 2, "This is not TOML: cannot overwrite a value"),
        ('a = "open', 1, "This is not TOML:"),
        ("format = 1\n\n[model\n", 3, "This is not TOML:"),
        ("\n\napi_key = sk-1234\n", 3, "This is not TOML: invalid value"),
    ],
)
def test_a_mistake_of_toml_has_line_and_column(text: str, line: int, why: str) -> None:
    with pytest.raises(CatalogBroken) as caught:
        read(text, "shop.toml")
    (issue,) = caught.value.issues
    assert issue.line == line
    assert issue.why[0].startswith(why)
    assert "column" in issue.why[0] or "end of the file" in issue.why[0]
    assert "1234" not in caught.value.message


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("format = 1", "format = 2", "This version reads format 1."),
        ('currency = "USD"\nvalid', 'currency = "XXX"\nvalid', "No account is kept in it."),
        ("valid_from = 2026-12-01T00:00:00Z", "valid_from = 2026-12-01", "write 2026-12-01T00:00:00Z."),
        ("valid_from = 2026-12-01T00:00:00Z", "valid_from = 2026-12-01T00:00:00", "write 2026-12-01T00:00:00Z."),
        ('vendor = "openai"', 'vendor = "opnai"', 'No vendor has this name. Did you mean "openai" (line 2)?'),
        ('vendor = "openai"\n', "", "vendor is missing; it is a text."),
        ("https://api.openai.com/v1", "ftp://api.openai.com", "url starts with https:// or http://"),
        ("https://api.openai.com/v1", "https://me:pw@api.openai.com/v1", "url holds no user, password"),
        ('dialect = "openai"', 'dialect = "gemini"', "not for sale yet in this version"),
        ('"openai", url', '"openai", api_version = "v1", url', 'Only dialect = "azure" has an api_version'),
        ('"openai", url', '"azure", api_version = "2024", url', 'api_version is a date such as "2024-10-21"'),
        ('"openai", url = "https://api.openai.com/v1"', '"azure", url = "https://x.openai.azure.com/openai/v1"',
         "An Azure resource's address ends before /openai"),
        ("context =", 'operations = ["chta"]\ncontext =', 'Did you mean "chat"?'),
        ("context =", 'operations = ["chat", "chat"]\ncontext =', '"chat" stands here twice.'),
        ("context =", "operations = []\ncontext =", "A model serves at least one operation."),
        ("context =", 'lifecycle = "dead"\ncontext =', "lifecycle is one of"),
        ("context =", "retires = 2027-01-01\ncontext =", "retires is an instant"),
        ("context =", 'replaced_by = "gpt-5x"\ncontext =', "No model has this name."),
        ("context =", 'aliases = ["a/b"]\ncontext =', '"a/b" cannot be a name here'),
        ("context =", 'default = "x"\ncontext =', "No version has this name."),
        ("context =", "versions = []\ncontext =", "versions is a list of"),
        ('routes = ["openai/gpt-4o"]', 'versions = [{ version = "a", routes = ["openai/x"] }, '
         '{ version = "b", routes = ["openai/y"] }]', "default is missing"),
        ('routes = ["openai/gpt-4o"]', 'versions = [{ version = "a", routes = ["openai/x"] }, '
         '{ version = "a", routes = ["openai/y"] }]\ndefault = "a"', '"a" stands here twice.'),
        ('routes = ["openai/gpt-4o"]', 'versions = [{ version = "a", routes = ["opnai/x"] }]',
         'No upstream has this name. Did you mean "openai"'),
        ("context =", 'versions = [{ version = "a", routes = ["openai/x"] }]\ncontext =',
         "routes stands in each of versions"),
        ("[model", '[model.two]\nroutes = ["openai/x"]\ncontext = 9\naliases = ["gpt-4o"]\n[model',
         '"gpt-4o" would mean both gpt-4o and two: rename one.'),
        ("[model", '[customer.a]\ndeployments = [{ model = "gpt-4o", version = "x" }]\n[model',
         "gpt-4o has no such version. It has none: remove version."),
        ("[model", '[customer.a]\ndeployments = [{ model = "gpt-4o", upgrade = "never" }]\n[model',
         "Without a version it follows the default one"),
        ('dialect = "openai"', 'dialect = "opnai"', 'Did you mean "openai"?'),
        ('{ env = "OPENAI_API_KEY" }', "{ }", 'key is either { env = "NAME" } or { file = "…" }.'),
        ("seconds = 30", "seconds = 300", "seconds is at most 120."),
        ('["openai/gpt-4o"]', "[]", "A model needs at least one route."),
        ('["openai/gpt-4o"]', '["gpt-4o"]', 'A route is "upstream/the vendor\'s name of the model".'),
        ("context = 128_000", "context = 0", "context is a whole number of at least 1."),
        ("context = 128_000", "contxt = 128_000", 'Did you mean "context"?'),
        ("context =", "output_max = 129_000\ncontext =", "output_max is at most the context of 128,000."),
        ("[model.gpt", "[model.gpt-4.1]\nx=1\n[model.gpt", 'A name with a dot in it is quoted: [model."gpt-4.1"].'),
        ('"gpt-4o", input', '"gpt-4", input', 'No model has this name. Did you mean "gpt-4o" (line 12)?'),
        ("USD\"\nvalid", "EUR\"\nvalid", 'A book has one currency, and "list" is in EUR (line 15).'),
        ("output = 10.00 }", 'output = 10.0 }, { model = "gpt-4o", output = 3.0 }',
         "two prices in this version: this one and that of line 23."),
        ('[operator]\nname = "Shop"', "[operator]", "name is missing; it is a text."),
        ("[model", '[customer.a]\ncontract = { book = "lst" }\n[model', 'called "lst". Did you mean "list"?'),
        ("[model", '[customer.a]\ndeployments = [{ model = "gpt-4x" }]\n[model', 'Did you mean "gpt-4o" (line 14)?'),
        ("[model", '[customer.a]\ndeployments = [{ model = "gpt-4o", output_max = 999_999 }]\n[model',
         "gpt-4o answers at most 128,000 tokens."),
        ("[model", '[customer.a]\nprojects = ["a", "a"]\n[model', '"a" stands here twice.'),
        ("[model", '[customer."a/b"]\n[model', '"a/b" cannot be a name here'),
    ],
)  # fmt: skip
def test_each_mistake_is_named_with_the_way_out(before: str, after: str, said: str) -> None:
    assert before in SHOP
    assert said in mistakes(SHOP.replace(before, after, 1))


def test_credentials_come_from_the_environment_and_from_files() -> None:
    text = SHOP.replace('{ env = "OPENAI_API_KEY" }', '{ file = "keys/openai" }')
    files = {"keys/openai": "sk-2\n"}

    def read_text(path: str) -> str:
        if path not in files:
            raise FileNotFoundError(path)
        return files[path]

    assert gather(good(SHOP).catalog, {"OPENAI_API_KEY": "sk-1 "}, read_text) == {"openai": "sk-1"}
    assert gather(good(SHOP).catalog, {}, read_text) == {}
    assert gather(good(text).catalog, {}, read_text) == {"openai": "sk-2"}
    files.clear()
    assert gather(good(text).catalog, {}, read_text) == {}


def test_the_examples_have_no_mistake() -> None:
    demo = read((EXAMPLES / "demo.toml").read_text(), "demo.toml")
    check(demo, Catalog(), NOW)
    for name in ("openai.toml", "unpriced.toml", "shop.toml"):
        check(read((EXAMPLES / name).read_text(), name), demo.catalog, NOW)


def test_the_file_shown_in_the_reference_has_no_mistake() -> None:
    page = EXAMPLES.parent.joinpath("docs/reference/catalog.md").read_text()
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert blocks
    for block in blocks:
        check(read(block, "reference.toml"), Catalog(), NOW)


@pytest.mark.parametrize("name", ["a\\u001b[2J", "a\\u202eb", "a\\nb"])
def test_a_name_holds_nothing_that_a_terminal_would_obey(name: str) -> None:
    text = f"""\
format = 1
[vendor]
maker = {{ name = "Maker" }}
[upstream.maker]
vendor = "maker"
endpoint = {{ dialect = "openai", url = "https://maker.example/v1" }}
[model]
one = {{ routes = ["maker/{name}"], context = 1_000 }}
"{name}" = {{ routes = ["maker/one"], context = 1_000 }}
[customer."{name}"]
[customer.acme]
projects = ["{name}"]
deployments = [{{ project = "p", name = "{name}", model = "one" }}]
"""
    issues = read(text, "shop.toml").issues
    assert sorted(issue.line for issue in issues) == [8, 9, 10, 12, 13]
    assert is_plain("".join(why for issue in issues for why in issue.why))
