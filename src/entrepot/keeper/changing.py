"""One change of the database with its dry run: everything is done, said, and taken back."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from entrepot.keeper.arguments import Args, text_of
from entrepot.keeper.thresholds import after_change
from entrepot.kernel.instants import Instant
from entrepot.storage.database import write


class _OnlyTried(Exception):
    """Take the transaction back."""


@contextmanager
def changing(engine: Engine, args: Args, now: Instant) -> Iterator[Connection]:
    """A write transaction that moves money of `args["customer"]`; with `dry_run` it is taken back at its end, before
    anybody is told of it."""
    try:
        with write(engine) as connection:
            yield connection
            if args.get("dry_run"):
                raise _OnlyTried
            after_change(connection, (text_of(args, "customer"),), now)
    except _OnlyTried:
        return
