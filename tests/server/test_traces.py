"""A call as a trace: one, complete, the same from whichever node, and with nothing in it about anybody."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from callpath.api.app import App
from callpath.api.call import Call
from callpath.server.traces import Traces, trace_id
from callpath.store.memory import MemoryCallLog
from callpath.timeline import (
    CallTraced,
    CommandAnswered,
    CommandRetried,
    CommandSent,
    HandlerEnded,
    HandlerFailed,
    HandlerStarted,
    MediaCounted,
    Noted,
    SocketClosed,
    SocketReceived,
    SocketRejected,
    StreamProbed,
    What,
)
from callpath.wire.ids import SessionId, StreamId
from tests.dashboard.calls import entries, failed_call, good_call
from tests.serving import serving
from tests.store.entries import AT

CALL = SessionId("428c31b6-abf3-3bc1-b7f4-5013ef9657c1")


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traces(exporter: InMemorySpanExporter) -> Iterator[Traces]:
    made = Traces(exporter, "callpath")
    yield made
    made.close()


def spans_of(traces: Traces, *whats: What) -> dict[str, ReadableSpan]:
    return {span.name: span for span in traces.spans(CALL, entries(CALL, whats))}


def ms(span: ReadableSpan) -> tuple[int, int]:
    assert span.start_time is not None and span.end_time is not None
    return span.start_time // 1_000_000 - AT, span.end_time // 1_000_000 - AT


def test_a_good_call(traces: Traces) -> None:
    """Each stage at its own time, below one span for the whole call; and nothing is red."""
    whats = good_call()
    spans = traces.spans(CALL, entries(CALL, whats))
    named = {span.name: span for span in spans}
    root = spans[0]
    socket, handler = named["audio socket"], named["handler echo"]
    received = next(10 * at for at, what in enumerate(whats) if isinstance(what, SocketReceived))
    events = [event.name for event in socket.events]

    assert {
        "call",
        "webhook call.initiated",
        "webhook call.hangup",
        "command answer",
        "command streaming_start",
    } <= set(named)
    assert root.parent is None
    assert {root.context.span_id} == {span.parent.span_id for span in spans[1:] if span.parent}
    assert {trace_id(CALL)} == {span.context.trace_id for span in spans}
    assert len(spans) == len({span.context.span_id for span in spans})
    assert {"UNSET"} == {span.status.status_code.name for span in spans}
    assert (received, 10 * (len(whats) - 1)) == ms(socket)
    assert ms(handler)[0] == received + 20
    assert ["stream.started", "media.first_inbound", "media.first_outbound", "stream.stopped"] == events
    assert dict(socket.attributes or {}).items() >= {"callpath.encoding": "PCMU", "callpath.frames_in": 500}.items()
    assert "callpath" == root.resource.attributes["service.name"]


def test_a_failed_call_says_which_stage_is_missing(traces: Traces) -> None:
    """Whoever looks for errors in all traces finds the calls that nobody heard anything in."""
    root = traces.spans(CALL, entries(CALL, failed_call()))[0]

    assert "ERROR" == root.status.status_code.name
    assert "WebSocket connection received" in (root.status.description or "")


def test_commands(traces: Traces) -> None:
    """Accepted, refused after a retry, and never answered: with status, latency and what Telnyx said."""
    sent = [CommandSent(command=name, command_id=name) for name in ("answer", "speak", "hangup")]
    spans = spans_of(
        traces,
        *sent,
        CommandAnswered(command="answer", command_id="answer", status=200, latency_ms=12.5),
        CommandRetried(command="speak", command_id="speak", attempt=1, status=503, reason="busy"),
        CommandAnswered(
            command="speak", command_id="speak", status=422, error_code="90018", error_detail="to +15555550123"
        ),
        CommandAnswered(command="other", command_id="of another version", status=200),
        Noted(text="x"),
    )
    answer, speak, hangup = (spans[f"command {name}"] for name in ("answer", "speak", "hangup"))

    assert (0, 30) == ms(answer)
    assert {"http.response.status_code": 200, "callpath.latency_ms": 12.5}.items() <= dict(
        answer.attributes or {}
    ).items()
    assert ["command.retried"] == [event.name for event in speak.events]
    assert "Command speak refused: 422 90018 to [number]" == speak.status.description
    assert ("no answer", (20, 50)) == (hangup.status.description, ms(hangup))


def test_sockets_handlers_and_probes_that_fail(traces: Traces) -> None:
    """Each is red where it went wrong, and no span is left open."""
    spans = spans_of(
        traces,
        SocketReceived(path="/x"),
        SocketRejected(status=401, reason="no_token", detail="no token came", path="/x"),
        StreamProbed(url="wss://x", healthy=False, decided=True, summary="expired", code="TLS001", duration_ms=15.0),
        HandlerStarted(name="bot"),
        HandlerFailed(error="ValueError: +15555550123", traceback="x\n+15555550123"),
        SocketClosed(code=1006),
        HandlerEnded(),
        MediaCounted(stream_id=StreamId("s")),
    )
    socket, probe, handler = spans["audio socket"], spans["probe"], spans["handler bot"]
    (raised,) = handler.events

    assert ("ERROR", (0, 10)) == (socket.status.status_code.name, ms(socket))
    assert ("ERROR", (5, 20)) == (probe.status.status_code.name, ms(probe))
    assert ("ValueError: [number]", (30, 60)) == (handler.status.description, ms(handler))
    assert {"exception.message": "ValueError: [number]", "exception.stacktrace": "x\n[number]"} == dict(
        raised.attributes or {}
    )


async def test_many_nodes_make_one_trace(traces: Traces, exporter: InMemorySpanExporter) -> None:
    """The webhook came to one node, the socket to another: the first to see the end makes the trace, and the handler's
    own spans, exported by another, are part of it."""
    log = MemoryCallLog()
    for one in entries(CALL, good_call()):
        await log.append(one)
    elsewhere = InMemorySpanExporter()
    other = Traces(elsewhere)
    started = next(one for one in entries(CALL, good_call()) if isinstance(one.what, HandlerStarted))

    def handle() -> None:
        other.enter_handler(CALL, started.at_unix_ms)
        other._provider.get_tracer("bot").start_span("think").end()

    contextvars.copy_context().run(handle)
    await traces.export(CALL, log, log.append)
    await other.export(CALL, log, log.append)
    traces.close()
    other.close()
    (thought,) = elsewhere.get_finished_spans()
    handler = next(span for span in exporter.get_finished_spans() if span.name == "handler echo")
    traced = [one.what for one in await log.read(CALL) if isinstance(one.what, CallTraced)]

    assert trace_id(CALL) == thought.context.trace_id
    assert thought.parent is not None
    assert handler.context.span_id == thought.parent.span_id
    assert [CallTraced(trace_id=f"{trace_id(CALL):032x}")] == traced


async def test_what_is_not_sampled(exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_TRACES_SAMPLER holds for calls, and for what their handlers make."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    half = Traces(exporter)
    log = MemoryCallLog()
    sessions = [SessionId(f"call-{number}") for number in range(40)]
    for session in sessions:
        for one in entries(session, [Noted(text="x")]):
            await log.append(one)
        await half.export(session, log, log.append)
    half.close()
    made = {one.session for session in sessions for one in await log.read(session) if isinstance(one.what, CallTraced)}

    assert 5 < len(made) < 35
    assert len(made) == len(exporter.get_finished_spans())


# --- with a server ---------------------------------------------------------------------------------------------------


class Collector(HTTPServer):
    """An OTLP/HTTP receiver that keeps what it gets."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receive)
        self.requests: list[ExportTraceServiceRequest] = []

    @property
    def spans(self) -> list[object]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class _Receive(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Collector)
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.requests.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("content-type", "application/x-protobuf")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()


