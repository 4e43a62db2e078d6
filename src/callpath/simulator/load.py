"""Hundreds of calls at once from one process, paced honestly: it measures how late it was itself, and says so.

Start at `run_load`. Each call is a whole one (webhooks, commands, a media WebSocket); only the media is carried by
`LoadCaller` instead of `Caller`: one tick for all calls on absolute deadlines, payloads encoded once, and of what comes
back no more is read than must be. Each second a short tone is sent; where it comes back, its round trip is measured.
"""

from __future__ import annotations

import asyncio
import base64
import os
import random
import secrets
import ssl
import struct
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import numpy as np

from callpath.audio.codec import Pcm, open_decoder, open_encoder
from callpath.audio.level import level_dbfs
from callpath.audio.resample import resample_file_audio
from callpath.audio.tone import tone
from callpath.clock import Clock, SystemClock
from callpath.errors import AudioError, CallpathError, RemoteProtocolError
from callpath.private_api import accept_key, apply_mask
from callpath.simulator.caller import CLOSE_MS_MAX, SAMPLE_RATE_HZ, Caller, CallFailed, NotOpened, host_port
from callpath.simulator.carrier import PACKET_MS, CarrierStream, bytes_per_packet
from callpath.simulator.figures import FIGURES, Expectation, Figures, summary
from callpath.simulator.scenario import CallResult, Outcome, Result, judge
from callpath.simulator.seen import SocketEnd, without_query
from callpath.simulator.simulator import Simulator
from callpath.simulator.verdict import Verdict
from callpath.wire.media import AUTH_TOKEN_HEADER, Clear, Mark, encode_message, parse_message

SLOTS = 4
"""Calls are spread over the 20 ms in so many turns: a tick of 5 ms each, as real calls do not fall together."""

PULSE_EVERY_MS, PULSE_MS, PULSE_HZ = 1_000, 60, 1_000
"""The tone whose echo is timed: three packets, so that no jitter buffer takes it for noise."""

PULSE_DBFS_MIN = -30.0
PULSE_SHARE_MIN = 0.6
"""What comes back is the tone if it is loud enough, and so much of its power lies at the tone's frequency."""

RTT_MS_MAX = PULSE_EVERY_MS - PULSE_MS

LATE_P99_MS_MAX = 10.0
"""Half a packet. A generator that is later than this in one tick of a hundred measures itself."""

CATCH_UP_MS = 200.0
"""A tick that was held up longer skips what is in between, and counts it."""

WRITE_BYTES_MAX = 256 << 10
"""So much may wait for a server that does not read: some 13 s of PCMU. Then frames are dropped, and counted."""

HEAD_BYTES_MAX = 16 << 10
MESSAGE_BYTES_MAX = 8 << 20
SAY_PAUSE_MS = 3_000
"""A caller who says something waits so long for an answer before he says it again."""

LEVELS_MAX = 200_000
HANGUP_MS_MAX = 15_000
"""How long all calls may take to be over after the hang-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """How many calls, and for how long. `say`: what each caller says again and again, 8 kHz; None: the tone."""

    calls: int = 10
    ramp_ms: float = 5_000.0
    duration_ms: float = 30_000.0
    """From when all calls are up, or have failed."""
    expect: tuple[Expectation, ...] = ()
    say: Pcm | None = None
    stream_within_ms: float = 10_000.0


@dataclass(slots=True)
class LoadFigures:
    """What one call measured. Times are the clock's milliseconds."""

    rtt_ms: list[float] = field(default_factory=list)
    pulses: int = 0
    frames_out: int = 0
    frames_in: int = 0
    skipped: int = 0
    """Frames that the generator was too late for."""
    dropped: int = 0
    """Frames that the server did not read."""
    first_in_ms: float | None = None
    last_in_ms: float = 0.0
    last_audio_ms: float = 0.0
    jitter_ms: float = 0.0
    gap_ms_max: float = 0.0


