"""Each refusal and each dead end of a phone call, with the verdict that it must have: a cause, or an outcome, or health.

The rows follow Telnyx's call flows as we know them (2026-11-30): dialling, answering, transfers, referrals, bridges,
conferences, gathers, playback, recording, queues.
"""

from __future__ import annotations

from typing import Any

import pytest

from callpath.call.refused import REFUSALS
from callpath.doctor.facts import Facts
from callpath.doctor.logs.picture import judge_logged
from callpath.doctor.logs.reading import LogReader
from callpath.doctor.recorded import judge_call
from callpath.doctor.rules import CAUSES
from callpath.doctor.rules.sample_call import (
    ANSWERED,
    BOTH_WAYS,
    GOOD,
    HEARD,
    RANG,
    STOPPED,
    a_call,
    answered,
    counted,
    hook,
    hung_up,
    of_b,
    sent,
)
from callpath.doctor.verdict import Diagnosis
from callpath.timeline import CallDecided, ConsultEnded, HandlerEnded, HandlerFailed, What

OUT = hook("call.initiated", direction="outgoing", state="bridging")
ASKED = [sent("transfer"), answered("transfer")]
B_RINGS = of_b("call.initiated", direction="outgoing")
JOINED = [B_RINGS, of_b("call.answered"), of_b("call.bridged"), hook("call.bridged")]
LEFT = [sent("streaming_stop"), answered("streaming_stop"), HandlerEnded(), *STOPPED]
END = (40_000, hung_up())
SPEAKS = [sent("speak"), answered("speak"), hook("call.speak.ended", status="completed")]


def b_ends(cause: str, at: int = 4_000, **more: Any) -> tuple[int, What]:
    return at, of_b("call.hangup", hangup_cause=cause, hangup_source="unknown", **more)


def ends(cause: str, at: int = 4_000, source: str = "unknown", **more: Any) -> tuple[int, What]:
    return at, hook("call.hangup", hangup_cause=cause, hangup_source=source, **more)


def refused(command: str, code: str, detail: str = "", status: int = 422) -> list[What]:
    return [sent(command), answered(command, status, code, detail or None)]


