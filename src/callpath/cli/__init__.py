"""The command line: one file a command, and the only place where the parts are put together.

app          the commands, each in a file of its own   (start here)
serve        run the call server
demo         one call the whole way, and one that is broken
calls        list calls, show a timeline
doctor       name the one cause
simulate     a stand-in Telnyx
config       every setting and its origin
environment  reads variables and .env; nothing below cli/ does
logs         how the server logs
"""

from __future__ import annotations


def main() -> None:
    """Entry point of the `callpath` script."""
    from callpath.cli.app import app

    app()
