"""All live calls of this process: takes what comes from outside, and hands it to the call that it belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import structlog

from callpath.audio.codec import ByteOrder
from callpath.call.address import audio_url
from callpath.call.plan import StreamPlan
from callpath.call.watchdog import Patience
from callpath.clock import Clock
from callpath.control import Control
from callpath.errors import ControlError, LocalProtocolError, StoreError
from callpath.server.examiner import Examiner, probe_session
from callpath.server.gathering import Gathering
from callpath.server.handler import App
from callpath.server.leases import Leases
from callpath.server.limits import Limits
from callpath.server.live import LiveCall, log_entry
from callpath.server.metrics import Metrics
from callpath.server.pacer import Pacer
from callpath.server.probe import TEST_CONNECTION
from callpath.server.tokens import TOKEN_MS_MAX, CallTokens
from callpath.server.uploads import Uploads
from callpath.store.port import CallLog
from callpath.timeline import (
    CallChecked,
    CallRefused,
    Entry,
    LoopBlocked,
    SocketReceived,
    SocketRefused,
    WebhookReceived,
)
from callpath.wire.document import Json
from callpath.wire.ids import CallControlId, SessionId
from callpath.wire.webhook import Webhook

if TYPE_CHECKING:
    from callpath.server.traces import Traces

logger = structlog.get_logger("callpath")

HEARTBEAT_MS = 250.0


@dataclass(frozen=True, slots=True)
class Admission:
    """An audio socket may open: this is its call."""

    call: LiveCall


@dataclass(frozen=True, slots=True)
class Rejection:
    """An audio socket may not open: the HTTP status to answer with, and why."""

    status: int
    reason: str
    detail: str


TOO_MANY = Rejection(
    429,
    "too_many_upgrades",
    "too many upgrades without this call's token came lately, and no more are looked at; one with its token always is",
)


ELSEWHERE = Rejection(
    503, "draining", "the server is stopping, and another one acts for this call: it takes the call's audio socket"
)
"""Said only to a balancer that then asks the other one."""


class Heartbeat:
    """Wakes regularly, so that the event loop's lag is known while no stream is open, too."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer

    def wake(self, now_ms: float) -> None:
        self._pacer.wake_at(self, now_ms + HEARTBEAT_MS)


