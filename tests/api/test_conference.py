"""A conference as a handler sees it. (What each of them hears: tests/server/test_conferences.py; which leg is in:
tests/call.)"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from callpath import App, Call, Conference, ControlError, InvalidRequestError, Participant
from callpath.commands import (
    ConferenceHold,
    ConferenceJoin,
    ConferenceLeave,
    ConferenceMute,
    ConferenceUnhold,
    ConferenceUnmute,
    Hangup,
)
from callpath.events import (
    ConferenceCreated,
    ConferenceEnded,
    ConferenceParticipantJoined,
    ConferenceParticipantLeft,
    ConferenceSpeakEnded,
)
from callpath.testing import HandlerUnderTest, place_call
from callpath.timeline import CommandSent
from callpath.wire import conference as wire
from callpath.wire.conference import ConferenceCreate
from callpath.wire.ids import CallControlId

ME = "v3:pair"

Body = Callable[[App, Call], Awaitable[None]]


def app_of(body: Body) -> App:
    app = App()

    @app.call
    async def handle(call: Call) -> None:
        await body(app, call)

    return app


async def reason_of(asked: Awaitable[Any]) -> str:
    with pytest.raises(InvalidRequestError) as raised:
        await asked
    return raised.value.reason


def names(caller: HandlerUnderTest) -> list[str]:
    return [command.entry_name for command in caller.commands]


async def test_a_call_makes_the_conference_joins_it_and_leaves_with_the_block() -> None:
    """Nobody is hung up by the end of a block: the call is with its handler again."""
    events: list[type] = []

    async def meet(app: App, call: Call) -> None:
        async with app.conference("stand-up", max_participants=5, beep="on_enter") as room:
            assert (None, ()) == (room.id, room.participants)
            me = await room.join(call)
            assert ("conference-1", (me,)) == (room.id, room.participants)
            assert (me, True) == (room.participant(call), me.is_in)
            await asyncio.sleep(1)
        assert not me.is_in
        await me.left
        events.extend([type(event) async for event in room.events])
        await call.speak("Bye.")

    async with place_call(app_of(meet)) as caller:
        await caller.run(ms=3000)

    assert ["conference_create", "conference_leave", "speak", "hangup"] == names(caller)
    create = caller.commands[0]
    assert isinstance(create, ConferenceCreate)
    assert ("stand-up", 5, "on_enter", ME) == (
        create.name,
        create.max_participants,
        create.beep_enabled,
        create.call_control_id,
    )
    assert [ConferenceCreated, ConferenceParticipantJoined, ConferenceParticipantLeft] == events[:3]


async def test_a_call_stays_when_its_handler_returns_and_is_hung_up_when_it_leaves() -> None:
    """The automatic hangup would throw everybody out whose handler has done its work."""

    async def meet(app: App, call: Call) -> None:
        await app.conference("stand-up").join(call)

    async with place_call(app_of(meet)) as caller:
        await caller.run(ms=20_000)
        assert caller.returned
        before = names(caller)
        await caller.event("conference.participant.left", conference_id="conference-1")
        await caller.run(ms=3000)

    assert ["conference_create", "streaming_stop"] == before, "the stream that nobody uses any more is stopped"
    assert "hangup" == names(caller)[-1]


async def test_a_participant_is_muted_held_spoken_to_and_taken_out() -> None:
    """Commands name one participant; without a name Telnyx takes them to be about everybody."""
    result: list[Any] = []

    async def meet(app: App, call: Call) -> None:
        async with app.conference("stand-up") as room:
            me = await room.join(call)
            await me.mute()
            assert me.muted
            await me.unmute()
            await me.hold("https://example.com/music.mp3")
            assert me.on_hold and not me.muted
            await me.unhold()
            result.append(await me.speak("Only you hear this."))
            result.append(await me.play("https://example.com/a.mp3"))
            await me.leave()
            await me.leave()
            result.append(await reason_of(me.mute()))

    async with place_call(app_of(meet)) as caller:
        await caller.run(ms=10_000)
    mute, unmute, hold, unhold = caller.commands[1:5]
    spoken, played, reason = result

    assert isinstance(mute, ConferenceMute) and isinstance(unmute, ConferenceUnmute)
    assert isinstance(hold, ConferenceHold) and isinstance(unhold, ConferenceUnhold)
    assert [[ME]] * 4 == [command.call_control_ids for command in (mute, unmute, hold, unhold)]
    assert "https://example.com/music.mp3" == hold.audio_url
    assert spoken and played
    assert "conference_over" == reason or "not_in_conference" == reason
    assert 1 == names(caller).count("conference_leave")


async def test_the_whole_room_is_spoken_to_muted_and_held() -> None:
    """An announcement ends for all at once; a monitor stays muted."""
    result: list[Any] = []

    async def meet(app: App, call: Call) -> None:
        async with app.conference("stand-up") as room:
            await room.join(call)
            app.state.room = room
            await asyncio.sleep(1)
            result.append(await room.speak("Welcome."))
            await room.mute()
            result.append([one.muted for one in room.participants])
            await room.unmute()
            await room.hold(media_name="music")
            await room.unhold()
            result.append(await room.play("https://example.com/a.mp3", wait=False))
            await room.stop_playing()
            result.append([type(event) async for event in take(room)])

    async def take(room: Conference) -> Any:
        while len(room.events):
            yield await anext(room.events)

    async with place_call(app_of(meet)) as caller:
        await caller.run(ms=500)
        await caller.guest_joins("guest")
        await caller.run(ms=5000)
    welcome, muted, unwaited, events = result

    assert welcome
    assert [True, True] == muted
    assert "unknown" == unwaited.status
    assert ConferenceSpeakEnded in events
    unhold = next(command for command in caller.commands if isinstance(command, ConferenceUnhold))
    assert [ME, "v3:guest"] == unhold.call_control_ids, "Telnyx unholds those only who are named"


async def test_the_first_call_is_muted_and_held_after_it_has_made_the_conference() -> None:
    """create takes neither: a listener in an empty room would be heard."""

    async def meet(app: App, call: Call) -> None:
        async with app.conference("stand-up") as room:
            me = await room.join(call, muted=True, hold_audio_url="https://example.com/music.mp3")
            assert me.muted and me.on_hold

    async with place_call(app_of(meet)) as caller:
        await caller.run(ms=1000)

    assert ["conference_create", "conference_mute", "conference_hold", "conference_leave"] == names(caller)[:4]


async def test_a_name_that_another_process_has_taken_is_joined_unless_it_is_to_be_new() -> None:
    """Callers of one meeting land on different servers."""
    result: list[Any] = []

    async def meet(app: App, call: Call) -> None:
        await asyncio.sleep(0.1)
        others_make("stand-up")
        async with app.conference("stand-up") as room:
            other = Participant(None, CallControlId("v3:other"), None, None)  # type: ignore[arg-type]
            me = await room.join(call, role="whisper", whisper_to=[other], beep="always")
            result.append((room.id, me.role))
        others_make("stand-up")
        with pytest.raises(ControlError) as raised:
            await app.conference("stand-up", new=True).join(call)
        result.append(raised.value.code)

    def others_make(name: str) -> None:
        row = wire.Conference(id="others-1", name=name, created_at="", expires_at="", status="in_progress")
        caller._telnyx.conference.row = row

    async with place_call(app_of(meet)) as caller:
        await caller.run(ms=3000)
    join = next(command for command in caller.commands if isinstance(command, ConferenceJoin))

    assert [("others-1", "whisper"), "90033"] == result
    assert ("whisper", ["v3:other"], "always") == (
        join.supervisor_role,
        join.whisper_call_control_ids,
        join.beep_enabled,
    )


async def test_what_cannot_be_is_said_before_anything_is_sent() -> None:
    """Each would be a refusal of Telnyx's at best, and an empty list of participants everybody."""
    reasons: list[str] = []

    async def meet(app: App, call: Call) -> None:
        room = app.conference("a")
        reasons.append(await reason_of(room.mute()))
        reasons.append(await reason_of(room.join(call, role="whisper")))
        reasons.append(await reason_of(room.join(call, whisper_to=[call])))
        reasons.append(await reason_of(room.join(call, role="barge")))
        reasons.append(await reason_of(room.join(call, hold_audio_url="a", hold_media_name="b")))
        async with room:
            monitor = await room.join(call, role="monitor")
            assert monitor.muted
            reasons.append(await reason_of(room.join(call)))
            reasons.append(await reason_of(app.conference("b").join(call)))
            reasons.append(await reason_of(monitor.unmute()))
            reasons.append(await reason_of(monitor.hold("a", media_name="b")))
            reasons.append(await reason_of(room.speak("")))
            reasons.append(await reason_of(room.play()))
            reasons.append(await reason_of(room.play("a", loop=0)))
            with pytest.raises(InvalidRequestError) as raised:
                app.conference("a", new=True)
            reasons.append(raised.value.reason)
        for wrong in ({"name": ""}, {"name": "x", "max_participants": 1}, {"name": "x", "max_minutes": 500}):
            with pytest.raises(InvalidRequestError):
                app.conference(**wrong)

    async with place_call(app_of(meet)) as caller:
        await caller.run(ms=3000)

    assert [
        "conference_over",
        *["bad_role"] * 3,
        "out_of_range",
        *["in_conference"] * 2,
        "bad_role",
        "out_of_range",
        "text_length",
        *["out_of_range"] * 2,
        "name_in_use",
    ] == reasons
    assert ["conference_create", "conference_mute", "conference_leave", "hangup"] == names(caller)


