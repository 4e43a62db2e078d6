"""What people and programs get to see."""

from __future__ import annotations

import json
from pathlib import Path

from callpath.doctor.logs.picture import as_json, choose, judge_logged, picture, short
from callpath.doctor.logs.reading import FoundInLogs, LogReader

GOLDEN = Path(__file__).parent / "golden"


def found(text: bytes) -> FoundInLogs:
    reader = LogReader(read_at_ms=1_900_000_000_000)
    reader.read("app.log", [text])
    return reader.finish()


def shown(text: bytes) -> str:
    seen = found(text)
    judged = [judge_logged(seen, call) for call in seen.calls]
    return picture(seen, judged, choose(judged))


def test_eighty_columns_with_places() -> None:
    """At 2 a.m. in a small terminal: each line of evidence leads to its line in the file."""
    text = shown((GOLDEN / "emoji-badtrack.log").read_bytes())

    assert "✓ call answered" in text
    assert "app.log:9" in text
    assert [] == [line for line in text.splitlines() if len(line) > 80]


def test_nothing_secret_is_shown() -> None:
    """The picture is pasted into tickets."""
    text = (
        "call.initiated v3:abcdefghijklmnopqrstuvwxyz012345 from +15555550123\n"
        "Starting media stream: wss://h.example/a?token=s3cret Authorization: Bearer KEY0123456789ABCDEF_x\n"
        "streaming_start failed: 401 KEY0123456789ABCDEF_x for +15555550123\n"
    )
    seen = found(text.encode())
    judged = [judge_logged(seen, call) for call in seen.calls]
    both = shown(text.encode()) + json.dumps(as_json(seen, judged, choose(judged), None))

    for secret in ("+15555550123", "s3cret", "KEY0123456789ABCDEF"):
        assert secret not in both


def test_the_newest_failed_call_is_told_of() -> None:
    """Who reads yesterday's log means the call that failed, and not the good one after it."""
    good = (GOLDEN / "jsonlines-good.log").read_text()
    bad = (GOLDEN / "jsonlines-badtrack.log").read_text()
    seen = found((bad + good).encode())
    chosen = choose([judge_logged(seen, call) for call in seen.calls])

    assert 2 == len(seen.calls)
    assert chosen is not None and "stream-track-invalid" == chosen.word


def test_no_call() -> None:
    """An empty or foreign file gets a sentence, not a traceback."""
    assert "No call was found." in shown(b"")
    assert "No call was found." in shown(b"GET / 200\n" * 3)


def test_ids_are_short_enough_for_a_table() -> None:
    """Sixteen columns each."""
    assert 16 == len(short("v3:" + "x" * 60))
    assert "call 1" == short("call 1")
