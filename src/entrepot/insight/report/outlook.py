"""The second page: what was expected, what would happen if, and on whom it all rests."""

from collections.abc import Iterable
from datetime import date
from fractions import Fraction

from entrepot.insight.answers.dependence import substitutes, terms
from entrepot.insight.concentration import concentration
from entrepot.insight.dependence import TermsLeft, dependence
from entrepot.insight.drawing.chart import Dots, Lines
from entrepot.insight.drawing.marks import Dot, Guide, Line, Row
from entrepot.insight.entries import Expectation
from entrepot.insight.exposure import Flow, positions
from entrepot.insight.facts import Standing, weakest
from entrepot.insight.fiscal import fiscal_name, months_between
from entrepot.insight.growth import against_range, surprise
from entrepot.insight.report.assumed import Case, told
from entrepot.insight.report.board import Block, Figure, Page, Picture, Table, Text, Words
from entrepot.insight.report.leaving import leaving
from entrepot.insight.report.material import Sheet, of_group, of_month
from entrepot.kernel.money import round_half_away

#: What fits on the page, of each kind; the first ones of a list count, and what is left out is said.
MOST_SCENARIOS, MOST_VENDORS, MOST_EXPECTED, MOST_PARTIES, _LINES = 5, 4, 3, 4, 3


def second_page(sheet: Sheet) -> Page:
    blocks: list[Block] = [
        _path(sheet), leaving(sheet, sheet.material.watched), *_expected(sheet), _scenarios(sheet), _vendors(sheet),
        *_parties(sheet),
    ]  # fmt: skip
    notes, inputs = sheet.notes.of_page()
    return Page(heading=sheet.language.words["page_outlook"], blocks=tuple(blocks), notes=notes, inputs=inputs)


def _path(sheet: Sheet) -> Block:
    """How the shares of the largest went, month by month."""
    language, words, facts = sheet.language, sheet.language.words, sheet.material.facts
    months = months_between(facts.base.starts_on[:7], facts.base.until[:7])
    parts = {month: of_month(facts, month) for month in months}
    sold = [month for month in months if parts[month].total() > 0]
    if len(sold) < 2:
        return Text(words=(words["no_path"],))
    shares = {month: {part.name: part.share for part in concentration(parts[month], "group").parts} for month in sold}
    largest = [part.name for part in concentration(sheet.now, "group").parts[:_LINES]]
    span = sold[0], sold[-1]
    shown = [month for month in months if span[0] <= month <= span[1]]
    lines = [
        Line(
            name=sheet.name(name), shown=language.percent(shares[sheet.material.month][name]),
            values=tuple(shares[month].get(name, Fraction(0)) if month in shares else None for month in shown),
            standing=of_group(facts, name).standing,
        )
        for name in largest
    ]  # fmt: skip
    chart = Lines(
        title=words["chart_path"], whole=words["chart_path_whole"], names=tuple(map(language.short_month, shown)),
        lines=tuple(lines), guides=(Guide(name=words["ten_percent"], value=Fraction(1, 10)),), legend=language.legend(),
        ticks=language.ticks("{} %", 100),
    )  # fmt: skip
    note = sheet.figure("", facts, "path", first=language.month(span[0]), last=language.month(span[1])).notes
    return Picture(chart=chart, alt="; ".join(f"{each.name} {each.shown}" for each in lines), notes=note)


