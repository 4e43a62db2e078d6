"""CallFeed: the server's side of a Call. It brings the stream, audio, keys and events, and tells the end.

A handler sees only the Call; the server, and `callpath.testing`, hold its feed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol, TypeAlias, TypeVar

from callpath.api.files import Files
from callpath.api.keys import KeyPad
from callpath.api.news import News
from callpath.api.playing import AudioSink, Player, resampler
from callpath.api.prompts import Prompts
from callpath.api.queue import AudioQueue, DropOldestQueue
from callpath.api.recorders import TelnyxRecordings
from callpath.api.recording import Recording
from callpath.api.results import CallEnd
from callpath.api.transcription import Transcription
from callpath.audio.beep import Greeting
from callpath.audio.pcm import Pcm, as_pcm
from callpath.audio.resample import Resampler
from callpath.call.client_state import decode_client_state
from callpath.call.leg import Leg
from callpath.call.session import CallSession
from callpath.call.stream import AudioReceived, DtmfPressed, MarkHandedBack, MediaStream, PayloadReceived
from callpath.clock import Clock
from callpath.timeline import What
from callpath.wire.command import Command
from callpath.wire.ids import CallControlId, LegId, SessionId
from callpath.wire.media import Start
from callpath.wire.webhook import EVENTS, CallPayload, CallTranscription, Webhook

AUDIO_QUEUE_MS_MAX = 5_000
"""How much of the caller's audio waits for a slow handler. Then the oldest is dropped, and counted: old speech is
worth less than new."""

EVENTS_MAX = 256
"""Maximum events that wait for a handler which does not read `call.events`; then the oldest is dropped."""

Event: TypeAlias = DtmfPressed | MarkHandedBack | CallPayload | Webhook
"""What `call.events` gives: keys, marks, and the payloads of Telnyx's events; one of a kind that callpath does not know
comes as a whole Webhook."""

Found = TypeVar("Found")


class CallTasks(asyncio.TaskGroup):
    """A task group whose tasks can be cancelled together."""

    def __init__(self) -> None:
        super().__init__()
        self._running: set[asyncio.Task[Any]] | None = None
        """Made for the first task: most handlers start none."""

    def create_task(self, work: Coroutine[Any, Any, Any], **how: Any) -> asyncio.Task[Any]:  # type: ignore[override]
        """Start a task."""
        task = super().create_task(work, **how)
        if self._running is None:
            self._running = set()
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def cancel(self) -> None:
        """Cancel all that run."""
        for task in tuple(self._running or ()):
            task.cancel()


class CallBackend(Protocol):
    """What a Call needs of the server around it. Tests bring their own, without a network."""

    @property
    def session(self) -> CallSession:
        """All that is known of the call."""
        ...

    @property
    def stopping(self) -> bool:
        """The server stops: another process may carry the call on."""
        ...

    async def send(self, command: Command, leg: CallControlId | None = None, *, conference: str | None = None) -> str:
        """Have Telnyx carry out `command` about the call's own leg, another one of it, or a conference. Returns its
        command_id; raises ControlError."""
        ...

    def note(self, what: What) -> None:
        """Add an entry to the call's timeline."""
        ...


@dataclass(frozen=True, slots=True)
class CallFacts:
    """The parties and ids of a call. `data_dir` is where the handler may write. `resumed`: a handler had this call before,
    in a process that is gone, or on another node. `client_state` is base64, as Telnyx repeats it."""

    session_id: SessionId
    call_control_id: CallControlId
    leg_id: LegId | None
    from_: str | None
    to: str | None
    direction: str | None
    client_state: str | None
    custom_parameters: dict[str, str] = field(default_factory=dict)
    data_dir: Path = Path()
    resumed: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    state: SimpleNamespace = field(default_factory=SimpleNamespace)
    """The application's, from its lifespan."""

    connection_id: str = ""
    """Of the Call Control application that dials for this call."""

    refusal_of: Callable[[str], str | None] = lambda _: None
    """Why a number may not be called; None: it may."""

    name_of: Callable[[Any], str] = str
    """The name of a handler of the application. Raises InvalidRequestError (`unknown_handler`)."""

    @staticmethod
    def of(
        session: SessionId,
        leg: Leg | None,
        start: Start,
        data_dir: Path,
        *,
        resumed: bool = False,
        variables: dict[str, Any] | None = None,
        state: SimpleNamespace | None = None,
        connection_id: str = "",
        name_of: Callable[[Any], str] = str,
        refusal_of: Callable[[str], str | None] = lambda _: None,
    ) -> CallFacts:
        """From what the webhooks told, completed by the start frame."""
        client_state = start.client_state or (leg.client_state if leg else None)
        return CallFacts(
            session_id=session,
            call_control_id=leg.call_control_id if leg else start.call_control_id,
            leg_id=leg.leg_id if leg else None,
            from_=(leg.from_ if leg else None) or start.from_,
            to=(leg.to if leg else None) or start.to,
            direction=leg.direction if leg else None,
            client_state=client_state,
            custom_parameters=start.custom_parameters or {},
            data_dir=data_dir,
            resumed=resumed,
            headers=dict(leg.headers) if leg else {},
            variables={**decode_client_state(client_state).variables, **(variables or {})},
            state=state or SimpleNamespace(),
            connection_id=connection_id or (leg.connection_id if leg else None) or "",
            name_of=name_of,
            refusal_of=refusal_of,
        )


