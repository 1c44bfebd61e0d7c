"""Every setting of `entrepot serve`, in one place; `docs/reference/settings.md` is printed from here.

A setting is given on the command line, else in the environment, else it has its default. Children get the whole set as
plain JSON values.
"""

import os
from collections.abc import Mapping

import msgspec

from entrepot.kernel.errors import EntrepotError, Fault

Value = str | int


class SettingBroken(EntrepotError):
    """A value that a setting cannot take."""

    code = "setting_broken"
    fault = Fault.CALLER


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is its key for the roles, `--name` its option, ENTREPOT_NAME its variable."""

    name: str
    default: Value
    meaning: str
    unit: str = ""
    least: int = 0
    most: int = 1 << 40
    option: bool = False  # has a command line option; the others are for the environment only

    @property
    def variable(self) -> str:
        return f"ENTREPOT_{self.name.upper()}"

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"


SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="data",
        default="data",
        meaning="Folder that holds everything: database, journal, lake, secrets.",
        option=True,
    ),
    Setting(
        name="host",
        default="127.0.0.1",
        meaning="Address that both ports listen on. Anything else than this machine needs TLS in front.",
        option=True,
    ),
    Setting(
        name="port",
        default=8080,
        most=65535,
        meaning="Port of the APIs that customers call; 0 takes a free one.",
        option=True,
    ),
    Setting(
        name="admin_port",
        default=8081,
        most=65535,
        meaning="Port of the admin API; 0 takes a free one.",
        option=True,
    ),
    Setting(
        name="workers",
        default=2,
        least=1,
        most=64,
        meaning="How many gateway processes answer calls; a second one goes on when the first is lost.",
        option=True,
    ),
    Setting(
        name="catalog",
        default="examples/demo.toml",
        meaning="Catalog file that is applied without asking, on the first start only.",
        option=True,
    ),
    Setting(
        name="upstream_proxy",
        default="",
        meaning="CONNECT proxy, `http://HOST:PORT`, for every vendor but the built-in model; empty: none.",
    ),
    Setting(
        name="drain_seconds",
        default=30,
        least=0,
        most=3600,
        unit="s",
        meaning="How long calls under way may go on after Ctrl-C or SIGTERM before their processes are killed.",
    ),
    Setting(
        name="reload_drain_seconds",
        default=660,
        least=0,
        most=86_400,
        unit="s",
        meaning="How long calls under way may go on in the processes that a reload has replaced.",
    ),
    Setting(
        name="silence_seconds",
        default=5,
        least=1,
        most=600,
        unit="s",
        meaning="A process that has not beaten its heart for so long is killed and replaced.",
    ),
    Setting(
        name="spark",
        default="",
        meaning="Apache Spark that sums up the lake for bills and measures in the place of DuckDB: "
        "`spark://HOST:7077`, or `local-cluster[2,1,1024]` on one machine; needs the extra `spark` and Java 17.",
    ),
    Setting(
        name="start_seconds",
        default=60,
        least=1,
        most=3600,
        unit="s",
        meaning="A process that is not ready after so long is killed and started again.",
    ),
)

_BY_NAME = {setting.name: setting for setting in SETTINGS}


def read(given: Mapping[str, Value | None], environment: Mapping[str, str] = os.environ) -> dict[str, Value]:
    """Every setting's value: `given` (command line; None is absent), else the environment, else the default."""
    values: dict[str, Value] = {}
    for setting in SETTINGS:
        value = given.get(setting.name)
        source = setting.flag
        if value is None:
            value, source = environment.get(setting.variable) or None, setting.variable
        values[setting.name] = setting.default if value is None else _checked(setting, value, source)
    return values


def number(values: Mapping[str, Value], name: str) -> int:
    """A setting that counts."""
    value = values[name]
    if not isinstance(value, int):
        raise SettingBroken(f"{name} is {value!r}, not a whole number")
    return value


def reference() -> str:
    """`docs/reference/settings.md`."""
    lines = [
        "# Settings",
        "",
        "Printed by `make reference`. The command line wins over the environment, the environment over the default.",
        "",
        "| setting | option | variable | default | meaning |",
        "|---|---|---|---|---|",
    ]
    for setting in SETTINGS:
        option = f"`{setting.flag}`" if setting.option else ""
        default = f"`{setting.default}`{' ' + setting.unit if setting.unit else ''}" if setting.default != "" else ""
        lines.append(f"| {setting.name} | {option} | `{setting.variable}` | {default} | {setting.meaning} |")
    lines += [
        "",
        "`make serve` takes `HOST`, `PORT`, `ADMIN_PORT`, `WORKERS`, `DATA`, `CATALOG` and hands them on as options.",
        "",
    ]
    return "\n".join(lines)


def _checked(setting: Setting, value: Value, source: str) -> Value:
    if isinstance(setting.default, str):
        return str(value)
    try:
        count = int(value)
    except ValueError:
        raise SettingBroken(f"{source} is {value!r}, not a whole number") from None
    if not setting.least <= count <= setting.most:
        raise SettingBroken(f"{source} is {count}; it must be from {setting.least} to {setting.most}")
    return count
