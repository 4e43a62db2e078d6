"""A call once more, through the handler as it is now: what its caller said and pressed, at the times of then.

The words come from the recording, the keys from the timeline; the Telnyx simulator says and presses them again. The bot's
answers are those of today, so where it asks something else now, the old caller talks past it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from fastapi import FastAPI, HTTPException
from starlette.responses import Response

from callpath.audio.pcm import Pcm
from callpath.audio.wav import read_wav_sides
from callpath.call.kept import recordings_of
from callpath.dashboard.changes import Tell, Telling
from callpath.dashboard.documents import problems
from callpath.dashboard.door import Context, PhoneCodec
from callpath.dashboard.masking import mask_text
from callpath.dashboard.phone import CALLED_NUMBER, PHONE_NUMBER
from callpath.dashboard.recordings import Shelf
from callpath.errors import AudioError
from callpath.simulator.caller import CallFailed
from callpath.simulator.options import CarrierOptions
from callpath.simulator.simulator import Simulator
from callpath.timeline import DtmfReceived, Entry, StreamStarted

BUSY = "other replays are running: wait until they are over"
REPLAYS_MAX = 2
AFTER_MS = 1_000.0
"""How long the caller listens after its last word."""


@dataclass(frozen=True, slots=True)
class Script:
    """What the caller of a past call did. Times are ms since its stream started."""

    voice: Pcm
    rate_hz: int
    keys: tuple[tuple[float, str], ...]
    codec: PhoneCodec

    @property
    def duration_ms(self) -> float:
        return max(1000.0 * self.voice.size / self.rate_hz, *(at_ms for at_ms, _ in self.keys), 0.0)


def add_routes(api: FastAPI, context: Context) -> None:
    """POST /calls/{identifier}/replay."""
    door, masked, timeline = context.door, context.masked, context.timeline
    shelf = Shelf(door.settings.data_dir, door.archive)
    running: list[str] = []

    @api.post("/calls/{identifier}/replay", operation_id="replayCall", responses=problems(404, 409))
    async def replay(identifier: str) -> Response:
        """Place the call again with the Telnyx simulator. Server-sent events: `ringing` with the new session, `ended`."""
        call, entries = await timeline(identifier)
        script = None
        if kept := recordings_of(entries):
            async with shelf.file(kept[0]) as file:
                script = await asyncio.to_thread(script_of, entries, file) if file is not None else None
        if script is None:
            detail = "this call was not recorded, or its recording is gone: set CALLPATH_RECORD=true for later ones"
            raise HTTPException(409, detail)
        if len(running) >= REPLAYS_MAX:
            raise HTTPException(409, BUSY)
        called = call.leg.to if call.leg and call.leg.to else CALLED_NUMBER

        async def place(tell: Tell) -> None:
            if len(running) >= REPLAYS_MAX:  # of many requests at once all found room above
                tell("trouble", {"detail": BUSY})
                return
            running.append(identifier)
            try:
                await play(script, called, tell)
            finally:
                running.remove(identifier)

        return Telling(place)

    async def play(script: Script, called: str, tell: Tell) -> None:
        options = CarrierOptions(leg_codec=script.codec)
        async with Simulator(options=options) as telnyx, door.serve_for(telnyx, script.codec) as webhook_url:
            telnyx.webhook_url = webhook_url
            caller = await telnyx.call(PHONE_NUMBER, called, say=script.voice, sample_rate_hz=script.rate_hz)
            tell("ringing", {"session": caller.call.leg.call_session_id, "duration_ms": script.duration_ms})
            try:
                await caller.stream_started()
                began_ms = door.clock.now_ms()
                for at_ms, digit in script.keys:
                    await door.clock.sleep_ms(began_ms + at_ms - door.clock.now_ms())
                    await caller.press(digit)
                left_ms = began_ms + script.duration_ms + AFTER_MS - door.clock.now_ms()
                await caller.until(lambda: caller.call.state == "ended", max(0.0, left_ms))
            except CallFailed:
                pass  # caller.failure says it
            await caller.hangup()
            await caller.ended()
            failure = caller.failure
            tell("ended", {"failure": mask_text(failure) if failure and masked else failure})


def script_of(entries: Sequence[Entry], recording: Path) -> Script | None:
    """From a timeline and its recording; None where they do not serve. Reads a file: call it in a thread."""
    started = next((entry for entry in entries if isinstance(entry.what, StreamStarted)), None)
    if started is None:
        return None
    try:
        (voice, *_), rate_hz = read_wav_sides(recording)
    except (AudioError, OSError, ValueError):
        return None
    codec = cast(StreamStarted, started.what).encoding
    return Script(
        voice=voice,
        rate_hz=rate_hz,
        keys=tuple(
            (float(max(0, entry.at_unix_ms - started.at_unix_ms)), entry.what.digit)
            for entry in entries
            if isinstance(entry.what, DtmfReceived)
        ),
        codec=cast(PhoneCodec, codec) if codec in get_args(PhoneCodec) else "PCMU",
    )
