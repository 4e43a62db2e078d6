"""What can go wrong between Telnyx and a server: one small class for each fault, chosen per call.

A fault overrides only what it changes, and says what a server must do about it and what the doctor should call it. All
chance comes from random generators that are seeded by the `Link`'s seed, the fault's place and its side, so the same
seed and faults give the same call again, however webhooks and frames fall together. To add one: write a class here and
name it in `FAULTS`; faults of the API and of the account change `CarrierOptions` (`Fault.change`).
"""

# ruff: noqa: ARG002  a fault uses what it needs of what its hook is given

from __future__ import annotations

import copy
import heapq
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, NamedTuple
from urllib.parse import urlsplit

from callpath.errors import ConfigError
from callpath.simulator.options import CarrierOptions

Side = Literal["connection", "media", "webhook", "API"]


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


class Frame(NamedTuple):
    """One text on its way to the server, and when it arrives, in ms since the stream opened."""

    text: str
    at_ms: float


class Break(NamedTuple):
    """Something happens to the socket, so many ms after it opened."""

    at_ms: float
    how: Literal["drop", "reset", "close", "half_open", "second_connection"]


@dataclass
class Fault:
    """No fault at all; each kind below changes one thing."""

    NAME: ClassVar[str] = ""
    SIDE: ClassVar[Side] = "media"
    MUST: ClassVar[str] = ""
    """What the server must do, as a sentence."""
    CAUSE: ClassVar[str] = ""
    """What the doctor should name: a cause, a symptom, or nothing at all."""

    def change(self, options: CarrierOptions) -> CarrierOptions:
        """How the account differs for this call."""
        return options

    def stream_url(self, url: str) -> str | None:
        """Where the socket really goes; None: nowhere."""
        return url

    def connect_delay_ms(self) -> float:
        """How much later than usual the socket is tried."""
        return 0.0

    def encoding(self, encoding: str) -> str:
        """What the caller's audio is really encoded as, whatever the start frame says."""
        return encoding

    def carry(self, frame: Frame, rng: random.Random) -> list[Frame]:
        """What arrives of one frame to the server, and when."""
        return [frame]

    def read_pause_ms(self, open_ms: float) -> float:
        """How long the simulator waits before it reads the server's next frame."""
        return 0.0

    def breaks(self) -> list[Break]:
        """What happens to the socket."""
        return []

    def deliver(self, parcel: Parcel, event_type: str, rng: random.Random) -> list[Parcel]:
        """What becomes of one webhook."""
        return [parcel]

    def answer(self, command: str) -> ApiAnswer | None:
        """What the API does with a command in place of answering it properly; None: nothing is wrong."""
        return None


# --- the connection ---------------------------------------------------------------------------------------------------


@dataclass
class NeverConnects(Fault):
    """The socket is not even tried, as with a DNS or firewall fault on Telnyx's side of the network."""

    NAME, SIDE = "never_connects", "connection"
    MUST = "Notice that streaming_start was accepted and no socket came; act on streaming.failed; tell the caller."
    CAUSE = "firewall-ip-allowlist, where a probe of the same URL is healthy"

    def stream_url(self, url: str) -> str | None:
        return None


@dataclass
class AnnouncedNeverConnects(Fault):
    """Telnyx accepts the stream, announces streaming.started, and no socket ever comes; nor does streaming.failed."""

    NAME, SIDE = "announced_never_connects", "connection"
    MUST = (
        "Count the stream as started when the socket is there, not when streaming.started comes; act after a timeout."
    )
    CAUSE = "socket-never-came"

    def change(self, options: CarrierOptions) -> CarrierOptions:
        return replace(options, started_before_socket=True, tells_failed_streams=False)

    def stream_url(self, url: str) -> str | None:
        return None


@dataclass
class ConnectsElsewhere(Fault):
    """The socket goes to another path of the same host, as a proxy that rewrites paths would send it."""

    path: str = "/somewhere-else"
    NAME, SIDE = "connects_elsewhere", "connection"
    MUST = "Refuse the upgrade with 404 and log the path that was asked for; survive streaming.failed."
    CAUSE = "url-path-mismatch"

    def stream_url(self, url: str) -> str | None:
        path, _, query = self.path.partition("?")
        return urlsplit(url)._replace(path=path, query=query).geturl()


