"""`entrepot env`: lines that point this shell's programs here."""

import json
import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from entrepot.cli.command import command as verb
from entrepot.cli.command import options
from entrepot.cli.session import Unreachable
from entrepot.cli.terminal import MISUSED, Stop, program, say
from entrepot.cli.variables import Target, variables

_SHELLS = ("sh", "fish", "powershell")


@verb("export lines that point OPENAI_BASE_URL and friends here")
@click.option("--shell", type=click.Choice(_SHELLS), help="For this shell; default: the one in SHELL.")
@click.option("--key", metavar="KEY", help="With this key; default: the one of the first start.")
@click.option("--base-url", metavar="URL", help="Of the API for customers, where it is not the one of --data.")
@click.option("--unset", is_flag=True, help="Lines that take it back.")
def command(shell: str | None, key: str | None, base_url: str | None, unset: bool) -> None:
    """Lines for your shell, so that programs written for OpenAI or Azure OpenAI call this server:

    eval "$(entrepot env)"; in fish: entrepot env | source; in PowerShell: entrepot env | Out-String | iex
    """
    found = variables(_target(key, base_url), os.environ)
    if unset:
        found = dict.fromkeys(found)
    if options().json:
        say(json.dumps(found, indent=2))
        return
    write = _WRITERS[shell or _shell(os.environ)]
    say("\n".join(write(name, value) for name, value in found.items()))


def target_of(credentials: Mapping[str, str], key: str, base_url: str = "") -> Target:
    """`base_url` ends in /v1, the address for Azure's clients does not."""
    url = (base_url or credentials.get("base_url", "")).rstrip("/")
    azure = credentials.get("azure_endpoint", "") if not base_url else url.removesuffix("/v1")
    return Target(base_url=url, azure_endpoint=azure, key=key)


def _target(key: str | None, base_url: str | None) -> Target:
    from entrepot.storage.folder import Folder

    credentials = Folder(options().data).read_credentials()
    if not base_url and not credentials.get("base_url"):
        raise Unreachable(
            f"no server has run on {options().data}/ yet, and none is named with --data or --base-url", do="make serve"
        )
    own = key or credentials.get("api_key", "")
    if not own:
        raise Stop(
            f"there is no key in {options().data}/credentials.json; name one",
            do=f"{program()} env --key ep_live_…",
            exit_code=MISUSED,
        )
    return target_of(credentials, own, base_url or "")


def _shell(environment: Mapping[str, str]) -> str:
    name = Path(environment.get("SHELL", "")).name
    if name == "fish":
        return "fish"
    return "powershell" if name in {"pwsh", "powershell"} else "sh"


def _sh(name: str, value: str | None) -> str:
    return f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}"


def _fish(name: str, value: str | None) -> str:
    if value is None:
        return f"set -e {name}"
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"set -gx {name} '{quoted}'"


def _powershell(name: str, value: str | None) -> str:
    if value is None:
        return f"Remove-Item Env:{name} -ErrorAction SilentlyContinue"
    quoted = value.replace("'", "''")
    return f"$env:{name} = '{quoted}'"


_WRITERS: dict[str, Callable[[str, str | None], str]] = {"sh": _sh, "fish": _fish, "powershell": _powershell}
