"""deploy/compose.yaml without containers: two servers, one Postgres, and nginx that sends each request to any of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest

from callpath.cli.demo import _free_ports
from callpath.cli.simulate import DEVELOPMENT_API_KEY, DEVELOPMENT_SEED
from callpath.wire.signature import PrivateKey, public_key_text
from tests.postgres import new_database
from tests.soak.node import balanced

CALLS = 4
"""By chance alone webhook and audio come to the same node in one of sixteen runs of all four."""

pytestmark = pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx on this machine (apt install nginx)")


def test_calls_work_wherever_their_requests_land(postgres_server: str, tmp_path: Path) -> None:
    """What every platform with two replicas does to a call; and one node is taken away at the end without a scratch."""
    front, api, *ports = _free_ports(4)
    key = PrivateKey.from_private_bytes(bytes.fromhex(DEVELOPMENT_SEED))
    environment = os.environ | {
        "TELNYX_API_KEY": DEVELOPMENT_API_KEY,
        "TELNYX_PUBLIC_KEY": public_key_text(key),
        "TELNYX_API_BASE": f"http://127.0.0.1:{api}/v2",
        "PUBLIC_URL": f"http://127.0.0.1:{front}",
        "DATABASE_URL": new_database(postgres_server),
        "HOST": "127.0.0.1",
    }
    with ExitStack() as running:
        nodes = []
        for port in ports:
            own = {"PORT": str(port), "CALLPATH_DATA_DIR": str(tmp_path / str(port))}
            command = [sys.executable, "-m", "callpath", "serve", "tone"]
            node = running.enter_context(
                subprocess.Popen(command, env=environment | own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            )
            running.callback(node.kill)
            assert node.stdout is not None
            assert b"callpath serves" in (said := node.stdout.readline()), said
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=30) as answer:
                assert answer.status == 200
            nodes.append(node)
        running.enter_context(balanced(tmp_path, front, *ports))
        webhook = f"http://127.0.0.1:{front}/api/calls/webhook"
        calls = [
            subprocess.run(
                [
                    sys.executable, "-m", "callpath", "simulate", "call", "--webhook", webhook, "--port", str(api),
                    "--hangup-after", "0.5s", "--expect-audio",
                ],
                capture_output=True, text=True, check=False,
            )
            for _ in range(CALLS)
        ]  # fmt: skip
        nodes[0].send_signal(signal.SIGTERM)
        stopped = nodes[0].wait(30)

    assert [0] * CALLS == [call.returncode for call in calls], calls[0].stdout + calls[0].stderr
    assert 0 == stopped
