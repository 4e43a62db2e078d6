"""One call while something may still happen to it: reads what is new in its timeline, acts on it, waits.

The log is the truth; everything else only wakes the actor. So a webhook and an audio socket may come in any order, and
a call that this process has never seen is loaded from its timeline.

    journal.py      its timeline: entries, state     application.py  its handler, from entering it to its end
    outbox.py       its commands and their answers   supervisor.py   what is wrong with it, and what it needs now
    consulting.py   the other call of a consult
    line.py         its audio socket                 ownership.py    whether this node acts for it
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from callpath.api.feed import CallFeed
from callpath.api.news import News
from callpath.call.session import CallSession
from callpath.call.stream import MediaStream
from callpath.clock import Wake
from callpath.errors import LocalProtocolError
from callpath.server.application import Application
from callpath.server.capacity import Capacity
from callpath.server.consulting import Consulting
from callpath.server.context import Context
from callpath.server.events import make_trace
from callpath.server.journal import GroupStore, Journal
from callpath.server.line import AudioLine, Carrier
from callpath.server.outbox import Outbox
from callpath.server.ownership import Ownership
from callpath.server.routing import Router
from callpath.server.supervisor import Supervisor
from callpath.timeline import Entry, What
from callpath.wire.command import Command
from callpath.wire.ids import CallControlId, SessionId
from callpath.wire.media import Start
from callpath.wire.webhook import ConferenceWebhook, Webhook

EVICT_AFTER_MS = 600_000
"""Idle calls are evicted after ten minutes and reloaded from the timeline on the next event."""

ENDING_MS = 15_000
"""How long a call without socket, handler and news holds up a stop of the server."""

STORE_RETRY_MS = 1_000
"""When a store that failed is asked again. Media goes on meanwhile, and webhooks are answered 503."""


class LiveCall:
    """One call while something may still happen to it. It is also the `CallBackend` of the handler's Call."""

    __slots__ = (
        "_capacity", "_clock", "_consulting", "_context", "_forget", "_journal", "_ready", "_router", "_stopping",
        "_supervisor", "_wake", "application", "line", "news", "outbox", "ownership", "session",
    )  # fmt: skip

    def __init__(
        self,
        session: SessionId,
        context: Context,
        *,
        capacity: Capacity,
        group: GroupStore,
        forget: Callable[[LiveCall], None],
        wake_other: Callable[[SessionId], None],
        timeline: Sequence[Entry] = (),
    ) -> None:
        self._context = context
        self._capacity = capacity
        self._forget = forget
        self._clock = context.clock
        self._wake = Wake()
        wake = self._wake.set
        self._journal = Journal(session, context, wake=wake, store_soon=group.store_soon, timeline=timeline)
        self.session: CallSession = self._journal.session
        token = context.tokens.of(session) if context.tokens else None
        self.outbox = Outbox(self._journal, context, token)
        self._ready: asyncio.Event | None = asyncio.Event()
        """Set once the timeline so far has been read; None from then on, as it weighs more than most of the rest."""
        self.line = AudioLine(context)
        self.ownership = Ownership(context, self._journal, self.line, wake)
        self._router = Router(self._journal, context)
        self.application = Application(self._journal, context, self.line, self._router, self, wake)
        self._journal.tell = self._receive_webhook
        self._supervisor = Supervisor(
            context,
            self._journal,
            self.outbox,
            self.line,
            self.application,
            self._router,
            self.ownership,
            capacity,
            token,
        )
        self._consulting = Consulting(self._journal, context, wake_other)
        self.news = News(context.clock)
        """For those outside who wait for what becomes of the call."""
        self._stopping = False

    # --- the actor ---------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """There is something new in the log, or to decide."""
        self._journal.has_news = True
        self._wake.set()

    def stop(self) -> None:
        """The server is shutting down."""
        self._stopping = True
        self._supervisor.again_unix_ms = None
        self.wake()

    async def run(self) -> None:
        """Read what is new, act on it, wait, until nothing more can happen."""
        try:
            while True:
                await self._journal.store()
                if self._journal.has_news:
                    await self._journal.read_news()
                if not self._journal.failed and not self._stopping:
                    await self._claim()
                self._mark_ready()
                if self.acts and not self._stopping:
                    await self._consulting.exchange()
                await self._act()
                self.application.changed()
                self.news.tell()
                if self._is_over():
                    return
                woken = await self._clock.wait(self._wake, self._next_turn_ms())
                if not woken and self._may_be_evicted():
                    return
                if not woken and self._context.log.shared:
                    self._journal.has_news = True  # another node does not tell of everything that it writes
        finally:
            self._mark_ready()
            self._forget(self)
            # Break reference cycles, so that the call is freed without a pass of the garbage collector: with a thousand
            # calls a pass holds all of them up for 50 ms.
            self.application.forget()
            self._journal.forget()
            self.line.forget()
            await self.ownership.release()
            if self.acts and self.session.ended:
                await make_trace(self._context, self.session.session)

    async def _claim(self) -> None:
        """Act for the call, unless another node does. Commands of a process that is gone are sent again."""
        acted = self.acts
        self._journal.failed = not await self.ownership.claim()
        if self.acts and not acted:
            self.outbox.send_again()

    @property
    def was_read(self) -> bool:
        """Whether the timeline so far is known; False while the call log cannot be read."""
        return self._journal.was_read

    async def until_ready(self) -> None:
        """Return once reading the timeline so far was tried, or the actor has ended."""
        if self._ready is not None:
            await self._ready.wait()

    def _mark_ready(self) -> None:
        self._journal.is_new = False
        if self._ready is not None:
            self._ready.set()
            self._ready = None

    async def _act(self) -> None:
        """Do what follows from what is known: entries, commands, and the handler's beginning and end."""
        if self._stopping:
            return
        if self.acts and self._may_be_offered and self._capacity.refusing():
            await self.ownership.offer()
        self._supervisor.again_unix_ms = None
        if self.acts:
            self._supervisor.supervise(self._lost_ms())
        self.application.cancel_if_useless(acts=self.acts, lost_ms=self._lost_ms())

    def _may_be_evicted(self) -> bool:
        return (
            self._is_idle()
            and not self._journal.failed  # an event that could not be read yet may be the one that has it answered
            and not self._journal.has_pending
            and self._supervisor.again_unix_ms is None
            and self._consulting.next_turn_ms is None
            and not self.is_offered
        )

    def _is_over(self) -> bool:
        if self._stopping:
            stored = not self._journal.has_pending or self._journal.failed
            return self.application.is_done and not self.application.is_saving() and stored
        return self.session.ended and self._is_idle() and not self._journal.has_pending

    def _is_idle(self) -> bool:
        application = self.application
        return application.is_done and not application.is_saving() and self.line.stream is None and self.outbox.is_empty

    def _next_turn_ms(self) -> float:
        """When to act again without being woken."""
        now_ms = self._clock.now_ms()
        if self._journal.failed:
            return now_ms + STORE_RETRY_MS
        at_ms = now_ms + EVICT_AFTER_MS
        if not self.acts and not self.session.ended:
            at_ms = max(now_ms + 1, self.ownership.claim_again_ms)
        if self._consulting.next_turn_ms is not None:
            at_ms = min(at_ms, max(now_ms + 1, self._consulting.next_turn_ms))
        if self._supervisor.again_unix_ms is not None:
            at_ms = min(at_ms, now_ms + max(1, self._supervisor.again_unix_ms - self._clock.now_unix_ms()))
        return min(at_ms, self.application.next_turn_ms(now_ms, self._lost_ms()))

    @property
    def acts(self) -> bool:
        """Whether this node sends what the call needs, and watches over it; another may."""
        return self.ownership.acts

    @property
    def is_served(self) -> bool:
        """This node has begun to serve it, and it is not over."""
        return self.acts and bool(self.session.commands) and not self.session.ended and not self.session.rejected

    @property
    def _is_unserved(self) -> bool:
        """It rings, and nobody has done anything about it."""
        return not (self.session.leg is None or self.session.commands or self.session.rejected or self.session.ended)

    @property
    def is_offered(self) -> bool:
        """The call is left to the other nodes, and rejected here if none takes it."""
        return self.ownership.was_offered and not self.acts and self._is_unserved

    @property
    def _may_be_offered(self) -> bool:
        return self._is_unserved and not self.ownership.was_offered and self._context.log.shared

    @property
    def is_busy(self) -> bool:
        """Somebody talks, or is about to. What only waits for its last webhook does not count for long: during a deploy
        that one may go to the new server."""
        being_rejected = self.acts and self.session.rejected and not self.session.ended  # the next step may be due
        if not self.is_served and not being_rejected:
            return self._journal.has_pending or self.stream is not None or self.application.is_saving()
        quiet_ms = self._clock.now_unix_ms() - (self.session.last_unix_ms or 0)
        return not self._is_idle() or quiet_ms < ENDING_MS

    def _receive_webhook(self, webhook: Webhook | ConferenceWebhook) -> None:
        """An event of Telnyx's was read from the log."""
        self._context.app.conferences.receive(webhook)
        if isinstance(webhook, Webhook):
            self.application.receive_webhook(webhook)

    # --- what the handler's Call asks of us --------------------------------------------------------------------------

    def note(self, what: What, at_unix_ms: int | None = None) -> None:
        """Add an entry to the timeline; it is stored in order, soon. `at_unix_ms`: when it happened, if not now."""
        self._journal.note(what, at_unix_ms)

    @property
    def stopping(self) -> bool:
        """The server stops: another process may carry the call on."""
        return self._stopping

    async def send(self, command: Command, leg: CallControlId | None = None, *, conference: str | None = None) -> str:
        """Have Telnyx carry out a command about this call, another leg of it, or a conference; its command_id. Raises
        ControlError, InvalidRequestError when the call is over, LocalProtocolError when another node carries it."""
        if not (self.acts or self.session.ended):
            raise LocalProtocolError(f"{command.NAME} is not possible here any more: another node carries the call")
        return await self.outbox.send(command, leg, conference=conference)

    # --- the socket --------------------------------------------------------------------------------------------------

    @property
    def stream(self) -> MediaStream | None:
        """The stream of the newest socket, living or not; None while there is none."""
        return self.line.stream

    def _lost_ms(self) -> float | None:
        """Time since the stream was lost, here or with another node; None: it is there, or never was."""
        return self.line.lost_ms(self.ownership.since_ms) if self.session.started_unix_ms else None

    @property
    def feed(self) -> CallFeed | None:
        """Feeds the Call of the handler that runs; None while none does."""
        return self.application.feed

    def new_stream(self) -> MediaStream:
        """Our side of a socket that is being accepted. It replaces one that has died."""
        self.application.detach()
        return self.line.new_stream(raw=self._router.raw)

    def socket_opened(self, stream: MediaStream, close: Callable[[int, str], None]) -> None:
        """The socket of `stream` is open; `close` closes it with a code and a reason."""
        self.line.opened(stream, close)

    def stream_started(self, start: Start, stream: MediaStream, carrier: Carrier) -> None:
        """The start frame came."""
        self.application.stream_started(start, stream, carrier)

    def socket_closed(self, stream: MediaStream) -> None:
        """The socket is gone."""
        if self.stream is stream:
            self.line.lost()
            self.application.detach()
            self.wake()
