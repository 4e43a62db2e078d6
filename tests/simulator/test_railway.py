"""The Railway simulator, and the doctor's client for it: one is the other's test."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from callpath.clock import ManualClock, SystemClock
from callpath.doctor.probes.railway import PAGE_ROWS, Railway, RailwayService
from callpath.errors import PlatformError
from callpath.simulator.railway import QueryError, RailwayStandIn, parse_query

SERVICE = RailwayService(RailwayStandIn.project_id, RailwayStandIn.environment_id, RailwayStandIn.service_id)


def client(railway: RailwayStandIn, **options: Any) -> Railway:
    """A doctor's client that asks without a socket."""
    given: dict[str, Any] = {"token": railway.token, "clock": SystemClock()} | options
    return Railway(endpoint=railway.endpoint, transport=httpx2.ASGITransport(app=railway.app), **given)


async def test_over_a_socket_with_either_token() -> None:
    """A project's token goes in a header of its own; as Bearer it would be refused."""
    async with RailwayStandIn() as railway:
        for token, api_token in ((railway.token, ""), ("", railway.api_token)):
            async with Railway(
                endpoint=railway.endpoint, token=token, api_token=api_token, clock=SystemClock()
            ) as http:
                rows = await http.deployments(SERVICE)

            assert ["SUCCESS"] == [row["status"] for row in rows]


async def test_a_wrong_token_is_named() -> None:
    """Railway answers 200 with "Not Authorized"; who reads that must learn which setting to look at."""
    railway = RailwayStandIn()
    async with client(railway, token="wrong") as http:
        with pytest.raises(PlatformError, match=r"Not Authorized.*RAILWAY_TOKEN"):
            await http.domains(SERVICE)


async def test_a_project_token_knows_its_project() -> None:
    """Then nobody has to look up two of the three ids."""
    railway = RailwayStandIn()
    async with client(railway) as http:
        assert (railway.project_id, railway.environment_id) == await http.token_scope()


async def test_logs_come_whole_and_in_order_over_many_pages() -> None:
    """A page holds 500 rows; the call that is looked for may be in any of them, and equal lines are two lines."""
    railway = RailwayStandIn()
    railway.logs = [
        railway.log_row(f"line {n // 2}", f"2026-01-02T03:{n // 60 % 60:02d}:{n % 60:02d}.{n:09d}Z")
        for n in range(2 * PAGE_ROWS + 50)
    ]
    async with client(railway) as http:
        rows = await http.deployment_logs(railway.deployment_id)
        newest = await http.deployment_logs(railway.deployment_id, rows_max=600)
        some = await http.deployment_logs(
            railway.deployment_id, since="2026-01-02T03:02:00Z", until="2026-01-02T03:03:00Z"
        )

    assert railway.logs == rows
    assert railway.logs[-600:] == newest
    assert railway.logs[120:180] == some


async def test_edge_rows_by_path() -> None:
    """The doctor asks for the audio path only: a busy service has thousands of other rows."""
    railway = RailwayStandIn()
    railway.http_logs = [railway.http_row(path="/api/calls/1/audio", httpStatus=502), railway.http_row(path="/healthz")]
    async with client(railway) as http:
        rows = await http.http_logs(railway.deployment_id, matching="@path:/api/calls")

    assert [("/api/calls/1/audio", 502)] == [(row["path"], row["httpStatus"]) for row in rows]


async def test_what_is_known_of_the_service() -> None:
    """Replicas and volumes together decide whether calls can be lost."""
    railway = RailwayStandIn()
    railway.replicas, railway.volumes = 3, ["/data"]
    async with client(railway) as http:
        row = await http.instances(SERVICE)
        none = await http.instances(RailwayService(SERVICE.project_id, SERVICE.environment_id, "other"))

    assert (3, ["/data"]) == (row["numReplicas"], row["volumes"])
    assert {} == none


async def test_deployments_page_by_page_newest_first() -> None:
    """The newest decides what runs."""
    railway = RailwayStandIn()
    railway.deployments = [railway.deployment_row("REMOVED", f"2026-01-{day:02d}T00:00:00.000Z") for day in range(1, 9)]
    async with client(railway) as http:
        rows = await http.deployments(SERVICE, rows_max=5)

    assert [f"2026-01-{day:02d}T00:00:00.000Z" for day in (5, 4, 3, 2, 1)] == [row["createdAt"] for row in rows]


async def test_a_rate_limit_is_waited_for() -> None:
    """Railway says how long; asking at once again would only use up more of it."""
    railway, clock = RailwayStandIn(), _Slept()
    railway.refuse_next = [(429, {"retry-after": "2"}), (503, {})]
    async with client(railway, clock=clock) as http:
        rows = await http.deployments(SERVICE)

    assert [2000.0, 1000.0] == clock.slept
    assert 1 == len(rows)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([(429, {"retry-after": "3600"})], "rate limit is used up; it asks to wait 3600 s"),
        ([(502, {})] * 3, "answered 502"),
        ([(404, {})], "404 and no JSON"),
    ],
)
async def test_no_answer_is_an_error_in_words(answers: list[tuple[int, dict[str, str]]], words: str) -> None:
    """An hour is not waited for, and a failure is not "no deployments"."""
    railway = RailwayStandIn()
    railway.refuse_next = answers
    async with client(railway, clock=_Slept()) as http:
        with pytest.raises(PlatformError, match=words):
            await http.deployments(SERVICE)


async def test_no_connection_is_an_error_in_words() -> None:
    """Offline, the rest of the examination goes on."""
    async with Railway(endpoint="http://127.0.0.1:9/graphql/v2", token="t", clock=SystemClock()) as http:
        with pytest.raises(PlatformError, match=r"connection to 127\.0\.0\.1 failed"):
            await http.deployments(SERVICE)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("mutation { x }", "only queries"),
        ("query { secrets { id } }", 'field "secrets"'),
        ("query { projectToken { owner } }", 'field "owner"'),
        ("query { projectToken(id: 1) { id } }", 'argument "id"'),
        ("query { domains(projectId: $p) { serviceDomains { domain } } }", "not defined"),
        ("query Q($p: String!) { domains(projectId: $p) { serviceDomains { domain } } }", "was not provided"),
        ("query { projectToken { id ", "Syntax Error"),
    ],
)
def test_the_schema_is_kept(query: str, words: str) -> None:
    """A simulator that answers what Railway refuses would let a wrong query pass."""
    with pytest.raises(QueryError, match=words):
        parse_query(query, {})


class _Slept(ManualClock):
    """Remembers what was slept and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep_ms(self, duration_ms: float) -> None:
        self.slept.append(duration_ms)
