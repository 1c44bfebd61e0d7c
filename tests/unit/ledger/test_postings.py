"""What each event of a bill does to the accounts."""

from collections.abc import Iterable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.ledger import postings
from entrepot.ledger.account import Account
from entrepot.ledger.postings import Event, PostingBroken, tax_name, transfers
from entrepot.ledger.transfer import Transaction

CENT = 10**7
ACME = Event(id="2026-0001", customer="acme", currency="EUR", at=5, about="words")
RECEIVABLE, UNBILLED = "EUR:receivable:acme", "EUR:unbilled:acme"
PREPAID, CREDIT = "EUR:prepaid credit:acme", "EUR:customer credit:acme"
CASH, ROUNDING, BAD_DEBT = "EUR:cash", "EUR:rounding", "EUR:bad debt:acme"
TAX = "EUR:output tax::DE S 19"
DE_19 = "DE S 19"


def changes(*posted: Transaction) -> dict[str, int]:
    """Debits less credits per account, accounts that end at zero left out."""
    sums: dict[str, int] = {}
    for transaction in posted:
        for move in transaction.transfers:
            sums[move.debit.id] = sums.get(move.debit.id, 0) + move.amount
            sums[move.credit.id] = sums.get(move.credit.id, 0) - move.amount
    return {account: amount for account, amount in sums.items() if amount}


@given(st.lists(st.tuples(st.sampled_from(["cash", "revenue", "rounding", "FX"]), st.integers(-9, 9)), max_size=9))
def test_transfers_do_the_entries_and_nothing_else(rows: list[tuple[str, int]]) -> None:
    entries = [(Account(kind=kind, currency="EUR"), amount) for kind, amount in rows]
    entries.append((Account(kind="suspense", currency="EUR"), -sum(amount for _, amount in rows)))
    expected: dict[str, int] = {}
    for account, amount in entries:
        expected[account.id] = expected.get(account.id, 0) + amount
    moves = transfers(entries)
    assert changes(_of(moves)) == {id: amount for id, amount in expected.items() if amount}
    assert len(moves) < max(2, len(expected))  # as few as there need be


def _of(moves: Iterable[object]) -> Transaction:
    return Transaction(id="x", kind="x", at=1, transfers=tuple(moves))  # type: ignore[arg-type]


def test_each_transfer_goes_from_the_first_credit_that_is_left_to_the_first_debit() -> None:
    a, b, c, d = (Account(kind="cash", currency="EUR", party=name) for name in "abcd")

    def moved(*entries: tuple[Account, int]) -> list[tuple[str, str, int]]:
        return [(each.debit.party, each.credit.party, each.amount) for each in transfers(entries)]

    assert moved((a, 5), (b, 3), (c, -4), (d, -4)) == [("a", "c", 4), ("a", "d", 1), ("b", "d", 3)]
    assert moved((a, 4), (b, 4), (c, -5), (d, -3)) == [("a", "c", 4), ("b", "c", 1), ("b", "d", 3)]
    assert moved((a, 1), (b, 0), (c, -1)) == [("a", "c", 1)]


def test_entries_that_do_not_come_to_zero_are_never_booked() -> None:
    cash, revenue = Account(kind="cash", currency="EUR"), Account(kind="revenue", currency="EUR")
    with pytest.raises(PostingBroken, match=r"differ by 1: EUR:cash \+5, EUR:revenue -4"):
        transfers([(cash, 5), (revenue, -4)])


def test_an_invoice_moves_what_was_unbilled_to_what_is_to_be_paid() -> None:
    taxes = {DE_19: 19 * CENT}
    done = postings.issued(ACME, payable=119 * CENT, unbilled=100 * CENT + 3, taxes=taxes, rounding_most=3)
    assert changes(done) == {RECEIVABLE: 119 * CENT, UNBILLED: -100 * CENT - 3, TAX: -19 * CENT, ROUNDING: 3}
    assert (done.id, done.kind, done.at, done.about) == ("invoice/2026-0001", "invoice", 5, "words")
    less = postings.issued(ACME, payable=119 * CENT, unbilled=100 * CENT - 3, taxes=taxes, rounding_most=3)
    assert changes(less)[ROUNDING] == -3


