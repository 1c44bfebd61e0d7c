"""`entrepot`: finds the file of a command when it is called, lists what exists, and turns errors into exit codes."""

import importlib
import importlib.util
import os
import sys
import traceback

import click

from entrepot.cli.command import Noun, options
from entrepot.cli.terminal import DONE, MISUSED, REFUSED, Stop, error_text
from entrepot.kernel.errors import EntrepotError

#: In the order of `--help`. A name is listed when `entrepot/cli/NAME.py` exists; that file holds `command`.
VERBS = (
    "serve", "reload", "status", "apply", "export", "usage", "explain", "check", "close", "verify", "env", "run", "top",
    "replay", "prove",
)  # fmt: skip
NOUNS = (
    "key", "customer", "deployment", "upstream", "book", "limit", "budget", "balance", "ptu", "invoice", "payment",
    "ledger", "vendor", "scenario", "report", "user",
)  # fmt: skip


def module_of(name: str) -> str:
    return f"entrepot.cli.{name.replace('-', '_')}"


class Entrepot(Noun):
    """One file per command; only the file of the command that is called is loaded."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in (*VERBS, *NOUNS) if importlib.util.find_spec(module_of(name)) is not None]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        found = importlib.import_module(module_of(cmd_name)).command
        return found if isinstance(found, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
        for name in self.list_commands(ctx):
            one = self.get_command(ctx, name)
            if one is not None and not one.hidden:
                does = "  ".join(one.commands) if isinstance(one, Noun) else one.get_short_help_str(90)
                rows[name in VERBS].append((name, does))
        for verbs, title in ((True, "Verbs act on the whole house"), (False, "Nouns take a verb; alone they list")):
            if rows[verbs]:
                with formatter.section(title):
                    formatter.write_dl(rows[verbs])


@click.group(
    cls=Entrepot,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(package_name="entrepot", message="entrepot %(version)s")
def entrepot() -> None:
    """The model service that you run yourself."""
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def run(arguments: list[str]) -> int:
    """Carry out one command line; returns its exit code. Everything a person reads about a failure is printed here."""
    debug = "--debug" in arguments
    try:
        with entrepot.make_context("entrepot", arguments) as context:
            debug = debug or options().debug
            entrepot.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.UsageError as error:
        where = f"      {error.ctx.command_path} --help" if error.ctx else ""
        click.echo(error_text(error.format_message(), where.strip()), err=True)
        return MISUSED
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nstopped; nothing was changed by this command after its last line", err=True)
        return REFUSED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its exit
        return DONE
    except Stop as stop:
        if debug:
            traceback.print_exc()
        click.echo(stop.lines or error_text(stop.message, stop.do), err=True)
        return stop.exit_code
    except EntrepotError as error:
        if debug:
            traceback.print_exc()
        click.echo(error_text(error.message), err=True)
        return REFUSED
    except Exception as error:  # noqa: BLE001  the command line: a person gets one line, the trace on request
        if debug:
            traceback.print_exc()
        what = f"{type(error).__name__}: {error}"
        click.echo(error_text(what, "the same command with --debug shows where"), err=True)
        return REFUSED
    return DONE
