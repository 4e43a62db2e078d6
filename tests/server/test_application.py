"""A handler's run on the server's own code (`place_call` is it): how it ends, and what that means for the call."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from callpath import App, Call
from callpath.api.ring import Answer, Ring
from callpath.call.policies import CallPolicy, parse_steps
from callpath.errors import ControlError
from callpath.server.application import NO_ROUTE
from callpath.testing import HandlerUnderTest, place_call
from callpath.timeline import (
    CommandAnswered,
    CommandSent,
    HandlerEnded,
    HandlerFailed,
    HandlerStarted,
    Noted,
    PolicyActed,
)
from callpath.wire.command import Hangup, PlaybackStart, SendDtmf, StreamingStop


def app_of(handle: Any) -> App:
    app = App()
    app.call(handle)
    return app


def sent(caller: HandlerUnderTest) -> list[str]:
    return [command.NAME for command in caller.commands]


def ends(caller: HandlerUnderTest) -> list[HandlerEnded | HandlerFailed]:
    return [what for what in caller.timeline if isinstance(what, HandlerEnded | HandlerFailed)]


# --- the last request stands -----------------------------------------------------------------------------------------


async def test_a_handler_that_returns_is_hung_up_once() -> None:
    """In a test as on the server: a bot whose test passes must not behave otherwise with a caller."""

    async def handle(call: Call) -> None:
        await call.play(bytes(3200))

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=2000)

        assert sent(caller) == ["hangup"]
        assert caller.returned


async def test_a_transfer_is_not_undone_and_the_stream_is_stopped() -> None:
    """The hangup went out milliseconds after it, for the same leg; and the bot would talk into the conversation."""

    async def handle(call: Call) -> None:
        await call.transfer("+15555550177")

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=30_000)

        assert sent(caller) == ["transfer", "streaming_stop"]
        assert isinstance(caller.commands[1], StreamingStop)


async def test_what_was_played_is_heard_before_a_transfer() -> None:
    """Telnyx loses what is still queued."""
    asked_ms: list[float] = []

    async def handle(call: Call) -> None:
        await call.play(bytes(16_000))
        await call.transfer("+15555550177", keep_stream=True)
        asked_ms.append(call.played_ms)

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=3_000)

    assert asked_ms[0] >= 1_000


async def test_a_transfer_that_fails_leaves_nobody_in_silence() -> None:
    """Busy: the caller's leg stays up, silent, and nobody serves it."""

    async def handle(call: Call) -> None:
        await call.transfer("+15555550177")

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=500)
        await caller.event("call.hangup", leg="leg-2", hangup_cause="user_busy")
        before = sent(caller)
        await caller.run(ms=5_000)

        assert "hangup" not in before
        assert sent(caller)[-1] == "hangup"


@pytest.mark.parametrize("tells", [True, False])
async def test_what_telnyx_speaks_is_heard_before_the_hangup(tells: bool) -> None:
    """`await call.speak("Goodbye."); return` was never heard. If Telnyx does not tell its end, there is a bound."""

    async def handle(call: Call) -> None:
        await call.speak("Goodbye, and thank you for calling.")

    async with place_call(app_of(handle)) as caller:
        if not tells:
            caller.silent = True
        await caller.run(ms=2_000)
        while_speaking = sent(caller)
        await caller.run(ms=20_000)

        assert while_speaking == ["speak"]
        assert sent(caller) == ["speak", "hangup"]


@pytest.mark.parametrize("command", [PlaybackStart(audio_url="https://a/b.mp3"), SendDtmf(digits="12W34")])
async def test_what_telnyx_plays_is_heard_before_the_hangup(command: Any) -> None:
    """Files and keys likewise: no webhook tells the end of keys."""

    async def handle(call: Call) -> None:
        await call.send(command)

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=1_500)
        while_playing = sent(caller)
        await caller.run(ms=10_000)

        assert while_playing == [command.NAME]
        assert sent(caller) == [command.NAME, "hangup"]


