"""What a line is about, and what is only talk."""

from __future__ import annotations

import pytest

from callpath.doctor.logs.patterns import field_of, stream_url_in, topic_of

CALL = "v3:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ"
STREAM = "32de0dea-53cb-4b21-89a4-9e1819c043bc"

SAID = [
    ("webhook", f"📞 Telnyx event: call.initiated for call {CALL}"),
    ("webhook", "call_initiated"),
    ("webhook", "CALL_ANSWERED"),
    ("webhook", "➡️ Webhook Received: call.answered"),
    ("webhook", '  "event_type": "call.hangup",'),
    ("webhook", "streaming.failed: connection_failed"),
    ("webhook", "pstn webhook.streaming_failed reason=connection_failed"),
    ("incoming", "[CALL] Incoming call from +15555550123"),
    ("incoming", f"📞 Call initiated: {CALL}"),
    ("answer.sent", f"📞 Answering call: {CALL}"),
    ("answer.accepted", "✅ Call answered successfully"),
    ("answer.failed", "❌ Failed to answer call: AxiosError"),
    ("stream.starting", "🚀 Starting Telnyx media streaming (bidirectional)"),
    ("stream.starting", "🔵 Making streaming_start API call to Telnyx..."),
    ("stream.starting", "streaming_start leg=abc"),
    ("stream.starting", "[Telnyx] startStreaming { stream_url: 'wss://h.example/media' }"),
    ("stream.accepted", "✅ Telnyx streaming_start API call successful"),
    ("stream.accepted", f"✅ WebSocket stream started: {STREAM}"),
    ("stream.accepted", "[Telnyx] Streaming started for v3:abcdefghi -> wss://x.example/stream (codec=PCMU)"),
    ("stream.accepted", "streaming_start response: 200"),
    ("stream.failed", '[Telnyx] streaming_start failed: 422 {"errors":[{"code":"90034"}]}'),
    ("stream.failed", "Streaming start failed for v3:abcdefgh: Client error '422 Unprocessable Entity'"),
    ("stream.failed", "❌ Error starting stream: AxiosError"),
    ("socket.received", "🔵 WebSocket connection received"),
    ("socket.received", "Telnyx WebSocket connected"),
    ("socket.received", "Telnyx WebSocket connected, connecting to OpenAI"),
    ("socket.received", "Media WebSocket connected. Connecting to Azure GPT-4o Transcribe..."),
    ("socket.received", 'INFO:     127.0.0.1:52344 - "WebSocket /media-stream" [accepted]'),
    ("socket.received", "New WebSocket connection from 192.76.120.130"),
    ("socket.received", "📡 Telnyx Media WebSocket verbunden"),
    ("socket.received", "[WS] Telnyx conectado"),
    ("socket.received", "Upgrade request received for /api/calls/x/audio"),
    ("socket.received", "[CallSession] Telnyx WS event: connected"),
    ("socket.refused", 'INFO:     127.0.0.1:52344 - "WebSocket /media-stream" 403'),
    ("socket.refused", "Rejected WebSocket upgrade: invalid token"),
    ("socket.missing", "No WebSocket connection received after 10s"),
    ("socket.missing", "telnyx never opened the media socket"),
    ("socket.closed", "🔌 Telnyx WebSocket connection closed"),
    ("stream.started", f"[telnyx] stream start stream_id={STREAM} encoding=PCMU rate=8000"),
    ("stream.started", f"[TELNYX] Stream started - CallControlId: {CALL}"),
    ("stream.started", "Received start event { stream_id: 'x' }"),
    ("stream.started", "event: start"),
    ("media.in", "🎤 First media packet received"),
    ("media.in", "Received 100 media packets"),
    ("media.in", '{"event":"media","sequence_number":"4"}'),
    ("media.out", "Sent greeting audio to caller"),
    ("stream.stopped", "Event received: stop"),
    ("stream.stopped", "Telnyx stream stopped"),
    ("hangup", "Call ended: normal_clearing"),
    ("hangup", "[Telnyx] Call hung up"),
    ("hangup.sent", f"Hanging up call {CALL}"),
    ("webhook.refused", "Webhook signature verification failed"),
    ("listening", "WebSocket server listening on port 8080"),
    ("listening", "Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)"),
    ("crash", "Uncaught Exception: TypeError: x is not a function"),
    ("out of memory", "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"),
    ("handler.failed", "ERROR:    Exception in ASGI application"),
    ("stopping", "Received SIGTERM, shutting down gracefully"),
    ("restart", "Starting Container"),
    ("dropped", "Railway rate limit of 500 logs/sec reached for replica, Messages dropped: 832"),
]  # fmt: skip


