"""Each make of line is recognised by itself, and unwrapped."""

from __future__ import annotations

import json
from typing import Any

import pytest

from callpath.doctor.logs.lines import Line
from callpath.doctor.logs.parse import read_record
from callpath.doctor.logs.record import Record

AT = 1_767_323_045_678


def record(text: str) -> Record:
    return next(iter(read_record(Line("f", 1, text))))


def row(**fields: Any) -> Record:
    return next(iter(read_record(Line("f", 1, document=fields))))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("call answered", "text"),
        ("2026-01-02T03:04:05.678Z call answered", "text with time"),
        ("2026-01-02T03:04:05.678901234Z call answered", "docker -t"),
        ("web-1  | call answered", "docker compose"),
        ("2026-01-02T03:04:05.678901+00:00 app[web.1]: call answered", "Heroku"),
        ("2026-01-02T03:04:05.678Z app[148e2] ams [info] call answered", "Fly"),
        ("Jan  2 03:04:05 host bot[12]: call answered", "syslog"),
        ('{"level":30,"time":1767323045678,"msg":"call answered"}', "JSON lines"),
        ('{"log":"call answered\\n","stream":"stdout","time":"2026-01-02T03:04:05.678Z"}', "docker json-file"),
        (
            '{"message":"call answered","timestamp":"2026-01-02T03:04:05.678Z","level":"info"}',
            "Railway NDJSON or alike",
        ),
        ("\x1b[32m2026-01-02T03:04:05.678Z\x1b[0m \x1b[1mcall answered\x1b[0m", "text with time"),
    ],
)
def test_makes_of_lines(text: str, named: str) -> None:
    """What the application said is left, the wrapper is off."""
    found = record(text)

    assert (named, "call answered") == (found.format, found.text.strip())


def test_wrappers_within_wrappers() -> None:
    """compose, then docker's time, then the application's JSON with its own time."""
    found = record('web-1  | 2026-01-02T03:04:12.000000000Z {"level":30,"time":1767323045678,"msg":"call answered"}')

    assert "call answered" == found.text
    assert found.own is not None and AT == found.own.unix_ms
    assert found.platform is not None and AT + 6_322 == found.platform.unix_ms


def test_railways_export_with_the_applications_time_in_the_message() -> None:
    """The stamp is Railway's, the time in the message the application's."""
    found = row(
        message="[2026-01-02T03:04:05.678Z] POST /webhook",
        attributes={"level": "info"},
        tags={"deployment": "d1", "replica": "r1"},
        timestamp="2026-01-02T03:04:13.378000000Z",
    )

    assert ("Railway export", "POST /webhook", "r1", "d1") == (found.format, found.text, found.source, found.deployment)
    assert found.own is not None and found.platform is not None
    assert 7_700 == found.platform.unix_ms - found.own.unix_ms


def test_attributes_as_graphql_gives_them() -> None:
    """A list of keys and values, values in JSON."""
    found = row(
        message="webhook",
        timestamp="2026-01-02T03:04:05Z",
        attributes=[{"key": "eventType", "value": '"call.answered"'}, {"key": "level", "value": '"info"'}],
    )

    assert "webhook eventType=call.answered" == found.text


def test_a_whole_answer_of_the_api() -> None:
    """Saved from the network tab of a browser."""
    rows = [{"message": f"m{n}", "timestamp": "2026-01-02T03:04:05Z", "attributes": []} for n in range(3)]
    text = json.dumps({"data": {"deploymentLogs": rows}})

    assert ["m0", "m1", "m2"] == [found.text for found in read_record(Line("f", 1, text))]


def test_rows_that_say_nothing_about_a_call() -> None:
    """Network flows and DNS queries come in the same export."""
    assert "network" == row(flowId="1", captureStart="x", srcAddr="y").skipped
    assert "dns" == row(qname="x", qtype="A", timestamp="2026-01-02T03:04:05Z").skipped


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("[2026-01-02 03:04:05 +0000] [7] [INFO] call answered", "info"),
        ("2026-01-02 03:04:05.678 | INFO     | app.main:handler:42 - call answered", "info"),
        ("2026-01-02 03:04:05,678 - app - WARNING - call answered", "warning"),
        ("INFO:app:call answered", "info"),
        ("INFO:     call answered", "info"),
        ("2026-01-02 03:04:05,678 app INFO call answered", "info"),
        ("2026-01-02 03:04:05 [error    ] call answered", "error"),
        ("[03:04:05.678] INFO (1234): call answered", "info"),
        ("[03:04:05 ERR] call answered", "err"),
        ("2026-01-02 03:04:05.678 [main] INFO  c.e.Bot - call answered", "info"),
        ("2026-01-02T03:04:05.678Z  INFO 1 --- [  main] c.e.App : call answered", "info"),
        ("2026-01-02T03:04:05.678901Z  INFO bot::media: call answered", "info"),
        ("I0102 03:04:05.678901   123 main.go:12] call answered", ""),
        ("[2026-01-02T03:04:05.678901+00:00] app.ERROR: call answered", "error"),
        ("[2026-01-02 03:04:05] production.WARNING: call answered", "warning"),
        ("I, [2026-01-02T03:04:05.678901 #123]  INFO -- : call answered", "info"),
        ("03:04:05.678 [info] call answered", "info"),
        ("info: call answered", "info"),
        ('time=2026-01-02T03:04:05.678Z level=WARN msg="call answered"', "warn"),
        ('{"level":50,"time":1767323045678,"msg":"call answered"}', "error"),
        ('{"@t":"2026-01-02T03:04:05.678Z","@m":"call answered","@l":"Warning"}', "warning"),
        ('{"event":"call answered","level":"info","timestamp":"2026-01-02T03:04:05.678Z","logger":"x"}', "info"),
        ('{"@timestamp":"2026-01-02T03:04:05.678Z","log.level":"INFO","message":"call answered"}', "info"),
        ('{"level":"INFO","ts":1767323045.678,"logger":"x","msg":"call answered"}', "info"),
        ('{"message":"call answered","levelname":"INFO","asctime":"2026-01-02 03:04:05,678","name":"x"}', "info"),
    ],
)
def test_every_loggers_columns_come_off(line: str, level: str) -> None:
    """Patterns read what was said, and not what the logger wrote around it."""
    found = record(line)

    assert ("call answered", level) == (found.text, found.level)


def test_an_exception_beside_the_message_is_below_it() -> None:
    """pino's err, winston's stack, structlog's exception, Serilog's @x: the same form for the passes that follow."""
    stack = "TypeError: x is undefined\\n    at f (/app/a.js:1:2)"

    for line in (
        f'{{"level":50,"time":1767323045678,"msg":"failed","err":{{"type":"TypeError","stack":"{stack}"}}}}',
        f'{{"level":"error","message":"failed","stack":"{stack}","timestamp":"2026-01-02T03:04:05Z","x":1}}',
        f'{{"@t":"2026-01-02T03:04:05Z","@m":"failed","@x":"{stack}"}}',
    ):
        assert "failed" == record(line).text.partition("\n")[0].partition(" ")[0]
        assert "    at f (/app/a.js:1:2)" in record(line).text


def test_the_inner_time_counts() -> None:
    """Google's stamp is when it took the line in; loguru's own is when it was written."""
    found = record(
        '{"textPayload":"2026-01-02 03:04:05.678 | INFO | m:f:1 - call answered","timestamp":"2026-01-02T03:04:09Z",'
        '"severity":"INFO"}'
    )

    assert "call answered" == found.text
    assert found.own is not None and AT == found.own.unix_ms
    assert found.platform is not None and AT + 3_322 == found.platform.unix_ms
