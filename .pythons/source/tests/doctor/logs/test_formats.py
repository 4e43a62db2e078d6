"""Each make of line is recognised by itself, and unwrapped."""

from __future__ import annotations

import json
from typing import Any

import pytest

from callpath.doctor.logs.formats import Record, read_record, upstream_errors
from callpath.doctor.logs.lines import Line

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


@pytest.mark.parametrize(
    ("value", "errors"),
    [
        ("", ()), ("0", ()), (0, ()), (None, ()), ("[]", ()), ([], ()),
        ('[{"deploymentInstanceID":"x","duration":0,"error":"connection refused"}]', ("connection refused",)),
        ([{"error": "connection dial timeout"}, {"error": "connection dial timeout"}], ("connection dial timeout",)),
        ("connection refused", ("connection refused",)),
        ('[{"error": "cut', ('[{"error": "cut',)),
        (3, ("3 upstream errors",)),
        ({"error": "reset"}, ("reset",)),
        (["a", "b"], ("a", "b")),
    ],
)  # fmt: skip
def test_upstream_errors_of_every_shape(value: object, errors: tuple[str, ...]) -> None:
    """Railway's schema says text, its docs print 0, and an array within a text was seen."""
    assert errors == upstream_errors(value)


def test_a_row_of_railways_edge() -> None:
    """All twenty fields, of which numbers may be texts."""
    found = row(
        timestamp="2026-01-02T03:04:05.678Z", method="get", path="/audio", httpStatus="502", totalDuration="12ms",
        host="h.example", upstreamAddress="10.0.0.1:8080", upstreamErrors='[{"error":"connection refused"}]',
        responseDetails="Retried single replica", deploymentId="d1", requestId="r", clientUa="u", srcIp="192.0.2.1",
        upstreamRqDuration=0, edgeRegion="ams",
    ).edge  # fmt: skip

    assert found is not None
    assert ("GET", 502, 12.0, ("connection refused",), "d1") == (
        found.method, found.status, found.duration_ms, found.upstream_errors, found.deployment_id,
    )  # fmt: skip


def test_rows_of_other_edges() -> None:
    """Heroku's router, nginx's two logs, and Caddy's."""
    heroku = record(
        '2026-01-02T03:04:05.678+00:00 heroku[router]: at=error code=H10 desc="App crashed" method=GET path="/audio" '
        'host=x.example request_id=1 fwd="1.2.3.4" dyno= connect= service=12ms status=503 bytes=0'
    ).edge
    access = record('1.2.3.4 - - [02/Jan/2026:03:04:05 +0000] "GET /audio HTTP/1.1" 101 0 "-" "ws"').edge
    error = record(
        "2026/01/02 03:04:05 [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream, "
        'client: 1.2.3.4, server: , request: "GET /audio HTTP/1.1", upstream: "http://127.0.0.1:81/audio", host: "h"'
    ).edge
    caddy = record(
        '{"level":"info","ts":1767323045.678,"logger":"http.log.access","msg":"handled request","request":'
        '{"method":"GET","uri":"/audio","host":"h"},"status":101,"duration":1.5}'
    ).edge

    assert heroku is not None and (503, ("H10 App crashed",)) == (heroku.status, heroku.upstream_errors)
    assert access is not None and (101, "/audio") == (access.status, access.path)
    assert error is not None and (502, "127.0.0.1:81") == (error.status, error.upstream_address)
    assert caddy is not None and (101, 1500.0) == (caddy.status, caddy.duration_ms)


def test_rows_that_say_nothing_about_a_call() -> None:
    """Network flows and DNS queries come in the same export."""
    assert "network" == row(flowId="1", captureStart="x", srcAddr="y").skipped
    assert "dns" == row(qname="x", qtype="A", timestamp="2026-01-02T03:04:05Z").skipped