async def test_a_refused_hangup_is_sent_again_until_the_call_is_over() -> None:
    """Each goes out under an id of its own, since Telnyx carries a repeated one out once."""

    async def handle(call: Call) -> None: ...

    refuse = {"hangup": "90015"}
    async with place_call(app_of(handle), refuse=refuse) as caller:
        await caller.run(ms=10_000)
        refused = list(caller.commands)
        refuse.clear()
        await caller.run(ms=30_000)
        over = len(caller.commands)
        await caller.run(ms=20_000)

    ids = [command.command_id for command in refused]
    assert {Hangup} == {type(command) for command in refused}
    assert 3 <= len(refused) <= 5
    assert len(ids) == len(set(ids))
    assert over == len(refused) + 1 == len(caller.commands)


async def test_the_bots_own_hangup_has_its_answer() -> None:
    """call.hangup beats the HTTP answer, and cancelled the handler that waited for it: no answer stood in the timeline."""

    async def handle(call: Call) -> None:
        await call.hangup()
        await asyncio.Event().wait()

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=1_000)

    assert ["hangup"] == [what.command for what in caller.timeline if isinstance(what, CommandSent)]
    assert ["hangup"] == [what.command for what in caller.timeline if isinstance(what, CommandAnswered)]
    assert [HandlerEnded(cancelled=True, reason="the call is over")] == ends(caller)


# --- cancelled means that we cancelled -------------------------------------------------------------------------------


async def _awaits_a_cancelled_task(call: Call) -> None:
    task = asyncio.get_running_loop().create_task(asyncio.Event().wait())
    task.cancel()
    await task


async def _raises_cancelled(call: Call) -> None:
    raise asyncio.CancelledError("of a library")


async def _cancels_itself(call: Call) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.Event().wait()


@pytest.mark.parametrize("handle", [_awaits_a_cancelled_task, _raises_cancelled, _cancels_itself])
async def test_a_leaked_cancellation_is_the_handlers_failure(handle: Any) -> None:
    """It was taken for ours: "the call is over", a lie, and the caller heard nothing for up to four hours."""

    async def soon(call: Call) -> None:
        await anext(aiter(call.audio))
        await handle(call)

    async with place_call(app_of(soon)) as caller:
        with pytest.raises(asyncio.CancelledError):
            await caller.run(ms=1_000)
        await caller.run(ms=1_000)

    assert sent(caller) == ["hangup"]
    (failed,) = ends(caller)
    assert isinstance(failed, HandlerFailed)
    assert "not callpath's" in failed.error


async def test_sys_exit_in_a_handler_ends_its_call_and_not_the_server() -> None:
    """asyncio lets SystemExit out of the event loop: every other caller would be cut off."""

    async def handle(call: Call) -> None:
        await anext(aiter(call.audio))
        raise SystemExit(3)

    async with place_call(app_of(handle)) as caller:
        with pytest.raises(RuntimeError, match=r"sys\.exit\(3\)"):
            await caller.run(ms=1_000)
        await caller.run(ms=1_000)

    assert sent(caller) == ["hangup"]


async def test_a_swallowed_cancellation_is_no_return() -> None:
    """A handler that catches ours to clean up and then returns has not asked for the hangup of a call that goes on."""

    async def handle(call: Call) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    async with place_call(app_of(handle)) as caller:
        await caller.lose_socket()
        await caller.run(ms=11_000)

        assert [HandlerEnded(cancelled=True, reason="its socket was lost, and not back within 10 s")] == ends(caller)
        assert "hangup" not in sent(caller)


async def test_a_handler_that_does_not_end_is_cancelled_again() -> None:
    """Once may be an accident of its error handling; a call that is over must not hold it for ever."""
    cancelled: list[int] = []

    async def handle(call: Call) -> None:
        while len(cancelled) < 3:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(1)

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=100)
        await caller.event("call.hangup", hangup_cause="normal_clearing")
        with capture_logs() as logs:
            await caller.run(ms=4_900)
            once = len(cancelled)
            await caller.run(ms=200)
            twice = len(cancelled)
            await caller.run(ms=20_000)

    assert (once, twice, cancelled) == (1, 2, [1, 1, 1])
    assert [line["event"] for line in logs if line["event_name"] == "handler.not_ended"] == [
        "The handler goes on though it was cancelled 5 s ago: it is cancelled again"
    ] * 2


