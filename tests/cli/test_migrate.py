"""`callpath migrate`."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from callpath.store.upgrade import latest_revision
from tests.cli.conftest import Run


def test_it_says_where_the_tables_are(run: Run, alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an update one wants to know whether anything is left to do."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{alone / 'calls.db'}")
    first, again = run("migrate"), run("migrate", "--post")

    assert (0, 0) == (first.exit_code, again.exit_code)
    assert f"calls.db is at {latest_revision()}.\nNothing waits" in first.stdout
    assert first.stdout == again.stdout


def test_a_log_that_has_gone_too_far_is_told(run: Run, alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a step back to an older version: one line, what to do, and the exit code of a problem."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{alone / 'calls.db'}")
    run("migrate")
    with sqlite3.connect(alone / "calls.db") as connection:
        connection.execute("INSERT INTO finished VALUES ('9001')")
    connection.close()
    result = run("migrate", "--post")

    assert 1 == result.exit_code
    assert "newer callpath has run callpath migrate --post on it (9001)" in result.stderr
