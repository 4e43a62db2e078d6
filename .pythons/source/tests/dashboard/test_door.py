"""What the dashboard's routes share."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from callpath.clock import ManualClock
from callpath.config import Settings
from callpath.dashboard.app import Dashboard
from callpath.dashboard.door import Context, Door
from callpath.store.memory import MemoryCallLog
from tests.dashboard.calls import HOST, entries, good_call, no_phone


def door(**settings: Any) -> Door:
    settings = {"public_url": f"http://{HOST}"} | settings
    return Door(settings=Settings(**settings), clock=ManualClock(), handler_name="echo", serve_for=no_phone)


async def no_resend(*_: Any) -> bool:
    return False


async def test_a_request_before_the_server_has_started_gets_503() -> None:
    """A page that is opened too early must get a reason, not a crash."""
    app = Starlette(routes=Dashboard(door()).routes)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=f"http://{HOST}") as http:
        answer = await http.get("/api/v1/calls")

    assert (503, "store") == (answer.status_code, answer.json()["error"])


async def test_a_timeline_is_found_by_the_beginning_of_its_session_id() -> None:
    """Every route finds a call in the same way, or a link works on one page and not on the next."""
    context, log = Context(door()), MemoryCallLog()
    context.attach(log, no_resend)
    for entry in entries("good-call", good_call()):
        await log.append(entry)
    session, found = await context.timeline("good")

    assert ("good-call", len(good_call())) == (session.session, len(found))


async def test_an_unknown_call_is_404() -> None:
    """An id of another server must not look like an empty call."""
    context = Context(door())
    context.attach(MemoryCallLog(), no_resend)
    with pytest.raises(HTTPException, match="no call fits 'nobody'"):
        await context.timeline("nobody")


@pytest.mark.parametrize(("shown", "masked"), [("masked", True), ("full", False)])
def test_masking_follows_the_setting(shown: str, masked: bool) -> None:
    """One place decides whether phone numbers are hidden; a route that decided by itself could leak them."""
    assert masked == Context(door(dashboard_numbers=shown)).masked