@pytest.mark.parametrize(("topic", "line"), SAID)
def test_what_lines_say(topic: str, line: str) -> None:
    """Each stands for a style that was seen in public programs."""
    found = topic_of(line)

    assert topic == (found.name if found else None)


TALKED = [
    "waiting for WebSocket connection",
    "Waiting for Telnyx to connect to WebSocket",
    "WebSocket support enabled",
    "connecting WebSocket to OpenAI",
    "OpenAI WebSocket connected",
    f"✅ OpenAI Realtime WebSocket connected for {CALL}",
    "Connected to OpenAI Realtime API",
    "Deepgram WebSocket opened",
    "streaming_start would be called here",
    "Will call streaming_start once call.answered arrives",
    "Waiting for call.answered before starting media stream",
    "expecting streaming.started from Telnyx",
    "registered handler for call.initiated",
    "WebSocket endpoint: wss://host.example/media-stream",
    "/media-stream WebSocket handler mounted",
    "WebSocket Server ready, awaiting Telnyx media connections",
    "Media stream route ready at /media-stream",
    "wss server created",
    "Active WebSocket connections: 0",
    "Dashboard client connected via WebSocket",
    "socket.io client connected",
    "Supabase realtime websocket connected",
    "Connecting to ElevenLabs websocket wss://api.elevenlabs.io/v1/convai",
    "ElevenLabs stream started",
    "streaming response from LLM started",
    "Streaming tokens from OpenAI started",
    "WebSocket error: ECONNREFUSED",
    "If the WebSocket never connects, check your firewall",
    "No media received yet",
    "Did not receive start event",
    "Sending audio to Deepgram",
    "Received audio delta from OpenAI",
]


@pytest.mark.parametrize("line", TALKED)
def test_talk_is_no_fact(line: str) -> None:
    """A plan, a wait, a setting or the bot's own socket taken for the call's would make a dead call look alive."""
    assert topic_of(line) is None


@pytest.mark.parametrize(
    "line", ["WebSocket server listening on port 8080", "No WebSocket connection received after 10s"]
)
def test_a_server_that_listens_is_no_socket_that_came(line: str) -> None:
    """These are told apart from a socket even where they have a meaning of their own."""
    found = topic_of(line)

    assert found is not None and "socket.received" != found.name


@pytest.mark.parametrize(
    ("line", "url"),
    [
        ("🚀 Using media stream URL: wss://h.example/media?call_id=v3%3Aabc", "wss://h.example/media?call_id=v3%3Aabc"),
        ("  stream_url: 'https://h.example/media',", "https://h.example/media"),
        ('{"streamUrl":"wss://h.example/a"}', "wss://h.example/a"),
        ("[Telnyx] Streaming audio to: wss://h.example/media.", "wss://h.example/media"),
        ("Connecting to wss://api.openai.com/v1/realtime", ""),
        ("Listening on ws://0.0.0.0:8080/media", ""),
        ("Stream URL: wss://h.example/calls/{id}/audio", ""),
    ],
)
def test_the_url_that_telnyx_is_given(line: str, url: str) -> None:
    """It is compared with what is served: the bot's own connections and templates must not stand in for it."""
    assert url == stream_url_in(line)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("status", "Request failed with status code 422", "422"),
        ("status", "streaming_start failed: 422", "422"),
        ("code", '"code": "90034", "title"', "90034"),
        ("detail", "detail: 'This call can not be acted upon'", "This call can not be acted upon"),
        ("failure_reason", "'failure_reason': 'connection_failed'", "connection_failed"),
        ("hangup_cause", "hangup_cause=normal_clearing sip_hangup_cause=200", "normal_clearing"),
        ("close_code", "WebSocket disconnected: code=1006", "1006"),
        ("sample_rate", "sample_rate=16000", "16000"),
    ],
)
def test_fields(name: str, text: str, value: str) -> None:
    """Status, code and reason are what the verdict hangs on."""
    assert value == field_of(name, text)
