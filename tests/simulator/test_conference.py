"""Conferences: who hears whom, what ends what, and the webhooks of each leg; on a time that stands still."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpath.audio.tone import tone
from callpath.simulator.call import CarrierCall, Effect, Elsewhere, SaveRecording, SendWebhook
from callpath.simulator.conference import Room
from callpath.simulator.options import CarrierOptions
from callpath.simulator.refusal import Refused, accept_conference_command
from callpath.wire.command import Hangup
from callpath.wire.conference import ConferenceCreate
from callpath.wire.document import write
from callpath.wire.ids import CallControlId, LegId
from callpath.wire.webhook import ConferenceWebhook, webhook_document
from tests import sdk
from tests.simulator.test_call import Played, answered
from tests.telnyx import event_schemas, validate

CREATE = {"call_control_id": "v3:0", "name": "demo"}


class Together:
    """A conference of some answered legs, and every event in order as "leg event"."""

    def __init__(self, legs: int = 3, options: CarrierOptions | None = None, **create: Any) -> None:
        self.legs = [
            answered(options, call_control_id=CallControlId(f"v3:{number}"), call_leg_id=LegId(f"leg-{number}"))
            for number in range(legs)
        ]
        ids = (f"00000000-0000-4000-8000-{number:012x}" for number in itertools.count(1))
        command = accept_conference_command("create", CREATE | create)
        assert isinstance(command, ConferenceCreate)
        self.room = Room(
            command,
            self.calls[0],
            options or CarrierOptions(),
            new_id=lambda: next(ids),
            time=lambda at_ms: f"2026-01-02T03:04:{at_ms / 1000:09.6f}Z",
            now_ms=100,
        )
        self.events: list[str] = []
        self.add(self.room.begin(100))
        for number in range(1, legs):
            self.do("join", 100 + number, call_control_id=f"v3:{number}")

    @property
    def calls(self) -> list[CarrierCall]:
        return [one.call for one in self.legs]

    def add(self, effects: list[Effect], leg: Played | None = None) -> None:
        for effect in effects:
            if isinstance(effect, Elsewhere):
                self.add(effect.effects, next(one for one in self.legs if one.call is effect.call))
                continue
            assert leg is not None, "effects of a conference are about legs"
            if isinstance(effect, SendWebhook):
                document = webhook_document(effect.webhook)
                document["data"]["payload"].pop("client_state", None)
                assert [] == validate(document, event_schemas()[effect.webhook.event_type])
                assert [] == sdk.problems(webhook_document(effect.webhook))
                wide = isinstance(effect.webhook, ConferenceWebhook)
                self.events.append(f"{'all' if wide else self.legs.index(leg)} {effect.webhook.event_type}")
            leg.effects.append(effect)

    def do(self, name: str, at_ms: float, **body: Any) -> list[str]:
        """Carry out a command; the events that follow."""
        before = len(self.events)
        calls = {one.leg.call_control_id: one for one in self.calls}
        self.add(self.room.receive_command(accept_conference_command(name, body), calls.__getitem__, at_ms))  # type: ignore[arg-type]
        return self.events[before:]

    def refused(self, name: str, **body: Any) -> str:
        with pytest.raises(Refused) as caught:
            self.do(name, 5_000, **body)
        return caught.value.errors[0].code

    def pass_to(self, at_ms: float) -> list[str]:
        before = len(self.events)
        for leg in self.legs:
            self.add(leg.call.effects_due(at_ms), leg)
        return self.events[before:]

    def hears(self, number: int, at_ms: float) -> list[int]:
        """Whom that leg hears, found by letting everybody speak for 10 ms at that time."""
        before = len(self.calls[number].heard_beside(at_ms))
        for other, call in enumerate(self.calls):
            call.voice.say(at_ms, tone(500, duration_ms=10 * (other + 1)))
        heard = self.calls[number].heard_beside(at_ms + 100)
        assert before <= len(heard)
        return sorted(round(pcm.size / 80) - 1 for begins, pcm in heard if begins == at_ms)


def test_a_conference_begins_with_its_creator() -> None:
    """In the observed order; the others join one by one."""
    together = Together()

    assert [
        "0 conference.created",
        "0 conference.participant.joined",
        "1 conference.participant.joined",
        "2 conference.participant.joined",
    ] == together.events
    assert ("demo", "in_progress") == (together.room.row().name, together.room.row().status)


def test_everybody_hears_all_others() -> None:
    """A conference that does not mix is none."""
    together = Together()

    assert [[1, 2], [0, 2], [0, 1]] == [together.hears(number, 1_000 + 1_000 * number) for number in range(3)]


def test_who_leaves_is_parked_and_hears_nobody() -> None:
    """Leave is no hangup: the leg waits for the next command."""
    together = Together()

    assert ["1 conference.participant.left"] == together.do("leave", 500, call_control_id="v3:1")
    assert ("answered", None) == (together.calls[1].state, together.calls[1].room)
    assert [[], [2]] == [together.hears(1, 1_000), together.hears(0, 2_000)]


def test_mute_and_hold() -> None:
    """Muted: hears and is not heard. On hold: neither, but music. An empty list means everybody: observed."""
    together = Together()
    together.do("mute", 500, call_control_ids=["v3:1"])
    assert [[2], [0, 2]] == [together.hears(0, 1_000), together.hears(1, 2_000)]
    together.do("unmute", 2_500)
    together.do("hold", 2_600, call_control_ids=["v3:2"])
    assert [[1], []] == [together.hears(0, 3_000), together.hears(2, 4_000)]
    together.do("unhold", 4_500, call_control_ids=["v3:2"])
    assert [0, 1] == together.hears(2, 5_000)
    together.do("mute", 5_500, call_control_ids=[])
    assert [] == together.hears(0, 6_000)


def test_music_on_hold_plays_until_unhold_and_says_nothing() -> None:
    """The caller hears it while an agent is consulted; there is no webhook for it."""
    together = Together(options=CarrierOptions(fetch_audio=False, playback_ms=100))
    events = together.do("hold", 500, call_control_ids=["v3:1"], audio_url="https://voice.example.com/hold.mp3")
    together.pass_to(1_500)
    before = sum(pcm.size for _, pcm in together.calls[1].heard_beside(1_500))
    events += together.do("unhold", 1_600, call_control_ids=["v3:1"])
    after = sum(pcm.size for _, pcm in together.calls[1].heard_beside(9_000))

    assert [] == events
    assert (8_000, 8_800) == (before, after)


@pytest.mark.parametrize(
    ("role", "hears", "heard_by"), [("barge", [0, 1], [0, 1]), ("whisper", [0, 1], [1]), ("monitor", [0, 1], [])]
)
def test_supervisor_roles(role: str, hears: list[int], heard_by: list[int]) -> None:
    """An agent is coached without the customer hearing it."""
    together = Together(legs=2)
    together.legs.append(answered(call_control_id=CallControlId("v3:2")))
    together.do("join", 500, call_control_id="v3:2", supervisor_role=role, whisper_call_control_ids=["v3:1"])

    assert hears == together.hears(2, 1_000)
    assert heard_by == [number for number in (0, 1) if 2 in together.hears(number, 2_000 + 1_000 * number)]


def test_a_monitor_was_seen_to_silence_the_others() -> None:
    """Observed by one program; an option, so that another one can prove that it survives it."""
    together = Together(legs=2, options=CarrierOptions(conference_monitor="silences"))
    together.legs.append(answered(call_control_id=CallControlId("v3:2")))
    together.do("join", 500, call_control_id="v3:2", supervisor_role="monitor")

    assert [] == together.hears(0, 1_000)


def test_a_text_for_all_has_one_event_and_one_for_some_has_an_event_each() -> None:
    """Programs wait for the end by the name that they expect."""
    together = Together()
    spoken = {"payload": "x", "voice": "female"}
    to_all = together.do("speak", 500, **spoken) + together.pass_to(1_000)
    to_some = together.do("speak", 1_500, **spoken, call_control_ids=["v3:1", "v3:2"]) + together.pass_to(2_000)

    assert ["all conference.speak.started", "all conference.speak.ended"] == to_all
    each = "conference.participant.speak"
    assert sorted([f"1 {each}.started", f"2 {each}.started", f"1 {each}.ended", f"2 {each}.ended"]) == sorted(to_some)


def test_the_end_hangs_everybody_up_and_the_creator_wherever_it_is() -> None:
    """Observed: the creator's leg ends with time_limit even after it left, which has cut callers off."""
    together = Together()
    together.do("leave", 500, call_control_id="v3:0")
    events = together.do("end", 600)

    assert [
        "1 conference.participant.left",
        "1 call.hangup",
        "2 conference.participant.left",
        "2 call.hangup",
    ] == events[:4]
    assert ["0 conference.ended", "0 call.hangup"] == events[4:]
    assert ["time_limit", "normal_clearing"] == [
        together.legs[number].webhook("call.hangup")["data"]["payload"]["hangup_cause"] for number in (0, 1)
    ]
    assert ("completed", "ended_via_api") == (together.room.row().status, together.room.row().end_reason)


