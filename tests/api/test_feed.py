"""What a handler learns of its call: events, results, tasks, the end."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from callpath import App, Call
from callpath.api.results import CallEnd, Gathered, Spoken
from callpath.audio.tone import tone
from callpath.call.outcomes import Transferred
from callpath.call.stream import DtmfPressed
from callpath.errors import InvalidRequestError
from callpath.testing import Callee, place_call
from callpath.wire.command import Gather, GatherUsingSpeak, PlaybackStart, Speak, Transfer
from callpath.wire.webhook import CallBridged, CallHangup, CallPlaybackEnded, CallSpeakEnded, CallSpeakStarted, Webhook

OTHER = "+15555550177"


def app_of(handle: Callable[[Call], Awaitable[None]]) -> App:
    app = App()
    app.call(handle)
    return app


# --- events ----------------------------------------------------------------------------------------------------------


async def test_every_event_of_telnyxs_comes_as_an_object_of_its_class() -> None:
    """A handler polled its own server's dashboard to learn what became of its call."""
    came: list[object] = []

    async def handle(call: Call) -> None:
        call.tasks.create_task(call.transfer(OTHER))
        async for event in call.events:
            came.append(event)

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=500)
        caller.press("7")
        await caller.run(ms=2_000)
        await caller.event("call.something.new", answer=42)
        await caller.run(ms=100)

    bridged = [event for event in came if isinstance(event, CallBridged)]
    assert [event.digit for event in came if isinstance(event, DtmfPressed)] == ["7"]
    assert [event.call_leg_id for event in bridged] == ["leg-2", "leg-1"]
    (unknown,) = (event for event in came if isinstance(event, Webhook))
    assert unknown.event_type == "call.something.new"


async def test_an_event_that_comes_twice_is_told_once() -> None:
    """Telnyx repeats a webhook whose answer it did not get."""
    came: list[object] = []

    async def handle(call: Call) -> None:
        async for event in call.events:
            came.append(event)

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=100)
        await caller.event("call.speak.started")
        caller._events -= 1
        await caller.event("call.speak.started")
        await caller.run(ms=100)

    assert [type(event) for event in came if not isinstance(event, CallHangup)] == [CallSpeakStarted]


# --- speech and files ------------------------------------------------------------------------------------------------


async def test_speak_returns_when_it_was_spoken() -> None:
    """It returned when Telnyx had accepted the text, and bots guessed its length by its letters."""
    told: list[tuple[Spoken, float]] = []

    async def handle(call: Call) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        told.append((await call.speak("a" * 100), loop.time() - began))
        await call.finished()

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=10_000)

    ((spoken, took_s),) = told
    assert (spoken.status, bool(spoken)) == ("completed", True)
    assert isinstance(spoken.event, CallSpeakEnded)
    assert took_s == pytest.approx(6.5, abs=0.1)


async def test_texts_end_in_the_order_of_their_commands() -> None:
    """Telnyx's events do not name the text that they are about."""
    ended: list[str] = []

    async def handle(call: Call) -> None:
        async def say(text: str) -> None:
            await call.speak(text)
            ended.append(text)

        async with asyncio.TaskGroup() as tasks:
            for text in ("first text", "second text", "third"):
                tasks.create_task(say(text))

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=900)
        before = list(ended)
        await caller.run(ms=5_000)

    assert before == ["first text"]
    assert ended == ["first text", "second text", "third"]


async def test_a_text_that_is_stopped_was_interrupted() -> None:
    """And so was what waited behind it; what is spoken after that is none of the two."""
    told: dict[str, Spoken] = {}

    async def handle(call: Call) -> None:
        async def say(text: str) -> None:
            told[text] = await call.speak(text)

        one = call.tasks.create_task(say("a" * 100))
        two = call.tasks.create_task(say("b" * 100))
        await asyncio.sleep(1)
        await call.stop_speaking()
        await asyncio.gather(one, two)
        told["after"] = await call.speak("after")

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=10_000)

    assert [spoken.status for spoken in told.values()] == ["interrupted", "interrupted", "completed"]


async def test_a_text_whose_end_is_not_told_ends_all_the_same() -> None:
    """A lost webhook must not hold a handler up for the rest of the call."""
    told: list[Spoken] = []

    async def handle(call: Call) -> None:
        told.append(await call.speak("Hello."))

    async with place_call(app_of(handle)) as caller:
        caller.silent = True
        await caller.run(ms=30_000)

    assert [spoken.status for spoken in told] == ["unknown"]


