"""Why a call is refused for lack of money: what it could cost, what is left of what, which cap would fit."""

from entrepot.gateway import problem
from entrepot.gateway.admit import Need
from entrepot.gateway.desk import Offer
from entrepot.gateway.problem import Problem
from entrepot.kernel.instants import parse, to_datetime
from entrepot.kernel.money import show
from entrepot.limits.budget import Budget, budget_of
from entrepot.limits.message import Granted
from entrepot.wire.openai import Call


def short_of_money(need: Need, call: Call, word: Granted) -> Problem:
    """The refusal after the keeper's word: *spent* for good, or *held* by calls under way."""
    offer = need.offer
    currency = offer.terms.currency
    left = word.left if word.short == "spent" else word.room
    cap = "" if call.operation == "embedding" else _cap_name(offer, call)
    fits = _fitting(need, call, left) if cap else 0
    cost, rest = f"{show(need.hold, currency)} {currency}", f"{show(left, currency)} {currency}"
    whose = _source(offer, word.balance)
    asked = f"{need.input_bound:,} input tokens" + (f", {cap} {need.output_cap // call.n:,}" if cap else "")
    message = f"This call could cost up to {cost} ({asked}) and {rest} is "
    details = {"hold": cost, "left": f"{rest} of {whose}"}
    if fits:
        details["would fit"] = f"{cap} {fits:,}"
    if word.short == "spent":
        more = "a higher budget" if budget_of(word.balance) else "more credit"
        way = f"Lower {cap} to {fits:,} or less, or ask for {more}."
        way = way if fits else f"A shorter prompt, or {more}, would let it through."
        return problem.spent(f"{message}left of {whose}. {way}", cap or "input", details)
    details["held"] = "by calls under way"
    way = f"Lower {cap} to {fits:,} or less, or retry" if fits else "Retry"
    text = f"{message}free of {whose} at the moment: calls under way hold the rest. {way} when they end."
    return problem.held(text, cap or "input", details)


def _cap_name(offer: Offer, call: Call) -> str:
    names = ("max_tokens", "max_completion_tokens")
    return next((name for name in names if name in call.fields), offer.cap_field)


def _fitting(need: Need, call: Call, left: int) -> int:
    """The largest output cap whose hold is `left` or less; 0: none."""
    given, made, once = need.offer.held(call.service_tier, need.input_bound)
    return max(0, (left * need.offer.den - need.input_bound * given - once) // (made * call.n)) if made > 0 else 0


def _source(offer: Offer, lease: str) -> str:
    """What has too little, in the caller's words: "your balance", "project 'search', budget November"."""
    found = budget_of(lease)
    if found is None:
        return "your balance"
    _customer, name, period = found
    declared = [*offer.customer.budgets, *([offer.key.budget] if offer.key.budget is not None else [])]
    budget = next((each for each in declared if each.id == name), None)
    return f"{_whose(budget)}, budget {_spoken(name, period)}"


def _whose(budget: Budget | None) -> str:
    if budget is not None and budget.key:
        return f"key ep_live_{budget.key[:4]}…"
    return f"project '{budget.project}'" if budget is not None and budget.project else "your account"


def _spoken(name: str, period: str) -> str:
    """A month by its name, a day by its date, a budget without periods by its own name."""
    if period == "total":
        return f"'{name}'"
    month = len(period) == len("2026-11")
    day = to_datetime(parse(f"{period}-01" if month else period))
    return f"{day:%B}" if month else f"of {day.day} {day:%B}"
