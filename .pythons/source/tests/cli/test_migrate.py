"""`callpath migrate`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_it_says_where_the_tables_are(run: Run, alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a deploy that changes the tables before it replaces the servers; a second run changes nothing."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{alone / 'calls.db'}")
    first, again = run("migrate"), run("migrate")

    assert (0, 0) == (first.exit_code, again.exit_code)
    assert first.stdout == again.stdout == f"The call log {alone / 'calls.db'} is at 0004.\n"


def test_a_log_that_cannot_be_changed_is_named(run: Run, alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line and the exit code of a problem, so that the deploy stops there."""
    (alone / "calls.db").write_bytes(b"RIFF" * 4096)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{alone / 'calls.db'}")
    result = run("migrate")

    assert 1 == result.exit_code
    assert f"the call log {alone / 'calls.db'} cannot be changed: file is not a database" in result.stderr
