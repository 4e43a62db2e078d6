"""The shell of `call/watchdog` and `call/ending`: asks both what follows from a call's timeline, and sees to it."""

from __future__ import annotations

from callpath.call.consult import consult_due
from callpath.call.ending import is_handed_on, next_ending
from callpath.call.incoming import incoming_commands
from callpath.call.watchdog import NO_EVENTS, STUCK, RuntimeState, due_commands, evaluate
from callpath.server.application import Application
from callpath.server.capacity import Capacity
from callpath.server.context import Context
from callpath.server.events import ask_status, found_missed
from callpath.server.journal import Journal
from callpath.server.line import AudioLine
from callpath.server.outbox import Outbox
from callpath.server.ownership import Ownership
from callpath.server.routing import Router
from callpath.timeline import CallStuck, PolicyActed, StreamMissing


class Supervisor:
    """Watches over one call while this node acts for it."""

    __slots__ = (
        "_application", "_capacity", "_context", "_journal", "_line", "_outbox", "_ownership", "_router", "_token",
        "again_unix_ms",
    )  # fmt: skip

    def __init__(
        self,
        context: Context,
        journal: Journal,
        outbox: Outbox,
        line: AudioLine,
        application: Application,
        router: Router,
        ownership: Ownership,
        capacity: Capacity,
        token: str | None,
    ) -> None:
        self.again_unix_ms: int | None = None
        """When to watch again without news; None: when there is some."""
        self._context = context
        self._journal = journal
        self._outbox = outbox
        self._line = line
        self._application = application
        self._router = router
        self._ownership = ownership
        self._capacity = capacity
        self._token = token

    def supervise(self, lost_ms: float | None) -> None:
        """Write down what is wrong, and send what the call needs. `lost_ms`: how long it has had no socket."""
        session, context, now_unix_ms = self._journal.session, self._context, self._context.clock.now_unix_ms()
        unserved = not session.commands and not session.rejected
        found = evaluate(
            session,
            context.policy,
            RuntimeState(
                refusing=self._capacity.refusing() if unserved else None,
                socket_open=self._line.stream is not None,
                stream_open=self._line.carrier is not None,
                idle_ms=self._line.idle_ms,
                lost_ms=lost_ms,
                handler_running=not self._application.is_done,
                told_unix_ms=self._journal.told_unix_ms,
            ),
            now_unix_ms,
        )
        if found.enter_handler:
            self._application.enter()
        for what in found.entries:
            self._journal.note(what)
            if isinstance(what, StreamMissing) and what.seen == "nothing" and session.probed is None:
                self._probe()
            elif isinstance(what, CallStuck):
                context.tasks.spawn(self._check(what), name=f"check call {session.session}")
        watched_unix_ms = now_unix_ms - round(context.clock.now_ms() - self._ownership.since_ms)
        consult = consult_due(session, now_unix_ms, watched_unix_ms)
        for what in consult.entries:
            self._journal.note(what)
        ending = next_ending(session, handler_running=self._application.is_running, now_unix_ms=now_unix_ms)
        undecided = self._router.is_open()
        times = [found.again_unix_ms, consult.again_unix_ms, ending.again_unix_ms, self._router.again_unix_ms]
        self.again_unix_ms = min((at for at in times if at is not None), default=None)
        for command in (
            *(() if undecided else session.next_commands(context.plan, self._token)),
            *incoming_commands(session),
            *due_commands(session, context.plan, self._token, context.policy),
            *consult.commands,
            *ending.commands,
        ):
            self._outbox.dispatch(command)

    def _probe(self) -> None:
        """Have the doctor try the stream's URL, beside everything else."""
        prober, session = self._context.prober, self._journal.session.session
        if prober is not None and session not in prober.under_way:

            async def probe() -> None:
                self._journal.note(await prober.probe(session))

            self._context.tasks.spawn(probe(), name=f"probe {session}")

    async def _check(self, stuck: CallStuck) -> None:
        """The call seems to be up for nothing: ask Telnyx, and hang up unless it is over already. If we may only have
        missed what happened to it, that is looked for first; a caller who was transferred, and of whom Telnyx has no news
        either, is left there."""
        leg = self._journal.session.leg
        assert leg is not None
        if stuck.reason == NO_EVENTS and await found_missed(self._context, self._journal.session.session):
            self._journal.has_news = True
            self._journal.wake()
            return
        checked = await ask_status(self._context, leg.call_control_id)
        self._journal.note(checked)
        rings = stuck.reason == NO_EVENTS and is_handed_on(self._journal.session)
        if checked.alive is not False and self._ownership.acts and not rings:
            self._journal.note(PolicyActed(policy=STUCK, number=stuck.number, step="hangup"))
