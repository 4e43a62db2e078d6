"""Whether traces are wanted: by OpenTelemetry's own variables. Nothing of it is imported where they are not set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from callpath.server.traces import Traces

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


def open_traces(values: Mapping[str, str]) -> tuple[Traces | None, str]:
    """What the variables ask for; or None, and why not where they ask for what cannot be."""
    if not any(values.get(name) for name in ENDPOINTS):
        return None, ""
    if values.get("OTEL_SDK_DISABLED", "").lower() == "true" or values.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return None, ""
    protocol = next((values[name] for name in PROTOCOLS if values.get(name)), "http/protobuf")
    if protocol != "http/protobuf":
        hint = "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, and the endpoint's port for it, usually 4318"
        return None, f"No traces: {protocol} is not spoken here; {hint}"
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        from callpath.server.traces import Traces
    except ImportError:
        return None, "No traces: they need one more package. Install it: pip install 'callpath[otel]'"
    named = values.get("OTEL_SERVICE_NAME") or "service.name=" in values.get("OTEL_RESOURCE_ATTRIBUTES", "")
    traces = Traces(OTLPSpanExporter(), None if named else "callpath")
    traces.serve_handlers()
    return traces, ""
