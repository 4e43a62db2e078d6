"""One leg of a call as Telnyx keeps it: which commands are legal when, and what follows from them. Pure.

Feed it commands and what the party at the phone does; carry out the effects it returns, in order; come back at
`next_at_ms()` and carry out `effects_due(now_ms)`. Whoever runs the sockets tells it how its streams fared.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol

import msgspec
import numpy as np

from callpath.audio.codec import Encoder, Pcm, open_encoder
from callpath.audio.resample import resample_file_audio
from callpath.audio.tone import tone
from callpath.errors import AudioError
from callpath.simulator.callee import Answering, Presents
from callpath.simulator.carrier import PACKET_MS, CarrierStream, StreamRequest, iso_time
from callpath.simulator.detection import detections
from callpath.simulator.gather import Gathering, Result
from callpath.simulator.line import PhoneLine, Voice
from callpath.simulator.notices import Notices
from callpath.simulator.options import CarrierOptions
from callpath.simulator.recording import Recording, steer
from callpath.simulator.refusal import refuse
from callpath.simulator.relay import (
    Finish,
    Play,
    Press,
    RelayAct,
    RelayParties,
    RelaySession,
    Say,
    relay_settings,
)
from callpath.simulator.sound import (
    KEY_PAUSE_MS,
    KEY_PAUSES_MS,
    SAMPLE_RATE_HZ,
    Began,
    Ended,
    Happening,
    Sound,
    Sounds,
    Status,
    decode_content,
    hum,
    key_tones,
    repeats,
    ringback,
    silence,
)
from callpath.wire.api import ActiveCall, CallStatus
from callpath.wire.command import (
    Answer,
    Bridge,
    Command,
    ConversationRelayStart,
    ConversationRelayStop,
    Dial,
    Encoding,
    Enqueue,
    ForkStart,
    ForkStop,
    Gather,
    GatherStop,
    GatherUsingAudio,
    GatherUsingSpeak,
    Hangup,
    LeaveQueue,
    PlaybackStart,
    PlaybackStop,
    RecordPause,
    RecordResume,
    RecordStart,
    RecordStop,
    Refer,
    Reject,
    SendDtmf,
    Speak,
    StreamCodec,
    StreamingStart,
    StreamingStop,
    SupervisorRole,
    SuppressionStart,
    SuppressionStop,
    SwitchSupervisorRole,
    TranscriptionStart,
    TranscriptionStop,
    Transfer,
)
from callpath.wire.document import Json, write
from callpath.wire.ids import CallControlId, LegId, SessionId, StreamId
from callpath.wire.media import MediaFormat
from callpath.wire.webhook import (
    EVENTS,
    CallAnswered,
    CallBridged,
    CallConversationEnded,
    CallDtmfReceived,
    CallForkStarted,
    CallForkStopped,
    CallGatherEnded,
    CallHangup,
    CallHold,
    CallInitiated,
    CallPayload,
    CallPlaybackEnded,
    CallPlaybackStarted,
    CallQuality,
    CallRecordingError,
    CallRecordingSaved,
    CallRecordingTranscriptionSaved,
    CallReferStarted,
    CallSpeakEnded,
    CallSpeakStarted,
    CallTranscription,
    ConferencePayload,
    ConferenceWebhook,
    Header,
    InboundQuality,
    OutboundQuality,
    RecordingUrls,
    StreamingFailed,
    StreamingStarted,
    StreamingStopped,
    StreamParams,
    TranscriptionData,
    Webhook,
)

DUPLICATE_MS = 60_000
"""How long a command_id is remembered. One documentation page says 60 s."""

KEPT_MS = 600_000
"""How long an ended call can still be asked for. Documented."""

TIME_LIMIT_S = 14_400
"""Longest outbound call, documented as default and maximum."""

RING_S = 30
"""How long a dialled phone rings, documented default."""

KEY_MS = 250
"""Length of a tone of send_dtmf, documented default."""

PERSON = Presents("human")
"""The callee that detection judges where there is no script."""

REFER_MS = 100
"""From a REFER to its NOTIFY. Unknown."""

REFER_REFUSED = 603
"""Answer of a phone on the telephone network to a REFER, in practice: it cannot follow one."""

BEEP = tone(1_000, duration_ms=200)
"""`play_beep` of a recording. How Telnyx's sounds is unknown."""

REJECTED = {
    "USER_BUSY": ("user_busy", "486"),
    "CALL_REJECTED": ("call_rejected", "603"),
    "NOT_FOUND": ("not_found", "404"),
    "TEMPORARILY_UNAVAILABLE": ("unspecified", "480"),
}
"""Cause of `reject` → hangup_cause and SIP status. The statuses are documented; the last hangup_cause is not."""

NEEDS_ANSWER = (
    StreamingStart, StreamingStop, Speak, PlaybackStart, PlaybackStop, Gather, GatherUsingAudio, GatherUsingSpeak,
    GatherStop, SendDtmf, RecordStop, TranscriptionStart, TranscriptionStop, ForkStart, ForkStop, Bridge,
    ConversationRelayStart,
)  # fmt: skip
"""Commands that are refused with 90034 before the call is answered."""

AfterUnbridge = Literal["hang_up", "park", "hold"]
State = Literal["parked", "ringing", "answered", "ended"]
EndedBy = Literal["program", "party", "carrier"]
"""Whose doing the end was: a command's, the phone's, or a timer's."""


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

    webhook: Webhook | ConferenceWebhook
    url: str | None
    """The call's own address for this event, if a command set one."""
    method: Literal["POST", "GET"] = "POST"
    retries_ms: tuple[int, ...] | None = None
    """The call's own pauses before each retry of this event, if a command set them."""


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


@dataclass(frozen=True, slots=True)
class JoinLegs:
    """Bridge this call with the one that the command names. Say `bridged` to both, and later `unbridged`."""

    command: Bridge


@dataclass(frozen=True, slots=True)
class FetchSound:
    """Get the file of this sound, by its `audio_url` or `media_name`, then say `sound_fetched`."""

    sound: Sound


@dataclass(frozen=True, slots=True)
class SaveRecording:
    """Make the file of this recording, then say `recording_saved`. A conference's has sides and an end of its own."""

    recording: Recording
    sides: Callable[[], tuple[Pcm, Pcm]] | None = None
    saved: Callable[[str | None, float], list[Effect]] | None = None


@dataclass(frozen=True, slots=True)
class PartySpeaks:
    """The party at the phone says this. `waits`: as soon as somebody can hear it."""

    audio: Pcm
    waits: bool = False
    words: str | None = None


@dataclass(frozen=True, slots=True)
class OpenRelay:
    """Open the socket of this Conversation Relay; say `relay_opened`, `relay_acts` and at last `relay_closed`."""

    session: RelaySession


@dataclass(frozen=True, slots=True)
class WakeRelay:
    """This relay has something to send, or is over."""

    session: RelaySession


@dataclass(frozen=True, slots=True)
class Renamed:
    """The leg has another call_control_id from now on."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Effects on another leg."""

    call: CarrierCall
    effects: list[Effect]


@dataclass(frozen=True, slots=True)
class JoinConference:
    """A dialled leg wants to be in a conference, by the `conference_config` of its dial."""

    config: Json


@dataclass(frozen=True, slots=True)
class Supervise:
    """A dialled leg is answered, and listens to another one."""

    call_control_id: str
    role: SupervisorRole


@dataclass(frozen=True, slots=True)
class JoinQueue:
    """Put this leg into the queue that the command names."""

    command: Enqueue


Effect = (
    SendWebhook
    | OpenStream
    | StopStream
    | DialParty
    | JoinLegs
    | FetchSound
    | SaveRecording
    | PartySpeaks
    | Elsewhere
    | JoinConference
    | Supervise
    | JoinQueue
    | OpenRelay
    | Renamed
    | WakeRelay
)


