"""`/admin/payments`: money that came in for invoices, what it pays, and what of it went back."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from entrepot.billing.payment_tables import read_payments
from entrepot.control.house import House, house
from entrepot.control.problem import AMOUNT, CURRENCY
from entrepot.keeper.bills.payments import in_list
from entrepot.storage.database import read

router = APIRouter(tags=["payment"])


class Payment(BaseModel):
    """Of one invoice, else of the open ones, oldest first. `credit`: out of what the customer has with us."""

    model_config = ConfigDict(extra="forbid")
    customer: Annotated[str, Field(min_length=1, max_length=200)]
    amount: Annotated[str, Field(pattern=AMOUNT)]
    currency: Annotated[str, Field(pattern=CURRENCY)] | None = None
    invoice: Annotated[str, Field(max_length=200)] | None = None
    credit: bool = False
    paid_on: Annotated[str, Field(max_length=10)] | None = None
    reference: Annotated[str, Field(max_length=128)] | None = None
    id: Annotated[str, Field(min_length=1, max_length=128)]
    dry_run: bool = False


class Refund(BaseModel):
    """Of what the customer has with us: money that it paid too much, or that was credited after it was paid."""

    model_config = ConfigDict(extra="forbid")
    customer: Annotated[str, Field(min_length=1, max_length=200)]
    amount: Annotated[str, Field(pattern=AMOUNT)]
    currency: Annotated[str, Field(pattern=CURRENCY)] | None = None
    paid_on: Annotated[str, Field(max_length=10)] | None = None
    reference: Annotated[str, Field(max_length=128)] | None = None
    id: Annotated[str, Field(min_length=1, max_length=128)]
    dry_run: bool = False


@router.get("/payments", name="payment.list")
def list_payments(
    where: Annotated[House, Depends(house)], customer: Annotated[str, Query()] = ""
) -> dict[str, Any]:
    """Every payment in the order of recording, with what it pays and what was left over."""
    with read(where.engine) as connection:
        return {"payments": [in_list(*each) for each in read_payments(connection, customer=customer)]}


@router.post("/payments", name="payment.record")
async def record(body: Payment, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Once however often it is repeated: same id and content changes nothing, other content is refused."""
    args = body.model_dump(exclude_none=True, exclude={"credit"})
    return await where.keeper.execute("payment.record", {**args, "source": "credit" if body.credit else "bank"})


@router.post("/payment-refunds", name="payment.refund")
async def refund(body: Refund, where: Annotated[House, Depends(house)]) -> dict[str, Any]:
    """Customer credit that went back as money: never more than there is, once however often it is repeated."""
    return await where.keeper.execute("payment.refund", body.model_dump(exclude_none=True))
