"""What control and the command line may ask for: each command is one write transaction, and may be sent again.

Chance (new keys) is drawn here. The caller compiles and publishes the snapshot afterwards.
"""

import secrets as chance
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from sqlalchemy import Connection, Engine

from entrepot.catalog import file as catalog_file
from entrepot.catalog.buyers import WARN_AT
from entrepot.catalog.contents import Catalog, DeclaredBudget, Per, Rates
from entrepot.catalog.difference import Change, difference
from entrepot.catalog.issues import did_you_mean
from entrepot.customers import key as keys
from entrepot.customers import tables as customer_tables
from entrepot.customers.limit_tables import UNDECLARED, amount_from_row, put_budget
from entrepot.customers.tables import CustomerState, StoredKey, StoredSecret
from entrepot.keeper import money, secrets, state
from entrepot.keeper.arguments import (
    NAME_MOST,
    Args,
    CommandRefused,
    Facts,
    amount_of,
    end_of,
    name_of,
    text_of,
    whole,
)
from entrepot.keeper.bills import approvals, credits, invoices, losses, payments
from entrepot.keeper.bills.numbering import check_numbers
from entrepot.keeper.insight import figures
from entrepot.keeper.thresholds import after_change
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import DAY, SECOND, Instant, show
from entrepot.kernel.text import plain
from entrepot.limits import event_tables
from entrepot.limits.event_tables import DeliveryState
from entrepot.metering.tables import used_between
from entrepot.pricing.publication import check
from entrepot.storage.database import read, write
from entrepot.storage.folder import Folder

#: A key without `expires` lives this long; `never` is possible and has to be said.
KEY_LIFE = 365 * DAY
#: An old secret may live beside its successor for at most this long.
OVERLAP_MOST = 30 * DAY


class CommandUnknown(EntrepotError):
    """No command has this name."""

    code = "command_unknown"
    fault = Fault.CALLER


def execute(engine: Engine, folder: Folder, name: str, args: Args, now: Instant) -> Facts:
    """Do one command and return what there is to tell; raises EntrepotError and then has changed nothing."""
    try:
        command = COMMANDS[name]
    except KeyError:
        raise CommandUnknown(f'no command is called "{name}".{did_you_mean(name, COMMANDS)}') from None
    return command(engine, folder, args, now)


