"""Whether this node acts for one call: sends what it needs, and watches over it. On a log of several nodes one does."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from callpath.errors import StoreError
from callpath.server.context import Context
from callpath.server.journal import Journal
from callpath.server.leases import LEASE_MS, OFFER_MS
from callpath.server.line import AudioLine

logger = structlog.get_logger("callpath")


class Ownership:
    """The claim of this node on one call. `wake` is called when it changes from outside."""

    __slots__ = (
        "_asked_about", "_clock", "_context", "_journal", "_leases", "_line", "_session", "_wake", "acts",
        "claim_again_ms", "since_ms", "was_offered",
    )  # fmt: skip

    def __init__(self, context: Context, journal: Journal, line: AudioLine, wake: Callable[[], None]) -> None:
        self.acts = False
        """This node acts for the call; another may."""
        self.since_ms = 0.0
        """Since when."""
        self.was_offered = False
        """We could not take it, and left it to the other nodes; after a while we reject it ourselves."""
        self.claim_again_ms = 0.0
        """When to claim it the next time."""
        self._context = context
        self._leases = context.leases
        self._clock = context.clock
        self._journal = journal
        self._session = journal.session.session
        self._line = line
        self._wake = wake
        self._asked_about: tuple[int, str] | None = None
        """The newest stream when we last asked because of one that is not here."""

    async def claim(self) -> bool:
        """Act for the call, unless another node does. False: the log could not be asked."""
        if self._has_stream_elsewhere():
            self.acts, self.claim_again_ms = False, 0.0
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

    async def claim_for_socket(self, *, by_force: bool = True) -> bool:
        """Claim the call, whose audio socket is to open here. False, only where not `by_force`: another node acts for it.
        Raises StoreError."""
        claimed = await self._leases.claim(self._session, by_force=by_force)
        if claimed:
            self._acts(True)
        elif self.acts:
            self._lose()
        return claimed

    def recovered(self) -> None:
        """The lease is this node's now, whoever had it when we asked last."""
        self.claim_again_ms = 0.0

    def lease_lost(self) -> None:
        """Another node holds the lease now: it has the call's newest socket, or took this node for dead. In the second case
        the caller may be talking here, and the call is claimed back."""
        if self._has_newest_socket():
            self._context.tasks.spawn(self._claim_back(), name=f"claim call {self._session} back")
        else:
            self._lose()

    async def release(self) -> None:
        """Nothing is left to do here; any node may act for the call."""
        if self.acts:
            await self._leases.release(self._session)

    async def _claim_back(self) -> None:
        await self._journal.read_news()
        if not self._has_newest_socket():
            self._lose()
            return
        try:
            await self.claim_for_socket(by_force=True)
        except StoreError as error:  # the next renewal says again that it is another node's
            logger.error("Call not claimed back", event_name="lease.not_claimed", error=str(error), **self._ids())
        else:
            logger.warning("Call claimed back: its audio is here", event_name="lease.claimed_back", **self._ids())

    def _lose(self) -> None:
        """Another node carries the call. Nothing more is sent from here."""
        logger.warning("Another node acts for the call now", event_name="lease.lost", **self._ids())
        self.acts = False
        self.claim_again_ms = self._clock.now_ms() + LEASE_MS
        self._wake()

    def _has_newest_socket(self) -> bool:
        """The caller's audio comes here, and no stream started at another node since."""
        start = self._line.stream.start if self._line.stream is not None else None
        newest = self._journal.session.newest_stream[1]
        return self._line.is_living and (start is None or newest in ("", start.stream_id))

    def _has_stream_elsewhere(self) -> bool:
        """The timeline tells of a newer stream that is not here: another node has claimed the call with it, and we would
        hear of that only when we renew our leases."""
        session = self._journal.session
        if not self._context.log.shared or not self.acts or not session.stream_open:
            return False
        start = self._line.stream.start if self._line.stream is not None else None
        is_here = start is not None and start.stream_id == session.newest_stream[1]
        if is_here or session.newest_stream == self._asked_about:
            return False
        self._asked_about = session.newest_stream
        return True

    def _acts(self, acts: bool) -> None:
        self.acts = acts
        self.since_ms = self._clock.now_ms()

    def _ids(self) -> dict[str, str]:
        return {"call_session_id": self._session}
