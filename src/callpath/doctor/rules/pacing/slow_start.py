"""CALL088: the stream came, and late."""

from callpath.doctor.calls import CANDIDATES, accepted, first, show_entries, told, url_asked, way_question, webhook
from callpath.doctor.facts import CallFacts, FactMissing, Facts, WayFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import ACCEPTED, BOTH_WAYS, GOOD, a_call
from callpath.timeline import SocketReceived, StreamStarted, StreamStarting

SLOW_MS = 3_000
"""Chosen. A caller says "hello?" after two seconds of silence; the one capture has 0.6 s."""


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    if known.source == "logs":
        raise FactMissing(CallFacts)  # their times may be of the line and not of the event
    answered_at, begun = webhook(known, "call.answered"), first(known, StreamStarted)
    if answered_at is None or begun is None:
        return None
    waited = begun.at_unix_ms - answered_at.at_unix_ms
    missing = [entry for entry, _ in told(known, "stream.missing") if entry.at_unix_ms < begun.at_unix_ms]
    if waited < SLOW_MS and not missing:
        return None
    request, taken = first(known, StreamStarting), accepted(known)
    ours = request.at_unix_ms - answered_at.at_unix_ms if request is not None else 0
    evidence = show_entries(known, answered_at, request, *missing[:2], first(known, SocketReceived), begun)
    if missing:
        return Finding(
            f"the first request for the stream led to nothing; it came {waited / 1000:.1f} s after the answer, when "
            "it was asked for again",
            evidence,
            kind="open",
            candidates=CANDIDATES,
            question=way_question(facts.get(WayFacts), url_asked(known)),
            title="The stream came only at the second request",
        )
    if ours >= waited / 2:
        return Finding(
            f"the caller heard nothing for {waited / 1000:.1f} s: this server asked for the stream {ours / 1000:.1f} "
            "s after call.answered",
            evidence,
            owner="you",
            confidence="medium",
            fix="Ask for the stream as soon as call.answered comes, and do slow work after it.",
        )
    return Finding(
        f"the caller heard nothing for {waited / 1000:.1f} s: so long the socket took to open"
        + (
            f" (asked {ours / 1000:.1f} s, accepted {(taken.at_unix_ms - answered_at.at_unix_ms) / 1000:.1f} s "
            "after the answer)"
            if taken is not None
            else ""
        ),
        evidence,
        confidence="medium",
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL088",
    slug="stream-slow-to-start",
    title="The stream started late",
    owner="network",
    why="Until the socket is open the caller hears silence. A cold start, slow DNS, TLS or work before the upgrade is "
    "answered all take their time.",
    fix="callpath doctor url URL times each step. Keep one instance warm, and accept the socket before any slow work.",
    named={"five seconds": a_call(ACCEPTED, (6_000, SocketReceived(path="/")), BOTH_WAYS[10:])},
    quiet={"a call that worked": a_call(GOOD)},
)
