"""CALL005: no webhook of any call ever came."""

from callpath.doctor.facts import CallFacts, Facts, RefusalFacts, ServedFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import RANG, call, refusals


def check(facts: Facts) -> Finding | None:
    known, refusals = facts[CallFacts], facts[RefusalFacts]
    if known.entries or any(row.what == "webhook" for row in refusals.latest):
        return None
    served = facts.get(ServedFacts)
    where = f" Webhooks belong at {served.webhook_url}." if served is not None else ""
    return Finding(
        "the call log holds no call, and no webhook was refused: as far as this server knows, Telnyx never called it",
        (f"webhook URL by the settings: {served.webhook_url}",) if served is not None else (),
        kind="open",
        candidates=("number-not-assigned", "webhook-404", "webhook-blocked", "app-inactive-or-deleted"),
        question="Does the Call Control application point to this server, and the number to that application? "
        "callpath doctor account asks Telnyx (TELNYX_API_KEY); callpath doctor logs shows what came to the "
        f"platform.{where}",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL005",
    slug="webhook-never-came",
    title="No webhook ever came",
    owner="unclear",
    why="A call begins with the webhook call.initiated. Where none comes, the number leads elsewhere, the application "
    "has another URL, or something before the server turns Telnyx away.",
    fix="Run callpath doctor account, and call the number again.",
    named={"an empty call log": Facts(call(), RefusalFacts(count=0, latest=()))},
    quiet={
        "webhooks were refused": Facts(call(), refusals("stale")),
        "a call": Facts(call(RANG), RefusalFacts(count=0, latest=())),
    },
)
