"""Ask Railway about a service: its deployments, domains, logs. GraphQL over HTTP; answers come back as plain JSON rows.

Source: docs.railway.com/integrations/api and the queries of Railway's own command line (github.com/railwayapp/cli).
Every list is bounded, every wait too; a rate limit is waited for as long as Railway asks, but not for ever.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2
import msgspec

from callpath.clock import Clock
from callpath.doctor.facts import PlatformDomain, PlatformFacts
from callpath.errors import PlatformError
from callpath.wire.document import Json

ENDPOINT = "https://backboard.railway.com/graphql/v2"

ANSWER_S_MAX = 10.0
TRIES_MAX = 3
WAIT_MS_MAX = 20_000.0
"""All that one question may wait because of rate limits. Railway allows 10 questions a second on its smaller plan."""

PAGE_ROWS = 500
"""What Railway's own command line asks for at once."""

PAGES_MAX = 100

T = TypeVar("T")
Page = Callable[[str], Awaitable[Any]]

LOG_FIELDS = "timestamp message severity attributes { key value } tags { deploymentId deploymentInstanceId serviceId }"
HTTP_FIELDS = (
    "timestamp method path httpStatus totalDuration requestId host clientUa srcIp edgeRegion txBytes rxBytes "
    "upstreamRqDuration upstreamAddress upstreamProto downstreamProto upstreamErrors responseDetails "
    "deploymentId deploymentInstanceId"
)

_DEPLOYMENT_LOGS = f"""
query DeploymentLogs($deploymentId: String!, $limit: Int, $filter: String, $startDate: DateTime, $endDate: DateTime) {{
  deploymentLogs(
    deploymentId: $deploymentId, limit: $limit, filter: $filter, startDate: $startDate, endDate: $endDate
  ) {{ {LOG_FIELDS} }}
}}"""

_HTTP_LOGS = f"""
query HttpLogs($deploymentId: String!, $filter: String, $beforeLimit: Int!, $anchorDate: String) {{
  httpLogs(deploymentId: $deploymentId, filter: $filter, beforeLimit: $beforeLimit, anchorDate: $anchorDate) {{
    {HTTP_FIELDS}
  }}
}}"""

_DEPLOYMENTS = """
query Deployments($input: DeploymentListInput!, $first: Int, $after: String) {
  deployments(input: $input, first: $first, after: $after) {
    edges { node { id status createdAt url staticUrl meta } }
    pageInfo { hasNextPage endCursor }
  }
}"""

_DOMAINS = """
query Domains($projectId: String!, $environmentId: String!, $serviceId: String!) {
  domains(projectId: $projectId, environmentId: $environmentId, serviceId: $serviceId) {
    serviceDomains { domain targetPort syncStatus }
    customDomains {
      domain targetPort
      status {
        dnsRecords { requiredValue currentValue status }
        certificateStatus certificateErrorType verified cdnProvider
      }
    }
  }
}"""

_INSTANCES = """
query EnvironmentInstances($projectId: String!, $environmentId: String!) {
  environment(id: $environmentId, projectId: $projectId) {
    serviceInstances(first: 200) {
      edges { node { serviceId serviceName numReplicas } }
    }
    volumeInstances(first: 200) {
      edges { node { serviceId mountPath } }
    }
  }
}"""

_PROJECT_TOKEN = """
query ProjectToken {
  projectToken { project { id name } environment { id name } }
}"""


@dataclass(frozen=True, slots=True)
class RailwayService:
    """Which service is meant, by the ids that Railway gives as RAILWAY_PROJECT_ID, RAILWAY_ENVIRONMENT_ID and
    RAILWAY_SERVICE_ID."""

    project_id: str
    environment_id: str
    service_id: str


