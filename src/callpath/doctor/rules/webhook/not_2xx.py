"""TELNYX027: webhooks are answered with a server error, or too late."""

from callpath.doctor.accounts import newest_failure
from callpath.doctor.edges import asked_for, came, posts, show_row, unreached
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample_account import delivered, delivery, refused_key
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def telnyx_delivery_5xx(facts: Facts) -> Finding | None:
    failure = newest_failure(facts)
    if failure is None or failure.status is None or not (failure.status >= 500 or failure.status == 408):
        return None
    if failure.by_callpath:
        return Finding(
            f"the callpath server answered the newest webhook with {failure.status}: it could not store it",
            failure.evidence,
            fix="See the server's log for webhook.not_stored: disk full, folder not writable, database gone.",
        )
    return Finding(f"the newest webhook was answered with {failure.status}", failure.evidence)


def edge_webhook_refused(facts: Facts) -> Finding | None:
    rows = [row for row in posts(facts) if not unreached(row)]
    bad = [
        row
        for row in rows
        if row.status in {400, 401, 403, 405, 408, 409, 413, 415, 422, 429, 499} or 500 <= row.status < 600
    ]
    if not bad:
        return None
    statuses = ", ".join(sorted({str(row.status) for row in bad}))
    everything = not any(row.status < 300 for row in rows)
    call = facts.get(CallFacts)
    if not everything and call is not None and (came(facts) or asked_for(facts)):
        return Finding(
            f"{len(bad)} of {len(rows)} webhooks were answered with {statuses}",
            tuple(show_row(row) for row in bad[:3]),
            kind="note",
        )
    return Finding(
        f"{len(bad)} of {len(rows)} webhooks were answered with {statuses}",
        tuple(show_row(row) for row in bad[:3]),
        confidence="high" if everything else "medium",
    )


CAUSE = Cause(
    code="TELNYX027",
    slug="webhook-not-2xx-or-slow",
    title="Webhooks are answered with a server error",
    owner="you",
    why="The proxy or the host's edge cannot reach the program (502, 503, 504), or the program fails (500). Telnyx "
    "tries again for a minute at most, then the event is lost.",
    fix="502 and 503: start the program, bind it to 0.0.0.0 and the port that the host gives in PORT. 500: see the "
    "program's log. 504: answer first, work after.",
    signs=(
        Sign(
            "account",
            telnyx_delivery_5xx,
            named={
                "the edge cannot reach the program": delivered(delivery(502, "Application failed to respond")),
                "our own store fails": delivered(delivery(503, headers=[["x-callpath", "0.1"]])),
            },
            quiet={
                "delivered": delivered(delivery(200)),
                "fixed since": delivered(delivery(502, at=1), delivery(200, at=2)),
                "at the URL of before": delivered(
                    delivery(502, url="https://old.example.com/hook", at=2), delivery(200, at=1)
                ),
            },
            unchecked={"no webhook within a day": delivered(), "the key was refused": refused_key()},
        ),
        Sign(
            "edge",
            edge_webhook_refused,
            code="EDGE018",
            title="Webhooks were not answered with 2xx",
            why="Telnyx takes everything but 2xx for a failure. What is answered with 4xx is mostly not sent again, "
            "so the event, and the command that hangs on it, is lost.",
            fix="Answer 200 first and work afterwards. 401 or 403: check the public key, the clock, and any guard or "
            "firewall over the path.",
            named={"all refused": seen_at_edge(row("POST", 401))},
            quiet={"200": seen_at_edge(row("POST"))},
        ),
    ),
)
