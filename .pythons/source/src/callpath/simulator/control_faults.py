"""Faults of the control side: of webhooks on their way to the server, and of the API's answers to its commands.

They stand beside those of the media side in `link`, are chosen in the same way, and join the same table `FAULTS`. Each
says what a server `MUST` do about it, and the `CAUSE` that a doctor should name.
"""

# ruff: noqa: ARG002  a fault uses what it needs of what its hook is given

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import get_args

import msgspec

from callpath.errors import ConfigError
from callpath.simulator.link import FAULTS, ApiAnswer, Fault, Parcel
from callpath.simulator.options import CarrierOptions
from callpath.wire.command import Encoding


@dataclass
class WebhookRetried(Fault):
    """The server takes an event, its answer gets lost, and the event comes again with a higher `meta.attempt`."""

    times: float = 1.0
    NAME, SIDE = "webhook_retried", "webhook"
    MUST = "Know it by its data.id, answer 200 again, and act once."
    CAUSE = "webhook-duplicate; slow answers of its own would look the same (webhook-not-2xx-or-slow)"

    def deliver(self, parcel: Parcel, event_type: str, rng: random.Random) -> list[Parcel]:
        return [replace(parcel, unheard=int(self.times))]


@dataclass
class WebhookVersion1(Fault):
    """The application is set to API version 1: other shape, other names, no Ed25519 signature."""

    NAME, SIDE = "webhook_v1", "webhook"
    MUST = "Refuse with 401, and say that webhook_api_version must be 2: no key will ever fit."
    CAUSE = "api-version-1-webhooks"

    def deliver(self, parcel: Parcel, event_type: str, rng: random.Random) -> list[Parcel]:
        return [replace(parcel, version_1=True)]


@dataclass
class ClockSkew(Fault):
    """The timestamps of the signatures are old (or `ahead`), as if the server's own clock went wrong."""

    seconds: float = 600.0
    ahead: bool = False
    NAME, SIDE = "clock_skew", "webhook"
    MUST = "Refuse what is more than 300 s off, and name the clock, not the key."
    CAUSE = "webhook-not-2xx-or-slow, with the clock as the reason"

    def deliver(self, parcel: Parcel, event_type: str, rng: random.Random) -> list[Parcel]:
        return [replace(parcel, skew_s=parcel.skew_s + (self.seconds if self.ahead else -self.seconds))]


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

    NAME, SIDE = "api_429", "API"
    MUST = "Wait and send the same command again, with the same command_id."
    CAUSE = "none when it comes through at last; else the command's own entry with 429"

    def meets(self) -> ApiAnswer:
        return ApiAnswer(status=429, code="10011", title="Too many requests")


@dataclass
class ApiFails(_ApiFault):
    """500 with 10007: nothing was carried out."""

    NAME, SIDE = "api_500", "API"
    MUST = "Send the same command again, with the same command_id."
    CAUSE = "none when it comes through at last"

    def meets(self) -> ApiAnswer:
        return ApiAnswer()


@dataclass
class ApiTimesOut(_ApiFault):
    """The command is carried out, and its answer comes only after 10 s: who repeats it needs the same command_id."""

    NAME, SIDE = "api_timeout", "API"
    MUST = "Repeat with the same command_id after its own limit, and go on by the webhooks meanwhile."
    CAUSE = "none: the command was carried out"

    def meets(self) -> ApiAnswer:
        return ApiAnswer(status=200, delay_ms=10_000, carried_out=True)


@dataclass
class ApiResets(_ApiFault):
    """The command is carried out, and the connection breaks before the answer."""

    NAME, SIDE = "api_reset", "API"
    MUST = "Repeat with the same command_id: Telnyx ignores what it has carried out."
    CAUSE = "none: the command was carried out"

    def meets(self) -> ApiAnswer:
        return ApiAnswer(status=0, carried_out=True)


@dataclass
class LegCodec(Fault):
    """The phone's leg has another codec than usual, and no transcoding is done: `start` says so truthfully."""

    codec: str = "PCMA"
    NAME, SIDE = "leg_codec", "media"
    MUST = "Decode by start.media_format, not by what it asked for; outside North America the leg is PCMA."
    CAUSE = "codec-alaw-as-ulaw, for a server that takes the caller's audio for PCMU"

    def change(self, options: CarrierOptions) -> CarrierOptions:
        if self.codec not in get_args(Encoding):
            known = ", ".join(get_args(Encoding))
            raise ConfigError("fault", f"leg_codec={self.codec} is no codec of Telnyx's", f"Known: {known}")
        # `stream_codec` between any two codecs is documented; that it is limited to G.711 is said on an older page.
        return replace(options, leg_codec=msgspec.convert(self.codec, Encoding), stream_codec_only_g711=True)


CONTROL_FAULTS = (
    WebhookRetried,
    WebhookVersion1,
    ClockSkew,
    ApiRateLimited,
    ApiFails,
    ApiTimesOut,
    ApiResets,
    LegCodec,
)

FAULTS.update({fault.NAME: fault for fault in CONTROL_FAULTS})
