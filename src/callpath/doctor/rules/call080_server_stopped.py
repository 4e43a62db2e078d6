"""CALL080: our server closed the socket because it was stopped or replaced."""

from __future__ import annotations

from callpath.doctor.calls import broken_off, closings, every, first, show_entries, told, webhook
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import BOTH_WAYS, GOOD, a_call, hung_up
from callpath.timeline import HandlerEnded, SocketClosed, StreamStarted


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    begun = first(known, StreamStarted)
    taken_up = [entry for entry, _ in told(known, "call.taken_up") if begun and entry.at_unix_ms > begun.at_unix_ms]
    if taken_up:
        return Finding(
            "the server was restarted while the call was up, and took it up again afterwards: in between nobody was there",
            show_entries(known, begun, *(entry for entry, _ in closings(known)[-1:]), taken_up[0]),
        )
    lost = broken_off(known)
    if lost is None or lost[1].by == "peer" or lost[1].code not in {1001, 1012}:
        return None
    entry, what = lost
    return Finding(
        f"our server closed the socket with {what.code} {what.reason} while the call was on".replace("  ", " "),
        show_entries(
            known,
            entry,
            *every(known, HandlerEnded)[-1:],
            webhook(known, "streaming.failed"),
            webhook(known, "call.hangup"),
        ),
        confidence="high" if what.by == "us" else "medium",
    )


RULE = Rule(
    code="CALL080",
    slug="deploy-kills-streams",
    title="The server was stopped or replaced in mid-call",
    layer="deploy",
    owner="you",
    why="A deployment, restart or scale-down ends the process, and with it every stream that it carries.",
    fix="Give the old process time: on Railway set RAILWAY_DEPLOYMENT_DRAINING_SECONDS (it is 0 by default), elsewhere the "
    "platform's termination grace period. Deploy when no call is on.",
    check=check,
    examples=(
        Example("1012", a_call(BOTH_WAYS, (9_000, SocketClosed(code=1012, by="us")), (20_000, hung_up())), fires=True),
        Example("closed in order", a_call(GOOD), fires=False),
        Example("the socket is open", a_call(BOTH_WAYS), fires=False),
        Example("no call is known", nothing(), fires=None),
    ),
)
