"""`entrepot run -- COMMAND`: a program against this server, and what it cost.

A run is told apart by a key of its own, named `run-ID`: made before the program starts, in its environment only, and
revoked when it ends. A run whose end nobody could tell (its machine died) leaves a key that expires by itself.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from entrepot.cli.amount import grouped
from entrepot.cli.command import command as verb
from entrepot.cli.command import options
from entrepot.cli.env import target_of
from entrepot.cli.key import key_id_of, revoke_key
from entrepot.cli.session import SETTLE_S, AdminError, Unreachable, admin
from entrepot.cli.table import count
from entrepot.cli.terminal import MISUSED, Stop, coloured, note, program
from entrepot.cli.variables import applied, variables

_SETTLE_S = 5.0  # for the records of the last calls; refusals are counted once a second
_POLL_S = 0.1
_NO_PROGRAM, _NOT_RUNNABLE, _KILLED = 127, 126, 128  # exit codes as shells give them
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
_IN = ("input", "cached", "cache_write", "audio_input", "image_input")
_OUT = ("output", "reasoning", "audio_output")


@verb(
    "run a program against this server, print its bill",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("words", metavar="-- COMMAND…", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--customer", metavar="ID", help="Whose bill; default: the customer of the first start's key.")
@click.option("--project", metavar="NAME", help="Default: the customer's only one, else `default`.")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Only this deployment; may be repeated.")
@click.option("--key", metavar="KEY", help="Use this key in place of a new one; the bill is what it used meanwhile.")
@click.option("--base-url", metavar="URL", help="Of the API for customers, where the server's own word does not lead.")
@click.option("--bill", "file", type=click.Path(path_type=Path), help="Write the bill to this file too, as JSON.")
def command(words: tuple[str, ...], file: Path | None, key: str | None, **given: Any) -> None:
    """Run COMMAND with OPENAI_BASE_URL, OPENAI_API_KEY, AZURE_OPENAI_ENDPOINT and their like pointing here.

    Its input, output and exit code are its own; signals reach it. Afterwards one line on standard error says what it
    used and cost, and `entrepot usage --run ID` says it again at any time.
    """
    base_url = given.pop("base_url") or ""
    if shutil.which(words[0]) is None:  # before a key is made for it
        note(f"entrepot: there is no program {words[0]}")
        raise click.exceptions.Exit(_NO_PROGRAM)
    if file is not None and not file.parent.is_dir():
        raise Stop(f"the bill cannot be written to {file}: there is no folder {file.parent}", exit_code=MISUSED)
    run = _given(key, base_url) if key else _begin(given, base_url)
    began = time.monotonic()
    code = 0
    try:
        target = target_of(run, run["key"], base_url)
        environment = applied(variables(target, os.environ), {**os.environ, "ENTREPOT_RUN": run["run"]})
        code = _carry_out(words, environment)
    finally:
        seconds = time.monotonic() - began
        bill = _end(run, seconds)
        if bill:
            _tell(bill, file)
    raise click.exceptions.Exit(code)


def _begin(given: dict[str, Any], base_url: str) -> dict[str, Any]:
    """A key for this run."""
    body = {name: list(value) if name == "models" else value for name, value in given.items() if value}
    if not options().url:
        reached(base_url or _credentials().get("base_url", ""))
    with admin() as api:
        run = api.post("runs", body=body)
    run["before"] = None
    return run


def _given(key: str, base_url: str) -> dict[str, Any]:
    """Somebody's key: what it has used so far is not this run's."""
    credentials = {} if options().url else _credentials()
    if not base_url and not credentials.get("base_url"):
        raise Stop("where does this key work? No server has run here", do="--base-url URL", exit_code=MISUSED)
    reached(base_url or credentials["base_url"])
    key_id = key_id_of(key)
    with admin() as api:
        before = api.get("keys", key_id, "bill")
    return {**credentials, "run": "", "id": key_id, "key": key, "before": before}


def _credentials() -> dict[str, str]:
    """As the server wrote them; of one that is just starting, when it has."""
    from entrepot.storage.folder import Folder

    folder = Folder(options().data)
    until = time.monotonic() + SETTLE_S
    while True:
        found = folder.read_credentials()
        if "base_url" in found or not folder.database.exists() or time.monotonic() > until:
            return found
        time.sleep(_POLL_S)


def reached(base_url: str) -> None:
    """Somebody listens there, or the program would fail at its first call."""
    import socket
    import urllib.parse

    if not base_url:
        raise Unreachable(f"no server has run on {options().data}/ yet, and none is named", do="make serve")
    to = urllib.parse.urlsplit(base_url)
    try:
        port = to.port or (443 if to.scheme == "https" else 80)
        socket.create_connection((to.hostname or "", port), timeout=2.0).close()
    except (OSError, ValueError) as error:
        raise Unreachable(f"no server answers at {base_url} ({error})", do="make serve") from None


def _carry_out(words: tuple[str, ...], environment: dict[str, str]) -> int:
    """Run it to its end; its exit code, as a shell would say it.

    What a terminal sends (Ctrl-C) goes to the whole group and has reached the program already; what another process
    sends to us alone is passed on.
    """
    watched = {*_FORWARDED, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    try:
        child = subprocess.Popen(
            words,
            env=environment,
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before),
        )
    except OSError as error:
        note(f"entrepot: {words[0]} cannot be run: {error.strerror}")
        return _NOT_RUNNABLE
    else:
        while child.poll() is None:
            told = signal.sigwaitinfo(watched)
            if told.si_signo != signal.SIGCHLD and told.si_code <= 0:
                with contextlib.suppress(ProcessLookupError):
                    child.send_signal(told.si_signo)
        code = child.returncode
        return code if code >= 0 else _KILLED - code
    finally:
        while signal.sigtimedwait(watched, 0):  # or what came last would hit us when the mask goes
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(run: dict[str, Any], seconds: float) -> dict[str, Any] | None:
    """Revoke the run's own key, wait for its last records, make the bill."""
    try:
        if run["run"]:
            revoke_key(run["id"])
        bill = settled_bill(run["id"])
    except (Unreachable, AdminError) as error:
        again = f"; later: {_usage(run['run'])}" if run["run"] else ""
        note(f"entrepot: the bill is not known, {error.message}{again}")
        return None
    return {**_difference(bill, run["before"]), "run": run["run"], "seconds": round(seconds, 1)}


