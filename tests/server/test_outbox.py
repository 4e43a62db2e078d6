"""The commands of one call on their way to Telnyx, and their answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callpath.call.plan import derived_command_id
from callpath.control import RETRY_MS_MAX, CommandReply, Retry
from callpath.errors import ControlError, LocalProtocolError
from callpath.server.journal import Journal
from callpath.server.outbox import Outbox
from callpath.timeline import (
    CommandAnswered,
    CommandRetried,
    CommandSent,
    StreamAccepted,
    StreamStarting,
    StreamUrl,
    What,
)
from callpath.wire.command import Command, Hangup, StreamingStart, Transfer
from callpath.wire.conference import ConferenceCreate, ConferenceJoin, ConferenceMute
from callpath.wire.document import write
from callpath.wire.ids import CallControlId
from tests.call.test_session import ANSWERED, HANGUP, INITIATED
from tests.server.journals import Calls, calls, turns

TRANSFER = Transfer(to="+15555550177")
START = StreamingStart(command_id="a", stream_url="wss://calls.example.com/audio/secret")
CONTROL_ID = CallControlId(ANSWERED.body["data"]["payload"]["call_control_id"])
ELSEWHERE = CallControlId("v3:another leg")


class Telnyx:
    """Call Control whose answers a test gives."""

    def __init__(self) -> None:
        self.received: list[Command] = []
        self.legs: list[CallControlId] = []
        self.asked: list[dict[str, Any]] = []
        """The other arguments of each request."""
        self.answers: list[asyncio.Future[CommandReply]] = []

    async def send(self, command: Command, leg: CallControlId, **asked: Any) -> CommandReply:
        self.received.append(command)
        self.legs.append(leg)
        self.asked.append(asked)
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]

    async def accept(self) -> None:
        self.answers[-1].set_result(CommandReply(200, {}, 30.0, 2))
        await turns()

    async def refuse(self, code: str = "90015") -> None:
        command = self.received[-1]
        error = ControlError(
            "refused",
            command=command.NAME,
            command_id=command.command_id,
            status=422,
            code=code,
            detail="refused for +15555550177",
            retryable=False,
        )
        error.latency_ms, error.attempts = 40.0, 3
        self.answers[-1].set_exception(error)
        await turns()


def answered(made: Calls, token: str | None = None) -> tuple[Journal, Outbox]:
    """The journal and the outbox of a call that was answered."""
    journal = made.journal()
    journal.note(INITIATED)
    journal.note(ANSWERED)
    return journal, Outbox(journal, made.context, token)


async def test_a_call_that_is_being_hung_up_takes_no_other_command() -> None:
    """A transfer that overtook the hangup was undone by it. Where Telnyx refuses the hangup the handler may try another
    way out."""
    telnyx = Telnyx()
    async with calls(telnyx) as made:
        journal, outbox = answered(made)
        hangup = asyncio.ensure_future(outbox.send(Hangup()))
        await turns()
        with pytest.raises(LocalProtocolError, match="transfer is not possible any more: the call is being hung up"):
            await outbox.send(TRANSFER)
        await telnyx.refuse()
        with pytest.raises(ControlError):
            await hangup
        transfer = asyncio.ensure_future(outbox.send(TRANSFER))
        await turns()
        await telnyx.accept()
        await transfer
        again = asyncio.ensure_future(outbox.send(Hangup()))
        await turns()
        await telnyx.accept()
        await again
        with pytest.raises(LocalProtocolError, match="being hung up"):
            await outbox.send(TRANSFER)
        await journal.store()

    assert ["hangup", "transfer", "hangup"] == [command.NAME for command in telnyx.received]
    assert 3 == len({command.command_id for command in telnyx.received})
    whats = made.log.whats()
    assert 3 == sum(isinstance(what, CommandSent) for what in whats)
    assert [422, 200, 200] == [what.status for what in whats if isinstance(what, CommandAnswered)]


def of(made: Calls, *kinds: type[What]) -> list[What]:
    """What stands in the log of these kinds."""
    return [what for what in made.log.whats() if isinstance(what, kinds)]


async def test_an_answer_names_the_call_that_was_asked() -> None:
    """An entry names the leg that is the call's when it is written; 90018 about another one would end the call."""
    telnyx = Telnyx()
    async with calls(telnyx) as made:
        journal, outbox = answered(made)
        accepted = asyncio.ensure_future(outbox.send(TRANSFER))
        await turns()
        since_ms, waiting = outbox.sending_since_ms, outbox.is_empty
        await telnyx.accept()
        await accepted
        refused = asyncio.ensure_future(outbox.send(TRANSFER))
        await turns()
        await telnyx.refuse()
        with pytest.raises(ControlError, match="refused"):
            await refused
        await journal.store()

        ids = [derived_command_id(CONTROL_ID, "transfer", number) for number in (1, 2)]
        assert [made.clock.now_ms()] == since_ms and not waiting and outbox.is_empty
        assert [CONTROL_ID] * 2 == telnyx.legs
        assert [CONTROL_ID] * 2 == [what.call_control_id for what in of(made, CommandSent)]  # type: ignore[attr-defined]
        assert of(made, CommandAnswered) == [
            CommandAnswered(
                command="transfer",
                command_id=ids[0],
                call_control_id=CONTROL_ID,
                status=200,
                latency_ms=30.0,
                attempts=2,
            ),
            CommandAnswered(
                command="transfer",
                command_id=ids[1],
                call_control_id=CONTROL_ID,
                status=422,
                latency_ms=40.0,
                attempts=3,
                error_code="90015",
                error_detail="refused for [number]",
            ),
        ]