class CallRunner:
    """All live calls of this process. `running()` must be entered while requests are served."""

    def __init__(
        self,
        *,
        app: App,
        log: CallLog,
        control: Control,
        plan: StreamPlan,
        tokens: CallTokens | None,
        clock: Clock,
        data_dir: Path,
        reconnect_ms: float,
        byte_order: ByteOrder | Literal["detect"] = "detect",
        record: bool = False,
        calls_max: int = 0,
        loop_lag_ms_max: float = 0.0,
        patience: Patience | None = None,
        examiner: Examiner | None = None,
        metrics: Metrics | None = None,
        node: str | None = None,
    ) -> None:
        self.app = app
        self.log = log
        self.control = control
        self.plan = plan
        self.tokens = tokens
        self.clock = clock
        self.data_dir = data_dir
        self.reconnect_ms = reconnect_ms
        self.byte_order: ByteOrder | Literal["detect"] = byte_order
        self.record = record
        self.calls_max = calls_max
        self.loop_lag_ms_max = loop_lag_ms_max
        self.draining = False
        """The server is about to stop: calls that are there go on, new ones are refused."""
        self.upgrades = 0
        """Upgrades that are neither answered yet nor refused."""
        self.patience = patience or Patience()
        self.examiner = examiner
        self.metrics = metrics or Metrics()
        self.limits = Limits(log=log, clock=clock, metrics=self.metrics)
        self.leases = Leases(log, clock, node)
        self.take_up: Callable[[SessionId], Coroutine[Any, Any, None]] | None = None
        """What is done with a call whose node died; see `takeup`."""
        self.fetch_missed: Callable[[SessionId], Coroutine[Any, Any, int]] | None = None
        """Store the events of a call that were never delivered; how many. See `takeup`."""
        self.uploads: Uploads | None = None
        """Takes recordings to where they are kept; None: they stay in the data directory."""
        self.traces: Traces | None = None
        self.probing: set[SessionId] = set()
        """Calls whose stream URL the doctor is trying."""
        self.calls: dict[SessionId, LiveCall] = {}
        self.pacer = Pacer(clock)
        gauge = self.metrics.gauge
        gauge("callpath_calls", "Calls that are served", lambda: sum(call.is_taken for call in self.calls.values()))
        gauge("callpath_calls_max", "CALLPATH_CALLS_MAX; 0: as many as come", lambda: self.calls_max)
        gauge("callpath_sockets", "Audio sockets", lambda: sum(call.has_socket for call in self.calls.values()))
        gauge("callpath_outbox_commands", "Commands under way", lambda: len(self._outbox()))
        gauge("callpath_outbox_age_seconds", "Of the oldest command under way", self._outbox_age_s)
        gauge("callpath_loop_lag_seconds", "The longest lag of the event loop within the last two seconds", self._lag_s)
        gauge("callpath_probes_running", "Stream URLs that the doctor is trying", lambda: len(self.probing))
        gauge("callpath_draining", "1 while the server lets calls finish", lambda: self.draining)
        self._to_store: list[LiveCall] = []
        self.gathering: Gathering
        self._tasks: asyncio.TaskGroup | None = None
        self._work: set[asyncio.Task[None]] = set()
        """Handlers and commands under way: cancelled when the server stops. Actors end by themselves, after storing."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While this is entered, calls are served; on leaving, handlers are cancelled and timelines stored."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self.gathering = Gathering(self.clock)
            Heartbeat(self.pacer).wake(self.clock.now_ms())
            running = [
                tasks.create_task(_vital(self.pacer.run, "pace streams"), name="pace streams"),
                tasks.create_task(self._keep_leases(), name="keep leases"),
                tasks.create_task(self._follow_nodes(), name="follow other nodes"),
            ]
            try:
                yield
            finally:
                self._tasks = None
                for task in (*self._work, *running):
                    task.cancel()
                for call in self.calls.values():
                    call.stop()

    async def _keep_leases(self) -> None:
        await _guarded(self.leases.keep(self._held, self._orphaned), "keep leases")

    async def _follow_nodes(self) -> None:
        await _guarded(self.leases.follow(self._changed), "follow other nodes")

    def _held(self, sessions: set[SessionId], at_ms: float) -> None:
        for session, call in self.calls.items():
            if call.acts and call.acts_since_ms < at_ms and session not in sessions:
                call.lose()

    def _orphaned(self, session: SessionId) -> None:
        if self.take_up is not None and self._tasks is not None:
            self.spawn(self.take_up(session), name=f"take up call {session}")

    def _changed(self, session: SessionId | None) -> None:
        for call in self.calls.values() if session is None else filter(None, [self.calls.get(session)]):
            call.wake()

    @property
    def is_running(self) -> bool:
        """Calls are served. If not any more, the server stops, or something failed without which there are no calls."""
        return self._tasks is not None

    @property
    def ready(self) -> bool:
        return self.is_running and not self.draining

    def refusing(self) -> CallRefused | None:
        """Why no new call can be taken at this moment; None: it can."""
        if self.draining:
            return CallRefused(reason="draining", detail="the server is stopping")
        if self.calls_max and sum(call.is_taken for call in self.calls.values()) >= self.calls_max:
            return CallRefused(reason="full", detail=f"{self.calls_max} calls are there already (CALLPATH_CALLS_MAX)")
        lag_ms = self.pacer.lag_ms_lately(self.clock.now_ms())
        if self.loop_lag_ms_max and lag_ms > self.loop_lag_ms_max:
            return CallRefused(
                reason="late", detail=f"the event loop was {lag_ms:.0f} ms late (CALLPATH_LOOP_LAG_MS_MAX)"
            )
        return None

    def _outbox(self) -> list[float]:
        return [since_ms for call in self.calls.values() for since_ms in call.sending_since_ms]

    def _outbox_age_s(self) -> float:
        now_ms = self.clock.now_ms()
        return (now_ms - min(self._outbox(), default=now_ms)) / 1000

    def _lag_s(self) -> float:
        return self.pacer.lag_ms_lately(self.clock.now_ms()) / 1000

    def busy_calls(self) -> list[SessionId]:
        """Calls that a stop would cut."""
        return [session for session, call in self.calls.items() if call.is_busy]

    def offered_calls(self) -> int:
        """Calls that wait for another node to take them."""
        return sum(call.is_offered for call in self.calls.values())

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` beside everything else; what it raises is logged and harms no other call."""
        if self._tasks is None:
            work.close()
            raise LocalProtocolError("the server is not running")
        task = self._tasks.create_task(_guarded(work, name), name=name)
        self._work.add(task)
        task.add_done_callback(self._work.discard)
        task.add_done_callback(lambda _: work.close())  # cancelled before its first step, it was never awaited
        return task

    # --- what comes from outside -------------------------------------------------------------------------------------

    async def receive_webhook(self, webhook: Webhook, body: Json, *, fetched: bool = False) -> bool:
        """Store an authentic event and let its call act on it. False: it was there already.

        `fetched`: it was not delivered, but read from Telnyx's list of events; the call is not woken. Returns once the
        event is on disk; raises StoreError if it is not.
        """
        payload = webhook.payload
        what = WebhookReceived(event_type=webhook.event_type, event_id=webhook.id, body=body, fetched=fetched)
        entry = Entry(
            session=payload.call_session_id,
            at_unix_ms=self.clock.now_unix_ms(),
            what=what,
            key=f"webhook:{webhook.id}",
            leg=payload.call_leg_id,
            call_control_id=payload.call_control_id,
        )
        new = await self.write(entry)
        if not fetched:
            # A duplicate, too: of the first, the commit may have been all that whoever stored it came to.
            self.live(entry.session).wake()
        return new

    async def trace(self, session: SessionId) -> None:
        """A call is over. A trace that cannot be made harms nobody."""
        if self.traces is not None:
            try:
                await self.traces.export(session, self.log, self.write)
            except StoreError as error:
                logger.error("No trace made", event_name="trace.failed", error=str(error), call_session_id=session)

    def note_blockage(self, session: SessionId, what: LoopBlocked) -> bool:
        """Code of a call's handler blocked the event loop. False: the call is not here any more."""
        call = self.calls.get(session)
        if call is not None:
            call.note(what)
        return call is not None

    async def write(self, entry: Entry) -> bool:
        """Store an entry and tell the log and the metrics. False: it was there already."""
        if not await self.log.append(entry):
            return False
        log_entry(entry)
        self.metrics.count(entry.what)
        return True

    async def admit(
        self,
        session: SessionId,
        *,
        shown_token: str | None,
        path: str,
        client: str | None,
        headers: Mapping[str, str],
        may_go_on: bool = False,
    ) -> Admission | Rejection:
        """Decide about a WebSocket upgrade, before it is answered. Either way it is written down, within the limits.

        `may_go_on`: whoever asks goes on to another node at ELSEWHERE, so that what was asked here does not count.

        Raises StoreError.
        """
        tokened = self.tokens is not None and self.tokens.fits(session, shown_token or "")
        live = session in self.calls
        if not self.limits.may_upgrade(session, live=live, tokened=tokened, client=client):
            self.limits.turned_away("upgrade", TOO_MANY.reason)
            return TOO_MANY
        timeline = [] if live else await self.log.read(session)
        if not (live or timeline):
            rejection = Rejection(
                404,
                "unknown_session",
                "no call with this call_session_id is known here: did its webhooks go to another server?",
            )
            if not await self.limits.refused("upgrade", rejection.reason, rejection.detail, client, path):
                raise StoreError("nothing can be written, perhaps not even the webhook that told of this call")
            return rejection
        call = self.live(session, timeline)
        await call.until_ready()
        refused = self._reason_to_refuse(call, shown_token, headers)
        if refused is not None and session in self.probing and refused.reason in ("no_token", "wrong_token"):
            return refused  # the doctor's: it tries all shapes of a request, and none of them is Telnyx's
        if refused is None and self.draining and may_go_on and not await call.take_over(by_force=False):
            self.metrics.refused("upgrade", ELSEWHERE.reason)
            return ELSEWHERE
        call.note(SocketReceived(path=path, client=client, headers=dict(headers)))
        if refused is None:
            await call.take_over()
            return Admission(call)
        call.note(
            SocketRefused(status=refused.status, reason=refused.reason, detail=refused.detail, path=path, client=client)
        )
        return refused

    def is_own_probe(self, session: SessionId, shown_token: str | None) -> bool:
        """Whether an upgrade is the doctor's, sent by this server or one with the same secret."""
        return self.tokens is not None and self.tokens.fits(probe_session(session), shown_token or "")

    def probe_target(self, session: SessionId) -> tuple[str, str | None, str]:
        """The URL to try for a call, as near to Telnyx's as can be without taking the call's socket; the token to show in
        the header; and the token wherever it goes.

        Without tokens a socket could not be told from the call's own; then it is the test connection of the same server.
        """
        if self.tokens is None:
            return audio_url(self.plan.public_url, TEST_CONNECTION), None, ""
        token = self.tokens.of(probe_session(session))
        return self.plan.url(session, token), None if self.plan.token_in_path else token, token

    def _reason_to_refuse(
        self, call: LiveCall, shown_token: str | None, headers: Mapping[str, str]
    ) -> Rejection | None:
        if _is_foreign_page(headers):
            return Rejection(
                403, "browser_origin", f"a browser page of {headers['origin']} opened it; a call's audio is Telnyx's"
            )
        if self.tokens is not None:
            if not shown_token:
                return Rejection(
                    401,
                    "no_token",
                    "the upgrade carried no token: it came from somebody else, or a proxy dropped the header "
                    "x-telnyx-streaming-auth-token (then set CALLPATH_TOKEN_IN=path)",
                )
            if not self.tokens.fits(call.session.session, shown_token):
                return Rejection(403, "wrong_token", "the upgrade carried a token that is not this call's")
        if call.session.ended:
            return Rejection(410, "call_ended", "the call is over")
        given_unix_ms = call.session.stream_unix_ms or call.session.first_unix_ms or 0
        if self.tokens is not None and self.clock.now_unix_ms() > given_unix_ms + TOKEN_MS_MAX:
            minutes = TOKEN_MS_MAX // 60_000
            return Rejection(
                410,
                "token_expired",
                f"the call's stream was not asked for, and showed no life, for {minutes} minutes: streaming_start makes "
                "its token good again",
            )
        if call.has_living_socket():
            return Rejection(409, "second_socket", "this call has a living audio socket already")
        if self.calls_max and sum(other.has_living_socket() for other in self.calls.values()) >= self.calls_max:
            return Rejection(503, "full", f"{self.calls_max} audio sockets are open already (CALLPATH_CALLS_MAX)")
        return None

    async def ask_status(self, call_control_id: CallControlId) -> CallChecked:
        """What Telnyx says of a line. It remembers a call for ten minutes after its end."""
        try:
            status = await self.control.call_status(call_control_id)
        except ControlError as error:
            gone = error.status == 404 and error.code is not None  # a proxy's 404 has no code of Telnyx's
            return CallChecked(alive=False if gone else None, detail=error.detail or "")
        return CallChecked(alive=status.is_alive)

    # --- the timelines of many ----------------------------------------------------------------------------------------

    def store_soon(self, call: LiveCall) -> None:
        """Store what waits of `call`, together with that of others who ask in this turn of the loop. Counters and first
        frames come for many at once, and to wake the actor of each would cost more than to store them."""
        if self._tasks is None:
            call.wake()  # we are stopping, and so does it
            return
        if not self._to_store:
            self._tasks.create_task(_guarded(self._store_together(), "store counters"), name="store counters")
        self._to_store.append(call)

    async def _store_together(self) -> None:
        calls, self._to_store = self._to_store, []
        lent = [(call, waiting) for call in calls if (waiting := await call.lend_pending()) is not None]
        stored = False
        try:
            await self.log.append(*(entry for _, waiting in lent for entry in waiting))
            stored = True
        except StoreError:
            pass  # each call tries by itself, and says so
        finally:
            for call, waiting in lent:
                call.take_back(len(waiting) if stored else 0)

    # --- calls -------------------------------------------------------------------------------------------------------

    def live(self, session: SessionId, timeline: Sequence[Entry] = ()) -> LiveCall:
        """The actor of a call, started if need be; it need not read again what was just read."""
        call = self.calls.get(session)
        if call is None:
            if self._tasks is None:
                raise LocalProtocolError("the server is not running")
            call = self.calls[session] = LiveCall(session, self, timeline)
            self._tasks.create_task(_guarded(call.run(), f"call {session}"), name=f"call {session}")
        return call

    def forget(self, call: LiveCall) -> None:
        """The actor has nothing more to do."""
        if self.calls.get(call.session.session) is call:
            del self.calls[call.session.session]


def _is_foreign_page(headers: Mapping[str, str]) -> bool:
    """A browser always sends an Origin with a WebSocket. Whether Telnyx does is not documented, so both signs are asked."""
    origin, host = headers.get("origin"), headers.get("host", "")
    return (
        origin is not None
        and origin.partition("://")[2] != host
        and headers.get("user-agent", "").startswith("Mozilla/")
    )


async def _guarded(work: Coroutine[Any, Any, None], name: str) -> None:
    try:
        await work
    except Exception as error:
        logger.exception("A task failed", event_name="task.failed", task=name, error=str(error))


async def _vital(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    """What nothing goes on without: its end is everything's."""
    try:
        await work()
    except Exception as error:
        logger.exception("A task failed that all calls need", event_name="task.failed", task=name, error=str(error))
        raise
