"""callpath's own lines are read back."""

from __future__ import annotations

from typing import Any

import pytest

from callpath.doctor.logs import ours
from callpath.timeline import (
    KINDS,
    CallChecked,
    CallDecided,
    CallRecovered,
    CallRejected,
    CallStuck,
    CallTraced,
    CommandAnswered,
    CommandRetried,
    CommandSent,
    ConsultDecided,
    ConsultEnded,
    ConsultNews,
    ConsultStarted,
    DialPlaced,
    DtmfReceived,
    FirstInbound,
    FirstOutbound,
    FrameRejected,
    HandlerEnded,
    HandlerFailed,
    HandlerStarted,
    LoopBlocked,
    MarkReturned,
    MediaCounted,
    MediaSymptom,
    PlayoutCleared,
    PolicyActed,
    RecordingNotStored,
    RecordingPaused,
    RecordingResumed,
    RecordingSaved,
    RecordingStored,
    SocketClosed,
    SocketReceived,
    SocketRejected,
    StreamAccepted,
    StreamErrored,
    StreamMissing,
    StreamProbed,
    StreamStarted,
    StreamStarting,
    StreamStopped,
    StreamUrl,
    WebhookReceived,
    What,
    describe,
    kind_of,
)
from callpath.wire.ids import CallControlId, LegId, SessionId

S = ours.STREAM
ENTRIES: list[What] = [
    CallDecided(decision="answer"),
    CallDecided(decision="answer", handler="sales", reason="nothing was decided within 5 s"),
    CallDecided(decision="reject", cause="USER_BUSY"),
    CallDecided(decision="forward"),
    CallDecided(decision="ignore", reason="the decision raised ValueError"),
    WebhookReceived(event_type="call.machine.detection.ended", event_id="", body={}),
    DialPlaced(command_id="", session=SessionId("s-1"), call_control_id=CallControlId(""), leg_id=LegId("")),
    CommandSent(command="answer", command_id=""),
    CommandAnswered(command="answer", command_id="", status=200, latency_ms=12),
    CommandAnswered(command="answer", command_id="", error_detail="connection refused"),
    CommandAnswered(command="streaming_start", command_id="", status=422, error_code="90034", error_detail="not yet"),
    StreamStarting(within="answer"),
    StreamUrl(url="wss://h.example/api/calls/1/audio"),
    StreamAccepted(status=200),
    StreamAccepted(status=200, within="answer"),
    SocketReceived(path="", client="192.0.2.1"),
    SocketRejected(status=403, reason="", detail="wrong token (path)", path=""),
    StreamStarted(stream_id=S, encoding="PCMU", sample_rate_hz=8000),
    StreamStarted(stream_id=S, encoding="L16", sample_rate_hz=16000, again=True),
    FirstInbound(stream_id=S, payload_bytes=160),
    FirstOutbound(stream_id=S, payload_bytes=160),
    MediaCounted(stream_id=S, frames_in=7, frames_out=9, lost=2, underruns=3, dropped_for_handler=1),
    FrameRejected(reason="not_json", detail="x"),
    LoopBlocked(blocked_ms=3004, function="answer", file="mybot.py", line=12),
    LoopBlocked(
        blocked_ms=412,
        function="Bot.answer.<locals>.ask",
        file="my bots/mybot.py",
        line=3,
        code="requests.get(url, params={'in': 1})",
        inside="SSLSocket.read (ssl.py:1103)",
        times=4,
    ),
    MediaSymptom(code="SYM001", slug="wrong-law", meaning="It sounds wrong"),
    StreamErrored(code=100004, title="invalid_media", detail="no base64"),
    DtmfReceived(digit=""),
    MarkReturned(name="a b", heard=True),
    MarkReturned(name="m", heard=False),
    PlayoutCleared(heard_ms=100, dropped_ms=20),
    StreamStopped(stream_id=S),
    StreamStopped(stream_id=S, by_stop_frame=False),
    SocketClosed(code=1000, reason="stream stopped", by="peer"),
    SocketClosed(code=1006, by="unknown"),
    CommandRetried(command="answer", command_id="", attempt=1, status=503, latency_ms=12, reason="busy"),
    CommandRetried(command="answer", command_id="", attempt=0, reason="restart"),
    StreamMissing(attempt=2, seen="nothing", reason="no socket came"),
    StreamProbed(url="", healthy=True, decided=True, summary=""),
    StreamProbed(url="", healthy=False, decided=True, summary="expired", code="TLS001", slug="tls-expired"),
    StreamProbed(url="", healthy=None, decided=False, summary="late"),
    PolicyActed(policy="no_socket", number=1, step="speak"),
    CallStuck(reason="media_idle", number=1, after_ms=30_000),
    CallRejected(reason="", detail="the server is draining"),
    ConsultStarted(command_id="", to="", connection_id="", from_="", handler="brief"),
    ConsultStarted(command_id="", to="", connection_id="", from_=""),
    ConsultNews(command_id="", news="ringing", call_session_id=SessionId(""), call_control_id=CallControlId("")),
    ConsultNews(
        command_id="",
        news="declined",
        call_session_id=SessionId(""),
        call_control_id=CallControlId(""),
        reason="at lunch",
    ),
    ConsultDecided(accepted=True),
    ConsultDecided(accepted=False, reason="at lunch"),
    ConsultEnded(command_id="", status="joined"),
    ConsultEnded(command_id="", status="declined", reason="no decision within 60 s"),
    CallRecovered(fetched=2, detail="x"),
    CallRecovered(),
    CallChecked(alive=None, detail="timed out"),
    CallChecked(alive=False),
    CallTraced(trace_id="0" * 31 + "1"),
    HandlerStarted(name="bot"),
    HandlerEnded(),
    HandlerEnded(cancelled=True),
    HandlerFailed(error="KeyError: 'x'", traceback=""),
    RecordingPaused(path="a b.wav"),
    RecordingResumed(path="a b.wav"),
    RecordingSaved(path="a b.wav", duration_ms=1500),
    RecordingSaved(path="a b.wav", duration_ms=1500, lost_ms=500),
    RecordingStored(path="", url="s3://b/a.wav", duration_ms=1500, size_bytes=44, written_unix_ms=0),
    RecordingNotStored(path="a b.wav", code="REC001", slug="", detail="s3://b cannot be written: (denied)"),
    RecordingNotStored(path="a b.wav", code="REC007", slug="", detail="the disk is full, in /d", recorded_ms=2500),
    RecordingNotStored(path="a b.wav", code="REC008", slug="", detail="permission denied, in /d", recorded_ms=0),
]


