"""How this Telnyx behaves where the real one can be set up differently, or where nobody knows.

Everything that Telnyx leaves unknown is a field here, with the default that we believe and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from callpath.audio.l16 import ByteOrder
from callpath.wire.command import Encoding


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierOptions:
    """One account with one Call Control application. Pass it to `Simulator`; each field is a default of Telnyx's."""

    connection_id: str = "2900000000000000001"
    """The application that owns the called number. A dial with another one is refused (10015)."""

    any_connection_id: bool = False
    """Take every all-digits connection_id in a dial: for a program whose own id cannot be changed."""

    user_id: str = "00000000-0000-4000-8000-000000000001"

    leg_codec: Encoding = "PCMU"
    """The phone leg's codec, delivered when `stream_codec` is left at "default". Outside North America: PCMA."""

    stream_codec_only_g711: bool = False
    """True: `stream_codec` works only between PCMU and PCMA, as TeXML's page says; else the leg's codec arrives."""

    l16_byte_order: ByteOrder = "little"
    """Not settled; little-endian was found on real phones, RTP's standard is big-endian."""

    custom_parameters_as: Literal["object", "list"] = "object"
    """Shape of `start.custom_parameters`. Telnyx says only that they are "included in the start message"."""

    opposite_plays: bool = False
    """Whether target legs "opposite" is heard on a call of one leg. Reports differ; a tone test says no."""

    answer_ms: int = 40
    """From the answer command to `call.answered`. About 700 in the one capture; short, so that tests are."""

    socket_before_reply: bool = True
    """Whether the reply to streaming_start waits for the socket, as in the capture, but at most `reply_ms_max`."""

    started_before_socket: bool = False
    """Whether `streaming.started` is sent as soon as a stream is accepted. Telnyx says: before or after the socket."""

    tells_failed_streams: bool = True
    """Whether `streaming.failed` is sent where the socket could not be opened, or was lost."""

    reply_ms_max: int = 300
    """A slow socket does not hold the reply longer. Clients retry a command after 500 ms."""

    refuse_unopened: bool = False
    """Whether streaming_start is refused (90046) when its socket has failed before the reply. The code exists; when
    it is used is not documented, so by default the failure comes as `streaming.failed` only."""

    reach_at: str | None = None
    """Where the program really listens, as ws://HOST:PORT, when its stream URL names a TLS proxy that is not here: then
    the socket goes there, with the stream URL's path and Host. None: to the stream URL itself, as Telnyx would."""

    connect_ms_max: int = 5_000
    """How long the socket may take to open. Unknown; the documented example shows 5.5 s."""

    reconnect: bool = False
    """After a drop: True opens the socket once more (seen when a server closed it), False sends `streaming.failed`
    with `disconnected`."""

    ring_ms: int = 200
    """How long a dialled party's phone rings before it answers, when nothing else is scripted."""

    speak_ms_per_char: int = 65
    """Length of `speak`: about 15 characters a second, normal speech. The simulator has no voice, only the time: a quiet
    hum is heard for so long."""

    fetch_audio: bool = True
    """Whether the file of `playback_start` is fetched and played. False: silence for `playback_ms`, for a machine
    without a network."""

    playback_ms: int = 2_000
    """Length of a playback that is not fetched."""

    media: Mapping[str, Path] = field(default_factory=dict)
    """The account's media storage: `media_name` → file. A name that is not in it ends as file_not_found."""

    short_chunks: Literal["played", "refused"] = "played"
    """Audio of less than 20 ms in one message. The guide says 20 ms to 30 s, not what happens otherwise."""

    mp3_bytes_max: int = 1 << 20
    """Largest MP3 in one message of mp3 mode; a larger one is refused (100002). Telnyx's own limit is unknown."""

    target_client_state: Literal["inherited", "empty"] = "inherited"
    """The client_state of a transfer's target without target_leg_client_state: the transferred leg's, as one program saw
    it, or none."""

    transfer_unanswered: Literal["works", "refused"] = "works"
    """A transfer of a leg that is not answered: works for some programs, and is refused (90034) for others."""

    new_id_at_answer: bool = False
    """The call_control_id of a dialled leg changes with call.answered, as was seen where a call moved to another
    site. Commands take either id then."""

    refer_response: int | None = None
    """SIP status with which the far end answers a REFER. None: 200 from a SIP address, 603 from the telephone network."""

    relay_end_reason: str = "customer_disconnect"
    """`reason` of call.conversation.ended of a Conversation Relay. Documented for a socket that the program closed; the
    words for other ends are unknown."""

    switch_supervisor_role: Literal["silences", "works"] = "silences"
    """switch_supervisor_role is answered with 200; the supervisor was observed to be silent and to hear nothing from then
    on. What was observed is the default."""

    conference_monitor: Literal["listens", "silences"] = "listens"
    """A participant with the role monitor hears and is not heard. One program saw that it stopped all audio of the others
    while it lasted."""

    conference_update: Literal["ignored", "works"] = "ignored"
    """The conference command `update` is answered with 200, and was observed to change nothing."""

    fork_on_stream: Literal["replaces", "refused"] = "replaces"
    """fork_start on a streaming call: the guide says that the fork replaces the stream; 90045 exists as well."""

    amd_result: str = "human"
    """Verdict of answering machine detection on a person: human, machine, not_sure. Premium tells `human_residence` or
    `human_business` for human. For all other callees it finds what they are."""

    amd_ms: int = 300
    """From the answer to that result. Unknown, some seconds with Telnyx; short, so that tests are."""

    amd_prompt_end_ms: int = 5_000
    """How long the end of a prompt is waited for in `premium_ios_call_screening_detection`: the SDK's default of
    `prompt_end_timeout_millis`; the documentation page says 30000."""

    first_command_timeout: bool = False
    """The application's setting: an incoming call that gets no command in time is hung up. Off by default, documented."""

    first_command_timeout_secs: int = 30

    dial_refused: str | None = None
    """A D-code, as "D60": every dial and transfer is refused with it (403, 10010), as Telnyx refuses for the account, the
    number or the destination."""

    dials_max: int = 150
    """Dials in any 5 s, documented (30 a second); one more is refused (429, 90103)."""

    dials_an_hour_max: int | None = None
    """Dials in any hour; one more is refused (429, 10011). 10 for an account of level 1; None: no limit."""

    outbound_calls_max: int | None = None
    """Outbound calls at once; a dial or transfer beyond that is refused (403, D1). Trial 2, level 1: 5, level 2: 10; None:
    `calls_max`."""

    check_from: bool = False
    """`from` must be a number of the account, or that of the inbound caller who is passed on (D51). Telnyx
    checks it; here it is off, so that a program's own numbers need not be entered first."""

    requests_max: int | None = None
    """Requests in any second, refused beyond that (429, 10011). Telnyx has a limit for each endpoint and publishes
    none, so by default there is none here."""

    webhook_api_version: Literal["1", "2"] = "2"
    """The application's setting. With "1", Telnyx's default for one made by API, the events have another shape and an
    HMAC in place of the signature."""

    webhook_secret: str = "callpath-development-only"
    """Key of that HMAC."""

    webhook_ms_max: int = 2_000
    """Time a webhook receiver has to answer before the next try. Documented."""

    webhook_retry_ms: tuple[int, ...] = (500, 1_000, 2_000, 4_000, 8_000)
    """Pauses before each retry, unless the call's `webhook_retries_policies` says otherwise. Only "exponential backoff"
    is documented, and for own policies at most 5 within 60 s."""

    webhook_retries_4xx: bool = False
    """Telnyx's pages disagree; the one about voice says that only 408 and 429 of the 4xx are retried."""

    webhook_redirects: bool = False
    """Whether a 3xx is followed, at most 3 times. Telnyx's pages disagree; the stricter one calls it a failure."""

    webhook_shuffle_ms: int = 0
    """Each event is held back by a chance of up to this much, so that they come in any order: Telnyx keeps none."""

    failover_url: str | None = None
    """The application's second webhook URL, used after two failed tries on the first."""

    calls_max: int = 1_000
    """Calls kept at once; the oldest ended ones are forgotten first, an alive one too many is refused."""

    recordings_bytes_max: int = 256 << 20
    """Recordings kept for download, in all; the oldest are forgotten first."""

    recording_ms: int = 600_000
    """How long the address of a recording is good. Documented."""
