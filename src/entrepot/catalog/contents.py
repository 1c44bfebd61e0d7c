"""What a catalog holds, as values: equal contents are equal, whatever file or database they came from."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from entrepot.catalog.lifecycle import Upgrade, Version
from entrepot.catalog.prices import METERS, BookVersion, PriceRow
from entrepot.kernel.instants import Instant

Dialect = Literal["openai", "azure", "builtin"]
Operation = Literal["chat", "completion", "embedding"]
#: What a model serves that says nothing else: embeddings come from models of their own.
MOST_OPERATIONS: tuple[Operation, ...] = ("chat", "completion")
ClientGone = Literal["drain", "cancel"]
Per = Literal["day", "month", "total"]
PaysBy = Literal["prepaid", "invoice"]
#: What a customer is sent: a page for people, or the e-invoice of Germany's public sector beside it.
Format = Literal["pdf", "xrechnung"]


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """Where events are told to: signed with a secret that `apply` finds in its environment or a file. No kinds: all."""

    name: str
    url: str
    key_env: str = ""
    key_file: str = ""
    events: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """As credentials are told apart: no upstream has a slash in its name."""
        return f"webhook/{self.name}"

    @property
    def wants_key(self) -> bool:
        return True


class Operator(msgspec.Struct, frozen=True):
    """Who runs the house and signs its invoices; kept as given. `webhooks` are checked when the file is read."""

    facts: Mapping[str, object]

    @property
    def webhooks(self) -> tuple[Webhook, ...]:
        rows = self.facts.get("webhooks")
        found = []
        for row in rows if isinstance(rows, list | tuple) else ():
            secret = row.get("secret") or {}
            found.append(
                Webhook(
                    name=str(row.get("name", "")), url=str(row.get("url", "")), key_env=str(secret.get("env", "")),
                    key_file=str(secret.get("file", "")), events=tuple(map(str, row.get("events", ()))),
                )
            )  # fmt: skip
        return tuple(found)


class Vendor(msgspec.Struct, frozen=True):
    """Whom we buy from."""

    id: str
    facts: Mapping[str, object]

    @property
    def name(self) -> str:
        return str(self.facts.get("name", self.id))


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint of a vendor. `key_env` or `key_file` says where `apply` finds the credential; both empty: none."""

    id: str
    vendor: str
    dialect: Dialect
    url: str = ""
    zone: str = ""
    key_env: str = ""
    key_file: str = ""
    client_gone: ClientGone = "drain"
    drain_seconds: int = 120
    api_version: str = ""  # of Azure: a dated one for its classic paths, "v1" for the others

    @property
    def wants_key(self) -> bool:
        return bool(self.key_env or self.key_file)


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model that we may sell, in at least one version; `default` names the one that deployments follow.

    An alias is another name for it, for customers who declare no deployments.
    """

    id: str
    versions: tuple[Version, ...]
    context: int
    output_max: int
    operations: tuple[Operation, ...] = MOST_OPERATIONS
    default: str = ""
    aliases: tuple[str, ...] = ()

    @property
    def routes(self) -> tuple[tuple[str, str], ...]:
        """Of all versions."""
        return tuple(route for version in self.versions for route in version.routes)

    def version(self, name: str) -> Version | None:
        return next((each for each in self.versions if each.name == name), None)

    def names(self) -> dict[str, str]:
        """Names for it beside its own → version ("" follows the default): aliases, and the dated ones as vendors have
        them (`gpt-4o-2024-08-06`)."""
        dated = {f"{self.id}-{each.name}": each.name for each in self.versions if each.name}
        return {**dated, **dict.fromkeys(self.aliases, "")}


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens and requests a minute, and calls at once; 0: not limited. Requests are counted in windows of `window`
    seconds (1, 10 or 60), each with its even part of `rpm`, which is whole."""

    tpm: int = 0
    rpm: int = 0
    window: int = 60
    concurrent: int = 0

    def __bool__(self) -> bool:
        return bool(self.tpm or self.rpm or self.concurrent)


class DeclaredLimit(msgspec.Struct, frozen=True, kw_only=True):
    """Rates of the whole customer, of one project, or (`each_key`) of every key for itself."""

    rates: Rates
    project: str = ""
    each_key: bool = False


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """The pool of a model (in a zone, "" in all) that a customer's deployments are cut from."""

    model: str
    zone: str = ""
    rates: Rates


