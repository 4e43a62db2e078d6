"""The shell around a `RelaySession`: one WebSocket to the program, opened by Telnyx and never opened again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from websockets.exceptions import ConnectionClosed

from callpath.clock import Clock
from callpath.simulator.caller import NotOpened, open_socket
from callpath.simulator.options import CarrierOptions
from callpath.simulator.relay import RelayAct, RelaySession


async def run_relay(
    session: RelaySession,
    *,
    options: CarrierOptions,
    clock: Clock,
    tls: ssl.SSLContext | None,
    wake: asyncio.Event,
    on_open: Callable[[], None],
    on_acts: Callable[[list[RelayAct]], None],
) -> str | None:
    """Carry texts until the relay is over or the socket is closed. Returns why it could not be opened, or None."""
    try:
        socket = await open_socket(session.url, options.reach_at, None, options.connect_ms_max, tls)
    except NotOpened as error:
        return str(error)
    try:
        session.open()
        on_open()

        async def read() -> None:
            try:
                async for message in socket:
                    on_acts(session.receive_text(message))
                    wake.set()
            except ConnectionClosed:
                pass
            session.end()
            wake.set()

        async def write() -> None:
            while True:
                over = session.over
                for text in session.texts_to_send():
                    try:
                        await socket.send(text)
                    except ConnectionClosed:
                        over = True
                        break
                if over:
                    break
                await clock.wait(wake, None)
            await socket.close()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(read(), name="read relay")
            tasks.create_task(write(), name="write relay")
    finally:
        socket.transport.abort()  # closed long ago, or cancelled: nothing may linger
    return None
