"""Conferences: the bodies of their commands, where each is sent, and the resources that the API answers with.

Source: the types of Telnyx's Python SDK 4.189.0 (November 2026). The id in a path may also be the conference's name.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from callpath.wire.command import Command, encode_command, read_command
from callpath.wire.document import Document, Json, Part, read
from callpath.wire.ids import CallControlId, LegId, path_segment

Beep = Literal["always", "never", "on_enter", "on_exit"]
ConferenceRole = Literal["barge", "monitor", "none", "whisper"]
Region = Literal["Australia", "Europe", "Middle East", "US"]


ENTRY_PREFIX = "conference_"
"""What the names of a conference's commands begin with in timelines."""


class ConferenceCommand(Command, frozen=True, kw_only=True):
    """Fields that all commands of a conference share. `NAME` is the last part of the path. `TAKES_COMMAND_ID` is False for
    those that Telnyx may carry out twice: they have no command_id."""

    TAKES_COMMAND_ID: ClassVar[bool] = True

    region: Region | None = None

    @property
    def entry_name(self) -> str:
        """As `conference_join`."""
        return ENTRY_PREFIX + self.NAME


class ConferenceCreate(ConferenceCommand, frozen=True, kw_only=True):
    """Make a conference of an answered call, which joins it at once."""

    NAME: ClassVar[str] = "create"

    call_control_id: CallControlId
    name: str
    beep_enabled: Beep | None = None
    comfort_noise: bool | None = None
    duration_minutes: int | None = None
    hold_audio_url: str | None = None
    hold_media_name: str | None = None
    max_participants: int | None = None
    start_conference_on_create: bool | None = None


class ConferenceJoin(ConferenceCommand, frozen=True, kw_only=True):
    """Let a call join. A bridged call leaves its bridge."""

    NAME: ClassVar[str] = "join"

    call_control_id: CallControlId
    beep_enabled: Beep | None = None
    start_conference_on_enter: bool | None = None
    end_conference_on_exit: bool | None = None
    soft_end_conference_on_exit: bool | None = None
    hold: bool | None = None
    hold_audio_url: str | None = None
    hold_media_name: str | None = None
    mute: bool | None = None
    supervisor_role: ConferenceRole | None = None
    whisper_call_control_ids: list[str] | None = None


class ConferenceLeave(ConferenceCommand, frozen=True, kw_only=True):
    """Let a call leave; it is parked, not hung up."""

    NAME: ClassVar[str] = "leave"

    call_control_id: CallControlId
    beep_enabled: Beep | None = None


class _Several(ConferenceCommand, frozen=True, kw_only=True):
    """A command for some participants; without a list, or with an empty one, for all."""

    TAKES_COMMAND_ID: ClassVar[bool] = False

    call_control_ids: list[str] | None = None


class ConferenceHold(_Several, frozen=True, kw_only=True):
    """Put participants on hold; they hear the file, or silence."""

    NAME: ClassVar[str] = "hold"

    audio_url: str | None = None
    media_name: str | None = None


class ConferenceUnhold(ConferenceCommand, frozen=True, kw_only=True):
    """Take participants off hold."""

    NAME: ClassVar[str] = "unhold"
    TAKES_COMMAND_ID: ClassVar[bool] = False

    call_control_ids: list[str]


class ConferenceMute(_Several, frozen=True, kw_only=True):
    """Mute participants. An empty list mutes everybody."""

    NAME: ClassVar[str] = "mute"


class ConferenceUnmute(_Several, frozen=True, kw_only=True):
    """Unmute participants. An empty list unmutes everybody."""

    NAME: ClassVar[str] = "unmute"


class ConferencePlay(_Several, frozen=True, kw_only=True):
    """Play a file to participants."""

    NAME: ClassVar[str] = "play"

    audio_url: str | None = None
    media_name: str | None = None
    loop: int | str | None = None


class ConferenceStop(_Several, frozen=True, kw_only=True):
    """Stop what is played to participants."""

    NAME: ClassVar[str] = "stop"


class ConferenceSpeak(_Several, frozen=True, kw_only=True):
    """Speak a text to participants."""

    NAME: ClassVar[str] = "speak"
    TAKES_COMMAND_ID: ClassVar[bool] = True

    payload: str
    voice: str
    payload_type: Literal["text", "ssml"] | None = None
    language: str | None = None


class ConferenceSendDtmf(_Several, frozen=True, kw_only=True):
    """Play the tones of keys to participants."""

    NAME: ClassVar[str] = "send_dtmf"

    digits: str
    duration_millis: int | None = None


