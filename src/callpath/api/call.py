"""Call: one phone call, as its handler sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

from callpath.api.consult import Consultation, Consults, HoldMusic, consultation_of
from callpath.api.feed import CallFacts, CallFeed, Event
from callpath.api.keys import KeyPad, Wanted
from callpath.api.playback import Playback
from callpath.api.playing import Source
from callpath.api.prompts import TelnyxGather
from callpath.api.queue import AudioQueue, DropOldestQueue
from callpath.api.recorders import CallRecording, TelnyxRecording
from callpath.api.recording import Recording, check_path
from callpath.api.results import CallEnd, Gathered, Spoken
from callpath.api.transcription import Transcription
from callpath.api.transfer import Transfers, refer
from callpath.audio.beep import Greeting
from callpath.call.client_state import decode_client_state
from callpath.call.leg import Leg
from callpath.call.numbers import check_digits
from callpath.call.outcomes import GREETING_OVER, Consulted, Referred, Transferred
from callpath.call.policies import SPEAK_CHARS_MAX
from callpath.call.recorder import Track
from callpath.call.running import is_recorded_by_telnyx, is_transcribed_by_telnyx
from callpath.call.stream import MediaStream
from callpath.errors import InvalidRequestError, LocalProtocolError
from callpath.timeline import Noted, PlayoutCleared, RecordingSaved
from callpath.wire.command import (
    Command,
    GatherUsingSpeak,
    Hangup,
    MachineDetection,
    PlaybackStart,
    PlaybackStop,
    RecordStart,
    RecordStop,
    SendDtmf,
    Speak,
    SuppressionStart,
    SuppressionStop,
    TranscriptionStart,
)
from callpath.wire.ids import CallControlId, SessionId

FINISHED_EVERY_MS = 500.0
"""How long `finished` sleeps at most before it looks whether the call is over."""

RECORD_S_MAX = 14_400
"""Telnyx's limit on `max_length` of a recording."""

DIGIT_MS, SHORT_PAUSE_MS, LONG_PAUSE_MS = 350, 500, 1_000
"""How long Telnyx takes for one digit of `send_digits`, with the pause behind it, for w, and for W."""


