"""The tables' way to this version, in two parts, so that nodes of two versions run side by side on one database.

`upgrade()` of a migration only adds, and runs when a log is opened; nodes that do not know it go on. `finish()`, where it
has one, does what those would not survive, and waits for `callpath migrate --post`: docs/howto/upgrade-without-stopping.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command as alembic
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, select

from callpath.errors import StoreError
from callpath.store.schema import finished, nodes

if TYPE_CHECKING:
    from callpath.store.sql import Database

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Schema:
    """How far the tables of a log are. `revision` may be a newer version's; `waiting` are the migrations whose `finish`
    is still to be run, oldest first, and `finished` those for which that was done just now."""

    name: str
    revision: str
    waiting: tuple[str, ...]
    finished: tuple[str, ...] = ()


def latest_revision() -> str:
    """The last migration that this version knows."""
    return _Migrations().known[-1]


def begin_upgrade(database: Database) -> None:
    """Bring the tables of an opened log to where this version can work with them, and older ones still can.

    Raises StoreError when a newer version has finished what this one does not survive.
    """
    migrations = _Migrations()
    with database.engine.execution_options(patient=True).begin() as connection:
        database.lock_migrations(connection)
        migrations.begin(connection, database.name)


def finish_upgrade(database: Database, now_unix_ms: int, *, post: bool) -> Schema:
    """With `post`, run what waits. Raises StoreError while a node lives that would not survive it; nothing is done then."""
    migrations = _Migrations()
    with database.engine.execution_options(patient=True).begin() as connection:
        database.lock_migrations(connection)
        migrations.begin(connection, database.name)
        waiting = migrations.waiting(connection)
        revision = MigrationContext.configure(connection).get_current_revision() or ""
        if not post or not waiting:
            return Schema(database.name, revision, waiting)
        living = connection.execute(select(nodes.c.node, nodes.c.knows).where(nodes.c.until_unix_ms >= now_unix_ms))
        older = [f"{row.node} (knows {row.knows})" for row in living if migrations.is_before(row.knows, waiting[-1])]
        if older:
            raise StoreError(
                f"older nodes run on the call log {database.name} and would not survive {waiting[-1]}: "
                f"{', '.join(older)}. Stop them first; of one that was killed it is known after 15 s"
            )
        migrations.finish(connection, waiting)
        return Schema(database.name, revision, (), waiting)


class _Migrations:
    """Those that this version knows, `known`, oldest first."""

    def __init__(self) -> None:
        self._config = Config()
        self._config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        self._scripts = list(reversed(list(ScriptDirectory.from_config(self._config).walk_revisions())))
        self.known = [script.revision for script in self._scripts]

    def is_before(self, revision: str, other: str) -> bool:
        """One that we do not know is a newer version's."""
        return revision in self.known and self.known.index(revision) < self.known.index(other)

    def begin(self, connection: Connection, name: str) -> None:
        at = MigrationContext.configure(connection).get_current_revision()
        if at is not None and at not in self.known:
            self._check_survivable(connection, name)
            return  # newer nodes have been here, and have only added
        self._config.attributes["connection"] = connection
        alembic.upgrade(self._config, "head")
        if at is None:  # nobody else can be there yet
            self.finish(connection, self.waiting(connection))
        self._check_survivable(connection, name)

    def _check_survivable(self, connection: Connection, name: str) -> None:
        unknown = sorted(set(connection.scalars(select(finished.c.revision))) - set(self.known))
        if unknown:
            raise StoreError(
                f"the call log {name} cannot be opened: a newer callpath has run callpath migrate --post on it "
                f"({unknown[-1]}), and this version knows nothing after {self.known[-1]}. Use that version, or another "
                "database"
            )

    def waiting(self, connection: Connection) -> tuple[str, ...]:
        done = set(connection.scalars(select(finished.c.revision)))
        two_parts = [script.revision for script in self._scripts if hasattr(script.module, "finish")]
        return tuple(revision for revision in two_parts if revision not in done)

    def finish(self, connection: Connection, revisions: tuple[str, ...]) -> None:
        with Operations.context(MigrationContext.configure(connection)):
            for script in self._scripts:
                if script.revision in revisions:
                    script.module.finish()
                    connection.execute(insert(finished).values(revision=script.revision))
