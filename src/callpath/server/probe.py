"""The doctor's own call: /api/calls/test-connection/audio.

It is let in with the probe token (any, or none, while the public URL is this machine's own), is told what arrived here
of its upgrade request, and hears back every media frame that it sends. So what a proxy changed is seen from both ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
import structlog
from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from callpath import __version__
from callpath.errors import RemoteProtocolError
from callpath.server.limits import Limits
from callpath.server.tokens import CallTokens
from callpath.wire.ids import SessionId
from callpath.wire.media import Media, Stop, encode_media, parse_message

TEST_CONNECTION = SessionId("test-connection")

PROBES_MAX = 8
"""Probes at once; more are refused with 503."""

PROBE_S_MAX = 900.0
"""How long a probe may hold its socket: enough to see a proxy's idle limit of ten minutes."""

HEADERS_SHOWN_BYTES_MAX = 400
"""How much of each header value is told back."""

logger = structlog.get_logger("callpath")


class ProbeEndpoint:
    """Answers the doctor. `tokens` None: nobody needs one."""

    def __init__(self, *, tokens: CallTokens | None, limits: Limits) -> None:
        self._tokens = tokens
        self._limits = limits
        self._running = 0

    async def answer(self, websocket: WebSocket, shown_token: str | None, *, known: bool = False) -> None:
        """Let one probe in, or refuse it before 101 with a reason. `known`: its token is the right one."""
        if not known and self._tokens is not None and not self._tokens.fits(TEST_CONNECTION, shown_token or ""):
            await self._reject(
                websocket,
                401 if not shown_token else 403,
                "no_probe_token" if not shown_token else "wrong_probe_token",
                "a probe must show the probe token: run the doctor with this server's settings, or give it --token",
            )
            return
        if self._running >= PROBES_MAX:
            await self._reject(websocket, 503, "too_many_probes", f"{PROBES_MAX} probes are running already")
            return
        self._running += 1
        try:
            await websocket.accept()
            logger.info("Probe connected", event_name="probe.connected", client=_client(websocket))
            async with asyncio.timeout(PROBE_S_MAX):
                await self._echo(websocket)
        except (WebSocketDisconnect, TimeoutError, RuntimeError):
            return  # a probe may go away in any way it likes
        finally:
            self._running -= 1

    async def _echo(self, websocket: WebSocket) -> None:
        await websocket.send_text(msgspec.json.encode(arrived(websocket)).decode())
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None:
                continue
            try:
                frame = parse_message(text)
            except RemoteProtocolError:
                continue
            match frame:
                case Media(track="inbound"):
                    await websocket.send_text(encode_media(frame.payload))
                case Stop():
                    await websocket.close(1000, "stream stopped")
                    return
                case _:
                    pass

    async def _reject(self, websocket: WebSocket, status: int, reason: str, detail: str) -> None:
        await self._limits.reject("upgrade", reason, detail, _client(websocket), websocket.url.path)
        await websocket.send_denial_response(JSONResponse({"error": reason, "detail": detail}, status_code=status))


def arrived(websocket: WebSocket) -> dict[str, object]:
    """What reached us of an upgrade request, as the frame that a probe is greeted with. Tokens are left out."""
    headers: Mapping[str, str] = websocket.headers
    return {
        "event": "callpath",
        "callpath": {
            "version": __version__,
            "path": websocket.scope["raw_path"].decode("ascii", "replace")
            if websocket.scope.get("raw_path")
            else websocket.url.path,
            "query": websocket.url.query,
            "scheme": websocket.url.scheme,
            "http_version": websocket.scope.get("http_version"),
            "client": _client(websocket),
            "headers": [
                [name, "***" if _is_secret(name) else value[:HEADERS_SHOWN_BYTES_MAX]]
                for name, value in headers.items()
            ],
        },
    }


def _is_secret(name: str) -> bool:
    return any(word in name for word in ("token", "authorization", "cookie", "secret", "key"))


def _client(websocket: WebSocket) -> str | None:
    return websocket.client.host if websocket.client else None
