"""From the lines of one call to its timeline: ordinary entries, as callpath's own server would have written them.

Each thing that happened becomes one entry, however often it was said. What must have happened though no line says so is
added and marked as implied.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from callpath.call.session import Stage, fold
from callpath.doctor.edges import bare
from callpath.doctor.logs.attribute import SAME_MS, LoggedCall, Seen
from callpath.doctor.logs.extract import NO_ANSWER, Exchange, Raised, complaint_of, exchange_of, raised_of, sdk_status
from callpath.doctor.logs.patterns import field_of, stream_url_in
from callpath.timeline import (
    CommandAnswered,
    CommandSent,
    Entry,
    FirstInbound,
    FirstOutbound,
    HandlerFailed,
    Noted,
    SocketClosed,
    SocketReceived,
    SocketRejected,
    StreamAccepted,
    StreamErrored,
    StreamStarted,
    StreamStarting,
    StreamStopped,
    StreamUrl,
    WebhookReceived,
    What,
    payload_of,
)
from callpath.wire.ids import CallControlId, LegId, SessionId, StreamId


def build(call: LoggedCall) -> None:
    """Fill `entries`, `lines` and `state` from what was seen."""
    entries: list[Entry] = []
    call.lines = {}
    session = SessionId(call.name)
    control = CallControlId(_first_control(call) or f"id of {call.name}")
    known = call.ids.get("leg") or [f"leg of {call.name}"]
    leg = LegId(call.legs.get(control) or known[0])
    call.ours = any(item.what is not None for item in call.seen)
    maker = _Maker(call, session, leg, control)
    for item in call.seen:
        if item.topic == "alive":
            call.alive = True
        its_control, its_leg = _leg_of(call, item, control, leg)
        maker.on(its_control, its_leg)
        for what in maker.whats(item):
            number = len(entries) + 1
            entries.append(
                Entry(
                    session=session,
                    at_unix_ms=item.at_ms or 0,
                    what=what,
                    leg=its_leg,
                    call_control_id=its_control,
                    number=number,
                )
            )
            call.lines[number] = item
    if not call.ours:
        entries = _with_crashes(call, entries)
    call.entries = _numbered(call, _with_implied(call, entries, maker))
    call.state = fold(session, call.entries)
    if entries:
        call.from_ms = entries[0].at_unix_ms
        call.until_ms = max(call.until_ms, entries[-1].at_unix_ms)


def _first_control(call: LoggedCall) -> str:
    """The call_control_id of the first line that names one, in full: that of the leg that began the call."""
    controls = call.ids.get("control") or []
    first = next((name for item in call.seen for sort, name in sorted(item.block.ids) if sort == "control"), "")
    return max((name for name in controls if name.startswith(first)), key=len, default=first) if first else ""


def _leg_of(call: LoggedCall, item: Seen, control: CallControlId, leg: LegId) -> tuple[CallControlId, LegId]:
    """The leg that this line names; the call's first where it names none."""
    named = [name for sort, name in item.block.ids if sort == "control"]
    if len(named) != 1 or control.startswith(named[0]):
        return control, leg
    other = max((name for name in call.ids.get("control", ()) if name.startswith(named[0])), key=len, default=named[0])
    return (
        (control, leg) if other == control else (CallControlId(other), LegId(call.legs.get(other, f"leg of {other}")))
    )


_API_ANSWER = re.compile(
    r"(?:Axios|HTTP|Http|Fetch|Request|Response|API|Api|Client)\w*(?:Error|Exception).{0,80}\b[45]\d\d\b|status code "
    r"[45]\d\d"
)
CRASH_MS = 2_500
"""How soon after an exception the socket it breaks is closed."""


