"""Access lines: one request as an edge, a proxy or the application's own server wrote it → one EdgeRow.

An edge or a proxy writes what came from outside (`record.edge`). The application's own server (uvicorn, Express with
morgan, Gin, Phoenix …) writes what reached it: `record.served` marks such a row, and the line is read as text, too.
Outgoing requests of the application are no rows: their URL is absolute, or a path of Telnyx's API.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from callpath.doctor.facts import EdgeRow
from callpath.doctor.logs.record import Record, number_of, text_of
from callpath.doctor.logs.times import Stamp, leading_time, read_time
from callpath.wire.document import decode_foreign

PATH_CHARS_MAX = 2000
_METHODS = "GET|POST|PUT|HEAD|OPTIONS|PATCH|DELETE|CONNECT|TRACE"
_COMBINED = re.compile(
    r"(?:(?P<host>[A-Za-z][\w.-]*(?::\d+)?) )?(?P<ip>[\da-fA-F.:]{3,45})(?::\d{1,5})?,? .{1,80}?\[(?P<at>[^\]\n]{17,40})\] "
    r'"(?P<method>[A-Z]+|WebSocket) (?P<target>[^\s"]+)[^"]*" (?P<status>\d{3}) (?P<size>\d+|-)'
    r'(?: "[^"]*" "(?P<agent>[^"]*)")?(?P<more>.*)'
)
_NGINX_ERROR = re.compile(
    r"\[(?:error|crit|alert|warn)\] \d+#\d+: \*\d+ (?P<error>[^,]*?(?:upstream|connect\(\))[^,]*), client: (?P<ip>[^,]*)"
    r'.*?request: "(?P<method>[A-Z]+) (?P<target>\S+)[^"]*"(?:, upstream: "(?P<upstream>[^"]*)")?'
    r'(?:.*?host: "(?P<host>[^"]*)")?'
)
_ROUTER = re.compile(r"\bat=(?:info|error|warning)\b.*\bmethod=[A-Z]+ path=")
_PAIR = re.compile(r'([\w.]+)=("(?:[^"\\]|\\.)*"|\S+)')
_HAPROXY = re.compile(
    r"(?P<ip>[\da-fA-F.:]+):\d+ \[(?P<at>[^\]]+)\] (?P<front>\S+) (?P<back>[^/\s]+)/(?P<server>\S+) "
    r"(?P<tr>-?\d+)/(?P<tw>-?\d+)/(?P<tc>-?\d+)/(?P<response>-?\d+)/(?P<total>\+?\d+) (?P<status>-?\d+) \+?\d+ \S+ \S+ "
    r'(?P<flags>\S{4}) \S+ \S+ (?:\{[^}]*\} ?)*"(?P<method>\S+) (?P<target>\S+)[^"]*"'
)
_ALB = re.compile(
    r"(?P<type>https?|h2|grpcs|wss?) (?P<at>\d{4}-\d\d-\d\dT[\d:.]+Z) (?P<lb>\S+) (?P<ip>\S+?):\d+ (?P<target>\S+) "
    r"(?P<times>-?[\d.]+ -?[\d.]+ -?[\d.]+) (?P<status>\d{3}|-) (?P<upstream>\d{3}|-) \d+ \d+ "
    r'"(?P<method>\S+) (?P<url>\S+)[^"]*" "(?P<agent>[^"]*)"(?P<more>.*)'
)
_ENVOY = re.compile(
    r'(?:\[(?P<at>[^\]]+)\] )?"(?P<method>[A-Z]+) (?P<target>\S+) HTTP/[\d.]+" (?P<status>\d+) (?P<flags>[A-Z,]+|-) '
    r"(?P<more>.*)"
)
_SERVED: tuple[re.Pattern[str], ...] = (
    # uvicorn
    re.compile(
        r"\(?'?(?P<ip>[\da-fA-F.:]+?)'?(?::|, )\d+\)? - \"(?P<method>[A-Z]+|WebSocket) (?P<target>[^\s\"]+)[^\"]*\" "
        r"\[?(?P<status>\d{3}|accepted)"
    ),
    # Gin
    re.compile(
        r"\[GIN\] [^|]*\| *(?P<status>\d{3}) \|[^|]*\| *(?P<ip>[\da-fA-F.:]+) \| *(?P<method>[A-Z]+) "
        r"+\"(?P<target>[^\"\s]+)"
    ),
    # PHP's own server
    re.compile(r"(?P<ip>[\da-fA-F.:]+):\d+ \[(?P<status>\d{3})\]: (?P<method>[A-Z]+) (?P<target>/\S*)"),
    # werkzeug, Django: a date with a blank; chi
    re.compile(
        r"(?:(?P<ip>[\da-fA-F.:]+) - - )?\[\d\d/[A-Z][a-z]{2}/\d{4} \d\d:\d\d:\d\d\] "
        r"\"(?P<method>[A-Z]+) (?P<target>[^\s\"]+)[^\"]*\" (?P<status>\d{3})"
    ),
    # morgan, Next.js, Hono, Daphne, and whatever prints method, path and status in this order
    re.compile(
        rf"(?:^|[\s\"'\[|>])(?P<method>{_METHODS})[\s\"'|]+(?P<target>/[^\s\"'|]*)(?: HTTP/[\d.]+)?[\"']?"
        r"(?:[\s:|>,=-]|status|code|→|returned|responded|with|done|completed|from "
        r"[\da-fA-F.:]+){1,12}(?P<status>[1-5]\d\d)\b"
        r"(?![\d.]|-\d)"
    ),
)
_API_PATH = re.compile(r"/v2/|/actions/|/calls/v[23](?::|%3A)", re.IGNORECASE)
"""Paths of Telnyx's API: a request that the application sent."""

