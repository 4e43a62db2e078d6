"""Calls that the application dials, over real sockets, to the simulator's callees."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from callpath import App, Call
from callpath.call.client_state import ClientState, encode_client_state
from callpath.call.dials import dial_session
from callpath.call.outcomes import Dialled
from callpath.cli.dashboard import diagnose_call
from callpath.clock import SystemClock
from callpath.config import Settings
from callpath.errors import ConfigError, InvalidRequestError
from callpath.server.app import create_asgi
from callpath.server.retention import calls_of_number, delete_call
from callpath.simulator.callee import Callee
from callpath.simulator.caller import Caller
from callpath.simulator.options import CarrierOptions
from callpath.simulator.simulator import Simulator
from callpath.store.port import CallQuery, DialCounts
from callpath.store.sql import open_call_log
from callpath.timeline import CommandAnswered, CommandSent, DialPlaced, Entry, HandlerStarted
from callpath.wire.command import Dial
from callpath.wire.document import write
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


def outgoing(served: Served) -> list[Caller]:
    return [caller for caller in served.telnyx.calls if caller.call.leg.direction == "outgoing"]


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
    """A job that is run again after a crash must not ring twice, days later neither."""
    app, entered = remind()
    async with serving(app, tmp_path) as served:
        first = await dialled(app, served, handler="remind", key="order 42")
        served.telnyx._dialled.clear()  # Telnyx has forgotten the command by then
        second = await dialled(app, served, handler="remind", key="order 42")
        made = outgoing(served)

    assert len(made) == 1
    assert (first.status, second.id, second.session_id) == ("answered", first.id, first.session_id)
    assert len(entered) <= 1


async def test_two_dials_with_one_key_at_once_are_one_call(tmp_path: Path) -> None:
    """Two workers took the same job."""
    app, _ = remind()
    async with serving(app, tmp_path) as served:
        found = await asyncio.gather(*(dialled(app, served, handler="remind", key="order 42") for _ in range(5)))
        made = outgoing(served)

    assert len(made) == 1
    assert len({one.session_id for one in found}) == 1


async def test_a_key_that_telnyx_refused_is_dialled_anew(tmp_path: Path) -> None:
    """Nobody was called: once there is money again, the same order rings."""
    app, _ = remind()
    async with serving(app, tmp_path) as served:
        served.telnyx.set_callee_of(TO, Callee(refused="D17"))
        first = await dialled(app, served, handler="remind", key="order 42")
        served.telnyx.set_callee_of(TO, Callee())
        second = await dialled(app, served, handler="remind", key="order 42")

    assert (first.status, second.status) == ("refused", "answered")
    assert first.id != second.id


async def test_the_key_of_another_number_is_refused(tmp_path: Path) -> None:
    """It would tell what came of another person's call."""
    app, _ = remind()
    async with serving(app, tmp_path) as served:
        await dialled(app, served, handler="remind", key="order 42")
        with pytest.raises(InvalidRequestError) as raised:
            await app.dial("+15555550156", **ways(served), key="order 42")

    assert raised.value.reason == "key_used"


async def test_a_refused_dial_is_a_timeline_that_the_doctor_reads(tmp_path: Path) -> None:
    """It is in the list of calls, with the reason, though Telnyx made no call of it."""
    app, _ = remind()
    async with serving(app, tmp_path) as served:
        served.telnyx.set_callee_of(TO, Callee(refused="D17"))
        outcome = await dialled(app, served, handler="remind")
        (row,) = await served.context.log.overviews(CallQuery())
        entries = await served.timeline(row.session)
    verdict = diagnose_call(Settings(), entries)

    assert outcome.id is not None
    assert (row.session, row.outcome, row.to) == (dial_session(outcome.id), "failed", TO)
    assert "D17" in row.last_line
    assert verdict is not None and verdict.verdict is not None
    assert "money" in verdict.verdict.finding.summary