class Call:
    """One phone call, as its handler sees it. All audio is PCM16, mono, little-endian, at `sample_rate_hz`.

    Every command returns when what it asked for is over, with a typed result. A command on a call that is over, and one
    that cannot be right, raises InvalidRequestError before anything is sent; one that Telnyx refuses raises
    ControlError, with Telnyx's code.
    """

    def __init__(self, feed: CallFeed) -> None:
        self._feed = feed
        self.audio: AudioQueue = feed.audio
        """The caller's speech in chunks of 20 ms: `async for chunk in call.audio`. Ends with the call.

        Until the first read, once 200 ms have passed, only the newest 40 ms are kept: what the caller says during an
        announcement is discarded. From then on 5 s wait for a slow reader; then the oldest chunk is dropped.
        While the reading task waits in `play` or `finished` for more than half a second, again only the newest 40 ms are
        kept. `call.audio.skip()` forgets what waits."""
        self.events: DropOldestQueue[Event] = feed.events
        """What happens to the call, since the handler was entered: `async for event in call.events`. Ends with the call.

        Keys pressed (`DtmfPressed`), marks that came back (`MarkHandedBack`), and every event of Telnyx's as an object
        of its own class, all in `callpath.events`: `CallBridged`, `CallMachinePremiumDetectionEnded`, … Events of the
        other legs of the session come, too: compare `event.call_leg_id` with `call.leg_id`. Keys that a `gather` takes
        do not come. Up to 256 wait for a slow reader; then the oldest is dropped."""

    # --- who ---------------------------------------------------------------------------------------------------------

    @property
    def facts(self) -> CallFacts:
        """The parties and ids of a call, in one object."""
        return self._feed.facts

    @property
    def sample_rate_hz(self) -> int:
        """Of the audio that the handler gets and plays."""
        return self._feed.sample_rate_hz

    @property
    def session_id(self) -> SessionId:
        """`call_session_id`: all legs of this phone call."""
        return self.facts.session_id

    @property
    def leg_id(self) -> str | None:
        """`call_leg_id` of the leg that talks to the handler."""
        return self.facts.leg_id

    @property
    def call_control_id(self) -> CallControlId:
        """Of the leg that talks to the handler: what every command is addressed to."""
        return self.facts.call_control_id

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
    def legs(self) -> tuple[Leg, ...]:
        """Every leg of the session, the handler's own first: numbers, state, hangup cause. A copy of the list, not of the
        legs, which go on changing."""
        session = self._feed.backend.session
        return (*([session.leg] if session.leg is not None else []), *session.other_legs)

    @property
    def client_state(self) -> str | None:
        """The leg's `client_state`, decoded; as it is where it is no base64 of text."""
        return decode_client_state(self.facts.client_state).text

    @property
    def headers(self) -> dict[str, str]:
        """SIP headers of the call's INVITE, by name, as Telnyx reports them with call.initiated."""
        return self.facts.headers

    @property
    def variables(self) -> dict[str, Any]:
        """What was given with `Answer(variables=…)` or a dial, for the handler: JSON. It survives a restart."""
        return self.facts.variables

    @property
    def consultation(self) -> Consultation | None:
        """The call that this one was made for, by its handler's `consult`: to `accept()` its caller, or to `decline()`.
        None: it was not."""
        return consultation_of(self._feed, self.finished)

    @property
    def app(self) -> _Application:
        """The application: `call.app.state` is what its lifespan made."""
        return _Application(self.facts.state)

    @property
    def answered_by(self) -> str | None:
        """What answering machine detection found, in Telnyx's word (`human`, `human_residence`, `machine`, `not_sure`,
        …); None while it has found nothing, or was not asked for."""
        leg = self._feed.backend.session.leg
        return leg.machine if leg is not None else None

    async def detected(self, within_s: float = 5.0) -> str | None:
        """Wait for what answering machine detection finds, at most `within_s`; None: nothing by then. A verdict may never
        come, and the callee hears silence meanwhile."""

        def find(_now_unix_ms: int) -> tuple[str | None, None]:
            return self.answered_by, None

        return await self._feed.until(find, within_s * 1000)

    async def beep(self, within_s: float = 30.0) -> bool:
        """Wait for the beep of an answering machine, at most `within_s`, and return when it is over: leave the message
        then. False: none was heard, or the greeting ended without one.

        Told by Telnyx, where the call was dialled with detection, and heard here, also without: a steady tone is a beep, 4
        s of silence after speech are an end. (On a raw call only Telnyx's word counts.)"""
        greeting = Greeting(self.sample_rate_hz)

        def find(_now_unix_ms: int) -> tuple[bool | None, None]:
            leg = self._feed.backend.session.leg
            told = leg.greeting if leg is not None else None
            if told == "beep_detected" or greeting.beeped:
                return True, None
            return (False if told in GREETING_OVER or greeting.silent else None), None

        with self._feed.listening(greeting):
            return bool(await self._feed.until(find, within_s * 1000))

    @property
    def raw(self) -> bool:
        """Its audio is payloads, not PCM."""
        return self._feed.raw

    @property
    def custom_parameters(self) -> dict[str, str]:
        """What was given in streaming_start's custom_parameters."""
        return self.facts.custom_parameters

    @property
    def stream(self) -> MediaStream | None:
        """The stream it is on; None while its socket is lost."""
        return self._feed.stream

    # --- its life ----------------------------------------------------------------------------------------------------

    @property
    def ended(self) -> Awaitable[CallEnd]:
        """Wait for the end: `end = await call.ended`. The handler is cancelled then, so wait in its `finally`, or in
        `except asyncio.CancelledError`: there the result is there at once."""
        return asyncio.shield(self._feed.end_of_call())

    @property
    def tasks(self) -> asyncio.TaskGroup:
        """Tasks that end with the handler: `call.tasks.create_task(listen(call))`. When the handler returns or is cancelled
        they are cancelled; when one raises, the handler is cancelled, and fails with what was raised.

        Raises InvalidRequestError (`call_over`) after the handler has ended."""
        if self._feed.tasks is None:
            raise InvalidRequestError("call_over", "the handler has ended: no more tasks can be started for its call")
        return self._feed.tasks

    # --- what the caller hears ---------------------------------------------------------------------------------------

    async def play(self, source: Source, *, sample_rate_hz: int | None = None, interrupt: bool = False) -> Playback:
        """Play PCM16 bytes, an int16 array, a WAV file, or an async iterator of PCM16 bytes, after what is queued.

        Returns when all of it is queued, at most 0.4 s before it is heard: speech that is cleared is never far ahead. The
        Playback knows, then and later, how much of this source was heard (`heard_ms`), and whether it was `cut` off;
        `await playback.heard()` waits for that, and `finished()` for all that is played. Several sources are heard one
        after the other, in the order of their calls; with `interrupt` this one is heard at once, and what was playing
        or waiting is forgotten. A source that a clear, an interruption or the end of the call cuts off returns at once,
        where an iterator was making its next piece, too; it is cancelled there. Audio at another rate than the call's
        needs `sample_rate_hz` (a WAV file says its own). An iterator's pieces may be cut anywhere, within a sample,
        too; it is read in a task of its own, and an async generator is closed. Raises AudioError for audio that cannot
        be used.
        """
        feed = self._feed
        if interrupt:
            await self.clear()
        return await feed.player.play(source, sample_rate_hz or feed.sample_rate_hz)

    def start_playing(self, source: Source, *, sample_rate_hz: int | None = None, interrupt: bool = False) -> Playback:
        """As `play`, in a task of its own: returns the Playback at once. What `play` would raise makes the handler fail."""
        playback = Playback(self._feed.clock) if interrupt else self._feed.player.begin()

        async def play() -> None:
            if interrupt:
                await self.clear()
            await self._feed.player.play(source, sample_rate_hz or self.sample_rate_hz, playback)

        self.tasks.create_task(play(), name="play")
        return playback

    async def clear(self) -> float:
        """Stop playing at once and forget what is queued, and every source that is playing: the caller speaks. Returns
        the ms that were heard since the last clear, of all sources together; `Playback.heard_ms` tells it for one of
        them."""
        feed = self._feed
        feed.player.cut()
        heard_before_ms = feed.take_heard_before_ms()
        stream = feed.stream
        if stream is None:
            return heard_before_ms
        now_ms = feed.clock.now_ms()
        cleared = stream.clear(now_ms)
        if feed.recording is not None:
            feed.recording.clear(now_ms)
        feed.player.flush()
        heard_ms = heard_before_ms + cleared.heard_ms
        feed.backend.note(PlayoutCleared(heard_ms=heard_ms, dropped_ms=cleared.dropped_ms))
        return heard_ms

    async def mark(self, name: str) -> None:
        """Ask to be told (in `events`) when everything played so far was heard, or thrown away by a clear or with a lost
        socket. Waits for a socket that was lost; does nothing once the call is over."""
        stream = await self._feed.player.connected()
        if stream is not None:
            stream.mark(name)
            self._feed.player.flush()

    async def finished(self) -> None:
        """Wait until everything that was played has been heard, or was lost with its socket or the call."""
        feed = self._feed
        if feed.stream is not None:
            feed.stream.flush_tail()  # nothing more comes that could fill its last frame
            feed.player.flush()
        paused = self.audio.pause()
        try:
            while not feed.ended and feed.stream is not None:
                unheard_ms = feed.stream.unheard_ms(feed.clock.now_ms())
                if unheard_ms <= 0:
                    return
                await feed.clock.sleep_ms(min(unheard_ms, FINISHED_EVERY_MS))
        finally:
            if paused:
                self.audio.resume()

    @property
    def played_ms(self) -> float:
        """Milliseconds of our audio that the caller has heard on the present stream."""
        stream = self._feed.stream
        return stream.playout.played_ms(self._feed.clock.now_ms()) if stream else 0.0

    # --- what Telnyx does for us -------------------------------------------------------------------------------------

    async def hangup(self) -> None:
        """End the call. The handler is cancelled when Telnyx confirms it. Raises ControlError, InvalidRequestError."""
        await self._send(Hangup())

    async def speak(self, text: str, *, voice: str = "female", language: str = "en-US", wait: bool = True) -> Spoken:
        """Let Telnyx speak `text` (1 to 3,000 characters); it does not pass through our stream. Texts queue.

        Returns when it was spoken, or was stopped; without `wait` once Telnyx has accepted it, with the status
        `unknown`. After a handler has returned, the call is hung up when it was spoken. Raises ControlError,
        InvalidRequestError.
        """
        if not 1 <= len(text) <= SPEAK_CHARS_MAX:
            raise InvalidRequestError(
                "text_length", f"Telnyx speaks 1 to {SPEAK_CHARS_MAX:,} characters, not {len(text)}"
            )
        return await self._speak(Speak(payload=text, voice=voice, language=language), wait=wait)

    async def playback(
        self,
        audio_url: str | None = None,
        *,
        media_name: str | None = None,
        loop: int | Literal["infinity"] | None = None,
        wait: bool = True,
    ) -> Spoken:
        """Let Telnyx play a WAV or MP3 file from a URL that it can fetch, or one that was uploaded as `media_name`, `loop`
        times (1 to 100, or "infinity" until `stop_speaking`). It does not pass through our stream. Files queue.

        Returns as `speak`. Raises ControlError, InvalidRequestError.
        """
        if (audio_url is None) == (media_name is None):
            raise InvalidRequestError("out_of_range", "playback() takes either an audio_url or a media_name")
        if loop is not None and loop != "infinity" and not 1 <= loop <= 100:
            raise InvalidRequestError("out_of_range", f'loop is 1 to 100, or "infinity", not {loop}')
        return await self._speak(PlaybackStart(audio_url=audio_url, media_name=media_name, loop=loop), wait=wait)

    async def stop_speaking(self) -> None:
        """Stop what Telnyx speaks and plays, and forget what queues there. What waits for its end gets `interrupted`.
        Does not touch what `play` plays: that is `clear`. Raises ControlError, InvalidRequestError."""
        await self._send(PlaybackStop(stop="all"))
        self._feed.prompts.stop()

    async def gather(
        self,
        *,
        prompt: Source | None = None,
        say: str | None = None,
        max_digits: int = 1,
        min_digits: int = 1,
        timeout_s: float = 5.0,
        terminators: str = "#",
        valid_digits: str = "0123456789*#",
        tries: int = 1,
    ) -> Gathered:
        """Collect keys that the caller presses, from the call's own stream.

        Before each of `tries` the `prompt` is played (as by `play`), or the text `say` is spoken by Telnyx; any key
        interrupts it, and counts. A try ends with `max_digits` keys, with one of `terminators` (which is no digit; ""
        for none), with a key that is none of `valid_digits`, or `timeout_s` seconds after the prompt or the last key.
        With at least
        `min_digits` it is valid. Keys taken here do not come in `call.events`; those pressed before a try do not count.

        Raises InvalidRequestError for a second gather beside this one (`second_gather`), and for limits that no caller can
        meet; ControlError where Telnyx does not speak.
        """
        wanted = Wanted(max_digits, min_digits, timeout_s, terminators, valid_digits, tries)
        if prompt is not None and say is not None:
            raise InvalidRequestError("out_of_range", "gather() takes a prompt to play or a text to say, not both")
        self._check_no_gather()
        feed = self._feed

        async def play() -> None:
            assert prompt is not None
            await (await self.play(prompt)).heard()

        async def speak() -> None:
            assert say is not None
            await self.speak(say)

        keys = feed.keys = KeyPad(feed.clock)
        try:
            return await keys.gather(
                wanted,
                play if prompt is not None else speak if say is not None else None,
                self.clear if prompt is not None else self.stop_speaking,
            )
        finally:
            feed.keys = None

    async def gather_with_telnyx(self, command: TelnyxGather) -> Gathered:
        """Let Telnyx collect keys: `Gather`, `GatherUsingSpeak` or `GatherUsingAudio` of `callpath.commands`, with
        every field that Telnyx knows. Returns its result. Raises InvalidRequestError (`second_gather`), ControlError."""
        self._check_no_gather()
        if isinstance(command, GatherUsingSpeak) and not 1 <= len(command.payload) <= SPEAK_CHARS_MAX:
            raise InvalidRequestError("text_length", f"Telnyx speaks 1 to {SPEAK_CHARS_MAX:,} characters")
        feed = self._feed
        prompt = feed.prompts.add(command)
        assert prompt is not None
        try:
            await self._send(command)
            return await feed.prompts.gathered(prompt)
        finally:
            feed.prompts.drop(prompt)

    def _check_no_gather(self) -> None:
        if self._feed.keys is not None or self._feed.prompts.is_gathering:
            raise InvalidRequestError(
                "second_gather", "a gather is running on this call: wait for its result before the next one"
            )

    async def send_digits(self, digits: str) -> None:
        """Press keys towards the phone: 0-9, A-D, * and #; w pauses 0.5 s, W 1 s. Returns when they must have been
        heard: Telnyx sends no event. Raises InvalidRequestError (`bad_digits`), ControlError."""
        await self._send(SendDtmf(digits=check_digits(digits)))
        pauses = {"w": SHORT_PAUSE_MS, "W": LONG_PAUSE_MS}
        await self._feed.clock.sleep_ms(sum(pauses.get(digit, DIGIT_MS) for digit in digits))

    async def transfer(
        self,
        to: str,
        *,
        ring_s: float = 30.0,
        caller_id: str | None = None,
        announce: str | None = None,
        detect: MachineDetection | None = None,
        keep_stream: bool = False,
    ) -> Transferred:
        """Send the caller on to another number or SIP address, once what was played has been heard: Telnyx loses the rest.

        Returns what came of it. `answered`: the two talk to each other. The stream is stopped, unless `keep_stream`:
        then the handler still hears the caller, and what it plays is heard in between. A handler may return: the call
        is not hung up. Anything else: the caller is back with the handler, on the same stream.

        `ring_s` is how long the other phone rings (5 to 600 s), `caller_id` the number that it shows (None: the number that
        was called), `announce` the URL of a file that only the other party hears first. With `detect` an answering machine
        that answers is hung up, the caller is back, and the result is `voicemail`; the two are connected until the verdict.

        Raises InvalidRequestError (`not_e164`, `transfer_to_self`, `second_transfer`, `out_of_range`).
        """
        transfers = Transfers(self._feed)
        command = transfers.command(to, ring_s=ring_s, caller_id=caller_id, announce=announce, detect=detect)
        await self.finished()
        return await transfers.carry_out(command, ring_s=ring_s, keep_stream=keep_stream)

    async def consult(
        self,
        to: str,
        *,
        handler: Callable[[Call], Awaitable[None]] | str | None = None,
        ring_s: float = 30.0,
        decide_s: float = 60.0,
        hold_music: HoldMusic | None = None,
        caller_id: str | None = None,
        detect: MachineDetection | None = None,
        variables: dict[str, Any] | None = None,
        connection_id: str | None = None,
        keep_stream: bool = False,
    ) -> Consulted:
        """Put the caller on hold and call somebody else about it: a warm transfer. Returns what came of it.

        `handler` (a function of the App or its name) is entered with the second call, when that is answered, and talks to
        the other person alone: `call.variables` are `variables` (JSON) there, `call.consultation` tells about this call.
        It has `decide_s` (1 to 3,600 s) to `await call.consultation.accept()`: then the two are joined, and the result is
        `joined`. The stream is stopped, unless `keep_stream`; a handler may return, the call is not hung up. In every
        other case the caller is back with this handler, and the other phone is hung up. Without `handler` the two are
        joined at once.

        `ring_s` is how long the other phone rings (5 to 600 s), `caller_id` the number that it shows (None: the number
        that was called). `hold_music` is what the caller hears meanwhile: a WAV file or PCM16 that is played over and over,
        or a URL that Telnyx plays. With `detect` an answering machine is not briefed but hung up (`voicemail`).

        A consult survives a restart. One that is cancelled (`asyncio.timeout`) is given up: the other phone is hung up.

        Raises InvalidRequestError (`not_e164`, `not_allowed`, `transfer_to_self`, `second_transfer`, `out_of_range`,
        `no_connection`, `unknown_handler`, `call_over`), and AudioError for music that cannot be played.
        """
        consults = Consults(self._feed, self.clear)
        started = consults.order(
            to,
            handler=self.facts.name_of(handler) if handler is not None else None,
            ring_s=ring_s,
            decide_s=decide_s,
            hold_music=hold_music,
            caller_id=caller_id,
            detect=detect,
            variables=variables,
            connection_id=connection_id,
            keep_stream=keep_stream,
        )
        Transfers(self._feed).check_alone()
        return await consults.carry_out(started, hold_music)

    async def refer(self, to: str, *, within_s: float = 30.0) -> Referred:
        """Ask the caller's SIP endpoint to call the address `to` (`sip:…`) instead of this call (SIP REFER); a phone on the
        public network does not do this. Returns what came of it: after `completed` the call ends by itself, and the handler
        may return. `within_s` is how long the endpoint has (1 to 120 s).

        Raises InvalidRequestError (`not_sip`, `out_of_range`, `call_over`).
        """
        return await refer(self._feed, to, within_s=within_s)

    async def send(self, command: Command) -> None:
        """Send any other Call Control command about this call, of `callpath.commands`. Returns when Telnyx has accepted
        it; what comes of it is in `call.events`. Raises ControlError, InvalidRequestError."""
        prompt = self._feed.prompts.add(command)
        try:
            await self._send(command)
        except BaseException:
            if prompt is not None:
                self._feed.prompts.drop(prompt)
            raise
        if isinstance(command, PlaybackStop):
            self._feed.prompts.stop()
        elif isinstance(command, RecordStart):  # its end is told like that of the others
            self._feed.telnyx_recordings.add(TelnyxRecording(self._send, self._feed.clock))
        elif command.NAME == RecordStop.NAME:
            self._feed.telnyx_recordings.stop()

    async def _send(self, command: Command) -> None:
        await self._feed.backend.send(command)

    async def _speak(self, command: Command, *, wait: bool) -> Spoken:
        prompts = self._feed.prompts
        prompt = prompts.add(command)
        assert prompt is not None
        try:
            await self._send(command)
        except BaseException:
            prompts.drop(prompt)
            raise
        return await prompts.spoken(prompt) if wait else Spoken("unknown")

    def note(self, text: str) -> None:
        """Write a line into the call's timeline. No secrets and no numbers: timelines are shared."""
        self._feed.backend.note(Noted(text=text))

    # --- recording ---------------------------------------------------------------------------------------------------

    def record(self, path: Path | str | None = None, *, track: Track = "both") -> CallRecording:
        """Record both sides from now on, until the call ends or the recording is stopped: a stereo WAV, the caller left,
        what the caller heard right. With `track` only the caller (`inbound`), or only what the caller hears
        (`outbound`); the other side is silent in the file.

        Without `path` it goes to recordings/ in the data directory. It runs at once, with `await` and without; the file is
        opened, written and closed in a thread. What is returned can be paused and stopped. The timeline gets an entry
        when the file is closed, or `recording.not_stored` when it cannot be written; the call goes on. While one runs,
        calling it again changes nothing, and returns that one. Raises LocalProtocolError on a raw call, AudioError for a
        path that names no file.
        """
        feed = self._feed
        if feed.recording is None or not feed.recording.is_open:
            if feed.raw:
                raise LocalProtocolError("a raw call is not decoded, so it cannot be recorded")
            recording = Recording(
                check_path(path) if path is not None else self.recording_path(),
                8000 if feed.stream is None else max(feed.stream.received_rate_hz, feed.stream.play_rate_hz),
                feed.clock.now_ms(),
                writer=feed.files.recordings,
                on_end=feed.backend.note,
                track=track,
            )
            feed.add_recording(recording)
        assert feed.recording is not None, "added"
        return CallRecording(feed.recording, feed.clock, feed.backend.note)

    async def record_with_telnyx(
        self,
        *,
        format: Literal["wav", "mp3"] = "wav",  # noqa: A002 (Telnyx's word)
        track: Track = "both",
        channels: Literal["single", "dual"] = "dual",
        beep: bool = False,
        max_s: int | None = None,
        trim_silence: bool = False,
    ) -> TelnyxRecording:
        """Let Telnyx record, until the call ends or the recording is stopped: `dual` has the two sides apart, `single`
        mixed. With `track` only the caller (`inbound`), or only what the caller hears (`outbound`). It ends after
        `max_s` (1 to 14,400), and without the silence at its ends where `trim_silence` is set.

        Returns when Telnyx has accepted it. Where the file is, `stop()` and `saved()` tell. A handler that is entered again
        after a restart gets the recording that runs. Raises InvalidRequestError (`second_recording`, `out_of_range`),
        ControlError.
        """
        if max_s is not None and not 1 <= max_s <= RECORD_S_MAX:
            raise InvalidRequestError(
                "out_of_range", f"Telnyx records 1 to {RECORD_S_MAX:,} s: max_s cannot be {max_s}"
            )
        recordings = self._feed.telnyx_recordings
        if recordings.running is not None:
            raise InvalidRequestError(
                "second_recording", "Telnyx records this call already: stop that recording before the next one"
            )
        recording = TelnyxRecording(self._send, self._feed.clock)
        recordings.add(recording)
        if self.facts.resumed and is_recorded_by_telnyx(self._feed.backend.session):
            return recording
        try:
            await self._send(
                RecordStart(
                    format=format,
                    channels=channels,
                    recording_track=track,
                    play_beep=beep or None,
                    max_length=max_s,
                    trim="trim-silence" if trim_silence else None,
                )
            )
        except BaseException:
            recordings.drop(recording)
            raise
        return recording

    def recording_path(self) -> Path:
        """Where a recording of this call goes by itself. An earlier one of the call is not written over, be it of another
        process or where recordings are kept."""
        is_first = self._feed.recording is None and not self.facts.resumed
        name = self.session_id if is_first else f"{self.session_id}-{self._feed.clock.now_unix_ms()}"
        return self.facts.data_dir / "recordings" / f"{name}.wav"

    def note_recording(self, path: Path, duration_ms: float) -> None:
        """Tell the timeline where a recording of this call lies that the handler made itself."""
        self._feed.backend.note(RecordingSaved(path=str(path), duration_ms=duration_ms))

    # --- what is said ------------------------------------------------------------------------------------------------

    def transcribe(
        self,
        *,
        engine: str | None = None,
        language: str | None = None,
        track: Track = "inbound",
        interim: bool | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> Transcription:
        """Let Telnyx write down what is said: `async with call.transcribe() as lines`, then `async for line in lines`.
        Stops at the end of the block; with `await call.transcribe()` it goes on until `stop` or the end of the handler.

        `engine` is Telnyx's word (`Google`, `Telnyx`, `Deepgram`, `Azure`, …; None: its default), `track` whom to listen
        to: the party of this leg (`inbound`), what it hears (`outbound`), or `both`. `language`, `interim` (results
        that may still change) and whatever else is in `config` go to the engine. A handler that is entered again after
        a restart gets the transcription that runs. Raises InvalidRequestError (`second_transcription`); what starts it
        raises ControlError, too.
        """
        feed = self._feed
        if feed.transcription is not None and not feed.transcription.is_over:
            raise InvalidRequestError(
                "second_transcription", "this call is transcribed already: stop that before the next transcription"
            )
        given = {"language": language, "interim_results": interim, **(config or {})}
        settings = {name: value for name, value in given.items() if value is not None}
        start = TranscriptionStart(
            transcription_engine=engine,
            transcription_engine_config={**({"transcription_engine": engine} if engine else {}), **settings} or None,
            transcription_tracks=track,
        )
        runs = self.facts.resumed and is_transcribed_by_telnyx(feed.backend.session)
        transcription = Transcription(
            None if runs else start, self._send, default_track=None if track == "both" else track
        )
        feed.transcription = transcription
        return transcription

    async def suppress_noise(
        self,
        direction: Literal["inbound", "outbound", "both"] = "inbound",
        *,
        engine: str | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """Let Telnyx remove noise from what the caller says (`inbound`), from what the caller hears (`outbound`), or both,
        which costs twice. Whether your stream hears the difference, Telnyx does not say. Returns when it is accepted.
        Raises ControlError, InvalidRequestError."""
        await self._send(
            SuppressionStart(
                direction=direction,
                noise_suppression_engine=engine,
                noise_suppression_engine_config=dict(config) if config is not None else None,
            )
        )

    async def stop_suppressing_noise(self) -> None:
        """End `suppress_noise`. Raises ControlError, InvalidRequestError."""
        await self._send(SuppressionStop())


def feed_of(call: Call) -> CallFeed:
    """The server's side of a call, for what serves several calls at once."""
    return call._feed  # noqa: SLF001 (defined above)


class _Application:
    """What a handler sees of its App."""

    __slots__ = ("state",)

    def __init__(self, state: SimpleNamespace) -> None:
        self.state = state
        """What the application's lifespan made, shared by all calls of the process."""
