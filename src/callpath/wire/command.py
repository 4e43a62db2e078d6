"""The bodies of Call Control commands, and where each is sent.

Every command may carry `command_id` (the same id on the same call is carried out once) and `client_state` (base64,
repeated in every later webhook). `extra` adds any documented field that has no name here.
Source: Telnyx's OpenAPI file of 2026-07-16.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from callpath.errors import RemoteProtocolError
from callpath.wire.document import Document, Json, Part, read, write
from callpath.wire.ids import CallControlId, StreamId, path_segment

StreamTrack = Literal["inbound_track", "outbound_track", "both_tracks"]
Encoding = Literal["PCMU", "PCMA", "G722", "OPUS", "AMR-WB", "L16"]
StreamCodec = Literal["PCMU", "PCMA", "G722", "OPUS", "AMR-WB", "L16", "default"]
BidirectionalMode = Literal["mp3", "rtp"]
TargetLegs = Literal["both", "self", "opposite"]
SamplingRate = Literal[8000, 16000, 22050, 24000, 48000]

AUTH_TOKEN_CHARS_MAX = 4000
"""Telnyx's limit on `stream_auth_token`."""


class Parameter(Part, frozen=True, kw_only=True):
    """One custom parameter; it comes back in the start frame."""

    name: str
    value: str


class Command(Document, frozen=True, kw_only=True):
    """What all commands share. `NAME` is the last part of the command's path."""

    NAME: ClassVar[str] = ""

    command_id: str | None = None
    client_state: str | None = None


class _StreamParameters(Command, frozen=True, kw_only=True):
    """The part of a stream's parameters that dial, answer and streaming_start have in common.

    Left out, Telnyx's defaults make a stream one-way without any error: mode "mp3", target legs "opposite".
    """

    stream_url: str | None = None
    stream_track: StreamTrack | None = None
    stream_codec: StreamCodec | None = None
    stream_bidirectional_mode: BidirectionalMode | None = None
    stream_bidirectional_codec: Encoding | None = None
    stream_bidirectional_target_legs: TargetLegs | None = None


class StreamingStart(_StreamParameters, frozen=True, kw_only=True):
    """Open the audio WebSocket to `stream_url`. Only on an answered call (90034 before)."""

    NAME: ClassVar[str] = "streaming_start"

    stream_bidirectional_sampling_rate: SamplingRate | None = None
    stream_auth_token: str | None = None
    custom_parameters: list[Parameter] | None = None
    enable_dialogflow: bool | None = None


class Answer(_StreamParameters, frozen=True, kw_only=True):
    """Answer an incoming call; with `stream_url`, also open the audio WebSocket.

    Answer takes no sampling rate, no token and no custom parameters.
    """

    NAME: ClassVar[str] = "answer"

    send_silence_when_idle: bool | None = None
    webhook_url: str | None = None
    webhook_url_method: Literal["POST", "GET"] | None = None
    preferred_codecs: str | None = None


class Dial(_StreamParameters, frozen=True, kw_only=True):
    """Call `to`. `connection_id` is the Call Control application's id."""

    NAME: ClassVar[str] = "dial"

    connection_id: str
    to: str | list[str]
    from_: str = msgspec.field(name="from")
    timeout_secs: int | None = None
    time_limit_secs: int | None = None
    webhook_url: str | None = None
    webhook_url_method: Literal["POST", "GET"] | None = None
    stream_bidirectional_sampling_rate: SamplingRate | None = None
    stream_auth_token: str | None = None
    stream_establish_before_call_originate: bool | None = None
    send_silence_when_idle: bool | None = None
    answering_machine_detection: (
        Literal["premium", "detect", "detect_beep", "detect_words", "greeting_end", "disabled"] | None
    ) = None
    from_display_name: str | None = None
    link_to: str | None = None


class Reject(Command, frozen=True, kw_only=True):
    """Refuse an incoming call that was not answered yet."""

    NAME: ClassVar[str] = "reject"

    cause: Literal["CALL_REJECTED", "USER_BUSY"]


class Hangup(Command, frozen=True, kw_only=True):
    """End the call."""

    NAME: ClassVar[str] = "hangup"


class StreamingStop(Command, frozen=True, kw_only=True):
    """Close the audio WebSocket; without `stream_id`, all of the leg. Closing our socket does not do this."""

    NAME: ClassVar[str] = "streaming_stop"

    stream_id: StreamId | None = None


class Speak(Command, frozen=True, kw_only=True):
    """Let Telnyx speak a text, at most 3,000 characters. Speaks queue."""

    NAME: ClassVar[str] = "speak"

    payload: str
    voice: str
    payload_type: Literal["text", "ssml"] | None = None
    language: str | None = None
    service_level: Literal["basic", "premium"] | None = None
    stop: str | None = None
    target_legs: TargetLegs | None = None


class PlaybackStart(Command, frozen=True, kw_only=True):
    """Let Telnyx play a file: one of `audio_url`, `media_name`, `playback_content` (base64)."""

    NAME: ClassVar[str] = "playback_start"

    audio_url: str | None = None
    media_name: str | None = None
    playback_content: str | None = None
    audio_type: Literal["mp3", "wav"] | None = None
    loop: int | str | None = None
    overlay: bool | None = None
    stop: str | None = None
    target_legs: TargetLegs | None = None
    cache_audio: bool | None = None


class Transfer(Command, frozen=True, kw_only=True):
    """Send the caller on to `to`. Stop the stream first, or Telnyx opens it again (observed)."""

    NAME: ClassVar[str] = "transfer"

    to: str
    from_: str | None = msgspec.field(name="from", default=None)
    audio_url: str | None = None
    early_media: bool | None = None
    timeout_secs: int | None = None
    time_limit_secs: int | None = None
    target_leg_client_state: str | None = None
    webhook_url: str | None = None


COMMANDS: dict[str, type[Command]] = {
    command.NAME: command
    for command in (
        Dial,
        Answer,
        Reject,
        Hangup,
        StreamingStart,
        StreamingStop,
        Speak,
        PlaybackStart,
        Transfer,
    )
}
"""Name → class, for every command that callpath knows."""


def command_path(command: Command, call_control_id: CallControlId | None) -> str:
    """The path below the API's base. Only a dial has no call yet."""
    if isinstance(command, Dial):
        return "/calls"
    assert call_control_id is not None, f"{command.NAME} needs the call it is about"
    return f"/calls/{path_segment(call_control_id)}/actions/{command.NAME}"


def encode_command(command: Command) -> bytes:
    """The JSON body of `command`."""
    return msgspec.json.encode(write(command))


def read_command(name: str, document: Json) -> Command:
    """Read the body of the command called `name`.

    Raises RemoteProtocolError (`unknown_command`, `wrong_shape`).
    """
    if name not in COMMANDS:
        raise RemoteProtocolError("unknown_command", f"no command is called {name}")
    return read(COMMANDS[name], document, name)
