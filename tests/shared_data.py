"""Recorded answers and usage bodies beside the repository: `SHARED`, else `../shared`."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(os.environ.get("SHARED", Path(__file__).parents[2] / "shared"))


def rows(name: str) -> Iterator[dict[str, Any]]:
    """The JSON lines of a file below `data`; skips the test where the folder is missing."""
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip(f"{path} is missing")
    with gzip.open(path) as file:
        for line in file:
            yield json.loads(line)
