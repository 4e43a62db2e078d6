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

from callpath.errors import StoreError
from callpath.store import upgrade
from callpath.store.sql import SqlCallLog, open_call_log, upgrade_call_log
from callpath.timeline import Noted
from callpath.wire.ids import SessionId
from tests.postgres import new_database
from tests.store.entries import AT, SESSION, entry

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

def finish():
    op.drop_index("calls_by_outcome", "calls")
    op.drop_column("calls", "outcome")
"""
"""What a next version might bring: its second part takes away what this version writes."""

NextVersion = Callable[[], AbstractContextManager[None]]
KNOWN = upgrade.latest_revision()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return new_database(request.getfixturevalue("postgres_server"))
    return f"sqlite:///{tmp_path / 'callpath.db'}"


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NextVersion:
    """A context in which this process is the next version, with one more migration."""
    folder = tmp_path / "next"
    shutil.copytree(upgrade.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9001_next.py").write_text(NEXT.format(latest=KNOWN))

    @contextmanager
    def become() -> Iterator[None]:
        with monkeypatch.context() as patched:
            patched.setattr(upgrade, "MIGRATIONS", folder)
            yield

    return become


def tables(url: str) -> tuple[set[str], set[str]]:
    """The names of all tables, and the columns of `calls`."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    found = inspect(engine)
    names = set(found.get_table_names()), {column["name"] for column in found.get_columns("calls")}
    engine.dispose()
    return names


async def texts(log: SqlCallLog) -> set[str]:
    return {one.what.text for one in await log.read(SessionId(SESSION)) if isinstance(one.what, Noted)}


async def test_an_old_and_a_new_node_side_by_side(url: str, next_version: NextVersion) -> None:
    """A rolling deploy: both take calls, an old one may even start anew; what it does not survive waits until asked."""
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
            waits = await upgrade_call_log(url, AT)
    both = tables(url)
    async with open_call_log(url) as old_again:
        await old_again.append(entry(Noted(text="old 4")))
    with next_version():
        done = await upgrade_call_log(url, AT, post=True)
        twice = await upgrade_call_log(url, AT, post=True)

    assert {"old 1", "old 2", "old 3", "new 2", "new 3"} == seen[0] == seen[1]
    assert {"live": 1} == overview
    assert (("9001",), ()) == (waits.waiting, waits.finished)
    assert ("voices" in both[0], {"language", "outcome"} <= both[1]) == (True, True)
    assert ((), ("9001",)) == (done.waiting, done.finished)
    assert ((), ()) == (twice.waiting, twice.finished)
    assert "outcome" not in tables(url)[1]
    with pytest.raises(StoreError, match=rf"newer callpath has run callpath migrate --post on it \(9001\).*{KNOWN}"):
        async with open_call_log(url):
            pass
    with pytest.raises(StoreError, match="newer callpath has run callpath migrate --post"):
        await upgrade_call_log(url, AT)


async def test_the_second_part_waits_for_the_last_old_node(url: str, next_version: NextVersion) -> None:
    """Run too early, it would end the calls of every node that is still draining."""
    async with open_call_log(url) as old:
        await old.renew("node-a", AT + 15_000)
        with next_version():
            async with open_call_log(url) as new:
                await new.renew("node-b", AT + 90_000)
            with pytest.raises(StoreError, match=rf"would not survive 9001: node-a \(knows {KNOWN}\)\. Stop them"):
                await upgrade_call_log(url, AT + 15_000, post=True)
            untouched = tables(url)
            done = await upgrade_call_log(url, AT + 15_001, post=True)

    assert "outcome" in untouched[1]
    assert ("9001",) == done.finished


async def test_a_new_database_has_both_parts_at_once(url: str, next_version: NextVersion) -> None:
    """Nobody old can be there, and nobody should have to run a command after a first start."""
    with next_version():
        schema = await upgrade_call_log(url, AT)

    assert ("9001", ()) == (schema.revision, schema.waiting)
    assert "outcome" not in tables(url)[1]


async def test_a_node_that_is_long_gone_is_forgotten(url: str) -> None:
    """Each start is a new node; a table of all that ever were would grow for ever."""
    async with open_call_log(url) as log:
        await log.renew("first", AT)
        await log.renew("second", AT + 3_600_000)
        await log.renew("third", AT + 3_600_001)
        with log._engine.connect() as connection:
            left = set(connection.scalars(text("SELECT node FROM nodes")))

    assert {"second", "third"} == left


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


@pytest.mark.parametrize("path", sorted((upgrade.MIGRATIONS / "versions").glob("*.py"))[1:], ids=lambda path: path.stem)
def test_the_first_part_only_adds(path: Path) -> None:
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
