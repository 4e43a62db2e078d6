"""Run a bot against the Telnyx simulator and keep what it prints: `python record.py BOT [FAULT] [-- simulate options]`.

Made the files in ../golden (see README.md there). Nothing here is run by the tests.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def main() -> None:
    bot, *rest = sys.argv[1:]
    fault = rest.pop(0) if rest and not rest[0].startswith("-") else ""
    port, api = int(os.environ.get("BOT_PORT") or free_port()), free_port()
    public = os.environ.get("PUBLIC_HOST") or f"127.0.0.1:{port}"
    env = os.environ | {
        "PORT": str(port), "PUBLIC_HOST": public, "FAULT": fault, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1",
        "TELNYX_API_BASE": f"http://127.0.0.1:{api}/v2", "TELNYX_API_KEY": "KEYcallpath-development-only",
    }  # fmt: skip
    run = ["node", bot] if bot.endswith(".js") else [sys.executable, bot]
    process = subprocess.Popen(run, cwd=HERE, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        time.sleep(1.5)
        path = "/telnyx" if bot.endswith(".py") else "/webhook"
        webhook = os.environ.get("WEBHOOK") or f"http://127.0.0.1:{port}{path}"
        call = [sys.executable, "-m", "callpath", "simulate", "call", "--port", str(api), "--webhook", webhook, *rest]
        subprocess.run(call, check=False, stdout=sys.stderr, timeout=60)
        time.sleep(0.5)
    finally:
        process.terminate()
    sys.stdout.buffer.write(process.communicate()[0])


main()