GATEWAY = {502: "bad gateway", 504: "gateway timed out"}
"""Statuses that a proxy gives by itself."""


def of_text(text: str, record: Record) -> bool:
    """Set `record.edge` if this line of text is an access line. True: nothing else stands in it."""
    if '"' in text or "HTTP/" in text:
        for reads in (_combined, _alb, _haproxy, _envoy, _nginx_error):
            if reads(text, record):
                return True
    if "at=" in text and _ROUTER.search(text) is not None:
        _router(text, record)
        return True
    if "/" in text and any(method in text for method in ("POST ", "GET ", 'POST"', "WebSocket ", "POST|")):
        _served(text[:1000], record)
    if text[4:5] == "-" and "\t" in text:
        return _cloudfront(text, record)
    return False


def _served(text: str, record: Record) -> None:
    """A line of the application's own server: the row is kept beside the text."""
    for expression in _SERVED:
        found = expression.search(text)
        if found is None:
            continue
        groups = found.groupdict()
        target, status = groups["target"], groups["status"]
        if not target.startswith("/") or _API_PATH.search(target) is not None:
            return
        upgrade = groups["method"] == "WebSocket"
        record.served = True
        record.edge = EdgeRow(
            at_unix_ms=0,
            method="GET" if upgrade else groups["method"],
            path=target[:PATH_CHARS_MAX],
            status=101 if status == "accepted" else int(status),
            source_ip=groups.get("ip") or "",
            upgrade=upgrade or status in {"101", "426"},
        )
        return


def _row(record: Record, platform: str, name: str, stamp: Stamp | None, **fields: Any) -> bool:
    """Set the row. Without a time, it is one of the application's own server, whose lines around it have one."""
    status = int(fields.pop("status", 0) or 0)
    method = str(fields.pop("method", "")).upper()
    upgrade = bool(fields.pop("upgrade", False)) or status in {101, 426} or method == "WEBSOCKET"
    record.format, record.edge_platform = name, platform
    if stamp is None:
        record.skipped = "a row without a time"
        return True
    record.platform, record.own = stamp, None
    record.edge = EdgeRow(
        at_unix_ms=stamp.unix_ms,
        method="GET" if method == "WEBSOCKET" else method,
        path=str(fields.pop("path", ""))[:PATH_CHARS_MAX],
        status=status,
        upgrade=upgrade,
        **fields,
    )
    return True


def _combined(text: str, record: Record) -> bool:
    """nginx, Apache, Traefik, gunicorn, hypercorn, ingress-nginx; with a virtual host before or behind."""
    found = _COMBINED.match(text)
    if found is None:
        return False
    timed = leading_time(found["at"])
    stamp = timed[0] if timed is not None else record.own or record.platform
    status = int(found["status"])
    host = (found["host"] or "").partition(":")[0]
    more = found["more"]
    durations = re.findall(r"(?<![\d.])(\d+(?:\.\d+)?)ms\b", more)
    upstream = re.search(r"(?:https?://)?(\d{1,3}(?:\.\d{1,3}){3}:\d+)", more)
    return _row(
        record, "proxy", "access log", stamp,
        method=found["method"], path=found["target"], status=status, host=host if "." in host else "",
        duration_ms=float(durations[-1]) if durations else None, upstream_address=upstream[1] if upstream else "",
        upstream_errors=(GATEWAY[status],) if status in GATEWAY else (),
        source_ip=found["ip"], user_agent=found["agent"] or "",
    )  # fmt: skip