def _with_crashes(call: LoggedCall, entries: list[Entry]) -> list[Entry]:
    """Add HandlerFailed for an exception that stopped the call: nothing on the way to audio followed it, or the socket
    closed right after it while the call was on. One that changed nothing is no event of the call."""
    made = list(entries)
    for item in call.seen:
        if item.topic not in {"raised", "handler.failed", "crash"}:
            continue
        raised = raised_of(item.block.text or item.text)
        if raised is None:
            if item.topic != "handler.failed":
                continue
            raised = Raised("", item.text[:200])
        if _API_ANSWER.search(raised.words) and not raised.frames:
            continue  # the answer of some API, which the text does not name: a refusal and no crash
        if any(entry.number in call.lines and call.lines[entry.number] is item for entry in made
               if isinstance(entry.what, HandlerFailed)):  # fmt: skip
            continue
        if not _stops(item, made):
            continue
        number = max((entry.number for entry in made), default=0) + 1
        later = [n for n, entry in enumerate(made) if entry.at_unix_ms > (item.at_ms or 0) or _later(call, entry, item)]
        place = later[0] if later else len(made)
        what = HandlerFailed(error=raised.words, traceback="\n".join(f"File {frame}" for frame in raised.frames))
        like = made[min(place, len(made) - 1)] if made else None
        if like is None:
            continue
        made.insert(place, replace_at(_copy(like, what, number), item.at_ms or 0))
        call.lines[number] = item
        break
    return made


def _later(call: LoggedCall, entry: Entry, item: Seen) -> bool:
    line = call.lines.get(entry.number)
    return line is not None and line.at_ms == item.at_ms and line.order > item.order


def replace_at(entry: Entry, at_unix_ms: int) -> Entry:
    return Entry(
        session=entry.session, at_unix_ms=at_unix_ms, what=entry.what, leg=entry.leg,
        call_control_id=entry.call_control_id, number=entry.number,
    )  # fmt: skip


_PROGRESS = (StreamStarting, StreamAccepted, SocketReceived, StreamStarted, FirstInbound, FirstOutbound)


def _stops(item: Seen, entries: list[Entry]) -> bool:
    """Whether the call got no further than this exception."""
    at = item.at_ms or 0
    hung_up = [
        e.at_unix_ms for e in entries if isinstance(e.what, WebhookReceived) and e.what.event_type == "call.hangup"
    ]
    if hung_up and at >= min(hung_up):
        return False
    before = [e.what for e in entries if e.at_unix_ms <= at]
    if not before:
        return False
    if any(isinstance(what, CommandAnswered) and not what.accepted and what.command in {"answer", "streaming_start", "dial"}
           for what in before):  # fmt: skip
        return False  # Telnyx's refusal came first: the exception is the program's way to say so
    after = [e for e in entries if e.at_unix_ms > at]
    closed = [e for e in entries if isinstance(e.what, SocketClosed) and 0 <= e.at_unix_ms - at <= CRASH_MS]
    flowing = any(isinstance(what, FirstOutbound) for what in before)
    if flowing:
        return bool(closed) and (not hung_up or closed[0].at_unix_ms < min(hung_up) - 500)
    return not any(isinstance(e.what, _PROGRESS) for e in after)


_IMPLIED = 1_000_000
"""Numbers from here on are those of implied entries, while a timeline is being built."""


