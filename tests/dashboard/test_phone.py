"""The browser phone: its parts by themselves, and whole calls over real sockets to the user's own App."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from callpath.api.app import App
from callpath.audio.pcm import Pcm
from callpath.audio.resample import resample_file_audio
from callpath.audio.tone import find_delay_ms, tone
from callpath.audio.wav import read_wav
from callpath.cli.dashboard import PHONE_RATES_HZ, open_dashboard, settings_for_setup
from callpath.clock import SystemClock
from callpath.config import Settings
from callpath.dashboard import phone
from callpath.dashboard.phone import Knobs, Trace, Turns, Weather
from callpath.events import DtmfPressed
from callpath.server.builtin import BUILTIN
from callpath.simulator.link import Frame
from callpath.simulator.simulator import hello_wav
from tests.dashboard.browsing import dashboard_server

AHEAD_MS = 160
LIKENESS_MIN = 0.7
"""Of a voice that went through a phone's codec twice; another sound reaches 0.3."""


# --- the weather -----------------------------------------------------------------------------------------------------


def carried(knobs: Knobs, frames: int = 200, seed: int = 1) -> list[tuple[int, float]]:
    """(number of the frame, tick at which it arrived), one frame sent a tick of 20 ms; in the order of arrival."""
    weather, rng = Weather(knobs=knobs), random.Random(seed)
    arrived = []
    for tick in range(frames):
        sent = Frame(json.dumps({"event": "media", "n": tick}).replace(" ", ""), 20.0 * tick)
        arrived += [(json.loads(frame.text)["n"], frame.at_ms / 20) for frame in weather.carry(sent, rng)]
    return sorted(arrived, key=lambda frame: frame[1])


def test_calm_weather_changes_nothing() -> None:
    """Sliders at rest: the call is a call."""
    assert [(number, number) for number in range(200)] == carried(Knobs())


def test_delay_holds_every_frame_as_long() -> None:
    """And in order."""
    assert [(number, number + 5) for number in range(200)] == carried(Knobs(delay_ms=100))


def test_jitter_keeps_order_and_loses_nothing() -> None:
    """A late frame holds up those behind it, as on one TCP connection."""
    arrived = carried(Knobs(jitter_ms=120))
    late = [tick - number for number, tick in arrived]

    assert [number for number, _ in arrived] == list(range(len(arrived)))
    assert len(arrived) == 200
    assert len(set(late)) > 1 and max(late) <= 7


def test_loss_takes_about_so_many() -> None:
    """Of the caller's frames; not more."""
    assert 140 <= len(carried(Knobs(loss_percent=20))) <= 180
    assert [] == carried(Knobs(loss_percent=100))


def test_disorder_swaps_neighbours() -> None:
    """Telnyx promises no order; nothing is lost by it."""
    numbers = [number for number, _ in carried(Knobs(swap_percent=30))]

    assert numbers != sorted(numbers)
    assert set(range(198)) <= set(numbers)
    assert all(abs(number - at) <= 1 for at, number in enumerate(numbers))


def test_what_is_no_audio_overtakes_none() -> None:
    """A stop that overtook the last words would cut them off."""
    weather, rng = Weather(knobs=Knobs(delay_ms=500)), random.Random(0)
    (words,) = weather.carry(Frame('{"event":"media"}', 0.0), rng)
    (stop,) = weather.carry(Frame('{"event":"stop"}', 20.0), rng)

    assert words.at_ms == 500
    assert stop.at_ms >= words.at_ms


# --- what is measured ------------------------------------------------------------------------------------------------


def test_an_answer_is_timed_from_the_callers_last_sound() -> None:
    """Not from a breath between two words, and not again while the bot goes on."""
    turns = Turns()
    for at in range(0, 1000, 20):
        turns.said(-20.0, at)
    turns.heard(-20.0, 1100)  # too soon to be an answer: it was speaking into the caller's words
    before = turns.answer_ms
    turns.said(-20.0, 2000)
    turns.said(-80.0, 2400)
    turns.heard(-20.0, 2700)
    turns.heard(-20.0, 2720)

    assert (None, 700) == (before, turns.answer_ms)


def test_an_echo_is_found_at_its_time() -> None:
    """Pieces are placed by when they were said and heard, not by when they were handed over."""
    voice, rate = read_wav(hello_wav())
    voice = resample_file_audio(voice, rate, 8000)[:16000]
    said, heard = Trace(8000), Trace(8000)
    for at in range(0, voice.size, 160):
        said.place(voice[at : at + 160], 5000 + at / 8)
        heard.place(voice[at : at + 160], 5080 + at / 8)
    match = find_delay_ms(said.until(7200), heard.until(7200), 8000)

    assert 80 == round(match.delay_ms)
    assert match.correlation > 0.95


