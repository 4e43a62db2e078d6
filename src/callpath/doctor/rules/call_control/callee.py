"""CALL014: a call that we placed was not taken."""

from callpath.call.session import Stage
from callpath.doctor.calls import ended_unix_ms, payload, show_entries, webhook
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import GOOD, a_call, hook, hung_up

WORDS = {
    "user_busy": "the number was busy",
    "call_rejected": "the party, or a carrier on the way, rejected the call",
    "no_answer": "nobody answered",
    "timeout": "nobody answered in time",
    "not_found": "the number does not exist, or cannot be reached",
    "originator_cancel": "the call was cancelled before anybody answered",
    "unspecified": "the call failed, and no carrier said why",
}


BY_SIP_CODE = {
    "480": "480 is said of a phone that is off, and by carriers that refuse the caller ID. Show another number of yours "
    '(from_="+15555550100") and dial once more; if that fails, try again later.',
    "403": "403 is a carrier's refusal, mostly of the caller ID: show a number of yours that can be called back "
    '(from_="+15555550100"). callpath doctor account --to NUMBER checks the profile and the country.',
    "503": "503 is a carrier's trouble: dial again in a minute. If it stays, give Telnyx the call_session_id and the time.",
}
"""What to do about an unanswered call, where the SIP status says more than the cause."""


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    leg = known.state.leg
    hangup = webhook(known, "call.hangup")
    if leg is None or leg.direction != "outgoing" or hangup is None or Stage.CALL_ANSWERED in known.state.stages:
        return None
    if ended_unix_ms(known) is None:
        return None
    cause = str(payload(hangup).get("hangup_cause") or "unspecified")
    outcome = cause in WORDS and cause != "unspecified"
    sip = payload(hangup).get("sip_hangup_cause")
    return Finding(
        f"{WORDS.get(cause, 'the call failed')} (hangup_cause {cause}" + (f", SIP {sip})" if sip else ")"),
        show_entries(known, webhook(known, "call.initiated"), hangup),
        kind="outcome" if outcome else "fault",
        fix=BY_SIP_CODE.get(str(sip), ""),
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL014",
    slug="callee-did-not-answer",
    title="The party that we called did not take the call",
    owner="far end",
    why="An outgoing call has no stream before somebody answers it. Nothing was asked of this server but to wait.",
    fix="Nothing to fix here. For call_rejected on every number look at the outbound voice profile (destinations) and "
    "at the caller id.",
    named={"busy": a_call(hook("call.initiated", direction="outgoing"), (3_000, hung_up("user_busy", "callee")))},
    quiet={"a call that worked": a_call(GOOD)},
)
