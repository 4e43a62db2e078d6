"""Calls that the application dials, over real sockets, to the simulator's callees."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from callpath import App, Call
from callpath.call.outcomes import Dialled
from callpath.errors import ConfigError, InvalidRequestError
from callpath.server.app import create_asgi
from callpath.simulator.callee import Callee
from callpath.timeline import CommandSent, HandlerStarted
from tests.server.test_media import CONFIGURED
from tests.serving import WAIT_S_MAX, Served, serving

FROM, TO = "+15555550100", "+15555550155"


def remind() -> tuple[App, list[tuple[str | None, dict[str, Any], str | None]]]:
    app = App()
    entered: list[tuple[str | None, dict[str, Any], str | None]] = []

    @app.call(name="remind")
    async def handle(call: Call) -> None:
        entered.append((call.direction, call.variables, call.to))
        await call.play(bytes(3_200))
        if "detects" in call.variables:
            entered.append((await call.detected(within_s=WAIT_S_MAX), {}, None))

    @app.call
    async def other(call: Call) -> None:
        raise AssertionError("the wrong handler")

    return app, entered


def ways(served: Served) -> dict[str, Any]:
    return {"connection_id": served.telnyx.options.connection_id, "from_": FROM}


async def dialled(app: App, served: Served, **how: Any) -> Dialled:
    async with asyncio.timeout(WAIT_S_MAX):
        return await app.dial(TO, **ways(served), **how)


async def test_a_call_is_dialled_and_its_handler_is_entered(tmp_path: Path) -> None:
    """With its variables; the command stands in the timeline of the call that it made."""
    app, entered = remind()
    async with serving(app, tmp_path) as served:
        outcome = await dialled(app, served, handler="remind", variables={"name": "Ada"})
        assert outcome.session_id is not None
        entries = await served.until_kind(outcome.session_id, HandlerStarted)

    assert (outcome.status, bool(outcome)) == ("answered", True)
    assert entered == [("outgoing", {"name": "Ada"}, TO)]
    sent = [entry.what.command for entry in entries if isinstance(entry.what, CommandSent)]
    assert sorted(sent) == ["dial", "streaming_start"]


@pytest.mark.parametrize(
    ("callee", "status"),
    [
        (Callee(rejects="user_busy"), "busy"),
        (Callee(rejects="call_rejected"), "rejected"),
        (Callee(refused="D17"), "refused"),
    ],
)
async def test_what_became_of_a_dial(callee: Callee, status: str, tmp_path: Path) -> None:
    """A handler is never entered, and so could tell nobody."""
    app, entered = remind()
    async with serving(app, tmp_path) as served:
        served.telnyx.set_callee_of(TO, callee)
        outcome = await dialled(app, served, handler="remind")

    assert (outcome.status, bool(outcome)) == (status, False)
    assert outcome.code == ("D17" if status == "refused" else None)
    assert entered == []


@pytest.mark.parametrize(("verdict", "status"), [("machine", "machine"), ("human_residence", "human")])
async def test_who_answered(verdict: str, status: str, tmp_path: Path) -> None:
    """The outcome waits for the verdict of the detection that was asked for."""
    app, entered = remind()
    async with serving(app, tmp_path) as served:
        served.telnyx.set_callee_of(TO, Callee(detected_as=verdict))
        outcome = await dialled(app, served, handler="remind", detect="premium", variables={"detects": True})
        async with asyncio.timeout(WAIT_S_MAX):
            while len(entered) < 2:
                await asyncio.sleep(0.01)

    assert outcome.status == status
    assert entered[1][0] == verdict


async def test_two_dials_with_one_key_are_one_call(tmp_path: Path) -> None:
    """A job that is run again after a crash must not ring twice."""
    app, entered = remind()
    async with serving(app, tmp_path) as served:
        first = await dialled(app, served, handler="remind", key="order 42")
        await dialled(app, served, handler="remind", key="order 42")
        made = [caller for caller in served.telnyx.calls if caller.call.leg.direction == "outgoing"]

    assert len(made) == 1
    assert first.status == "answered"
    assert len(entered) <= 1


async def test_a_dial_that_is_given_up_does_not_ring_on(tmp_path: Path) -> None:
    """Whoever cancels it wants nobody to answer a call that has no purpose any more."""
    app, entered = remind()
    async with serving(app, tmp_path) as served:
        served.telnyx.set_callee_of(TO, Callee(never_answers=True))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await app.dial(TO, **ways(served), handler="remind")
        (caller,) = (one for one in served.telnyx.calls if one.call.leg.direction == "outgoing")
        await caller.ended()

    assert entered == []


async def test_a_call_whose_dialler_died_goes_to_its_handler(tmp_path: Path) -> None:
    """The process dies between the dial and Telnyx's answer: its webhooks say whose the call is."""
    app, entered = remind()
    async with serving(app, tmp_path) as served:
        dials = served.context.control.send
        lost: list[str] = []

        async def lose(command: Any, *given: Any, **how: Any) -> Any:
            reply = await dials(command, *given, **how)
            if command.NAME == "dial":
                lost.append(reply.document["data"]["call_session_id"])
                raise asyncio.CancelledError  # the process is gone
            return reply

        served.context.control.send = lose  # type: ignore[method-assign]
        with pytest.raises(asyncio.CancelledError):
            await app.dial(TO, **ways(served), handler="remind", variables={"name": "Ada"})
        await served.until_kind(lost[0], HandlerStarted)

    assert entered == [("outgoing", {"name": "Ada"}, TO)]


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"to": "5555550155"}, "not_e164"),
        ({"from_": "me"}, "not_e164"),
        ({"from_": TO}, "transfer_to_self"),
        ({"ring_s": 4}, "out_of_range"),
        ({"ring_s": 601}, "out_of_range"),
        ({"max_s": 10}, "out_of_range"),
        ({"variables": {"now": object()}}, "out_of_range"),
        ({"handler": "nobody"}, "unknown_handler"),
        ({"connection_id": None}, "no_connection"),
        ({"from_": None}, "no_connection"),
    ],
)
async def test_what_cannot_be_dialled_is_refused_before_anything_is_sent(
    how: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    """Each costs a request, and some a call."""
    app, _ = remind()
    async with serving(app, tmp_path) as served:
        given: dict[str, Any] = {"to": TO, **ways(served), **how}
        with pytest.raises(InvalidRequestError) as raised:
            await app.dial(given.pop("to"), **given)
        made = list(served.telnyx.calls)

    assert raised.value.reason == reason
    assert made == []


async def test_nothing_is_dialled_without_a_server() -> None:
    """In a script that only imports the App."""
    with pytest.raises(InvalidRequestError) as raised:
        await remind()[0].dial(TO, from_=FROM, connection_id="1")

    assert raised.value.reason == "not_running"


def test_a_number_to_show_that_is_none_is_refused_at_start(tmp_path: Path) -> None:
    """Not in the first dial."""
    settings = replace(CONFIGURED, data_dir=tmp_path, dial_from="5555550100")
    with pytest.raises(ConfigError, match=r"CALLPATH_DIAL_FROM.*E\.164"):
        create_asgi(remind()[0], settings)
