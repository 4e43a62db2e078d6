"""The bodies of Call Control commands, and where each is sent.

Every command may carry `command_id` (the same id on the same call is carried out once) and `client_state` (base64,
repeated in every later webhook). `extra` adds any documented field that has no name here.
Source: Telnyx's OpenAPI file of 2026-07-16 and the types of its Python SDK 4.189.0 (November 2026).
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
    """What all commands share. `NAME` is the last part of the command's path, `METHOD` how it is sent."""

    NAME: ClassVar[str] = ""
    METHOD: ClassVar[str] = "POST"

    command_id: str | None = None
    client_state: str | None = None

    @property
    def entry_name(self) -> str:
        """The command's name in timelines. (A conference's commands have names that a call's have, too.)"""
        return self.NAME


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


MachineDetection = Literal[
    "premium",
    "premium_ios_call_screening_detection",
    "detect",
    "detect_beep",
    "detect_words",
    "greeting_end",
    "disabled",
]
SupervisorRole = Literal["barge", "whisper", "monitor"]


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
    retry_on_timeout: bool | None = None
    answering_machine_detection: MachineDetection | None = None
    answering_machine_detection_config: Json | None = None
    from_display_name: str | None = None
    diversion: str | None = None
    link_to: str | None = None
    bridge_intent: bool | None = None
    bridge_on_answer: bool | None = None
    park_after_unbridge: str | None = None
    prevent_double_bridge: bool | None = None
    supervise_call_control_id: str | None = None
    supervisor_role: SupervisorRole | None = None
    conference_config: Json | None = None
    audio_url: str | None = None
    media_name: str | None = None
    send_digits_on_answer: str | None = None
    custom_headers: list[Parameter] | None = None


class Reject(Command, frozen=True, kw_only=True):
    """Refuse an incoming call that was not answered yet."""

    NAME: ClassVar[str] = "reject"

    cause: Literal["CALL_REJECTED", "USER_BUSY", "NOT_FOUND", "TEMPORARILY_UNAVAILABLE"]


class Hangup(Command, frozen=True, kw_only=True):
    """End the call. `reason` goes on the CANCEL of an outbound call that still rings."""

    NAME: ClassVar[str] = "hangup"

    reason: str | None = None
    custom_headers: list[Parameter] | None = None


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
    loop: int | str | None = None
    target_legs: TargetLegs | None = None


class PlaybackStart(Command, frozen=True, kw_only=True):
    """Let Telnyx play a file: one of `audio_url`, `media_name`, `playback_content` (base64)."""

    NAME: ClassVar[str] = "playback_start"

    audio_url: str | None = None
    media_name: str | None = None
    playback_content: str | None = None
    audio_type: Literal["mp3", "wav"] | None = None
    loop: int | str | None = None  # "infinity"
    overlay: bool | None = None
    stop: str | None = None
    target_legs: TargetLegs | None = None
    cache_audio: bool | None = None


class PlaybackStop(Command, frozen=True, kw_only=True):
    """Stop what Telnyx plays or speaks: the "current" one, or "all", which also empties the queue (the default)."""

    NAME: ClassVar[str] = "playback_stop"

    stop: str | None = None
    overlay: bool | None = None


class SendDtmf(Command, frozen=True, kw_only=True):
    """Play the tones of keys to the phone: 0-9, A-D, * and #; w pauses for half a second, W for one. No webhook."""

    NAME: ClassVar[str] = "send_dtmf"

    digits: str
    duration_millis: int | None = None


class ClientStateUpdate(Command, frozen=True, kw_only=True):
    """Set the state that later webhooks repeat, and nothing else. The one command that is a PUT."""

    NAME: ClassVar[str] = "client_state_update"
    METHOD: ClassVar[str] = "PUT"

    client_state: str


class Gather(Command, frozen=True, kw_only=True):
    """Collect key presses: `call.dtmf.received` for each, `call.gather.ended` with all of them."""

    NAME: ClassVar[str] = "gather"

    minimum_digits: int | None = None
    maximum_digits: int | None = None
    timeout_millis: int | None = None
    inter_digit_timeout_millis: int | None = None
    initial_timeout_millis: int | None = None
    terminating_digit: str | None = None
    valid_digits: str | None = None
    gather_id: str | None = None


