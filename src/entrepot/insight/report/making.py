"""From what was gathered to the report as a value."""

from entrepot.insight.facts import STANDINGS, WHOLE
from entrepot.insight.report.board import Board
from entrepot.insight.report.language import language
from entrepot.insight.report.material import Material, Sheet, fingerprint
from entrepot.insight.report.outlook import second_page
from entrepot.insight.report.position import first_page


def board(material: Material, code: str) -> Board:
    """Two pages in the language of this code. Raises LanguageUnknown, NothingSold, BasesMixed, InsightError."""
    speech = language(code)
    sheet = Sheet(material, speech)
    lead, first = first_page(sheet)
    second = second_page(sheet)
    base, words = sheet.now.base, speech.words
    return Board(
        language=code, made_on=material.made_on, title=words["title"].format(month=speech.month(material.month)),
        about=words["about"].format(
            service=material.service, whole=words["the_service"] if base.whole == WHOLE else base.whole,
            base=words[f"base_{base.kind}"], view=words[f"view_{base.view}"], unit=sheet.money.unit,
        ),
        made=words["made"].format(
            on=speech.written(material.made_on), inputs=speech.number(str(len(material.facts.inputs))),
            fingerprint=fingerprint(material.facts.inputs),
        ),
        lead=lead, pages=(first, second), legend=tuple((each, words[each]) for each in STANDINGS),
    )  # fmt: skip
