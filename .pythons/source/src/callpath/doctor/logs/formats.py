"""A line of any known make → one record: what was said, when, by whom, in which format. Each line is looked at by itself.

Wrappers are taken off one by one (docker, compose, Heroku, Fly, syslog, a platform's JSON around an application's JSON),
so that what is left is what the application said. Formats that say nothing about a call (network flows, DNS queries) are
counted and skipped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from callpath.doctor.facts import EdgeRow
from callpath.doctor.logs.lines import Line
from callpath.doctor.logs.times import Stamp, leading_time, read_time

ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u2028\u2029]")
TEXT_CHARS_MAX = 8192
"""Of one record's text so much is looked at: the rest is a dump of audio or of a page."""


@dataclass(slots=True, kw_only=True)
class Record:
    """One line, unwrapped. `platform` is the outer time stamp, `own` one that the application wrote itself.

    `edge` is set for a request that an edge or a proxy logged; `ours` for a line of callpath's own JSON log. `skipped`
    names what the line is where it can say nothing about a call.
    """

    file: str
    number: int
    text: str = ""
    format: str = "text"
    own: Stamp | None = None
    platform: Stamp | None = None
    source: str = ""
    level: str = ""
    deployment: str = ""
    edge: EdgeRow | None = None
    edge_platform: str = ""
    ours: dict[str, Any] | None = None
    skipped: str = ""


def read_record(line: Line) -> Iterator[Record]:
    """The records in one line: mostly one; several where a whole answer of an API stands on it."""
    if line.document is not None:
        yield from _of_document(line.document, Record(file=line.file, number=line.number), 0)
        return
    record = Record(file=line.file, number=line.number)
    text = line.text
    if "\x1b" in text:
        text = ANSI.sub("", text)
    yield from _of_text(text, record, 0)


# --- text ------------------------------------------------------------------------------------------------------------

_COMPOSE = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]{0,60}?)\s{1,30}\| ?(?P<rest>.*)", re.DOTALL)
_HEROKU = re.compile(r"(?:\S{1,40} )?(?P<who>app|heroku)\[(?P<dyno>[\w.-]+)\]:? ?(?P<rest>.*)", re.DOTALL)
_FLY = re.compile(
    r"(?P<who>app|proxy|runner|health)\[(?P<id>[\w-]+)\] (?P<region>[a-z]{3}) \[(?P<level>\w+)\] ?(?P<rest>.*)",
    re.DOTALL,
)
_SYSLOG = re.compile(r"(?P<host>[\w.-]+) (?P<name>[\w./@-]+)(?:\[\d+\])?: (?P<rest>.*)", re.DOTALL)
_ACCESS = re.compile(
    r'(?P<ip>[\da-fA-F.:]+) \S+ \S+ \[(?P<at>[^\]]+)\] "(?P<method>[A-Z]+) (?P<target>\S+)[^"]*" (?P<status>\d{3}) '
    r'(?P<size>\d+|-)(?: "[^"]*" "(?P<agent>[^"]*)")?(?P<more>.*)'
)
_NGINX_ERROR = re.compile(
    r"\[(?:error|crit|alert|warn)\] \d+#\d+: \*\d+ (?P<error>[^,]*?(?:upstream|connect\(\))[^,]*), client: (?P<ip>[^,]*)"
    r'.*?request: "(?P<method>[A-Z]+) (?P<target>\S+)[^"]*"(?:, upstream: "(?P<upstream>[^"]*)")?'
    r'(?:.*?host: "(?P<host>[^"]*)")?'
)
_ROUTER = re.compile(r"\bat=(?:info|error|warning)\b.*\bmethod=[A-Z]+ path=")
_PAIR = re.compile(r'([\w.]+)=("(?:[^"\\]|\\.)*"|\S+)')
_LEVELS = {"TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR", "FATAL", "CRITICAL", "SUCCESS"}
_LEVEL = re.compile(
    r"^[\[(<]?(?P<level>TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL)[\])>]?\s*[:|-]?\s+(?=\S)", re.I
)


