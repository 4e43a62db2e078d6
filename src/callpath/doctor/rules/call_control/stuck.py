"""CALL086: the line stayed up when nothing more happened on it."""

from callpath.doctor.calls import ended_unix_ms, first, refusals, show_entries, told
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import BOTH_WAYS, GOOD, a_call
from callpath.timeline import HandlerEnded, HandlerFailed

LEFT_UP_MS = 60_000


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    stuck = next(told(known, "call.stuck"), None)
    if stuck is not None:
        entry, fields = stuck
        return Finding(
            f"the line was up and the call went nowhere ({fields.get('reason')})",
            show_entries(known, entry),
            confidence="medium",
        )
    over = first(known, HandlerEnded, HandlerFailed)
    if over is None or ended_unix_ms(known) is not None or known.looked_at_unix_ms - over.at_unix_ms < LEFT_UP_MS:
        return None
    refused_hangup = [entry for entry, _ in refusals(known, "hangup")]
    return Finding(
        f"the handler was over {(known.looked_at_unix_ms - over.at_unix_ms) / 1000:.0f} s ago, and no call.hangup came",
        show_entries(known, over, *refused_hangup[-1:]),
        kind="open",
        candidates=("webhooks-partly-missing", "line-left-up"),
        question="Is the line still up? Telnyx says it (GET /calls/{call_control_id}); a forgotten line is billed. "
        "Either the hang-up was not carried out, or its webhook was lost.",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL086",
    slug="line-left-up",
    title="Call leg still up after the application finished (leaked call)",
    owner="you",
    why="Closing the socket ends neither the stream nor the call; only hangup does. A line that nobody ends is "
    "billed up to 4 hours.",
    fix="Send hangup when the handler is done. callpath does; see why it did not come through.",
    named={"no hang-up for minutes": a_call(BOTH_WAYS, HandlerEnded(), looked_ms=300_000)},
    quiet={"hung up": a_call(GOOD)},
)
