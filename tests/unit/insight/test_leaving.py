"""Early signs on the board's second page: whose, which, how well they are known, and what is said where none is."""

from datetime import date
from fractions import Fraction

from msgspec.structs import replace

from entrepot.insight.facts import Facts
from entrepot.insight.report.board import Block, Figure, Table, Text, figures
from entrepot.insight.report.language import language
from entrepot.insight.report.leaving import leaving
from entrepot.insight.report.material import Sheet, Watched
from reported_house import facts, material, sales, watched


def shown(days: Watched | None, of: Facts | None = None) -> tuple[Sheet, Block]:
    sheet = Sheet(material(of), language("en"))
    return sheet, leaving(sheet, days)


def rows(block: Block) -> list[list[str]]:
    assert isinstance(block, Table)
    return [["".join(each.text if isinstance(each, Figure) else each for each in cell) for cell in row]
            for row in block.rows]  # fmt: skip


def said(block: Block) -> str:
    assert isinstance(block, Text)
    return "".join(each.text if isinstance(each, Figure) else each for each in block.words)


def test_a_sign_of_a_large_customer_is_told_with_what_it_was_seen_by() -> None:
    """The small customer that leaves on the same day is not among the ten largest, so it is not told."""
    sheet, block = shown(watched())
    assert rows(block) == [
        ["Short Video Group: fewer calls at once", "2024-03-12", "2024-03-14", "42,000 calls a day", "29,252 (−30 %)",
         "71 %", "72.4 %"],
        ["Retail & Sons: turns away from small-4", "2024-03-18", "2024-03-20", "100 % of its calls", "40 % (−60 %)",
         "40 %", "15.8 %"],
    ]  # fmt: skip
    days = [each for each in watched().used if each.on < "2024-03-12"]
    ours = sum(each.calls for each in days if each.customer == "video")
    assert rows(block)[0][-1] == language("en").percent(Fraction(ours, sum(each.calls for each in days)))
    assert {each.standing for each in figures(block)} == {"books"}
    [note], [(letter, told)] = sheet.notes.of_page()
    assert note.text.endswith(f"From {letter}.")
    assert told.startswith("calls, answers' tokens and models of each customer and day, 2024-01-01 to 2024-03-31 (fing")


def test_without_a_sign_that_is_said_as_a_figure_of_the_same_days() -> None:
    _, block = shown(watched(calm=True))
    assert said(block) == (
        "No early sign that one of the 10 largest customers leaves is seen in the calls from 2024-01-01 to 2024-03-31."
    )
    [none] = figures(block)
    assert (none.text, none.standing, len(none.notes)) == ("No early sign", "books", 1)


def test_who_left_before_the_month_began_is_still_one_of_the_largest_of_the_month_before() -> None:
    stayed = tuple(each for each in sales() if each.customer != "gulf" or each.month != "2024-03")
    gone = replace(facts(), sales=stayed)
    ends = tuple(each for each in watched(calm=True).used if each.customer != "gulf" or each.on < "2024-03-01")
    _, block = shown(replace(watched(), used=ends), gone)
    assert [row[:3] for row in rows(block)] == [["Gulf Cloud: fewer calls at once", "2024-03-01", "2024-03-03"]]


def test_a_fall_that_was_over_before_the_month_is_no_sign_of_it() -> None:
    used = tuple(
        replace(each, calls=each.calls // 2) if each.customer == "gulf" and "2024-02-05" <= each.on < "2024-02-12"
        else each
        for each in watched(calm=True).used
    )  # fmt: skip
    _, block = shown(replace(watched(), used=used))
    assert said(block) == (
        "No early sign that one of the 10 largest customers leaves lasts, or was first seen in the month, in the calls "
        "from 2024-01-01 to 2024-03-31. Over before it: Gulf Cloud: fewer calls at once (−49 % since 2024-02-05)."
    )
    assert len(figures(block)) == 2
    for code in ("de", "pt"):
        other = Sheet(material(), language(code))
        assert "Gulf Cloud" in said(leaving(other, replace(watched(), used=used)))
    until = date(2024, 3, 1)
    days = replace(watched(), used=tuple(each for each in used if each.on < str(until)), until=str(until))
    assert "from 2024-01-01 to 2024-02-29. Over" in said(shown(days)[1])


def test_calls_that_were_made_for_a_loaded_amount_are_assumed_whoever_said_the_amount() -> None:
    loaded = replace(facts(), sales=tuple(
        replace(each, standing="reported", source=f"{each.source}, reported: the press") if each.group == "video"
        else each for each in sales()
    ))  # fmt: skip
    sheet, block = shown(watched(), loaded)
    assert isinstance(block, Table)
    standings = [{each.standing for cell in row for each in cell if isinstance(each, Figure)} for row in block.rows]
    assert standings == [{"assumed"}, {"books"}]
    _, inputs = sheet.notes.of_page()
    assert [told.partition("); ")[2] for _, told in inputs] == ["reported by others: the press", ""]
    [none] = figures(shown(watched(calm=True), loaded)[1])
    assert none.standing == "assumed"


def test_too_few_calls_to_judge_by_are_not_calls_without_a_sign() -> None:
    """On the first days of a house, or with calls of a day that is not over, nobody has a week of 25 a day."""
    week = tuple(each for each in watched().used if each.on > "2024-03-24")
    said_of = [
        said(shown(replace(watched(), used=used, until=until))[1])
        for used, until in ((week, "2024-04-01"), (watched().used[:22], "2024-01-02"), ((), "2024-03-22"))
    ]
    assert said_of == [
        f"The calls from 2024-01-01 to {last}, of days that are over, are too few to see early signs by: none of the "
        "10 largest customers has more than 7 days with 25 calls."
        for last in ("2024-03-31", "2024-01-01", "2024-03-21")
    ]  # fmt: skip


def test_books_without_calls_say_that_nobody_could_look() -> None:
    for days in (None, replace(watched(), used=())):
        assert said(shown(days)[1]).startswith("Our books have no calls of these months, so no early signs of ")