@dataclass
class ConnectsLate(Fault):
    """The socket comes late."""

    delay_ms: float = 1_500.0
    NAME, SIDE = "connects_late", "connection"
    MUST = "Keep what it wants to say until the socket is there; give up neither too early nor never."
    CAUSE = "none: the call works, only late"

    def connect_delay_ms(self) -> float:
        return self.delay_ms


@dataclass
class SecondConnection(Fault):
    """Telnyx opens the stream once more while the first socket is still open, and goes on there, unless it is refused."""

    after_ms: float = 1_000.0
    NAME, SIDE = "second_connection", "connection"
    MUST = "Carry one stream: refuse the second while the first brings frames, or go on with it; and not greet twice."
    CAUSE = "none: a refused socket or a reconnect, shown in the timeline"

    def breaks(self) -> list[Break]:
        return [Break(self.after_ms, "second_connection")]


@dataclass
class Drops(Fault):
    """The TCP connection ends in mid-call, without a close frame."""

    after_ms: float = 1_000.0
    NAME, SIDE = "drops", "connection"
    MUST = "End the call's audio at once, keep what was recorded, and survive streaming.failed (disconnected)."
    CAUSE = "unknown-stream-end"

    def breaks(self) -> list[Break]:
        return [Break(self.after_ms, "drop")]


@dataclass
class Reset(Fault):
    """The TCP connection is reset in mid-call: what is on the way is lost."""

    after_ms: float = 1_000.0
    NAME, SIDE = "reset", "connection"
    MUST = "Take a reset for the end of the stream, not for an error of its own."
    CAUSE = "unknown-stream-end"

    def breaks(self) -> list[Break]:
        return [Break(self.after_ms, "reset")]


@dataclass
class ClosesMidWord(Fault):
    """Telnyx closes the WebSocket properly, but in the middle of a word and without a stop frame."""

    after_ms: float = 1_000.0
    NAME, SIDE = "closes_mid_word", "connection"
    MUST = "Hand the audio that came to its handler, then end the stream; do not wait for a stop frame."
    CAUSE = "unknown-stream-end"

    def breaks(self) -> list[Break]:
        return [Break(self.after_ms, "close")]


@dataclass
class HalfOpen(Fault):
    """The network goes away without a word: nothing comes or goes any more, and nobody closes."""

    after_ms: float = 1_000.0
    NAME, SIDE = "half_open", "connection"
    MUST = "Notice by itself that nothing comes (a liveness limit), and end the stream with bounded memory."
    CAUSE = "SYM010 sender_stalled"

    def breaks(self) -> list[Break]:
        return [Break(self.after_ms, "half_open")]

    def read_pause_ms(self, open_ms: float) -> float:
        return float("inf") if open_ms >= self.after_ms else 0.0


@dataclass
class SlowReader(Fault):
    """Telnyx reads what the server sends slower than it plays: `frames_per_s`, where 50 would be real time."""

    frames_per_s: float = 10.0
    NAME, SIDE = "slow_reader", "connection"
    MUST = "Bound what it queues, count what it drops, and keep other calls in time."
    CAUSE = (
        "send-too-slow-underrun, owned by the network, once TCP takes no more; until then none, only the ear is late"
    )

    def read_pause_ms(self, open_ms: float) -> float:
        return 1_000.0 / max(self.frames_per_s, 0.001)


@dataclass
class Stalls(Fault):
    """For a while nothing passes in either direction; then all of it comes at once."""

    for_ms: float = 1_000.0
    after_ms: float = 1_000.0
    NAME, SIDE = "stalls", "connection"
    MUST = "Catch up without speeding the audio up or holding a second of lag for ever."
    CAUSE = "none for a single one, counted as an underrun; SYM011 bursts where they come again and again"

    def carry(self, frame: Frame, rng: random.Random) -> list[Frame]:
        stalled = self.after_ms <= frame.at_ms < self.after_ms + self.for_ms
        return [frame._replace(at_ms=self.after_ms + self.for_ms)] if stalled else [frame]

    def read_pause_ms(self, open_ms: float) -> float:
        end_ms = self.after_ms + self.for_ms
        return end_ms - open_ms if self.after_ms <= open_ms < end_ms else 0.0


# --- media frames -----------------------------------------------------------------------------------------------------


