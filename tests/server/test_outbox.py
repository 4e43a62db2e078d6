"""The commands of one call on their way to Telnyx, and their answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from callpath.control import CommandReply
from callpath.errors import ControlError, LocalProtocolError
from callpath.server.journal import Journal
from callpath.server.outbox import Outbox
from callpath.timeline import CommandAnswered, CommandSent
from callpath.wire.command import Command, Hangup, Transfer
from tests.call.test_session import ANSWERED, INITIATED
from tests.server.journals import Calls, calls, turns

TRANSFER = Transfer(to="+15555550177")


class Telnyx:
    """Call Control whose answers a test gives."""

    def __init__(self) -> None:
        self.received: list[Command] = []
        self.answers: list[asyncio.Future[CommandReply]] = []

    async def send(self, command: Command, _leg: Any, **_more: Any) -> CommandReply:
        self.received.append(command)
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]

    async def accept(self) -> None:
        self.answers[-1].set_result(CommandReply(200, {}, 30.0, 1))
        await turns()

    async def refuse(self, code: str = "90015") -> None:
        command = self.received[-1]
        self.answers[-1].set_exception(
            ControlError(
                "refused",
                command=command.NAME,
                command_id=command.command_id,
                status=422,
                code=code,
                detail="refused by the test",
                retryable=False,
            )
        )
        await turns()


def answered(made: Calls) -> tuple[Journal, Outbox]:
    """The journal and the outbox of a call that was answered."""
    journal = made.journal()
    journal.note(INITIATED)
    journal.note(ANSWERED)
    return journal, Outbox(journal, made.context, token=None)


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