@pytest.mark.parametrize("off", [-4, 4])
def test_what_rounding_cannot_explain_is_not_booked_as_rounding(off: int) -> None:
    with pytest.raises(PostingBroken, match=f"2026-0001: {-off} ledger units are left .* at most 3"):
        postings.issued(ACME, payable=100 * CENT, unbilled=100 * CENT + off, taxes={}, rounding_most=3)
    with pytest.raises(PostingBroken, match=f"2026-0001: {-off} ledger units are left .* at most 3"):
        postings.credited(ACME, revenue={"m": 100 + off}, taxes={}, receivable=100, rounding_most=3)


def test_an_invoice_that_credit_has_paid_asks_for_nothing() -> None:
    assert changes(postings.issued(ACME, payable=0, unbilled=0, taxes={}, rounding_most=0)) == {}
    owing = postings.issued(ACME, payable=19 * CENT + 1, unbilled=0, taxes={DE_19: 19 * CENT}, rounding_most=1)
    assert changes(owing) == {RECEIVABLE: 19 * CENT + 1, TAX: -19 * CENT, ROUNDING: -1}


def test_an_invoice_of_corrections_may_be_negative() -> None:
    taxes = {DE_19: -19 * CENT}
    done = postings.issued(ACME, payable=-119 * CENT, unbilled=-100 * CENT, taxes=taxes, rounding_most=0)
    assert changes(done) == {RECEIVABLE: -119 * CENT, UNBILLED: 100 * CENT, TAX: 19 * CENT}


def test_a_credit_note_in_full_leaves_nothing_of_its_invoice() -> None:
    taxes = {DE_19: 19 * CENT}
    invoice = postings.issued(ACME, payable=119 * CENT, unbilled=100 * CENT + 3, taxes=taxes, rounding_most=3)
    note = postings.credited(
        ACME, revenue={}, unbilled=100 * CENT + 3, taxes=taxes, receivable=119 * CENT, rounding_most=3
    )
    assert changes(invoice, note) == {}
    assert note.id == "credit-note/2026-0001"


def test_a_credit_note_on_a_paid_invoice_is_customer_credit_and_on_one_that_credit_paid_prepaid_credit() -> None:
    for name, account in (("customer_credit", CREDIT), ("prepaid", PREPAID)):
        given = {name: 7 * CENT + 2}
        note = postings.credited(
            ACME, revenue={"b": 5 * CENT, "a": CENT}, taxes={DE_19: CENT}, receivable=0, rounding_most=2, **given
        )
        assert changes(note) == {
            "EUR:revenue::a": CENT, "EUR:revenue::b": 5 * CENT, TAX: CENT, ROUNDING: 2, account: -7 * CENT - 2
        }  # fmt: skip


def test_a_payment_lowers_what_is_due_and_the_rest_is_customer_credit() -> None:
    assert changes(postings.paid(ACME, received=5, due=5)) == {CASH: 5, RECEIVABLE: -5}
    assert changes(postings.paid(ACME, received=3, due=5)) == {CASH: 3, RECEIVABLE: -3}
    over = postings.paid(ACME, received=8, due=5)
    assert changes(over) == {CASH: 8, RECEIVABLE: -5, CREDIT: -3}
    assert (over.id, over.kind) == ("payment/2026-0001", "payment")
    again = postings.credit_refunded(ACME, amount=3)
    assert changes(over, again) == {CASH: 5, RECEIVABLE: -5}
    assert (again.id, again.kind) == ("credit-refund/2026-0001", "credit-refund")
    applied = postings.credit_applied(ACME, amount=3)
    assert changes(over, applied) == {CASH: 8, RECEIVABLE: -8}
    assert (applied.id, applied.kind) == ("credit-applied/2026-0001", "credit-applied")
    assert changes(postings.paid(ACME, received=1, due=0)) == {CASH: 1, CREDIT: -1}


def test_what_will_not_be_paid_is_bad_debt_and_its_tax_comes_back_where_the_rule_says_so() -> None:
    done = postings.written_off(ACME, net=100, taxes={DE_19: 19})
    assert changes(done) == {BAD_DEBT: 100, TAX: 19, RECEIVABLE: -119}
    assert (done.id, done.kind) == ("write-off/2026-0001", "write-off")
    assert changes(postings.written_off(ACME, net=119, taxes={})) == {BAD_DEBT: 119, RECEIVABLE: -119}