def _expected(sheet: Sheet) -> list[Block]:
    """Growth and whatever else was expected, against what came: in points, and of what was expected."""
    language, words = sheet.language, sheet.language.words
    came = [each for each in sheet.material.entered.expectation if each.actual is not None]
    if not came:
        return [Text(words=(words["nothing_expected"],))]
    rows, table = [], []
    by_measure: dict[tuple[str, str], list[Expectation]] = {}
    for each in came:
        by_measure.setdefault((each.of, each.period), []).append(each)
    for (of, period), found in list(by_measure.items())[:MOST_EXPECTED]:
        rows.append(_row(sheet, of, period, found))
        table += [_against(sheet, each) for each in found]
    unit = came[0].unit
    same = all(each.unit == unit for each in came)
    blocks: list[Block] = [
        Table(
            title=words["expected_title"], whole=words["expected_whole"] + sheet.rest(len(by_measure), MOST_EXPECTED),
            heads=(words["measure"], words["expected"], words["came"], words["difference"], words["of_expected"]),
            rows=tuple(table),
        )
    ]  # fmt: skip
    if same and any(len(row.dots) + len(row.band) > 1 for row in rows):
        chart = Dots(
            title=words["chart_expected"], whole=words["chart_expected_whole"], rows=tuple(rows),
            legend=language.legend(), ticks=language.ticks("{} " + unit if unit else "{}"),
        )  # fmt: skip
        notes = tuple(sorted({number for row in table for cell in row for run in cell
                              if isinstance(run, Figure) for number in run.notes}))  # fmt: skip
        alt = "; ".join(f"{row.name}: {', '.join(dot.shown for dot in row.dots)} {row.band_name}" for row in rows)
        blocks.insert(0, Picture(chart=chart, alt=alt, notes=notes))
    return blocks


def _row(sheet: Sheet, of: str, period: str, found: list[Expectation]) -> Row:
    words = sheet.language.words
    dots = []
    band: tuple[Fraction, ...] = ()
    for each in found:
        if each.least != each.most:
            band = Fraction(each.least), Fraction(each.most)
        else:
            dots.append(Dot(
                value=Fraction(each.least), standing=each.standing,
                shown=f"{_entered(sheet, each.least, each.unit)} {words[each.by]}",
            ))  # fmt: skip
    actual = next(each for each in found if each.actual is not None)
    assert actual.actual is not None
    came = Dot(
        value=Fraction(actual.actual), standing=actual.standing,
        shown=f"{_entered(sheet, actual.actual, actual.unit)} {words['actual']}",
    )  # fmt: skip
    return Row(
        name=f"{of}, {_period(sheet, period)}", dots=(*dots, came), band=band,
        band_name=words["guidance_band"] if band else "",
    )  # fmt: skip


def _against(sheet: Sheet, each: Expectation) -> tuple[Words, ...]:
    """One expectation: what, how much, what came, by how much it was missed both ways of saying it."""
    words = sheet.language.words
    assert each.actual is not None
    actual, least, most = Fraction(each.actual), Fraction(each.least), Fraction(each.most)

    def said(text: str) -> Words:
        return (sheet.stated(text, each.standing, f"{sheet.language.notes['expected']} {each.source}"),)

    name = (f"{each.of}, {_period(sheet, each.period)}: {words[each.by]}",)
    if least == most:
        found = surprise(actual, least)
        relative = "–" if found.relative is None else sheet.language.percent(found.relative, sign=True)
        return (
            name, said(_entered(sheet, each.least, each.unit)), said(_entered(sheet, each.actual, each.unit)),
            said(_difference(sheet, found.points, each.unit)), said(relative),
        )  # fmt: skip
    ranged = against_range(actual, least, most)
    ends = [_difference(sheet, end, each.unit) for end in (ranged.from_low, ranged.from_high)]
    parts = [sheet.language.percent(end / abs(at), sign=True) for end, at in
             ((ranged.from_low, least), (ranged.from_high, most)) if at]  # fmt: skip
    between = words["range"]
    return (
        name, said(between.format(least=_entered(sheet, each.least, ""), most=_entered(sheet, each.most, each.unit))),
        said(_entered(sheet, each.actual, each.unit)), said(between.format(least=ends[0], most=ends[1])),
        said(between.format(least=parts[0], most=parts[-1]) if parts else "–"),
    )  # fmt: skip


def _scenarios(sheet: Sheet) -> Block:
    """Each what-if on a line: revenue and margin a month then, what lies idle, HHI after, months to recover."""
    words = sheet.language.words
    cases = sheet.material.cases[:MOST_SCENARIOS]
    if not cases:
        return Text(words=(words["no_scenarios"],))
    return Table(
        title=words["scenarios"], whole=words["scenarios_whole"].format(unit=sheet.money.unit)
        + sheet.rest(len(sheet.material.cases), MOST_SCENARIOS),
        heads=(
            words["scenario"], words["revenue_then"], words["change_of_revenue"], words["margin_then"], words["idle"],
            words["hhi_after"], words["recover"],
        ),
        rows=tuple(_outcome(sheet, each) for each in cases),
    )  # fmt: skip


