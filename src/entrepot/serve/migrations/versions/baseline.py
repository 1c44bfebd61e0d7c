"""Every table as of 0.1.0."""

from alembic import op

from entrepot.serve.schema import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    metadata.create_all(op.get_bind())


def downgrade() -> None:
    raise NotImplementedError("nothing comes before the baseline; restore a backup")
