"""Pass 2, parse: what the application's logger wrote around its message, and the fields it wrote beside it.

JSON loggers (pino, bunyan, winston, zap, zerolog, slog, structlog, loguru, python-json-logger, ECS, Serilog, logback,
Monolog) differ in the names of the same few things, so one table of names reads them all. logfmt is read as the same.
Text loggers are prefixes in a table. The message and the fields end as one text, `message key=value …`, with the
exception below it: the form that later passes read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from callpath.doctor.logs import access
from callpath.doctor.logs.lines import Line
from callpath.doctor.logs.record import TEXT_CHARS_MAX, Record, decoded, text_of
from callpath.doctor.logs.times import Stamp, leading_time, read_time
from callpath.doctor.logs.unwrap import ANSI, CONTROL, unwrap

_PREFIX_MAX = 4
FIELDS_MAX = 60
VALUE_CHARS_MAX = 600
EXCEPTION_CHARS_MAX = 4_000


def read_record(line: Line) -> Iterator[Record]:
    """The records in one line, unwrapped and parsed."""
    for record in unwrap(line):
        yield parse(record)


def parse(record: Record) -> Record:
    """Read what the application's logger wrote. The record is changed in place and returned."""
    if record.skipped:
        return record
    if record.document is not None:
        _of_document(record.document, record)
    else:
        _of_text(record)
    return record


# --- text ------------------------------------------------------------------------------------------------------------

_LEVELS = "TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL|SUCCESS|SEVERE|ALERT|EMERGENCY"
_L = rf"(?P<level>{_LEVELS})"
_PREFIXES: tuple[re.Pattern[str], ...] = tuple(
    re.compile(expression)
    for expression in (
        r"\[(?P<process>\d+)\] \[(?P<level>[A-Za-z]+)\] ",  # gunicorn
        rf"{_L} +\| +(?P<logger>[\w.<>:-]+) +- ",  # loguru
        rf"(?P<logger>[\w.\[\]-]+) +- +{_L} +- +(?:(?P<function>[\w.<>]+:\d+) - )?",  # Python, with dashes
        rf"{_L} +- +(?P<logger>[\w.-]+) +- +",
        rf"{_L}:(?P<logger>[\w.-]+):",  # Python's basicConfig
        rf"{_L}: +",  # uvicorn
        rf"(?P<logger>[a-z_][\w.]{{0,60}}) {_L}:? +",
        r"(?P<level>VRB|DBG|INF|WRN|ERR|FTL)\] ",  # Serilog
        rf"\[(?P<thread>[^\]\n]{{1,80}})\] {_L} +(?P<logger>[\w.$/\[\]]+) *(?:-|:|\|) ",  # logback, log4j
        rf"{_L} (?P<process>\d+) --- \[[^\]]*\] (?:\[[^\]]*\] )?(?P<logger>[\w.$\[\]/-]+) *: ",  # Spring Boot
        rf"{_L} +(?P<logger>\w+(?:::\w+)+): ",  # Rust's tracing
        r"(?P<process>\d+) (?P<logger>[\w./-]+:\d+)\] ",  # glog
        r"(?P<logger>[\w-]+)\.(?P<level>DEBUG|INFO|NOTICE|WARNING|ERROR|CRITICAL|ALERT|EMERGENCY): ",  # Monolog
        rf"(?P<level>{_LEVELS}|Info|Warn|Error|Debug) \((?:(?P<logger>[^/)\n]*)/)?(?P<process>\d+)(?: on [^)\n]*)?\): ",
        r"(?P<level>info|warn|fail|crit|dbug|trce): (?P<logger>[A-Za-z][\w.]+)\[\d+\] *",  # .NET
        r"(?P<level>info|warn|warning|error|debug|verbose|silly|http): ",  # winston's simple format
        r"(?:request_id=\S+ |pid=\S+ |mfa=\S+ )*\[(?P<level>debug|info|notice|warn|warning|error|critical)[ \t]*\]:? *",
        rf"[\[(<]{_L}[\])>]:? *[|-]? *",
        rf"{_L} +[|-] +",
        rf"{_L} +(?=\S)",
        r"\[(?P<logger>[a-z][\w.-]{1,40})\] (?=\S)(?!.*\[accepted)",
    )
)
_RUBY = re.compile(r"[DIWEFA], \[(?P<time>\S+) #(?P<process>\d+)\] +(?P<level>\w+) -- (?P<logger>[^:\n]*): ")
_LOGFMT = re.compile(r"(?:time|timestamp|ts|t|level|lvl|severity|msg|at|caller)=\S")
_PAIR = re.compile(r'([\w.@/-]+)=("(?:[^"\\]|\\.)*"|\S*)')
_PADDED = re.compile(r"\S {2,}(?=[\w.]+=)")


