"""CALL085: the call was ended by something else than one of its parties."""

from callpath.call.session import Stage
from callpath.doctor.calls import payload, show_entries, we_hung_up, webhook
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import BOTH_WAYS, GOOD, a_call, hung_up

ODD = {
    "timeout": "a timer of Telnyx's or the network's ran out",
    "time_limit": "the call reached its time limit (time_limit_secs, at most 4 hours)",
    "unspecified": "no carrier said why",
    "normal_unspecified": "no carrier said why",
    "network_out_of_order": "a carrier's network failed",
    "recovery_on_timer_expire": "a carrier's timer ran out",
    "destination_out_of_order": "the far carrier failed",
    "service_unavailable": "a carrier was not available",
}


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    hangup = webhook(known, "call.hangup")
    cause = str(payload(hangup).get("hangup_cause") or "")
    if hangup is None or cause not in ODD or Stage.CALL_ANSWERED not in known.state.stages or we_hung_up(known):
        return None
    began = known.entries[0]
    return Finding(
        f"the call ended after {(hangup.at_unix_ms - began.at_unix_ms) / 1000:.1f} s with hangup_cause {cause}: "
        f"{ODD[cause]}",
        show_entries(known, hangup),
        owner="you" if cause == "time_limit" else None,
        confidence="medium",
        kind="note" if "unspecified" in cause else "fault",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL085",
    slug="call-ended-abnormally",
    title="The call was ended by the network or a limit, not by a party",
    owner="far end",
    why="A call that a party ends has normal_clearing. Other causes are a carrier's, or a limit's.",
    fix="Give Telnyx the call_session_id and the time; for time_limit raise time_limit_secs.",
    named={"a carrier's timer": a_call(BOTH_WAYS, (9_000, hung_up("recovery_on_timer_expire", "unknown")))},
    quiet={"a party hung up": a_call(GOOD)},
)