@pytest.mark.e2e
async def test_a_real_call_arrives_at_a_real_collector(tmp_path: Path) -> None:
    """Over OTLP/HTTP, once, with the handler's own spans in their place; no number and no token is in it."""
    app = App()

    @app.call
    async def bot(call: Call) -> None:
        with trace.get_tracer("bot").start_as_current_span("think"):
            await asyncio.sleep(0)
        async for chunk in call.audio:
            await call.play(chunk)

    with collecting() as collector:
        endpoint = f"http://127.0.0.1:{collector.server_port}/v1/traces"
        traces = Traces(OTLPSpanExporter(endpoint=endpoint), "callpath")
        traces.serve_handlers()
        async with serving(app, tmp_path, traces=traces) as served:
            caller = await served.telnyx.call()
            await caller.heard_for(200)
            await caller.hangup()
            leg = caller.call.leg
            timeline = await served.until_kind(leg.call_session_id, CallTraced)
            token = served.context.tokens.of(SessionId(leg.call_session_id)) if served.context.tokens else ""
    spans: dict[str, object] = {span.name: span for span in collector.spans}  # type: ignore[attr-defined]
    sent = b"".join(request.SerializeToString() for request in collector.requests)

    assert {"call", "audio socket", "handler bot", "think", "command answer", "webhook call.hangup"} <= set(spans)
    assert {trace_id(leg.call_session_id).to_bytes(16)} == {span.trace_id for span in collector.spans}  # type: ignore[attr-defined]
    assert spans["think"].parent_span_id == spans["handler bot"].span_id  # type: ignore[attr-defined]
    assert 1 == sum(isinstance(one.what, CallTraced) for one in timeline)
    assert token
    assert [False] * 3 == [text.encode() in sent for text in (token, str(leg.from_), str(leg.to))]
