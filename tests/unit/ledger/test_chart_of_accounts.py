"""Accounts and transfers before they meet a database: what they are called, and what can be none."""

import pytest

from entrepot.kernel.money import MoneyError
from entrepot.ledger.account import CLASSES, Account, AccountUnknown, grows_by_debit
from entrepot.ledger.transfer import Transfer, TransferBroken


def test_an_account_is_of_the_chart_and_in_a_currency_that_is_kept() -> None:
    with pytest.raises(AccountUnknown, match="no account is called 'petty cash'; the chart has cash, receivable"):
        Account(kind="petty cash", currency="USD")
    with pytest.raises(MoneyError, match="'XXX' is not kept here"):
        Account(kind="cash", currency="XXX")


@pytest.mark.parametrize(
    ("party", "product", "id"),
    [
        ("", "", "USD:revenue"), ("acme", "", "USD:revenue:acme"), ("", "m", "USD:revenue::m"),
        ("a:b", "", "USD:revenue:a%3Ab"), ("a", "b:", "USD:revenue:a:b%3A"), ("a", "b!", "USD:revenue:a:b%21"),
        ("openai/gpt 4@x._+", "ü", "USD:revenue:openai/gpt 4@x._+:%C3%BC"),
    ],
)  # fmt: skip
def test_no_name_looks_like_another_account(party: str, product: str, id: str) -> None:
    assert Account(kind="revenue", currency="USD", party=party, product=product).id == id


def test_assets_expenses_and_what_should_end_at_zero_grow_by_debit() -> None:
    grow = {kind for kind in CLASSES if grows_by_debit(kind)}
    assert {"cash", "receivable", "cost of goods", "bad debt", "rounding", "suspense"} <= grow
    assert not grow & {"prepaid credit", "output tax", "revenue", "promotional"}


def test_a_transfer_moves_from_one_unit_to_38_digits_between_two_accounts_of_a_currency() -> None:
    cash, credit = Account(kind="cash", currency="USD"), Account(kind="prepaid credit", currency="USD", party="x")
    assert [Transfer(cash, credit, amount).amount for amount in (1, 10**38 - 1)] == [1, 10**38 - 1]
    for amount in (0, -1, 10**38):
        with pytest.raises(TransferBroken, match=f"between 1 and 10\\^38-1 units, not {amount}"):
            Transfer(cash, credit, amount)
    with pytest.raises(TransferBroken, match="USD:cash stands on both sides"):
        Transfer(cash, cash, 1)
    with pytest.raises(TransferBroken, match="EUR:cash and USD:prepaid credit:x have different currencies"):
        Transfer(Account(kind="cash", currency="EUR"), credit, 1)
