"""What will not be paid, and what is paid all the same: write-offs, and bad debt that is recovered."""

from collections.abc import Callable
from fractions import Fraction

import msgspec
from sqlalchemy import Connection, Engine, select

from entrepot.billing import payment_tables, tables
from entrepot.billing.drafting import units_of
from entrepot.billing.tables import Issued
from entrepot.keeper.arguments import BOOKING_MOST, Args, Facts, name_of, text_of
from entrepot.keeper.bills.credits import REASON_MOST, invoice_of, tax_share
from entrepot.keeper.bills.invoices import of_issued
from entrepot.keeper.changing import changing
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import Instant, to_datetime
from entrepot.kernel.money import round_half_away
from entrepot.ledger import postings
from entrepot.ledger.postings import Event
from entrepot.ledger.tables import post
from entrepot.ledger.transfer import TransactionConflict
from entrepot.storage.folder import Folder


class WriteOffRefused(EntrepotError):
    """Nothing is open, or it was written off before."""

    code = "write_off_refused"
    fault = Fault.CALLER


def write_off(engine: Engine, folder: Folder, args: Args, now: Instant) -> Facts:
    """{customer, number, reason, keep_tax?, id, dry_run}: what is open of an invoice will not be paid any more. Its tax
    is reclaimed unless the rule of the place says no (`keep_tax`)."""
    id, number = name_of(args, "id", BOOKING_MOST), text_of(args, "number")
    reason = name_of(args, "reason", REASON_MOST)
    with changing(engine, args, now) as connection:
        of = invoice_of(connection, args)
        rows = tables.write_offs
        before = connection.execute(select(rows).where((rows.c.number == number) | (rows.c.id == id))).first()
        if before is not None and (before.number, before.id) != (number, id):
            if before.id == id:
                raise TransactionConflict(f"{id!r} wrote off {before.number} before; use another id")
            raise WriteOffRefused(f"{number} was written off before, under the id {before.id!r}")
        if before is None:
            _lose(connection, of, Loss(id=id, reason=reason, keep_tax=bool(args.get("keep_tax"))), now)
        (after,) = tables.read_issued(connection, number=number)
    facts = of_issued(after, to_datetime(now).date())
    return {**facts, "known": before is not None, "dry_run": bool(args.get("dry_run"))}


class Loss(msgspec.Struct, frozen=True, kw_only=True):
    """A write-off as it was asked for."""

    id: str
    reason: str
    keep_tax: bool


def _lose(connection: Connection, of: Issued, loss: Loss, now: Instant) -> None:
    standing = of.standing
    if of.kind == "381" or not standing.open_minor:
        raise WriteOffRefused(f"nothing of {of.number} is open: there is nothing to write off")
    invoice = tables.document_of(connection, of.number)
    taxes = {} if loss.keep_tax else tax_share(connection, invoice, standing.open_minor)
    net = units_of(standing.open_minor, of.currency) - sum(taxes.values())
    event = Event(
        id=of.number, customer=of.customer, currency=of.currency, at=now,
        about=f"{of.number} of {of.customer} written off ({loss.id}): {loss.reason}",
    )  # fmt: skip
    post(connection, postings.written_off(event, net=net, taxes=taxes))
    connection.execute(tables.write_offs.insert().values(
        number=of.number, id=loss.id, amount=standing.open_minor, keep_tax=int(loss.keep_tax), reason=loss.reason,
        at=now,
    ))  # fmt: skip


def recover(connection: Connection, of: Issued, part_minor: int, event: Event) -> None:
    """Money came in for what was written off: so much of it is no bad debt any more, and its tax is owed again. In
    however many parts it comes, they take back what the write-off booked, to the cent."""
    row = connection.execute(select(tables.write_offs).where(tables.write_offs.c.number == of.number)).one()
    before = payment_tables.recovered_by(connection, [of.number]).get(of.number, 0)
    whole = {} if row.keep_tax else tax_share(connection, tables.document_of(connection, of.number), row.amount)

    def taxes(minor: int) -> dict[str, int]:
        unit = units_of(1, of.currency)
        return {name: round_half_away(Fraction(tax * minor, row.amount * unit)) * unit for name, tax in whole.items()}

    now, then = taxes(before + part_minor), taxes(before)
    owed = {name: tax - then[name] for name, tax in now.items() if tax != then[name]}
    net = units_of(part_minor, of.currency) - sum(owed.values())
    post(connection, postings.recovered(event, net=net, taxes=owed))


COMMANDS: dict[str, Callable[[Engine, Folder, Args, Instant], Facts]] = {"invoice.write_off": write_off}