# name: (what happened, the verdict). "outcome:SLUG": nothing failed. "healthy": nothing is found.
CALLS: dict[str, tuple[list[Any], str]] = {
    # --- 1: dial ---
    "dial: the application is unknown": (
        [*refused("dial", "10015", "Invalid value for connection_id")],
        "answer-refused",
    ),
    "dial: no E.164": ([*refused("dial", "10016")], "answer-refused"),
    "dial: encryption to a phone number": (
        [*refused("dial", "10011", "Media encryption not supported")],
        "answer-refused",
    ),
    "dial: the account's limit": (
        [*refused("dial", "10010", "User channel limit exceeded D1", 403)],
        "account-not-permitted",
    ),
    "dial: no money": ([*refused("dial", "10010", "Account disabled D17", 403)], "account-not-permitted"),
    "dial: no profile": ([*refused("dial", "10010", "No outbound profile D38", 403)], "account-not-permitted"),
    "dial: not whitelisted": ([*refused("dial", "10010", "Not whitelisted D13", 403)], "account-not-permitted"),
    "dial: limit by its REST code": ([*refused("dial", "90041", "", 403)], "account-not-permitted"),
    "dial: refused after it rang": (
        [OUT, ends("call_rejected", telnyx_error={"error_code": "D51"})],
        "account-not-permitted",
    ),
    "dial: busy": ([OUT, ends("user_busy", sip_hangup_cause="486")], "outcome:callee-did-not-answer"),
    "dial: nobody answers": ([OUT, ends("timeout", 30_000)], "outcome:callee-did-not-answer"),
    "dial: nobody answers, one route": ([OUT, ends("no_answer", 30_000)], "outcome:callee-did-not-answer"),
    "dial: 480": ([OUT, ends("no_answer", 3_000, sip_hangup_cause="480")], "outcome:callee-did-not-answer"),
    "dial: declined": ([OUT, ends("call_rejected", source="callee")], "outcome:callee-did-not-answer"),
    "dial: no such number": ([OUT, ends("not_found")], "outcome:callee-did-not-answer"),
    "dial: we cancel": ([OUT, ends("originator_cancel", source="caller")], "outcome:callee-did-not-answer"),
    "dial: a carrier's trouble": ([OUT, ends("unspecified", sip_hangup_cause="503")], "callee-did-not-answer"),
    "dial: a voicemail, and the bot leaves": (
        [
            OUT,
            *HEARD[3:],
            hook("call.machine.detection.ended", result="machine"),
            HandlerEnded(),
            sent("hangup"),
            answered("hangup"),
            (9_000, hung_up(source="caller")),
        ],
        "handler-played-nothing",
    ),
    "dial: a fax": (
        [
            OUT,
            *BOTH_WAYS[3:],
            hook("call.machine.premium.detection.ended", result="fax_detected"),
            (12_000, counted()),
            *STOPPED,
            (12_500, hung_up(out=500)),
        ],
        "healthy",
    ),
    "dial: detection never says anything": (
        [OUT, *BOTH_WAYS[3:], (12_000, counted()), *STOPPED, (12_500, hung_up(out=500))],
        "healthy",
    ),
    # --- 2: answer, reject, neither ---
    "answer: the caller was faster": (
        [*RANG, *refused("answer", "90018"), hung_up("originator_cancel")],
        "call-already-ended",
    ),
    "answer: account": (
        [*RANG, *refused("answer", "10010", "Account disabled D17", 403), ends("originator_cancel", 9_000)],
        "account-not-permitted",
    ),
    "answer: of an outgoing call": ([OUT, *refused("answer", "90102")], "answer-refused"),
    "rejected on purpose": (
        [
            *RANG,
            CallDecided(decision="reject", cause="USER_BUSY"),
            sent("reject"),
            answered("reject"),
            ends("user_busy", 400),
        ],
        "healthy",
    ),
    "forwarded on purpose, and taken": (
        [
            *RANG,
            CallDecided(decision="forward", to="+15555550142"),
            *ASKED,
            *JOINED,
            b_ends("normal_clearing", 39_990),
            END,
        ],
        "healthy",
    ),
    "forwarded on purpose, and busy": (
        [
            *RANG,
            CallDecided(decision="forward", to="+15555550142"),
            *ASKED,
            B_RINGS,
            b_ends("user_busy"),
            sent("hangup"),
            answered("hangup"),
            ends("user_busy", 4_300),
        ],
        "healthy",
    ),
    "left to ring on purpose": (
        [*RANG, CallDecided(decision="ignore"), ends("originator_cancel", 30_000, "caller")],
        "healthy",
    ),
    "dial: busy at once": ([OUT, ends("user_busy", 200)], "outcome:callee-did-not-answer"),
    "the caller gives up": ([*RANG, ends("originator_cancel", 900, "caller")], "outcome:caller-gave-up"),
    # --- 3: transfer ---
    "transfer: well": ([*BOTH_WAYS, *ASKED, *JOINED, *LEFT, b_ends("normal_clearing", 39_990), END], "healthy"),
    "transfer: well, without a word of ours": (
        [*HEARD, *ASKED, *JOINED, *LEFT, b_ends("normal_clearing", 39_990), END],
        "healthy",
    ),
    "transfer: refused": (
        [*BOTH_WAYS, *refused("transfer", "10010", "Unverified number D51", 403), END],
        "transfer-refused",
    ),
    "transfer: refused after the dial": (
        [*BOTH_WAYS, *ASKED, B_RINGS, b_ends("call_rejected", telnyx_error={"error_code": "D13"}), *SPEAKS, END],
        "transfer-refused",
    ),
    "transfer: the caller was faster": ([*BOTH_WAYS, *refused("transfer", "90018"), (1_900, hung_up())], "healthy"),
    "transfer: busy, and silence": ([*BOTH_WAYS, *ASKED, B_RINGS, b_ends("user_busy"), END], "caller-left-in-silence"),
    "transfer: timeout, and silence": (
        [*BOTH_WAYS, *ASKED, B_RINGS, b_ends("timeout", 24_000), END],
        "caller-left-in-silence",
    ),
    "transfer: busy, and a word": ([*BOTH_WAYS, *ASKED, B_RINGS, b_ends("user_busy"), *SPEAKS, END], "healthy"),
    "transfer: no answer, and a word": (
        [*BOTH_WAYS, *ASKED, B_RINGS, b_ends("timeout", 24_000), *SPEAKS, END],
        "healthy",
    ),
    "transfer: a voicemail took it": (
        [
            *BOTH_WAYS,
            *ASKED,
            *JOINED,
            of_b("call.machine.detection.ended", result="machine"),
            *LEFT,
            b_ends("normal_clearing", 39_990),
            END,
        ],
        "voicemail-answered-the-transfer",
    ),
    "transfer: a voicemail, hung up by us": (
        [
            *BOTH_WAYS,
            *ASKED,
            *JOINED,
            of_b("call.machine.detection.ended", result="machine"),
            b_ends("normal_clearing", 3_600),
            *SPEAKS,
            END,
        ],
        "healthy",
    ),
    "transfer: hung up while it rang": (
        [
            *BOTH_WAYS,
            *ASKED,
            B_RINGS,
            sent("hangup"),
            answered("hangup"),
            hung_up(source="callee"),
            of_b("call.hangup", hangup_cause="originator_cancel"),
        ],
        "transfer-cut-by-hangup",
    ),
    "transfer: the caller leaves while it rings": (
        [*BOTH_WAYS, *ASKED, B_RINGS, (9_000, hung_up()), of_b("call.hangup", hangup_cause="originator_cancel")],
        "healthy",
    ),
    # --- 4: refer ---
    "refer: not allowed": (
        [*BOTH_WAYS, sent("refer"), answered("refer"), hook("call.refer.failed", sip_notify_response=405), END],
        "refer-refused",
    ),
    "refer: refused at once": (
        [*BOTH_WAYS, *refused("refer", "10010", "REFER not allowed D42", 403), END],
        "transfer-refused",
    ),
    "refer: taken": (
        [*BOTH_WAYS, sent("refer"), answered("refer"), hook("call.refer.completed"), *STOPPED, END],
        "healthy",
    ),
    # --- 5: bridge ---
    "bridge: well": ([*BOTH_WAYS, sent("bridge"), answered("bridge"), hook("call.bridged"), *LEFT, END], "healthy"),
    "bridge: a dead leg": ([*BOTH_WAYS, *refused("bridge", "90018"), END], "bridge-to-a-dead-leg"),
    "bridge: not answered": ([*BOTH_WAYS, *refused("bridge", "90034"), END], "bridge-before-answer"),
    "bridge: parked, and silence": (
        [*BOTH_WAYS, sent("bridge"), answered("bridge"), *JOINED, b_ends("normal_clearing"), END],
        "caller-left-in-silence",
    ),
    # --- 6: warm transfers ---
    "consult: refused, as its end tells": (
        [*BOTH_WAYS, ConsultEnded(command_id="c", status="refused", code="D51"), *SPEAKS, END],
        "transfer-refused",
    ),
    "consult: declined, and silence": (
        [*BOTH_WAYS, ConsultEnded(command_id="c", status="declined"), END],
        "caller-left-in-silence",
    ),
    "consult: declined, and a word": (
        [*BOTH_WAYS, ConsultEnded(command_id="c", status="declined"), *SPEAKS, END],
        "healthy",
    ),
    "consult: joined": (
        [*BOTH_WAYS, ConsultEnded(command_id="c", status="joined"), *LEFT, END],
        "healthy",
    ),
    "consult: the dial is refused": (
        [*BOTH_WAYS, *refused("dial", "10010", "User channel limit exceeded D1", 403), END],
        "transfer-refused",
    ),
    # --- 7: conferences ---
    "conference: well": (
        [
            *BOTH_WAYS,
            sent("create"),
            answered("create"),
            hook("conference.created"),
            hook("conference.participant.joined"),
            (30_000, counted(frames_in=1_450)),
            *STOPPED,
            (30_500, hung_up()),
            hook("conference.ended", reason="all_left"),
        ],
        "healthy",
    ),
    "conference: its end took the creator": (
        [
            *BOTH_WAYS,
            hook("conference.created"),
            *LEFT,
            (20_000, hook("conference.ended")),
            (20_050, hung_up("time_limit", "unknown")),
        ],
        "conference-ended-its-creator",
    ),
    "conference: over": ([*BOTH_WAYS, *refused("join", "90019"), END], "command-refused"),
    "conference: unknown": ([*BOTH_WAYS, *refused("join", "90058", "", 404), END], "command-refused"),
    "conference: full": ([*BOTH_WAYS, *refused("join", "90032"), END], "command-refused"),
    "conference: the name is in use": ([*BOTH_WAYS, *refused("create", "90033"), END], "command-refused"),
    "conference: a supervisor's leg": (
        [*BOTH_WAYS, *refused("speak", "", "Supervisor calls do not support commands"), END],
        "command-refused",
    ),
    "conference: a monitor": (
        [*BOTH_WAYS, sent("join", supervisor_role="monitor"), answered("join"), END],
        "conference-monitor-silences?",
    ),
    # --- 8, 9: keys ---
    "gather: nothing was pressed": (
        [
            *HEARD,
            sent("gather_using_speak"),
            answered("gather_using_speak"),
            hook("call.gather.ended", status="timeout"),
            *SPEAKS,
            END,
        ],
        "healthy",
    ),
    "gather: a wrong voice": ([*BOTH_WAYS, *refused("gather_using_ai", "90012"), END], "command-refused"),
    "send_dtmf: digits that are none": ([*BOTH_WAYS, *refused("send_dtmf", "90014"), END], "command-refused"),
    # --- 10: playback and speech ---
    "speak: cut by detection": (
        [*HEARD, sent("speak"), answered("speak"), hook("call.speak.ended", status="cancelled_amd"), END],
        "speech-cut-by-detection",
    ),
    "speak: cut by detection, and again": (
        [*HEARD, sent("speak"), answered("speak"), hook("call.speak.ended", status="cancelled_amd"), *SPEAKS, END],
        "healthy",
    ),
    "playback: no such file": (
        [
            *HEARD,
            sent("playback_start"),
            answered("playback_start"),
            hook("call.playback.ended", status="file_not_found"),
            END,
        ],
        "playback-failed",
    ),
    "playback: refused": ([*BOTH_WAYS, *refused("playback_start", "90040"), END], "command-refused"),
    # --- 11, 12: recording, transcription ---
    "recording: too early": ([*BOTH_WAYS, *refused("record_start", "90020"), END], "command-refused"),
    "transcription: twice": (
        [*BOTH_WAYS, *refused("transcription_start", "90054"), (39_900, counted(frames_in=1_900)), *STOPPED, END],
        "healthy",
    ),
    # --- 14: queues ---
    "queue: full": ([*BOTH_WAYS, *refused("enqueue", "90036"), END], "command-refused"),
    "queue: waited too long, and silence": (
        [*BOTH_WAYS, sent("enqueue"), answered("enqueue"), (9_000, hook("call.dequeued", reason="timeout")), END],
        "caller-left-in-silence",
    ),
    # --- 15: ends ---
    "the time limit": ([*GOOD[:-3], (14_400_000, hung_up("time_limit", "unknown"))], "call-ended-abnormally"),
    "a handler that raised": (
        [
            *BOTH_WAYS,
            HandlerFailed(error="ValueError: x", traceback=""),
            sent("hangup"),
            answered("hangup"),
            hung_up(source="callee"),
        ],
        "handler-crashed",
    ),
    "only answered": ([*ANSWERED, END], "streaming-start-never-sent"),
    "talked": ([*GOOD], "healthy"),
}


