"""`callpath calls` and `callpath calls show`: a call log as people and programs read it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from callpath.clock import SystemClock
from callpath.store.port import RejectedRequest
from callpath.store.sql import SqlCallLog
from callpath.timeline import (
    CommandAnswered,
    CommandSent,
    DtmfReceived,
    Entry,
    FirstInbound,
    FirstOutbound,
    MediaCounted,
    Noted,
    RecordingSaved,
    SocketReceived,
    StreamAccepted,
    StreamStarted,
    StreamStarting,
    StreamUrl,
    WebhookReceived,
    What,
)
from callpath.wire.ids import StreamId
from tests.cli.conftest import Run
from tests.store.entries import AT, entry
from tests.telnyx import sample

Write = Callable[..., None]

STREAM = StreamId("stream-1")
GOOD = "11111111-7af4-4bcb-b7f5-5013ef9657c1"
BROKEN = "22222222-7af4-4bcb-b7f5-5013ef9657c1"
SECRETS = ("+15555550123", "+15555550199")


def webhook(name: str) -> WebhookReceived:
    body = sample(f"webhooks/{name}.json")
    return WebhookReceived(event_type=body["data"]["event_type"], event_id=body["data"]["id"], body=body)


def timeline(session: str, *steps: tuple[int, What], start: int = AT) -> list[Entry]:
    """Entries at `start` plus so many ms each."""
    return [entry(what, session, at=start + at, leg=f"leg of {session}") for at, what in steps]


def good_call(start: int = AT) -> list[Entry]:
    """Every stage reached, hung up after 9.5 s."""
    return timeline(
        GOOD,
        (0, webhook("call.initiated.inbound")),
        (2, CommandSent(command="answer", command_id="c-1")),
        (83, CommandAnswered(command="answer", command_id="c-1", status=200, latency_ms=81.0)),
        (200, webhook("call.answered")),
        (201, StreamStarting(within="streaming_start")),
        (201, StreamUrl(url=f"wss://calls.example.com/api/calls/{GOOD}/audio")),
        (300, StreamAccepted(status=200)),
        (400, SocketReceived(path=f"/api/calls/{GOOD}/audio", client="192.0.2.7")),
        (410, StreamStarted(stream_id=STREAM, encoding="PCMU", sample_rate_hz=8000)),
        (430, FirstInbound(stream_id=STREAM, payload_bytes=160)),
        (450, FirstOutbound(stream_id=STREAM, payload_bytes=160)),
        (500, DtmfReceived(digit="7")),
        (9400, MediaCounted(stream_id=STREAM, frames_in=448, frames_out=440)),
        (9500, webhook("call.hangup")),
        start=start,
    )


def broken_call(start: int = AT) -> list[Entry]:
    """Answered; Telnyx refused the stream."""
    return timeline(
        BROKEN,
        (0, webhook("call.initiated.inbound")),
        (200, webhook("call.answered")),
        (201, StreamStarting(within="streaming_start")),
        (202, CommandSent(command="streaming_start", command_id="c-2")),
        (
            290,
            CommandAnswered(
                command="streaming_start",
                command_id="c-2",
                status=422,
                error_code="90046",
                error_detail="Media streaming failed",
            ),
        ),
        start=start,
    )


# --- the list --------------------------------------------------------------------------------------------------------


def test_no_calls_yet(run: Run, alone: Path) -> None:
    """The first thing that anybody tries; it must not look like an error."""
    text = run("calls")
    document = run("calls", "--json")

    assert (text.exit_code, text.stdout) == (0, "No calls yet.\n")
    assert json.loads(document.stdout) == {"calls": [], "refused": {"count": 0, "latest": []}}


def test_calls_in_a_list(run: Run, write: Write) -> None:
    """Newest first; how far each came is what one scans for."""
    write([*good_call(), *broken_call(start=AT + 60_000)])
    result = run("calls")
    first, second = result.stdout.splitlines()

    assert result.exit_code == 0
    assert " ".join(first.split()[2:]) == (
        "22222222 live +1555•••23 → +1555•••99 answered, not reached: streaming_start accepted"
    )
    assert " ".join(second.split()[2:]) == "11111111 good 9.5 s +1555•••23 → +1555•••99 talked"
    assert not any(secret in result.output for secret in SECRETS)


def test_numbers_are_shown_to_who_asks(run: Run, write: Write) -> None:
    """On one's own machine the complaint names a number."""
    write(good_call())

    assert "+1555•••23" in run("calls").stdout
    assert "+15555550123 → +15555550199" in run("calls", "--numbers").stdout
    assert json.loads(run("calls", "--numbers", "--json").stdout)["calls"][0]["from"] == "+15555550123"
    assert "+15555550123 called +15555550199." in run("calls", "show", "1111", "--numbers").stdout


