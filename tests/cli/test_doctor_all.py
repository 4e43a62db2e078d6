"""`callpath doctor` alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from callpath.doctor.rules import sample_call
from tests.cli.conftest import Run

Write = Callable[..., None]


@pytest.fixture
def settings(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://calls.example.com")
    monkeypatch.setenv("TELNYX_API_KEY", "KEY1")
    monkeypatch.setenv("TELNYX_PUBLIC_KEY", "iPkH4N0a2pEBXFgq1vLkX2n7yLQyTtBmC2hH7V7cJpM=")


def test_a_new_user_is_told_what_to_set(run: Run) -> None:
    """Before anything is set there is no sense in asking anybody."""
    told = run("doctor")

    assert told.exit_code == 3
    assert "✗ configuration" in told.stdout
    assert told.stdout.count("\n  - ") == 3
    assert "TELNYX_PUBLIC_KEY  the same page, Public Key" in told.stdout
    assert max(map(len, told.stdout.splitlines())) <= 80


@pytest.mark.usefixtures("settings")
def test_the_first_problem_is_shown_in_full(run: Run, write: Write) -> None:
    """One line for each part, and the exit code is the problem's own."""
    write(sample_call.call(sample_call.CAME, (20_000, sample_call.hung_up())).entries)
    told = run("doctor", "--offline")
    asked = json.loads(run("doctor", "--offline", "--json").stdout)

    assert told.exit_code == 4
    assert "✓ configuration" in told.stdout
    assert "the socket opened and brought no start frame" in " ".join(told.stdout.split())
    assert [(part["name"], part["status"]) for part in asked["parts"]] == [
        ("configuration", "ok"), ("account", "not asked"), ("public URL", "not asked"), ("last call", "not decided"),
    ]  # fmt: skip
    assert asked["parts"][-1]["diagnosis"]["undecided"]["slug"] == "stream-never-started"


@pytest.mark.usefixtures("settings")
def test_all_is_well(run: Run, write: Write) -> None:
    """Exit 0 only where the last call was heard both ways."""
    write(sample_call.call(sample_call.GOOD).entries)
    told = run("doctor", "--offline")

    assert (told.exit_code, "Nothing is wrong" in told.stdout) == (0, True)
