"""The Telnyx simulator as one object: an API, webhooks and callers on loopback.

    async with Simulator("http://127.0.0.1:8080/api/calls/webhook") as telnyx:
        call = await telnyx.call(say="hello.wav")
        await call.stream_started()

Point the program under test at `telnyx.api_base`, `telnyx.api_key` and `telnyx.public_key`. It works against any
program that speaks to Telnyx.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import socket
import ssl
import uuid
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar
from urllib.parse import unquote, urlsplit

import httpx2
import msgspec
import uvicorn

from callpath.audio.codec import Pcm
from callpath.clock import Clock, SystemClock
from callpath.config import is_loopback
from callpath.errors import AudioError, ConfigError
from callpath.private_api import EmbeddedServer
from callpath.simulator import control_faults as control_faults  # they join the table of all faults
from callpath.simulator.account import sound_account
from callpath.simulator.api import RateLimit, build_app
from callpath.simulator.call import (
    CarrierCall,
    DialParty,
    Effect,
    Elsewhere,
    FetchSound,
    JoinConference,
    JoinLegs,
    JoinQueue,
    Leg,
    OpenRelay,
    OpenStream,
    PartySpeaks,
    Renamed,
    SaveRecording,
    SendWebhook,
    StopStream,
    Supervise,
    WakeRelay,
)
from callpath.simulator.callee import Answering, Speech, callee_for, parse_callee
from callpath.simulator.callee import Callee as Callee
from callpath.simulator.caller import SAMPLE_RATE_HZ, Caller, CallFailed
from callpath.simulator.carrier import iso_time
from callpath.simulator.conference import Room
from callpath.simulator.link import ApiAnswer, Fault, Link, Parcel
from callpath.simulator.options import CarrierOptions
from callpath.simulator.panel import build_panel
from callpath.simulator.queue import SIZE_MAX, Queue
from callpath.simulator.recording import Shelf
from callpath.simulator.refusal import (
    Refused,
    accept_command,
    accept_conference_command,
    dialled_number,
    refuse,
    refuse_connection_id,
    refuse_dial,
    refuse_dials_an_hour,
)
from callpath.simulator.relay import RelaySession
from callpath.simulator.relay_socket import run_relay
from callpath.simulator.seen import CommandSeen, RequestSeen, WebhookSeen
from callpath.simulator.sender import WebhookSender
from callpath.simulator.sound import FILE_BYTES_MAX, Sound, decode_file, hum
from callpath.simulator.speech import hello_wav as hello_wav
from callpath.simulator.speech import load_speech
from callpath.simulator.texml import TexmlCall
from callpath.wire.api import ActiveCall, ApiError, CallEvent, CallStatus, DeliveryAttempt, WebhookDelivery
from callpath.wire.command import Answer, Bridge, ConversationRelayStart, Dial, PlaybackStart, Transfer
from callpath.wire.conference import Conference, ConferenceCreate, ConferenceJoin, Participant
from callpath.wire.document import Json
from callpath.wire.ids import CallControlId, LegId, SessionId, path_segment
from callpath.wire.signature import PrivateKey, public_key_text
from callpath.wire.webhook import ConferenceWebhook, Webhook, webhook_document

EVENTS_MAX = 10_000
"""Rows of /call_events that are kept."""

REQUESTS_MAX = 100
"""Requests without a call, and dials, that are kept for each call."""

DIAL_DUPLICATE_MS = 60_000

DIALS_WINDOW_MS = 5_000
"""Telnyx counts 30 dials a second as 150 in any 5 s."""

CONFERENCES_MAX = 1_000
"""Conferences that are kept; the oldest ended ones are forgotten first."""

QUEUES_MAX = 1_000

ROOM_LOOK_MS = 60_000
"""How often a conference looks at its end at least."""

_R = TypeVar("_R")

FETCH_MS_MAX = 10_000
"""How long the file of a playback may take to come. Telnyx's own patience is unknown."""