# --- a handler that is gone, and a socket that is not ----------------------------------------------------------------


async def test_a_socket_that_comes_back_late_gets_a_handler_of_its_own() -> None:
    """59 frames came in and none went out: the new socket was attached to a handler that had been cancelled."""
    resumed: list[bool] = []

    async def handle(call: Call) -> None:
        resumed.append(call.facts.resumed)
        async for chunk in call.audio:
            await call.play(chunk)

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=500)
        await caller.lose_socket()
        await caller.run(ms=11_000)
        await caller.connect()
        await caller.run(ms=1_000)

        assert resumed == [False, True]
        assert caller.call is not None and caller.call.played_ms > 500


async def test_a_socket_that_comes_back_in_time_goes_on_with_its_handler() -> None:
    """The caller is not greeted twice."""
    entered: list[Call] = []

    async def handle(call: Call) -> None:
        entered.append(call)
        async for chunk in call.audio:
            await call.play(chunk)

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=500)
        await caller.lose_socket()
        await caller.run(ms=5_000)
        await caller.connect()
        await caller.run(ms=1_000)

        assert len(entered) == 1
        assert entered[0].played_ms > 500


async def test_a_lost_socket_of_which_telnyx_says_nothing_is_asked_for_again() -> None:
    """Only streaming.failed led to a retry: without it the caller heard a minute of silence, then the line went dead."""

    async def handle(call: Call) -> None:
        await asyncio.Event().wait()

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=500)
        await caller.lose_socket()
        await caller.run(ms=9_900)
        before = sent(caller)
        await caller.run(ms=300)

        assert before == []
        assert sent(caller) == ["streaming_start"]
        assert [what.step for what in caller.timeline if isinstance(what, PolicyActed)] == ["retry"]


async def test_a_reconnected_socket_never_reaches_a_finished_handler() -> None:
    """It has returned, and its hangup is on the way."""
    refuse = {"hangup": "90015"}

    async def handle(call: Call) -> None: ...

    async with place_call(app_of(handle), refuse=refuse) as caller:
        await caller.run(ms=500)
        await caller.lose_socket()
        await caller.connect()
        await caller.run(ms=2_000)
        refuse.clear()

    assert 1 == sum(isinstance(what, HandlerStarted) for what in caller.timeline)


async def test_a_socket_that_comes_while_the_call_is_being_hung_up_gets_no_handler() -> None:
    """The no-socket policy had come to its last step. A handler that is entered then is cut off in its first words, or sees
    the transfer undone that it asked for."""
    refuse = {"hangup": "90015"}

    async def handle(call: Call) -> None:
        await asyncio.Event().wait()

    async with place_call(app_of(handle), refuse=refuse) as caller:
        await caller.run(ms=500)
        await caller.lose_socket()
        await caller.run(ms=20_000)
        asked = sent(caller)
        await caller.connect()
        await caller.run(ms=5_000)
        refuse.clear()
        await caller.run(ms=20_000)

    assert asked[:2] == ["streaming_start", "hangup"]
    assert 1 == sum(isinstance(what, HandlerStarted) for what in caller.timeline)
    assert [what.status for what in caller.timeline if isinstance(what, CommandAnswered)][-1] == 200


async def test_a_stream_of_a_caller_who_is_being_handed_on_gets_no_handler() -> None:
    """The no-socket policy has transferred the caller: a bot would talk into the conversation."""

    async def handle(call: Call) -> None:
        await asyncio.Event().wait()

    policy = CallPolicy(no_socket_then=parse_steps("CALLPATH_NO_SOCKET_THEN", "transfer:+15555550177"))
    async with place_call(app_of(handle)) as caller:
        caller._context.policy = policy
        await caller.run(ms=500)
        await caller.lose_socket()
        await caller.run(ms=12_000)
        asked = sent(caller)
        await caller.connect()
        await caller.run(ms=1_000)

    assert asked == ["transfer"]
    assert 1 == sum(isinstance(what, HandlerStarted) for what in caller.timeline)


