"""wss …/api/calls/{call_session_id}/audio: admit before 101, then carry texts between one socket and one stream.

A frame's way in: socket → `StreamDriver.receive_text` → `MediaStream.receive_audio` → `Call.hear_bytes` → the handler.
Its way out: `Call.play` → `StreamDriver.play` → `MediaStream.play_at_once` → socket.

Those are the quick ways of a frame that comes in its turn, and of one that need not wait. Everything else, the first and
the last frame included, goes `MediaStream.receive_text` → events → `_take`, and `MediaStream.play` → `texts_to_send`,
paced, → socket.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from msgspec.structs import replace
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from callpath.api.feed import CallFeed
from callpath.audio.pcm import as_pcm
from callpath.call.address import GOES_ON_HEADER
from callpath.call.session import CallSession
from callpath.call.stream import (
    PTIME_MS,
    AudioReceived,
    DtmfPressed,
    ErrorReported,
    FrameSkipped,
    MarkHandedBack,
    MediaStream,
    PayloadReceived,
    StreamClosed,
    StreamEvent,
    StreamOpened,
    SymptomSeen,
)
from callpath.call.symptoms import SYMPTOMS
from callpath.clock import Clock
from callpath.errors import StoreError
from callpath.server.admission import ELSEWHERE, Rejection, Upgrade, admit, is_own_probe
from callpath.server.calls import Calls
from callpath.server.live import LiveCall
from callpath.server.pacer import Pacer
from callpath.server.probe import TEST_CONNECTION, ProbeEndpoint
from callpath.server.read_coalescer import ReadCoalescer
from callpath.server.socket import EXTENSION, AsgiSocket, Socket
from callpath.timeline import (
    DtmfReceived,
    FirstInbound,
    FirstOutbound,
    FrameRejected,
    MarkReturned,
    MediaCounted,
    MediaSymptom,
    SocketClosed,
    StreamErrored,
    StreamStopped,
    What,
)
from callpath.wire.ids import SessionId, StreamId
from callpath.wire.media import AUTH_TOKEN_HEADER, Start

logger = structlog.get_logger("callpath")

COUNTED_EVERY_MS = 10_000
"""How often the counters of a stream go into the timeline."""

BAD_FRAMES_MAX = 100
"""Maximum number of consecutive frames that cannot be used. Such a peer is not Telnyx, and the socket is closed (1008)."""

CLOSE_AFTER_STOP_MS = 2_000.0
"""After a stop frame, or the end of the call, Telnyx closes the socket; we wait this long before we do."""

SECOND_MS = 1_000.0
"""How often `on_second` runs for a stream: symptoms, pings, timeouts."""

SECOND_TURNS = 100
"""Streams that began together have it by turns, a hundredth of a second apart."""

COUNT_TURNS = 40
"""Counters are stored by turns, too, four times a second: each costs a commit of the call log, whose thread holds up
frames, and all at once would cost a pause."""

WAY_HEADERS = (
    "host",
    "user-agent",
    "origin",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-for",
    "x-real-ip",
    "via",
    "cf-ray",
    "fly-request-id",
    "x-railway-edge",
    "x-railway-request-id",
    "x-request-id",
)
"""Headers of an upgrade that show which way it took; the platform's request ids join it with the platform's logs."""


class AudioEndpoint:
    """The route, as an ASGI application. One instance per server."""

    def __init__(self, *, calls: Calls, probe: ProbeEndpoint, clock: Clock) -> None:
        self._calls = calls
        self._probe = probe
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        session = SessionId(websocket.path_params["call_session_id"])
        shown_token = websocket.path_params.get("token") or websocket.headers.get(AUTH_TOKEN_HEADER)
        if session == TEST_CONNECTION or is_own_probe(self._calls.context, session, shown_token):
            await self._probe.answer(websocket, shown_token, known=session != TEST_CONNECTION)
            return
        self._calls.upgrades += 1
        try:
            call = await self._decide(websocket, session, shown_token)
        finally:
            self._calls.upgrades -= 1
        if call is not None:
            await self._carry(websocket, call)

    async def _decide(self, websocket: WebSocket, session: SessionId, shown_token: str | None) -> LiveCall | None:
        """Answer the upgrade; the call whose socket it is."""
        headers = websocket.headers
        token = websocket.path_params.get("token")
        try:
            admitted = await admit(
                self._calls,
                Upgrade(
                    session,
                    shown_token=shown_token,
                    path=websocket.url.path.replace(token, "***") if token else websocket.url.path,
                    client=websocket.client.host if websocket.client else None,
                    headers={name: headers[name][:200] for name in WAY_HEADERS if name in headers},
                    may_go_on=headers.get(GOES_ON_HEADER) == str(ELSEWHERE.status),
                ),
            )
        except StoreError as error:
            ids = {"call_session_id": session}
            logger.error("Upgrade not decided", event_name="upgrade.not_decided", error=str(error), **ids)
            admitted = Rejection(503, "store", "the call log cannot be read or written at this moment")
        if isinstance(admitted, Rejection):
            answer = {"error": admitted.reason, "detail": admitted.detail}
            await websocket.send_denial_response(JSONResponse(answer, status_code=admitted.status))
            return None
        await websocket.accept()
        return admitted.call

    async def _carry(self, websocket: WebSocket, call: LiveCall) -> None:
        context = self._calls.context
        driver = StreamDriver(call, call.new_stream(), self._clock, context.pacer, context.coalescer)
        offer = websocket.scope.get("extensions", {}).get(EXTENSION)
        socket = offer["take_connection"](driver, context.coalescer) if offer else None
        if socket is not None:
            driver.begin(socket)
            return  # the driver goes on by itself
        slow = AsgiSocket(websocket, driver)
        driver.begin(slow)
        await slow.carry()


class StreamDriver:
    """Carries texts between one socket and one stream: audio to the call, everything else into the timeline.

    It is the socket's receiver and wakes with the pacer; it has no task of its own.
    """

    def __init__(
        self, call: LiveCall, stream: MediaStream, clock: Clock, pacer: Pacer, coalescer: ReadCoalescer
    ) -> None:
        self._call = call
        self._stream = stream
        self._clock = clock
        self._now_ms = clock.now_ms
        self._pacer = pacer
        self._coalescer = coalescer
        self._socket: Socket
        self._send: Callable[[bytes], None]
        self._deliver: Callable[[Any], None] | None = None
        """Takes audio the quick way to the handler, once the first came."""
        self._second_at_ms = 0.0
        self._count_at_ms = 0.0
        self._close_at_ms: float | None = None
        self._first_inbound_seen = False
        self._first_outbound_seen = False
        self._stalled = False
        self._stalls = 0
        self._lag_ms = 0.0
        """The event loop's longest lag since the last count."""
        self._rejected: set[str] = set()
        self._firsts: list[tuple[What, int]] = []
        """Entries that wait for the next second, with the times when they happened."""
        stream.reject_start = partial(names_another_call, call.session)

    def begin(self, socket: Socket) -> None:
        """The socket is open."""
        self._socket, self._send = socket, socket.send
        now_ms = self._now_ms()
        turn = self._pacer.next_turn()
        self._second_at_ms = _turn_at(now_ms, SECOND_MS, turn % SECOND_TURNS / SECOND_TURNS)
        self._count_at_ms = _turn_at(now_ms, COUNTED_EVERY_MS, turn % COUNT_TURNS / COUNT_TURNS)
        self._sleep(None, None)
        self._call.socket_opened(self._stream, socket.close)

    def serve(self, feed: CallFeed | None) -> None:
        """Hand the caller's audio to `feed` from now on; None: to nobody."""
        self._deliver = None
        if feed is not None and self._first_inbound_seen:
            self._deliver = feed.audio.put if feed.raw else feed.hear_bytes

    # --- from the socket ---------------------------------------------------------------------------------------------

    def receive_text(self, text: bytes) -> None:
        now_ms = self._now_ms()
        stream = self._stream
        stream.last_frame_ms = now_ms
        deliver = self._deliver
        if deliver is not None and not stream.replaced:
            pieces = stream.receive_audio(text, now_ms)
            if pieces is not None:
                for audio in pieces:
                    deliver(audio)
                return
        for event in stream.receive_text(text, now_ms):
            self._take(event, now_ms)
        self._flush(now_ms)
        if stream.rejected is not None:
            self._socket.close(1008, stream.rejected)
        elif stream.skipped_in_a_row >= BAD_FRAMES_MAX:
            self._socket.close(1008, stream.unusable or f"{BAD_FRAMES_MAX} consecutive unusable frames")

    def receive_binary(self) -> None:
        now_ms = self._now_ms()
        self._stream.last_frame_ms = now_ms
        self._take(self._stream.skip("binary", "a binary message came; Telnyx sends only text"), now_ms)

    def room(self) -> None:
        self._flush(self._now_ms())

    def lost(self, how: SocketClosed) -> None:
        now_ms = self._now_ms()
        self._pacer.forget(self)
        for event in self._stream.receive_eof():
            self._take(event, now_ms)
        start = self._stream.start
        stream_id = start.stream_id if start is not None else None
        self._call.note(replace(how, replaced=self._stream.replaced, stream_id=stream_id))
        self._call.socket_closed(self._stream)
        self._socket, self._send = _LOST, _LOST.send  # they hold each other, for the garbage collector to find

    # --- to the socket -----------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Send what is due: the handler marked or cleared."""
        self._flush(self._now_ms())

    def play(self, audio: bytes) -> None:
        now_ms = self._now_ms()
        text = self._stream.play_at_once(audio, now_ms) if self._first_outbound_seen and self._socket.writable else None
        if text is not None:
            self._send(text)
        else:
            self._stream.play(as_pcm(audio))
            self._flush(now_ms)

    def play_payload(self, payload: bytes) -> None:
        now_ms = self._now_ms()
        text = (
            self._stream.play_payload_at_once(payload, now_ms)
            if self._first_outbound_seen and self._socket.writable
            else None
        )
        if text is not None:
            self._send(text)
        else:
            self._stream.play_payload(payload)
            self._flush(now_ms)

    def _flush(self, now_ms: float) -> None:
        stream = self._stream
        if self._socket.writable:
            self._stalled = False
            texts = stream.texts_to_send(now_ms)
            for text in texts:
                self._send(text)
            if texts:
                self._sent()
            due_ms = stream.next_send_at_ms()
        else:
            if not self._stalled and stream.next_send_at_ms() is not None:
                self._stalled = True
                self._stalls += 1
            due_ms = None  # `room` will come
        late_ms = stream.next_event_at_ms()
        if due_ms is not None or late_ms is not None:
            self._sleep(due_ms, late_ms)

    def _sent(self) -> None:
        if not self._first_outbound_seen and self._stream.playout.frames_sent:
            self._first_outbound_seen = True
            self._note_first(FirstOutbound(stream_id=self._stream_id, payload_bytes=self._stream.frame_bytes))
        if self._call.feed is not None and self._call.stream is self._stream:
            self._call.feed.sent()

    # --- by time -----------------------------------------------------------------------------------------------------

    def wake(self, now_ms: float) -> None:
        """Frames are due, a missing chunk is given up, a key is handed out, or a second is over."""
        try:
            for event in self._stream.due_events(now_ms):
                self._take(event, now_ms)
            if now_ms >= self._second_at_ms:
                self._second_at_ms += SECOND_MS * (1 + (now_ms - self._second_at_ms) // SECOND_MS)
                self._on_second(now_ms)
            if now_ms >= self._count_at_ms:
                self._count_at_ms += COUNTED_EVERY_MS * (1 + (now_ms - self._count_at_ms) // COUNTED_EVERY_MS)
                if not self._stream.closed:  # else its last count is noted already
                    self._count(now_ms)
        finally:  # whatever failed, what waits is sent now and later
            self._sleep(None, None)
            self._flush(now_ms)

    def _sleep(self, send_ms: float | None, late_ms: float | None) -> None:
        at_ms = min(self._second_at_ms, self._count_at_ms)
        if send_ms is not None and send_ms < at_ms:
            at_ms = send_ms
        if late_ms is not None and late_ms < at_ms:
            at_ms = late_ms
        self._pacer.wake_at(self, at_ms)

    def _on_second(self, now_ms: float) -> None:
        self._socket.on_second(now_ms)
        if self._firsts and self._coalescer.has_time(waited=True):
            self._note_firsts()
        feed = self._call.feed
        self._lag_ms = max(self._lag_ms, self._pacer.lag_ms_lately(now_ms))
        for event in self._stream.on_second(
            now_ms,
            waiting_ms=self._waiting_ms(feed) if feed is not None else 0.0,
            lag_ms=self._pacer.take_lag_ms(now_ms),
            may_take_long=not self._stream.wants_analysis(now_ms) or self._pacer.may_take_long(now_ms),
        ):
            self._take(event, now_ms)
        if feed is not None and self._call.stream is self._stream:
            feed.on_second(now_ms)
        if self._close_at_ms is None and self._call.session.ended:
            self._close_at_ms = now_ms + CLOSE_AFTER_STOP_MS
        if self._close_at_ms is not None and now_ms >= self._close_at_ms:
            self._socket.close(1000, "the call is over" if self._call.session.ended else "stream stopped")
        if not self._call.acts:
            self._socket.close(1000, "another server carries this call now")

    def _waiting_ms(self, feed: CallFeed) -> float:
        """Audio that waits for the handler. Its pieces are 20 ms long, payloads on a raw call as long as the phone's."""
        return feed.audio.behind * (self._stream.received_ptime_ms() if feed.raw else float(PTIME_MS))

    # --- events of the stream ----------------------------------------------------------------------------------------

    def _take(self, event: StreamEvent, now_ms: float) -> None:
        call = self._call
        match event:
            case StreamOpened(start=start):
                if call.stream is self._stream:  # a late start frame of a replaced socket opens nothing
                    call.stream_started(start, self._stream, self)
            case DtmfPressed(digit=digit):
                call.note(DtmfReceived(digit=digit))
                self._to_handler(event)
            case MarkHandedBack(name=name, heard=heard):
                call.note(MarkReturned(name=name, heard=heard))
                self._to_handler(event)
            case ErrorReported(error=error):
                call.note(StreamErrored(code=error.code, title=error.title, detail=error.detail))
            case FrameSkipped(reason=reason, detail=detail):
                if reason not in self._rejected:
                    self._rejected.add(reason)
                    call.note(FrameRejected(reason=reason, detail=detail))
            case AudioReceived() | PayloadReceived():
                self._note_first_inbound(event.payload_bytes)
                self._to_handler(event)
            case SymptomSeen(symptom=symptom):
                code, slug = symptom.code, symptom.slug
                evidence = {name: str(value) for name, value in symptom.evidence.items()}
                call.note(MediaSymptom(code=code, slug=slug, meaning=SYMPTOMS[code][1], evidence=evidence))
            case StreamClosed(by_stop_frame=by_stop_frame):
                self._close_at_ms = now_ms + CLOSE_AFTER_STOP_MS
                self._count(now_ms)
                opened = self._stream.start
                call.note(
                    StreamStopped(
                        stream_id=None if opened is None else opened.stream_id,
                        by_stop_frame=by_stop_frame,
                        replaced=self._stream.replaced,
                    )
                )

    def _note_first_inbound(self, payload_bytes: int) -> None:
        if self._first_inbound_seen or not payload_bytes:
            return
        self._first_inbound_seen = True
        self._note_first(FirstInbound(stream_id=self._stream_id, payload_bytes=payload_bytes))
        self.serve(self._call.feed)

    def _note_first(self, what: What) -> None:
        """While many frames come, the first ones of a call need not stop them all for a log line and a commit. They wait
        for a second, of which a few may note them, or for the first count: when hundreds of calls begin at once, that
        alone was a quarter of a second."""
        if self._coalescer.has_time():
            self._call.note(what)
        else:
            self._firsts.append((what, self._clock.now_unix_ms()))

    def _note_firsts(self) -> None:
        firsts, self._firsts = self._firsts, []
        for what, at_unix_ms in firsts:
            self._call.note(what, at_unix_ms)

    @property
    def _stream_id(self) -> StreamId:
        assert self._stream.start is not None
        return self._stream.start.stream_id

    def _to_handler(self, event: AudioReceived | PayloadReceived | DtmfPressed | MarkHandedBack) -> None:
        if self._call.feed is not None and self._call.stream is self._stream:
            self._call.feed.receive(event)

    def _count(self, now_ms: float) -> None:
        if self._stream.start is None:
            return
        self._note_firsts()
        counts, playout = self._stream.counts, self._stream.playout
        feed = self._call.feed
        self._call.note(
            MediaCounted(
                stream_id=self._stream.start.stream_id,
                frames_in=counts.frames_in,
                frames_out=playout.frames_sent,
                frames_outbound_track=counts.frames_outbound_track,
                lost=counts.lost,
                late=counts.late,
                duplicated=counts.duplicated,
                reordered=counts.reordered,
                dropped_for_handler=feed.audio.dropped if feed else 0,
                frames_rejected=counts.frames_skipped,
                underruns=playout.underruns,
                write_stalls=self._stalls,
                played_ms=round(playout.played_ms(now_ms), 1),
                jitter_ms=round(self._stream.take_jitter_ms(), 1),
                loop_lag_ms=round(max(self._lag_ms, self._pacer.lag_ms_lately(now_ms)), 1),
            )
        )
        self._lag_ms = 0.0


def names_another_call(session: CallSession, start: Start) -> str | None:
    """Why a start frame belongs to another call; None where it may be this one's.

    Another leg of the same session may be streamed, and a field may be absent. So the session decides where it is named,
    and the leg only where it is not and the call's legs are known.
    """
    if start.call_session_id is not None:
        if start.call_session_id == session.session:
            return None
        return "the start frame names another call_session_id than the URL of this socket"
    if not session.legs or session.leg_of(start.call_control_id) is not None:
        return None
    return "the start frame names a call_control_id that is no leg of the call in the URL of this socket"


class _LostSocket:
    """The socket of a stream that is over."""

    writable = False

    def send(self, text: bytes) -> None:
        """Nobody is there."""

    def close(self, code: int, reason: str) -> None:
        """It is closed."""

    def on_second(self, now_ms: float) -> None:
        """There is nothing to see."""


_LOST = _LostSocket()


def _turn_at(now_ms: float, every_ms: float, share: float) -> float:
    """The first time after the next multiple of `every_ms`, by `share` of it."""
    return now_ms - now_ms % every_ms + every_ms * (1 + share)