def test_old_sound_is_forgotten() -> None:
    """A trace is a few seconds, however long the call; a piece from before them changes nothing."""
    trace = Trace(8000)
    trace.place(tone(440, duration_ms=20), 1000.0)
    trace.place(tone(440, duration_ms=20), 60_000.0)
    trace.place(tone(440, duration_ms=20), 1000.0)

    assert 160 == np.count_nonzero(trace.until(60_020.0)[-160:]) + np.count_nonzero(trace.until(60_020.0)[-160:] == 0)
    assert 0 == np.count_nonzero(trace.until(120_000.0))


# --- whole calls -----------------------------------------------------------------------------------------------------


class Handset:
    """What a browser does: speaks in packets of 20 ms, and keeps what it hears."""

    def __init__(self, socket: ClientConnection, rate_hz: int, url: str) -> None:
        self.socket = socket
        self.url = url
        self.rate_hz = rate_hz
        self.told: list[dict[str, Any]] = []
        self.heard: list[Pcm] = []

    async def until(self, kind: str) -> dict[str, Any]:
        """The next message of that kind."""
        async with asyncio.timeout(20):
            async for message in self.socket:
                if isinstance(message, bytes):
                    self.heard.append(np.frombuffer(message, "<i2"))
                    continue
                self.told.append(json.loads(message))
                if self.told[-1]["type"] == kind:
                    return self.told[-1]
        raise AssertionError(f"no {kind} came, but {[one['type'] for one in self.told]}")

    async def speak(self, pcm: Pcm) -> None:
        """As a microphone delivers it, a little ahead: the carrier's clock is the real one, and this machine is busy."""
        packet = self.rate_hz // 50
        clock = SystemClock()
        began_ms = clock.now_ms() - AHEAD_MS
        for number, at in enumerate(range(0, pcm.size, packet)):
            await self.socket.send(pcm[at : at + packet].tobytes())
            await clock.sleep_ms(began_ms + 20 * number - clock.now_ms())

    async def tell(self, **document: Any) -> None:
        await self.socket.send(json.dumps(document))