async def test_ending_the_conference_hangs_everybody_up() -> None:
    """Its creator, too. What comes afterwards is said to be too late."""
    reasons: list[str] = []

    async def meet(app: App, call: Call) -> None:
        room = app.conference("a")
        me = await room.join(call)
        try:
            await room.end()
        finally:
            await me.left
            assert room.is_over
            reasons.append(await reason_of(room.speak("x")))
            reasons.append(await reason_of(room.join(call)))

    async with place_call(app_of(meet)) as caller:
        await caller.run(ms=2000)
        assert caller.call is not None
        end = await caller.call.ended

    assert "time_limit" == end.cause
    assert ["conference_over"] * 2 == reasons
    assert ["conference_create", "conference_end"] == names(caller)


async def test_a_kick_hangs_up_and_a_hangup_leaves() -> None:
    """The handler's own call ends with it, and its block sends nothing to a call that is over."""

    async def meet(app: App, call: Call) -> None:
        async with app.conference("a") as room:
            me = await room.join(call)
            await me.kick()
            await asyncio.sleep(60)

    async with place_call(app_of(meet)) as caller:
        await caller.run(ms=2000)

    assert ["conference_create", "hangup"] == names(caller)
    assert isinstance(caller.commands[-1], Hangup)


async def test_somebody_else_leaves_and_the_creator_goes_first() -> None:
    """The end of the call that made a conference is not the conference's."""
    seen: list[Any] = []

    async def meet(app: App, call: Call) -> None:
        room = app.conference("a")
        me = await room.join(call)
        await asyncio.sleep(1)
        (guest,) = [one for one in room.participants if one is not me]
        seen.append((guest.call, guest.leg_id))
        await me.leave()
        seen.append((room.is_over, guest.is_in))
        await guest.left
        seen.append((guest.is_in, [type(event) async for event in room.events][-1]))

    async with place_call(app_of(meet)) as caller:
        await caller.run(ms=500)
        await caller.guest_joins("guest")
        await caller.run(ms=2000)
        await caller.guest_leaves("guest")
        await caller.run(ms=2000)

    assert [(None, "guest"), (False, True), (False, ConferenceEnded)] == seen


