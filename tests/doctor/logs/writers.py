"""The same story as each logger prints it, each platform wraps it, and each server in front writes its rows.

    text = PLATFORMS["Railway JSON"](lines("pino", HEALTHY))
    rows = ACCESS["nginx"](REQUESTS)

A logger takes (time, level, message, fields), a platform the lines with their times. Formats are those that the tools
print by default; hosts, ids and numbers are made up.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

CALL = "v3:wQmZtYhBv2LnPqRs7TuVwXyZa1BcDeFgHiJkLmNoPqRsTuVwXyAbC"
SESSION = "428c31b6-7af4-4bcb-b7f5-5013ef9657c1"
BEGUN = datetime(2026, 3, 17, 14, 2, 11, tzinfo=UTC)


@dataclass(frozen=True)
class Said:
    """One line of a program: `at_s` seconds into the call, with fields beside the message."""

    at_s: float
    message: str
    fields: dict[str, str | int] = field(default_factory=dict)
    level: str = "info"

    @property
    def at(self) -> datetime:
        return BEGUN + timedelta(seconds=self.at_s)


@dataclass(frozen=True)
class Request:
    """One request as a server in front sees it: written when it is over."""

    at_s: float
    method: str
    path: str
    status: int
    took_s: float = 0.01
    agent: str = "telnyx-webhooks"
    ip: str = "192.76.120.133"
    bytes: int = 15

    @property
    def at(self) -> datetime:
        return BEGUN + timedelta(seconds=self.at_s + self.took_s)


ID: dict[str, str | int] = {"call_control_id": CALL}
HEALTHY = (
    Said(0.0, "Telnyx webhook call.initiated", ID | {"direction": "incoming"}),
    Said(0.2, "answer accepted, 200", ID),
    Said(1.0, "Telnyx webhook call.answered", ID),
    Said(1.2, "streaming_start accepted, 200", ID | {"stream_url": "wss://bot.example.com/media"}),
    Said(1.5, "media websocket connected", ID),
    Said(1.6, "start event", ID | {"encoding": "PCMU"}),
    Said(1.7, "first media frame received", ID),
    Said(2.4, "first audio frame sent to caller", ID),
    Said(31.0, "stop event", ID),
    Said(31.1, "media websocket closed", ID | {"code": 1000}),
    Said(31.3, "Telnyx webhook call.hangup", ID | {"hangup_cause": "normal_clearing", "hangup_source": "caller"}),
)
"""A call that worked, by a program that tells each step."""

STORIES: dict[str, tuple[Said, ...]] = {
    "fastapi": (
        Said(0, "Received webhook: call.initiated", {"call_control_id": CALL}),
        Said(0.1, "Answering call", {"call_control_id": CALL}),
        Said(0.3, f'HTTP Request: POST https://api.telnyx.com/v2/calls/{CALL}/actions/answer "HTTP/1.1 200 OK"'),
        Said(1, "Received webhook: call.answered", {"call_control_id": CALL}),
        Said(
            1.3,
            f'HTTP Request: POST https://api.telnyx.com/v2/calls/{CALL}/actions/streaming_start "HTTP/1.1 200 OK"',
        ),
        Said(1.5, "WebSocket connection accepted"),
        Said(1.6, f"Stream started: stream_id=8749afc0-d1f4-4ef7-9888-c8130bdb2f54 call_control_id={CALL}"),
        Said(1.7, "Received first audio packet from Telnyx"),
        Said(2.5, "Sent first audio chunk to Telnyx"),
        Said(8, "User said: hello there"),
        Said(9, "Assistant: hi, how can I help"),
        Said(15, "User said: what are your opening hours"),
        Said(31, "Stream stopped"),
        Said(31.1, "WebSocket disconnected (code 1000)"),
        Said(31.3, "Received webhook: call.hangup", {"call_control_id": CALL, "hangup_cause": "normal_clearing"}),
    ),
    "node": (
        Said(0, "Incoming call from Telnyx", {"event": "call.initiated", "callControlId": CALL}),
        Said(0.2, "Call answered", {"callControlId": CALL, "status": 200}),
        Said(1, "event call.answered", {"callControlId": CALL}),
        Said(1.2, "Started media streaming", {"callControlId": CALL}),
        Said(1.5, "Telnyx media stream connected"),
        Said(1.6, "Media stream started", {"callControlId": CALL, "encoding": "PCMU"}),
        Said(1.8, "Receiving caller audio", {"callControlId": CALL}),
        Said(2.6, "Playing greeting to caller", {"callControlId": CALL}),
        Said(9, "Caller transcript: I would like to book"),
        Said(11, "AI response sent"),
        Said(31, "Media stream stopped", {"callControlId": CALL}),
        Said(31.1, "Media stream closed", {"code": 1000}),
        Said(31.3, "event call.hangup", {"callControlId": CALL, "cause": "normal_clearing"}),
    ),
    "go": (
        Said(0, "webhook received", {"event_type": "call.initiated", "call_control_id": CALL}),
        Said(0.2, "call answered", {"call_control_id": CALL}),
        Said(1, "webhook received", {"event_type": "call.answered", "call_control_id": CALL}),
        Said(1.2, "streaming start ok", {"call_control_id": CALL}),
        Said(1.3, "webhook received", {"event_type": "streaming.started", "call_control_id": CALL}),
        Said(1.5, "ws upgraded", {"path": "/media"}),
        Said(1.6, "ws start", {"call_control_id": CALL}),
        Said(1.7, "first rtp in", {"call_control_id": CALL}),
        Said(2.5, "first rtp out", {"call_control_id": CALL}),
        Said(31, "ws stop", {"call_control_id": CALL}),
        Said(31.1, "ws closed", {"code": 1000, "call_control_id": CALL}),
        Said(31.2, "webhook received", {"event_type": "streaming.stopped", "call_control_id": CALL}),
        Said(
            31.3,
            "webhook received",
            {"event_type": "call.hangup", "call_control_id": CALL, "hangup_cause": "normal_clearing"},
        ),
    ),
    "pipecat": (
        Said(0, f"Received event: call.initiated for {CALL}"),
        Said(0.2, f"Answered call {CALL}"),
        Said(1, f"Received event: call.answered for {CALL}"),
        Said(1.2, f"streaming_start: 200 {CALL}"),
        Said(1.5, "Accepted websocket connection from Telnyx"),
        Said(
            1.6,
            f"Call connected: stream 8749afc0-d1f4-4ef7-9888-c8130bdb2f54, call_control_id {CALL}, inbound_encoding PCMU",
        ),
        Said(1.7, "First inbound audio frame"),
        Said(2.4, "Bot started speaking"),
        Said(7, "Bot stopped speaking"),
        Said(8, "User started speaking"),
        Said(9, "User stopped speaking"),
        Said(10, "Bot started speaking"),
        Said(31, "Client disconnected"),
        Said(31.3, f"Received event: call.hangup for {CALL} (normal_clearing)"),
    ),
    "plain dump": (
        Said(
            0,
            f"{{'data': {{'event_type': 'call.initiated', 'id': 'a3a0f430-2b98-46aa-b3b8-f0ade0da936a', 'payload': {{'call_control_id': '{CALL}', 'call_session_id': '{SESSION}', 'from': '+15555550100', 'to': '+15555550101', 'direction': 'incoming'}}}}}}",
        ),
        Said(0.2, "answer: 200"),
        Said(
            1,
            f"{{'data': {{'event_type': 'call.answered', 'id': 'a3a0f430-2b98-46aa-b3b8-f0ade0da936b', 'payload': {{'call_control_id': '{CALL}', 'call_session_id': '{SESSION}'}}}}}}",
        ),
        Said(1.2, "streaming_start: 200"),
        Said(1.5, "ws open /media"),
        Said(
            1.6,
            f"ws message: {{'event': 'start', 'stream_id': '8749afc0-d1f4-4ef7-9888-c8130bdb2f54', 'start': {{'call_control_id': '{CALL}', 'media_format': {{'encoding': 'PCMU', 'sample_rate': 8000}}}}}}",
        ),
        Said(1.7, "ws message: {'event': 'media', ...}"),
        Said(2.4, "sending media, 160 bytes"),
        Said(31, "ws message: {'event': 'stop'}"),
        Said(31.1, "ws close 1000"),
        Said(
            31.3,
            f"{{'data': {{'event_type': 'call.hangup', 'payload': {{'call_control_id': '{CALL}', 'call_session_id': '{SESSION}', 'hangup_cause': 'normal_clearing', 'hangup_source': 'caller'}}}}}}",
        ),
    ),
}
"""The same call in the words of other programs."""

OTHER_LINES = (
    Said(0.05, '203.0.113.9:51110 - "GET /favicon.ico HTTP/1.1" 404 Not Found'),
    Said(0.5, '198.51.100.7:40122 - "GET /.env HTTP/1.1" 404'),
    Said(3, '198.51.100.7:40122 - "POST /wp-login.php HTTP/1.1" 405'),
    Said(4, "dashboard websocket connected", {"user": "7"}),
    Said(5, "redis: connection reset, reconnected"),
    Said(5.5, "Deepgram websocket closed (1000), reconnecting"),
    Said(6, "dashboard websocket closed", {"code": 1006}),
    Said(7, "Slow query: 812 ms"),
    Said(8, "health check ok"),
    Said(12, "OpenAI session updated"),
    Said(13, "retrying upload (attempt 2)", {}, "warn"),
    Said(20, '10.0.0.2:51110 - "GET /metrics HTTP/1.1" 503'),
    Said(33, "Shutting down"),
    Said(34, "Application shutdown complete."),
    Said(36, "Uvicorn running on http://0.0.0.0:8080"),
)
"""What else a program prints: other sockets, stores, strangers, a deploy after the call."""

REQUESTS = (
    Request(0.0, "POST", "/telnyx/webhook", 200),
    Request(1.0, "POST", "/telnyx/webhook", 200),
    Request(1.5, "GET", "/media", 101, took_s=29.6, agent="-", bytes=311_040),
    Request(31.3, "POST", "/telnyx/webhook", 200),
)
"""Its requests."""

NOISE = (
    Request(0.4, "GET", "/favicon.ico", 404, agent="Mozilla/5.0", ip="203.0.113.9"),
    Request(0.5, "GET", "/.env", 404, agent="Mozilla/5.0 zgrab/0.x", ip="198.51.100.7"),
    Request(0.6, "POST", "/wp-login.php", 405, agent="curl/8", ip="198.51.100.7"),
    Request(0.9, "GET", "/media/intro.mp4", 404, agent="Mozilla/5.0", ip="203.0.113.9"),
    Request(3.0, "GET", "/socket.io/?EIO=4&transport=websocket", 400, agent="Mozilla/5.0", ip="203.0.113.9"),
    Request(4.0, "GET", "/dashboard/ws", 101, took_s=2.0, agent="Mozilla/5.0", ip="203.0.113.9"),
    Request(6.0, "POST", "/webhooks/stripe", 400, agent="Stripe/1.0", ip="3.18.12.63"),
    Request(8.0, "GET", "/healthz", 200, agent="kube-probe/1.30", ip="10.0.0.1"),
    Request(9.0, "GET", "/admin", 401, agent="Mozilla/5.0", ip="198.51.100.7"),
    Request(40.0, "GET", "/metrics", 503, agent="Prometheus/2.51", ip="10.0.0.2"),
)
"""Rows of strangers: none of them has to do with a call."""


def iso(at: datetime, digits: int = 3, zone: str = "Z") -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")[: 20 + digits].rstrip(".") + zone


def _pairs(fields: dict[str, str | int]) -> str:
    return " ".join(f"{name}={value}" for name, value in fields.items())


def _flat(said: Said) -> str:
    return f"{said.message} {_pairs(said.fields)}".rstrip()


_PINO = {"debug": 20, "info": 30, "warn": 40, "error": 50}


def _loguru_json(said: Said) -> str:
    text = f"{said.at:%Y-%m-%d %H:%M:%S.%f}"[:23] + f" | {said.level.upper():<8} | bot:run:31 - {said.message}\n"
    record = {
        "elapsed": {"repr": "0:00:01", "seconds": 1.0}, "exception": None, "extra": said.fields,
        "file": {"name": "bot.py", "path": "/app/bot.py"}, "function": "run",
        "level": {"icon": "i", "name": said.level.upper(), "no": 20}, "line": 31, "message": said.message,
        "module": "bot", "name": "bot", "process": {"id": 7, "name": "MainProcess"},
        "thread": {"id": 1, "name": "MainThread"},
        "time": {"repr": said.at.isoformat(" "), "timestamp": said.at.timestamp()},
    }  # fmt: skip
    return json.dumps({"text": text, "record": record})


LOGGERS: dict[str, Callable[[Said], str]] = {
    "pino": lambda s: json.dumps({"level": _PINO[s.level], "time": int(s.at.timestamp() * 1000), "pid": 17, "hostname": "web-1", **s.fields, "msg": s.message}),
    "bunyan": lambda s: json.dumps({"name": "bot", "hostname": "web-1", "pid": 17, "level": _PINO[s.level], **s.fields, "msg": s.message, "time": iso(s.at), "v": 0}),
    "winston": lambda s: json.dumps({**s.fields, "level": s.level, "message": s.message, "timestamp": iso(s.at)}),
    "winston text": lambda s: f"{iso(s.at)} [bot] {s.level}: {_flat(s)}",
    "zap": lambda s: json.dumps({"level": s.level, "ts": s.at.timestamp(), "caller": "bot/main.go:31", "msg": s.message, **s.fields}),
    "zerolog": lambda s: json.dumps({"level": s.level, **s.fields, "time": s.at.strftime("%Y-%m-%dT%H:%M:%SZ"), "message": s.message}),
    "slog JSON": lambda s: json.dumps({"time": iso(s.at, 6), "level": s.level.upper(), "msg": s.message, **s.fields}),
    "slog text": lambda s: f'time={iso(s.at)} level={s.level.upper()} msg="{s.message}" {_pairs(s.fields)}',
    "structlog JSON": lambda s: json.dumps({**s.fields, "event": s.message, "level": s.level, "timestamp": iso(s.at, 6)}),
    "structlog console": lambda s: f"{iso(s.at, 6)} [{s.level:<9}] {s.message:<30} {_pairs(s.fields)}",
    "loguru": lambda s: f"{s.at:%Y-%m-%d %H:%M:%S.%f}"[:23] + f" | {s.level.upper():<8} | bot:run:31 - {_flat(s)}",
    "loguru JSON": _loguru_json,
    "logging": lambda s: f"{s.at:%Y-%m-%d %H:%M:%S},{s.at.microsecond // 1000:03d} - bot - {s.level.upper()} - {_flat(s)}",
    "uvicorn": lambda s: f"{s.level.upper()}:     {_flat(s)}",
    "python-json-logger": lambda s: json.dumps({"asctime": f"{s.at:%Y-%m-%d %H:%M:%S},{s.at.microsecond // 1000:03d}", "name": "bot", "levelname": s.level.upper(), "message": s.message, **s.fields}),
    "ECS": lambda s: json.dumps({"@timestamp": iso(s.at), "log.level": s.level, "message": s.message, "ecs": {"version": "8.10.0"}, "telnyx": s.fields}),
    "logfmt": lambda s: f'ts={iso(s.at)} level={s.level} msg="{s.message}" {_pairs(s.fields)}',
    "Serilog": lambda s: json.dumps({"@t": iso(s.at, 6), "@mt": s.message, **s.fields}),
    "logback": lambda s: f"{s.at:%Y-%m-%d %H:%M:%S}.{s.at.microsecond // 1000:03d} {s.level.upper():>5} 1 --- [nio-8080-exec-3] com.example.Bot : {_flat(s)}",
    "Rails": lambda s: f"{s.level[0].upper()}, [{iso(s.at, 6, '')} #17]  {s.level.upper()} -- : {_flat(s)}",
    "console.log": lambda s: _flat(s),
}  # fmt: skip
"""Each line as a logger prints it."""


def _lines(texts: Iterable[str]) -> str:
    return "".join(text + "\n" for text in texts)


Timed = list[tuple[datetime, str]]


def _epoch(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _gcp(rows: Timed) -> str:
    made = []
    for number, (at, text) in enumerate(rows):
        entry: dict[str, object] = {
            "insertId": f"abc{number}", "logName": "projects/p/logs/run.googleapis.com%2Fstdout",
            "receiveTimestamp": iso(at + timedelta(seconds=0.2), 6),
            "resource": {"type": "cloud_run_revision", "labels": {"service_name": "bot", "revision_name": "bot-1"}},
            "timestamp": iso(at, 6),
        }  # fmt: skip
        payload = json.loads(text) if text.startswith("{") else None
        made.append(entry | ({"jsonPayload": payload} if isinstance(payload, dict) else {"textPayload": text}))
    return json.dumps(made, indent=1)


PLATFORMS: dict[str, Callable[[Timed], str]] = {
    "plain": lambda rows: _lines(text for _, text in rows),
    "Railway JSON": lambda rows: json.dumps([{"message": text, "severity": "info", "timestamp": iso(at + timedelta(seconds=0.4), 9), "tags": {"serviceId": "s", "deploymentId": "d"}, "attributes": []} for at, text in rows]),
    "Railway text": lambda rows: _lines(f"{iso(at + timedelta(seconds=0.4), 6, '000Z')} [inf]  {text}" for at, text in rows),
    "Render": lambda rows: _lines(f"{iso(at, 6)}Z {text}".replace("ZZ", "Z") for at, text in rows),
    "Fly": lambda rows: _lines(f"{iso(at)} app[9080517b123456] ams [info] {text}" for at, text in rows),
    "Heroku": lambda rows: _lines(f"{iso(at, 6, '+00:00')} app[web.1]: {text}" for at, text in rows),
    "Docker": lambda rows: _lines(f"{iso(at, 6, '123Z')} {text}" for at, text in rows),
    "Docker JSON": lambda rows: _lines(json.dumps({"log": text + "\n", "stream": "stdout", "time": iso(at, 6, "123Z")}) for at, text in rows),
    "compose": lambda rows: _lines(f"bot-1  | {text}" for _, text in rows),
    "kubectl": lambda rows: _lines(f"[pod/bot-7d9f8b6c5-x2x4q/bot] {text}" for _, text in rows),
    "stern": lambda rows: _lines(f"bot-7d9f8b6c5-x2x4q bot {text}" for _, text in rows),
    "CRI": lambda rows: _lines(f"{iso(at, 6, '123Z')} stdout F {text}" for at, text in rows),
    "journald": lambda rows: _lines(f"{at:%b %d %H:%M:%S} srv bot[812]: {text}" for at, text in rows),
    "journald JSON": lambda rows: _lines(json.dumps({"__REALTIME_TIMESTAMP": str(_epoch(at) * 1000), "_PID": "812", "SYSLOG_IDENTIFIER": "bot", "_HOSTNAME": "srv", "PRIORITY": "6", "MESSAGE": text}) for at, text in rows),
    "RFC 3164": lambda rows: _lines(f"<14>{at:%b %d %H:%M:%S} srv bot[812]: {text}" for at, text in rows),
    "RFC 5424": lambda rows: _lines(f"<14>1 {iso(at)} srv bot 812 - - {text}" for at, text in rows),
    "CloudWatch": lambda rows: json.dumps({"events": [{"logStreamName": "bot/1", "timestamp": _epoch(at), "message": text, "ingestionTime": _epoch(at) + 400, "eventId": str(number)} for number, (at, text) in enumerate(rows)]}, indent=4),
    "CloudWatch tail": lambda rows: _lines(f"{iso(at, 6, '+00:00')} ecs/bot/1f2e3d4c5b6a {text}" for at, text in rows),
    "GCP": _gcp,
    "Vercel": lambda rows: json.dumps([{"id": str(number), "message": text, "timestamp": _epoch(at), "source": "lambda", "projectId": "p", "deploymentId": "d", "host": "bot.example.com", "level": "info"} for number, (at, text) in enumerate(rows)]),
}  # fmt: skip
"""The lines as a platform hands them out."""


def lines(logger: str, story: Iterable[Said]) -> Timed:
    """The story in the words of a logger."""
    return [(said.at, LOGGERS[logger](said)) for said in story]


def _clf(r: Request) -> str:
    return f'{r.ip} - - [{r.at:%d/%b/%Y:%H:%M:%S} +0000] "{r.method} {r.path} HTTP/1.1" {r.status} {r.bytes}'


def _alb(r: Request) -> str:
    kind = "wss" if r.status == 101 else "https"
    return (
        f"{kind} {iso(r.at, 6)} app/bot/50dc6c495c0c9188 {r.ip}:2817 10.0.0.66:8080 0.000 {r.took_s:.3f} 0.000 {r.status} "
        f'{r.status} 218 {r.bytes} "{r.method} https://bot.example.com:443{r.path} HTTP/1.1" "{r.agent}" '
        "ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/bot/1 "
        f'"Root=1-58337327-72bd00b0343d75b906739c42" "bot.example.com" "-" 0 {iso(r.at, 6)} "forward" "-" "-" '
        f'"10.0.0.66:8080" "{r.status}" "-" "-"'
    )


ACCESS: dict[str, Callable[[Request], str]] = {
    "nginx": lambda r: f'{_clf(r)} "-" "{r.agent}"',
    "nginx JSON": lambda r: json.dumps({"time": r.at.isoformat(), "remote_addr": r.ip, "request": f"{r.method} {r.path} HTTP/1.1", "status": r.status, "body_bytes_sent": r.bytes, "request_time": r.took_s, "http_user_agent": r.agent, "upstream_addr": "127.0.0.1:8080", "upstream_status": str(r.status)}),
    "vhost nginx": lambda r: f'bot.example.com {_clf(r)} "-" "{r.agent}"',
    "HAProxy": lambda r: f'{r.at:%b %d %H:%M:%S} lb haproxy[1234]: {r.ip}:51110 [{r.at:%d/%b/%Y:%H:%M:%S}.012] fe be/bot1 0/0/1/12/{r.took_s * 1000:.0f} {r.status} {r.bytes} - - ---- 5/5/2/2/0 0/0 "{r.method} {r.path} HTTP/1.1"',
    "Traefik": lambda r: f'{_clf(r)} "-" "{r.agent}" 42 "bot@docker" "http://10.0.0.3:8080" {r.took_s * 1000:.0f}ms',
    "Caddy": lambda r: json.dumps({"level": "info", "ts": r.at.timestamp(), "logger": "http.log.access.log0", "msg": "handled request", "request": {"remote_ip": r.ip, "remote_port": "41342", "client_ip": r.ip, "proto": "HTTP/1.1", "method": r.method, "host": "bot.example.com", "uri": r.path, "headers": {"User-Agent": [r.agent]}}, "bytes_read": 0, "user_id": "", "duration": r.took_s, "size": r.bytes, "status": r.status, "resp_headers": {}}),
    "ALB": _alb,
    "Envoy": lambda r: f'[{iso(r.at)}] "{r.method} {r.path} HTTP/1.1" {r.status} - 0 {r.bytes} {r.took_s * 1000:.0f} 3 "{r.ip}" "{r.agent}" "0e1f-1" "bot.example.com" "10.0.0.5:8080"',
    "uvicorn": lambda r: f'INFO:     {r.ip}:51110 - "WebSocket {r.path}" [accepted]' if r.status == 101 else f'INFO:     {r.ip}:51110 - "{r.method} {r.path} HTTP/1.1" {r.status} OK',
    "gunicorn": lambda r: f'{_clf(r)} "-" "{r.agent}"',
    "hypercorn": lambda r: f'[{r.at:%Y-%m-%d %H:%M:%S} +0000] [8] [INFO] {r.ip}:51110 {r.method} {r.path} 1.1 {r.status} {r.bytes} {r.took_s * 1e6:.0f}',
}  # fmt: skip
"""Each request as a server in front, or the application's own, logs it."""


def rows(server: str, requests: Iterable[Request]) -> str:
    """Its log, in order of the requests' ends."""
    return _lines(ACCESS[server](request) for request in sorted(requests, key=lambda request: request.at))


def frame(number: int) -> str:
    """A media message as programs log it when they log everything."""
    payload = base64.b64encode(bytes((number + step) % 256 for step in range(160))).decode()
    return json.dumps(
        {
            "event": "media",
            "sequence_number": str(number),
            "media": {"track": "inbound", "chunk": str(number), "timestamp": str(number * 20), "payload": payload},
            "stream_id": "8749afc0-d1f4-4ef7-9888-c8130bdb2f54",
        }
    )
