"""The live probe of a stream that did not come: the doctor tries the very URL that Telnyx was sent.

The server does not know the doctor: `cli` passes `Examine` in. The probe shows a token of its own, so that it
is answered like the doctor's test connection and never taken for the call's audio: a late socket of Telnyx's still gets in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from callpath.call.address import audio_url
from callpath.call.plan import StreamPlan
from callpath.clock import Clock
from callpath.server.probe import TEST_CONNECTION
from callpath.server.tokens import CallTokens
from callpath.timeline import StreamProbed
from callpath.wire.ids import SessionId

SHARED_MS = 30_000
"""When an edge fails, all calls fail at once and for one reason. They share a verdict that is no older than this."""

PROBE_S_MAX = 60.0
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


class StreamProber:
    """One probe at a time, so that a hundred calls which fail together do not become a hundred probes."""

    def __init__(self, examine: Examine, clock: Clock, plan: StreamPlan, tokens: CallTokens | None) -> None:
        self.under_way: set[SessionId] = set()
        """Calls whose stream URL is being probed."""
        self._examine = examine
        self._clock = clock
        self._plan = plan
        self._tokens = tokens
        self._one_at_a_time = asyncio.Lock()
        self._last: Verdict | None = None
        self._last_ms = 0.0

    async def probe(self, session: SessionId) -> StreamProbed:
        """Try the stream URL of a call, as near to Telnyx's as can be without taking the call's socket. Takes up to half a
        minute."""
        self.under_way.add(session)
        try:
            url, token, secret = self._target(session)
            verdict = await self.verdict(url, token, secret)
        finally:
            self.under_way.discard(session)
        return StreamProbed(
            url=url.replace(secret, "***") if secret else url,
            healthy=verdict.healthy,
            decided=verdict.decided,
            summary=verdict.summary,
            code=verdict.code,
            slug=verdict.slug,
            owner=verdict.owner,
            fix=verdict.fix,
            duration_ms=verdict.duration_ms,
            shared=verdict.shared,
        )

    def _target(self, session: SessionId) -> tuple[str, str | None, str]:
        """The URL to try; the token to show in the header; and the token wherever it goes.

        Without tokens a socket could not be told from the call's own; then it is the test connection of the same server.
        """
        if self._tokens is None:
            return audio_url(self._plan.public_url, TEST_CONNECTION), None, ""
        token = self._tokens.of(probe_session(session))
        return self._plan.url(session, token), None if self._plan.token_in_path else token, token

    async def verdict(self, url: str, token: str | None, secret: str = "") -> Verdict:
        """What the doctor says of `url`, now or a moment ago of another call's. Says so itself when the doctor fails.

        `token` is shown in the header; `secret` is blotted out of all that is said.
        """
        async with self._one_at_a_time:
            if self._last is not None and self._clock.now_ms() < self._last_ms + SHARED_MS:
                return replace(self._last, shared=True)
            try:
                async with asyncio.timeout(PROBE_S_MAX):
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
