"""Invoices in the database. Takes a connection and opens none.

A draft is a row that may be replaced or discarded. An issued document and everything that happens to it are rows that
the database itself refuses to change: the document, its lines, payments, what they pay, marks, write-offs, the files
that were handed out. Its state is worked out of them (`states`). Amounts are integers in the document's minor units.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Any, Literal, NamedTuple, cast

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Integer,
    LargeBinary,
    Row,
    Table,
    Text,
    delete,
    func,
    select,
    update,
)

from entrepot.billing import numbers
from entrepot.billing.crediting import CreditedLine
from entrepot.billing.document.canonical import digest, from_json, to_json
from entrepot.billing.invoice import Invoice, Kind
from entrepot.billing.payment_tables import paid_by, recovered_by
from entrepot.billing.states import Standing
from entrepot.catalog.series import common, writes
from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import Instant
from entrepot.storage.database import Amount, append_only, execute_rows, metadata

#: What a document is for: a period of usage, money paid ahead, or an earlier document taken back.
Purpose = Literal["usage", "top-up", "credit note"]
#: What a credit note leaves of its invoice: some of it; nothing; nothing, and its usage is free for a new invoice.
Leaves = Literal["", "part", "nothing", "usage"]

drafts = Table(
    "invoice_draft", metadata,
    Column("id", Text, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("customer", Text, nullable=False),
    Column("month", Text, nullable=False),  # "2026-10"; of a top-up when it was bought
    Column("document", LargeBinary, nullable=False),  # canonical JSON without number
    Column("inputs", LargeBinary, nullable=False),  # JSON of what it was made of, by name
    Column("made_at", BigInteger, nullable=False),
)  # fmt: skip

series = Table(
    "invoice_series", metadata,
    Column("series", Text, primary_key=True),
    Column("year", Integer, primary_key=True),
    Column("last", Integer, nullable=False),
)  # fmt: skip

invoices = Table(
    "invoice", metadata,
    Column("number", Text, primary_key=True),
    Column("id", Text, nullable=False, unique=True),  # of the draft that it was, or the id that it was asked for under
    Column("seq", Integer, nullable=False, unique=True),  # in the order of issue, from 1
    Column("kind", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("customer", Text, nullable=False, index=True),
    Column("currency", Text, nullable=False),
    Column("month", Text, nullable=False),
    Column("credits", Text, ForeignKey("invoice.number"), nullable=True),  # of a credit note
    Column("leaves", Text, nullable=False),  # of a credit note, else ""
    Column("issued_on", Text, nullable=False),
    Column("due_on", Text, nullable=False),
    Column("issued_at", BigInteger, nullable=False),
    Column("total", Amount, nullable=False),  # with tax
    Column("payable", Amount, nullable=False),
    Column("document", LargeBinary, nullable=False),  # canonical JSON
    Column("sha256", Text, nullable=False),
    Column("inputs", LargeBinary, nullable=False),
)  # fmt: skip

lines = Table(
    "invoice_line", metadata,
    Column("number", Text, ForeignKey("invoice.number"), primary_key=True),
    Column("line", Text, primary_key=True),
    Column("key", Text, nullable=False),  # of the rated line; "" where it is of no usage
    Column("month", Text, nullable=False),  # to which its usage belongs
    Column("net", Amount, nullable=False),
    Column("credits", Text, nullable=False),  # of a credit note: the line of the invoice
    Column("rated", LargeBinary, nullable=False),  # JSON of the rated line; empty where there is none
)  # fmt: skip

marks = Table(
    "invoice_mark", metadata,
    Column("number", Text, ForeignKey("invoice.number"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("disputed", Integer, nullable=False),  # 1 from here on, 0 no longer
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)  # fmt: skip

write_offs = Table(
    "invoice_write_off", metadata,
    Column("number", Text, ForeignKey("invoice.number"), primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("amount", Amount, nullable=False),
    Column("keep_tax", Integer, nullable=False),  # 1: its tax was not reclaimed
    Column("reason", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)  # fmt: skip

files = Table(
    "invoice_file", metadata,
    Column("number", Text, ForeignKey("invoice.number"), primary_key=True),
    Column("format", Text, primary_key=True),
    Column("bytes", LargeBinary, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
)  # fmt: skip

for _table in (invoices, lines, marks, write_offs, files):
    append_only(_table)


class InvoiceUnknown(EntrepotError):
    """No draft or issued document has this name."""

    code = "invoice_unknown"
    fault = Fault.CALLER


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What may still be replaced or discarded."""

    id: str
    purpose: Purpose
    customer: str
    month: str
    invoice: Invoice
    inputs: bytes
    made_at: Instant


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A document as it was issued, with what became of it since. `freed_at`: since when the usage that it billed is
    free for a new invoice; 0: it is not."""

    number: str
    id: str
    kind: Kind
    purpose: Purpose
    customer: str
    currency: str
    month: str
    credits: str
    issued_on: date
    issued_at: Instant
    sha256: str
    standing: Standing
    freed_at: Instant = 0


class BilledLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an issued invoice that bills usage: by `key` what is right now is compared with it. `rated` is the JSON
    of the rated line (`rating.line.RatedLine`)."""

    number: str
    line: str
    key: str
    month: str  # to which its usage belongs
    net_minor: int
    rated: bytes


