"""A simulator for Railway's GraphQL API: what a doctor asks it, refused where the real one would refuse.

    async with RailwayStandIn() as railway:
        railway.logs.append(railway.log_row("listening on 8080"))
        Railway(token=railway.token, endpoint=railway.endpoint, clock=SystemClock())

Fields, arguments and names of states stand in tables, from Railway's published queries; a query that asks for anything
else gets GraphQL's own error. Rows can be changed at any time.
"""

from __future__ import annotations

import re
import socket
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from callpath.private_api import EmbeddedServer
from callpath.wire.document import Json

ROWS_MAX = 5000

_LEAF: Json = {}


def _words(text: str) -> list[str]:
    return text.split()


_LOG: Json = {
    "timestamp": _LEAF,
    "message": _LEAF,
    "severity": _LEAF,
    "attributes": {"key": _LEAF, "value": _LEAF},
    "tags": dict.fromkeys(
        ("projectId", "environmentId", "serviceId", "deploymentId", "deploymentInstanceId", "snapshotId", "pluginId"),
        _LEAF,
    ),
}
_HTTP_LOG: Json = dict.fromkeys(
    _words(
        "timestamp method path httpStatus totalDuration requestId host clientUa srcIp edgeRegion txBytes rxBytes "
        "upstreamRqDuration upstreamAddress upstreamProto downstreamProto upstreamErrors responseDetails "
        "deploymentId deploymentInstanceId"
    ),
    _LEAF,
)
_TURN: Json = dict.fromkeys(("hasNextPage", "hasPreviousPage", "startCursor", "endCursor"), _LEAF)
_DEPLOYMENT: Json = dict.fromkeys(("id", "status", "createdAt", "updatedAt", "url", "staticUrl", "meta"), _LEAF)
_DOMAIN: Json = dict.fromkeys(("id", "domain", "targetPort", "syncStatus"), _LEAF)
_DOMAIN_STATUS: Json = {
    "dnsRecords": dict.fromkeys(("requiredValue", "currentValue", "status", "hostlabel", "recordType"), _LEAF),
    **dict.fromkeys(("certificateStatus", "certificateErrorType", "verified", "cdnProvider"), _LEAF),
}
_NAMED: Json = {"id": _LEAF, "name": _LEAF}

_TYPES: dict[str, tuple[set[str], Json]] = {
    # field of Query: its arguments, what may be selected
    "deploymentLogs": ({"deploymentId", "limit", "filter", "startDate", "endDate"}, _LOG),
    "httpLogs": (
        {"deploymentId", "filter", "anchorDate", "beforeDate", "beforeLimit", "afterDate", "afterLimit", "limit"},
        _HTTP_LOG,
    ),
    "deployments": ({"input", "first", "after"}, {"edges": {"cursor": _LEAF, "node": _DEPLOYMENT}, "pageInfo": _TURN}),
    "domains": (
        {"projectId", "environmentId", "serviceId"},
        {"serviceDomains": _DOMAIN, "customDomains": _DOMAIN | {"status": _DOMAIN_STATUS}},
    ),
    "environment": (
        {"id", "projectId"},
        _NAMED
        | {
            "serviceInstances": {
                "edges": {"node": dict.fromkeys(("id", "serviceId", "serviceName", "numReplicas"), _LEAF)},
                "pageInfo": _TURN,
            },
            "volumeInstances": {
                "edges": {"node": dict.fromkeys(("serviceId", "mountPath", "sizeMB", "state"), _LEAF)},
                "pageInfo": _TURN,
            },
        },
    ),
    "projectToken": (set(), {"id": _LEAF, "project": _NAMED, "environment": _NAMED}),
}


