"""Conferences: several calls that hear each other, mixed by Telnyx.

    @app.call
    async def meeting(call: Call) -> None:
        async with app.conference("stand-up") as room:
            me = await room.join(call)
            await room.speak("Somebody joined.")
            await me.left                       # it hung up, was taken out, or the conference ended

The first call that joins makes the conference; its end is not the conference's. `Conferences` keeps what this process knows
of each: the events of a conference come with the calls that are in it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Protocol
from weakref import WeakSet, WeakValueDictionary

import msgspec

from callpath.api.call import Call, feed_of
from callpath.api.feed import CallFeed
from callpath.api.queue import DropOldestQueue
from callpath.api.results import Spoken, SpokenStatus
from callpath.call.ending import longest_ms
from callpath.call.policies import SPEAK_CHARS_MAX
from callpath.errors import ControlError, InvalidRequestError, LocalProtocolError
from callpath.wire import conference as wire
from callpath.wire.command import Hangup, Speak
from callpath.wire.conference import (
    Beep,
    ConferenceCommand,
    ConferenceCreate,
    ConferenceEnd,
    ConferenceHold,
    ConferenceJoin,
    ConferenceLeave,
    ConferenceMute,
    ConferencePlay,
    ConferenceSpeak,
    ConferenceStop,
    ConferenceUnhold,
    ConferenceUnmute,
    Region,
)
from callpath.wire.document import write
from callpath.wire.ids import CallControlId
from callpath.wire.webhook import (
    CallHangup,
    CallPayload,
    ConferenceEnded,
    ConferenceParticipantJoined,
    ConferenceParticipantLeft,
    ConferenceParticipantPlaybackEnded,
    ConferenceParticipantSpeakEnded,
    ConferencePayload,
    ConferencePlaybackEnded,
    ConferenceSpeakEnded,
    ConferenceWebhook,
    Webhook,
)

Role = Literal["talks", "barge", "whisper", "monitor"]
"""`talks`: hears all and is heard by all. `barge`: the same, as Telnyx's word for a supervisor. `whisper`: is heard by some
only. `monitor`: hears all, and is heard by nobody."""

ConferenceEvent = CallPayload | ConferencePayload
"""What `room.events` gives: `ConferenceParticipantJoined`, `ConferenceFloorChanged`, `ConferenceSpeakEnded`, …"""

EVENTS_MAX = 256
"""Maximum events that wait for a slow reader; then the oldest is dropped."""

EARLY_MAX = 64
"""Maximum events kept that came before the answer which tells whose conference they are about."""

JOINED_MS_MAX = 5_000.0
"""How long Telnyx may take to tell that a call has joined, or that a conference has ended. Then it counts as done: the
command was accepted."""

PLAYBACK_MS_MAX = 600_000.0
"""How long a file may take that is played to a conference, if no event tells its end."""

WAITING_MAX = 64
"""Maximum of what is spoken and played without waiting for its end, and is not over."""

NAME_IN_USE = "90033"
GONE = frozenset({"90019", "90058"})
"""Telnyx's codes for a name that is taken, and for a conference that is over or unknown."""


class Directory(Protocol):
    """What can be asked of Telnyx about conferences: `callpath.control.Control`."""

    async def find_conference(self, name: str) -> wire.Conference | None:
        """The conference of this name that goes on."""
        ...

    async def participants(self, conference: str) -> list[wire.Participant]:
        """Who is in a conference, and who was."""
        ...


@dataclass(frozen=True, slots=True)
class _Options:
    """What a conference is made with."""

    max_participants: int | None = None
    beep: Beep | None = None
    comfort_noise: bool | None = None
    max_minutes: int | None = None
    region: Region | None = None


@dataclass(eq=False)
class _Waiting:
    """Something that is spoken or played, until its end is told."""

    leg_id: str | None
    kinds: tuple[type, ...]
    over: asyncio.Event = field(default_factory=asyncio.Event)
    status: SpokenStatus = "unknown"