async def test_a_dial_that_became_a_call_is_listed_once(tmp_path: Path) -> None:
    """As that call; forgetting it deletes the order, which has the number."""
    app, _ = remind()
    async with serving(app, tmp_path) as served:
        outcome = await dialled(app, served, handler="remind")
        log = served.context.log
        rows = await log.overviews(CallQuery())
        changed = await log.changes(0, 10)
        _, counted = await log.outcomes()
        by_number = await calls_of_number(log, TO)
        assert outcome.session_id is not None and outcome.id is not None
        await delete_call(log, tmp_path, outcome.session_id)
        left = await log.read(dial_session(outcome.id))

    assert [row.session for row in rows] == [row.session for row in changed] == [outcome.session_id]
    assert sum(counted.values()) == 1
    assert {row.session for row in by_number} == {outcome.session_id, dial_session(outcome.id)}
    assert left == []


# --- what may be dialled ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"dial_calls_max": 2}, "CALLPATH_DIAL_CALLS_MAX"),
        ({"dial_per_minute": 2}, "CALLPATH_DIAL_PER_MINUTE"),
        ({"dial_per_day": 2}, "CALLPATH_DIAL_PER_DAY"),
    ],
)
async def test_of_many_dials_at_once_as_many_as_may_be_are_made(
    settings: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    """A loop that went wrong, or a token that leaked. A restart does not begin to count anew."""
    app, _ = remind()

    async def told(served: Served) -> str:
        try:
            return (await dialled(app, served, handler="remind")).status
        except InvalidRequestError as error:
            return f"{error.reason}: {error}"

    async with Simulator() as telnyx:
        telnyx.set_callee_of(TO, Callee(rings_ms=2_000))
        async with serving(app, tmp_path, telnyx=telnyx, **settings) as served:
            found = await asyncio.gather(*(told(served) for _ in range(6)))
            count, (latest, *_) = await served.context.log.rejected(5)
        async with serving(app, tmp_path, telnyx=telnyx, **settings) as served:
            after = await told(served)
            made = outgoing(served)

    assert found.count("answered") == len(made) == 2
    refused = [one for one in (*found, after) if one != "answered"]
    assert all(one.startswith("too_many_calls") and reason in one for one in refused)
    assert (count, latest.what, latest.reason) == (4, "dial", "too_many_calls")


async def test_a_call_that_is_over_makes_room(tmp_path: Path) -> None:
    """Calls at once are those that are up, not those that were."""
    app, _ = remind()
    async with serving(app, tmp_path, dial_calls_max=1) as served:
        served.telnyx.set_callee_of(TO, Callee(rejects="user_busy"))
        found = [(await dialled(app, served, handler="remind")).status for _ in range(3)]
        served.telnyx.set_callee_of(TO, Callee(refused="D17"))
        found += [(await dialled(app, served, handler="remind")).status for _ in range(2)]

    assert found == ["busy"] * 3 + ["refused"] * 2


@pytest.mark.parametrize(
    ("settings", "to"),
    [
        ({}, "+18765550123"),
        ({}, "+881612345678"),
        ({"dial_allow": "+4930"}, TO),
        ({"dial_allow": "+1"}, "+19005550123"),
    ],
)
async def test_a_destination_that_may_not_be_dialled(settings: dict[str, Any], to: str, tmp_path: Path) -> None:
    """Refused before anything is sent, and written down without the number."""
    app, _ = remind()
    async with serving(app, tmp_path, **settings) as served:
        with pytest.raises(InvalidRequestError) as raised:
            await app.dial(to, **ways(served))
        _, (latest,) = await served.context.log.rejected(5)
        rows = await served.context.log.overviews(CallQuery(placed=True))

    assert raised.value.reason == latest.reason == "not_allowed"
    assert to not in latest.detail
    assert (rows, outgoing(served)) == ([], [])


async def test_the_length_of_a_call_has_a_limit(tmp_path: Path) -> None:
    """Telnyx ends it, also where this server is gone."""
    app, _ = remind()
    async with serving(app, tmp_path, dial_seconds_max=600) as served:
        with pytest.raises(InvalidRequestError, match="CALLPATH_DIAL_SECONDS_MAX"):
            await app.dial(TO, **ways(served), max_s=601)
        await dialled(app, served, handler="remind")
        await dialled(app, served, handler="remind", max_s=60)
        limits = [seen.document["time_limit_secs"] for caller in outgoing(served) for seen in caller.commands[:1]]

    assert limits == [600, 60]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"dial_token": "a-long-token-of-the-dialler"}, "CALLPATH_DIAL_ALLOW"),
        ({"dial_allow": "1"}, "CALLPATH_DIAL_ALLOW"),
        ({"dial_token": "short", "dial_allow": "+1", "public_url": "https://calls.example.com"}, "CALLPATH_DIAL_TOKEN"),
        ({"dial_token": "x" * 20, "dial_allow": "+1", "dashboard": False}, "CALLPATH_DASHBOARD"),
        ({"dial_token": "x" * 20, "dial_allow": "+1", "dashboard_token": "x" * 20}, "CALLPATH_DIAL_TOKEN"),
        ({"dial_seconds_max": 29}, "CALLPATH_DIAL_SECONDS_MAX"),
        ({"dial_seconds_max": 14_401}, "CALLPATH_DIAL_SECONDS_MAX"),
    ],
)
def test_settings_that_do_not_fit_are_told_at_start(settings: dict[str, Any], named: str, tmp_path: Path) -> None:
    """Not with the first dial, and not by the bill."""
    with pytest.raises(ConfigError) as raised:
        create_asgi(remind()[0], replace(CONFIGURED, data_dir=tmp_path, **settings))

    assert raised.value.setting == named


