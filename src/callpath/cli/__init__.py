"""The command line: one file a command, and the only place where the parts are put together.

Start at `main`. `environment` reads variables and .env into settings; nothing below cli/ does.
"""

from __future__ import annotations


def main() -> None:
    """Entry point of the `callpath` script."""
    from callpath.cli.app import app

    app()