def test_a_conference_ends_when_all_have_left_and_hangs_nobody_up() -> None:
    """The creator may go on with its caller afterwards."""
    together = Together(legs=2)
    together.do("leave", 500, call_control_id="v3:0")
    together.add(together.calls[1].receive_command(Hangup(), 600), together.legs[1])

    assert ["1 call.hangup", "1 conference.participant.left", "0 conference.ended"] == together.events[-3:]
    assert ("answered", "all_left") == (together.calls[0].state, together.room.row().end_reason)


@pytest.mark.parametrize(
    ("field", "state"), [("end_conference_on_exit", "ended"), ("soft_end_conference_on_exit", "answered")]
)
def test_somebody_may_end_it_by_leaving(field: str, state: str) -> None:
    """A host who goes takes the others along, or sets them free."""
    together = Together(legs=2)
    together.legs.append(answered(call_control_id=CallControlId("v3:2")))
    together.do("join", 500, call_control_id="v3:2", **{field: True})
    together.do("leave", 600, call_control_id="v3:2")

    assert [state, state, "answered"] == [call.state for call in together.calls]
    assert "host_left" == together.room.row().end_reason


def test_a_conference_may_wait_for_its_host() -> None:
    """start_conference_on_create false: everybody is on hold until somebody with start_conference_on_enter comes."""
    together = Together(legs=2, start_conference_on_create=False)
    assert ([], "init") == (together.hears(0, 1_000), together.room.row().status)
    together.legs.append(answered(call_control_id=CallControlId("v3:2")))
    together.do("join", 1_500, call_control_id="v3:2", start_conference_on_enter=True)

    assert ([1, 2], "in_progress") == (together.hears(0, 2_000), together.room.row().status)


