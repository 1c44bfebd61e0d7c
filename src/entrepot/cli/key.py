"""`entrepot key`: let somebody in, keep somebody out."""

import re
from typing import Any

import click

from entrepot.cli.amount import grouped
from entrepot.cli.answer import show_or_json
from entrepot.cli.command import noun, options
from entrepot.cli.session import AdminError, Unreachable, admin
from entrepot.cli.table import Column, count, lay_out
from entrepot.cli.terminal import MISUSED, UNREACHABLE, Stop, bold, note, program

command = noun("key", "Who may call, in whose name.")
_ID_LETTERS = 10
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@command.command("list", short_help="every key, never its secret")
@click.option("--customer", metavar="ID", help="Only this customer's.")
@click.option("--all", "whole", is_flag=True, help="The keys of ended runs too.")
def list_(customer: str | None = None, whole: bool = False) -> None:
    """Every key: its id, the last letters of its secrets, until when it works."""
    with admin() as api:
        facts = api.get("keys", customer=customer)
    show_or_json(facts, lambda found: _list(found, whole=whole))


@command.command("create", short_help="a new key, shown once")
@click.option("--customer", required=True, metavar="ID", help="Whose it is.")
@click.option("--project", metavar="NAME", help="Default: the customer's only one, else `default`.")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Only this deployment; may be repeated.")
@click.option("--expires", metavar="WHEN", help="A date, 90d, or never; default a year.")
@click.option("--name", metavar="TEXT", help="To know it by.")
@click.option("--rpm", type=click.IntRange(1), metavar="N", help="Requests a minute.")
@click.option("--tpm", type=click.IntRange(1), metavar="N", help="Tokens a minute.")
@click.option("--concurrent", type=click.IntRange(1), metavar="N", help="Calls at once.")
@click.option("--budget", metavar="AMOUNT", help="Money that its calls may use, in the currency of the balance.")
@click.option("--per", type=click.Choice(["day", "month", "total"]), help="Of the budget; default month.")
def create(models: tuple[str, ...], **given: Any) -> None:
    """Make a key. It is shown once and kept nowhere: only its hash is."""
    body = {name: value for name, value in given.items() if value}
    if "budget" in body:
        body["budget"] = str(body["budget"]).replace(",", "")
    elif "per" in body:
        do = f"{program()} key create --customer {body['customer']} --budget 5.00 --per {body['per']}"
        raise Stop("--per is the period of a budget, which is missing", do=do, exit_code=MISUSED)
    with admin() as api:
        facts = api.post("keys", body={**body, **({"models": list(models)} if models else {})})
    show_or_json(facts, lambda key: _created(key, "works"))


@command.command("rotate", short_help="a second secret beside the first")
@click.argument("id_", metavar="ID")
@click.option("--overlap", default="1d", metavar="TIME", help="How long the old secret still works: 30m, 12h, 1d.")
def rotate(id_: str, overlap: str) -> None:
    """Give the key a new secret, shown once; the old one works on for the overlap."""
    key_id, body = _id(id_), {"overlap_seconds": _seconds(overlap)}
    with admin() as api:
        facts = api.post("keys", key_id, "rotate", body=body)
    show_or_json(facts, lambda key: _created(key, _rotated(key)))


@command.command("revoke", short_help="keep somebody out, within a second")
@click.argument("id_", metavar="ID")
def revoke(id_: str) -> None:
    """Refuse this key from now on, also while everything but the gateway is down. Open streams finish."""
    key_id = _id(id_)
    show_or_json(revoke_key(key_id), lambda _: f"{key_id} is refused from now on")


def revoke_key(key_id: str) -> dict[str, Any]:
    """Deny it here at once, then have the database know; the deny list alone will do for the moment."""
    denied = "" if options().url else _deny(key_id)
    try:
        with admin() as api:
            return api.post("keys", key_id, "revoke", body={})
    except (Unreachable, AdminError) as error:
        if not denied or error.exit_code != UNREACHABLE:  # the admin API may answer that its keeper does not
            raise
        note(
            f"{error.message}: the deny list has the key, the database not yet; repeat the command when the server runs"
        )
        return {"id": key_id, "state": "denied", "database": False}