async def test_files_of_telnyxs() -> None:
    """`playback` has a result like `speak`; a loop without end ends when it is stopped."""
    told: list[Spoken] = []

    async def handle(call: Call) -> None:
        told.append(await call.playback("https://example.com/a.wav"))
        music = call.tasks.create_task(call.playback(media_name="music", loop="infinity"))
        await asyncio.sleep(60)
        await call.stop_speaking()
        told.append(await music)

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=70_000)

    assert [spoken.status for spoken in told] == ["completed", "interrupted"]
    assert isinstance(told[0].event, CallPlaybackEnded)


# --- keys ------------------------------------------------------------------------------------------------------------


async def gathered(
    press: list[tuple[int, str]], ask: Callable[[Call], Awaitable[Gathered]], *, run_ms: int = 60_000
) -> tuple[list[Gathered], list[str]]:
    """What a gather returns of keys that are pressed at these times, and the commands that were sent."""
    told: list[Gathered] = []

    async def handle(call: Call) -> None:
        told.append(await ask(call))
        await asyncio.sleep(600)

    async with place_call(app_of(handle)) as caller:
        now_ms = 0
        for at_ms, digits in press:
            await caller.run(ms=at_ms - now_ms)
            now_ms = at_ms
            caller.press(digits)
        await caller.run(ms=run_ms - now_ms)
        return told, [command.NAME for command in caller.commands]


@pytest.mark.parametrize(
    ("press", "how", "expected"),
    [
        ([(1_000, "4"), (2_000, "2")], {"max_digits": 2}, Gathered("42", "valid")),
        ([(1_000, "12#")], {"max_digits": 4}, Gathered("12", "valid", "#")),
        ([(1_000, "12#")], {"max_digits": 3, "terminators": ""}, Gathered("12#", "valid")),
        ([(1_000, "12")], {"max_digits": 4}, Gathered("12", "valid")),
        ([(1_000, "12")], {"max_digits": 4, "min_digits": 3}, Gathered("12", "timeout")),
        ([], {"max_digits": 4}, Gathered("", "timeout")),
        ([(1_000, "9")], {"valid_digits": "12"}, Gathered("9", "invalid")),
        ([(1_000, "9"), (2_000, "1")], {"valid_digits": "12", "tries": 2}, Gathered("1", "valid")),
        ([(7_000, "1")], {"tries": 3}, Gathered("1", "valid")),
        ([(7_000, "1")], {"tries": 1}, Gathered("", "timeout")),
    ],
)
async def test_keys_are_gathered_from_the_calls_own_stream(
    press: list[tuple[int, str]], how: dict[str, object], expected: Gathered
) -> None:
    """They come beside our own audio, so a menu needs no gather of Telnyx's."""
    told, commands = await gathered(press, lambda call: call.gather(**how))  # type: ignore[arg-type]

    assert told == [expected]
    assert commands == []


async def test_a_key_interrupts_the_prompt_and_counts() -> None:
    """Those who know the menu do not wait for its end."""
    heard_ms: list[float] = []

    async def ask(call: Call) -> Gathered:
        told = await call.gather(prompt=tone(440, duration_ms=20_000), max_digits=2)
        heard_ms.append(call.played_ms)
        return told

    told, _ = await gathered([(2_000, "1"), (3_000, "2")], ask)

    assert told == [Gathered("12", "valid")]
    assert heard_ms == [pytest.approx(2_000, abs=100)]


async def test_a_key_interrupts_a_spoken_prompt() -> None:
    """And a prompt that nobody interrupts is spoken before each try."""
    told, commands = await gathered([(2_000, "1")], lambda call: call.gather(say="a" * 200))
    none, prompts = await gathered([], lambda call: call.gather(say="Press one.", tries=3, timeout_s=2))

    assert (told, commands) == ([Gathered("1", "valid")], ["speak", "playback_stop"])
    assert (none, prompts) == ([Gathered("", "timeout")], ["speak", "speak", "speak"])


async def test_telnyxs_gathers_have_results() -> None:
    """With every field that Telnyx knows."""
    command = GatherUsingSpeak(payload="Your code, please", voice="female", maximum_digits=4)
    told, commands = await gathered([(1_000, "1234")], lambda call: call.gather_with_telnyx(command))

    assert [(gather.digits, gather.status) for gather in told] == [("1234", "valid")]
    assert commands == ["gather_using_speak"]


