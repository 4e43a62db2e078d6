"""Which calls this node acts for, where several nodes share one call log.

One node sends a call's commands and watches over it: the one that has its audio socket, or, as long as there is none, the
one that took its first webhook. It says so with a lease in the log, prolonged every few seconds; a node that dies stops
doing so, and another takes its calls up. Every node may store webhooks of any call, and wakes the others by it.

On a log of this process alone every call is this node's, and nothing is stored about it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import structlog

from callpath.clock import Clock
from callpath.errors import StoreError
from callpath.store.port import CallLog
from callpath.wire.ids import SessionId

LEASE_MS = 15_000
"""A node that is silent for so long is taken for dead. Telnyx keeps a call up meanwhile; a caller hears silence."""

RENEW_EVERY_MS = 5_000.0
"""Two of three may be lost to a database that is busy."""

LOOK_EVERY_MS = 1_000.0
"""How often calls are looked for that nobody has. A caller whose call is left to another node hears it ring that long."""

OFFER_MS = 2_500.0
"""A call that no other node has taken within that time is refused by the one that could not."""

NOBODY = ""

logger = structlog.get_logger("callpath")


class Leases:
    """The leases of one node. `node` is its name where it takes the place of one that certainly is gone."""

    def __init__(self, log: CallLog, clock: Clock, node: str | None = None) -> None:
        self._log = log
        self._clock = clock
        self.node = node or secrets.token_hex(8)

    async def claim(self, session: SessionId, *, by_force: bool = False) -> bool:
        """Act for the call from now on. False: another node does. `by_force`: its audio socket is here.

        Raises StoreError.
        """
        if not self._log.shared:
            return True
        now = self._clock.now_unix_ms()
        return await self._log.claim(session, self.node, now, now + LEASE_MS, by_force=by_force)

    async def offer(self, session: SessionId) -> None:
        """Leave a call of ours to whichever node sees first that nobody has it. Raises StoreError."""
        now = self._clock.now_unix_ms()
        await self._log.claim(session, NOBODY, now, now - 1, by_force=True)

    async def release(self, session: SessionId) -> None:
        """Nothing is left to do here; any node may act for the call."""
        if self._log.shared:
            try:
                await self._log.release(session, self.node)
            except StoreError as error:  # it runs out by itself
                logger.warning("Lease not released", event_name="lease.not_released", error=str(error))

    async def keep(self, held: Callable[[set[SessionId], float], None], orphaned: Callable[[SessionId], None]) -> None:
        """Prolong our leases for ever, telling `held` which they were at what time of the clock, and `orphaned` each call
        that nobody has: its node died, or left it to another."""
        renew_at_ms = self._clock.now_ms() + RENEW_EVERY_MS
        while self._log.shared:
            await self._clock.sleep_ms(min(LOOK_EVERY_MS, RENEW_EVERY_MS))
            now = self._clock.now_unix_ms()
            try:
                if (asked_at_ms := self._clock.now_ms()) >= renew_at_ms:
                    held(await self._log.renew(self.node, now + LEASE_MS), asked_at_ms)
                    renew_at_ms = self._clock.now_ms() + RENEW_EVERY_MS
                for session in await self._log.orphans(now):
                    orphaned(session)
            except StoreError as error:
                logger.error("Leases not renewed", event_name="leases.not_renewed", error=str(error))

    async def follow(self, changed: Callable[[SessionId | None], None]) -> None:
        """Tell `changed` of each call that another node has written to, for ever; None: it may be any."""
        if self._log.shared:
            async for session in self._log.watch(self._clock):
                changed(session)
