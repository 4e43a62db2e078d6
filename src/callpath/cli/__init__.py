"""The command line: one file a command, and the only place where the parts are put together.

app          the commands, each in a file of its own   (start here)
serve        run the call server
demo         one call the whole way, and one that is broken
dial         have the running server call somebody
calls        list calls, show a timeline
recording    keep a recording in less space, or fetch one from where recordings are kept
doctor       name the one cause: of a URL;  doctor_call  of a call;  doctor_logs  from anybody's logs;
             doctor_account  how the account and the host are set, and --fix;  doctor_judge  evidence that was kept
             doctor_deploy  what the project's files tell platforms;  doctor_all  all of it, in order
             doctor_bundle  all that a bug report needs in one file
simulate     a Telnyx simulator;  simulate_load  many calls at once;  simulate_report  what both say
dashboard    what serve gives the dashboard: a second server for the browser phone
migrate      bring the call log's tables up to date
config       every setting and its origin
environment  reads variables and .env; nothing below cli/ does
logs         how the server logs
traces       whether OpenTelemetry's variables ask for traces
"""

from __future__ import annotations


def main() -> None:
    """Entry point of the `callpath` script."""
    import io
    import sys

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows only ASCII shows the rest as codes
    from callpath.cli.app import app

    app()
