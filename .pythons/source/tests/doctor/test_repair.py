"""What is changed, that it is read again, and that it can be undone."""

from __future__ import annotations

import json
import shlex
from typing import Any

import httpx2
import pytest

from callpath.clock import SystemClock
from callpath.doctor.account import AccountRequest, diagnose_account
from callpath.doctor.facts import Facts
from callpath.doctor.probes.telnyx import Telnyx
from callpath.doctor.repair import Change, carry_out, plan, undo_command
from callpath.doctor.rules.sample_account import NUMBER, OTHER, OURS, SERVED, URL, account, app, number
from callpath.simulator.api import build_app
from callpath.simulator.refusal import refuse
from callpath.simulator.simulator import Simulator


def client(telnyx: Simulator) -> Telnyx:
    transport = httpx2.ASGITransport(app=build_app(telnyx))
    return Telnyx(api_base=telnyx.api_base, api_key=telnyx.api_key, clock=SystemClock(), transport=transport)


async def facts_of(telnyx: Simulator, **request: Any) -> Facts:
    async with client(telnyx) as http:
        return (await diagnose_account(AccountRequest(served=SERVED, **request), SystemClock(), telnyx=http))[0]


def test_what_is_right_is_left_alone() -> None:
    """--fix on a sound account must not send a single PATCH."""
    assert () == plan(account())
    assert () == plan(Facts())
    assert () == plan(account(None))


def test_money_limits_and_forwarding_are_not_touched() -> None:
    """They are somebody's intent, or somebody's money."""
    wrong = account(
        app(inbound={"channel_limit": 0}, webhook_timeout_secs=30, webhook_event_failover_url="https://x.net"),
        balance={"available_credit": "0.00"},
        row=number(status="port-pending"),
    )

    assert () == plan(wrong)


def test_each_change_shows_old_and_new() -> None:
    """Nobody should say yes to what he has not seen."""
    (change,) = plan(account(app(active=False, webhook_api_version="1", webhook_event_url="http://old.example.com")))

    assert {
        ("webhook_event_url", "http://old.example.com", URL),
        ("active", "false", "true"),
        ("webhook_api_version", "1", "2"),
    } == set(change.lines)
    assert {
        "application_name": "voice-agent",
        "webhook_event_url": URL,
        "active": True,
        "webhook_api_version": "2",
    } == (change.body)


def test_only_what_is_wrong_is_in_the_change() -> None:
    """Name and URL have to be sent along, and are not changed by it."""
    (change,) = plan(account(app(active=False)))

    assert (("active", "false", "true"),) == change.lines


@pytest.mark.parametrize(("chosen_by", "guessed"), [("url", False), ("asked", False), ("only one", True)])
def test_an_application_that_nobody_named_is_a_guess(chosen_by: str, guessed: bool) -> None:
    """The only application of an account may serve another program: that one is changed only after a question."""
    away = number(connection_id=OTHER)
    change = plan(account(app(webhook_event_url="https://other.example.net/hook"), row=away, chosen_by=chosen_by))[0]

    assert guessed == change.guessed


@pytest.mark.parametrize(
    ("url", "leads_to", "guessed"),
    [
        (URL + "/", OTHER, False),
        ("http://calls.example.com/API/calls/webhook", OTHER, False),
        ("https://calls.example.com/billing", OTHER, True),
        ("https://calls.example.com/billing", OURS, False),
    ],
)
def test_another_program_on_our_host_is_not_taken_for_ours(url: str, leads_to: str, guessed: bool) -> None:
    """One host, two programs, each with its application: only a number that leads there, or nearly our URL, is proof."""
    row = number(connection_id=leads_to)
    change = plan(account(app(webhook_event_url=url), row=row, chosen_by="host"))[0]

    assert guessed == change.guessed


def test_a_number_that_nobody_named_is_no_proof() -> None:
    """It is the account's only one, and may belong to another program."""
    elsewhere = app(webhook_event_url="https://other.example.net/hook")
    (asked,) = plan(account(elsewhere, chosen_by="number"))
    (found,) = plan(account(elsewhere, chosen_by="number", numbers_listed=True))

    assert (False, True) == (asked.guessed, found.guessed)


async def test_changed_read_again_and_undone() -> None:
    """The way there and the way back, through the API, with the very line that is printed."""
    telnyx = Simulator("http://calls.example.com/api/calls/webhook/")
    telnyx.account.application.update(active=False, webhook_api_version="1")
    telnyx.account.add_connection("42")
    telnyx.account.number["connection_id"] = "42"
    before = [dict(row) for row in (telnyx.account.application, telnyx.account.number)]
    changes = plan(await facts_of(telnyx, number=NUMBER))

    async with client(telnyx) as http:
        assert ["", ""] == [await carry_out(http, change) for change in changes]
        assert () == plan(await facts_of(telnyx, number=NUMBER))
        for change in changes[::-1]:
            line = undo_command(http.api_base, change)
            words = shlex.split(line)
            assert telnyx.api_key not in line
            assert "Authorization: Bearer $TELNYX_API_KEY" in words
            path = words[3].removeprefix(telnyx.api_base)
            assert await http.change("undo", path, json.loads(words[-1])) is not None

    after = [dict(row) for row in (telnyx.account.application, telnyx.account.number)]
    for row in (*before, *after):
        row.pop("updated_at")
    assert before == after


async def test_a_number_without_a_connection_is_assigned() -> None:
    """The commonest of all: bought, and assigned to nothing."""
    telnyx = Simulator(URL)
    telnyx.account.number["connection_id"] = None
    (change,) = plan(await facts_of(telnyx, number=NUMBER))
    async with client(telnyx) as http:
        problem = await carry_out(http, change)

    assert (("connection_id", "nothing", OURS),) == change.lines
    assert ("", OURS) == (problem, telnyx.account.number["connection_id"])


async def test_a_change_that_is_refused_says_why() -> None:
    """And one that has no effect is not called done."""
    telnyx = Simulator(URL)
    async with client(telnyx) as http:
        missing = Change(what="x", path="/phone_numbers/0", body={"connection_id": OTHER}, before={})
        without = Change(what="x", path=f"/call_control_applications/{OURS}", body={"active": True}, before={})
        ignored = Change(
            what="x",
            path=f"/call_control_applications/{OURS}",
            body={"application_name": "a", "webhook_event_url": URL, "unheard_of": 1},
            before={},
        )

        assert "Telnyx refused it: 404 10005" in await carry_out(http, missing)
        assert "Telnyx refused it: 422 10004" in await carry_out(http, without)
        assert "unheard_of reads as before" in await carry_out(http, ignored)


async def test_a_change_that_cannot_be_read_again_is_not_called_done() -> None:
    """It may have been made, or not: both are said."""
    telnyx = Simulator(URL)
    async with client(telnyx) as http:
        (change,) = plan(account(app(active=False)))
        http_change = http.change

        async def change_and_lock(question: str, path: str, body: dict[str, Any]) -> Any:
            answer = await http_change(question, path, body)
            telnyx.account.refusals["/call_control_applications*"] = refuse("90041")
            return answer

        http.change = change_and_lock  # type: ignore[method-assign]

        assert "accepted, but reading it again failed" in await carry_out(http, change)