def _with_implied(call: LoggedCall, entries: list[Entry], maker: _Maker) -> list[Entry]:
    """Add what must have happened though no line says so: frames come over a socket, and a stream is accepted on a call
    that is answered. What is implied stands right before what implies it, and `implied` knows its number."""
    if call.ours:
        return entries
    made: dict[Stage, Callable[[], What]] = {
        Stage.STREAM_STARTED: maker.started,
        Stage.SOCKET_RECEIVED: lambda: SocketReceived(path=""),
        Stage.STREAM_ACCEPTED: lambda: StreamAccepted(status=200),
        Stage.STREAM_STARTING: lambda: StreamStarting(within=maker.within),
        Stage.CALL_ANSWERED: lambda: maker.webhook("call.answered", "", ""),
        Stage.WEBHOOK_RECEIVED: lambda: maker.webhook("call.initiated", "", ""),
    }
    frames: tuple[type[What], ...] = (StreamStarted, FirstInbound)
    # A stream that was asked for with the dial may come while it rings: it proves no answer.
    answered: tuple[type[What], ...] = (FirstOutbound,) if maker.outgoing else (StreamAccepted, SocketReceived, *frames)
    proofs: dict[Stage, tuple[type[What], ...]] = {
        Stage.STREAM_STARTED: (FirstInbound,),
        Stage.SOCKET_RECEIVED: frames,
        Stage.STREAM_ACCEPTED: (SocketReceived, *frames),
        Stage.STREAM_STARTING: (StreamAccepted,),
        Stage.CALL_ANSWERED: answered,
        Stage.WEBHOOK_RECEIVED: (StreamAccepted, SocketReceived, *frames),
    }
    events_by_name = any(item.topic == "webhook" for item in call.seen)
    for stage, kinds in proofs.items():
        reached = fold(SessionId(call.name), entries).stages
        if stage in reached:
            continue
        first = next((n for n, entry in enumerate(entries) if isinstance(entry.what, kinds) or (
            stage is Stage.STREAM_ACCEPTED and (_told_of_stream(entry.what) or _missed(call, entry, entries))
        )), None)  # fmt: skip
        if stage is Stage.CALL_ANSWERED and maker.outgoing and first is not None and _never_taken(entries):
            continue
        if first is None and stage is Stage.CALL_ANSWERED and not events_by_name:
            first = next(
                (
                    n + 1
                    for n, entry in enumerate(entries)
                    if isinstance(entry.what, CommandAnswered)
                    and entry.what.command == "answer"
                    and entry.what.accepted
                ),
                None,
            )
            if first is not None and first == len(entries):
                number = _IMPLIED + stage
                entries.append(_copy(entries[-1], made[stage](), number))
                call.implied.add(number)
                continue
        if first is None:
            continue
        if stage is Stage.CALL_ANSWERED:  # before the stream was asked for: that it was accepted proves no later time
            asked = next((n for n, entry in enumerate(entries) if isinstance(entry.what, StreamStarting)), first)
            first = min(first, asked)
        if stage is Stage.WEBHOOK_RECEIVED:
            first = 0
        number = _IMPLIED + stage
        call.implied.add(number)
        entries.insert(first, _copy(entries[min(first, len(entries) - 1)], made[stage](), number))
    return entries


def _never_taken(entries: list[Entry]) -> bool:
    """Telnyx's own word that the other party never took the call."""
    causes = {"timeout", "no_answer", "user_busy", "call_rejected", "originator_cancel", "not_found"}
    return any(
        isinstance(e.what, WebhookReceived)
        and e.what.event_type == "call.hangup"
        and payload_of(e.what.body).get("hangup_cause") in causes
        for e in entries
    )


def _told_of_stream(what: What) -> bool:
    """Telnyx announces a stream, or its failure, only after it has accepted the request."""
    return isinstance(what, WebhookReceived) and what.event_type in {"streaming.started", "streaming.failed"}


def _missed(call: LoggedCall, entry: Entry, entries: list[Entry]) -> bool:
    """The program itself says that no socket came for the stream it had asked for: nobody awaits one that was refused."""
    line = call.lines.get(entry.number)
    if line is None or line.topic != "socket.missing":
        return False
    before = [one.what for one in entries if one.number < entry.number]
    refused = any(isinstance(what, CommandAnswered) and not what.accepted for what in before)
    return any(isinstance(what, StreamStarting) for what in before) and not refused


def _numbered(call: LoggedCall, entries: list[Entry]) -> tuple[Entry, ...]:
    """Entries with their place as number, so that those of one instant keep their order."""
    lines, implied = call.lines, call.implied
    call.lines, call.implied = {}, set()
    made = []
    for number, entry in enumerate(entries, 1):
        if entry.number in lines:
            call.lines[number] = lines[entry.number]
        if entry.number in implied:
            call.implied.add(number)
        made.append(_copy(entry, entry.what, number))
    return tuple(made)