def _alb(text: str, record: Record) -> bool:
    found = _ALB.match(text)
    if found is None:
        return False
    url = _url(found["url"])
    times = [float(part) for part in found["times"].split()]
    status = int(found["status"]) if found["status"].isdigit() else 0
    from_target = found["upstream"]
    errors: tuple[str, ...] = ()
    if status in {502, 503, 504} and from_target == "-":
        errors = ({502: "bad gateway", 503: "no healthy target", 504: "gateway timed out"}[status],)
    return _row(
        record, "ALB", "ALB access log", read_time(found["at"]),
        method=found["method"], path=url[1], status=status, host=url[0],
        duration_ms=sum(part for part in times if part > 0) * 1000, upstream_address=found["target"].strip("-"),
        upstream_errors=errors, source_ip=found["ip"], user_agent=found["agent"],
        upgrade=found["type"] in {"ws", "wss"},
    )  # fmt: skip


def _haproxy(text: str, record: Record) -> bool:
    found = _HAPROXY.search(text)
    if found is None:
        return False
    timed = leading_time(found["at"])
    status = int(found["status"])
    flags = found["flags"]
    errors: tuple[str, ...] = ()
    if found["server"] == "<NOSRV>" or (flags[0] in "SC" and flags[1] == "C" and status in {502, 503}):
        errors = ("no server took the connection",)
    elif flags[:2] == "sH":
        errors = ("gateway timed out",)
    elif flags[:2] == "SH":
        errors = ("the server closed without an answer",)
    return _row(
        record, "HAProxy", "HAProxy", timed[0] if timed is not None else None,
        method=found["method"], path=found["target"], status=max(status, 0),
        duration_ms=float(found["total"].lstrip("+")), upstream_address=f"{found['back']}/{found['server']}",
        upstream_errors=errors, response_details=f"termination {flags}" if flags != "----" else "",
        source_ip=found["ip"],
    )  # fmt: skip


_ENVOY_FLAGS = {
    "UF": "connection to the upstream failed", "UH": "no healthy upstream", "NR": "no route", "UT": "gateway timed out",
    "UC": "the upstream closed the connection", "URX": "connection refused", "DC": "", "LR": "local reset",
}  # fmt: skip


def _envoy(text: str, record: Record) -> bool:
    found = _ENVOY.match(text)
    if found is None or (found["at"] is None and record.own is None and record.platform is None):
        return False
    stamp = read_time(found["at"]) if found["at"] else record.own or record.platform
    quoted = re.findall(r'"([^"]*)"', found["more"])
    flags = [flag for flag in found["flags"].split(",") if flag != "-"]
    said = tuple(word for flag in flags if (word := _ENVOY_FLAGS.get(flag, flag)))
    return _row(
        record, "Envoy", "Envoy access log", stamp,
        method=found["method"], path=found["target"], status=found["status"],
        host=next((part for part in quoted if "." in part and ":" not in part and "/" not in part), ""),
        user_agent=next((part for part in quoted if "/" in part or "telnyx" in part.lower()), ""),
        upstream_errors=said, response_details=",".join(flags),
    )  # fmt: skip


def _nginx_error(text: str, record: Record) -> bool:
    found = _NGINX_ERROR.search(text[:3000])
    if found is None or "#" not in text[:60]:
        return False
    word = found["error"].lower()
    return _row(
        record, "nginx", "nginx error log", record.own or record.platform,
        method=found["method"], path=found["target"], status=504 if "timed out" in word else 502,
        host=found["host"] or "",
        upstream_address=(found["upstream"] or "").partition("//")[2].partition("/")[0],
        upstream_errors=(found["error"].strip()[:200],), source_ip=found["ip"],
    )  # fmt: skip


