"""What control and the command line may ask for: each command is one write transaction, and may be sent again.

Chance (new keys) is drawn here. The caller compiles and publishes the snapshot afterwards.
"""

import re
import secrets as chance
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from sqlalchemy import Connection, Engine

from entrepot.catalog import file as catalog_file
from entrepot.catalog.contents import Catalog
from entrepot.catalog.difference import Change, difference
from entrepot.catalog.issues import did_you_mean
from entrepot.catalog.rules import check
from entrepot.customers import key as keys
from entrepot.customers import tables as customer_tables
from entrepot.customers.tables import StoredKey, StoredSecret
from entrepot.keeper import secrets, state
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import DAY, SECOND, Instant, parse, show
from entrepot.kernel.money import show as show_money
from entrepot.kernel.money import to_scaled
from entrepot.kernel.text import is_plain, plain
from entrepot.ledger.tables import balance_of, top_up
from entrepot.storage.database import read, write
from entrepot.storage.folder import Folder

Args = Mapping[str, object]
Facts = dict[str, object]

#: A key without `expires` lives this long; `never` is possible and has to be said.
KEY_LIFE = 365 * DAY
#: An old secret may live beside its successor for at most this long.
OVERLAP_MOST = 30 * DAY
_NAME_MOST, _BOOKING_MOST = 200, 128
_AMOUNT = r"-?[0-9]{1,18}(\.[0-9]{1,18})?"


class CommandUnknown(EntrepotError):
    """No command has this name."""

    code = "command_unknown"
    fault = Fault.CALLER


class CommandRefused(EntrepotError):
    """An argument is missing, of the wrong kind, or names what is not there."""

    code = "command_refused"
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
    text, name = _text(args, "text"), _text(args, "file", "catalog.toml")
    given, dry_run = _secrets(args), bool(args.get("dry_run"))
    file = catalog_file.read(text, name)
    upstreams = list(file.catalog.upstreams.values())
    if dry_run:
        with read(engine) as connection:
            before = state.standing(connection)
            check(file, before, now)
            kept = secrets.kept(connection)
        secrets.missing(file, upstreams, given, kept)
        renewed = secrets.renewed(folder, kept, upstreams, given)
        return _said(difference(before, file.catalog), renewed, dry_run=True)
    with write(engine) as connection:
        before, kept = state.standing(connection), secrets.kept(connection)
        check(file, before, now)
        secrets.missing(file, upstreams, given, kept)
        changes, renewed = difference(before, file.catalog), secrets.renewed(folder, kept, upstreams, given)
        state.carry_out(connection, changes, now)
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
    """{customer, project?, models?, expires?, name?}: a new key, whose text is told here and never again."""
    customer, wanted = _text(args, "customer"), args.get("project")
    expires_at, name = _expiry(args.get("expires"), now), _name(args, "name", _NAME_MOST, "")
    with write(engine) as connection:
        stored = customer_tables.read_stored(connection)
        if customer not in stored:
            raise CommandRefused(f'there is no customer "{customer}".{did_you_mean(customer, stored)}')
        project = _project(connection, customer, stored[customer].projects, wanted)
        models = _models(connection, customer, project, args.get("models"))
        key_id, secret = _letters(keys.ID_LETTERS), _letters(keys.SECRET_LETTERS)
        text = keys.make(key_id, secret)
        key = StoredKey(
            id=key_id, customer=customer, project=project, name=name, models=models,
            state="active", created_at=now, expires_at=expires_at, revoked_at=0,
            secrets=(_stored(folder, text, 1, now),),
        )  # fmt: skip
        customer_tables.add_key(connection, key)
    return {**_key_facts(key), "key": text}