async def test_keys_of_a_gather_are_not_events_too() -> None:
    """A menu behind it would take them for its own."""
    keys: list[object] = []

    async def handle(call: Call) -> None:
        await call.gather(max_digits=2)
        async for event in call.events:
            keys.append(event)

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=100)
        caller.press("12")
        await caller.run(ms=500)
        caller.press("3")
        await caller.run(ms=500)

    assert [event.digit for event in keys if isinstance(event, DtmfPressed)] == ["3"]


# --- transfer --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("callee", "status", "cause"),
    [
        ("answers", "answered", None),
        ("busy", "busy", "user_busy"),
        ("no_answer", "no_answer", "timeout"),
        ("rejects", "rejected", "call_rejected"),
        ("unreachable", "unreachable", "not_found"),
    ],
)
async def test_what_became_of_a_transfer(callee: Callee, status: str, cause: str | None) -> None:
    """The handler waited in silence with the caller, and never learned that the number was busy."""
    told: list[Transferred] = []

    async def handle(call: Call) -> None:
        told.append(await call.transfer(OTHER, ring_s=20))
        if not told[0]:
            await call.speak("Nobody is there.")

    async with place_call(app_of(handle), callees={OTHER: callee}) as caller:
        await caller.run(ms=40_000)
        commands = [command.NAME for command in caller.commands]

    assert (told[0].status, told[0].cause) == (status, cause)
    assert commands == (["transfer", "streaming_stop"] if callee == "answers" else ["transfer", "speak", "hangup"])


async def test_a_caller_whose_transfer_failed_is_heard_by_the_handler_again() -> None:
    """On the stream that was never stopped: a second number, a message, anything goes on from there."""
    told: list[str] = []
    heard: list[int] = []

    async def handle(call: Call) -> None:
        for number in (OTHER, "+15555550178"):
            told.append((await call.transfer(number)).status)
            call.audio.skip()
            heard.append(len(await anext(call.audio)))

    async with place_call(app_of(handle), callees={OTHER: "busy", "+15555550178": "rejects"}) as caller:
        await caller.run(ms=10_000)

    assert told == ["busy", "rejected"]
    assert heard == [320, 320]


async def test_a_transfer_that_telnyx_refuses_says_so_with_its_code() -> None:
    """`D17` names an account without money; the caller is where they were."""
    told: list[Transferred] = []

    async def handle(call: Call) -> None:
        told.append(await call.transfer(OTHER))

    async with place_call(app_of(handle), refuse={"transfer": "D17"}) as caller:
        await caller.run(ms=2_000)

    assert (told[0].status, told[0].code) == ("refused", "D17")


async def test_a_transfer_of_which_nothing_is_told_is_unknown() -> None:
    """Not "answered", and not for ever."""
    told: list[Transferred] = []

    async def handle(call: Call) -> None:
        told.append(await call.transfer(OTHER, ring_s=20))

    async with place_call(app_of(handle), callees={OTHER: "silent"}) as caller:
        await caller.run(ms=49_000)
        before = list(told)
        await caller.run(ms=2_000)

    assert before == []
    assert [transfer.status for transfer in told] == ["unknown"]


async def test_an_answering_machine_does_not_keep_the_caller() -> None:
    """The bridge does not wait for the verdict: the caller talked to a voicemail."""
    told: list[Transferred] = []

    async def handle(call: Call) -> None:
        told.append(await call.transfer(OTHER, detect="premium"))
        await call.speak("They are not in.")

    async with place_call(app_of(handle), callees={OTHER: "machine"}) as caller:
        await caller.run(ms=10_000)
        commands = [command.NAME for command in caller.commands]

    assert [transfer.status for transfer in told] == ["voicemail"]
    assert commands == ["transfer", "hangup", "speak", "hangup"]


@pytest.mark.parametrize("detect", [None, "premium"])
async def test_a_call_whose_other_party_leaves_is_not_left_up(detect: object) -> None:
    """With detection the caller is parked when the other party leaves: silent, and with nobody."""

    async def handle(call: Call) -> None:
        await call.transfer(OTHER, detect=detect)  # type: ignore[arg-type]

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=10_000)
        before = [command.NAME for command in caller.commands]
        await caller.other_hangs_up()
        await caller.run(ms=10_000)
        after = [command.NAME for command in caller.commands][len(before) :]

    assert before == ["transfer", "streaming_stop"]
    assert after == (["hangup"] if detect else [])


