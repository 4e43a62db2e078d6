"""The programs in examples/ do what they say, and are as short as they claim."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from websockets.asyncio.server import serve

from callpath.audio.tone import tone
from callpath.simulator.options import CarrierOptions
from callpath.testing import Callee, place_call
from callpath.timeline import CommandSent
from callpath.wire.command import Command, Hangup, Speak, Transfer
from tests.serving import WAIT_S_MAX, serving

EXAMPLES = Path(__file__).parent.parent / "examples"
LINES_MAX = {"agent": 40, "ivr": 25, "office_hours": 40, "reminder": 20}
"""Lines of code, without blank ones and docstrings, by example."""


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def said(commands: list[Command]) -> list[str]:
    return [command.payload for command in commands if isinstance(command, Speak)]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_each_example_is_short_and_listed(path: Path) -> None:
    """A newcomer reads it at one glance."""
    code = [line for line in path.read_text().partition('"""\n')[2].splitlines() if line.strip()]

    assert len(code) <= LINES_MAX[path.stem]


@pytest.mark.parametrize(("callee", "ends"), [("answers", []), ("busy", ["hangup"])])
async def test_the_menu_transfers_and_the_caller_is_not_lost(callee: Callee, ends: list[str]) -> None:
    """Busy: the caller hears so, and the menu again, to its end."""
    ivr: Any = load("ivr")
    async with place_call(ivr.app, callees={ivr.SALES: callee}) as caller:
        await caller.run(ms=2_000)
        caller.press("1")
        await caller.run(ms=60_000)
        commands = list(caller.commands)

    assert [command.to for command in commands if isinstance(command, Transfer)] == [ivr.SALES]
    assert [command.NAME for command in commands if isinstance(command, Hangup)] == ends
    if callee == "busy":
        assert said(commands) == [ivr.MENU, "Nobody is free at the moment.", ivr.MENU, ivr.MENU, "Goodbye."]


async def test_the_menu_takes_a_message(tmp_path: Path) -> None:
    """After a tone, until a key."""
    ivr: Any = load("ivr")
    async with place_call(ivr.app, data_dir=tmp_path) as caller:
        await caller.run(ms=500)
        caller.press("2")
        await caller.run(ms=2_000)
        heard_hz = caller.heard_hz()
        caller.press("5")
        await caller.run(ms=5_000)
        commands = list(caller.commands)

    assert heard_hz == pytest.approx(1000, abs=5)
    assert said(commands) == [ivr.MENU, "Thank you. Goodbye."]
    assert list((tmp_path / "recordings").glob("*.wav"))


async def test_the_menu_gives_up_after_three_tries() -> None:
    """Nobody presses anything."""
    ivr: Any = load("ivr")
    async with place_call(ivr.app) as caller:
        await caller.run(ms=60_000)

        assert said(caller.commands) == [ivr.MENU] * 3 + ["Goodbye."]
        assert isinstance(caller.commands[-1], Hangup)


@pytest.mark.parametrize(("hour", "sent"), [(12, ["speak", "transfer", "streaming_stop"]), (3, ["transfer"])])
async def test_office_hours(hour: int, sent: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By day the call is answered; by night it is never answered here."""
    office: Any = load("office_hours")

    class Clock:
        @staticmethod
        def now(_zone: object) -> Any:
            return type("Time", (), {"hour": hour})

    monkeypatch.setattr(office, "datetime", Clock)
    async with place_call(office.app, data_dir=tmp_path) as caller:
        await caller.run(ms=20_000)

        assert [command.NAME for command in caller.commands] == sent
        assert caller.answered == (hour == 12)


async def test_the_reminder_calls_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the server's start on, to the simulator's callee, whose phone hears the message."""
    reminder: Any = load("reminder")
    settings: dict[str, Any] = {"telnyx_connection_id": CarrierOptions().connection_id, "dial_from": "+15555550100"}
    async with serving(reminder.app, tmp_path, **settings) as served:
        caller = await served.telnyx.next_dialled(timeout_ms=20_000)
        async with asyncio.timeout(WAIT_S_MAX):
            await caller.ended()
        entries = await served.timeline(caller.call.leg.call_session_id)
    commands = [entry.what.command for entry in entries if isinstance(entry.what, CommandSent)]

    assert "Ada: human" in capsys.readouterr().out
    assert commands == ["dial", "streaming_start", "speak", "hangup"]


async def test_the_agent_truncates_at_what_was_heard_and_transfers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service is told how much of this answer the caller heard, not of all answers since the last interruption."""
    agent: Any = load("agent")
    heard: list[tuple[str, int]] = []
    said_ms = {"first": 300, "second": 20_000}

    async def service(socket: Any) -> None:
        for item, duration_ms in said_ms.items():
            delta = base64.b64encode(tone(440, duration_ms=100, sample_rate_hz=24_000).tobytes()).decode()
            piece = json.dumps({"type": "response.output_audio.delta", "item_id": item, "delta": delta})
            for _ in range(duration_ms // 100):
                await socket.send(piece)
            await socket.send(json.dumps({"type": "response.output_audio.done", "item_id": item}))
            for _ in range(60):  # 1.2 s of the caller's audio
                await socket.recv()
        await socket.send(json.dumps({"type": "input_audio_buffer.speech_started"}))
        while not heard:
            message = json.loads(await socket.recv())
            if message["type"] == "conversation.item.truncate":
                heard.append((message["item_id"], message["audio_end_ms"]))
        arguments = json.dumps({"to": "+15555550177"})
        about = {"type": "response.function_call_arguments.done", "arguments": arguments}
        await socket.send(json.dumps(about))
        await socket.wait_closed()

    async with serve(service, "127.0.0.1", 0) as realtime, serving(agent.app, tmp_path) as served:
        port = next(iter(realtime.sockets)).getsockname()[1]
        monkeypatch.setattr(agent, "URL", f"ws://127.0.0.1:{port}")
        caller = await served.telnyx.call()
        session = caller.call.leg.call_session_id
        await served.until(session, lambda what: isinstance(what, CommandSent) and what.command == "transfer")
        await caller.hang_up()

    ((item, heard_ms),) = heard
    assert item == "second"
    assert 0 < heard_ms < 15_000
