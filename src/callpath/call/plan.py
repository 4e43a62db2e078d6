"""What we ask of Telnyx for a call's audio: stream parameters that cannot go wrong.

Left to Telnyx's defaults a stream is one-way without any error: `stream_bidirectional_mode` is mp3 (our audio is lost)
and `stream_bidirectional_target_legs` is opposite (nobody is there). So every parameter is always sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from callpath.call.address import audio_url
from callpath.wire.command import (
    Answer,
    Encoding,
    SamplingRate,
    StreamCodec,
    StreamingStart,
    StreamTrack,
    TargetLegs,
)
from callpath.wire.document import Json
from callpath.wire.ids import CallControlId, SessionId

_NAMESPACE = UUID("c411ba70-0000-4000-8000-000000000000")


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """How a server wants its streams. `token_in_path` is for streams asked for within `answer`."""

    public_url: str
    with_answer: bool = False
    token_in_path: bool = False
    track: StreamTrack = "inbound_track"
    codec: StreamCodec = "PCMU"
    play_codec: Encoding = "PCMU"
    play_rate_hz: SamplingRate = 8000
    target_legs: TargetLegs = "self"

    def url(self, session: SessionId, token: str | None) -> str:
        """Where Telnyx shall open the audio WebSocket of this call."""
        return audio_url(self.public_url, session, token if self.token_in_path else None)

    def answer(self, leg: CallControlId, session: SessionId, token: str | None) -> Answer:
        """Answer the call; with `with_answer`, ask for the stream in the same breath.

        Answer has no parameter for sampling rate or token, so the rate is Telnyx's 8000 and the token goes in the path.
        """
        command_id = derived_command_id(leg, Answer.NAME)
        if not self.with_answer:
            return Answer(command_id=command_id, send_silence_when_idle=True)
        return Answer(
            command_id=command_id,
            send_silence_when_idle=True,
            stream_url=self.url(session, token),
            stream_track=self.track,
            stream_codec=self.codec,
            stream_bidirectional_mode="rtp",
            stream_bidirectional_codec=self.play_codec,
            stream_bidirectional_target_legs=self.target_legs,
        )

    def streaming_start(
        self,
        leg: CallControlId,
        session: SessionId,
        token: str | None,
    ) -> StreamingStart:
        """Ask for the stream of an answered call."""
        return StreamingStart(
            command_id=derived_command_id(leg, StreamingStart.NAME),
            stream_url=self.url(session, token),
            stream_track=self.track,
            stream_codec=self.codec,
            stream_bidirectional_mode="rtp",
            stream_bidirectional_codec=self.play_codec,
            stream_bidirectional_sampling_rate=self.play_rate_hz,
            stream_bidirectional_target_legs=self.target_legs,
            stream_auth_token=None if self.token_in_path else token,
        )


def derived_command_id(leg: CallControlId, command: str, number: int = 1) -> str:
    """The same command on the same leg always gets the same id, so that Telnyx carries a doubled one out once."""
    return str(uuid5(_NAMESPACE, f"{leg} {command} {number}"))


def masked(document: Json, token: str | None) -> Json:
    """`document` with the call's token blotted out wherever it stands: what may be logged and stored."""
    if not token:
        return document
    return {key: _mask(value, token) for key, value in document.items()}


def _mask(value: Any, token: str) -> Any:
    match value:
        case str():
            return value.replace(token, "***")
        case dict():
            return masked(value, token)
        case list():
            return [_mask(item, token) for item in value]
        case _:
            return value
