"""TELNYX024: nothing takes webhooks at that path."""

from callpath.doctor.accounts import newest_failure
from callpath.doctor.calls import webhook
from callpath.doctor.edges import from_telnyx, posts, show_row, unreached
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample_account import delivered, delivery, refused_key
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def telnyx_delivery_404(facts: Facts) -> Finding | None:
    failure = newest_failure(facts)
    if failure is None or failure.status not in (404, 405, 410):
        return None
    if failure.by_callpath:
        return Finding(
            f"a callpath server was reached and answered {failure.status}: webhooks are not taken at that path",
            failure.evidence,
        )
    if "Application not found" in failure.body:
        return Finding(
            "the host's edge has no application behind that name (Application not found)",
            failure.evidence,
            fix="Attach the domain to the service at the host, deploy it, or correct the host in PUBLIC_URL and in "
            "the application.",
        )
    return Finding(f"the newest webhook was answered with {failure.status}", failure.evidence)


def edge_webhook_404(facts: Facts) -> Finding | None:
    rows = posts(facts)
    lost = [row for row in rows if row.status == 404 and not unreached(row)]
    if not lost:
        return None
    paths = {row.path for row in lost}
    if any(row.status < 300 for row in rows):
        return None  # some other path takes them
    call = facts.get(CallFacts)
    if call is not None and webhook(call, "call.hangup") is not None and not any(map(from_telnyx, lost)):
        return None  # the application got Telnyx's; these may be anybody's
    return Finding(
        f"{len(lost)} POST{'s' if len(lost) > 1 else ''} to {', '.join(sorted(paths)[:3])} answered with 404",
        tuple(show_row(row) for row in lost[:3]),
    )


CAUSE = Cause(
    code="TELNYX024",
    slug="webhook-404",
    title="Nothing takes webhooks at that path",
    owner="you",
    why="The webhook URL names a path that does not exist there, or another program answers for that host.",
    fix="Set the application's webhook URL to the one that `callpath serve` prints when it starts; a proxy in front "
    "has to pass its path on.",
    signs=(
        Sign(
            "account",
            telnyx_delivery_404,
            named={
                "somebody's 404": delivered(delivery(404, "Not Found")),
                "a callpath server's own": delivered(delivery(404, headers=[["X-Callpath", "0.1"]])),
                "the edge knows no such application": delivered(delivery(404, '{"message":"Application not found"}')),
            },
            quiet={
                "another error": delivered(delivery(500)),
                "fixed since": delivered(delivery(404, at=1), delivery(200, at=2)),
            },
            unchecked={"no webhook within a day": delivered(), "the key was refused": refused_key()},
        ),
        Sign(
            "edge",
            edge_webhook_404,
            code="EDGE017",
            title="Webhooks come to a path that does not exist",
            why="The URL in the Call Control application leads to this host, and to a path that the application does "
            "not serve. No event is ever seen, so nothing is ever answered.",
            fix="Put the URL that your server names at its start into the Call Control application, path and all.",
            named={"404": seen_at_edge(row("POST", 404))},
            quiet={"200": seen_at_edge(row("POST"))},
        ),
    ),
)