def told(diagnosis: Diagnosis) -> str:
    found = diagnosis.verdict
    if found is None:
        return "healthy" if diagnosis.healthy else "undecided"
    return {"outcome": f"outcome:{found.rule.slug}", "fault": found.rule.slug}.get(
        found.finding.kind, f"{found.rule.slug}?"
    )


@pytest.mark.parametrize("name", CALLS)
def test_each_dead_end_has_its_verdict(name: str) -> None:
    """A wrong verdict sends somebody the wrong way; none leaves him alone with a silent line."""
    happened, verdict = CALLS[name]
    facts = a_call(*happened, looked_ms=14_500_000)

    assert told(judge_call(facts)) == verdict


@pytest.mark.parametrize("code", [code for code in REFUSALS if not code.isdigit()])
@pytest.mark.parametrize("command", ["dial", "transfer"])
def test_each_d_code_is_explained(command: str, code: str) -> None:
    """Its number alone stands in Telnyx's answer."""
    before = [] if command == "dial" else BOTH_WAYS
    facts: Facts = a_call(before, *refused(command, "10010", f"Refused {code}", 403), END)
    verdict = judge_call(facts).verdict

    assert verdict is not None
    assert verdict.rule.slug == ("account-not-permitted" if command == "dial" else "transfer-refused")
    assert REFUSALS[code].title in verdict.finding.title
    assert verdict.finding.fix == REFUSALS[code].fix


