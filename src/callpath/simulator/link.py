"""What can go wrong between Telnyx and a server: one small class for each fault, chosen per call.

A fault overrides only what it changes. All chance comes from the one seeded `random.Random` of its `Link`, so the same
seed and faults give the same call again. To add one: write a class here and name it in `FAULTS`.
"""

# ruff: noqa: ARG002  a fault uses what it needs of what its hook is given

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar
from urllib.parse import urlsplit

from callpath.errors import ConfigError
from callpath.simulator.options import CarrierOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One delivery of a webhook."""

    delay_ms: float = 0.0
    bad_signature: bool = False
    version_1: bool = False
    """In the shape and with the header of API version 1."""
    skew_s: float = 0.0
    """How far the clock that signs it is ahead."""
    unheard: int = 0
    """How many of the server's answers get lost, so that it comes again although it was taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAnswer:
    """What a client of the API meets. `carried_out`: the command takes effect all the same."""

    status: int = 500
    """The HTTP status; 0: the connection breaks without an answer."""
    code: str = "10007"
    title: str = "Unexpected error"
    delay_ms: float = 0.0
    carried_out: bool = False


@dataclass
class Fault:
    """No fault at all; each kind below changes one thing."""

    NAME: ClassVar[str] = ""

    def change(self, options: CarrierOptions) -> CarrierOptions:
        """How the account differs for this call."""
        return options

    def stream_url(self, url: str) -> str | None:
        """Where the socket really goes; None: nowhere."""
        return url

    def connect_delay_ms(self) -> float:
        """How much later than usual the socket is tried."""
        return 0.0

    def carry(self, text: str, open_ms: float, rng: random.Random) -> list[str]:
        """What arrives of one frame to the server, `open_ms` after the stream opened."""
        return [text]

    def drops_after_ms(self) -> float | None:
        """When the socket breaks, counted from its opening."""
        return None

    def deliver(self, parcel: Parcel, event_type: str, rng: random.Random) -> list[Parcel]:
        """What becomes of one webhook."""
        return [parcel]

    def answer(self, command: str) -> ApiAnswer | None:
        """What the API does with a command in place of answering it properly; None: nothing is wrong."""
        return None


@dataclass
class NeverConnects(Fault):
    """The socket is not even tried, as with a DNS or firewall fault on Telnyx's side of the network."""

    NAME = "never_connects"

    def stream_url(self, url: str) -> str | None:
        return None


@dataclass
class ConnectsElsewhere(Fault):
    """The socket goes to another path of the same host, as a proxy that rewrites paths would send it."""

    path: str = "/somewhere-else"
    NAME = "connects_elsewhere"

    def stream_url(self, url: str) -> str | None:
        path, _, query = self.path.partition("?")
        return urlsplit(url)._replace(path=path, query=query).geturl()


@dataclass
class ConnectsLate(Fault):
    """The socket comes late."""

    delay_ms: float = 1_500.0
    NAME = "connects_late"

    def connect_delay_ms(self) -> float:
        return self.delay_ms


@dataclass
class NoStart(Fault):
    """The socket opens and carries audio, but the start frame is missing."""

    NAME = "no_start"

    def carry(self, text: str, open_ms: float, rng: random.Random) -> list[str]:
        return [] if _is(text, "start") else [text]


@dataclass
class NoMedia(Fault):
    """The stream starts and then carries no audio."""

    NAME = "no_media"

    def carry(self, text: str, open_ms: float, rng: random.Random) -> list[str]:
        return [] if _is(text, "media") else [text]


@dataclass
class MediaStops(Fault):
    """The caller's audio ends in mid-call while the socket stays open."""

    after_ms: float = 1_000.0
    NAME = "media_stops"

    def carry(self, text: str, open_ms: float, rng: random.Random) -> list[str]:
        return [] if _is(text, "media") and open_ms >= self.after_ms else [text]


@dataclass
class ChunksSwapped(Fault):
    """Now and then a media frame arrives after the next one. Telnyx promises no order."""

    chance: float = 0.1
    NAME = "chunks_swapped"
    _held: str | None = field(default=None, init=False, repr=False)

    def carry(self, text: str, open_ms: float, rng: random.Random) -> list[str]:
        if self._held is not None:
            late, self._held = self._held, None
            return [text, late] if _is(text, "media") else [late, text]
        if _is(text, "media") and rng.random() < self.chance:
            self._held = text
            return []
        return [text]