class Railway:
    """One client. Use it as an async context manager.

    `token` is a project's token (RAILWAY_TOKEN), `api_token` one of an account or workspace (RAILWAY_API_TOKEN); one of
    them is enough, the project's wins. Every method raises PlatformError, whose text says what Railway said.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        token: str = "",
        api_token: str = "",
        endpoint: str = ENDPOINT,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._endpoint = endpoint
        headers = {"Project-Access-Token": token} if token else {"Authorization": f"Bearer {api_token}"}
        self._http = httpx2.AsyncClient(headers=headers, timeout=ANSWER_S_MAX, transport=transport, trust_env=False)

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def deployments(self, service: RailwayService, *, rows_max: int = 20) -> list[Json]:
        """`{id, status, createdAt, url, staticUrl, meta}` each, newest first."""
        wanted = {
            "projectId": service.project_id,
            "environmentId": service.environment_id,
            "serviceId": service.service_id,
        }
        rows: list[Json] = []
        after: str | None = None
        for _ in range(PAGES_MAX):
            size = min(PAGE_ROWS, rows_max - len(rows))
            page = await self.ask(_DEPLOYMENTS, "deployments", {"input": wanted, "first": size, "after": after})
            rows += _nodes(page)
            turn = page.get("pageInfo") if isinstance(page, dict) else None
            if len(rows) >= rows_max or not isinstance(turn, dict) or not turn.get("hasNextPage"):
                break
            after = turn.get("endCursor")
        return sorted(rows[:rows_max], key=lambda row: str(row.get("createdAt", "")), reverse=True)

    async def domains(self, service: RailwayService) -> Json:
        """`{serviceDomains: [...], customDomains: [...]}`, as Railway has them."""
        found = await self.ask(
            _DOMAINS,
            "domains",
            {
                "projectId": service.project_id,
                "environmentId": service.environment_id,
                "serviceId": service.service_id,
            },
        )
        return found if isinstance(found, dict) else {}

    async def instances(self, service: RailwayService) -> Json:
        """`{numReplicas, serviceName, volumes: [mountPath, ...]}` of the service; empty if Railway does not list it."""
        found = await self.ask(
            _INSTANCES, "environment", {"projectId": service.project_id, "environmentId": service.environment_id}
        )
        environment = found if isinstance(found, dict) else {}
        for row in _nodes(environment.get("serviceInstances")):
            if row.get("serviceId") == service.service_id:
                volumes = [
                    volume.get("mountPath")
                    for volume in _nodes(environment.get("volumeInstances"))
                    if volume.get("serviceId") == service.service_id
                ]
                return row | {"volumes": volumes}
        return {}

    async def token_scope(self) -> tuple[str, str]:
        """Project and environment that a project's token belongs to: nobody has to look up these two ids."""
        found = await self.ask(_PROJECT_TOKEN, "projectToken", {})
        scope = found if isinstance(found, dict) else {}
        return _id_of(scope.get("project")), _id_of(scope.get("environment"))

    async def deployment_logs(
        self, deployment_id: str, *, since: str = "", until: str = "", matching: str = "", rows_max: int = 5000
    ) -> list[Json]:
        """What the application printed, oldest first: `{timestamp, message, severity, attributes, tags}`.

        `since` and `until` are ISO times, `matching` is in Railway's filter language. At most `rows_max`, the newest.
        """

        async def page(end: str) -> Any:
            return await self.ask(
                _DEPLOYMENT_LOGS,
                "deploymentLogs",
                {
                    "deploymentId": deployment_id,
                    "limit": PAGE_ROWS,
                    "filter": matching or None,
                    "startDate": since or None,
                    "endDate": end or None,
                },
            )

        return await self._backwards(page, since, until, rows_max)

    async def http_logs(
        self, deployment_id: str, *, since: str = "", until: str = "", matching: str = "", rows_max: int = 5000
    ) -> list[Json]:
        """What the edge logged, oldest first, in Railway's twenty fields. Arguments as for `deployment_logs`."""

        async def page(end: str) -> Any:
            return await self.ask(
                _HTTP_LOGS,
                "httpLogs",
                {
                    "deploymentId": deployment_id,
                    "filter": matching or None,
                    "beforeLimit": PAGE_ROWS,
                    "anchorDate": end or None,
                },
            )

        return await self._backwards(page, since, until, rows_max)

    async def _backwards(self, page: Page, since: str, until: str, rows_max: int) -> list[Json]:
        """Page by page from `until` towards `since`."""
        kept: list[Json] = []
        seen: set[bytes] = set()
        end = until
        for _ in range(PAGES_MAX):
            rows = [row for row in (await page(end) or []) if isinstance(row, dict)]
            keys = [msgspec.json.encode(row, order="sorted") for row in rows]
            # A page's first row may be the last one of the page before; equal rows within one page are two events.
            fresh = [row for row, key in zip(rows, keys, strict=True) if key not in seen]
            seen.update(keys)
            kept += fresh
            oldest = min(rows, key=_time, default={})
            if len(rows) < PAGE_ROWS or not fresh or len(kept) >= rows_max or _time(oldest) < _sortable(since):
                break
            end = str(oldest.get("timestamp", ""))
        first, last = _sortable(since), _sortable(until) if until else "~"
        return sorted((row for row in kept if first <= _time(row) <= last), key=_time)[-rows_max:]

    async def ask(self, query: str, field: str, variables: Json) -> Any:
        """One question; `field` of its answer. Raises PlatformError."""
        body = msgspec.json.encode({"query": query, "variables": variables})
        waited_ms = 0.0
        for attempt in range(1, TRIES_MAX + 1):
            try:
                answer = await self._http.post(
                    self._endpoint, content=body, headers={"Content-Type": "application/json"}
                )
            except httpx2.RequestError as error:
                kind = "timed out" if isinstance(error, httpx2.TimeoutException) else "failed"
                raise PlatformError(
                    f"Railway: the connection to {httpx2.URL(self._endpoint).host} {kind}: "
                    f"{str(error) or type(error).__name__}"
                ) from error
            if answer.status_code != 429 and answer.status_code < 500:
                return _found(answer, field)
            wait_ms = _retry_after_ms(answer)
            waited_ms += wait_ms
            if attempt == TRIES_MAX or waited_ms > WAIT_MS_MAX:
                raise _given_up(answer, wait_ms)
            await self._clock.sleep_ms(wait_ms)
        raise AssertionError("the loop returns or raises")