def test_what_calls_took_too_much_returns_and_what_is_owed_beyond_them_is_unbilled() -> None:
    prepaid = postings.settled(ACME, charged={"m": 10, "n": 4}, rated={"m": 9, "n": 4}, prepaid=True)
    assert changes(prepaid) == {"EUR:revenue::m": 1, PREPAID: -1}
    owed = postings.settled(ACME, charged={"m": 10, "o": 2}, rated={"m": 9, "minimum": 50}, prepaid=False)
    assert changes(owed) == {"EUR:revenue::m": 1, "EUR:revenue::o": 2, "EUR:revenue::minimum": -50, UNBILLED: 47}
    assert (owed.id, owed.kind) == ("settlement/2026-0001", "settlement")


def test_what_is_paid_ahead_is_never_owed_afterwards() -> None:
    with pytest.raises(PostingBroken, match="m of acme costs 1 ledger units more"):
        postings.settled(ACME, charged={"m": 10, "n": 9}, rated={"m": 11, "n": 1}, prepaid=True)


def test_a_top_up_is_credit_and_tax_and_the_cent_that_no_invoice_can_show() -> None:
    done = postings.topped_up(ACME, received=103 * CENT, net=86 * CENT, taxes={DE_19: 16 * CENT})
    assert changes(done) == {CASH: 103 * CENT, PREPAID: -86 * CENT, TAX: -16 * CENT, CREDIT: -CENT}
    assert (done.id, done.kind) == ("top-up/2026-0001", "top-up")
    assert changes(postings.topped_up(ACME, received=5, net=5, taxes={})) == {CASH: 5, PREPAID: -5}
    with pytest.raises(PostingBroken, match="more than the 5 that came in"):
        postings.topped_up(ACME, received=5, net=5, taxes={DE_19: 1})


@pytest.mark.parametrize("amount", [0, -1])
def test_an_amount_that_is_none_is_no_event(amount: int) -> None:
    for function in (postings.credit_applied, postings.credit_refunded):
        with pytest.raises(PostingBroken, match="more than 0"):
            function(ACME, amount=amount)
    with pytest.raises(PostingBroken, match="more than 0"):
        postings.paid(ACME, received=amount, due=1)
    with pytest.raises(PostingBroken, match="at least 0"):
        postings.paid(ACME, received=1, due=-1)
    with pytest.raises(PostingBroken, match="more than 0"):
        postings.written_off(ACME, net=amount, taxes={})
    for function in (postings.written_off, postings.recovered):
        with pytest.raises(PostingBroken, match=f"more than 0, not {amount}"):
            function(ACME, net=19, taxes={DE_19: amount - 19})


def test_the_smallest_amount_is_an_event() -> None:
    assert changes(postings.credit_applied(ACME, amount=1)) == {CREDIT: 1, RECEIVABLE: -1}
    back = postings.recovered(ACME, net=-18, taxes={DE_19: 19})
    assert changes(back) == {RECEIVABLE: 1, BAD_DEBT: 18, TAX: -19}
    assert (back.id, back.kind) == ("recovery/2026-0001", "recovery")


def test_a_tax_is_named_after_its_country_category_and_rate() -> None:
    assert tax_name("DE", "S", Decimal("19.00")) == "DE S 19"
    assert tax_name("FI", "S", Decimal("25.5")) == "FI S 25.5"
    assert tax_name("AT", "S", Decimal("20")) == "AT S 20"


def test_credit_is_given_goes_back_and_ends() -> None:
    given = postings.granted(ACME, amount=5)
    assert changes(given) == {"EUR:promotional": 5, PREPAID: -5}
    assert (given.id, given.kind) == ("grant/2026-0001", "grant")
    over = postings.expired(ACME, amount=5, paid=False)
    assert changes(given, over) == {}
    assert (over.id, over.kind) == ("expiry/2026-0001", "expiry")
    assert changes(postings.expired(ACME, amount=5, paid=True)) == {PREPAID: 5, "EUR:breakage": -5}
    back = postings.refunded(ACME, net=5, taxes={DE_19: 1})
    assert changes(back) == {PREPAID: 5, TAX: 1, CASH: -6}
    assert (back.id, back.kind) == ("refund/2026-0001", "refund")
    bought = postings.topped_up(ACME, received=6, net=5, taxes={DE_19: 1}, kind="grant")
    assert (bought.id, bought.kind) == ("grant/2026-0001", "grant")
