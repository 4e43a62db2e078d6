"""Access lines of edges, proxies and the application's own server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from callpath.doctor.logs.access import upstream_errors
from callpath.doctor.logs.lines import Line
from callpath.doctor.logs.parse import read_record
from callpath.doctor.logs.record import Record


def record(text: str) -> Record:
    return next(iter(read_record(Line("f", 1, text))))


def row(**fields: Any) -> Record:
    return next(iter(read_record(Line("f", 1, document=fields))))


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


TSV = "\t".join([
    "2026-01-02", "03:04:05", "AMS1", "500", "192.76.120.130", "GET", "d1.cloudfront.net", "/media", "502", "-",
    "telnyx-websocket", "-", "-", "Error", "id", "h.example", "wss", "10", "0.5",
])  # fmt: skip

EDGES = [
    ('192.76.120.130 - john doe [02/Jan/2026:03:04:05 +0100] "GET /media HTTP/1.1" 502 157 "-" "ua"', "proxy"),
    ('h.example 192.76.120.130 - - [02/Jan/2026:03:04:05 +0100] "GET /media HTTP/1.1" 502 4 "-" "-"', "proxy"),
    ("wss 2026-01-02T03:04:05.678901Z app/lb/50dc6c495c0c9188 192.76.120.130:5000 - 0.0 0.1 0.0 502 - 34 366 "
     '"GET https://h.example:443/media HTTP/1.1" "-" ECDHE TLSv1.2 arn', "ALB"),
    ("Jan  2 03:04:05 lb haproxy[1]: 192.76.120.130:5000 [02/Jan/2026:03:04:05.678] fe~ be/<NOSRV> 0/-1/-1/-1/5 502 400 "
     '- - SC-- 1/1/0/0/0 0/0 "GET /media HTTP/1.1"', "HAProxy"),
    ('[2026-01-02T03:04:05.678Z] "GET /media HTTP/1.1" 502 UF 0 91 0 - "192.76.120.130" "ua" "id" "h.example" "-"',
     "Envoy"),
    (TSV, "CloudFront"),
    (json.dumps({"time_local": "02/Jan/2026:03:04:05 +0100", "remote_addr": "192.76.120.130",
                 "request": "GET /media HTTP/1.1", "status": "502", "request_time": "0.1"}), "nginx"),
    (json.dumps({"ClientAddr": "192.76.120.130:5", "RequestMethod": "GET", "RequestPath": "/media",
                 "DownstreamStatus": 502, "Duration": 12, "StartUTC": "2026-01-02T03:04:05.678Z"}), "Traefik"),
    (json.dumps({"httpRequest": {"requestMethod": "GET", "requestUrl": "https://h.example/media", "status": 502},
                 "timestamp": "2026-01-02T03:04:05.678901Z", "severity": "ERROR"}), "Google Cloud"),
    (json.dumps({"id": "1", "timestampInMs": 1767323045678, "message": "",
                 "proxy": {"method": "GET", "path": "/media", "statusCode": 502, "host": "h.example"}}), "Vercel"),
    (json.dumps({"ClientRequestMethod": "GET", "ClientRequestURI": "/media", "EdgeResponseStatus": 502,
                 "EdgeStartTimestamp": "2026-01-02T03:04:05Z", "ClientIP": "192.76.120.130"}), "Cloudflare"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "platform"), EDGES, ids=[platform for _, platform in EDGES])
def test_every_edge_has_the_same_row(line: str, platform: str) -> None:
    """The rules read one kind of row, whoever wrote it."""
    found = record(line)

    assert found.edge is not None and not found.served
    assert ("GET", "/media", 502, platform) == (
        found.edge.method, found.edge.path, found.edge.status, found.edge_platform,
    )  # fmt: skip


SERVED = [
    'INFO:     192.76.120.31:0 - "POST /webhooks/telnyx HTTP/1.1" 422 Unprocessable Entity',
    "POST /webhooks/telnyx 422 12.345 ms - 2",
    '[GIN] 2026/01/02 - 03:04:05 | 422 |     1.2ms |  192.76.120.31 | POST     "/webhooks/telnyx"',
    "[Fri Jan  2 03:04:05 2026] 127.0.0.1:5000 [422]: POST /webhooks/telnyx",
    '[02/Jan/2026 03:04:05] "POST /webhooks/telnyx HTTP/1.1" 422 2',
    '{"level":30,"time":1767323045678,"req":{"method":"POST","url":"/webhooks/telnyx"},"res":{"statusCode":422},"msg":"x"}',
    '{"time":"2026-01-02T03:04:05Z","method":"POST","uri":"/webhooks/telnyx","status":422,"latency":12,"message":"r"}',
]


@pytest.mark.parametrize("line", SERVED)
def test_the_applications_own_access_lines(line: str) -> None:
    """They show what reached the application, without an edge's log."""
    found = record(line)

    assert found.served and found.edge is not None
    assert ("POST", "/webhooks/telnyx", 422) == (found.edge.method, found.edge.path, found.edge.status)


@pytest.mark.parametrize(
    "line",
    [
        "POST https://api.telnyx.com/v2/calls 403",
        "POST /v2/calls/v3:abcdef/actions/answer -> 422 {}",
        "Telnyx API error 422 on /calls/v3:abc/actions/streaming_start",
        "sent 200 frames to GET /media",
    ],
)
def test_a_request_that_the_application_sent_is_no_row(line: str) -> None:
    """Telnyx's refusal of a command is not the application's refusal of a webhook."""
    assert record(line).edge is None


def test_an_upgrade_shows_itself() -> None:
    """A GET of a path that sounds like a stream is none."""
    upgrade = record('192.0.2.1 - - [02/Jan/2026:03:04:05 +0000] "GET /media HTTP/1.1" 101 4 "-" "-"').edge
    film = record('192.0.2.1 - - [02/Jan/2026:03:04:05 +0000] "GET /media/a.mp4 HTTP/1.1" 401 4 "-" "Mozilla"').edge
    ours = record("('192.0.2.1', 0) - \"WebSocket /media\" [accepted]").edge

    assert upgrade is not None and upgrade.upgrade
    assert film is not None and not film.upgrade
    assert ours is not None and ours.upgrade and 101 == ours.status
