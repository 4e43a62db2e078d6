"""Whole files: which calls are in them, how far each came, and why no further."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from callpath.call.session import Stage
from callpath.doctor.logs.picture import Judged, choose, judge_logged, without_a_call
from callpath.doctor.logs.reading import FoundInLogs, LogReader
from callpath.doctor.verdict import Diagnosis
from callpath.timeline import describe, kind_of

GOLDEN = Path(__file__).parent / "golden"
LATER_MS = 1_900_000_000_000
CALL = "v3:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ"
OTHER = "v3:ZZ2llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ"


def read(*texts: str | Path, **options: Any) -> FoundInLogs:
    reader = LogReader(**({"read_at_ms": LATER_MS} | options))
    for number, text in enumerate(texts, 1):
        data = text.read_bytes() if isinstance(text, Path) else text.encode()
        reader.read(text.name if isinstance(text, Path) else f"file {number}", [data])
    return reader.finish()


def judged(found: FoundInLogs) -> Judged:
    chosen = choose([judge_logged(found, call) for call in found.calls])
    assert chosen is not None
    return chosen


@pytest.mark.parametrize(
    ("names", "stage", "verdict"),
    [
        ("emoji-good", Stage.FIRST_OUTBOUND, "nothing wrong was seen"),
        ("emoji-badtrack", Stage.STREAM_STARTING, "stream-track-invalid"),
        ("emoji-early", Stage.STREAM_STARTING, "streaming-before-answer"),
        ("emoji-never-asked", Stage.CALL_ANSWERED, "streaming-start-never-sent"),
        ("emoji-never-connects", Stage.STREAM_ACCEPTED, "not decided: stream-connection-failed"),
        ("emoji-api-unreachable", Stage.WEBHOOK_RECEIVED, "crash-loop-or-oom"),
        ("jsonlines-good", Stage.FIRST_OUTBOUND, "nothing wrong was seen"),
        ("jsonlines-badtrack", Stage.STREAM_STARTING, "stream-track-invalid"),
        ("jsonlines-never-connects", Stage.STREAM_ACCEPTED, "not decided: stream-connection-failed"),
        ("brackets-good", Stage.FIRST_OUTBOUND, "healthy"),
        ("brackets-badtrack", Stage.STREAM_STARTING, "stream-track-invalid"),
        ("brackets-mp3", Stage.FIRST_OUTBOUND, "bidirectional-mode-missing"),
        ("brackets-never-connects", Stage.STREAM_ACCEPTED, "not decided: stream-connection-failed"),
        ("logging-good", Stage.FIRST_OUTBOUND, "nothing wrong was seen"),
        ("logging-path", Stage.STREAM_ACCEPTED, "socket-refused"),
        ("nginx-good.app nginx-good.access", Stage.FIRST_OUTBOUND, "nothing wrong was seen"),
        ("nginx-dead.app nginx-dead.access nginx-dead.error", Stage.STREAM_ACCEPTED, "proxy-upstream-down"),
        ("nginx-dead.app nginx-dead.access", Stage.STREAM_ACCEPTED, "proxy-upstream-down"),
        ("nginx-stripped.app nginx-stripped.access", Stage.STREAM_ACCEPTED, "not decided: url-path-mismatch"),
        ("logging-crash", Stage.FIRST_INBOUND, "handler-crashed"),
        ("own-good", Stage.FIRST_OUTBOUND, "healthy"),
        ("own-never-connects", Stage.STREAM_ACCEPTED, "not decided: stream-connection-failed"),
        ("words-1", Stage.STREAM_STARTED, "nothing wrong was seen"),
        ("words-2", Stage.STREAM_ACCEPTED, "not decided: socket-never-came"),
        ("words-3", Stage.FIRST_INBOUND, "nothing wrong was seen"),
        ("words-4", Stage.STREAM_STARTED, "nothing wrong was seen"),
        ("words-5", Stage.STREAM_STARTED, "nothing wrong was seen"),
        ("words-6", Stage.STREAM_STARTING, "call-already-ended"),
        ("words-7", Stage.SOCKET_RECEIVED, "nothing wrong was seen"),
        ("words-8", Stage.STREAM_ACCEPTED, "not decided: stream-connection-failed"),
        ("words-9", Stage.FIRST_INBOUND, "nothing wrong was seen"),
        ("words-10", Stage.STREAM_ACCEPTED, "not decided: stream-connection-failed"),
        ("words-11", Stage.STREAM_STARTING, "streaming-start-refused"),
        ("words-12", Stage.STREAM_ACCEPTED, "not decided: socket-never-came"),
        ("probe-ivr-by-speak", Stage.CALL_ANSWERED, "not decided: streaming-start-never-sent"),
        ("probe-ai-refused", Stage.FIRST_INBOUND, "ai-side-not-ready"),
        ("probe-ai-lost-later", Stage.FIRST_OUTBOUND, "nothing wrong was seen"),
        ("probe-kubernetes-no-socket", Stage.STREAM_ACCEPTED, "not decided: socket-never-came"),
        ("probe-journald-crash", Stage.FIRST_INBOUND, "handler-crashed"),
        ("probe-redis-down-but-good", Stage.FIRST_OUTBOUND, "nothing wrong was seen"),
        ("probe-syslog-over-midnight", Stage.FIRST_OUTBOUND, "healthy"),
        ("probe-key-401", Stage.WEBHOOK_RECEIVED, "api-key-invalid"),
        ("probe-cut-at-accepted", Stage.STREAM_ACCEPTED, "not decided: socket-never-came"),
    ],
)
def test_recorded_logs(names: str, stage: Stage, verdict: str) -> None:
    """Each file is one call of another program: how far it came, and the word for why no further."""
    found = read(*(GOLDEN / f"{name}.log" for name in names.split()))
    one = judged(found)

    assert 1 == len(found.calls)
    assert (stage, verdict) == (max(one.call.state.stages), one.word)


@pytest.mark.parametrize(
    ("names", "verdict"),
    [
        ("edge-e1-refused.app edge-e1-refused.edge", "edge-app-failed-to-respond"),
        ("edge-e2-noreach.app edge-e2-noreach.edge", "not decided: edge-never-reached"),
        ("edge-e3-404.app edge-e3-404.edge", "url-path-mismatch"),
        ("edge-e4-301.app edge-e4-301.edge", "redirect-on-upgrade"),
        ("edge-e5-stalehost.app edge-e5-stalehost.edge", "url-stale-host"),
        ("edge-e8-dial.app edge-e8-dial.edge", "proxy-upstream-timeout-504"),
        ("edge-e9-101-silent-dropped.app edge-e9-101-silent-dropped.edge", "logs-dropped"),
        ("edge-e10-oom.app edge-e10-oom.edge", "crash-loop-or-oom"),
        ("edge-e11-sigterm", "deploy-kills-streams"),
        ("words-t1-es", "stream-track-invalid"),
        ("words-t2-go", "session-lookup-fails"),
        ("words-t3-key", "api-key-invalid"),
        ("probe-uvicorn-403", "socket-refused"),
        ("words-t4-good-ai-error", "not decided: ai-side-not-ready"),
    ],
)
def test_the_edge_decides_what_the_application_cannot(names: str, verdict: str) -> None:
    """The same three markers of four, and nine causes: only the edge's rows tell them apart."""
    assert verdict == judged(read(*(GOLDEN / f"{name}.log" for name in names.split()))).word


