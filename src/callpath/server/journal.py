"""One call's timeline as this process knows it: the state folded from it, and entries that wait to be stored.

The log is the truth; an entry of ours is applied to the state before it is persisted, so that nothing is decided twice
while the log is slow or down.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from callpath.call.session import CallSession
from callpath.errors import RemoteProtocolError, StoreError
from callpath.server.context import Context
from callpath.server.metrics import Metrics
from callpath.store.port import CallLog
from callpath.timeline import (
    NO_WAKE_KINDS,
    CallRejected,
    CallStuck,
    CommandAnswered,
    CommandRetried,
    Entry,
    HandlerFailed,
    LoopBlocked,
    MediaCounted,
    RecordingNotStored,
    RecordingSaved,
    SocketReceived,
    SocketRejected,
    StreamMissing,
    StreamProbed,
    StreamUrl,
    WebhookReceived,
    What,
    describe,
    encode_what,
    kind_of,
)
from callpath.wire.ids import SessionId
from callpath.wire.webhook import ConferenceWebhook, Version1Webhook, Webhook, read_webhook

logger = structlog.get_logger("callpath")

PENDING_MAX = 10_000
"""Maximum entries of one call that wait for the store; beyond it they are dropped, and the log says so."""

NOT_READ_BACK = (*NO_WAKE_KINDS, SocketReceived)
"""Kinds of ours that come with every call and trigger nothing here. Reading them back like the others would cost a query
each, at the very moment when a call begins to talk."""


class Journal:
    """The timeline of one call. `wake` is called when there is something new to act on; `store_soon` when entries can be
    stored together with those of other calls."""

    __slots__ = (
        "_clock", "_context", "_number", "_pending", "_store_soon", "_storing", "_unsure_after", "_writing_after",
        "failed", "has_news", "is_new", "session", "tell", "told_unix_ms", "wake", "was_read",
    )  # fmt: skip

    def __init__(
        self,
        session: SessionId,
        context: Context,
        *,
        wake: Callable[[], None],
        store_soon: Callable[[Journal], None],
        timeline: Sequence[Entry] = (),
    ) -> None:
        self.session = CallSession(session)
        """The state of the call."""
        self.failed = False
        """The log could not be read or written the last time."""
        self.is_new = True
        """The timeline so far has not been read: stages in it were reached before this process had the call."""
        self.was_read = bool(timeline)
        """The timeline was read at least once."""
        self.has_news = not timeline or context.log.shared
        """Whether the log may hold what is not known here. (Another node may write at any moment.)"""
        self.tell: Callable[[Webhook | ConferenceWebhook], None] = _ignore
        """Called with each event of Telnyx's that is read from the log, after it was applied."""
        self._context = context
        self._clock = context.clock
        self.wake = wake
        self._store_soon = store_soon
        self._pending: list[Entry] = []
        self._unsure_after: int | None = None
        """Where to look in the log for what waits, from this number on: a write failed, and perhaps only its answer was
        lost. None: nothing that waits is there."""
        self._storing = asyncio.Lock()
        self._writing_after = 0
        """The newest entry that was known when the write under way began: what it stores has a higher number. (While it
        waits for its answer, it may already be read back.)"""
        self._number = timeline[-1].number if timeline else 0
        self.told_unix_ms = context.clock.now_unix_ms() if timeline else 0
        """When something new was last read from the log; 0: never."""
        self._apply(*timeline)

    def forget(self) -> None:
        """Break reference cycles: the call is over."""
        self.tell = _ignore

    # --- writing -----------------------------------------------------------------------------------------------------

    def note(self, what: What, at_unix_ms: int | None = None) -> None:
        """Add an entry to the timeline; it is stored in order, soon. `at_unix_ms`: when it happened, if not now."""
        leg = self.session.leg
        entry = Entry(
            session=self.session.session,
            at_unix_ms=self._clock.now_unix_ms() if at_unix_ms is None else at_unix_ms,
            what=what,
            leg=leg.leg_id if leg else None,
            call_control_id=leg.call_control_id if leg else None,
        )
        self._apply(entry)  # also where it cannot be kept: what follows from it must not be decided again
        if len(self._pending) >= PENDING_MAX:
            logger.error("Entry dropped: the store is too slow", event_name="entry.dropped", **ids_of(entry))
            return
        self._pending.append(entry)
        self._context.metrics.count(what)
        if isinstance(what, (RecordingSaved, RecordingNotStored)) and self._context.uploads is not None:
            self._context.uploads.announce(what.path)  # also what was recorded before the disk failed
        if isinstance(what, NO_WAKE_KINDS):
            self._store_soon(self)
        else:
            self.has_news = self.has_news or not isinstance(what, NOT_READ_BACK)
            self.wake()
        if self._context.log_entries and not isinstance(what, MediaCounted):  # that would be every other line
            log_entry(entry)

    @property
    def has_pending(self) -> bool:
        """Entries wait to be stored."""
        return bool(self._pending)

    async def store(self) -> None:
        """Store what waits, in order. What cannot be stored now goes on waiting, and the call goes on without it.

        Goes on by itself where its caller is cancelled, so that no entry is stored twice.
        """
        if self._pending or self._storing.locked():
            name = f"store {self.session.session}"
            await asyncio.shield(self._context.tasks.keep(self._store_pending(), name=name))
        else:
            self.failed = False  # of what was read or claimed before: that is about to be tried again

    async def _store_pending(self) -> None:
        async with self._storing:
            self.failed = False
            together = PENDING_MAX
            while self._pending:
                try:
                    await self._drop_stored()
                    waiting = self._pending[:together]
                    self._writing_after = self._number
                    if waiting:
                        await self._context.log.append(*waiting)
                except StoreError as error:
                    self._write_failed()
                    if len(self._pending) > 1 and together > 1:
                        together = 1  # what can be stored must not wait for what cannot
                        continue
                    self.failed = True
                    ids = {"call_session_id": self.session.session}
                    logger.error("Entry not stored", event_name="entry.not_stored", error=str(error), **ids)
                    return
                del self._pending[: len(waiting)]

    async def _drop_stored(self) -> None:
        """Forget what a failed write stored all the same. Raises StoreError."""
        if self._unsure_after is None:
            return
        stored = await self._context.log.read(self.session.session, after=self._unsure_after)
        there = Counter((entry.at_unix_ms, encode_what(entry.what)) for entry in stored)
        left = []
        for entry in self._pending:
            written = (entry.at_unix_ms, encode_what(entry.what))
            if there[written]:
                there[written] -= 1
            else:
                left.append(entry)
        self._pending[: len(self._pending)] = left
        self._unsure_after = None

    def _write_failed(self) -> None:
        if self._unsure_after is None:
            self._unsure_after = self._writing_after

    async def checkout_pending(self) -> list[Entry] | None:
        """What waits to be stored, for a caller who stores it together with others'. `commit_pending` has to follow, and
        until then nothing else of this call is stored. None: it is being stored already, or may be in the log already,
        which the call looks up by itself."""
        if self._storing.locked():
            return None
        await self._storing.acquire()
        if self._unsure_after is not None:
            self._storing.release()
            self.wake()
            return None
        self._writing_after = self._number
        return self._pending.copy()

    def commit_pending(self, stored: int | None) -> None:
        """`stored` of them are in the log; None: the write failed, and this call tries by itself."""
        if stored is None:
            self._write_failed()
        del self._pending[: stored or 0]
        self._storing.release()
        if self._pending:
            self.wake()

    # --- reading -----------------------------------------------------------------------------------------------------

    async def read_news(self) -> None:
        """Apply what the log holds and this process does not know. Says in `failed` whether it could be read."""
        self.has_news = False
        try:
            news = await self._context.log.read(self.session.session, after=self._number)
        except StoreError as error:
            ids = {"call_session_id": self.session.session}
            logger.error("Timeline not read", event_name="timeline.not_read", error=str(error), **ids)
            self.failed = self.has_news = True
            return
        self.was_read = True
        if news:
            self._number = news[-1].number
            self.told_unix_ms = self._clock.now_unix_ms()
        self._apply(*news)
        for entry in news:
            if isinstance(entry.what, WebhookReceived):
                self._tell(entry.what)

    def _tell(self, what: WebhookReceived) -> None:
        try:
            webhook = read_webhook(what.body)
        except RemoteProtocolError:
            return  # stored by a version that could read it
        if not isinstance(webhook, Version1Webhook):
            self.tell(webhook)

    def _apply(self, *entries: Entry) -> None:
        """Fold entries, and measure how long the stages took that are reached by them."""
        known = set(self.session.stages)
        for entry in entries:
            self.session.apply(entry)
        if self.is_new:
            return
        for stage, at_unix_ms in self.session.stages.items():
            if stage not in known:
                since_ms = at_unix_ms - (self.session.first_unix_ms or at_unix_ms)
                self._context.metrics.stage(stage.label, since_ms / 1000)