class Participant:
    """One call in a conference, as this process knows it. `room.join` gives it, and `room.participants` has all."""

    def __init__(self, room: _Room, call_control_id: CallControlId, leg_id: str | None, call: Call | None) -> None:
        self.call_control_id = call_control_id
        self.leg_id = leg_id
        self.call = call
        """The call, where its handler runs in this process; None for another one's."""
        self.muted = False
        self.on_hold = False
        self.role: Role = "talks"
        self.is_in = True
        """False once it has left."""
        self._room = room
        self._left: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def left(self) -> Awaitable[None]:
        """Wait until it is in the conference no more: it hung up, was taken out, or the conference ended."""
        return asyncio.shield(self._left)

    async def mute(self) -> None:
        """Let nobody hear it. Raises InvalidRequestError (`not_in_conference`, `conference_over`), ControlError."""
        await self._room.send(ConferenceMute(call_control_ids=[self.call_control_id]), self)
        self.muted = True

    async def unmute(self) -> None:
        """Let it be heard again. Raises as `mute`."""
        if self.role == "monitor":
            raise InvalidRequestError("bad_role", "a monitor is muted: take it out, and let it join with another role")
        await self._room.send(ConferenceUnmute(call_control_ids=[self.call_control_id]), self)
        self.muted = False

    async def hold(self, audio_url: str | None = None, *, media_name: str | None = None) -> None:
        """Put it on hold: it hears the file, over and over, or silence, and nobody hears it. Raises as `mute`."""
        command = ConferenceHold(call_control_ids=[self.call_control_id], audio_url=audio_url, media_name=media_name)
        await self._room.send(_one_file(command), self)
        self.on_hold = True

    async def unhold(self) -> None:
        """Let it hear the others again, and be heard. Raises as `mute`."""
        await self._room.send(ConferenceUnhold(call_control_ids=[self.call_control_id]), self)
        self.on_hold = False

    async def speak(self, text: str, *, voice: str = "female", language: str = "en-US", wait: bool = True) -> Spoken:
        """Let Telnyx speak a text that only this participant hears. Returns as `Call.speak`. Raises as `mute`."""
        return await self._room.speak(text, voice, language, self, wait=wait)

    async def play(
        self,
        audio_url: str | None = None,
        *,
        media_name: str | None = None,
        loop: int | Literal["infinity"] | None = None,
        wait: bool = True,
    ) -> Spoken:
        """Let Telnyx play a file that only this participant hears. Returns as `Call.playback`. Raises as `mute`."""
        return await self._room.play(audio_url, media_name, loop, self, wait=wait)

    async def stop_playing(self) -> None:
        """Stop what Telnyx plays and speaks to this participant. Raises as `mute`."""
        await self._room.stop_playing(self)

    async def leave(self) -> None:
        """Take it out. The call stays up: it is with its handler again, or is hung up where that has returned. Does nothing
        where it has left. Raises InvalidRequestError, ControlError."""
        await self._room.leave(self)

    async def kick(self) -> None:
        """Hang it up. Raises InvalidRequestError (`not_in_conference`), ControlError."""
        self._room.check(self)
        await self._room.backend(self).backend.send(Hangup(), self.call_control_id)

    def _tell_left(self) -> None:
        self.is_in = False
        if not self._left.done():
            self._left.set_result(None)


