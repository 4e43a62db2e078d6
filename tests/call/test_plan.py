"""What we ask of Telnyx: it must fit the documented schema, and hide the token where it is kept."""

from __future__ import annotations

import json

import pytest

from callpath.call.plan import StreamPlan, derived_command_id, masked
from callpath.wire.command import Answer, StreamingStart, encode_command
from callpath.wire.ids import CallControlId, SessionId
from tests.telnyx import validate

LEG, SESSION = CallControlId("v3:ab+/="), SessionId("s-1")


@pytest.mark.parametrize("with_answer", [True, False])
def test_our_commands_fit_the_documented_schema(with_answer: bool) -> None:
    """A value that Telnyx refuses (`both`, `pcmu`) ends in 422, and in a call without sound."""
    plan = StreamPlan(public_url="https://calls.example.com", with_answer=with_answer, token_in_path=with_answer)
    answer = json.loads(encode_command(plan.answer(LEG, SESSION, "tok")))
    start = json.loads(encode_command(plan.streaming_start(LEG, SESSION, "tok")))

    assert validate(answer, "openapi-subset.json#/components/schemas/AnswerRequest") == []
    assert validate(start, "openapi-subset.json#/components/schemas/StartStreamingRequest") == []


def test_the_token_is_in_one_place() -> None:
    """In the header where Telnyx can send it, in the path where not, never in both."""
    in_header = StreamPlan(public_url="https://calls.example.com").streaming_start(LEG, SESSION, "tok")
    in_path = StreamPlan(public_url="https://calls.example.com", token_in_path=True).streaming_start(
        LEG, SESSION, "tok"
    )

    assert (in_header.stream_url, in_header.stream_auth_token) == ("wss://calls.example.com/api/calls/s-1/audio", "tok")
    assert (in_path.stream_url, in_path.stream_auth_token) == ("wss://calls.example.com/api/calls/s-1/audio/tok", None)


def test_command_ids_are_derived() -> None:
    """The same for the same command on the same leg; another for anything else."""
    one = derived_command_id(LEG, Answer.NAME)

    assert derived_command_id(LEG, Answer.NAME) == one
    assert len({one, derived_command_id(LEG, StreamingStart.NAME), derived_command_id(LEG, Answer.NAME, 2)}) == 3


def test_what_is_kept_has_no_token() -> None:
    """Timelines are shared with support; the token opens the call's audio."""
    document = {"stream_url": "wss://x/tok", "stream_auth_token": "tok", "list": [{"deep": "tok"}], "number": 7}

    assert masked(document, "tok") == {
        "stream_url": "wss://x/***",
        "stream_auth_token": "***",
        "list": [{"deep": "***"}],
        "number": 7,
    }
    assert masked(document, None) == document
