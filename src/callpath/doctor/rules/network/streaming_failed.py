"""CALL032: Telnyx reported streaming.failed before any socket had come."""

from callpath.doctor.calls import (
    CANDIDATES,
    every,
    never,
    payload,
    probed_evidence,
    show_entries,
    telnyx_evidence,
    url_asked,
    way_evidence,
    way_now,
    way_question,
    webhook,
)
from callpath.doctor.facts import CallFacts, EdgeFacts, Facts, WayFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import ACCEPTED, GOOD, a_call, hook
from callpath.timeline import FirstInbound, SocketReceived, SocketRefused, StreamStarted


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    failed = webhook(known, "streaming.failed")
    if failed is None or every(known, SocketReceived, SocketRefused, StreamStarted, FirstInbound):
        return None
    never(known, SocketReceived)
    said = payload(failed)
    params = said.get("stream_params")
    tried = str(params.get("stream_url") or "") if isinstance(params, dict) else ""
    meant = url_asked(known)
    differs = bool(tried and meant and "***" not in meant and tried != meant)
    way = facts.get(WayFacts)
    evidence = (
        *show_entries(known, failed),
        f"failure_reason: {said.get('failure_reason')}",
        f"URL that Telnyx tried: {tried or '?'}",
    )
    return Finding(
        f"Telnyx tried {tried or meant or 'the stream URL'} and reports streaming.failed "
        f"({said.get('failure_reason')}); no upgrade reached this server{way_now(way)}"
        + (f". It was asked for {meant}: not the same" if differs else ""),
        (*evidence, *way_evidence(way), *probed_evidence(known), *telnyx_evidence(facts)),
        # Telnyx's own word in a log is what happened; why it could not connect, a probe of the URL decides.
        kind="limited" if known.source == "logs" and said.get("failure_reason") and EdgeFacts not in facts else "open",
        candidates=CANDIDATES
        if way is not None and way.through
        else ("tcp-timeout-firewall-drop", "tls-untrusted-root", "proxy-upgrade-headers-stripped", *CANDIDATES),
        question=way_question(way, url_asked(known)),
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL032",
    slug="stream-connection-failed",
    title="Telnyx could not connect the media WebSocket",
    owner="unclear",
    why="failure_reason is a short word and names no cause: DNS, TCP, TLS, a firewall and any answer but 101 all give "
    "connection_failed.",
    fix="Make the stream's URL reachable from the internet: callpath doctor url URL names what stands in the way.",
    named={"connection_failed": a_call(ACCEPTED, hook("streaming.failed", failure_reason="connection_failed"))},
    quiet={"the socket came": a_call(GOOD)},
)
