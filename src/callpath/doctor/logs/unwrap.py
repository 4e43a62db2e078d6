"""Pass 1, unwrap: what a platform put around a line comes off, layer by layer, until the application's own text is left.

Each wrapper gives what it knows: its time stamp, the instance, the process, the level, the deployment. A time at the head
of the text stays in `own` until a wrapper behind it shows that the platform wrote it. Formats that say nothing about a
call (network flows, DNS queries) are marked and skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from callpath.doctor.logs.lines import Line
from callpath.doctor.logs.record import TEXT_CHARS_MAX, Record, decoded, text_of
from callpath.doctor.logs.times import Stamp, leading_time, read_time
from callpath.wire.document import decode_foreign

ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u2028\u2029]")
DEPTH_MAX = 8
ROWS_DEPTH_MAX = 4


def unwrap(line: Line) -> Iterator[Record]:
    """The records in one line: mostly one; several where a whole answer of an API stands on it."""
    record = Record(file=line.file, number=line.number)
    if line.document is not None:
        yield from _document(line.document, record, 0)
        return
    text = line.text
    if "\x1b" in text:
        text = ANSI.sub("", text)
    yield from _text(text, record, 0)


# --- text ------------------------------------------------------------------------------------------------------------

_LEVELS = {"TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR", "FATAL", "CRITICAL", "SUCCESS"}
_RAILWAY = re.compile(r"\[(?P<level>inf|err|info|error|warn|warning|debug|dbg|wrn)\] {1,2}(?P<rest>.*)", re.DOTALL)
_FLY = re.compile(
    r"(?P<name>app|proxy|runner|health)\[(?P<source>[\w-]+)\] (?P<region>[a-z]{3}) \[(?P<level>\w+)\] ?(?P<rest>.*)",
    re.DOTALL,
)
_HEROKU = re.compile(r"(?:\S{1,40} )?(?:app|heroku)\[(?P<source>[\w.-]+)\]:? ?(?P<rest>.*)", re.DOTALL)
_CRI = re.compile(r"(?:stdout|stderr) (?P<part>[FP]) (?P<rest>.*)", re.DOTALL)
_KUBECTL = re.compile(r"\[pod/(?P<source>[\w.-]+)/(?P<name>[\w.-]+)\] ?(?P<rest>.*)", re.DOTALL)
_POD = r"[a-z0-9][a-z0-9.-]{0,200}-[a-z0-9]{5,10}-[bcdfghjklmnpqrstvwxz2456789]{5}"
_STERN = re.compile(
    rf"(?:[\w-]+ )?(?P<source>{_POD}) (?:› )?(?P<name>[a-z][a-z0-9-]{{0,60}}) (?![=:|\[])(?P<rest>\S.*)", re.DOTALL
)
_COMPOSE = re.compile(r"(?P<source>[A-Za-z0-9][\w.-]{0,60}?)\s{0,30}\| ?(?P<rest>.*)", re.DOTALL)
_SYSLOG = re.compile(
    r"(?P<host>[\w.:-]{1,120}) (?P<name>[\w./@-]{1,80})(?:\[(?P<process>\d+)\])?: (?P<rest>.*)", re.DOTALL
)
_PRIORITY = re.compile(r"(?:\d{1,6} )?<(?P<priority>\d{1,3})>(?P<version>1 )?")
_RFC5424 = re.compile(
    r"(?P<host>\S{1,255}) (?P<source>\S{1,48}) (?P<process>\S{1,128}) (?P<id>\S{1,32}) "
    r"(?:-|(?:\[[^\]]*\])+) ?(?:\ufeff)?(?P<rest>.*)",
    re.DOTALL,
)
_HEROKU_DRAIN = re.compile(r"(?P<host>\S{1,255}) (?P<name>app|heroku) (?P<source>[\w.-]+) - (?P<rest>.*)", re.DOTALL)
"""Heroku's drains leave the structured data out."""

_CLOUDWATCH = re.compile(
    r"(?P<source>(?:[\w.$\[\]-]+/)+[\w$\[\]-]*[0-9a-f]{8,40}|\d{4}/\d\d/\d\d/\[\S+\][0-9a-f]{32}|i-[0-9a-f]{8,17}) "
    r"(?P<rest>.*)",
    re.DOTALL,
)
_NAME_THEN_TIME = re.compile(
    r"(?!(?:https?|h2|grpcs|wss?) )(?P<source>[A-Za-z][\w.-]{0,60}) (?=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?P<rest>.*)",
    re.DOTALL,
)
_RENDER_INSTANCE = re.compile(r"\[(?P<source>[a-z0-9]{5})\] ?(?P<rest>.*)", re.DOTALL)
_RENDER_TIME = re.compile(r"[A-Z][a-z]{2} \d{1,2} \d{1,2}:\d\d:\d\d [AP]M {1,2}(?=\S)")
_NANOSECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(?:Z|[+-]\d\d:\d\d) ")


