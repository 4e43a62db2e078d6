"""CALL033: Telnyx accepted the request for the stream, and no socket ever came."""

from callpath.doctor.calls import (
    CANDIDATES,
    SOCKET_MS,
    ended_unix_ms,
    log_end,
    no_socket,
    probed_evidence,
    show_entries,
    telnyx_evidence,
    url_asked,
    waited_ms,
    way_evidence,
    way_now,
    way_question,
    webhook,
)
from callpath.doctor.facts import CallFacts, Facts, WayFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import ACCEPTED, GOOD, a_call, hung_up


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    request = no_socket(known)
    if request is None or webhook(known, "streaming.failed"):
        return None
    way = facts.get(WayFacts)
    announced = webhook(known, "streaming.started")
    ends = log_end(facts)
    short = ends is not None and ended_unix_ms(known) is None and ends - request.at_unix_ms < SOCKET_MS
    url = url_asked(known) or "the stream URL"
    return Finding(
        (
            f"Telnyx accepted the request for the stream, and the log ends there, without an upgrade for {url}"
            if short
            else f"Telnyx accepted the request for the stream, and in {waited_ms(known, request) / 1000:.1f} s no "
            f"upgrade for {url} reached this server"
        )
        + (" (streaming.started came, which is sent before the socket and proves nothing)" if announced else "")
        + way_now(way),
        (
            *show_entries(known, request, announced, webhook(known, "call.hangup")),
            *way_evidence(way),
            *probed_evidence(known),
            *telnyx_evidence(facts),
        ),
        kind="open",
        candidates=CANDIDATES
        if way is not None and way.through
        else ("tcp-timeout-firewall-drop", "tls-untrusted-root", "proxy-upgrade-headers-stripped", *CANDIDATES),
        question=("Does the log go on? The socket may stand in what is missing. " if short else "")
        + way_question(way, url_asked(known)),
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL033",
    slug="socket-never-came",
    title="Telnyx accepted streaming_start but never connected",
    owner="unclear",
    why="The 200 to streaming_start means accepted, not connected. Between it and this server lie DNS, the way, TLS, "
    "the platform's edge and every proxy; the timeline cannot see them.",
    fix="callpath doctor url URL plays the carrier from outside; callpath doctor logs reads the platform's edge log: "
    "a row for this path says that Telnyx came, and no row that it did not.",
    named={"nothing for 20 s": a_call(ACCEPTED, (20_000, hung_up()))},
    quiet={"still within its time": a_call(ACCEPTED, looked_ms=3_000), "the socket came": a_call(GOOD)},
)
