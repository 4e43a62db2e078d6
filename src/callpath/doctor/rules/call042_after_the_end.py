"""CALL042: the socket came when the call was over."""

from __future__ import annotations

from callpath.doctor.calls import SOCKET_MS, every, refused_sockets, show_entries, webhook
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import ACCEPTED, a_call, hung_up, turned_away
from callpath.timeline import StreamAccepted


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = refused_sockets(known, "call_ended")
    taken = next(iter(every(known, StreamAccepted)[-1:]), None)
    if not found or taken is None:
        return None
    entry, _ = found[0]
    took = (entry.at_unix_ms - taken.at_unix_ms) / 1000
    slow = took >= SOCKET_MS / 1000
    return Finding(
        f"the socket came {took:.1f} s after the request for it, when the call was over",
        show_entries(known, taken, webhook(known, "call.hangup"), entry),
        owner="network" if slow else None,
        fix="The way from Telnyx to this server is slow: cold start, slow DNS or TLS. callpath doctor url URL "
        "times each step."
        if slow
        else "",
    )


RULE = Rule(
    code="CALL042",
    slug="call-already-ended",
    title="The socket came after the call was over",
    layer="call-control",
    owner="far end",
    why="The caller hung up while Telnyx was opening the socket. It was rightly refused.",
    fix="Nothing to mend in this call.",
    check=check,
    examples=(
        Example("hung up meanwhile", a_call(ACCEPTED, hung_up(), turned_away("call_ended", 410)[-2:]), fires=True),
        Example("refused for its token", a_call(turned_away("wrong_token")), fires=False),
        Example("no call is known", nothing(), fires=None),
    ),
)
