"""Which lines are one call."""

from __future__ import annotations

import pytest

from callpath.doctor.logs.attribute import ids_in
from callpath.doctor.logs.reading import LogReader

CALL = "v3:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ"
OTHER = "v3:ZZ2llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ"
UUID = "5a1c6f0e-0c1d-4d6a-9a54-1b9a11111111"


def calls(text: str) -> list[list[str]]:
    """The topics of each call's lines."""
    reader = LogReader(read_at_ms=1_900_000_000_000)
    reader.read("f", [text.encode()])
    return [[item.topic for item in call.seen] for call in reader.finish().calls]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (f"call {CALL}: answered", [("control", CALL)]),
        (f"wss://h/media?call_id={CALL.replace(':', '%3A')}", [("control", CALL)]),
        (f"POST /v2/calls/{CALL}/actions/answer", [("control", CALL)]),
        ("/calls/v3%3Aab%2Fcd%2Bef01234567%3D%3D/actions/answer", [("control", "v3:ab/cd+ef01234567==")]),
        ('{"call_control_id":"v3:ab/cd+ef01234567=="}', [("control", "v3:ab/cd+ef01234567==")]),
        ("wss://h/media?id=v3%253Aab%252Fcd0123456789", [("control", "v3:ab/cd0123456789")]),
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


def test_a_line_that_names_two_calls_joins_none() -> None:
    """A list of what is active stands in the log of every program."""
    text = (
        f"2026-01-02T03:04:05Z call.initiated {CALL}\n2026-01-02T03:04:06Z call.initiated {OTHER}\n"
        f"2026-01-02T03:04:07Z active sessions: {CALL}, {OTHER}\n2026-01-02T03:04:09Z call.hangup {CALL}\n"
    )

    assert [["webhook", "webhook"], ["webhook"]] == calls(text)


def test_what_follows_an_open_bracket_is_not_part_of_it() -> None:
    """A line of source code in a traceback ends in a bracket; the next call's lines are not its arguments."""
    text = (
        f"2026-01-02T03:04:05Z call.initiated {CALL}\nTraceback (most recent call last):\n    await run_report(\n"
        f"[err]  2026-01-02T03:05:05Z call.initiated {OTHER}\n[err]  summary stored for {CALL}\n"
    )

    assert 2 == len(calls(text))


def test_two_legs_of_one_session_are_one_call() -> None:
    """A bridged call has two call_control_ids and one session."""
    text = "".join(
        f"2026-01-02T03:04:0{at}Z {event} call_control_id={control} call_leg_id={leg} call_session_id={UUID}\n"
        for at, event, control, leg in (
            (1, "call.initiated", CALL, "11111111-0c1d-4d6a-9a54-1b9a11111111"),
            (2, "call.answered", CALL, "11111111-0c1d-4d6a-9a54-1b9a11111111"),
            (3, "call.initiated", OTHER, "22222222-0c1d-4d6a-9a54-1b9a11111111"),
            (4, "call.bridged", CALL, "11111111-0c1d-4d6a-9a54-1b9a11111111"),
        )
    )
    reader = LogReader(read_at_ms=1_900_000_000_000)
    reader.read("f", [text.encode()])
    (call,) = reader.finish().calls

    assert {CALL, OTHER} == set(call.legs)
    assert 2 == len({entry.leg for entry in call.entries})


def test_a_line_without_an_id_goes_to_the_call_of_its_own_process() -> None:
    """Two replicas, a call on each: the replica tells whose socket it was."""
    text = (
        f"web-1  | 2026-01-02T03:04:05Z call.initiated {CALL}\nweb-2  | 2026-01-02T03:04:05Z call.initiated {OTHER}\n"
        "web-2  | 2026-01-02T03:04:06Z WebSocket connected\n"
    )

    assert [["webhook"], ["webhook", "socket.received"]] == calls(text)


def test_a_refused_dial_is_a_call() -> None:
    """Telnyx refuses a dial with an HTTP answer: no leg, no id, no webhook."""
    text = '2026-01-02T03:04:05Z POST https://api.telnyx.com/v2/calls 403 {"errors":[{"code":"10010","title":"No"}]}\n'

    assert [["dial.failed"]] == calls(text)
