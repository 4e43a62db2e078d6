"""Faults of the control side: of webhooks on their way to the server, and of the API's answers to its commands.

They stand beside those of the media side in `link`, are chosen in the same way, and join the same table `FAULTS`.
"""

# ruff: noqa: ARG002  a fault uses what it needs of what its hook is given

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import get_args

from callpath.errors import ConfigError
from callpath.simulator.link import FAULTS, ApiAnswer, Fault, Parcel
from callpath.wire.command import Encoding


@dataclass
class WebhookLate(Fault):
    """Every event comes late, as when Telnyx's queue is full: the caller hears nothing for so long."""

    delay_ms: float = 3_000.0
    NAME = "webhook_late"

    def deliver(self, parcel: Parcel, event_type: str, rng: random.Random) -> list[Parcel]:
        return [replace(parcel, delay_ms=parcel.delay_ms + self.delay_ms)]


@dataclass
class WebhookRetried(Fault):
    """The server takes an event, its answer gets lost, and the event comes again with a higher `meta.attempt`."""

    times: float = 1.0
    NAME = "webhook_retried"

    def deliver(self, parcel: Parcel, event_type: str, rng: random.Random) -> list[Parcel]:
        return [replace(parcel, unheard=int(self.times))]


@dataclass
class WebhookVersion1(Fault):
    """The application is set to API version 1: other shape, other names, no Ed25519 signature."""

    NAME = "webhook_v1"

    def deliver(self, parcel: Parcel, event_type: str, rng: random.Random) -> list[Parcel]:
        return [replace(parcel, version_1=True)]


@dataclass
class ClockSkew(Fault):
    """The timestamps of the signatures are off, as if the server's own clock went wrong the other way."""

    seconds: float = -600.0
    NAME = "clock_skew"

    def deliver(self, parcel: Parcel, event_type: str, rng: random.Random) -> list[Parcel]:
        return [replace(parcel, skew_s=parcel.skew_s + self.seconds)]


@dataclass
class _ApiFault(Fault):
    """The first `times` commands of the call meet it; the next one is answered properly."""

    times: float = 1.0
    _met: int = field(default=0, init=False, repr=False)

    def answer(self, command: str) -> ApiAnswer | None:
        if self._met >= self.times:
            return None
        self._met += 1
        return self.meets()

    def meets(self) -> ApiAnswer:
        raise NotImplementedError


@dataclass
class ApiRateLimited(_ApiFault):
    """429 with 10011: nothing was carried out, try later."""

    NAME = "api_429"

    def meets(self) -> ApiAnswer:
        return ApiAnswer(status=429, code="10011", title="Too many requests")


@dataclass
class ApiFails(_ApiFault):
    """500 with 10007: nothing was carried out."""

    NAME = "api_500"

    def meets(self) -> ApiAnswer:
        return ApiAnswer()


@dataclass
class ApiTimesOut(_ApiFault):
    """The command is carried out, and its answer comes only after 10 s: who repeats it needs the same command_id."""

    NAME = "api_timeout"

    def meets(self) -> ApiAnswer:
        return ApiAnswer(status=200, delay_ms=10_000, carried_out=True)


@dataclass
class ApiResets(_ApiFault):
    """The command is carried out, and the connection breaks before the answer."""

    NAME = "api_reset"

    def meets(self) -> ApiAnswer:
        return ApiAnswer(status=0, carried_out=True)


@dataclass
class LegCodec(Fault):
    """The phone's leg has another codec than usual, and no transcoding is done: `start` says so truthfully.

    Outside North America that is PCMA; a server that decodes what it asked for hears loud static.
    """

    codec: str = "PCMA"
    NAME = "leg_codec"

    def __post_init__(self) -> None:
        _check_codec(self)


@dataclass
class WrongCodec(Fault):
    """`start` names another codec than the audio has: nothing but listening can tell."""

    codec: str = "PCMA"
    NAME = "wrong_codec"

    def __post_init__(self) -> None:
        _check_codec(self)

    def carry(self, text: str, open_ms: float, rng: random.Random) -> list[str]:
        if '"event":"start"' not in text:
            return [text]
        head, _, rest = text.partition('"encoding":"')
        return [f'{head}"encoding":"{self.codec}"{rest.partition(chr(34))[2]}' if rest else text]


def _check_codec(fault: LegCodec | WrongCodec) -> None:
    known = get_args(Encoding)
    if fault.codec not in known:
        raise ConfigError("fault", f"{fault.NAME}={fault.codec} is no codec of Telnyx's", f"Known: {', '.join(known)}")


CONTROL_FAULTS = (
    WebhookLate,
    WebhookRetried,
    WebhookVersion1,
    ClockSkew,
    ApiRateLimited,
    ApiFails,
    ApiTimesOut,
    ApiResets,
    LegCodec,
    WrongCodec,
)

FAULTS.update({fault.NAME: fault for fault in CONTROL_FAULTS})