def test_most_fixes_have_something_to_type() -> None:
    """Two of three, of the causes of this family."""
    family = [cause for cause in CAUSES if "CALL100" <= cause.code <= "CALL112"]
    typed = [
        cause
        for cause in family
        if any(sign in cause.fix for sign in ("await ", "curl ", "callpath ", "POST ", ": true"))
    ]

    assert len(family) == 13
    assert len(typed) * 3 >= len(family) * 2


READ_AT_MS = 1_796_209_200_000
"""2026-12-02."""

HEAD = (
    "2026-12-01 10:00:00,100 INFO bot: webhook call.initiated call_control_id=v3:abcDEF123abcDEF123abc direction=incoming\n"
    "2026-12-01 10:00:00,150 INFO bot: answering v3:abcDEF123abcDEF123abc\n"
    "2026-12-01 10:00:00,500 INFO bot: webhook call.answered call_control_id=v3:abcDEF123abcDEF123abc\n"
    "2026-12-01 10:00:00,900 INFO bot: webhook streaming.started call_control_id=v3:abcDEF123abcDEF123abc\n"
    "2026-12-01 10:00:00,950 INFO bot: stream started call_control_id=v3:abcDEF123abcDEF123abc encoding=PCMU\n"
)
TAIL = (
    "2026-12-01 10:00:30,000 INFO bot: webhook call.hangup call_control_id=v3:abcDEF123abcDEF123abc "
    "hangup_cause=normal_clearing hangup_source=caller\n"
)


@pytest.mark.parametrize(
    "line",
    [
        "2026-12-01 10:00:09,310 ERROR bot: transfer failed: Error code: 403 - {'errors': [{'code': 10010, 'detail': "
        "'Unverified origination number D51. Read more'}], 'telnyx_error': {'error_code': 'D51'}}\n",
        "2026-12-01 10:00:09,310 ERROR bot: telnyx: transfer rejected call_control_id=v3:abcDEF123abcDEF123abc status=403 "
        'error="Unverified origination number D51"\n',
    ],
    ids=["a Python client", "a line of key=value"],
)
def test_a_refused_transfer_is_found_in_the_logs_of_any_client(line: str) -> None:
    """It is not the stream that was refused."""
    reader = LogReader(read_at_ms=READ_AT_MS)
    reader.read("app.log", [(HEAD + line + TAIL).encode()])
    found = reader.finish()
    (call,) = found.calls
    diagnosis = judge_logged(found, call).diagnosis

    assert diagnosis.verdict is not None
    assert diagnosis.verdict.rule.slug == "transfer-refused"
    assert "not yours and not verified" in diagnosis.verdict.finding.title
