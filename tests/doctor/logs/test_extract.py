"""What happened, out of what was said."""

from __future__ import annotations

import pytest

from callpath.doctor.logs.extract import Exchange, complaint_of, event_in, exchange_of, raised_of, sdk_status

ID = "v3:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ"
BODY = (
    '{"errors":[{"code":"10015","title":"Bad Request","detail":"stream_track is invalid",'
    '"source":{"pointer":"/stream_track"}}]}'
)

REFUSED = [
    f"Telnyx API error 422 on /calls/{ID}/actions/streaming_start: {BODY}",
    f"Error: Telnyx returned 422 for streaming_start {ID}: {BODY}",
    f"AxiosError: Request failed with status code 422 url=https://api.telnyx.com/v2/calls/{ID}/actions/streaming_start "
    f"data={BODY}",
    f"streaming_start: telnyx.UnprocessableEntityError: Error code: 422 - {BODY}",
    f"POST /v2/calls/{ID}/actions/streaming_start -> 422 {BODY}",
    f"** (Telnyx.Error) streaming_start failed with status 422 {BODY}",
    f"PHP: Client error: `POST https://api.telnyx.com/v2/calls/{ID}/actions/streaming_start` resulted in a `422 "
    f"Unprocessable "
    f"Entity` response: {BODY}",
    f'level=error msg="telnyx streaming_start failed" status=422 body={BODY}',
]


@pytest.mark.parametrize("text", REFUSED)
def test_a_refusal_in_any_clients_wording(text: str) -> None:
    """The same answer of Telnyx, as eight clients print it."""
    found = exchange_of(text)

    assert found is not None
    assert ("streaming_start", 422, "10015", "stream_track is invalid", "stream_track") == (
        found.command, found.status, found.code, found.detail, found.pointer,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("httpx.ConnectTimeout: timed out while POST https://api.telnyx.com/v2/calls/x/actions/answer", "answer"),
        ("Error: getaddrinfo EAI_AGAIN api.telnyx.com", ""),
        ("telnyx streaming_start: dial tcp: lookup api.telnyx.com: no such host", "streaming_start"),
        ("cURL error 28: Operation timed out for https://api.telnyx.com/v2/calls/x/actions/answer", "answer"),
    ],
)
def test_an_answer_that_never_came(text: str, command: str) -> None:
    """No status: the way to Telnyx is at fault, not the request."""
    found = exchange_of(text)

    assert found is not None and found.unanswered
    assert (command, None) == (found.command, found.status)


def test_a_refused_dial_has_its_d_code() -> None:
    """The D-code says why, and stands at the end of the text."""
    found = exchange_of(
        'POST https://api.telnyx.com/v2/calls 403 {"errors":[{"code":10010,'
        '"detail":"Dialed number is not whitelisted D13"}]}'
    )

    assert found == Exchange("dial", 403, "10010", "Dialed number is not whitelisted D13", d_code="D13")


@pytest.mark.parametrize(
    "text",
    [
        "Connected to OpenAI, telnyx stream ready",
        "OpenAI realtime connection failed: 401 Unauthorized",
        "telnyx webhook received",
        f"call.hangup {ID}",
        "Telnyx websocket connected on port 90034",
        "no error from telnyx",
    ],
)
def test_what_is_no_exchange_with_telnyx(text: str) -> None:
    """An AI's refusal is not Telnyx's."""
    assert exchange_of(text) is None


def test_a_status_that_only_the_name_of_a_class_tells() -> None:
    """It chooses the cause; it is never printed as if the log had it."""
    assert 401 == sdk_status("TelnyxAuthenticationError: No such API key")
    assert sdk_status("ValueError: 401") is None


