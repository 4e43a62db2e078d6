"""The person at the phone of one call, and the media WebSocket that Telnyx opens for him.

`Caller` is what `Simulator.call` hands out: it speaks, listens, interrupts, presses keys, hangs up, and remembers what
it heard; `ear` judges that.
`Caller.run_stream` is the shell around `CarrierStream`: connect, feed, drain, wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket as sockets
import ssl
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
    WebSocketException,
)

from callpath.audio.codec import Decoder, Encoder, Pcm, open_decoder, open_encoder
from callpath.audio.framer import Framer
from callpath.audio.resample import resample_file_audio
from callpath.audio.wav import write_wav
from callpath.clock import Clock
from callpath.errors import AudioError, CallpathError
from callpath.simulator.call import CarrierCall, Effect
from callpath.simulator.carrier import (
    HEARD_PACKETS_MAX,
    PACKET_MS,
    AudioIgnored,
    AudioQueued,
    CarrierStream,
    FrameRefused,
    StreamCounters,
    bytes_per_packet,
)
from callpath.simulator.ear import PAUSE_MS_MAX, Arrival, Hearing, SpeechMeter, listen, speech_spans
from callpath.simulator.link import Link
from callpath.simulator.options import CarrierOptions
from callpath.simulator.seen import CommandSeen, DocumentSeen, RequestSeen, SocketEnd, WebhookSeen, without_query
from callpath.simulator.speech import load_speech, words_of
from callpath.simulator.verdict import SERVES, CallFacts, StreamFacts, Verdict, judge
from callpath.wire.document import Json, write
from callpath.wire.ids import StreamId
from callpath.wire.media import AUTH_TOKEN_HEADER

SAMPLE_RATE_HZ = 8000
"""A phone's own rate: what `said` and `heard` have."""

DIGIT_MS = 200
"""Between two key presses: 100 ms tone and 100 ms pause, as phones dial."""

FRAME_BYTES_MAX = 8 << 20
"""Largest message taken from a server: 30 s of 48 kHz L16, the longest documented chunk, is 3.8 MB in base64."""

CLOSE_MS_MAX = 1_000
"""How long a server may take to answer the closing of the socket."""

PROBLEMS_MAX = 100

TURN_END_MS = 700
"""Quiet for so long, the other side has finished: what people wait before they take their turn."""

BARGE_IN_MS = 300
"""So much of the other side's speech is heard before it is interrupted."""


class CallFailed(CallpathError):  # noqa: N818  (reads as what happened: the call failed)
    """A simulated call did not get as far as was waited for; the text says which stage was not reached, and why."""


