"""From rated usage to an invoice: the parties, the tax of each line, what was given and what was paid ahead. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from msgspec.structs import replace

from entrepot.billing import vat
from entrepot.billing.document.language import Language, language
from entrepot.billing.document.ubl import cannot_express
from entrepot.billing.inputs import Burned, UsageInputs, sealed
from entrepot.billing.invoice import (
    Address,
    Allowance,
    Facts,
    Input,
    Invoice,
    InvoiceBroken,
    Line,
    Party,
    Payment,
    Tax,
    make,
)
from entrepot.catalog import parties
from entrepot.catalog.prices import METERS, When
from entrepot.kernel.instants import Instant, to_datetime
from entrepot.kernel.money import minor_digits, round_half_away, scale_of, split
from entrepot.rating.line import RatedLine, product_of

#: Usage first, then what follows from it, then what belongs to earlier months.
_ORDER = ("usage", "overrun", "minimum", "percentage", "correction")


def draft(inputs: UsageInputs, on: date, number: str = "") -> Invoice:
    """The invoice of these inputs as of a day. Raises InvoiceBroken for what cannot stand on one, with the remedy."""
    rated, buyer, speech = inputs.rated, inputs.buyer, language_of(inputs)
    if buyer.currency and buyer.currency != rated.currency:
        raise InvoiceBroken(
            f"{rated.customer} is to be billed in {buyer.currency} and its prices are in {rated.currency}: an invoice "
            f"has one currency; give it a book in {buyer.currency}, or leave pays.currency out"
        )
    rows = [_line(row, at, inputs, on) for at, row in enumerate(in_order(rated.lines), 1)]
    if not rows:
        raise InvoiceBroken(f"{rated.customer} has nothing to be billed for {inputs.month}")
    allowances = _promotional(inputs, rows, speech)
    facts = _facts(inputs, number, on, speech)
    paid = _paid(inputs, make(facts, rows, allowances))
    own = _accounting(inputs, rows)
    made = make(facts, rows, allowances, paid_minor=paid, accounting=own)
    if made.totals.with_tax_minor < 0:
        raise InvoiceBroken(_below_zero(inputs))
    if not made.totals.payable_minor and made.totals.with_tax_minor:
        terms = replace(facts.payment, terms=speech.words["terms_paid"])
        facts = replace(facts, payment=terms)
        made = make(facts, rows, allowances, paid_minor=paid, accounting=own)
    refuse_format(made, buyer, rated.customer)
    return made


def refuse_format(invoice: Invoice, buyer: parties.Buyer, customer: str) -> None:
    """Raises InvoiceBroken where the format that a customer is to get cannot express the document: at the draft, so
    that nothing is issued half."""
    if buyer.format == "xrechnung" and (why := cannot_express(invoice)):
        raise InvoiceBroken(f'{customer} is to get an XRechnung (pays.format = "xrechnung"), but: {why}')


def _below_zero(inputs: UsageInputs) -> str:
    """Why there is no invoice, and which documents to credit: those whose corrections take something off."""
    rated = inputs.rated
    months = {row.month for row in rated.lines if row.kind == "correction" and row.net_minor(rated.currency) < 0}
    marks = tuple(f"{month}: billed " for month in sorted(months))
    billed = sorted({name.partition(": billed ")[2] for name, _ in rated.inputs if name.startswith(marks)})
    which = f" ({', '.join(billed)})" if billed else ""
    return (
        f"corrections make {inputs.month} of {rated.customer} come to less than nothing: credit the lines that they "
        f"take off with what is right, on the invoices that bill them{which}: entrepot invoice credit-note NUMBER "
        "--line LINE=QUANTITY@PRICE. What is credited is not taken off again. Or wait for a month with more usage"
    )


def due_on(inputs: UsageInputs, on: date) -> date:
    """When a document of this day is due."""
    return on + timedelta(days=inputs.buyer.due_days or inputs.seller.invoice.due_days)


def party(said: parties.PartyFacts) -> Party:
    """As the document names it."""
    where = said.address
    home = Address(street=where.street, postcode=where.postcode, city=where.city, country=where.country)
    return Party(
        name=said.name, address=home, vat_id=said.vat_id, tax_number=said.tax_number, register=said.register,
        contact=said.contact, phone=said.phone, email=said.email,
    )  # fmt: skip


def tax_of(inputs: UsageInputs, on: date) -> Tax:
    """The tax of a service that this seller supplied to this buyer on a day."""
    seller, buyer = inputs.seller, inputs.buyer
    return vat.decide(
        inputs.rates,
        vat.Seller(
            country=seller.party.address.country, registered=seller.registered, small=seller.small,
            small_reason=seller.small_reason,
        ),
        vat.Buyer(country=buyer.party.address.country, vat_id=buyer.party.vat_id),
        on,
    )  # fmt: skip


def _sealed(inputs: UsageInputs) -> tuple[Input, ...]:
    """What it was made of, and not where that lay: the files of the lake are named in the inputs that are kept beside
    the document, so that the same usage gives the same bytes however its records came."""
    where = {name for name, _ in inputs.rated.inputs if "lake " in name}
    parts = {
        "rated lines": replace(inputs.rated, inputs=(), open=()), "seller": inputs.seller, "buyer": inputs.buyer,
        "tax rates": inputs.rates, "burned credit": inputs.burned, "document rate": inputs.document_rate,
    }  # fmt: skip
    named = {name: sha256 for name, sha256 in inputs.rated.inputs if name not in where}
    return sealed(parts, {**named, "usage": inputs.usage})


def minor_of(units: int, currency: str) -> int:
    """Ledger units in the minor unit of a document, half away from zero."""
    return round_half_away(Fraction(units, 10 ** (scale_of(currency) - minor_digits(currency))))


def units_of(minor: int, currency: str) -> int:
    """An amount of a document in ledger units."""
    unit: int = 10 ** (scale_of(currency) - minor_digits(currency))
    return minor * unit


def in_order(lines: Iterable[RatedLine]) -> list[RatedLine]:
    """As they stand on the document, whatever the order in which they came."""
    return sorted(lines, key=_place)


def _place(line: RatedLine) -> tuple[object, ...]:
    """Where a line stands: the order of its facts, so that nothing depends on the order in which they came."""
    return (
        _ORDER.index(line.kind), line.month, line.product, line.model,
        METERS.index(line.meter) if line.meter in METERS else len(METERS), line.when.count, str(line.when),
        line.project, line.starts_at, -line.price, line.version, line.key,
    )  # fmt: skip


def _line(row: RatedLine, number: int, inputs: UsageInputs, on: date) -> Line:
    speech = language_of(inputs)
    starts_on, until = _day(row.starts_at), min(_until(row.ends_at), _end(inputs, on))
    return Line(
        id=str(number), name=_name(row, speech), about=_about(row, speech, inputs.rated.currency),
        quantity=row.quantity, unit=row.unit, price=row.price, per=row.per, list_price=row.list_price,
        starts_on=starts_on, until=until,
        tax=tax_of(inputs, until - timedelta(days=1)), net_minor=row.net_minor(inputs.rated.currency),
    )  # fmt: skip


def _end(inputs: UsageInputs, on: date) -> date:
    """The first day after the period; of one that is not over the day after the document's."""
    starts_on, until = (date.fromisoformat(each) for each in (inputs.rated.starts_on, inputs.rated.until))
    return max(min(until, on + timedelta(days=1)), starts_on + timedelta(days=1))


