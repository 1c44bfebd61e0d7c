"""Where a setting's value comes from, and what it may be."""

import pytest

from entrepot.serve import settings


def test_the_command_line_wins_over_the_environment_and_that_over_the_default() -> None:
    environment = {"ENTREPOT_PORT": "9000", "ENTREPOT_ADMIN_PORT": "9001"}
    values = settings.read({"port": 7000, "admin_port": None}, environment)
    assert (values["port"], values["admin_port"], values["host"]) == (7000, 9001, "127.0.0.1")


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("ENTREPOT_PORT", "http", "ENTREPOT_PORT is 'http', not a whole number"),
        ("ENTREPOT_PORT", "65536", "ENTREPOT_PORT is 65536; it must be from 0 to 65535"),
        ("ENTREPOT_SILENCE_SECONDS", "0", "ENTREPOT_SILENCE_SECONDS is 0; it must be from 1 to 600"),
    ],
)
def test_a_broken_value_names_where_it_stands(variable: str, value: str, message: str) -> None:
    with pytest.raises(settings.SettingBroken) as broken:
        settings.read({}, {variable: value})
    assert broken.value.message == message


def test_an_empty_variable_is_no_variable() -> None:
    assert settings.read({}, {"ENTREPOT_HOST": ""})["host"] == "127.0.0.1"


def test_the_reference_names_every_setting() -> None:
    text = settings.reference()
    assert all(f"`{setting.variable}`" in text for setting in settings.SETTINGS)