class Conference:
    """A conference by its name. `app.conference(name)` gives it; the first call that joins makes it at Telnyx.

    As a block, it takes out the calls that joined through it when the block ends; a conference ends when nobody is left in
    it, and nobody is hung up by that. Without a block, a call stays in it when its handler returns, and is hung up when it
    leaves.
    """

    def __init__(self, conferences: Conferences, name: str, options: _Options, *, new: bool) -> None:
        self.name = name
        self._conferences = conferences
        self._options = options
        self._new = new
        self._room: _Room | None = None
        self._joined: list[Participant] = []
        self.events = DropOldestQueue[ConferenceEvent](limit=EVENTS_MAX)
        """What happens in the conference from the first join on: `async for event in room.events`. Ends with the conference
        or the block. Classes are in `callpath.events`. Up to 256 wait for a slow reader; then the oldest is dropped."""

    async def __aenter__(self) -> Conference:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for participant in self._joined:
                try:
                    await participant.leave()
                except (ControlError, LocalProtocolError):
                    continue  # its call is over, or the conference, or the server stops
        finally:
            self._close()

    def _close(self) -> None:
        if self._room is not None:
            self._room.handles.discard(self)
        self.events.close()

    @property
    def id(self) -> str | None:
        """Telnyx's id of the conference; None before the first call has joined."""
        return self._room.id if self._room is not None else None

    @property
    def is_over(self) -> bool:
        """It has ended."""
        return self._room is not None and self._room.is_over

    @property
    def participants(self) -> tuple[Participant, ...]:
        """Who is in it, as far as this process knows: its own calls, and those that `refresh` has found."""
        return tuple(self._room.participants.values()) if self._room is not None else ()

    def participant(self, call: Call) -> Participant | None:
        """The participant that a call is; None: it is not in the conference."""
        return next((one for one in self.participants if one.call_control_id == call.call_control_id), None)

    async def refresh(self) -> tuple[Participant, ...]:
        """Ask Telnyx who is in the conference, calls of other processes, too. Raises InvalidRequestError, ControlError."""
        await self._opened().refresh()
        return self.participants

    async def join(
        self,
        call: Call,
        *,
        muted: bool = False,
        hold: bool = False,
        hold_audio_url: str | None = None,
        hold_media_name: str | None = None,
        role: Role = "talks",
        whisper_to: Iterable[Call | Participant] = (),
        beep: Beep | None = None,
        ends_conference: bool = False,
    ) -> Participant:
        """Let a call join, and wait until it is in. The first one makes the conference, or finds the one of this name that
        another process has made.

        Its stream and its handler go on: `call.audio` is this party alone, and what the handler plays only this party
        hears. `hold` puts it on hold at once, with a file for it to hear. With `ends_conference` all are hung up when
        it leaves. `role="whisper"` is heard by `whisper_to` only, `"monitor"` by nobody. The call that makes the
        conference can have neither a role nor `ends_conference`.

        Raises InvalidRequestError (`call_over`, `in_conference`, `conference_over`, `bad_role`, `not_running`), and
        ControlError: `90033` where the name is taken and `new` was asked for, `90032` where the conference is full.
        """
        whisper = [str(one.call_control_id) for one in whisper_to]
        if (role == "whisper") != bool(whisper):
            raise InvalidRequestError("bad_role", 'role="whisper" needs whisper_to=[…], and no other role takes it')
        if hold_audio_url is not None and hold_media_name is not None:
            raise InvalidRequestError("out_of_range", "hold takes either hold_audio_url or hold_media_name")
        command = ConferenceJoin(
            call_control_id=call.call_control_id,
            mute=True
            if muted or role == "monitor"
            else None,  # Telnyx's own role monitor was seen to silence everybody
            hold=True if hold or hold_audio_url or hold_media_name else None,
            supervisor_role=role if role in ("barge", "whisper") else None,
            whisper_call_control_ids=list(whisper) or None,
            beep_enabled=beep,
            end_conference_on_exit=ends_conference or None,
            region=self._options.region,
        )
        room = self._room = self._room or self._conferences.room(self.name)
        if room.is_over:
            raise _over()
        room.handles.add(self)
        music = ConferenceHold(audio_url=hold_audio_url, media_name=hold_media_name)
        participant = await room.join(call, command, self._options, role, music, new=self._new)
        self._joined.append(participant)
        return participant

    async def mute(self) -> None:
        """Mute everybody. Raises InvalidRequestError (`conference_over`), ControlError."""
        room = self._opened()
        await room.send(ConferenceMute())
        room.mark(muted=True)

    async def unmute(self) -> None:
        """Unmute everybody but monitors. Raises as `mute`."""
        room = self._opened()
        heard = [str(one.call_control_id) for one in self.participants if one.role != "monitor"]
        if len(heard) == len(self.participants):
            await room.send(ConferenceUnmute())
        elif heard:  # an empty list would be everybody
            await room.send(ConferenceUnmute(call_control_ids=heard))
        room.mark(muted=False)

    async def hold(self, audio_url: str | None = None, *, media_name: str | None = None) -> None:
        """Put everybody on hold: they hear the file, or silence. Raises as `mute`."""
        room = self._opened()
        await room.send(_one_file(ConferenceHold(audio_url=audio_url, media_name=media_name)))
        room.mark(on_hold=True)

    async def unhold(self) -> None:
        """Take everybody off hold whom this process knows. Raises as `mute`."""
        room = self._opened()
        held = [one.call_control_id for one in room.participants.values() if one.on_hold]
        if held:
            await room.send(ConferenceUnhold(call_control_ids=[str(one) for one in held]))
        room.mark(on_hold=False)

    async def speak(self, text: str, *, voice: str = "female", language: str = "en-US", wait: bool = True) -> Spoken:
        """Let Telnyx speak a text to everybody. Returns as `Call.speak`. Raises as `mute`."""
        return await self._opened().speak(text, voice, language, None, wait=wait)

    async def play(
        self,
        audio_url: str | None = None,
        *,
        media_name: str | None = None,
        loop: int | Literal["infinity"] | None = None,
        wait: bool = True,
    ) -> Spoken:
        """Let Telnyx play a file to everybody. Returns as `Call.playback`. Raises as `mute`."""
        return await self._opened().play(audio_url, media_name, loop, None, wait=wait)

    async def stop_playing(self) -> None:
        """Stop what Telnyx plays and speaks to everybody. Raises as `mute`."""
        await self._opened().stop_playing(None)

    async def send(self, command: ConferenceCommand) -> None:
        """Send any other command of a conference, of `callpath.commands`. Returns when Telnyx has accepted it. Raises as
        `mute`."""
        await self._opened().send(command)

    async def end(self) -> None:
        """End the conference for all: everybody is hung up, and so is the call that made it, even where that has left.
        Raises as `mute`."""
        await self._opened().end()

    def _opened(self) -> _Room:
        if self._room is None or self._room.id is None:
            raise InvalidRequestError(
                "conference_over", "nobody is in this conference: let a call join before anything else"
            )
        if self._room.is_over:
            raise _over()
        return self._room


