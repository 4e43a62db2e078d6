"""Call: one phone call, as its handler sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from callpath.api.files import Files
from callpath.api.playing import AudioSink, Player, Source, resampler
from callpath.api.queue import AudioQueue, DropOldestQueue
from callpath.api.recording import Recording, check_path
from callpath.audio.pcm import Pcm, as_pcm
from callpath.audio.resample import Resampler
from callpath.call.leg import Leg
from callpath.call.stream import AudioReceived, DtmfPressed, MarkHandedBack, MediaStream, PayloadReceived
from callpath.clock import Clock
from callpath.errors import LocalProtocolError
from callpath.timeline import Noted, PlayoutCleared, RecordingSaved, What
from callpath.wire.command import Command, Hangup, Speak, Transfer
from callpath.wire.ids import CallControlId, LegId, SessionId
from callpath.wire.media import Start

AUDIO_QUEUE_MS_MAX = 5_000
"""How much of the caller's audio waits for a slow handler. Then the oldest is dropped, and counted: old speech is
worth less than new."""

FINISHED_EVERY_MS = 500.0
"""How long `finished` sleeps at most before it looks whether the call is over."""

EVENTS_MAX = 256
"""Maximum keys and marks that wait for a handler which does not read `call.events`; then the oldest is dropped."""

Event = DtmfPressed | MarkHandedBack


class CallBackend(Protocol):
    """What a Call needs of the server around it. Tests bring their own, without a network."""

    async def send(self, command: Command) -> None:
        """Have Telnyx carry out `command`; raises ControlError."""
        ...

    def note(self, what: What) -> None:
        """Add an entry to the call's timeline."""
        ...


@dataclass(frozen=True, slots=True)
class CallFacts:
    """Who is calling whom. `data_dir` is where the handler may write. `resumed`: a handler had this call before, in a
    process that is gone, or on another node."""

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

    @staticmethod
    def of(session: SessionId, leg: Leg | None, start: Start, data_dir: Path, *, resumed: bool = False) -> CallFacts:
        """From what the webhooks told, completed by the start frame."""
        return CallFacts(
            session_id=session,
            call_control_id=leg.call_control_id if leg else start.call_control_id,
            leg_id=leg.leg_id if leg else None,
            from_=(leg.from_ if leg else None) or start.from_,
            to=(leg.to if leg else None) or start.to,
            direction=leg.direction if leg else None,
            client_state=start.client_state or (leg.client_state if leg else None),
            custom_parameters=start.custom_parameters or {},
            data_dir=data_dir,
            resumed=resumed,
        )