def _text(text: str, record: Record, depth: int) -> Iterator[Record]:
    """Take one wrapper off and go on with what is in it."""
    head = text.lstrip(" \t")
    if head[:1] == "{" and head.rstrip()[-1:] == "}":
        document = decoded(head)
        if document is not None:
            yield from _document(document, record, depth)
            return
    if depth < DEPTH_MAX:
        inner = _one_wrapper(text, record)
        if inner is not None:
            yield from _text(inner, record, depth + 1)
            return
    record.text = text[: 4 * TEXT_CHARS_MAX]
    yield record


def _one_wrapper(text: str, record: Record) -> str | None:
    """The text within the outermost wrapper; None where there is none (any more)."""
    if text[:1] in "<123456789" and (priority := _PRIORITY.match(text)) is not None:
        severity = int(priority["priority"]) % 8
        record.level = record.level or ("error" if severity <= 3 else "warning" if severity == 4 else "")
        record.format = "syslog (RFC 5424)" if priority["version"] else "syslog"
        return text[priority.end() :]
    timed = leading_time(text)
    if timed is not None:
        stamp, rest = timed
        if record.own is not None:
            if record.platform is not None:
                return None  # two times are known, a third is part of what is said
            record.platform = record.own
        record.own = stamp
        if record.format == "text":
            record.format = "text with time"
        if _NANOSECONDS.match(text) is not None and record.platform is None:
            # `docker logs -t` has nanoseconds; an application hardly ever.
            _claim(record, "docker -t")
        elif stamp.dated and not stamp.zoned and record.platform is None and _RENDER_TIME.match(text) is not None:
            _claim(record, "Render")
        return rest
    return (
        _behind_a_time(text, record) if record.own is not None or record.platform is not None else _bare(text, record)
    )


def _behind_a_time(text: str, record: Record) -> str | None:
    """Wrappers that follow the platform's time stamp."""
    first = text[:1]
    if record.format == "syslog (RFC 5424)" and (found := _HEROKU_DRAIN.match(text)) is not None:
        record.source = found["source"]
        return _claim(record, record.format, found["rest"])
    if record.format == "syslog (RFC 5424)" and (found := _RFC5424.match(text)) is not None:
        record.source = found["source"] if found["source"] != "-" else record.source
        record.process = found["process"] if found["process"] != "-" else ""
        return _claim(record, record.format, found["rest"])
    if first == "[":
        if record.format in {"docker -t", "text with time"} and (found := _RAILWAY.match(text)) is not None:
            levels = {"inf": "info", "err": "error", "wrn": "warning", "dbg": "debug"}
            if record.format == "docker -t" or found["level"] in levels:
                record.level = levels.get(found["level"], found["level"])
                if record.level == "error":
                    record.level = ""  # everything on stderr
                return _claim(record, "Railway text", found["rest"])
        if record.format == "Render" and (found := _RENDER_INSTANCE.match(text)) is not None:
            record.source = found["source"]
            return found["rest"]
        return None
    if text.startswith(("app[", "proxy[", "runner[", "health[", "heroku[")) or "[" in text[:60]:
        if (found := _FLY.match(text)) is not None:
            record.source, record.level = found["source"], found["level"].lower()
            return _claim(record, "Fly", found["rest"])
        if (found := _HEROKU.match(text)) is not None:
            record.source = found["source"]
            return _claim(record, "Heroku", found["rest"])
    if first == "s" and (found := _CRI.match(text)) is not None:
        record.continues = record.continues or found["part"] == "P"
        return _claim(record, "CRI", found["rest"])
    if record.format in {"text with time", "docker -t", "syslog", "Render"}:
        if "/" in text[:200] and (found := _CLOUDWATCH.match(text)) is not None:
            record.source = found["source"]
            return _claim(record, "CloudWatch", found["rest"])
        if (found := _SYSLOG.match(text)) is not None and _is_syslog(record, found):
            record.source = f"{found['host']}/{found['name']}"
            record.process = found["process"] or ""
            return _claim(record, "syslog", found["rest"])
    return None