def _router(text: str, record: Record) -> bool:
    """Heroku's router: the row of an upgrade is written when it ends, and `service` is its whole life."""
    pairs = {key: value.strip('"') for key, value in _PAIR.findall(text)}
    code = pairs.get("code", "")
    status = pairs.get("status", "")
    return _row(
        record, "Heroku", "Heroku router", record.platform or record.own,
        method=pairs.get("method", ""), path=pairs.get("path", ""), status=int(status) if status.isdigit() else 0,
        host=pairs.get("host", ""), duration_ms=number_of(pairs.get("service")), upstream_address=pairs.get("dyno", ""),
        upstream_errors=(f"{code} {pairs.get('desc', '')}".strip(),) if code else (),
        request_id=pairs.get("request_id", ""), source_ip=pairs.get("fwd", ""),
    )  # fmt: skip


def _cloudfront(text: str, record: Record) -> bool:
    """CloudFront's standard log: tab-separated, in UTC."""
    cells = text.split("\t")
    if len(cells) < 13 or not cells[8].isdigit() or cells[5] not in _METHODS:
        return False
    return _row(
        record, "CloudFront", "CloudFront", read_time(f"{cells[0]}T{cells[1]}Z"),
        method=cells[5], path=cells[7] + (f"?{cells[11]}" if cells[11] not in {"-", ""} else ""), status=cells[8],
        host=cells[15] if len(cells) > 15 else cells[6], source_ip=cells[4],
        user_agent=cells[10].replace("%20", " "), response_details=cells[13] if len(cells) > 13 else "",
        duration_ms=(number_of(cells[18]) or 0) * 1000 if len(cells) > 18 else None,
        upgrade=len(cells) > 16 and cells[16] in {"ws", "wss"},
    )  # fmt: skip


# --- JSON ------------------------------------------------------------------------------------------------------------


def of_document(document: dict[str, Any], record: Record) -> bool:
    """Set `record.edge` if this document is a request. True: nothing else stands in it."""
    for needs, reads in _DOCUMENTS:
        if needs in document and reads(document, record):
            return not record.served
    return False


def _railway(document: dict[str, Any], record: Record) -> bool:
    if "path" not in document or "method" not in document:
        return False
    status = number_of(document.get("httpStatus"))
    return _row(
        record, "Railway", "Railway HTTP", read_time(document.get("timestamp")),
        method=text_of(document, "method"), path=text_of(document, "path"), status=int(status or 0),
        host=text_of(document, "host"), duration_ms=number_of(document.get("totalDuration")),
        upstream_ms=number_of(document.get("upstreamRqDuration")), upstream_address=text_of(document, "upstreamAddress"),
        upstream_errors=upstream_errors(document.get("upstreamErrors")),
        response_details=text_of(document, "responseDetails"), request_id=text_of(document, "requestId"),
        source_ip=text_of(document, "srcIp"), user_agent=text_of(document, "clientUa"),
        region=text_of(document, "edgeRegion"),
        deployment_id=text_of(document, "deploymentId", "deploymentInstanceId"),
    )  # fmt: skip


def upstream_errors(value: Any) -> tuple[str, ...]:
    """The edge's words about reaching the application, of any of the shapes that were seen: "", "0", 0, an array in a
    text, plain text, a real list."""
    if isinstance(value, str):
        text = value.strip()
        if text in {"", "0", "[]", "null", "-"}:
            return ()
        if text[0] in "[{":
            try:
                return upstream_errors(decode_foreign(text))
            except (ValueError, RecursionError):
                return (text[:200],)
        return (text[:200],)
    if isinstance(value, dict):
        word = value.get("error") or value.get("message") or value.get("reason")
        return (str(word)[:200],) if word else ()
    if isinstance(value, list):
        found: list[str] = []
        for item in value[:50]:
            found += [word for word in upstream_errors(item) if word not in found]
        return tuple(found)
    if isinstance(value, int | float) and not isinstance(value, bool) and value:
        return (f"{value:g} upstream errors",)
    return ()


def _caddy(document: dict[str, Any], record: Record) -> bool:
    request = document["request"]
    if isinstance(request, str):
        return _nginx_json(document, record)
    if not isinstance(request, dict) or "uri" not in request or not isinstance(document.get("status"), int):
        return False
    duration = number_of(document.get("duration"))
    word = str(document.get("err_trace") or document.get("error") or "")
    return _row(
        record, "Caddy", "Caddy access log", read_time(document.get("ts")),
        method=text_of(request, "method"), path=text_of(request, "uri"), status=document["status"],
        host=text_of(request, "host"), duration_ms=duration * 1000 if duration is not None else None,
        upstream_errors=(word,) if word else (), source_ip=text_of(request, "remote_ip", "client_ip"),
        user_agent=_header(request.get("headers"), "User-Agent"),
        upgrade=_header(request.get("headers"), "Upgrade").lower() == "websocket",
    )  # fmt: skip