def key_rotate(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{id, overlap_seconds}: a new secret of the same key; the newest of before works on for the overlap, one that was
    older ends at once (`ended`, by its last letters): never more than two live."""
    overlap = args.get("overlap_seconds", 0)
    if not isinstance(overlap, int) or isinstance(overlap, bool) or not 0 <= overlap * SECOND <= OVERLAP_MOST:
        raise CommandRefused(f"overlap_seconds is a whole number from 0 to {OVERLAP_MOST // SECOND}, not {overlap!r}")
    with write(engine) as connection:
        key = _key(connection, _text(args, "id"))
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
    key_id = _text(args, "id")
    with read(engine) as connection:
        _key(connection, key_id)
    denied, _ = folder.denied(0)
    if key_id not in denied:
        folder.deny_key(key_id)
    with write(engine) as connection:
        customer_tables.revoke_key(connection, key_id, now)
        key = _key(connection, key_id)
    return {**_key_facts(key), "revoked_at": show(key.revoked_at)}


def balance_top_up(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{customer, amount, currency, id, dry_run}: money that came in, booked once however often it is sent."""
    customer, currency, booking = _text(args, "customer"), _text(args, "currency"), _name(args, "id", _BOOKING_MOST)
    wanted = _text(args, "amount")
    if not re.fullmatch(_AMOUNT, wanted):
        raise CommandRefused(
            f"amount {plain(wanted)!r} is not an amount of money: at most 18 digits before and after the point, "
            "without separators, for example 100 or 99.50"
        )
    amount = to_scaled(Decimal(wanted), currency)
    if amount <= 0:
        raise CommandRefused(
            f"a top-up is more than 0, not {wanted} {currency}; money that went back to a customer is not "
            "booked here yet"
        )
    dry_run = bool(args.get("dry_run"))
    with write(engine) as connection:
        stored = customer_tables.read_stored(connection)
        if customer not in stored:
            raise CommandRefused(f'there is no customer "{customer}".{did_you_mean(customer, stored)}')
        if stored[customer].currency != currency:
            raise CommandRefused(f"the balance of {customer} is kept in {stored[customer].currency}, not in {currency}")
        if dry_run:
            posted, left = False, balance_of(connection, customer)
        else:
            posted = top_up(connection, customer, amount, currency, booking, now)
            left = balance_of(connection, customer)
    return {
        "customer": customer, "amount": _exact(amount, currency), "currency": currency, "id": booking,
        "posted": posted, "dry_run": dry_run, "balance": _exact(left, currency),
    }  # fmt: skip


COMMANDS: dict[str, Callable[[Engine, Folder, Args, Instant], Facts]] = {
    "apply": apply,
    "key.create": key_create,
    "key.rotate": key_rotate,
    "key.revoke": key_revoke,
    "balance.top_up": balance_top_up,
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
            *(f"~ credential of upstream {each}, kept in the data folder" for each in renewed),
        ],
    }  # fmt: skip


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


def _expiry(wanted: object, now: Instant) -> Instant:
    """`never`, `90d`, a date or an instant; without a word a year."""
    if wanted is None or wanted == "":
        return now + KEY_LIFE
    text = str(wanted)
    if text == "never":
        return 0
    try:
        at = now + int(text[:-1]) * DAY if re.fullmatch("[0-9]{1,9}d", text) else parse(text)
        show(at)
    except (ValueError, OverflowError):
        raise CommandRefused(f'expires is a date, an instant, days like 90d, or never; not "{text}"') from None
    if at <= now:
        raise CommandRefused(f"expires {text} is past already")
    return at


def _letters(count: int) -> str:
    return keys.random_letters(count, chance.randbelow)


def _text(args: Args, name: str, default: str | None = None) -> str:
    value = args.get(name, default)
    if isinstance(value, str) and (value or default is not None):
        return value
    what = "is missing" if value in (None, "") else f"is a text, not {type(value).__name__}"
    raise CommandRefused(f"{name} {what}")


def _exact(scaled: int, currency: str) -> str:
    """Digits for programs: no separators; whoever shows them to a person groups them."""
    return show_money(scaled, currency, places=2).replace(",", "")


def _name(args: Args, name: str, most: int, default: str | None = None) -> str:
    """A text that people read in lists: on one line, without what a terminal would obey."""
    value = _text(args, name, default)
    if len(value) > most:
        raise CommandRefused(f"{name} has {len(value):,} characters; at most {most} are kept")
    if not is_plain(value):
        raise CommandRefused(f"{name} {plain(value)!r} holds control or invisible characters; write it without them")
    return value


def _secrets(args: Args) -> dict[str, str]:
    given = args.get("secrets") or {}
    if not isinstance(given, Mapping) or not all(isinstance(each, str) for each in given.values()):
        raise CommandRefused("secrets is a table of upstream and credential")
    return {str(name): str(value) for name, value in given.items()}