def _is_syslog(record: Record, found: re.Match[str]) -> bool:
    """`host name[12]: `; without a process id only behind a time as syslog writes it, since `INFO name: ` looks alike."""
    if found["host"].upper().strip(":") in _LEVELS or found["name"].upper() in _LEVELS or found["host"].endswith(":"):
        return False
    stamp = record.own or record.platform
    syslogs = record.format == "syslog" or (stamp is not None and not stamp.yeared)
    return bool(found["process"]) or syslogs


def _bare(text: str, record: Record) -> str | None:
    """Wrappers that stand before any time."""
    first = text[:1]
    if first == "[":
        if (found := _KUBECTL.match(text)) is not None:
            record.format, record.source = "kubectl --prefix", found["source"]
            return found["rest"]
        if (found := _RAILWAY.match(text)) is not None and found["level"] in {"inf", "err"}:
            record.format = "Railway text"
            return found["rest"]
        return None
    if "|" in text[:96] and record.format == "text":
        compose = _COMPOSE.match(text)
        if compose is not None and compose["source"].upper() not in _LEVELS and not compose["source"].isdigit():
            record.format, record.source = "docker compose", compose["source"]
            return compose["rest"]
    if record.format == "text" and "-" in text[:120]:
        if (found := _STERN.match(text)) is not None:
            record.format, record.source = "stern", found["source"]
            return found["rest"]
        if (found := _NAME_THEN_TIME.match(text)) is not None:
            record.format, record.source = "name and time", found["source"]
            return found["rest"]
    return None


def _claim(record: Record, name: str, rest: str = "") -> str:
    """The time read so far is the platform's."""
    if record.own is not None:
        record.platform, record.own = record.own, None
    record.format = name
    return rest


# --- JSON ------------------------------------------------------------------------------------------------------------

Envelope = Callable[[dict[str, Any], Record], str | dict[str, Any] | None]
"""Fills the record from a platform's document; returns what the application said, as text or as a document."""


def _document(document: dict[str, Any], record: Record, depth: int) -> Iterator[Record]:
    if "flowId" in document or ("captureStart" in document and "srcAddr" in document):
        record.format, record.skipped = "Railway network flows", "network"
        yield record
        return
    if "qname" in document and ("qtype" in document or "rcode" in document):
        record.format, record.skipped = "Railway DNS queries", "dns"
        yield record
        return
    if depth < ROWS_DEPTH_MAX and not any(key in document for key in _SAYS):
        rows = _rows(document, 3)
        if rows is not None:
            for number, row in enumerate(rows, 1):
                yield from _document(row, Record(file=record.file, number=number), depth + 1)
            return
    if depth < DEPTH_MAX:
        for needs, envelope in _ENVELOPES:
            if needs in document:
                inner = envelope(document, record)
                if isinstance(inner, str):
                    yield from _text(inner.rstrip("\n"), record, depth + 1)
                    return
                if inner is not None:
                    yield from _document(inner, record, depth + 1)
                    return
    if depth < DEPTH_MAX and _PLAIN.issuperset(document) and isinstance(document.get("message"), str):
        _stamped(record, "Railway NDJSON or alike", read_time(document.get("timestamp")))
        record.level = record.level or str(document.get("level") or document.get("severity") or "").lower()
        yield from _text(document["message"].rstrip("\n"), record, depth + 1)
        return
    record.document = document
    yield record


_PLAIN = frozenset({"message", "timestamp", "level", "severity", "deploymentId", "instanceId", "stream"})
"""A document with no other keys is a text with its time, whoever wrote it."""

_SAYS = (
    "message",
    "msg",
    "event",
    "log",
    "text",
    "textPayload",
    "jsonPayload",
    "body",
    "MESSAGE",
    "httpRequest",
    "line",
)


def _rows(document: dict[str, Any], depth: int) -> list[dict[str, Any]] | None:
    """The list of log rows within an answer of an API."""
    for key, value in document.items():
        if isinstance(value, list) and value:
            if isinstance(value[0], dict) and any(name in value[0] for name in ("timestamp", "@timestamp", "_source")):
                return [row for row in value if isinstance(row, dict)]
            if key == "results" and isinstance(value[0], list):  # CloudWatch Insights: [[{field, value}]]
                return [
                    {str(cell.get("field")): cell.get("value") for cell in row if isinstance(cell, dict)}
                    for row in value
                ]
            if key == "values" and isinstance(value[0], list) and len(value[0]) == 2:  # Loki: [[ns, line]]
                return [{"timestamp": row[0], "line": row[1]} for row in value if len(row) == 2]
            if isinstance(value[0], dict) and depth:
                inner = [rows for row in value if isinstance(row, dict) and (rows := _rows(row, depth - 1))]
                if inner:
                    return [row for rows in inner for row in rows]
        if isinstance(value, dict) and depth:
            rows = _rows(value, depth - 1)
            if rows is not None:
                return rows
    return None