class DeclaredBudget(msgspec.Struct, frozen=True, kw_only=True):
    """Money that calls of the customer, or of one project, may use per period. `warn_at`: percents, ascending."""

    id: str
    project: str = ""
    per: Per
    amount: Decimal
    hard: bool = True
    warn_at: tuple[int, ...] = ()


class Pays(msgspec.Struct, frozen=True, kw_only=True):
    """Prepaid: calls draw on a balance. By invoice: they may owe up to the credit limit. None: not given.

    `due_days` 0 and `language` "" are the operator's; `currency` "" is the book's.
    """

    by: PaysBy = "prepaid"
    credit_limit: Decimal | None = None
    warn_below: Decimal | None = None
    due_days: int = 0
    format: Format = "pdf"
    language: str = ""
    currency: str = ""


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A model under a name of the customer's choice, in one project. output_max 0: the model's maximum."""

    project: str
    name: str
    model: str
    output_max: int = 0
    rates: Rates = Rates()
    version: str = ""  # of the model; "" follows the default one
    upgrade: Upgrade = "expired"


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """A customer's terms in [starts_at, ends_at), 0: not given. One with an `id` is signed.

    The price of a meter is the contract's own (`rows`) or the book's less `discount_percent`, never both. A version of
    the book that changes a price in force starts `notice_days` after its publication.
    """

    book: str
    id: str = ""
    starts_at: Instant = 0
    ends_at: Instant = 0
    discount_percent: Decimal = Decimal(0)
    rows: tuple[PriceRow, ...] = ()
    notice_days: int = 0

    @property
    def terms(self) -> tuple[object, ...]:
        """What a charge follows from; equal terms make equal charges."""
        own = BookVersion(book="", currency="", valid_from=0, rows=self.rows).things()
        return self.book, self.discount_percent, own

    def holds(self, at: Instant) -> bool:
        return self.starts_at <= at and (not self.ends_at or at < self.ends_at)


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """Who buys. Without deployments it is open: every priced model is one, under the model's name.

    `contracts` follow each other without a gap; outside of them no call is let in.
    """

    id: str
    contracts: tuple[Contract, ...]
    about: Mapping[str, object] = {}
    address: Mapping[str, object] = {}
    projects: tuple[str, ...] = ()
    deployments: tuple[Deployment, ...] = ()
    pays: Pays = Pays()
    budgets: tuple[DeclaredBudget, ...] = ()
    limits: tuple[DeclaredLimit, ...] = ()
    quota: tuple[Quota, ...] = ()

    def contract(self, at: Instant) -> Contract:
        """The one in force at `at`; before the first of them the first, after the last the last."""
        return next((each for each in self.contracts if not each.ends_at or at < each.ends_at), self.contracts[-1])

    def all_projects(self) -> tuple[str, ...]:
        """Declared ones, then those that only deployments name; `default` where there is none."""
        names = dict.fromkeys((*self.projects, *(each.project for each in self.deployments)))
        return tuple(names) or ("default",)


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a file declares, or everything the database holds."""

    operator: Operator | None = None
    vendors: Mapping[str, Vendor] = {}
    upstreams: Mapping[str, Upstream] = {}
    models: Mapping[str, Model] = {}
    versions: tuple[BookVersion, ...] = ()  # of all books, in order of publication
    customers: Mapping[str, Customer] = {}

    @property
    def credentialed(self) -> tuple[Upstream | Webhook, ...]:
        """Everything that may want a credential."""
        return (*self.upstreams.values(), *(self.operator.webhooks if self.operator else ()))

    def vendors_of(self, model: str) -> tuple[str, ...]:
        """Those who serve a model, that of its first route first; prices may be on theirs."""
        found = self.models.get(model)
        served = (self.upstreams.get(upstream) for upstream, _ in found.routes) if found else ()
        return tuple(dict.fromkeys(each.vendor for each in served if each is not None))

    def book(self, name: str) -> tuple[BookVersion, ...]:
        return tuple(version for version in self.versions if version.book == name)


def order_of(meter: str) -> int:
    """Place of a meter, for stable output."""
    return METERS.index(meter)
