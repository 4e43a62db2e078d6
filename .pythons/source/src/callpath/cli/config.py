"""`callpath config`: every setting, its value, and where it came from."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import typer

from callpath.cli.environment import clear_errors, load_settings


def _without_password(text: str) -> str:
    """A database URL may carry one."""
    return re.sub(r"(://[^/@]*?:)[^/@]+@", r"\1***@", text)


def config(as_json: bool = typer.Option(False, "--json", help="One JSON document.")) -> None:
    """List all settings with their origin; secrets are masked."""
    with clear_errors():
        settings, origins = load_settings()
    rows = []
    for item in fields(settings):
        value = getattr(settings, item.name)
        shown = ("***" if value else "") if item.metadata["secret"] else _without_password(str(value))
        rows.append(
            {
                "setting": item.metadata["names"][0],
                "value": shown,
                "origin": origins[item.name],
                "does": item.metadata["does"],
            }
        )
    if as_json:
        typer.echo(json.dumps({"settings": rows}, indent=2))
        return
    width = max(len(row["setting"]) for row in rows)
    for row in rows:
        origin = "" if row["origin"] == "default" else f"   (from {row['origin']})"
        typer.echo(f"{row['setting']:{width}}  {row['value'] or '-'}{origin}")
        typer.echo(f"{'':{width}}  {row['does']}")
