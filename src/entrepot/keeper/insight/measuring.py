"""One measure in a process of its own: `python -m entrepot.keeper.insight.measuring DATA`, the question on standard
input (`insight.answers.question.Question` as JSON); on standard output its figures as JSON, with the picture as base64
where one is asked for, or {"code", "message"} and exit 1. Reads only."""

import base64
import sys
from typing import Any

from entrepot.insight.answers import (
    change,
    concentration,
    dependence,
    growth,
    loss,
    margin,
    payback,
    positions,
    scenario,
    signs,
)
from entrepot.insight.answers.question import Question, Room
from entrepot.insight.dependence import OWN
from entrepot.insight.drawing.chart import draw
from entrepot.insight.facts import InsightError
from entrepot.insight.tables import read_all_entered
from entrepot.keeper.beside import answered
from entrepot.keeper.insight.daily import daily
from entrepot.keeper.insight.gathering import gathered, known_of
from entrepot.storage.database import open_database, read
from entrepot.storage.folder import Folder

#: Name → what answers it.
MEASURES = {
    "concentration": concentration.answer, "change": change.answer, "growth": growth.answer_growth,
    "retention": growth.answer_retention, "surprise": growth.answer_surprise, "margin": margin.answer,
    "dependence": dependence.answer, "positions": positions.answer, "payback": payback.answer, "loss": loss.answer,
    "scenario": scenario.answer, "signs": signs.answer,
}  # fmt: skip


class PictureMissing(InsightError):
    """Pictures need the extra `documents`, which is not installed here."""

    code = "picture_missing"


def measured(folder: Folder, question: Question) -> dict[str, Any]:
    """Raises EntrepotError."""
    engine = open_database(folder.database)
    with read(engine) as conn:
        entered, known = read_all_entered(conn), known_of(conn)
    whose = {model: vendors[0] for model, vendors in known.vendors.items() if len(vendors) == 1}
    room = Room(
        gather=lambda asked: gathered(engine, folder, asked), entered=entered,
        made_by={model: OWN if vendor in known.own else vendor for model, vendor in whose.items()},
        daily=lambda from_, until: daily(engine, from_, until),
    )  # fmt: skip
    answer = MEASURES[question.measure](question, room)
    if not question.picture or answer.chart is None:
        return answer.figures
    try:
        drawn = draw(answer.chart, question.picture)
    except ImportError:
        raise PictureMissing("pictures need the extra `documents`: pip install entrepot[documents]") from None
    return {**answer.figures, "picture": base64.b64encode(drawn).decode()}


if __name__ == "__main__":
    sys.exit(answered(sys.argv[1], Question, measured))
