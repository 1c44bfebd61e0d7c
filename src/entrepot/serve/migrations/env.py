"""Runs the migrations on the connection that `serve.schema.upgrade` hands over."""

from alembic import context

from entrepot.serve.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
