"""CALL083: the socket broke in mid-call, and the other side or the way did it."""

from callpath.doctor.calls import broken_off, every, payload, show_entries, webhook, worst_lag
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import BOTH_WAYS, GOOD, a_call, hung_up
from callpath.timeline import SocketClosed, SocketReceived, StreamStarted

_ROUND_S = (30, 55, 60, 100, 120, 180, 300, 350, 600, 900, 3600)
"""Ages at which proxies and platforms like to cut: their defaults."""


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    lost = broken_off(known)
    if lost is None or lost[1].by == "us":
        return None
    entry, what = lost
    opened = [e for e in every(known, SocketReceived) if e.at_unix_ms <= entry.at_unix_ms]
    age_s = (entry.at_unix_ms - opened[-1].at_unix_ms) / 1000 if opened else None
    at_round = age_s is not None and any(abs(age_s - limit) <= 1.5 for limit in _ROUND_S)
    failed = webhook(known, "streaming.failed")
    reason = payload(failed).get("failure_reason")
    how = "without a close frame (1006)" if what.code == 1006 else f"with {what.code} {what.reason}".rstrip()
    after = f" {age_s:.1f} s after it opened" if age_s is not None else ""
    held_up = worst_lag(known)
    again = bool([e for e in every(known, StreamStarted) if e.at_unix_ms > entry.at_unix_ms])
    return Finding(
        f"the socket broke{after}, {how}, while the call was on"
        + ("; Telnyx connected again" if again else "")
        + (f"; Telnyx reports streaming.failed ({reason})" if failed is not None else ""),
        show_entries(known, entry, failed, held_up[1] if held_up is not None else None, webhook(known, "call.hangup")),
        kind="open",
        candidates=("proxy-idle-timeout", "max-duration-cutoff", "deploy-kills-streams", "crash-loop-or-oom")
        if at_round or what.code in {1001, 1006, 1012}
        else ("streaming-stop-by-another-program", "deploy-kills-streams"),
        question=(f"It broke at {age_s:.0f} s, a number that timeouts like. " if at_round else "")
        + "What did the proxies, the platform and the process do at that second? callpath doctor logs reads their "
        "logs; callpath doctor url URL --idle 130 holds a stream open to see whether it is cut again.",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL083",
    slug="socket-lost",
    title="The socket broke in mid-call",
    owner="unclear",
    why="A connection that ends without a stop frame was cut: by a proxy's timeout, a restart on the way, the "
    "network, or by Telnyx. The call itself goes on, and the caller hears nothing.",
    fix="Raise the timeouts on the way, keep the process up; callpath carries on by itself when Telnyx connects again.",
    named={"1006, and the call went on": a_call(BOTH_WAYS, (61_000, SocketClosed(code=1006)), looked_ms=90_000)},
    quiet={
        "at the call's own end": a_call(BOTH_WAYS, (9_000, SocketClosed(code=1006)), hung_up()),
        "closed in order": a_call(GOOD),
    },
)