# --- nothing waits for ever ------------------------------------------------------------------------------------------


async def test_what_a_handler_left_behind_ends_with_the_call() -> None:
    """A pump in a task of its own, as every bot with a speech service has one, leaked with its Call."""
    ended: dict[str, Any] = {}

    async def handle(call: Call) -> None:
        async def leave(name: str, work: Any) -> None:
            ended[name] = await work

        async def late() -> Any:
            await asyncio.sleep(0)
            while "play" not in ended:
                await asyncio.sleep(0)
            await call.mark("late")
            return bool(await call.play(bytes(320)))

        loop = asyncio.get_running_loop()
        tasks = [
            loop.create_task(leave("play", call.play(bytes(16_000 * 600)))),
            loop.create_task(leave("finished", call.finished())),
            loop.create_task(leave("late", late())),
        ]
        try:
            await asyncio.Event().wait()
        finally:
            ended["tasks"] = tasks

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=1_000)
        await caller.hang_up()
        await caller.run(ms=1_000)

    ended["play"] = bool(ended["play"])
    assert {name: ended[name] for name in ("play", "finished", "late")} == {
        "play": False,
        "finished": None,
        "late": False,
    }


async def test_a_command_that_telnyx_refuses_is_the_handlers_to_see() -> None:
    """It is raised where it was asked for, and a handler that bears it goes on."""
    seen: list[str | None] = []

    async def handle(call: Call) -> None:
        try:
            await call.speak("Hello.")
        except ControlError as error:
            seen.append(error.code)
        await asyncio.Event().wait()

    async with place_call(app_of(handle), refuse={"speak": "90012"}) as caller:
        await caller.run(ms=1_000)

        assert seen == ["90012"]
        assert sent(caller) == ["speak"]


# --- tasks, and errors that the application handles --------------------------------------------------------------------


async def test_tasks_of_a_call_end_with_its_handler() -> None:
    """A task that belongs to nobody goes on after the call, and holds what it holds."""
    ended: list[str] = []

    async def handle(call: Call) -> None:
        async def listen() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("listen")

        call.tasks.create_task(listen())
        await asyncio.sleep(1)

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=500)
        before = list(ended)
        await caller.run(ms=1_000)

        assert (before, ended) == ([], ["listen"])
        assert caller.returned


async def test_a_task_that_raises_ends_the_handler_with_what_it_raised() -> None:
    """Not an exception group: the timeline names the fault."""

    async def handle(call: Call) -> None:
        async def listen() -> None:
            raise ValueError("a fault of the bot")

        call.tasks.create_task(listen())
        await asyncio.sleep(60)

    app = app_of(handle)
    app.on_error(lambda _call, _error: asyncio.sleep(0))
    async with place_call(app) as caller:
        await caller.run(ms=500)
    (failed,) = (what for what in caller.timeline if isinstance(what, HandlerFailed))

    assert failed.error == "ValueError: a fault of the bot"


@pytest.mark.parametrize("says_sorry", [True, False])
async def test_a_caller_hears_that_something_went_wrong(says_sorry: bool) -> None:
    """Instead of a hang-up in the middle of a word."""
    app = App()
    seen: list[BaseException] = []

    @app.call
    async def handle(call: Call) -> None:
        raise ValueError("a fault of the bot")

    @app.on_error
    async def sorry(call: Call, error: BaseException) -> None:
        seen.append(error)
        if says_sorry:
            await call.speak("Sorry, something went wrong.")
        else:
            await call.transfer("+15555550177")

    async with place_call(app) as caller:
        await caller.run(ms=10_000)
        notes = [what.text for what in caller.timeline if isinstance(what, Noted)]

    assert [str(error) for error in seen] == ["a fault of the bot"]
    assert sent(caller) == (["speak", "hangup"] if says_sorry else ["transfer", "streaming_stop"])
    assert notes == ["@app.on_error entered"]