def test_a_log_that_ends_early_is_not_a_socket_that_was_waited_for() -> None:
    """Whoever cut the log after 50 lines must not be told of ten seconds in which nothing came."""
    said = judged(read(GOLDEN / "probe-cut-at-accepted.log")).diagnosis.findings[0].finding

    assert "the log ends there" in said.summary
    assert "Does the log go on?" in said.question


def test_a_status_is_the_one_in_the_log() -> None:
    """Whoever reads 422 where his log says 401 looks for the wrong thing."""
    assert "401 10009" in judged(read(GOLDEN / "probe-key-401.log")).diagnosis.findings[0].finding.summary


def test_no_time_is_told_where_no_line_has_one() -> None:
    """Order is all that such a log has: "7.2 s after it began" would be made up."""
    found = read(GOLDEN / "probe-two-calls.log")
    one = judged(found)
    texts = [text for item in one.diagnosis.findings for text in (item.finding.summary, *item.finding.evidence)]

    assert ["nothing wrong was seen", "call-already-ended"] == [judge_logged(found, call).word for call in found.calls]
    assert [] == [text for text in (*texts, *one.diagnosis.proven) if re.search(r"\d s\b", text)]
    assert "no longer active and can't receive commands." in texts[0]


def test_words_of_a_language_that_is_not_known_are_no_fault() -> None:
    """A stream URL in a log of which nothing else was understood says nothing about the call."""
    assert "nothing wrong was seen" == judged(read(GOLDEN / "probe-french-good.log")).word


