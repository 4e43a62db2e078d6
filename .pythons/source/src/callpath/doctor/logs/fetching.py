"""Logs by a platform's API, as rows of the shapes that its own export has."""

from __future__ import annotations

from callpath.doctor.probes.railway import Railway, RailwayService
from callpath.errors import PlatformError
from callpath.wire.document import Json

DEPLOYMENTS_MAX = 2
"""The one that runs and the one before it: a call may have failed because the one took over from the other."""


async def fetch_railway(
    railway: Railway,
    *,
    service_id: str,
    project_id: str = "",
    environment_id: str = "",
    since: str = "",
    until: str = "",
) -> dict[str, list[Json]]:
    """File name → rows, oldest first: what the application printed, and what the edge logged. Raises PlatformError.

    Project and environment may be left out where the token is a project's.
    """
    if not project_id or not environment_id:
        project_id, environment_id = await railway.token_scope()
    service = RailwayService(project_id, environment_id, service_id)
    deployments = [row for row in await railway.deployments(service) if row.get("status") not in {"SKIPPED", "QUEUED"}]
    if not deployments:
        raise PlatformError("Railway lists no deployment of this service: check RAILWAY_SERVICE_ID")
    found: dict[str, list[Json]] = {"railway log": [], "railway edge": []}
    for deployment in reversed(deployments[:DEPLOYMENTS_MAX]):
        name = str(deployment.get("id", ""))
        found["railway log"] += await railway.deployment_logs(name, since=since, until=until)
        found["railway edge"] += await railway.http_logs(name, since=since, until=until)
    return found
