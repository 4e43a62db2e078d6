"""CALL045: our own server turned the call away."""

from callpath.doctor.calls import show_entries, told
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import GOOD, RANG, a_call
from callpath.timeline import Unknown

WORDS = {
    "draining": "it was shutting down and takes no new calls",
    "full": "it had as many calls as it is allowed",
    "late": "its event loop was late, so it had no breath left",
}


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = next(told(known, "call.rejected"), None)
    if found is None:
        return None
    entry, fields = found
    reason = str(fields.get("reason"))
    return Finding(
        f"this server refused the call: {fields.get('detail') or WORDS.get(reason, reason)}",
        (*show_entries(known, entry), f"reason: {reason}"),
        fix={
            "draining": "Let the new process take calls before the old one is told to stop, and give the old one time.",
            "full": "Raise CALLPATH_CALLS_MAX if the machine carries more, or run another process.",
        }.get(reason, ""),
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL045",
    slug="server-turned-call-away",
    title="The server was overloaded or stopping and rejected the call",
    owner="you",
    why="A server that is stopping, full or out of breath refuses new calls, so that those under way stay good.",
    fix="Give the process more room: fewer calls, a faster machine, nothing that blocks the event loop.",
    named={"it drains": a_call(RANG, Unknown(stored={"kind": "call.rejected", "reason": "draining"}))},
    quiet={"a call that worked": a_call(GOOD)},
)
