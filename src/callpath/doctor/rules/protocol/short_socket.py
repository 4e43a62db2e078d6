"""EDGE016: the socket was opened and closed again at once."""

from callpath.doctor.calls import ended_unix_ms, every
from callpath.doctor.edges import SHORT_MS, show_row, upgrades
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_edge import row, seen_at_edge
from callpath.timeline import FirstInbound, FirstOutbound


def check(facts: Facts) -> Finding | None:
    call = facts[CallFacts]
    rows = [row for row in upgrades(facts) if row.status == 101 and row.duration_ms is not None]
    if not rows or any(row.duration_ms >= SHORT_MS for row in rows if row.duration_ms is not None):
        return None
    end = ended_unix_ms(call)
    if end is None or end - rows[-1].at_unix_ms < 2_000 or every(call, FirstOutbound, FirstInbound):
        return None
    return Finding(
        f"the socket lived {rows[-1].duration_ms:.0f} ms, the call {(end - rows[-1].at_unix_ms) / 1000:.0f} s longer",
        tuple(show_row(row) for row in rows[:3]),
        kind="open",
        candidates=("app-closes-stream", "app-crash-on-connect", "session-lookup-fails", "message-too-big-1009"),
        question="What did the application do right after it had accepted? Its log at that second, or callpath "
        "doctor url, says.",
    )


CAUSE = Cause.of(
    "edge",
    check,
    code="EDGE016",
    slug="socket-closed-at-once",
    title="The socket was opened and closed again at once",
    owner="unclear",
    why="The edge's row has 101 with a life of less than a few seconds, in a call that went on: the application "
    "closed it, failed in its handler, or did not find the call.",
    fix="Look for an exception or a close in the application's log right after the socket was received; callpath "
    "doctor url shows the close code.",
    named={"40 ms of a call of 20 s": seen_at_edge(row("GET", 101, duration=40))},
    quiet={"a whole call": seen_at_edge(row("GET", 101, duration=18_000))},
)
