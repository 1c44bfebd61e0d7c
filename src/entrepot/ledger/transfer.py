"""Transactions and their transfers, before they are posted. Balanced by construction."""

import hashlib

import msgspec

from entrepot.kernel.errors import EntrepotError, Fault
from entrepot.kernel.instants import Instant
from entrepot.ledger.account import Account

_LARGEST = 10**38 - 1  # PostgreSQL NUMERIC(38,0), and the decimal(38,0) of the lake


class TransferBroken(EntrepotError):
    """A transfer that cannot be: amount not positive, two currencies, or one account on both sides."""

    code = "transfer_broken"


class TransactionConflict(EntrepotError):
    """The id was used before, with other content."""

    code = "id_used_before"
    fault = Fault.CALLER


class Transfer(msgspec.Struct, frozen=True):
    """`amount` ledger units of one currency from `credit` to `debit`."""

    debit: Account
    credit: Account
    amount: int

    def __post_init__(self) -> None:
        if not 0 < self.amount <= _LARGEST:
            raise TransferBroken(f"a transfer moves between 1 and 10^38-1 units, not {self.amount}")
        if self.debit.currency != self.credit.currency:
            raise TransferBroken(f"{self.debit.id} and {self.credit.id} have different currencies")
        if self.debit == self.credit:
            raise TransferBroken(f"{self.debit.id} stands on both sides")


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """What is posted together or not at all. `id` names it for ever; `about` is what a person should read later."""

    id: str
    kind: str
    at: Instant
    transfers: tuple[Transfer, ...]
    about: str = ""


_encode = msgspec.msgpack.Encoder().encode


def content_hash(transaction: Transaction, written: list[list[str]]) -> bytes:
    """SHA-256 of what the transaction, `written` as its lines, does: the same on a repeat, whenever that comes (so
    without `at`)."""
    return hashlib.sha256(_encode([transaction.kind, transaction.about, written])).digest()


def lines(transaction: Transaction) -> list[list[str]]:
    """[debit, credit, amount] per transfer, amounts as text: integers of any size, the same on every machine."""
    return [[t.debit.id, t.credit.id, str(t.amount)] for t in transaction.transfers]
