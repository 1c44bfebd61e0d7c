"""The same facts as text or, with --json, as data."""

import json
from collections.abc import Callable
from typing import Any

from entrepot.cli.command import options
from entrepot.cli.terminal import say
from entrepot.kernel.text import plain_facts, plain_json


def show_or_json(facts: dict[str, Any], text: Callable[[dict[str, Any]], str]) -> None:
    """Print `facts`; `text` lays them out for a person, who never gets a character that a terminal would obey."""
    as_data = options().json
    say(plain_json(json.dumps(facts, indent=2, ensure_ascii=False)) if as_data else text(plain_facts(facts)))
