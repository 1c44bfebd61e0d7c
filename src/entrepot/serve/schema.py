"""Every table of the house, and the way from an older database to this version's.

A start does not load Alembic: `storage.database.prepare` makes an empty database and stamps it with the newest
revision; this is for one that bears an older stamp.
"""

from pathlib import Path

from sqlalchemy import Engine

import entrepot.billing.payment_tables  # noqa: F401
import entrepot.billing.tables  # noqa: F401
import entrepot.insight.tables  # noqa: F401
import entrepot.ledger.grant_tables  # noqa: F401
import entrepot.limits.event_tables  # noqa: F401
import entrepot.pricing.tables  # noqa: F401
import entrepot.rating.tables  # noqa: F401
from entrepot.storage.database import REVISION, metadata

__all__ = ["REVISION", "metadata", "upgrade"]


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Run the migrations that are missing, in one transaction; nothing is done to a current database."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    with engine.connect().execution_options(entrepot_write=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