def put_draft(conn: Connection, draft: Draft) -> bool:
    """Keep a draft; True: it took the place of one under the same id."""
    gone = conn.execute(delete(drafts).where(drafts.c.id == draft.id)).rowcount > 0
    conn.execute(drafts.insert().values(
        id=draft.id, purpose=draft.purpose, customer=draft.customer, month=draft.month,
        document=to_json(draft.invoice), inputs=draft.inputs, made_at=draft.made_at,
    ))  # fmt: skip
    return gone


def read_drafts(conn: Connection, *, customer: str = "", month: str = "") -> list[Draft]:
    query = select(drafts).order_by(drafts.c.id)
    if customer:
        query = query.where(drafts.c.customer == customer)
    if month:
        query = query.where(drafts.c.month == month)
    return [_draft(row) for row in conn.execute(query)]


def read_draft(conn: Connection, id: str) -> Draft | None:
    row = conn.execute(select(drafts).where(drafts.c.id == id)).first()
    return None if row is None else _draft(row)


def drop_draft(conn: Connection, id: str) -> bool:
    """Discard it; False: there was none."""
    return conn.execute(delete(drafts).where(drafts.c.id == id)).rowcount > 0


def next_number(conn: Connection, template: str, year: int) -> str:
    """The next number of a series, taken in this transaction: it is used if and only if that commits."""
    template = numbers.check_series(template)
    counts = numbers.year_of(template, year)
    where = (series.c.series == template, series.c.year == counts)
    last = conn.execute(select(series.c.last).where(*where).with_for_update()).scalar()
    n = (last or 0) + 1
    if last is None:
        conn.execute(series.insert().values(series=template, year=counts, last=n))
    else:
        conn.execute(update(series).where(*where).values(last=n))
    return numbers.written(template, year, n)


def given_before(conn: Connection, template: str, year: int) -> str:
    """A number that another series gave and this one would give again in this year or later; "": there is none."""
    for row in conn.execute(select(series).order_by(series.c.series, series.c.year)):
        if row.series != template and common(row.series, template):
            given = (numbers.written(row.series, row.year, n) for n in range(1, row.last + 1))
            if found := next((each for each in given if writes(template, each, year)), ""):
                return found
    return ""