class Simulator:
    """A Telnyx simulator. Use it as `async with`; leaving it ends every call and lets no task survive.

    `webhook_url` may be set later, since the program under test may need `api_base` first. `seed` decides every
    chance in the faults. `tls` is used for wss and https in place of the machine's own certificates. `panel_token` is what
    the page and the control API at /simulator want as a Bearer token; needed where `host` is not this machine alone.
    `callees`: who is at which number, as a `Callee` or a text like "voicemail" (`callee.SCRIPTS` lists them).
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
        texml_url: str | None = None,
        panel_token: str | None = None,
        callees: Mapping[str, Callee | str] | None = None,
    ) -> None:
        if panel_token is None and not is_loopback(host):
            raise ConfigError(
                "host",
                f"{host} can be reached by others, and whoever reaches the panel can read the API key and place calls",
                "Keep 127.0.0.1, or give panel_token: the panel then wants it as a Bearer token",
            )
        self.texml_url = texml_url
        """The called number belongs to a TeXML application: its document is fetched here, and no webhook is sent."""
        self.options = options or CarrierOptions()
        self.api_key = api_key or f"KEY{secrets.token_hex(16)}"
        self.seed = seed
        self.calls: list[Caller] = []
        """All calls that are remembered, oldest first, of both directions."""
        self.callee = Callee()
        """Script of the next dialled party, where `callees` has none for its number."""
        self.callees: dict[str, Callee] = {}
        """Number, or the beginning of one and an asterisk → what the party there does."""
        for number, script in (callees or {}).items():
            self.set_callee_of(number, script)
        self.make_caller: Callable[..., Caller] = Caller
        """What becomes of the next call; `load` puts a cheaper one in."""
        self._private_key = private_key or PrivateKey.generate()
        self._host = host
        self._panel_token = panel_token
        self._port = port
        self._clock: Clock = clock or SystemClock()
        self._epoch_unix_ms = self._clock.now_unix_ms() - self._clock.now_ms()
        self.account = sound_account(self.options, webhook_url or "", now=iso_time(self._epoch_unix_ms))
        """How the account is set; change it to have one that is set wrong."""
        self._tls = tls
        self._exits = AsyncExitStack()
        self._closing = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._tasks: set[asyncio.Task[None]] = set()
        self._by_id: dict[str, Caller] = {}
        self._placed = 0
        self._dialled: dict[str, tuple[float, CallStatus]] = {}
        self._texml_calls: dict[str, TexmlCall] = {}
        self._dials = RateLimit(self.options.dials_max, DIALS_WINDOW_MS, self._clock.now_ms)
        hourly = self.options.dials_an_hour_max
        self._hourly = None if hourly is None else RateLimit(hourly, 3_600_000, self._clock.now_ms)
        self._dialling: tuple[Callee, Link] = (self.callee, Link(seed=seed))
        self._relay_wakes: dict[str, asyncio.Event] = {}
        self.queues: dict[str, Queue] = {}
        """Queues by name."""
        self.rooms: list[Room] = []
        """Conferences that are remembered, oldest first."""
        self._shelf = Shelf(self.options.recordings_bytes_max, self.options.recording_ms)
        self._chance = random.Random(seed)  # noqa: S311  (the order of webhooks wants replay, not secrecy)
        self._events: deque[CallEvent] = deque(maxlen=EVENTS_MAX)
        self.requests: deque[RequestSeen] = deque(maxlen=EVENTS_MAX)
        """What the API turned away before it reached a call."""
        self._sender: WebhookSender | None = None
        self._server: EmbeddedServer | None = None

    @property
    def api_base(self) -> str:
        """What `TELNYX_API_BASE` must be. Known inside `async with`."""
        return f"http://{self._host}:{self._port}/v2"

    @property
    def webhook_url(self) -> str | None:
        """Where the application sends its webhooks; what a PATCH of the application sets, too."""
        return self.account.application["webhook_event_url"] or None

    @webhook_url.setter
    def webhook_url(self, url: str | None) -> None:
        self.account.application["webhook_event_url"] = url or ""

    @property
    def public_key(self) -> str:
        """What `TELNYX_PUBLIC_KEY` must be: base64 of 32 bytes, as the portal shows it."""
        return public_key_text(self._private_key)

    @property
    def clock_now_ms(self) -> float:
        """The time that all of this simulator's milliseconds are on."""
        return self._clock.now_ms()

    def set_callee(self, **how: Any) -> None:
        """Set the script of the next dialled party, by the fields of `Callee`."""
        self.callee = Callee(**how)

    def set_callee_of(self, number: str, script: Callee | str) -> None:
        """Set the script of the party at `number`; `+1555*` stands for all numbers that begin so. Raises ConfigError."""
        self.callees[number] = parse_callee(script) if isinstance(script, str) else script

    # --- life ---

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        try:
            await self._start()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def _start(self) -> None:
        listener = self._exits.enter_context(self._listen())
        self._port = listener.getsockname()[1]
        http = httpx2.AsyncClient(verify=self._tls or True, trust_env=False, timeout=None, max_redirects=3)
        # The time-out is the sender's: one for the whole answer, not one for each step of it.
        await self._exits.enter_async_context(http)
        self._http = http
        self._sender = WebhookSender(self._private_key, self.options, self._clock, http)
        self._server = EmbeddedServer(
            uvicorn.Config(
                build_panel(self, self._host, build_app(self), token=self._panel_token),
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=1,
            )
        )
        self._serving = self._group.create_task(self._server.serve(sockets=[listener]), name="API")
        await self._server.listening.wait()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.should_exit = True
        self._closing.set()
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
        except BaseException:
            listener.close()
            raise
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
        if self.webhook_url is None and self.texml_url is None:
            raise ConfigError(
                "webhook_url",
                "is not set",
                "Set telnyx.webhook_url, for example http://127.0.0.1:8080/api/calls/webhook",
            )
        caller = self._register(self._leg("incoming", from_, to), faults)
        if say is not None:
            caller.say(say, sample_rate_hz)
        if self.texml_url is not None:
            assert self._sender is not None, "entered"
            texml = self._texml_calls[caller.call.leg.call_control_id] = TexmlCall(
                caller,
                url=self.texml_url,
                post_form=self._sender.post_form,
                options=self.options,
                clock=self._clock,
            )
            self._spawn(texml.run(), "TeXML")
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
        callee: Callee | None = None,
    ) -> Caller:
        self._forget()
        self._placed += 1
        link = Link(faults, seed=f"{self.seed}/{self._placed}")
        options = link.change(self.options)
        call = CarrierCall(
            replace(leg, codec=options.leg_codec),
            options,
            new_id=lambda: str(uuid.uuid4()),
            epoch_unix_ms=self._epoch_unix_ms,
            client_state=client_state,
            answering=None if callee is None else Answering(callee, self._speech, options.ring_ms),
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

    def _speech(self, speech: Speech, sample_rate_hz: int | None) -> Pcm:
        """Speech of a script. Without espeak-ng a text is a hum, as long as the text would take."""
        try:
            return load_speech(speech, sample_rate_hz, SAMPLE_RATE_HZ)
        except AudioError:
            if not isinstance(speech, str) or speech.lower().endswith(".wav"):
                raise
            return hum(self.options.speak_ms_per_char * len(speech))

    def _has_room(self) -> bool:
        """Whether one more call can be alive."""
        return sum(caller.call.ended_at_ms is None for caller in self.calls) < self.options.calls_max

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
            for own in [one for one, known in self._by_id.items() if known is caller]:
                del self._by_id[own]
            self._texml_calls.pop(caller.call.leg.call_control_id, None)

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
                case JoinLegs():
                    self._bridge(caller, effect.command)
                case FetchSound():
                    self._spawn(self._fetch(caller, effect.sound), "file of a playback")
                case SaveRecording():
                    self._save(caller, effect)
                case PartySpeaks():
                    caller.speak(effect.audio, waits=effect.waits, words=effect.words)
                case OpenRelay():
                    self._spawn(self._run_relay(caller, effect.session), "relay")
                case WakeRelay():
                    if wake := self._relay_wakes.get(effect.session.relay_id):
                        wake.set()
                case JoinQueue():
                    queue = self._queue(effect.command.queue_name, effect.command.max_size or SIZE_MAX)
                    caller.carry_out(queue.add(caller.call, effect.command, self._clock.now_ms()))
                case JoinConference():
                    self._join_by_dial(caller, effect.config)
                case Supervise():
                    near = self._find(effect.call_control_id)
                    if near is not None and near.call.state == "answered":
                        caller.call.supervise(near.call, effect.role, self._clock.now_ms())
                case Renamed():
                    self._by_id[caller.call.leg.call_control_id] = caller
                case Elsewhere():
                    other = self._by_id.get(effect.call.leg.call_control_id)
                    if other is not None:
                        other.carry_out(effect.effects)

    def _send(self, caller: Caller, effect: SendWebhook) -> None:
        texml = self._texml_calls.get(caller.call.leg.call_control_id)
        if texml is not None and isinstance(effect.webhook, Webhook):
            self._spawn(texml.tell(effect.webhook), "TeXML callback")
            return
        url = effect.url or self.webhook_url
        if url is None:
            return  # nowhere to send it: an application without a webhook URL
        leg = caller.call.leg
        if leg.direction == "incoming" and not self.account.leads_to_application(leg.to):
            return
        seen = WebhookSeen(self._clock.now_ms(), effect.webhook, url)
        caller.webhooks.append(seen)
        for parcel in caller.link.deliver(effect.webhook.event_type):
            self._spawn(self._deliver(caller, seen, effect, parcel), f"webhook {seen.event_type}")

    async def _deliver(self, caller: Caller, seen: WebhookSeen, effect: SendWebhook, parcel: Parcel) -> None:
        assert self._sender is not None, "entered"

        def on_attempt(attempt: DeliveryAttempt, problem: str) -> None:
            seen.attempts.append(attempt)
            seen.problems.append(problem)
            caller.notify()

        if self.account.application["webhook_api_version"] == "1":  # a PATCH may have set it right meanwhile
            parcel = replace(parcel, version_1=True)
        shuffled_ms = self._chance.uniform(0, self.options.webhook_shuffle_ms)
        await self._clock.sleep_ms(parcel.delay_ms + shuffled_ms)
        delivery = await self._sender.deliver(
            seen.webhook,
            seen.url,
            method=effect.method,
            retries_ms=effect.retries_ms,
            parcel=parcel,
            on_attempt=on_attempt,
        )
        self._log_webhook(caller, seen.webhook, delivery)

    # --- sounds, recordings and bridges ---

    async def _fetch(self, caller: Caller, sound: Sound) -> None:
        got = await self._file_of(sound)
        caller.carry_out(caller.call.sound_fetched(sound, got, self._clock.now_ms()))

    async def _file_of(self, sound: Sound) -> Pcm | tuple[Literal["failed", "file_not_found"], str]:
        """The audio, or the status with which the playback ends and why."""
        command = sound.command
        assert isinstance(command, PlaybackStart), "only playbacks have files"
        name = command.media_name or _last_part(command.audio_url or "")
        try:
            if command.media_name is not None:
                if command.media_name not in self.options.media:
                    return "file_not_found", f"media_name {name} is not in the simulator's options.media"
                content = self.options.media[command.media_name].read_bytes()
                return await asyncio.to_thread(decode_file, content, name)
            content = b""
            async with (
                asyncio.timeout(FETCH_MS_MAX / 1000),
                self._http.stream("GET", command.audio_url or "", follow_redirects=True) as answer,
            ):
                if not answer.is_success:
                    status: Literal["failed", "file_not_found"] = "file_not_found"
                    return status if answer.status_code in (404, 410) else "failed", f"HTTP {answer.status_code}"
                async for piece in answer.aiter_bytes():
                    content += piece
                    if len(content) > FILE_BYTES_MAX:
                        return "failed", f"more than {FILE_BYTES_MAX} bytes"
            # A long file takes long, and other calls go on meanwhile.
            return await asyncio.to_thread(decode_file, content, name)
        except TimeoutError:
            return "failed", f"no file within {FETCH_MS_MAX} ms"
        except (AudioError, httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return "failed", str(error) or type(error).__name__

    def _save(self, caller: Caller, effect: SaveRecording) -> None:
        """Make the file, and tell where it is."""
        recording, now_ms = effect.recording, self._clock.now_ms()
        url: str | None = None
        try:
            sides = caller.sides(recording.started_at_ms) if effect.sides is None else effect.sides()
            content = recording.file(*sides)
        except AudioError as error:
            caller.add_problem(f"a recording was not made: {error}")
        else:
            stem = recording.command.custom_file_name or caller.call.leg.call_leg_id
            name = f"{stem}-{round(self._clock.now_unix_ms() / 1000)}-{recording.recording_id[:8]}"
            name = f"{name}.{recording.command.format}"
            self._shelf.add(name, content, now_ms)
            url = f"{self.api_base.removesuffix('/v2')}/recordings/{path_segment(name)}"
        if effect.saved is None:
            caller.carry_out(caller.call.recording_saved(recording, url, now_ms))
        else:
            caller.carry_out(effect.saved(url, now_ms))

    def recording_file(self, name: str) -> bytes | None:
        """A recording for its reader; None: there is none, or its time is over."""
        return self._shelf.get(name, self._clock.now_ms())

    def _bridge(self, caller: Caller, command: Bridge) -> None:
        """Join two legs until one of them ends, or is taken out of the bridge."""
        now_ms = self._clock.now_ms()
        if command.queue is not None:
            head = self.queues[command.queue].take()
            caller.carry_out(head.leave_queue(now_ms, "bridged"))
            other = self._find(head.leg.call_control_id)
        else:
            other = self._find(command.call_control_id or "")
        assert other is not None, "checked when the command came"
        caller.call.after_unbridge = "hang_up"
        if command.hold_after_unbridge:
            caller.call.after_unbridge = "hold"
        if command.park_after_unbridge == "self":
            caller.call.after_unbridge = "park"
        if other.call.state == "answered":
            caller.carry_out(caller.call.join(other.call, now_ms))
        else:  # play_ringtone: it is bridged as soon as it is answered
            other.call.join_when_answered(caller.call, now_ms)

    # --- what the API asks ---

    def api_fault(self, call_control_id: str | None, name: str) -> ApiAnswer | None:
        """What goes wrong with the API's answer to this command, if anything."""
        if call_control_id is None:
            if self._dialling[0] is not self.callee:
                self._dialling = (self.callee, Link(self.callee.faults, seed=self.seed))
            return self._dialling[1].answer(name)
        caller = self._find(call_control_id)
        return None if caller is None else caller.link.answer(name)

    def turned_away(
        self,
        method: str,
        path: str,
        name: str,
        status: int,
        errors: tuple[ApiError, ...],
        *,
        remark: str = "",
        injected: bool = False,
    ) -> None:
        """Keep a request that reached no call, for the report of the call that it named, or of every call alive."""
        call_control_id = call_id_of(path)
        about = self._find(call_control_id) if call_control_id else None
        if about is None and call_control_id and not remark:
            remark = self._wrong_id(call_control_id)
        seen = RequestSeen(self._clock.now_ms(), method, path, name, status, errors, remark, injected)
        self.requests.append(seen)
        for caller in [about] if about is not None else self.calls:
            if caller.call.state != "ended" and len(caller.requests) < REQUESTS_MAX:
                caller.requests.append(seen)
                caller.notify()

    def _wrong_id(self, given: str) -> str:
        """What the id in a command's path is, where it is no call's."""
        if "%" in given:
            return "the call_control_id is percent-encoded twice"
        for caller in self.calls:
            leg = caller.call.leg
            if given == leg.call_leg_id:
                return "the call_leg_id stands where the call_control_id belongs"
            if given == leg.call_session_id:
                return "the call_session_id stands where the call_control_id belongs"
            if leg.call_control_id.lower() == given.lower():
                return "the call_control_id has lost its upper case"
            if leg.call_control_id.removeprefix("v3:") == given or given in leg.call_control_id:
                return "the call_control_id is not complete"
            if any(given == seen.webhook.id for seen in caller.webhooks):
                return "the event's id stands where the call_control_id belongs"
        if given.lower() in ("undefined", "null", "none", "nan", "", "[object object]"):
            return f"the call_control_id is {given!r}: it was not read from data.payload"
        return "no call has this call_control_id"

    async def pause(self, duration_ms: float) -> None:
        """Hold an answer back, but not the end of the simulator."""
        await self._clock.wait(self._closing, self._clock.now_ms() + duration_ms)

    def request_limit(self) -> RateLimit | None:
        most = self.options.requests_max
        return None if most is None else RateLimit(most, 1_000, self._clock.now_ms)

    async def command(self, call_control_id: str, name: str, document: Json) -> Json:
        """Carry out one action; returns the answer's data. Raises Refused."""
        caller = self._find(call_control_id)
        if caller is None:
            raise refuse("90015", "/call_control_id")
        at_ms = self._clock.now_ms()
        try:
            command = accept_command(name, document)
            if isinstance(command, Transfer | Bridge):
                caller.call.mutes_keys = command.mute_dtmf or "none"
            if isinstance(command, Transfer) and caller.call.state != "ended":
                to, _ = dialled_number(command.to)
                from_ = command.from_ or caller.call.leg.to
                self._check_outbound(self._callee_of(to), from_, to, diversion=command.diversion, caller=caller)
            if isinstance(command, Bridge):
                self._check_bridge(caller, command)
            effects = caller.call.receive_command(command, at_ms)
            caller.carry_out(effects)
            for effect in effects:
                if isinstance(effect, OpenStream) and self.options.socket_before_reply:
                    opened = await caller.stream_decided(effect.stream, self.options.reply_ms_max)
                    if not opened and self.options.refuse_unopened:
                        raise refuse("90046")
        except Refused as refused:
            refused.on_record = True
            caller.call.forget_command(document.get("command_id"))
            self._log_command(caller, CommandSeen(at_ms, name, document, refused.status, refused.errors))
            raise
        self._log_command(caller, CommandSeen(at_ms, name, document, 200))
        recorded = isinstance(command, Answer) and caller.call.recording_id is not None
        if isinstance(command, ConversationRelayStart) and caller.call.relay is not None:
            return {"result": "ok", "conversation_relay_id": caller.call.relay.relay_id}
        return {"result": "ok"} | ({"recording_id": caller.call.recording_id} if recorded else {})

    def _check_bridge(self, caller: Caller, command: Bridge) -> None:
        if command.call_control_id is None:
            queue = self.queues.get(command.queue or "")
            if queue is None:  # the code is unknown, as for one that is empty
                raise refuse("90033", detail=f"The queue {command.queue} is empty.")
            queue.take()
            return
        other = self._find(command.call_control_id)
        if other is None or other is caller:
            raise refuse("90015", "/call_control_id")
        if other.call.state == "ended":
            raise refuse("90018")
        if other.call.state != "answered" and not command.play_ringtone:
            raise refuse("90034")
        if command.prevent_double_bridge and other.call.opposite is not None:
            raise refuse("90033", detail="The call to bridge with is bridged already.")

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
        linked = self._find(CallControlId(command.link_to)) if command.link_to else None
        if command.link_to and linked is None:
            raise refuse("90015", "/link_to")
        config = command.conference_config or {}
        if config.get("id") and self._room(config["id"]) is None:
            raise refuse("90058", "/conference_config/id")
        if command.supervise_call_control_id is not None:
            near = self._find(command.supervise_call_control_id)
            if near is None or near.call.state == "ended":
                raise refuse("90015" if near is None else "90018", "/supervise_call_control_id")
        if not self._dials.take():
            raise refuse("90103")
        if self._hourly is not None and not self._hourly.take():
            raise refuse_dials_an_hour()
        # A list of parties would ring together; here the first one is called.
        to, digits = dialled_number(command.to if isinstance(command.to, str) else command.to[0])
        if digits and command.send_digits_on_answer is None:
            command = msgspec.structs.replace(command, send_digits_on_answer=digits)
        from_ = linked.call.leg.from_ if linked is not None and command.bridge_intent else command.from_
        callee = self._callee_of(to)
        self._check_outbound(callee, from_, to, diversion=command.diversion)
        caller = self._place(command, callee, from_, to, linked, command.client_state)
        for one in self.calls:
            if one is not caller and one.call.state != "ended" and len(one.dials) < REQUESTS_MAX:
                one.dials.append(to)
        self._log_command(caller, CommandSeen(now_ms, "dial", document, 200))
        if linked is not None and command.bridge_on_answer:
            caller.call.join_when_answered(linked.call, now_ms, early_media=False)
        if command.park_after_unbridge == "self":
            caller.call.after_unbridge = "park"
        leg = caller.call.leg
        status = CallStatus(
            call_control_id=leg.call_control_id,
            call_leg_id=leg.call_leg_id,
            call_session_id=leg.call_session_id,
            is_alive=False,
            record_type="call",
            recording_id=caller.call.recording_id,
        )
        if command.command_id is not None:
            self._dialled[command.command_id] = (now_ms, status)
        return status

    def _callee_of(self, number: str) -> Callee:
        script = callee_for(self.callees, number)
        return self.callee if script is None else script

    def _check_outbound(
        self, callee: Callee, from_: str, to: str, *, diversion: str | None = None, caller: Caller | None = None
    ) -> None:
        """Check a dial, or the transfer of `caller`, as Telnyx does before there is a leg. Raises Refused."""
        if self.options.dial_refused is not None:
            raise refuse_dial(self.options.dial_refused)
        if callee.refused is not None:
            raise refuse_dial(callee.refused)
        account, options = self.account, self.options
        if float(account.balance["available_credit"]) <= 0:
            raise refuse_dial("D17", "Account disabled")
        outbound = account.application["outbound"]
        profile_id = outbound.get("outbound_voice_profile_id")
        profile = next((row for row in account.profiles if row["id"] == profile_id), None)
        if profile is None:
            raise refuse_dial("D38", "Connection has no outbound voice profile")
        if not profile["enabled"]:
            raise refuse_dial("D15", "Outbound voice profile disabled")
        if from_ == to:
            raise refuse_dial("D53", "Caller ID is the destination")
        if not self._may_show(from_, diversion, caller):
            raise refuse_dial("D51", "Unverified origination number")
        alive = [one for one in self.calls if one.call.state != "ended" and one.call.leg.direction == "outgoing"]
        for most, d_code, text in (
            (options.outbound_calls_max, "D1", "User channel limit exceeded"),
            (profile.get("concurrent_call_limit"), "D2", "Outbound profile channel limit exceeded"),
            (outbound.get("channel_limit"), "D3", "Connection channel limit exceeded"),
        ):
            if most is not None and len(alive) >= most:
                raise refuse_dial(d_code, text)
        if not self._has_room():
            raise refuse_dial("D1", "User channel limit exceeded")

    def _may_show(self, from_: str, diversion: str | None, caller: Caller | None) -> bool:
        """True if this caller ID is ours, or that of a live inbound call that is passed on."""
        passed_on = [caller] if caller is not None else self.calls
        if diversion is not None:
            return any(
                (one.call.leg.from_, one.call.leg.to) == (from_, diversion)
                for one in passed_on
                if one.call.state != "ended" and one.call.leg.direction == "incoming"
            )
        if not self.options.check_from or any(row["phone_number"] == from_ for row in self.account.numbers):
            return True
        return caller is not None and caller.call.leg.direction == "incoming" and caller.call.leg.from_ == from_

    def _place(
        self,
        command: Dial | Transfer,
        callee: Callee,
        from_: str,
        to: str,
        linked: Caller | None,
        client_state: str | None,
    ) -> Caller:
        """A new leg that goes out by `command`, in the session of `linked`."""
        session = None if linked is None else linked.call.leg.call_session_id
        leg = self._leg("outgoing", from_, to, session=session)
        placed = self._register(leg, callee.faults, client_state=client_state, callee=callee)
        placed.carry_out(placed.call.begin(self._clock.now_ms(), command))
        return placed

    def _transfer(self, caller: Caller, command: Transfer) -> None:
        to, digits = dialled_number(command.to)
        if digits and command.send_digits_on_answer is None:
            command = msgspec.structs.replace(command, send_digits_on_answer=digits)
        from_ = command.from_ or caller.call.leg.to
        client_state = command.target_leg_client_state
        if client_state is None and self.options.target_client_state == "inherited":
            client_state = caller.call.client_state
        other = self._place(command, self._callee_of(to), from_, to, caller, client_state)
        caller.call.after_unbridge = "park" if command.park_after_unbridge == "self" else "hang_up"
        early = command.early_media is not False
        other.call.join_when_answered(caller.call, self._clock.now_ms(), early_media=early)

    async def _run_relay(self, caller: Caller, session: RelaySession) -> None:
        """Carry a Conversation Relay from its opening to its end."""
        wake = self._relay_wakes[session.relay_id] = asyncio.Event()
        call, clock = caller.call, self._clock
        try:
            problem = await run_relay(
                session,
                options=self.options,
                clock=clock,
                tls=self._tls,
                wake=wake,
                on_open=lambda: caller.carry_out(call.relay_opened(session, clock.now_ms())),
                on_acts=lambda acts: caller.carry_out(call.relay_acts(session, acts, clock.now_ms())),
            )
        finally:
            del self._relay_wakes[session.relay_id]
        for sentence in session.problems:
            caller.add_problem(f"a frame of the relay was refused: {sentence}")
        if problem is not None:
            caller.add_problem(f"the relay's socket was not opened: {problem}")
        caller.carry_out(call.relay_closed(session, clock.now_ms(), problem))

    # --- queues ---

    def _queue(self, name: str, size_max: int) -> Queue:
        """The queue of that name, made if there is none."""
        if name not in self.queues:
            if len(self.queues) >= QUEUES_MAX:
                raise refuse("10007")
            time = self._time_at
            self.queues[name] = Queue(str(uuid.uuid4()), name, size_max, time, self._clock.now_ms())
        return self.queues[name]

    def _time_at(self, at_ms: float) -> str:
        return iso_time(self._epoch_unix_ms + at_ms)

    def create_queue(self, document: Json) -> Json:
        """Make a queue. Raises Refused."""
        name, size_max = document.get("queue_name"), document.get("max_size", 300)
        if not isinstance(name, str) or not 1 <= len(name) <= 255:
            raise refuse("10004", "/queue_name", name="queue_name")
        if not isinstance(size_max, int) or isinstance(size_max, bool) or size_max < 1:
            raise refuse("10033", "/max_size", low=1, high=1_000_000)
        if name in self.queues:  # the answer to a second one of that name is unknown
            raise refuse("90033", detail="Queue with given name already exists.")
        return self._queue(name, size_max).row()

    def queue_rows(self) -> list[Json]:
        """All queues."""
        return [queue.row() for queue in self.queues.values()]

    def queue_calls(self, name: str) -> list[Json]:
        """Calls that wait in a queue. Raises Refused."""
        queue = self.queues.get(name)
        if queue is None:
            raise refuse("10005")
        return queue.call_rows(self._clock.now_ms())

    # --- conferences ---

    def _join_by_dial(self, caller: Caller, config: Json) -> None:
        """A dialled leg joins the conference that its dial names, which is made of it where only a name is given."""
        now_ms = self._clock.now_ms()
        room = self._room(config.get("id") or config.get("conference_name") or "")
        own = {"call_control_id": caller.call.leg.call_control_id}
        try:
            if room is None or room.ended_at_ms is not None:
                if config.get("conference_name"):
                    known = {"beep_enabled", "hold_audio_url", "hold_media_name", "start_conference_on_create"}
                    made = {key: value for key, value in config.items() if key in known}
                    self._make_room(caller, own | made | {"name": config["conference_name"]})
                return
            names = {field.encode_name for field in msgspec.structs.fields(ConferenceJoin)}
            join = accept_conference_command("join", own | {key: config[key] for key in config.keys() & names})
            assert isinstance(join, ConferenceJoin), "accept_conference_command reads what it was asked for"
            caller.carry_out(room.join(caller.call, join, now_ms))
        except Refused as refused:  # the leg was dialled, and is up all the same
            caller.add_problem(f"the dialled leg did not join its conference: {refused}")

    def _room(self, id_or_name: str) -> Room | None:
        """The conference with that id, else the newest one with that name."""
        by_name = [room for room in self.rooms if room.name == id_or_name]
        return next((room for room in self.rooms if room.id == id_or_name), by_name[-1] if by_name else None)

    def _make_room(self, caller: Caller, document: Json) -> Room:
        command = accept_conference_command("create", document)
        assert isinstance(command, ConferenceCreate), "accept_conference_command reads what it was asked for"
        if caller.call.state == "ended":
            raise refuse("90018")
        if caller.call.state != "answered" and not caller.call.early_media:
            raise refuse("90034")
        if any(room.name == command.name and room.ended_at_ms is None for room in self.rooms):
            raise refuse("90033", detail="Conference with given name already exists and it's active.")
        room = Room(
            command,
            caller.call,
            self.options,
            new_id=lambda: str(uuid.uuid4()),
            time=self._time_at,
            now_ms=self._clock.now_ms(),
        )
        self.rooms.append(room)
        if len(self.rooms) > CONFERENCES_MAX:
            over = next((one for one in self.rooms if one.ended_at_ms is not None), None)
            if over is None:
                self.rooms.remove(room)
                raise refuse("10007")
            self.rooms.remove(over)
        caller.carry_out(room.begin(self._clock.now_ms()))
        self._spawn(self._expire(room, caller), "end of a conference")
        return room

    async def _expire(self, room: Room, caller: Caller) -> None:
        """End a conference when its time is over."""
        while room.ended_at_ms is None and not self._closing.is_set():
            watcher = caller.watch()
            await self._clock.wait(watcher, min(room.expires_at_ms, self._clock.now_ms() + ROOM_LOOK_MS))
            caller.unwatch(watcher)
            if self._clock.now_ms() >= room.expires_at_ms:
                caller.carry_out(room.expire(self._clock.now_ms()))

    def create_conference(self, document: Json) -> Conference:
        """Make a conference of an answered call. Raises Refused."""
        command = accept_conference_command("create", document)
        assert isinstance(command, ConferenceCreate), "accept_conference_command reads what it was asked for"
        caller = self._find(command.call_control_id)
        if caller is None:
            raise refuse("90015", "/call_control_id")
        return self._noted(caller, "conference create", document, lambda: self._make_room(caller, document).row())

    def conference_command(self, id_or_name: str, name: str, document: Json) -> None:
        """Carry out one action of a conference. Raises Refused."""
        room = self._room(id_or_name)
        if room is None:
            raise refuse("90058")
        by = self._by_id.get(room.creator.leg.call_control_id)
        about = self._find(str(document.get("call_control_id") or "")) or by
        if about is None:
            raise refuse("90019")

        def find(call_control_id: str) -> CarrierCall:
            caller = self._find(call_control_id)
            if caller is None:
                raise refuse("90015", "/call_control_id")
            return caller.call

        def carry_out() -> None:
            command = accept_conference_command(name, document)
            about.carry_out(room.receive_command(command, find, self._clock.now_ms()))

        self._noted(about, f"conference {name}", document, carry_out)

    def _noted(self, caller: Caller, name: str, document: Json, carry_out: Callable[[], _R]) -> _R:
        """Carry out something about a call, and keep it with its answer for the call's report. Raises Refused."""
        at_ms = self._clock.now_ms()
        try:
            result = carry_out()
        except Refused as refused:
            refused.on_record = True
            self._log_command(caller, CommandSeen(at_ms, name, document, refused.status, refused.errors))
            raise
        self._log_command(caller, CommandSeen(at_ms, name, document, 200))
        return result

    def conferences(self) -> list[Conference]:
        """Conferences that are remembered, oldest first."""
        return [room.row() for room in self.rooms]

    def participants(self, id_or_name: str) -> list[Participant]:
        """Raises Refused."""
        room = self._room(id_or_name)
        if room is None:
            raise refuse("90058")
        return [room.participant(member) for member in room.rows]

    def change_participant(self, id_or_name: str, participant_id: str, document: Json) -> Participant:
        """Raises Refused."""
        room = self._room(id_or_name)
        if room is None:
            raise refuse("90058")
        return room.participant(room.change(participant_id, document))

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

    def now(self) -> str:
        """Wall time, as Telnyx writes it."""
        return iso_time(self._clock.now_unix_ms())

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

    def _log_webhook(self, caller: Caller, webhook: Webhook | ConferenceWebhook, delivery: WebhookDelivery) -> None:
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


def call_id_of(path: str) -> str | None:
    """The call_control_id in the path of a command."""
    parts = path.split("/")
    return unquote(parts[parts.index("calls") + 1]) if "calls" in parts and "actions" in parts else None


def _last_part(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2] or "the file"