def _ignore(_: Webhook | ConferenceWebhook) -> None:
    """Nobody wants to know."""


class GroupStore:
    """Stores entries of many calls with one write. Counters and first frames come for many at once, and to wake the actor
    of each would cost more than to store them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._waiting: list[Journal] = []

    def store_soon(self, journal: Journal) -> None:
        """Store what waits in `journal`, together with others that ask in this turn of the loop."""
        if not self._context.tasks.is_running:
            journal.wake()  # the server stops, and so does the call
            return
        if not self._waiting:
            self._context.tasks.keep(self._store(), name="store counters")
        self._waiting.append(journal)

    async def _store(self) -> None:
        journals, self._waiting = self._waiting, []
        checked_out = [(one, waiting) for one in journals if (waiting := await one.checkout_pending()) is not None]
        stored = False
        try:
            await self._context.log.append(*(entry for _, waiting in checked_out for entry in waiting))
            stored = True
        except StoreError:
            pass  # each call tries by itself, and says so
        finally:
            for one, waiting in checked_out:
                one.commit_pending(len(waiting) if stored else None)


async def write_entry(log: CallLog, metrics: Metrics, entry: Entry, *, log_it: bool = True) -> bool:
    """Store an entry that is no actor's, and count it. False: it was there already. Raises StoreError."""
    if not await log.append(entry):
        return False
    if log_it:
        log_entry(entry)
    metrics.count(entry.what)
    return True