class WaitingLine(Protocol):
    """A queue, as its legs see it."""

    def leave(
        self, call: CarrierCall, now_ms: float, reason: Literal["bridged", "leave", "timeout", "hangup"]
    ) -> list[Effect]: ...


class Room(Protocol):
    """A conference, as its legs see it."""

    @property
    def members(self) -> Sequence[CarrierCall]: ...

    def audible_to(self, call: CarrierCall) -> list[CarrierCall]: ...

    def leave(self, call: CarrierCall, now_ms: float) -> list[Effect]: ...

    def spoke(self, call: CarrierCall, now_ms: float) -> list[Effect]: ...


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
        answering: Answering | None = None,
    ) -> None:
        self.leg = leg
        self.state: State = "parked" if leg.direction == "incoming" else "ringing"
        self.streams: list[CarrierStream] = []
        """All that were ever opened; the last one may be running."""
        self.stream: CarrierStream | None = None
        self.hangup: CallHangup | None = None
        self.ended_by: EndedBy | None = None
        self.ended_at_ms: float | None = None
        self.answered_at_ms: float | None = None
        self.reconnects = options.reconnect
        """Whether a lost stream is opened once more. TeXML has a setting of its own."""
        self.recording_id: str | None = None
        """Of the recording that answer or dial asked for."""
        self.opposite: CarrierCall | None = None
        """The leg that this one is bridged to."""
        self.voice = Voice()
        """Speech of the party."""
        self.line = PhoneLine(options.l16_byte_order)
        """What the party hears that no stream of this leg brings."""
        self.digits_sent = ""
        """What send_dtmf played to the phone."""
        self.keys_heard: list[tuple[float, str]] = []
        """Keys that reached the party: of send_dtmf, and those that a bridged party pressed."""
        self.after_unbridge: AfterUnbridge = "hang_up"
        """Park, hold or end this leg when it is taken out of a bridge."""
        self.relay: RelaySession | None = None
        """The Conversation Relay that runs."""
        self.relays: list[RelaySession] = []
        """Every relay that was ever started."""
        self._relay_speaks: dict[int, tuple[str, str, Speak | PlaybackStart]] = {}
        self.queue: WaitingLine | None = None
        """The queue that this leg waits in."""
        self.room: Room | None = None
        """The conference that this leg is in."""
        self.supervised: CarrierCall | None = None
        """The leg whose call this one listens to, as its supervisor."""
        self.supervisor_role: SupervisorRole = "barge"
        self.supervisors: list[CarrierCall] = []
        self.is_silenced = False
        """A supervisor that switched its role: it was observed to be silent from then on, and to hear nothing."""
        self.early_media = False
        """True if the leg that waits for this one hears it ring."""
        self.mutes_keys: Literal["none", "both", "self", "opposite"] = "none"
        """The side whose keys are not passed on in a bridge: `mute_dtmf`."""
        self.message_from_ms: float | None = None
        """Moment at which the callee's voicemail began to record."""
        self._answering_machine = answering
        self.hearers: list[CarrierCall] = []
        """Legs whose party hears this one."""
        self.targets: list[CarrierCall] = []
        """Legs that are being dialled for this one."""
        self.bridged_at_ms: float | None = None
        self.bridged_ms = 0.0
        self._speakers: dict[CarrierCall, float] = {}
        self._heard_before: list[tuple[CarrierCall, float, float]] = []
        self._bridge_to: CarrierCall | None = None
        self._announcement: Sound | None = None
        self._placed: Dial | Transfer | None = None
        self._options = options
        self._new_id = new_id
        self._epoch_unix_ms = epoch_unix_ms
        self._client_state = client_state
        self._notices = Notices()
        self._began_at_ms = 0.0
        self._seen: dict[str, float] = {}
        self._timers: list[tuple[float, int, Callable[[float], list[Effect]]]] = []
        self._timer_number = 0
        self._answering = False
        self._commanded = False
        self._sends_silence = False
        self._sounds = Sounds()
        self._encoder: Encoder | None = None
        self._gathering: Gathering | None = None
        self._recordings: list[Recording] = []
        self._recording_asked: RecordStart | None = None
        self._digits_asked: str | None = None
        self._transcribed: str | None = None
        self._interim_results = False
        self.cancel_reason: str | None = None
        """The `reason` of the hangup that cancelled this leg's ringing: what the far end's phone is told."""
        self._fork: ForkStart | None = None
        self._with_answer: Answer | Dial | None = None
        self._rung_out: Literal["timeout", "no_answer"] = "timeout"

    # --- the party at the phone ---

    def begin(self, now_ms: float, placed: Dial | Transfer | None = None) -> list[Effect]:
        """The call comes in, or goes out by `placed`."""
        self._began_at_ms = now_ms
        leg = self.leg
        options = self._options
        self._placed = placed
        if placed is not None:
            self._notices.read(placed)
            self._read_recording(placed)
            self._digits_asked = placed.send_digits_on_answer
            self._at(now_ms + 1000 * (placed.timeout_secs or RING_S), self._ring_out)
            if isinstance(placed, Dial) and placed.retry_on_timeout is False:
                self._rung_out = "no_answer"
            limit_ms = 1000 * (placed.time_limit_secs or TIME_LIMIT_S)
            self._at(now_ms + limit_ms, lambda at: self._end(at, "time_limit", "unknown", "200"))
        elif leg.direction == "incoming" and options.first_command_timeout:
            self._at(now_ms + 1000 * options.first_command_timeout_secs, self._first_command_due)
        if self._answering_machine is not None:
            self._at(now_ms + self._answering_machine.rings_ms, self._pick_up)
        dial = placed if isinstance(placed, Dial) else None
        joins: list[Effect] = []
        if dial is not None and dial.conference_config is not None and dial.conference_config.get("early_media", True):
            self.rings_aloud(now_ms)
            joins = [JoinConference(dial.conference_config)]
        if dial is not None:
            self._with_answer = dial
            self._sends_silence = bool(dial.send_silence_when_idle)
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
            effects += self._open_stream(dial, now_ms)
            self._with_answer = None
        return effects + joins

    def _pick_up(self, now_ms: float) -> list[Effect]:
        """The script of the dialled party: it answers, rejects, or lets it ring."""
        script = self._answering_machine
        if script is None or self.state != "ringing" or script.callee.never_answers:
            return []
        if (rejection := script.callee.rejection) is not None:
            cause, source, sip = rejection
            return self._end(now_ms, cause, source, sip, "party", d_code=script.callee.d_code)
        effects = self._answer(now_ms)
        for one in script.speech():
            self._at(now_ms + one.after_ms, partial(self._speak_as, PartySpeaks(one.audio, one.waits, one.words)))
        if (hangs_up_ms := script.hangs_up_ms()) is not None:
            self._at(now_ms + hangs_up_ms, self.party_hangs_up)
        if (message_ms := script.message_from_ms()) is not None:
            self.message_from_ms = now_ms + message_ms
        return effects

    def _speak_as(self, speaks: PartySpeaks, _: float) -> list[Effect]:
        return [speaks]

    def party_hears_key(self, digit: str, now_ms: float) -> list[Effect]:
        """A key's tone reached the party; a menu acts on it."""
        if self.state != "answered":
            return []
        self.keys_heard.append((now_ms, digit))
        if self._answering_machine is None:
            return []
        reply, hangs_up = self._answering_machine.press(digit)
        if hangs_up:
            return self.party_hangs_up(now_ms)
        return [] if reply is None else [PartySpeaks(reply.audio, words=reply.words)]

    def party_answers(self, now_ms: float) -> list[Effect]:
        """The dialled party picks up."""
        return self._answer(now_ms) if self.state == "ringing" else []

    def party_rejects(self, now_ms: float, cause: Literal["user_busy", "call_rejected"]) -> list[Effect]:
        """The dialled party is busy, or declines."""
        if self.state != "ringing":
            return []
        busy = cause == "user_busy"
        return self._end(now_ms, cause, "unknown" if busy else "callee", "486" if busy else "603", "party")

    def party_hangs_up(self, now_ms: float) -> list[Effect]:
        """The person at the phone hangs up, or gives up waiting."""
        incoming = self.leg.direction == "incoming"
        if self.state == "parked":
            return self._end(now_ms, "originator_cancel", "caller", "487", "party")
        if self.state == "ringing":
            return self.party_rejects(now_ms, "call_rejected")
        return self._end(now_ms, "normal_clearing", "caller" if incoming else "callee", "200", "party")

    def press(self, digit: str, now_ms: float) -> list[Effect]:
        """A key was pressed: an event here, and a frame on a running stream."""
        if self.state != "answered":
            return []
        if self.stream is not None:
            self.stream.press(digit, now_ms)
        pressed = self._webhook(now_ms, "call.dtmf.received", CallDtmfReceived, **self._parties(), digit=digit)
        passed: list[Effect] = self._interrupt_relay("dtmf", now_ms)
        if self.relay is not None:
            self.relay.pressed(digit)
            passed.append(WakeRelay(self.relay))
        if self.opposite is not None and not self._mutes_keys and not self.opposite.mutes_their_keys:
            passed += [Elsewhere(self.opposite, self.opposite.party_hears_key(digit, now_ms))]
        return [pressed, *self._gather_digit(digit, now_ms), *passed]

    # --- together with other legs ---

    def join(self, other: CarrierCall, now_ms: float) -> list[Effect]:
        """Bridge this leg with `other`: each party hears the other. Either leaves the bridge it was in."""
        effects: list[Effect] = []
        if self.opposite is not other:  # bridged with each other already: whether call.bridged comes again is unknown
            effects = [*self.leave_others(now_ms), Elsewhere(other, other.leave_others(now_ms))]
            if "ended" in (self.state, other.state):
                return effects  # the conference that one of them left has ended, and hung the other up
        self.opposite, other.opposite = other, self
        effects += self.bridged(now_ms)
        self.refresh_hearing(now_ms)
        other.refresh_hearing(now_ms)
        return [*effects, Elsewhere(other, other.bridged(now_ms))]

    def join_when_answered(self, other: CarrierCall, now_ms: float, *, early_media: bool = True) -> None:
        """This leg is dialled for `other`, and bridged with it at the answer. Until then `other` hears it ring."""
        self._bridge_to = other
        other.targets.append(self)
        if early_media:
            self.rings_aloud(now_ms)
            other.refresh_hearing(now_ms)

    def rings_aloud(self, now_ms: float) -> None:
        """Let the parties that hear this leg hear its phone ring until it is answered."""
        rings_s = RING_S if self._placed is None else self._placed.timeout_secs or RING_S
        self.voice.say(now_ms, ringback(1000 * rings_s))
        self.early_media = True

    def leave_others(self, now_ms: float) -> list[Effect]:
        """Taken out of its queue, its bridge, or its conference."""
        queue = self.leave_queue(now_ms, "leave")
        room = [] if self.room is None else self.room.leave(self, now_ms)
        return [*queue, *room, *self.leave_bridge(now_ms)]

    def leave_queue(self, now_ms: float, reason: Literal["bridged", "leave", "timeout", "hangup"]) -> list[Effect]:
        """Taken out of its queue, where it is in one."""
        return [] if self.queue is None else self.queue.leave(self, now_ms, reason)

    def queue_event(self, now_ms: float, event_type: str, **fields: Any) -> SendWebhook:
        """An event of this leg in a queue."""
        return self._webhook(now_ms, event_type, EVENTS[event_type], **fields)

    def at(self, at_ms: float, act: Callable[[float], list[Effect]]) -> None:
        """Do this then, unless the leg has ended."""
        self._at(at_ms, act)

    def leave_bridge(self, now_ms: float) -> list[Effect]:
        """Taken out of its bridge; the other leg is parked, put on hold or hung up, by its own setting."""
        other, self.opposite = self.opposite, None
        if other is None:
            return []
        other.opposite = None
        for one in (self, other):
            one.refresh_hearing(now_ms)
            if one.bridged_at_ms is not None:
                one.bridged_ms += now_ms - one.bridged_at_ms
                one.bridged_at_ms = None
        return [Elsewhere(other, other.left_alone(now_ms))]

    def refresh_hearing(self, now_ms: float) -> None:
        """Work out again whom this party and its supervisors hear."""
        self._listen_to(self._audible(), now_ms)
        for one in self.supervisors:
            one.refresh_hearing(now_ms)

    def _audible(self) -> list[CarrierCall]:
        if self.state != "answered":
            return []
        if self.supervised is not None:
            near = self.supervised
            return [] if self.is_silenced else [near, *near.partners]
        if self.room is not None:
            return self.room.audible_to(self)
        aside = [one for one in self.supervisors if one.supervisor_role != "monitor" and not one.is_silenced]
        if self.opposite is not None:
            over = [one for one in self.opposite.supervisors if one.supervisor_role == "barge" and not one.is_silenced]
            return [self.opposite, *aside, *over]
        return [*aside, *(one for one in self.targets if one.early_media)]

    @property
    def partners(self) -> list[CarrierCall]:
        """Legs that are in a bridge or a conference with this one."""
        if self.room is not None:
            return [one for one in self.room.members if one is not self]
        return [] if self.opposite is None else [self.opposite]

    def supervise(self, near: CarrierCall, role: SupervisorRole, now_ms: float) -> None:
        """This leg, just answered, listens to `near` and its partners, and is heard as its role says."""
        self.supervised, self.supervisor_role = near, role
        near.supervisors.append(self)
        self.refresh_supervision(now_ms)

    def refresh_supervision(self, now_ms: float) -> None:
        """Work out again whom a supervisor hears, and who hears it."""
        if self.supervised is not None:
            for one in (self.supervised, *self.supervised.partners):
                one.refresh_hearing(now_ms)
            self.refresh_hearing(now_ms)

    def _listen_to(self, speakers: Sequence[CarrierCall], now_ms: float) -> None:
        for one in [one for one in self._speakers if one not in speakers]:
            self._heard_before.append((one, self._speakers.pop(one), now_ms))
            one.hearers.remove(self)
            one.connect_streams()
        for one in speakers:
            if one not in self._speakers:
                self._speakers[one] = now_ms
                one.hearers.append(self)
                one.connect_streams()

    def bridged(self, now_ms: float) -> list[Effect]:
        self.bridged_at_ms = now_ms
        return [self._webhook(now_ms, "call.bridged", CallBridged, **self._parties())]

    def left_alone(self, now_ms: float) -> list[Effect]:
        match self.after_unbridge:
            case "park":
                return []
            case "hold":
                return [self._webhook(now_ms, "call.hold", CallHold, **self._parties())]
            case "hang_up":
                source = "callee" if self.leg.direction == "incoming" else "caller"
                return self._end(now_ms, "normal_clearing", source, "200", "party")

    def _join_target(self, now_ms: float) -> list[Effect]:
        """This leg was dialled for another one, and is answered: bridge them, this one first."""
        other, self._bridge_to = self._bridge_to, None
        if other is None or self.state != "answered":
            return []
        if self in other.targets:
            other.targets.remove(self)
        if other.state == "ended":
            return []
        if isinstance(self._placed, Dial) and self._placed.prevent_double_bridge and other.opposite is not None:
            return self._end(now_ms, "normal_clearing", "unknown", "200")
        return self.join(other, now_ms)

    def cancel_target(self, now_ms: float) -> list[Effect]:
        """The leg for which this one is dialled has ended."""
        self._bridge_to = None
        if isinstance(self._placed, Dial):
            return []  # a leg of its own: what Telnyx does with it is unknown, and it goes on
        if self.state == "ringing":
            return self._end(now_ms, "originator_cancel", "caller", "487")
        return self._end(now_ms, "normal_clearing", "caller", "200")

    @property
    def _mutes_keys(self) -> bool:
        """True if this party's keys are kept from its partner."""
        return self.mutes_keys in ("both", "self")

    @property
    def mutes_their_keys(self) -> bool:
        """True if the partner's keys are kept from this party."""
        return self.mutes_keys in ("both", "opposite")

    def transcript(self, text: str, now_ms: float, *, track: str = "inbound", is_final: bool = True) -> list[Effect]:
        """Somebody said `text`: an event, if the application asked for a transcription of that track."""
        if self._transcribed not in (track, "both") or self.state != "answered":
            return []
        # The track is documented for engine B only; the confidence is made up.
        said = TranscriptionData(transcript=text, confidence=0.9, is_final=is_final, transcription_track=track)
        return [self._webhook(now_ms, "call.transcription", CallTranscription, transcription_data=said)]

    # --- the application's commands ---

    def receive_command(self, command: Command, now_ms: float) -> list[Effect]:
        """Carry out `command`. Raises Refused where Telnyx would refuse it; a repeated command_id does nothing."""
        if command.command_id is not None and self._is_repeated(command.command_id, now_ms):
            return []
        self._check(command)
        self._commanded = True
        if command.command_id is not None:
            self._seen[command.command_id] = now_ms
        if command.client_state is not None:
            self._client_state = command.client_state
        match command:
            case Answer():
                return self._receive_answer(command, now_ms)
            case Reject():
                cause, sip = REJECTED[command.cause]
                return self._end(now_ms, cause, "callee", sip, "program")
            case Hangup():
                if self.state == "ringing":
                    self.cancel_reason = command.reason
                return self._receive_hangup(now_ms)
            case StreamingStart():
                return self._open_stream(command, now_ms)
            case StreamingStop():
                return self._stop_stream(now_ms, "streaming_stop")
            case Speak() | PlaybackStart():
                return self._play(command, now_ms)
            case PlaybackStop():
                overlay = bool(command.overlay)
                return self._told(self._sounds.stop(now_ms, command.stop or "all", "cancelled", overlay=overlay))
            case SendDtmf():  # no webhook is documented
                return self._send_digits(command.digits, command.duration_millis or KEY_MS, now_ms)
            case Gather() | GatherUsingAudio() | GatherUsingSpeak():
                return self._start_gather(command, now_ms)
            case GatherStop():
                return self._end_gather(now_ms, "cancelled")
            case RecordStart():
                return self._start_recording(command, self._new_id(), now_ms)
            case RecordPause() | RecordResume() | RecordStop():
                return self._end_recordings(steer(self._recordings, command, now_ms), now_ms)
            case TranscriptionStart():
                self._transcribed = command.transcription_tracks or "inbound"
                self._interim_results = bool((command.transcription_engine_config or {}).get("interim_results"))
                return []
            case TranscriptionStop():
                self._transcribed = None
                return []
            case ForkStart():
                self._fork = command
                started = self._webhook(now_ms, "call.fork.started", CallForkStarted, stream_type="decrypted")
                return [*self._stop_stream(now_ms, "fork_start"), started]
            case ForkStop():
                return self._end_fork(now_ms)
            case Enqueue():
                return [JoinQueue(command)]
            case LeaveQueue():
                return self.leave_queue(now_ms, "leave")
            case Refer():
                return self._refer(now_ms)
            case SuppressionStart() | SuppressionStop():
                return []  # no webhook is documented, and the sound stays as it is
            case ConversationRelayStart():
                return self.start_relay(*relay_settings(command, write(command)), now_ms)
            case ConversationRelayStop():
                return self._stop_relay()
            case SwitchSupervisorRole():
                self.supervisor_role = command.role
                self.is_silenced = self._options.switch_supervisor_role == "silences"
                self.refresh_supervision(now_ms)
                return []
            case Bridge():
                return [JoinLegs(command)]
            case Transfer():
                return [DialParty(command)]
            case _:
                return []

    def forget_command(self, command_id: str | None) -> None:
        """The command was refused after all: it may be sent again with its id."""
        self._seen.pop(command_id or "", None)

    def _stop_relay(self) -> list[Effect]:
        """End the relay; what Telnyx says where there is none is unknown, and here it does nothing."""
        if self.relay is None:
            return []
        self.relay.end()
        return [WakeRelay(self.relay)]

    def _refer(self, now_ms: float) -> list[Effect]:
        """The far end must be a SIP endpoint; after a success its call ends here. The cause of that end is unknown."""
        asked = self._options.refer_response
        other_end = self.leg.from_ if self.leg.direction == "incoming" else self.leg.to
        response = asked or (200 if other_end.lower().startswith("sip") else REFER_REFUSED)

        def answered(at_ms: float) -> list[Effect]:
            done = 200 <= response < 300
            name = "call.refer.completed" if done else "call.refer.failed"
            told = self._webhook(at_ms, name, EVENTS[name], **self._parties(), sip_notify_response=response)
            return [told, *(self._end(at_ms, "normal_clearing", "unknown", "200") if done else [])]

        self._at(now_ms + REFER_MS, answered)
        return [self._webhook(now_ms, "call.refer.started", CallReferStarted, **self._parties())]

    def _is_repeated(self, command_id: str, now_ms: float) -> bool:
        self._seen = {one: at for one, at in self._seen.items() if now_ms - at < DUPLICATE_MS}
        return command_id in self._seen

    def _check(self, command: Command) -> None:
        if self.state == "ended":
            raise refuse("90018")
        if self.supervised is not None and not isinstance(command, Hangup | SwitchSupervisorRole):
            raise refuse("90033", detail="Supervisor calls do not support commands.")  # observed; the code is unknown
        outgoing = self.leg.direction == "outgoing"
        match command:
            case Answer() if outgoing:
                raise refuse("90102")
            case Transfer() if self._options.transfer_unanswered == "refused" and self.state != "answered":
                raise refuse("90034")
            case RecordStart() if self.state != "answered":
                raise refuse("90020")
            case _ if isinstance(command, NEEDS_ANSWER) and self.state != "answered":
                raise refuse("90034")
            case StreamingStart() | ForkStart() if self._fork is not None:
                # One streaming or fork operation for each call; the code for a second fork is not documented.
                raise refuse("90045")
            case StreamingStart() if self.stream is not None:
                raise refuse("90045")
            case ForkStart() if self.stream is not None and self._options.fork_on_stream == "refused":
                raise refuse("90045")
            case ForkStop() if self._fork is None:
                raise refuse("90031")
            case StreamingStop() if self.stream is None or (
                command.stream_id is not None and command.stream_id != self.stream.request.stream_id
            ):
                raise refuse("90048")
            case TranscriptionStart() if self._transcribed is not None:
                raise refuse("90054")
            case LeaveQueue() if self.queue is None:
                raise refuse("90035")
            case ConversationRelayStart() if self.relay is not None:
                raise refuse("90061")  # documented for assistants; one assistant or relay a call
            case ConversationRelayStart() if not relay_settings(command, {})[0]:
                raise refuse("10004", "/url", name="url")
            case SwitchSupervisorRole() if self.supervised is None:
                raise refuse("90033", detail="The call does not supervise another one.")  # the code is unknown
            case PlaybackStart(overlay=True) if not self._sounds.playing:
                # Only beside a playback that is no overlay, says the guide; the code is not documented.
                raise refuse("90033", detail="An overlay can only be played while another audio is playing.")
            case Reject() if self.state == "answered" or outgoing:
                # "Only before answering" is documented, a code is not.
                raise refuse("10015")
            case _:
                pass

    def _receive_hangup(self, now_ms: float) -> list[Effect]:
        """The application is the callee of a call that came in, the caller of one that it dialled."""
        match self.state:
            case "parked":  # not documented: to the caller's network it is a refusal
                return self._end(now_ms, "call_rejected", "callee", "603", "program")
            case "ringing":
                return self._end(now_ms, "originator_cancel", "caller", "487", "program")
            case _:
                source = "callee" if self.leg.direction == "incoming" else "caller"
                return self._end(now_ms, "normal_clearing", source, "unspecified", "program")

    def _receive_answer(self, command: Answer, now_ms: float) -> list[Effect]:
        self._notices.read(command)
        if self._answering or self.state == "answered":
            return []  # a second answer: what Telnyx does is unknown
        self._answering = True
        self._with_answer = command
        self._read_recording(command)
        self._sends_silence = bool(command.send_silence_when_idle)
        self._at(now_ms + self._options.answer_ms, self._answer)
        return []

    def _answer(self, now_ms: float) -> list[Effect]:
        if self.state == "ended":
            return []
        self.state = "answered"
        self.answered_at_ms = now_ms
        effects: list[Effect] = []
        if self._options.new_id_at_answer and self.leg.direction == "outgoing":
            self.leg = replace(self.leg, call_control_id=CallControlId(f"v3:{self._new_id()}"))
            effects.append(Renamed())
        effects.append(
            self._webhook(
                now_ms,
                "call.answered",
                CallAnswered,
                **self._parties(),
                start_time=self._time(self._began_at_ms),
                codec=self.leg.codec,
                sampling_rate=8000 if self.leg.codec != "AMR-WB" else 16000,
            )
        )
        command = self._with_answer
        self.voice.cut(now_ms)  # the ringing stops
        self.refresh_hearing(now_ms)
        if self._digits_asked is not None:
            effects += self._send_digits(self._digits_asked, KEY_MS, now_ms)
        if self._recording_asked is not None and self.recording_id is not None:
            effects += self._start_recording(self._recording_asked, self.recording_id, now_ms)
        if command is not None and command.extra.get("transcription"):
            self._transcribed = "inbound"
        config = None if command is None else command.extra.get("conversation_relay_config")
        if config is not None and config.get("url"):
            ignored = ("client_state", "tts_language", "transcription_language")  # documented
            settings = {key: value for key, value in config.items() if key not in ignored}
            effects += self.start_relay(config["url"], settings, now_ms)
        effects += self._detect(now_ms)
        if command is not None and command.stream_url:
            effects += self._open_stream(command, now_ms)
        placed = self._placed
        if placed is not None and (placed.audio_url or placed.media_name):
            announced = PlaybackStart(audio_url=placed.audio_url, media_name=placed.media_name)
            effects += self._play(announced, now_ms, tells=False)
            self._announcement = next(one for one in self._sounds.waiting if one.command is announced)
            return effects
        return effects + self._join_others() + self._join_target(now_ms)

    def _join_others(self) -> list[Effect]:
        """A dial may want its leg in a conference, or as a supervisor."""
        dial = self._placed
        if not isinstance(dial, Dial):
            return []
        if dial.conference_config is not None and not self.early_media:
            return [JoinConference(dial.conference_config)]
        if dial.supervise_call_control_id is not None:
            return [Supervise(dial.supervise_call_control_id, dial.supervisor_role or "barge")]
        return []

    def _detect(self, now_ms: float) -> list[Effect]:
        placed = self._placed
        mode = None if placed is None else placed.answering_machine_detection
        if placed is None or mode is None:
            return []
        script = self._answering_machine
        presents = PERSON if script is None else script.presents
        effects: list[Effect] = []
        for one in detections(mode, placed.answering_machine_detection_config or {}, presents, self._options):
            tell = partial(self._detected, f"call.machine.{one.event}", one.result)
            if one.after_ms:
                self._at(now_ms + one.after_ms, tell)
            else:
                effects += tell(now_ms)
        return effects

    def _detected(self, name: str, result: str | None, now_ms: float) -> list[Effect]:
        found = {} if result is None else {"result": result}
        return [self._webhook(now_ms, name, EVENTS[name], **self._parties(), **found)]

    def _first_command_due(self, now_ms: float) -> list[Effect]:
        # Which cause Telnyx names is unknown.
        return [] if self._commanded else self._end(now_ms, "timeout", "unknown", "480")

    # --- streams ---

    def _open_stream(self, command: StreamingStart | Answer | Dial, now_ms: float) -> list[Effect]:
        if not command.stream_url:
            return []  # a stream for Dialogflow has no socket of ours
        request = stream_request(
            command, self.leg, self._options, StreamId(self._new_id()), client_state=self._client_state
        )
        return self._start(request, now_ms)

    def _start(self, request: StreamRequest, now_ms: float) -> list[Effect]:
        self.stream = CarrierStream(request, self._options, epoch_unix_ms=self._epoch_unix_ms)
        self.stream.beside = self._beside
        self.streams.append(self.stream)
        self.connect_streams()
        started = [self._started(self.stream, now_ms)] if self._options.started_before_socket else []
        return [*started, OpenStream(self.stream)]

    def _started(self, stream: CarrierStream, now_ms: float) -> SendWebhook:
        return self._webhook(now_ms, "streaming.started", StreamingStarted, stream_url=stream.request.url)

    def _stop_stream(self, now_ms: float, reason: str = "the call ended") -> list[Effect]:
        stream = self.stream
        if stream is None:
            return []
        stream.hang_up(now_ms, reason)
        return [StopStream(stream)]

    def stream_opened(self, stream: CarrierStream, now_ms: float) -> list[Effect]:
        """The server took the socket."""
        return [] if self._options.started_before_socket else [self._started(stream, now_ms)]

    def stream_failed(self, stream: CarrierStream, reason: str, now_ms: float) -> list[Effect]:
        """The socket could not be opened (`connection_failed`), or was lost (`disconnected`)."""
        if self.stream is stream:
            self.stream = None
        if self.state == "ended" or not self._options.tells_failed_streams:
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
        if self.reconnects and not reopened and self.state == "answered" and self.stream is stream:
            return self._start(replace(stream.request, stream_id=StreamId(self._new_id())), now_ms)
        return self.stream_failed(stream, "disconnected", now_ms)

    def stream_closed(self, stream: CarrierStream, now_ms: float) -> list[Effect]:
        """The stop frame went out and the socket is closed."""
        if self.stream is stream:
            self.stream = None
        return [self._webhook(now_ms, "streaming.stopped", StreamingStopped, stream_url=stream.request.url)]

    # --- what Telnyx itself plays ---

    def _play(
        self,
        command: Speak | PlaybackStart,
        now_ms: float,
        *,
        tells: bool = True,
        prompts: bool = False,
        on_event: Callable[[float, str | None], list[Effect]] | None = None,
    ) -> list[Effect]:
        """Sounds queue, so one begins when the one before it has ended."""
        effects: list[Effect] = []
        if command.stop is not None:
            effects += self._told(self._sounds.stop(now_ms, command.stop, "cancelled"))
        sound = Sound(
            self._new_id(), command, repeats=repeats(command.loop), tells=tells, prompts=prompts, on_event=on_event
        )
        if isinstance(command, Speak):
            text = re.sub(r"<[^>]*>", "", command.payload) if command.payload_type == "ssml" else command.payload
            sound.audio = hum(self._options.speak_ms_per_char * len(text))
        elif command.playback_content is not None:
            try:
                sound.audio = decode_content(command.playback_content)
            except AudioError as error:
                sound.problem = ("failed", str(error))
        elif self._options.fetch_audio:
            effects.append(FetchSound(sound))
        else:
            sound.audio = silence(self._options.playback_ms)
        return effects + self._told(self._sounds.add(sound, now_ms))

    def sound_fetched(self, sound: Sound, got: Pcm | tuple[Status, str], now_ms: float) -> list[Effect]:
        """The file of `sound`, or what became of it."""
        if isinstance(got, tuple):
            sound.problem = got
        else:
            sound.audio = got
        return self._told(self._sounds.advance(now_ms))

    def _told(self, happenings: list[Happening]) -> list[Effect]:
        """What the application learns of what was played, and what it leads to."""
        effects: list[Effect] = []
        for happening in happenings:
            sound, at_ms = happening.sound, happening.at_ms
            match happening:
                case Began():
                    effects += self._sound_event(sound, at_ms, None)
                case Ended(status=status):
                    self._hear(sound, at_ms)
                    effects += self._sound_event(sound, at_ms, status)
                    if sound is self._announcement:
                        self._announcement = None
                        effects += self._join_target(at_ms) if self.state == "answered" else []
                    if sound.prompts and self._gathering is not None:
                        self._gathering.listen(at_ms)
                        self._plan_gather()
        if (next_ms := self._sounds.next_at_ms()) is not None:
            self._at(next_ms, lambda at: self._told(self._sounds.advance(at)))
        return effects

    def play_for(
        self, command: Speak | PlaybackStart, now_ms: float, on_event: Callable[[float, str | None], list[Effect]]
    ) -> list[Effect]:
        """Play something of a conference to this party. `on_event` gets when it begins, and its status when it ends."""
        return self._play(command, now_ms, tells=False, on_event=on_event)

    def stop_playing(self, command: Speak | PlaybackStart | None, now_ms: float) -> list[Effect]:
        """Stop that sound, or all of them."""
        if command is None:
            return self._told(self._sounds.stop(now_ms, "all", "cancelled"))
        meant = [sound for sound in self._sounds.waiting if sound.command is command]
        return [effect for one in meant for effect in self._told(self._sounds.stop(now_ms, one, "cancelled"))]

    def send_keys(self, digits: str, duration_ms: float, now_ms: float) -> list[Effect]:
        """Play the tones of keys to this party."""
        return self._send_digits(digits, duration_ms, now_ms)

    def beep(self, now_ms: float) -> None:
        """Somebody came or went."""
        self.line.add(now_ms, BEEP)

    def hang_up_for(self, now_ms: float, cause: str = "normal_clearing") -> list[Effect]:
        """Telnyx ends this leg, since the conference that it is in was ended."""
        return self._end(now_ms, cause, "unknown", "200")

    def set_client_state(self, client_state: str | None) -> None:
        """The newest command's value is repeated in later events."""
        self._client_state = self._client_state if client_state is None else client_state

    def spoke(self, now_ms: float, words: str | None = None, *, until_ms: float | None = None) -> list[Effect]:
        """The party begins to speak, and ends at `until_ms`; `words`: what it says, if that is known."""
        if self.state != "answered":
            return []
        if words and until_ms is not None:
            self._at((now_ms + until_ms) / 2, partial(self._interim, words))
            self._at(until_ms, partial(self._said, words))
        floor = [] if self.room is None else self.room.spoke(self, now_ms)
        return [*floor, *self._interrupt_relay("speech", now_ms)]

    def _said(self, words: str, now_ms: float) -> list[Effect]:
        """Transcription has the words at their end: on this leg's inbound track, on the outbound one of who hears it."""
        for one in (self, *self.hearers):
            one.note_words(words)
        effects = self.transcript(words, now_ms)
        effects += [Elsewhere(one, one.transcript(words, now_ms, track="outbound")) for one in self.hearers]
        if self.relay is not None:
            self.relay.heard(words)
            effects.append(WakeRelay(self.relay))
        return effects

    def note_words(self, words: str) -> None:
        """Running recordings of this leg have these words in them."""
        for recording in self._recordings:
            if not recording.is_paused:
                recording.words.append(words)

    def _interim(self, words: str, now_ms: float) -> list[Effect]:
        """Half of what is being said, where interim results were asked for."""
        half = " ".join(words.split()[: max(1, len(words.split()) // 2)])
        effects = self.transcript(half, now_ms, is_final=False) if self._interim_results else []
        if self.relay is not None and self.relay.wants_interim:
            self.relay.heard(half, last=False)
            effects.append(WakeRelay(self.relay))
        return effects

    # --- Conversation Relay ---

    def start_relay(self, url: str, settings: Json, now_ms: float) -> list[Effect]:
        """Open a relay of this answered leg."""
        leg = self.leg
        parties = RelayParties(
            leg.call_control_id,
            leg.call_leg_id,
            leg.call_session_id,
            leg.from_,
            leg.to,
            leg.direction,
            self._options.user_id,
        )
        language = settings.get("language") or "en-US"
        self.relay = RelaySession(self._new_id(), url, parties, settings, now_ms, language=language)
        self.relays.append(self.relay)
        return [OpenRelay(self.relay)]

    def relay_opened(self, session: RelaySession, now_ms: float) -> list[Effect]:
        """The program took the socket: the greeting is spoken."""
        if session.greeting is None or session is not self.relay:
            return []
        return self._relay_says(session, Say(session.greeting, session.interruptible(greeting=True)), now_ms)

    def relay_acts(self, session: RelaySession, acts: list[RelayAct], now_ms: float) -> list[Effect]:
        """Carry out frames of the program."""
        effects: list[Effect] = []
        for act in acts if session is self.relay and self.state == "answered" else ():
            match act:
                case Say():
                    effects += self._relay_says(session, act, now_ms)
                case Play():
                    played = PlaybackStart(audio_url=act.url, loop=act.loop)
                    self._relay_speaks[id(played)] = ("", "any" if act.interruptible else "none", played)
                    effects += self._play(played, now_ms, on_event=partial(self._relay_sound, session, played))
                case Press():
                    effects += self._send_digits(act.digits, KEY_MS, now_ms)
                case Finish():
                    effects.append(WakeRelay(session))
        return effects

    def relay_closed(self, session: RelaySession, now_ms: float, problem: str | None = None) -> list[Effect]:
        """Its socket is closed, or could not be opened. The call stays up."""
        session.end()
        if self.relay is session:
            self.relay = None
        if problem is not None:  # what Telnyx tells of a relay that it cannot reach is unknown
            return []
        stopped = self._stop_relay_speech(now_ms)
        ended = self._webhook(
            now_ms,
            "call.conversation.ended",
            CallConversationEnded,
            **self._parties(),
            conversation_id=session.relay_id,
            duration_sec=int((now_ms - session.began_at_ms) // 1000),
            reason=self._options.relay_end_reason,
            messages=session.messages,
        )
        return [*stopped, ended]

    def _relay_says(self, session: RelaySession, say: Say, now_ms: float) -> list[Effect]:
        spoken = Speak(payload=say.text, voice="relay")
        self._relay_speaks[id(spoken)] = (say.text, say.interruptible, spoken)
        return self._play(spoken, now_ms, on_event=partial(self._relay_sound, session, spoken))

    def _relay_sound(
        self, session: RelaySession, command: Speak | PlaybackStart, _: float, status: str | None
    ) -> list[Effect]:
        if status is not None:
            spoken = self._relay_speaks.pop(id(command), None)
            if spoken is not None and spoken[0]:
                session.said(spoken[0])
        return []

    def _interrupt_relay(self, by: Literal["speech", "dtmf"], now_ms: float) -> list[Effect]:
        """The party cuts the relay's speech, where it may."""
        session = self.relay
        playing = [one for one in self._sounds.playing if id(one.command) in self._relay_speaks]
        if session is None or not playing:
            return []
        sound = playing[0]
        text, interruptible, _ = self._relay_speaks[id(sound.command)]
        if interruptible not in ("any", by):
            return []
        heard_ms = now_ms - (now_ms if sound.started_at_ms is None else sound.started_at_ms)
        length_ms = 0.0 if sound.audio is None else sound.audio.size * 1000 / SAMPLE_RATE_HZ
        session.interrupted(text, heard_ms / length_ms if length_ms else 0.0, heard_ms)
        return [*self._stop_relay_speech(now_ms), WakeRelay(session)]

    def _stop_relay_speech(self, now_ms: float) -> list[Effect]:
        mine = [one for one in self._sounds.waiting if id(one.command) in self._relay_speaks]
        return [effect for one in reversed(mine) for effect in self._told(self._sounds.stop(now_ms, one, "cancelled"))]

    def _sound_event(self, sound: Sound, at_ms: float, status: str | None) -> list[Effect]:
        """It began (no `status`) or ended."""
        if sound.on_event is not None:
            return sound.on_event(at_ms, status)
        if not sound.tells:
            return []
        if isinstance(sound.command, Speak):
            if status is None:
                return [self._webhook(at_ms, "call.speak.started", CallSpeakStarted, speak_id=sound.sound_id)]
            # A speak that was stopped has no status of its own in the documented list.
            known = "completed" if status == "cancelled" else status
            return [self._webhook(at_ms, "call.speak.ended", CallSpeakEnded, speak_id=sound.sound_id, status=known)]
        media = _media(sound.command)
        if status is None:
            return [self._webhook(at_ms, "call.playback.started", CallPlaybackStarted, **media)]
        detail = sound.problem[1] if sound.problem else None
        ended = {"status": status, "status_detail": detail}
        return [self._webhook(at_ms, "call.playback.ended", CallPlaybackEnded, **media, **ended)]

    def _hear(self, sound: Sound, now_ms: float) -> None:
        """Note what was played, in the ears for which it was meant."""
        if sound.started_at_ms is None:
            return
        audio = sound.heard_until(now_ms)
        if sound.target_legs in ("self", "both"):
            self.line.add(sound.started_at_ms, audio)
        if sound.target_legs in ("opposite", "both"):
            for one in self.hearers:
                one.line.add(sound.started_at_ms, audio)

    @property
    def is_over(self) -> bool:
        """True if the leg has ended."""
        return self.state == "ended"

    @property
    def client_state(self) -> str | None:
        """The value of the newest command."""
        return self._client_state

    @property
    def is_heard(self) -> bool:
        """True if anybody hears this party: another one, a relay, or Telnyx's transcription."""
        relayed = self.relay is not None and self.relay.opened
        return bool(self.hearers) or relayed or self._transcribed is not None

    @property
    def plays(self) -> bool:
        """Whether Telnyx itself plays something, or has it to play."""
        return bool(self._sounds.waiting)

    def heard_beside(self, now_ms: float) -> list[tuple[float, Pcm]]:
        """Pieces of 8 kHz audio that no stream of this leg brought, each with the time at which it began."""
        playing = [
            (sound.started_at_ms, sound.heard_until(now_ms))
            for sound in self._sounds.playing
            if sound.started_at_ms is not None and sound.target_legs in ("self", "both")
        ]
        spans = [*self._heard_before, *((one, from_ms, now_ms) for one, from_ms in self._speakers.items())]
        voices = [piece for one, from_ms, until_ms in spans for piece in one.voice.between(from_ms, until_ms)]
        return self.line.pieces() + playing + voices

    def _send_digits(self, digits: str, duration_ms: float, now_ms: float) -> list[Effect]:
        """Heard at once, beside whatever else is played. The party has a key when its tone has ended."""
        self.digits_sent += digits
        self.line.add(now_ms, key_tones(digits, duration_ms))
        at_ms = now_ms
        for digit in digits:
            at_ms += KEY_PAUSES_MS.get(digit, duration_ms)
            if digit not in KEY_PAUSES_MS:
                self._at(at_ms, partial(self.party_hears_key, digit))
                at_ms += KEY_PAUSE_MS
        return []

    def _beside(self, stream: CarrierStream, at_ms: float) -> bytes:
        """The packet of what Telnyx itself plays then, for the outbound track of a stream; empty for none."""
        playing = [sound for sound in self._sounds.playing if sound.target_legs != "opposite"]
        parts = [part for sound in playing if (part := sound.part(at_ms, PACKET_MS)).size]
        parts += [part for one in self._speakers if (part := one.voice.part(at_ms, PACKET_MS)).size]
        if not parts:
            return b""
        if self._encoder is None:
            form = stream.request.media_format
            self._encoder = open_encoder(form.encoding, form.sample_rate, byte_order=self._options.l16_byte_order)
        mixed = np.sum(parts, axis=0, dtype=np.int32).clip(-32768, 32767).astype(np.int16)
        return self._encoder.encode(resample_file_audio(mixed, SAMPLE_RATE_HZ, self._encoder.sample_rate_hz))

    # --- bridges ---

    def connect_streams(self) -> None:
        """Let those who hear this leg hear what the server sends to "opposite", too."""
        for stream in self.streams:
            stream.opposite = partial(self._pass_on, stream) if self.hearers else None

    def _pass_on(self, stream: CarrierStream, at_ms: float, payload: bytes) -> None:
        for one in self.hearers:
            one.line.receive_packet(stream, at_ms, payload)

    # --- gathers ---

    def _start_gather(self, command: Gather | GatherUsingAudio | GatherUsingSpeak, now_ms: float) -> list[Effect]:
        # What becomes of a gather that runs already is unknown; two at once could not be told apart.
        effects = self._end_gather(now_ms, "cancelled")
        named = command.gather_id if isinstance(command, Gather) else None
        gathering = self._gathering = Gathering(command, named or self._new_id())
        if isinstance(command, Gather):
            gathering.listen(now_ms)
            self._plan_gather()
            return effects
        return effects + self._prompt(command, now_ms, again=False)

    def _prompt(self, command: GatherUsingAudio | GatherUsingSpeak, now_ms: float, *, again: bool) -> list[Effect]:
        """Play the prompt, or the one for a wrong entry if there is one."""
        if isinstance(command, GatherUsingSpeak):
            text = (command.invalid_payload if again else None) or command.payload
            spoken = Speak(payload=text, voice=command.voice, payload_type=command.payload_type)
            return self._play(spoken, now_ms, tells=False, prompts=True)
        played = PlaybackStart(audio_url=command.audio_url, media_name=command.media_name)
        if again and (command.invalid_audio_url or command.invalid_media_name):
            played = PlaybackStart(audio_url=command.invalid_audio_url, media_name=command.invalid_media_name)
        return self._play(played, now_ms, prompts=True)

    def _plan_gather(self) -> None:
        gathering = self._gathering
        if gathering is not None and gathering.due_at_ms is not None:
            self._at(gathering.due_at_ms, lambda at: self._gather_due(gathering, at))

    def _gather_due(self, gathering: Gathering, now_ms: float) -> list[Effect]:
        late = gathering.due_at_ms is None or gathering.due_at_ms > now_ms
        if gathering is not self._gathering or late:
            return []  # a key came in the meantime
        return self._gather_result(gathering, gathering.expire(), now_ms)

    def _gather_digit(self, digit: str, now_ms: float) -> list[Effect]:
        gathering = self._gathering
        if gathering is None:
            return []
        effects: list[Effect] = []
        effects += self._stop_prompt(now_ms)
        result = gathering.press(digit, now_ms)
        if result is not None:
            return effects + self._gather_result(gathering, result, now_ms)
        self._plan_gather()
        return effects

    def _gather_result(self, gathering: Gathering, result: Result, now_ms: float) -> list[Effect]:
        if gathering.asks_again(result) and not isinstance(gathering.command, Gather):
            return self._prompt(gathering.command, now_ms, again=result == "invalid")
        return self._end_gather(now_ms, result)

    def _end_gather(self, now_ms: float, status: str) -> list[Effect]:
        gathering, self._gathering = self._gathering, None
        if gathering is None:
            return []
        result = {"digits": gathering.digits, "status": status, "gather_id": gathering.gather_id}
        ended = self._webhook(now_ms, "call.gather.ended", CallGatherEnded, **self._parties(), **result)
        return [*self._stop_prompt(now_ms), ended]

    def _stop_prompt(self, now_ms: float) -> list[Effect]:
        prompts = [sound for sound in self._sounds.waiting if sound.prompts]
        return [effect for one in prompts for effect in self._told(self._sounds.stop(now_ms, one, "cancelled"))]

    # --- recordings and forks ---

    def _read_recording(self, command: Answer | Dial | Transfer) -> None:
        """`record` of the commands that set up a call: it begins with the answer."""
        extra = command.extra
        if extra.get("record") is None:
            return
        self.recording_id = self._new_id()
        self._recording_asked = RecordStart(
            format=extra.get("record_format") or "mp3",
            channels=extra.get("record_channels") or "dual",
            recording_track=extra.get("record_track"),
            max_length=extra.get("record_max_length"),
            trim=extra.get("record_trim"),
            custom_file_name=extra.get("record_custom_file_name"),
        )

    def _start_recording(self, command: RecordStart, recording_id: str, now_ms: float) -> list[Effect]:
        recording = Recording(recording_id, command, now_ms)
        self._recordings.append(recording)
        if command.play_beep:
            self.line.add(now_ms, BEEP)
        if command.max_length:
            self._at(now_ms + 1000 * command.max_length, lambda at: self._end_recordings([recording], at))
        return []

    def _end_recordings(self, recordings: list[Recording], now_ms: float) -> list[Effect]:
        effects: list[Effect] = []
        for recording in [one for one in recordings if one in self._recordings]:
            self._recordings.remove(recording)
            recording.end(now_ms)
            effects.append(SaveRecording(recording))
        return effects

    def recording_saved(self, recording: Recording, url: str | None, now_ms: float) -> list[Effect]:
        """Its file can be fetched at `url`; None: there is none."""
        if url is None:
            reason = "Internal server error"  # the only one of the documented reasons that is not about storage
            return [self._webhook(now_ms, "call.recording.error", CallRecordingError, reason=reason)]
        assert recording.ended_at_ms is not None, "saved when it is over"
        command = recording.command
        return [
            self._webhook(
                now_ms,
                "call.recording.saved",
                CallRecordingSaved,
                recording_id=recording.recording_id,
                channels=command.channels,
                format=command.format,
                start_time=self._time(recording.started_at_ms),
                end_time=self._time(recording.ended_at_ms),
                public_recording_urls=RecordingUrls(),
                recording_started_at=self._time(recording.started_at_ms),
                recording_ended_at=self._time(recording.ended_at_ms),
                recording_urls=RecordingUrls(**{command.format: url}),
            ),
            *self._recording_transcribed(recording, now_ms),
        ]

    def _recording_transcribed(self, recording: Recording, now_ms: float) -> list[Effect]:
        if not recording.command.extra.get("transcription"):
            return []
        return [
            self._webhook(
                now_ms,
                "call.recording.transcription.saved",
                CallRecordingTranscriptionSaved,
                recording_id=recording.recording_id,
                recording_transcription_id=self._new_id(),
                status="completed",
                transcription_text=" ".join(recording.words),
            )
        ]

    def _end_fork(self, now_ms: float) -> list[Effect]:
        if self._fork is None:
            return []
        self._fork = None
        return [self._webhook(now_ms, "call.fork.stopped", CallForkStopped, stream_type="decrypted")]

    # --- the end ---

    def _ring_out(self, now_ms: float) -> list[Effect]:
        return self._end(now_ms, self._rung_out, "unknown", "487") if self.state == "ringing" else []

    def _end(
        self,
        now_ms: float,
        cause: str,
        source: str,
        sip_cause: str,
        by: EndedBy = "carrier",
        *,
        d_code: str | None = None,
    ) -> list[Effect]:
        """Events in the order of the one capture: call.hangup, call.speak.ended, later streaming.stopped."""
        if self.state == "ended":
            return []
        self.state = "ended"
        self.ended_by = by
        self.ended_at_ms = now_ms
        over = [
            happening
            for overlay in (False, True)
            for happening in self._sounds.stop(now_ms, "all", "call_hangup", overlay=overlay)
        ]
        gathered = self._end_gather(now_ms, "call_hangup")
        sounds = [*self._told(over), *gathered, *self._end_fork(now_ms)]
        recordings = self._end_recordings(list(self._recordings), now_ms)
        stop = [*self._stop_stream(now_ms), *self._stop_relay()]
        self.voice.cut(now_ms)
        alone = [*self.leave_queue(now_ms, "hangup"), *self.leave_others(now_ms)]
        self.refresh_hearing(now_ms)
        self._leave_supervision(now_ms)
        if self._bridge_to is not None:  # dialled for a leg that goes on without it
            self._bridge_to.target_failed(self, now_ms)
            self._bridge_to = None
        targets, self.targets = self.targets, []
        cancelled: list[Effect] = [Elsewhere(one, one.cancel_target(now_ms)) for one in targets]
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
            telnyx_error=None if d_code is None else {"error_code": d_code},
        )
        assert isinstance(hangup.webhook.payload, CallHangup)
        self.hangup = hangup.webhook.payload
        self._timers.clear()
        return [*stop, hangup, *sounds, *recordings, *cancelled, *alone]

    def target_failed(self, target: CarrierCall, now_ms: float) -> None:
        """The leg that was dialled for this one is over: this one stays as it was."""
        if target in self.targets:
            self.targets.remove(target)
        self.refresh_hearing(now_ms)

    def _leave_supervision(self, now_ms: float) -> None:
        near, self.supervised = self.supervised, None
        if near is not None:
            near.supervisors.remove(self)
            for one in (near, *near.partners):
                one.refresh_hearing(now_ms)
        for one in list(self.supervisors):
            one.refresh_hearing(now_ms)

    def _quality(self, now_ms: float) -> CallQuality | None:
        if self.answered_at_ms is None:
            return None
        received = int((now_ms - self.answered_at_ms) // PACKET_MS)
        played = sum(stream.counters.packets_played for stream in self.streams)
        played += int(self.line.played_ms // PACKET_MS)
        played += int(self.bridged_ms // PACKET_MS)
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
        headers = None if self._placed is None else self._placed.custom_headers
        if headers and "custom_headers" in cls.__struct_fields__:  # a dialled leg's own come back: observed
            payload = msgspec.structs.replace(
                payload, custom_headers=[Header(name=one.name, value=one.value) for one in headers]
            )
        unset = {"data": {"payload": {"client_state": None}}} if self._client_state is None else {}
        webhook = Webhook(
            id=self._new_id(),
            event_type=event_type,
            payload=payload,
            # Events of a conference have the time within their payload.
            occurred_at=None if "occurred_at" in fields else self._time(now_ms),
            extra=unset,
        )
        return SendWebhook(webhook, *self._notices.address(event_type))

    def conference_event(self, now_ms: float, event_type: str, conference_id: str, **fields: Any) -> SendWebhook:
        """An event of this leg in a conference."""
        cls = EVENTS[event_type]
        if event_type not in ("conference.participant.joined", "conference.participant.left"):
            fields["occurred_at"] = self._time(now_ms)
        return self._webhook(now_ms, event_type, cls, conference_id=conference_id, **fields)

    def conference_wide_event(self, now_ms: float, event_type: str, conference_id: str, **fields: Any) -> SendWebhook:
        """An event of a whole conference that this leg made."""
        if event_type != "conference.recording.saved":  # which names the call like an event of a leg
            fields |= {"creator_call_session_id": self.leg.call_session_id, "occurred_at": self._time(now_ms)}
        payload = ConferencePayload(conference_id=conference_id, connection_id=self.leg.connection_id, **fields)
        webhook = ConferenceWebhook(id=self._new_id(), event_type=event_type, payload=payload)
        return SendWebhook(webhook, *self._notices.address(event_type))


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


def _media(playback: PlaybackStart) -> dict[str, Any]:
    return {
        "media_url": playback.audio_url,
        "media_name": playback.media_name,
        "overlay": bool(playback.overlay),
    }