class Call:
    """One phone call, as its handler sees it. All audio is PCM16, mono, little-endian, at `sample_rate_hz`."""

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
        self.audio = AudioQueue(limit=AUDIO_QUEUE_MS_MAX // 20)
        """The caller's speech in chunks of 20 ms: `async for chunk in call.audio`. Ends with the call.

        Until the first read, once 200 ms have passed, only the newest 40 ms are kept: what the caller says during an
        announcement is discarded. From then on AUDIO_QUEUE_MS_MAX wait for a slow reader; then the oldest chunk is dropped.
        While the reading task waits in `play` or `finished` for more than half a second, again only the newest 40 ms are
        kept. `call.audio.skip()` forgets what waits."""
        self.events = DropOldestQueue[Event](limit=EVENTS_MAX)
        """Keys pressed (`DtmfPressed`) and marks that came back (`MarkHandedBack`)."""
        self._backend = backend
        self._clock = clock
        self._files = files
        self._raw = raw
        self._player = Player(self.audio, files.sounds, sample_rate_hz=sample_rate_hz, raw=raw)
        self._heard_before_ms = 0.0
        """What was heard since the last clear on streams whose sockets were lost."""
        self._recording: Recording | None = None
        self._ended = False
        self._from_stream: Resampler | None = None

    # --- who ---------------------------------------------------------------------------------------------------------

    @property
    def session_id(self) -> SessionId:
        """`call_session_id`: all legs of this phone call."""
        return self.facts.session_id

    @property
    def from_(self) -> str | None:
        """The caller's number or SIP address; None when hidden."""
        return self.facts.from_

    @property
    def to(self) -> str | None:
        """The number or SIP address that was called."""
        return self.facts.to

    @property
    def direction(self) -> str | None:
        """`incoming` or `outgoing`."""
        return self.facts.direction

    @property
    def raw(self) -> bool:
        """Its audio is payloads, not PCM."""
        return self._raw

    @property
    def stream(self) -> MediaStream | None:
        """The stream it is on; None while its socket is lost."""
        return self._player.stream

    @property
    def custom_parameters(self) -> dict[str, str]:
        """What was given in streaming_start's custom_parameters."""
        return self.facts.custom_parameters

    # --- what the caller hears ---------------------------------------------------------------------------------------

    async def play(self, source: Source, *, sample_rate_hz: int | None = None, interrupt: bool = False) -> bool:
        """Play PCM16 bytes, an int16 array, a WAV file, or an async iterator of PCM16 bytes, after what is queued.

        Returns when all of it is queued, at most 0.4 s before it is heard: speech that is cleared is never far ahead.
        `finished()` waits until it was heard. Several sources are heard one after the other, in the order of their
        calls; with `interrupt` this one is heard at once, and what was playing or waiting is forgotten. Returns False
        if a clear, an interruption or the end of the call cut it off: at once, where an iterator was making its next
        piece; it is cancelled there. Audio at another rate than the call's needs `sample_rate_hz` (a WAV file says its
        own). An iterator's pieces may be cut anywhere, within a sample, too; it is read in a task of its own, and an async
        generator is closed. Raises AudioError for audio that cannot be used.
        """
        if interrupt:
            await self.clear()
        return await self._player.play(source, sample_rate_hz or self.sample_rate_hz)

    async def clear(self) -> float:
        """Stop playing at once and forget what is queued, and every source that is playing: the caller speaks. Returns
        the ms that were really heard since the last clear."""
        self._player.cut()
        heard_before_ms, self._heard_before_ms = self._heard_before_ms, 0.0
        stream = self._player.stream
        if stream is None:
            return heard_before_ms
        now_ms = self._clock.now_ms()
        cleared = stream.clear(now_ms)
        if self._recording is not None:
            self._recording.clear(now_ms)
        self._player.flush()
        heard_ms = heard_before_ms + cleared.heard_ms
        self._backend.note(PlayoutCleared(heard_ms=heard_ms, dropped_ms=cleared.dropped_ms))
        return heard_ms

    async def mark(self, name: str) -> None:
        """Ask to be told (in `events`) when everything played so far was heard, or thrown away by a clear or with a lost
        socket. Waits for a socket that was lost; does nothing once the call is over."""
        stream = await self._player.connected()
        if stream is not None:
            stream.mark(name)
            self._player.flush()

    async def finished(self) -> None:
        """Wait until everything that was played has been heard, or was lost with its socket or the call."""
        if self.stream is not None:
            self.stream.flush_tail()  # nothing more comes that could fill its last frame
            self._player.flush()
        paused = self.audio.pause()
        try:
            while not self._ended and self.stream is not None:
                unheard_ms = self.stream.unheard_ms(self._clock.now_ms())
                if unheard_ms <= 0:
                    return
                await self._clock.sleep_ms(min(unheard_ms, FINISHED_EVERY_MS))
        finally:
            if paused:
                self.audio.resume()

    @property
    def played_ms(self) -> float:
        """Milliseconds of our audio that the caller has heard on the present stream."""
        return self.stream.playout.played_ms(self._clock.now_ms()) if self.stream else 0.0

    # --- what Telnyx does for us -------------------------------------------------------------------------------------

    async def hangup(self) -> None:
        """End the call. The handler is cancelled when Telnyx confirms it."""
        await self._backend.send(Hangup())

    async def speak(self, text: str, *, voice: str = "female", language: str = "en-US") -> None:
        """Let Telnyx speak `text` (at most 3,000 characters); it does not pass through our stream. Returns when Telnyx has
        accepted it. After a handler has returned, the call is hung up when it was spoken. Raises ControlError."""
        await self._backend.send(Speak(payload=text, voice=voice, language=language))

    async def transfer(self, to: str) -> None:
        """Send the caller on to another number or SIP address, once what was played has been heard: Telnyx loses the rest.

        Returns when Telnyx has accepted the command, which is before the other phone rings. A handler may return then: the
        call is not hung up, and the stream, which Telnyx would keep open, is stopped. Raises ControlError."""
        await self.finished()
        await self._backend.send(Transfer(to=to))

    async def send(self, command: Command) -> None:
        """Send any other Call Control command about this call."""
        await self._backend.send(command)

    def note(self, text: str) -> None:
        """Write a line into the call's timeline. No secrets and no numbers: timelines are shared."""
        self._backend.note(Noted(text=text))

    def record(self, path: Path | str | None = None) -> Path:
        """Record both sides from now on, until the call ends: a stereo WAV, the caller left, what he heard right.

        Without `path` it goes to recordings/ in the data directory. Returns where it goes, at once: the file is opened,
        written and closed in a thread. The timeline gets an entry when it is closed, or `recording.not_stored` when it
        cannot be written; the call goes on. Calling it again changes nothing. Raises LocalProtocolError on a raw call,
        AudioError for a path that names no file.
        """
        if self._recording is None:
            if self._raw:
                raise LocalProtocolError("a raw call is not decoded, so it cannot be recorded")
            self._recording = Recording(
                check_path(path) if path is not None else self.recording_path(),
                self._recording_rate_hz(),
                self._clock.now_ms(),
                writer=self._files.recordings,
                on_end=self._backend.note,
            )
            if self.stream is not None:
                self._recording.attach(self.stream)
        return self._recording.path

    def recording_path(self) -> Path:
        """Where a recording of this call goes by itself. One that was begun by another process is not written over, here
        or where recordings are kept."""
        name = f"{self.session_id}-{self._clock.now_unix_ms()}" if self.facts.resumed else self.session_id
        return self.facts.data_dir / "recordings" / f"{name}.wav"

    def _recording_rate_hz(self) -> int:
        return 8000 if self.stream is None else max(self.stream.received_rate_hz, self.stream.play_rate_hz)

    def note_recording(self, path: Path, duration_ms: float) -> None:
        """Tell the timeline where a recording of this call lies."""
        self._backend.note(RecordingSaved(path=str(path), duration_ms=duration_ms))

    # --- for the server ----------------------------------------------------------------------------------------------

    def attach(self, stream: MediaStream, sink: AudioSink) -> None:
        """Carry on over `stream`: the first one, or a new one after the socket was lost. `sink` sends what it holds."""
        if self._recording is not None:
            self._recording.attach(stream)
        self._player.attach(stream, sink)
        if not self._raw:
            self._from_stream = resampler(stream.received_rate_hz, self.sample_rate_hz)

    def detach(self) -> None:
        """The socket is gone; it may come back, but nothing of what it held."""
        if self.stream is not None:
            playout = self.stream.playout
            self._heard_before_ms += playout.heard_since_clear_ms(self._clock.now_ms())
            for name in playout.take_marks():
                self.events.put(MarkHandedBack(name, heard=False))
        self._player.detach()

    def receive(self, event: AudioReceived | PayloadReceived | DtmfPressed | MarkHandedBack) -> None:
        """Hand one event of the stream to the handler."""
        if isinstance(event, AudioReceived):
            self.hear(event.pcm)
        elif isinstance(event, PayloadReceived):
            self.audio.put(event.payload)
        else:
            self.events.put(event)

    def hear_bytes(self, audio: bytes) -> None:
        """Hand audio of the stream to the handler, given as PCM16."""
        if self._from_stream is None and self._recording is None:
            self.audio.put(audio)
        else:
            self.hear(as_pcm(audio))

    def hear(self, pcm: Pcm) -> None:
        """Hand audio of the stream to the handler."""
        if self._recording is not None and self.stream is not None:
            self._recording.receive(pcm, self.stream.received_rate_hz, self._clock.now_ms())
        if self._from_stream is not None:
            pcm = self._from_stream.push(pcm)
        self.audio.put(pcm.tobytes())

    def on_second(self, now_ms: float) -> None:
        """A second has passed."""
        if self._recording is not None:
            self._recording.write(now_ms)

    def sent(self) -> None:
        """The socket took what was due: there may be room for more."""
        self._player.make_room()

    @property
    def is_saving(self) -> bool:
        """The call is over, and its recording is not closed yet."""
        return self._recording is not None and self._recording in self._files.recordings.closing

    def end(self) -> None:
        """The handler is done, or the call: no more audio comes, and what still waits to play is cut off."""
        self._ended = True
        self._player.end()
        if self._recording is not None:
            self._recording.close(self._clock.now_ms())
        self.audio.close()
        self.events.close()
