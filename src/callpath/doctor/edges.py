"""What the rows of a platform's edge say about one call: which are its upgrade's, which its webhooks', who said what. Pure.

A row is written when the request is over: that of an upgrade perhaps only when its socket ends. So "no row" counts only
where the log goes on beyond the call's end, or where Telnyx itself said that it failed.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote

from callpath.call.session import Stage
from callpath.doctor.calls import accepted, ended_unix_ms, every, place, url_asked, webhook
from callpath.doctor.facts import CallFacts, EdgeFacts, EdgeRow, FactMissing, Facts, LogFacts, LogLine
from callpath.timeline import FirstInbound, SocketReceived, SocketRejected, StreamStarted

NEAR_MS = 120_000

SHORT_MS = 3_000
"""A socket that lived no longer carried no conversation."""

TELNYX_AGENT = re.compile(r"telnyx", re.IGNORECASE)
OWN_AGENT = "callpath-doctor"
"""The doctor's own requests: no evidence of anything."""

_WEBHOOK_PATH = re.compile(r"(web)?-?_?hooks?\b|call-?_?control|/(calls?|voice|inbound|texml)/?$", re.IGNORECASE)
_NAMES_TELNYX = re.compile(r"telnyx", re.IGNORECASE)
_CONTROL_ID = re.compile(r"v[23](?::|%3A)[\w-]{20}", re.IGNORECASE)
_TELNYX_NETS = tuple(
    ipaddress.ip_network(net) for net in ("192.76.120.0/24", "185.246.41.0/24", "103.115.244.0/24", "64.16.239.0/24")
)
"""The published ranges of webhooks and media (developers.telnyx.com, read 2026-11-30), a little widened."""


def rows_of_others(facts: Facts) -> tuple[EdgeRow, ...]:
    """The rows that the doctor did not bring about itself: its own probes are no evidence."""
    return tuple(row for row in facts[EdgeFacts].rows if not row.user_agent.lower().startswith(OWN_AGENT))


def from_telnyx(row: EdgeRow) -> bool:
    """Whether the row itself says that Telnyx sent the request: by its user agent or address, or by a path that has its
    name or a call_control_id in it."""
    if TELNYX_AGENT.search(row.user_agent):
        return True
    if _NAMES_TELNYX.search(row.path.partition("?")[0]) or _CONTROL_ID.search(row.path):
        return True
    try:
        address = ipaddress.ip_address(row.source_ip)
    except ValueError:
        return False
    return any(address in net for net in _TELNYX_NETS)


def upgrades(facts: Facts) -> tuple[EdgeRow, ...]:
    """Rows of attempts to open this call's stream, in order of time.

    A row belongs to the call by its path: the stream URL's, or one with an id of the call. Where no call says what its
    path is, only a row with a sign of an upgrade counts: a page, a picture or a film may have "media" in its path, too.
    """
    call = facts.get(CallFacts)
    if call is not None and call.source == "timeline" and not url_asked(call):
        return ()
    path = ""
    names: set[str] = set()
    if call is not None:
        url = place(url_asked(call))
        path = bare(url.path) if url is not None else ""
        leg = call.state.leg
        names = {call.session, *((leg.leg_id, leg.call_control_id) if leg is not None else ())}
    return tuple(
        row
        for row in rows_of_others(facts)
        if row.method in {"GET", ""}
        and (
            bare(row.path) == path or any(len(name) > 8 and name in unquote(row.path) for name in names)
            if path
            else row.status in {101, 426} or row.upgrade or from_telnyx(row)
        )
    )


def posts(facts: Facts) -> tuple[EdgeRow, ...]:
    """Rows of webhooks: POSTs by Telnyx's name or from its addresses, and those to a path that these came to; where there
    are none of either, those to a path that is named like a webhook's and of which no agent is known. The edge's rows, or
    those of the application's own server where no edge wrote any."""
    edge, log = facts.get(EdgeFacts), facts.get(LogFacts)
    if edge is None and (log is None or not log.served):
        raise FactMissing(EdgeFacts)
    for rows in (rows_of_others(facts) if edge is not None else (), log.served if log is not None else ()):
        sent = tuple(row for row in rows if row.method == "POST")
        paths = {bare(row.path) for row in sent if from_telnyx(row)}
        found = tuple(
            row
            for row in sent
            if (
                bare(row.path) in paths
                if paths
                else row.user_agent in {"", "-"} and _WEBHOOK_PATH.search(bare(row.path))
            )
        )
        if found:
            return found
    return ()


