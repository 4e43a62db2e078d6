"""A voice bot that knows nothing of callpath: standard library and `websockets`, threads, no signature check.

    python foreign_bot.py echo|talk|menu prints one line of JSON: where its webhook is

`echo` sends everything back. `talk` greets, stops when it is talked over, and answers 300 ms after the caller stopped.
`menu` has no stream: it lets Telnyx speak, and hangs up.
"""

from __future__ import annotations

import base64
import json
import math
import os
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from websockets.sync.server import ServerConnection, serve

API, KEY = os.environ["TELNYX_API_BASE"], os.environ["TELNYX_API_KEY"]
STREAM = {"stream_bidirectional_mode": "rtp", "stream_bidirectional_target_legs": "self", "stream_codec": "PCMU"}
SILENCE = b"\xff" * 160
LOUD = bytes(0x80 + int(20 + 15 * math.sin(n * 2 * math.pi * 500 / 8000)) for n in range(160))
"""Loud enough to be speech; what it sounds like is of no interest here."""


def api(path: str, body: dict[str, Any]) -> None:
    request = urllib.request.Request(f"{API}{path}", json.dumps(body).encode(), method="POST")
    request.add_header("authorization", f"Bearer {KEY}")
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()


class Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
        if self.path == "/dial":
            call = {"connection_id": "2900000000000000001", "from": "+15555550199", "to": "+15555550123"}
            threading.Thread(target=api, args=("/calls", call), daemon=True).start()
            return
        event = json.loads(body)["data"]
        payload = event["payload"]
        actions = f"/calls/{payload['call_control_id']}/actions"
        if event["event_type"] == "call.initiated" and payload["direction"] == "incoming":
            threading.Thread(target=api, args=(f"{actions}/answer", {}), daemon=True).start()
        if event["event_type"] == "call.answered" and sys.argv[1] == "menu":
            menu = {"payload": "Good-bye.", "voice": "female", "language": "en-US"}
            threading.Thread(target=api, args=(f"{actions}/speak", menu), daemon=True).start()
        elif event["event_type"] == "call.speak.ended":
            threading.Thread(target=api, args=(f"{actions}/hangup", {}), daemon=True).start()
        elif event["event_type"] == "call.answered":
            start = STREAM | {"stream_url": media_url}
            threading.Thread(target=api, args=(f"{actions}/streaming_start", start), daemon=True).start()

    def log_message(self, *_: object) -> None:
        pass


def send(socket: ServerConnection, payload: bytes) -> None:
    socket.send(json.dumps({"event": "media", "media": {"payload": base64.b64encode(payload).decode()}}))


def echo(socket: ServerConnection) -> None:
    for text in socket:
        frame = json.loads(text)
        if frame["event"] == "media":
            send(socket, base64.b64decode(frame["media"]["payload"]))


def talk(socket: ServerConnection) -> None:
    """Frames come every 20 ms, so they are the clock, too."""
    speaks, caller_quiet_ms, caller_loud_ms, caller_spoke = 50, 0, 0, False
    for text in socket:
        frame = json.loads(text)
        if frame["event"] != "media":
            continue
        loud = sum(byte & 0x7F < 0x50 for byte in base64.b64decode(frame["media"]["payload"])) > 40
        caller_quiet_ms = 0 if loud else caller_quiet_ms + 20
        caller_loud_ms = caller_loud_ms + 20 if loud else 0
        if caller_loud_ms > 100 and speaks:
            speaks = 0
            socket.send(json.dumps({"event": "clear"}))
        caller_spoke = caller_spoke or loud
        if caller_spoke and caller_quiet_ms >= 300:
            speaks, caller_spoke = 60, False
        if speaks:
            speaks -= 1
            send(socket, LOUD)


if __name__ == "__main__":
    hooks = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    media = serve(echo if sys.argv[1] == "echo" else talk, "127.0.0.1", 0, compression=None)
    media_url = f"ws://127.0.0.1:{media.socket.getsockname()[1]}/media"
    threading.Thread(target=media.serve_forever, daemon=True).start()
    threading.Thread(target=hooks.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{hooks.server_port}"
    sys.stdout.write(json.dumps({"webhook": f"{base}/hook", "dial": f"{base}/dial"}) + "\n")
    sys.stdout.flush()
    sys.stdin.read()  # until whoever started it goes away
