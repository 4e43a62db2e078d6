"""What /metrics tells, in Prometheus' text format. Nearly all of it is counted from the entries of the timelines.

Every label has few values, none of them chosen by strangers: no ids, numbers or paths.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from callpath.timeline import (
    CallStuck,
    CommandAnswered,
    PolicyActed,
    SocketRefused,
    StreamMissing,
    StreamProbed,
    What,
    kind_of,
)

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

COMMAND_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """One server's. Its registry is its own, so that two servers in one process do not meet."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._entries = Counter("callpath_timeline_entries", "Entries of timelines", ["kind"], registry=registry)
        self._commands = Counter(
            "callpath_commands", "Call Control commands that were answered", ["command", "status"], registry=registry
        )
        self._command_seconds = Histogram(
            "callpath_command_seconds",
            "Until the answer to a command, all tries included",
            ["command"],
            buckets=COMMAND_SECONDS,
            registry=registry,
        )
        self._refused = Counter("callpath_refused", "Requests that were refused", ["what", "reason"], registry=registry)
        self._missing = Counter(
            "callpath_streams_missing", "Streams that were asked for and did not come", ["seen"], registry=registry
        )
        self._probes = Counter("callpath_probes", "Verdicts of the doctor on streams", ["code"], registry=registry)
        self._steps = Counter("callpath_policy_steps", "Steps of policies", ["policy", "step"], registry=registry)
        self._stuck = Counter("callpath_calls_stuck", "Calls hung up as stuck", ["reason"], registry=registry)

    def count(self, what: What) -> None:
        """An entry was written."""
        self._entries.labels(kind_of(what)).inc()
        match what:
            case CommandAnswered():
                self._commands.labels(what.command, str(what.status or "none")).inc()
                self._command_seconds.labels(what.command).observe(what.latency_ms / 1000)
            case SocketRefused():
                self.refused("upgrade", what.reason)
            case StreamMissing():
                self._missing.labels(what.seen).inc()
            case StreamProbed():
                self._probes.labels(what.code or ("healthy" if what.healthy else "none")).inc()
            case PolicyActed():
                self._steps.labels(what.policy, what.step).inc()
            case CallStuck():
                self._stuck.labels(what.reason).inc()
            case _:
                pass

    def refused(self, what: str, reason: str) -> None:
        """A webhook, an upgrade or a call was turned away; `reason` is one of our own words."""
        self._refused.labels(what, reason).inc()

    def text(self) -> bytes:
        """The page."""
        return generate_latest(self.registry)
