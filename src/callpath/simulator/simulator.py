"""The stand-in Telnyx as one object: an API, webhooks and callers on loopback.

    async with Simulator("http://127.0.0.1:8080/api/calls/webhook") as telnyx:
        call = await telnyx.call(say="hello.wav")
        await call.stream_started()

Point the program under test at `telnyx.api_base`, `telnyx.api_key` and `telnyx.public_key`. It works against any
program that speaks to Telnyx.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import ssl
import uuid
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx2
import uvicorn

from callpath.audio.codec import Pcm
from callpath.clock import Clock, SystemClock
from callpath.errors import ConfigError
from callpath.simulator.api import build_app
from callpath.simulator.call import CarrierCall, DialParty, Effect, Leg, OpenStream, SendWebhook, StopStream
from callpath.simulator.caller import Caller, CallFailed, CommandSeen, WebhookSeen
from callpath.simulator.carrier import iso_time
from callpath.simulator.link import Fault, Link
from callpath.simulator.options import CarrierOptions
from callpath.simulator.panel import build_panel
from callpath.simulator.refusal import Refused, accept_command, refuse, refuse_connection_id
from callpath.simulator.sender import WebhookSender
from callpath.simulator.speech import hello_wav as hello_wav
from callpath.wire.api import (
    ActiveCall,
    ApplicationInbound,
    ApplicationOutbound,
    CallControlApplication,
    CallEvent,
    CallStatus,
    WebhookDelivery,
)
from callpath.wire.command import Dial, Transfer
from callpath.wire.document import Json
from callpath.wire.ids import CallControlId, LegId, SessionId
from callpath.wire.signature import PrivateKey, public_key_text
from callpath.wire.webhook import Webhook, webhook_document

EVENTS_MAX = 10_000
"""Rows of /call_events that are kept."""

DIAL_DUPLICATE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Callee:
    """What a dialled party does. `say` as in `Simulator.call`."""

    rings_ms: float | None = None
    """None: as the options say."""
    rejects: Literal["user_busy", "call_rejected"] | None = None
    never_answers: bool = False
    say: Pcm | Path | str | None = None
    sample_rate_hz: int | None = None
    faults: Sequence[Fault | str] = ()

    @property
    def turns_away(self) -> bool:
        """Nobody will talk: the call is over when the program has understood that."""
        return self.rejects is not None or self.never_answers


class Simulator:
    """A stand-in Telnyx. Use it as `async with`; leaving it ends every call and lets no task survive.

    `webhook_url` may be set later, since the program under test may need `api_base` first. `seed` decides every
    chance in the faults. `tls` is used for wss and https in place of the machine's own certificates.
    """

    def __init__(
        self,
        webhook_url: str | None = None,
        *,
        options: CarrierOptions | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        private_key: PrivateKey | None = None,
        seed: int = 0,
        clock: Clock | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.webhook_url = webhook_url
        self.options = options or CarrierOptions()
        self.api_key = api_key or f"KEY{secrets.token_hex(16)}"
        self.seed = seed
        self.calls: list[Caller] = []
        """All calls that are remembered, oldest first, of both directions."""
        self.callee = Callee()
        """What the next dialled party does."""
        self.make_caller: Callable[..., Caller] = Caller
        """What becomes of the next call; `load` puts a cheaper one in."""
        self._private_key = private_key or PrivateKey.generate()
        self._host = host
        self._port = port
        self._clock: Clock = clock or SystemClock()
        self._epoch_unix_ms = self._clock.now_unix_ms() - self._clock.now_ms()
        self._tls = tls
        self._exits = AsyncExitStack()
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()
        self._by_id: dict[str, Caller] = {}
        self._placed = 0
        self._dialled: dict[str, tuple[float, CallStatus]] = {}
        self._events: deque[CallEvent] = deque(maxlen=EVENTS_MAX)
        self._sender: WebhookSender | None = None
        self._server: _Server | None = None

    @property
    def api_base(self) -> str:
        """What `TELNYX_API_BASE` must be. Known inside `async with`."""
        return f"http://{self._host}:{self._port}/v2"

    @property
    def public_key(self) -> str:
        """What `TELNYX_PUBLIC_KEY` must be: base64 of 32 bytes, as the portal shows it."""
        return public_key_text(self._private_key)

    @property
    def clock_now_ms(self) -> float:
        """The time that all of this stand-in's milliseconds are on."""
        return self._clock.now_ms()

    def set_callee(self, **how: Any) -> None:
        """What the next dialled party does, by the fields of `Callee`."""
        self.callee = Callee(**how)

    # --- life ---

    async def __aenter__(self) -> Self:
        listener = self._listen()
        self._port = listener.getsockname()[1]
        http = httpx2.AsyncClient(verify=self._tls or True, trust_env=False, timeout=None)
        # The time-out is the sender's: one for the whole answer, not one for each step of it.
        await self._exits.enter_async_context(http)
        self._sender = WebhookSender(self._private_key, self.options, self._clock, http)
        await self._group.__aenter__()
        self._server = _Server(
            uvicorn.Config(
                build_panel(self, self._host, build_app(self)),
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=1,
            )
        )
        self._serving = self._group.create_task(self._server.serve(sockets=[listener]), name="API")
        await self._server.listening.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None, "entered"
        self._server.should_exit = True
        for task in self._tasks:
            task.cancel()
        # A failed body is not the group's business: its exception shall come out as it is, not in a group.
        cancelled = isinstance(error, asyncio.CancelledError)
        try:
            await self._group.__aexit__(*((kind, error, trace) if cancelled else (None, None, None)))
        finally:
            await self._exits.aclose()

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._host, self._port))
        except OSError as error:
            listener.close()
            raise ConfigError(
                "port", f"{self._port} on {self._host} cannot be used: {error.strerror}", "Give a free one, or 0"
            ) from None
        return listener

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- calls ---

    async def call(
        self,
        from_: str = "+15555550123",
        to: str = "+15555550199",
        *,
        say: Pcm | Path | str | None = None,
        sample_rate_hz: int | None = None,
        faults: Sequence[Fault | str] = (),
    ) -> Caller:
        """Let somebody call the application's number. Returns once `call.initiated` is on its way.

        `say`: what the caller says as soon as a stream is open: a WAV file, a text for espeak-ng, or PCM at
        `sample_rate_hz` (8000). Raises ConfigError without a webhook URL, AudioError for what cannot be said.
        """
        if self.webhook_url is None:
            raise ConfigError(
                "webhook_url",
                "is not set",
                "Set telnyx.webhook_url, for example http://127.0.0.1:8080/api/calls/webhook",
            )
        caller = self._register(self._leg("incoming", from_, to), faults)
        if say is not None:
            caller.say(say, sample_rate_hz)
        caller.carry_out(caller.call.begin(self._clock.now_ms()))
        return caller

    async def next_dialled(self, timeout_ms: float = 10_000) -> Caller:
        """The next call that the application dials, or the last one if it has not been handed out yet."""
        deadline_ms = self._clock.now_ms() + timeout_ms
        while True:
            for caller in self.calls:
                if caller.call.leg.direction == "outgoing" and not caller.handed_out:
                    caller.handed_out = True
                    return caller
            if self._clock.now_ms() >= deadline_ms:
                raise CallFailed(f"No call was dialled within {timeout_ms:.0f} ms.")
            await self._clock.sleep_ms(10)

    def _leg(
        self, direction: Literal["incoming", "outgoing"], from_: str, to: str, session: SessionId | None = None
    ) -> Leg:
        return Leg(
            # As long as real ones, and with the two characters that are legal besides letters and digits.
            call_control_id=CallControlId(f"v3:{secrets.token_urlsafe(40)}"),
            call_leg_id=LegId(str(uuid.uuid4())),
            call_session_id=session or SessionId(str(uuid.uuid4())),
            connection_id=self.options.connection_id,
            from_=from_,
            to=to,
            direction=direction,
            codec=self.options.leg_codec,
        )

    def _register(
        self,
        leg: Leg,
        faults: Sequence[Fault | str],
        *,
        client_state: str | None = None,
        webhook_url: str | None = None,
    ) -> Caller:
        self._forget()
        self._placed += 1
        link = Link(faults, seed=f"{self.seed}/{self._placed}")
        options = link.change(self.options)
        call = CarrierCall(
            leg,
            options,
            new_id=lambda: str(uuid.uuid4()),
            epoch_unix_ms=self._epoch_unix_ms,
            client_state=client_state,
            webhook_url=webhook_url,
        )
        caller = self.make_caller(
            call,
            options=options,
            link=link,
            clock=self._clock,
            carry_out=self._carry_out,
            tls=self._tls,
        )
        caller.number = self._placed
        self.calls.append(caller)
        self._by_id[leg.call_control_id] = caller
        self._spawn(self._run_timers(caller), "timers of a call")
        return caller

    def _forget(self) -> None:
        now_ms = self._clock.now_ms()
        ended = [caller for caller in self.calls if caller.call.ended_at_ms is not None]
        gone = [caller for caller in ended if caller.call.is_forgotten(now_ms)]
        if len(self.calls) - len(gone) >= self.options.calls_max:
            gone = ended[: max(len(gone), 1)]
            if not gone:
                raise refuse("90041")
        for caller in gone:
            self.calls.remove(caller)
            self._by_id.pop(caller.call.leg.call_control_id, None)

    async def _run_timers(self, caller: Caller) -> None:
        """Carry out what a call has planned, until it is over."""
        call = caller.call
        while call.state != "ended":
            await self._clock.wait(caller.timer, call.next_at_ms())
            if effects := call.effects_due(self._clock.now_ms()):
                caller.carry_out(effects)

    def _carry_out(self, caller: Caller, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendWebhook():
                    self._send(caller, effect)
                case OpenStream():
                    self._spawn(caller.run_stream(effect.stream), "stream")
                case StopStream():
                    caller.wake_stream(effect.stream)
                case DialParty():
                    self._transfer(caller, effect.transfer)

    def _send(self, caller: Caller, effect: SendWebhook) -> None:
        url = effect.url or self.webhook_url
        if url is None:
            return  # nowhere to send it: an application without a webhook URL
        seen = WebhookSeen(self._clock.now_ms(), effect.webhook, url)
        caller.webhooks.append(seen)
        for parcel in caller.link.deliver(effect.webhook.event_type):
            self._spawn(
                self._deliver(caller, seen, parcel.delay_ms, parcel.bad_signature), f"webhook {seen.event_type}"
            )

    async def _deliver(self, caller: Caller, seen: WebhookSeen, delay_ms: float, bad_signature: bool) -> None:
        assert self._sender is not None, "entered"

        def on_attempt(attempt: Any) -> None:
            seen.attempts.append(attempt)
            caller.notify()

        await self._clock.sleep_ms(delay_ms)
        delivery = await self._sender.deliver(
            seen.webhook, seen.url, bad_signature=bad_signature, on_attempt=on_attempt
        )
        self._log_webhook(seen.webhook, delivery)

    # --- what the API asks ---

    async def command(self, call_control_id: str, name: str, document: Json) -> None:
        """Carry out one action. Raises Refused."""
        caller = self._find(call_control_id)
        if caller is None:
            raise refuse("90015", "/call_control_id")
        at_ms = self._clock.now_ms()
        try:
            effects = caller.call.receive_command(accept_command(name, document), at_ms)
            caller.carry_out(effects)
            for effect in effects:
                if isinstance(effect, OpenStream) and self.options.socket_before_reply:
                    opened = await caller.stream_decided(effect.stream, self.options.reply_ms_max)
                    if not opened and self.options.refuse_unopened:
                        raise refuse("90046")
        except Refused as refused:
            codes = tuple(error.code for error in refused.errors)
            self._log_command(caller, CommandSeen(at_ms, name, document, refused.status, codes))
            raise
        self._log_command(caller, CommandSeen(at_ms, name, document, 200))

    def dial(self, document: Json) -> CallStatus:
        """Place an outbound call. Raises Refused."""
        command = accept_command("dial", document)
        assert isinstance(command, Dial), "accept_command reads what it was asked for"
        now_ms = self._clock.now_ms()
        self._dialled = {
            one: dialled for one, dialled in self._dialled.items() if now_ms - dialled[0] < DIAL_DUPLICATE_MS
        }
        if command.command_id in self._dialled:
            return self._dialled[command.command_id][1]
        known = command.connection_id == self.options.connection_id
        if not known and not (self.options.any_connection_id and command.connection_id.isdecimal()):
            raise refuse_connection_id()
        if command.webhook_url is None and self.webhook_url is None:
            raise refuse_connection_id()
        # A list of parties would ring together; here the first one is called.
        to = command.to if isinstance(command.to, str) else command.to[0]
        callee = self.callee
        caller = self._register(
            self._leg("outgoing", command.from_, to),
            callee.faults,
            client_state=command.client_state,
            webhook_url=command.webhook_url,
        )
        self._log_command(caller, CommandSeen(now_ms, "dial", document, 200))
        caller.carry_out(caller.call.begin(now_ms, command))
        self._spawn(self._ring(caller, callee), "ringing")
        leg = caller.call.leg
        status = CallStatus(
            call_control_id=leg.call_control_id,
            call_leg_id=leg.call_leg_id,
            call_session_id=leg.call_session_id,
            is_alive=False,
            record_type="call",
        )
        if command.command_id is not None:
            self._dialled[command.command_id] = (now_ms, status)
        return status

    async def _ring(self, caller: Caller, callee: Callee, bridge_to: Caller | None = None) -> None:
        """Do what the dialled party does."""
        if callee.say is not None:
            caller.say(callee.say, callee.sample_rate_hz)
        if callee.never_answers:
            return
        await self._clock.sleep_ms(self.options.ring_ms if callee.rings_ms is None else callee.rings_ms)
        if callee.rejects is not None:
            caller.carry_out(caller.call.party_rejects(self._clock.now_ms(), callee.rejects))
            return
        caller.carry_out(caller.call.party_answers(self._clock.now_ms()))
        if bridge_to is not None and caller.call.state == "answered":
            bridge_to.carry_out(bridge_to.call.bridged(self._clock.now_ms()))
            caller.carry_out(caller.call.bridged(self._clock.now_ms()))
            await bridge_to.over_or(caller)
            for one in (bridge_to, caller):
                one.carry_out(one.call.party_hangs_up(self._clock.now_ms()))

    def _transfer(self, caller: Caller, command: Transfer) -> None:
        leg = self._leg(
            "outgoing", command.from_ or caller.call.leg.to, command.to, session=caller.call.leg.call_session_id
        )
        callee = self.callee
        other = self._register(
            leg, callee.faults, client_state=command.target_leg_client_state, webhook_url=command.webhook_url
        )
        other.carry_out(other.call.begin(self._clock.now_ms()))
        self._spawn(self._ring(other, callee, bridge_to=caller), "transfer")

    def status(self, call_control_id: str) -> CallStatus:
        """Raises Refused."""
        caller = self._find(call_control_id)
        if caller is None:
            raise refuse("10005")
        return caller.call.status(self._clock.now_ms())

    def active_calls(self, connection_id: str) -> list[ActiveCall]:
        now_ms = self._clock.now_ms()
        return [
            caller.call.active(now_ms)
            for caller in self.calls
            if caller.call.state != "ended" and caller.call.leg.connection_id == connection_id
        ]

    def call_events(self) -> list[CallEvent]:
        return list(self._events)

    def deliveries(self) -> list[WebhookDelivery]:
        """Newest first."""
        return list(self._sender.deliveries)[::-1] if self._sender else []

    def application(self) -> CallControlApplication:
        """The one application of this account."""
        return CallControlApplication(
            id=self.options.connection_id,
            record_type="call_control_application",
            application_name="callpath stand-in",
            active=True,
            webhook_event_url=self.webhook_url or "",
            webhook_event_failover_url=self.options.failover_url or "",
            webhook_api_version="2",
            first_command_timeout=False,
            first_command_timeout_secs=30,
            anchorsite_override="Latency",
            dtmf_type="RFC 2833",
            call_cost_in_webhooks=False,
            redact_dtmf_debug_logging=False,
            inbound=ApplicationInbound(channel_limit=self.options.calls_max, shaken_stir_enabled=False),
            outbound=ApplicationOutbound(channel_limit=self.options.calls_max),
            created_at=iso_time(self._epoch_unix_ms),
            updated_at=iso_time(self._epoch_unix_ms),
        )

    def _find(self, call_control_id: str) -> Caller | None:
        caller = self._by_id.get(call_control_id)
        if caller is None or caller.call.is_forgotten(self._clock.now_ms()):
            return None
        return caller

    # --- what Telnyx logs ---

    def _log_command(self, caller: Caller, command: CommandSeen) -> None:
        caller.commands.append(command)
        caller.notify()
        # Metadata of command rows is not documented.
        self._log(caller.call.leg, "command", command.name, command.at_ms, {"status": command.status})

    def _log_webhook(self, webhook: Webhook, delivery: WebhookDelivery) -> None:
        caller = self._by_id.get(webhook.payload.call_control_id)
        if caller is None:
            return
        attempts = delivery.attempts or []
        request = attempts[0].http.request if attempts and attempts[0].http else None
        metadata = {
            "attempt": len(attempts),
            "delivered_to": request.url if request else None,
            "status": delivery.status,
            "event": webhook_document(webhook)["data"],
        }
        self._log(caller.call.leg, "webhook", webhook.event_type, self._clock.now_ms(), metadata)

    def _log(self, leg: Leg, kind: str, name: str, at_ms: float, metadata: Json) -> None:
        self._events.append(
            CallEvent(
                record_type="call_event",
                type=kind,
                name=name,
                call_leg_id=leg.call_leg_id,
                call_session_id=leg.call_session_id,
                event_timestamp=iso_time(self._epoch_unix_ms + at_ms),
                metadata=metadata,
            )
        )


class _Server(uvicorn.Server):
    """uvicorn inside a program that has its own signals, and that wants to know when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()