def test_a_beep_for_who_comes_and_goes() -> None:
    """on_enter only at the entry; heard by the others."""
    together = Together(legs=2, beep_enabled="on_enter")
    together.legs.append(answered(call_control_id=CallControlId("v3:2")))
    together.do("join", 1_000, call_control_id="v3:2")
    together.do("leave", 2_000, call_control_id="v3:2")

    assert [101, 1_000] == [at_ms for at_ms, _ in together.calls[0].heard_beside(3_000)]
    assert [] == together.calls[2].heard_beside(3_000)


def test_joining_leaves_the_bridge() -> None:
    """The partner of before goes by its own setting; here it is parked."""
    together = Together(legs=2)
    agent, caller = (answered(call_control_id=CallControlId(f"v3:{number}")) for number in (2, 3))
    together.legs += [agent, caller]
    caller.call.after_unbridge = "park"
    together.add(agent.call.join(caller.call, 500), agent)
    together.do("join", 600, call_control_id="v3:2")

    assert ("answered", None, None) == (caller.call.state, caller.call.opposite, agent.call.opposite)
    assert [[0, 1], []] == [together.hears(2, 1_000), together.hears(3, 2_000)]


def test_the_floor_goes_to_who_begins_to_speak() -> None:
    """One event for each change of speaker, none for a muted one."""
    together = Together()
    together.do("mute", 200, call_control_ids=["v3:2"])
    before = len(together.events)
    for number in (1, 1, 2, 0):
        together.add(together.calls[number].spoke(1_000), together.legs[number])

    assert ["1 conference.floor.changed", "0 conference.floor.changed"] == together.events[before:]


def test_what_a_conference_refuses() -> None:
    """Each with its documented code."""
    together = Together(legs=2, max_participants=2)
    together.legs.append(answered(call_control_id=CallControlId("v3:2")))
    together.legs.append(Played(call_control_id=CallControlId("v3:3")))
    assert "90044" == together.refused("join", call_control_id="v3:1")
    assert "90032" == together.refused("join", call_control_id="v3:2")
    assert "90034" == together.refused("join", call_control_id="v3:3")
    assert "90015" == together.refused("mute", call_control_ids=["v3:2"])
    together.do("end", 6_000)

    assert "90019" == together.refused("mute")


def test_a_repeated_command_id_is_ignored() -> None:
    """A retry of join is no second join (90044)."""
    together = Together(legs=2)
    together.legs.append(answered(call_control_id=CallControlId("v3:2")))

    assert 1 == len(together.do("join", 500, call_control_id="v3:2", command_id="a"))
    assert [] == together.do("join", 600, call_control_id="v3:2", command_id="a")


