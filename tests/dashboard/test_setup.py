"""The steps to a first real call, each true as soon as it is true."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from callpath.config import Settings
from callpath.dashboard import setup
from callpath.dashboard.phone import PHONE_NUMBER
from callpath.errors import ConfigError
from callpath.simulator.simulator import Simulator
from callpath.store.port import RejectedRequest
from tests.dashboard.calls import TOKEN, Looking, failed_call, good_call, looking

PUBLIC = "https://calls.example.com"


async def states(it: Looking) -> dict[str, str]:
    """With what Telnyx said earlier forgotten."""
    await it.clock.advance(setup.FRESH_MS)
    return {step["id"]: step["state"] for step in (await it.get("/setup"))["steps"]}


@asynccontextmanager
async def answering(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> AsyncIterator[None]:
    """Telnyx says these, by the beginning of the path."""

    async def ask(_self: object, _settings: Settings, path: str) -> tuple[int | None, Any]:
        return next((200, answer) for start, answer in answers.items() if path.startswith(start))

    monkeypatch.setattr(setup.Account, "ask", ask)
    yield


async def test_with_nothing_set_everything_is_to_do(tmp_path: Path) -> None:
    """The first thing that a newcomer sees; no request leaves this machine."""
    async with looking(tmp_path, public_url="") as it:
        assert {
            "key": "missing",
            "public-key": "missing",
            "public-url": "missing",
            "webhook": "unknown",
            "number": "unknown",
            "first-webhook": "missing",
            "first-audio": "missing",
        } == await states(it)
        assert (await it.get("/setup"))["real_calls"] is False


async def test_a_key_is_tried(tmp_path: Path) -> None:
    """One that Telnyx refuses is not done; one that cannot be tried is not known."""
    async with Simulator() as telnyx:
        account: dict[str, Any] = {"telnyx_api_base": telnyx.api_base, "public_url": "http://127.0.0.1:8000"}
        async with looking(tmp_path, telnyx_api_key="KEYwrong", **account) as it:
            wrong = await states(it)
        async with looking(tmp_path, telnyx_api_key=telnyx.api_key, **account) as it:
            right = await states(it)
    async with looking(tmp_path, telnyx_api_key="KEY", telnyx_api_base="http://127.0.0.1:9/v2") as it:
        nobody = await states(it)

    assert ["missing", "done", "unknown"] == [one["key"] for one in (wrong, right, nobody)]
    assert "warning" == right["public-url"]


@pytest.mark.parametrize(
    ("application", "numbers", "webhook", "number"),
    [
        ({"webhook_event_url": f"{PUBLIC}/api/calls/webhook", "webhook_api_version": "2"}, [{}], "done", "done"),
        ({"webhook_event_url": f"{PUBLIC}/api/calls/webhook", "webhook_api_version": "1"}, [], "warning", "missing"),
        ({"webhook_event_url": f"{PUBLIC}/api/calls/webhook", "active": False}, [{}], "warning", "done"),
        ({"webhook_event_url": f"{PUBLIC}/webhook"}, [{}], "missing", "unknown"),
        ({"webhook_event_url": f"{PUBLIC}/api/calls/webhook/"}, [{}], "missing", "unknown"),  # another URL to Telnyx
    ],
)
async def test_the_application_is_looked_up(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    application: dict[str, Any],
    numbers: list[Any],
    webhook: str,
    number: str,
) -> None:
    """The URL that was pasted, its version, and whether a number leads to it."""
    answers = {
        "/call_control_applications": {"data": [application | {"id": "1"}]},
        "/phone_numbers": {"data": numbers},
    }
    account: dict[str, Any] = {"telnyx_api_key": "KEY", "public_url": PUBLIC, "dashboard_token": TOKEN}
    async with answering(monkeypatch, answers), looking(tmp_path, **account) as it:
        it.http.headers["Authorization"] = f"Bearer {TOKEN}"
        found = await states(it)

        assert (webhook, number) == (found["webhook"], found["number"])


async def test_calls_of_the_browser_phone_are_no_proof(tmp_path: Path) -> None:
    """They come from this machine; only a real call shows that Telnyx finds it."""
    async with looking(tmp_path) as it:
        await it.take("phone", good_call(PHONE_NUMBER))
        phone = await states(it)
        await it.take("real", failed_call())
        silent = await states(it)
        await it.take("better", good_call())
        heard = await states(it)

        assert ("missing", "missing") == (phone["first-webhook"], phone["first-audio"])
        assert ("done", "missing") == (silent["first-webhook"], silent["first-audio"])
        assert ("done", "done") == (heard["first-webhook"], heard["first-audio"])


async def test_why_webhooks_were_refused_is_said(tmp_path: Path) -> None:
    """The wrong public key is the usual reason why nothing seems to come."""
    async with looking(tmp_path) as it:
        await it.log.note_rejected(
            RejectedRequest(1, "webhook", "bad_signature", "signature, body and public key do not fit")
        )
        steps = {step["id"]: step["detail"] for step in (await it.get("/setup"))["steps"]}

        assert "public key do not fit" in steps["first-webhook"]


async def test_what_was_changed_needs_a_restart(tmp_path: Path) -> None:
    """A key written into .env ticks its step at once, and the page says what is still to do; so does a wrong one."""
    fresh = Settings(telnyx_public_key="abc", public_url=PUBLIC)
    async with looking(tmp_path, door={"settings_now": lambda: fresh}) as it:
        changed = await states(it)

        assert ("warning", "done", "done") == (changed["restart"], changed["public-key"], changed["public-url"])

    def wrong() -> Settings:
        raise ConfigError("PUBLIC_URL", "is not a full https:// URL", "")

    async with looking(tmp_path, door={"settings_now": wrong}) as it:
        (step,) = [one for one in (await it.get("/setup"))["steps"] if one["id"] == "restart"]

        assert "PUBLIC_URL is not a full" in step["detail"]
