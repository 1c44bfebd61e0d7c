"""Every kind of chart and the board's report in every language, as files to look at: `make pictures`."""

import sys
from pathlib import Path

from drawn import CHARTS
from entrepot.insight.drawing.chart import FORMATS, draw
from entrepot.insight.report.language import languages
from entrepot.insight.report.making import board
from entrepot.insight.report.pages import to_html
from entrepot.insight.report.pdf import to_pdf, to_pictures
from reported_house import material


def write(folder: Path) -> list[Path]:
    """The files that were written, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {f"{name}.{format}": draw(chart, format) for name, chart in CHARTS.items() for format in FORMATS}
    for code in languages():
        of = board(material(), code)
        made[f"board-{code}.pdf"], made[f"board-{code}.html"] = to_pdf(of), to_html(of)
        made |= {f"board-{code}-{number}.png": page for number, page in enumerate(to_pictures(of), 1)}
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return [folder / name for name in made]


if __name__ == "__main__":
    for path in write(Path(sys.argv[1])):
        print(f"{path}, {path.stat().st_size:,} bytes")
