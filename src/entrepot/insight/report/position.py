"""The first page: what was earned, from how few, and why it is another sum than the month before."""

from fractions import Fraction

from entrepot.insight.change import change
from entrepot.insight.concentration import Concentration, concentration
from entrepot.insight.drawing.chart import Bars, Waterfall
from entrepot.insight.drawing.marks import Bar, Guide, Step
from entrepot.insight.facts import Facts
from entrepot.insight.growth import growth, replacement, retention, run_rate
from entrepot.insight.margin import margins
from entrepot.insight.report.board import Block, Figure, Page, Picture, Text, Tile, Tiles, Words, filled
from entrepot.insight.report.material import Sheet, of_group

#: Names beside each other on a page; the others are added up.
_SHOWN = 7
_YEAR = 12


def first_page(sheet: Sheet) -> tuple[Words, Page]:
    """The sentence above all, and the page."""
    found = concentration(sheet.now, "group")
    lead = _lead(sheet, found)
    blocks: list[Block] = [Tiles(tiles=(*_money_tiles(sheet), *_share_tiles(sheet, found))), _shares(sheet, found)]
    blocks += [_large(sheet, found), _changes(sheet)]
    notes, inputs = sheet.notes.of_page()
    return lead, Page(
        heading=sheet.language.words["page_position"], blocks=tuple(blocks), notes=notes, inputs=inputs
    )  # fmt: skip


def _lead(sheet: Sheet, found: Concentration) -> Words:
    """Who brings most, what is left without it, and how much the rest would have to grow."""
    words, largest = sheet.language.words, found.parts[0]
    name, part = sheet.name(largest.name), _share(sheet, found, 0)
    if len([each for each in found.parts if each.amount]) == 1:
        return (words["lead_only"].format(name=name),)
    rest = found.whole - largest.amount
    facts = sheet.now
    left = sheet.figure(sheet.money.show(rest), facts, "without", name=name)
    if rest <= 0:
        return filled(words["lead_nothing_left"], name=name, share=part, rest=left)
    grown = sheet.figure(
        sheet.language.percent(replacement(found.whole, largest.amount, _YEAR).total), facts, "replacement", name=name
    )
    return filled(words["lead"], name=name, share=part, rest=left, grown=grown)


def _money_tiles(sheet: Sheet) -> list[Tile]:
    language, words, now, earlier = sheet.language, sheet.language.words, sheet.now, sheet.before
    base = now.base
    how = words[f"base_{base.kind}"], words[f"view_{base.view}"]
    month = language.month(sheet.material.month)
    note = "revenue_earned" if base.kind == "earned" else "revenue"
    revenue = sheet.figure(sheet.money.show(now.total()), now, note, base=how[0], view=how[1], month=month)
    since: Words = (words["no_month_before"],)
    if earlier is not None:
        rise = sheet.figure(
            language.percent(growth(earlier.total(), now.total()), sign=True), earlier, "growth",
            amount=sheet.money.show(earlier.total()), month=language.month(earlier.months()[-1]),
        )  # fmt: skip
        since = filled(words["on_month_before"], month=language.month(earlier.months()[-1]), rise=rise)
    pace = sheet.figure(sheet.money.show(run_rate(now, "month").amount), now, "run_rate", month=month)
    return [
        Tile(name=words["revenue"], figure=revenue, about=since),
        Tile(name=words["run_rate"], figure=pace, about=(words["run_rate_window"],)),
        _margin(sheet),
        _kept(sheet, earlier),
    ]


def _margin(sheet: Sheet) -> Tile:
    language, words, whole = sheet.language, sheet.language.words, margins(sheet.now, "customer").whole
    if whole.rate is None:
        figure = sheet.figure(words["not_known"], sheet.now, "margin_unknown")
        return Tile(name=words["margin"], figure=figure, about=(words["no_cost_known"],))
    known = Fraction(whole.revenue - whole.uncosted, whole.revenue)
    figure = sheet.figure(
        language.percent(whole.rate), sheet.now, "margin", margin=sheet.money.show(whole.margin),
        uncosted=sheet.money.show(whole.uncosted),
    )  # fmt: skip
    part = Figure(text=language.percent(known, 0), standing=figure.standing, notes=figure.notes)
    return Tile(name=words["margin"], figure=figure, about=filled(words["cost_known"], part=part))


def _kept(sheet: Sheet, earlier: Facts | None) -> Tile:
    language, words = sheet.language, sheet.language.words
    if earlier is None:
        figure = sheet.figure(words["not_known"], sheet.now, "retention_unknown")
        return Tile(name=words["retention"], figure=figure, about=(words["no_month_before"],))
    kept = retention(earlier, sheet.now)
    figure = sheet.figure(
        language.percent(kept.nrr), earlier, "retention", start=sheet.money.show(kept.start),
        month=language.month(earlier.months()[-1]),
    )  # fmt: skip
    gross = Figure(text=language.percent(kept.grr), standing=figure.standing, notes=figure.notes)
    return Tile(name=words["retention"], figure=figure, about=filled(words["gross_retention"], gross=gross))


