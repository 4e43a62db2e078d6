"""Calls as OpenTelemetry traces, one trace a call, made from its timeline when the call is over.

Imported only where traces are on: it needs the extra `otel`. The ids follow from the session: whichever node makes the
trace, a handler's own spans on another node belong to it. Nothing here runs while audio does, but for one assignment when
the handler starts.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from opentelemetry import context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    ProxyTracerProvider,
    SpanContext,
    SpanKind,
    TraceFlags,
    get_tracer_provider,
    set_span_in_context,
    set_tracer_provider,
)
from opentelemetry.trace.status import Status, StatusCode

from callpath import __version__
from callpath.call.session import fold, missing_stage_sentence
from callpath.store.port import CallLog
from callpath.timeline import (
    CallTraced,
    CommandAnswered,
    CommandRetried,
    CommandSent,
    Entry,
    HandlerEnded,
    HandlerFailed,
    HandlerStarted,
    MediaCounted,
    SocketClosed,
    SocketReceived,
    SocketRejected,
    StreamProbed,
    StreamStarted,
    WebhookReceived,
    describe,
    kind_of,
    without_numbers,
)
from callpath.wire.ids import SessionId

CLOSE_S = 3.0
"""How long a stop waits for the last spans to be exported."""

EVENTS_MAX = 128
"""Of one span: what OpenTelemetry's own limit is."""

Value = str | int | float | bool


@dataclass(slots=True)
class _Span:
    """One that is being gathered. Times are Unix ms."""

    name: str
    id: int
    start: int
    kind: SpanKind = SpanKind.INTERNAL
    end: int | None = None
    problem: str | None = None
    attributes: dict[str, Value] = field(default_factory=dict)
    events: list[tuple[str, int, dict[str, Value]]] = field(default_factory=list)


class Traces:
    """Makes and exports the traces of a server. `service` names it where OTEL_SERVICE_NAME does not."""

    def __init__(self, exporter: SpanExporter, service: str | None = None) -> None:
        resource = Resource.create({"service.name": service} if service else {})
        self._processor = BatchSpanProcessor(exporter)
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(self._processor)
        self._scope = InstrumentationScope("callpath", __version__)

    def serve_handlers(self) -> None:
        """Spans that handlers make by OpenTelemetry's API go the same way, unless the application has set up its own."""
        if isinstance(get_tracer_provider(), ProxyTracerProvider):
            set_tracer_provider(self._provider)

    def enter_handler(self, session: SessionId, at_unix_ms: int) -> None:
        """The current task runs the handler of a call: its spans are children of the handler's."""
        span = NonRecordingSpan(self._context(session, _handler_id(session, at_unix_ms), remote=True))
        context.attach(set_span_in_context(span))

    async def export(self, session: SessionId, log: CallLog, write: Callable[[Entry], Awaitable[bool]]) -> None:
        """The call is over: its trace goes out, once, whichever node comes first. Raises StoreError."""
        entries = await log.read(session)
        if not entries or not self._sampled(session):
            return
        traced = CallTraced(trace_id=f"{trace_id(session):032x}")
        last = entries[-1]
        if await write(Entry(session=session, at_unix_ms=last.at_unix_ms, what=traced, key="trace", leg=last.leg)):
            for span in await asyncio.to_thread(self.spans, session, entries):
                self._processor.on_end(span)

    def spans(self, session: SessionId, entries: Sequence[Entry]) -> list[ReadableSpan]:
        """A timeline as spans, the call itself first."""
        gathered = _gather(session, entries)
        root = self._context(session, gathered[0].id)
        return [
            ReadableSpan(
                name=span.name,
                context=self._context(session, span.id),
                parent=None if span.id == root.span_id else root,
                resource=self._provider.resource,
                attributes=span.attributes,
                events=[
                    Event(name, attributes, timestamp=at * 1_000_000)
                    for name, at, attributes in span.events[:EVENTS_MAX]
                ],
                kind=span.kind,
                status=Status(StatusCode.ERROR, span.problem) if span.problem else Status(StatusCode.UNSET),
                start_time=span.start * 1_000_000,
                end_time=max(span.start, span.end if span.end is not None else span.start) * 1_000_000,
                instrumentation_scope=self._scope,
            )
            for span in gathered
        ]

    def close(self) -> None:
        """Export what is left, for a few seconds at most. Blocks: call it in a thread."""
        closing = threading.Thread(target=self._processor.shutdown, name="last traces", daemon=True)
        closing.start()
        closing.join(CLOSE_S)

    def _sampled(self, session: SessionId) -> bool:
        result = self._provider.sampler.should_sample(None, trace_id(session), "call")
        return result.decision is Decision.RECORD_AND_SAMPLE

    def _context(self, session: SessionId, span_id: int, *, remote: bool = False) -> SpanContext:
        flags = TraceFlags(TraceFlags.SAMPLED if self._sampled(session) else TraceFlags.DEFAULT)
        return SpanContext(trace_id(session), span_id, is_remote=remote, trace_flags=flags)


