"""EDGE009: the application answered the upgrade as if it were an ordinary request."""

from callpath.doctor.calls import url_asked
from callpath.doctor.edges import failed_upgrades, from_telnyx, refused_by_us, show_row
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_edge import row, seen_at_edge

CANDIDATES = {
    200: (
        "spa-fallback-200",
        "app-has-no-websocket",
        "fastify-websocket-plugin-order",
        "proxy-upgrade-headers-stripped",
    ),
    400: ("node-ws-path-pattern", "proxy-upgrade-headers-stripped", "ws-host-check"),
    426: ("proxy-upgrade-headers-stripped", "ws-version-or-key-rejected"),
}


def check(facts: Facts) -> Finding | None:
    rows = failed_upgrades(facts, 200, 204, 400, 405, 426, 501, 505)
    if not rows or refused_by_us(facts):
        return None
    status = rows[0].status
    call = facts.get(CallFacts)
    sure = status == 200 and call is not None and bool(url_asked(call)) and all(from_telnyx(row) for row in rows)
    return Finding(
        f"the upgrade was answered with {status} instead of 101",
        tuple(show_row(row) for row in rows[:3]),
        kind="fault" if sure else "open",
        confidence="medium",
        candidates=CANDIDATES.get(status, ("app-has-no-websocket", "proxy-upgrade-headers-stripped")),
        question="What stands in that answer? callpath doctor url on the stream's URL reads it and names the cause.",
    )


CAUSE = Cause.of(
    "edge",
    check,
    code="EDGE009",
    slug="upgrade-not-taken",
    title="The application answered the upgrade as if it were an ordinary request",
    owner="you",
    why="Telnyx came through to the application, which answered with a page or an error in place of 101: no WebSocket "
    "on that path, one that is attached to another server or pattern, or the upgrade's headers lost on the way.",
    fix="callpath doctor url tells these apart by the body and the headers of the answer.",
    named={"426": seen_at_edge(row("GET", 426))},
    quiet={"101": seen_at_edge(row("GET", 101, duration=20_000))},
)