def test_time_is_over_after_four_hours() -> None:
    """Or after duration_minutes."""
    together = Together(legs=2, duration_minutes=1)
    assert 60_100 == together.room.expires_at_ms
    together.add(together.room.expire(60_100))

    assert ["ended", "ended"] == [call.state for call in together.calls]
    assert "time_exceeded" == together.room.row().end_reason


def test_the_rows_of_participants_stay() -> None:
    """Who left is listed as left."""
    together = Together(legs=2)
    together.do("leave", 500, call_control_id="v3:1")
    rows = [together.room.participant(member) for member in together.room.rows]

    assert ["joined", "left"] == [row.status for row in rows]
    assert [] == validate(write(rows[0]), "openapi-subset.json#/components/schemas/ConferenceParticipant")
    assert [] == validate(write(together.room.row()), "openapi-subset.json#/components/schemas/Conference")
    changed = together.room.change(together.room.rows[0].id, {"end_conference_on_exit": True})
    assert changed.ends_on_exit


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["join", "leave", "mute", "unmute", "hold", "unhold", "speak", "hang_up", "bridge", "end"]),
            st.integers(0, 3),
            st.booleans(),
        ),
        max_size=25,
    )
)
@settings(max_examples=60, deadline=None)
def test_whatever_happens_the_lists_agree(steps: list[tuple[str, int, bool]]) -> None:
    """Whoever hears somebody is heard by nobody who is gone, and each who joined has left once at most."""
    together = Together(legs=2, options=CarrierOptions(fetch_audio=False))
    together.legs += [answered(call_control_id=CallControlId(f"v3:{number}")) for number in (2, 3)]
    for at_ms, (step, number, flag) in enumerate(steps, start=1_000):
        leg, own = together.legs[number], f"v3:{number}"
        try:
            match step:
                case "hang_up":
                    together.add(leg.call.party_hangs_up(at_ms), leg)
                case "bridge":
                    other = together.calls[(number + 1) % 4]
                    if {leg.call.state, other.state} == {"answered"}:
                        together.add(leg.call.join(other, at_ms), leg)
                case "join":
                    together.do(step, at_ms, call_control_id=own, end_conference_on_exit=flag and number == 3)
                case "leave":
                    together.do(step, at_ms, call_control_id=own)
                case "speak":
                    together.do(step, at_ms, payload="x", voice="female", call_control_ids=[own] if flag else [])
                case "end":
                    together.do(step, at_ms)
                case _:
                    together.do(step, at_ms, call_control_ids=[own])
        except Refused:
            pass
    calls = together.calls

    for number, call in enumerate(calls):
        names = [event for event in together.events if event.startswith(f"{number} ")]
        joined, left = (names.count(f"{number} conference.participant.{what}") for what in ("joined", "left"))
        assert joined - left == int(call in together.room.members)
        assert names.count(f"{number} call.hangup") == int(call.state == "ended")
        assert all(one.state == "answered" for one in call.hearers)
        if call.state == "ended":
            assert ([], None, None) == (call.hearers, call.opposite, call.room)
        assert not (call.opposite is not None and call.room is not None)
    assert (together.room.ended_at_ms is not None) >= (not together.room.members)


def test_a_recording_has_the_mix_of_all_who_were_heard() -> None:
    """Nothing of a muted participant, and nothing of a paused second; it ends with the conference at the latest."""
    together = Together()
    together.do("record_start", 1_000, format="wav")
    together.do("mute", 1_500, call_control_ids=["v3:2"])
    for number, at_ms in ((0, 1_100), (1, 1_200), (2, 1_600), (1, 2_100)):
        together.calls[number].voice.say(at_ms, tone(500, duration_ms=50))
    together.do("record_pause", 2_000)
    together.do("record_resume", 2_500)
    together.do("end", 3_000)
    (save,) = [effect for effect in together.legs[0].effects if isinstance(effect, SaveRecording)]
    assert save.sides is not None
    assert save.saved is not None
    mix, other = save.sides()
    loud = sorted({int(at // 400) * 50 for at in np.flatnonzero(mix)})
    together.add(save.saved("http://127.0.0.1/r.wav", 3_100), together.legs[0])

    assert ([100, 200, 1_100], 0, 16_000) == (loud, other.size, mix.size)
    assert [(1_000, 2_000), (2_500, 3_000)] == save.recording.spans()
    assert "all conference.recording.saved" == together.events[-1]