def _header(headers: Any, name: str) -> str:
    if not isinstance(headers, dict):
        return ""
    value = next((item for key, item in headers.items() if str(key).lower() == name.lower()), "")
    return str(value[0] if isinstance(value, list) and value else value)


_NGINX_SIGNS = {"remote_addr", "http_user_agent", "body_bytes_sent", "request_time", "upstream_addr", "time_local",
                "time_iso8601", "upstream_status", "remote_ip", "remoteIP"}  # fmt: skip


def _nginx_json(document: dict[str, Any], record: Record) -> bool:
    if not _NGINX_SIGNS & document.keys():
        return False
    status = number_of(document.get("status"))
    request = document.get("request")
    method, path = text_of(document, "request_method", "method"), text_of(document, "request_uri", "uri", "path", "url")
    if isinstance(request, str) and request.count(" "):
        method, path = request.split(" ")[:2]
    if not method or not path or status is None:
        return False
    seconds = number_of(document.get("request_time"))
    upstream = text_of(document, "upstream_status")
    stamp = next(
        (one for key in ("time_iso8601", "time_local", "time", "timestamp", "@timestamp", "ts", "msec", "date")
         if (one := read_time(document.get(key))) is not None), record.own or record.platform,
    )  # fmt: skip
    return _row(
        record, "nginx", "nginx JSON", stamp,
        method=method, path=path, status=status, host=text_of(document, "host", "http_host", "server_name"),
        duration_ms=seconds * 1000 if seconds is not None else None,
        upstream_address=text_of(document, "upstream_addr"),
        upstream_errors=(GATEWAY[int(status)],) if status in GATEWAY and upstream in {"", "-", "502", "504"} else (),
        source_ip=text_of(document, "remote_addr", "remote_ip", "realip_remote_addr"),
        user_agent=text_of(document, "http_user_agent", "user_agent", "agent"),
        upgrade=text_of(document, "http_upgrade", "upgrade").lower() == "websocket",
    )  # fmt: skip


def _traefik(document: dict[str, Any], record: Record) -> bool:
    if "RequestPath" not in document:
        return False
    nanoseconds = number_of(document.get("Duration"))
    status = number_of(document.get("DownstreamStatus"))
    return _row(
        record, "Traefik", "Traefik JSON", read_time(document.get("StartUTC") or document.get("time")),
        method=text_of(document, "RequestMethod"), path=text_of(document, "RequestPath"), status=status,
        host=text_of(document, "RequestHost", "RequestAddr"),
        duration_ms=nanoseconds / 1e6 if nanoseconds is not None else None,
        upstream_address=text_of(document, "ServiceAddr"),
        upstream_errors=(GATEWAY[int(status)],) if status in GATEWAY else (),
        source_ip=text_of(document, "ClientHost", "ClientAddr"), user_agent=text_of(document, "request_User-Agent"),
    )  # fmt: skip


def _google(document: dict[str, Any], record: Record) -> bool:
    request = document["httpRequest"]
    if not isinstance(request, dict) or "requestUrl" not in request:
        return False
    host, path = _url(text_of(request, "requestUrl"))
    status = number_of(request.get("status"))
    seconds = number_of(request.get("latency"))
    details = document.get("jsonPayload")
    said = text_of(details, "statusDetails") if isinstance(details, dict) else text_of(document, "textPayload")
    failed = status in {502, 503, 504} and said not in {"", "response_sent_by_backend"}
    stamp = record.platform or read_time(document.get("timestamp"))
    return _row(
        record, "Google Cloud", "Google Cloud request", stamp,
        method=text_of(request, "requestMethod"), path=path, status=status, host=host,
        duration_ms=seconds * 1000 if seconds is not None else None,
        upstream_errors=(said[:200],) if failed else (), response_details=said[:200],
        source_ip=text_of(request, "remoteIp"), user_agent=text_of(request, "userAgent"),
        upgrade=text_of(request, "protocol").lower().startswith("websocket") or host.startswith("ws"),
    )  # fmt: skip