# --- after a crash ---------------------------------------------------------------------------------------------------

LEFT_ID = "11111111-2222-4333-8444-555555555555"


async def left_behind(folder: Path, telnyx: Simulator, *, age_ms: int) -> Dial:
    """What a process leaves that dies after it has written a dial down."""
    state = ClientState(handler="remind", leg=LEFT_ID, dialled=True, variables={"name": "Ada"})
    command = Dial(
        connection_id=telnyx.options.connection_id,
        to=TO,
        from_=FROM,
        command_id=LEFT_ID,
        client_state=encode_client_state(state),
        timeout_secs=20,
    )
    sent = CommandSent(command="dial", command_id=LEFT_ID, body=write(command))
    at = SystemClock().now_unix_ms() - age_ms
    async with open_call_log(f"sqlite:///{folder / 'callpath.db'}") as log:
        await log.append(Entry(session=dial_session(LEFT_ID), at_unix_ms=at, what=sent, key="sent"))
    return command


@pytest.mark.parametrize("sent", [False, True], ids=["before it was sent", "after it was sent"])
async def test_a_dial_of_a_process_that_died_is_made_once(sent: bool, tmp_path: Path) -> None:
    """Its answer and all its webhooks may be lost."""
    app, entered = remind()
    async with Simulator(options=CarrierOptions(webhook_retry_ms=())) as telnyx:
        telnyx.set_callee_of(TO, Callee(rings_ms=1_500))
        command = await left_behind(tmp_path, telnyx, age_ms=1_000)
        telnyx.webhook_url = "http://127.0.0.1:9/gone"
        if sent:
            telnyx.dial(write(command))
        async with serving(app, tmp_path, telnyx=telnyx) as served:
            entries = await served.until_kind(dial_session(LEFT_ID), DialPlaced)
            (placed,) = (entry.what for entry in entries if isinstance(entry.what, DialPlaced))
            await served.until_kind(placed.session, HandlerStarted)
            view = await served.dials.look(LEFT_ID)
            made = outgoing(served)

    assert len(made) == 1
    assert not (sent and placed.told_by == "answer")  # but by Telnyx's list of calls, or by a webhook
    assert entered == [("outgoing", {"name": "Ada"}, TO)]
    assert view is not None and view.outcome is not None
    assert view.outcome.status == "answered"


