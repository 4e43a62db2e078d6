"""A conference over real sockets: what each party hears, by frequency, and what becomes of each call at the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from callpath import App, Call, Conference, Participant
from callpath.audio.pcm import Pcm
from callpath.audio.tone import tone
from callpath.audio.wav import write_wav
from callpath.simulator.caller import Caller
from callpath.simulator.simulator import Simulator
from callpath.timeline import WebhookReceived
from tests import sdk
from tests.serving import PATIENT_MS, Served, serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

AGENT, CUSTOMER, BOSS = "+15555550101", "+15555550102", "+15555550103"
HZ = {AGENT: 500.0, CUSTOMER: 800.0, BOSS: 1_300.0, "music": 1_900.0, "Telnyx speaks": 220.0}
SILENT, LOUD = 0.002, 0.01


class QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None: ...  # noqa: A002


@pytest.fixture
def music(tmp_path: Path) -> Iterator[str]:
    """The address of a file that Telnyx can fetch."""
    (tmp_path / "files").mkdir()
    write_wav(tmp_path / "files" / "music.wav", tone(HZ["music"], duration_ms=1_000), 8000)
    files = partial(QuietFiles, directory=str(tmp_path / "files"))
    with ThreadingHTTPServer(("127.0.0.1", 0), files) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/music.wav"
        server.shutdown()
        thread.join()


def power(pcm: Pcm, hz: float) -> float:
    wave = np.exp(-2j * np.pi * hz * np.arange(pcm.size) / 8000)
    return float(2 * abs((pcm.astype(float) * wave * np.hanning(pcm.size)).sum()) / max(1, pcm.size) / 32768)


class Meeting:
    """An application whose calls meet, and the phones of a test."""

    def __init__(self) -> None:
        self.app = App()
        self.people: dict[str, Participant] = {}
        self.calls: dict[str, Call] = {}
        self.room: Conference | None = None
        self.returns: set[str] = set()
        """Numbers whose handler returns at once."""
        self.roles: dict[str, dict[str, Any]] = {}
        self.over: list[str] = []
        self.app.call(self._meet)

    async def _meet(self, call: Call) -> None:
        assert call.from_ is not None
        self.calls[call.from_] = call
        roles = self.roles.get(call.from_, {})
        whisper_to = [self.people[one] for one in roles.get("whisper_to", ())]
        room = self.app.conference("meeting")
        self.people[call.from_] = await room.join(call, **roles | {"whisper_to": whisper_to})
        self.room = self.room or room
        if call.from_ in self.returns:
            return
        await self.people[call.from_].left
        self.over.append(call.from_)

    async def dial_in(self, served: Served, number: str) -> Caller:
        caller = await served.telnyx.call(from_=number, say=tone(HZ[number], duration_ms=60_000))
        async with asyncio.timeout(60):
            while number not in self.people:
                await asyncio.sleep(0.02)
        await caller.stream_started(PATIENT_MS)
        return caller


UNCLEAR_MAX = 5
"""How often half a second may hold a change, or a hole that a slow machine made."""


async def hears(*callers: Caller) -> list[set[str]]:
    """What each of them hears in half a second that is the same from beginning to end."""
    for _ in range(UNCLEAR_MAX):
        await asyncio.sleep(0.3)  # what was on its way before
        came = await asyncio.gather(*(caller.listen(500) for caller in callers))
        levels = [{name: power(pcm, hz) for name, hz in HZ.items()} for pcm in came]
        if not any(SILENT < level < LOUD for one in levels for level in one.values()):
            break
    else:
        raise AssertionError(f"neither heard nor silent: {levels}")
    return [{name for name, level in one.items() if level >= LOUD} for one in levels]


async def test_mute_hold_and_words_for_one_are_heard_by_whom_they_should(tmp_path: Path, music: str) -> None:
    """Muted, on hold with music, spoken to alone: judged at the phones."""
    meeting = Meeting()
    async with serving(meeting.app, tmp_path) as served:
        agent, customer = await meeting.dial_in(served, AGENT), await meeting.dial_in(served, CUSTOMER)
        heard = {"both": await hears(agent, customer)}
        await meeting.people[AGENT].mute()
        heard["agent muted"] = await hears(agent, customer)
        await meeting.people[AGENT].unmute()
        await meeting.people[CUSTOMER].hold(music)
        heard["customer on hold"] = await hears(agent, customer)
        await meeting.people[CUSTOMER].unhold()
        heard["again"] = await hears(agent, customer)
        spoken = await meeting.people[AGENT].speak("A word for you alone, my friend.", wait=False)
        heard["a word for the agent"] = await hears(agent, customer)
        await meeting.people[AGENT].stop_playing()
        assert meeting.room is not None
        announced = asyncio.create_task(meeting.room.speak("A word for all of you who are here."))
        heard["a word for all"] = await hears(agent, customer)
        told = await asyncio.wait_for(announced, 60)
        meeting.calls[AGENT].start_playing(tone(HZ["music"], duration_ms=6_000))
        heard["the agent's handler plays"] = await hears(agent, customer)
        for caller in (agent, customer):
            await caller.hang_up()
            await caller.ended(PATIENT_MS)
        events = [
            entry.what.body
            for caller in (agent, customer)
            for entry in await served.timeline(caller.call.leg.call_session_id)
            if isinstance(entry.what, WebhookReceived)
        ]

    assert {
        "both": [{CUSTOMER}, {AGENT}],
        "agent muted": [{CUSTOMER}, set()],
        "customer on hold": [set(), {"music"}],
        "again": [{CUSTOMER}, {AGENT}],
        "a word for the agent": [{CUSTOMER, "Telnyx speaks"}, {AGENT}],
        "a word for all": [{CUSTOMER, "Telnyx speaks"}, {AGENT, "Telnyx speaks"}],
        "the agent's handler plays": [{CUSTOMER, "music"}, {AGENT}],
    } == heard
    assert "unknown" == spoken.status and told
    assert [] == [problem for event in events for problem in sdk.problems(event)]


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ({"role": "whisper", "whisper_to": [AGENT]}, [{CUSTOMER, BOSS}, {AGENT}, {AGENT, CUSTOMER}]),
        ({"role": "monitor"}, [{CUSTOMER}, {AGENT}, {AGENT, CUSTOMER}]),
        ({"role": "barge"}, [{CUSTOMER, BOSS}, {AGENT, BOSS}, {AGENT, CUSTOMER}]),
    ],
    ids=["whisper", "monitor", "barge"],
)
async def test_a_supervisor_is_heard_by_whom_the_role_says(
    tmp_path: Path, role: dict[str, Any], expected: list[set[str]]
) -> None:
    """A whisper that the customer hears is worse than none, and a monitor must not silence the others."""
    meeting = Meeting()
    meeting.roles[BOSS] = role
    async with serving(meeting.app, tmp_path) as served:
        callers = [await meeting.dial_in(served, number) for number in (AGENT, CUSTOMER, BOSS)]
        heard = await hears(*callers)
        for caller in callers:
            await caller.hang_up()
            await caller.ended(PATIENT_MS)

    assert expected == heard


async def test_the_creator_goes_first_and_a_call_without_a_handler_stays(tmp_path: Path) -> None:
    """The one that made it hangs up, the other two talk on; the one whose handler has returned is hung up when it is taken
    out, and no leg is left up."""
    meeting = Meeting()
    meeting.returns = {CUSTOMER}
    async with serving(meeting.app, tmp_path) as served:
        agent, customer, boss = [await meeting.dial_in(served, number) for number in (AGENT, CUSTOMER, BOSS)]
        await agent.hang_up()
        await agent.ended(PATIENT_MS)
        heard = await hears(customer, boss)
        states = (customer.call.state, boss.call.state)
        await meeting.people[CUSTOMER].leave()
        await customer.ended(PATIENT_MS)
        up = boss.call.state
        await meeting.people[BOSS].leave()
        await boss.ended(PATIENT_MS)

    assert [{BOSS}, {CUSTOMER}] == heard
    assert ("answered", "answered", "answered") == (*states, up)
    assert BOSS in meeting.over
    assert ["ended"] * 3 == [one.call.state for one in (agent, customer, boss)]


async def test_the_end_of_the_conference_is_the_end_of_every_call(tmp_path: Path) -> None:
    """Of its creator's, too, which has left already: Telnyx's own rule."""
    meeting = Meeting()
    async with serving(meeting.app, tmp_path) as served:
        agent, customer = await meeting.dial_in(served, AGENT), await meeting.dial_in(served, CUSTOMER)
        assert meeting.room is not None
        rows = await meeting.room.refresh()
        await meeting.room.end()
        for caller in (agent, customer):
            await caller.ended(PATIENT_MS)

    assert {AGENT, CUSTOMER} == {one.call.from_ for one in rows if one.call is not None}
    assert meeting.room.is_over and not meeting.room.participants


async def test_a_handler_that_is_entered_again_finds_its_call_in_the_conference(tmp_path: Path) -> None:
    """The server is restarted in the middle of a meeting. Telnyx would refuse a second join (90044), and a second
    conference would part the callers."""
    meeting, again = Meeting(), Meeting()
    async with Simulator() as telnyx:
        async with serving(meeting.app, tmp_path, telnyx=telnyx) as served:
            agent, customer = await meeting.dial_in(served, AGENT), await meeting.dial_in(served, CUSTOMER)
            assert meeting.room is not None
            conference = meeting.room.id
        async with serving(again.app, tmp_path, telnyx=telnyx, after_restart="resume"):
            async with asyncio.timeout(60):
                while len(again.people) < 2:
                    await asyncio.sleep(0.02)
            assert again.room is not None
            found = again.room.id
            states = (agent.call.state, customer.call.state)
            await again.people[CUSTOMER].mute()
            for caller in (agent, customer):
                await caller.hang_up()
                await caller.ended(PATIENT_MS)
            asked = [seen.name for caller in (agent, customer) for seen in caller.commands]

    assert conference == found
    assert ("answered", "answered") == states
    assert not [name for name in asked if name in ("hangup", "leave")]