class _PromptedGather(Command, frozen=True, kw_only=True):
    """What the two gathers that begin with a prompt share; a press interrupts the prompt."""

    minimum_digits: int | None = None
    maximum_digits: int | None = None
    maximum_tries: int | None = None
    timeout_millis: int | None = None
    inter_digit_timeout_millis: int | None = None
    terminating_digit: str | None = None
    valid_digits: str | None = None


class GatherUsingAudio(_PromptedGather, frozen=True, kw_only=True):
    """Collect key presses after a file."""

    NAME: ClassVar[str] = "gather_using_audio"

    audio_url: str | None = None
    media_name: str | None = None
    invalid_audio_url: str | None = None
    invalid_media_name: str | None = None


class GatherUsingSpeak(_PromptedGather, frozen=True, kw_only=True):
    """Collect key presses after a spoken text."""

    NAME: ClassVar[str] = "gather_using_speak"

    payload: str
    voice: str
    invalid_payload: str | None = None
    payload_type: Literal["text", "ssml"] | None = None
    language: str | None = None
    service_level: Literal["basic", "premium"] | None = None


class GatherStop(Command, frozen=True, kw_only=True):
    """End a gather with what was pressed so far."""

    NAME: ClassVar[str] = "gather_stop"


class RecordStart(Command, frozen=True, kw_only=True):
    """Record the call until record_stop or its end; `call.recording.saved` has the address of the file."""

    NAME: ClassVar[str] = "record_start"

    format: Literal["wav", "mp3"]
    channels: Literal["single", "dual"]
    recording_track: Literal["both", "inbound", "outbound"] | None = None
    play_beep: bool | None = None
    max_length: int | None = None
    timeout_secs: int | None = None
    trim: Literal["trim-silence"] | None = None
    custom_file_name: str | None = None


class RecordStop(Command, frozen=True, kw_only=True):
    """End a recording; without `recording_id`, all of the leg."""

    NAME: ClassVar[str] = "record_stop"

    recording_id: str | None = None


class RecordPause(RecordStop, frozen=True, kw_only=True):
    """Leave out what follows, until record_resume. No webhook."""

    NAME: ClassVar[str] = "record_pause"


class RecordResume(RecordStop, frozen=True, kw_only=True):
    """Go on with a paused recording. No webhook."""

    NAME: ClassVar[str] = "record_resume"


class TranscriptionStart(Command, frozen=True, kw_only=True):
    """Let Telnyx write down what is said: `call.transcription` for each piece."""

    NAME: ClassVar[str] = "transcription_start"

    transcription_engine: str | None = None
    transcription_engine_config: Json | None = None
    transcription_tracks: str | None = None


class TranscriptionStop(Command, frozen=True, kw_only=True):
    """No more `call.transcription`."""

    NAME: ClassVar[str] = "transcription_stop"


class ForkStart(Command, frozen=True, kw_only=True):
    """Send the call's RTP to an address of ours. It takes the place of a running media stream."""

    NAME: ClassVar[str] = "fork_start"

    rx: str | None = None
    tx: str | None = None
    target: str | None = None
    stream_type: Literal["decrypted"] | None = None


class ForkStop(Command, frozen=True, kw_only=True):
    """End an RTP fork (90031 without one)."""

    NAME: ClassVar[str] = "fork_stop"

    stream_type: Literal["raw", "decrypted"] | None = None


class Bridge(Command, frozen=True, kw_only=True):
    """Join this call to another one that is up, or to the head of a queue, so that the two parties hear each other."""

    NAME: ClassVar[str] = "bridge"

    call_control_id: str | None = None
    queue: str | None = None
    park_after_unbridge: str | None = None
    hold_after_unbridge: bool | None = None
    prevent_double_bridge: bool | None = None
    mute_dtmf: Literal["none", "both", "self", "opposite"] | None = None
    play_ringtone: bool | None = None


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
    park_after_unbridge: str | None = None
    webhook_url: str | None = None
    diversion: str | None = None
    media_name: str | None = None
    send_digits_on_answer: str | None = None
    answering_machine_detection: MachineDetection | None = None
    answering_machine_detection_config: Json | None = None
    mute_dtmf: Literal["none", "both", "self", "opposite"] | None = None
    custom_headers: list[Parameter] | None = None