@pytest.mark.parametrize("what", ENTRIES, ids=describe)
def test_there_and_back(what: What) -> None:
    """A change to the words of `describe` that is not followed here makes our own logs unreadable."""
    assert what == ours.what_of(describe(what), kind_of(what))
    assert what == ours.what_of(describe(what))


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("call.initiated", {"direction": "incoming"}),
        ("call.initiated", {"direction": "outgoing"}),
        ("call.hangup", {"hangup_cause": "user_busy", "sip_hangup_cause": "486"}),
        ("call.hangup", {"hangup_cause": "normal_clearing", "hangup_source": "callee"}),
        ("call.hangup", {"hangup_cause": "call_rejected", "telnyx_error": {"error_code": "D51"}}),
        ("call.hangup", {"hangup_cause": "of_tomorrow"}),
        ("call.answered", {}),
        ("streaming.failed", {"failure_reason": "connection_failed"}),
        ("call.refer.failed", {"sip_notify_response": 405}),
    ],
)
@pytest.mark.parametrize("fetched", [False, True])
def test_what_the_words_of_a_webhook_tell_comes_back(event: str, payload: dict[str, Any], fetched: bool) -> None:
    """Without its cause a busy number reads like a call that broke."""
    body = {"data": {"payload": payload}} if payload else {}
    what = WebhookReceived(event_type=event, event_id="", body=body, fetched=fetched)

    assert what == ours.what_of(describe(what), "webhook.received")
    assert what == ours.what_of(describe(what))


def test_the_words_of_a_command_do_not_hide_it() -> None:
    """They are for people."""
    line = describe(CommandSent(command="transfer", command_id="", body={"to": "+15555550142", "timeout_secs": 20}))

    assert line == "Command transfer sent: to another number, ringing 20 s at most"
    assert ours.what_of(line) == CommandSent(command="transfer", command_id="")


def test_a_line_of_an_earlier_version() -> None:
    """Log files outlive the words of a version, and its names of kinds."""
    old = "Taken up after a restart, 2 missed events fetched (x)"

    assert CallRecovered(fetched=2, detail="x") == ours.what_of(old, "call.taken_up") == ours.what_of(old)


def test_each_kind_that_is_claimed_is_tried() -> None:
    """SHOWN tells the rules that a missing kind did not happen."""
    assert ours.SHOWN == {kind_of(what) for what in ENTRIES}


def test_no_kind_is_left_out() -> None:
    """A kind that the server logs and this does not read would be taken for one that did not happen."""
    assert {"note", "unknown"} == {str(kind.__struct_config__.tag) for kind in KINDS} - ours.SHOWN


def test_what_is_not_ours() -> None:
    """A bot's line with the same key must not become an entry."""
    assert ours.what_of("Stream started") is None