class _Room:
    """What this process knows of one conference. All of its `Conference` objects share it."""

    def __init__(self, conferences: Conferences, name: str) -> None:
        self.name = name
        self.id: str | None = None
        self.is_over = False
        self.participants: dict[CallControlId, Participant] = {}
        self.handles: WeakSet[Conference] = WeakSet()
        self.ended = asyncio.Event()
        self._conferences = conferences
        self._making = asyncio.Lock()
        self._waiting: deque[_Waiting] = deque(maxlen=WAITING_MAX)

    # --- commands ----------------------------------------------------------------------------------------------------

    def check(self, participant: Participant) -> None:
        """Raises InvalidRequestError (`conference_over`, `not_in_conference`)."""
        if self.is_over:
            raise _over()
        if not participant.is_in:
            raise InvalidRequestError("not_in_conference", "this call is in the conference no more")

    def backend(self, participant: Participant | None) -> CallFeed:
        """A call of this process through which a command can go: the participant's own, or else another one. Raises
        InvalidRequestError (`conference_over`)."""
        calls = [participant.call] if participant is not None and participant.call is not None else []
        calls += [one.call for one in self.participants.values() if one.call is not None]
        for call in calls:
            feed = feed_of(call)
            if not feed.backend.session.ended:
                return feed
        raise InvalidRequestError("conference_over", "no call of this process is in the conference any more")

    async def send(self, command: ConferenceCommand, participant: Participant | None = None) -> None:
        """Send a command; where Telnyx says that the conference is gone, it is over."""
        if participant is not None:
            self.check(participant)
        elif self.is_over:
            raise _over()
        try:
            await self.backend(participant).backend.send(command, conference=self.id)
        except ControlError as error:
            if error.code in GONE:
                self.end_here()
            raise

    async def join(
        self, call: Call, command: ConferenceJoin, options: _Options, role: Role, music: ConferenceHold, *, new: bool
    ) -> Participant:
        feed = feed_of(call)
        session = feed.backend.session
        async with self._making:
            try:
                if self.is_over:
                    raise _over()
                inside = session.conference
                if inside is not None:
                    return await self._adopt(call, inside)
                made = await self._enter(call, command, options, role, new=new)
                participant = self._add(call, muted=bool(command.mute), on_hold=bool(command.hold), role=role)
                if made and command.mute:  # what a join asks for at once, the call that makes a conference gets now
                    await self.send(ConferenceMute(call_control_ids=[call.call_control_id]), participant)
                if command.hold and (made or music.audio_url or music.media_name):
                    held = msgspec.structs.replace(music, call_control_ids=[call.call_control_id])
                    await self.send(held, participant)
            finally:
                if not self.participants:
                    self._conferences.vacate(self)
        await feed.until(lambda _: (session.conferences.stay(call.leg_id, self.id), None), JOINED_MS_MAX)
        return participant

    async def _enter(self, call: Call, command: ConferenceJoin, options: _Options, role: Role, *, new: bool) -> bool:
        """Let a call in. True: it made the conference."""
        if self.id is None and await self._make(call, command, options, role, new=new):
            return True
        try:
            await feed_of(call).backend.send(command, conference=self.id)
        except ControlError as error:
            if error.code not in GONE and error.status != 404:
                raise
            self.id = None  # the last one has just left: the same name again is a new conference
            self._forget_all()
        else:
            return False
        if await self._make(call, command, options, role, new=new):
            return True
        await feed_of(call).backend.send(command, conference=self.id)
        return False

    async def _make(self, call: Call, command: ConferenceJoin, options: _Options, role: Role, *, new: bool) -> bool:
        """Make the conference with this call in it; False: there is one of this name, which it can join."""
        directory = self._conferences.directory
        if directory is None:
            raise InvalidRequestError("not_running", "conferences work while the server runs: in handlers")
        wants = role in ("barge", "whisper") or command.end_conference_on_exit
        if wants and not new:  # only one that exists can be joined in this way
            found = await directory.find_conference(self.name)
            if found is not None:
                self._open(found.id)
                return False
        if wants:
            raise InvalidRequestError(
                "bad_role",
                "the call that makes a conference has neither a role nor ends_conference: let another one join first",
            )
        create = ConferenceCreate(
            call_control_id=call.call_control_id,
            name=self.name,
            beep_enabled=options.beep,
            comfort_noise=options.comfort_noise,
            duration_minutes=options.max_minutes,
            max_participants=options.max_participants,
            region=options.region,
        )
        backend = feed_of(call).backend
        self._conferences.making += 1
        try:
            command_id = await backend.send(create)
            answer = backend.session.answers.get(command_id)
            self._open((answer.conference if answer is not None else None) or self.name)
        except ControlError as error:
            if error.code != NAME_IN_USE or new:
                raise
            found = await directory.find_conference(self.name)
            if found is None:
                raise
            self._open(found.id)
            return False
        finally:
            self._conferences.making -= 1
        return True

    async def _adopt(self, call: Call, inside: str) -> Participant:
        """A handler that is entered again after a restart finds its call in the conference. Raises InvalidRequestError
        (`in_conference`)."""
        known = self.participants.get(call.call_control_id)
        if call.facts.resumed and (known is None or known.call is None):  # another call's handler may have found it
            directory = self._conferences.directory
            found = await directory.find_conference(self.name) if directory is not None else None
            if found is not None and found.id == inside:
                self._open(found.id)
                participant = self._add(call)
                await self.refresh()
                return participant
        raise InvalidRequestError(
            "in_conference", "this call is in a conference already: take it out before it joins another one"
        )

    def _open(self, conference_id: str) -> None:
        self.id = conference_id
        self._conferences.opened(self)

    def _add(self, call: Call, *, muted: bool = False, on_hold: bool = False, role: Role = "talks") -> Participant:
        participant = Participant(self, call.call_control_id, call.leg_id, call)
        participant.muted, participant.on_hold, participant.role = muted, on_hold, role
        self.participants[call.call_control_id] = participant
        return participant

    async def leave(self, participant: Participant) -> None:
        """Take one out, and wait until Telnyx says so."""
        if not participant.is_in or self.is_over:
            return
        call = participant.call
        if call is not None and feed_of(call).backend.session.ended:
            self._remove(participant)
            return
        feed = self.backend(participant)
        await self.send(ConferenceLeave(call_control_id=participant.call_control_id), participant)
        await feed.until(lambda _: (None if participant.is_in else True, None), JOINED_MS_MAX)
        self._remove(participant)

    async def speak(self, text: str, voice: str, language: str, to: Participant | None, *, wait: bool) -> Spoken:
        if not 1 <= len(text) <= SPEAK_CHARS_MAX:
            raise InvalidRequestError(
                "text_length", f"Telnyx speaks 1 to {SPEAK_CHARS_MAX:,} characters, not {len(text)}"
            )
        command = ConferenceSpeak(payload=text, voice=voice, language=language, call_control_ids=_ids(to))
        spoken = Speak(payload=text, voice=voice)
        kinds = (ConferenceParticipantSpeakEnded,) if to is not None else (ConferenceSpeakEnded,)
        return await self._until_over(command, to, kinds, longest_ms(Speak.NAME, write(spoken)), wait=wait)

    async def play(
        self,
        audio_url: str | None,
        media_name: str | None,
        loop: int | Literal["infinity"] | None,
        to: Participant | None,
        *,
        wait: bool,
    ) -> Spoken:
        if (audio_url is None) == (media_name is None):
            raise InvalidRequestError("out_of_range", "play() takes either an audio_url or a media_name")
        if loop is not None and loop != "infinity" and not 1 <= loop <= 100:
            raise InvalidRequestError("out_of_range", f'loop is 1 to 100, or "infinity", not {loop}')
        command = ConferencePlay(audio_url=audio_url, media_name=media_name, loop=loop, call_control_ids=_ids(to))
        kinds = (ConferenceParticipantPlaybackEnded,) if to is not None else (ConferencePlaybackEnded,)
        longest = float("inf") if loop == "infinity" else PLAYBACK_MS_MAX
        return await self._until_over(command, to, kinds, longest, wait=wait)

    async def stop_playing(self, to: Participant | None) -> None:
        await self.send(ConferenceStop(call_control_ids=_ids(to)), to)
        for waiting in self._waiting:
            if to is None or waiting.leg_id == to.leg_id:
                waiting.status = "interrupted"

    async def _until_over(
        self,
        command: ConferenceCommand,
        to: Participant | None,
        kinds: tuple[type, ...],
        longest_ms: float,
        *,
        wait: bool,
    ) -> Spoken:
        """Send what takes its time, and wait for its end."""
        waiting = _Waiting(to.leg_id if to is not None else None, kinds)
        clock = self.backend(to).clock
        self._waiting.append(waiting)
        sent = False
        try:
            await self.send(command, to)
            sent = True
            if wait:
                until_ms = None if longest_ms == float("inf") else clock.now_ms() + longest_ms
                await clock.wait(waiting.over, until_ms)
            return Spoken(waiting.status)
        finally:
            if waiting in self._waiting and (wait or not sent or waiting.over.is_set()):
                self._waiting.remove(waiting)

    async def end(self) -> None:
        feed = self.backend(None)
        await self.send(ConferenceEnd())
        await feed.clock.wait(self.ended, feed.clock.now_ms() + JOINED_MS_MAX)
        self.end_here()

    async def refresh(self) -> None:
        """Take over what Telnyx says of who is in it. Raises ControlError."""
        directory = self._conferences.directory
        assert directory is not None and self.id is not None, "it was opened with it"
        rows = await directory.participants(self.id)
        present = {row.call_control_id: row for row in rows if row.status != "left"}
        for control_id, row in present.items():
            known = self.participants.get(control_id)
            if known is None:
                known = self.participants[control_id] = Participant(self, control_id, row.call_leg_id, None)
            known.muted, known.on_hold = bool(row.muted), bool(row.on_hold)
        for one in [one for one in self.participants.values() if one.call_control_id not in present]:
            self._remove(one)

    def mark(self, *, muted: bool | None = None, on_hold: bool | None = None) -> None:
        """All of them are muted or on hold, or are so no more."""
        for one in self.participants.values():
            if muted is not None:
                one.muted = muted or one.role == "monitor"
            if on_hold is not None:
                one.on_hold = on_hold

    # --- events ------------------------------------------------------------------------------------------------------

    def receive(self, payload: CallPayload | ConferencePayload) -> None:
        """An event of the conference, or the hangup of a leg in it."""
        leg_id = payload.call_leg_id if isinstance(payload, CallPayload) else None
        for waiting in self._waiting:
            if isinstance(payload, waiting.kinds) and waiting.leg_id == leg_id and not waiting.over.is_set():
                waiting.status = "interrupted" if waiting.status == "interrupted" else "completed"
                waiting.over.set()
                break
        match payload:
            case ConferenceParticipantLeft() | CallHangup():
                one = self.participants.get(payload.call_control_id)
                if one is not None and not self._is_still_in(one, payload):
                    self._remove(one)
            case ConferenceParticipantJoined() if payload.call_control_id not in self.participants:
                self.participants[payload.call_control_id] = Participant(self, payload.call_control_id, leg_id, None)
            case _:
                pass
        if not isinstance(payload, CallHangup):
            for handle in self.handles:
                handle.events.put(payload)
        if isinstance(payload, ConferenceEnded):
            self.end_here()

    def _is_still_in(self, participant: Participant, payload: CallPayload) -> bool:
        """The event is an old one, which came late: the call has joined again since."""
        if participant.call is None or isinstance(payload, CallHangup):
            return False
        stay = feed_of(participant.call).backend.session.conferences.stay(participant.leg_id, self.id)
        return stay is not None and not stay.left

    def _remove(self, participant: Participant) -> None:
        if self.participants.get(participant.call_control_id) is participant:
            del self.participants[participant.call_control_id]
        participant._tell_left()  # noqa: SLF001 (defined above)
        for waiting in [one for one in self._waiting if one.leg_id == participant.leg_id and one.leg_id is not None]:
            waiting.status = "hung_up"
            waiting.over.set()
        if not self.participants and not self._making.locked():
            self._conferences.vacate(self)

    def _forget_all(self) -> None:
        for one in list(self.participants.values()):
            self._remove(one)

    def end_here(self) -> None:
        """It is over."""
        if self.is_over:
            return
        self.is_over = True
        self.ended.set()
        self._forget_all()
        for waiting in self._waiting:
            if not waiting.over.is_set():
                waiting.status = "hung_up"
                waiting.over.set()
        for handle in list(self.handles):
            handle.events.close()
        self._conferences.vacate(self)


