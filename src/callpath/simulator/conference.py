"""One conference: its members, who hears whom, and the webhooks that follow. Pure.

Methods return effects on legs, each wrapped in `Elsewhere`. Raises Refused where Telnyx refuses. Source: call-flow notes
of November 2026; what was only observed is an option.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np

from callpath.audio.pcm import Pcm, samples_in
from callpath.simulator.call import CarrierCall, Effect, Elsewhere, SaveRecording
from callpath.simulator.options import CarrierOptions
from callpath.simulator.recording import Recording, steer
from callpath.simulator.refusal import refuse
from callpath.simulator.sound import SAMPLE_RATE_HZ
from callpath.wire.command import PlaybackStart, RecordStart, Speak
from callpath.wire.conference import (
    Conference,
    ConferenceCommand,
    ConferenceCreate,
    ConferenceEnd,
    ConferenceHold,
    ConferenceJoin,
    ConferenceLeave,
    ConferenceMute,
    ConferenceName,
    ConferencePlay,
    ConferenceRecordStart,
    ConferenceRecordStop,
    ConferenceRole,
    ConferenceSendDtmf,
    ConferenceSpeak,
    ConferenceStop,
    ConferenceUnhold,
    ConferenceUnmute,
    ConferenceUpdate,
    EndedBy,
    Participant,
)
from callpath.wire.webhook import RecordingUrls

LIFE_MS = 4 * 3_600_000
"""A conference ends after four hours. Documented."""

PARTICIPANTS_MAX = 250
"""max_participants, documented default."""

KEY_MS = 250
"""duration_millis of send_dtmf, documented default."""

EndReason = Literal["all_left", "host_left", "time_exceeded", "ended_via_api"]


@dataclass(slots=True, eq=False)
class Member:
    """One leg in a conference, also after it left."""

    id: str
    call: CarrierCall
    joined_at_ms: float
    muted: bool = False
    on_hold: bool = False
    role: ConferenceRole = "none"
    whispers_to: Sequence[str] = ()
    ends_on_exit: bool = False
    ends_softly_on_exit: bool = False
    left_at_ms: float | None = None
    hold_music: PlaybackStart | None = None
    played: list[Speak | PlaybackStart] = field(default_factory=list)


class Room:
    """One conference. `new_id` makes a UUID, `time` writes a moment of the clock as Telnyx does."""

    def __init__(
        self,
        command: ConferenceCreate,
        creator: CarrierCall,
        options: CarrierOptions,
        *,
        new_id: Callable[[], str],
        time: Callable[[float], str],
        now_ms: float,
    ) -> None:
        self.id = new_id()
        self.name = command.name
        self.creator = creator
        self.rows: list[Member] = []
        """Every member that ever joined."""
        self.ended_at_ms: float | None = None
        self.expires_at_ms = now_ms + (
            LIFE_MS if command.duration_minutes is None else 60_000 * command.duration_minutes
        )
        self.end_reason: EndReason | None = None
        self._ended_by: CarrierCall | None = None
        self._command = command
        self._options = options
        self._new_id = new_id
        self._time = time
        self._created_at_ms = now_ms
        self._waiting = command.start_conference_on_create is False
        self._floor: CarrierCall | None = None
        self._seen: set[str] = set()
        self._recordings: list[Recording] = []
        self._speaking: dict[CarrierCall, float] = {}
        self._spoken: list[tuple[CarrierCall, float, float]] = []

    # --- who is in it ---

    @property
    def present(self) -> list[Member]:
        return [one for one in self.rows if one.left_at_ms is None]

    @property
    def members(self) -> list[CarrierCall]:
        return [one.call for one in self.present]

    def begin(self, now_ms: float) -> list[Effect]:
        """The conference is made, and its creator is in it."""
        self.creator.set_client_state(self._command.client_state)
        created = self.creator.conference_event(now_ms, "conference.created", self.id)
        join = ConferenceJoin(call_control_id=self.creator.leg.call_control_id, beep_enabled=self._command.beep_enabled)
        return [Elsewhere(self.creator, [created]), *self.join(self.creator, join, now_ms)]

    def join(self, call: CarrierCall, command: ConferenceJoin, now_ms: float) -> list[Effect]:
        """Raises Refused: 90019, 90018, 90034, 90044, 90032."""
        self._check_alive()
        if call.state == "ended":
            raise refuse("90018")
        if call.state != "answered" and not call.early_media:
            raise refuse("90034")
        if call.room is self:
            raise refuse("90044")
        most = self._command.max_participants or PARTICIPANTS_MAX
        if len(self.present) >= most:
            raise refuse("90032", most=most)
        effects: list[Effect] = [Elsewhere(call, call.leave_others(now_ms))]
        if call.is_over:
            return effects  # it was the creator of the conference that it left, and that ended with it
        member = Member(
            self._new_id(),
            call,
            now_ms,
            muted=bool(command.mute),
            role=command.supervisor_role or "none",
            whispers_to=command.whisper_call_control_ids or (),
            ends_on_exit=bool(command.end_conference_on_exit),
            ends_softly_on_exit=bool(command.soft_end_conference_on_exit),
        )
        self.rows.append(member)
        call.room = self
        call.set_client_state(command.client_state)
        joined = call.conference_event(now_ms, "conference.participant.joined", self.id)
        effects.append(Elsewhere(call, [joined]))
        if self._beeps("on_enter", command.beep_enabled):
            self._beep(now_ms, call)
        if self._waiting and command.start_conference_on_enter:
            effects += self._start(now_ms)
        if command.hold:
            effects += self._hold(member, command.hold_audio_url, command.hold_media_name, now_ms)
        elif self._waiting:
            effects += self._hold(member, self._command.hold_audio_url, self._command.hold_media_name, now_ms)
        self._refresh(now_ms)
        return effects

    def leave(self, call: CarrierCall, now_ms: float, *, beep: str | None = None) -> list[Effect]:
        """The leg goes, or has ended; it is parked, and the conference may end with it."""
        member = self._member(call)
        if member is None:
            return []
        effects = self._take_out(member, now_ms)
        if self._beeps("on_exit", beep):
            self._beep(now_ms, call)
        self._refresh(now_ms)
        if member.ends_on_exit or member.ends_softly_on_exit:
            return effects + self._end("host_left", now_ms, call, hangs_up=member.ends_on_exit)
        if not self.present:
            effects += self._end("all_left", now_ms, call, hangs_up=False)
        return effects

    def audible_to(self, call: CarrierCall) -> list[CarrierCall]:
        """The legs that the party of `call` hears."""
        me = self._member(call)
        if me is None or me.on_hold:
            return []
        silenced = self._options.conference_monitor == "silences"
        if silenced and me.role != "monitor" and any(one.role == "monitor" for one in self.present):
            return []
        return [one.call for one in self.present if one is not me and self._is_heard(one, me)]

    def _is_heard(self, speaker: Member, listener: Member) -> bool:
        if speaker.muted or speaker.on_hold or speaker.role == "monitor":
            return False
        return speaker.role != "whisper" or listener.call.leg.call_control_id in speaker.whispers_to

    def spoke(self, call: CarrierCall, now_ms: float) -> list[Effect]:
        """Somebody began to speak; the floor may change."""
        member = self._member(call)
        if member is None or member.muted or member.on_hold or self._floor is call:
            return []
        self._floor = call
        return [Elsewhere(call, [call.conference_event(now_ms, "conference.floor.changed", self.id)])]

    # --- commands ---

    def receive_command(
        self, command: ConferenceCommand, calls: Callable[[str], CarrierCall], now_ms: float
    ) -> list[Effect]:
        """Carry out a command; `calls` finds a leg by its call_control_id. Raises Refused."""
        if command.command_id is not None and command.command_id in self._seen:
            return []
        self._check_alive()
        effects = self._carry_out(command, calls, now_ms)
        if command.command_id is not None:
            self._seen.add(command.command_id)
        return effects

    def _carry_out(
        self, command: ConferenceCommand, calls: Callable[[str], CarrierCall], now_ms: float
    ) -> list[Effect]:
        match command:
            case ConferenceJoin():
                return self.join(calls(command.call_control_id), command, now_ms)
            case ConferenceLeave():
                call = calls(command.call_control_id)
                self._meant([command.call_control_id])
                return self.leave(call, now_ms, beep=command.beep_enabled)
            case ConferenceHold():
                meant = self._meant(command.call_control_ids)
                effects = [
                    effect for one in meant for effect in self._hold(one, command.audio_url, command.media_name, now_ms)
                ]
                self._refresh(now_ms)
                return effects
            case ConferenceUnhold():
                effects = [
                    effect for one in self._meant(command.call_control_ids) for effect in self._unhold(one, now_ms)
                ]
                self._refresh(now_ms)
                return effects
            case ConferenceMute() | ConferenceUnmute():
                for one in self._meant(command.call_control_ids):
                    one.muted = isinstance(command, ConferenceMute)
                self._refresh(now_ms)
                return []
            case ConferenceSpeak():
                spoken = Speak(payload=command.payload, voice=command.voice, payload_type=command.payload_type)
                return self._play("speak", spoken, command.call_control_ids, {}, now_ms)
            case ConferencePlay():
                played = PlaybackStart(audio_url=command.audio_url, media_name=command.media_name, loop=command.loop)
                media = {"media_url": command.audio_url, "media_name": command.media_name}
                return self._play("playback", played, command.call_control_ids, media, now_ms)
            case ConferenceStop():
                return [
                    Elsewhere(one.call, one.call.stop_playing(sound, now_ms))
                    for one in self._meant(command.call_control_ids)
                    for sound in one.played
                ]
            case ConferenceSendDtmf():
                duration_ms = command.duration_millis or KEY_MS
                return [
                    Elsewhere(one.call, one.call.send_keys(command.digits, duration_ms, now_ms))
                    for one in self._meant(command.call_control_ids)
                ]
            case ConferenceRecordStart():
                return self._start_recording(command, now_ms)
            case ConferenceRecordStop():
                return self._end_recordings(steer(self._recordings, command, now_ms), now_ms)
            case ConferenceUpdate():
                (member,) = self._meant([command.call_control_id])
                if self._options.conference_update == "works":
                    member.role = command.supervisor_role
                    member.whispers_to = command.whisper_call_control_ids or ()
                    self._refresh(now_ms)
                return []
            case ConferenceEnd():
                return self._end("ended_via_api", now_ms, None, hangs_up=True)
            case _:
                return []

    def change(self, participant_id: str, document: dict[str, Any]) -> Member:
        """Change the settings of a participant, as PATCH does. Raises Refused."""
        member = next((one for one in self.rows if one.id == participant_id), None)
        if member is None:
            raise refuse("10005")
        if "end_conference_on_exit" in document:
            member.ends_on_exit = bool(document["end_conference_on_exit"])
        if "soft_end_conference_on_exit" in document:
            member.ends_softly_on_exit = bool(document["soft_end_conference_on_exit"])
        return member

    def expire(self, now_ms: float) -> list[Effect]:
        """Its time is over."""
        return [] if self.ended_at_ms is not None else self._end("time_exceeded", now_ms, None, hangs_up=True)

    def _meant(self, ids: Sequence[str] | None) -> list[Member]:
        """The participants with these ids, all where there are none. Raises Refused (90015) for an id of nobody here."""
        if not ids:
            return self.present
        by_id = {str(one.call.leg.call_control_id): one for one in self.present}
        if any(one not in by_id for one in ids):
            raise refuse("90015", "/call_control_ids")
        return [by_id[one] for one in ids]

    def _start(self, now_ms: float) -> list[Effect]:
        self._waiting = False
        return [effect for one in self.present if one.on_hold for effect in self._unhold(one, now_ms)]

    def _hold(self, member: Member, url: str | None, media_name: str | None, now_ms: float) -> list[Effect]:
        effects = self._unhold(member, now_ms)
        member.on_hold = True
        if url is not None or media_name is not None:
            member.hold_music = PlaybackStart(audio_url=url, media_name=media_name, loop="infinity")
            effects.append(Elsewhere(member.call, member.call.play_for(member.hold_music, now_ms, _nothing)))
        return effects

    def _unhold(self, member: Member, now_ms: float) -> list[Effect]:
        member.on_hold = False
        music, member.hold_music = member.hold_music, None
        return [] if music is None else [Elsewhere(member.call, member.call.stop_playing(music, now_ms))]

    def _play(
        self, kind: str, command: Speak | PlaybackStart, ids: Sequence[str] | None, media: dict[str, Any], now_ms: float
    ) -> list[Effect]:
        """To listed participants each has its own events; to all there is one, which names no leg."""
        effects: list[Effect] = []
        for number, member in enumerate(self._meant(ids)):
            call = member.call
            member.played.append(command)
            tell = _nothing
            if ids:
                tell = partial(self._tell, call, f"conference.participant.{kind}", media)
            elif number == 0:
                tell = partial(self._tell_all, f"conference.{kind}", media)
            effects.append(Elsewhere(call, call.play_for(command, now_ms, tell)))
        return effects

    def _tell(
        self, call: CarrierCall, name: str, media: dict[str, Any], at_ms: float, status: str | None
    ) -> list[Effect]:
        event = f"{name}.{'started' if status is None else 'ended'}"
        session = self.creator.leg.call_session_id
        return [call.conference_event(at_ms, event, self.id, creator_call_session_id=session, **media)]

    def _tell_all(self, name: str, media: dict[str, Any], at_ms: float, status: str | None) -> list[Effect]:
        event = f"{name}.{'started' if status is None else 'ended'}"
        return [self.creator.conference_wide_event(at_ms, event, self.id, **media)]

    # --- recordings ---

    def _start_recording(self, command: ConferenceRecordStart, now_ms: float) -> list[Effect]:
        asked = RecordStart(
            format=command.format,
            channels=command.channels or "single",
            trim=command.trim,
            custom_file_name=command.custom_file_name,
        )
        self._recordings.append(Recording(self._new_id(), asked, now_ms))
        if command.play_beep:
            for one in self.members:
                one.beep(now_ms)
        return []

    def _end_recordings(self, recordings: list[Recording], now_ms: float) -> list[Effect]:
        effects: list[Effect] = []
        for recording in list(recordings):
            self._recordings.remove(recording)
            recording.end(now_ms)
            sides = partial(self._mix, recording.started_at_ms, now_ms)
            save = SaveRecording(recording, sides, partial(self._saved, recording))
            effects.append(Elsewhere(self.creator, [save]))
        return effects

    def _saved(self, recording: Recording, url: str | None, now_ms: float) -> list[Effect]:
        if url is None:  # no event of a conference says that there is no file
            return []
        assert recording.ended_at_ms is not None, "saved when it is over"
        asked = recording.command
        return [
            self.creator.conference_wide_event(
                now_ms,
                "conference.recording.saved",
                self.id,
                call_control_id=self.creator.leg.call_control_id,
                call_session_id=self.creator.leg.call_session_id,
                recording_id=recording.recording_id,
                channels=asked.channels,
                format=asked.format,
                recording_started_at=self._time(recording.started_at_ms),
                recording_ended_at=self._time(recording.ended_at_ms),
                recording_urls=RecordingUrls(**{asked.format: url}),
                public_recording_urls=RecordingUrls(),
            )
        ]

    def _mix(self, from_ms: float, until_ms: float) -> tuple[Pcm, Pcm]:
        """The speech of all who were heard in the conference in that time; the other side is silent."""
        whole = np.zeros(samples_in(until_ms - from_ms, SAMPLE_RATE_HZ), np.int32)
        spans = [*self._spoken, *((call, since_ms, until_ms) for call, since_ms in self._speaking.items())]
        for call, begins_ms, ends_ms in spans:
            for at_ms, pcm in call.voice.between(max(from_ms, begins_ms), min(until_ms, ends_ms)):
                first = samples_in(at_ms - from_ms, SAMPLE_RATE_HZ)
                part = pcm[: whole.size - first]
                whole[first : first + part.size] += part
        return whole.clip(-32768, 32767).astype(np.int16), np.zeros(0, np.int16)

    # --- the end ---

    def _check_alive(self) -> None:
        if self.ended_at_ms is not None:
            raise refuse("90019")

    def _take_out(self, member: Member, now_ms: float) -> list[Effect]:
        call = member.call
        effects = self._unhold(member, now_ms)
        effects += [Elsewhere(call, call.stop_playing(sound, now_ms)) for sound in member.played]
        member.left_at_ms = now_ms
        call.room = None
        if self._floor is call:
            self._floor = None
        left = call.conference_event(now_ms, "conference.participant.left", self.id)
        call.refresh_hearing(now_ms)
        return [*effects, Elsewhere(call, [left])]

    def _end(self, reason: EndReason, now_ms: float, by: CarrierCall | None, *, hangs_up: bool) -> list[Effect]:
        """Everybody leaves. Ended by a command, the creator's leg is hung up too, wherever it has gone: observed."""
        self.ended_at_ms, self.end_reason, self._ended_by = now_ms, reason, by
        effects = self._end_recordings(self._recordings, now_ms)
        creator_stayed = self.creator.state != "ended"
        for member in self.present:
            call = member.call
            effects += self._take_out(member, now_ms)
            if hangs_up and call is not self.creator:
                effects.append(Elsewhere(call, call.hang_up_for(now_ms)))
        # The list of reasons in the webhook has none for an end by command.
        told = "all_left" if reason == "ended_via_api" else reason
        ended = self.creator.conference_event(now_ms, "conference.ended", self.id, reason=told)
        effects.append(Elsewhere(self.creator, [ended]))
        if hangs_up and creator_stayed:
            effects.append(Elsewhere(self.creator, self.creator.hang_up_for(now_ms, "time_limit")))
        return effects

    # --- what can be asked ---

    def row(self) -> Conference:
        """The resource of this conference."""
        by = None if self._ended_by is None else self._ended_by.leg
        return Conference(
            id=self.id,
            name=self.name,
            record_type="conference",
            created_at=self._time(self._created_at_ms),
            expires_at=self._time(self.expires_at_ms),
            updated_at=self._time(self._created_at_ms if self.ended_at_ms is None else self.ended_at_ms),
            region=self._command.region or "US",
            status=self.status,
            connection_id=self.creator.leg.connection_id,
            end_reason=self.end_reason,
            ended_by=None
            if by is None
            else EndedBy(call_control_id=by.call_control_id, call_session_id=by.call_session_id),
        )

    @property
    def status(self) -> str:
        if self.ended_at_ms is not None:
            return "completed"
        return "init" if self._waiting else "in_progress"

    def participant(self, member: Member) -> Participant:
        """The resource of one participant."""
        return Participant(
            record_type="participant",
            id=member.id,
            call_control_id=member.call.leg.call_control_id,
            call_leg_id=member.call.leg.call_leg_id,
            conference=ConferenceName(id=self.id, name=self.name),
            created_at=self._time(member.joined_at_ms),
            updated_at=self._time(member.joined_at_ms if member.left_at_ms is None else member.left_at_ms),
            status="joined" if member.left_at_ms is None else "left",
            muted=member.muted,
            on_hold=member.on_hold,
            end_conference_on_exit=member.ends_on_exit,
            soft_end_conference_on_exit=member.ends_softly_on_exit,
            whisper_call_control_ids=list(member.whispers_to),
        )

    # --- inside ---

    def _member(self, call: CarrierCall) -> Member | None:
        return next((one for one in self.present if one.call is call), None)

    def _refresh(self, now_ms: float) -> None:
        heard = [one.call for one in self.present if not (one.muted or one.on_hold or one.role == "monitor")]
        for call in [call for call in self._speaking if call not in heard]:
            self._spoken.append((call, self._speaking.pop(call), now_ms))
        for call in heard:
            self._speaking.setdefault(call, now_ms)
        for one in self.members:
            one.refresh_hearing(now_ms)

    def _beeps(self, when: str, asked: str | None) -> bool:
        return (asked or self._command.beep_enabled) in ("always", when)

    def _beep(self, now_ms: float, besides: CarrierCall) -> None:
        for one in self.members:
            if one is not besides:
                one.beep(now_ms)


def _nothing(_: float, __: str | None) -> list[Effect]:
    return []