def _of_text(record: Record) -> None:
    text = record.text
    row = access.of_text(text, record)
    if row:
        return
    if text[:4] in {"D, [", "I, [", "W, [", "E, [", "F, [", "A, ["} and (ruby := _RUBY.match(text)) is not None:
        _own(record, read_time(ruby["time"]))
        record.process, record.level, record.logger = ruby["process"], ruby["level"].lower(), ruby["logger"].strip()
        text = text[ruby.end() :]
    else:
        text = _without_prefixes(text, record)
    if _LOGFMT.match(text) is not None:
        pairs = {key: _value(value) for key, value in _PAIR.findall(text)}
        if len(pairs) >= 2:
            record.format = "logfmt" if record.format in {"text", "text with time"} else record.format
            _of_document(pairs, record)
            return
    if text[:1] == "{" and text.rstrip()[-1:] == "}":
        document = decoded(text.strip())
        if document is not None:
            record.document = document
            _of_document(document, record)
            return
    if not text.isprintable():
        text = CONTROL.sub(" ", text)
    record.text = text[:TEXT_CHARS_MAX]


def _without_prefixes(text: str, record: Record) -> str:
    """Take the logger's own columns off the head of the text: level, logger, process, a second time."""
    for _ in range(_PREFIX_MAX):
        for prefix in _PREFIXES:
            found = prefix.match(text)
            if found is None:
                continue
            groups = found.groupdict()
            record.level = record.level or (groups.get("level") or "").lower()
            record.logger = record.logger or (groups.get("logger") or "")
            record.process = record.process or (groups.get("process") or "")
            text = text[found.end() :]
            break
        else:
            return text
        if record.own is None and text[:1].isdigit() and (timed := leading_time(text)) is not None:
            record.own, text = timed
    return text


def _value(text: str) -> str:
    if text[:1] == '"' and text[-1:] == '"' and len(text) > 1:
        return text[1:-1].replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")
    return text


def _own(record: Record, stamp: Stamp | None) -> None:
    """The application's own time: the inner one counts."""
    if stamp is None:
        return
    if record.own is not None and record.platform is None:
        record.platform = record.own
    record.own = stamp


# --- JSON and logfmt -------------------------------------------------------------------------------------------------

_MESSAGE_KEYS = (
    "message", "msg", "@m", "@message", "RenderedMessage", "renderedMessage", "short_message", "log_message", "event",
    "text", "body", "log", "line", "MessageTemplate", "@mt", "description",
)  # fmt: skip
_TIME_KEYS = (
    "time", "ts", "@timestamp", "asctime", "datetime", "timestamp", "@t", "Timestamp", "t", "date", "eventTime", "created",
    "timeMillis", "instant", "TimeStamp", "logged_at",
)  # fmt: skip
_LEVEL_KEYS = (
    "level",
    "severity",
    "levelname",
    "log.level",
    "lvl",
    "@l",
    "Level",
    "loglevel",
    "level_name",
    "log_level",
)
_LOGGER_KEYS = (
    "logger",
    "logger_name",
    "name",
    "log.logger",
    "SourceContext",
    "channel",
    "category",
    "component",
    "module",
)
_ERROR_KEYS = (
    "err", "error", "exc_info", "exception", "exc", "stack", "stack_trace", "stacktrace", "error.stack_trace", "@x",
    "Exception", "throwable", "thrown", "traceback", "error.stack", "stack_info", "errorStack",
)  # fmt: skip
_NOISE = {
    "pid", "hostname", "level", "severity", "levelname", "logger", "logger_name", "name", "filename", "lineno", "v",
    "tags", "timestamp", "time", "ts", "@timestamp", "asctime", "datetime", "service", "env", "environment", "version",
    "request_id", "requestId", "trace_id", "span_id", "traceId", "spanId", "deploymentId", "deploymentInstanceId",
    "projectId", "serviceId", "environmentId", "thread", "thread_name", "threadName", "process", "processName",
    "threadId", "module", "funcName", "func_name", "function", "pathname", "replica", "deployment", "project",
    "snapshotId", "pluginId", "connection_id", "record_type", "command_id", "user_id", "client_state", "log.level", "lvl",
    "ecs.version", "@version", "level_value", "levelno", "caller", "caller_file", "source", "file", "line", "@t", "@l",
    "@i", "log.logger", "log.origin", "host", "agent", "extra_tags", "created", "msecs", "relativeCreated", "levelNo",
    "service.name", "dd", "logging.googleapis.com/trace", "logging.googleapis.com/spanId", "instanceId", "channel",
    "level_name", "loggerName", "sequence", "endOfBatch", "loggerFqcn", "elapsed", "mdc", "taskName",
}  # fmt: skip
"""Keys that never say what happened; several hold ids which look like a call's."""

