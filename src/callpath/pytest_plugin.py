"""pytest fixtures: a Telnyx simulator in any project's tests, whatever its program is written in.

pytest loads this by itself where callpath is installed; it imports nothing of ours until a fixture is asked for.

    telnyx            a running simulator (`simulator.blocking.BlockingSimulator`)
    telnyx_call       places calls; hangs them up after the test, and explains them where it failed
    telnyx_webhook    where events go; override it in conftest.py, or give --telnyx-webhook
    telnyx_options    how this Telnyx behaves (`CarrierOptions`); override it
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from callpath.simulator.blocking import BlockingCaller, BlockingSimulator
    from callpath.simulator.options import CarrierOptions

_PLACED = pytest.StashKey["tuple[Path, list[BlockingCaller]]"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("telnyx", "callpath's Telnyx simulator")
    group.addoption("--telnyx-webhook", metavar="URL", help="The webhook URL of the program under test.")
    group.addoption("--telnyx-seed", type=int, default=0, help="Decides every chance in the faults.")


@pytest.fixture
def telnyx_webhook(request: pytest.FixtureRequest) -> str | None:
    """The webhook URL of the program under test."""
    url: str | None = request.config.getoption("--telnyx-webhook")
    return url


@pytest.fixture
def telnyx_options() -> CarrierOptions | None:
    """How this Telnyx behaves where the real one can be set up differently."""
    return None


@pytest.fixture
def telnyx(
    request: pytest.FixtureRequest, telnyx_webhook: str | None, telnyx_options: CarrierOptions | None
) -> Iterator[BlockingSimulator]:
    """A Telnyx simulator. Start the program under test with `telnyx.environment`."""
    from callpath.simulator.blocking import stand_in

    seed = request.config.getoption("--telnyx-seed")
    with stand_in(telnyx_webhook, options=telnyx_options, seed=seed) as running:
        yield running


@pytest.fixture
def telnyx_call(
    request: pytest.FixtureRequest, telnyx: BlockingSimulator, tmp_path: Path
) -> Iterator[Callable[..., BlockingCaller]]:
    """Place a call: takes what `Simulator.call` takes, and returns when its stream is open.

    `wait=False` returns at once. Raises CallFailed, which says what stage was not reached.
    """
    from callpath.errors import CallpathError

    placed: list[BlockingCaller] = []
    request.node.stash[_PLACED] = tmp_path, placed

    def call(*given: Any, wait: bool = True, **named: Any) -> BlockingCaller:
        caller = telnyx.call(*given, **named)
        placed.append(caller)
        if wait:
            caller.stream_started()
        return caller

    yield call
    for caller in placed:
        caller.hang_up()
        with suppress(CallpathError):
            caller.ended()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Where a test with calls fails, say how they went, and keep their recordings."""
    report: pytest.TestReport = yield  # type: ignore[assignment]  # what a wrapper is handed back
    if report.when == "call" and report.failed and _PLACED in item.stash:
        folder, placed = item.stash[_PLACED]
        for number, caller in enumerate(placed, 1):
            recording = folder / f"call-{number}.wav"
            caller.write_recording(recording)
            found = caller.report()
            said = f"{found['verdict']['sentence']}\nRecording: {recording}\n{json.dumps(found, indent=2)}"
            report.sections.append((f"telnyx call {number}", said))
    return report  # type: ignore[return-value]