async def test_an_old_event_does_not_take_a_call_out_that_has_joined_again() -> None:
    """Telnyx delivers late, and twice."""

    async def meet(app: App, call: Call) -> None:
        room = app.conference("a")
        app.state.room = room
        app.state.me = await room.join(call)
        await app.state.again.wait()
        await app.state.me.leave()
        app.state.me = await room.join(call)
        await asyncio.sleep(60)

    app = app_of(meet)
    app.state.again = asyncio.Event()
    async with place_call(app) as caller:
        await caller.run(ms=500)
        await caller.guest_joins("guest")
        app.state.again.set()
        await caller.run(ms=500)
        assert app.state.me.is_in
        await caller.event(
            "conference.participant.left", conference_id="conference-1", occurred_at="2025-12-31T00:00:00Z"
        )
        await caller.run(ms=500)
        still = app.state.me.is_in

    assert still


async def test_a_conference_that_has_just_ended_is_made_again() -> None:
    """The last one leaves at the very moment in which the next one joins by its id: 90019."""
    ids: list[str | None] = []

    async def meet(app: App, call: Call) -> None:
        room = app.conference("a")
        await room.join(call)
        ids.append(room.id)
        await asyncio.sleep(1)
        (me,) = [one for one in room.participants if one.call is call]
        await me.leave()
        await asyncio.sleep(1)
        await room.join(call)
        ids.append(room.id)

    async with place_call(app_of(meet)) as caller:
        await caller.run(ms=500)
        await caller.guest_joins("guest")
        await caller.run(ms=1000)
        caller._telnyx.conference.inside.clear()
        caller._telnyx.conference.row = None  # the events of its end are on the way
        await caller.run(ms=2000)

    assert ["conference-1", "conference-2"] == ids
    assert ["conference_create", "conference_leave", "conference_join", "conference_create"] == names(caller)[:4]


async def test_each_command_is_in_the_timeline_with_its_conference() -> None:
    """After a crash the same command goes out again, to the same conference."""

    async def meet(app: App, call: Call) -> None:
        async with app.conference("a") as room:
            me = await room.join(call)
            await me.mute()

    async with place_call(app_of(meet)) as caller:
        await caller.run(ms=1000)
        sent = [what for what in caller.timeline if isinstance(what, CommandSent)]

    assert [
        ("conference_create", None),
        ("conference_mute", "conference-1"),
        ("conference_leave", "conference-1"),
    ] == [(one.command, one.conference) for one in sent[:3]]
    assert [isinstance(one, ConferenceLeave) for one in caller.commands][2]


async def test_conferences_need_a_server() -> None:
    """In a script, outside of any call."""
    app = App()
    room = app.conference("a")

    assert (False, None, ()) == (room.is_over, room.id, room.participants)
    assert "conference_over" == await reason_of(room.refresh())