class Conferences:
    """The conferences of one App in this process, by name and by id."""

    def __init__(self) -> None:
        self.directory: Directory | None = None
        """What the running server asks Telnyx with; None while none runs."""
        self.making = 0
        """Conferences whose ids are not known yet."""
        self._by_name: dict[str, _Room] = {}
        self._by_id: WeakValueDictionary[str, _Room] = WeakValueDictionary()
        self._early: deque[tuple[str, CallPayload | ConferencePayload]] = deque(maxlen=EARLY_MAX)

    def open(
        self,
        name: str,
        *,
        new: bool,
        max_participants: int | None,
        beep: Beep | None,
        comfort_noise: bool | None,
        max_minutes: int | None,
        region: Region | None,
    ) -> Conference:
        """What `App.conference` gives."""
        if not name:
            raise InvalidRequestError("out_of_range", "a conference needs a name")
        if max_participants is not None and not 2 <= max_participants <= 800:
            raise InvalidRequestError("out_of_range", f"a conference takes 2 to 800 calls, not {max_participants}")
        if max_minutes is not None and not 1 <= max_minutes <= 240:
            raise InvalidRequestError("out_of_range", f"a conference lasts 1 to 240 minutes, not {max_minutes}")
        if new and name in self._by_name:
            raise InvalidRequestError(
                "name_in_use", "a conference of this name goes on: end it, or join without new=True"
            )
        return Conference(self, name, _Options(max_participants, beep, comfort_noise, max_minutes, region), new=new)

    def room(self, name: str) -> _Room:
        """The conference of this name that goes on here, or a new one."""
        return self._by_name.setdefault(name, _Room(self, name))

    def opened(self, room: _Room) -> None:
        """Its id is known. Events that came before the answer are told now."""
        assert room.id is not None
        self._by_id[room.id] = room
        self._by_name[room.name] = room
        early = [payload for conference, payload in self._early if conference == room.id]
        self._early.clear()
        for payload in early:
            room.receive(payload)

    def vacate(self, room: _Room) -> None:
        """Nobody of this process is in it: whoever joins one of this name looks again. Its last events still come."""
        if self._by_name.get(room.name) is room:
            del self._by_name[room.name]

    def receive(self, webhook: Webhook | ConferenceWebhook) -> None:
        """An event of a call of this process, or of a conference that one of them has made."""
        payload: Any = webhook.payload
        conference = getattr(payload, "conference_id", None)
        if isinstance(conference, str):
            room = self._by_id.get(conference)
            if room is not None:
                room.receive(payload)
            elif self.making:
                self._early.append((conference, payload))
        elif isinstance(payload, CallHangup):
            for room in [one for one in list(self._by_id.values()) if payload.call_control_id in one.participants]:
                room.receive(payload)


def _over() -> InvalidRequestError:
    return InvalidRequestError("conference_over", "this conference is over: open a new one with app.conference(name)")


def _ids(participant: Participant | None) -> list[str] | None:
    return None if participant is None else [participant.call_control_id]


def _one_file(command: ConferenceHold) -> ConferenceHold:
    if command.audio_url is not None and command.media_name is not None:
        raise InvalidRequestError("out_of_range", "hold() takes either an audio_url or a media_name")
    return command
