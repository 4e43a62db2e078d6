"""How the server logs: one JSON object a line for machines, one readable line for people; always on stdout.

Keys are `message`, `level`, `timestamp`, `event_name` and the call's ids: what Railway and others parse. Nothing goes to
stderr, which such hosts mark as an error.
"""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Iterable
from typing import Any

import structlog

_NUMBER = re.compile(r"(?:\+|%2B)\d{7,15}(?!\d)")
_API_KEY = re.compile(r"\bKEY[0-9A-Za-z_-]{16,}")


def set_up_logging(log_format: str, secrets: Iterable[str] = ()) -> None:
    """Configure structlog. `auto` is text on a terminal and JSON elsewhere.

    Phone numbers, API keys and `secrets` are hidden in whole lines, tracebacks too: what an application's exception or
    Telnyx's own answer says is not ours to choose.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # no character may end a call because it cannot be printed
    as_text = log_format == "text" or (log_format == "auto" and sys.stdout.isatty())
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if as_text:
        processors += [_only_ids_that_help, structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), pad_event_to=60)]
    else:
        processors += [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            _message_first,
            structlog.processors.JSONRenderer(),
        ]
    processors.append(_hiding([secret for secret in secrets if secret]))
    _redirect(logging.getLogger("uvicorn.error"), "web_server", processors)
    _redirect(logging.getLogger("opentelemetry"), "traces", processors)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )


def _hiding(secrets: list[str]) -> Any:
    """The last processor: it sees a line as it will stand there."""

    def hide(_logger: Any, _method: str, line: str) -> str:
        for secret in secrets:
            line = line.replace(secret, "[hidden]")
        return _API_KEY.sub("[API key]", _NUMBER.sub("[number]", line))

    return hide


def _redirect(library: logging.Logger, event_name: str, processors: list[Any]) -> None:
    """What the web server, or another library, has to say goes the same way as ours."""

    def foreign(_logger: Any, _method: str, event: Any) -> Any:
        record = event.pop("_record")
        event.pop("_from_structlog", None)
        return event | {"event_name": event_name, "level": record.levelname.lower()}

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[foreign, *processors]))
    library.handlers = [handler]
    library.propagate = False
    library.setLevel(logging.WARNING)
    library.addFilter(_is_about_ourselves)


def _is_about_ourselves(record: logging.LogRecord) -> bool:
    """uvicorn takes an upgrade that was refused in good order for a mistake of ours, and logs each; and a line for each
    request that is none would let anybody fill the log (`server/limits.py` counts them)."""
    said = record.getMessage()
    return "without completing handshake" not in said and "Invalid HTTP request" not in said


def _message_first(_logger: Any, _method: str, event: Any) -> Any:
    return {key: event.pop(key) for key in ("timestamp", "level", "message", "event_name") if key in event} | event


def _only_ids_that_help(_logger: Any, _method: str, event: Any) -> Any:
    """On a terminal the beginning of the session id is enough to tell calls apart."""
    session = event.pop("call_session_id", None)
    event.pop("call_leg_id", None)
    event.pop("event_name", None)
    if session:
        event["call"] = session[:8]
    return event