async def test_what_a_transfer_says_to_telnyx() -> None:
    """Ring time, the number that is shown, and what the other party hears first."""

    async def handle(call: Call) -> None:
        await call.transfer(OTHER, ring_s=12, caller_id="+15555550142", announce="https://example.com/a.wav")

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=3_000)
        (transfer,) = (command for command in caller.commands if isinstance(command, Transfer))

    assert (transfer.to, transfer.timeout_secs, transfer.from_) == (OTHER, 12, "+15555550142")
    assert transfer.audio_url == "https://example.com/a.wav"


# --- what cannot be done ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (lambda call: call.send_digits("12x"), "bad_digits"),
        (lambda call: call.send_digits(""), "bad_digits"),
        (lambda call: call.transfer("5555550177"), "not_e164"),
        (lambda call: call.transfer("+1555555017x"), "not_e164"),
        (lambda call: call.transfer(""), "not_e164"),
        (lambda call: call.transfer(OTHER, caller_id="me"), "not_e164"),
        (lambda call: call.transfer("+15555550199"), "transfer_to_self"),
        (lambda call: call.transfer("+15555550123"), "transfer_to_self"),
        (lambda call: call.transfer(OTHER, ring_s=4), "out_of_range"),
        (lambda call: call.transfer(OTHER, ring_s=601), "out_of_range"),
        (lambda call: call.gather(max_digits=0), "out_of_range"),
        (lambda call: call.gather(min_digits=3, max_digits=2), "out_of_range"),
        (lambda call: call.gather(timeout_s=0), "out_of_range"),
        (lambda call: call.gather(tries=0), "out_of_range"),
        (lambda call: call.gather(terminators="x"), "bad_digits"),
        (lambda call: call.gather(prompt=b"", say="a"), "out_of_range"),
        (lambda call: call.speak(""), "text_length"),
        (lambda call: call.speak("a" * 3_001), "text_length"),
        (lambda call: call.playback(), "out_of_range"),
        (lambda call: call.playback("https://a", loop=101), "out_of_range"),
    ],
)
async def test_what_cannot_be_right_is_refused_before_anything_is_sent(
    ask: Callable[[Call], Awaitable[object]], reason: str
) -> None:
    """Telnyx's own refusal comes later, in other words, and for a transfer to oneself not at all."""
    refused: list[InvalidRequestError] = []

    async def handle(call: Call) -> None:
        with pytest.raises(InvalidRequestError) as raised:
            await ask(call)
        refused.append(raised.value)

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=500)

        assert [error.reason for error in refused] == [reason]
        assert [command.NAME for command in caller.commands] == ["hangup"]


@pytest.mark.parametrize("first", ["own", "telnyx"])
@pytest.mark.parametrize("second", ["own", "telnyx"])
async def test_a_second_gather_beside_the_first_is_refused(first: str, second: str) -> None:
    """What Telnyx does with one is not known, and two of ours would take each other's keys."""
    how: dict[str, Callable[[Call], Awaitable[Gathered]]] = {
        "own": lambda call: call.gather(timeout_s=60),
        "telnyx": lambda call: call.gather_with_telnyx(Gather(maximum_digits=1)),
    }
    reasons: list[str] = []

    async def handle(call: Call) -> None:
        async def gather() -> None:
            await how[first](call)

        call.tasks.create_task(gather())
        await asyncio.sleep(1)
        with pytest.raises(InvalidRequestError) as raised:
            await how[second](call)
        reasons.append(raised.value.reason)

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=3_000)

    assert reasons == ["second_gather"]


async def test_a_command_on_a_call_that_is_over() -> None:
    """In a handler's `finally`, for example."""
    reasons: list[str] = []

    async def handle(call: Call) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for ask in (
                call.speak("Bye."),
                call.hangup(),
                call.transfer(OTHER),
                call.send(Speak(payload="a", voice="b")),
            ):
                with pytest.raises(InvalidRequestError) as raised:
                    await ask
                reasons.append(raised.value.reason)

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=100)

    assert reasons == ["call_over"] * 4


# --- its life --------------------------------------------------------------------------------------------------------


