"""Telnyx's own SDK against the simulator: its types accept every webhook, and its client every answer.

Each webhook of the pure tests is judged where it is made (`Played` in test_call.py, test_conference.py, test_queue.py);
here are those over a socket, and the answers.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from telnyx import APIResponseValidationError, APIStatusError, AsyncTelnyx
from telnyx.types import ConnectionListActiveCallsResponse

from callpath.simulator.options import CarrierOptions
from callpath.simulator.simulator import Callee, Simulator
from callpath.wire.document import Json
from callpath.wire.webhook import CONFERENCE_EVENTS, EVENTS
from tests import sdk
from tests.telnyx import SAMPLES, sample

NOWHERE = "http://127.0.0.1:9/hook"  # the discard port: nobody listens
APPLICATION, TO, FROM = "2900000000000000001", "+15555550123", "+15555550199"


def test_every_event_has_a_class() -> None:
    """Of the events that callpath has a name for, the SDK knows all."""
    assert [] == [name for name in (*EVENTS, *CONFERENCE_EVENTS) if name not in sdk.event_models()]


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("webhooks/*.json")), ids=lambda path: path.stem)
def test_every_sample_is_accepted(path: Path) -> None:
    """The samples are what the simulator is modelled after."""
    document = json.loads(path.read_text())
    if "data" in document:  # version 1 has no class
        assert [] == sdk.problems(document)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"hangup_cause": "went_away"}, "hangup_cause"),
        ({"start_time": 17}, "start_time"),
        ({"start_time": "yesterday"}, "start_time"),
        ({"from": 15555550123}, "from"),
        ({"colour": "red"}, "data.payload.colour: no such field"),
        ({"call_quality_stats": {"inbound": {"loss": "1"}}}, "call_quality_stats.inbound.loss: no such field"),
    ],
)
def test_the_judge_is_strict(change: Json, problem: str) -> None:
    """The SDK builds its objects without a check, and would take all of these."""
    document = sample("webhooks/call.hangup.json")
    document["data"]["payload"].update(change)
    found = sdk.problems(document)

    assert found and problem in found[0]


def test_an_unknown_event_is_a_problem() -> None:
    """A name that was mistyped in the simulator."""
    document = sample("webhooks/call.hangup.json")
    document["data"]["event_type"] = "call.ended"

    assert ["call.ended: the SDK has no class for it"] == sdk.problems(document)


@pytest.fixture
async def telnyx() -> AsyncIterator[Simulator]:
    async with Simulator(NOWHERE, options=CarrierOptions(webhook_retry_ms=())) as telnyx:
        telnyx.set_callee_of(TO, Callee(rings_ms=50))
        yield telnyx


def client_of(telnyx: Simulator) -> AsyncTelnyx:
    """A client that refuses an answer which its types do not fit."""
    return AsyncTelnyx(
        api_key=telnyx.api_key, base_url=telnyx.api_base, max_retries=0, _strict_response_validation=True
    )


Ask = Callable[[AsyncTelnyx, str, str], Any]
CALL: dict[str, Ask] = {
    "speak": lambda to, call, _: to.calls.actions.speak(call, payload="Hello.", voice="female"),
    "start_playback": lambda to, call, _: to.calls.actions.start_playback(call, audio_url="https://x.example/a.wav"),
    "stop_playback": lambda to, call, _: to.calls.actions.stop_playback(call),
    "send_dtmf": lambda to, call, _: to.calls.actions.send_dtmf(call, digits="12"),
    "gather": lambda to, call, _: to.calls.actions.gather(call, maximum_digits=2),
    "stop_gather": lambda to, call, _: to.calls.actions.stop_gather(call),
    "start_recording": lambda to, call, _: to.calls.actions.start_recording(call, channels="dual", format="wav"),
    "pause_recording": lambda to, call, _: to.calls.actions.pause_recording(call),
    "resume_recording": lambda to, call, _: to.calls.actions.resume_recording(call),
    "stop_recording": lambda to, call, _: to.calls.actions.stop_recording(call),
    "start_transcription": lambda to, call, _: to.calls.actions.start_transcription(call),
    "stop_transcription": lambda to, call, _: to.calls.actions.stop_transcription(call),
    "start_noise_suppression": lambda to, call, _: to.calls.actions.start_noise_suppression(call, direction="both"),
    "stop_noise_suppression": lambda to, call, _: to.calls.actions.stop_noise_suppression(call),
    "start_streaming": lambda to, call, _: to.calls.actions.start_streaming(call, stream_url="wss://127.0.0.1:9/x"),
    "update_client_state": lambda to, call, _: to.calls.actions.update_client_state(call, client_state="eA=="),
    "enqueue": lambda to, call, _: to.calls.actions.enqueue(call, queue_name="support"),
    "list queues": lambda to, call, _: to.queues.retrieve("support"),
    "list queue calls": lambda to, call, _: to.queues.calls.list("support"),
    "leave_queue": lambda to, call, _: to.calls.actions.leave_queue(call),
    "transfer": lambda to, call, _: to.calls.actions.transfer(call, to="+15555550144"),
    "retrieve_status": lambda to, call, _: to.calls.retrieve_status(call),
    "call events": lambda to, call, _: to.call_events.list(),
    "application": lambda to, call, _: to.call_control_applications.retrieve(APPLICATION),
    "applications": lambda to, call, _: to.call_control_applications.list(),
    "balance": lambda to, call, _: to.balance.retrieve(),
    "numbers": lambda to, call, _: to.phone_numbers.list(),
    "profiles": lambda to, call, _: to.outbound_voice_profiles.retrieve("2900000000000000002"),
    "webhook deliveries": lambda to, call, _: to.webhook_deliveries.list(),
    "dial": lambda to, call, _: to.calls.dial(connection_id=APPLICATION, from_=FROM, to=TO),
    "hangup": lambda to, call, _: to.calls.actions.hangup(call),
}
"""What is asked about one answered call, in this order."""

ROOM: dict[str, Ask] = {
    "list": lambda to, call, room: to.conferences.list(filter={"name": "demo"}),
    "retrieve": lambda to, call, room: to.conferences.retrieve(room),
    "participants": lambda to, call, room: to.conferences.list_participants(room),
    "join": lambda to, call, room: to.conferences.actions.join(room, call_control_id=call, mute=True),
    "mute": lambda to, call, room: to.conferences.actions.mute(room, call_control_ids=[call]),
    "unmute": lambda to, call, room: to.conferences.actions.unmute(room, call_control_ids=[call]),
    "hold": lambda to, call, room: to.conferences.actions.hold(room, call_control_ids=[call]),
    "unhold": lambda to, call, room: to.conferences.actions.unhold(room, call_control_ids=[call]),
    "speak": lambda to, call, room: to.conferences.actions.speak(room, payload="Hello.", voice="female"),
    "play": lambda to, call, room: to.conferences.actions.play(room, audio_url="https://x.example/a.wav"),
    "stop": lambda to, call, room: to.conferences.actions.stop(room),
    "send_dtmf": lambda to, call, room: to.conferences.actions.send_dtmf(room, digits="1"),
    "update": lambda to, call, room: to.conferences.actions.update(room, call_control_id=call, supervisor_role="barge"),
    "record_start": lambda to, call, room: to.conferences.actions.record_start(room, format="wav"),
    "record_pause": lambda to, call, room: to.conferences.actions.record_pause(room),
    "record_resume": lambda to, call, room: to.conferences.actions.record_resume(room),
    "record_stop": lambda to, call, room: to.conferences.actions.record_stop(room),
    "leave": lambda to, call, room: to.conferences.actions.leave(room, call_control_id=call),
    "end": lambda to, call, room: to.conferences.actions.end_conference(room),
}


async def judged(asked: dict[str, Ask], to: AsyncTelnyx, call: str, room: str) -> list[str]:
    """What the client says to each answer."""
    found: list[str] = []
    for name, ask in asked.items():
        try:
            answer = await ask(to, call, room)
        except APIResponseValidationError as error:
            found.append(f"{name}: {error.__cause__}")
        except APIStatusError as error:
            found.append(f"{name}: {error.status_code} {error.body}")
        else:
            # Of a page's meta the SDK names only what it turns pages with.
            unknown = sorted(field for field in set(sdk.unknown_fields(answer)) if not field.startswith("meta."))
            found += [f"{name}: {field}: no such field" for field in unknown]
    return found


async def test_the_client_accepts_every_answer_about_a_call(telnyx: Simulator) -> None:
    """A program that is built on the SDK reads the simulator's answers as Telnyx's."""
    call = await telnyx.call()
    control_id = call.call.leg.call_control_id
    async with client_of(telnyx) as to:
        answered = await to.calls.actions.answer(control_id)
        await call.until(lambda: call.call.state == "answered", 10_000)
        found = await judged(CALL, to, control_id, "")

    assert answered.data is not None and "ok" == answered.data.result
    assert "" == "\n".join(found)


async def test_the_rows_of_active_calls_are_the_clients(telnyx: Simulator) -> None:
    """Their page is turned by cursor in Telnyx's OpenAPI file, which the simulator follows, and by number in its SDK."""
    call = await telnyx.call()
    async with client_of(telnyx) as to:
        await to.calls.actions.answer(call.call.leg.call_control_id)
        await call.until(lambda: call.call.state == "answered", 10_000)
        answer = await to.connections.with_raw_response.list_active_calls(APPLICATION)
        rows = json.loads(await answer.text())["data"]

    assert [call.call.leg.call_control_id] == [
        ConnectionListActiveCallsResponse.model_validate_json(json.dumps(row), strict=True).call_control_id
        for row in rows
    ]


async def test_the_client_accepts_every_answer_about_a_conference(telnyx: Simulator) -> None:
    """Rooms, their participants, and all that can be done with them."""
    creator, other = await telnyx.call(), await telnyx.call()
    ids = [one.call.leg.call_control_id for one in (creator, other)]
    async with client_of(telnyx) as to:
        for caller in (creator, other):
            await to.calls.actions.answer(caller.call.leg.call_control_id)
            await caller.until(lambda caller=caller: caller.call.state == "answered", 10_000)  # type: ignore[misc]
        made = await to.conferences.create(call_control_id=ids[0], name="demo")
        assert made.data is not None
        found = await judged(ROOM, to, ids[1], made.data.id)

    assert "" == "\n".join(found)


async def test_a_refusal_is_the_clients_own_error(telnyx: Simulator) -> None:
    """Status, code and body are where programs look for them."""
    async with client_of(telnyx) as to:
        with pytest.raises(APIStatusError) as raised:
            await to.calls.actions.hangup("v3:nobody")

    assert 422 == raised.value.status_code
    assert sample("api/error-422-90015-bad-call-control-id.json")["errors"] == raised.value.body["errors"]  # type: ignore[index]