def _stamped(record: Record, name: str, stamp: Stamp | None) -> None:
    if stamp is not None and record.platform is None:
        record.platform = stamp
    if record.format in {"text", "text with time"} or name == "kubernetes":
        record.format = name


def _text_or_document(value: Any) -> str | dict[str, Any]:
    return value if isinstance(value, dict) else str(value)


def _google(document: dict[str, Any], record: Record) -> str | dict[str, Any] | None:
    if not any(key in document for key in ("logName", "insertId", "resource", "severity", "timestamp")):
        return None
    _stamped(record, "Google Cloud", read_time(document.get("timestamp") or document.get("receiveTimestamp")))
    record.level = text_of(document, "severity").lower()
    labels = document.get("labels")
    if isinstance(labels, dict):
        record.source = text_of(labels, "instanceId", "k8s-pod/app", "compute.googleapis.com/resource_name")
    resource = document.get("resource")
    if isinstance(resource, dict) and isinstance(resource.get("labels"), dict):
        record.source = record.source or text_of(resource["labels"], "pod_name", "revision_name", "service_name")
    if isinstance(document.get("httpRequest"), dict) and not document.get("textPayload"):
        return None  # a row of the edge: parse reads it whole
    for key in ("jsonPayload", "textPayload", "protoPayload"):
        if document.get(key) is not None:
            return _text_or_document(document[key])
    return None


