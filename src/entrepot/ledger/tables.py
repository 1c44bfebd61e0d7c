"""The ledger in the database: transactions, transfers, accounts with their running balance, and balances.

A *balance* is what a customer's calls draw on: a name for one account, prepaid credit or, for a customer that pays by
invoice, what is unbilled yet. Usage debits it either way. All arithmetic is Python's (see
`storage.database.Amount`); rows that are about to change are locked, so PostgreSQL may have several writers.
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Integer,
    LargeBinary,
    Table,
    Text,
    bindparam,
    select,
    update,
)

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import Instant
from entrepot.ledger.account import Account, grows_by_debit
from entrepot.ledger.chain import START, link
from entrepot.ledger.taken_tables import take
from entrepot.ledger.transfer import Transaction, TransactionConflict, Transfer, content_hash, lines
from entrepot.storage.database import Amount, add_rows, append_only, execute_rows, metadata, upsert

accounts = Table(
    "ledger_account", metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("party", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("debits", Amount, nullable=False),  # running totals: each equals the sum of its transfers
    Column("credits", Amount, nullable=False),
)  # fmt: skip

transactions = Table(
    "ledger_transaction", metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("at", BigInteger, nullable=False, index=True),
    Column("about", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),  # hash of what was asked for
    Column("hash", LargeBinary, nullable=False),  # chain
)  # fmt: skip

transfers = Table(
    "ledger_transfer", metadata,
    Column("transaction", BigInteger, ForeignKey("ledger_transaction.seq"), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("debit", Text, ForeignKey("ledger_account.id"), nullable=False),
    Column("credit", Text, ForeignKey("ledger_account.id"), nullable=False),
    Column("amount", Amount, nullable=False),
)  # fmt: skip

head = Table(
    "ledger_head", metadata,
    Column("id", Integer, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)  # fmt: skip

balances = Table(
    "balance", metadata,
    Column("id", Text, primary_key=True),
    Column("currency", Text, nullable=False),
    Column("account", Text, ForeignKey("ledger_account.id"), nullable=False, unique=True),
    Column("credit_limit", Amount, nullable=True),  # of a customer that pays by invoice; null: prepaid
)  # fmt: skip

_SET_RUNNING = (
    update(accounts)
    .where(accounts.c.id == bindparam("_id"))
    .values(debits=bindparam("_debits"), credits=bindparam("_credits"))
)
_AT_ONCE = 500  # names in one query; SQLite's default bound is 32,766 parameters

append_only(transactions)
append_only(transfers)


class BalanceUnknown(EntrepotError):
    """No balance has this name."""

    code = "balance_unknown"
    fault = Fault.CALLER


class BalanceCurrency(EntrepotError):
    """A balance is kept in one currency, for ever."""

    code = "balance_currency"
    fault = Fault.CALLER


def open_balance(conn: Connection, balance: str, currency: str) -> None:
    """Open it at zero; already open in the same currency is fine. Raises BalanceCurrency."""
    found = conn.execute(select(balances.c.currency).where(balances.c.id == balance)).scalar()
    if found is not None:
        if found != currency:
            raise BalanceCurrency(f"balance {balance!r} is kept in {found}, not in {currency}")
        return
    account = prepaid(balance, currency)
    _open(conn, [account])
    conn.execute(balances.insert().values(id=balance, currency=currency, account=account.id))


def set_credit(conn: Connection, balance: str, credit_limit: int | None) -> None:
    """From now on usage is owed, up to `credit_limit`, or with None paid ahead. What is left in the account of before
    stays there. Raises BalanceUnknown."""
    currency = currency_of(conn, balance)
    account = prepaid(balance, currency) if credit_limit is None else unbilled(balance, currency)
    _open(conn, [account])
    change = update(balances).where(balances.c.id == balance)
    conn.execute(change.values(account=account.id, credit_limit=credit_limit))


def post_charges(
    conn: Connection,
    id: str,
    at: Instant,
    charges: Mapping[tuple[str, str, str], int],
    costs: Mapping[tuple[str, str, str], int],
    *,
    taken: Mapping[tuple[str, Instant], int] | None = None,
) -> bool:
    """One transaction for a batch of endings: charges by (balance, currency, product), costs by (vendor, currency,
    product). Zero amounts are left out; nothing left, nothing posted. True if it was posted now.

    `taken` are the same charges by (balance, stretch of admission), for the grants that they burn; None: all are of
    calls admitted at `at`."""
    owing = _owing(conn, {balance for balance, _, _ in charges})
    moves = [
        Transfer(
            unbilled(balance, currency) if balance in owing else prepaid(balance, currency),
            Account(kind="revenue", currency=currency, product=product),
            amount,
        )
        for (balance, currency, product), amount in sorted(charges.items())
        if amount
    ]
    moves += [
        Transfer(
            Account(kind="cost of goods", currency=currency, party=vendor, product=product),
            Account(kind="vendor payable", currency=currency, party=vendor),
            amount,
        )
        for (vendor, currency, product), amount in sorted(costs.items())
        if amount
    ]
    if not moves or not post(conn, Transaction(id=id, kind="usage", at=at, transfers=tuple(moves))):
        return False
    if taken is None:
        taken = {}
        for (balance, _, _), amount in charges.items():
            taken[balance, at] = taken.get((balance, at), 0) + amount
    take(conn, {key: amount for key, amount in taken.items() if key[0] not in owing})  # on credit nothing is burned
    return True


def post(conn: Connection, transaction: Transaction) -> bool:
    """Post it once; False if it was posted before with the same content. Raises TransactionConflict otherwise."""
    written = lines(transaction)
    content = content_hash(transaction, written)
    last = conn.execute(select(head.c.seq, head.c.hash).where(head.c.id == 1).with_for_update()).first()
    before = conn.execute(select(transactions.c.content).where(transactions.c.id == transaction.id)).scalar()
    if before is not None:
        if bytes(before) != content:
            raise TransactionConflict(f"{transaction.id!r} was posted before with other content; use another id")
        return False
    if last is None:
        conn.execute(head.insert().values(id=1, seq=0, hash=START))
    seq, previous = (last.seq, bytes(last.hash)) if last else (0, START)
    seq += 1
    t = transaction
    link_hash = link(previous, seq, (t.id, t.kind, t.at, t.about), written)
    if t.transfers:  # an invoice that credit has paid moves nothing, and stands in the chain
        _move(conn, t.transfers)
    conn.execute(transactions.insert().values(
        seq=seq, id=t.id, kind=t.kind, at=t.at, about=t.about, content=content, hash=link_hash
    ))  # fmt: skip
    add_rows(conn, transfers, ("transaction", "line", "debit", "credit", "amount"), [
        (seq, line, debit, credit, move.amount)
        for line, (move, (debit, credit, _)) in enumerate(zip(t.transfers, written, strict=True), 1)
    ])  # fmt: skip
    conn.execute(update(head).where(head.c.id == 1).values(seq=seq, hash=link_hash))
    return True


def posted_before(conn: Connection, id: str, about: str) -> bool:
    """Whether a transaction of this id stands, saying the same. Raises TransactionConflict where it says another thing.

    For commands whose posting depends on what stands in the books: sent again they would be worked out anew."""
    found = conn.execute(select(transactions.c.about).where(transactions.c.id == id)).scalar()
    if found is not None and found != about:
        raise TransactionConflict(f"{id!r} was posted before with other content; use another id")
    return found is not None


def balance_of(conn: Connection, balance: str, *, lock: bool = False) -> int:
    """Ledger units left (credits - debits), one row read; `lock` keeps it until the transaction ends.

    Raises BalanceUnknown.
    """
    query = (
        select(accounts.c.debits, accounts.c.credits)
        .join(balances, balances.c.account == accounts.c.id)
        .where(balances.c.id == balance)
    )
    row = conn.execute(query.with_for_update(of=accounts) if lock else query).first()
    if row is None:
        raise BalanceUnknown(f"there is no balance {balance!r}")
    left: int = row.credits - row.debits
    return left


def prepaid_of(conn: Connection, balance: str, *, lock: bool = False) -> int:
    """Ledger units of its prepaid credit that are left, also where it pays by invoice by now. Raises BalanceUnknown."""
    account = prepaid(balance, currency_of(conn, balance)).id
    row = conn.execute(_SUMS_LOCKED if lock else _SUMS, {"names": [account]}).one()
    left: int = row.credits - row.debits
    return left


def owes(conn: Connection, balance: str) -> bool:
    """Whether it pays by invoice."""
    return bool(_owing(conn, [balance]))


_BALANCE = select(balances).where(balances.c.id == bindparam("name"))
_SUMS = (
    select(accounts.c.debits, accounts.c.credits)
    .where(accounts.c.id.in_(bindparam("names", expanding=True)))
    .order_by(accounts.c.id)
)
_SUMS_LOCKED = _SUMS.with_for_update()
_RUNNING = (
    select(accounts.c.id, accounts.c.debits, accounts.c.credits)
    .where(accounts.c.id.in_(bindparam("names", expanding=True)))
    .order_by(accounts.c.id)
)
_RUNNING_LOCKED = _RUNNING.with_for_update()
_OWING = select(balances.c.id).where(
    balances.c.credit_limit.is_not(None), balances.c.id.in_(bindparam("names", expanding=True))
)


def funds_of(conn: Connection, balance: str, *, lock: bool = False) -> int:
    """Ledger units that may still be spent: the prepaid credit, or the credit limit less what is unbilled and what is
    billed, with tax, and not paid. Below zero where the limit was lowered. Raises BalanceUnknown."""
    row = conn.execute(_BALANCE, {"name": balance}).first()
    if row is None:
        raise BalanceUnknown(f"there is no balance {balance!r}")
    ids = [row.account]
    if row.credit_limit is not None:
        ids.append(Account(kind="receivable", currency=row.currency, party=balance).id)
    left: int = row.credit_limit or 0
    for each in conn.execute(_SUMS_LOCKED if lock else _SUMS, {"names": ids}):
        left += each.credits - each.debits
    return left


def all_funds(conn: Connection, names: Iterable[str] | None = None) -> dict[str, int]:
    """What `funds_of` says, of every balance or of these."""
    wanted = None if names is None else sorted(names)
    queries = [select(balances)] if wanted is None else [
        select(balances).where(balances.c.id.in_(wanted[start : start + _AT_ONCE]))
        for start in range(0, len(wanted), _AT_ONCE)
    ]  # fmt: skip
    rows = [row for query in queries for row in conn.execute(query)]
    receivable = {
        row.id: Account(kind="receivable", currency=row.currency, party=row.id).id
        for row in rows
        if row.credit_limit is not None
    }
    running = _running(conn, sorted({*(row.account for row in rows), *receivable.values()}), lock=False)
    found = {}
    for row in rows:
        found[row.id] = row.credit_limit or 0
        for name in filter(None, (row.account, receivable.get(row.id))):
            debits, credits = running.get(name, (0, 0))
            found[row.id] += credits - debits
    return found


def money_moved(conn: Connection, balance: str) -> bool:
    """Whether anything was ever posted to or from the account behind a balance."""
    query = select(accounts.c.debits, accounts.c.credits).join(balances, balances.c.account == accounts.c.id)
    row = conn.execute(query.where(balances.c.id == balance)).first()
    return row is not None and bool(row.debits or row.credits)


def currency_of(conn: Connection, balance: str) -> str:
    """Raises BalanceUnknown."""
    found: str | None = conn.execute(select(balances.c.currency).where(balances.c.id == balance)).scalar()
    if found is None:
        raise BalanceUnknown(f"there is no balance {balance!r}; apply a catalog that names this customer")
    return found


def all_balances(conn: Connection) -> list[tuple[str, str, int]]:
    """(balance, currency, ledger units left) of every balance."""
    rows = conn.execute(
        select(balances.c.id, balances.c.currency, accounts.c.debits, accounts.c.credits)
        .join(accounts, balances.c.account == accounts.c.id)
        .order_by(balances.c.id)
    )
    return [(row.id, row.currency, row.credits - row.debits) for row in rows]


def account_of(conn: Connection, account: Account) -> int:
    """Ledger units of one account on the side where it grows; 0 where nothing was posted to it."""
    row = conn.execute(_SUMS, {"names": [account.id]}).first()
    debit = row.debits - row.credits if row is not None else 0
    return debit if grows_by_debit(account.kind) else -debit


def account_balances(conn: Connection) -> list[tuple[Account, int]]:
    """Every account with its balance on the side where it grows."""
    found = []
    for row in conn.execute(select(accounts).order_by(accounts.c.id)):
        account = Account(kind=row.kind, currency=row.currency, party=row.party, product=row.product)
        debit = row.debits - row.credits
        found.append((account, debit if grows_by_debit(row.kind) else -debit))
    return found


def prepaid(balance: str, currency: str) -> Account:
    """The account behind a balance."""
    return Account(kind="prepaid credit", currency=currency, party=balance)


def unbilled(balance: str, currency: str) -> Account:
    """What a customer that pays by invoice has used and was not billed for yet."""
    return Account(kind="unbilled", currency=currency, party=balance)


def _owing(conn: Connection, names: Iterable[str]) -> set[str]:
    """Which of these balances are paid by invoice."""
    wanted = sorted(names)
    found: set[str] = set()
    for start in range(0, len(wanted), _AT_ONCE):
        found.update(conn.execute(_OWING, {"names": wanted[start : start + _AT_ONCE]}).scalars())
    return found


def _open(conn: Connection, wanted: Iterable[Account]) -> None:
    execute_rows(conn, upsert(conn, accounts).on_conflict_do_nothing(), [
        {
            "id": account.id, "kind": account.kind, "currency": account.currency, "party": account.party,
            "product": account.product, "debits": 0, "credits": 0,
        }
        for account in wanted
    ])  # fmt: skip


def _move(conn: Connection, moves: Iterable[Transfer]) -> None:
    """Add the transfers to the running balances, rows locked in the order of their ids."""
    touched: dict[str, Account] = {}
    debits: dict[str, int] = {}
    credits: dict[str, int] = {}
    for move in moves:
        debit, credit = move.debit.id, move.credit.id
        touched[debit] = move.debit
        touched[credit] = move.credit
        debits[debit] = debits.get(debit, 0) + move.amount
        credits[credit] = credits.get(credit, 0) + move.amount
    ids = sorted(touched)
    known = _running(conn, ids)
    if len(known) < len(ids):
        _open(conn, [touched[id] for id in ids if id not in known])
        known = _running(conn, ids)
    execute_rows(conn, _SET_RUNNING, [
        {"_id": id, "_debits": known[id][0] + debits.get(id, 0), "_credits": known[id][1] + credits.get(id, 0)}
        for id in ids
    ])  # fmt: skip


def _running(conn: Connection, ids: list[str], *, lock: bool = True) -> dict[str, tuple[int, int]]:
    """(debits, credits) of these accounts, with `lock` locked in the order of their ids."""
    query = _RUNNING_LOCKED if lock else _RUNNING
    found = {}
    for start in range(0, len(ids), _AT_ONCE):
        for id, debits, credits in conn.execute(query, {"names": ids[start : start + _AT_ONCE]}):
            found[id] = (debits, credits)
    return found