async def test_how_a_call_ended_is_known_where_its_handler_cleans_up() -> None:
    """Cause, source and SIP code: a bot that bills by them polled the dashboard."""
    ends: list[CallEnd] = []

    async def handle(call: Call) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append(await call.ended)

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=100)
        about = {"hangup_cause": "normal_clearing", "hangup_source": "caller", "sip_hangup_cause": "200"}
        await caller.event("call.hangup", **about)
        await caller.run(ms=100)

    assert ends == [CallEnd("normal_clearing", "caller", "200")]


async def test_who_calls_and_with_what() -> None:
    """Decoded: a handler does not unpack base64."""
    seen: list[object] = []

    async def handle(call: Call) -> None:
        seen.extend((call.client_state, call.headers, call.variables, call.direction, call.answered_by))
        seen.append([leg.leg_id for leg in call.legs])

    state = base64.b64encode(b"order 42").decode()
    async with place_call(app_of(handle), client_state=state, headers={"X-Customer": "7"}) as caller:
        await caller.run(ms=100)

    assert seen == ["order 42", {"X-Customer": "7"}, {}, "incoming", None, ["leg-1"]]


async def test_an_outgoing_call_knows_its_variables_and_who_answered() -> None:
    """What was given with the dial comes back with the call's own webhooks."""
    app = App()
    seen: list[object] = []

    @app.call(name="remind")
    async def remind(call: Call) -> None:
        seen.extend((call.direction, call.variables, call.answered_by))

    async with place_call(
        app, direction="outgoing", handler="remind", variables={"name": "Ada"}, answered_by="machine"
    ) as caller:
        await caller.run(ms=100)

    assert seen == ["outgoing", {"name": "Ada"}, "machine"]


async def test_asyncio_timeouts_go_by_the_calls_time() -> None:
    """A menu with a time-out of 5 s ran 60 s of call time, and never timed out."""
    timed_out: list[float] = []

    async def handle(call: Call) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        timed_out.append(loop.time() - began)
        await asyncio.sleep(60)

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=4_000)
        before = list(timed_out)
        await caller.run(ms=2_000)

    assert before == []
    assert timed_out == [pytest.approx(5, abs=0.02)]


async def test_a_call_shows_no_internals() -> None:
    """What a handler could break by calling it."""
    from callpath.api.call import Call

    shown = {name for name in dir(Call) if not name.startswith("_")}

    assert not shown & {
        "attach",
        "detach",
        "end",
        "hear",
        "hear_bytes",
        "look",
        "receive",
        "sent",
        "on_second",
        "is_saving",
    }


# --- the application -------------------------------------------------------------------------------------------------


async def test_a_lifespan_runs_around_all_calls() -> None:
    """HTTP clients and models are made once, and closed."""
    app = App()
    told: list[object] = []

    @app.lifespan
    async def lifespan(app: App) -> AsyncIterator[None]:
        app.state.model = "loaded"
        yield
        told.append("closed")

    @app.call
    async def handle(call: Call) -> None:
        told.append(call.app.state.model)

    async with place_call(app) as caller:
        await caller.run(ms=100)

    assert told == ["loaded", "closed"]


async def test_playback_start_by_send_is_in_the_books() -> None:
    """A file that was sent for without waiting must not be taken for the end of the next one."""
    told: list[float] = []

    async def handle(call: Call) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await call.send(PlaybackStart(audio_url="https://example.com/a.wav"))
        await call.playback("https://example.com/b.wav")
        told.append(loop.time() - began)

    async with place_call(app_of(handle)) as caller:
        await caller.run(ms=10_000)

    assert told == [pytest.approx(4, abs=0.1)]


def test_every_event_and_command_has_a_public_name() -> None:
    """`DtmfPressed` and `StreamingStop` were found in the source, and on no page."""
    from callpath import commands, events
    from callpath.wire.command import COMMANDS
    from callpath.wire.webhook import EVENTS

    assert {event.__name__ for event in EVENTS.values()} <= set(events.__all__)
    assert {command.__name__ for command in COMMANDS.values()} <= set(commands.__all__)


def test_an_end_is_no_kind_of_beginning() -> None:
    """`case CallPlaybackStarted()` must not match the end of the playback."""
    from callpath.wire.webhook import EVENTS

    kinds = set(EVENTS.values())
    assert [] == [(one, other) for one in kinds for other in kinds if one is not other and issubclass(one, other)]