async def test_a_handler_that_is_cancelled_costs_no_command_its_answer() -> None:
    """call.hangup cancels the handler that waits for the answer to its own hangup."""
    telnyx = Telnyx()
    async with calls(telnyx) as made:
        journal, outbox = answered(made)
        handler = asyncio.ensure_future(outbox.send(Hangup()))
        await turns()
        handler.cancel()
        await turns()
        await telnyx.accept()
        await journal.store()

        assert handler.cancelled()
        assert [200] == [what.status for what in of(made, CommandAnswered)]  # type: ignore[attr-defined]


async def test_a_retry_stands_in_the_timeline_and_ends_with_the_call() -> None:
    """Whoever reads the timeline sees why an answer took so long; nobody is hung up for minutes after the end."""
    telnyx = Telnyx()
    async with calls(telnyx) as made:
        journal, outbox = answered(made)
        woken = made.woken
        outbox.dispatch(Hangup(command_id="h"))
        await turns()
        (asked,) = telnyx.asked
        before = asked["is_over"]()
        asked["on_retry"](Retry(2, 500.0, 12.0, 503, "the server is busy"))
        journal.note(HANGUP)
        over = asked["is_over"]()
        with pytest.raises(LocalProtocolError, match="hangup is not possible any more: the call is over"):
            await outbox.send(Hangup())
        made.woken = 0
        await telnyx.accept()
        told = made.woken
        await journal.store()

        assert (before, over, asked["spent_ms"]) == (False, True, 0.0)
        assert woken and told, "the actor is told of each answer"
        assert [
            CommandRetried(
                command="hangup",
                command_id="h",
                attempt=2,
                wait_ms=500.0,
                status=503,
                latency_ms=12.0,
                reason="the server is busy",
            )
        ] == of(made, CommandRetried)


async def test_a_stream_is_asked_for_without_showing_its_token() -> None:
    """Timelines are shared; and the stages of a stream that comes with another command count, too."""
    telnyx = Telnyx()
    async with calls(telnyx) as made:
        journal, outbox = answered(made, token="secret")
        outbox.dispatch(START)
        await turns()
        await telnyx.accept()
        await journal.store()

        assert START == telnyx.received[0]
        assert "secret" not in repr(made.log.whats())
        assert [
            StreamStarting(within="streaming_start"),
            StreamUrl(url="wss://calls.example.com/audio/***"),
            StreamAccepted(status=200, within="streaming_start"),
        ] == of(made, StreamStarting, StreamUrl, StreamAccepted)


