"""An open stream: what came, what was sent, how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from callpath.doctor.facts.ending import Ending
from callpath.doctor.facts.upgrade import Exchange


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message from the peer. `payload` is media.payload decoded where it is sound base64."""

    at_ms: float
    kind: Literal["text", "binary"]
    size: int
    head: str
    event: str | None = None
    payload: bytes | None = None
    fault: str = ""
    """not_json, wrong_shape, invalid_media, or "" """


@dataclass(frozen=True, slots=True)
class Arrived:
    """An upgrade request as callpath's own server tells a probe that it came in; header names in lower case."""

    path: str
    query: str
    scheme: str = ""
    client: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """Our own frames, byte for byte, among what came back; silent ones do not count."""

    came: int
    """How many different frames came back."""
    again: int = 0
    """How often one came that had come before."""
    early: int = 0
    """How often one came before another that was sent before it."""
    lost: int = 0
    """Frames that never came, between the first and the last that did."""
    due_ms: float = 0.0
    """How much audio was still to come when the last one came, by the delay of those that did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFacts:
    """One stream, spoken as Telnyx speaks it."""

    codec: str
    sample_rate_hz: int
    ending: Ending
    sent_frames: int = 0
    planned_frames: int = 0
    sending_ms: float = 0.0
    arrivals: tuple[Arrival, ...] = ()
    marks_sent: int = 0
    marks_returned: int = 0
    pong_ms: tuple[float | None, ...] = ()
    pings_received: int = 0
    protocol_errors: tuple[str, ...] = ()
    heard_as: str = ""  # what audio.level.guess_encoding made of the bytes: PCMU, PCMA, "PCM16 little"…
    echo_ms: float | None = None
    echo_likeness: float = 0.0
    level_dbfs: float | None = None
    full_scale: float = 0.0
    """Share of the samples that came back at the end of the scale."""
    echo: Echo | None = None
    """None: what came back is not, byte for byte, what was sent."""
    listening_ms: float = 0.0
    handshake: Exchange | None = None
    arrived: Arrived | None = None
    """What of our request reached callpath's own server; None from any other server."""

    stalled_ms: float | None = None
    """When the peer stopped reading: a send was still waiting after seconds."""

    @property
    def media(self) -> tuple[Arrival, ...]:
        """What claims to be audio and could be decoded."""
        return tuple(arrival for arrival in self.arrivals if arrival.payload is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One stream held open: "silent", "media" or "media+ping" from our side, until `held_ms`."""

    traffic: Literal["silent", "media", "media+ping"]
    ending: Ending
    held_ms: float
    received: int = 0
    last_received_ms: float | None = None
    last_sent_ms: float | None = None
    stalled: bool = False
    """The peer stopped reading: a send was still waiting after seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleFacts:
    """What --idle saw."""

    wanted_ms: float
    holds: tuple[Hold, ...]

    def hold(self, traffic: str) -> Hold | None:
        return next((hold for hold in self.holds if hold.traffic == traffic), None)