class Refer(Command, frozen=True, kw_only=True):
    """Send the far end, which must be a SIP endpoint, to `sip_address` by SIP REFER."""

    NAME: ClassVar[str] = "refer"

    sip_address: str
    custom_headers: list[Parameter] | None = None
    sip_headers: list[Parameter] | None = None
    sip_auth_username: str | None = None
    sip_auth_password: str | None = None


class Enqueue(Command, frozen=True, kw_only=True):
    """Put the call into a queue, which is made if it does not exist."""

    NAME: ClassVar[str] = "enqueue"

    queue_name: str
    max_size: int | None = None
    max_wait_time_secs: int | None = None
    keep_after_hangup: bool | None = None


class LeaveQueue(Command, frozen=True, kw_only=True):
    """Take the call out of its queue; it is parked."""

    NAME: ClassVar[str] = "leave_queue"


class SuppressionStart(Command, frozen=True, kw_only=True):
    """Remove noise from one direction of the call, or from both. No webhook."""

    NAME: ClassVar[str] = "suppression_start"

    direction: Literal["inbound", "outbound", "both"] | None = None
    noise_suppression_engine: str | None = None
    noise_suppression_engine_config: Json | None = None


class SuppressionStop(Command, frozen=True, kw_only=True):
    """End noise suppression. No webhook."""

    NAME: ClassVar[str] = "suppression_stop"


class SwitchSupervisorRole(Command, frozen=True, kw_only=True):
    """Change what a supervisor's leg may say and hear."""

    NAME: ClassVar[str] = "switch_supervisor_role"

    role: SupervisorRole


class GatherUsingAi(Command, frozen=True, kw_only=True):
    """Let an AI of Telnyx ask for what `parameters` (JSON Schema) describes."""

    NAME: ClassVar[str] = "gather_using_ai"

    parameters: Json
    greeting: str | None = None
    voice: str | None = None
    language: str | None = None
    send_partial_results: bool | None = None
    send_message_history_updates: bool | None = None
    user_response_timeout_ms: int | None = None


Interruptible = Literal["none", "any", "speech", "dtmf"]


class ConversationRelayStart(Command, frozen=True, kw_only=True):
    """Let Telnyx listen and speak: a WebSocket of ours gets text and sends text."""

    NAME: ClassVar[str] = "conversation_relay_start"

    url: str | None = None
    conversation_relay_url: str | None = None
    conversation_relay_settings: Json | None = None
    greeting: str | None = None
    voice: str | None = None
    language: str | None = None
    transcription_engine: str | None = None
    transcription_engine_config: Json | None = None
    dtmf_detection: bool | None = None
    conversation_relay_dtmf_detection: bool | None = None
    interruptible: Interruptible | bool | None = None
    interruptible_greeting: Interruptible | bool | None = None
    custom_parameters: Json | None = None


class ConversationRelayStop(Command, frozen=True, kw_only=True):
    """End the Conversation Relay; the call stays up."""

    NAME: ClassVar[str] = "conversation_relay_stop"


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
        PlaybackStop,
        SendDtmf,
        ClientStateUpdate,
        Gather,
        GatherUsingAudio,
        GatherUsingSpeak,
        GatherStop,
        RecordStart,
        RecordStop,
        RecordPause,
        RecordResume,
        TranscriptionStart,
        TranscriptionStop,
        ForkStart,
        ForkStop,
        Bridge,
        Transfer,
        Refer,
        Enqueue,
        LeaveQueue,
        SuppressionStart,
        SuppressionStop,
        SwitchSupervisorRole,
        GatherUsingAi,
        ConversationRelayStart,
        ConversationRelayStop,
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