def test_1011_of_another_program_is_no_ping_that_was_lost() -> None:
    """Most frameworks close with 1011 when their handler raised: the network is out of it."""
    lines = ["call.initiated", "answer ok", "streaming_start ok", "ws connected", "start frame", "received media frame"]
    times = [*range(len(lines)), 9, 30]
    texts = [*lines, "ws closed 1011", "call.hangup"]
    one = judged(read("".join(f"03:04:{at:02d} {text} {CALL}\n" for at, text in zip(times, texts, strict=True))))

    assert "not decided: socket-lost" == one.word


@pytest.mark.parametrize("wrap", ["railway export", "railway lines", "docker", "compose", "heroku", "fly", "utf-16"])
@pytest.mark.parametrize("name", ["emoji-badtrack", "jsonlines-never-connects"])
def test_the_same_log_through_platforms(name: str, wrap: str) -> None:
    """A platform's wrapper changes no verdict."""
    lines = (GOLDEN / f"{name}.log").read_text().splitlines()
    stamps = [f"2026-11-23T10:12:{at:02d}.123456789Z" for at in range(len(lines))]
    both = list(zip(stamps, lines, strict=True))
    made = {
        "railway export": json.dumps(
            [{"message": m, "attributes": {"level": "info"}, "tags": {"replica": "r"}, "timestamp": t} for t, m in both]
        ),
        "railway lines": "\n".join(json.dumps({"message": m, "timestamp": t, "level": "info"}) for t, m in both),
        "docker": "\n".join(f"{t} {m}" for t, m in both),
        "compose": "\n".join(f"web-1  | {m}" for m in lines),
        "heroku": "\n".join(f"{t[:26]}+00:00 app[web.1]: {m}" for t, m in both),
        "fly": "\n".join(f"{t} app[148e2] ams [info] {m}" for t, m in both),
        "utf-16": "\n".join(lines),
    }[wrap]
    reader = LogReader(read_at_ms=LATER_MS)
    reader.read("f", [made.encode("utf-16" if wrap == "utf-16" else "utf-8")])

    assert judged(read(GOLDEN / f"{name}.log")).word == judged(reader.finish()).word


def test_late_ingestion() -> None:
    """Railway took a whole call in within 20 ms, 7.7 s late: the call's own times are those in its lines."""
    rows = [
        ("[2026-01-02T03:04:05.000Z] POST /webhook", 12_700), (f"📞 Telnyx event: call.initiated for call {CALL}", 12_701),
        ("[2026-01-02T03:04:05.746Z] POST /webhook", 12_702), (f"📞 Telnyx event: call.answered for call {CALL}", 12_703),
    ]  # fmt: skip
    text = json.dumps([
        {"message": m, "attributes": {}, "tags": {}, "timestamp": f"2026-01-02T03:04:{ms / 1000:06.3f}Z"} for m, ms in rows
    ])  # fmt: skip
    found = read(text)
    call = found.calls[0]

    assert 746 == call.state.stages[Stage.CALL_ANSWERED] - call.state.stages[Stage.WEBHOOK_RECEIVED]
    assert 7_700 == found.skew_ms_max