def _deny(key_id: str) -> str:
    """Append to DATA/deny, synced, before anything else is asked; the path, or "" where there is no DATA here."""
    from entrepot.storage.folder import Folder

    folder = Folder(options().data)
    if not folder.deny.exists():
        return ""
    if key_id not in folder.denied(0)[0]:
        folder.deny_key(key_id)
    return str(folder.deny)


def _id(text: str) -> str:
    """A key's id, also out of what `key list` or an explanation shows; never a whole key, which would be on record."""
    found = text.removeprefix("ep_live_").rstrip("…")
    if len(found) != _ID_LETTERS or not found.isalnum() or not found.isascii():
        whole = " (only the first 10 characters after ep_live_ are)" if len(found) > _ID_LETTERS else ""
        raise Stop(f"this is not the id of a key{whole}", do=f"{program()} key list", exit_code=MISUSED)
    return found


def key_id_of(key: str) -> str:
    """The id within a whole key; says what is wrong with one that is damaged."""
    from entrepot.customers.key import KeyBroken, parse

    try:
        return parse(key).id
    except KeyBroken as broken:
        raise Stop(broken.message, do=f"{program()} key create --customer ID", exit_code=MISUSED) from None


def _seconds(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    if not re.fullmatch("[0-9]{1,9}", number) or unit not in _UNITS:
        raise Stop(f"{text!r} is not a time like 30m, 12h or 1d", do="--overlap 12h", exit_code=MISUSED)
    return int(number) * _UNITS[unit]


def _list(facts: dict[str, Any], *, whole: bool) -> str:
    shown = [k for k in facts["keys"] if whole or k["state"] == "active" or not k["name"].startswith("run-")]
    hidden = len(facts["keys"]) - len(shown)
    runs = "the key of one ended run is" if hidden == 1 else f"the keys of {hidden:,} ended runs are"
    more = f"\n\n{runs} left out (--all)" if hidden else ""
    columns = [Column(name) for name in ("id", "customer", "project", "models", "state", "expires", "secrets", "name")]
    rows = [
        (
            k["id"],
            k["customer"],
            k["project"],
            "all" if k["models"] is None else ", ".join(k["models"]),
            k["state"],
            (k["expires_at"] or "never")[:10],
            ", ".join(
                f"…{s['last']}" + (f" until {s['expires_at'][:16]}Z" if s["expires_at"] else "") for s in k["secrets"]
            ),
            k["name"],
        )
        for k in shown
    ]
    return lay_out(columns, rows) + more if rows else f"no keys yet; {program()} key create --customer ID makes one"


def _rotated(key: dict[str, Any]) -> str:
    """What becomes of the secrets of before."""
    if key["overlap_seconds"]:
        how = f"works beside …{key['old']}, which ends {key['old_until'][:19]}Z"
    else:
        how = f"works instead of …{key['old']}, which has ended"
    if key["ended"]:
        how += f"; {' and '.join(f'…{each}' for each in key['ended'])}, from the rotation before, ended now"
    return f"{how}; it is"


def _created(key: dict[str, Any], how: str) -> str:
    late = key.get("behind") or []
    if late:
        note(f"not yet known to {', '.join(map(str, late))}: they follow when they answer again")
    models = "every model of the project" if key["models"] is None else ", ".join(key["models"])
    ends = f"until {key['expires_at'][:10]}" if key["expires_at"] else "without an end"
    whose = f"{key['customer']}/{key['project']}"
    return f"{bold(key['key'])}\n\n{key['id']} {how} for {whose}, {models}, {ends}{_limited(key)}. Shown this once."


def _limited(key: dict[str, Any]) -> str:
    rates = (("tpm", "tokens a minute"), ("rpm", "requests a minute"), ("concurrent", "calls at once"))
    words = [f"{count(key[name])} {unit}" for name, unit in rates if key.get(name)]
    budget = key.get("budget")
    if budget:
        per = "in all" if budget["per"] == "total" else f"a {budget['per']}"
        words.append(f"{grouped(budget['amount'])} {budget['currency']} {per}")
    return f"; at most {', '.join(words)}" if words else ""