@dataclass
class NoStart(Fault):
    """The socket opens and carries audio, but the start frame is missing."""

    NAME = "no_start"
    MUST = "Play nothing into the unknown; say which frame is missing; end the stream after a limit."
    CAUSE = "unknown-stream-end"

    def carry(self, frame: Frame, rng: random.Random) -> list[Frame]:
        return [] if _is(frame, "start") else [frame]


@dataclass
class NoMedia(Fault):
    """The stream starts and then carries no audio."""

    NAME = "no_media"
    MUST = "Still greet the caller, and say that nothing comes from him."
    CAUSE = "inbound-silence"

    def carry(self, frame: Frame, rng: random.Random) -> list[Frame]:
        return [] if _is(frame, "media") else [frame]


@dataclass
class MediaStops(Fault):
    """The caller's audio ends in mid-call while the socket stays open."""

    after_ms: float = 1_000.0
    NAME = "media_stops"
    MUST = "Notice within seconds; end the call or ask, instead of waiting for ever."
    CAUSE = "SYM010 sender_stalled"

    def carry(self, frame: Frame, rng: random.Random) -> list[Frame]:
        return [] if _is(frame, "media") and frame.at_ms >= self.after_ms else [frame]


@dataclass
class ChunksSwapped(Fault):
    """Now and then a media frame arrives after the next one. Telnyx promises no order."""

    chance: float = 0.1
    NAME = "chunks_swapped"
    MUST = "Put chunks back in order by `chunk`, without a click and without lasting delay."
    CAUSE = "media-reordered"
    _held: Frame | None = field(default=None, init=False, repr=False)

    def carry(self, frame: Frame, rng: random.Random) -> list[Frame]:
        if self._held is not None:
            late, self._held = self._held._replace(at_ms=frame.at_ms), None
            return [frame, late] if _is(frame, "media") else [late, frame]
        if _is(frame, "media") and rng.random() < self.chance:
            self._held = frame
            return []
        return [frame]


@dataclass
class ChunksDoubled(Fault):
    """Now and then a media frame arrives twice."""

    chance: float = 0.1
    NAME = "chunks_doubled"
    MUST = "Use each chunk once."
    CAUSE = "none: counted"

    def carry(self, frame: Frame, rng: random.Random) -> list[Frame]:
        return [frame, frame] if _is(frame, "media") and rng.random() < self.chance else [frame]


@dataclass
class ChunksLost(Fault):
    """Now and then a media frame does not arrive, as when RTP is lost before Telnyx."""

    chance: float = 0.05
    NAME = "chunks_lost"
    MUST = "Fill the gap with 20 ms of something quiet, so that what follows stays in time."
    CAUSE = "none: counted as lost chunks"

    def carry(self, frame: Frame, rng: random.Random) -> list[Frame]:
        return [] if _is(frame, "media") and rng.random() < self.chance else [frame]


@dataclass
class ChunksDelayed(Fault):
    """Each frame is late by up to `delay_ms`, by chance; the order stays, as TCP keeps it."""

    delay_ms: float = 100.0
    NAME = "chunks_delayed"
    MUST = "Bear the jitter: no gap that the audio itself does not have, no delay that grows."
    CAUSE = "none below 200 ms; SYM011 bursts above"
    _latest_ms: float = field(default=0.0, init=False, repr=False)

    def carry(self, frame: Frame, rng: random.Random) -> list[Frame]:
        self._latest_ms = max(self._latest_ms, frame.at_ms + rng.random() * self.delay_ms)
        return [frame._replace(at_ms=self._latest_ms)]


