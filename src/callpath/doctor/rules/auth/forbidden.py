"""EDGE011: the upgrade was refused with 403."""

from callpath.doctor.edges import failed_upgrades, refused_by_us, show_row
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def check(facts: Facts) -> Finding | None:
    rows = failed_upgrades(facts, 403, 406, 451)
    if not rows or refused_by_us(facts):
        return None
    through = rows[0].upstream_ms is not None or rows[0].upstream_address
    candidates = ("asgi-route-missing-403", "ws-origin-check-403", "ip-allowlist-403")
    return Finding(
        f"the upgrade was answered with {rows[0].status}" + (" by the application" if through else ""),
        tuple(show_row(row) for row in rows[:3]),
        kind="open",
        candidates=candidates if through else (*candidates, "waf-blocks-upgrade", "cloudflare-challenge-403"),
        question="Who said it? callpath doctor url on that URL reads the answer; from another address it may pass.",
    )


CAUSE = Cause.of(
    "edge",
    check,
    code="EDGE011",
    slug="ws-refused-403",
    title="The upgrade was refused with 403",
    owner="unclear",
    why="403 has many authors: a framework without a route for the path (Starlette, FastAPI), a check of the "
    "Origin header, a list of addresses, a firewall for web applications.",
    fix="callpath doctor url on the stream's URL tells them apart by the answer's headers and body.",
    named={"403": seen_at_edge(row("GET", 403))},
    quiet={"404": seen_at_edge(row("GET", 404))},
)
