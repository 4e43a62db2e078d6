"""What the program itself says of a call, beside its stages: complaints, exceptions, reasons; and its calls compared."""

from __future__ import annotations

import re
from collections.abc import Iterable

from callpath.doctor.facts import LogLine, ToldCall, ToldError, ToldFacts, ToldLine
from callpath.doctor.logs.attribute import LoggedCall, Seen
from callpath.doctor.logs.extract import complaint_of, raised_of
from callpath.doctor.logs.patterns import field_of
from callpath.timeline import (
    CommandAnswered,
    FirstInbound,
    FirstOutbound,
    SocketClosed,
    SocketReceived,
    SocketRejected,
    StreamStarted,
    StreamStopped,
    WebhookReceived,
)

LINES_MAX = 20
_PLAYS = re.compile(r"stream_bidirectional_mode[\"']?\s*[:=]\s*[\"']?rtp\b")
CALLS_MAX = 200
NEAR_END_MS = 3_000
"""A socket that closed this near to call.hangup closed with its call: the webhook is logged some time after it."""


def told_of(
    call: LoggedCall,
    calls: Iterable[LoggedCall],
    process: Iterable[LogLine],
    *,
    read_at_ms: int | None,
    ends_ms: int | None,
) -> ToldFacts:
    """The facts about one call that stand in no entry of its timeline."""
    complaints, providers, replies, hangups = [], [], [], []
    errors: list[ToldError] = []
    machine = ""
    played_ms: int | None = None
    conversed = False
    for item in call.seen:
        at = item.at_ms or 0
        if item.topic == "complaint":
            complaints.append(_line(item))
        elif item.topic == "provider failed":
            providers.append(_line(item))
        elif item.topic == "reply":
            replies.append(_line(item))
        elif item.topic == "hangup.sent":
            hangups.append(_line(item))
        elif item.topic in {"raised", "handler.failed", "crash", "boot failed"}:
            raised = raised_of(item.block.text or item.text)
            if raised is not None:
                errors.append(ToldError(at, raised.words, raised.frames, raised.uncaught, item.where))
        elif item.topic == "media.out":
            played_ms = at if played_ms is None else played_ms
        elif item.topic == "alive":
            conversed = conversed or (played_ms is not None and at > played_ms)
        if item.event.startswith("call.machine"):
            machine = field_of("machine_result", item.block.text or item.text).lower() or machine
    starts = sorted(line.at_unix_ms for line in process if line.topic == "listening" and line.at_unix_ms is not None)
    return ToldFacts(
        complaints=tuple(complaints[:LINES_MAX]),
        errors=tuple(errors[:LINES_MAX]),
        providers=tuple(providers[:LINES_MAX]),
        replies=tuple(replies[:LINES_MAX]),
        hangups=tuple(hangups[:LINES_MAX]),
        this=compared(call),
        others=tuple(compared(other) for other in calls if other is not call)[-CALLS_MAX:],
        starts_unix_ms=tuple(starts[-LINES_MAX:]),
        machine=machine,
        conversed=conversed,
        ends_unix_ms=ends_ms,
        read_at_unix_ms=read_at_ms,
        ours=call.ours,
        guessed_start=any(
            isinstance(entry.what, StreamStarted) and entry.number in call.implied for entry in call.entries
        ),
        plays=any(_PLAYS.search(item.block.text or item.text) for item in call.seen),
    )


def _line(item: Seen) -> ToldLine:
    complaint = complaint_of(item.text, item.level)
    return ToldLine(
        at_unix_ms=item.at_ms or 0,
        text=item.text.partition("\n")[0][:300],
        where=item.where,
        level=item.level,
        because=complaint.because if complaint is not None else "",
        closes=complaint is not None and complaint.closes,
        gone=complaint is not None and complaint.gone,
    )


def compared(call: LoggedCall) -> ToldCall:
    """What is compared between calls: the life of its first socket, and whether it ended in order."""
    opened = closed = ended = None
    code: int | None = None
    stopped = False
    heard = spoke = refused = False
    for entry in call.entries:
        what = entry.what
        match what:
            case SocketReceived() if opened is None and entry.number not in call.implied:
                opened = entry.at_unix_ms
            case StreamStopped() if closed is None:
                stopped = True
            case SocketClosed() if closed is None and opened is not None:
                closed, code = entry.at_unix_ms, what.code
            case WebhookReceived() if what.event_type == "call.hangup" and ended is None:
                ended = entry.at_unix_ms
            case SocketRejected():
                refused = True
            case CommandAnswered() if not what.accepted and what.command in {"answer", "streaming_start", "dial"}:
                refused = True
            case FirstInbound():
                heard = True
            case FirstOutbound():
                spoke = True
    if ended is not None and closed is not None and closed >= ended - NEAR_END_MS:
        stopped = True
    source = next((item.source for item in call.seen if item.source), "")
    return ToldCall(
        name=call.name, from_unix_ms=call.from_ms, until_unix_ms=call.until_ms, opened_unix_ms=opened,
        closed_unix_ms=closed, close_code=code, stopped=stopped, ended_unix_ms=ended, refused=refused,
        complete=heard and spoke, source=source,
    )  # fmt: skip