def _share_tiles(sheet: Sheet, found: Concentration) -> list[Tile]:
    language, words, now = sheet.language, sheet.language.words, sheet.now
    ratio = sheet.figure(language.percent(found.cr[5]), now, "ratio")
    ten = Figure(text=language.percent(found.cr[10]), standing=ratio.standing, notes=ratio.notes)
    passed = [each for each in found.thresholds if each.passed and each.value < found.hhi and "share" not in each.name]
    points = language.rounded(found.hhi * 10_000, 0)
    left_out = ", ".join(sheet.name(each.name) for each in found.below_zero) or language.notes["nobody"]
    index = sheet.figure(points, now, "hhi", below=left_out)
    mark = words["hhi_high"] if any(each.name.startswith("highly") for each in passed) else (
        words["hhi_moderate"] if passed else words["hhi_low"])  # fmt: skip
    like = sheet.figure(language.rounded(found.effective, 1), now, "effective")
    unequal = sheet.figure(language.rounded(found.gini, 2), now, "gini")
    there = language.number(str(len([each for each in found.parts if each.amount])))
    return [
        Tile(name=words["largest"], figure=_share(sheet, found, 0), about=(sheet.name(found.parts[0].name),)),
        Tile(name=words["top_five"], figure=ratio, about=filled(words["top_ten"], ten=ten)),
        Tile(name="HHI", figure=index, about=(mark,)),
        Tile(
            name=words["effective"], figure=like,
            about=filled(words["of_customers"], count=there, gini=unequal),
        ),
    ]  # fmt: skip


def _share(sheet: Sheet, found: Concentration, place: int) -> Figure:
    part = found.parts[place]
    own = of_group(sheet.now, part.name)
    return sheet.part(
        sheet.language.percent(part.share), own, "share", name=sheet.name(part.name),
        amount=sheet.money.show(part.amount), whole=sheet.money.show(found.counted),
    )  # fmt: skip


def _shares(sheet: Sheet, found: Concentration) -> Picture:
    language, words = sheet.language, sheet.language.words
    shown, others = found.parts[:_SHOWN], found.parts[_SHOWN:]
    bars = [
        Bar(
            name=sheet.name(each.name), value=each.share, standing=of_group(sheet.now, each.name).standing,
            shown=f"{language.percent(each.share)} · {sheet.money.bare(each.amount)}",
        )
        for each in shown
    ]  # fmt: skip
    if others:
        rest = sum(each.amount for each in others)
        part = Fraction(rest, found.counted)
        bars.append(Bar(
            name=words["others"].format(count=language.number(str(len(others)))), value=part,
            shown=f"{language.percent(part)} · {sheet.money.bare(rest)}",
            standing=sheet.now.standing,
        ))  # fmt: skip
    chart = Bars(
        title=words["chart_shares"], legend=language.legend(), bars=tuple(bars),
        whole=words["chart_shares_whole"].format(
            whole=sheet.money.show(found.counted), unit=sheet.money.unit, left_out=_left_out(sheet, found)
        ),
        guides=(Guide(name=words["ten_percent"], value=Fraction(1, 10)),),
    )  # fmt: skip
    note = sheet.figure("", sheet.now, "shares").notes
    alt = "; ".join(f"{each.name} {each.shown}" for each in bars)
    return Picture(chart=chart, alt=alt, notes=note)


def _left_out(sheet: Sheet, found: Concentration) -> str:
    names = ", ".join(sheet.name(each.name) for each in found.below_zero)
    return sheet.language.words["left_out"].format(names=names) if names else ""


def _large(sheet: Sheet, found: Concentration) -> Text:
    """The 10 % list: ASC 280-10-50-42, IFRS 8.34."""
    language, words = sheet.language, sheet.language.words
    if not found.ten_percent:
        return Text(words=(words["nobody_large"],))
    line: list[str | Figure] = [words["large"], " "]
    for number, each in enumerate(found.ten_percent):
        own = of_group(sheet.now, each.name)
        text = f"{sheet.money.show(each.amount)} ({language.percent(each.share)})"
        line += ["; " if number else "", f"{sheet.name(each.name)} ", sheet.part(text, own, "large")]
    return Text(words=(*line, "."))


def _changes(sheet: Sheet) -> Block:
    language, words, earlier = sheet.language, sheet.language.words, sheet.before
    if earlier is None:
        return Text(words=(words["no_change"],))
    whole = change(earlier, sheet.now, "group").whole
    value, shown = sheet.money.value, sheet.money.bare
    changes = [
        (words[f"change_{name}"], amount)
        for name, amount in (
            ("new", whole.new), ("volume", whole.volume), ("price", whole.price), ("mix", whole.mix),
            ("unsplit", whole.unsplit), ("gone", whole.gone),
        )
        if amount or name != "unsplit"
    ]  # fmt: skip
    standing = sheet.now.standing
    steps = [
        Step(
            name=language.short_month(earlier.months()[-1]), value=value(whole.before), shown=shown(whole.before),
            total=True, standing=earlier.standing,
        ),
        *(Step(name=name, value=value(amount), shown=shown(amount, sign=True), standing=standing)
          for name, amount in changes),
        Step(
            name=language.short_month(sheet.material.month), value=value(whole.after), shown=shown(whole.after),
            total=True, standing=standing,
        ),
    ]  # fmt: skip
    chart = Waterfall(
        title=words["chart_change"], whole=words["chart_change_whole"].format(unit=sheet.money.unit),
        steps=tuple(steps), legend=language.legend(), cut=words["chart_change_cut"],
    )  # fmt: skip
    alt = "; ".join(f"{each.name} {each.shown}" for each in steps)
    return Picture(chart=chart, alt=alt, notes=sheet.figure("", earlier, "change").notes)
