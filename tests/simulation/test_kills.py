"""A process killed at each step of a transfer and of a consult; all moments: `python -m tests.simulation --kills 200`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from callpath.api import consult as api
from callpath.api import transfer
from callpath.call import ending
from callpath.server.consulting import Consulting
from tests.simulation.kills import HANDLERS, killed


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What goes wrong on purpose is no news."""
    with structlog.testing.capture_logs():
        yield


@pytest.mark.timeout(600)
@pytest.mark.parametrize("handler", HANDLERS)
def test_no_phone_is_called_twice_and_no_caller_is_lost(handler: str) -> None:
    """Whichever of its steps the process dies at."""
    assert killed(handler, 200, step=25) == []


@pytest.mark.timeout(600)
def test_two_calls_that_tell_each_other_nothing_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulation that never fails may look at nothing."""

    async def nothing(_: Consulting) -> None:
        return

    monkeypatch.setattr(Consulting, "exchange", nothing)

    assert any("a caller was lost" in line for line in killed("consults", 200, step=99))


@pytest.mark.timeout(600)
def test_a_second_dial_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a process that enters the handler again though a consult goes on."""
    monkeypatch.setattr(ending, "holds_caller", lambda _session, _since=0: False)
    monkeypatch.setattr(api, "open_consult", lambda _session: None)
    monkeypatch.setattr(transfer, "open_consult", lambda _session: None)

    assert any("double dial" in line for line in killed("consults", 200, step=41))
