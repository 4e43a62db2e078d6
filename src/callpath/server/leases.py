"""Which calls this node acts for, where several nodes share one call log.

One node sends a call's commands and watches over it: the one that has its audio socket or, as long as there is none, the
one that received its first webhook. It holds a lease in the log and renews it every few seconds. A node that dies stops
renewing, and another node claims its calls. Every node may store webhooks of any call, and wakes the others by it.

After an outage of the log all leases have run out, although every node is alive. So a node claims another one's calls only
while the log has answered it without a break for as long as a lease lasts: by then the others have renewed theirs.

On a log of this process alone every call is this node's, and no lease is stored.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from callpath.clock import Clock
from callpath.errors import StoreError
from callpath.store.port import CallLog, Steal
from callpath.wire.ids import SessionId

T = TypeVar("T")

LEASE_MS = 15_000
"""How long a node may be silent before another one claims its calls. Telnyx keeps a call up meanwhile; its caller hears
silence."""

RENEW_EVERY_MS = 5_000.0
"""Two of three renewals may be lost to a database that is busy."""

SCAN_EVERY_MS = 1_000.0
"""How often calls without a node are looked for. A caller whose call is left to another node hears it ring that long."""

STEADY_MS = 15_000.0
"""How long the log must have answered without a break before another node's leases count as run out: LEASE_MS."""

SLOW_MS = 2_000.0
"""A log that takes longer to answer stood still, for others as well: a frozen database, a failover, a full disk."""

ORPHANS_MAX = 1_000
"""Maximum number of calls read at a time. Those that are left come with the next scan."""

OFFER_MS = 2_500.0
"""A call that no other node has claimed within that time is rejected by the one that could not take it."""

logger = structlog.get_logger("callpath")


class Leases:
    """The leases of one node. `node` is its name where it takes the place of one that certainly is gone."""

    def __init__(self, log: CallLog, clock: Clock, node: str | None = None) -> None:
        self._log = log
        self._clock = clock
        self.node = node or secrets.token_hex(8)
        self._steady_since_ms = clock.now_ms()
        self._asked_ms: list[float] = []
        """Since when we wait for each answer of the log."""
        self._releasing: dict[SessionId, asyncio.Event] = {}

    @property
    def may_steal(self) -> bool:
        """Whether a lease that has run out means that its node is gone. Not right after a start, or after a break."""
        now_ms = self._clock.now_ms()
        stands_still = bool(self._asked_ms) and now_ms > min(self._asked_ms) + SLOW_MS
        return now_ms >= self._steady_since_ms + STEADY_MS and not stands_still

    async def claim(self, session: SessionId, *, by_force: bool = False) -> bool:
        """Act for the call from now on. False: another node does, or did. `by_force`: its audio socket is here.

        Raises StoreError.
        """
        return await self._claim(session, "always" if by_force else "never")

    async def claim_orphan(self, session: SessionId) -> bool:
        """Act for a call whose node is gone, or offered it. False: another node acts for it.

        Whoever claims it so has to recover it: what came while nobody acted may be missing from the log. Raises StoreError.
        """
        return await self._claim(session, "expired" if self.may_steal else "never")

    async def _claim(self, session: SessionId, steal: Steal) -> bool:
        if not self._log.shared:
            return True
        while (released := self._releasing.get(session)) is not None:
            await released.wait()  # else it would delete the lease that we are about to get
        return await self._timed(self._log.claim(session, self.node, LEASE_MS, steal=steal))

    async def offer(self, session: SessionId) -> None:
        """Leave a call of ours to whichever node sees it first. Raises StoreError."""
        await self._timed(self._log.offer(session))

    async def release(self, session: SessionId) -> None:
        """Nothing is left to do here; any node may act for the call. Whoever claims it here meanwhile waits."""
        if not self._log.shared or session in self._releasing:
            return
        released = self._releasing[session] = asyncio.Event()
        try:
            await self._timed(self._log.release(session, self.node))
        except StoreError as error:  # the lease runs out by itself
            logger.warning("Lease not released", event_name="lease.not_released", error=str(error))
        finally:
            del self._releasing[session]
            released.set()

    async def keep(self, held: Callable[[set[SessionId], float], None], orphaned: Callable[[SessionId], None]) -> None:
        """Renew our leases for ever. Calls `held` with the calls that we had at a time of the clock, and `orphaned` for
        each call that no node has: its node died, or offered it to the others."""
        renew_at_ms = self._clock.now_ms() + RENEW_EVERY_MS
        pause_ms = min(SCAN_EVERY_MS, RENEW_EVERY_MS)
        while self._log.shared:
            due_ms = self._clock.now_ms() + pause_ms
            await self._clock.sleep_ms(pause_ms)
            if self._clock.now_ms() > due_ms + SLOW_MS:
                self._break()  # this process stood still: what it knows of the others is old
            pause_ms = min(SCAN_EVERY_MS, RENEW_EVERY_MS)
            try:
                if (asked_at_ms := self._clock.now_ms()) >= renew_at_ms:
                    held(await self._timed(self._log.renew(self.node, LEASE_MS)), asked_at_ms)
                    renew_at_ms = self._clock.now_ms() + RENEW_EVERY_MS
                expired = self.may_steal
                orphans = await self._timed(self._log.orphans(ORPHANS_MAX, expired=expired))
                if expired and not self.may_steal:
                    continue  # the log stood still while it was asked
                for session in orphans:
                    orphaned(session)
            except StoreError as error:
                logger.error("Leases not renewed", event_name="leases.not_renewed", error=str(error))
            except Exception as error:
                self._break()
                pause_ms = RENEW_EVERY_MS
                logger.exception("Leases not renewed", event_name="leases.not_renewed", error=str(error))

    async def follow(self, changed: Callable[[SessionId | None], None]) -> None:
        """Call `changed` for each call that another node has written to, for ever; None: it may be any."""
        while self._log.shared:
            try:
                async for session in self._log.watch(self._clock):
                    changed(session)
                return  # the log is closed
            except Exception as error:
                logger.exception("Other nodes not followed", event_name="nodes.not_followed", error=str(error))
            await self._clock.sleep_ms(RENEW_EVERY_MS)
            changed(None)  # something may have been missed

    async def _timed(self, asked: Awaitable[T]) -> T:
        """The answer of the log. One that fails or takes long is a break: others had to wait as well."""
        since_ms = self._clock.now_ms()
        self._asked_ms.append(since_ms)
        try:
            answer = await asked
        except StoreError:
            self._break()
            raise
        finally:
            self._asked_ms.remove(since_ms)
        if self._clock.now_ms() > since_ms + SLOW_MS:
            self._break()
        return answer

    def _break(self) -> None:
        self._steady_since_ms = self._clock.now_ms()
