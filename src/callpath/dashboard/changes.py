"""Server-sent events: which calls changed, as they do, whichever process wrote it.

The call log is asked again every moment: cheap, since each call's row carries the number of its latest entry. After a
break the browser says by `Last-Event-ID` where it was, and nothing is missed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from callpath.call.overview import CallOverview
from callpath.clock import Clock
from callpath.errors import StoreError
from callpath.store.port import CallLog
from callpath.wire.ids import SessionId

logger = structlog.get_logger("callpath")

LOOK_EVERY_MS = 300.0
KEEP_ALIVE_MS = 15_000.0
LATE_MS = 2_000.0
"""Longer than a commit takes."""

WATCHERS_MAX = 100
"""Maximum open pages of one process: each asks the call log three times a second."""

ROWS_MAX = 200
"""Calls told in one event; the rest follows in the next."""


def event(name: str, document: Any, number: int | None = None) -> bytes:
    """One server-sent event."""
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {name}\ndata: {json.dumps(document, ensure_ascii=False)}\n\n".encode()


Tell = Callable[[str, Any], None]
"""Send one event: its name, its document."""


class Telling(Response):
    """An answer that works while it is read: `work` is handed a way to tell events, and is cancelled when the browser
    goes away."""

    media_type = "text/event-stream"

    def __init__(self, work: Callable[[Tell], Awaitable[None]]) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  as ASGI calls it
        events: asyncio.Queue[bytes | None] = asyncio.Queue()

        def tell(name: str, document: Any) -> None:
            events.put_nowait(event(name, document))

        async def work() -> None:
            try:
                await self._work(tell)
            except Exception as error:  # the answer has begun: only an event can say so
                logger.exception("Work for an open page failed")
                tell("trouble", {"detail": f"callpath failed here: {type(error).__name__}. Its log has the traceback."})
            events.put_nowait(None)

        async def notice_leaving() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            events.put_nowait(None)

        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(work(), name="work that is told")
            leaving = tasks.create_task(notice_leaving(), name="notice leaving")
            while (text := await events.get()) is not None:
                await send({"type": "http.response.body", "body": text, "more_body": True})
            working.cancel()
            leaving.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def watch(
    log: CallLog,
    after: int | None,
    clock: Clock,
    over: Callable[[], bool],
    row: Callable[[CallOverview], dict[str, Any]],
    *,
    login: bool = False,
) -> AsyncIterator[bytes]:
    """Events for one page: `hello` at once (`login`: a token is needed here, so one can log out), `calls` with the rows
    that changed. `after` None: from now on. It ends when `over` says so: the server stops, or the session has ended."""
    yield b"retry: 1000\n\n"
    try:
        number = (await log.outcomes())[0] if after is None else after
    except StoreError as error:
        yield event("trouble", {"detail": str(error)})
        return
    yield event("hello", {"number": number, "login": login}, number)
    quiet_since_ms = clock.now_ms()
    late = _Late(number, clock.now_ms())
    while not over():
        try:
            rows = await log.changes(number, ROWS_MAX)
            if not rows and log.shared:
                rows = await late.rows(log, number, clock.now_ms())
        except StoreError as error:
            yield event("trouble", {"detail": str(error)})
            return
        if rows:
            number = max(number, rows[-1].number)
            late.told.update((one.session, one.number) for one in rows)
            yield event("calls", [row(one) for one in rows], number)
            quiet_since_ms = clock.now_ms()
        elif clock.now_ms() - quiet_since_ms > KEEP_ALIVE_MS:
            yield b": still here\n\n"
            quiet_since_ms = clock.now_ms()
        await clock.sleep_ms(LOOK_EVERY_MS)


class _Late:
    """Where several nodes write, a row may be committed after one with a higher number was told: numbers are handed out
    before. So what was passed lately is looked at again."""

    def __init__(self, number: int, now_ms: float) -> None:
        self.told: dict[SessionId, int] = {}
        """With which number each call was told, since `_since`."""
        self._since = self._mark = number
        self._again_ms = now_ms + LATE_MS

    async def rows(self, log: CallLog, number: int, now_ms: float) -> list[CallOverview]:
        """The rows up to `number` that were not told, once in a while. Raises StoreError."""
        if now_ms < self._again_ms or number == self._since:
            return []
        found: list[CallOverview] = []
        after = self._since
        while page := await log.changes(after, ROWS_MAX):
            after = page[-1].number
            found += [one for one in page if one.number <= number and self.told.get(one.session, 0) < one.number]
            if after > number:
                break
        self._since, self._mark, self._again_ms = self._mark, number, now_ms + LATE_MS
        self.told = {session: told for session, told in self.told.items() if told > self._since}
        return found
