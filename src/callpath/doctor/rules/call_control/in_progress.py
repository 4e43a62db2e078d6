"""CALL090: the call is still going on."""

from callpath.doctor.calls import ended_unix_ms, log_end, show_entries
from callpath.doctor.facts import CallFacts, FactMissing, Facts, ToldFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import BOTH_WAYS, GOOD, a_call

LASTS_MS = 4 * 3_600_000
"""How long a call can last at most unless time_limit_secs says otherwise: 14,400 s."""


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    if not known.entries or ended_unix_ms(known) is not None:
        return None
    quiet_s = (known.looked_at_unix_ms - (known.state.last_unix_ms or known.looked_at_unix_ms)) / 1000
    if known.source == "logs" and not known.shows("webhook.received"):
        raise FactMissing(CallFacts)
    missing = known.state.missing_stage()
    told = facts.get(ToldFacts)
    read, ends = (told.read_at_unix_ms, told.ends_unix_ms) if told is not None else (None, None)
    if read is not None and ends is not None and read - ends > LASTS_MS:
        far = "audio flows both ways" if missing is None else f"not reached: {missing.label}"
        return Finding(
            f"the log ends before the call does; {far}",
            show_entries(known, *known.entries[-2:]),
            kind="note",
            title="The log ends before the call does",
        )
    if known.source == "logs":
        quiet_s = max(0, (log_end(facts) or 0) - (known.state.last_unix_ms or 0)) / 1000
    far = "audio flows both ways" if missing is None else f"not reached yet: {missing.label}"
    return Finding(
        f"the call has not ended, as far as is known; {far}; the last entry is {quiet_s:.0f} s old",
        show_entries(known, *known.entries[-2:]),
        kind="limited",
        confidence="medium",
        question="Nothing is wrong up to now. Ask again when the call is over."
        if quiet_s < 60
        else "Is it still up? If not, its last webhooks (call.hangup) were lost, or the server stopped: ask Telnyx "
        "(TELNYX_API_KEY), and look at the server's log.",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL090",
    slug="call-in-progress",
    title="The call is still going on",
    owner="unclear",
    why="A call is judged as a whole when it is over.",
    fix="Wait for its end.",
    named={"no end yet": a_call(BOTH_WAYS)},
    quiet={"over": a_call(GOOD)},
)