def apply(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{text, file, secrets: {upstream: value}, dry_run}: load a catalog file, all of it or nothing."""
    source, name = text_of(args, "text"), text_of(args, "file", "catalog.toml")
    given, dry_run = _secrets(args), bool(args.get("dry_run"))
    file = catalog_file.read(source, name)
    wanting = file.catalog.credentialed
    if dry_run:
        with read(engine) as connection:
            before = state.standing(connection)
            check(file, before, now, used_between(connection))
            check_numbers(connection, file, now)
            kept = secrets.kept(connection)
        secrets.missing(file, wanting, given, kept)
        renewed = secrets.renewed(folder, kept, wanting, given)
        return _said(difference(before, file.catalog), renewed, dry_run=True)
    with write(engine) as connection:
        before, kept = state.standing(connection), secrets.kept(connection)
        check(file, before, now, used_between(connection))
        check_numbers(connection, file, now)
        secrets.missing(file, wanting, given, kept)
        changes, renewed = difference(before, file.catalog), secrets.renewed(folder, kept, wanting, given)
        state.carry_out(connection, changes, now)
        after_change(connection, (each.name for each in changes if each.noun == "customer"), now)
        secrets.keep(connection, folder, renewed, given)
        after = secrets.kept(connection)
    # Gateways read the old files until they have the next snapshot, so those of before stay until the next apply.
    secrets.sweep(folder, [each for each, _ in (*kept.values(), *after.values())])
    return _said(changes, renewed, dry_run=False)


def export(engine: Engine) -> Catalog:
    """The catalog as it stands."""
    with read(engine) as connection:
        return state.standing(connection)


def key_create(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{customer, project?, models?, expires?, name?, rpm?, tpm?, concurrent?, budget?, per?}: a new key, whose text is
    told here and never again."""
    customer, wanted = text_of(args, "customer"), args.get("project")
    expires_at = end_of(args.get("expires"), now, default=now + KEY_LIFE, name="expires")
    name, rates = name_of(args, "name", NAME_MOST, ""), _rates(args)
    with write(engine) as connection:
        stored = money.customer_of(connection, customer)
        project = _project(connection, customer, stored.projects, wanted)
        models = _models(connection, customer, project, args.get("models"))
        key_id, secret = _letters(keys.ID_LETTERS), _letters(keys.SECRET_LETTERS)
        text = keys.make(key_id, secret)
        key = StoredKey(
            id=key_id, customer=customer, project=project, name=name, models=models,
            state="active", created_at=now, expires_at=expires_at, revoked_at=0,
            secrets=(_stored(folder, text, 1, now),), rates=rates,
        )  # fmt: skip
        customer_tables.add_key(connection, key)
        budget = _budget(args, key, stored.currency)
        if budget is not None:
            put_budget(connection, customer, budget, stored.currency, position=UNDECLARED, key=key_id)
    return {**_key_facts(key), "key": text, **_limits_facts(rates, budget, stored.currency)}


def key_rotate(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{id, overlap_seconds}: a new secret of the same key; the newest of before works on for the overlap, one that was
    older ends at once (`ended`, by its last letters): never more than two live."""
    overlap = args.get("overlap_seconds", 0)
    if not isinstance(overlap, int) or isinstance(overlap, bool) or not 0 <= overlap * SECOND <= OVERLAP_MOST:
        raise CommandRefused(f"overlap_seconds is a whole number from 0 to {OVERLAP_MOST // SECOND}, not {overlap!r}")
    with write(engine) as connection:
        key = _key(connection, text_of(args, "id"))
        if key.state != "active" or 0 < key.expires_at <= now:
            raise CommandRefused(f"key {key.id} is {_state(key, now)}; create a new one")
        secret = _letters(keys.SECRET_LETTERS)
        text = keys.make(key.id, secret)
        until = now + overlap * SECOND
        ended = [each.last for each in key.secrets[:-1] if not 0 < each.expires_at <= now]
        renewed = key.secrets[-1].last
        customer_tables.rotate_key(connection, key, _stored(folder, text, key.secrets[-1].number + 1, now), until)
        key = _key(connection, key.id)
    return {
        **_key_facts(key), "key": text, "old": renewed, "old_until": show(until), "overlap_seconds": overlap,
        "ended": ended,
    }  # fmt: skip


def key_revoke(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{id}: refused everywhere from now on; the deny list is written first, so that it holds whatever happens next."""
    key_id = text_of(args, "id")
    with read(engine) as connection:
        _key(connection, key_id)
    denied, _ = folder.denied(0)
    if key_id not in denied:
        folder.deny_key(key_id)
    with write(engine) as connection:
        customer_tables.revoke_key(connection, key_id, now)
        key = _key(connection, key_id)
    return {**_key_facts(key), "revoked_at": show(key.revoked_at)}


def customer_suspend(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{customer}: its calls are refused from now on, and those under way end within a second."""
    return _set_state(engine, text_of(args, "customer"), "suspended")


def customer_resume(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{customer}: its keys work again, as they were."""
    return _set_state(engine, text_of(args, "customer"), "active")


def webhook_tried(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{event, webhook, answer, state, next_at}: how an attempt to tell a webhook went."""
    said, answer = text_of(args, "state"), name_of(args, "answer", NAME_MOST)
    if said not in ("pending", "delivered", "failed"):
        raise CommandRefused(f'state is "pending", "delivered" or "failed", not "{plain(said)}"')
    state = cast("DeliveryState", said)
    next_at = whole(args, "next_at", most=1 << 62)
    with write(engine) as connection:
        noted = event_tables.tried(
            connection, text_of(args, "event"), text_of(args, "webhook"), now, answer, state, next_at
        )  # fmt: skip
    return {"noted": noted}


def _set_state(engine: Engine, customer: str, wanted: CustomerState) -> Facts:
    with write(engine) as connection:
        before = money.customer_of(connection, customer).state
        customer_tables.set_state(connection, customer, wanted)
    return {"customer": customer, "state": wanted, "changed": before != wanted}


COMMANDS: dict[str, Callable[[Engine, Folder, Args, Instant], Facts]] = {
    "apply": apply,
    "key.create": key_create,
    "key.rotate": key_rotate,
    "key.revoke": key_revoke,
    "webhook.tried": webhook_tried,
    "customer.suspend": customer_suspend,
    "customer.resume": customer_resume,
    **money.COMMANDS,
    **invoices.COMMANDS,
    **credits.COMMANDS,
    **losses.COMMANDS,
    **payments.COMMANDS,
    **approvals.COMMANDS,
    **figures.COMMANDS,
}


def _said(changes: list[Change], renewed: Iterable[str], *, dry_run: bool) -> Facts:
    """The difference as data and as lines for the terminal."""
    return {
        "changed": bool(changes or renewed),
        "dry_run": dry_run,
        "changes": [
            {"do": each.do, "what": each.noun, "name": each.name, "notes": list(each.notes)} for each in changes
        ],
        "secrets": list(renewed),
        "lines": [
            *map(str, changes),
            *(f"~ {_credential(each)}, kept in the data folder" for each in renewed),
        ],
    }  # fmt: skip


def _credential(id: str) -> str:
    kind, slash, name = id.partition("/")
    return f"secret of {kind} {name}" if slash else f"credential of upstream {id}"


def _key_facts(key: StoredKey) -> Facts:
    return {
        "id": key.id, "shown": f"{keys.PREFIX}{key.id[:4]}…{key.secrets[-1].last}", "customer": key.customer,
        "project": key.project, "name": key.name, "models": None if key.models is None else list(key.models),
        "state": key.state, "created_at": show(key.created_at),
        "expires_at": show(key.expires_at) if key.expires_at else None,
    }  # fmt: skip


def _stored(folder: Folder, text: str, number: int, now: Instant) -> StoredSecret:
    """What is kept of a secret."""
    hmac = keys.hmac_of(folder.secret("pepper"), keys.parse(text).secret)
    return StoredSecret(number=number, hmac=hmac, last=text[-4:], created_at=now, expires_at=0)


def _key(connection: Connection, key_id: str) -> StoredKey:
    found = customer_tables.read_keys(connection, key_id)
    if not found:
        raise CommandRefused(f'there is no key "{key_id}"; a key\'s id is the 10 characters after ep_live_')
    return found[0]


def _state(key: StoredKey, now: Instant) -> str:
    return "expired" if key.state == "active" and 0 < key.expires_at <= now else key.state


def _project(connection: Connection, customer: str, projects: tuple[str, ...], wanted: object) -> str:
    """The project of a new key: the one asked for, else the only one, else `default`, which is made if need be."""
    if wanted is not None and wanted != "":
        if wanted not in projects:
            raise CommandRefused(f'{customer} has no project "{wanted}".{did_you_mean(str(wanted), projects)}')
        return str(wanted)
    project = projects[0] if len(projects) == 1 else "default"
    customer_tables.put_project(connection, customer, project)
    return project


def _models(connection: Connection, customer: str, project: str, wanted: object) -> tuple[str, ...] | None:
    """Deployment names that the key is bound to; None: all of the project."""
    if wanted is None or wanted == []:
        return None
    if not isinstance(wanted, list) or not all(isinstance(each, str) for each in wanted):
        raise CommandRefused("models is a list of deployment names")
    declared = customer_tables.read_customers(connection)[customer].deployments
    known = [each.name for each in declared if each.project == project]
    if not declared:
        known = list(state.standing(connection).models)
    for each in wanted:
        if each not in known:
            raise CommandRefused(f'project "{project}" of {customer} has no model "{each}".{did_you_mean(each, known)}')
    return tuple(dict.fromkeys(wanted))


def _rates(args: Args) -> Rates:
    """What limits the new key; 0 or nothing: not limited."""
    return Rates(tpm=whole(args, "tpm"), rpm=whole(args, "rpm"), concurrent=whole(args, "concurrent"))


def _budget(args: Args, key: StoredKey, currency: str) -> DeclaredBudget | None:
    """The new key's own, always hard: whoever hands a key out with a sum means it."""
    per = text_of(args, "per", "")
    if args.get("budget") in (None, ""):
        if per:
            raise CommandRefused("per is the period of a budget: give budget as well")
        return None
    if per not in ("", "day", "month", "total"):
        raise CommandRefused(f'per is "day", "month" or "total", not "{plain(per)}"')
    units = amount_of({"amount": args["budget"]}, currency, "a budget")
    return DeclaredBudget(
        id=f"key-{key.id}", project=key.project, per=cast("Per", per or "month"),
        amount=amount_from_row(units, currency), hard=True, warn_at=WARN_AT[True],
    )  # fmt: skip


def _limits_facts(rates: Rates, budget: DeclaredBudget | None, currency: str) -> Facts:
    found: Facts = {"tpm": rates.tpm, "rpm": rates.rpm, "concurrent": rates.concurrent}
    if budget is not None:
        found["budget"] = {
            "id": budget.id, "amount": f"{budget.amount:f}", "currency": currency, "per": budget.per
        }  # fmt: skip
    return found


def _letters(count: int) -> str:
    return keys.random_letters(count, chance.randbelow)


def _secrets(args: Args) -> dict[str, str]:
    given = args.get("secrets") or {}
    if not isinstance(given, Mapping) or not all(isinstance(each, str) for each in given.values()):
        raise CommandRefused("secrets is a table of upstream and credential")
    return {str(name): str(value) for name, value in given.items()}
