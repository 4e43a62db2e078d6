"""The server's log lines, as hosts parse them and as people read them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from callpath.cli.logs import set_up_logging

IDS = {"call_session_id": "428c31b6-7af4-4bcb-b7f5-5013ef9657c1", "call_leg_id": "2dc6fc34-0000"}


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """structlog is set up per process; other tests keep theirs."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def logged(
    log_format: str, log: Callable[[Any], None], *, terminal: bool = False, secrets: tuple[str, ...] = ()
) -> str:
    """What stands on stdout after `log` was called with a logger."""
    out = io.StringIO()
    out.isatty = lambda: terminal  # type: ignore[method-assign]  # a file that is a terminal
    with redirect_stdout(out):
        set_up_logging(log_format, secrets)
        log(structlog.get_logger("test"))
    return out.getvalue()


def marker(**more: Any) -> Callable[[Any], None]:
    """One entry as the runner logs it."""
    text = "WebSocket connection received from 192.0.2.7"
    return lambda logger: logger.info(text, event_name="socket.received", **IDS, **more)


@pytest.mark.parametrize("log_format", ["json", "auto"])
def test_a_line_for_machines(log_format: str) -> None:
    """Railway and others sort by `level`, show `message`, and search the rest by name; one object a line."""
    (line,) = logged(log_format, marker(status=200)).splitlines()
    fields = json.loads(line)

    assert list(fields)[:4] == ["timestamp", "level", "message", "event_name"]
    assert datetime.fromisoformat(fields.pop("timestamp")).utcoffset() == UTC.utcoffset(None)
    assert fields == {
        "level": "info",
        "message": "WebSocket connection received from 192.0.2.7",
        "event_name": "socket.received",
        "status": 200,
        **IDS,
    }


@pytest.mark.parametrize("level", ["info", "warning", "error"])
def test_levels_are_named_as_everywhere(level: str) -> None:
    """An alert on `level=error` must see errors, and nothing else."""
    line = logged("json", lambda logger: getattr(logger, level)("x"))

    assert json.loads(line)["level"] == level


def test_details_for_developers_are_left_out() -> None:
    """Debug lines of a busy server cost money on most hosts."""
    assert logged("json", lambda logger: logger.debug("x")) == ""


def test_an_exception_stays_on_its_line() -> None:
    """A traceback over many lines would become as many log entries."""

    def fail(logger: Any) -> None:
        try:
            raise ValueError("not this way")
        except ValueError:
            logger.exception("A task failed", event_name="task.failed")

    (line,) = logged("json", fail).splitlines()

    assert json.loads(line)["exception"].endswith("ValueError: not this way")


@pytest.mark.parametrize("value", ["a\nb", "\udce9", b"bytes", object], ids=["lines", "stray", "bytes", "object"])
def test_no_value_breaks_a_line(value: Any) -> None:
    """A log call must never be what ends a call."""
    (line,) = logged("json", marker(value=value)).splitlines()

    assert json.loads(line)["event_name"] == "socket.received"


def test_a_line_for_people() -> None:
    """The sentence, and as much of the id as tells calls apart."""
    (line,) = logged("text", marker(status=200)).splitlines()

    assert "WebSocket connection received from 192.0.2.7" in line
    assert "call=428c31b6 " in line and "status=200" in line
    assert IDS["call_session_id"] not in line and "call_leg_id" not in line and "event_name" not in line
    assert "\x1b" not in line


def test_on_a_terminal_auto_is_text() -> None:
    """Who starts the server by hand wants to read."""
    line = logged("auto", marker(), terminal=True)

    assert "WebSocket connection received" in line
    with pytest.raises(json.JSONDecodeError):
        json.loads(line)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_character_is_too_strange_for_the_terminal(log_format: str) -> None:
    """An error that quotes a file name with stray bytes, or a host whose output is ASCII: a log call must not raise."""
    raw = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(raw, encoding="ascii", write_through=True)) as out:
        set_up_logging(log_format)
        structlog.get_logger("test").error("Handler raised … caf\udce9.wav", event_name="handler.failed")
        line = raw.getvalue()
        out.detach()

    assert b"Handler raised" in line


def test_nothing_goes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    """Hosts mark all of it as errors."""
    set_up_logging("json")
    structlog.get_logger("test").error("x", event_name="x")
    set_up_logging("text")
    structlog.get_logger("test").error("x", event_name="x")

    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_nothing_private_stands_in_a_line(log_format: str) -> None:
    """Logs go to others: an application's exception may say whom it failed for, and a URL may hold a token."""

    def fail(logger: Any) -> None:
        try:
            raise ValueError("no customer +4915112345678 (or %2B15555550123)")
        except ValueError as error:
            logger.exception(
                f"Handler raised {error}", event_name="handler.failed", url="wss://x/audio/s3cret-token", key=""
            )

    text = logged(log_format, fail, secrets=("s3cret-token", ""))

    assert "[number]" in text
    assert "[hidden]" in text
    assert not [hidden for hidden in ("4915112345678", "15555550123", "s3cret-token") if hidden in text]