def trace_id(session: SessionId) -> int:
    """The same on every node. A hash: samplers by ratio look at the low bits, which time-based UUIDs have in common."""
    return _id(session, "trace", 16)


def _handler_id(session: SessionId, at_unix_ms: int) -> int:
    return _id(session, f"handler {at_unix_ms}", 8)


def _id(session: SessionId, name: str, size: int) -> int:
    found = hashlib.sha256(f"callpath {session} {name}".encode()).digest()[:size]
    return int.from_bytes(found) or 1  # 0 is no id


def _gather(session: SessionId, entries: Sequence[Entry]) -> list[_Span]:
    state = fold(session, entries)
    first = min(entry.at_unix_ms for entry in entries)
    ended = state.ended_unix_ms or max(entry.at_unix_ms for entry in entries)
    root = _Span("call", _id(session, "call", 8), first, SpanKind.SERVER, ended, missing_stage_sentence(state))
    root.attributes["callpath.call_session_id"] = session
    root.attributes["callpath.state"] = state.state
    if state.leg is not None:
        known = {
            "direction": state.leg.direction,
            "hangup_cause": state.leg.hangup_cause,
            "call_leg_id": state.leg.leg_id,
        }
        root.attributes |= {f"callpath.{name}": str(value) for name, value in known.items() if value}
    spans = [root]
    commands: dict[str, _Span] = {}
    socket: _Span | None = None
    handler: _Span | None = None

    def begin(name: str, entry: Entry, kind: SpanKind = SpanKind.INTERNAL, span_id: int | None = None) -> _Span:
        made = span_id if span_id is not None else _id(session, f"{len(spans)} {name}", 8)
        spans.append(_Span(name, made, entry.at_unix_ms, kind))
        return spans[-1]

    for entry in entries:
        what, at = entry.what, entry.at_unix_ms
        match what:
            case WebhookReceived():
                span = begin(f"webhook {what.event_type}", entry, SpanKind.SERVER)
                span.attributes = {"callpath.event_id": what.event_id, "callpath.fetched": what.fetched}
            case CommandSent():
                span = commands[what.command_id] = begin(f"command {what.command}", entry, SpanKind.CLIENT)
                span.attributes["callpath.command_id"] = what.command_id
                span.problem = "no answer"
            case CommandRetried() if what.command_id in commands:
                commands[what.command_id].events.append((kind_of(what), at, {"message": describe(what)}))
            case CommandAnswered() if what.command_id in commands:
                span = commands[what.command_id]
                span.end, span.problem = at, None if what.accepted else describe(what)
                span.attributes |= {"callpath.latency_ms": what.latency_ms, "callpath.attempts": what.attempts}
                if what.status is not None:
                    span.attributes["http.response.status_code"] = what.status
                if what.error_code is not None:
                    span.attributes["callpath.error_code"] = what.error_code
            case SocketReceived():
                socket = begin("audio socket", entry, SpanKind.SERVER)
                socket.end = ended
            case SocketRejected() if socket is not None:
                socket.end, socket.problem = at, describe(what)
                socket.attributes["http.response.status_code"] = what.status
                socket = None
            case SocketClosed() if socket is not None:
                socket.end = at
                socket.attributes |= {"callpath.close_code": what.code, "callpath.closed_by": what.by}
                socket = None
            case MediaCounted():
                if socket is not None:
                    counted = ("frames_in", "frames_out", "lost", "late", "underruns", "dropped_for_handler")
                    socket.attributes |= {f"callpath.{name}": getattr(what, name) for name in counted}
            case HandlerStarted():
                handler = begin(f"handler {what.name}", entry, span_id=_handler_id(session, at))
                handler.end = ended
            case HandlerEnded() if handler is not None:
                handler.end = at
                handler.attributes["callpath.cancelled"] = what.cancelled
            case HandlerFailed() if handler is not None:
                handler.end, handler.problem = at, without_numbers(what.error)
                trace = {"exception.message": handler.problem, "exception.stacktrace": without_numbers(what.traceback)}
                handler.events.append(("exception", at, dict(trace)))
            case StreamProbed():
                span = begin("probe", entry)
                span.start, span.end = round(at - what.duration_ms), at
                span.problem = None if what.healthy else describe(what)
            case _:
                if isinstance(what, StreamStarted) and socket is not None:
                    codec = {"callpath.encoding": what.encoding, "callpath.stream_id": what.stream_id}
                    socket.attributes |= codec
                about = socket if socket is not None and kind_of(what).split(".")[0] in OF_SOCKET else root
                about.events.append((kind_of(what), at, {"message": describe(what)}))
    for span in commands.values():
        span.end = ended if span.end is None else span.end
    return spans


OF_SOCKET = ("stream", "media", "frame", "dtmf", "mark", "playout")
"""Kinds of entry, by their first word, that tell of an open audio socket."""