def _of_text(text: str, record: Record, depth: int) -> Iterator[Record]:
    """Take one wrapper off and go on with what is in it."""
    head = text.lstrip(" \t")
    if head.startswith("{") and head.rstrip().endswith("}"):
        document = _parsed(head)
        if document is not None:
            yield from _of_document(document, record, depth)
            return
    if depth < 6:
        nginx = _nginx(text, record)
        if nginx is not None:
            yield nginx
            return
        timed = leading_time(text)
        if timed is not None:
            stamp, rest = timed
            if record.own is not None and record.platform is None:
                record.platform = record.own
            record.own = stamp
            if record.format == "text":
                record.format = "text with time"
            if (
                record.platform is None
                and stamp.zoned
                and text[:4].isdigit()
                and "." in text[19:30]
                and text[10] == "T"
            ):
                # `docker logs -t` has nanoseconds; an application hardly ever.
                digits = re.match(r"\.(\d+)", text[19:30])
                if digits and len(digits[1]) == 9:
                    record.platform, record.own, record.format = stamp, None, "docker -t"
            yield from _of_text(rest, record, depth + 1)
            return
        unwrapped = _unwrapped(text, record)
        if unwrapped is not None:
            yield from _of_text(unwrapped, record, depth + 1)
            return
    if "at=" in text and _ROUTER.search(text):
        yield _router(text, record)
        return
    if CONTROL.search(text):
        text = CONTROL.sub(" ", text)
    record.text = text[:TEXT_CHARS_MAX]
    yield record


def _unwrapped(text: str, record: Record) -> str | None:
    fly = _FLY.match(text)
    if fly is not None:
        record.format, record.source, record.level = "Fly", fly["id"], fly["level"].lower()
        _own_is_the_platforms(record)
        return fly["rest"]
    heroku = _HEROKU.match(text)
    if heroku is not None:
        record.format, record.source = "Heroku", heroku["dyno"]
        _own_is_the_platforms(record)
        return heroku["rest"]
    if "|" in text[:64]:
        compose = _COMPOSE.match(text)
        if compose is not None and record.format in {"text", "docker -t"} and compose["name"].upper() not in _LEVELS:
            record.format, record.source = "docker compose", compose["name"]
            return compose["rest"]
    if record.own is not None and not record.own.dated and record.format == "text with time":
        syslog = _SYSLOG.match(text)
        if syslog is not None:
            record.format, record.source = "syslog", syslog["name"]
            _own_is_the_platforms(record)
            return syslog["rest"]
    level = _LEVEL.match(text)
    if level is not None and not record.level:
        record.level = level["level"].lower()
    return None


def _own_is_the_platforms(record: Record) -> None:
    if record.own is not None:
        record.platform, record.own = record.own, None


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


# --- JSON ------------------------------------------------------------------------------------------------------------

_MESSAGE_KEYS = ("message", "msg", "event", "log", "text", "textPayload", "body")
_TIME_KEYS = ("time", "ts", "@timestamp", "asctime", "datetime", "timestamp", "t", "date")
_NOISE = {
    "pid", "hostname", "level", "severity", "levelname", "logger", "name", "filename", "lineno", "v", "stream", "tags",
    "timestamp", "time", "ts", "@timestamp", "asctime", "datetime", "service", "env", "environment", "version",
    "request_id",
    "requestId", "trace_id", "span_id", "deploymentId", "deploymentInstanceId", "projectId", "serviceId", "environmentId",
    "thread", "process", "module", "funcName", "pathname", "replica", "deployment", "project", "snapshotId", "pluginId",
    "connection_id", "record_type", "command_id", "user_id", "client_state",
}  # fmt: skip
"""Keys that never say what happened; several hold ids which look like a call's."""

