"""Calls that were, from their entries to the diagnosis. Real calls with real faults: tests/cli/test_doctor_call.py."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.clock import SystemClock
from callpath.doctor.facts import ApiRefusal, CallFacts, Facts, RefusalFacts, TelnyxCallFacts, WayFacts
from callpath.doctor.recorded import judge_call, missed_entries, probe_way, telnyx_lines, wants_probe
from callpath.doctor.report import document
from callpath.doctor.rules import rules_of
from callpath.doctor.rules.sample import answer, tcp, upgrade
from callpath.doctor.rules.sample_call import (
    ACCEPTED,
    ANSWERED,
    ANSWERING,
    ASKED,
    BEGIN_UNIX_MS,
    BOTH_WAYS,
    CAME,
    GOOD,
    HEARD,
    RANG,
    SESSION,
    STARTED,
    STOPPED,
    TAKEN,
    URL,
    Timed,
    a_call,
    answered,
    asking,
    call,
    counted,
    found_way,
    hook,
    hung_up,
    noticed,
    sent,
    turned_away,
)
from callpath.doctor.verdict import Diagnosis
from callpath.timeline import HandlerEnded, SocketClosed, Unknown, What
from callpath.wire.api import CallEvent
from tests.doctor.answering import closed_port

NOBODY_REFUSED = RefusalFacts(count=0, latest=())
LATER = (20_000, hung_up())


def diagnosed(*happened: Timed | list[Timed], **options: object) -> Diagnosis:
    facts = a_call(*happened, **options)
    facts.add(NOBODY_REFUSED)
    return judge_call(facts)


def verdict(diagnosis: Diagnosis) -> str:
    """The slug, with "?" where it is not decided."""
    if diagnosis.verdict is None:
        return "healthy" if diagnosis.healthy else "nothing"
    return diagnosis.verdict.rule.slug + ("" if diagnosis.decided else "?")


STATIONS = {
    "nothing": ([], "webhook-never-came?", "webhook"),
    "rang": ([*RANG, LATER], "call-never-answered", "answered"),
    "answering": ([*ANSWERING, LATER], "webhooks-partly-missing?", "answered"),
    "answered": ([*ANSWERED, LATER], "streaming-start-never-sent", "request"),
    "accepted": ([*ACCEPTED, LATER], "socket-never-came?", "socket"),
    "came": ([*CAME, LATER], "stream-never-started?", "start"),
    "started": ([*STARTED, LATER], "no-inbound-media?", "audio in"),
    "heard": ([*HEARD, LATER], "handler-played-nothing?", "audio out"),
    "good": (GOOD, "healthy", None),
}


@pytest.mark.parametrize("station", STATIONS)
def test_each_stage_that_a_call_can_stop_at(station: str) -> None:
    """The first stage that was not reached is what the user asks about."""
    happened, slug, missing = STATIONS[station]
    found = diagnosed(*happened)

    assert (slug, missing) == (verdict(found), document(found)["call"]["missing_stage"])


@pytest.mark.parametrize("length", range(len(GOOD)))
def test_no_part_of_a_good_call_is_judged_ill_or_well(length: int) -> None:
    """Looked at a second after its last entry the call is on, and nothing is missing yet. Nor does any rule crash."""
    known = call(GOOD[:length], looked_ms=0)
    last = known.entries[-1].at_unix_ms - BEGIN_UNIX_MS if known.entries else 0
    found = diagnosed(GOOD[:length], looked_ms=last + 900)

    assert [item for item in found.not_checked if item.crashed] == []
    if length:
        ended = any("call.hangup" in line.text for line in found.call.timeline) if found.call else False
        assert verdict(found) in ({"healthy"} if ended else {"call-in-progress?"})


def test_nothing_is_healthy_that_was_not_seen() -> None:
    """Logs that do not show audio prove none, however good the rest looks."""
    shown = frozenset({"webhook.received", "socket.received", "stream.started"})

    assert diagnosed(CAME, LATER, source="logs", shown=shown).healthy is None


def test_the_url_sent_is_read_without_any_network() -> None:
    """A placeholder or a private host stands in the timeline for all to see."""
    for url, slug in (
        ("wss://calls.example.com/api/calls/undefined/audio", "url-placeholder-unreplaced"),
        ("ws://localhost:3000/api/calls/x/audio", "url-private-host"),
        (f"wss://calls.example.com//api/calls/{SESSION}/audio", "url-double-slash-or-trailing"),
        (f"wss://other.example.com/api/calls/{SESSION}/audio", "url-stale-host"),
    ):
        assert verdict(diagnosed(ANSWERED, asking(url), TAKEN, LATER)) == slug


# --- a probe beside it -----------------------------------------------------------------------------------------------


def with_probe(probed: Facts, *happened: Timed | list[Timed]) -> Diagnosis:
    facts = a_call(*happened, LATER)
    for fact in probed:
        facts.add(fact)
    facts.add(WayFacts(url=URL, probed_at_unix_ms=BEGIN_UNIX_MS + 80_000, through=False))
    return judge_call(facts)


def test_what_a_probe_finds_now_need_not_have_been_so_then() -> None:
    """Whoever stops the server and then asks must not be told that it was down in the call."""
    by_the_same_door = [hook("call.initiated", to="https://voice.example.com/api/calls/webhook"), *ACCEPTED[1:]]
    found = with_probe(tcp("refused"), by_the_same_door)  # the sample's probes went to voice.example.com

    assert verdict(found) == "tcp-refused?"
    assert found.verdict is not None
    assert "During the call webhooks came" in found.verdict.finding.question
    assert verdict(with_probe(tcp("refused"), ACCEPTED)) == "tcp-refused"
    assert verdict(with_probe(upgrade(answer(301, Location="/x")), by_the_same_door)) == "redirect-on-upgrade"


def test_a_way_that_is_open_now_is_not_healthy() -> None:
    """The call failed all the same."""
    facts = a_call(ACCEPTED, LATER)
    facts.add(found_way("call_ended"))
    found = judge_call(facts)

    assert (verdict(found), found.exit_code) == ("socket-never-came?", 4)
    assert found.verdict is not None
    assert "The way is open now" in found.verdict.finding.summary


def test_the_servers_own_probe_is_believed() -> None:
    """It looked while the call was up; but a refusal by its own router says little."""
    told = {"kind": "stream.probed", "url": URL, "healthy": False, "decided": True, "summary": "it is so"}

    assert verdict(diagnosed(ACCEPTED, Unknown(stored=told | {"code": "TLS001"}), LATER)) == "tls-expired"
    assert verdict(diagnosed(ACCEPTED, Unknown(stored=told | {"code": "TCP001"}), LATER)) == "tcp-refused?"
    assert verdict(diagnosed(ACCEPTED, Unknown(stored=told | {"code": "NEW001"}), LATER)) == "socket-never-came?"


def test_a_probe_is_wanted_only_where_it_can_tell_more() -> None:
    """Half a minute is long for who knows the cause already."""
    for happened, wanted in (
        (ACCEPTED, True),
        (BOTH_WAYS, False),
        (ASKED, False),
        (turned_away("no_token", 401), False),
    ):
        facts = a_call(happened, LATER)

        assert wants_probe(facts, judge_call(facts)) is wanted


async def test_the_probe_of_a_call_takes_its_url() -> None:
    """With the probe's token where the call's own stood, so that it is never taken for the call's audio."""
    port = closed_port()
    facts = a_call(ANSWERED, asking(f"ws://127.0.0.1:{port}/api/calls/{SESSION}/audio/***"), TAKEN, LATER)
    steps = await probe_way(
        facts,
        SystemClock(),
        token="probe",
        token_in="path",
        test_url=f"ws://127.0.0.1:{port}/api/calls/test-connection/audio",
        test_token=None,
    )

    assert [step.name for step in steps] == ["URL", "DNS", "TCP"]
    assert steps[0].detail.endswith("/audio/probe")
    assert facts[WayFacts].through is False
    assert "***" in facts[WayFacts].url


