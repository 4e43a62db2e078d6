"""CALL010: the Telnyx account may not do this: blocked, without funds, not verified, or over a limit."""

from callpath.call.refused import REFUSALS, d_code_in, explain_refusal
from callpath.call.session import Stage
from callpath.doctor.calls import d_code_of, needed_refusal, refused_by, show_entries, webhook
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import GOOD, RANG, a_call, answered, hook, sent
from callpath.timeline import CommandAnswered

OF_THE_ACCOUNT = frozenset(code for code in REFUSALS if code.isdigit()) - {"10011", "10016", "90103"}
"""Error codes that speak of the account itself. The others speak of the command too, and have signs of their own."""


def _told_by_its_d_code(what: CommandAnswered) -> bool:
    """Clients print the text of a refusal and leave its error code out."""
    return what.status == 403 and not what.error_code and d_code_in(what.error_detail) in REFUSALS


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = needed_refusal(known, lambda what: what.error_code in OF_THE_ACCOUNT or _told_by_its_d_code(what))
    if found is None:
        return _told_by_its_hangup(known)
    entry, what = found
    refusal = explain_refusal(what.error_code, what.error_detail)
    assert refusal is not None
    named = f" ({refusal.code})" if refusal.code == d_code_in(what.error_detail) else ""
    return Finding(
        f"{refusal.title}{named}: Telnyx refused {what.command} ({refused_by(what)})",
        show_entries(known, entry),
        title=f"Telnyx refuses the call: {refusal.title}" if named else "",
        fix=refusal.fix if named else "",
    )


def _told_by_its_hangup(known: CallFacts) -> Finding | None:
    """The number was dialled, and the D-code came with the end of the call."""
    hangup = webhook(known, "call.hangup")
    leg, code = known.state.leg, d_code_of(hangup)
    refusal = explain_refusal(code)
    if refusal is None or leg is None or leg.direction != "outgoing" or Stage.CALL_ANSWERED in known.state.stages:
        return None
    return Finding(
        f"{refusal.title} ({code}): Telnyx ended the call before it was answered",
        show_entries(known, webhook(known, "call.initiated"), hangup),
        title=f"Telnyx refuses the call: {refusal.title}",
        fix=refusal.fix,
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL010",
    slug="account-not-permitted",
    title="The Telnyx account may not do this now",
    owner="you",
    why="The command itself is right, the account is not in a state to carry it out.",
    fix="Telnyx portal: billing (balance), account level (verification), outbound voice profile (limits, "
    "destinations).",
    named={
        "no funds": a_call(RANG, sent("answer"), answered("answer", 403, "20100")),
        "a country that is not allowed": a_call(
            sent("dial"), answered("dial", 403, "10010", "Dialed number is not whitelisted D13")
        ),
        "told when the phone had been tried": a_call(
            hook("call.initiated", direction="outgoing"),
            (
                900,
                hook(
                    "call.hangup",
                    hangup_cause="call_rejected",
                    sip_hangup_cause="403",
                    telnyx_error={"error_code": "D51"},
                ),
            ),
        ),
        "the same, printed without its error code": a_call(
            sent("dial"), answered("dial", 403, detail="Dialed number is not whitelisted D13")
        ),
    },
    quiet={
        "answered, and no refusal": a_call(GOOD),
        "another refusal": a_call(RANG, sent("answer"), answered("answer", 422, "90018")),
    },
)
