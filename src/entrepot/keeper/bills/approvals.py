"""What a person decides about a month before it is billed: unrated usage carried over, prices changed for the past."""

from sqlalchemy import Engine

from entrepot.customers.tables import read_contracts
from entrepot.keeper.arguments import BOOKING_MOST, NAME_MOST, Args, CommandRefused, Facts, name_of, text_of
from entrepot.keeper.changing import changing
from entrepot.keeper.money import customer_of
from entrepot.kernel.instants import Instant, parse, show
from entrepot.pricing.agreement import agreement_of
from entrepot.pricing.tables import read_versions
from entrepot.rating import tables
from entrepot.rating.period import month
from entrepot.rating.prices import Rerating
from entrepot.storage.folder import Folder

_REASON_MOST = 500


def carry_over(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{customer, month, group, by, reason, dry_run}: bill a month without one group of its unrated usage. It stays on
    the list until a price is published for it; then the month's correction bills it."""
    customer, group = text_of(args, "customer"), text_of(args, "group")
    period = month(text_of(args, "month"))
    by, reason = name_of(args, "by", NAME_MOST), name_of(args, "reason", _REASON_MOST)
    with changing(engine, args, now) as connection:
        customer_of(connection, customer)
        where = (customer, period.name, group)
        new = tables.carry_over(connection, where, approved_by=by, reason=reason, at=now)
    return {
        "customer": customer, "month": period.name, "group": group, "by": by, "reason": reason, "known": not new,
        "dry_run": bool(args.get("dry_run")),
    }  # fmt: skip


def rerate(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{customer, version, from, until, by, reason, id, dry_run}: price a customer's usage of an interval as by another
    version of its book. What is billed already is corrected in the next invoice."""
    customer, version, id = text_of(args, "customer"), text_of(args, "version"), name_of(args, "id", BOOKING_MOST)
    by, reason = name_of(args, "by", NAME_MOST), name_of(args, "reason", _REASON_MOST)
    starts_at, ends_at = _instant(args, "from"), _instant(args, "until")
    if starts_at >= ends_at:
        raise CommandRefused(f"until {show(ends_at)} is not after from {show(starts_at)}")
    with changing(engine, args, now) as connection:
        customer_of(connection, customer)
        versions = read_versions(connection)
        agreements = [agreement_of(each, versions) for each in read_contracts(connection)[customer]]
        known = {each.id: each for agreement in agreements for each in agreement.book}
        if version not in known:
            raise CommandRefused(f"{version!r} is no version of {customer}'s book; there are {', '.join(known)}")
        change = Rerating(version, starts_at, ends_at)
        new = tables.rerate(connection, id, customer, change, approved_by=by, reason=reason, at=now)
    return {
        "customer": customer, "version": version, "from": show(starts_at), "until": show(ends_at), "by": by,
        "reason": reason, "id": id, "known": not new, "dry_run": bool(args.get("dry_run")),
    }  # fmt: skip


def _instant(args: Args, name: str) -> Instant:
    said = text_of(args, name)
    try:
        return parse(said)
    except ValueError:
        raise CommandRefused(f'{name} is a date or an instant, not "{said}"') from None


COMMANDS = {"invoice.carry-over": carry_over, "invoice.rerate": rerate}