RAISED = [
    ('Traceback (most recent call last):\n  File "/usr/lib/python3.11/site-packages/x.py", line 1, in run\n    go()\n'
     '  File "/app/main.py", line 88, in on_answered\n    url = os.environ[\'URL\']\nKeyError: \'URL\'',
     "KeyError", "\'URL\'", ("on_answered (main.py:88)",)),
    ("/app/bridge.js:42\n    const ai\nTypeError: Cannot read properties of undefined (reading \'trim\')\n"
     "    at handle (/app/bridge.js:42:72)\n    at WebSocketServer.emit (node:events:519:28)\nNode.js v20.11.1",
     "TypeError", "Cannot read properties of undefined (reading \'trim\')", ("handle (bridge.js:42)",)),
    ("panic: assignment to entry in nil map\n\ngoroutine 7 [running]:\nmain.(*Hub).Add(0x0, 0x1)\n\t/src/hub.go:31 +0x1d",
     "panic", "assignment to entry in nil map", ("main.(*Hub).Add (hub.go:31)",)),
    ("java.lang.NullPointerException: call is null\n\tat com.bot.Media.onStart(Media.java:51)\n"
     "\tat java.base/x.Y(Z.java:1)",
     "java.lang.NullPointerException", "call is null", ("com.bot.Media.onStart (Media.java:51)",)),
    ("** (KeyError) key :stream_id not found in: %{}\n    (bot 0.1.0) lib/bot/media.ex:42: Bot.Media.handle_in/2\n"
     "    (cowboy 2.9.0) src/x.erl:1: y/1", "KeyError", "key :stream_id not found in: %{}",
     ("Bot.Media.handle_in/2 (media.ex:42)",)),
    ("PHP Fatal error:  Uncaught TypeError: strlen(): Argument #1 must be of type string in /var/www/hook.php:12",
     "TypeError", "strlen(): Argument #1 must be of type string", ("hook.php:12",)),
    ("System.NullReferenceException: Object reference not set\n   at Bot.Media.OnStart(Frame f) in /src/Media.cs:line 51",
     "System.NullReferenceException", "Object reference not set", ("Bot.Media.OnStart (Media.cs:51)",)),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kind", "message", "frames"), RAISED, ids=[one[1] for one in RAISED])
def test_exceptions_of_every_language(text: str, kind: str, message: str, frames: tuple[str, ...]) -> None:
    """Type, message, and the program's own frames: libraries' are left out."""
    found = raised_of(text)

    assert found is not None
    assert (kind, message, frames) == (found.kind, found.message, found.frames)


def test_a_text_without_an_exception() -> None:
    """An event's name that ends in Error is none."""
    assert raised_of("call.recording.error received") is None


@pytest.mark.parametrize(
    ("text", "closes", "because", "gone"),
    [
        ("no call state for v3:abc, closing the socket", True, "lookup", False),
        ("Missing required parameters - tenant: null, callSid: null", False, "parameters", True),
        ("AUTH_FAIL path=/telnyx has_token=False", False, "auth", True),
        ("media stream for 29b8: ticket=None, closing before accept", True, "auth", True),
        ("rejecting connection: invalid token", True, "auth", False),
        ("a media session is already active, refusing", True, "busy", False),
    ],
)
def test_the_programs_own_reason(text: str, closes: bool, because: str, gone: bool) -> None:
    """Whether it ends something, and for what kind of reason."""
    found = complaint_of(text, "warning")

    assert found is not None
    assert (closes, because, gone) == (found.closes, found.because, found.gone)


@pytest.mark.parametrize(
    "text",
    ["playback consumer of v3:abc shutting down", "0 errors so far", "client_state: null", "call ended", "audio sent"],
)
def test_what_is_no_complaint(text: str) -> None:
    """A call's own worker that ends is ordinary."""
    assert complaint_of(text) is None


def test_an_event_in_a_field() -> None:
    """zap, pino and ECS put the name beside the message, or deeper."""
    assert "call.initiated" == event_in({"event": "call.initiated", "msg": "telnyx"})
    assert "streaming.failed" == event_in({"telnyx": {"event_type": "streaming.failed"}})
    assert "call.answered" == event_in({"type": "CALL_ANSWERED"})
    assert "" == event_in({"event": "listening", "type": "http"})
