"""EDGE015: the socket was opened, and the application's log does not tell of it."""

from callpath.doctor.edges import asked_for, came, refused_by_us, show_row, upgrades
from callpath.doctor.facts import CallFacts, Facts, LogFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    call = facts[CallFacts]
    rows = [row for row in upgrades(facts) if row.status == 101]
    if not rows or came(facts) or refused_by_us(facts) or not asked_for(facts):
        return None
    log = facts.get(LogFacts)
    if log is not None and log.dropped:
        return Finding(
            "the edge opened the socket (101); the platform says that it dropped lines of the log",
            tuple(show_row(row) for row in rows[:2]),
        )
    if not call.shows("socket.received"):
        return Finding(
            "the edge opened the socket (101); this log never tells of sockets",
            tuple(show_row(row) for row in rows[:2]),
            kind="note",
        )
    return Finding(
        "the edge opened the socket (101), and this log has nothing of it",
        tuple(show_row(row) for row in rows[:2]),
        kind="open",
        candidates=("logs-dropped", "wrong-instance"),
        question="Are these the logs of all instances, and were lines dropped (500 a second on Railway)?",
    )


CAUSE = Cause.of(
    "edge",
    check,
    code="EDGE015",
    slug="logs-dropped",
    title="The socket was opened, and the application's log does not tell of it",
    owner="unclear",
    why="The edge has a row with 101 for this call: the way is open and somebody took the socket. That the "
    "application's log is silent means dropped lines, another instance, or another service.",
    fix="Write fewer lines (platforms drop some above a rate), and read the logs of all instances.",
    named={"101, and lines were dropped": seen_at_edge(row("GET", 101, duration=20_000), dropped=True)},
    quiet={"404": seen_at_edge(row("GET", 404))},
)