# --- what Telnyx keeps -----------------------------------------------------------------------------------------------


def test_missed_webhooks_become_entries() -> None:
    """Keyed like the ones that came by themselves, so that a late delivery changes nothing."""
    event = {"id": "e-1", "event_type": "call.hangup", "occurred_at": "2026-01-02T03:04:05.5Z",
             "payload": {"call_leg_id": "leg-1", "call_control_id": "v3:abc"}}  # fmt: skip
    rows = [
        CallEvent(type="webhook", name="call.hangup", metadata={"event": event}),
        CallEvent(type="webhook", name="call.cost", metadata={"event": event | {"occurred_at": "soon"}}),
        CallEvent(type="webhook", name="call.odd", metadata={}),
    ]
    found = missed_entries(call(RANG), TelnyxCallFacts(missed=tuple(rows)))

    assert [("webhook:e-1", 1_767_323_045_500, "leg-1")] == [(e.key, e.at_unix_ms, e.leg) for e in found]


def test_what_telnyx_says_stands_in_the_report() -> None:
    """Its support reads its own words first; nobody's number is among them."""
    rows = [
        CallEvent(
            type="command", name="answer", event_timestamp="2026-01-02T03:04:05Z", metadata={"to": "+15555550123"}
        )
    ]
    lines = telnyx_lines(TelnyxCallFacts(events=tuple(rows), refusals=(ApiRefusal("status", 404, "10005", "no"),)))

    assert lines == ("2026-01-02T03:04:05Z command answer", "status: refused, 404 10005 no")