def put_issued(
    conn: Connection, draft: Draft, invoice: Invoice, at: Instant, rated: Mapping[str, bytes], *, leaves: Leaves = ""
) -> None:
    """Write down an issued document and its lines. `invoice` bears its number; `rated` is JSON of the rated lines, by
    line: an object with `key` and `month`, of a credit note's line also `credits`."""
    facts, totals = invoice.facts, invoice.totals
    seq = (conn.execute(select(func.max(invoices.c.seq))).scalar() or 0) + 1
    conn.execute(invoices.insert().values(
        number=facts.number, id=draft.id, seq=seq, kind=facts.kind, purpose=draft.purpose, customer=draft.customer,
        currency=facts.currency, month=draft.month,
        credits=facts.preceding[0].number if facts.kind == "381" else None, leaves=leaves,
        issued_on=str(facts.issued_on), due_on=str(facts.due_on), issued_at=at, total=totals.with_tax_minor,
        payable=totals.payable_minor, document=to_json(invoice), sha256=digest(invoice), inputs=draft.inputs,
    ))  # fmt: skip
    rows = []
    for line in invoice.lines:
        said: dict[str, Any] = msgspec.json.decode(rated[line.id]) if line.id in rated else {}
        rows.append({
            "number": facts.number, "line": line.id, "key": said.get("key", ""),
            "month": said.get("month") or draft.month, "net": line.net_minor, "credits": said.get("credits", ""),
            "rated": rated.get(line.id, b""),
        })  # fmt: skip
    execute_rows(conn, lines.insert(), rows)


def document_of(conn: Connection, number: str) -> Invoice:
    """The document as it was issued. Raises InvoiceUnknown."""
    found = conn.execute(select(invoices.c.document).where(invoices.c.number == number)).scalar()
    if found is None:
        raise InvoiceUnknown(f"no issued document has the number {number!r}; entrepot invoice list shows them")
    return from_json(bytes(found))


def inputs_of(conn: Connection, number: str) -> bytes:
    """JSON of what an issued document was made of."""
    found = conn.execute(select(invoices.c.inputs).where(invoices.c.number == number)).scalar()
    return bytes(found or b"{}")


def read_issued(conn: Connection, *, number: str = "", customer: str = "", id: str = "") -> list[Issued]:
    """Issued documents in the order of issue, each with where it stands."""
    query = select(invoices).order_by(invoices.c.seq)
    for column, wanted in ((invoices.c.number, number), (invoices.c.customer, customer), (invoices.c.id, id)):
        if wanted:
            query = query.where(column == wanted)
    rows = list(conn.execute(query))
    names = [row.number for row in rows]
    since = _happened(conn, names, {row.customer for row in rows})
    return [
        Issued(
            number=row.number, id=row.id, kind=row.kind, purpose=cast("Purpose", row.purpose), customer=row.customer,
            currency=row.currency, month=row.month, credits=row.credits or "",
            issued_on=date.fromisoformat(row.issued_on), issued_at=row.issued_at, sha256=row.sha256,
            standing=Standing(
                total_minor=row.total, payable_minor=row.payable, due_on=date.fromisoformat(row.due_on),
                paid_minor=since.paid.get(row.number, 0), credited_minor=since.credited.get(row.number, 0),
                taken_off_minor=since.taken_off.get(row.number, 0),
                written_off_minor=since.given_up.get(row.number, 0),
                credited_whole=row.number in since.whole, disputed=since.disputed.get(row.number, False),
            ),
            freed_at=since.freed_at.get(row.number, 0),
        )
        for row in rows
    ]  # fmt: skip


def rated_line(conn: Connection, number: str, line: str) -> bytes:
    """JSON of what stands behind a line: a rated line, of a credit note what it is about; b"" where nothing does."""
    query = select(lines.c.rated).where(lines.c.number == number, lines.c.line == line)
    return bytes(conn.execute(query).scalar() or b"")


def credited_lines(conn: Connection, number: str) -> dict[str, CreditedLine]:
    """Of a credit note: line → which line of its invoice it is about."""
    rows = conn.execute(select(lines.c.line, lines.c.rated).where(lines.c.number == number))
    return {row.line: msgspec.json.decode(bytes(row.rated), type=CreditedLine) for row in rows}