class CallFeed:
    """What the server does with a Call. `audio` and `events` are the Call's own."""

    __slots__ = (
        "_earlier", "_end", "_from_stream", "_greeting", "_heard_before_ms", "_news", "_told_end", "audio", "backend",
        "clock", "ended", "events", "facts", "files", "keys", "player", "prompts", "raw", "recording", "sample_rate_hz",
        "tasks", "telnyx_recordings", "transcription",
    )  # fmt: skip

    def __init__(
        self,
        facts: CallFacts,
        *,
        sample_rate_hz: int,
        backend: CallBackend,
        clock: Clock,
        files: Files,
        raw: bool = False,
    ) -> None:
        self.facts = facts
        self.sample_rate_hz = sample_rate_hz
        self.raw = raw
        self.backend = backend
        self.clock = clock
        self.files = files
        self.audio = AudioQueue(limit=AUDIO_QUEUE_MS_MAX // 20)
        self.events = DropOldestQueue[Event](limit=EVENTS_MAX)
        self.player = Player(self.audio, files.sounds, clock, sample_rate_hz=sample_rate_hz, raw=raw)
        self.prompts = Prompts(clock)
        self.keys: KeyPad | None = None
        """Takes the keys while a gather of the handler's runs."""

        self.recording: Recording | None = None
        """The newest one."""
        self._earlier: tuple[Recording, ...] = ()
        """Those before it whose files may not be closed yet."""
        self.telnyx_recordings = TelnyxRecordings()
        self.transcription: Transcription | None = None
        """The newest one."""
        self.ended = False
        self.tasks: asyncio.TaskGroup | None = None
        """The handler's; None before and after it runs."""

        self._heard_before_ms = 0.0
        """What was heard since the last clear on streams whose sockets were lost."""
        self._from_stream: Resampler | None = None
        self._greeting: Greeting | None = None
        """Listens for the end of a machine's greeting."""
        self._end: asyncio.Future[CallEnd] | None = None
        self._told_end: CallEnd | None = None
        self._news = News(clock)
        if facts.resumed:
            self.prompts.add_running(backend.session)

    # --- the stream --------------------------------------------------------------------------------------------------

    @property
    def stream(self) -> MediaStream | None:
        """The stream it is on; None while its socket is lost."""
        return self.player.stream

    def attach(self, stream: MediaStream, sink: AudioSink) -> None:
        """Carry on over `stream`: the first one, or a new one after the socket was lost. `sink` sends what it holds."""
        if self.recording is not None:
            self.recording.attach(stream)
        self.player.attach(stream, sink)
        if not self.raw:
            self._from_stream = resampler(stream.received_rate_hz, self.sample_rate_hz)

    def detach(self) -> None:
        """The socket is gone; it may come back, but nothing of what it held."""
        if self.stream is not None:
            playout = self.stream.playout
            self._heard_before_ms += playout.heard_since_clear_ms(self.clock.now_ms())
            for name in playout.take_marks():
                self.events.put(MarkHandedBack(name, heard=False))
        self.player.detach()

    def take_heard_before_ms(self) -> float:
        """What was heard since the last clear on streams whose sockets were lost; a clear begins."""
        heard_ms, self._heard_before_ms = self._heard_before_ms, 0.0
        return heard_ms

    def receive(self, event: AudioReceived | PayloadReceived | DtmfPressed | MarkHandedBack) -> None:
        """Hand one event of the stream to the handler."""
        if isinstance(event, AudioReceived):
            self.hear(event.pcm)
        elif isinstance(event, PayloadReceived):
            self.audio.put(event.payload)
        elif isinstance(event, DtmfPressed) and self.keys is not None:
            self.keys.press(event.digit)
        else:
            self.events.put(event)

    def hear_bytes(self, audio: bytes) -> None:
        """Hand audio of the stream to the handler, given as PCM16."""
        if self._from_stream is None and self.recording is None and self._greeting is None:
            self.audio.put(audio)
        else:
            self.hear(as_pcm(audio))

    def hear(self, pcm: Pcm) -> None:
        """Hand audio of the stream to the handler."""
        if self.recording is not None and self.stream is not None:
            self.recording.receive(pcm, self.stream.received_rate_hz, self.clock.now_ms())
        if self._from_stream is not None:
            pcm = self._from_stream.push(pcm)
        if self._greeting is not None and self._greeting.push(pcm):
            self.changed()
        self.audio.put(pcm.tobytes())

    @contextmanager
    def listening(self, greeting: Greeting) -> Iterator[None]:
        """Let `greeting` hear the caller, too, while this is entered. What it finds is news."""
        before, self._greeting = self._greeting, greeting
        try:
            yield
        finally:
            self._greeting = before

    def add_recording(self, recording: Recording) -> None:
        """Record from now on. The one before is over."""
        if self.recording is not None:
            self._earlier = (*(one for one in self._earlier if not one.ended), self.recording)
        self.recording = recording
        if self.stream is not None:
            recording.attach(self.stream)

    def on_second(self, now_ms: float) -> None:
        """A second has passed."""
        if self.recording is not None:
            self.recording.write(now_ms)

    def sent(self) -> None:
        """The socket took what was due: there may be room for more."""
        self.player.make_room()

    # --- what Telnyx tells -------------------------------------------------------------------------------------------

    def receive_webhook(self, webhook: Webhook) -> None:
        """Hand one event of Telnyx's to the handler. Its session has been told already."""
        if self.facts.leg_id is None or webhook.payload.call_leg_id == self.facts.leg_id:
            self.prompts.receive(webhook)
            self.telnyx_recordings.receive(webhook)
            if self.transcription is not None and isinstance(webhook.payload, CallTranscription):
                self.transcription.receive(webhook.payload)
        self.events.put(webhook.payload if webhook.event_type in EVENTS else webhook)
        self.changed()

    def changed(self) -> None:
        """Something new is known of the call."""
        self._news.tell()

    async def until(self, find: Callable[[int], tuple[Found | None, int | None]], within_ms: float) -> Found | None:
        """What `find` finds, as `News.until`; None once the call is over."""
        return await self._news.until(find, within_ms, lambda: self.ended or self._told_end is not None)

    # --- the end -----------------------------------------------------------------------------------------------------

    def end_of_call(self) -> asyncio.Future[CallEnd]:
        """Done when the call is over for the handler."""
        if self._end is None:
            self._end = asyncio.get_running_loop().create_future()
            if self._told_end is not None:
                self._end.set_result(self._told_end)
        return self._end

    @property
    def was_told_end(self) -> bool:
        """The call is over for this run of the handler: it was cancelled from outside."""
        return self._told_end is not None

    def tell_end(self, reason: str) -> None:
        """The call is over for the handler, which may still clean up."""
        if self._told_end is not None:
            return
        leg = self.backend.session.leg
        if leg is not None and leg.hangup_unix_ms:
            self._told_end = CallEnd(leg.hangup_cause, leg.hangup_source, leg.sip_hangup_cause)
        else:
            self._told_end = CallEnd(reason=reason)
        if self._end is not None and not self._end.done():
            self._end.set_result(self._told_end)
        self.prompts.end()
        if self.keys is not None:
            self.keys.close()
        self.changed()

    @property
    def is_saving(self) -> bool:
        """The call is over, and its recording is not closed yet."""
        return any(one in self.files.recordings.closing for one in (*self._earlier, self.recording))

    def end(self) -> None:
        """The handler is done, or the call: no more audio comes, and what still waits to play is cut off."""
        self.ended = True
        self.tell_end("the handler has ended")
        self.player.end()
        if self.recording is not None:
            self.recording.close(self.clock.now_ms())
        if self.transcription is not None:
            self.transcription.end()
        self.audio.close()
        self.events.close()