# --- the rules together ----------------------------------------------------------------------------------------------


def test_the_order_of_verdicts_is_the_order_of_stages() -> None:
    """What explains the rest stands first: a call that lost its socket and then its handler lost its socket."""
    order = [rule.sign for rule in rules_of("call")]

    assert len(order) == len(set(order))
    assert order.index("CALL001") < order.index("CALL007") < order.index("CALL016") < order.index("CALL023")
    assert order.index("CALL023") < order.index("CALL033") < order.index("CALL050") < order.index("CALL083")


@pytest.mark.parametrize("code", ["SYM005", "SYM007"])
def test_a_caller_on_mute_is_no_fault(code: str) -> None:
    """It is told after half a minute, and whoever speaks then had nothing wrong with his line."""
    found = diagnosed(BOTH_WAYS, (31_000, noticed(code, seconds="30")), (90_000, hung_up(out=500)), looked_ms=99_000)

    assert verdict(found) == "inbound-silence?"


@pytest.mark.parametrize("command", ["streaming_start", "answer"])
def test_a_late_repetition_of_ours_hides_no_failure(command: str) -> None:
    """The port of PUBLIC_URL is refused, the caller hangs up, and our own retry gets 90018."""
    failed = hook("streaming.failed", failure_reason="connection_failed")
    found = diagnosed(ACCEPTED, failed, sent(command), hung_up(), answered(command, 422, "90018"), LATER)

    assert verdict(found) == "stream-connection-failed?"


@pytest.mark.parametrize(
    ("what", "slug"),
    [
        (noticed("SYM001", **{"is": "PCMA"}), "codec-alaw-as-ulaw"),
        (noticed("SYM002", **{"is": "big"}), "l16-byte-order"),
        (SocketClosed(code=1006), "socket-lost?"),
    ],
)
def test_a_blocked_loop_explains_only_what_it_can_bring_about(what: What, slug: str) -> None:
    """Another call of the process slept for 1.5 s; this one's codec was wrong all the same."""
    found = diagnosed(BOTH_WAYS, counted(loop_lag_ms=1_500.0), (15_000, what), (40_000, hung_up()), looked_ms=99_000)

    assert verdict(found) == slug
    assert [("event-loop-blocked", "")] == [
        (one.rule.slug, one.under) for one in found.findings if one.rule.slug == "event-loop-blocked"
    ]


@pytest.mark.parametrize("command", ["speak", "playback_start", "transfer", "bridge"])
def test_a_call_that_telnyx_served_is_healthy(command: str) -> None:
    """Telnyx spoke, or the caller was passed on and talked: that the handler sent no audio is how it was meant."""
    happened = [*HEARD, sent(command), answered(command), (4_000, HandlerEnded()), *STOPPED, (25_000, hung_up(out=900))]
    refused = [*HEARD, sent(command), answered(command, 422, "10015"), (4_000, HandlerEnded()), (25_000, hung_up())]

    assert "healthy" == verdict(diagnosed(happened))
    assert ("transfer-refused" if command == "transfer" else "command-refused") == verdict(diagnosed(refused))


