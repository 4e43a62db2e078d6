"""What a handler that is entered again after a restart finds running at Telnyx."""

from __future__ import annotations

import pytest

from callpath.call.running import is_recorded_by_telnyx, is_transcribed_by_telnyx
from callpath.call.session import CallSession, fold
from callpath.timeline import CommandAnswered, CommandSent, Entry, WebhookReceived, What
from callpath.wire.ids import CallControlId, SessionId

LEG = CallControlId("v3:a")


def command(name: str, number: int, status: int | None = 200) -> list[What]:
    ids = {"command": name, "command_id": f"{name}-{number}", "call_control_id": LEG}
    return [CommandSent(**ids), CommandAnswered(**ids, status=status)]  # type: ignore[arg-type]


def webhook(event_type: str, number: int = 1) -> What:
    payload = {"call_control_id": LEG, "call_leg_id": "a", "call_session_id": "s"}
    data = {"event_type": event_type, "id": f"{event_type}-{number}", "payload": payload}
    return WebhookReceived(event_type=event_type, event_id=f"{event_type}-{number}", body={"data": data})


def session_of(*whats: What) -> CallSession:
    """They happened in this order, a millisecond apart; the log has them backwards."""
    entries = [
        Entry(session=SessionId("s"), at_unix_ms=at, what=what)
        for at, what in enumerate([webhook("call.answered"), *whats])
    ]
    return fold(SessionId("s"), entries[::-1])


@pytest.mark.parametrize(
    ("whats", "runs"),
    [
        ([], False),
        (command("record_start", 1), True),
        (command("record_start", 1, 422), False),
        (command("record_start", 1) + command("record_stop", 1), False),
        (command("record_start", 1) + command("record_stop", 1, 422), True),
        (command("record_start", 1) + command("record_pause", 1), True),
        ([*command("record_start", 1), webhook("call.recording.saved")], False),
        ([*command("record_start", 1), webhook("call.recording.error")], False),
        ([*command("record_start", 1), webhook("call.recording.saved"), *command("record_start", 2)], True),
        (command("record_start", 1) + command("record_stop", 1) + command("record_start", 2), True),
    ],
)
def test_whether_telnyx_records(whats: list[What], runs: bool) -> None:
    """A second record_start would make two files; none would lose the rest of the call."""
    assert runs == is_recorded_by_telnyx(session_of(*whats))


@pytest.mark.parametrize(
    ("whats", "runs"),
    [
        ([], False),
        (command("transcription_start", 1), True),
        (command("transcription_start", 1, 422), False),
        (command("transcription_start", 1) + command("transcription_stop", 1), False),
        (
            command("transcription_start", 1) + command("transcription_stop", 1) + command("transcription_start", 2),
            True,
        ),
    ],
)
def test_whether_telnyx_transcribes(whats: list[What], runs: bool) -> None:
    """A second transcription_start is refused (90054)."""
    assert runs == is_transcribed_by_telnyx(session_of(*whats))