# --- commands of a process that is gone ------------------------------------------------------------------------------


def left_behind(made: Calls, *sent: What, ago_ms: int = 5_000) -> tuple[Journal, Outbox]:
    """A call whose process died `ago_ms` ago, after it had written these entries."""
    journal, outbox = answered(made, token="secret")
    for what in sent:
        journal.note(what, made.clock.now_unix_ms() - ago_ms)
    return journal, outbox


def sent_by_the_dead(command: Command, to: CallControlId | None = ELSEWHERE) -> CommandSent:
    assert command.command_id is not None
    body = write(command) | ({"stream_url": "wss://calls.example.com/audio/***"} if command is START else {})
    return CommandSent(command=command.NAME, command_id=command.command_id, call_control_id=to, body=body)


async def test_a_command_without_an_answer_is_sent_again_once() -> None:
    """Under its own id and to its own call, so that Telnyx carries it out once; and its time goes on counting."""
    telnyx = Telnyx()
    async with calls(telnyx) as made:
        hangup = Hangup(command_id="h")
        _, outbox = left_behind(made, sent_by_the_dead(START), sent_by_the_dead(hangup, None))
        outbox.send_again()
        outbox.send_again()
        await turns()

        assert [START, hangup] == telnyx.received
        assert [ELSEWHERE, CONTROL_ID] == telnyx.legs
        assert [5_000.0] * 2 == [asked["spent_ms"] for asked in telnyx.asked]
        assert [made.clock.now_ms() - 5_000.0] * 2 == outbox.sending_since_ms
        assert [
            CommandRetried(command=name, command_id=id_, attempt=0, reason="sent 5.0 s ago by a process that is gone")
            for name, id_ in (("streaming_start", "a"), ("hangup", "h"))
        ] == of(made, CommandRetried)


async def test_a_conferences_command_is_sent_again_to_its_conference() -> None:
    """By its name in the timeline it is none of the call's own."""
    telnyx = Telnyx()
    async with calls(telnyx) as made:
        join = ConferenceJoin(call_control_id=CONTROL_ID, command_id="j")
        sent = CommandSent(command="conference_join", command_id="j", conference="room-1", body=write(join))
        _, outbox = left_behind(made, sent)
        outbox.send_again()
        await turns()

    assert [join] == telnyx.received
    assert ["room-1"] == [asked["conference"] for asked in telnyx.asked]


async def test_the_conference_that_was_made_stands_in_the_answer() -> None:
    """What goes to it after a restart needs its id."""
    telnyx = Telnyx()
    async with calls(telnyx) as made:
        journal, outbox = answered(made)
        create = asyncio.ensure_future(outbox.send(ConferenceCreate(call_control_id=CONTROL_ID, name="a")))
        await turns()
        telnyx.answers[-1].set_result(CommandReply(200, {"data": {"id": "room-1"}}, 30.0, 1))
        await create
        mute = asyncio.ensure_future(outbox.send(ConferenceMute(), conference="room-1"))
        await turns()
        await telnyx.accept()
        await mute
        await journal.store()

        assert [("conference_create", None), ("conference_mute", "room-1")] == [
            (what.command, what.conference) for what in of(made, CommandSent) if isinstance(what, CommandSent)
        ]
        assert [("conference_create", "room-1"), ("conference_mute", None)] == [
            (what.command, what.conference) for what in of(made, CommandAnswered) if isinstance(what, CommandAnswered)
        ]


@pytest.mark.parametrize(
    ("ago_ms", "said"), [(45_040, "45.0"), (45_960, "46.0"), (RETRY_MS_MAX - 1, f"{RETRY_MS_MAX / 1000:.1f}")]
)
async def test_within_a_minute_it_is_sent_again(ago_ms: int, said: str) -> None:
    """Up to the last millisecond; the timeline says how old it was."""
    telnyx = Telnyx()
    async with calls(telnyx) as made:
        _, outbox = left_behind(made, sent_by_the_dead(START), ago_ms=ago_ms)
        outbox.send_again()
        await turns()

        (retried,) = of(made, CommandRetried)
        assert isinstance(retried, CommandRetried)
        assert f"sent {said} s ago by a process that is gone" == retried.reason
        assert [START] == telnyx.received


