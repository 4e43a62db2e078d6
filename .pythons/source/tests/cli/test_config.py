"""`callpath config`."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from callpath.config import Settings
from tests.cli.conftest import Run

NAMES = [item.metadata["names"][0] for item in fields(Settings)]


def test_all_settings_are_listed_with_what_they_do(run: Run) -> None:
    """It is the reference at hand."""
    result = run("config")

    assert result.exit_code == 0
    for item in fields(Settings):
        assert f"\n{item.metadata['names'][0]} " in "\n" + result.stdout
        assert item.metadata["does"] in result.stdout
    assert "(from" not in result.stdout


def test_as_json(run: Run, alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For a check in CI that a deployment is set as meant."""
    monkeypatch.setenv("PORT", "8080")
    (alone / ".env").write_text("CALLPATH_TOKEN_IN=path\n")
    result = run("config", "--json")
    rows = {row["setting"]: row for row in json.loads(result.stdout)["settings"]}

    assert list(rows) == NAMES
    assert {**rows["PORT"], "does": ""} == {"setting": "PORT", "value": "8080", "origin": "PORT", "does": ""}
    assert all(row["does"] for row in rows.values())
    assert (rows["CALLPATH_TOKEN_IN"]["value"], rows["CALLPATH_TOKEN_IN"]["origin"]) == (
        "path",
        "CALLPATH_TOKEN_IN",
    )
    assert (rows["HOST"]["value"], rows["HOST"]["origin"]) == ("0.0.0.0", "default")


def test_the_origin_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a value that nobody remembers comes from is the reason to run this."""
    monkeypatch.setenv("FLY_APP_NAME", "calls")
    lines = run("config").stdout.splitlines()

    assert [line.split() for line in lines if line.startswith("PUBLIC_URL ")] == [
        ["PUBLIC_URL", "https://calls.fly.dev", "(from", "FLY_APP_NAME)"]
    ]


@pytest.mark.parametrize("arguments", [["config"], ["config", "--json"]], ids=" ".join)
def test_secrets_are_masked(run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    """The output is pasted into issues. That one is set must still show."""
    monkeypatch.setenv("TELNYX_API_KEY", "KEY0123hush")
    monkeypatch.setenv("CALLPATH_SECRET", "s3cret-hush")
    monkeypatch.setenv("DATABASE_URL", "postgresql://calls:dbhush@db.example.com/calls")
    result = run(*arguments)

    assert result.exit_code == 0
    assert "hush" not in result.output
    assert result.stdout.count("***") == 3
    assert "db.example.com" in result.stdout


def test_a_wrong_setting_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 3, one line, no half a list."""
    monkeypatch.setenv("CALLPATH_PLAY_RATE_HZ", "44100")
    result = run("config", "--json")

    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("callpath: CALLPATH_PLAY_RATE_HZ is '44100'")
    assert "Traceback" not in result.output