@dataclass
class Drops(Fault):
    """The TCP connection breaks in mid-call, without a close frame."""

    after_ms: float = 1_000.0
    NAME = "drops"

    def drops_after_ms(self) -> float | None:
        return self.after_ms


@dataclass
class WebhookDuplicated(Fault):
    """Each webhook comes twice, the second a little later."""

    delay_ms: float = 50.0
    NAME = "webhook_duplicated"

    def deliver(self, parcel: Parcel, event_type: str, rng: random.Random) -> list[Parcel]:
        return [parcel, replace(parcel, delay_ms=parcel.delay_ms + self.delay_ms)]


@dataclass
class WebhookReordered(Fault):
    """Some webhooks are held back so that later ones overtake them."""

    delay_ms: float = 200.0
    chance: float = 0.5
    NAME = "webhook_reordered"

    def deliver(self, parcel: Parcel, event_type: str, rng: random.Random) -> list[Parcel]:
        # The first event cannot be overtaken: nothing happens before it is answered.
        if event_type == "call.initiated" or rng.random() >= self.chance:
            return [parcel]
        return [replace(parcel, delay_ms=parcel.delay_ms + self.delay_ms)]


@dataclass
class BadSignature(Fault):
    """The signature does not fit the body, as with the wrong public key at the server."""

    NAME = "bad_signature"

    def deliver(self, parcel: Parcel, event_type: str, rng: random.Random) -> list[Parcel]:
        return [replace(parcel, bad_signature=True)]


FAULTS: dict[str, type[Fault]] = {
    fault.NAME: fault
    for fault in (
        NeverConnects,
        ConnectsElsewhere,
        ConnectsLate,
        NoStart,
        NoMedia,
        MediaStops,
        ChunksSwapped,
        Drops,
        WebhookDuplicated,
        WebhookReordered,
        BadSignature,
    )
}
"""Name → class, for `--fault NAME[=VALUE]`."""


def parse_fault(text: str) -> Fault:
    """`media_stops=2000`: a fault by name, its first field after the `=`. Raises ConfigError."""
    name, _, value = text.partition("=")
    if name not in FAULTS:
        raise ConfigError("fault", f"{name!r} is not known", f"Known: {', '.join(FAULTS)}")
    cls = FAULTS[name]
    if not value:
        return cls()
    settable = [one for one in fields(cls) if one.init]
    if not settable:
        raise ConfigError("fault", f"{name} takes no value", f"Write {name}")
    first = settable[0]
    try:
        return cls(**{first.name: value if isinstance(first.default, str) else float(value)})
    except ValueError:
        raise ConfigError("fault", f"{name}={value} is not a number", f"Write {name}={first.default}") from None


class Link:
    """The way between Telnyx and the server for one call, with its faults."""

    def __init__(self, faults: Sequence[Fault | str] = (), *, seed: int = 0) -> None:
        self.faults = [parse_fault(fault) if isinstance(fault, str) else copy.copy(fault) for fault in faults]
        self._rng = random.Random(seed)  # noqa: S311  (faults want replay, not secrecy)

    def change(self, options: CarrierOptions) -> CarrierOptions:
        """The account as this call has it."""
        for fault in self.faults:
            options = fault.change(options)
        return options

    def stream_url(self, url: str) -> str | None:
        """Where the socket goes; None: it is never tried."""
        for fault in self.faults:
            changed = fault.stream_url(url)
            if changed is None:
                return None
            url = changed
        return url

    def connect_delay_ms(self) -> float:
        return sum(fault.connect_delay_ms() for fault in self.faults)

    def drops_after_ms(self) -> float | None:
        return min((at for fault in self.faults if (at := fault.drops_after_ms()) is not None), default=None)

    def carry(self, texts: list[str], open_ms: float) -> list[str]:
        """What arrives of these frames."""
        for fault in self.faults:
            texts = [arrived for text in texts for arrived in fault.carry(text, open_ms, self._rng)]
        return texts

    def answer(self, command: str) -> ApiAnswer | None:
        """What the API does with this command in place of answering it; the first fault that has something wins."""
        return next((one for fault in self.faults if (one := fault.answer(command)) is not None), None)

    def deliver(self, event_type: str) -> list[Parcel]:
        """How one webhook is delivered: once and at once, if nothing is wrong."""
        parcels = [Parcel()]
        for fault in self.faults:
            parcels = [one for parcel in parcels for one in fault.deliver(parcel, event_type, self._rng)]
        return parcels


def _is(text: str, event: str) -> bool:
    """Whether an encoded frame is of that kind: the encoder writes no spaces."""
    return f'"event":"{event}"' in text
