"""Consults: a second call about this one, from the request to its outcome; and the second call's side of it.

The handler only asks, and waits. What follows is decided from the timelines of both calls (`call/consult.py`), so that it
goes on where this process ends.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast

import msgspec
import numpy as np

from callpath.api.feed import CallFeed
from callpath.audio.pcm import Pcm, as_pcm
from callpath.call.client_state import FirstCall
from callpath.call.consult import (
    JOIN_MS_MAX,
    JOINED_MS_MAX,
    consult_outcome,
    first_call,
    is_accepted,
    is_joined,
    is_machine,
    open_consult,
    over_unix_ms,
    second_session,
)
from callpath.call.numbers import check_number, same_number
from callpath.call.outcomes import MACHINES, NEWS_MS_MAX, SCREENING, VERDICT_MS_MAX, Consulted, ConsultStatus
from callpath.call.plan import derived_command_id
from callpath.errors import AudioError, ControlError, InvalidRequestError, LocalProtocolError
from callpath.timeline import ConsultDecided, ConsultEnded, ConsultStarted
from callpath.wire.command import MachineDetection, PlaybackStart, StreamingStop
from callpath.wire.ids import CallControlId, SessionId

RING_S_MIN, RING_S_MAX = 5, 600
DECIDE_S_MIN, DECIDE_S_MAX = 1, 3_600

SLACK_MS = 10_000.0
"""How much longer than the consult itself may take a handler waits for its outcome."""

_URLS = ("http://", "https://")

HoldMusic: TypeAlias = bytes | Pcm | Path | str
"""A WAV file or PCM16 at the call's rate, played over and over by our stream, or a URL that Telnyx plays."""