@dataclass
class ChunksBursty(Fault):
    """Frames wait and come together, once every `every_ms`."""

    every_ms: float = 500.0
    NAME = "chunks_bursty"
    MUST = "Hand out even audio, hold only as much as a burst is long, and name the bursts."
    CAUSE = "SYM011 bursts"

    def carry(self, frame: Frame, rng: random.Random) -> list[Frame]:
        every_ms = max(self.every_ms, 1.0)
        return [frame._replace(at_ms=every_ms * (1 + frame.at_ms // every_ms))]


@dataclass
class WrongCodec(Fault):
    """The caller's audio is encoded otherwise than the start frame says."""

    encoding_sent: str = "PCMA"
    NAME = "wrong_codec"
    MUST = "Name it by the sound; a caller who is heard as noise must not be answered as if he had spoken."
    CAUSE = "SYM001 wrong_law (codec-alaw-as-ulaw)"

    def encoding(self, encoding: str) -> str:
        return self.encoding_sent


# --- webhooks ---------------------------------------------------------------------------------------------------------


@dataclass
class WebhookDuplicated(Fault):
    """Each webhook comes twice, the second a little later."""

    delay_ms: float = 50.0
    NAME, SIDE = "webhook_duplicated", "webhook"
    MUST = "Answer both with 200 and act once."
    CAUSE = "webhook-duplicate"

    def deliver(self, parcel: Parcel, event_type: str, rng: random.Random) -> list[Parcel]:
        return [parcel, replace(parcel, delay_ms=parcel.delay_ms + self.delay_ms)]


@dataclass
class WebhookReordered(Fault):
    """Some webhooks are held back so that later ones overtake them."""

    delay_ms: float = 200.0
    chance: float = 0.5
    NAME, SIDE = "webhook_reordered", "webhook"
    MUST = "Never let the call's state go back; sort by occurred_at."
    CAUSE = "none"

    def deliver(self, parcel: Parcel, event_type: str, rng: random.Random) -> list[Parcel]:
        # The first event cannot be overtaken: nothing happens before it is answered.
        if event_type == "call.initiated" or rng.random() >= self.chance:
            return [parcel]
        return [replace(parcel, delay_ms=parcel.delay_ms + self.delay_ms)]


@dataclass
class WebhookLate(Fault):
    """Each webhook comes late."""

    delay_ms: float = 2_000.0
    NAME, SIDE = "webhook_late", "webhook"
    MUST = "Work with what it knows; a late call.answered must not start a second stream."
    CAUSE = "none: the delay stands in the timeline"

    def deliver(self, parcel: Parcel, event_type: str, rng: random.Random) -> list[Parcel]:
        return [replace(parcel, delay_ms=parcel.delay_ms + self.delay_ms)]


@dataclass
class BadSignature(Fault):
    """The signature does not fit the body, as with the wrong public key at the server."""

    NAME, SIDE = "bad_signature", "webhook"
    MUST = "Refuse each webhook with 401 and say that the key does not fit; never act on it."
    CAUSE = "webhook-not-2xx-or-slow, with the signature as the reason"

    def deliver(self, parcel: Parcel, event_type: str, rng: random.Random) -> list[Parcel]:
        return [replace(parcel, bad_signature=True)]


FAULTS: dict[str, type[Fault]] = {
    fault.NAME: fault
    for fault in (
        NeverConnects,
        AnnouncedNeverConnects,
        ConnectsElsewhere,
        ConnectsLate,
        SecondConnection,
        Drops,
        Reset,
        ClosesMidWord,
        HalfOpen,
        SlowReader,
        Stalls,
        NoStart,
        NoMedia,
        MediaStops,
        ChunksSwapped,
        ChunksDoubled,
        ChunksLost,
        ChunksDelayed,
        ChunksBursty,
        WrongCodec,
        WebhookDuplicated,
        WebhookReordered,
        WebhookLate,
        BadSignature,
    )
}
"""Name → class, for `--fault NAME[=VALUE]`: the one table of all faults, whatever side they are on."""


# --- naming them ------------------------------------------------------------------------------------------------------


def parse_fault(text: str) -> Fault:
    """`media_stops=2000`: a fault by name and its first field; `stalls=after_ms:500,for_ms:900`: fields by name.

    Raises ConfigError.
    """
    name, _, value = text.partition("=")
    given: dict[str, Any] = {}
    if value:
        settable = fault_fields(name)
        if not settable:
            raise ConfigError("fault", f"{name} takes no value", f"Write {name}")
        named = [pair.partition(":") for pair in value.split(",")]
        if all(key in settable for key, _, _ in named):
            given = {key: one for key, _, one in named}
        else:
            given = {next(iter(settable)): value}
    return make_fault(name, given)


def make_fault(name: str, given: Mapping[str, Any]) -> Fault:
    """A fault from its name and fields, as a scenario has them. Raises ConfigError."""
    settable = fault_fields(name)
    if unknown := [key for key in given if key not in settable]:
        takes = f"It takes {', '.join(settable)}" if settable else "It takes nothing"
        raise ConfigError("fault", f"{name} has no {unknown[0]!r}", takes)
    return FAULTS[name](**{key: _value(name, key, settable[key], value) for key, value in given.items()})


def fault_fields(name: str) -> dict[str, Any]:
    """What this fault can be told, with its defaults. Raises ConfigError for an unknown name."""
    if name not in FAULTS:
        raise ConfigError("fault", f"{name!r} is not known", f"Known: {', '.join(FAULTS)}")
    return {one.name: one.default for one in fields(FAULTS[name]) if one.init}


def _value(name: str, key: str, default: Any, value: Any) -> Any:
    """`value` as the kind of thing that `default` is, in its range."""
    if isinstance(default, bool):
        if str(value).lower() not in ("true", "false"):
            raise ConfigError("fault", f"{name}={value} is neither true nor false", f"Write {name}={key}:true")
        return str(value).lower() == "true"
    if isinstance(default, str):
        return str(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ConfigError("fault", f"{name}={value} is not a number", f"Write {name}={default}") from None
    if not 0 <= number < float("inf") or (key == "chance" and number > 1):
        allowed = "from 0 to 1" if key == "chance" else "0 or more"
        raise ConfigError("fault", f"{name}={value} is out of range", f"{key} is {allowed}, for example {default}")
    return type(default)(number) if isinstance(default, int | float) else number


# --- together ---------------------------------------------------------------------------------------------------------


class Link:
    """The way between Telnyx and the server for one call, with its faults."""

    def __init__(self, faults: Sequence[Fault | str] = (), *, seed: int | str = 0) -> None:
        self.faults = [parse_fault(fault) if isinstance(fault, str) else copy.copy(fault) for fault in faults]
        # Each fault and side draws for itself: whether a webhook or a frame came first must not change what happens.
        self._media_rngs = [random.Random(f"{seed}/{n}/media") for n in range(len(self.faults))]  # noqa: S311
        self._webhook_rngs = [random.Random(f"{seed}/{n}/webhook") for n in range(len(self.faults))]  # noqa: S311
        self._held: list[tuple[float, int, str]] = []
        self._count = 0

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

    def encoding(self, encoding: str) -> str:
        """What the caller's audio is really encoded as."""
        for fault in self.faults:
            encoding = fault.encoding(encoding)
        return encoding

    def breaks(self) -> list[Break]:
        """What happens to the socket, earliest first."""
        return sorted(one for fault in self.faults for one in fault.breaks())

    def read_pause_ms(self, open_ms: float) -> float:
        return max((fault.read_pause_ms(open_ms) for fault in self.faults), default=0.0)

    def carry(self, texts: list[str], open_ms: float) -> list[str]:
        """Put these frames on the way, `open_ms` after the stream opened; returns what arrives now."""
        if not self.faults:
            return texts
        frames = [Frame(text, open_ms) for text in texts]
        for fault, rng in zip(self.faults, self._media_rngs, strict=True):
            frames = [arrived for frame in frames for arrived in fault.carry(frame, rng)]
        for frame in frames:
            self._count += 1
            heapq.heappush(self._held, (frame.at_ms, self._count, frame.text))
        arrived = []
        while self._held and self._held[0][0] <= open_ms:
            arrived.append(heapq.heappop(self._held)[2])
        return arrived

    def next_at_ms(self) -> float | None:
        """When something on the way arrives, in ms since the stream opened."""
        return self._held[0][0] if self._held else None

    def answer(self, command: str) -> ApiAnswer | None:
        """What the API does with this command in place of answering it; the first fault that has something wins."""
        return next((one for fault in self.faults if (one := fault.answer(command)) is not None), None)

    def deliver(self, event_type: str) -> list[Parcel]:
        """How one webhook is delivered: once and at once, if nothing is wrong."""
        parcels = [Parcel()]
        for fault, rng in zip(self.faults, self._webhook_rngs, strict=True):
            parcels = [one for parcel in parcels for one in fault.deliver(parcel, event_type, rng)]
        return parcels


def _is(frame: Frame, event: str) -> bool:
    """Whether an encoded frame is of that kind: the encoder writes no spaces."""
    return f'"event":"{event}"' in frame.text