async def run_load(
    plan: LoadPlan,
    telnyx: Simulator,
    *,
    clock: Clock | None = None,
    on_progress: Callable[[float], None] = lambda _: None,
) -> tuple[Result, dict[str, Any]]:
    """Place the calls, hold them, hang up, and judge. Also returns what the generator says of itself.

    `on_progress` is told how many ms of the run have passed since the last time. Raises ConfigError where the simulator
    has no webhook URL.
    """
    clock = clock or SystemClock()
    pacer = _Pacer(clock, plan.say)
    placed: list[Caller] = []
    failures: dict[int, Verdict] = {}
    telnyx.make_caller = lambda *given, **named: LoadCaller(*given, pacer=pacer, **named)

    async def place(number: int) -> None:
        await clock.sleep_ms(plan.ramp_ms * number / plan.calls)
        caller = await telnyx.call(from_=f"+1555555{number % 10_000:04}")
        placed.append(caller)
        try:
            await caller.stream_started(plan.stream_within_ms)
        except CallFailed as error:
            found = caller.verdict()
            failures[id(caller)] = (
                found if found.failure else Verdict(code="no-stream-in-time", sentence=str(error), outcome="failed")
            )

    async def watch() -> None:
        while True:
            await clock.sleep_ms(250)
            on_progress(250)

    stop = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as tasks:
            ticking = tasks.create_task(pacer.run(stop), name="one tick for all calls")
            watching = tasks.create_task(watch(), name="progress")
            try:
                async with asyncio.TaskGroup() as placing:
                    for number in range(plan.calls):
                        placing.create_task(place(number), name="place a call")
                frames, began_cpu_s = _frames_out(placed), _cpu_s()  # what it costs to hold calls, not to place them
                await clock.sleep_ms(plan.duration_ms)
                cost = _Cost(_cpu_s() - began_cpu_s, _frames_out(placed) - frames)
                await _hang_up(placed, failures, clock)
            finally:
                stop.set()
                watching.cancel()
                await asyncio.wait([ticking])
    except BaseExceptionGroup as group:  # a wrong setting stops each call alike: one of them says it
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
    finally:
        telnyx.make_caller = Caller
    return _judged(plan, [cast(LoadCaller, one) for one in placed], failures, pacer, cost)


async def _hang_up(placed: list[Caller], failures: dict[int, Verdict], clock: Clock) -> None:
    for caller in placed:
        if caller.call.state == "ended" or caller.call.stream is None:
            found = caller.verdict()
            sentence = "The program ended the call, or its stream, early."
            failures.setdefault(
                id(caller), found if found.failure else Verdict(code="ended-early", sentence=sentence, outcome="failed")
            )
        await caller.hang_up()
    deadline_ms = clock.now_ms() + HANGUP_MS_MAX
    with suppress(CallFailed):
        for caller in placed:
            await caller.ended(max(0.0, deadline_ms - clock.now_ms()))


def _judged(
    plan: LoadPlan, callers: list[LoadCaller], failures: dict[int, Verdict], pacer: _Pacer, cost: _Cost
) -> tuple[Result, dict[str, Any]]:
    calls = []
    for number, caller in enumerate(callers, 1):
        failure = failures.get(id(caller))
        outcome: Outcome = "ok" if failure is None else failure.outcome
        sentences = () if failure is None else (failure.sentence,)
        figures = _figures(caller)
        calls.append(
            CallResult(
                name=f"call {number}",
                outcome=outcome,
                sentences=sentences,
                figures=figures,
                report={},
                caller=caller,
                code="ok" if failure is None else failure.code,
            )
        )
    late = list(pacer.late_ms) or [0.0]
    late_p99_ms = summary(late, "p99")
    # A hundredth of all ticks may be late: for judging, the ticks' p99 stands for the generator.
    result = judge("load", calls, plan.expect, late_ms_max=LATE_P99_MS_MAX, late_ms=late_p99_ms)
    result.figures["late_ms"] = late
    sums: Counter[str] = Counter()
    for caller in callers:
        one = caller.load
        sums.update(frames_out=one.frames_out, frames_in=one.frames_in, skipped=one.skipped, dropped=one.dropped)
        sums.update(pulses=one.pulses, pulses_back=len(one.rtt_ms))
    about: dict[str, Any] = dict(sums) | {
        "late_p50_ms": round(summary(late, "p50"), 2),
        "late_p99_ms": round(late_p99_ms, 2),
        "late_max_ms": round(max(late), 2),
        "late_p99_ms_max": LATE_P99_MS_MAX,
        "cpu_s": round(cost.cpu_s, 2),
        "cpu_us_per_frame_pair": round(cost.cpu_s * 1e6 / cost.frames_out, 1) if cost.frames_out else None,
    }
    return result, about