class RailwayStandIn:
    """One project with one environment, one service, one deployment, all of whose answers can be set.

    Inside `async with` it listens on loopback at `endpoint`; `app` can also be asked without a socket.
    """

    project_id = "00000000-0000-4000-8000-0000000a0001"
    environment_id = "00000000-0000-4000-8000-0000000a0002"
    service_id = "00000000-0000-4000-8000-0000000a0003"
    deployment_id = "00000000-0000-4000-8000-0000000a0004"

    def __init__(self) -> None:
        self.token = "railway-project-token"
        self.api_token = "railway-account-token"
        self.deployments: list[Json] = [self.deployment_row("SUCCESS")]
        self.service_domains: list[Json] = []
        self.custom_domains: list[Json] = []
        self.logs: list[Json] = []
        self.http_logs: list[Json] = []
        self.replicas = 1
        self.volumes: list[str] = []
        self.refuse_next: list[tuple[int, dict[str, str]]] = []
        """Statuses and headers that the next requests get instead of an answer, as of a used-up rate limit."""
        self.asked: list[str] = []
        """Fields of Query, in the order in which they were asked for."""
        self.app = Starlette(routes=[Route("/graphql/v2", self._answer, methods=["POST"])])
        self.endpoint = "http://railway.invalid/graphql/v2"
        self._exits = AsyncExitStack()

    # --- rows ---

    def deployment_row(self, status: str, created_at: str = "2026-01-02T03:04:05.000Z", **more: Any) -> Json:
        return {
            "id": self.deployment_id,
            "status": status,
            "createdAt": created_at,
            "url": None,
            "staticUrl": "calls.up.railway.app",
            "meta": {},
        } | more

    def log_row(self, message: str, timestamp: str = "2026-01-02T03:04:05.000000000Z", **more: Any) -> Json:
        attributes = more.pop("attributes", {})
        return {
            "timestamp": timestamp,
            "message": message,
            "severity": "info",
            "attributes": [
                {"key": key, "value": msgspec.json.encode(value).decode()} for key, value in attributes.items()
            ],
            "tags": {"deploymentId": self.deployment_id, "deploymentInstanceId": None, "serviceId": self.service_id},
        } | more

    def http_row(self, timestamp: str = "2026-01-02T03:04:05.000000000Z", **more: Any) -> Json:
        return (
            dict.fromkeys(_HTTP_LOG, "")
            | {
                "timestamp": timestamp,
                "method": "GET",
                "path": "/",
                "httpStatus": 200,
                "totalDuration": 12,
                "upstreamRqDuration": 10,
                "txBytes": 0,
                "rxBytes": 0,
                "host": "calls.up.railway.app",
                "edgeRegion": "iad1",
                "deploymentId": self.deployment_id,
            }
            | more
        )

    # --- life ---

    async def __aenter__(self) -> Self:
        server = EmbeddedServer(
            uvicorn.Config(
                self.app, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1
            )
        )
        listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}/graphql/v2"
        await self._exits.enter_async_context(server.serving(listener))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.aclose()

    # --- answers ---

    async def _answer(self, request: Request) -> Response:
        if self.refuse_next:
            status, headers = self.refuse_next.pop(0)
            return Response(b"", status_code=status, headers=headers)
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        project_token = request.headers.get("project-access-token")
        if project_token != self.token and bearer != self.api_token:
            return _json({"errors": [{"message": "Not Authorized"}], "data": None})
        document = msgspec.json.decode(await request.body())
        try:
            data = {}
            for field, arguments, selection in parse_query(document["query"], document.get("variables") or {}):
                self.asked.append(field)
                if field == "projectToken" and project_token != self.token:
                    raise QueryError("Project Token not found")
                data[field] = _select(self._resolve(field, arguments), selection)
        except QueryError as error:
            return _json({"errors": [{"message": str(error)}], "data": None}, 400 if error.invalid else 200)
        return _json({"data": data})

    def _resolve(self, field: str, arguments: Json) -> Any:
        match field:
            case "deploymentLogs":
                self._known(arguments, "deploymentId", self.deployment_id)
                return self._log_page(self.logs, arguments.get("endDate"), arguments.get("startDate"), arguments)
            case "httpLogs":
                self._known(arguments, "deploymentId", self.deployment_id)
                return self._log_page(self.http_logs, arguments.get("anchorDate"), None, arguments)
            case "deployments":
                self._known(arguments["input"], "projectId", self.project_id)
                first = int(arguments.get("after") or 0)
                last = first + int(arguments.get("first") or 20)
                rows = self.deployments[first:last]
                more = last < len(self.deployments)
                return {
                    "edges": [{"node": row} for row in rows],
                    "pageInfo": {"hasNextPage": more, "endCursor": str(last) if more else None},
                }
            case "domains":
                for name in ("projectId", "environmentId", "serviceId"):
                    self._known(arguments, name, getattr(self, re.sub("Id$", "_id", name)))
                return {"serviceDomains": self.service_domains, "customDomains": self.custom_domains}
            case "environment":
                self._known(arguments, "id", self.environment_id)
                service = {"serviceId": self.service_id, "serviceName": "calls", "numReplicas": self.replicas}
                volumes = [{"serviceId": self.service_id, "mountPath": path} for path in self.volumes]
                return {
                    "serviceInstances": {"edges": [{"node": service}]},
                    "volumeInstances": {"edges": [{"node": volume} for volume in volumes]},
                }
            case _:
                return {
                    "project": {"id": self.project_id, "name": "calls"},
                    "environment": {"id": self.environment_id, "name": "production"},
                }

    def _log_page(self, rows: list[Json], end: str | None, start: str | None, arguments: Json) -> list[Json]:
        """The newest rows up to `end`, oldest first, as many as were asked for."""
        size = min(int(arguments.get("limit") or arguments.get("beforeLimit") or 500), ROWS_MAX)
        wanted = str(arguments.get("filter") or "")
        severity = re.search(r"@level:(\w+)", wanted)
        path = re.search(r"@path:(\S+)", wanted)
        words = re.findall(r'"([^"]+)"', wanted)
        found = [
            row
            for row in sorted(rows, key=lambda row: _time(row["timestamp"]))
            if (end is None or _time(row["timestamp"]) <= _time(end))
            and (start is None or _time(row["timestamp"]) >= _time(start))
            and (severity is None or row.get("severity") == severity[1])
            and (not words or any(word.lower() in str(row.get("message", "")).lower() for word in words))
            and (path is None or str(row.get("path", "")).startswith(path[1]))
        ]
        return found[-size:]

    @staticmethod
    def _known(arguments: Json, name: str, expected: str) -> None:
        if arguments.get(name) != expected:
            raise QueryError("Not Authorized")


