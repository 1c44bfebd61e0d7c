"""A process of its own for one question: as JSON on standard input, its answer as JSON on standard output, or
{"code", "message"} and exit 1. It works beside the calls and ends in seconds."""

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from entrepot.kernel.errors import EntrepotError
from entrepot.storage.folder import Folder

Asked = TypeVar("Asked")


def answered(root: str, asked: type[Asked], answer: Callable[[Folder, Asked], object]) -> int:
    """The exit code."""
    os.nice(10)  # calls go first
    gc.disable()  # what is gathered holds no cycles, and looking for some took a tenth of the time
    try:
        said = answer(Folder(Path(root)), msgspec.json.decode(sys.stdin.buffer.read(), type=asked))
    except EntrepotError as error:
        sys.stdout.buffer.write(msgspec.json.encode({"code": error.code, "message": error.message}) + b"\n")
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    return 0
