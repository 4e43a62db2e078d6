"""CALL069: the stream was open, and the caller's frames stopped coming."""

from __future__ import annotations

from callpath.doctor.calls import every, measure, show, symptom_seen, webhook
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, noticed
from callpath.timeline import MediaCounted


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = symptom_seen(known, "SYM010")
    if found is None:
        return None
    before = [
        e.what.frames_in
        for e in every(known, MediaCounted)
        if isinstance(e.what, MediaCounted) and e.at_unix_ms <= found.at_unix_ms
    ]
    after = known.state.frames_in
    went_on = bool(before) and after > before[-1] + 50
    ms = measure(found, "ms")
    return Finding(
        f"no frame came for {ms / 1000:.1f} s or more while the socket was open"
        + ("; frames came again later" if went_on else ""),
        show(known, found, *every(known, MediaCounted)[-1:], webhook(known, "call.hangup")),
        confidence="medium" if went_on else "high",
        candidates=("proxy-buffering-or-compression",),
    )


RULE = Rule(
    code="CALL069",
    slug="inbound-media-stalled",
    title="The caller's audio stopped in mid-call, with the socket open",
    layer="pacing",
    owner="network",
    why="Telnyx sends a frame every 20 ms, also in silence. Where none comes, the network or a proxy holds them "
    "back, or Telnyx "
    "stopped sending (a fork_start does that).",
    fix="Look at the proxy's and the network's own counters at that second; give Telnyx the stream_id.",
    check=check,
    examples=(
        Example("2 s without a frame", a_call(BOTH_WAYS, noticed("SYM010", ms="2100")), fires=True),
        Example("a call that worked", a_call(GOOD), fires=False),
        Example("logs without symptoms", a_call(CAME, shown=frozenset({"socket.received"})), fires=None),
        Example("no call is known", nothing(), fires=None),
    ),
)
