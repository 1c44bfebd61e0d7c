"""The shape that all commands share: the options that find a server, and nouns whose bare name lists."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click

_KEY = "entrepot.cli."
WIDTH = 120


class Options(NamedTuple):
    """Which server is meant and how to answer."""

    data: Path = Path("data")
    url: str = ""
    token: str = ""
    json: bool = False
    debug: bool = False


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Options may stand before or after the command; the last one given counts, and the environment counts last."""
    name, source = parameter.name or "", context.get_parameter_source(parameter.name or "")
    if source is click.core.ParameterSource.COMMANDLINE:
        context.meta[_KEY + name] = value
    elif source is click.core.ParameterSource.ENVIRONMENT:
        context.meta.setdefault(_KEY + name, value)
    return value


def shared() -> list[click.Parameter]:
    """The options of every command that asks a server."""

    def option(*names: str, **settings: Any) -> click.Option:
        return click.Option(list(names), expose_value=False, callback=_keep, **settings)

    return [
        option("--json", "as_json", is_flag=True, help="The same facts as data."),
        option("--data", envvar="ENTREPOT_DATA", metavar="DIR", help="The server's folder (ENTREPOT_DATA; ./data)."),
        option("--url", envvar="ENTREPOT_URL", metavar="URL", help="Admin API of another server (ENTREPOT_URL)."),
        option("--token", envvar="ENTREPOT_TOKEN", metavar="TOKEN", help="Its admin token (ENTREPOT_TOKEN)."),
        option("--debug", is_flag=True, help="Show the stack trace of an error."),
    ]


def options() -> Options:
    """What was given on the line, or in the environment."""
    meta = click.get_current_context().meta
    return Options(
        data=Path(meta.get(_KEY + "data") or "data"),
        url=(meta.get(_KEY + "url") or "").rstrip("/"),
        token=meta.get(_KEY + "token") or "",
        json=bool(meta.get(_KEY + "as_json")),
        debug=bool(meta.get(_KEY + "debug")),
    )


class Command(click.Command):
    """A command that asks the admin API."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.params = [*self.params, *shared()]


class Noun(click.Group):
    """`entrepot key`: a noun with its verbs; alone it lists, or does its first verb where there is no list."""

    command_class = Command

    def __init__(self, *args: Any, **settings: Any) -> None:
        settings.setdefault("invoke_without_command", True)
        settings.setdefault("callback", _bare)
        super().__init__(*args, **settings)
        self.params = [*self.params, *shared()]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order they are written, not of the alphabet


def _bare() -> None:
    context = click.get_current_context()
    noun = context.command
    if context.invoked_subcommand is None and isinstance(noun, Noun):
        context.invoke(noun.commands.get("list") or next(iter(noun.commands.values())))


def noun(name: str, short_help: str) -> Noun:
    return Noun(name, help=short_help, short_help=short_help)


def command(short_help: str, **settings: Any) -> Callable[[Callable[..., None]], click.Command]:
    """A verb; its docstring becomes the long help, `short_help` the line in the list."""
    return click.command(cls=Command, short_help=short_help, **settings)
