"""Railway's logs by its API, from a simulator."""

from __future__ import annotations

import pytest

from callpath.clock import SystemClock
from callpath.doctor.logs.fetching import fetch_railway
from callpath.doctor.probes.railway import Railway
from callpath.errors import PlatformError
from callpath.simulator.railway import RailwayStandIn


async def test_log_and_edge_of_the_latest_deployments() -> None:
    """A project's token is enough: project and environment are asked for."""
    async with RailwayStandIn() as stand_in:
        stand_in.logs = [stand_in.log_row("call.answered")]
        stand_in.http_logs = [stand_in.http_row()]
        async with Railway(clock=SystemClock(), token=stand_in.token, endpoint=stand_in.endpoint) as railway:
            found = await fetch_railway(railway, service_id=stand_in.service_id)

    assert ["railway log", "railway edge"] == list(found)
    assert "call.answered" == found["railway log"][0]["message"]
    assert "httpStatus" in found["railway edge"][0]


async def test_a_service_without_deployments() -> None:
    """A wrong service id must be said, not shown as an empty log."""
    async with RailwayStandIn() as stand_in:
        stand_in.deployments = []
        async with Railway(clock=SystemClock(), token=stand_in.token, endpoint=stand_in.endpoint) as railway:
            with pytest.raises(PlatformError, match="no deployment"):
                await fetch_railway(railway, service_id=stand_in.service_id)