TOLD = ("failure_reason", "hangup_cause", "hangup_source")
"""Fields of a webhook that the log shows, so that a verdict can be had from the log alone."""


def log_entry(entry: Entry) -> None:
    """One line in the log for one entry of a timeline, under the entry's own name."""
    what = entry.what
    level = "warning" if isinstance(what, WARNINGS) or _failed(what) else "info"
    fields = {}
    if isinstance(what, StreamUrl):
        fields["stream_url"] = what.url
    elif isinstance(what, WebhookReceived):
        payload = (what.body.get("data") or {}).get("payload") or {}
        fields = {name: str(payload[name]) for name in TOLD if payload.get(name)}
    getattr(logger, level)(describe(what), event_name=kind_of(what), **fields, **ids_of(entry))


WARNINGS = (CallRejected, CommandRetried, LoopBlocked, SocketRejected, StreamMissing, CallStuck, RecordingNotStored)


def _failed(what: What) -> bool:
    match what:
        case HandlerFailed():
            return True
        case CommandAnswered():
            return not what.accepted
        case StreamProbed():
            return what.healthy is not True
        case _:
            return False


def ids_of(entry: Entry) -> dict[str, str]:
    """The ids of an entry, for a line of the log."""
    ids: dict[str, str] = {"call_session_id": entry.session}
    if entry.leg is not None:
        ids["call_leg_id"] = entry.leg
    return ids