def _copy(entry: Entry, what: What, number: int) -> Entry:
    return Entry(
        session=entry.session,
        at_unix_ms=entry.at_unix_ms,
        what=what,
        leg=entry.leg,
        call_control_id=entry.call_control_id,
        number=number,
    )


_BARE_START = re.compile(r"\b(?:media |audio |telnyx )?stream started\b(?! success)", re.IGNORECASE)
_BODY = re.compile(r"\b(stream_\w+|send_silence_when_idle)['\"]?\s*:\s*['\"]?([^\s'\",}]+)")
"""Parameters of a command, in a body that was printed as JSON or as JavaScript prints an object."""


class _Maker:
    """Turns lines into entries, once for each thing that happened."""

    def __init__(self, call: LoggedCall, session: SessionId, leg: LegId, control: CallControlId) -> None:
        self._call = call
        self._session, self._leg, self._control = session, leg, control
        self._last: dict[tuple[str, str], int] = {}
        self._commands = 0
        self._open: dict[str, str] = {}
        self._ended_commands: set[str] = set()
        self._stream = StreamId(next(iter(call.ids.get("stream") or []), "stream in the log"))
        self._url = ""
        self.outgoing = _is_outgoing(call)
        self.within = "dial" if self.outgoing else "streaming_start"
        """The command that carried the stream's parameters, where no line says which."""

    def on(self, control: CallControlId, leg: LegId) -> None:
        """The next line is about this leg."""
        self._control, self._leg = control, leg

    def whats(self, item: Seen) -> list[What]:
        made = list(self._ours(item, item.what)) if item.what is not None else list(self._of_topic(item))
        url = item.stream_url
        if url and url != self._url and item.what is None:
            self._url = url
            place = next(
                (n for n, what in enumerate(made) if isinstance(what, StreamAccepted | CommandAnswered)), len(made)
            )
            made.insert(place, StreamUrl(url=url))
        return made

    def _again(self, item: Seen, key: str, detail: str = "", within_ms: int = SAME_MS) -> bool:
        """Whether this was said a moment ago already."""
        at = item.at_ms or 0
        last = self._last.get((key, detail))
        self._last[(key, detail)] = at
        return last is not None and at - last <= within_ms

    def _happened(self, key: str, detail: str = "") -> bool:
        return (key, detail) in self._last

    def _elsewhere(self, item: Seen) -> bool:
        """Whether a refused GET was for another path than that on which this call's socket came: a page or another
        socket may be named like a stream."""
        if '"GET ' not in item.text:
            return False
        paths = {bare(field_of("path", one.text)) for one in self._call.seen if one.topic == "socket.received"}
        paths.discard("")
        return bool(paths) and bare(field_of("path", item.text)) not in paths

    def _ours(self, item: Seen, what: What) -> Iterable[What]:
        match what:
            case WebhookReceived():
                yield self._our_webhook(item, what)
            case CommandSent():
                self._commands += 1
                self._open[what.command] = f"{what.command} {self._commands}"
                if what.command == "streaming_start":
                    return  # our log leaves its parameters out, and the marker says that it was sent
                yield CommandSent(
                    command=what.command, command_id=self._open[what.command], call_control_id=self._control
                )
            case CommandAnswered():
                yield CommandAnswered(
                    command=what.command,
                    command_id=self._open.get(what.command, f"{what.command} 0"),
                    status=what.status,
                    latency_ms=what.latency_ms,
                    error_code=what.error_code,
                    error_detail=what.error_detail,
                )
            case _:
                yield what

    def _of_topic(self, item: Seen) -> Iterable[What]:
        text = item.block.text or item.text
        leg = f"{self._control}"
        match item.topic:
            case "webhook":
                event_id = field_of("event_id", text)
                if not self._again(item, "webhook", f"{item.event} {leg}"):
                    self._last[("event", item.event)] = item.at_ms or 0
                    yield self.webhook(item.event, text, event_id)
            case "incoming":
                if not self._again(item, "webhook", f"call.initiated {leg}", 30_000):
                    yield self.webhook("call.initiated", text, "")
            case "hangup":
                if not self._again(item, "webhook", f"call.hangup {leg}", 30_000):
                    yield self.webhook("call.hangup", text, "")
            case "answer.sent" | "dial.sent":
                command = item.topic.partition(".")[0]
                if not self._again(item, item.topic):
                    yield self._sent(command, within=bool(item.stream_url))
                    if item.stream_url:
                        yield StreamStarting(within=command)
            case "answer.accepted" | "dial.accepted":
                command = item.topic.partition(".")[0]
                if not self._again(item, item.topic, within_ms=30_000):
                    yield from self._answered(command, 200, item)
                    if self._carries == command:
                        yield StreamAccepted(status=200, within=command)
            case "answer.failed" | "dial.failed":
                if not self._again(item, item.topic):
                    yield from self._answered(item.topic.partition(".")[0], None, item)
            case "command.failed":
                yield from self._some_command_failed(item)
            case "stream.starting":
                if not self._again(item, "stream.starting"):
                    yield from self._asking(text)
            case "stream.accepted":
                if self._happened("socket.received") and _BARE_START.search(item.text) and item.exchange is None:
                    if not self._again(item, "stream.started", within_ms=10_000):
                        yield self.started()  # with the socket open these words mean the start frame
                elif not self._again(item, "stream.accepted"):
                    yield from self._answered("streaming_start", 200, item)
                    yield StreamAccepted(status=200)
            case "stream.failed":
                refused = item.exchange is not None and (
                    item.exchange.status or item.exchange.code or item.exchange.unanswered
                )
                told = self._happened("stream.accepted") and not re.search(r"\b[45]\d\d\b|\b9\d{4}\b", text)
                if told and not refused:  # after it was accepted only the stream itself can fail
                    if not self._again(item, "webhook", f"streaming.failed {leg}"):
                        yield self.webhook("streaming.failed", text, "")
                elif not self._again(item, "stream.failed"):
                    yield from self._answered("streaming_start", None, item)
            case "socket.received":
                if not self._again(item, "socket.received"):
                    yield SocketReceived(path=field_of("path", text))
            case "socket.refused":
                if not self._elsewhere(item) and not self._again(item, "socket.refused"):
                    status = int(field_of("status", item.text) or 0)
                    yield SocketRejected(
                        status=status, reason="", detail=item.text[:200], path=field_of("path", item.text)
                    )
            case "stream.started":
                if not self._again(item, "stream.started", within_ms=10_000):
                    rate = field_of("sample_rate", text)
                    yield StreamStarted(
                        stream_id=self._stream,
                        encoding=field_of("encoding", text).upper() or "?",
                        sample_rate_hz=int(rate) if rate else 0,
                    )
            case "media.in" | "alive":
                if self._first("media.in"):
                    yield FirstInbound(stream_id=self._stream, payload_bytes=0)
            case "media.out":
                if self._first("media.out"):
                    yield FirstOutbound(stream_id=self._stream, payload_bytes=0)
            case "stream.stopped":
                if not self._again(item, "stream.stopped"):
                    yield StreamStopped(stream_id=self._stream)
            case "socket.closed":
                if not self._again(item, "socket.closed"):
                    code = field_of("close_code", text)
                    closing = self._last.get(("closing", ""))
                    by_us = closing is not None and 0 <= (item.at_ms or 0) - closing <= SAME_MS
                    yield SocketClosed(
                        code=int(code) if code else 1005,
                        reason=field_of("close_reason", text),
                        by="us" if by_us else "unknown",
                    )
            case "stream.errored":
                named = _MEDIA_ERROR.search(text)
                if named is not None and not self._again(item, "stream.errored", named[0]):
                    yield StreamErrored(
                        code=int(named[0]), title=field_of("title", text) or "?", detail=field_of("detail", text)
                    )
            case "hangup.sent":
                if not self._again(item, "hangup.sent"):
                    yield self._sent("hangup")
            case "complaint" | "provider failed" | "reply":
                complaint = complaint_of(item.text, item.level)
                if complaint is not None and complaint.closes:
                    self._last[("closing", "")] = item.at_ms or 0
                if not self._again(item, item.topic, item.text[:60]):
                    yield Noted(text=item.text[:200])
            case "raised" | "crash" | "handler.failed":
                raised = raised_of(text)
                said = raised.words if raised is not None else item.text[:200]
                if not self._again(item, "raised", said[:80]):
                    yield Noted(text=said)
            case "socket.missing" | "webhook.refused" | "note":
                if not self._again(item, item.topic):
                    yield Noted(text=item.text[:200])

    def started(self) -> StreamStarted:
        return StreamStarted(stream_id=self._stream, encoding="?", sample_rate_hz=0)

    def _first(self, key: str) -> bool:
        first = (key, "") not in self._last
        self._last[(key, "")] = 0
        return first

    _carries = ""
    """The command whose parameters asked for the stream, where it was not streaming_start."""

    def _sent(self, command: str, body: dict[str, Any] | None = None, *, within: bool = False) -> CommandSent:
        self._commands += 1
        self._open[command] = f"{command} {self._commands}"
        if within:
            self._carries = command
        return CommandSent(
            command=command, command_id=self._open[command], call_control_id=self._control, body=body or {}
        )

    def _asking(self, text: str) -> Iterable[What]:
        """The marker; and the command itself where its whole body is told: a part would accuse what it leaves out."""
        yield StreamStarting(within="streaming_start")
        body = dict(_BODY.findall(text)) if "{" in text else {}
        if {"stream_url", "stream_track"} <= body.keys():
            yield self._sent("streaming_start", body)
        else:
            self._commands += 1
            self._open["streaming_start"] = f"streaming_start {self._commands}"

    def _answered(self, command: str, status: int | None, item: Seen) -> Iterable[What]:
        if command not in self._open:
            if command == "streaming_start":
                yield from self._asking(item.block.text or item.text)
            else:
                yield self._sent(command)
        code = detail = None
        if status is None:
            status, code, detail = _refusal(item)
        self._ended_commands.add(command)
        yield CommandAnswered(
            command=command, command_id=self._open.pop(command), status=status, error_code=code, error_detail=detail
        )

    def _some_command_failed(self, item: Seen) -> Iterable[What]:
        """Telnyx refused a command that the line does not name: the one that waits for its answer, else the next one on
        the way to the stream."""
        answered = self._happened("event", "call.answered") or "answer" in self._ended_commands
        named = next((command for command, pattern in _NAMED.items() if pattern.search(item.text)), "")
        if not named and answered and not self.outgoing and item.exchange is not None and item.exchange.d_code:
            named = "transfer"  # of an answered call nothing else is refused with such a code
        if named:
            if not self._again(item, f"{named}.failed"):
                yield from self._answered(named, None, item)
            return
        waits = [name for name in ("answer", "streaming_start", "dial") if name in self._open]
        if len(waits) == 1:
            command = waits[0]
        elif self._happened("stream.accepted") or self._happened("socket.received"):
            yield Noted(text=item.text[:200])
            return
        elif answered:
            command = "streaming_start"
        elif not self.outgoing:
            command = "answer"
        else:
            yield Noted(text=item.text[:200])
            return
        if not self._again(item, f"{command}.failed"):
            yield from self._answered(command, None, item)

    def _our_webhook(self, item: Seen, what: WebhookReceived) -> WebhookReceived:
        """What a line of ours says of an event: its leg, and what stands in its words."""
        made = self.webhook(what.event_type, "", "")
        payload = made.body["data"]["payload"]
        payload |= payload_of(what.body)
        legs = [value for name, value in item.block.ids if name == "leg"]
        if legs and self._leg.lower() not in legs:
            payload |= {"call_leg_id": legs[0], "call_control_id": f"leg {legs[0]}"}
        return made

    def webhook(self, event: str, text: str, event_id: str) -> WebhookReceived:
        """An event as Telnyx would have sent it, with as much of it as the log has."""
        payload: dict[str, Any] = {
            "call_control_id": self._control,
            "call_leg_id": self._leg,
            "call_session_id": self._session,
        }
        if event == "call.initiated":
            direction = field_of("direction", text).lower()
            payload["direction"] = (
                "outgoing"
                if direction.startswith("out") or (not direction and (self.outgoing or _OUTBOUND.search(text)))
                else "incoming"
            )
        elif event == "call.hangup":
            payload |= {
                name: value for name in ("hangup_cause", "hangup_source") if (value := field_of(name, text).lower())
            }
            if sip := field_of("sip_hangup_cause", text):
                payload["sip_hangup_cause"] = sip
        elif event == "streaming.failed":
            payload["failure_reason"] = field_of("failure_reason", text) or None
            payload["stream_id"] = self._stream
            if url := stream_url_in(text):
                payload["stream_params"] = {"stream_url": url}
        elif event.startswith("call.machine"):
            payload["result"] = field_of("machine_result", text).lower() or None
        event_id = event_id or f"log {len(self._last)} {event}"
        return WebhookReceived(
            event_type=event,
            event_id=event_id,
            body={"data": {"event_type": event, "id": event_id, "record_type": "event", "payload": payload}},
        )


