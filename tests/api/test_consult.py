"""Consults: a second call about the first one, joined with it or not; and SIP REFERs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from callpath import App, Call, Consulted, InvalidRequestError, Referred
from callpath.audio.tone import tone
from callpath.errors import AudioError
from callpath.testing import Callee, HandlerUnderTest, place_call
from callpath.timeline import ConsultEnded
from callpath.wire.command import Bridge, Dial, Hangup, PlaybackStart, PlaybackStop, Refer, StreamingStop

AGENT = "+15555550177"
Brief = Callable[[Call], Awaitable[None]]


async def accepts(call: Call) -> None:
    """A second handler that takes every caller."""
    assert call.consultation is not None
    await call.consultation.accept()


class Bot:
    """A first handler that consults, and what came of it."""

    def __init__(self, brief: Brief | None = accepts, **how: Any) -> None:
        self.app = App()
        self.results: list[Consulted] = []
        self.back = asyncio.Event()
        self.stays = True

        @self.app.call
        async def reception(call: Call) -> None:
            self.results.append(await call.consult(AGENT, handler=brief and "brief", **how))
            if self.stays and not self.results[-1]:
                self.back.set()
                async for _ in call.audio:
                    pass

        if brief is not None:
            self.app.call(name="brief")(brief)

    @property
    def result(self) -> Consulted:
        assert len(self.results) == 1
        return self.results[0]


def names(caller: HandlerUnderTest) -> list[str]:
    return [command.NAME for command in caller.commands]


async def test_the_two_are_joined_once_the_second_handler_accepts() -> None:
    """What a receptionist does: ask first, then connect. The stream is stopped, and nobody is hung up."""
    heard: dict[str, Any] = {}

    async def brief(call: Call) -> None:
        assert call.consultation is not None
        heard.update(call.variables, from_=call.consultation.from_, to=call.consultation.to)
        keys = await call.gather(say="Press 1 to take the call.", timeout_s=10)
        heard["keys"] = keys.digits
        heard["joined"] = await call.consultation.accept()

    bot = Bot(brief, variables={"order": "A-42"})
    async with place_call(bot.app) as caller:
        await caller.run(ms=4_000)
        agent = caller.party(AGENT)
        agent.press("1")
        await caller.run(ms=3_000)

        assert bot.result.status == "joined"
        assert bot.result.call_control_id == agent.call_control_id
        assert heard == {
            "order": "A-42", "from_": "+15555550123", "to": "+15555550199", "keys": "1", "joined": True
        }  # fmt: skip
        assert agent.joined and not agent.ended
        assert [Dial, Bridge, StreamingStop] == [type(command) for command in caller.commands]
        assert agent.command.from_ == "+15555550199"
        await caller.run(ms=120_000)

        assert agent.joined, "neither is hung up while they talk"
        assert "hangup" not in names(caller)


@pytest.mark.parametrize(
    ("callee", "status", "cause"),
    [
        ("busy", "busy", "user_busy"),
        ("no_answer", "no_answer", "timeout"),
        ("rejects", "rejected", "call_rejected"),
        ("unreachable", "unreachable", "not_found"),
    ],
)
async def test_nobody_answers(callee: Callee, status: str, cause: str) -> None:
    """The caller is back with the handler, which learns why."""
    bot = Bot(ring_s=20)
    async with place_call(bot.app, callees={AGENT: callee}) as caller:
        await caller.run(ms=25_000)

        assert (bot.result.status, bot.result.cause) == (status, cause)
        assert bot.back.is_set() and names(caller) == ["dial"]


async def test_a_phone_that_says_nothing_is_given_up_and_hung_up_when_it_answers_later() -> None:
    """No event tells the outcome: the caller does not wait for ever, and nobody talks to a call that is over."""
    bot = Bot(ring_s=20)
    async with place_call(bot.app, callees={AGENT: "silent"}) as caller:
        await caller.run(ms=52_000)
        assert bot.result.status == "unknown" and bot.back.is_set()
        agent = caller.party(AGENT)
        await caller.run(ms=1_000)

        assert [Hangup] == [type(command) for command in agent.commands]
        assert agent.ended


async def test_a_handler_declines_with_a_reason_and_says_good_bye() -> None:
    """The caller is back at once; the second call goes on until its handler returns."""

    async def brief(call: Call) -> None:
        assert call.consultation is not None
        await call.consultation.decline("at lunch")
        await call.speak("All right, good bye.")

    bot = Bot(brief)
    async with place_call(bot.app) as caller:
        await caller.run(ms=1_500)
        agent = caller.party(AGENT)

        assert (bot.result.status, bot.result.reason) == ("declined", "at lunch")
        assert not agent.ended
        await caller.run(ms=5_000)
        assert agent.ended and bot.back.is_set()


async def test_a_handler_that_declines_and_never_returns_has_half_a_minute() -> None:
    """No leg is left up."""

    async def brief(call: Call) -> None:
        assert call.consultation is not None
        await call.consultation.decline()
        await asyncio.Event().wait()

    bot = Bot(brief)
    async with place_call(bot.app) as caller:
        await caller.run(ms=33_000)

        assert caller.party(AGENT).ended


async def test_a_handler_that_returns_has_declined() -> None:
    """So that one which forgets to accept loses no caller."""

    async def brief(call: Call) -> None:
        await call.speak("Hello")

    bot = Bot(brief)
    async with place_call(bot.app) as caller:
        await caller.run(ms=5_000)

        assert bot.result.status == "declined" and "without accepting" in bot.result.reason
        assert caller.party(AGENT).ended and bot.back.is_set()


async def test_a_handler_that_raises_has_failed() -> None:
    """The caller is back, and learns nothing of it."""

    async def brief(call: Call) -> None:
        raise ValueError("a fault of the bot")

    bot = Bot(brief)
    async with place_call(bot.app) as caller:
        await caller.run(ms=5_000)

        assert bot.result.status == "failed" and "a fault of the bot" in bot.result.reason
        assert caller.party(AGENT).ended and bot.back.is_set()


async def test_a_person_who_decides_nothing_is_hung_up() -> None:
    """A caller does not stay on hold for ever."""

    async def brief(call: Call) -> None:
        await asyncio.Event().wait()

    bot = Bot(brief, decide_s=15)
    async with place_call(bot.app) as caller:
        await caller.run(ms=18_000)

        assert (bot.result.status, bot.result.reason) == ("declined", "no decision within 15 s")
        assert caller.party(AGENT).ended and bot.back.is_set()


async def test_an_answering_machine_is_hung_up() -> None:
    """And hears nothing of the caller."""

    async def brief(call: Call) -> None:
        await asyncio.Event().wait()

    bot = Bot(brief, detect="premium")
    async with place_call(bot.app, callees={AGENT: "machine"}) as caller:
        await caller.run(ms=5_000)

        assert bot.result.status == "voicemail"
        assert caller.party(AGENT).ended and bot.back.is_set()


@pytest.mark.parametrize(("callee", "status"), [("answers", "joined"), ("machine", "voicemail")])
async def test_without_a_handler_whoever_answers_gets_the_caller(callee: Callee, status: str) -> None:
    """But no machine, where that is to be detected."""
    bot = Bot(None, detect="premium")
    async with place_call(bot.app, callees={AGENT: callee}) as caller:
        await caller.run(ms=5_000)

        assert bot.result.status == status
        assert caller.party(AGENT).joined == (status == "joined")


async def test_a_phone_that_asks_who_is_calling_is_waited_for() -> None:
    """Its first verdict is `machine`, and provisional; the caller is joined with the person who takes the call then."""
    bot = Bot(None, detect="premium_ios_call_screening_detection")
    async with place_call(bot.app, callees={AGENT: "machine"}) as caller:
        await caller.run(ms=4_000)
        agent = caller.party(AGENT)
        assert (agent.ended, agent.joined) == (False, False)
        await agent.event("call.machine.premium.call_screening.detected", result="screening")
        await caller.run(ms=2_000)
        assert (agent.ended, agent.joined) == (False, False)
        await agent.event("call.machine.premium.detection.ended", result="human_residence")
        await caller.run(ms=1_000)

        assert agent.joined and bot.result.status == "joined"


async def test_a_phone_that_asks_and_then_takes_a_message_is_a_machine() -> None:
    """Its greeting ends with a beep."""
    bot = Bot(None, detect="premium_ios_call_screening_detection")
    async with place_call(bot.app, callees={AGENT: "machine"}) as caller:
        await caller.run(ms=3_000)
        await caller.party(AGENT).event("call.machine.premium.greeting.ended", result="beep_detected")
        await caller.run(ms=500)

        assert bot.result.status == "voicemail" and caller.party(AGENT).ended


async def test_what_telnyx_refuses_to_dial() -> None:
    """The caller never left."""
    bot = Bot()
    async with place_call(bot.app, refuse={"dial": "10010"}) as caller:
        await caller.run(ms=1_000)

        assert bot.result == Consulted("refused", code="10010", detail="refused by the test")
        assert bot.back.is_set() and not caller.parties


async def test_a_bridge_that_telnyx_refuses_is_tried_again_and_then_given_up() -> None:
    """It may refuse one for a moment after an answer. The caller is back if it goes on."""
    bot = Bot()
    async with place_call(bot.app, refuse={"bridge": "90034"}) as caller:
        await caller.run(ms=8_000)

        assert bot.result.status == "failed" and bot.result.code == "90034"
        assert names(caller) == ["dial"] + 5 * ["bridge"]
        assert caller.party(AGENT).ended and bot.back.is_set()


async def test_a_caller_who_hangs_up_while_it_rings_takes_the_other_phone_along() -> None:
    """Nobody picks up for a caller who is gone."""
    bot = Bot()
    async with place_call(bot.app) as caller:
        await caller.run(ms=500)
        agent = caller.party(AGENT)
        await caller.hang_up()
        await caller.run(ms=500)

        assert agent.ended and not agent.answered
        assert [Hangup] == [type(command) for command in agent.commands]


async def test_a_caller_who_hangs_up_during_the_briefing_ends_it() -> None:
    """The second handler is cancelled by the end of its call."""
    cancelled = []

    async def brief(call: Call) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append((await call.ended).cause)

    bot = Bot(brief)
    async with place_call(bot.app) as caller:
        await caller.run(ms=2_000)
        agent = caller.party(AGENT)
        await caller.hang_up()
        await caller.run(ms=500)

        assert agent.ended and cancelled == ["normal_clearing"]


@pytest.mark.parametrize("after_ms", [100, 900, 1_000, 1_005, 1_050, 1_500, 3_000])
async def test_the_other_person_hangs_up_at_any_moment(after_ms: int) -> None:
    """The caller is back with the handler, while it rings, when it was just answered, and during the briefing."""

    async def brief(call: Call) -> None:
        await asyncio.Event().wait()

    bot = Bot(brief)
    async with place_call(bot.app) as caller:
        await caller.run(ms=after_ms)
        await caller.party(AGENT).hang_up()
        await caller.run(ms=1_000)

        assert bot.result.status in ("declined", "rejected")
        assert bot.back.is_set()
        assert set(names(caller)) == {"dial"}


async def test_when_the_other_person_leaves_the_caller_is_hung_up() -> None:
    """Nobody is there for the caller any more: the stream was stopped. As after a transfer."""
    bot = Bot()
    async with place_call(bot.app) as caller:
        await caller.run(ms=10_000)
        await caller.party(AGENT).hang_up()
        await caller.run(ms=500)

        assert names(caller)[-1] == "hangup"


async def test_with_keep_stream_the_caller_is_back_when_the_other_person_leaves() -> None:
    """For a question after the call."""
    app = App()
    said = []

    @app.call
    async def reception(call: Call) -> None:
        assert await call.consult(AGENT, keep_stream=True)
        said.append("joined")
        async for _ in call.audio:
            pass

    async with place_call(app) as caller:
        await caller.run(ms=2_000)
        await caller.run(ms=2_000)
        await caller.party(AGENT).hang_up()
        await caller.run(ms=5_000)

        assert said == ["joined"]
        assert "streaming_stop" not in names(caller) and "hangup" not in names(caller)


async def test_when_the_caller_leaves_the_other_phone_is_hung_up() -> None:
    """By Telnyx, or by us."""
    bot = Bot()
    async with place_call(bot.app) as caller:
        await caller.run(ms=5_000)
        agent = caller.party(AGENT)
        await caller.hang_up()
        await caller.run(ms=500)

        assert agent.ended


async def test_our_own_hold_music_is_heard_and_stops() -> None:
    """Over and over, until the two are joined, or the caller is back."""
    bot = Bot(hold_music=tone(440, duration_ms=500).tobytes())
    async with place_call(bot.app, callees={AGENT: "busy"}) as caller:
        await caller.run(ms=950)
        assert caller.heard_hz() == pytest.approx(440, abs=15)
        await caller.run(ms=1_000)
        before = caller.heard.size
        await caller.run(ms=1_000)

        assert bot.result.status == "busy"
        assert not caller.heard[before:].any()


@pytest.mark.parametrize("callee", ["answers", "busy"])
async def test_music_of_telnyx_stops_before_the_two_are_joined(callee: Callee) -> None:
    """It would be heard in between; and it must not go on behind the bot."""
    bot = Bot(hold_music="https://example.com/hold.mp3")
    async with place_call(bot.app, callees={AGENT: callee}) as caller:
        await caller.run(ms=5_000)
        kinds = [type(command) for command in caller.commands]

        assert kinds[:2] == [PlaybackStart, Dial]
        assert kinds[2:] == ([PlaybackStop, Bridge, StreamingStop] if callee == "answers" else [PlaybackStop])


async def test_a_playback_after_the_hold_music_ends_by_its_own_event() -> None:
    """Telnyx tells the end of the music, too, and the events do not say of which they are."""
    app = App()
    ends: list[object] = []

    @app.call
    async def reception(call: Call) -> None:
        await call.consult(AGENT, hold_music="https://example.com/hold.mp3")
        began_ms = call._feed.clock.now_ms()
        ends.append((await call.playback("https://example.com/sorry.mp3")).status)
        ends.append(round(call._feed.clock.now_ms() - began_ms, -2))
        async for _ in call.audio:
            pass

    async with place_call(app, callees={AGENT: "busy"}) as caller:
        await caller.run(ms=6_000)

    assert ends == ["completed", 2_000]


async def test_a_consult_that_is_cancelled_is_given_up() -> None:
    """By `asyncio.timeout`, for example: the other phone does not ring on."""
    app = App()
    timed_out = []

    @app.call
    async def reception(call: Call) -> None:
        try:
            async with asyncio.timeout(3):
                await call.consult(AGENT)
        except TimeoutError:
            timed_out.append(True)
        async for _ in call.audio:
            pass

    async with place_call(app, callees={AGENT: "no_answer"}) as caller:
        await caller.run(ms=4_000)

        assert timed_out and caller.party(AGENT).ended
        ends = [what.status for what in caller.timeline if isinstance(what, ConsultEnded)]
        assert ends == ["cancelled"]


async def test_a_second_consult_follows_the_first() -> None:
    """Each is a call of its own; the result of the first one does not answer for the second."""
    app = App()
    results = []

    @app.call
    async def reception(call: Call) -> None:
        for number in (AGENT, "+15555550178"):
            results.append(await call.consult(number))

    async with place_call(app, callees={AGENT: "busy"}) as caller:
        await caller.run(ms=6_000)

        assert [one.status for one in results] == ["busy", "joined"]
        assert caller.party("+15555550178").joined
        with pytest.raises(LookupError, match="nobody has called"):
            caller.party("+15555550100")


@pytest.mark.parametrize(
    ("to", "how", "reason"),
    [
        ("555 0177", {}, "not_e164"),
        ("+15555550123", {}, "transfer_to_self"),
        ("+15555550199", {}, "transfer_to_self"),
        ("+19005550123", {}, "not_allowed"),
        (AGENT, {"caller_id": "me"}, "not_e164"),
        (AGENT, {"ring_s": 4}, "out_of_range"),
        (AGENT, {"decide_s": 0}, "out_of_range"),
        (AGENT, {"handler": "nobody"}, "unknown_handler"),
        (AGENT, {"variables": {"x": object()}}, "out_of_range"),
    ],
)
async def test_what_cannot_be_done_is_not_sent(to: str, how: dict[str, Any], reason: str) -> None:
    """A typed error that says what to do, and no phone rings."""
    app = App()
    errors = []

    @app.call
    async def reception(call: Call) -> None:
        with pytest.raises(InvalidRequestError) as error:
            await call.consult(to, **how)
        errors.append(error.value.reason)

    async with place_call(app) as caller:
        await caller.run(ms=500)

        assert errors == [reason] and "dial" not in names(caller)


async def test_music_that_cannot_be_played_is_said_before_anybody_is_called(tmp_path: Path) -> None:
    """A missing file, an empty one, and floats."""
    app = App()
    errors = []

    @app.call
    async def reception(call: Call) -> None:
        wrong: list[Any] = [tmp_path / "none.wav", b"", tone(440, duration_ms=10).astype(float)]
        for music in wrong:
            with pytest.raises(AudioError) as error:
                await call.consult(AGENT, hold_music=music)
            errors.append(error.value)

    async with place_call(app) as caller:
        await caller.run(ms=500)

        assert len(errors) == 3 and "dial" not in names(caller)


async def test_only_one_phone_rings_at_a_time() -> None:
    """A second consult, a transfer or a REFER beside one is refused, and so is a consult beside a transfer."""
    app = App()
    reasons = []

    @app.call
    async def reception(call: Call) -> None:
        first = call.tasks.create_task(call.consult(AGENT, ring_s=10))
        await asyncio.sleep(1)
        for again in (call.consult("+15555550178"), call.transfer("+15555550178"), call.refer("sip:a@example.com")):
            with pytest.raises(InvalidRequestError) as error:
                await again
            reasons.append(error.value.reason)
        await first
        second = call.tasks.create_task(call.transfer("+15555550178"))
        await asyncio.sleep(0.5)
        with pytest.raises(InvalidRequestError) as error:
            await call.consult(AGENT)
        reasons.append(error.value.reason)
        await second

    async with place_call(app, callees={AGENT: "no_answer"}) as caller:
        await caller.run(ms=15_000)

    assert reasons == 4 * ["second_transfer"]


async def test_after_the_call_nothing_is_asked_for() -> None:
    """`call_over`, as for every command."""
    app = App()
    reasons = []

    @app.call
    async def reception(call: Call) -> None:
        try:
            async for _ in call.audio:
                pass
            await asyncio.Event().wait()
        finally:
            for asked in (call.consult(AGENT), call.refer("sip:desk@example.com")):
                with pytest.raises(InvalidRequestError) as error:
                    await asked
                reasons.append(error.value.reason)

    async with place_call(app) as caller:
        await caller.run(ms=500)
        await caller.hang_up()

    assert reasons == 2 * ["call_over"]


async def test_a_consult_is_decided_once() -> None:
    """And no call but a second one has anything to decide."""
    reasons = []

    async def brief(call: Call) -> None:
        assert call.consultation is not None
        await call.consultation.decline()
        with pytest.raises(InvalidRequestError) as error:
            await call.consultation.accept()
        reasons.append(error.value.reason)

    app = App()
    none = []

    @app.call
    async def reception(call: Call) -> None:
        none.append(call.consultation)
        await call.consult(AGENT, handler=brief)

    app.call(name="brief")(brief)
    async with place_call(app) as caller:
        await caller.run(ms=4_000)

    assert reasons == ["call_over"] and none == [None]


# --- REFER -----------------------------------------------------------------------------------------------------------


async def referred(
    callee: Callee = "answers", refuse: str | None = None, to: str = "sip:desk@example.com"
) -> tuple[Referred, HandlerUnderTest]:
    """What came of it."""
    app = App()
    results = []

    @app.call
    async def reception(call: Call) -> None:
        results.append(await call.refer(to, within_s=10))

    callees: dict[str, Callee] = {to: callee}
    async with place_call(app, callees=callees, refuse={"refer": refuse} if refuse else None) as caller:
        await caller.run(ms=12_000)
    return results[0], caller


@pytest.mark.parametrize(
    ("callee", "expected"),
    [
        ("answers", Referred("completed", "200")),
        ("busy", Referred("failed", "486")),
        ("silent", Referred("unknown")),
    ],
)
async def test_what_came_of_a_refer(callee: Callee, expected: Referred) -> None:
    """By the SIP status that the far end tells."""
    result, caller = await referred(callee)

    assert result == expected and bool(result) == (callee == "answers")
    assert [Refer] == [type(command) for command in caller.commands[:1]]
    assert ("hangup" in names(caller)) == (callee == "busy"), "who may have followed it ends the call himself"


async def test_a_refer_that_telnyx_refuses() -> None:
    """For example on a call that is none of SIP."""
    result, _ = await referred(refuse="10015")

    assert result == Referred("refused", code="10015", detail="refused by the test")


@pytest.mark.parametrize("to", ["+15555550177", "desk@example.com", "sip:", ""])
async def test_a_refer_needs_a_sip_address(to: str) -> None:
    """A number is for a transfer."""
    with pytest.raises(InvalidRequestError, match="SIP address") as error:
        await referred(to=to)

    assert error.value.reason == "not_sip"