def test_calls_at_the_same_time_are_kept_apart() -> None:
    """Two calls at once: lines with ids go to theirs, and one without any to neither."""
    text = "\n".join(
        f"2026-01-02T03:04:{at:02d}Z {line}"
        for at, line in enumerate([
            f"call.initiated {CALL}", f"call.initiated {OTHER}", f"call.answered {CALL}", f"call.answered {OTHER}",
            f"streaming_start {CALL}", f"streaming_start accepted {CALL}", f"streaming_start {OTHER}",
            f"streaming_start accepted {OTHER}", "WebSocket connected", f"call.hangup {CALL}", f"call.hangup {OTHER}",
        ])
    )  # fmt: skip
    found = read(text)

    assert [CALL, OTHER] == [call.name for call in found.calls]
    assert ["WebSocket connected"] == [item.text for item in found.homeless]
    assert all("socket.received" not in found.shown_for(call) for call in found.calls)
    assert not any(judge_logged(found, call).failed for call in found.calls)


def test_ids_are_linked_by_lines_that_hold_several() -> None:
    """The webhook names the control id, the socket only the session's: one call."""
    session = "5a1c6f0e-0c1d-4d6a-9a54-1b9a11111111"
    found = read(
        f"call.initiated call_control_id={CALL} call_session_id={session}\n"
        f"Media WebSocket connected path=/audio/{session}\n"
        f"Answering {CALL[:24]}…\n"
    )

    assert [session] == [call.name for call in found.calls]
    assert 3 == len(found.calls[0].seen)


def test_an_id_of_many_calls_joins_none() -> None:
    """A tenant's id stands in every line of its calls."""
    tenant = "11111111-2222-4333-8444-555555555555"
    found = read(f"call.initiated {CALL} for {tenant}\ncall.hangup {CALL}\ncall.initiated {OTHER} for {tenant}\n")

    assert 2 == len(found.calls)


def test_a_log_without_ids() -> None:
    """Calls follow each other; each begins where one is announced."""
    found = read("Incoming call\nStarting media stream\nCall ended\nIncoming call\nStarting media stream\nCall ended\n")

    assert ["call 1", "call 2"] == [call.name for call in found.calls]


def test_words_of_a_conversation_prove_a_stream_that_no_line_names() -> None:
    """A bot that hears its caller has a socket, whether it logs it or not."""
    found = read(
        f"call.initiated {CALL}\ncall.answered {CALL}\nstreaming_start ok {CALL}\nUser said: hello\ncall.hangup {CALL}\n"
    )

    assert Stage.SOCKET_RECEIVED in found.calls[0].state.stages
    assert not judged(found).failed


def test_a_log_that_is_still_being_written_accuses_nobody() -> None:
    """The socket may come with the next line."""
    text = f"2026-01-02T03:04:05Z call.answered {CALL}\n2026-01-02T03:04:06Z streaming_start accepted {CALL}\n"
    found = read(text, read_at_ms=1_767_323_047_000)

    assert "not decided: call-in-progress" == judged(found).word
    assert "not decided: socket-never-came" == judged(read(text)).word


def test_since_and_until() -> None:
    """Yesterday's calls are not asked about."""
    text = f"2026-01-02T03:04:05Z call.initiated {CALL}\n2026-01-03T03:04:05Z call.initiated {OTHER}\n"

    assert [OTHER] == [call.name for call in read(text, since_ms=1_767_400_000_000).calls]
    assert [CALL] == [call.name for call in read(text, until_ms=1_767_400_000_000).calls]


def test_frames_of_every_kind_do_not_fill_the_memory() -> None:
    """A line a frame is common; three of them tell as much as a million."""
    found = read(f"call.initiated {CALL}\n" + "Received media frame\n" * 5_000)

    assert 10 > len(found.calls[0].seen)
    assert 5_000 == sum(item.times for item in found.calls[0].seen if item.topic == "media.in")