def language_of(inputs: UsageInputs) -> Language:
    return language(inputs.buyer.language or inputs.seller.invoice.language)


def _name(row: RatedLine, speech: Language) -> str:
    words, kind = speech.words, _own_kind(row)
    if kind in ("minimum", "percentage"):
        return ", ".join(filter(None, (row.product, words[kind])))
    if kind == "overrun":
        return ", ".join((row.model, words["overrun"]))
    meter = speech.meters.get(row.meter, row.meter)
    return ", ".join(filter(None, (row.model, meter)))


def _own_kind(row: RatedLine) -> str:
    """What a line is of, a correction by what it corrects: only a line of usage has a meter, and only what follows from
    other lines a product."""
    if row.kind != "correction":
        return row.kind
    if row.product:
        return "percentage" if any(facts[0] == "percentage" for facts in row.because) else "minimum"
    return "usage" if row.meter else "overrun"


def _about(row: RatedLine, speech: Language, currency: str) -> str:
    words = speech.words
    said = [conditions(row.when, speech)]
    if row.project:
        said.append(words["project"].format(project=row.project))
    if row.kind == "correction" and row.month:
        said.insert(0, words["correction"].format(month=speech.month(row.month)))
    said += [_because(each, speech, currency) for each in row.because]
    if not row.price and row.reason:
        said.append(words["included"].format(reason=row.reason))
    said += [_price_list(each, words) for each in filter(None, row.version.split(", "))]
    return "; ".join(filter(None, said))


def _price_list(version: str, words: Mapping[str, str]) -> str:
    book, _, number = version.partition("/")
    return words["price_list"].format(book=book, version=number) if number else words["contract_price"]


def _because(facts: Sequence[str], speech: Language, currency: str) -> str:
    """Which step a price is, or what an amount follows from."""
    words = speech.words

    def money(exact: str) -> str:
        return f"{speech.number(exact)} {currency}"

    kind, *rest = facts
    if kind == "step":
        number, first, last, counts, period = rest
        meters = ", ".join(speech.meters.get(each, each) for each in counts.split())
        which = words["step_between" if last else "step_from"].format(
            step=number, first=speech.number(first), last=speech.number(last or "0")
        )
        return f"{which} ({words['step_of'].format(meters=meters, period=words[f'period_{period}'])})"
    if kind == "minimum":
        least, reached, *of = rest
        return words["because_minimum"].format(least=money(least), reached=money(reached), of=", ".join(of))
    if kind == "percentage":
        percent, base, *of = rest
        return words["because_percentage"].format(percent=speech.number(percent), base=money(base), of=", ".join(of))
    return words["because_least"].format(least=money(rest[0]))