# --- as much of GraphQL as it takes ----------------------------------------------------------------------------------


class QueryError(Exception):
    """What is answered in `errors`. `invalid`: the query itself breaks the schema."""

    def __init__(self, message: str, *, invalid: bool = False) -> None:
        super().__init__(message)
        self.invalid = invalid


_TOKEN = re.compile(r'[{}():]|\$?\w+|"[^"]*"')


def parse_query(text: str, variables: Json) -> list[tuple[str, Json, Json]]:
    """The fields of one query with their arguments and selections. Raises QueryError where the schema has no such."""
    head = re.match(r"\s*query\b[^({]*(\([^)]*\))?", text)
    if head is None:
        raise QueryError("only queries are simulated", invalid=True)
    declared = {name: kind.endswith("!") for name, kind in re.findall(r"\$(\w+)\s*:\s*([\w!\[\]]+)", head[1] or "")}
    for name, required in declared.items():
        if required and variables.get(name) is None:
            raise QueryError(f'Variable "${name}" of required type was not provided.', invalid=True)
    tokens = _TOKEN.findall(text[head.end() :])[::-1]
    found: list[tuple[str, Json, Json]] = []
    _expect(tokens, "{")
    while tokens and tokens[-1] != "}":
        field = tokens.pop()
        if field not in _TYPES:
            raise QueryError(f'Cannot query field "{field}" on type "Query".', invalid=True)
        names, kind = _TYPES[field]
        arguments = _arguments(tokens, declared, variables)
        for name in arguments:
            if name not in names:
                raise QueryError(f'Unknown argument "{name}" on field "Query.{field}".', invalid=True)
        found.append((field, arguments, _selection(tokens, field, kind)))
    return found


def _expect(tokens: list[str], token: str) -> None:
    if not tokens or tokens.pop() != token:
        raise QueryError(f"Syntax Error: Expected {token!r}.", invalid=True)


def _arguments(tokens: list[str], declared: dict[str, bool], variables: Json) -> Json:
    arguments: Json = {}
    if tokens and tokens[-1] == "(":
        tokens.pop()
        while tokens and tokens[-1] != ")":
            name = tokens.pop()
            _expect(tokens, ":")
            value = tokens.pop()
            if value.startswith("$"):
                if value[1:] not in declared:
                    raise QueryError(f'Variable "{value}" is not defined.', invalid=True)
                arguments[name] = variables.get(value[1:])
            else:
                arguments[name] = int(value) if value.isdigit() else value.strip('"')
        _expect(tokens, ")")
    return arguments


def _selection(tokens: list[str], where: str, kind: Json) -> Json:
    chosen: Json = {}
    _expect(tokens, "{")
    while tokens and tokens[-1] != "}":
        name = tokens.pop()
        if name not in kind:
            raise QueryError(f'Cannot query field "{name}" on type of "{where}".', invalid=True)
        _arguments(tokens, {}, {})
        chosen[name] = _selection(tokens, name, kind[name]) if kind[name] else _LEAF
    _expect(tokens, "}")
    return chosen


def _select(value: Any, selection: Json) -> Any:
    if isinstance(value, list):
        return [_select(one, selection) for one in value]
    if not selection or not isinstance(value, dict):
        return value
    return {name: _select(value.get(name), inner) for name, inner in selection.items()}


def _time(text: str) -> tuple[str, float]:
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return whole, float(f"0.{fraction}0")


def _json(document: Json, status: int = 200) -> Response:
    return Response(msgspec.json.encode(document), status_code=status, media_type="application/json")