def test_calls_as_json(run: Run, write: Write) -> None:
    """For a dashboard of one's own: numbers as numbers, times in Unix milliseconds."""
    write([*good_call(), *broken_call(start=AT + 60_000)])
    broken, good = json.loads(run("calls", "--json").stdout)["calls"]

    assert good == {
        "session": GOOD,
        "state": "ended",
        "outcome": "good",
        "result": "talked",
        "direction": "incoming",
        "from": "+1555•••23",
        "to": "+1555•••99",
        "hangup_cause": "normal_clearing",
        "problem": None,
        "began_unix_ms": AT,
        "ended_unix_ms": AT + 9500,
        "duration_s": 9.5,
        "missing_stage": None,
        "frames_in": 448,
        "frames_out": 440,
    }
    assert (broken["session"], broken["missing_stage"]) == (BROKEN, "streaming_start accepted")
    assert (broken["ended_unix_ms"], broken["duration_s"]) == (None, None)


def test_so_many_and_no_more(run: Run, write: Write) -> None:
    """A log of years must not scroll by."""
    write([*good_call(), *broken_call(start=AT + 60_000)])

    assert [call["session"] for call in json.loads(run("calls", "-n", "1", "--json").stdout)["calls"]] == [BROKEN]


def test_a_list_reads_no_timeline(run: Run, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows of the list are kept ready: with a fold for each, a list of 10,000 calls took minutes."""
    write([*good_call(), *broken_call(start=AT + 60_000)])

    async def fails(*_: object) -> list[Entry]:
        raise AssertionError("a timeline was read")

    monkeypatch.setattr(SqlCallLog, "read", fails)

    assert 2 == len(json.loads(run("calls", "--json").stdout)["calls"])


def test_a_timeline_as_json_has_the_times_of_its_stages(run: Run, write: Write) -> None:
    """What the list leaves out: when each stage was reached, and the sentence about the one that was not."""
    write([*good_call(), *broken_call(start=AT + 60_000)])
    good = json.loads(run("calls", "show", "1111", "--json").stdout)
    broken = json.loads(run("calls", "show", "2222", "--json").stdout)

    assert good["stages"] == {
        "webhook_received": AT,
        "call_answered": AT + 200,
        "stream_starting": AT + 201,
        "stream_accepted": AT + 300,
        "socket_received": AT + 400,
        "stream_started": AT + 410,
        "first_inbound": AT + 430,
        "first_outbound": AT + 450,
    }
    assert good["sentence"] is None
    assert broken["sentence"] == (
        "Stage 4 of 8, 'streaming_start accepted', was not reached: "
        "streaming_start was refused (422 90046 Media streaming failed)."
    )


def test_refused_requests_are_told(run: Run, write: Write) -> None:
    """When no call shows up, this is the reason: each webhook was turned away."""
    refusals = [
        RejectedRequest(at_unix_ms=AT, what="webhook", reason="stale", detail="signed 301 s ago"),
        RejectedRequest(at_unix_ms=AT, what="webhook", reason="bad_signature", detail="another key signed it"),
    ]
    write([], refusals)
    text = run("calls").stdout
    document = json.loads(run("calls", "--json").stdout)

    assert "2 requests were refused; the latest: webhook bad_signature\n  another key signed it\n" in text
    assert document["refused"] == {
        "count": 2,
        "latest": [
            {"what": "webhook", "reason": "bad_signature", "detail": "another key signed it"},
            {"what": "webhook", "reason": "stale", "detail": "signed 301 s ago"},
        ],
    }


# --- one call --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("identifier", [GOOD, "1111", f"leg of {GOOD}"])
def test_a_call_is_shown_by_any_id(run: Run, write: Write, identifier: str) -> None:
    """The list shows eight characters; they must do."""
    write([*broken_call(), *good_call()])
    result = run("calls", "show", identifier)

    assert result.exit_code == 0
    assert result.stdout.startswith(f"Call {GOOD}   ended   incoming\n")


def test_a_timeline_in_the_terminal(run: Run, write: Write) -> None:
    """Time since the start, time since the line above, and what happened: where a call hung is seen at once."""
    write(good_call())
    lines = run("calls", "show", "1111").stdout.splitlines()

    assert lines[1] == "     0.000 s      +0 ms  Webhook call.initiated: a call comes in"
    assert lines[3] == "     0.083 s     +81 ms  Command answer accepted (200, 81 ms)"
    assert lines[14] == "     9.500 s    +100 ms  Webhook call.hangup: a normal end (normal_clearing), by the caller"
    assert lines[15:] == [
        "",
        "  A  caller  +1555•••23  rang 0.2 s, answered, up for 9.3 s",
        "",
        "       0.0 s  +1555•••23 called +1555•••99.",
        "       0.2 s  Answered after 0.2 s.",
        "       9.5 s  The caller hung up 9.3 s after the answer.",
        "",
        "Audio flowed both ways: 448 frames in, 440 out.",
    ]


def test_the_four_markers_stand_in_the_timeline(run: Run, write: Write) -> None:
    """Runbooks tell operators to look for these words."""
    write(good_call())
    text = run("calls", "show", "1111").stdout
    markers = [
        "Media stream being started",
        "Stream URL wss://calls.example.com/",
        "streaming_start accepted",
        "WebSocket connection received",
    ]

    assert sorted(markers, key=text.index) == markers


def test_what_came_late_stands_at_its_time(run: Run, write: Write) -> None:
    """An entry that was written after a later one: the times must not jump back."""
    late, *others = good_call()
    write([*others, late])
    lines = run("calls", "show", "1111").stdout.splitlines()

    assert lines[1].endswith("+0 ms  Webhook call.initiated: a call comes in")
    assert "+-" not in "".join(lines)


def test_a_broken_call_ends_in_a_plain_sentence(run: Run, write: Write) -> None:
    """Which stage was not reached, and what is known about it."""
    write(broken_call())
    result = run("calls", "show", "2222")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == (
        "Stage 4 of 8, 'streaming_start accepted', was not reached: "
        "streaming_start was refused (422 90046 Media streaming failed)."
    )


def test_no_number_and_no_key_pressed_on_the_terminal(run: Run, write: Write) -> None:
    """A screenshot of a timeline goes into a chat."""
    write(good_call())
    text = run("calls", "show", "1111").stdout

    assert not any(secret in text for secret in SECRETS)
    assert next(line for line in text.splitlines() if "Key pressed" in line).endswith("  Key pressed")


def test_a_timeline_as_json(run: Run, write: Write) -> None:
    """Entries whole, as they were stored: this is what a bug report holds."""
    ours = good_call()
    write(ours)
    document = json.loads(run("calls", "show", "1111", "--json").stdout)

    assert document["session"] == GOOD
    assert document["missing_stage"] is None
    assert [row["at_unix_ms"] for row in document["entries"]] == [one.at_unix_ms for one in ours]
    assert [row["number"] for row in document["entries"]] == list(range(1, len(ours) + 1))
    assert document["entries"][0]["what"]["body"] == sample("webhooks/call.initiated.inbound.json")
    assert document["entries"][9] == {
        "number": 10,
        "at_unix_ms": AT + 430,
        "leg": f"leg of {GOOD}",
        "line": "First inbound frame (160 bytes)",
        "what": {"kind": "media.first_inbound", "stream_id": "stream-1", "payload_bytes": 160},
    }


@pytest.mark.parametrize("arguments", [["zzz"], ["zzz", "--json"], [""]], ids=" ".join)
def test_an_id_that_fits_no_call(run: Run, write: Write, arguments: list[str]) -> None:
    """Exit code 1 and one line that says how to go on; nothing on stdout for a program to trip over."""
    write(good_call())
    result = run("calls", "show", *arguments)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"callpath: no call fits {arguments[0]!r}. `callpath calls` lists them.\n"


# --- a log that cannot be read ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["calls"], ["calls", "show", "1111"]], ids=" ".join)
def test_a_log_that_is_no_database(run: Run, alone: Path, arguments: list[str]) -> None:
    """One clear line, no traceback."""
    (alone / "callpath-data").mkdir()
    (alone / "callpath-data" / "callpath.db").write_bytes(b"RIFF" * 4096)
    result = run(*arguments)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "callpath: the call log callpath-data/callpath.db cannot be opened: file is not a database\n"
    )


@pytest.mark.parametrize("arguments", [["calls"], ["calls", "show", "1111"]], ids=" ".join)
def test_a_log_that_breaks_while_it_is_read(run: Run, write: Write, alone: Path, arguments: list[str]) -> None:
    """The same, although the log could be opened."""
    write(good_call())
    with sqlite3.connect(alone / "callpath-data" / "callpath.db") as connection:
        for table in ("entries", "calls"):
            connection.execute(f"DROP TABLE {table}")
    connection.close()
    result = run(*arguments)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "callpath: the call log cannot be read: no such table: calls\n"


def test_a_database_url_that_cannot_be_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong setting, so exit code 3."""
    monkeypatch.setenv("DATABASE_URL", "mysql://db.example.com/calls")
    result = run("calls")

    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("callpath: DATABASE_URL asks for mysql")


# --- forgetting ------------------------------------------------------------------------------------------------------


def test_a_number_is_forgotten(run: Run, write: Write, alone: Path) -> None:
    """A caller who asks for it: his calls go, byte by byte, with their recordings; those of others stay."""
    folder = alone / "callpath-data" / "recordings"
    folder.mkdir(parents=True, exist_ok=True)
    recording = folder / f"{GOOD}.wav"
    recording.write_bytes(b"RIFF")
    elsewhere = alone / "kept-by-the-application.wav"
    elsewhere.write_bytes(b"RIFF")
    saved = RecordingSaved(path=str(elsewhere), duration_ms=1.0)
    write(good_call() + timeline(GOOD, (9_900, saved)) + timeline(BROKEN, (0, Noted(text="of somebody else"))))
    asked = run("calls", "forget", "+15555550123")
    done = run("calls", "forget", "+15555550123", "--yes")
    left = json.loads(run("calls", "--json").stdout)["calls"]
    again = run("calls", "forget", "+15555550123", "--yes")
    stored = b"".join(file.read_bytes() for file in (alone / "callpath-data").glob("callpath.db*"))

    assert "Delete 1 calls" in asked.stdout
    assert "1 calls and 1 recordings forgotten" in done.stdout
    assert str(elsewhere) in done.stdout
    assert (asked.exit_code, done.exit_code, again.exit_code) == (1, 1, 1)
    assert [call["session"] for call in left] == [BROKEN]
    assert not recording.exists()
    assert elsewhere.exists()
    assert b"+15555550123" not in stored
    assert b"of somebody else" in stored


def test_a_call_is_forgotten_by_its_id(run: Run, write: Write) -> None:
    """But not by so short a beginning that it could be any."""
    write(good_call())

    assert run("calls", "forget", GOOD[:3], "--yes").exit_code == 1
    assert run("calls", "forget", GOOD[:8], "--yes").exit_code == 0
    assert json.loads(run("calls", "--json").stdout)["calls"] == []


def test_a_call_that_is_up_is_not_forgotten(run: Run, write: Write) -> None:
    """The server would write on into a timeline that has no beginning."""
    write(timeline(GOOD, (0, webhook("call.initiated.inbound")), start=SystemClock().now_unix_ms()))
    done = run("calls", "forget", GOOD, "--yes")

    assert done.exit_code == 1
    assert "still up" in done.stderr
    assert len(json.loads(run("calls", "--json").stdout)["calls"]) == 1