def failed_upgrades(facts: Facts, *statuses: int) -> tuple[EdgeRow, ...]:
    """Attempts with one of these answers, where no attempt ended in a working socket."""
    rows = upgrades(facts)
    if any(row.status == 101 for row in rows) or came(facts):
        return ()
    return tuple(row for row in rows if row.status in statuses)


def came(facts: Facts) -> bool:
    """Whether the application saw the socket."""
    call = facts.get(CallFacts)
    return call is not None and bool(every(call, SocketReceived, StreamStarted, FirstInbound))


def refused_by_us(facts: Facts) -> bool:
    call = facts.get(CallFacts)
    return call is not None and bool(every(call, SocketRejected))


def unreached(row: EdgeRow) -> bool:
    """The edge's own words say that it could not reach the application."""
    return bool(row.upstream_errors or re.search(r"retried|failed to respond|no upstream", row.response_details, re.I))


PROXIES = {"nginx", "Caddy", "proxy"}
"""Edges of one's own, whose upstream is a line in their configuration."""


def nobody_there(facts: Facts) -> tuple[EdgeRow, ...]:
    """Rows of upgrades, else of webhooks, for which nobody took the connection; none where the socket came."""
    rows = failed_upgrades(facts, 502, 503)
    hooks = () if came(facts) else tuple(row for row in posts(facts) if row.status in {502, 503})
    return tuple(row for row in rows or hooks if unreached(row) and not timed_out(row))


def timed_out(row: EdgeRow) -> bool:
    return any(re.search(r"time-?d? ?out|deadline|\bH12\b", word, re.I) for word in row.upstream_errors)


def covers(facts: Facts) -> bool:
    """Whether the rows reach from before the request for the stream until its row must have been written."""
    call, edge = facts[CallFacts], facts[EdgeFacts]
    request = accepted(call)
    if request is None:
        return False
    failed = webhook(call, "streaming.failed")
    ended = ended_unix_ms(call)
    # A socket that lived would have its row at the end of the call; one that failed has it at once.
    until = failed.at_unix_ms if failed is not None else ended if ended is not None else request.at_unix_ms + NEAR_MS
    return edge.from_unix_ms <= request.at_unix_ms and edge.until_unix_ms >= until


def asked_for(facts: Facts) -> bool:
    call = facts.get(CallFacts)
    return call is not None and (Stage.STREAM_ACCEPTED in call.state.stages or accepted(call) is not None)


def process_lines(facts: Facts, *topics: str, near: int | None = None, within_ms: int = NEAR_MS) -> tuple[LogLine, ...]:
    """Lines about the process with one of these topics, near to a time where one is given."""
    log = facts.get(LogFacts)
    if log is None:
        return ()
    return tuple(
        line
        for line in log.process
        if line.topic in topics
        and (near is None or (line.at_unix_ms is not None and abs(line.at_unix_ms - near) <= within_ms))
    )


def show_row(row: EdgeRow) -> str:
    """A row as a line of evidence."""
    parts = [f"edge: {row.method or '?'} {row.path[:120]} → {row.status}"]
    if row.duration_ms is not None:
        parts.append(f"after {row.duration_ms:.0f} ms")
    if row.upstream_errors:
        parts.append(f"upstream errors: {', '.join(row.upstream_errors)}")
    if row.response_details:
        parts.append(f"details: {row.response_details}")
    if row.upstream_address:
        parts.append(f"upstream {row.upstream_address}")
    return ", ".join(parts)


def said(line: LogLine) -> str:
    return f"log line {line.number}: {line.text[:160]}"


def bare(path: str) -> str:
    """A path without its query and a slash at its end."""
    return unquote(path.partition("?")[0]).rstrip("/")