_NAMED = {
    "transfer": re.compile(r"\btransfer", re.IGNORECASE),
    "bridge": re.compile(r"\bbridg(?:e|ing)\b", re.IGNORECASE),
    "refer": re.compile(r"\b(?:sip )?refer(?:ral)?\b", re.IGNORECASE),
}
"""Commands beside those on the way to the stream that a line may name."""

_MEDIA_ERROR = re.compile(r"\b100\d{3}\b")
_OUTBOUND = re.compile(r"outbound|\bdial|outgoing", re.IGNORECASE)


def _is_outgoing(call: LoggedCall) -> bool:
    """Whether the program placed this call: by the direction that its first leg tells, else by a dial."""
    for item in call.seen:
        if item.event == "call.initiated" or item.topic == "incoming":
            told = field_of("direction", item.block.text or item.text).lower()
            if told:
                return told.startswith("out")
            if item.topic == "incoming" and _OUTBOUND.search(item.text):
                return True
    if any(item.topic in {"answer.sent", "answer.accepted", "answer.failed"} for item in call.seen):
        return False
    return any(item.topic.startswith("dial.") for item in call.seen)


def _refusal(item: Seen) -> tuple[int | None, str | None, str | None]:
    """Status, code and words of a refusal; a status of None: no answer came, 0: refused, and the log does not say how."""
    text = item.block.text or item.text
    told = exchange_of(text) if len(text) > len(item.text) else None
    if told is None or told.accepted:
        told = item.exchange
    if told is None or (told.status is None and not told.code and not told.unanswered):
        said = field_of("status", text)
        status = int(said) if said and int(said) >= 300 else None
        code = field_of("code", text)
        detail = field_of("detail", text) or field_of("title", text) or text.split("\n")[0][:200]
        told = Exchange("", status, code, detail, unanswered=NO_ANSWER.search(text) is not None)
    status = told.status
    if status is None and not (told.unanswered and not told.code):
        status = 0
    detail = told.detail
    if told.pointer and told.pointer not in detail:
        detail = f"{detail} ({told.pointer})"
    if told.d_code and told.d_code not in detail:
        detail = f"{detail} {told.d_code}"
    if not told.code and not status and sdk_status(text) == 401 and "uthenticat" not in detail:
        detail = f"{detail} (authentication)"
    return status, told.code or None, detail[:300]
