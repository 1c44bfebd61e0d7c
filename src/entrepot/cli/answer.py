"""The same facts as text or, with --json, as data."""

import json
from collections.abc import Callable
from typing import Any

from entrepot.cli.command import options
from entrepot.cli.terminal import say


def show_or_json(facts: dict[str, Any], text: Callable[[dict[str, Any]], str]) -> None:
    """Print `facts`; `text` lays them out for a person."""
    say(json.dumps(facts, indent=2, ensure_ascii=False) if options().json else text(facts))