def _outcome(sheet: Sheet, case: Case) -> tuple[Words, ...]:
    language, each = sheet.language, case.outcome
    then, now = each.then, each.now
    note = language.notes["scenario"].format(title=each.title, assumptions=told(case, language))

    def said(text: str) -> Words:
        return (sheet.stated(text, "assumed", note),)

    after = each.concentration[1]
    lost = Fraction(then.revenue - now.revenue, now.revenue)
    return (
        (each.title,), said(sheet.money.bare(then.revenue)), said(language.percent(lost, sign=True)),
        said(sheet.money.bare(then.margin)), said(sheet.money.bare(each.idle_commitments + each.idle_capacity)),
        said("–" if after is None else language.rounded(after.hhi * 10_000, 0)),
        said(_recovery(sheet, case)),
    )  # fmt: skip


def _recovery(sheet: Sheet, case: Case) -> str:
    """Months; "never" only where a growth is known at which it never comes back."""
    months, growth = case.outcome.months_to_recover, case.outcome.growth
    if months is not None:
        return sheet.language.number(str(months))
    return "–" if growth is None else sheet.language.words["never"]


def _vendors(sheet: Sheet) -> Block:
    """What rides on each vendor, what of it could go elsewhere, and until when terms bind."""
    language, words, entered = sheet.language, sheet.language.words, sheet.material.entered
    sold = {sale.model for sale in sheet.now.sales}
    elsewhere = {model: vendor for model, vendor in sheet.material.made_by.items() if model not in sold}
    on = date.fromisoformat(sheet.now.base.until)
    found = dependence(sheet.now, substitutes(entered), terms(entered, sheet.now.base), on, elsewhere)
    approved = "; ".join(dict.fromkeys(each.source for each in entered.substitute)) or language.notes["nothing"]
    switch_standing = weakest([sheet.now.standing, *(each.standing for each in entered.substitute)])
    committed = any(left.terms.committed is not None for part in found.vendors for left in part.terms)
    rows: list[tuple[Words, ...]] = []
    for part in found.vendors[:MOST_VENDORS]:
        whose = [each for each in entered.terms if each.vendor == part.vendor]
        switched = "–" if part.switchable is None else language.percent(part.switchable)
        rows.append((
            (sheet.vendor(part.vendor),),
            (sheet.figure(language.percent(part.share), sheet.now, "vendor_share"),),
            (sheet.stated(switched, switch_standing, language.notes["switchable"].format(sources=approved)),),
            (sheet.figure(language.percent(part.price_exposure), sheet.now, "price_exposure"),),
            _dates(sheet, [(each.exclusive_until, each.standing, each.source) for each in whose]),
            _dates(sheet, [(each.licence_until, each.standing, each.source) for each in whose]),
            *([_unused(sheet, part.terms)] if committed else []),
        ))  # fmt: skip
    return Table(
        title=words["vendors"], whole=words["vendors_whole"].format(whole=sheet.money.show(found.whole))
        + sheet.rest(len(found.vendors), MOST_VENDORS),
        heads=(words["vendor"], words["share"], words["switchable"], words["exposure"], words["exclusive"],
               words["licence"], *([words["unused"].format(unit=sheet.money.unit)] if committed else [])),
        rows=tuple(rows),
    )  # fmt: skip


def _unused(sheet: Sheet, terms: Iterable[TermsLeft]) -> Words:
    """Of what is to be bought in the month, what was not used."""
    language, words = sheet.language, sheet.language.words
    for left in terms:
        if left.terms.committed is not None:
            part = "–" if left.shortfall is None else sheet.money.bare(left.shortfall)
            text = words["part_of"].format(part=part, whole=sheet.money.bare(left.terms.committed))
            standing = weakest([left.terms.standing, sheet.now.standing])
            return (sheet.stated(text, standing, f"{language.notes['committed']} {left.terms.source}"),)
    return ("–",)


