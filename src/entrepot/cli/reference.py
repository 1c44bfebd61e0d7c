"""`docs/reference/commands.md`, printed from the commands themselves: `python -m entrepot.cli.reference`.

With the argument `admin-api` the page of the admin API.
"""

import sys
from collections.abc import Iterator

import click

from entrepot.cli.command import shared
from entrepot.cli.group import NOUNS, VERBS, entrepot

_HEAD = """\
# Commands

Printed by `make reference`. Every command also takes `--help`, which lists only what works, and:

{shared}

Without `--url` a command finds the server of the data folder; with none running, the same admin API runs inside the
command. Exit codes: 0 done · 1 a difference found, or refused by a rule · 2 wrong use · 3 server not reachable.
"""


def reference() -> str:
    """The page."""
    options = "\n".join(_option(each) for each in shared() if isinstance(each, click.Option))
    parts = [_HEAD.format(shared=options)]
    with click.Context(entrepot, info_name="entrepot") as context:
        for title, names in (("Verbs", VERBS), ("Nouns", NOUNS)):
            parts.append(f"## {title}\n")
            for name in entrepot.list_commands(context):
                found = entrepot.get_command(context, name)
                if name in names and found is not None:
                    parts += _command(found, name, context)
    return "\n".join(parts)


def _command(command: click.Command, name: str, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    yield f"### {context.command_path}\n"
    if isinstance(command, click.Group):
        yield f"{_text(command)}\n"
        for verb in command.list_commands(context):
            yield from _command(command.commands[verb], verb, context)
        return
    arguments = "".join(f" {_metavar(each, context)}" for each in command.params if isinstance(each, click.Argument))
    own = [each for each in command.params if isinstance(each, click.Option) and not _is_shared(each)]
    yield f"    {context.command_path}{arguments}{' [OPTIONS]' if own else ''}\n"
    yield f"{_text(command)}\n"
    if own:
        yield "\n".join(_option(each) for each in own) + "\n"


def _text(command: click.Command) -> str:
    return " ".join((command.help or "").split())


def _is_shared(option: click.Option) -> bool:
    return option.name in {each.name for each in shared()} and not option.expose_value


def _metavar(argument: click.Argument, context: click.Context) -> str:
    return argument.make_metavar(context).replace("|", "\\|")


def _option(option: click.Option) -> str:
    name = ", ".join(sorted(option.opts, key=len))
    value = "" if option.is_flag else f" {option.metavar or (option.name or '').upper()}"
    needed = " Required." if option.required else ""
    return f"- `{name}{value}`: {(option.help or '').rstrip('.')}.{needed}"


if __name__ == "__main__":
    if sys.argv[1:] == ["admin-api"]:
        from entrepot.control import reference as admin_api

        sys.stdout.write(admin_api.reference())
    else:
        sys.stdout.write(reference())