# --- what a doctor wants to know -------------------------------------------------------------------------------------

_CERTIFICATE = ("VALIDATING_OWNERSHIP", "ISSUE_FAILED", "ISSUING", "VALID")
_LISTENING = re.compile(r"(?i)\b(?:listen\w*|running|started|serves)\b.{0,60}?(?::|port[ =:]+)(\d{2,5})\b")
_RAN = {"SUCCESS", "CRASHED", "SLEEPING"}


async def probe_platform(
    railway: Railway,
    service: RailwayService,
    *,
    public_host: str = "",
    listening_port: int | None = None,
    shared_log: bool | None = None,
) -> PlatformFacts:
    """What Railway says about the service. `listening_port` is looked for in the deployment's log where it is None."""
    refusals: list[str] = []

    async def asked(question: Awaitable[T]) -> T | None:
        try:
            return await question
        except PlatformError as error:
            refusals.append(str(error))
            return None

    # One after another: the smallest plan allows few questions a second, and a refused token is told once.
    deployments = await asked(railway.deployments(service))
    if deployments is None:
        return PlatformFacts(platform="Railway", public_host=public_host, refusals=tuple(refusals))
    domains = await asked(railway.domains(service))
    instances = await asked(railway.instances(service))
    ran = next((row for row in deployments if row.get("status") in _RAN), None)
    errors: list[Json] | None = None
    if ran is not None and ran.get("status") == "CRASHED":
        errors = await asked(railway.deployment_logs(str(ran.get("id")), matching="@level:error", rows_max=20))
    listening_line = ""
    if ran is not None and listening_port is None:
        lines = await asked(
            railway.deployment_logs(
                str(ran.get("id")), matching='"listen" OR "running on" OR "callpath serves"', rows_max=50
            )
        )
        ports = {
            found[1]: found.string for line in lines or [] if (found := _LISTENING.search(str(line.get("message", ""))))
        }
        # A log of two ports (metrics, say) does not say which one takes calls.
        for port, text in ports.items() if len(ports) == 1 else ():
            listening_port, listening_line = int(port), text[:120]
    return PlatformFacts(
        platform="Railway",
        domains=None if domains is None else tuple(_domains(domains)),
        deployments=tuple((str(row.get("status", "")), str(row.get("createdAt", ""))) for row in deployments),
        replicas=_whole(instances.get("numReplicas")) if instances else None,
        volumes=None if not instances else tuple(str(path) for path in instances.get("volumes") or []),
        listening_port=listening_port,
        listening_line=listening_line,
        public_host=public_host,
        shared_log=shared_log,
        error_lines=tuple(str(row.get("message", ""))[:200] for row in errors or []),
        refusals=tuple(refusals),
    )


