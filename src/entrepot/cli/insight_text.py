"""How the screens of `entrepot insight` look."""

from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from entrepot.cli.amount import grouped
from entrepot.cli.table import Column, lay_out

_ROWS = 25
#: What a change is made of, with what stands above its column.
_CHANGES = {
    "volume": "volume", "price": "price", "mix": "mix", "new": "new", "gone": "gone", "unsplit": "no quantity",
}  # fmt: skip


def concentration(facts: dict[str, Any]) -> str:
    base = facts["base"]
    rows = [[*_who(each), money(each["amount"]), percent(each["share"])] for each in facts["parts"]]
    shown, rest = rows[:_ROWS], facts["parts"][_ROWS:]
    if rest:
        amount, share = _sum(rest, "amount"), _sum(rest, "share")
        shown.append([f"{len(rest):,} others", "", money(amount), percent(share)])
    table = lay_out(
        _columns(facts["by"], shown, [Column(base["currency"], "amount", 4), Column("share", "count", 4)]),
        _fitted(shown),
        ["counted" if facts["below_zero"] else "whole", *_blank(shown), money(facts["counted"]), ""],
    )  # fmt: skip
    parts = [_head("concentration", facts), table, *_below(facts)]
    cr = " · ".join(f"CR{n} {percent(value)}" for n, value in facts["cr"].items())
    parts.append(
        f"{cr}\nHHI {rounded(facts['hhi_points'], 0)} points · as {rounded(facts['effective'], 2)} of equal size · "
        f"Gini {rounded(facts['gini'], 3)}"
    )
    parts.append(lay_out(
        [Column("mark"), Column("at", "count", 3), Column(""), Column("whose", gap=3)],
        [[each["name"], _mark(each), "passed" if each["passed"] else "not passed", each["whose"]]
         for each in facts["thresholds"]],
    ))  # fmt: skip
    if facts["by"] in ("customer", "group"):
        parts.append(_ten_percent(facts))
    return "\n\n".join([*parts, sources(facts)])


def change(facts: dict[str, Any]) -> str:
    names = [name for name in _CHANGES if Decimal(facts["whole"][name])]
    rows = [_changed(each, names) for each in facts["parts"][:_ROWS]]
    rest = facts["parts"][_ROWS:]
    if rest:
        rows.append([f"{len(rest):,} others", "", *(money(_sum(rest, name)) for name in ("before", *names, "after"))])
    shown = ("before", *names, "after")
    table = lay_out(
        _columns(facts["by"], rows, [Column(_CHANGES.get(each, each), "amount", 3) for each in shown]),
        _fitted(rows),
        ["whole", *_blank(rows), *(money(facts["whole"][name]) for name in shown)],
    )  # fmt: skip
    parts = [f"change by {facts['by']}: {facts['base']['text']}", f"compared with {facts['before']['text']}", table]
    if rise := facts["hhi_rise"]:
        passed = "passed" if rise["passed"] else "not passed"
        was, now, points = (f"{int(rise[name]):,}" for name in ("before", "after", "rise"))
        parts.append(f"HHI {was} → {now}: {points} points; {rise['whose']}: {passed}")
    return "\n\n".join([*parts, sources(facts)])


def growth(facts: dict[str, Any]) -> str:
    base = facts["base"]
    table = lay_out(
        [Column("calendar"), Column("fiscal"), Column(base["currency"], "amount", 4), Column("on the last", "count", 4),
         Column("on the year", "count", 4)],
        [[each["calendar"], each["fiscal"], money(each["amount"]), percent(each["growth"]), percent(each["yearly"])]
         for each in facts["periods"]],
    )  # fmt: skip
    pace = facts["run_rate"]
    said = [f"growth: {base['text']}", table, facts["why"]]
    if pace:
        said[2] = (
            f"run-rate {money(pace['amount'])} {base['currency']} a year: {pace['method']}, {pace['from']} until "
            f"{pace['until']}"
        )
    if lost := facts["replace"]:
        said.append(
            f"if {lost['label']} goes ({money(lost['lost'])} {base['currency']} in {lost['month']}), the others must "
            f"grow {percent(lost['total'])} to make up for it: {percent(lost['monthly'], 2)} a month for "
            f"{lost['months']} months"
        )
    return "\n\n".join([*said, sources(facts)])


def retention(facts: dict[str, Any]) -> str:
    base = facts["base"]
    parts = [[each, money(facts[each])] for each in ("start", "expansion", "contraction", "churned", "new")]
    moved = [each for each in facts["customers"] if each["before"] != each["after"]]
    moved.sort(key=lambda each: -abs(Decimal(each["after"]) - Decimal(each["before"])))
    rows = [[*_who(each), money(each["before"]), money(each["after"])] for each in moved[:_ROWS]]
    said = [
        f"retention by {facts['by']}: {base['text']}", f"of who paid in {facts['before']['text']}",
        f"net {percent(facts['nrr'])} · gross {percent(facts['grr'])}",
        lay_out([Column("cohort"), Column(base["currency"], "amount", 4)], parts),
    ]  # fmt: skip
    if rows:
        columns = _columns(facts["by"], rows, [Column("before", "amount", 4), Column("now", "amount", 4)])
        said.append(lay_out(columns, _fitted(rows)))
    return "\n\n".join([*said, sources(facts)])


