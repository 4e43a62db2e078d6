"""Run by alembic. The connection is handed over by `callpath.store.migrate`."""

from __future__ import annotations

from alembic import context

from callpath.store.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