class ConferenceUpdate(ConferenceCommand, frozen=True, kw_only=True):
    """Change a participant's role. Telnyx was seen to answer 200 and change nothing: leave and join again."""

    NAME: ClassVar[str] = "update"

    call_control_id: CallControlId
    supervisor_role: ConferenceRole
    whisper_call_control_ids: list[str] | None = None


class ConferenceEnd(ConferenceCommand, frozen=True, kw_only=True):
    """End the conference and hang everybody up, its creator too, wherever that leg has gone."""

    NAME: ClassVar[str] = "end"


class ConferenceRecordStart(ConferenceCommand, frozen=True, kw_only=True):
    """Record the mix; `conference.recording.saved` has the address of the file."""

    NAME: ClassVar[str] = "record_start"

    format: Literal["wav", "mp3"]
    channels: Literal["single", "dual"] | None = None
    play_beep: bool | None = None
    trim: Literal["trim-silence"] | None = None
    custom_file_name: str | None = None


class ConferenceRecordStop(ConferenceCommand, frozen=True, kw_only=True):
    """End a recording of the conference; without `recording_id`, all."""

    NAME: ClassVar[str] = "record_stop"

    recording_id: str | None = None


class ConferenceRecordPause(ConferenceRecordStop, frozen=True, kw_only=True):
    """Leave out what follows, until record_resume."""

    NAME: ClassVar[str] = "record_pause"


class ConferenceRecordResume(ConferenceRecordStop, frozen=True, kw_only=True):
    """Go on with a paused recording of the conference."""

    NAME: ClassVar[str] = "record_resume"


CONFERENCE_COMMANDS: dict[str, type[ConferenceCommand]] = {
    command.NAME: command
    for command in (
        ConferenceCreate,
        ConferenceJoin,
        ConferenceLeave,
        ConferenceHold,
        ConferenceUnhold,
        ConferenceMute,
        ConferenceUnmute,
        ConferencePlay,
        ConferenceStop,
        ConferenceSpeak,
        ConferenceSendDtmf,
        ConferenceUpdate,
        ConferenceEnd,
        ConferenceRecordStart,
        ConferenceRecordStop,
        ConferenceRecordPause,
        ConferenceRecordResume,
    )
}
"""Name → class, for every command of a conference that callpath knows."""


def conference_path(command: ConferenceCommand, conference: str | None) -> str:
    """The path below the API's base; `conference` is its id or name. Only one that is to be made has none yet."""
    if isinstance(command, ConferenceCreate):
        return "/conferences"
    assert conference is not None, f"{command.NAME} needs the conference it is about"
    return f"/conferences/{path_segment(conference)}/actions/{command.NAME}"


def encode_conference_command(command: ConferenceCommand) -> bytes:
    """The JSON body of `command`."""
    return encode_command(command if command.TAKES_COMMAND_ID else msgspec.structs.replace(command, command_id=None))


def read_sent(name: str, document: Json) -> Command:
    """Read the body of a command by its name in a timeline.

    Raises RemoteProtocolError (`unknown_command`, `wrong_shape`).
    """
    kind = CONFERENCE_COMMANDS.get(name.removeprefix(ENTRY_PREFIX)) if name.startswith(ENTRY_PREFIX) else None
    return read_command(name, document) if kind is None else read(kind, document, name)


class EndedBy(Part, frozen=True, kw_only=True):
    """The leg whose leaving ended a conference."""

    call_control_id: CallControlId | None = None
    call_session_id: str | None = None


class Conference(Document, frozen=True, kw_only=True):
    """One conference. `status`: init, in_progress or completed."""

    id: str
    name: str
    created_at: str
    expires_at: str
    record_type: str | None = None
    updated_at: str | None = None
    status: str | None = None
    region: str | None = None
    connection_id: str | None = None
    end_reason: str | None = None
    ended_by: EndedBy | None = None


class ConferenceName(Part, frozen=True, kw_only=True):
    """The conference of a participant."""

    id: str
    name: str | None = None


class Participant(Document, frozen=True, kw_only=True):
    """One leg in a conference. `status`: joining, joined or left."""

    id: str
    call_control_id: CallControlId
    call_leg_id: LegId
    conference: ConferenceName
    record_type: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    status: str | None = None
    muted: bool | None = None
    on_hold: bool | None = None
    end_conference_on_exit: bool | None = None
    soft_end_conference_on_exit: bool | None = None
    whisper_call_control_ids: list[str] | None = None
