"""callpath's own log lines → the entries that they were written for: the way back from `timeline.describe`."""

from __future__ import annotations

import re
from collections.abc import Callable

from callpath.timeline import (
    ALIASES,
    CallChecked,
    CallDecided,
    CallRecovered,
    CallRejected,
    CallStuck,
    CallTraced,
    CommandAnswered,
    CommandRetried,
    CommandSent,
    ConsultDecided,
    ConsultEnded,
    ConsultNews,
    ConsultStarted,
    DialPlaced,
    DtmfReceived,
    FirstInbound,
    FirstOutbound,
    FrameRejected,
    HandlerEnded,
    HandlerFailed,
    HandlerStarted,
    LoopBlocked,
    MarkReturned,
    MediaCounted,
    MediaSymptom,
    PlayoutCleared,
    PolicyActed,
    RecordingNotStored,
    RecordingPaused,
    RecordingResumed,
    RecordingSaved,
    RecordingStored,
    SocketClosed,
    SocketReceived,
    SocketRejected,
    StreamAccepted,
    StreamErrored,
    StreamMissing,
    StreamProbed,
    StreamStarted,
    StreamStarting,
    StreamStopped,
    StreamUrl,
    WebhookReceived,
    What,
)
from callpath.wire.ids import CallControlId, LegId, SessionId, StreamId

STREAM = StreamId("stream in the log")
"""Our log does not name streams; a call has one at a time."""

Made = Callable[[re.Match[str]], What]


def _status(text: str) -> int | None:
    return int(text) if text.isdigit() else None


_SAYS: dict[str, tuple[tuple[str, str], ...]] = {
    "call.initiated": (("direction", r"(?P<incoming>a call comes in)|(?P<outgoing>a number is dialled)"),),
    "call.hangup": (
        ("hangup_cause", r"\((?P<value>[a-z][a-z_]+)\b"),
        ("sip_hangup_cause", r"SIP (?P<value>\d{3})\)"),
        ("hangup_source", r"\), by the (?P<value>caller|callee)\b"),
        ("d_code", r"Telnyx says (?P<value>\w+)$"),
    ),
    "streaming.failed": (("failure_reason", r"(?P<value>.+)"),),
    "call.refer.failed": (("sip_notify_response", r"SIP (?P<value>\d+)"),),
}
"""What the words of a webhook (`wire.words`) tell of its payload: field and pattern."""


def _webhook(found: re.Match[str]) -> What:
    payload: dict[str, object] = {}
    for field, pattern in _SAYS.get(found["event"], ()):
        said = re.search(pattern, found["words"] or "")
        if said is None:
            continue
        value = next(name if name != "value" else text for name, text in said.groupdict().items() if text is not None)
        payload[field] = value
    if "d_code" in payload:
        payload["telnyx_error"] = {"error_code": payload.pop("d_code")}
    if "sip_notify_response" in payload:
        payload["sip_notify_response"] = int(str(payload["sip_notify_response"]))
    body = {"data": {"payload": payload}} if payload else {}
    return WebhookReceived(event_type=found["event"], event_id="", body=body, fetched=bool(found["fetched"]))


def _refused(found: re.Match[str]) -> What:
    status, code = found["status"], found["code"]
    return CommandAnswered(
        command=found["command"],
        command_id="",
        status=_status(status or ""),
        error_code=code,
        error_detail=found["detail"] or None,
    )


def _counted(found: re.Match[str]) -> What:
    rest = found["rest"] or ""

    def count(name: str) -> int:
        named = re.search(rf"(\d+) {re.escape(name)}", rest)
        return int(named[1]) if named else 0

    return MediaCounted(
        stream_id=STREAM,
        frames_in=int(found["in"]),
        frames_out=int(found["out"]),
        lost=count("lost"),
        late=count("late"),
        duplicated=count("duplicated"),
        dropped_for_handler=count("dropped, handler too slow"),
        frames_rejected=count("rejected"),
        underruns=count("underruns"),
        write_stalls=count("times the peer did not read"),
    )


