"""`callpath doctor` as it is typed."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from callpath.cli.doctor import _controls, _proxy, app
from callpath.doctor.request import Controls
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
    [["--resolve", "nonsense"], ["--resolver", "voice.example.com"], ["--report", "x.pdf"], ["--ipv4", "--ipv6"],
     ["--control", "api.telnyx.com:https"], ["--control", ""]],
)  # fmt: skip
def test_wrong_usage_is_two(wrong: list[str]) -> None:
    """And nothing is probed."""
    assert RUN.invoke(app, ["url", "wss://voice.example.com/", *wrong]).exit_code == 2


def test_a_plan_sends_nothing() -> None:
    """Who asks whether a probe is harmless must not set it off by asking."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        result = RUN.invoke(app, ["url", f"ws://127.0.0.1:{port}/audio", "--plan"])
        with pytest.raises(BlockingIOError):
            server.accept()

    assert result.exit_code == 0
    assert "At most 12 requests" in result.stdout


@pytest.mark.parametrize(
    ("proxy", "bypass", "url", "used"),
    [
        ("http://proxy.example:3128", "", "wss://voice.example.com/", "http://proxy.example:3128"),
        ("http://proxy.example:3128", "example.com", "wss://voice.example.com/", None),
        ("", "", "wss://voice.example.com/", None),
        ("http://proxy.example:3128", "", "wss://[", None),
    ],
)
def test_the_environment_names_a_proxy(
    proxy: str, bypass: str, url: str, used: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As curl and every library read it; a URL that cannot be read needs none."""
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    if proxy:
        monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.setenv("no_proxy", bypass)

    assert used == _proxy(url)


def test_controls_can_be_named_and_switched_off() -> None:
    """A network without internet has a host of its own that is known to work, or none."""
    assert _controls(None) == Controls()
    assert _controls("none") is None
    assert _controls("intranet.example:8443") == Controls(host="intranet.example", port=8443)


def test_explain(tmp_path: Path) -> None:
    """By code or by slug; all of them as pages."""
    assert "tls-expired" in RUN.invoke(app, ["explain", "TLS001"]).stdout
    assert "TLS001" in RUN.invoke(app, ["explain", "tls-expired"]).stdout
    assert RUN.invoke(app, ["explain", "TLS999"]).exit_code == 2

    RUN.invoke(app, ["explain", "--all", "--markdown", str(tmp_path)])

    assert {f"{rule.code}.md" for rule in RULES} <= {path.name for path in tmp_path.iterdir()}