@pytest.mark.parametrize("how", ["raises", "hangs"])
async def test_an_error_handler_that_fails_itself_does_not_keep_the_caller(how: str) -> None:
    """Nor does one that never ends."""
    app = App()

    @app.call
    async def handle(call: Call) -> None:
        raise ValueError("a fault of the bot")

    @app.on_error
    async def sorry(call: Call, error: BaseException) -> None:
        if how == "raises":
            raise KeyError("another one")
        await asyncio.Event().wait()

    async with place_call(app) as caller:
        await caller.run(ms=32_000 if how == "hangs" else 1_000)
        notes = [what.text for what in caller.timeline if isinstance(what, Noted)]

    assert sent(caller) == ["hangup"]
    became = {
        "raises": "@app.on_error raised KeyError: 'another one'",
        "hangs": "@app.on_error was cancelled after 30 s",
    }
    assert notes == ["@app.on_error entered", became[how]]


async def test_of_several_tasks_that_raise_none_is_lost() -> None:
    """The first alone would hide that two connections broke, and not one."""

    async def handle(call: Call) -> None:
        async def fail(text: str) -> None:
            await asyncio.sleep(0.1)
            raise ValueError(text)

        for text in ("the recognizer is gone", "the voice is gone"):
            call.tasks.create_task(fail(text))
        await asyncio.Event().wait()

    app = app_of(handle)
    app.on_error(lambda _call, _error: asyncio.sleep(0))
    async with place_call(app) as caller:
        await caller.run(ms=500)
    (failed,) = (what for what in caller.timeline if isinstance(what, HandlerFailed))

    assert failed.error.startswith("ExceptionGroup: ")
    assert "the recognizer is gone" in failed.traceback and "the voice is gone" in failed.traceback


async def test_a_handler_that_is_being_cancelled_has_no_error_handler() -> None:
    """The call is over: what goes wrong while it cleans up is written down, and nobody is there to hear a sentence."""
    app = App()
    entered: list[BaseException] = []

    @app.call
    async def handle(call: Call) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("while cleaning up") from None

    @app.on_error
    async def sorry(call: Call, error: BaseException) -> None:
        entered.append(error)

    async with place_call(app) as caller:
        await caller.run(ms=500)
        await caller.hang_up()

    assert entered == []
    assert [type(what) for what in ends(caller)] == [HandlerFailed]


async def test_an_error_handler_ends_with_the_call() -> None:
    """It may say a sentence for half a minute; the caller who hangs up meanwhile has heard enough."""
    app = App()
    ended: list[str] = []

    @app.call
    async def handle(call: Call) -> None:
        raise ValueError("a fault of the bot")

    @app.on_error
    async def sorry(call: Call, error: BaseException) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("sorry")

    async with place_call(app) as caller:
        await caller.run(ms=500)
        before = list(ended)
        await caller.hang_up()
        await caller.run(ms=100)

    assert (before, ended) == ([], ["sorry"])


async def test_a_stopping_server_is_why_a_handler_was_cancelled() -> None:
    """Not a fault of the handler's, and not the end of the call."""

    async def handle(call: Call) -> None:
        await asyncio.Event().wait()

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=500)
        caller._context.tasks.stop()
        await caller.run(ms=100)

    assert ends(caller) == [HandlerEnded(cancelled=True, reason="the server stops")]


# --- what the settings ask for ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("raw", "record"), [(False, True), (True, True), (False, False)])
async def test_every_call_is_recorded_where_the_settings_say_so(raw: bool, record: bool, tmp_path: Path) -> None:
    """But for raw calls, which are not decoded: to record one failed, and so did the call."""
    app = App()
    recorded: list[bool] = []

    @app.call(raw=raw)
    async def handle(call: Call) -> None:
        recorded.append(call._feed.recording is not None)
        await asyncio.Event().wait()

    async with place_call(app, data_dir=tmp_path) as caller:
        await caller.run(ms=100)
        await caller.lose_socket()
        await caller.run(ms=11_000)
        caller._context.record = record
        await caller.connect()
        await caller.run(ms=100)

    assert recorded == [False, record and not raw]