_PINO = {10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal"}


def _of_document(document: dict[str, Any], record: Record) -> None:
    if access.of_document(document, record):
        return
    record.document = None
    inner = document.get("record")
    if isinstance(inner, dict) and "text" in document and "time" in inner:  # loguru, serialize=True
        _loguru(document, inner, record)
        return
    key = next((key for key in _MESSAGE_KEYS if isinstance(document.get(key), str)), None)
    ours = "event_name" in document and key == "message" and "level" in document
    message = str(document[key]) if key is not None else ""
    if record.format in {"text", "text with time"}:
        record.format = "callpath JSON" if ours else "JSON lines"
    _times(document, record)
    level = next((document[name] for name in _LEVEL_KEYS if document.get(name) is not None), None)
    if level is not None and not isinstance(level, dict | list):
        number = int(level) if isinstance(level, float) and level.is_integer() else level
        record.level = _PINO.get(number, "") if isinstance(number, int) else str(number).lower()
    record.logger = record.logger or text_of(document, *_LOGGER_KEYS)
    record.process = record.process or text_of(document, "pid", "process_id", "process")
    record.fields = document
    if ours:
        record.ours = document
        record.format = "callpath JSON"
    message = ANSI.sub("", message) if "\x1b" in message else message
    message = message.rstrip("\n")
    if key is not None and message and record.ours is None:
        message = _inner_message(message, record)
        if record.edge is not None:
            return
    exception = _exception(document)
    rest = {
        name: value
        for name, value in document.items()
        if name != key and name not in _NOISE and name not in _ERROR_KEYS
    }
    brief = _brief_errors(document)
    text = " ".join(part for part in (message, _flat(rest), brief) if part)
    if exception and exception not in text:
        text = f"{text[:TEXT_CHARS_MAX]}\n{exception}"
    if not text.isprintable():
        text = CONTROL.sub(" ", text)
    record.text = text.strip()[: TEXT_CHARS_MAX + EXCEPTION_CHARS_MAX]


def _inner_message(message: str, record: Record) -> str:
    """A message may carry a logger's columns once more: a program's print within a framework's JSON."""
    head = message[:1]
    if head == "{" and message[-1:] == "}":
        document = decoded(message)
        if document is not None and len(document) > 1:
            inner = Record(file=record.file, number=record.number, document=document, format=record.format)
            _of_document(document, inner)
            _own(record, inner.own or inner.platform)
            record.level = inner.level or record.level
            record.edge, record.edge_platform = inner.edge, inner.edge_platform
            return inner.text
    if access.of_text(message, record):
        return message
    timed = leading_time(message)
    if timed is not None:
        _own(record, timed[0])
        message = timed[1]
    return _without_prefixes(message, record) if timed is not None else message


def _times(document: dict[str, Any], record: Record) -> None:
    times = [
        (name, stamp)
        for name in _TIME_KEYS
        if name in document and (stamp := read_time(_instant(document[name]))) is not None
    ]
    if not times:
        return
    name, stamp = times[0]
    if len(times) > 1 and name != "timestamp" and record.platform is None and record.own is None:
        outer = next((one for key, one in times if key == "timestamp"), None)
        if outer is not None:  # `timestamp` is the platform's, merged over the application's
            record.platform = outer
    _own(record, stamp)


def _instant(value: Any) -> Any:
    """log4j2: {"epochSecond": …, "nanoOfSecond": …}."""
    if isinstance(value, dict) and isinstance(value.get("epochSecond"), int):
        return value["epochSecond"] + (value.get("nanoOfSecond") or 0) / 1e9
    return value


def _loguru(document: dict[str, Any], inner: dict[str, Any], record: Record) -> None:
    when = inner["time"]
    record.format = "loguru JSON"
    if isinstance(when, dict):
        _own(record, read_time(when.get("timestamp")) or read_time(str(when.get("repr", ""))[:48]))
    level = inner.get("level")
    record.level = text_of(level, "name").lower() if isinstance(level, dict) else record.level
    record.logger = text_of(inner, "name", "module")
    process = inner.get("process")
    record.process = text_of(process, "id") if isinstance(process, dict) else ""
    extra = inner.get("extra")
    record.fields = extra if isinstance(extra, dict) else {}
    text = " ".join(part for part in (str(inner.get("message", "")), _flat(record.fields)) if part)
    raised = inner.get("exception")
    if isinstance(raised, dict):
        # The traceback stands in `text`, below the message; `record` has only type and value.
        below = str(document["text"]).partition("\n")[2].strip()
        text += "\n" + (below or f"{raised.get('type')}: {raised.get('value')}")[:EXCEPTION_CHARS_MAX]
    record.text = text


def _exception(document: dict[str, Any]) -> str:
    """The exception beside a message, as its traceback or as `Type: message`."""
    for key in _ERROR_KEYS:
        value = document.get(key)
        if isinstance(value, str) and "\n" in value:
            return value[:EXCEPTION_CHARS_MAX]
        if isinstance(value, dict):
            stack = text_of(value, "stack", "stack_trace", "stackTrace", "traceback", "trace")
            if stack:
                return stack[:EXCEPTION_CHARS_MAX]
            kind = text_of(value, "type", "class", "name", "kind")
            said = text_of(value, "message", "msg", "detail")
            if kind and said:
                return f"{kind}: {said}"[:EXCEPTION_CHARS_MAX]
        if isinstance(value, list) and value:  # structlog's dict_tracebacks
            last = value[-1] if isinstance(value[-1], dict) else {}
            kind, said = text_of(last, "exc_type", "type"), text_of(last, "exc_value", "value", "message")
            if kind:
                frames = [row for row in last.get("frames", ()) if isinstance(row, dict)]
                lines = [
                    f'  File "{row.get("filename")}", line {row.get("lineno")}, in {row.get("name")}' for row in frames
                ]
                return "\n".join((*lines, f"{kind}: {said}"))[:EXCEPTION_CHARS_MAX]
    context = document.get("context")
    return _exception(context) if isinstance(context, dict) and "exception" in context else ""


def _brief_errors(document: dict[str, Any]) -> str:
    """Errors that are a short text or have fields of their own (a status, an answer's body)."""
    parts = []
    for key in _ERROR_KEYS:
        value = document.get(key)
        if isinstance(value, str) and value and "\n" not in value:
            parts.append(f"{key}={value[:VALUE_CHARS_MAX]}")
        elif isinstance(value, dict):
            parts.append(_flat({name: item for name, item in value.items() if name not in {"stack", "stack_trace"}}))
    return " ".join(part for part in parts if part)


def _flat(value: Any, prefix: str = "", depth: int = 0) -> str:
    """`key=value` of every scalar in it, by the last part of its key; long lists and deep trees are cut."""
    if depth > 6:
        return ""
    parts: list[str] = []
    if isinstance(value, dict):
        for name, item in list(value.items())[:FIELDS_MAX]:
            if item is None or (name in _NOISE and not isinstance(item, dict | list)):
                continue
            parts.append(_flat(item, str(name).rpartition(".")[2], depth + 1))
    elif isinstance(value, list):
        parts += [_flat(item, prefix, depth + 1) for item in value[:5]]
    else:
        text = str(value)[:VALUE_CHARS_MAX]
        if text[:1] == "{" and text[-1:] == "}" and depth < 5:  # JSON within a text: an answer's body
            document = decoded(text)
            if document is not None:
                return f"{prefix}={text}"
        parts.append(f'{prefix}="{text}"' if " " in text else f"{prefix}={text}")
    return " ".join(part for part in parts if part)
