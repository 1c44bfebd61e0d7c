"""Accounts: what they are called and on which side they grow (money-rules §9)."""

from functools import lru_cache
from typing import Literal
from urllib.parse import quote

import msgspec

from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.money import scale_of

AccountClass = Literal["asset", "liability", "income", "expense", "other"]

CLASSES: dict[str, AccountClass] = {
    "cash": "asset", "receivable": "asset", "unbilled": "asset", "vendor prepayment": "asset",
    "vendor receivable": "asset", "input tax": "asset",
    "prepaid credit": "liability", "customer credit": "liability", "deferred revenue": "liability",
    "vendor payable": "liability", "rent payable": "liability", "output tax": "liability",
    "unapplied cash": "liability",
    "revenue": "income", "shortfall": "income", "breakage": "income", "share received": "income",
    "rent received": "income", "promotional": "income",
    "cost of goods": "expense", "hosting": "expense", "share paid": "expense", "overrun": "expense",
    "bad debt": "expense", "SLA credit": "expense",
    "rent clearing": "other", "rounding": "other", "FX": "other", "suspense": "other",
}  # fmt: skip
_PLAIN = " /@._+"


class AccountUnknown(EntrepotError):
    """A kind of account that the chart does not have."""

    code = "account_unknown"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One account. `party` is the customer or vendor, `product` a model or SKU; either may be empty."""

    kind: str
    currency: str
    party: str = ""
    product: str = ""

    def __post_init__(self) -> None:
        if self.kind not in CLASSES:
            raise AccountUnknown(f"no account is called {self.kind!r}; the chart has {', '.join(CLASSES)}")
        scale_of(self.currency)

    @property
    def id(self) -> str:
        """`USD:prepaid credit:demo`; the parts are quoted, so no name can look like another account."""
        return _id_of(self)


@lru_cache(maxsize=65_536)
def _id_of(account: Account) -> str:
    party, product = quote(account.party, safe=_PLAIN), quote(account.product, safe=_PLAIN)
    return f"{account.currency}:{account.kind}:{party}:{product}".rstrip(":")


def grows_by_debit(kind: str) -> bool:
    """Assets and expenses (and the accounts that should end at zero) are shown debit minus credit, the rest the other
    way round."""
    return CLASSES[kind] in ("asset", "expense", "other")