def _figures(caller: LoadCaller) -> Figures:
    one, stream = caller.load, caller.stream
    figures: Figures = {name: [] for name in FIGURES}

    def since(at_ms: float | None, name: str, from_ms: float | None = caller.began_at_ms) -> None:
        if at_ms is not None and from_ms is not None:
            figures[name] = [round(at_ms - from_ms, 1)]

    since(caller.call.answered_at_ms, "answer_ms")
    since(stream.opened_at_ms, "stream_ms")
    since(one.first_in_ms, "first_audio_ms", stream.opened_at_ms)
    figures |= {
        "rtt_ms": one.rtt_ms,
        "frames_out": [float(one.frames_out)],
        "frames_in": [float(one.frames_in)],
        "refused_frames": [float(stream.errors_out)],
        "streams": [float(len(caller.call.streams))],
        "late_ms": [],
    }
    if one.frames_in > 1:
        figures |= {"jitter_ms": [round(one.jitter_ms, 2)], "gap_ms_max": [round(one.gap_ms_max, 1)]}
    if one.rtt_ms and one.pulses:
        figures["loss_share"] = [round(1 - min(1.0, len(one.rtt_ms) / one.pulses), 4)]
    return figures


# --- the tick ---------------------------------------------------------------------------------------------------------


class _Pacer:
    """Sends one packet for each call every 20 ms, on deadlines counted from its start, so lateness never adds up."""

    def __init__(self, clock: Clock, say: Pcm | None) -> None:
        self._clock = clock
        self._say = say
        self._slots: list[dict[_LoadSocket, None]] = [{} for _ in range(SLOTS)]
        self._joined = 0
        self._cycles: dict[tuple[str, int], list[bytes]] = {}
        self.late_ms: deque[float] = deque(maxlen=LEVELS_MAX)
        """How late each turn was when its last packet was written."""

    def cycle(self, encoding: str, rate_hz: int, byte_order: Any) -> list[bytes]:
        """What a caller sends, packet by packet and then from the beginning, in base64. Made once for a codec."""
        key = (encoding, rate_hz)
        if key not in self._cycles:
            encoder = open_encoder(encoding, rate_hz, byte_order=byte_order)
            if self._say is None:
                sound = tone(PULSE_HZ, duration_ms=PULSE_MS, level_dbfs=-6.0)
                rest_ms = PULSE_EVERY_MS - PULSE_MS
            else:
                sound, rest_ms = self._say, SAY_PAUSE_MS
            packet = SAMPLE_RATE_HZ * PACKET_MS // 1000
            whole = np.concatenate([sound, np.zeros(-sound.size % packet + rest_ms * SAMPLE_RATE_HZ // 1000, np.int16)])
            audio = resample_file_audio(whole, SAMPLE_RATE_HZ, encoder.sample_rate_hz)
            width = encoder.sample_rate_hz * PACKET_MS // 1000
            audio = np.pad(audio, (0, -audio.size % width))
            self._cycles[key] = [base64.b64encode(encoder.encode(one)) for one in audio.reshape(-1, width)]
        return self._cycles[key]

    @property
    def sends_pulses(self) -> bool:
        return self._say is None

    def join(self, one: _LoadSocket) -> None:
        self._joined += 1
        self._slots[self._joined % SLOTS][one] = None

    def leave(self, one: _LoadSocket) -> None:
        for slot in self._slots:
            slot.pop(one, None)

    async def run(self, stop: asyncio.Event) -> None:
        """Tick until `stop` is set."""
        clock, tick_ms = self._clock, PACKET_MS / SLOTS
        began_ms = clock.now_ms()
        number = 0
        while not stop.is_set():
            number += 1
            at_ms = began_ms + number * tick_ms
            now_ms = clock.now_ms()
            if now_ms < at_ms:
                await clock.sleep_ms(at_ms - now_ms)
                now_ms = clock.now_ms()
            if now_ms - at_ms > CATCH_UP_MS:
                self.late_ms.append(now_ms - at_ms)
                missed = int((now_ms - at_ms) / PACKET_MS)  # of each call; what is left over is caught up
                number += missed * SLOTS
                for one in [one for slot in self._slots for one in slot]:
                    one.skip(missed)
                continue
            slot = self._slots[number % SLOTS]
            for one in list(slot):
                one.tick(now_ms)
            if slot:
                self.late_ms.append(max(0.0, clock.now_ms() - at_ms))
            if now_ms > at_ms + tick_ms:
                await clock.sleep_ms(0)  # a pacer that is behind must not keep the others from running


# --- one call ---------------------------------------------------------------------------------------------------------


class LoadCaller(Caller):
    """A caller whose media is carried by the tick that all share. It keeps no sound: only what it measured."""

    def __init__(self, *given: Any, pacer: _Pacer, **named: Any) -> None:
        super().__init__(*given, **named)
        self.load = LoadFigures()
        self._pacer = pacer

    @asynccontextmanager
    async def _opened(self, stream: CarrierStream) -> AsyncIterator[Any]:
        stream.paced_elsewhere = True
        request = stream.request
        media_format = request.media_format
        try:
            cycle = self._pacer.cycle(media_format.encoding, media_format.sample_rate, self._options.l16_byte_order)
        except AudioError as error:
            raise NotOpened(f"this simulator cannot make the caller's audio: {error}") from None
        url, limit_ms = request.url, self._options.connect_ms_max
        host, port, secure = host_port(url, self._options.reach_at)
        context = (self._tls or ssl.create_default_context()) if secure else None
        try:
            async with asyncio.timeout(limit_ms / 1000):
                _, socket = await asyncio.get_running_loop().create_connection(
                    lambda: _LoadSocket(self, stream, cycle, self._clock, self._pacer.sends_pulses),
                    host,
                    port,
                    ssl=context,
                    server_hostname=urlsplit(url).hostname if context else None,
                )
                socket.ask(url, request.auth_token)
                await socket.answered
        except TimeoutError:
            raise NotOpened(f"{without_query(url)} did not open within {limit_ms:.0f} ms") from None
        except (OSError, _Refused) as error:
            raise NotOpened(f"{without_query(url)} could not be reached: {error}") from None
        try:
            yield socket
        finally:
            self._pacer.leave(socket)
            socket.transport.abort()

    async def _drive(self, socket: Any, stream: CarrierStream, wake: asyncio.Event) -> None:
        for text in stream.texts_to_send(self._clock.now_ms()):  # connected and start
            socket.send(text.encode())
        self.notify()
        self._pacer.join(socket)
        while True:
            wake.clear()
            for text in stream.texts_to_send(self._clock.now_ms()):  # stop, dtmf, errors
                socket.send(text.encode())
            if stream.closed or socket.lost:
                break
            await self._clock.wait(wake, None)
        self._pacer.leave(socket)
        now_ms = self._clock.now_ms()
        if socket.lost:
            stream.receive_eof(now_ms)
        if stream.stopped:
            end = SocketEnd(now_ms, "simulator", 1000, stream.stop_reason)
        else:
            end = SocketEnd(
                now_ms, "program" if socket.close_code else "nobody", socket.close_code, socket.close_reason
            )
        self._ends[stream.request.stream_id] = end
        await socket.close()


class _Refused(CallpathError):  # noqa: N818  (travels only inside this module)
    """The upgrade was refused."""


class _LoadSocket(asyncio.Protocol):
    """The client's end of one WebSocket: RFC 6455 as far as a media stream needs it, and no more work than that."""

    transport: asyncio.Transport

    def __init__(
        self, caller: LoadCaller, stream: CarrierStream, cycle: list[bytes], clock: Clock, pulses: bool
    ) -> None:
        request = stream.request
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False
        self._over = asyncio.Event()
        self.close_code: int | None = None
        self.close_reason = ""
        """The program's own close frame; None: none came."""
        self._caller = caller
        self._stream = stream
        self._figures = caller.load
        self._clock = clock
        self._cycle = cycle
        self._pulses = pulses
        self._sent = 0
        self._pulse_at_ms: float | None = None
        self._quiet = True
        self._open = False
        self._reads = True
        self._key = ""
        self._rest = b""
        self._pieces = b""
        self._mask = random.Random(secrets.randbits(64))  # noqa: S311  (RFC 6455 wants it unpredictable for browsers)
        sends = request.track != "outbound_track"
        self._head = (
            f'{{"event":"media","stream_id":"{request.stream_id}","sequence_number":"'.encode() if sends else b""
        )
        self._per_packet = bytes_per_packet(request.codec, request.sample_rate_hz)
        self._plays = request.mode == "rtp" and bool(self._per_packet)
        self._decoder = open_decoder(request.codec, request.sample_rate_hz) if self._plays else None
        # A second of it: what is compared is as long as a chunk, and longer ones count as sound and are looked at.
        still = open_encoder(request.codec, request.sample_rate_hz).silence(1000) if self._plays else b""
        self._silence = base64.b64encode(still)
        self._plays_until_ms = 0.0
        self._marks: deque[tuple[float, str]] = deque()

    # --- the handshake ---

    def ask(self, url: str, token: str | None) -> None:
        """Send the upgrade request, as Telnyx does: exact path, the token's header, nothing that a browser adds."""
        parts = urlsplit(url)
        self._key = base64.b64encode(secrets.token_bytes(16)).decode()
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"GET {path} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}", "Upgrade: websocket"]
        lines += ["Connection: Upgrade", f"Sec-WebSocket-Key: {self._key}", "Sec-WebSocket-Version: 13"]
        if token is not None:
            lines.append(f"{AUTH_TOKEN_HEADER}: {token}")
        self.transport.write("\r\n".join([*lines, "", ""]).encode())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(WRITE_BYTES_MAX)

    def _take_answer(self) -> None:
        head, found, rest = self._rest.partition(b"\r\n\r\n")
        if not found:
            if len(head) > HEAD_BYTES_MAX:
                self._refuse("it answered with something that is no HTTP")
            return
        self._rest = rest
        first, *lines = head.split(b"\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        status = first.split(b" ")[1:2]
        if status != [b"101"]:
            self._refuse(f"it answered HTTP {b''.join(status).decode(errors='replace')} instead of 101")
        elif headers.get(b"sec-websocket-accept") != accept_key(self._key).encode():
            self._refuse("its 101 does not fit the request")
        elif not self.answered.done():  # else: it was too late
            self._open = True
            self.answered.set_result(None)

    def _refuse(self, why: str) -> None:
        if not self.answered.done():
            self.answered.set_exception(_Refused(why))
        self.transport.abort()

    # --- out ---

    def skip(self, packets: int) -> None:
        """The generator was too late for these: they are not sent in one burst, which no phone would do."""
        self._sent += packets
        self._figures.skipped += packets

    def tick(self, now_ms: float) -> None:
        """Send the packet that is due."""
        number = self._sent
        self._sent += 1
        figures = self._figures
        place = number % len(self._cycle)
        while self._marks and self._marks[0][0] <= now_ms:
            self._return_mark(self._marks.popleft()[1])
        if not self._reads:
            figures.dropped += 1
            return
        if not self._head:
            return
        if self._pulses and place == 0:
            self._pulse_at_ms = now_ms
            figures.pulses += 1
        figures.frames_out += 1
        self.send(
            b'%b%d","media":{"payload":"%b","track":"inbound","chunk":"%d","timestamp":"%d"}}'
            % (self._head, self._stream.next_number(), self._cycle[place], number + 1, PACKET_MS * (number + 1))
        )

    def send(self, body: bytes, opcode: int = 0x1) -> None:
        """One whole masked frame."""
        mask = self._mask.getrandbits(32).to_bytes(4, "big")
        size = len(body)
        if size < 126:
            head = bytes((0x80 | opcode, 0x80 | size))
        elif size < 65536:
            head = struct.pack("!BBH", 0x80 | opcode, 0xFE, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0xFF, size)
        self.transport.write(head + mask + apply_mask(body, mask))

    async def close(self) -> None:
        """Send a close frame, once, and wait for the server's; whoever opened this ends the connection.

        An end without the wait, while echoes are unread here, resets the connection, and the server loses the stop frame.
        """
        if not self.lost:
            self.lost = True
            self.send(struct.pack("!H", 1000), 0x8)
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_MS_MAX / 1000):
                    await self._over.wait()

    def pause_writing(self) -> None:
        self._reads = False

    def resume_writing(self) -> None:
        self._reads = True

    # --- in ---

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        if not self._open:
            self._rest = data
            self._take_answer()
            data = self._rest
            if not self._open:
                return
        now_ms = self._clock.now_ms()
        at, end = 0, len(data)
        while end - at >= 2:
            size, body = data[at + 1] & 0x7F, at + 2
            if size == 126:
                size, body = int.from_bytes(data[at + 2 : at + 4], "big") if end - at >= 4 else end, at + 4
            elif size == 127:
                size, body = int.from_bytes(data[at + 2 : at + 10], "big") if end - at >= 10 else end, at + 10
                if size > MESSAGE_BYTES_MAX and end - at >= 10:
                    self.transport.abort()
                    return
            if body + size > end:
                break
            self._take(data[at], data[body : body + size], now_ms)
            at = body + size
        self._rest = data[at:]

    def _take(self, first: int, body: bytes, now_ms: float) -> None:
        match first & 0x0F:
            case 0x1 if first & 0x80:
                self._take_text(body, now_ms)
            case 0x9:
                self.send(body, 0xA)
            case 0x8:
                if not self.lost:
                    self.close_code = int.from_bytes(body[:2], "big") if len(body) >= 2 else 1005
                    self.close_reason = body[2:].decode(errors="replace")
                    self.send(body[:2], 0x8)
                self._end()
            case 0xA:
                pass
            case 0x2 if first & 0x80:
                self._stream.receive_binary(body, now_ms)
            case _:  # a message in pieces
                if len(self._pieces) + len(body) > MESSAGE_BYTES_MAX:
                    self.transport.abort()
                    return
                self._pieces += body
                if first & 0x80:
                    whole, self._pieces = self._pieces, b""
                    self._take_text(whole, now_ms)

    def _take_text(self, text: bytes, now_ms: float) -> None:
        """Of a media frame, which comes 50 times a second, only the payload's place is looked for."""
        key = text.find(b'"payload"')
        start = text.find(b'"', key + 9) + 1
        end = text.find(b'"', start)
        if key < 0 or start <= 0 or end < 0 or not self._plays:
            self._take_other(text, now_ms)
            return
        figures = self._figures
        size = (end - start) * 3 // 4
        audio_ms = size * PACKET_MS / self._per_packet
        figures.frames_in += 1
        self._plays_until_ms = max(self._plays_until_ms, now_ms) + audio_ms
        if figures.first_in_ms is None:
            figures.first_in_ms = now_ms
        else:
            apart_ms = now_ms - figures.last_in_ms
            figures.gap_ms_max = max(figures.gap_ms_max, apart_ms)
            if apart_ms < figures.last_audio_ms + 1000:
                figures.jitter_ms += (abs(apart_ms - figures.last_audio_ms) - figures.jitter_ms) / 16
        figures.last_in_ms, figures.last_audio_ms = now_ms, audio_ms
        # The last four letters hold padding, and differ.
        if text[start : end - 4] == self._silence[: end - 4 - start]:
            self._quiet = True
        elif self._pulse_at_ms is not None and self._quiet:
            self._take_sound(text[start:end], now_ms)

    def _take_sound(self, payload: bytes, now_ms: float) -> None:
        """Is it the tone?"""
        assert self._decoder is not None and self._pulse_at_ms is not None
        try:
            pcm = self._decoder.decode(base64.b64decode(payload))
        except (ValueError, AudioError):
            return
        if level_dbfs(pcm) < PULSE_DBFS_MIN:
            return
        self._quiet = False
        turns = np.exp(2j * np.pi * PULSE_HZ * np.arange(pcm.size) / self._decoder.sample_rate_hz)
        power = float(np.mean(pcm.astype(np.float64) ** 2))
        at_tone = 2 * float(np.abs(np.mean(pcm * turns)) ** 2)
        rtt_ms = now_ms - self._pulse_at_ms
        # A first packet that the tone only half fills has a tone all the same, at half its power.
        if at_tone >= PULSE_SHARE_MIN * power / 2 and rtt_ms <= RTT_MS_MAX:
            self._figures.rtt_ms.append(round(rtt_ms, 3))
            self._pulse_at_ms = None

    def _take_other(self, text: bytes, now_ms: float) -> None:
        try:
            message = parse_message(text.decode(errors="replace"))
        except RemoteProtocolError:
            message = None
        match message:
            case Mark(name=name):
                self._stream.counters.marks_in += 1
                if self._plays_until_ms <= now_ms:
                    self._return_mark(name)
                else:
                    self._marks.append((self._plays_until_ms, name))
            case Clear():
                self._stream.counters.clears_in += 1
                self._plays_until_ms = now_ms
                while self._marks:
                    self._return_mark(self._marks.popleft()[1])
            case _:  # mp3 mode, or what Telnyx refuses: judged as ever
                self._figures.frames_in += b'"media"' in text
                self._stream.receive_text(text.decode(errors="replace"), now_ms)
                self._caller.wake_stream(self._stream)

    def _return_mark(self, name: str) -> None:
        self._stream.counters.marks_returned += 1
        self.send(
            encode_message(
                Mark(name=name, stream_id=self._stream.request.stream_id, sequence_number=self._stream.next_number())
            ).encode()
        )

    # --- the end ---

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's)
        self._end()

    def _end(self) -> None:
        self.lost = True
        self._over.set()
        if not self.answered.done():
            self.answered.set_exception(_Refused("it closed the connection without an answer"))
        self._caller.wake_stream(self._stream)


class _Cost(NamedTuple):
    """What the generator used while all calls were up, and for how many frames."""

    cpu_s: float
    frames_out: int


def _frames_out(callers: list[Caller]) -> int:
    return sum(cast(LoadCaller, one).load.frames_out for one in callers)


def _cpu_s() -> float:
    """What this process has used of the processor so far."""
    used = os.times()
    return used.user + used.system
