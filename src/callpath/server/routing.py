"""Routing: the handler that takes a call, and what the application decides about it while it rings."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import structlog

from callpath.api.app import Route
from callpath.api.call import Call
from callpath.api.ring import Answer, Decision, Forward, Ignore, Reject, Ring
from callpath.call.client_state import decode_client_state
from callpath.call.consult import first_call
from callpath.call.dials import ANNOUNCE
from callpath.call.leg import LegState
from callpath.errors import CallpathError, InvalidRequestError
from callpath.server import announcing
from callpath.server.context import Context
from callpath.server.journal import Journal
from callpath.timeline import CallDecided, without_numbers

logger = structlog.get_logger("callpath")

DECIDE_MS_MAX = 5_000
"""How long an application may take to decide about a call that rings. The caller hears it ring meanwhile."""


async def join_at_once(call: Call) -> None:
    """The handler of a second call for which none was named: whoever answers gets the caller."""
    consultation = call.consultation
    assert consultation is not None
    if consultation.detect is None or await consultation.is_person():
        await consultation.accept()


JOIN_AT_ONCE = Route(join_at_once, "join at once")


class Router:
    """The routing of one call."""

    __slots__ = ("_context", "_journal", "_task", "_until_unix_ms", "again_unix_ms")

    def __init__(self, journal: Journal, context: Context) -> None:
        self.again_unix_ms: int | None = None
        """When to ask `is_open` again without news."""
        self._journal = journal
        self._context = context
        self._task: asyncio.Task[None] | None = None
        self._until_unix_ms = 0

    # --- which handler -----------------------------------------------------------------------------------------------

    @property
    def route(self) -> Route | None:
        """The handler that takes the call; None: none of this App does."""
        session, app = self._journal.session, self._context.app
        leg = session.leg
        consulted = first_call(session)
        if consulted is not None and decode_client_state(leg.made_with if leg is not None else None).handler is None:
            return JOIN_AT_ONCE
        if leg is not None and leg.made_with is not None:
            state = decode_client_state(leg.made_with)
            if state.dialled and state.handler == ANNOUNCE:
                return announcing.ROUTE
        if leg is None or (len(app.routes) == 1 and app.takes_all):
            return app.routes[0] if app.routes else None
        chosen = decode_client_state(leg.client_state).handler
        if session.decided is not None and session.decided[1].handler is not None:
            chosen = session.decided[1].handler
        try:
            return app.route(Ring.of(session.session, leg, app.state), chosen)
        except (Exception, SystemExit) as error:  # sys.exit() in it would end the server, and with it every call
            logger.exception(
                "A predicate of @app.call raised: the default handler takes the call",
                event_name="route.failed",
                call_session_id=session.session,
                error=str(error),
            )
            return next((route for route in app.routes if route.is_default), None)

    @property
    def raw(self) -> bool:
        """The handler gets and plays payloads."""
        route = self.route
        return route is not None and route.raw

    @property
    def state(self) -> SimpleNamespace:
        """What the application's lifespan made."""
        return self._context.app.state

    # --- what is decided while it rings ------------------------------------------------------------------------------

    def is_open(self) -> bool:
        """Whether the application is still to decide about the call: nothing may be answered yet. Asks it, once."""
        session, app = self._journal.session, self._context.app
        leg = session.leg
        self.again_unix_ms = None
        if (
            app.takes_all
            or leg is None
            or leg.state is not LegState.INITIATED
            or leg.direction != "incoming"
            or session.decided is not None
            or session.commands
            or session.rejected
            or session.ended
        ):
            self._forget()
            return False
        now_unix_ms = self._context.clock.now_unix_ms()
        if app.decider is None:
            self._note(None, "")
            return False
        if self._task is None:
            self._until_unix_ms = now_unix_ms + DECIDE_MS_MAX
            ring = Ring.of(session.session, leg, app.state)
            self._task = self._context.tasks.spawn(self._decide(ring), name=f"decide {session.session}")
        elif now_unix_ms >= self._until_unix_ms:
            self._note(None, f"@app.incoming did not return within {DECIDE_MS_MAX / 1000:g} s")
            self._forget()
            return False
        self.again_unix_ms = self._until_unix_ms
        return True

    async def _decide(self, ring: Ring) -> None:
        decider = self._context.app.decider
        assert decider is not None
        try:
            decision, reason = await decider(ring), ""
        except (Exception, SystemExit, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # by us: it took too long, or the server stops
            logger.exception(
                "@app.incoming raised: the default is done",
                event_name="incoming.failed",
                call_session_id=ring.session_id,
                error=str(error),
            )
            decision, reason = None, without_numbers(f"@app.incoming raised {type(error).__name__}: {error}")
        if self._journal.session.decided is None:
            self._note(decision, reason)

    def _note(self, decision: Decision | None, reason: str) -> None:
        app = self._context.app
        try:
            match decision:
                case None:
                    what = Answer().decided(app.name_of)
                case Answer():
                    what = decision.decided(app.name_of)
                case Reject() | Forward() | Ignore():
                    what = decision.decided()
                case _:
                    raise InvalidRequestError(
                        "out_of_range", f"it is a {type(decision).__name__}, not Answer, Reject, Forward or Ignore"
                    )
        except CallpathError as error:
            reason = without_numbers(f"what @app.incoming returned cannot be done: {error}")
            logger.error(reason, event_name="incoming.failed", call_session_id=self._journal.session.session)
            what = Answer().decided(app.name_of)
        if what.decision == "answer" and what.handler is None and self.route is None:
            what, reason = Reject("not_found").decided(), "no handler of this App takes the number that was called"
        self._journal.note(
            CallDecided(
                decision=what.decision,
                handler=what.handler,
                record=what.record,
                variables=what.variables,
                cause=what.cause,
                to=what.to,
                ring_s=what.ring_s,
                reason=reason,
            )
        )

    def _forget(self) -> None:
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
