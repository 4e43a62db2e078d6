"""CALL081: we closed the socket because nothing came on it any more."""

from callpath.doctor.calls import broken_off, show_entries, symptom, webhook
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import BOTH_WAYS, GOOD, a_call
from callpath.timeline import SocketClosed


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    lost = broken_off(known)
    if lost is None or lost[1].by == "peer" or lost[1].code != 1011:
        return None
    if known.source == "logs" and lost[1].by != "us":
        return None  # in other programs 1011 is an error of their own
    entry, what = lost
    return Finding(
        f"nothing came on the socket for a whole ping interval, not even an answer to our ping: closed with {what.code}",
        show_entries(known, symptom(known, "SYM010"), entry, webhook(known, "call.hangup")),
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL081",
    slug="socket-went-silent",
    title="The socket went silent in mid-call and was given up",
    owner="network",
    why="A connection that a firewall, NAT or proxy dropped without a word stays open on our side and brings nothing. "
    "Pings find it out.",
    fix="Look for timeouts and restarts on the way at that second: NAT and load balancer idle limits, proxies "
    "that were replaced.",
    named={"1011 by us": a_call(BOTH_WAYS, (40_000, SocketClosed(code=1011, by="us")))},
    quiet={"closed in order": a_call(GOOD)},
)