_PINO = {10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal"}


def _of_document(document: dict[str, Any], record: Record, depth: int) -> Iterator[Record]:
    if "httpStatus" in document and "path" in document and "method" in document:
        yield _railway_row(document, record)
        return
    if "flowId" in document or ("captureStart" in document and "srcAddr" in document):
        record.format, record.skipped = "Railway network flows", "network"
        yield record
        return
    if "qname" in document and ("qtype" in document or "rcode" in document):
        record.format, record.skipped = "Railway DNS queries", "dns"
        yield record
        return
    request = document.get("request")
    if isinstance(request, dict) and "uri" in request and isinstance(document.get("status"), int):
        yield _caddy_row(document, request, record)
        return
    rows = None if any(key in document for key in _MESSAGE_KEYS) else _inner_rows(document, 3)
    if rows is not None and depth < 4:
        for number, row in enumerate(rows, 1):
            yield from _of_document(row, Record(file=record.file, number=number), depth + 1)
        return
    if depth >= 6:
        record.text = str(document)[:TEXT_CHARS_MAX]
        yield record
        return
    yield from _of_entry(document, record, depth)


def _inner_rows(document: dict[str, Any], depth: int) -> list[dict[str, Any]] | None:
    """The list of log rows within an answer of an API."""
    for value in document.values():
        if isinstance(value, list) and value and isinstance(value[0], dict) and "timestamp" in value[0]:
            return [row for row in value if isinstance(row, dict)]
        if isinstance(value, dict) and depth:
            rows = _inner_rows(value, depth - 1)
            if rows is not None:
                return rows
    return None


def _of_entry(document: dict[str, Any], record: Record, depth: int) -> Iterator[Record]:
    """One entry of a structured log, the platform's or the application's."""
    attributes = document.get("attributes")
    if isinstance(attributes, list):  # GraphQL: [{key, value}]
        attributes = {
            str(item.get("key")): _unquoted(item.get("value")) for item in attributes if isinstance(item, dict)
        }
    tags = document.get("tags")
    export = False
    if isinstance(attributes, dict) and "message" in document:
        export = True
        document = {**attributes, **{k: v for k, v in document.items() if k not in {"attributes", "tags"}}}
        record.format = "Railway export"
        if isinstance(tags, dict):
            record.source = str(tags.get("replica") or tags.get("deploymentInstanceId") or "")
            record.deployment = str(tags.get("deployment") or tags.get("deploymentId") or "")
    key = next((key for key in _MESSAGE_KEYS if isinstance(document.get(key), str)), None)
    message = str(document[key]) if key is not None else ""
    times = [
        (name, stamp) for name in _TIME_KEYS if name in document and (stamp := read_time(document[name])) is not None
    ]
    ours = "event_name" in document and (key == "message") and "level" in document
    docker_file = key == "log" and "stream" in document
    if not export and record.format in {"text", "text with time"}:
        record.format = "JSON lines" if not docker_file else "docker json-file"
        if key == "message" and isinstance(document.get("timestamp"), str) and not ours:
            record.format = "Railway NDJSON or alike"
    if times:
        name, stamp = times[0]
        stamp_key = next((s for n, s in times if n == "timestamp"), None)
        if export or docker_file:
            record.platform = stamp_key or stamp
            if len(times) > 1 and name != "timestamp":
                record.own = stamp
        elif record.own is not None or record.platform is not None:
            record.platform, record.own = record.platform or record.own, stamp
        elif len(times) > 1 and stamp_key is not None and name != "timestamp":
            record.platform, record.own = (
                stamp_key,
                stamp,
            )  # `timestamp` is the platform's, merged over the application's
        elif ours:
            record.own = stamp
        else:
            record.platform = stamp
    level = document.get("level", document.get("severity", document.get("levelname")))
    record.level = _PINO.get(level, "") if isinstance(level, int) else str(level or record.level).lower()
    if ours:
        record.ours = document
        record.format = record.format if record.format != "JSON lines" else "callpath JSON"
        if record.format == "JSON lines" or depth == 0:
            record.format = "callpath JSON"
    rest = {name: value for name, value in document.items() if name != key and name not in _NOISE}
    suffix = _flat(rest)
    message = ANSI.sub("", message) if "\x1b" in message else message
    if record.ours is not None:
        record.text = f"{message} {suffix}".strip()[:TEXT_CHARS_MAX]
        yield record
        return
    if record.platform is not None or docker_file or depth < 3:
        for inner in _of_text(message.rstrip("\n"), record, depth + 1):
            if suffix and inner.edge is None:
                inner.text = f"{inner.text} {suffix}"[:TEXT_CHARS_MAX]
            yield inner
        return
    record.text = f"{message} {suffix}".strip()[:TEXT_CHARS_MAX]
    yield record


def _unquoted(value: Any) -> Any:
    """GraphQL gives each attribute's value as JSON in a text."""
    try:
        return json.loads(value)
    except (TypeError, ValueError, RecursionError):
        return value


def _flat(value: Any, prefix: str = "", depth: int = 0) -> str:
    """`key=value` of every scalar in it, by the last part of its key; long lists and deep trees are cut."""
    if depth > 6:
        return ""
    parts: list[str] = []
    if isinstance(value, dict):
        for name, item in list(value.items())[:60]:
            if name in _NOISE or item is None:
                continue
            parts.append(_flat(item, str(name), depth + 1))
    elif isinstance(value, list):
        parts += [_flat(item, prefix, depth + 1) for item in value[:5]]
    else:
        text = str(value)[:600]
        parts.append(f'{prefix}="{text}"' if " " in text else f"{prefix}={text}")
    return " ".join(part for part in parts if part)


# --- rows of an edge or a proxy --------------------------------------------------------------------------------------


def _railway_row(document: dict[str, Any], record: Record) -> Record:
    stamp = read_time(document.get("timestamp"))
    record.format, record.platform, record.edge_platform = "Railway HTTP", stamp, "Railway"
    if stamp is None:
        record.skipped = "a row without a time"
        return record
    duration, upstream = _number(document.get("totalDuration")), _number(document.get("upstreamRqDuration"))
    status = _number(document.get("httpStatus"))
    record.edge = EdgeRow(
        # The edge writes a row when the request is over; its stamp is taken for that row's beginning by its duration
        # only for upgrades, which last.
        at_unix_ms=stamp.unix_ms,
        method=_text(document, "method").upper(),
        path=_text(document, "path"),
        status=int(status or 0),
        host=_text(document, "host"),
        duration_ms=duration,
        upstream_ms=upstream,
        upstream_address=_text(document, "upstreamAddress"),
        upstream_errors=upstream_errors(document.get("upstreamErrors")),
        response_details=_text(document, "responseDetails"),
        request_id=_text(document, "requestId"),
        source_ip=_text(document, "srcIp"),
        user_agent=_text(document, "clientUa"),
        region=_text(document, "edgeRegion"),
        deployment_id=_text(document, "deploymentId") or _text(document, "deploymentInstanceId"),
    )
    return record


def upstream_errors(value: Any) -> tuple[str, ...]:
    """The edge's words about reaching the application, of any of the shapes that were seen: "", "0", 0, an array in a
    text, plain text, a real list."""
    if isinstance(value, str):
        text = value.strip()
        if text in {"", "0", "[]", "null", "-"}:
            return ()
        if text[0] in "[{":
            try:
                return upstream_errors(json.loads(text))
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


def _text(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    return "" if value is None else str(value)[:2000]


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value.removesuffix("ms"))
        except ValueError:
            return None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
        return float(value)
    return None


def _router(text: str, record: Record) -> Record:
    """Heroku's router: the row of an upgrade is written when it ends, and `service` is its whole life."""
    pairs = {key: value.strip('"') for key, value in _PAIR.findall(text)}
    record.format, record.edge_platform = "Heroku router", "Heroku"
    stamp = record.platform or record.own
    if stamp is None:
        record.skipped = "a row without a time"
        return record
    status = pairs.get("status", "")
    code = pairs.get("code", "")
    record.edge = EdgeRow(
        at_unix_ms=stamp.unix_ms,
        method=pairs.get("method", ""),
        path=pairs.get("path", ""),
        status=int(status) if status.isdigit() else 0,
        host=pairs.get("host", ""),
        duration_ms=_number(pairs.get("service")),
        upstream_address=pairs.get("dyno", ""),
        upstream_errors=(f"{code} {pairs.get('desc', '')}".strip(),) if code else (),
        request_id=pairs.get("request_id", ""),
        source_ip=pairs.get("fwd", ""),
    )
    return record


_GATEWAY = {"502": ("bad gateway",), "504": ("gateway timed out",)}


def _nginx(text: str, record: Record) -> Record | None:
    if '"' not in text:
        return None
    access = _ACCESS.match(text)
    if access is not None:
        timed = leading_time(access["at"])
        stamp = record.own or record.platform or (timed[0] if timed else None)
        if stamp is None:
            return None
        record.format, record.edge_platform, record.platform = "access log", "proxy", stamp
        record.edge = EdgeRow(
            at_unix_ms=stamp.unix_ms,
            method=access["method"],
            path=access["target"][:2000],
            status=int(access["status"]),
            upstream_errors=_GATEWAY.get(access["status"], ()),  # codes that a proxy gives by itself
            source_ip=access["ip"],
            user_agent=access["agent"] or "",
        )
        return record
    timed = leading_time(text)
    if timed is None:
        return None
    error = _NGINX_ERROR.match(timed[1])
    if error is None:
        return None
    word = error["error"].lower()
    status = 504 if "timed out" in word else 502
    record.format, record.edge_platform, record.platform = "nginx error log", "nginx", timed[0]
    record.edge = EdgeRow(
        at_unix_ms=timed[0].unix_ms,
        method=error["method"],
        path=error["target"][:2000],
        status=status,
        host=(error["host"] or ""),
        upstream_address=(error["upstream"] or "").partition("//")[2].partition("/")[0],
        upstream_errors=(error["error"].strip()[:200],),
        source_ip=error["ip"],
    )
    return record


def _caddy_row(document: dict[str, Any], request: dict[str, Any], record: Record) -> Record:
    stamp = read_time(document.get("ts"))
    record.format, record.edge_platform, record.platform = "Caddy access log", "Caddy", stamp
    if stamp is None:
        record.skipped = "a row without a time"
        return record
    duration = _number(document.get("duration"))
    word = str(document.get("err_trace") or document.get("error") or "")
    record.edge = EdgeRow(
        at_unix_ms=stamp.unix_ms,
        method=_text(request, "method"),
        path=_text(request, "uri"),
        status=int(_number(document.get("status")) or 0),
        host=_text(request, "host"),
        duration_ms=duration * 1000 if duration is not None else None,
        upstream_errors=(word,) if word else (),
        source_ip=_text(request, "remote_ip"),
    )
    return record
