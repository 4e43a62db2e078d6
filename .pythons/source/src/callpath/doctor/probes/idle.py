"""Holds streams open to see whether, when and for whom they drop."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Literal

from callpath.doctor.facts import Ending, Hold, IdleFacts
from callpath.doctor.probes.channel import PeerStoppedReading
from callpath.doctor.probes.media import FRAME_MS, Talk, _encoder, _media_text, opening
from callpath.doctor.probes.shapes import CARRIER
from callpath.doctor.probes.upgrade import Door
from callpath.doctor.probes.websocket import Socket

PING_MS = 1000.0

Traffic = Literal["silent", "media", "media+ping"]


async def probe_idle(door: Door, timeout_ms: float) -> IdleFacts:
    """Three streams at once for `--idle` seconds: one silent, one with our audio, one with audio and pings.

    The pings make a server speak that would only listen, so that "nothing from the server" and "too old" part.
    """
    async with asyncio.TaskGroup() as tasks:
        kinds: tuple[Traffic, ...] = ("silent", "media", "media+ping")
        holds = [tasks.create_task(_hold(door, kind, timeout_ms)) for kind in kinds]
    return IdleFacts(
        wanted_ms=door.request.idle_s * 1000,
        holds=tuple(hold for task in holds if (hold := task.result()) is not None),
    )


async def _hold(door: Door, traffic: Traffic, timeout_ms: float) -> Hold | None:
    exchange, channel, rest = await door.ask(CARRIER, timeout_ms)
    if channel is None:
        return None
    if not exchange.upgraded:
        channel.abort()
        return None
    socket = Socket(channel, rest)
    try:
        return await _keep(door, traffic, socket)
    finally:
        socket.abort()


async def _keep(door: Door, traffic: Traffic, socket: Socket) -> Hold:
    clock = door.clock
    talk = Talk(socket, clock, clock.now_ms())
    until_ms = clock.now_ms() + door.request.idle_s * 1000
    last_sent_ms = 0.0
    async with asyncio.TaskGroup() as tasks:
        listener = tasks.create_task(talk.listen())
        try:
            for stage, text in zip(("connected", "start"), opening(door.request, door.url), strict=True):
                talk.stage = stage
                await talk.socket.send_text(text)
            if traffic == "silent":
                await clock.wait(talk.done, until_ms)
            else:
                payload = _encoder(door.request.codec)[0].silence(FRAME_MS)
                first_ms = clock.now_ms()
                pings = 0
                number = 0
                while (due_ms := first_ms + number * FRAME_MS) < until_ms:
                    if await clock.wait(talk.done, due_ms) or talk.ending is not None:
                        break
                    talk.stage = "media"
                    await talk.socket.send_text(_media_text(payload, number, number + 2))
                    last_sent_ms = talk.elapsed_ms()
                    if traffic == "media+ping" and number * FRAME_MS >= pings * PING_MS:
                        await talk.socket.send_ping(b"hold %d" % pings)
                        pings += 1
                    number += 1
        except PeerStoppedReading:
            talk.stalled_ms = talk.elapsed_ms()
        except (OSError, ssl.SSLError):
            await clock.wait(talk.done, clock.now_ms() + 500)
        held_ms = talk.elapsed_ms()
        if talk.ending is None and talk.stalled_ms is None:
            talk.stage = "close"
            with contextlib.suppress(OSError, ssl.SSLError):
                await talk.socket.send_close()
        listener.cancel()
    ending = talk.ending or Ending(by="us", kind="close-frame", code=1000, at_ms=held_ms)
    return Hold(
        traffic=traffic,
        ending=ending,
        held_ms=ending.at_ms if ending.by == "peer" else held_ms,
        received=len(talk.arrivals) + len(talk.pongs),
        last_received_ms=talk.last_received_ms,
        last_sent_ms=last_sent_ms,
        stalled=talk.stalled_ms is not None,
    )