def surprise(facts: dict[str, Any]) -> str:
    rows = []
    for each in facts["expectations"]:
        rows.append([
            each["of"], each["period"], each["by"], _expected(each),
            f"{_plain(each['actual'])} {each['unit']}".strip(), f"{_plain(each['points'])} points",
            percent(each["relative"]), "–" if each["sue"] is None else rounded(each["sue"], 2), each["place"] or "",
            f"{each['standing']}: {each['source']}",
        ])  # fmt: skip
    titles = ("of", "period", "by", "expected", "came", "surprise", "of it", "SUE", "", "from")
    notes = sorted({each["why"] for each in facts["expectations"] if each["why"]})
    waits = [f"{each['of']} of {each['period']}, {each['by']} {_expected(each)}" for each in facts["open"]]
    if waits:
        notes.append(f"what came is not known yet: {'; '.join(waits)}")
    return "\n\n".join([lay_out([Column(each) for each in titles], rows), *notes])


def _expected(each: dict[str, Any]) -> str:
    least, most = each["least"], each["most"]
    return f"{least if least == most else f'{least}–{most}'} {each['unit']}".strip()


def margin(facts: dict[str, Any]) -> str:
    base, names = facts["base"], ("revenue", "cost", "margin")
    unknown = bool(Decimal(facts["whole"]["uncosted"]))
    shown = (*names, "uncosted") if unknown else names

    def row(each: dict[str, Any]) -> list[str]:
        return [*(money(each[name]) for name in shown), percent(each["rate"])]

    rows = [[*_who(each), *row(each)] for each in facts["parts"][:_ROWS]]
    rest = facts["parts"][_ROWS:]
    if rest:
        rows.append([f"{len(rest):,} others", "", *(money(_sum(rest, name)) for name in shown), ""])
    titles = {"uncosted": "of unknown cost"}
    table = lay_out(
        _columns(facts["by"], rows, [*(Column(titles.get(name, name), "amount", 4) for name in shown),
                                     Column("rate", "count", 4)]),
        _fitted(rows), ["whole", *_blank(rows), *row(facts["whole"])],
    )  # fmt: skip
    return "\n\n".join([f"margin by {facts['by']}: {base['text']}", table, sources(facts)])


def dependence(facts: dict[str, Any]) -> str:
    base = facts["base"]
    rows = [
        [each["vendor"], money(each["revenue"]), percent(each["share"]), money(each["cost"]),
         percent(each["cost_share"]), percent(each["switchable"]), rounded(each["price_exposure"], 3),
         rounded(each["exposed"], 3)]
        for each in facts["vendors"]
    ]  # fmt: skip
    table = lay_out(
        [Column("vendor"), Column(base["currency"], "amount", 3), Column("share", "count", 3),
         Column("cost", "amount", 3), Column("share", "count", 3), Column("switchable", "count", 3),
         Column("points a point", "count", 3), Column("not switchable", "count", 3)],
        rows,
    )  # fmt: skip
    said = [f"dependence on vendors: {base['text']}; terms from {facts['on']} on", table]
    hhi = "–" if facts["hhi"] is None else f"{rounded(str(Decimal(facts['hhi']) * 10_000), 0)} points"
    said.append(
        f"HHI over cost {hhi} · switchable of all bought traffic {percent(facts['switchable'])}\n"
        "points a point: what each point of a vendor's price rise takes of the gross margin while prices here stay"
    )
    bound = [_bound(each["vendor"], term, base["currency"]) for each in facts["vendors"] for term in each["terms"]]
    if bound:
        said.append("\n".join(bound))
    if facts["unplaced"]:
        said.append(f"substitutes of no known vendor, which count for nothing: {', '.join(facts['unplaced'])}")
    return "\n\n".join([*said, sources(facts)])


def entered_now(facts: dict[str, Any]) -> str:
    done = "would be entered" if facts["dry_run"] else "stands already" if facts["known"] else "is entered"
    return f"{facts['name']} {done}: {_kinds(facts['entries'])}"


def listed(facts: dict[str, Any]) -> str:
    measures = lay_out(
        [Column("measure"), Column("")], [[each["name"], each["about"]] for each in facts["measures"]]
    )  # fmt: skip
    return f"{measures}\n\n{_files(facts)}"


def _files(facts: dict[str, Any]) -> str:
    if not facts["files"]:
        return "no figures are entered: entrepot insight enter FILE"
    return lay_out(
        [Column("file"), Column("revision", "count"), Column("entered"), Column("holds")],
        [[each["name"], str(each["revision"]), f"{each['entered_at'][:19]}Z", _kinds(each["entries"])]
         for each in facts["files"]],
    )  # fmt: skip