def file_of(conn: Connection, number: str, format: str) -> bytes | None:
    """A file as it was first handed out; None: it never was."""
    where = (files.c.number == number, files.c.format == format)
    found = conn.execute(select(files.c.bytes).where(*where)).scalar()
    return None if found is None else bytes(found)


def keep_file(conn: Connection, number: str, format: str, data: bytes, at: Instant) -> bool:
    """Keep it from now on; False: one is kept already, and that stays."""
    if file_of(conn, number, format) is not None:
        return False
    sha256 = hashlib.sha256(data).hexdigest()
    conn.execute(files.insert().values(number=number, format=format, bytes=data, sha256=sha256, made_at=at))
    return True


def billed(conn: Connection, customer: str, month: str = "") -> list[BilledLine]:
    """The lines that bill usage of a month (or of all), of every invoice but those whose usage is free again. What is
    credited of a line otherwise stays billed: it was given up, and the next invoice does not bring it back."""
    found = read_issued(conn, customer=customer)
    stands = [each.number for each in found if each.purpose == "usage" and not each.freed_at]
    return [each for each in lines_on(conn, stands) if month in ("", each.month)]


def lines_on(conn: Connection, numbers: Iterable[str]) -> list[BilledLine]:
    """The lines of these invoices that bill usage, whatever became of them since."""
    found: list[BilledLine] = []
    for number in numbers:
        rows = conn.execute(select(lines).where(lines.c.number == number, lines.c.key != ""))
        found += [
            BilledLine(
                number=row.number, line=row.line, key=row.key, month=row.month, net_minor=row.net,
                rated=bytes(row.rated),
            )
            for row in sorted(rows, key=lambda each: int(each.line))
        ]  # fmt: skip
    return found


class _Since(NamedTuple):
    """What became of documents, by number: paid, credited, what that takes off, written off, disputed; `whole`: those
    of which nothing is left. Sums are Python's (`database.Amount`)."""

    paid: dict[str, int]
    credited: dict[str, int]
    taken_off: dict[str, int]
    given_up: dict[str, int]
    disputed: dict[str, bool]
    whole: set[str]
    freed_at: dict[str, Instant]


def _happened(conn: Connection, names: list[str], customers: Collection[str]) -> _Since:
    """What became of these documents, all that there are of these customers or some."""
    since = _Since({}, {}, {}, {}, {}, set(), {})
    for start in range(0, len(names), 500):
        some = names[start : start + 500]
        since.paid.update(paid_by(conn, some))
        column = invoices.c
        notes = select(column.credits, column.total, column.payable, column.leaves, column.issued_at)
        query = notes.where(column.credits.in_(some))
        if len(customers) == 1:  # a credit note has the customer of its invoice, by whom it is found at once
            query = query.where(column.customer == min(customers))
        for note in conn.execute(query):
            _add(since.credited, [(note.credits, note.total)])
            _add(since.taken_off, [(note.credits, note.payable)])
            if note.leaves != "part":
                since.whole.add(note.credits)
            if note.leaves == "usage":
                since.freed_at[note.credits] = note.issued_at
        lost = select(write_offs.c.number, write_offs.c.amount).where(write_offs.c.number.in_(some))
        _add(since.given_up, conn.execute(lost))
        _add(since.given_up, ((name, -amount) for name, amount in recovered_by(conn, some).items()))
        for row in conn.execute(select(marks).where(marks.c.number.in_(some)).order_by(marks.c.number, marks.c.seq)):
            since.disputed[row.number] = bool(row.disputed)
    return since


def _add(sums: dict[str, int], rows: Iterable[Any]) -> None:
    for name, amount in rows:
        sums[name] = sums.get(name, 0) + amount


def _draft(row: Row[Any]) -> Draft:
    return Draft(
        id=row.id, purpose=cast("Purpose", row.purpose), customer=row.customer, month=row.month,
        invoice=from_json(bytes(row.document)), inputs=bytes(row.inputs), made_at=row.made_at,
    )  # fmt: skip
