"""TELNYX027: webhooks are answered with a server error, or too late."""

from __future__ import annotations

from callpath.doctor.accounts import newest_failure
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample_account import delivered, delivery, refused_key


def check(facts: Facts) -> Finding | None:
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


RULE = Rule(
    code="TELNYX027",
    slug="webhook-not-2xx-or-slow",
    title="Webhooks are answered with a server error",
    layer="webhook",
    owner="you",
    why="The proxy or the host's edge cannot reach the program (502, 503, 504), or the program fails (500). Telnyx tries "
    "again for a minute at most, then the event is lost.",
    fix="502 and 503: start the program, bind it to 0.0.0.0 and the port that the host gives in PORT. 500: see the "
    "program's log. 504: answer first, work after.",
    masked_by=("TELNYX001", "TELNYX010", "PLATFORM001", "PLATFORM006"),
    check=check,
    examples=(
        Example("the edge cannot reach the program", delivered(delivery(502, "Application failed to respond")), fires=True),
        Example("our own store fails", delivered(delivery(503, headers=[["x-callpath", "0.1"]])), fires=True),
        Example("delivered", delivered(delivery(200)), fires=False),
        Example("mended since", delivered(delivery(502, at=1), delivery(200, at=2)), fires=False),
        Example("at the URL of before", delivered(delivery(502, url="https://old.example.com/hook", at=2),
                                                  delivery(200, at=1)), fires=False),
        Example("no webhook within a day", delivered(), fires=None),
        Example("the key was refused", refused_key(), fires=None),
    ),
)  # fmt: skip
