"""Every measure says what it is: formula, unit, what bad input does, and whose it is."""

import inspect
import typing
from collections.abc import Callable

import pytest

from entrepot.insight.reference import MODULES, fields, measures, reference

MEASURES = [measure for module in MODULES for measure in measures(module)]


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.__name__)
def test_a_measure_says_its_formula_its_unit_its_bad_input_and_its_source(measure: Callable[..., object]) -> None:
    said = fields(measure)
    assert {"Unit", "Bad input", "Source"} <= said.keys(), "a measure without one of these cannot be checked"
    assert "Formula" in said or "Shape" in said
    assert all(text.endswith(".") for text in said.values())


def test_the_page_has_every_measure_and_no_result_is_a_float() -> None:
    page = reference()
    for measure in MEASURES:
        assert f"### {measure.__name__}\n" in page
        assert "float" not in str(typing.get_type_hints(measure)["return"]), measure.__name__
    for module in MODULES:
        for _, of in inspect.getmembers(module, inspect.isclass):
            if of.__module__ == module.__name__:
                assert "float" not in str(typing.get_type_hints(of)), of.__name__
