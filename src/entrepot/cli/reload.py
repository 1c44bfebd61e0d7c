"""`entrepot reload`: the present code into a running server."""

from typing import Any

from entrepot.cli.answer import show_or_json
from entrepot.cli.command import command as verb
from entrepot.cli.session import admin

_PATIENCE_S = 320.0  # longer than the server's own, so that its answer arrives


@verb("the present code into every process, without a failed call")
def command() -> None:
    """Replace every process of a running server by one with the code that now lies on its disk, without a failed call.

    New gateways serve before the old ones stop to; those end what they began (ENTREPOT_RELOAD_DRAIN_SECONDS). If the
    new processes do not come up, the old ones serve on, and this says why. What stays as it is: the parent process, and
    the settings that it was started with.
    """
    with admin(patience_s=_PATIENCE_S) as api:
        facts = api.post("reload", body={})
    show_or_json(facts, reload_text)


def reload_text(facts: dict[str, Any]) -> str:
    """What was replaced, how long it took, and who is still there."""
    older = facts["leaving"]
    lines = [f"replaced in {facts['seconds']:.1f} s: {', '.join(facts['replaced'])} (generation {facts['generation']})"]
    lines += [f"kept: {kept['name']}. {kept['why']}" for kept in facts["kept"]]
    if older:
        end = "process ends its calls and then goes" if older == 1 else "processes end their calls and then go"
        lines.append(f"{older} older {end}")
    return "\n".join(lines)