def test_the_process_tells_its_part() -> None:
    """Where it listens, that it was stopped, and that lines were dropped."""
    found = read("Server listening on 127.0.0.1:3000\nReceived SIGTERM\nMessages dropped: 12\n")

    assert ["listening", "stopping", "dropped"] == [line.topic for line in found.process]
    assert found.dropped


def test_refused_webhooks_are_counted() -> None:
    """No call is seen where every webhook is turned away: that is the finding."""
    found = read("POST /webhook\nInvalid webhook signature\n" * 3)

    assert 3 == found.refusal_count


def test_our_own_log_in_both_forms() -> None:
    """JSON and console lines of callpath give the same timeline."""
    session = "5a1c6f0e-0c1d-4d6a-9a54-1b9a11111111"
    said = [
        ("webhook.received", "Webhook call.initiated"), ("command.sent", "Command answer sent"),
        ("command.answered", "Command answer accepted (200, 12 ms)"), ("webhook.received", "Webhook call.answered"),
        ("stream.starting", "Media stream being started (with streaming_start)"),
        ("stream.accepted", "streaming_start accepted (200)"),
        ("socket.received", "WebSocket connection received from 192.0.2.1"),
    ]  # fmt: skip
    as_json = "\n".join(
        json.dumps({"timestamp": f"2026-01-02T03:04:{at:02d}.000Z", "level": "info", "message": message, "event_name": kind,
                    "call_session_id": session})
        for at, (kind, message) in enumerate(said)
    )  # fmt: skip
    console = "\n".join(
        f"2026-01-02T03:04:{at:02d}.000000Z [info     ] {message:60} call={session[:8]}"
        for at, (_, message) in enumerate(said)
    )
    one, two = read(as_json).calls[0], read(console).calls[0]

    assert (session, session[:8]) == (one.name, two.name)
    assert [kind for kind, _ in said] == [kind_of(entry.what) for entry in one.entries]
    assert [describe(entry.what) for entry in one.entries] == [describe(entry.what) for entry in two.entries]
    assert one.ours and two.ours


FIELD = Path(__file__).parent / "field"
CASES = json.loads((FIELD / "expected.json").read_text())


@cache
def verdict_on(names: str) -> tuple[FoundInLogs, Diagnosis]:
    """What these files show, and the diagnosis of the call that is told of."""
    found = read(*(FIELD / name for name in names.split()))
    chosen = choose([judge_logged(found, call) for call in found.calls])
    return found, chosen.diagnosis if chosen is not None else without_a_call(found)


def fine(names: str) -> bool:
    return bool({"healthy", "nothing wrong", "nothing"} & set(CASES[names]["ok"]))


@pytest.mark.parametrize("names", sorted(CASES))
def test_logs_from_the_field(names: str) -> None:
    """An outsider's log: the right name or none, and never a wrong one. See field/README.md."""
    expected = CASES[names]
    found, diagnosis = verdict_on(names)
    slug = diagnosis.verdict.rule.slug if diagnosis.verdict is not None else ""
    decided = slug if diagnosis.verdict is not None and diagnosis.verdict.finding.kind != "open" else ""

    assert decided not in expected.get("not", ())
    assert expected.get("calls", len(found.calls)) == len(found.calls)
    assert not decided or any(name in decided for name in expected["ok"])
    assert decided or fine(names) or expected.get("withheld") is not False
    assert not diagnosis.healthy or fine(names)


NAMED_MIN = 0.9
"""The part of the field's cases that must get their right name; the others stay undecided."""


def test_most_logs_from_the_field_are_decided() -> None:
    """Withholding every verdict would pass the test above."""
    faulty = [names for names in CASES if not fine(names)]
    named = [names for names in faulty if (verdict := verdict_on(names)[1].verdict) and verdict.finding.kind != "open"]

    assert NAMED_MIN <= len(named) / len(faulty)


