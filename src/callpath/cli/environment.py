"""The only place that reads the environment and .env, and the exit codes that all commands share."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum

import typer
from dotenv import dotenv_values

from callpath.config import Settings, read_settings
from callpath.errors import CallpathError, ConfigError, StoreError


class Exit(IntEnum):
    """What a command's exit code means."""

    OK = 0
    PROBLEM = 1
    USAGE = 2
    CONFIGURATION = 3
    NETWORK = 4
    SILENT = 5
    MISSED = 6
    INCONCLUSIVE = 7


def named_values(flags: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Every named value that could be a setting: flag > environment > .env."""
    try:
        dotenv = {name: value for name, value in dotenv_values(".env").items() if value}
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigError(".env", f"cannot be read: {error}", "Save it as UTF-8 text, one NAME=value a line") from None
    given = {name: value for name, value in (flags or {}).items() if value}
    return {**dotenv, **os.environ, **given}


LIBRARIES = ("AWS_", "GOOGLE_", "AZURE_", "OTEL_")
"""How the names begin that libraries of ours read from the environment by themselves."""


def export_for_libraries() -> list[str]:
    """What .env says to libraries (credentials of object stores, where traces go) into the environment, where they look.
    Returns those of the values that must never be printed."""
    secrets = []
    for name, value in named_values().items():
        if name.startswith(LIBRARIES):
            os.environ.setdefault(name, value)
            if any(word in name for word in ("SECRET", "TOKEN", "ACCOUNT_KEY", "SAS", "HEADERS")):
                secrets.append(value)
    return secrets


def load_settings(flags: Mapping[str, str | None] | None = None) -> tuple[Settings, dict[str, str]]:
    """Settings and where each came from. Raises ConfigError."""
    return read_settings(named_values(flags))


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn errors of ours into one clear line on stderr and the right exit code, without a traceback."""
    try:
        yield
    except ConfigError as error:
        typer.secho(f"callpath: {error}", err=True, fg="red")
        raise typer.Exit(Exit.CONFIGURATION) from None
    except StoreError as error:
        typer.secho(f"callpath: {error}", err=True, fg="red")
        raise typer.Exit(Exit.PROBLEM) from None
    except CallpathError as error:
        typer.secho(f"callpath: {error}", err=True, fg="red")
        raise typer.Exit(Exit.PROBLEM) from None


def width() -> int:
    """The columns of the terminal; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 80
