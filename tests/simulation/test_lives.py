"""Five hundred lives of a call, and the old faults put back one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import structlog

from tests.simulation.faults import FAULTS, finding_seed
from tests.simulation.life import draw, live

LIVES, AT_ONCE = 500, 25


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What goes wrong on purpose is no news."""
    with structlog.testing.capture_logs():
        yield


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, LIVES, AT_ONCE))
def test_lives(first: int) -> None:
    """`python -m tests.simulation --seed N` replays one, and prints its timeline."""
    broken = {seed: found for seed in range(first, first + AT_ONCE) if (found := asyncio.run(live(draw(seed))))}

    assert {} == broken


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_an_old_fault_is_found(fault: str) -> None:
    """A simulation that never fails may look at nothing."""
    assert finding_seed(fault, seeds=0) is not None