async def test_a_dial_that_telnyx_has_forgotten_is_not_made_again(tmp_path: Path) -> None:
    """Whether it rang a minute ago nobody knows: ringing twice is worse."""
    app, entered = remind()
    async with Simulator() as telnyx:
        await left_behind(tmp_path, telnyx, age_ms=60_000)
        async with serving(app, tmp_path, telnyx=telnyx) as served:
            entries = await served.until_kind(dial_session(LEFT_ID), CommandAnswered)
            outcome = await served.dials.outcome(LEFT_ID)
            made = outgoing(served)

    (answer,) = (entry.what for entry in entries if isinstance(entry.what, CommandAnswered))
    assert (made, entered) == ([], [])
    assert outcome.status == "unknown"
    assert "s have passed" in (answer.error_detail or "")


async def test_a_dial_is_not_made_after_a_restart_that_hangs_up(tmp_path: Path) -> None:
    """CALLPATH_AFTER_RESTART=hangup: no call goes on."""
    app, _ = remind()
    async with Simulator() as telnyx:
        await left_behind(tmp_path, telnyx, age_ms=1_000)
        async with serving(app, tmp_path, telnyx=telnyx, after_restart="hangup") as served:
            await served.until_kind(dial_session(LEFT_ID), CommandAnswered)
            made = outgoing(served)

    assert made == []


async def test_a_dial_counts_while_its_fate_is_unknown(tmp_path: Path) -> None:
    """It may be ringing: a crash makes no room for more."""
    async with Simulator() as telnyx:
        await left_behind(tmp_path, telnyx, age_ms=1_000)
    async with open_call_log(f"sqlite:///{tmp_path / 'callpath.db'}") as log:
        counts = await log.dial_counts(SystemClock().now_unix_ms())

    assert counts == DialCounts(live=1, minute=1, day=1)


async def test_the_answer_is_lost_and_the_first_webhook_tells(tmp_path: Path) -> None:
    """Telnyx took the dial and its answer never came: the call is served, and the dial known to be placed."""
    app, entered = remind()
    async with serving(app, tmp_path) as served:
        sends = served.context.control.send

        async def lose(command: Any, *given: Any, **how: Any) -> Any:
            reply = await sends(command, *given, **how)
            if command.NAME == "dial":
                await asyncio.Event().wait()
            return reply

        served.context.control.send = lose  # type: ignore[method-assign]
        dial_id = await served.dials.begin(app.order(TO, **ways(served), handler="remind", variables={"name": "Ada"}))
        (placed,) = (
            entry.what
            for entry in await served.until_kind(dial_session(dial_id), DialPlaced)
            if isinstance(entry.what, DialPlaced)
        )
        await served.until_kind(placed.session, HandlerStarted)

    assert placed.told_by == "webhook"
    assert entered == [("outgoing", {"name": "Ada"}, TO)]


# --- hanging up ------------------------------------------------------------------------------------------------------


async def test_a_call_is_hung_up_by_its_dial(tmp_path: Path) -> None:
    """While it rings. Once over it stays so."""
    app, _ = remind()
    async with serving(app, tmp_path) as served:
        served.telnyx.set_callee_of(TO, Callee(never_answers=True))
        dial_id = await served.dials.begin(app.order(TO, **ways(served), handler="remind"))
        await served.until_kind(dial_session(dial_id), DialPlaced)
        first = await served.dials.hang_up(dial_id)
        outcome = await served.dials.outcome(dial_id)
        second = await served.dials.hang_up(dial_id)
        unknown = await served.dials.hang_up(LEFT_ID)

    assert (first, second, unknown) == (True, False, False)
    assert (outcome.status, outcome.cause) == ("no_answer", "originator_cancel")


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
