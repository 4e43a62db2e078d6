"""Whether this node acts for one call: sends what it needs, and watches over it. On a log of several nodes one does."""

from __future__ import annotations

import structlog

from callpath.errors import StoreError
from callpath.server.context import Context
from callpath.server.leases import LEASE_MS, OFFER_MS
from callpath.wire.ids import SessionId

logger = structlog.get_logger("callpath")


class Ownership:
    """The claim of this node on one call."""

    def __init__(self, session: SessionId, context: Context) -> None:
        self.acts = False
        """This node acts for the call; another may."""
        self.since_ms = 0.0
        """Since when."""
        self.was_offered = False
        """We could not take it, and left it to the other nodes; after a while we refuse it ourselves."""
        self.claim_again_ms = 0.0
        """When to claim it the next time."""
        self._session = session
        self._leases = context.leases
        self._clock = context.clock

    async def claim(self) -> bool:
        """Act for the call, unless another node does. False: the log could not be asked."""
        now_ms = self._clock.now_ms()
        if self.acts or now_ms < self.claim_again_ms:
            return True
        self.claim_again_ms = now_ms + LEASE_MS
        try:
            self._acts(await self._leases.claim(self._session))
        except StoreError as error:
            logger.error("Call not claimed", event_name="lease.not_claimed", error=str(error), **self._ids())
            self.claim_again_ms = 0.0
            return False
        return True

    async def offer(self) -> None:
        """Leave the call to the other nodes for a while."""
        self.was_offered, self.acts = True, False
        self.claim_again_ms = self._clock.now_ms() + OFFER_MS
        try:
            await self._leases.offer(self._session)
        except StoreError as error:
            logger.error("Call not offered", event_name="lease.not_offered", error=str(error), **self._ids())

    async def take_over(self, *, by_force: bool) -> bool:
        """Act for the call from now on: its audio socket is to open here. False, only where not by force: another node
        does. Raises StoreError."""
        took = await self._leases.claim(self._session, by_force=by_force)
        if took:
            self._acts(True)
        return took

    async def claim_back(self) -> None:
        """Act for the call that another node has claimed: its audio is here."""
        try:
            await self.take_over(by_force=True)
        except StoreError as error:  # the next renewal says again that it is another node's
            logger.error("Call not claimed back", event_name="lease.not_claimed", error=str(error), **self._ids())
        else:
            logger.warning("Call claimed back: its audio is here", event_name="lease.claimed_back", **self._ids())

    def lose(self) -> None:
        """Another node has the call's newest socket, or took us for dead."""
        logger.warning("Another node acts for the call now", event_name="lease.lost", **self._ids())
        self.acts = False
        self.claim_again_ms = self._clock.now_ms() + LEASE_MS

    async def release(self) -> None:
        """Nothing is left to do here; any node may act for the call."""
        if self.acts:
            await self._leases.release(self._session)

    def _acts(self, acts: bool) -> None:
        self.acts = acts
        self.since_ms = self._clock.now_ms()

    def _ids(self) -> dict[str, str]:
        return {"call_session_id": self._session}