def conditions(when: When, speech: Language) -> str:
    """Under which conditions a price holds, in words: `tier batch, requests over 200,000`."""
    words, said = speech.words, []
    if when.tier:
        said.append(words["when_tier"].format(tier=when.tier))
    if when.zone:
        said.append(words["when_zone"].format(zone=when.zone))
    if when.request_over:
        said.append(words["when_over"].format(count=speech.number(str(when.request_over))))
    if when.hours:
        said.append(words["when_hours"].format(hours=when.hours))
    return ", ".join(said)


def _facts(inputs: UsageInputs, number: str, on: date, speech: Language) -> Facts:
    rated, seller, buyer = inputs.rated, inputs.seller, inputs.buyer
    days = buyer.due_days or seller.invoice.due_days
    burned = inputs.burned or Burned()
    numbers = ", ".join(f"{each.number} ({speech.short(each.issued_on)})" for each in burned.advances)
    return Facts(
        number=number, kind="380", issued_on=on, due_on=due_on(inputs, on),
        starts_on=date.fromisoformat(rated.starts_on), until=_end(inputs, on), currency=rated.currency,
        seller=party(seller.party), buyer=party(buyer.party),
        payment=Payment(
            terms=speech.words["terms_days"].format(days=days), iban=seller.invoice.iban, bic=seller.invoice.bic
        ),
        language=buyer.language or seller.invoice.language, customer=rated.customer, contract=inputs.contract,
        buyer_reference=buyer.buyer_reference, order=buyer.order, preceding=burned.advances,
        notes=(speech.words["advance_note"].format(numbers=numbers),) if numbers else (), inputs=_sealed(inputs),
    )  # fmt: skip


def _promotional(inputs: UsageInputs, rows: Sequence[Line], speech: Language) -> list[Allowance]:
    """Credit that was given and burned lowers what is taxed, in the categories of the lines that it paid (BG-20)."""
    promo = 0 if inputs.burned is None else minor_of(inputs.burned.promo, inputs.rated.currency)
    bases: dict[Tax, int] = {}
    for row in rows:
        bases[row.tax] = bases.get(row.tax, 0) + row.net_minor
    taxes = sorted(tax for tax, base in bases.items() if base > 0)
    whole = sum(bases[tax] for tax in taxes)
    parts = split(min(promo, whole), [bases[tax] for tax in taxes])
    words = speech.words["promotional"]
    return [Allowance(reason=words, amount_minor=part, tax=tax) for tax, part in zip(taxes, parts, strict=True) if part]


def _paid(inputs: UsageInputs, made: Invoice) -> int:
    """What is paid already (BT-113): all that credit covers, with the tax that was paid when it was bought."""
    burned = inputs.burned
    net, tax = made.totals.without_tax_minor, made.totals.tax_minor
    if burned is None or net <= 0:
        return 0
    whole = burned.taxed + burned.untaxed
    ahead = net if not burned.untaxed else round_half_away(Fraction(net * burned.taxed, whole))
    return net + round_half_away(Fraction(tax * ahead, net))


def _accounting(inputs: UsageInputs, rows: Iterable[Line]) -> tuple[str, Decimal, str] | None:
    """The seller's own currency, in which the tax office wants the tax, where there is tax and another currency."""
    own, rate = inputs.seller.currency, inputs.document_rate
    if not own or own == inputs.rated.currency or not any(row.tax.percent for row in rows):
        return None
    if rate is None or rate.currency != own:
        raise InvoiceBroken(
            f"the books of {inputs.seller.party.name} are in {own}, so an invoice in {inputs.rated.currency} states "
            f"its tax in {own} too: give the rate of the tax date and whose it is, --rate 0.9231 --rate-source ECB"
        )
    return own, rate.rate, rate.source


def _day(at: Instant) -> date:
    return to_datetime(at).date()


def _until(at: Instant) -> date:
    """The first day after a period that ends at an instant."""
    moment = to_datetime(at)
    return moment.date() if moment.time() == moment.min.time() else moment.date() + timedelta(days=1)


def by_product(lines: Iterable[RatedLine], currency: str) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """(what calls took, what it costs) in ledger units, by product."""
    charged: dict[str, int] = {}
    exact: dict[str, Fraction] = {}
    for line in lines:
        product = product_of(line)
        charged[product] = charged.get(product, 0) + line.charged
        exact[product] = exact.get(product, Fraction(0)) + line.exact()
    scale = 10 ** scale_of(currency)
    return charged, {product: round_half_away(amount * scale) for product, amount in exact.items()}
