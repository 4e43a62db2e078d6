"""What /metrics tells: enough to see from outside that streams do not come, and nothing about anybody."""

from __future__ import annotations

import pytest

from callpath.server.metrics import Metrics
from callpath.timeline import (
    CallStuck,
    CommandAnswered,
    PolicyActed,
    SocketRefused,
    StreamMissing,
    StreamProbed,
    WebhookReceived,
    What,
)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        (WebhookReceived(event_type="e", event_id="1", body={}), 'timeline_entries_total{kind="webhook.received"}'),
        (
            CommandAnswered(command="answer", command_id="1", status=200),
            'commands_total{command="answer",status="200"}',
        ),
        (CommandAnswered(command="answer", command_id="1"), 'commands_total{command="answer",status="none"}'),
        (
            SocketRefused(status=401, reason="no_token", detail="", path="/x"),
            'refused_total{reason="no_token",what="upgrade"}',
        ),
        (StreamMissing(attempt=1, seen="nothing", reason=""), 'streams_missing_total{seen="nothing"}'),
        (
            StreamProbed(url="wss://a", healthy=False, decided=True, summary="", code="TLS005"),
            'probes_total{code="TLS005"}',
        ),
        (StreamProbed(url="wss://a", healthy=True, decided=True, summary=""), 'probes_total{code="healthy"}'),
        (
            PolicyActed(policy="no_socket", number=1, step="retry"),
            'policy_steps_total{policy="no_socket",step="retry"}',
        ),
        (CallStuck(reason="too_long", number=1, after_ms=1), 'calls_stuck_total{reason="too_long"}'),
    ],
)
def test_an_entry_is_counted(what: What, line: str) -> None:
    """Alerts are written on these names; one that is gone is an alert that never fires again."""
    metrics = Metrics()
    metrics.count(what)

    assert f"callpath_{line} 1.0" in metrics.text().decode().splitlines()


def test_two_servers_count_apart() -> None:
    """Two applications mounted in one process."""
    one, other = Metrics(), Metrics()
    one.count(CallStuck(reason="too_long", number=1, after_ms=1))

    assert b"too_long" not in other.text()
