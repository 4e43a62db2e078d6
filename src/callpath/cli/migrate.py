"""`callpath migrate`: how far the call log's tables are; `--post` runs what older versions would not survive."""

from __future__ import annotations

import asyncio

import typer

from callpath.cli.environment import clear_errors, load_settings


def migrate(
    post: bool = typer.Option(False, "--post", help="Run the second part, too: older versions cannot come back then."),
) -> None:
    """Bring the call log's tables up to date, as every start does, and say what waits for --post."""
    with clear_errors():
        from callpath.clock import SystemClock
        from callpath.store.sql import upgrade_call_log

        settings, _ = load_settings()
        schema = asyncio.run(upgrade_call_log(settings.log_url(), SystemClock().now_unix_ms(), post=post))
    typer.echo(f"The call log {schema.name} is at {schema.revision}.")
    for revision in schema.finished:
        typer.echo(f"{revision} is finished; versions that do not know it cannot open this log any more.")
    if schema.waiting:
        typer.echo(f"{', '.join(schema.waiting)}: callpath migrate --post, once no older version is to come back.")
    else:
        typer.echo("Nothing waits for callpath migrate --post.")
