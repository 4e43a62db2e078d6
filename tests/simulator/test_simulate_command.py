"""The command line of the stand-in: cli/simulate.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from callpath.cli.simulate import app, read_options
from callpath.errors import ConfigError

ANSWERS_401 = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(401)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def test_one_call_against_a_server_that_refuses(tmp_path: Path) -> None:
    """The report must name the reason, the exit code must say that it failed, and stdout must be JSON alone."""
    with subprocess.Popen([sys.executable, "-c", ANSWERS_401], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/hook"
        arguments = ["call", "--webhook", url, "--answer-within", "1", "--port", "0", "--json"]
        result = CliRunner().invoke(app, [*arguments, "--record", str(tmp_path / "call.wav")])
        server.kill()
    report = json.loads(result.stdout)

    assert 1 == result.exit_code
    assert report["failure"].startswith("The webhook call.initiated was not taken")
    assert "answered HTTP 401" in report["failure"]
    assert ["call.initiated", "call.hangup"] == [webhook["event"] for webhook in report["webhooks"]]
    assert (tmp_path / "call.wav").exists()
    for name in ("TELNYX_API_BASE=http://127.0.0.1:", "TELNYX_API_KEY=KEY", "TELNYX_PUBLIC_KEY=", "DEVELOPMENT ONLY"):
        assert name in result.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--private-key-seed", "xyz"], "--private-key-seed is not 64 hex digits"),
        (["--fault", "typo"], "fault 'typo' is not known"),
        (["--say", "nothing.wav"], "nothing.wav"),
    ],
)
def test_bad_options_get_one_clear_line(arguments: list[str], problem: str) -> None:
    """No stack trace for a slip."""
    result = CliRunner().invoke(app, ["call", "--webhook", "http://127.0.0.1:9/", "--port", "0", *arguments])

    assert result.exit_code in (2, 3)
    assert problem in result.stderr


def test_help_is_cheap() -> None:
    """`callpath --help` must not import a server to print a page."""
    code = "import sys, callpath.cli.simulate; print('uvicorn' in sys.modules or 'numpy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "False" == result.stdout.strip()


def test_where_to_reach_a_program_is_checked() -> None:
    """http:// here would be another slip of the same kind that the stand-in is there to find."""
    assert read_options("ws://127.0.0.1:6000", False).reach_at == "ws://127.0.0.1:6000"
    with pytest.raises(ConfigError, match="--reach-at"):
        read_options("http://127.0.0.1:6000", False)