async def test_a_call_that_no_handler_takes_says_what_to_do() -> None:
    """An outgoing call, whose handler is not there any more: its caller hears nothing, and the timeline has to say why."""
    app = App()

    @app.call(numbers=["+15555550111"])
    async def handle(call: Call) -> None: ...

    async with place_call(app, direction="outgoing") as caller:
        await caller.run(ms=3_000)

    assert [what.error for what in ends(caller) if isinstance(what, HandlerFailed)] == [NO_ROUTE]
    assert sent(caller) == ["hangup"]


async def test_the_time_to_come_back_is_counted_from_the_loss_of_the_socket() -> None:
    """By the clock alone: no event comes at that moment."""

    async def handle(call: Call) -> None:
        await asyncio.Event().wait()

    policy = CallPolicy(no_socket_then=(), no_handler_ms=0, reconnect_ms=3_000)
    async with place_call(app_of(handle)) as caller:
        caller._context.policy = policy
        await caller.run(ms=500)
        await caller.lose_socket()
        await caller.run(ms=2_000)
        await caller.event("call.speak.started")
        await caller.run(ms=990)
        early = ends(caller)
        await caller.run(ms=30)

    assert early == []
    assert ends(caller) == [HandlerEnded(cancelled=True, reason="its socket was lost, and not back within 3 s")]


# --- one run by itself -----------------------------------------------------------------------------------------------


async def test_a_handler_is_asked_once_to_end_within_five_seconds() -> None:
    """Each event of a call that is over would else cancel its clean-up again, and cut off the last that it stores."""
    cancelled: list[float] = []

    async def handle(call: Call) -> None:
        loop = asyncio.get_running_loop()
        while len(cancelled) < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(loop.time())

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=100)
        await caller.event("call.hangup", hangup_cause="normal_clearing")
        for _ in range(12):
            await caller.run(ms=500)
            await caller.event("call.cost")

    first, second = cancelled
    assert second - first == pytest.approx(5.0, abs=0.03)


async def test_the_call_s_events_reach_a_handler_that_cleans_up() -> None:
    """It learns how the call ended, and what was still said; one that has ended is told nothing."""
    seen: list[str] = []

    async def handle(call: Call) -> None:
        async for event in call.events:
            seen.append(type(event).__name__)

    async with place_call(app_of(handle)) as caller:
        await caller.event("call.speak.started")
        await caller.run(ms=100)
        await caller.event("call.hangup", hangup_cause="normal_clearing")
        await caller.run(ms=100)
        await caller.event("call.speak.ended")
        await caller.run(ms=100)

    assert seen[0] == "CallSpeakStarted"
    assert "CallSpeakEnded" not in seen


async def test_a_wait_for_the_end_of_the_call_ends_as_soon_as_something_is_known() -> None:
    """`call.transfer` waits for what becomes of it, and is woken by what is noted of the call, not by the clock."""
    came_ms: list[float] = []

    async def handle(call: Call) -> None:
        await call.transfer("+15555550177")
        came_ms.append(asyncio.get_running_loop().time())

    async with place_call(app_of(handle), callees={"+15555550177": "busy"}) as caller:
        began = asyncio.get_running_loop().time()
        await caller.run(ms=3_000)

    assert [pytest.approx(began + 1.0, abs=0.03)] == came_ms


async def test_what_the_application_decided_while_it_rang_reaches_its_handler(tmp_path: Path) -> None:
    """The variables, and that this call is to be recorded."""
    app, seen = App(), list[tuple[Any, bool]]()

    @app.incoming
    async def decide(ring: Ring) -> Answer:
        return Answer(variables={"customer": 42}, record=True)

    @app.call
    async def handle(call: Call) -> None:
        seen.append((call.facts.variables, call._feed.recording is not None))

    async with place_call(app, data_dir=tmp_path) as caller:
        await caller.run(ms=100)

    assert seen == [({"customer": 42}, True)]