def _dates(sheet: Sheet, entered: Iterable[tuple[date | None, Standing, str]]) -> Words:
    for day, standing, source in entered:
        if day is not None:
            return (sheet.stated(sheet.language.short(day), standing, f"{sheet.language.notes['terms']} {source}"),)
    return ("–",)


def _parties(sheet: Sheet) -> list[Block]:
    """Both sides with each counterparty of whom money goes both ways or is entered: books and entered figures apart."""
    words, base = sheet.language.words, sheet.now.base
    entered = [each for each in sheet.material.entered.stream
               if each.month in ("", sheet.material.month) and each.currency == base.currency]  # fmt: skip
    if not entered:
        return []
    flows = [
        Flow(
            counterparty=each.counterparty, stream=each.stream, direction=each.direction, standing=each.standing,
            amount=each.amount if each.month else round_half_away(Fraction(each.amount, 12)), source=each.source,
            currency=base.currency, scale=base.scale, period=sheet.material.month,
        )
        for each in entered
    ]  # fmt: skip
    flows += _bought(sheet, {each.counterparty for each in entered})
    rows: list[tuple[Words, ...]] = []
    all_of_them = positions(flows)
    for position in all_of_them[:MOST_PARTIES]:
        standing = weakest(flow.standing for flow in position.flows)
        told = "; ".join(f"{flow.stream}: {flow.source}" for flow in position.flows)
        note = sheet.language.notes["position"].format(sources=told)
        rows.append((
            (sheet.vendor(position.counterparty),),
            *((sheet.stated(sheet.money.bare(amount, sign=amount == position.net), standing, note),)
              for amount in (position.received, position.paid, position.net)),
        ))  # fmt: skip
    return [Table(
        title=words["parties"],
        whole=words["parties_whole"].format(unit=sheet.money.unit) + sheet.rest(len(all_of_them), MOST_PARTIES),
        heads=(words["party"], words["received"], words["paid"], words["net"]), rows=tuple(rows),
    )]  # fmt: skip


def _bought(sheet: Sheet, counterparties: set[str]) -> list[Flow]:
    """What our books say that these were paid as vendors of the month's sales."""
    base, found = sheet.now.base, []
    for vendor in sorted(counterparties):
        facts = sheet.now.where(lambda sale, vendor=vendor: sale.vendor == vendor and not sale.own)  # type: ignore[misc]
        cost = sum(sale.cost or 0 for sale in facts.sales)
        if cost > 0:
            letter = sheet.language.notes["inputs"].format(letter=sheet.notes.letter(sheet.inputs(sheet.now)))
            found.append(Flow(
                counterparty=vendor, stream=sheet.language.words["cost_of_goods"], direction="out", amount=cost,
                standing=facts.standing, source=letter.rstrip("."), currency=base.currency, scale=base.scale,
                period=sheet.material.month,
            ))  # fmt: skip
    return found


def _period(sheet: Sheet, period: str) -> str:
    """Calendar and fiscal name: `2024-Q2` as `Q2 2024 (FQ4 2024)`."""
    language, words = sheet.language, sheet.language.words
    year, _, part = period.partition("-")
    if not part:
        return period
    month = f"{year}-{3 * int(part[1]):02d}" if part.startswith("Q") else period
    fiscal = fiscal_name(month, sheet.material.year_starts)
    plain = words["quarter"].format(number=part[1], year=year) if part.startswith("Q") else language.month(period)
    if sheet.material.year_starts == "01-01":
        return plain
    return f"{plain} ({words['fiscal_quarter'].format(number=fiscal[2], year=fiscal[4:])})"


def _entered(sheet: Sheet, value: object, unit: str) -> str:
    """An entered number with the digits it was entered with."""
    text = f"{value:f}"
    return f"{sheet.language.number(text)} {unit}".strip()


def _difference(sheet: Sheet, value: Fraction, unit: str) -> str:
    """Of percentages a difference is points."""
    number = sheet.language.rounded(value, 1, sign=True)
    return sheet.language.words["points"].format(number=number) if unit == "%" else f"{number} {unit}".strip()
