"""One chart of each kind, with every kind of mark, long names, gaps and values below zero."""

from fractions import Fraction

from entrepot.insight.drawing.chart import Bars, Chart, Dots, Lines, Lorenz, Waterfall
from entrepot.insight.drawing.marks import Bar, Dot, Guide, Line, Row, Step, Ticks

WHOLE = "83.3 M USD: the model service; billed, gross, by month of service"
PERCENT = Ticks(text="{} %", times=100)
TEN = Guide(name="10 % (ASC 280, IFRS 8.34)", value=Fraction(1, 10))
MONTHS = ("Oct 2023", "Nov", "Dec", "Jan 2024", "Feb", "Mar", "Apr")


def _parts(*percents: int | None) -> tuple[Fraction | None, ...]:
    return tuple(None if each is None else Fraction(each, 100) for each in percents)


SHARES = Bars(
    title="Customers, March 2024", whole=f"Share of {WHOLE}", guides=(TEN,), note="1 Invoices R-2024-00001 to 00312",
    bars=(
        Bar(name="Largest & Sons <group>", value=Fraction(24, 100), shown="24.0 %"),
        Bar(name="Second", value=Fraction(6, 100), shown="6.0 %", standing="assumed"),
        Bar(name="Third", value=Fraction(48, 1000), shown="4.8 %", standing="reported"),
        Bar(name="A group with a long name and everything that it controls", value=Fraction(12, 1000), shown="1.2 %"),
        Bar(name="Credited", value=Fraction(-1, 100), shown="−1.0 %"),
        Bar(name="All others (312)", value=Fraction(65, 100), shown="65.0 %"),
    ),
)  # fmt: skip
COLUMNS = Bars(
    title="Revenue by month", whole="M USD, the model service; billed, gross", upright=True,
    guides=(Guide(name="1 bn a year", value=Fraction(250, 3)),),
    bars=tuple(
        Bar(name=name, value=value, shown=f"{value}".replace("-", "−"), standing=standing)
        for name, value, standing in zip(
            MONTHS, (40, 44, 51, -6, 66, 83, 88), (*["books"] * 5, "reported", "assumed"), strict=True
        )
    ),
)  # fmt: skip
LINES = Lines(
    title="Share of the largest customers", whole="Share of each month's whole: the model service; billed, gross",
    names=MONTHS, guides=(TEN,), ticks=PERCENT,
    lines=(
        Line(name="Largest & Sons", values=_parts(18, 19, 22, 21, None, 24, 22), shown="22.0 %"),
        Line(name="Second", values=_parts(7, 7, 7, 6, 6, 6, 6), shown="6.0 %", standing="reported"),
        Line(name="Third", values=_parts(None, None, 4, 4, 5, 5, 6), shown="6.0 %", standing="assumed"),
        Line(name="Fourth", values=_parts(1, 2, 2, 3, 3, 4, 4), shown="4.0 %"),
    ),
)  # fmt: skip
LORENZ = Lorenz(
    title="How unequal customers are", whole="5 customers with 100 M USD: the model service; billed, gross, March 2024",
    curve=tuple((Fraction(n, 5), Fraction(part, 100)) for n, part in enumerate((0, 4, 10, 20, 40, 100))),
    across="customers, smallest first", up="revenue", equal="all alike",
    said=("Gini 0.50", "The largest has 60.0 %, the largest two 80.0 %.", "Effective number of customers: 2.4"),
)  # fmt: skip
WATERFALL = Waterfall(
    title="From February to March", whole="M USD, the model service; billed, gross",
    steps=(
        Step(name="February 2024", value=Fraction(80), shown="80.0", total=True),
        Step(name="new", value=Fraction(5), shown="+5.0"),
        Step(name="volume", value=Fraction(8), shown="+8.0"),
        Step(name="price", value=Fraction(-67, 10), shown="−6.7"),
        Step(name="mix", value=Fraction(4, 10), shown="+0.4", standing="assumed"),
        Step(name="gone", value=Fraction(-34, 10), shown="−3.4", standing="reported"),
        Step(name="March 2024", value=Fraction(833, 10), shown="83.3", total=True),
    ),
)  # fmt: skip
DOTS = Dots(
    title="Growth against what was expected", whole="The cloud division, as reported; against the year before",
    ticks=Ticks(text="{} %"),
    rows=(
        Row(
            name="June quarter 2024 (FQ4 2024)", band=(30, 31), band_name="guidance 30 to 31 %",
            dots=(
                Dot(value=29, shown="29.0 % actual", standing="reported"),
                Dot(value=Fraction(306, 10), shown="30.6 % consensus", standing="assumed"),
            ),
        ),
        Row(
            name="September quarter 2024 (FQ1 2025)", band=(28, 29), band_name="guidance 28 to 29 %",
            dots=(Dot(value=Fraction(285, 10), shown="28.5 %", standing="assumed"),),
        ),
    ),
)  # fmt: skip
CHARTS: dict[str, Chart] = {
    "bars": SHARES, "columns": COLUMNS, "lines": LINES, "lorenz": LORENZ, "waterfall": WATERFALL, "dots": DOTS,
}  # fmt: skip
