"""Secrets of one call, and everywhere they must not turn up: the whole output of a server, its pages and its reports."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from callpath.server.tokens import CallTokens
from callpath.simulator.simulator import Simulator
from callpath.timeline import HandlerFailed
from callpath.wire.ids import SessionId
from tests.soak.node import KEY, Node, event, senders

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]  # ten processes, one after the other

NUMBER = "+4915155501234"
DIGITS = "83*16#749"  # a time can look like a row of digits
API_KEY = "KEY0CANARY0123456789ABCDEF_canaryCANARY01"
SECRET = "canary-secret-of-the-audio-tokens"
LOGIN = "canary-login-of-the-dashboard"
SCRAPER = "canary-token-of-prometheus"
HANDLER = f"""
from callpath import App

app = App()

@app.call
async def fail(call):
    async for chunk in call.audio:
        raise ValueError("no customer has {NUMBER} and pressed nothing")
"""


async def test_nothing_private_is_told(tmp_path: Path) -> None:
    """Logs go to a platform, metrics to a collector, reports into tickets, errors to whoever asked."""
    (tmp_path / "canary_handler.py").write_text(HANDLER)
    seen: dict[str, str] = {}
    async with (
        Simulator(api_key=API_KEY, private_key=KEY) as telnyx,
        Node(
            tmp_path,
            telnyx.api_base,
            "canary_handler:app",
            TELNYX_API_KEY=API_KEY,
            CALLPATH_SECRET=SECRET,
            CALLPATH_DASHBOARD="on",
            CALLPATH_DASHBOARD_TOKEN=LOGIN,
            CALLPATH_METRICS_TOKEN=SCRAPER,
            CALLPATH_NO_SOCKET_THEN=f"transfer:{NUMBER}",
            CALLPATH_SOCKET_WITHIN_MS="300",
            CALLPATH_PROBE_MISSING="off",
        ) as node,
    ):
        telnyx.webhook_url = node.url
        caller = await telnyx.call(NUMBER)
        session = caller.call.leg.call_session_id
        await caller.ended(20_000)
        helped = await telnyx.call(NUMBER, faults=["never_connects"])
        await helped.until(lambda: any(seen.name == "transfer" for seen in helped.commands), 20_000)
        await helped.hang_up()
        async with senders(node.port, 1) as (sender,):
            digits = {"digits": DIGITS, "status": "valid"}
            gathered = await sender.post(event(session, "e-gathered", "call.gather.ended", **digits))
        token = CallTokens(SECRET).of(SessionId(session))
        for what, request in {
            "unsigned webhook": f"POST /api/calls/webhook HTTP/1.1\r\nContent-Length: {len(NUMBER)}",
            "audio without upgrade": f"GET /api/calls/{session}/audio/{token} HTTP/1.1",
            "wrong token": f"GET /api/calls/{session}/audio/{token}x HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade"
            "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            "over": f"GET /api/calls/{session}/audio/{token} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade"
            "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            "no login": f"GET /api/v1/calls/{session} HTTP/1.1",
            "wrong login": "GET /api/v1/calls HTTP/1.1\r\nAuthorization: Bearer wrong",
            "calls": f"GET /api/v1/calls HTTP/1.1\r\nAuthorization: Bearer {LOGIN}",
            "call": f"GET /api/v1/calls/{session} HTTP/1.1\r\nAuthorization: Bearer {LOGIN}",
            "helped": f"GET /api/v1/calls/{helped.call.leg.call_session_id} HTTP/1.1\r\nAuthorization: Bearer {LOGIN}",
            "report": f"GET /api/v1/calls/{session}/report.md HTTP/1.1\r\nAuthorization: Bearer {LOGIN}",
            "export": f"GET /api/v1/export HTTP/1.1\r\nAuthorization: Bearer {LOGIN}",
            "setup": f"GET /api/v1/setup HTTP/1.1\r\nAuthorization: Bearer {LOGIN}",
            "metrics": f"GET /metrics HTTP/1.1\r\nAuthorization: Bearer {SCRAPER}",
            "no metrics": "GET /metrics HTTP/1.1",
            "nowhere": f"GET /api/calls/{session}/audio/{token}/x HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade"
            "\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            "unreadable": f"POST /api/calls/{session}/audio/{token} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade"
            "\r\nContent-Length: 1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        }.items():
            body = NUMBER if what == "unsigned webhook" else ""
            ending = "" if "Upgrade:" in request else "Connection: close\r\n"
            asked = f"{request}\r\nHost: 127.0.0.1\r\n{ending}\r\n{body}"
            seen[what] = (await node.asked(asked.encode())).decode(errors="replace")  # a WebSocket ping may follow
        for command in (
            ["calls"],
            ["calls", "show", session],
            ["calls", "show", helped.call.leg.call_session_id],
            ["doctor", "call", session, "--offline", "--json"],
            ["doctor", "call", session, "--offline", "--report", "report.md", "-v"],
            ["config"],
        ):
            seen[" ".join(command)] = await _told(tmp_path, node.environment, *command)
        code = await node.stop()
        seen["log"] = node.output.read_text()
    seen["report file"] = (tmp_path / "report.md").read_text()
    private = {
        "number": NUMBER[1:],
        "digits": DIGITS,
        "API key": API_KEY,
        "secret": SECRET,
        "login": LOGIN,
        "metrics token": SCRAPER,
        "token": token,
    }
    told = {f"{name} in {place}" for place, text in seen.items() for name, word in private.items() if word in text}

    assert told == {"number in config"}  # the owner's own setting, shown to him
    assert (gathered, code) == (200, 0)
    assert "handler.failed" in seen["log"]
    assert "callpath_calls" in seen["metrics"]
    assert "call.gather.ended" in seen["call"]
    assert "transfer" in seen["helped"]
    assert "HTTP/1.1 410 " in seen["over"]
    assert "HTTP/1.1 403 " in seen["wrong token"]
    assert all(seen.values())


def test_what_an_exception_says_is_shown_without_numbers() -> None:
    """Where a line of a timeline is made: logs, reports and pages all take it from there."""
    from callpath.timeline import describe

    assert describe(HandlerFailed(error=f"ValueError: {NUMBER}", traceback="")) == "Handler raised ValueError: [number]"


async def _told(folder: Path, environment: dict[str, str], *command: str) -> str:
    """All that a command says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "callpath", *command),
        cwd=folder,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return said.decode()
