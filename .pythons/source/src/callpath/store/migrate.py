"""Brings the tables of a call log to this version, one migration after the other.

A migration only adds (a test reads each file for that), and runs when a log is opened. So nodes of two versions run side by
side on one database during a deploy, and an older version can come back: it opens a log whose migrations it does not know.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from alembic import command as alembic
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

MIGRATIONS = Path(__file__).parent / "migrations"


class Migratable(Protocol):
    """A database whose tables can be changed by one process at a time."""

    engine: Engine

    def lock_migrations(self, connection: Connection) -> None:
        """Wait until no other process changes the tables."""
        ...


def migrate(database: Migratable) -> str:
    """Run the migrations that are missing. Returns the revision of the tables; it may be one of a newer version."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    with database.engine.execution_options(patient=True).begin() as connection:
        database.lock_migrations(connection)
        at = MigrationContext.configure(connection).get_current_revision()
        if at is None or at in known:
            config.attributes["connection"] = connection
            alembic.upgrade(config, "head")
        return MigrationContext.configure(connection).get_current_revision() or ""
