"""What the commands' tests share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from callpath.config import Settings
from callpath.store.port import RejectedRequest
from callpath.store.sql import open_call_log
from callpath.timeline import Entry

Run = Callable[..., Result]


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and an environment without a setting: nothing of the developer's own leaks in."""
    for item in fields(Settings):
        for name in item.metadata["names"]:
            monkeypatch.delenv(name, raising=False)
    for name in ("RAILWAY_PUBLIC_DOMAIN", "RENDER_EXTERNAL_URL", "FLY_APP_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(alone: Path) -> Run:
    """Run a command as from the terminal, in the folder `alone`."""

    def run(*arguments: str) -> Result:
        from callpath.cli.app import app

        return CliRunner().invoke(app, arguments)

    return run


@pytest.fixture
def write(alone: Path) -> Callable[..., None]:
    """Write entries into the call log that the commands will read."""

    def write(entries: Sequence[Entry], refusals: Sequence[RejectedRequest] = ()) -> None:
        async def append() -> None:
            async with open_call_log(Settings().log_url()) as log:
                for entry in entries:
                    await log.append(entry)
                for refusal in refusals:
                    await log.note_rejected(refusal)

        asyncio.run(append())

    return write