def likeness(voice: Pcm, heard: Pcm, rate_hz: int = 16000) -> float:
    """How well the best half second of `voice` is found again: a pause in between is the machine's, not the codec's."""
    pieces = [voice[at : at + rate_hz // 2] for at in range(0, voice.size - rate_hz // 2, rate_hz // 4)]
    return max(find_delay_ms(piece, heard, rate_hz).correlation for piece in pieces)


@asynccontextmanager
async def handset(
    url: str, *, encoding: str = "PCMU", rate_hz: int = 16000, fault: str | None = None
) -> AsyncIterator[Handset]:
    """A browser that has placed its call."""
    where = url.replace("http", "ws") + "/api/v1/phone"
    async with connect(where, origin=url, max_size=None) as socket:  # type: ignore[arg-type]
        it = Handset(socket, rate_hz, url)
        await it.tell(type="call", encoding=encoding, rate_hz=rate_hz, fault=fault)
        yield it


@asynccontextmanager
async def calling(app: App, data_dir: Path, *, fault: str | None = None) -> AsyncIterator[Handset]:
    async with dashboard_server(app, data_dir) as url, handset(url, fault=fault) as it:
        yield it


@pytest.mark.e2e
async def test_the_echo_of_a_voice_comes_back_in_each_codec(tmp_path: Path) -> None:
    """Real webhooks, the real media protocol, the codec of the leg: proved by finding the voice again. All at once, as
    people in one office would."""
    voice, rate_hz = read_wav(hello_wav())
    voice = resample_file_audio(voice, rate_hz, 16000)[: 16000 * 5 // 4]

    async def talk(url: str, encoding: str) -> tuple[str, dict[str, Any], float]:
        async with handset(url, encoding=encoding) as it:
            streaming = await it.until("streaming")
            await it.speak(voice)
            for _ in range(5):
                await it.until("status")
            await it.tell(type="hangup")
            ended = await it.until("ended")
        return streaming["encoding"], ended, likeness(voice, np.concatenate(it.heard))

    async with dashboard_server(BUILTIN["echo"](), tmp_path) as url:
        calls = await asyncio.gather(*(talk(url, encoding) for encoding in PHONE_RATES_HZ))

    assert list(PHONE_RATES_HZ) == [encoding for encoding, _, _ in calls]
    assert [(None, "normal_clearing")] * 4 == [(ended["failure"], ended["hangup_cause"]) for _, ended, _ in calls]
    assert min(like for _, _, like in calls) > LIKENESS_MIN


@pytest.mark.e2e
async def test_keys_and_faults_reach_the_call(tmp_path: Path) -> None:
    """The keypad's digits arrive at the handler; sliders act in mid-call, and nonsense changes nothing."""
    pressed: list[str] = []
    app = App()

    @app.call
    async def listen(call: Any) -> None:
        async for event in call.events:
            if isinstance(event, DtmfPressed):
                pressed.append(event.digit)

    async with calling(app, tmp_path) as it:
        await it.until("streaming")
        await it.tell(type="nonsense")
        await it.tell(type="faults", loss_percent=100)
        await it.tell(type="press", digits="4#")
        await it.tell(type="ping", at=12.5)
        pong = await it.until("pong")
        before = (await it.until("status"))["frames_out"]
        for _ in range(6):
            after = (await it.until("status"))["frames_out"]
        await it.tell(type="hangup")
        await it.until("ended")

        assert {"type": "pong", "at": 12.5} == pong
        assert ["4", "#"] == pressed
        assert after > before  # the simulator sends on; what the weather takes is lost behind it


@pytest.mark.e2e
async def test_a_fault_ends_in_a_sentence_and_a_failed_call(tmp_path: Path) -> None:
    """What the phone shows is what a caller's carrier would know; the rest is on the call's page."""
    async with calling(BUILTIN["echo"](), tmp_path, fault="connects_elsewhere") as it:
        ringing = await it.until("ringing")
        ended = await it.until("ended")  # the server hangs up: nobody should listen to nothing

        async with httpx2.AsyncClient(base_url=it.url, trust_env=False) as http:
            page = (await http.get(f"/api/v1/calls/{ended['session']}")).json()

    assert ringing["session"] == ended["session"]
    assert "answered HTTP 404" in ended["failure"]
    assert False is page["diagnosis"]["healthy"] or page["diagnosis"]["undecided"] is not None
    assert "not reached" in page["sentence"]


@pytest.mark.e2e
async def test_an_order_that_is_none(tmp_path: Path) -> None:
    """Refused with a word, whatever it is."""
    orders = (
        '{"type": "call", "encoding": "MP3"}',
        '{"type": "call", "rate_hz": 5}',
        '{"type": "call", "fault": "odd"}',
        '{"type": "hangup"}',
        "hello",
    )
    said = []
    async with dashboard_server(BUILTIN["echo"](), tmp_path) as url:
        for order in orders:
            where = url.replace("http", "ws") + "/api/v1/phone"
            async with connect(where, origin=url) as socket:  # type: ignore[arg-type]
                await socket.send(order)
                said.append(json.loads(await socket.recv()))

    assert ["ended"] * len(orders) == [one["type"] for one in said]
    assert all("no order of a phone" in one["failure"] for one in said)


@pytest.mark.e2e
async def test_another_site_cannot_use_the_phone(tmp_path: Path) -> None:
    """Nor can more than a few at once."""
    async with dashboard_server(BUILTIN["echo"](), tmp_path) as url:
        where = url.replace("http", "ws") + "/api/v1/phone"
        with pytest.raises(InvalidStatus) as refused:
            await connect(where, origin="http://evil.example")  # type: ignore[arg-type]
        waiting = [await connect(where, origin=url) for _ in range(phone.PHONES_MAX + 1)]  # type: ignore[arg-type]
        last = json.loads(await waiting[-1].recv())
        for socket in waiting:
            await socket.close()

        assert 403 == refused.value.response.status_code
        assert "in use already" in last["failure"]


def test_setup_fills_only_what_is_missing() -> None:
    """Half of an account is kept, so that the page can say what the other half is."""
    filled = settings_for_setup(Settings(telnyx_api_key="KEY1", public_url=""), 8001)

    assert ("KEY1", "http://127.0.0.1:8001") == (filled.telnyx_api_key, filled.public_url)
    assert filled.telnyx_public_key
    assert "http://127.0.0.1:8001" == open_dashboard(
        BUILTIN["echo"](), filled, settings_now=lambda: filled, stopping=lambda: False
    ).address(8001)
