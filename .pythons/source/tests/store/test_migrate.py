"""Two versions on one database, while a deploy replaces one by the other."""

from __future__ import annotations

import ast
import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from callpath.store import migrate
from callpath.store.sql import SqlCallLog, migrate_call_log, open_call_log
from callpath.timeline import Noted
from callpath.wire.ids import SessionId
from tests.postgres import new_database
from tests.store.entries import SESSION, entry

NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9001"
down_revision = "{latest}"
branch_labels = None
depends_on = None

def upgrade():
    op.add_column("calls", sa.Column("language", sa.String(20)))
    op.create_table("voices", sa.Column("name", sa.String(20), primary_key=True))
    op.create_index("calls_by_language", "calls", ["language"])
"""
"""What a next version might bring."""

NextVersion = Callable[[], AbstractContextManager[None]]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return new_database(request.getfixturevalue("postgres_server"))
    return f"sqlite:///{tmp_path / 'callpath.db'}"


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NextVersion:
    """A context in which this process is the next version, with one more migration."""
    folder = tmp_path / "next"
    shutil.copytree(migrate.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9001_next.py").write_text(NEXT.format(latest="0004"))

    @contextmanager
    def become() -> Iterator[None]:
        with monkeypatch.context() as patched:
            patched.setattr(migrate, "MIGRATIONS", folder)
            yield

    return become


def tables(url: str) -> set[str]:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    names = set(inspect(engine).get_table_names())
    engine.dispose()
    return names


async def texts(log: SqlCallLog) -> set[str]:
    return {one.what.text for one in await log.read(SessionId(SESSION)) if isinstance(one.what, Noted)}


async def test_an_old_and_a_new_node_side_by_side(url: str, next_version: NextVersion) -> None:
    """A rolling deploy: both take calls, and the old version can be deployed again."""
    async with open_call_log(url) as old:
        await old.append(entry(Noted(text="old 1")))
        with next_version():
            async with open_call_log(url) as new:
                await asyncio.gather(
                    *(log.append(entry(Noted(text=f"{name} {number}")))
                      for name, log in (("old", old), ("new", new)) for number in (2, 3))
                )  # fmt: skip
                seen = await texts(old), await texts(new)
                overview = (await old.outcomes())[1]
    async with open_call_log(url) as old_again:
        await old_again.append(entry(Noted(text="old 4")))
        back = await texts(old_again)
    known = await migrate_call_log(url)

    assert {"old 1", "old 2", "old 3", "new 2", "new 3"} == seen[0] == seen[1]
    assert {"live": 1} == overview
    assert "old 4" in back
    assert "voices" in tables(url)
    assert "9001" == known[1]


async def test_a_log_of_the_version_before_is_opened(url: str) -> None:
    """It had two tables for a second part of migrations, with a row for each node. Nodes of that version go on writing
    theirs while they run beside us."""
    async with open_call_log(url) as log:
        await log.append(entry(Noted(text="old 1")))
        with log._engine.begin() as connection:
            connection.execute(text("INSERT INTO nodes VALUES ('old', '0004', 1)"))
            connection.execute(text("INSERT INTO finished VALUES ('0004')"))
    async with open_call_log(url) as log:
        kept = await texts(log)
        with log._engine.begin() as connection:
            connection.execute(text("UPDATE nodes SET until_unix_ms = 2 WHERE node = 'old'"))

    assert {"old 1"} == kept


ADDING = {"create_table", "add_column", "create_index"}


def breaks_the_rule(source: str) -> list[str]:
    """What `upgrade()` of a migration does that a node of the version before would not survive."""
    found = []
    (function,) = [
        node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "upgrade"
    ]
    for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
        named = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        match call.func:
            case ast.Attribute(value=ast.Name(id="op"), attr=what) if what not in ADDING:
                found.append(what)
            case ast.Attribute(value=ast.Name(id="op"), attr="create_index") if named.get("unique") == "True":
                found.append("a unique index")
            case ast.Attribute(value=ast.Name(id="op"), attr="add_column"):
                column = {one.arg: ast.unparse(one.value) for one in getattr(call.args[1], "keywords", [])}
                if column.get("nullable") == "False" and "server_default" not in column:
                    found.append("a column that must be given")
            case _:
                pass
    return found


@pytest.mark.parametrize("path", sorted((migrate.MIGRATIONS / "versions").glob("*.py"))[1:], ids=lambda path: path.stem)
def test_a_migration_only_adds(path: Path) -> None:
    """It runs at a new version's start, while old nodes are in the middle of calls."""
    assert [] == breaks_the_rule(path.read_text())


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ('op.drop_column("calls", "outcome")', ["drop_column"]),
        ('op.alter_column("calls", "outcome", nullable=False)', ["alter_column"]),
        ('op.execute("UPDATE calls SET outcome = 1")', ["execute"]),
        ('op.create_index("x", "calls", ["outcome"], unique=True)', ["a unique index"]),
        ('op.add_column("calls", sa.Column("x", sa.Integer, nullable=False))', ["a column that must be given"]),
        ('op.add_column("calls", sa.Column("x", sa.Integer, nullable=False, server_default="0"))', []),
        ('op.add_column("calls", sa.Column("x", sa.Integer))', []),
    ],
)
def test_the_rule_above_can_be_broken(line: str, broken: list[str]) -> None:
    """A guard that cannot fail would be none."""
    assert broken == breaks_the_rule(f"def upgrade():\n    {line}\n")
