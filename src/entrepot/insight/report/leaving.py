"""Who of the largest may be leaving: early signs in their daily calls, on the second page."""

from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from statistics import median
from typing import Final

from msgspec.structs import replace

from entrepot.insight.concentration import concentration
from entrepot.insight.facts import Facts, Standing
from entrepot.insight.report.board import Block, Figure, Table, Text, Words, filled
from entrepot.insight.report.language import Language
from entrepot.insight.report.material import Sheet, Watched, fingerprint, of_group, sources
from entrepot.insight.signs import LEAST_CALLS, Sign, Used, judged, signs
from entrepot.insight.watch import Watch

#: Whose signs are looked for: those of the CR10, in the month or in the one before.
_LARGEST: Final = 10
#: What fits on the page.
MOST_SIGNS: Final = 3
_WEEK: Final = 7
_HEADS: Final = ("customer", "since", "seen", "usual", "since_then", "last_week", "share_of_calls")
#: Everybody else, so that shares of all calls stay what they are.
_OTHERS: Final = ""


def leaving(sheet: Sheet, watched: Watched | None) -> Block:
    """The signs that last, or were seen in the month; without one, those that were over before it."""
    language, words = sheet.language, sheet.language.words
    if watched is None:
        return Text(words=(words["no_calls"],))
    first, until = date.fromisoformat(watched.starts_on), date.fromisoformat(watched.until)
    last = date.fromordinal(until.toordinal() - 1)
    span = {"first": language.short(first), "last": language.short(last)}
    if not watched.used and str(last)[:7] == sheet.material.month and until.day == 1:
        return Text(words=(words["no_calls"],))
    asked = _of_largest(sheet, watched.used), watched.starts_on, watched.until
    if not judged(*asked) - {_OTHERS}:
        few = {"count": _LARGEST, "least": LEAST_CALLS, "days": Watch().least_days}
        return Text(words=(words["too_few_calls"].format(**few, **span),))
    seen = [sign for sign in signs(*asked) if sign.customer != _OTHERS]
    found = [sign for sign in seen if sign.open or sign.seen_on[:7] == sheet.material.month]
    if not found:
        known = _known(sheet, sheet.now, watched, span)
        none = sheet.stated(words["none_seen"], *known)
        parts: dict[str, str | Figure] = {"none": none, "count": str(_LARGEST), **span}
        if seen:
            parts["past"] = sheet.stated(_past(sheet, seen), *known)
        return Text(words=filled(words["no_sign_lasts" if seen else "no_sign"], **parts))
    return Table(
        title=words["signs"], whole=words["signs_whole"].format(**span) + sheet.rest(len(found), MOST_SIGNS),
        heads=tuple(words[each] for each in _HEADS),
        rows=tuple(
            _row(sheet, each, _known(sheet, of_group(sheet.material.facts, each.customer), watched, span))
            for each in found[:MOST_SIGNS]
        ),
    )  # fmt: skip


def _of_largest(sheet: Sheet, used: Sequence[Used]) -> list[Used]:
    large: set[str] = set()
    for facts in filter(None, (sheet.now, sheet.before)):
        large |= {part.name for part in concentration(facts, "group").parts[:_LARGEST]}
    return [each if each.customer in large else replace(each, customer=_OTHERS) for each in used]


def _past(sheet: Sheet, seen: Sequence[Sign]) -> str:
    """Each in a few words: whose, what, by how much, since when."""
    language, words = sheet.language, sheet.language.words
    told = [
        words["past_sign"].format(
            name=sheet.name(sign.customer), kind=_kind(sheet, sign),
            since=language.short(date.fromisoformat(sign.since)),
            change=language.percent(Fraction(sign.change), 0, sign=True),
        )
        for sign in seen[:MOST_SIGNS]
    ]  # fmt: skip
    return "; ".join(told) + sheet.rest(len(seen), MOST_SIGNS)


def _kind(sheet: Sheet, sign: Sign) -> str:
    return sheet.language.words[f"sign_{sign.kind.replace(' ', '_')}"].format(what=sign.what)


def _known(sheet: Sheet, own: Facts, watched: Watched, span: dict[str, str]) -> tuple[Standing, str]:
    """How well the calls of these are known, and the footnote that says so. Where books were loaded with an amount,
    calls were made for it, whoever says the amount."""
    say = sheet.language.notes
    daily = fingerprint((f"{each.on} {each.customer} {each.model}", f"{each.calls} {each.output_tokens}")
                        for each in watched.used)  # fmt: skip
    told = "; ".join([say["daily"].format(fingerprint=daily, **span), *sources(own, sheet.language)])
    standing: Standing = "books" if own.standing == "books" else "assumed"
    return standing, f"{say['sign']} {say['inputs'].format(letter=sheet.notes.letter(told))}"


def _row(sheet: Sheet, sign: Sign, known: tuple[Standing, str]) -> tuple[Words, ...]:
    language, words = sheet.language, sheet.language.words

    def said(text: str) -> Words:
        return (sheet.stated(text, *known),)

    before, after, change = (Fraction(each) for each in (sign.before, sign.after, sign.change))
    lately = [Fraction(each) for each in sign.course[-_WEEK:] if each is not None]
    return (
        (f"{sheet.name(sign.customer)}: {_kind(sheet, sign)}",),
        *(said(language.short(date.fromisoformat(day))) for day in (sign.since, sign.seen_on)),
        said(words[f"usual_{sign.kind.replace(' ', '_')}"].format(number=_level(language, sign, before))),
        said(f"{_level(language, sign, after)} ({language.percent(change, 0, sign=True)})"),
        said(language.percent(median(lately), 0) if lately else "–"),
        said(language.percent(Fraction(sign.share))),
    )  # fmt: skip


def _level(language: Language, sign: Sign, value: Fraction) -> str:
    """Of its calls a part, of tokens a tenth is told."""
    if sign.kind == "pivot":
        return language.percent(value, 0)
    return language.rounded(value, 1 if sign.kind == "shrinking output" else 0)
