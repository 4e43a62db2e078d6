"""`callpath doctor` as it is typed."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from callpath.cli.doctor import app
from callpath.doctor.rules import RULES

RUN = CliRunner()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_json_is_one_document_and_the_exit_code_says_found(closed_port: int) -> None:
    """Scripts depend on both."""
    result = RUN.invoke(app, ["url", f"ws://127.0.0.1:{closed_port}/audio", "--json"])

    assert result.exit_code == 1
    assert json.loads(result.stdout)["verdict"]["slug"] == "tcp-refused"


def test_quiet_is_one_line(closed_port: int) -> None:
    """For a watchdog's log."""
    result = RUN.invoke(app, ["url", f"ws://127.0.0.1:{closed_port}/audio", "-q"])

    assert result.stdout.startswith("tcp-refused: ")
    assert result.stdout.count("\n") == 1


def test_a_report_is_written(closed_port: int, tmp_path: Path) -> None:
    """The file that goes to support."""
    for name in ("report.md", "report.html"):
        RUN.invoke(app, ["url", f"ws://127.0.0.1:{closed_port}/audio", "--report", str(tmp_path / name)])

        assert "tcp-refused" in (tmp_path / name).read_text()


@pytest.mark.parametrize(
    "wrong",
    [["--resolve", "nonsense"], ["--resolver", "voice.example.com"], ["--report", "x.pdf"], ["--ipv4", "--ipv6"]],
)
def test_wrong_usage_is_two(wrong: list[str]) -> None:
    """And nothing is probed."""
    assert RUN.invoke(app, ["url", "wss://voice.example.com/", *wrong]).exit_code == 2


def test_explain(tmp_path: Path) -> None:
    """By code or by slug; all of them as pages."""
    assert "tls-expired" in RUN.invoke(app, ["explain", "TLS001"]).stdout
    assert "TLS001" in RUN.invoke(app, ["explain", "tls-expired"]).stdout
    assert RUN.invoke(app, ["explain", "TLS999"]).exit_code == 2

    RUN.invoke(app, ["explain", "--all", "--markdown", str(tmp_path)])

    assert {f"{rule.code}.md" for rule in RULES} <= {path.name for path in tmp_path.iterdir()}