def _domains(found: Json) -> Iterator[PlatformDomain]:
    for row in found.get("serviceDomains") or []:
        yield PlatformDomain(str(row.get("domain", "")), _whole(row.get("targetPort")))
    for row in found.get("customDomains") or []:
        status = row.get("status") or {}
        state = str(status.get("certificateStatus") or "")
        yield PlatformDomain(
            str(row.get("domain", "")),
            _whole(row.get("targetPort")),
            custom=True,
            certificate=next((name for name in _CERTIFICATE if state.endswith(name)), ""),
            certificate_error=str(status.get("certificateErrorType") or ""),
            verified=status.get("verified") if isinstance(status.get("verified"), bool) else None,
            dns_records=tuple(
                (str(one.get("requiredValue") or ""), str(one.get("currentValue") or ""), str(one.get("status") or ""))
                for one in status.get("dnsRecords") or []
            ),
        )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


# --- answers ---------------------------------------------------------------------------------------------------------


def _found(answer: httpx2.Response, field: str) -> Any:
    try:
        document = msgspec.json.decode(answer.content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        document = None
    if not isinstance(document, dict):
        raise PlatformError(
            f"Railway answered {field} with {answer.status_code} and no JSON: {answer.text[:120]!r}",
            status=answer.status_code,
        )
    rows = document.get("errors")
    if rows:
        said = "; ".join(str(row.get("message", row)) if isinstance(row, dict) else str(row) for row in rows)
        hint = ""
        if "not authorized" in said.lower() or answer.status_code in (401, 403):
            hint = (
                ". The token is wrong, has been revoked, or belongs to another project or environment: a project's token "
                "goes in RAILWAY_TOKEN, an account's or workspace's in RAILWAY_API_TOKEN"
            )
        raise PlatformError(f"Railway refused {field}: {said}{hint}", status=answer.status_code)
    data = document.get("data")
    if not answer.is_success or not isinstance(data, dict) or data.get(field) is None:
        raise PlatformError(f"Railway answered {answer.status_code} without {field}", status=answer.status_code)
    return data[field]


def _retry_after_ms(answer: httpx2.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return float(text) * 1000 if text.isascii() and text.isdigit() and len(text) < 6 else 1000.0


def _given_up(answer: httpx2.Response, wait_ms: float) -> PlatformError:
    if answer.status_code == 429:
        return PlatformError(
            f"Railway's rate limit is used up; it asks to wait {wait_ms / 1000:.0f} s. Try again then", status=429
        )
    return PlatformError(f"Railway is in trouble: it answered {answer.status_code}", status=answer.status_code)


def _nodes(connection: Any) -> list[Json]:
    edges = connection.get("edges") if isinstance(connection, dict) else None
    return [edge["node"] for edge in edges or [] if isinstance(edge, dict) and isinstance(edge.get("node"), dict)]


def _time(row: Json) -> str:
    return _sortable(str(row.get("timestamp", "")))


def _sortable(text: str) -> str:
    """An ISO time in UTC, filled up to nanoseconds: so it sorts as text, whichever precision it came in."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}" if whole else ""


def _id_of(part: Any) -> str:
    return str(part.get("id", "")) if isinstance(part, dict) else ""
