"""Alembic's entry: runs on the connection that `store.migrate` hands over, inside its transaction."""

from alembic import context

from services.notifier.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
