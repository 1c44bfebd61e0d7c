"""`entrepot`: finds the file of a command when it is called, lists what exists, and turns errors into exit codes."""

import importlib
import os
import sys

import click

from entrepot.cli.command import Noun
from entrepot.cli.terminal import DONE, MISUSED, REFUSED, Stop, error_text
from entrepot.kernel.errors import EntrepotError
from entrepot.kernel.text import plain_json, plain_lines

#: In the order of `--help`, with the words it shows: loading thirty files to read theirs would take longer than the
#: answer may. A name is listed when `entrepot/cli/NAME.py` exists, which holds `command`; a test compares the words.
VERBS = {
    "serve": "everything on this machine",
    "reload": "the present code into every process, without a failed call",
    "status": "what runs, what is wrong, what needs you",
    "apply": "load the catalog: difference first, then all or nothing",
    "export": "the catalog as it is now; apply of an export changes nothing",
    "usage": "requests, tokens by kind, charge",
    "explain": "why: a request, refusal, price, invoice line, posting",
    "check": "explain a catalog file without a server",
    "close": "checklist and gate of the month's end",
    "verify": "journal = lake = rollup = ledger = invoices; chains whole",
    "env": "export lines that point OPENAI_BASE_URL and friends here",
    "run": "run a program against this server, print its bill",
    "top": "requests, tokens and money per second, live",
    "replay": "send a recorded trace",
    "prove": "a promise's own test, here, with figures",
}
NOUNS = {
    "key": "list  create  rotate  revoke",
    "customer": "list  show  suspend  resume",
    "deployment": "list  show",
    "upstream": "list  test",
    "book": "list  show  preview  rerate  import",
    "limit": "list",
    "budget": "list",
    "balance": "list  show  top-up  grant  refund",
    "ptu": "",
    "invoice": "list  show  draft  issue  discard  carry-over  credit-note  write-off  dispute  export",
    "payment": "list  record  refund",
    "ledger": "balance  entries  export",
    "insight": "list  concentration  change  growth  retention  surprise  margin  dependence  positions  payback  loss"
    "  signs  enter",
    "vendor": "",
    "scenario": "list  run",
    "report": "list  run",
    "user": "",
}
_HERE = os.path.dirname(__file__)


class Entrepot(Noun):
    """One file per command; only the file of the command that is called is loaded."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in (*VERBS, *NOUNS) if os.path.exists(os.path.join(_HERE, f"{name}.py"))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        found = importlib.import_module(f"entrepot.cli.{cmd_name}").command
        return found if isinstance(found, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        known = self.list_commands(ctx)
        for title, words in (("Verbs act on the whole house", VERBS), ("Nouns take a verb; alone they list", NOUNS)):
            rows = [(name, words[name]) for name in known if name in words]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


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
    ours = arguments[: arguments.index("--")] if "--" in arguments else arguments  # what follows is a program's
    debug, as_data = "--debug" in ours, "--json" in ours
    try:
        with entrepot.make_context("entrepot", list(arguments)) as context:
            entrepot.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.UsageError as error:
        where = f"{error.ctx.command_path} --help" if error.ctx else ""
        misused = Stop(error.format_message(), do=where, exit_code=MISUSED)
        misused.code = "wrong_use"
        return _failed(misused, as_data)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nstopped", err=True)
        return REFUSED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its exit
        return DONE
    except Stop as stop:
        _trace(debug)
        return _failed(stop, as_data)
    except EntrepotError as error:
        message, _, do = error.message.partition("\n  do    ")
        refused = Stop(message, do=do)
        refused.code = error.code
        _trace(debug)
        return _failed(refused, as_data)
    except Exception as error:  # noqa: BLE001  the command line: a person gets one line, the trace on request
        unknown = Stop(f"{type(error).__name__}: {error}", do="the same command with --debug shows where")
        unknown.code = "internal_error"
        _trace(debug)
        return _failed(unknown, as_data)
    return DONE


def _failed(stop: Stop, as_data: bool) -> int:
    """Say what stopped the command, on standard error; with --json as the admin API says it."""
    if as_data:
        import json

        message, _, do = stop.message.partition("\n  do    ")
        error = {**stop.details, "code": stop.code, "message": message}
        error.update({"do": stop.do or do} if stop.do or do else {})
        click.echo(plain_json(json.dumps({"error": error}, indent=2, ensure_ascii=False)), err=True)
    else:
        click.echo(plain_lines(stop.lines) or error_text(stop.message, stop.do), err=True)
    return stop.exit_code


def _trace(debug: bool) -> None:
    if debug:
        import traceback

        traceback.print_exc()
