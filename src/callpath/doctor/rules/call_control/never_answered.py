"""CALL013: the call came in, and no command to answer it was sent."""

from callpath.call.session import Stage
from callpath.doctor.calls import COMMAND_MS, asked, never, overdue, payload, show_entries, waited_ms, webhook
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import ANSWERED, RANG, a_call, answered, hung_up, sent
from callpath.timeline import CallDecided, CommandAnswered, CommandSent

SERVING = {"answer", "reject", "hangup", "transfer", "bridge", "enqueue"}
"""Commands that serve a call that rings."""


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    rang = webhook(known, "call.initiated")
    leg = known.state.leg
    if (
        rang is None
        or payload(rang).get("direction", "incoming") == "outgoing"
        or (leg and leg.direction == "outgoing")
    ):
        return None
    if Stage.CALL_ANSWERED in known.state.stages or Stage.STREAM_STARTED in known.state.stages or asked(known):
        return None
    if any(isinstance(e.what, CommandSent | CommandAnswered) and e.what.command in SERVING for e in known.entries):
        return None
    if known.state.decision in ("reject", "forward", "ignore"):
        return None  # as the application decided
    never(known, CommandSent)
    if not overdue(known, rang, COMMAND_MS):
        return None
    return Finding(
        f"call.initiated came and was stored, and no answer command followed in {waited_ms(known, rang) / 1000:.1f} s",
        show_entries(known, rang, webhook(known, "call.hangup")),
        owner="callpath" if known.source == "timeline" else "you",
        fix="The server that stored the webhook stopped right after it, or another process shares its call log. Look "
        "at its log at this second, keep it up during deployments, and call again."
        if known.source == "timeline"
        else "",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL013",
    slug="call-never-answered",
    title="The call was never answered",
    owner="you",
    why="An incoming call waits for the command answer, sent over HTTP. Telnyx ignores what stands in the answer to "
    "its webhook (a habit from TwiML), and the caller hears it ring until he gives up.",
    fix="On call.initiated POST /v2/calls/{call_control_id}/actions/answer, and wait for call.answered.",
    named={"no command": a_call(RANG, (20_000, hung_up("originator_cancel")))},
    quiet={
        "answered": a_call(ANSWERED),
        "forwarded while it rang": a_call(
            RANG,
            CallDecided(decision="forward", to="+15555550142"),
            sent("transfer"),
            answered("transfer"),
            (20_000, hung_up()),
        ),
        "left to ring on purpose": a_call(RANG, CallDecided(decision="ignore"), (20_000, hung_up("originator_cancel"))),
        "the caller gave up at once": a_call(RANG, (400, hung_up("originator_cancel"))),
    },
    unchecked={"logs that never show commands": a_call(RANG, shown=frozenset({"webhook.received"}))},
)
