"""`callpath migrate`: bring the call log's tables up to date before a deploy does."""

from __future__ import annotations

import asyncio

import typer

from callpath.cli.environment import clear_errors, load_settings


def migrate() -> None:
    """Bring the call log's tables up to date, as every start does."""
    with clear_errors():
        from callpath.store.sql import migrate_call_log

        settings, _ = load_settings()
        name, revision = asyncio.run(migrate_call_log(settings.log_url()))
    typer.echo(f"The call log {name} is at {revision}.")
