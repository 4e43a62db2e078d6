"""Whether traces are wanted, by OpenTelemetry's own variables."""

from __future__ import annotations

import subprocess
import sys

import pytest

from callpath.cli.traces import open_traces

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "values", [{}, ENDPOINT | {"OTEL_SDK_DISABLED": "TRUE"}, ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}]
)
def test_nobody_asked(values: dict[str, str]) -> None:
    """No word is said then, either."""
    assert (None, "") == open_traces(values)


def test_what_is_not_used_is_not_imported() -> None:
    """A server without traces pays for none: 15 MB and a fifth of a second at start."""
    program = (
        "import sys, callpath.cli.serve, callpath.server.app, callpath.cli.traces as t, callpath.server.builtin\n"
        "t.open_traces({})\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'obstore'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()


def test_a_protocol_that_is_not_spoken() -> None:
    """gRPC is what many collectors' examples say; silence would be hard to understand."""
    traces, problem = open_traces(ENDPOINT | {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})

    assert traces is None
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in problem


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Platforms set these variables for all their services: no reason to refuse to start."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    traces, problem = open_traces(ENDPOINT)

    assert traces is None
    assert "pip install 'callpath[otel]'" in problem
