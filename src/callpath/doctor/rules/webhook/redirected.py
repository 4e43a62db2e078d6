"""TELNYX023: webhooks are answered with a redirect."""

from callpath.doctor.accounts import newest_failure
from callpath.doctor.edges import posts, show_row
from callpath.doctor.facts import EdgeFacts, Facts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample_account import delivered, delivery, refused_key
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def telnyx_delivery_redirect(facts: Facts) -> Finding | None:
    failure = newest_failure(facts)
    if failure is None or failure.status is None or not 300 <= failure.status < 400:
        return None
    return Finding(f"the newest webhook was answered with {failure.status}", failure.evidence)


def edge_webhook_redirected(facts: Facts) -> Finding | None:
    hooks = posts(facts)
    moved = [row for row in hooks if row.status in {301, 302, 303, 307, 308}]
    if not moved:
        return None
    paths = {row.path for row in moved}
    if any(row.path in paths and row.status < 300 for row in hooks):
        return None
    turned = [
        row for row in facts[EdgeFacts].rows if row.method == "GET" and row.path in paths and row.status in {404, 405}
    ]
    return Finding(
        f"{len(moved)} webhooks were answered with {moved[0].status}"
        + (f", and came back as GET → {turned[0].status}" if turned else ""),
        tuple(show_row(row) for row in (*moved[:2], *turned[:2])),
    )


CAUSE = Cause(
    code="TELNYX023",
    slug="webhook-redirected",
    title="Webhooks are answered with a redirect",
    owner="you",
    why="Telnyx does not follow it everywhere, and where it does, a POST arrives as a GET: http in place of https, a "
    "missing slash, www, or a login page in front.",
    fix="Enter the final URL in the application: https, the exact host and path, no slash at the end. curl -sI -X "
    "POST URL shows where it leads.",
    signs=(
        Sign(
            "account",
            telnyx_delivery_redirect,
            named={"to https": delivered(delivery(301))},
            quiet={"an error": delivered(delivery(500)), "delivered": delivered(delivery(200))},
            unchecked={"no webhook within a day": delivered(), "the key was refused": refused_key()},
        ),
        Sign(
            "edge",
            edge_webhook_redirected,
            code="EDGE008",
            title="The webhook's URL redirects, which turns POST into GET",
            why="The webhook's URL is http:// or another host than the final one. The edge answers 301, the POST "
            "becomes a GET, and the application answers 404 or 405.",
            fix="Put the final https:// URL into the Call Control application.",
            named={"301, then GET 405": seen_at_edge(row("POST", 301), row("GET", 405, path="/webhook"))},
            quiet={"200": seen_at_edge(row("POST"))},
        ),
    ),
)