_LINES: tuple[tuple[str, str, Made], ...] = (
    ("webhook.received", r"Webhook (?P<event>[\w.]+)(?P<fetched>, missed and fetched from Telnyx)?(?:: (?P<words>.*))?$", _webhook),
    ("dial.placed", r"Telnyx placed the call (?P<session>\S+)$",
     lambda f: DialPlaced(command_id="", session=SessionId(f["session"]), call_control_id=CallControlId(""),
                          leg_id=LegId(""))),
    ("command.sent", r"Command (?P<command>\w+) sent(?:: .*)?$",
     lambda f: CommandSent(command=f["command"], command_id="")),
    ("command.answered", r"Command (?P<command>\w+) accepted \((?P<status>\d+), (?P<ms>\d+) ms\)$",
     lambda f: CommandAnswered(command=f["command"], command_id="", status=int(f["status"]), latency_ms=float(f["ms"]))),
    ("command.answered", r"Command (?P<command>\w+) got no answer: (?P<detail>.*)$",
     lambda f: CommandAnswered(command=f["command"], command_id="", error_detail=f["detail"])),
    ("command.answered", r"Command (?P<command>\w+) refused: (?P<status>\d+)(?: (?P<code>\d{5,6}))? ?(?P<detail>.*)$", _refused),
    ("stream.starting", r"Media stream being started \(with (?P<within>\w+)\)$",
     lambda f: StreamStarting(within=f["within"])),
    ("stream.url", r"Stream URL (?P<url>\S+)$", lambda f: StreamUrl(url=f["url"])),
    ("stream.accepted", r"(?:Stream within )?(?P<within>\w+) accepted \((?P<status>\d+)\)$",
     lambda f: StreamAccepted(status=int(f["status"]), within=f["within"])),
    ("socket.received", r"WebSocket connection received from (?P<client>\S+)$",
     lambda f: SocketReceived(path="", client=f["client"])),
    ("socket.rejected", r"WebSocket (?:rejected|refused) with (?P<status>\d+): (?P<detail>.*)$",
     lambda f: SocketRejected(status=int(f["status"]), reason="", detail=f["detail"], path="")),
    ("stream.started", r"Stream started(?P<again> again)?: (?P<encoding>\S+) at (?P<rate>\d+) Hz$",
     lambda f: StreamStarted(stream_id=STREAM, encoding=f["encoding"], sample_rate_hz=int(f["rate"]), again=bool(f["again"]))),
    ("media.first_inbound", r"First inbound frame \((?P<bytes>\d+) bytes\)$",
     lambda f: FirstInbound(stream_id=STREAM, payload_bytes=int(f["bytes"]))),
    ("media.first_outbound", r"First outbound frame \((?P<bytes>\d+) bytes\)$",
     lambda f: FirstOutbound(stream_id=STREAM, payload_bytes=int(f["bytes"]))),
    ("media.counted", r"Frames so far: (?P<in>\d+) in, (?P<out>\d+) out(?P<rest>, .*)?$", _counted),
    ("frame.rejected", r"Frame skipped \((?P<reason>\w+)\): (?P<detail>.*)$",
     lambda f: FrameRejected(reason=f["reason"], detail=f["detail"])),
    ("media.symptom", r"(?P<meaning>.*) \((?P<code>[A-Z]+\d+) (?P<slug>[\w-]+)\)$",
     lambda f: MediaSymptom(code=f["code"], slug=f["slug"], meaning=f["meaning"])),
    ("loop.blocked",
     r"The event loop was blocked for (?P<ms>\d+) ms(?:, (?P<times>\d+) times)? by (?:(?P<code>.+?) in )?(?P<function>\S+) "
     r"\((?P<file>[^()]+):(?P<line>\d+)\)(?:, which was in (?P<inside>.+))?: all calls stood still$",
     lambda f: LoopBlocked(blocked_ms=float(f["ms"]), function=f["function"], file=f["file"], line=int(f["line"]),
                           code=f["code"] or "", inside=f["inside"], times=int(f["times"] or 1))),
    ("stream.errored", r"Telnyx reports (?P<code>\d+) (?P<title>[^:]*): ?(?P<detail>.*)$",
     lambda f: StreamErrored(code=int(f["code"]), title=f["title"], detail=f["detail"])),
    ("dtmf.received", r"Key pressed$", lambda _: DtmfReceived(digit="")),
    ("mark.returned", r"Mark (?P<name>.*?) (?P<how>heard|returned by clear, not heard)$",
     lambda f: MarkReturned(name=f["name"], heard=f["how"] == "heard")),
    ("playout.cleared", r"Playout cleared: (?P<heard>\d+) ms heard, (?P<dropped>\d+) ms dropped$",
     lambda f: PlayoutCleared(heard_ms=float(f["heard"]), dropped_ms=float(f["dropped"]))),
    ("stream.stopped", r"Stream (?P<how>stopped|broke off without a stop frame)$",
     lambda f: StreamStopped(stream_id=STREAM, by_stop_frame=f["how"] == "stopped")),
    ("socket.closed", r"WebSocket closed(?: by (?P<by>\w+))? \((?P<code>\d+)(?: (?P<reason>.*))?\)$",
     lambda f: SocketClosed(code=int(f["code"]), reason=f["reason"] or "", by=f["by"] or "unknown")),
    ("command.retried", r"Command (?P<command>\w+) goes out again \((?:(?P<status>\d+)|no answer|restart)(?:, (?P<ms>\d+) ms)?\): (?P<reason>.*)$",
     lambda f: CommandRetried(command=f["command"], command_id="", attempt=1 if f["ms"] else 0, status=_status(f["status"] or ""),
                              latency_ms=float(f["ms"] or 0), reason=f["reason"])),
    ("stream.missing", r"No stream after request (?P<attempt>\d+) \((?P<seen>\w+)\): (?P<reason>.*)$",
     lambda f: StreamMissing(attempt=int(f["attempt"]), seen=f["seen"], reason=f["reason"])),
    ("stream.probed", r"Probe of the stream's URL: it works from here$",
     lambda _: StreamProbed(url="", healthy=True, decided=True, summary="")),
    ("stream.probed", r"Probe of the stream's URL: (?P<open>not decided, )?(?:(?P<code>[A-Z0-9]+) (?P<slug>[\w-]+)|no cause found): (?P<summary>.*)$",
     lambda f: StreamProbed(url="", healthy=None if f["open"] else False, decided=not f["open"], summary=f["summary"],
                            code=f["code"], slug=f["slug"])),
    ("policy.acted", r"Policy (?P<policy>\w+), step (?P<number>\d+): (?P<step>.*)$",
     lambda f: PolicyActed(policy=f["policy"], number=int(f["number"]), step=f["step"])),
    ("call.stuck", r"The line is up and the call goes nowhere \((?P<reason>\w+), after (?P<s>\d+) s\)$",
     lambda f: CallStuck(reason=f["reason"], number=1, after_ms=int(f["s"]) * 1000)),
    ("call.rejected", r"Call (?:rejected|refused): (?P<detail>.*)$", lambda f: CallRejected(reason="", detail=f["detail"])),
    ("call.decided", r"Decided while ringing: (?:(?P<answer>answer)(?: by (?P<handler>.*?))?|reject \((?P<cause>.*?)\)|(?P<forward>forward to another number)|let it ring)(?: \(the default: (?P<reason>.*)\))?$",
     lambda f: CallDecided(
         decision="answer" if f["answer"] else "reject" if f["cause"] else "forward" if f["forward"] else "ignore",
         handler=f["handler"], cause=f["cause"], reason=f["reason"] or "")),
    ("consult.started", r"Consult begins: somebody else is called(?:, for (?P<handler>.*))?$",
     lambda f: ConsultStarted(command_id="", to="", connection_id="", from_="", handler=f["handler"])),
    ("consult.news", r"Consult: the second call is (?P<news>\w+)(?: \((?P<reason>.*)\))?$",
     lambda f: ConsultNews(command_id="", news=f["news"], call_session_id=SessionId(""), call_control_id=CallControlId(""),
                           reason=f["reason"] or "")),
    ("consult.decided", r"The handler (?P<says>accepts|declines) to be joined with the first call(?:: (?P<reason>.*))?$",
     lambda f: ConsultDecided(accepted=f["says"] == "accepts", reason=f["reason"] or "")),
    ("consult.ended", r"Consult ended: (?P<status>\w+)(?: \((?P<reason>.*)\))?$",
     lambda f: ConsultEnded(command_id="", status=f["status"], reason=f["reason"] or "")),
    ("call.recovered", r"(?:Recovered|Taken up) after a restart(?:, (?P<fetched>\d+) missed events fetched)?(?: \((?P<detail>.*)\))?$",
     lambda f: CallRecovered(fetched=int(f["fetched"] or 0), detail=f["detail"] or "")),
    ("call.checked", r"Telnyx was asked for the call's state: (?P<says>the line is up|the call is over|no answer)(?: \((?P<detail>.*)\))?$",
     lambda f: CallChecked(alive={"the line is up": True, "the call is over": False}.get(f["says"]), detail=f["detail"] or "")),
    ("call.traced", r"Trace (?P<id>[0-9a-f]{32}) made$", lambda f: CallTraced(trace_id=f["id"])),
    ("handler.started", r"Handler (?P<name>.*) entered$", lambda f: HandlerStarted(name=f["name"])),
    ("handler.ended", r"Handler (?:returned|(?P<cancelled>cancelled): (?:the call is over|(?P<reason>.*)))$",
     lambda f: HandlerEnded(cancelled=f["cancelled"] is not None, reason=f["reason"] or "")),
    ("handler.failed", r"Handler raised (?P<error>.*)$",
     lambda f: HandlerFailed(error=f["error"], traceback="")),
    ("recording.paused", r"Recording paused: (?P<path>.*)$", lambda f: RecordingPaused(path=f["path"])),
    ("recording.resumed", r"Recording resumed: (?P<path>.*)$", lambda f: RecordingResumed(path=f["path"])),
    ("recording.saved", r"Recording saved: (?P<path>.*) \((?P<s>[\d.]+) s(, (?P<lost>[\d.]+) s of it silence: .*)?\)$",
     lambda f: RecordingSaved(path=f["path"], duration_ms=float(f["s"]) * 1000, lost_ms=float(f["lost"] or 0) * 1000)),
    ("recording.stored", r"Recording kept at (?P<url>\S+) \((?P<s>[\d.]+) s, (?P<bytes>\d+) bytes\)$",
     lambda f: RecordingStored(path="", url=f["url"], duration_ms=float(f["s"]) * 1000, size_bytes=int(f["bytes"]),
                               written_unix_ms=0)),
    ("recording.not_stored", r"Recording (?P<path>.*) not stored yet \((?P<code>REC\d+)\): (?P<detail>.*)$",
     lambda f: RecordingNotStored(path=f["path"], code=f["code"], slug="", detail=f["detail"])),
    ("recording.not_stored", r"Recording (?P<path>.*) ended after (?P<s>[\d.]+) s \((?P<code>REC\d+)\): (?P<detail>.*)$",
     lambda f: RecordingNotStored(path=f["path"], code=f["code"], slug="", detail=f["detail"],
                                  recorded_ms=float(f["s"]) * 1000)),
)  # fmt: skip
_COMPILED = tuple((kind, re.compile(expression), made) for kind, expression, made in _LINES)

CONSOLE = re.compile(
    r"^(?P<message>.*?)\s+(?:stream_url=(?P<url>\S+)\s+)?call=(?P<call>[0-9a-f]{8})(?:\s+stream_url=\S+)?\s*$"
)
"""Our line for people: the message, padded, and the beginning of the session's id."""

SHOWN = frozenset(kind for kind, _, _ in _LINES)
"""A log of ours has all of them: what is not there did not happen."""


def what_of(message: str, kind: str = "") -> What | None:
    """The entry behind a line of ours; `kind` is its event_name, where the format has one."""
    kind = ALIASES.get(kind, kind)
    for name, expression, made in _COMPILED:
        if kind and name != kind:
            continue
        if (found := expression.match(message)) is not None:
            return made(found)
    return None