def _vercel(document: dict[str, Any], record: Record) -> bool:
    request = document["proxy"]
    if not isinstance(request, dict) or "statusCode" not in request:
        return False
    agent = request.get("userAgent")
    return _row(
        record, "Vercel", "Vercel", read_time(document.get("timestampInMs") or document.get("timestamp")),
        method=text_of(request, "method"), path=text_of(request, "path"), status=number_of(request["statusCode"]),
        host=text_of(request, "host"), source_ip=text_of(request, "clientIp"),
        user_agent=str(agent[0] if isinstance(agent, list) and agent else agent or ""),
    )  # fmt: skip


def _cloudflare(document: dict[str, Any], record: Record) -> bool:
    return _row(
        record, "Cloudflare", "Cloudflare", read_time(document.get("EdgeStartTimestamp") or document.get("Datetime")),
        method=text_of(document, "ClientRequestMethod"), path=text_of(document, "ClientRequestURI", "ClientRequestPath"),
        status=number_of(document["EdgeResponseStatus"]), host=text_of(document, "ClientRequestHost"),
        source_ip=text_of(document, "ClientIP"), user_agent=text_of(document, "ClientRequestUserAgent"),
        response_details=text_of(document, "SecurityAction", "WAFAction"),
    )  # fmt: skip


def _envoy_json(document: dict[str, Any], record: Record) -> bool:
    if "path" not in document or "method" not in document:
        return False
    flags = text_of(document, "response_flags").strip("-")
    return _row(
        record, "Envoy", "Envoy JSON", read_time(document.get("start_time")) or record.own or record.platform,
        method=text_of(document, "method"), path=text_of(document, "path"), status=number_of(document["response_code"]),
        host=text_of(document, "authority"), duration_ms=number_of(document.get("duration")),
        upstream_errors=tuple(word for flag in flags.split(",") if flag and (word := _ENVOY_FLAGS.get(flag, flag))),
        response_details=text_of(document, "response_code_details"), user_agent=text_of(document, "user_agent"),
        upstream_address=text_of(document, "upstream_host"),
    )  # fmt: skip


def _pino_http(document: dict[str, Any], record: Record) -> bool:
    """Fastify, pino-http: request and answer as objects of the application's own line."""
    request, answer = document["req"], document.get("res")
    if not isinstance(request, dict) or not isinstance(answer, dict):
        return False
    return _served_row(
        record, text_of(request, "method"), text_of(request, "url", "path"), number_of(answer.get("statusCode")),
        text_of(request, "remoteAddress", "ip"), _header(request.get("headers"), "User-Agent"),
    )  # fmt: skip


def _served_json(document: dict[str, Any], record: Record) -> bool:
    """Access lines that web frameworks write by the application's logger: method, path and status as fields."""
    status = number_of(
        next((document[key] for key in ("status", "status_code", "statusCode") if key in document), None)
    )
    path = text_of(document, "path", "uri", "url", "request_path", "route")
    if status is None or not path.startswith("/"):
        return False
    return _served_row(
        record, text_of(document, "method", "http_method", "request_method"), path, status,
        text_of(document, "remote_ip", "ip", "client_ip", "remote_addr", "client"),
        text_of(document, "user_agent", "userAgent", "ua"),
    )  # fmt: skip


def _served_row(record: Record, method: str, path: str, status: float | None, ip: str, agent: str) -> bool:
    if status is None or not path.startswith("/") or _API_PATH.search(path) is not None or not 100 <= status < 600:
        return False
    record.served = True
    record.edge = EdgeRow(
        at_unix_ms=0, method=method.upper(), path=path[:PATH_CHARS_MAX], status=int(status), source_ip=ip,
        user_agent=agent, upgrade=status in {101, 426},
    )  # fmt: skip
    return True


def _url(text: str) -> tuple[str, str]:
    """Host and path with query."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return "", text
    return parts.hostname or "", parts.path + (f"?{parts.query}" if parts.query else "")


_DOCUMENTS: tuple[tuple[str, Callable[[dict[str, Any], Record], bool]], ...] = (
    ("httpStatus", _railway), ("request", _caddy), ("request_uri", _nginx_json), ("request_method", _nginx_json),
    ("DownstreamStatus", _traefik), ("httpRequest", _google), ("proxy", _vercel), ("EdgeResponseStatus", _cloudflare),
    ("response_code", _envoy_json), ("req", _pino_http), ("method", _served_json), ("http_method", _served_json),
)  # fmt: skip
"""The key that each kind of document has, and its reader."""
