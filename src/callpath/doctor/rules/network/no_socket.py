"""CALL032 and CALL033: the request for the stream was accepted, and no socket came. Telnyx says that it failed, or nothing.

Two causes, since the two are not seen alike: a streaming.failed is Telnyx's own word that it tried (field case C38), while
silence may also be a log that ends too early (the simulator's fault never_connects, and logs of programs that were cut).
"""

from callpath.doctor.calls import (
    CANDIDATES,
    SOCKET_MS,
    ended_unix_ms,
    every,
    log_end,
    never,
    no_socket,
    payload,
    probed_evidence,
    show_entries,
    telnyx_evidence,
    url_asked,
    waited_ms,
    way_evidence,
    way_now,
    way_question,
    webhook,
)  # fmt: skip
from callpath.doctor.facts import CallFacts, EdgeFacts, Facts, WayFacts
from callpath.doctor.rule import Cause, Finding, Kind
from callpath.doctor.rules.sample_call import ACCEPTED, GOOD, a_call, hook, hung_up
from callpath.timeline import FirstInbound, SocketReceived, SocketRejected, StreamStarted


def _not_connected(facts: Facts, summary: str, evidence: tuple[str, ...], kind: Kind, question: str = "") -> Finding:
    """What a probe of the way adds, and what is to be looked at: first what such a probe would not have shown."""
    known, way = facts[CallFacts], facts.get(WayFacts)
    through = way is not None and way.through
    return Finding(
        summary,
        (*evidence, *way_evidence(way), *probed_evidence(known), *telnyx_evidence(facts)),
        kind=kind,
        candidates=CANDIDATES
        if through
        else ("tcp-timeout-firewall-drop", "tls-untrusted-root", "proxy-upgrade-headers-stripped", *CANDIDATES),
        question=question + way_question(way, url_asked(known)),
    )


def streaming_failed(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    failed = webhook(known, "streaming.failed")
    if failed is None or every(known, SocketReceived, SocketRejected, StreamStarted, FirstInbound):
        return None
    never(known, SocketReceived)
    said = payload(failed)
    params = said.get("stream_params")
    tried = str(params.get("stream_url") or "") if isinstance(params, dict) else ""
    meant = url_asked(known)
    differs = bool(tried and meant and "***" not in meant and tried != meant)
    reason = said.get("failure_reason")
    return _not_connected(
        facts,
        f"Telnyx tried {tried or meant or 'the stream URL'} and reports streaming.failed ({reason}); no upgrade "
        f"reached this server{way_now(facts.get(WayFacts))}"
        + (f". It was asked for {meant}: not the same" if differs else ""),
        (*show_entries(known, failed), f"failure_reason: {reason}", f"URL that Telnyx tried: {tried or '?'}"),
        # Telnyx's own word in a log is what happened; why it could not connect, a probe of the URL decides.
        "limited" if known.source == "logs" and reason and EdgeFacts not in facts else "open",
    )


def never_came(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    request = no_socket(known)
    if request is None or webhook(known, "streaming.failed"):
        return None
    announced = webhook(known, "streaming.started")
    ends = log_end(facts)
    short = ends is not None and ended_unix_ms(known) is None and ends - request.at_unix_ms < SOCKET_MS
    url = url_asked(known) or "the stream URL"
    seen = (
        f"the log ends there, without an upgrade for {url}"
        if short
        else f"in {waited_ms(known, request) / 1000:.1f} s no upgrade for {url} reached this server"
    )
    return _not_connected(
        facts,
        f"Telnyx accepted the request for the stream, and {seen}"
        + (" (streaming.started came, which is sent before the socket and proves nothing)" if announced else "")
        + way_now(facts.get(WayFacts)),
        show_entries(known, request, announced, webhook(known, "call.hangup")),
        "open",
        "Does the log go on? The socket may stand in what is missing. " if short else "",
    )


CAUSES = (
    Cause.of(
        "call",
        streaming_failed,
        code="CALL032",
        slug="stream-connection-failed",
        title="Telnyx could not connect the media WebSocket",
        owner="unclear",
        why="failure_reason is a short word and names no cause: DNS, TCP, TLS, a firewall and any answer but 101 all "
        "give connection_failed.",
        fix="Make the stream's URL reachable from the internet: callpath doctor url URL names what stands in the way.",
        named={"connection_failed": a_call(ACCEPTED, hook("streaming.failed", failure_reason="connection_failed"))},
        quiet={"the socket came": a_call(GOOD)},
    ),
    Cause.of(
        "call",
        never_came,
        code="CALL033",
        slug="socket-never-came",
        title="Telnyx accepted streaming_start but never connected",
        owner="unclear",
        why="The 200 to streaming_start means accepted, not connected. Between it and this server lie DNS, the way, "
        "TLS, the platform's edge and every proxy; the timeline cannot see them.",
        fix="callpath doctor url URL plays the carrier from outside; callpath doctor logs reads the platform's edge "
        "log: a row for this path says that Telnyx came, and no row that it did not.",
        named={"nothing for 20 s": a_call(ACCEPTED, (20_000, hung_up()))},
        quiet={"still within its time": a_call(ACCEPTED, looked_ms=3_000), "the socket came": a_call(GOOD)},
    ),
)
