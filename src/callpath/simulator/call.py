"""One leg of a call as Telnyx keeps it: which commands are legal when, and what follows from them. Pure.

Feed it commands and what the party at the phone does; carry out the effects it returns, in order; come back at
`next_at_ms()` and carry out `effects_due(now_ms)`. Whoever runs the sockets tells it how its streams fared.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from callpath.simulator.carrier import PACKET_MS, CarrierStream, StreamRequest, iso_time
from callpath.simulator.options import CarrierOptions
from callpath.simulator.refusal import refuse
from callpath.wire.api import ActiveCall, CallStatus
from callpath.wire.command import (
    Answer,
    Command,
    Dial,
    Encoding,
    Hangup,
    PlaybackStart,
    Reject,
    Speak,
    StreamCodec,
    StreamingStart,
    StreamingStop,
    Transfer,
)
from callpath.wire.ids import CallControlId, LegId, SessionId, StreamId
from callpath.wire.media import MediaFormat
from callpath.wire.webhook import (
    CallAnswered,
    CallBridged,
    CallDtmfReceived,
    CallHangup,
    CallInitiated,
    CallPayload,
    CallPlaybackEnded,
    CallPlaybackStarted,
    CallQuality,
    CallSpeakEnded,
    CallSpeakStarted,
    InboundQuality,
    OutboundQuality,
    StreamingFailed,
    StreamingStarted,
    StreamingStopped,
    StreamParams,
    Webhook,
)

DUPLICATE_MS = 60_000
"""How long a command_id is remembered. One documentation page says 60 s."""

KEPT_MS = 600_000
"""How long an ended call can still be asked for. Documented."""

State = Literal["parked", "ringing", "answered", "ended"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """Who talks to whom on this leg, and its ids."""

    call_control_id: CallControlId
    call_leg_id: LegId
    call_session_id: SessionId
    connection_id: str
    from_: str
    to: str
    direction: Literal["incoming", "outgoing"]
    codec: Encoding = "PCMU"


@dataclass(frozen=True, slots=True)
class SendWebhook:
    """Deliver this event; the sender fills in attempt and address."""

    webhook: Webhook
    url: str | None
    """The call's own address for this event, if a command set one."""


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Open the media WebSocket of `stream`, then say `stream_opened` or `stream_failed`."""

    stream: CarrierStream


@dataclass(frozen=True, slots=True)
class StopStream:
    """`stream` has something to send at once: its stop. Say `stream_closed` when the socket is closed."""

    stream: CarrierStream


@dataclass(frozen=True, slots=True)
class DialParty:
    """A transfer calls its target on a leg of its own in the same session."""

    transfer: Transfer


Effect = SendWebhook | OpenStream | StopStream | DialParty


@dataclass(slots=True)
class _Sound:
    """Something that Telnyx itself plays: a speak or a playback."""

    command: Speak | PlaybackStart
    starts_at_ms: float
    ends_at_ms: float
    sound_id: str
    started: bool = False


class CarrierCall:
    """One leg. `epoch_unix_ms` is the wall time at which `now_ms` is 0; `new_id` makes a UUID."""

    def __init__(
        self,
        leg: Leg,
        options: CarrierOptions,
        *,
        new_id: Callable[[], str],
        epoch_unix_ms: float = 0.0,
        client_state: str | None = None,
        webhook_url: str | None = None,
    ) -> None:
        self.leg = leg
        self.state: State = "parked" if leg.direction == "incoming" else "ringing"
        self.streams: list[CarrierStream] = []
        """All that were ever opened; the last one may be running."""
        self.stream: CarrierStream | None = None
        self.hangup: CallHangup | None = None
        self.ended_at_ms: float | None = None
        self.answered_at_ms: float | None = None
        self._options = options
        self._new_id = new_id
        self._epoch_unix_ms = epoch_unix_ms
        self._client_state = client_state
        self._webhook_url = webhook_url
        self._webhook_urls: dict[str, str] = {}
        self._began_at_ms = 0.0
        self._seen: dict[str, float] = {}
        self._timers: list[tuple[float, int, Callable[[float], list[Effect]]]] = []
        self._timer_number = 0
        self._answering = False
        self._sends_silence = False
        self._sounds: list[_Sound] = []
        self._sound_packets = 0
        self._with_answer: Answer | Dial | None = None

    # --- the party at the phone ---

    def begin(self, now_ms: float, dial: Dial | None = None) -> list[Effect]:
        """The call comes in, or goes out by `dial`."""
        self._began_at_ms = now_ms
        leg = self.leg
        if dial is not None:
            self._with_answer = dial
            self._sends_silence = bool(dial.send_silence_when_idle)
            self._webhook_urls = _webhook_urls(dial)
            self._at(now_ms + 1000 * (dial.timeout_secs or 30), self._ring_out)  # 30 s is the documented default
            if dial.time_limit_secs:
                self._at(now_ms + 1000 * dial.time_limit_secs, lambda at: self._end(at, "time_limit", "unknown", "200"))
        incoming = leg.direction == "incoming"
        effects: list[Effect] = [
            self._webhook(
                now_ms,
                "call.initiated",
                CallInitiated,
                **self._parties(),
                direction=leg.direction,
                state="parked" if incoming else "bridging",
                start_time=self._time(now_ms),
                **(
                    {
                        "caller_id_name": leg.from_,
                        "offered_codecs": f"{leg.codec},G729",
                        "connection_codecs": "PCMA,PCMU,VP8,H264",
                        # 192.0.2.0/24 is for documentation (RFC 5737).
                        "from_sip_uri": f"{leg.from_.removeprefix('+1')}@192.0.2.10:5060",
                        "to_sip_uri": f"{leg.to}@192.0.2.20:5060",
                    }
                    if incoming
                    else {}
                ),
            )
        ]
        if dial is not None and dial.stream_url and dial.stream_establish_before_call_originate:
            effects += self._open_stream(dial)
            self._with_answer = None
        return effects

    def party_answers(self, now_ms: float) -> list[Effect]:
        """The dialled party picks up."""
        return self._answer(now_ms) if self.state == "ringing" else []

    def party_rejects(self, now_ms: float, cause: Literal["user_busy", "call_rejected"]) -> list[Effect]:
        """The dialled party is busy, or declines."""
        if self.state != "ringing":
            return []
        return self._end(now_ms, cause, "callee", "486" if cause == "user_busy" else "603")

    def party_hangs_up(self, now_ms: float) -> list[Effect]:
        """The person at the phone hangs up, or gives up waiting."""
        incoming = self.leg.direction == "incoming"
        if self.state == "parked":
            return self._end(now_ms, "originator_cancel", "caller", "487")
        return self._end(now_ms, "normal_clearing", "caller" if incoming else "callee", "200")

    def press(self, digit: str, now_ms: float) -> list[Effect]:
        """A key was pressed: an event here, and a frame on a running stream."""
        if self.state != "answered":
            return []
        if self.stream is not None:
            self.stream.press(digit, now_ms)
        return [self._webhook(now_ms, "call.dtmf.received", CallDtmfReceived, **self._parties(), digit=digit)]

    def bridged(self, now_ms: float) -> list[Effect]:
        """This leg was joined to another."""
        return [self._webhook(now_ms, "call.bridged", CallBridged, **self._parties())]

    # --- the application's commands ---

    def receive_command(self, command: Command, now_ms: float) -> list[Effect]:
        """Carry out `command`. Raises Refused where Telnyx would refuse it; a repeated command_id does nothing."""
        if command.command_id is not None and self._is_repeated(command.command_id, now_ms):
            return []
        self._check(command)
        if command.command_id is not None:
            self._seen[command.command_id] = now_ms
        if command.client_state is not None:
            self._client_state = command.client_state
        match command:
            case Answer():
                return self._receive_answer(command, now_ms)
            case Reject():
                busy = command.cause == "USER_BUSY"
                cause, sip = ("user_busy", "486") if busy else ("call_rejected", "603")
                return self._end(now_ms, cause, "callee", sip)
            case Hangup():
                # The application is the callee of a call that came in, the caller of one that it dialled.
                incoming = self.leg.direction == "incoming"
                return self._end(now_ms, "normal_clearing", "callee" if incoming else "caller", "200")
            case StreamingStart():
                return self._open_stream(command)
            case StreamingStop():
                return self._stop_stream(now_ms)
            case Speak() | PlaybackStart():
                return self._play(command, now_ms)
            case Transfer():
                return [DialParty(command)]
            case _:
                return []

    def _is_repeated(self, command_id: str, now_ms: float) -> bool:
        self._seen = {one: at for one, at in self._seen.items() if now_ms - at < DUPLICATE_MS}
        return command_id in self._seen

    def _check(self, command: Command) -> None:
        if self.state == "ended":
            raise refuse("90018")
        outgoing = self.leg.direction == "outgoing"
        match command:
            case Answer() if outgoing:
                raise refuse("90102")
            case StreamingStart() | StreamingStop() | Speak() | PlaybackStart() if self.state != "answered":
                raise refuse("90034")
            case StreamingStart() if self.stream is not None:
                raise refuse("90045")
            case StreamingStop() if self.stream is None or (
                command.stream_id is not None and command.stream_id != self.stream.request.stream_id
            ):
                raise refuse("90048")
            case Reject() if self.state == "answered" or outgoing:
                # "Only before answering" is documented, a code is not.
                raise refuse("10015")
            case _:
                pass

    def _receive_answer(self, command: Answer, now_ms: float) -> list[Effect]:
        if command.webhook_url is not None:
            self._webhook_url = command.webhook_url
        self._webhook_urls |= _webhook_urls(command)
        if self._answering or self.state == "answered":
            return []  # a second answer: what Telnyx does is unknown
        self._answering = True
        self._with_answer = command
        self._sends_silence = bool(command.send_silence_when_idle)
        self._at(now_ms + self._options.answer_ms, self._answer)
        return []

    def _answer(self, now_ms: float) -> list[Effect]:
        if self.state == "ended":
            return []
        self.state = "answered"
        self.answered_at_ms = now_ms
        effects: list[Effect] = [
            self._webhook(
                now_ms,
                "call.answered",
                CallAnswered,
                **self._parties(),
                start_time=self._time(self._began_at_ms),
                codec=self.leg.codec,
                sampling_rate=8000 if self.leg.codec != "AMR-WB" else 16000,
            )
        ]
        if self._with_answer is not None and self._with_answer.stream_url:
            effects += self._open_stream(self._with_answer)
        return effects

    # --- streams ---

    def _open_stream(self, command: StreamingStart | Answer | Dial) -> list[Effect]:
        if not command.stream_url:
            return []  # a stream for Dialogflow has no socket of ours
        request = stream_request(
            command, self.leg, self._options, StreamId(self._new_id()), client_state=self._client_state
        )
        return self._start(request)

    def _start(self, request: StreamRequest) -> list[Effect]:
        self.stream = CarrierStream(request, self._options, epoch_unix_ms=self._epoch_unix_ms)
        self.streams.append(self.stream)
        return [OpenStream(self.stream)]

    def _stop_stream(self, now_ms: float) -> list[Effect]:
        stream = self.stream
        if stream is None:
            return []
        stream.hang_up(now_ms)
        return [StopStream(stream)]

    def stream_opened(self, stream: CarrierStream, now_ms: float) -> list[Effect]:
        """The server took the socket."""
        url = stream.request.url
        return [self._webhook(now_ms, "streaming.started", StreamingStarted, stream_url=url)]

    def stream_failed(self, stream: CarrierStream, reason: str, now_ms: float) -> list[Effect]:
        """The socket could not be opened (`connection_failed`), or was lost (`disconnected`)."""
        if self.stream is stream:
            self.stream = None
        if self.state == "ended":
            return []
        params = StreamParams(stream_url=stream.request.url, track=stream.request.track)
        return [
            self._webhook(
                now_ms,
                "streaming.failed",
                StreamingFailed,
                failure_reason=reason,
                stream_id=stream.request.stream_id,
                stream_type="websocket",
                stream_params=params,
            )
        ]

    def stream_lost(self, stream: CarrierStream, now_ms: float) -> list[Effect]:
        """The socket went away without our doing: once more, or failed, as the options say."""
        reopened = sum(one.request.url == stream.request.url for one in self.streams) > 1
        if self._options.reconnect and not reopened and self.state == "answered" and self.stream is stream:
            return self._start(replace(stream.request, stream_id=StreamId(self._new_id())))
        return self.stream_failed(stream, "disconnected", now_ms)

    def stream_closed(self, stream: CarrierStream, now_ms: float) -> list[Effect]:
        """The stop frame went out and the socket is closed."""
        if self.stream is stream:
            self.stream = None
        return [self._webhook(now_ms, "streaming.stopped", StreamingStopped, stream_url=stream.request.url)]

    # --- what Telnyx itself plays ---

    def _play(self, command: Speak | PlaybackStart, now_ms: float) -> list[Effect]:
        """Sounds queue, so one begins when the one before it has ended."""
        starts_at_ms = max([now_ms, *(sound.ends_at_ms for sound in self._sounds)])
        duration_ms = (
            self._options.speak_ms_per_char * len(command.payload)
            if isinstance(command, Speak)
            else self._options.playback_ms
        )
        sound = _Sound(command, starts_at_ms, starts_at_ms + duration_ms, self._new_id())
        self._sounds.append(sound)
        self._at(sound.starts_at_ms, lambda at: self._sound_starts(sound, at))
        self._at(sound.ends_at_ms, lambda at: self._sound_ends(sound, at, "completed"))
        return self.effects_due(now_ms)

    def _sound_starts(self, sound: _Sound, now_ms: float) -> list[Effect]:
        if sound not in self._sounds:
            return []
        sound.started = True
        if isinstance(sound.command, Speak):
            return [self._webhook(now_ms, "call.speak.started", CallSpeakStarted, speak_id=sound.sound_id)]
        return [self._webhook(now_ms, "call.playback.started", CallPlaybackStarted, **_media(sound.command))]

    def _sound_ends(self, sound: _Sound, now_ms: float, status: str) -> list[Effect]:
        if sound not in self._sounds:
            return []
        self._sounds.remove(sound)
        if not sound.started:
            return []
        self._sound_packets += int(max(0.0, now_ms - sound.starts_at_ms) // PACKET_MS)
        if isinstance(sound.command, Speak):
            return [self._webhook(now_ms, "call.speak.ended", CallSpeakEnded, speak_id=sound.sound_id, status=status)]
        return [self._webhook(now_ms, "call.playback.ended", CallPlaybackEnded, **_media(sound.command), status=status)]

    # --- the end ---

    def _ring_out(self, now_ms: float) -> list[Effect]:
        return self._end(now_ms, "timeout", "unknown", "487") if self.state == "ringing" else []

    def _end(self, now_ms: float, cause: str, source: str, sip_cause: str) -> list[Effect]:
        """Events in the order of the one capture: call.hangup, call.speak.ended, later streaming.stopped."""
        if self.state == "ended":
            return []
        self.state = "ended"
        self.ended_at_ms = now_ms
        sounds = [effect for sound in list(self._sounds) for effect in self._sound_ends(sound, now_ms, "call_hangup")]
        stop = self._stop_stream(now_ms)
        quality = self._quality(now_ms)
        hangup = self._webhook(
            now_ms,
            "call.hangup",
            CallHangup,
            **self._parties(),
            hangup_cause=cause,
            hangup_source=source,
            sip_hangup_cause=sip_cause,
            call_quality_stats=quality,
            start_time=self._time(self._began_at_ms),
            end_time=self._time(now_ms),
        )
        assert isinstance(hangup.webhook.payload, CallHangup)
        self.hangup = hangup.webhook.payload
        self._timers.clear()
        return [*stop, hangup, *sounds]

    def _quality(self, now_ms: float) -> CallQuality | None:
        if self.answered_at_ms is None:
            return None
        received = int((now_ms - self.answered_at_ms) // PACKET_MS)
        played = sum(stream.counters.packets_played for stream in self.streams) + self._sound_packets
        return CallQuality(
            inbound=InboundQuality(
                packet_count=str(received),
                skip_packet_count="0",
                jitter_packet_count="0",
                jitter_max_variance="0.00",
                mos="4.50",
            ),
            outbound=OutboundQuality(
                packet_count=str(max(received, played) if self._sends_silence else played), skip_packet_count="0"
            ),
        )

    # --- what can be asked ---

    def status(self, now_ms: float) -> CallStatus:
        """The answer to GET /calls/{id}."""
        end_ms = self.ended_at_ms
        return CallStatus(
            call_control_id=self.leg.call_control_id,
            call_leg_id=self.leg.call_leg_id,
            call_session_id=self.leg.call_session_id,
            is_alive=self.state != "ended",
            record_type="call",
            client_state=self._client_state,
            start_time=self._time(self._began_at_ms),
            end_time=None if end_ms is None else self._time(end_ms),
            call_duration=self._duration_s(now_ms),
        )

    def active(self, now_ms: float) -> ActiveCall:
        """The row of active_calls."""
        return ActiveCall(
            call_control_id=self.leg.call_control_id,
            call_leg_id=self.leg.call_leg_id,
            call_session_id=self.leg.call_session_id,
            call_duration=self._duration_s(now_ms),
            client_state=self._client_state or "",
            record_type="call",
        )

    def is_forgotten(self, now_ms: float) -> bool:
        """An ended call can be asked for during 10 minutes."""
        return self.ended_at_ms is not None and now_ms - self.ended_at_ms > KEPT_MS

    def _duration_s(self, now_ms: float) -> int:
        end_ms = now_ms if self.ended_at_ms is None else self.ended_at_ms
        return int((end_ms - self._began_at_ms) // 1000)

    # --- time and events ---

    def next_at_ms(self) -> float | None:
        """When `effects_due` has something; None while nothing is planned."""
        return self._timers[0][0] if self._timers else None

    def effects_due(self, now_ms: float) -> list[Effect]:
        """What was planned for now."""
        effects: list[Effect] = []
        while self._timers and self._timers[0][0] <= now_ms:
            at_ms, _, act = heapq.heappop(self._timers)
            effects += act(max(at_ms, self._began_at_ms))
        return effects

    def _at(self, at_ms: float, act: Callable[[float], list[Effect]]) -> None:
        self._timer_number += 1
        heapq.heappush(self._timers, (at_ms, self._timer_number, act))

    def _time(self, at_ms: float) -> str:
        return iso_time(self._epoch_unix_ms + at_ms)

    def _parties(self) -> dict[str, Any]:
        return {"from_": self.leg.from_, "to": self.leg.to}

    def _webhook(self, now_ms: float, event_type: str, cls: type[CallPayload], **fields: Any) -> SendWebhook:
        leg = self.leg
        payload = cls(
            call_control_id=leg.call_control_id,
            call_leg_id=leg.call_leg_id,
            call_session_id=leg.call_session_id,
            connection_id=leg.connection_id,
            client_state=self._client_state,
            calling_party_type="pstn" if leg.direction == "incoming" else None,
            **fields,
        )
        # Real calls carry null where no state was set; the OpenAPI file says string.
        unset = {"data": {"payload": {"client_state": None}}} if self._client_state is None else {}
        webhook = Webhook(
            id=self._new_id(), event_type=event_type, payload=payload, occurred_at=self._time(now_ms), extra=unset
        )
        return SendWebhook(webhook, self._webhook_urls.get(event_type, self._webhook_url))


def stream_request(
    command: StreamingStart | Answer | Dial,
    leg: Leg,
    options: CarrierOptions,
    stream_id: StreamId,
    *,
    client_state: str | None = None,
) -> StreamRequest:
    """What `command` asks for, with Telnyx's default in every place that it leaves out."""
    # Answer takes neither rate, token nor custom parameters: what Telnyx does with them there is unknown; ignored.
    rate = 8000 if isinstance(command, Answer) else command.stream_bidirectional_sampling_rate or 8000
    token = None if isinstance(command, Answer) else command.stream_auth_token
    listed = command.custom_parameters if isinstance(command, StreamingStart) else None
    codec: Encoding = command.stream_bidirectional_codec or "PCMU"
    return StreamRequest(
        url=command.stream_url or "",
        stream_id=stream_id,
        call_control_id=leg.call_control_id,
        call_session_id=leg.call_session_id,
        media_format=_media_format(command.stream_codec or "default", leg.codec, rate, options),
        track=command.stream_track or "inbound_track",
        mode=command.stream_bidirectional_mode or "mp3",
        codec=codec,
        sample_rate_hz=_RATES_HZ.get(codec, rate),
        target_legs=command.stream_bidirectional_target_legs or "opposite",
        auth_token=token,
        custom_parameters={one.name: one.value for one in listed} if listed else None,
        client_state=client_state,
        from_=leg.from_,
        to=leg.to,
    )


def _media_format(asked: StreamCodec, of_leg: Encoding, rate: int, options: CarrierOptions) -> MediaFormat:
    g711 = ("PCMU", "PCMA")
    encoding = of_leg if asked == "default" else asked
    if options.stream_codec_only_g711 and not (of_leg in g711 and encoding in g711):
        encoding = of_leg
    # L16 and OPUS arrive at the sampling rate of the command: observed for L16 at its default of 8000.
    return MediaFormat(encoding=encoding, sample_rate=_RATES_HZ.get(encoding, rate))


_RATES_HZ = {"PCMU": 8000, "PCMA": 8000, "G722": 8000, "AMR-WB": 16000}
"""Codecs that have one rate, whatever the command says; G722's is that of its RTP clock."""


def _webhook_urls(command: Answer | Dial) -> dict[str, str]:
    """`webhook_urls`: one address for each event type. It has no field of its own in `wire`."""
    urls = command.extra.get("webhook_urls")
    return {str(name): url for name, url in urls.items() if isinstance(url, str)} if isinstance(urls, dict) else {}


def _media(playback: PlaybackStart) -> dict[str, Any]:
    return {
        "media_url": playback.audio_url,
        "media_name": playback.media_name,
        "overlay": bool(playback.overlay),
    }
