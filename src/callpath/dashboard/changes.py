"""Server-sent events: which calls changed, as they do, whichever process wrote it.

The call log is asked again every moment: cheap, since each call's row carries the number of its latest entry. After a
break the browser says by `Last-Event-ID` where it was, and nothing is missed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from callpath.call.overview import CallOverview
from callpath.clock import Clock
from callpath.errors import StoreError
from callpath.store.port import CallLog

LOOK_EVERY_MS = 300.0
KEEP_ALIVE_MS = 15_000.0
ROWS_MAX = 200
"""Calls told in one event; the rest follows in the next."""


def event(name: str, document: Any, number: int | None = None) -> bytes:
    """One server-sent event."""
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {name}\ndata: {json.dumps(document, ensure_ascii=False)}\n\n".encode()


async def watch(
    log: CallLog,
    after: int | None,
    clock: Clock,
    stopping: Callable[[], bool],
    row: Callable[[CallOverview], dict[str, Any]],
) -> AsyncIterator[bytes]:
    """Events for one page: `hello` at once, `calls` with the rows that changed. `after` None: from now on."""
    number = (await log.outcomes())[0] if after is None else after
    yield b"retry: 1000\n\n" + event("hello", {"number": number}, number)
    quiet_since_ms = clock.now_ms()
    while not stopping():
        try:
            rows = await log.changes(number, ROWS_MAX)
        except StoreError as error:
            yield event("trouble", {"detail": str(error)})
            return
        if rows:
            number = rows[-1].number
            yield event("calls", [row(one) for one in rows], number)
            quiet_since_ms = clock.now_ms()
        elif clock.now_ms() - quiet_since_ms > KEEP_ALIVE_MS:
            yield b": still here\n\n"
            quiet_since_ms = clock.now_ms()
        await clock.sleep_ms(LOOK_EVERY_MS)
