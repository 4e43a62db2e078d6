"""Which handler takes a call, and what is decided while it rings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from callpath import App, Call
from callpath.api.ring import Answer, Decision, Forward, Ignore, Reject, Ring
from callpath.errors import InvalidRequestError, LocalProtocolError
from callpath.testing import SESSION, HandlerUnderTest, place_call
from callpath.timeline import CallDecided, HandlerStarted
from callpath.wire import command as commands

SALES, SUPPORT, OTHER = "+15555550100", "+15555550101", "+15555550102"


def departments() -> App:
    app = App()

    @app.call(numbers=[SALES], sample_rate_hz=16000)
    async def sales(call: Call) -> None:
        await asyncio.sleep(60)

    @app.call(numbers=[SUPPORT], raw=True)
    async def support(call: Call) -> None:
        await asyncio.sleep(60)

    @app.call(when=lambda ring: ring.headers.get("X-Vip") == "yes")
    async def vip(call: Call) -> None:
        await asyncio.sleep(60)

    @app.call(name="night")
    async def answering_machine(call: Call) -> None:
        await asyncio.sleep(60)

    return app


def entered(caller: HandlerUnderTest) -> list[str]:
    return [what.name for what in caller.timeline if isinstance(what, HandlerStarted)]


def decided(caller: HandlerUnderTest) -> list[CallDecided]:
    return [what for what in caller.timeline if isinstance(what, CallDecided)]


@pytest.mark.parametrize(
    ("to", "headers", "name"),
    [
        (SALES, {}, "sales"),
        (SUPPORT, {}, "support"),
        (SALES, {"X-Vip": "yes"}, "sales"),
        (OTHER, {"X-Vip": "yes"}, "vip"),
    ],
)
async def test_a_call_goes_to_the_handler_that_takes_it(to: str, headers: dict[str, str], name: str) -> None:
    """By its number first, then by what a predicate says; at the rate, and in the form, that this handler wants."""
    async with place_call(departments(), to=to, headers=headers) as caller:
        await caller.run(ms=100)

        assert entered(caller) == [name]
        assert caller.call is not None
        assert caller.call.sample_rate_hz == (16000 if name == "sales" else 8000)
        assert caller.call.raw == (name == "support")


async def test_a_number_that_no_handler_takes_is_rejected() -> None:
    """It was answered by whatever there was."""
    async with place_call(departments(), to=OTHER) as caller:
        await caller.run(ms=100)

        assert not caller.answered
        assert [command.NAME for command in caller.commands] == ["reject"]
        assert [what.cause for what in decided(caller)] == ["NOT_FOUND"]


async def test_a_default_takes_what_no_other_does() -> None:
    """With numbers of their own beside it."""
    app = departments()

    @app.call
    async def rest(call: Call) -> None:
        await asyncio.sleep(60)

    async with place_call(app, to=OTHER) as caller:
        await caller.run(ms=100)

        assert entered(caller) == ["rest"]
        assert decided(caller) == []  # nothing was to be decided


@pytest.mark.parametrize("error", [AttributeError("nothing"), SystemExit(3)])
async def test_a_predicate_that_raises_is_no_predicate(error: BaseException) -> None:
    """A fault in it must not cost the call, nor the other calls of the server."""
    app = departments()

    def fits(ring: Ring) -> bool:
        raise error

    @app.call(when=fits)
    async def wrong(call: Call) -> None: ...

    @app.call
    async def rest(call: Call) -> None:
        await asyncio.sleep(60)

    async with place_call(app, to=OTHER) as caller:
        await caller.run(ms=100)

        assert entered(caller) == ["rest"]


def deciding(decision: Decision | None, *, after_s: float = 0.0, error: BaseException | None = None) -> App:
    app = departments()

    @app.incoming
    async def decide(ring: Ring) -> Decision | None:
        await asyncio.sleep(after_s)
        if error is not None:
            raise error
        return decision

    return app


@pytest.mark.parametrize(
    ("decision", "sent", "cause"),
    [
        (Reject(), ["reject"], "USER_BUSY"),
        (Reject("rejected"), ["reject"], "CALL_REJECTED"),
        (Reject("not_found"), ["reject"], "NOT_FOUND"),
        (Reject("unavailable"), ["reject"], "TEMPORARILY_UNAVAILABLE"),
        (Ignore(), [], None),
    ],
)
async def test_a_call_that_is_not_wanted_is_never_answered(
    decision: Decision, sent: list[str], cause: str | None
) -> None:
    """Every call was answered, and billed."""
    async with place_call(deciding(decision), to=SALES) as caller:
        await caller.run(ms=1_000)

        assert not caller.answered
        assert [command.NAME for command in caller.commands] == sent
        assert [what.cause for what in decided(caller)] == [cause]


async def test_a_handler_is_chosen_while_it_rings(tmp_path: Path) -> None:
    """With what it needs to know, and recorded from the beginning."""
    decision = Answer(handler="night", record=True, variables={"closed": True})
    async with place_call(deciding(decision), to=SALES, data_dir=tmp_path) as caller:
        await caller.run(ms=100)

        assert entered(caller) == ["night"]
        assert caller.call is not None
        assert caller.call.variables == {"closed": True}
        assert caller.call._feed.recording is not None


@pytest.mark.parametrize(
    ("app", "reason"),
    [
        (lambda: deciding(None), ""),
        (lambda: deciding(Reject(), error=ValueError("a fault")), "ValueError"),
        (lambda: deciding(Reject(), error=SystemExit(3)), "SystemExit"),
        (lambda: deciding(Reject(), error=asyncio.CancelledError()), "CancelledError"),
        (lambda: deciding(Reject(), after_s=5.5), "within 5 s"),
        (lambda: deciding(Answer(handler="nobody")), "no handler nobody"),
        (lambda: deciding(Forward("12")), "E.164"),
        (lambda: deciding("busy"), "cannot be done"),  # type: ignore[arg-type]
        (lambda: deciding(Answer(variables={"now": object()})), "JSON"),
    ],
)
async def test_where_nothing_sensible_is_decided_the_call_is_answered(app: Any, reason: str) -> None:
    """A fault in the decision, or a database that is slow, must not leave a caller ringing."""
    async with place_call(app(), to=SALES) as caller:
        await caller.run(ms=100)

        assert entered(caller) == ["sales"]
        entries = await caller._calls.context.log.read(SESSION)
    (one,) = (entry.what for entry in entries if isinstance(entry.what, CallDecided))
    assert one.decision == "answer"
    assert reason in one.reason


@pytest.mark.parametrize("callee", ["answers", "busy", "no_answer"])
async def test_a_call_is_forwarded_without_a_handler(callee: Any) -> None:
    """Nobody there: the caller hears that the line is busy, and does not ring for ever."""
    async with place_call(deciding(Forward(OTHER, ring_s=10)), to=SALES, callees={OTHER: callee}) as caller:
        await caller.run(ms=30_000)
        sent = [command.NAME for command in caller.commands]

        assert not caller.answered
        assert isinstance(caller.commands[0], commands.Transfer)
        assert (caller.commands[0].to, caller.commands[0].timeout_secs) == (OTHER, 10)
        assert sent == (["transfer"] if callee == "answers" else ["transfer", "reject"])


async def test_a_forward_that_telnyx_refuses_is_a_busy_line() -> None:
    """Some accounts may not transfer a call that nobody has answered."""
    async with place_call(deciding(Forward(OTHER)), to=SALES, refuse={"transfer": "90034"}) as caller:
        await caller.run(ms=3_000)

        assert [command.NAME for command in caller.commands] == ["transfer", "reject"]


async def test_what_is_known_of_a_call_that_rings() -> None:
    """Who calls, from where it was forwarded, and what the network says of the number."""
    app = departments()
    rings: list[Ring] = []

    @app.incoming
    async def decide(ring: Ring) -> None:
        rings.append(ring)

    @app.lifespan
    async def lifespan(app: App) -> AsyncIterator[None]:
        app.state.open = True
        yield

    async with place_call(app, to=SALES, headers={"Diversion": "<sip:+15555550190@x>"}) as caller:
        await caller.run(ms=100)

    (ring,) = rings
    assert (ring.from_, ring.to, ring.direction) == ("+15555550123", SALES, "incoming")
    assert ring.diversion == "<sip:+15555550190@x>"
    assert ring.state.open


def test_what_an_app_cannot_have() -> None:
    """Said where it is written, not in the first call."""
    app = departments()

    with pytest.raises(InvalidRequestError, match=r"E\.164"):
        app.call(numbers=["5555550100"])
    with pytest.raises(LocalProtocolError, match="sales already"):
        app.call(name="sales")(app.routes[1].handler)
    with pytest.raises(LocalProtocolError, match="one yield"):
        app.lifespan(lambda app: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(InvalidRequestError, match="sales, support, vip, night"):
        app.name_of("day")
    for name in ("incoming", "on_error"):
        getattr(app, name)(app.routes[0].handler)
        with pytest.raises(LocalProtocolError, match="already"):
            getattr(app, name)(app.routes[0].handler)


async def talk(call: Call) -> None:
    """The handler of a call that was dialled."""
    async for _ in call.audio:
        pass


@pytest.mark.parametrize(
    ("callee", "detect", "status"),
    [
        ("answers", None, "answered"),
        ("answers", "premium", "human"),
        ("machine", "premium", "machine"),
        ("busy", None, "busy"),
        ("no_answer", "premium", "no_answer"),
        ("rejects", None, "rejected"),
        ("unreachable", None, "unreachable"),
        ("silent", None, "unknown"),
    ],
)
async def test_a_dial_in_a_test_has_the_outcome_of_its_callee(callee: Any, detect: Any, status: str) -> None:
    """A handler that calls somebody else is tested as it runs."""
    app = App()
    outcomes: list[str] = []

    @app.call
    async def handle(call: Call) -> None:
        outcomes.append((await app.dial(OTHER, ring_s=20, detect=detect, handler=talk)).status)
        await asyncio.sleep(60)

    app.call(name="talk")(talk)
    async with place_call(app, callees={OTHER: callee}) as caller:
        await caller.run(ms=52_000)

        assert outcomes == [status]
        assert [command.NAME for command in caller.commands] == ["dial"]
        party = caller.party(OTHER)
        assert (party.call is not None) == party.answered


@pytest.mark.parametrize("refused", [True, False])
async def test_a_dial_in_a_test_may_be_refused_or_repeated(refused: bool) -> None:
    """By its code; and one key is one call."""
    app = App()
    told: list[tuple[str, str | None, str | None]] = []

    @app.call
    async def handle(call: Call) -> None:
        for key in ("a", "a", "b"):
            outcome = await app.dial(OTHER, key=key, handler=talk)
            told.append((outcome.status, outcome.code, outcome.call_control_id))

    app.call(name="talk")(talk)
    async with place_call(app, refuse={"dial": "D17"} if refused else {}) as caller:
        await caller.run(ms=5_000)

    if refused:
        assert told == [("refused", "D17", None)] * 3
    else:
        assert told == [("answered", None, f"v3:dialled-{number}") for number in (1, 1, 2)]
