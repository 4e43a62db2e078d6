"""The live probe of a stream that did not come: the doctor tries the very URL that Telnyx was sent.

The server does not know the doctor; whoever starts it passes `Examine` in. The probe shows a token of its own, so that it
is answered like the doctor's test connection and never taken for the call's audio: a late socket of Telnyx's still gets in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from callpath.clock import Clock
from callpath.wire.ids import SessionId

SHARED_MS = 30_000
"""When an edge fails, all calls fail at once and for one reason. They share a verdict that is no older than this."""

EXAMINATION_S_MAX = 60.0
"""The doctor needs half a minute at most; one that does not come back must not hold the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the doctor says. `code` None: it found no fault. `decided` False: something is wrong, the cause not proven."""

    healthy: bool | None
    decided: bool
    summary: str
    code: str | None = None
    slug: str | None = None
    owner: str | None = None
    fix: str | None = None
    duration_ms: float = 0.0
    shared: bool = False


Examine = Callable[[str, str | None], Awaitable[Verdict]]
"""Try a stream URL; the second argument is the token to show in Telnyx's header, None for none."""


def probe_session(session: SessionId) -> SessionId:
    """What a probe's token is made for, so that it opens no call's audio."""
    return SessionId(f"probe of {session}")


class Examiner:
    """One examination at a time, so that a hundred calls which fail together do not become a hundred probes."""

    def __init__(self, examine: Examine, clock: Clock) -> None:
        self._examine = examine
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._last: Verdict | None = None
        self._last_ms = 0.0

    async def verdict(self, url: str, token: str | None, secret: str = "") -> Verdict:
        """What the doctor says of `url`, now or a moment ago of another call's. Says so itself when the doctor fails.

        `token` is shown in the header; `secret` is blotted out of all that is said.
        """
        async with self._one_at_a_time:
            if self._last is not None and self._clock.now_ms() < self._last_ms + SHARED_MS:
                return replace(self._last, shared=True)
            try:
                async with asyncio.timeout(EXAMINATION_S_MAX):
                    found = await self._examine(url, token)
            except Exception as error:  # the doctor's fault must not become the call's
                found = Verdict(
                    healthy=None, decided=False, summary=f"the doctor failed: {type(error).__name__}: {error}"
                )
            if secret:
                found = replace(
                    found,
                    summary=found.summary.replace(secret, "***"),
                    fix=found.fix.replace(secret, "***") if found.fix else None,
                )
            self._last, self._last_ms = found, self._clock.now_ms()
            return found