class Consults:
    """The consults about one call. `clear` stops what is played to the caller."""

    def __init__(self, feed: CallFeed, clear: Callable[[], Awaitable[object]]) -> None:
        self._feed = feed
        self._clear = clear

    def order(
        self,
        to: str,
        *,
        handler: str | None,
        ring_s: float,
        decide_s: float,
        hold_music: HoldMusic | None,
        caller_id: str | None,
        detect: MachineDetection | None,
        variables: dict[str, Any] | None,
        connection_id: str | None,
        keep_stream: bool,
    ) -> ConsultStarted:
        """What is to be done. Raises InvalidRequestError."""
        facts, session = self._feed.facts, self._feed.backend.session
        check_number(to, "the number to consult")
        if caller_id is not None:
            check_number(caller_id, "the caller_id of a consult")
        if not RING_S_MIN <= ring_s <= RING_S_MAX:
            raise InvalidRequestError(
                "out_of_range", f"a phone rings {RING_S_MIN} to {RING_S_MAX} s: ring_s cannot be {ring_s:g}"
            )
        if not DECIDE_S_MIN <= decide_s <= DECIDE_S_MAX:
            raise InvalidRequestError(
                "out_of_range",
                f"the other person has {DECIDE_S_MIN} to {DECIDE_S_MAX:,} s to decide: decide_s cannot be {decide_s:g}",
            )
        ours, theirs = (facts.from_, facts.to) if facts.direction == "outgoing" else (facts.to, facts.from_)
        for number, whose in ((theirs, "the caller's own number"), (ours, "the number that was called")):
            if same_number(to, number):
                raise InvalidRequestError("transfer_to_self", f"{whose} cannot be consulted: give another number")
        why = facts.refusal_of(to)
        if why is not None:
            raise InvalidRequestError("not_allowed", f"the number to consult may not be called: {why}")
        from_ = caller_id or ours
        if not from_:
            raise InvalidRequestError("no_connection", "a consult needs a number to show: give caller_id=")
        connection = connection_id or facts.connection_id
        if not connection:
            raise InvalidRequestError(
                "no_connection",
                "a consult needs the id of your Call Control application: set TELNYX_CONNECTION_ID, or give "
                "connection_id=",
            )
        try:
            given = msgspec.to_builtins(variables or {})
        except TypeError as error:
            raise InvalidRequestError("out_of_range", f"variables of a call must be JSON: {error}") from None
        if session.ended or self._feed.ended:
            raise InvalidRequestError("call_over", "a consult is not possible any more: the call is over")
        if open_consult(session) is not None:
            raise InvalidRequestError(
                "second_transfer", "somebody is consulted already: wait for the result of the first consult"
            )
        return ConsultStarted(
            command_id=derived_command_id(facts.call_control_id, "consult", len(session.consults) + 1),
            to=to,
            connection_id=connection,
            from_=from_,
            handler=handler,
            variables=given,
            ring_s=math.ceil(ring_s),
            decide_s=math.ceil(decide_s),
            detect=detect if detect != "disabled" else None,
            hold_url=hold_music if isinstance(hold_music, str) and hold_music.startswith(_URLS) else None,
            keep_stream=keep_stream,
        )

    async def carry_out(self, started: ConsultStarted, hold_music: HoldMusic | None) -> Consulted:
        """Ask for it, and wait for its outcome. Raises AudioError before anything is sent."""
        feed = self._feed
        session = feed.backend.session
        sound = None if started.hold_url or hold_music is None else await self._load(hold_music)
        tasks = feed.tasks
        if tasks is None:
            raise InvalidRequestError("call_over", "a consult is not possible any more: the call is over")
        # Telnyx's own music ends with an event of its own, which must not be taken for that of the handler's next playback.
        hold = PlaybackStart(audio_url=started.hold_url, loop="infinity") if started.hold_url else None
        prompt = feed.prompts.add(hold) if hold is not None else None

        def find(_: int) -> tuple[Consulted | None, int | None]:
            return self._outcome(started), None

        feed.backend.note(started)
        music = tasks.create_task(_play(feed, *sound), name="hold music") if sound is not None else None
        try:
            within_ms = 1000.0 * (started.ring_s + started.decide_s) + NEWS_MS_MAX + JOIN_MS_MAX + SLACK_MS
            await feed.until(lambda _: (self._is_settled(started) or None, None), within_ms)
            await self._stop(music)
            outcome = await feed.until(find, within_ms)
        except asyncio.CancelledError:
            self._give_up(started)
            raise
        finally:
            if music is not None:
                music.cancel()
            if prompt is not None:
                feed.prompts.stop()
        if prompt is not None:
            tasks.create_task(_forget(feed.prompts.spoken(prompt)), name="end of the hold music")
        if outcome is None:
            self._give_up(started)
            return Consulted("hung_up" if session.ended else "unknown")
        if outcome and not started.keep_stream:
            await stop_stream(feed)
        return outcome

    def _is_settled(self, started: ConsultStarted) -> bool:
        session = self._feed.backend.session
        return is_accepted(session, started.command_id) or self._outcome(started) is not None

    def _outcome(self, started: ConsultStarted) -> Consulted | None:
        session = self._feed.backend.session
        ended = consult_outcome(session, started.command_id)
        if ended is None:
            return None
        second = second_session(session, started.command_id)
        return Consulted(
            cast(ConsultStatus, ended.status),
            reason=ended.reason,
            cause=ended.cause,
            sip_code=ended.sip_code,
            code=ended.code,
            detail=ended.detail,
            session_id=second.call_session_id if second is not None else None,
            call_control_id=second.call_control_id if second is not None else None,
        )

    def _give_up(self, started: ConsultStarted) -> None:
        """The handler does not wait any more: nobody is to be called for it. Where the process stops, or this run of the
        handler was ended because its socket was lost, the consult goes on."""
        feed = self._feed
        if feed.backend.stopping or feed.was_told_end or self._outcome(started) is not None:
            return
        feed.backend.note(ConsultEnded(command_id=started.command_id, status="cancelled"))

    async def _load(self, music: HoldMusic) -> tuple[bytes, int]:
        """Its PCM16, and the rate of that. Raises AudioError."""
        feed = self._feed
        if feed.raw:
            raise AudioError("a raw call plays payloads, no hold_music: give it as a URL, which Telnyx plays")
        rate_hz = feed.sample_rate_hz
        if isinstance(music, str | Path):
            sound = await feed.files.sounds.load(music, rate_hz)
            pcm, rate_hz = sound.pcm, sound.rate_hz
        elif isinstance(music, bytes):
            pcm = as_pcm(music[: len(music) - len(music) % 2])
        else:
            pcm = music
        if pcm.dtype != np.int16 or pcm.ndim != 1 or not pcm.size:
            raise AudioError(
                "hold_music is a WAV file, mono PCM16 (at least one sample), or a URL that Telnyx can fetch"
            )
        return pcm.tobytes(), rate_hz

    async def _stop(self, music: asyncio.Task[None] | None) -> None:
        """The caller is about to hear somebody."""
        if music is not None:
            music.cancel()
            await self._clear()


