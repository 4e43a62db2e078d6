"""Which lines are one call, and what its timeline holds."""

from __future__ import annotations

import pytest

from callpath.doctor.logs.calls import ids_in
from callpath.doctor.logs.reading import LogReader
from callpath.timeline import CommandAnswered, CommandSent, StreamAccepted, WebhookReceived
from callpath.wire.webhook import Webhook, read_webhook

CALL = "v3:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ"
UUID = "5a1c6f0e-0c1d-4d6a-9a54-1b9a11111111"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (f"call {CALL}: answered", [("control", CALL)]),
        (f"wss://h/media?call_id={CALL.replace(':', '%3A')}", [("control", CALL)]),
        (f"POST /v2/calls/{CALL}/actions/answer", [("control", CALL)]),
        (f'"call_session_id": "{UUID}"', [("session", UUID)]),
        (f"callLegId={UUID.upper()}", [("leg", UUID)]),
        (f"stream_id: '{UUID}'", [("stream", UUID)]),
        (f"/audio/{UUID}", [("other", UUID)]),
        (f"requestId={UUID}", []),
        (f'"id": "{UUID}"', []),
        ("[call-1-1767] x callId=abc123", [("other", "abc123")]),
        ("[3fa9c2d1] answered", [("other", "3fa9c2d1")]),
        ("callId=undefined", []),
    ],
)
def test_ids(text: str, ids: list[tuple[str, str]]) -> None:
    """An id that is none joins calls that have nothing to do with each other."""
    assert ids == ids_in(text)


def timeline(text: str) -> list[object]:
    reader = LogReader(read_at_ms=1_900_000_000_000)
    reader.read("f", [text.encode()])
    (call,) = reader.finish().calls
    return [entry.what for entry in call.entries]


def test_the_same_thing_said_twice_is_one_thing() -> None:
    """A head line and a dump of the same event are one webhook."""
    text = (
        f"2026-01-02T03:04:05Z Event: call.initiated {CALL}\n2026-01-02T03:04:05Z Full payload: {{\n"
        f'  "event_type": "call.initiated",\n  "call_control_id": "{CALL}",\n  "call_session_id": "{UUID}"\n}}\n'
    )

    assert 1 == sum(isinstance(what, WebhookReceived) for what in timeline(text))


def test_events_can_be_folded() -> None:
    """Rebuilt events pass for Telnyx's own: direction, reason and URL are where rules look for them."""
    (what,) = [
        what
        for what in timeline(f"streaming.failed {CALL} failure_reason=connection_failed stream_url=wss://h.example/a")
        if isinstance(what, WebhookReceived) and what.event_type == "streaming.failed"
    ]
    event = read_webhook(what.body)

    assert isinstance(event, Webhook)
    payload = what.body["data"]["payload"]
    assert ("connection_failed", "wss://h.example/a") == (
        payload["failure_reason"],
        payload["stream_params"]["stream_url"],
    )


def test_a_refusal_with_what_is_printed_below_it() -> None:
    """Status, code and detail stand lines away from the word that says it failed."""
    text = (
        f"Starting media stream for {CALL}\nError starting stream: AxiosError: Request failed with status code 422\n"
        "    at settle (axios.js:1:2)\n  data: {\n    errors: [\n      { code: '90034', title: 'Call not answered',\n"
        "        detail: 'This call can not be acted upon yet' }\n    ]\n  }\n}\n"
    )
    (answer,) = [what for what in timeline(text) if isinstance(what, CommandAnswered)]

    assert (422, "90034", "This call can not be acted upon yet") == (
        answer.status,
        answer.error_code,
        answer.error_detail,
    )


def test_a_command_that_never_left() -> None:
    """No answer came: that is another cause than a refusal."""
    (answer,) = [
        what for what in timeline(f"Failed to start stream for {CALL}: connect ECONNREFUSED 127.0.0.1:1")
        if isinstance(what, CommandAnswered)
    ]  # fmt: skip

    assert answer.status is None


def test_a_request_is_only_told_where_its_whole_body_is() -> None:
    """A part of the parameters would accuse what the log leaves out."""
    part = timeline(f"Starting media stream for {CALL} stream_track=inbound_track")
    whole = timeline(f"startStreaming {CALL} {{ stream_url: 'wss://h.example/a', stream_track: 'both_tracks' }}")

    assert not any(isinstance(what, CommandSent) for what in part)
    (sent,) = [what for what in whole if isinstance(what, CommandSent)]
    assert {"stream_url": "wss://h.example/a", "stream_track": "both_tracks"} == sent.body


def test_what_telnyx_announces_was_accepted() -> None:
    """streaming.started is sent for an accepted request, whether the program says so or not."""
    assert any(isinstance(what, StreamAccepted) for what in timeline(f"call.answered {CALL}\nstreaming.started {CALL}"))
