"""Rows of an edge beside a call whose stream was accepted, as short literals for the examples of the rules."""

from __future__ import annotations

from callpath.doctor.facts import EdgeFacts, EdgeRow, Facts, LogFacts, LogLine
from callpath.doctor.rules.sample_call import (
    ANSWERED,
    BEGIN_UNIX_MS,
    BOTH_WAYS,
    HEARD,
    HOST,
    SESSION,
    STREAM,
    TAKEN,
    URL,
    asking,
    call,
    hung_up,
)
from callpath.timeline import StreamStopped

PATH = f"/api/calls/{SESSION}/audio"


def row(
    method: str,
    status: int = 200,
    *,
    at_ms: int = 1_000,
    path: str = "",
    duration: float | None = 12.0,
    errors: tuple[str, ...] = (),
    deployment: str = "",
    agent: str | None = None,
) -> EdgeRow:
    """A request as the edge logged it; a GET is the stream's upgrade, a POST a webhook of Telnyx's."""
    return EdgeRow(
        at_unix_ms=BEGIN_UNIX_MS + at_ms,
        method=method,
        path=path or (PATH if method == "GET" else "/webhook"),
        status=status,
        host=HOST,
        duration_ms=duration,
        upstream_ms=None if errors else 3.0,
        upstream_address="10.0.0.7:8080",
        upstream_errors=errors,
        deployment_id=deployment,
        user_agent=agent if agent is not None else "telnyx-webhooks" if method == "POST" else "",
    )


def seen_at_edge(
    *rows: EdgeRow,
    host: str = HOST,
    until_ms: int = 90_000,
    process: tuple[str, ...] = (),
    dropped: bool = False,
    platform: str = "Railway",
) -> Facts:
    """A call of 20 s whose stream was accepted and never came to the application, and these rows."""
    happened = [*ANSWERED, *asking(URL.replace(HOST, host)), *TAKEN]
    lines = tuple(
        LogLine(BEGIN_UNIX_MS + 900, text.partition(":")[0], text.partition(": ")[2], number)
        for number, text in enumerate(process, 1)
    )
    return Facts(
        call(happened, (20_000, hung_up()), source="logs"),
        EdgeFacts(
            platform=platform, rows=rows, from_unix_ms=BEGIN_UNIX_MS - 60_000, until_unix_ms=BEGIN_UNIX_MS + until_ms
        ),
        LogFacts(formats=("text",), lines=100, process=lines, dropped=dropped),
    )


def stopped_in_call(at_ms: int = 10_000) -> Facts:
    """A call of 20 s with a stream, and a process that is told to stop."""
    line = LogLine(BEGIN_UNIX_MS + at_ms, "stopping", "Received SIGTERM", 7)
    return Facts(
        call(BOTH_WAYS, (20_000, hung_up()), source="logs"), LogFacts(formats=("text",), lines=100, process=(line,))
    )


def drained_in_call() -> Facts:
    """The same, and the stream ends in order before the process does."""
    line = LogLine(BEGIN_UNIX_MS + 10_000, "stopping", "Received SIGTERM", 7)
    return Facts(
        call(BOTH_WAYS, (19_500, StreamStopped(stream_id=STREAM)), (20_000, hung_up()), source="logs"),
        LogFacts(formats=("text",), lines=100, process=(line,)),
    )


def logged(*process: str, spoke: bool = False) -> Facts:
    """A call in a log, with the caller's audio coming in (and ours out), and lines about the process at its beginning."""
    lines = tuple(
        LogLine(BEGIN_UNIX_MS + 900, text.partition(":")[0], text.partition(": ")[2], number)
        for number, text in enumerate(process, 1)
    )
    return Facts(
        call(BOTH_WAYS if spoke else HEARD, (20_000, hung_up()), source="logs"),
        LogFacts(formats=("text",), lines=9, process=lines),
    )