async def _play(feed: CallFeed, audio: bytes, rate_hz: int) -> None:
    await feed.player.play(_repeat(audio), rate_hz)


async def _repeat(audio: bytes) -> AsyncIterator[bytes]:
    while True:
        yield audio


async def _forget(work: Any) -> None:
    await work


async def stop_stream(feed: CallFeed) -> None:
    """The two talk to each other: what is played would be heard in between."""
    if feed.backend.session.stream_open:
        try:
            await feed.backend.send(StreamingStop())
        except (ControlError, LocalProtocolError):
            return  # the call is over, or the stream was stopped already


@dataclass(frozen=True, slots=True)
class Consultation:
    """The first call, as the handler of a second one sees it that was called by `call.consult`. What it is about is in
    `call.variables`."""

    session_id: SessionId
    """The first call's `call_session_id`."""

    call_control_id: CallControlId
    from_: str | None
    """The caller's number or SIP address; None when hidden."""

    to: str | None
    """The number or SIP address that the caller dialled."""

    detect: str | None
    """What answering machine detection was asked for on this second call."""

    _feed: CallFeed = field(repr=False, compare=False)
    _finished: Callable[[], Awaitable[None]] = field(repr=False, compare=False)

    async def accept(self) -> bool:
        """Join the two calls, once what was played has been heard. True: the two talk to each other, and the stream is
        stopped; return then. False: they could not be joined, or the caller is gone; this call is hung up.

        Raises InvalidRequestError (`call_over`) after `decline`.
        """
        feed = self._feed
        session = feed.backend.session
        self._check_undecided(accepting=True)
        await self._finished()
        if over_unix_ms(session) is not None:
            return False
        if session.consult_decided is None:
            feed.backend.note(ConsultDecided(accepted=True))

        def joined(_: int) -> tuple[bool | None, int | None]:
            if over_unix_ms(session) is not None:
                return False, None
            return is_joined(session) or None, None

        if not await feed.until(joined, JOINED_MS_MAX):
            return False
        await stop_stream(feed)
        return True

    async def is_person(self) -> bool:
        """Wait for the verdict of answering machine detection, 4 s at most; without one it counts as a person. A phone that
        asks who is calling is waited for, where detection knows such phones, until somebody takes the call or a machine
        does."""
        session = self._feed.backend.session
        detect = self.detect

        def judge(_: int) -> tuple[bool | None, int | None]:
            leg = session.leg
            if leg is None or leg.machine is None:
                return None, None
            if is_machine(leg, detect):
                return False, None
            return (None if leg.machine in (*MACHINES, SCREENING) else True), None

        def first(_: int) -> tuple[str | None, int | None]:
            return session.leg.machine if session.leg is not None else None, None

        if await self._feed.until(first, VERDICT_MS_MAX) is None:
            return True
        return bool(await self._feed.until(judge, DECIDE_S_MAX * 1000.0))

    async def decline(self, reason: str = "") -> None:
        """Do not join: the caller is back with the first handler, which gets `reason`. This call goes on until its handler
        returns, for half a minute at most. Raises InvalidRequestError (`call_over`) after `accept`."""
        self._check_undecided(accepting=False)
        if self._feed.backend.session.consult_decided is None:
            self._feed.backend.note(ConsultDecided(accepted=False, reason=reason))

    def _check_undecided(self, *, accepting: bool) -> None:
        decided = self._feed.backend.session.consult_decided
        if decided is not None and decided[1].accepted != accepting:
            said = "declined" if accepting else "accepted"
            raise InvalidRequestError("call_over", f"the caller was {said} already: a consult is decided once")


def consultation_of(feed: CallFeed, finished: Callable[[], Awaitable[None]]) -> Consultation | None:
    """The first call of a second one. `finished` waits until what was played has been heard."""
    found = first_call(feed.backend.session)
    if found is None:
        return None
    first: FirstCall = found[1]
    return Consultation(
        first.session_id,
        first.call_control_id,
        first.from_,
        first.to,
        first.detect,
        feed,
        finished,
    )
