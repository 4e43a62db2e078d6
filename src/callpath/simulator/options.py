"""How this Telnyx behaves where the real one can be set up differently, or where nobody knows.

Everything that Telnyx leaves unknown is a field here, with the default that we believe and why.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    """Length of `speak`: about 15 characters a second, normal speech. The stand-in has no voice, only the time."""

    playback_ms: int = 2_000
    """Length of `playback_start`. The stand-in fetches no file."""

    webhook_ms_max: int = 2_000
    """Time a webhook receiver has to answer before the next try. Documented."""

    webhook_retry_ms: tuple[int, ...] = (500, 1_000, 2_000, 4_000, 8_000)
    """Pauses before each retry. Only "exponential backoff" is documented, and for own policies at most 5 within 60 s."""

    webhook_retries_4xx: bool = False
    """Telnyx's pages disagree; the one about voice says that only 408 and 429 of the 4xx are retried."""

    failover_url: str | None = None
    """The application's second webhook URL, used after two failed tries on the first."""

    calls_max: int = 1_000
    """Calls kept at once; the oldest ended ones are forgotten first, an alive one too many is refused."""