def test_a_handler_that_waits_and_then_speaks_is_no_fault() -> None:
    """Its silence is told after half a minute; only where a shorter stream ended with it no word can have followed."""
    late = diagnosed(BOTH_WAYS, (31_000, noticed("SYM006", seconds="30")), (90_000, hung_up(out=500)), looked_ms=99_000)
    ended = diagnosed(BOTH_WAYS, (9_000, noticed("SYM006", seconds="8")), *STOPPED, hung_up(out=500))
    again = diagnosed(BOTH_WAYS, noticed("SYM006", seconds="8"), SocketClosed(code=1006), STARTED[9:11], GOOD[-5:])

    assert "sends-silence?" == verdict(late)
    assert "sends-silence" == verdict(ended)
    assert "sends-silence" != verdict(again)


@pytest.mark.parametrize(("times", "expected"), [("0.5", ""), ("1.5", ""), ("2.03", "?"), ("3.0", "")])
def test_twice_the_bytes_may_be_two_channels(times: str, expected: str) -> None:
    """Whoever sends stereo was told to change the rate, which changes nothing."""
    found = diagnosed(BOTH_WAYS, noticed("SYM003", times=times), GOOD[-5:])

    assert "sample-rate-mismatch" + expected == verdict(found)


def test_entries_of_a_newer_version_are_shown_and_harm_nothing() -> None:
    """A call log may have been written by tomorrow's server."""
    found = diagnosed(BOTH_WAYS, Unknown(stored={"kind": "quantum.entangled"}), GOOD[-5:])

    assert verdict(found) == "healthy"
    assert found.call is not None
    assert "quantum.entangled" in {line.kind for line in found.call.timeline}


def test_upgrades_long_after_the_end_are_no_sockets_of_the_call() -> None:
    """A doctor's own knocks must not mend the call that it looks at."""
    late = [(60_000, what) for what in turned_away("call_ended", 410)[-2:] if not isinstance(what, tuple)]

    assert verdict(diagnosed(ACCEPTED, LATER, *late, looked_ms=90_000)) == "socket-never-came?"


def test_a_lost_socket_that_came_again_is_not_healthy() -> None:
    """The caller heard a gap."""
    again = [what for what in GOOD if what not in BOTH_WAYS]
    found = diagnosed(BOTH_WAYS, SocketClosed(code=1006), STARTED[9:11], *again)

    assert verdict(found) == "socket-lost?"


def test_facts_of_a_call_keep_what_the_store_gives() -> None:
    """Order of time, whatever the order of arrival; and the fold beside it."""
    known = call((500, RANG[0]), (100, hook("call.answered")))  # type: ignore[arg-type]

    assert [100, 500] == [entry.at_unix_ms - BEGIN_UNIX_MS for entry in known.entries]
    assert isinstance(Facts(known)[CallFacts].state.first_unix_ms, int)
    assert msgspec.to_builtins(known.entries[0].what)["event_type"] == "call.answered"


PIECES = [
    *GOOD,
    *turned_away("no_token", 401)[-2:],
    *ACCEPTED,
    SocketClosed(code=1006),
    hung_up("unspecified", "unknown", 0),
]


@given(st.lists(st.sampled_from(PIECES), max_size=25), st.integers(0, 200_000))
def test_no_timeline_makes_a_rule_crash_or_a_lie_of_health(happened: list[Timed], looked_ms: int) -> None:
    """Webhooks come late, twice and out of order, processes die, stores lose entries: whatever is left is judged, and
    health is claimed only of a call that is over and was heard both ways."""
    found = diagnosed([what[1] if isinstance(what, tuple) else what for what in happened], looked_ms=looked_ms)

    assert [item.reason for item in found.not_checked if item.crashed] == []
    assert found.call is not None
    if found.healthy:
        if found.call.result == "talked":
            assert {stage.status for stage in found.call.stages} == {"reached"}
        assert found.call.result not in {"live", "no audio", "not answered", "handler crashed"}
        assert found.call.ended_unix_ms is not None