def _journald(document: dict[str, Any], record: Record) -> str | None:
    message = document["MESSAGE"]
    if isinstance(message, list):  # bytes that are no text, as numbers
        message = bytes(code for code in message if isinstance(code, int) and 0 <= code < 256).decode(
            "utf-8", "replace"
        )
    _stamped(record, "journald JSON", read_time(document.get("__REALTIME_TIMESTAMP")))
    record.source = text_of(document, "CONTAINER_NAME", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER")
    record.process = text_of(document, "_PID")
    return str(message)


def _docker_file(document: dict[str, Any], record: Record) -> str | dict[str, Any] | None:
    said = document["log"]
    kubernetes = document.get("kubernetes")
    if not isinstance(said, str | dict) or not (
        isinstance(kubernetes, dict) or any(key in document for key in ("stream", "time", "attrs"))
    ):
        return None
    if isinstance(said, dict) and "message" in document:
        return None
    _stamped(
        record,
        "docker json-file",
        read_time(document.get("time") or document.get("@timestamp") or document.get("date")),
    )
    if isinstance(kubernetes, dict):
        record.source = text_of(kubernetes, "pod_name")
    return _text_or_document(said)


def _railway(document: dict[str, Any], record: Record) -> str | dict[str, Any] | None:
    attributes, tags = document.get("attributes"), document.get("tags")
    if "message" not in document or "timestamp" not in document:
        return None
    if isinstance(attributes, list):  # GraphQL: [{key, value}]
        attributes = {
            str(item.get("key")): _unquoted(item.get("value")) for item in attributes if isinstance(item, dict)
        }
    if not isinstance(attributes, dict):
        return None
    _stamped(record, "Railway export", read_time(document["timestamp"]))
    if isinstance(tags, dict):
        record.source = text_of(tags, "replica", "deploymentInstanceId")
        record.deployment = text_of(tags, "deployment", "deploymentId")
    record.level = str(attributes.get("level") or document.get("severity") or "").lower()
    more = {name: value for name, value in attributes.items() if name not in {"level", "severity", "timestamp"}}
    message = document["message"]
    if not more:
        return str(message)
    return {**more, "message": message}


def _unquoted(value: Any) -> Any:
    """GraphQL gives each attribute's value as JSON in a text."""
    try:
        return decode_foreign(value)
    except (TypeError, ValueError):
        return value


def _vercel(document: dict[str, Any], record: Record) -> str | dict[str, Any] | None:
    if "message" not in document:
        return None
    _stamped(record, "Vercel", read_time(document.get("timestampInMs") or document.get("timestamp")))
    record.deployment = text_of(document, "deploymentId")
    return None if isinstance(document.get("proxy"), dict) and not document["message"] else str(document["message"])


def _cloudwatch(document: dict[str, Any], record: Record) -> str | dict[str, Any] | None:
    said = document.get("@message", document.get("message"))
    if said is None:
        return None
    _stamped(record, "CloudWatch", read_time(document.get("@timestamp", document.get("timestamp"))))
    record.source = text_of(document, "@logStream", "logStreamName")
    return _text_or_document(said)


def _supabase(document: dict[str, Any], record: Record) -> str | None:
    _stamped(record, "Supabase", read_time(document.get("timestamp")))
    record.source = text_of(document, "execution_id", "function_id")
    record.level = text_of(document, "level").lower()
    return str(document["event_message"])


def _fly(document: dict[str, Any], record: Record) -> str | dict[str, Any] | None:
    meta, fly = document.get("meta"), document.get("fly")
    if (
        "message" not in document
        or "timestamp" not in document
        or not (isinstance(fly, dict) or ("instance" in document and "region" in document) or isinstance(meta, dict))
    ):
        return None
    _stamped(record, "Fly", read_time(document["timestamp"]))
    app = fly.get("app") if isinstance(fly, dict) else None
    record.source = text_of(app if isinstance(app, dict) else document, "instance")
    return _text_or_document(document["message"])


def _labelled(document: dict[str, Any], record: Record) -> str | None:
    """Render's API."""
    labels = document.get("labels")
    if "message" not in document or "timestamp" not in document or not isinstance(labels, list):
        return None
    named = {str(row.get("name")): row.get("value") for row in labels if isinstance(row, dict)}
    _stamped(record, "Render", read_time(document["timestamp"]))
    record.source, record.level = text_of(named, "instance"), text_of(named, "level").lower()
    return str(document["message"])


def _loki(document: dict[str, Any], record: Record) -> str | None:
    if not isinstance(document["line"], str) or not any(key in document for key in ("timestamp", "date", "fields")):
        return None
    _stamped(record, "Loki", read_time(document.get("timestamp") or document.get("date")))
    return document["line"]


def _datadog(document: dict[str, Any], record: Record) -> str | dict[str, Any] | None:
    content = document.get("content", document.get("attributes"))
    if not isinstance(content, dict) or ("message" not in content and "attributes" not in content):
        return None
    _stamped(record, "Datadog", read_time(content.get("timestamp")))
    inner = content.get("attributes")
    message = content.get("message")
    if isinstance(inner, dict) and inner:
        return {**inner, "message": message} if message is not None else inner
    return _text_or_document(message)


def _papertrail(document: dict[str, Any], record: Record) -> str | None:
    if "message" not in document:
        return None
    _stamped(record, "Papertrail", read_time(document.get("generated_at") or document["received_at"]))
    record.source = text_of(document, "program", "source_name")
    return str(document["message"])


def _azure(document: dict[str, Any], record: Record) -> str | dict[str, Any] | None:
    for key in ("Log_s", "Log", "LogMessage", "ResultDescription", "Message"):
        if document.get(key) is not None:
            stamp = document.get("TimeGenerated") or document.get("TimeStamp") or document.get("time_t")
            _stamped(record, "Azure", read_time(stamp))
            record.source = text_of(document, "ContainerGroupName_s", "ReplicaName", "PodName")
            return _text_or_document(document[key])
    return None


def _splunk(document: dict[str, Any], record: Record) -> str | dict[str, Any] | None:
    inner = document.get("result", document)
    if not isinstance(inner, dict) or "_raw" not in inner:
        return None
    _stamped(record, "Splunk", read_time(inner.get("_time")))
    return str(inner["_raw"])


def _elastic(document: dict[str, Any], record: Record) -> dict[str, Any] | None:
    record.format = "Elasticsearch"
    return document["_source"] if isinstance(document["_source"], dict) else None


_ENVELOPES: tuple[tuple[str, Envelope], ...] = (
    ("httpRequest", _google), ("textPayload", _google), ("jsonPayload", _google), ("protoPayload", _google),
    ("MESSAGE", _journald), ("log", _docker_file), ("attributes", _railway), ("timestampInMs", _vercel),
    ("ingestionTime", _cloudwatch), ("@message", _cloudwatch), ("logStreamName", _cloudwatch),
    ("event_message", _supabase), ("fly", _fly), ("instance", _fly), ("labels", _labelled), ("line", _loki),
    ("content", _datadog), ("attributes", _datadog), ("received_at", _papertrail), ("TimeGenerated", _azure),
    ("TimeStamp", _azure), ("result", _splunk), ("_raw", _splunk), ("_source", _elastic),
)  # fmt: skip
"""The key that each platform's document has, and its reader. The first that returns something wins."""