class Caller:
    """One call as the person at the phone has it. Times are the clock's milliseconds."""

    def __init__(
        self,
        call: CarrierCall,
        *,
        options: CarrierOptions,
        link: Link,
        clock: Clock,
        carry_out: Callable[[Caller, list[Effect]], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.call = call
        self.began_at_ms = clock.now_ms()
        self.webhooks: list[WebhookSeen] = []
        self.commands: list[CommandSeen] = []
        self.requests: list[RequestSeen] = []
        """What the API turned away before it reached a call, while this call was alive; the first 100."""
        self.documents: list[DocumentSeen] = []
        """TeXML documents that were fetched."""
        self.skipped_verbs: list[str] = []
        """TeXML verbs that the simulator does not have."""
        self.dials: list[str] = []
        """Numbers that the program dialled while this call was alive; the first 100."""
        self.problems: list[str] = []
        """What the simulator could not use, in plain sentences; the first 100."""
        self.link = link
        self.timer = asyncio.Event()
        """Set when `call` may have planned something earlier."""
        self.number = 0
        """Which call of this simulator it is, from 1."""
        self.handed_out = False
        """For `Simulator.next_dialled`."""
        self._options = options
        self._clock = clock
        self._carry_out = carry_out
        self._tls = tls
        self.watchers: set[asyncio.Event] = set()
        """Set whenever something changed."""
        self._wakes: dict[StreamId, asyncio.Event] = {}
        self._running: set[StreamId] = set()
        self._failed: dict[StreamId, str] = {}
        self._ends: dict[StreamId, SocketEnd] = {}
        self._waiting: list[tuple[Pcm, str | None]] = []  # to be said when a stream is open
        self._encoder: Encoder | None = None
        self._said_until_ms = clock.now_ms()
        """When the last utterance ends."""
        self._turn_ms = clock.now_ms()
        """When the last sound in it ends: from here on whatever is heard is an answer, an echo's tail too."""
        self._arrivals: list[Arrival] = []
        self._meter = SpeechMeter()
        self._metered: dict[StreamId, tuple[Decoder, int]] = {}

    # --- what the caller does ---

    def say(self, audio: Pcm | Path | str, sample_rate_hz: int | None = None, *, words: str | None = None) -> None:
        """Speak, after what is being said now, or as soon as the stream is open. `spoken` waits for the end of it.

        A WAV (a Path, or a str that ends in .wav) brings its own rate; any other str is a text for espeak-ng. Raises
        AudioError for a file that is no WAV, and for a text where there is no espeak-ng. `words`: what a recording
        says, for Telnyx's transcription and a Conversation Relay, which get a text's own words.
        """
        pcm = load_speech(audio, sample_rate_hz, SAMPLE_RATE_HZ)
        self.speak(pcm, waits=True, words=words_of(audio) if words is None else words)

    def speak(self, audio: Pcm, *, waits: bool = False, words: str | None = None) -> None:
        """Speak, as a script of the dialled party wants it: now, or where it `waits` as soon as somebody can hear it."""
        stream = self.call.stream
        if stream is not None and stream.opened and self._encoder is not None:
            self._speak(stream, audio, words)
        elif waits and not self.call.is_heard:
            self._waiting.append((audio, words))
        else:
            self._note_speech(max(self._clock.now_ms(), self._said_until_ms), audio, words)

    async def spoken(self, timeout_ms: float = 60_000) -> None:
        """Return when all that the caller had to say is said. Raises CallFailed."""
        deadline_ms = self._clock.now_ms() + timeout_ms
        while self._waiting or self._clock.now_ms() < self._said_until_ms:
            await self._next_packet(deadline_ms, "The caller could not say what he had to say")

    async def barge_in(
        self, audio: Pcm | Path | str, *, after_ms: float = BARGE_IN_MS, timeout_ms: float = 10_000
    ) -> None:
        """Wait until the other side has spoken for `after_ms`, then speak over it. Raises CallFailed."""
        pcm, words = load_speech(audio, None, SAMPLE_RATE_HZ), words_of(audio)
        deadline_ms = self._clock.now_ms() + timeout_ms
        while not (self._hears_speech() and self._clock.now_ms() - (self._meter.spoke_at_ms or 0.0) >= after_ms):
            await self._next_packet(deadline_ms, "There was nothing to interrupt")
        self.say(pcm, words=words)
        await self.spoken()

    async def press(self, digits: str) -> None:
        """Press keys, 0 to 9, A to D, * and #, one after the other."""
        unknown = set(digits) - set("0123456789ABCD*#")
        if unknown:
            raise ValueError(f"not a key of a phone: {', '.join(sorted(unknown))}")
        for digit in digits:
            self.carry_out(self.call.press(digit, self._clock.now_ms()))
            for wake in self._wakes.values():
                wake.set()
            await self._clock.sleep_ms(DIGIT_MS)

    async def hang_up(self) -> None:
        """Put the phone down. Returns at once; `ended` waits until the stream is closed too."""
        await self.hangup()

    async def hangup(self) -> None:
        """The same, by Telnyx's word."""
        self.carry_out(self.call.party_hangs_up(self._clock.now_ms()))

    # --- what can be waited for ---

    async def stream_started(self, timeout_ms: float = 10_000) -> None:
        """Return when the media WebSocket is open. Raises CallFailed when it cannot be, or not in time."""
        await self.until(lambda: self._is_open() or self.call.state == "ended" or self._has_failed(), timeout_ms)
        if not self._is_open():
            raise CallFailed(self.failure or f"No stream was open {timeout_ms:.0f} ms after it was waited for.")

    async def answered(self, timeout_ms: float = 10_000) -> None:
        """Return when the call is answered. Raises CallFailed."""
        await self.until(lambda: self.call.state in ("answered", "ended"), timeout_ms)
        if self.call.answered_at_ms is None:
            raise CallFailed(self.failure or f"The call was not answered within {timeout_ms:.0f} ms.")

    async def ended(self, timeout_ms: float = 10_000) -> None:
        """Return when the call is over, its stream closed and its webhooks delivered. Raises CallFailed."""
        if not await self.until(self._is_over, timeout_ms):
            raise CallFailed(f"The call was not over within {timeout_ms:.0f} ms.")

    async def stream_decided(self, stream: CarrierStream, timeout_ms: float) -> bool:
        """Wait until `stream` is open or has failed; True unless it has failed by then."""
        await self.until(lambda: stream.opened or stream.request.stream_id in self._failed, timeout_ms)
        return stream.request.stream_id not in self._failed

    async def heard_for(self, duration_ms: float, timeout_ms: float = 10_000) -> None:
        """Return when the ear has heard that much audio in all. Raises CallFailed."""
        deadline_ms = self._clock.now_ms() + timeout_ms
        while sum(stream.counters.packets_played for stream in self.call.streams) * PACKET_MS < duration_ms:
            if self._clock.now_ms() >= deadline_ms or self.call.state == "ended":
                raise CallFailed(self.failure or f"Less than {duration_ms:.0f} ms were heard in {timeout_ms:.0f} ms.")
            await self._clock.sleep_ms(PACKET_MS)

    async def wait_for_speech(self, timeout_ms: float = 10_000) -> None:
        """Return when the other side has begun to speak since the caller last finished. Raises CallFailed."""
        deadline_ms = self._clock.now_ms() + timeout_ms
        while not self._was_answered():
            await self._next_packet(deadline_ms, "Nothing was heard")

    async def wait_for_speech_end(self, timeout_ms: float = 30_000, *, pause_ms: float = TURN_END_MS) -> None:
        """Return when the other side has spoken since the caller last finished, and then been quiet for `pause_ms`.

        Raises CallFailed.
        """
        deadline_ms = self._clock.now_ms() + timeout_ms
        while not self._was_answered():
            await self._next_packet(deadline_ms, "Nothing was heard")
        while self._hears_speech(pause_ms):
            await self._next_packet(deadline_ms, "The other side did not stop speaking")

    async def listen(self, duration_ms: float) -> Pcm:
        """Say nothing for so long; returns what was heard in that time, at 8 kHz. Ends early with the call."""
        began_ms = self._clock.now_ms()
        await self.until(lambda: self.call.state == "ended", duration_ms)
        start, end = (
            max(0, round((at_ms - self._origin_ms()) * SAMPLE_RATE_HZ / 1000))
            for at_ms in (began_ms, self._clock.now_ms())
        )
        heard = self.heard[start:end]
        return np.pad(heard, (0, end - start - heard.size))

    async def _next_packet(self, deadline_ms: float, problem: str) -> None:
        """Let 20 ms pass. Raises CallFailed with `problem` when the call is over, or it is later than `deadline_ms`."""
        if self.call.state == "ended" or self._has_failed():
            raise CallFailed(f"{problem}: {self.failure or 'the call was over'}")
        if self._clock.now_ms() >= deadline_ms:
            raise CallFailed(f"{problem} in time. {self.failure or ''}".rstrip())
        await self._clock.sleep_ms(PACKET_MS)

    @property
    def hears_speech(self) -> bool:
        """Whether the other side speaks at this moment."""
        return self._hears_speech()

    def _has_failed(self) -> bool:
        """A socket could not be opened, or was lost before it carried anything, and none is tried any more."""
        lost = any(end.by != "simulator" for end in self._ends.values())
        return bool(self._failed or lost) and self.call.stream is None

    def _was_answered(self) -> bool:
        self._hears_speech()
        until_ms = self._meter.spoke_until_ms
        return not self._waiting and until_ms is not None and until_ms > self._turn_ms

    def _hears_speech(self, pause_ms: float = PAUSE_MS_MAX) -> bool:
        """Judge what has come since the last time, and say whether the other side speaks."""
        for stream in self.call.streams:
            request = stream.request
            decoder, seen = self._metered.get(request.stream_id) or (
                open_decoder(request.codec, request.sample_rate_hz, byte_order=self._options.l16_byte_order),
                0,
            )
            for at_ms, payload in stream.heard[seen:]:
                pcm = _decoded(decoder, payload)
                self._meter.hear(resample_file_audio(pcm, decoder.sample_rate_hz, SAMPLE_RATE_HZ), at_ms)
            self._metered[request.stream_id] = decoder, len(stream.heard)
        return self._meter.speaks(self._clock.now_ms(), pause_ms)

    def _is_open(self) -> bool:
        return any(stream.opened for stream in self.call.streams)

    def _is_over(self) -> bool:
        # A webhook that nobody takes is not waited for: its retries may last for a minute.
        tried = all(seen.attempts for seen in self.webhooks)
        return self.call.state == "ended" and not self._running and tried

    async def until(self, ready: Callable[[], bool], timeout_ms: float) -> bool:
        """Wait until `ready()` is true; it is asked again whenever something happened on this call. False: too late."""
        deadline_ms = self._clock.now_ms() + timeout_ms
        watcher = asyncio.Event()
        self.watchers.add(watcher)
        try:
            while not ready():
                if self._clock.now_ms() >= deadline_ms:
                    return False
                await self._clock.wait(watcher, deadline_ms)
            return True
        finally:
            self.watchers.discard(watcher)

    def watch(self) -> asyncio.Event:
        """An event that is set whenever something happens on this call, until `unwatch`."""
        watcher = asyncio.Event()
        self.watchers.add(watcher)
        return watcher

    def unwatch(self, watcher: asyncio.Event) -> None:
        self.watchers.discard(watcher)

    def notify(self) -> None:
        """Something changed: whoever waits looks again."""
        for watcher in self.watchers:
            watcher.set()

    def carry_out(self, effects: list[Effect]) -> None:
        """Hand effects to the simulator, and let whoever waits look again."""
        self._carry_out(self, effects)
        if self._waiting and self.call.is_heard and self.call.stream is None:
            waiting, self._waiting = self._waiting, []
            for audio, words in waiting:
                self.speak(audio, words=words)
        self.timer.set()
        self.notify()

    # --- what was said and heard ---

    @property
    def stream(self) -> StreamCounters:
        """Counters of the latest stream; all zero when there was none."""
        return self.call.streams[-1].counters if self.call.streams else StreamCounters()

    @property
    def said(self) -> Pcm:
        """What the caller said, 8 kHz; index 0 is the moment when the first packet of audio went to the server."""
        return self._said(self._origin_ms())

    def _said(self, origin_ms: float) -> Pcm:
        return _place(self.call.voice.utterances, origin_ms, SAMPLE_RATE_HZ)

    @property
    def heard(self) -> Pcm:
        """What reached the caller's ear, 8 kHz; index 0 is the same moment as in `said`. Computed anew at each access.

        The ear takes a packet every 20 ms, so a delay measured here is the true one rounded up to that. What Telnyx
        itself plays is in it, and a leg that is bridged to this one.
        """
        return self._heard(self._origin_ms())

    def _heard(self, origin_ms: float) -> Pcm:
        whole = np.zeros(0, np.int16)
        for stream in self.call.streams:
            if not stream.heard:
                continue
            request = stream.request
            decoder = open_decoder(request.codec, request.sample_rate_hz, byte_order=self._options.l16_byte_order)
            pieces = [(at_ms, _decoded(decoder, payload)) for at_ms, payload in stream.heard]
            audio = _place(pieces, origin_ms, decoder.sample_rate_hz)
            if decoder.sample_rate_hz != SAMPLE_RATE_HZ:
                audio = resample_file_audio(audio, decoder.sample_rate_hz, SAMPLE_RATE_HZ)
            whole = _mixed(whole, audio)
        for piece in self.call.heard_beside(self._clock.now_ms()):
            whole = _mixed(whole, _place([piece], origin_ms, SAMPLE_RATE_HZ))
        return whole

    @property
    def message(self) -> Pcm | None:
        """The message that a voicemail recorded, 8 kHz, from the end of its beep on; None: it did not get so far."""
        from_ms = self.call.message_from_ms
        if from_ms is None or self._clock.now_ms() < from_ms:
            return None
        return self._heard(from_ms)

    def write_recording(self, path: Path | str) -> None:
        """A stereo WAV on one clock: left what the caller said, right what it heard."""
        write_wav(path, (self.said, self.heard), SAMPLE_RATE_HZ)

    @property
    def hearing(self) -> Hearing:
        """What the ear measured so far; see `ear.Hearing`. Computed anew at each access."""
        origin_ms = self._origin_ms()
        closed_at_ms = self.call.streams[-1].counters.closed_at_ms if self.call.streams else None
        until_ms = self._clock.now_ms() if closed_at_ms is None else closed_at_ms
        return listen(
            self.said,
            self.heard,
            SAMPLE_RATE_HZ,
            arrivals=self._arrivals,
            duration_ms=until_ms - origin_ms if origin_ms else None,
            sent=self._sent(),
        )

    def _sent(self) -> Pcm | None:
        """What the server sent on the latest stream, without the gaps between its messages, at 8 kHz."""
        stream = self.call.streams[-1] if self.call.streams else None
        if stream is None or not stream.received or stream.request.mode != "rtp":
            return None
        request = stream.request
        decoder = open_decoder(request.codec, request.sample_rate_hz, byte_order=self._options.l16_byte_order)
        pcm = np.concatenate([_decoded(decoder, payload) for payload in stream.received])
        return resample_file_audio(pcm, decoder.sample_rate_hz, SAMPLE_RATE_HZ)

    def sides(self, origin_ms: float) -> tuple[Pcm, Pcm]:
        """What was said and what was heard, 8 kHz, both from that moment of the clock on."""
        return self._said(origin_ms), self._heard(origin_ms)

    def _origin_ms(self) -> float:
        opened = [stream.counters.opened_at_ms for stream in self.call.streams]
        answered_at_ms = self.call.answered_at_ms
        otherwise = self.began_at_ms if answered_at_ms is None else answered_at_ms
        return next((at_ms + PACKET_MS for at_ms in opened if at_ms is not None), otherwise)

    # --- how it went ---

    def verdict(self, hearing: Hearing | None = None, *, expect_audio: bool = False) -> Verdict:
        """How the call went so far. Without `hearing`, which takes tens of milliseconds to compute, what was heard is
        not judged."""
        return judge(self._facts(hearing, expect_audio=expect_audio))

    @property
    def failure(self) -> str | None:
        """Why the call is not all right, in one sentence; None when audio could flow. What was heard is not judged."""
        return self.verdict().failure

    @property
    def served_by_telnyx(self) -> bool:
        """A call without a stream in which Telnyx itself speaks, plays or listens, or that was joined with another leg."""
        served = any(one.name in SERVES and one.status == 200 for one in self.commands)
        return not self.call.streams and (served or any(seen.event_type == "call.bridged" for seen in self.webhooks))

    def _facts(self, hearing: Hearing | None, *, expect_audio: bool) -> CallFacts:
        call = self.call
        return CallFacts(
            now_ms=self._clock.now_ms(),
            began_at_ms=self.began_at_ms,
            outbound=call.leg.direction == "outgoing",
            state=call.state,
            answered_at_ms=call.answered_at_ms,
            ended_at_ms=call.ended_at_ms,
            ended_by=call.ended_by,
            hangup_cause=call.hangup.hangup_cause if call.hangup else None,
            webhooks=self.webhooks,
            commands=self.commands,
            requests=self.requests,
            documents=self.documents,
            skipped_verbs=self.skipped_verbs,
            dials=self.dials,
            streams=[self._stream_facts(stream) for stream in call.streams],
            options=self._options,
            expect_audio=expect_audio,
            hearing=hearing,
        )

    def _stream_facts(self, stream: CarrierStream) -> StreamFacts:
        stream_id = stream.request.stream_id
        return StreamFacts(
            request=stream.request,
            counters=stream.counters,
            failed=self._failed.get(stream_id),
            end=self._ends.get(stream_id),
            stop_reason=stream.stop_reason,
            received=stream.received,
        )

    def report(self, *, expect_audio: bool = False) -> Json:
        """How the call went, ready for JSON: times are milliseconds since the call began."""

        def since(at_ms: float | None) -> int | None:
            return None if at_ms is None else round(at_ms - self.began_at_ms)

        stream, hearing, hangup = self.stream, self.hearing, self.call.hangup
        verdict = self.verdict(hearing, expect_audio=expect_audio)
        return {
            "failure": verdict.failure,
            "verdict": {
                "code": verdict.code,
                "outcome": verdict.outcome,
                "sentence": verdict.sentence,
                "notes": list(verdict.notes),
            },
            "webhooks": [
                {
                    "event": seen.event_type,
                    "at_ms": since(seen.at_ms),
                    "url": without_query(seen.url),
                    "answers": seen.statuses,
                    "problems": list(seen.problems),
                }
                for seen in self.webhooks
            ],
            "commands": [
                {
                    "name": one.name,
                    "at_ms": since(one.at_ms),
                    "status": one.status,
                    "codes": list(one.codes),
                    "errors": [write(error) for error in one.errors],
                    "by": "texml" if one.by_texml else "api",
                }
                for one in self.commands
            ],
            "requests": [
                {
                    "name": one.name,
                    "method": one.method,
                    "path": one.path,
                    "at_ms": since(one.at_ms),
                    "status": one.status,
                    "codes": list(one.codes),
                    "remark": one.remark,
                    "injected": one.injected,
                }
                for one in self.requests
            ],
            "texml": [
                {"url": without_query(one.url), "at_ms": since(one.at_ms), "status": one.status, "problem": one.problem}
                for one in self.documents
            ],
            "dials": list(self.dials),
            "answered_at_ms": since(self.call.answered_at_ms),
            "ended": {
                "at_ms": since(self.call.ended_at_ms),
                "by": self.call.ended_by,
                "hangup_cause": hangup.hangup_cause if hangup else None,
                "hangup_source": hangup.hangup_source if hangup else None,
                "sip_hangup_cause": hangup.sip_hangup_cause if hangup else None,
            },
            "sockets": [self._socket_row(one, since) for one in self.call.streams],
            "stream": {
                "streams": len(self.call.streams),
                "opened_at_ms": since(stream.opened_at_ms),
                "first_sent_at_ms": since(stream.first_sent_at_ms),
                "first_audio_at_ms": since(stream.first_audio_at_ms),
                "frames_out": stream.frames_out,
                "frames_in": stream.frames_in,
                "heard_ms": stream.packets_played * PACKET_MS,
                "refused_frames": stream.errors_out,
                "late_ms_max": round(stream.late_ms_max, 1),
            },
            "ear": asdict(hearing),
            "problems": list(self.problems),
        }

    def _socket_row(self, stream: CarrierStream, since: Callable[[float | None], int | None]) -> Json:
        counters, end = stream.counters, self._ends.get(stream.request.stream_id)
        return {
            "url": without_query(stream.request.url),
            "upgraded_at_ms": since(counters.upgraded_at_ms),
            "not_opened": self._failed.get(stream.request.stream_id),
            "closed_at_ms": since(counters.closed_at_ms if end is None else end.at_ms),
            "closed_by": None if end is None else end.by,
            "close_code": None if end is None else end.code,
            "close_reason": None if end is None else end.reason,
            "frames_out": counters.frames_out,
            "frames_in": counters.frames_in,
            "unheard": dict(counters.unheard),
        }

    # --- the media WebSocket ---

    def wake_stream(self, stream: CarrierStream) -> None:
        """It has something to send before its time."""
        if wake := self._wakes.get(stream.request.stream_id):
            wake.set()

    async def run_stream(self, stream: CarrierStream) -> None:
        """Open the WebSocket of `stream`, carry it to its end, and tell the call how it went."""
        self._running.add(stream.request.stream_id)
        wake = self._wakes[stream.request.stream_id] = asyncio.Event()
        try:
            async with self._opened(stream) as socket:
                stream.counters.upgraded_at_ms = self._clock.now_ms()
                if not stream.closed:  # else: hung up while it was being opened
                    self.carry_out(self.call.stream_opened(stream, self._clock.now_ms()))
                    await self._drive(socket, stream, wake)
                    if stream.stopped:
                        await socket.close()
        except NotOpened as error:
            self._failed[stream.request.stream_id] = str(error)
            stream.receive_eof(self._clock.now_ms())
            effects = self.call.stream_failed(stream, "connection_failed", self._clock.now_ms())
        else:
            effects = self._after(stream)
        finally:
            self._running.discard(stream.request.stream_id)
            self._wakes.pop(stream.request.stream_id, None)
        self.carry_out(effects)

    def _after(self, stream: CarrierStream) -> list[Effect]:
        now_ms = self._clock.now_ms()
        if stream.stopped:
            return self.call.stream_closed(stream, now_ms) if stream.opened else []
        return self.call.stream_lost(stream, now_ms)

    @asynccontextmanager
    async def _opened(self, stream: CarrierStream) -> AsyncIterator[ClientConnection]:
        request, limit_ms = stream.request, self._options.connect_ms_max
        media_format = request.media_format
        try:
            self._encoder = open_encoder(
                self.link.encoding(media_format.encoding),
                media_format.sample_rate,
                byte_order=self._options.l16_byte_order,
            )
            stream.silence = self._encoder.silence(PACKET_MS)
            if request.track != "inbound_track":
                stream.transcode = _transcoder(stream, self._options)
        except AudioError as error:
            raise NotOpened(f"this simulator cannot make the caller's audio: {error}") from None
        await self._clock.sleep_ms(self.link.connect_delay_ms())
        url = self.link.stream_url(request.url)
        if url is None:
            await self._clock.sleep_ms(limit_ms)
            raise NotOpened("it was never tried (injected fault)")
        socket = await open_socket(url, self._options.reach_at, request.auth_token, limit_ms, self._tls)
        try:
            yield socket
        finally:
            socket.transport.abort()  # closed long ago, or cancelled: nothing may linger

    async def _drive(self, socket: ClientConnection, stream: CarrierStream, wake: asyncio.Event) -> None:
        """Carry texts between one socket and one stream until the socket closes, with whatever the link does to them."""
        clock, link = self._clock, self.link
        opened_at_ms = clock.now_ms()
        breaks = deque(link.breaks())
        over = asyncio.Event()
        current = socket
        greeting: list[str] = []
        half_open = False
        injected = ""

        async def read(socket: ClientConnection) -> None:
            try:
                async for message in socket:
                    self._receive(stream, message)
                    wake.set()
                    pause_ms = link.read_pause_ms(clock.now_ms() - opened_at_ms)
                    until_ms = None if pause_ms == float("inf") else clock.now_ms() + pause_ms
                    if pause_ms and await clock.wait(over, until_ms):
                        break
            except ConnectionClosed:
                pass
            if socket is current:
                stream.receive_eof(clock.now_ms())
            wake.set()

        async def carry() -> None:
            nonlocal current, greeting, half_open, injected
            while True:
                now_ms = clock.now_ms()
                while breaks and now_ms - opened_at_ms >= breaks[0].at_ms:
                    match breaks.popleft().how:
                        case "half_open":
                            half_open, injected = True, "half_open"
                        case "second_connection":
                            if (another := await self._open_again(stream, greeting)) is not None:
                                current = another
                                tasks.create_task(read(another), name="read stream again")
                        case "close":
                            injected = "close"
                            return await current.close()
                        case how:
                            injected = how
                            _cut(current, reset=how == "reset")
                            return None
                first = not stream.opened
                texts = link.carry(stream.texts_to_send(now_ms), now_ms - opened_at_ms)
                greeting = greeting or texts
                for text in texts:
                    if not half_open:
                        await current.send(text)
                if first:
                    self._begin_to_speak(stream, now_ms)
                arrives_ms = link.next_at_ms()
                if stream.closed and (arrives_ms is None or half_open):
                    return None if half_open else await current.close()
                at_ms = [
                    opened_at_ms + one for one in (breaks[0].at_ms if breaks else None, arrives_ms) if one is not None
                ]
                if not stream.closed:
                    at_ms.append(stream.next_send_at_ms() or 0.0)
                await clock.wait(wake, min(at_ms))

        async def write() -> None:
            with contextlib.suppress(ConnectionClosed):  # the reader sees it too, and says so to the stream
                await carry()
            over.set()
            for one in {socket, current}:
                if half_open or one is not current:
                    _cut(one)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(read(socket), name="read stream")
            tasks.create_task(write(), name="write stream")
        self._ends[stream.request.stream_id] = await _end_of(current, stream, injected, clock.now_ms())

    async def _open_again(self, stream: CarrierStream, greeting: list[str]) -> ClientConnection | None:
        """Open the stream's URL once more, as after a fault in Telnyx's network. None: the server did not want it."""
        request, limit_ms = stream.request, self._options.connect_ms_max
        try:
            again = await open_socket(request.url, self._options.reach_at, request.auth_token, limit_ms, self._tls)
            for text in greeting:
                await again.send(text)
        except (NotOpened, ConnectionClosed) as error:
            self.add_problem(f"the second connection was not taken: {error}")
            return None
        return again

    def _receive(self, stream: CarrierStream, message: str | bytes) -> None:
        """One message from the server."""
        now_ms = self._clock.now_ms()
        request = stream.request
        events = (
            stream.receive_text(message, now_ms) if isinstance(message, str) else stream.receive_binary(message, now_ms)
        )
        for event in events:
            if isinstance(event, AudioQueued) and len(self._arrivals) < HEARD_PACKETS_MAX:
                per_packet = bytes_per_packet(request.codec, request.sample_rate_hz) or event.payload_bytes or 1
                self._arrivals.append(Arrival(at_ms=now_ms, audio_ms=PACKET_MS * event.payload_bytes / per_packet))
            self._note(event)

    def add_problem(self, sentence: str) -> None:
        """Keep what the simulator could not do or use, for `problems`."""
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(sentence)
            self.notify()

    def _note(self, event: object) -> None:
        match event:
            case FrameRefused(code, problem):
                sentence = f"a frame was refused with {code}: {problem}"
            case AudioIgnored(reason):
                sentence = f"audio was ignored: {reason}"
            case _:
                return
        self.add_problem(sentence)

    # --- speaking ---

    def _begin_to_speak(self, stream: CarrierStream, now_ms: float) -> None:
        """A person goes on talking while the stream is away: what was not sent in the meantime is lost."""
        for began_at_ms, pcm in list(self.call.voice.utterances):
            gone = round((now_ms - began_at_ms) * SAMPLE_RATE_HZ / 1000)
            if 0 < gone < pcm.size:
                stream.say(self._encoded(pcm[gone:]))
        waiting, self._waiting = self._waiting, []
        for pcm, words in waiting:
            self._speak(stream, pcm, words)
        self.notify()

    def _speak(self, stream: CarrierStream, pcm: Pcm, words: str | None) -> None:
        began_at_ms = stream.say(self._encoded(pcm))
        self._note_speech(began_at_ms, pcm, words)

    def _note_speech(self, began_at_ms: float, pcm: Pcm, words: str | None) -> None:
        self.call.voice.say(began_at_ms, pcm)
        self._said_until_ms = began_at_ms + pcm.size * 1000 / SAMPLE_RATE_HZ
        self.carry_out(self.call.spoke(self._clock.now_ms(), words, until_ms=self._said_until_ms))
        if spans := speech_spans(pcm, SAMPLE_RATE_HZ):
            self._turn_ms = began_at_ms + spans[-1].end_ms

    def _encoded(self, pcm: Pcm) -> list[bytes]:
        encoder = self._encoder
        assert encoder is not None, "an encoder is opened before the socket"
        audio = resample_file_audio(pcm, SAMPLE_RATE_HZ, encoder.sample_rate_hz)
        framer = Framer(encoder.sample_rate_hz * PACKET_MS // 1000)
        frames = framer.push(audio)
        if (tail := framer.flush()) is not None:
            frames.append(tail)
        return [encoder.encode(frame) for frame in frames]


# --- connecting -------------------------------------------------------------------------------------------------------


class NotOpened(Exception):  # noqa: N818  (reads as what happened)
    """Why the WebSocket could not be opened, as a half-sentence without secrets. Travels only inside the simulator."""


class _Connect(connect):
    """Redirects are not followed: whether Telnyx does is unknown."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def open_socket(
    url: str, reach_at: str | None, token: str | None, timeout_ms: float, tls: ssl.SSLContext | None
) -> ClientConnection:
    """Open a WebSocket as Telnyx does: the exact URL, the token's header, no origin, no extensions."""
    where = without_query(url)
    host, port, secure = host_port(url, reach_at)
    instead: dict[str, Any] = {}
    if reach_at is not None:
        # The TLS proxy in front of the program is not here: play it. Host and path stay the stream URL's.
        url = urlsplit(url)._replace(scheme="wss" if secure else "ws").geturl()
        instead = {"host": host, "port": port}
    try:
        return await _Connect(
            url,
            additional_headers={} if token is None else {AUTH_TOKEN_HEADER: token},
            user_agent_header=None,
            compression=None,
            proxy=None,
            open_timeout=timeout_ms / 1000,
            close_timeout=CLOSE_MS_MAX / 1000,
            ping_interval=None,  # whether Telnyx pings is unknown
            max_size=FRAME_BYTES_MAX,
            ssl=(tls or ssl.create_default_context()) if secure else None,
            **instead,
        )
    except InvalidStatus as error:
        raise NotOpened(f"{where} answered HTTP {error.response.status_code} instead of 101") from None
    except TimeoutError:
        raise NotOpened(f"{where} did not open within {timeout_ms:.0f} ms") from None
    except ssl.SSLError as error:
        hint = ". Plain HTTP is spoken there: give --reach-at if a TLS proxy stands before it in real life"
        plain = hint if error.reason == "WRONG_VERSION_NUMBER" else ""
        raise NotOpened(f"TLS with {where} failed: {error.reason or error}{plain}") from None
    except InvalidURI:
        raise NotOpened(f"{where} is not a WebSocket address") from None
    except InvalidMessage:
        raise NotOpened(f"{where} closed the connection, or sent something that is no HTTP, instead of 101") from None
    except InvalidHandshake as error:
        raise NotOpened(f"{where} answered the upgrade wrongly: {error}") from None
    except (OSError, WebSocketException, ValueError) as error:
        raise NotOpened(f"{where} could not be reached: {error}") from None


def host_port(url: str, reach_at: str | None) -> tuple[str, int, bool]:
    """Where a socket for `url` goes, and whether by TLS. Raises NotOpened for what is no address."""
    there = urlsplit(reach_at or url)
    secure = there.scheme.lower() == "wss"
    try:
        return there.hostname or "", there.port or (443 if secure else 80), secure
    except ValueError:
        raise NotOpened(f"{without_query(url)} is not a WebSocket address") from None


def _cut(socket: ClientConnection, *, reset: bool = False) -> None:
    """End the TCP connection without a close frame; `reset`: also without delivering what is on the way."""
    raw = socket.transport.get_extra_info("socket")
    if reset and raw is not None:
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    socket.transport.abort()


async def _end_of(socket: ClientConnection, stream: CarrierStream, injected: str, now_ms: float) -> SocketEnd:
    """How this socket ended. A close frame that came first decides; then our own; then there was none."""
    ended_at_ms = stream.counters.closed_at_ms
    at_ms = now_ms if ended_at_ms is None else ended_at_ms
    if injected:
        return SocketEnd(at_ms, "fault", None, injected)
    if stream.stopped:
        return SocketEnd(at_ms, "simulator", 1000, stream.stop_reason)
    closed = await _closed(socket)
    if closed is None:
        return SocketEnd(at_ms, "nobody")
    if closed.rcvd is not None and (closed.sent is None or closed.rcvd_then_sent):
        return SocketEnd(at_ms, "program", int(closed.rcvd.code), closed.rcvd.reason)
    if closed.sent is not None:  # the library closes what breaks RFC 6455: bad UTF-8, a message that is too long
        return SocketEnd(at_ms, "simulator", int(closed.sent.code), closed.sent.reason)
    return SocketEnd(at_ms, "nobody")


async def _closed(socket: ClientConnection) -> ConnectionClosed | None:
    """What `recv` says of a connection that is over; None: it is not, whatever ended the stream."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_MS_MAX / 1000):
            while True:
                try:
                    await socket.recv()
                except ConnectionClosed as closed:
                    return closed
    return None


# --- audio ----------------------------------------------------------------------------------------------


def _decoded(decoder: Decoder, payload: bytes) -> Pcm:
    """One packet as the ear has it; what the codec cannot have made is a gap."""
    try:
        return decoder.decode(payload)
    except AudioError:
        return decoder.conceal(PACKET_MS)


def _transcoder(stream: CarrierStream, options: CarrierOptions) -> Callable[[bytes], bytes]:
    """From what the server sends to what it receives. Each packet by itself: good enough to be heard again."""
    request, order = stream.request, options.l16_byte_order
    received = request.media_format
    if (request.codec, request.sample_rate_hz) == (received.encoding, received.sample_rate):
        return bytes
    decoder = open_decoder(request.codec, request.sample_rate_hz, byte_order=order)
    encoder = open_encoder(received.encoding, received.sample_rate, byte_order=order)

    def transcode(payload: bytes) -> bytes:
        pcm = _decoded(decoder, payload)
        return encoder.encode(resample_file_audio(pcm, decoder.sample_rate_hz, encoder.sample_rate_hz))

    return transcode


def _place(pieces: list[tuple[float, Pcm]], origin_ms: float, sample_rate_hz: int) -> Pcm:
    """Lay pieces of audio on one clock, silence between them."""
    spans = [(round((at_ms - origin_ms) * sample_rate_hz / 1000), pcm) for at_ms, pcm in pieces]
    end = max((start + pcm.size for start, pcm in spans), default=0)
    audio = np.zeros(max(0, end), np.int16)
    for start, pcm in spans:
        cut = max(0, -start)
        if cut < pcm.size:
            audio[start + cut : start + pcm.size] = pcm[cut:]
    return audio


def _mixed(one: Pcm, other: Pcm) -> Pcm:
    longer, shorter = (other, one) if other.size > one.size else (one, other)
    whole = longer.astype(np.int32)
    whole[: shorter.size] += shorter
    return whole.clip(-32768, 32767).astype(np.int16)
