"""What a call's timeline holds, once its lines are together."""

from __future__ import annotations

import pytest

from callpath.call.session import Stage
from callpath.doctor.logs.reading import LogReader
from callpath.timeline import (
    CommandAnswered,
    CommandSent,
    HandlerFailed,
    SocketClosed,
    StreamAccepted,
    StreamErrored,
    StreamStarted,
    StreamStarting,
    WebhookReceived,
)
from callpath.wire.webhook import Webhook, read_webhook

CALL = "v3:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ"
UUID = "5a1c6f0e-0c1d-4d6a-9a54-1b9a11111111"


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


@pytest.mark.parametrize(
    ("said", "command", "status", "code"),
    [
        ('telnyx.AuthenticationError: Error code: 401 - {"errors":[{"code":"10009"}]}', "answer", 401, "10009"),
        ("TelnyxAuthenticationError: No such API key", "answer", 0, None),
        ('Answer error: {"errors":[{"code":"10009","title":"Authentication failed"}]}', "answer", 0, "10009"),
        (
            "httpx.ConnectTimeout: timed out while POST https://api.telnyx.com/v2/calls/x/actions/answer",
            "answer",
            None,
            None,
        ),
    ],
)
def test_a_refusal_in_a_clients_own_words(said: str, command: str, status: int | None, code: str | None) -> None:
    """Most programs print what their HTTP client or SDK raised. A status that is not in the log is not made up."""
    text = f"2026-01-02T03:04:05Z call.initiated {CALL}\n2026-01-02T03:04:06Z {said}\n"
    (answer,) = [what for what in timeline(text) if isinstance(what, CommandAnswered)]

    assert (command, status, code) == (answer.command, answer.status, answer.error_code)


def test_a_refusal_that_names_no_command_belongs_to_the_next_one() -> None:
    """After call.answered the program asks for the stream: an SDK's exception says only "Unprocessable"."""
    text = (
        f"2026-01-02T03:04:05Z call.initiated {CALL}\n2026-01-02T03:04:05Z answer accepted 200 {CALL}\n"
        f"2026-01-02T03:04:06Z call.answered {CALL}\n"
        '2026-01-02T03:04:07Z telnyx.UnprocessableEntityError: Error code: 422 - {"errors":[{"code":"90034"}]}\n'
    )

    assert ["answer", "streaming_start"] == [
        what.command for what in timeline(text) if isinstance(what, CommandAnswered)
    ]


def test_a_socket_while_it_rings_proves_no_answer() -> None:
    """With the stream's parameters in the dial, the socket may be there before anybody picks up."""
    text = (
        f"2026-01-02T03:04:05Z call.initiated {CALL} direction=outgoing\n2026-01-02T03:04:05Z media websocket "
        f"connected {CALL}\n"
        f"2026-01-02T03:04:35Z call.hangup {CALL} hangup_cause=timeout\n"
    )
    reader = LogReader(read_at_ms=1_900_000_000_000)
    reader.read("f", [text.encode()])
    (call,) = reader.finish().calls

    assert Stage.CALL_ANSWERED not in call.state.stages
    assert Stage.SOCKET_RECEIVED in call.state.stages


def test_a_stream_that_is_asked_for_within_answer() -> None:
    """stream_url in the answer: there is no streaming_start."""
    text = f"call.initiated {CALL}\nAnswering call {CALL} with stream_url=wss://h.example/a\ncall.answered {CALL}\n"

    assert ["answer"] == [what.within for what in timeline(text) if isinstance(what, StreamStarting)]


def test_an_exception_that_stopped_the_call_and_one_that_did_not() -> None:
    """A logged error after which all goes on is no crash of the handler."""
    begin = f"2026-01-02T03:04:05Z call.initiated {CALL}\n2026-01-02T03:04:06Z call.answered {CALL}\n"
    raised = "Traceback (most recent call last):\n  File \"/app/main.py\", line 8, in on_answered\nKeyError: 'URL'\n"
    end = f"2026-01-02T03:04:30Z call.hangup {CALL}\n"
    goes_on = (
        f"2026-01-02T03:04:07Z streaming_start accepted 200 {CALL}\n"
        f"2026-01-02T03:04:08Z media websocket connected {CALL}\n"
    )

    (failed,) = [what for what in timeline(begin + raised + end) if isinstance(what, HandlerFailed)]
    assert ("KeyError: 'URL'", "File on_answered (main.py:8)") == (failed.error, failed.traceback)
    assert not [what for what in timeline(begin + raised + goes_on + end) if isinstance(what, HandlerFailed)]


def test_a_close_that_the_program_announced_is_its_own() -> None:
    """Who closed decides whether the network is looked at."""
    text = (
        f"2026-01-02T03:04:05Z media websocket connected {CALL}\n"
        f"2026-01-02T03:04:06Z no call state for {CALL}, closing the socket\n2026-01-02T03:04:06Z websocket closed "
        f"4404 {CALL}\n"
    )

    assert [("us", 4404)] == [(what.by, what.code) for what in timeline(text) if isinstance(what, SocketClosed)]


def test_names_in_a_stack_trace_are_no_events() -> None:
    """`OnStart(StartFrame f)` says what the program was about to do when it failed."""
    text = (
        f"call.initiated {CALL}\nmedia websocket connected {CALL}\n"
        "An unhandled exception was thrown by the application.\nSystem.NullReferenceException: Object reference not set\n"
        "   at Bot.Media.OnStart(StartFrame f) in /src/Media.cs:line 41\n"
        f"websocket closed 1006 {CALL}\ncall.hangup {CALL}\n"
    )
    whats = timeline(text)

    assert not any(isinstance(what, StreamStarted) for what in whats)
    assert ["System.NullReferenceException: Object reference not set"] == [
        what.error for what in whats if isinstance(what, HandlerFailed)
    ]


def test_an_error_frame_of_telnyxs() -> None:
    """Its code says what was wrong with what we sent."""
    text = (
        f"start event {CALL}\n"
        'telnyx error frame {"event":"error","payload":{"code":100004,"title":"invalid_media"}}\n'
    )

    assert [(100004, "invalid_media")] == [
        (what.code, what.title) for what in timeline(text) if isinstance(what, StreamErrored)
    ]