def test_a_line_that_the_container_runtime_split() -> None:
    """CRI splits at 16 KB: a webhook's body is one line all the same."""
    text = (
        f"2026-01-02T03:04:05.678901234Z stdout P webhook call.ini\n"
        f"2026-01-02T03:04:05.678901234Z stdout F tiated {CALL}\n"
    )

    assert ["call.initiated"] == [item.event for item in read(text).calls[0].seen]


def test_our_own_probes_are_no_evidence() -> None:
    """The access log of a run of the doctor accuses nobody."""
    rows = "".join(
        f'1.2.3.4 - - [02/Jan/2026:03:04:{at:02d} +0000] "{method} /media HTTP/1.1" 404 9 "-" "callpath-doctor/1"\n'
        for at, method in enumerate(["GET"] * 20 + ["POST"] * 2)
    )
    found = read(rows)

    assert (0, 22) == (found.row_count, found.own_traffic)
    assert without_a_call(found).verdict is None


def test_rows_of_strangers_accuse_nobody() -> None:
    """A film, a form and another service's webhook have nothing to do with a call."""
    rows = (
        '9.9.9.9 - - [02/Jan/2026:03:04:05 +0000] "GET /media/video.mp4 HTTP/1.1" 401 9 "-" "Mozilla/5.0"\n'
        '9.9.9.9 - - [02/Jan/2026:03:04:06 +0000] "POST /admin/login/ HTTP/1.1" 302 9 "-" "Mozilla/5.0"\n'
        '9.9.9.9 - - [02/Jan/2026:03:04:07 +0000] "POST /webhooks/stripe HTTP/1.1" 404 9 "-" "Stripe/1.0"\n'
    )

    assert without_a_call(read(rows)).verdict is None


def test_a_call_of_long_ago_is_not_still_going_on() -> None:
    """Nobody talks for two years."""
    text = f"2026-01-02T03:04:05Z call.initiated {CALL}\n2026-01-02T03:04:06Z call.answered {CALL}\n"

    assert "not decided: call-in-progress" != judged(read(text)).word


@pytest.mark.parametrize("path", sorted([*GOLDEN.glob("*.log"), *FIELD.glob("*/*.log")]), ids=lambda path: path.name)
def test_the_shortcut_for_repeated_lines_changes_nothing(path: Path) -> None:
    """Three times the same file, with the shortcut and without it (`--since` reads every line): the same timelines."""
    text = path.read_bytes().decode("utf-8", "replace") * 3
    short, whole = read(text), read(text, since_ms=0)

    assert [call.name for call in whole.calls] == [call.name for call in short.calls]
    assert [call.entries for call in whole.calls] == [call.entries for call in short.calls]
    assert (whole.from_ms, whole.until_ms, whole.process) == (short.from_ms, short.until_ms, short.process)


def test_ids_that_differ_in_digits_only_are_two_calls() -> None:
    """Frames of the second call are not counted for the first."""
    lines = [f"media frame received call_id=call-100{number}\n" for number in (1, 2)]
    text = "".join(f"call.initiated call_id=call-100{number}\n" for number in (1, 2)) + "".join(lines * 30)

    assert [30, 30] == [sum(item.times for item in call.seen if item.topic == "media.in") for call in read(text).calls]


def test_a_status_that_changes_is_read_again() -> None:
    """The thousandth answer may be the one that was refused."""
    text = "".join(f"2026-01-02T03:04:05Z GET /media HTTP/1.1 200 {n}\n" for n in range(50))

    assert read(text + f"2026-01-02T03:05:05Z streaming_start failed 401 {CALL}\n").calls


def test_the_time_of_skipped_lines_counts_for_what_follows() -> None:
    """A traceback has no time of its own: it happened when the line before it was written."""
    beat = "".join(f"2026-01-02T03:04:{at:02d}Z cache lookup ok\n" for at in range(10, 50))
    found = read(f"2026-01-02T03:04:05Z call.initiated {CALL}\n{beat}Server listening on port 3000\n")

    assert 44_000 == (found.process[0].at_unix_ms or 0) - found.calls[0].from_ms
    assert 44_000 == (found.until_ms or 0) - (found.from_ms or 0)