async def test_each_command_is_looked_at_by_itself() -> None:
    """One that is under way, too old, or of another version does not keep those behind it from being sent."""
    telnyx = Telnyx()
    async with calls(telnyx) as made:
        journal, outbox = answered(made, token="secret")
        outbox.dispatch(Hangup(command_id="under way"))
        await turns()
        now = made.clock.now_unix_ms()
        unknown = CommandSent(command="of_another_version", command_id="x", body={})
        journal.note(sent_by_the_dead(Hangup(command_id="old")), now - 100_000)
        journal.note(unknown, now - 6_000)
        journal.note(sent_by_the_dead(START), now - 5_000)
        outbox.send_again()
        await turns()

        assert ["under way", "a"] == [command.command_id for command in telnyx.received]
        assert ["old"] == [what.command_id for what in of(made, CommandAnswered) if isinstance(what, CommandAnswered)]


@pytest.mark.parametrize("document", [{"data": {"id": "no-room"}}, {"data": ["id"]}, {"data": {"id": 1}}, {}])
async def test_an_answer_without_a_conference_names_none(document: dict[str, Any]) -> None:
    """Of another command, or of another shape than is documented."""
    telnyx = Telnyx()
    async with calls(telnyx) as made:
        journal, outbox = answered(made)
        command = TRANSFER if "no-room" in repr(document) else ConferenceCreate(call_control_id=CONTROL_ID, name="a")
        sent = asyncio.ensure_future(outbox.send(command))
        await turns()
        telnyx.answers[-1].set_result(CommandReply(200, document, 30.0, 1))
        await sent
        await journal.store()

        assert [None] == [what.conference for what in of(made, CommandAnswered) if isinstance(what, CommandAnswered)]


@pytest.mark.parametrize("ago_ms", [RETRY_MS_MAX, 90_400, 900_600])
async def test_after_a_minute_nobody_can_know(ago_ms: int) -> None:
    """Telnyx has forgotten the command's id: sent again, it might be carried out twice."""
    telnyx = Telnyx()
    async with calls(telnyx) as made:
        journal, outbox = left_behind(made, sent_by_the_dead(Hangup(command_id="h")), ago_ms=ago_ms)
        outbox.send_again()
        await journal.store()

        assert not telnyx.received and outbox.is_empty
        assert [
            CommandAnswered(
                command="hangup",
                command_id="h",
                call_control_id=ELSEWHERE,
                error_detail=(f"the server stopped before the answer came, and {ago_ms / 1000:.0f} s have passed"),
            )
        ] == of(made, CommandAnswered)


async def test_what_cannot_be_sent_again_keeps_nothing_else_back() -> None:
    """A command of a newer version; one that has its answer; one that is under way here."""
    telnyx = Telnyx()
    async with calls(telnyx) as made:
        unknown = CommandSent(command="of_another_version", command_id="x", body={})
        done = CommandAnswered(command="streaming_start", command_id="a", status=200)
        _, outbox = left_behind(made, unknown, sent_by_the_dead(START), done)
        outbox.dispatch(Hangup(command_id="h"))
        outbox.send_again()
        await turns()

        assert [Hangup(command_id="h")] == telnyx.received
        assert [] == of(made, CommandRetried)


async def test_nothing_is_sent_again_of_a_call_that_is_over_or_for_a_server_that_stops() -> None:
    """Its commands are answered by the end of the call."""
    telnyx = Telnyx()
    async with calls(telnyx) as made:
        _, over = left_behind(made, sent_by_the_dead(START), HANGUP)
        _, up = left_behind(made, sent_by_the_dead(START))
        over.send_again()
        made.context.tasks.stop()
        up.send_again()
        await turns()

    assert not telnyx.received and over.is_empty and up.is_empty