def _kinds(entries: dict[str, int]) -> str:
    return " · ".join(f"{count} {kind}" for kind, count in entries.items() if count) or "nothing"


def _head(measure: str, facts: dict[str, Any]) -> str:
    return f"{measure} by {facts['by']}: {facts['base']['text']}"


def _ten_percent(facts: dict[str, Any]) -> str:
    found = facts["ten_percent"]
    if not found:
        return "10 % of revenue or more (ASC 280-10-50-42, IFRS 8.34): nobody"
    rows = [
        [each["label"], money(each["amount"]), percent(each["share"]), ", ".join(each["members"])] for each in found
    ]
    head = "10 % of revenue or more (ASC 280-10-50-42, IFRS 8.34)"
    return lay_out([Column(head), Column("", "amount", 4), Column("", "count", 4), Column("")], rows)


def _below(facts: dict[str, Any]) -> list[str]:
    if not facts["below_zero"]:
        return []
    named = ", ".join(f"{each['label']} {money(each['amount'])}" for each in facts["below_zero"])
    return [f"below zero and left out of all shares: {named}; the whole with them is {money(facts['whole'])}"]


def sources(facts: dict[str, Any]) -> str:
    """From what, and what of it is not from our books."""
    others = [f"{money(each['amount'])} {each['standing']}" for each in facts.get("standings", ())
              if each["standing"] != "books"]  # fmt: skip
    names = [each["name"] for each in facts["inputs"]]
    return "from " + ", ".join([*_several(names), *others])


def _several(names: Sequence[str]) -> list[str]:
    """Documents are counted, the rest is named."""
    kinds = {"journal": "journal tails", "lake": "lake streams"}
    counted: dict[str, int] = {}
    found = []
    for name in names:
        first = name.partition(" ")[0]
        if first in ("ledger", "entered"):
            found.append(name)
        else:
            kind = kinds.get(first, "documents")
            counted[kind] = counted.get(kind, 0) + 1
    said = [f"{count:,} {kind if count > 1 else kind[:-1]}" for kind, count in counted.items()]
    return [*said, *found] or ["nothing"]


def _who(each: dict[str, Any]) -> list[str]:
    return [each["name"], each["label"] if each["label"] != each["name"] else ""]


def _columns(by: str, rows: Iterable[Sequence[str]], rest: list[Column]) -> list[Column]:
    """The names for people stand in a column of their own, if there are any."""
    return [Column(by), *([Column("")] if any(row[1] for row in rows) else []), *rest]


def _fitted(rows: Sequence[list[str]]) -> list[list[str]]:
    return rows if any(row[1] for row in rows) else [[row[0], *row[2:]] for row in rows]  # type: ignore[return-value]


def _blank(rows: Iterable[Sequence[str]]) -> list[str]:
    return [""] if any(row[1] for row in rows) else []


def _mark(each: dict[str, Any]) -> str:
    value = Decimal(each["value"])
    return percent(each["value"]) if "share" in each["name"] else f"{value * 10_000:,.0f}"


def _sum(rows: Iterable[dict[str, Any]], name: str) -> str:
    return f"{sum((Decimal(each[name]) for each in rows), Decimal(0)):f}"


def money(exact: str) -> str:
    """To the cent: who needs more digits takes --json."""
    value = Decimal(exact)
    places = len(exact.partition(".")[2])
    return grouped(f"{value:.{min(2, places)}f}") if places else grouped(exact)


def percent(value: str | None, places: int = 1) -> str:
    return "–" if value is None else f"{rounded(f'{Decimal(value) * 100:f}', places)} %"


def rounded(value: str, places: int) -> str:
    step = Decimal(1).scaleb(-places)
    return f"{Decimal(value).quantize(step, rounding=ROUND_HALF_UP):,f}"


def _bound(vendor: str, term: dict[str, Any], currency: str) -> str:
    dates = [
        f"{name} until {term[f'{name}_until']} ({term[f'{name}_left'][0]} months, {term[f'{name}_left'][1]} days)"
        for name in ("exclusive", "licence")
        if term[f"{name}_until"]
    ]
    if term["committed"] is not None:
        end = f" (until {term['committed_until']})" if term["committed_until"] else ""
        unused = "unused is not known" if term["shortfall"] is None else f"{money(term['shortfall'])} unused"
        dates.append(f"committed {money(term['committed'])} {currency} in this time{end}, {unused}")
    return f"{vendor}: {', '.join(dates) or 'no dates are known'}; {term['standing']}: {term['source']}"


def _changed(each: dict[str, Any], names: Sequence[str]) -> list[str]:
    return [*_who(each), *(money(each[name]) for name in ("before", *names, "after"))]


def _plain(value: str) -> str:
    """Without trailing zeros."""
    return f"{Decimal(value).normalize():f}"