def settled_bill(key_id: str) -> dict[str, Any]:
    """The key's bill, once nothing of it is under way in two looks; or as it stands after the time for that."""
    until = time.monotonic() + _SETTLE_S
    quiet = 0
    while True:
        with admin() as api:
            bill = api.get("keys", key_id, "bill")
        quiet = quiet + 1 if bill["settled"] else 0
        if quiet == 2 or time.monotonic() > until:
            return bill
        time.sleep(_POLL_S)


def _difference(bill: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    from decimal import Decimal

    if before is None:
        return bill
    counts = ("calls", "errors", *_IN, *_OUT)
    charge = Decimal(bill["charge"]) - Decimal(before["charge"])
    refused = {name: n - before["refused"].get(name, 0) for name, n in bill["refused"].items()}
    return {
        **bill, **{name: bill[name] - before[name] for name in counts},
        "charge": f"{charge.normalize():f}", "refused": {name: n for name, n in refused.items() if n},
    }  # fmt: skip


def _tell(bill: dict[str, Any], file: Path | None) -> None:
    if file is not None:
        try:
            file.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
        except OSError as error:  # what the program did stands, and so does its exit code
            note(f"entrepot: the bill cannot be written to {file}: {error.strerror}")
    if options().json:
        note(json.dumps(bill))
        return
    line = f"entrepot: {bill_line(bill)}"
    if bill["run"]:
        hint = f"          {_usage(bill['run'])}"
        line += click.style(hint, dim=True) if coloured(sys.stderr) else hint
    click.echo(line, err=True)
    if bill["open"]:
        calls = "1 call is" if bill["open"] == 1 else f"{bill['open']} calls are"
        note(f"entrepot: {calls} still under way and not in this bill")


def _usage(run: str) -> str:
    """The command that shows this run again, from here."""
    known = options().data == Path("data") or os.environ.get("ENTREPOT_DATA")
    return f"{program()} usage --run {run}" + ("" if known else f" --data {options().data}")


def bill_line(bill: dict[str, Any]) -> str:
    """`12 calls · 3,410 in · 655 out · 0.000603 USD · 0 errors · 8.2 s`."""
    calls, errors = bill["calls"], bill["errors"]
    parts = [
        f"{count(calls)} {'call' if calls == 1 else 'calls'}",
        f"{count(sum(bill[name] for name in _IN))} in",
        f"{count(sum(bill[name] for name in _OUT))} out",
        f"{grouped(bill['charge'])} {bill['currency']}",
        f"{count(errors)} {'error' if errors == 1 else 'errors'}",
        f"{bill['seconds']:,.1f} s",
    ]
    if bill["refused"]:
        reasons = sorted(bill["refused"].items(), key=lambda each: -each[1])
        parts[4] += " (refused: " + ", ".join(f"{count(n)} {reason}" for reason, n in reasons) + ")"
    return " · ".join(parts)
