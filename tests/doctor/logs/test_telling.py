"""What a program says of a call beside its stages."""

from __future__ import annotations

from callpath.doctor.facts import ToldFacts
from callpath.doctor.logs.reading import LogReader

CALL = "v3:T02llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ"
OTHER = "v3:ZZ2llQxIyaRkhfRKxgAP8nY511EhFLizdvdUKJiSw8d6A9BborherQ"


def told(text: str) -> ToldFacts:
    reader = LogReader(read_at_ms=1_900_000_000_000)
    reader.read("f", [text.encode()])
    found = reader.finish()
    return found.told(found.calls[0])


def test_complaints_exceptions_and_providers() -> None:
    """Each in the program's own words, with its place in the file."""
    found = told(
        f"2026-01-02T03:04:05Z call.initiated {CALL}\n"
        f"2026-01-02T03:04:06Z ERROR could not load agent for {CALL}\n"
        "2026-01-02T03:04:07Z OpenAI realtime websocket handshake failed: 401 Unauthorized\n"
        f"2026-01-02T03:04:08Z hanging up {CALL} after 2 s of silence\n"
    )

    assert ["f:2"] == [line.where for line in found.complaints]
    assert 1 == len(found.providers) and "401" in found.providers[0].text
    assert ["f:4"] == [line.where for line in found.hangups]


def test_the_age_of_a_socket_that_broke() -> None:
    """Only one that closed in the middle of its call has an age: the others ended as they should."""
    lines = (
        "2026-01-02T03:04:05Z call.initiated {0}\n2026-01-02T03:04:06Z media websocket connected {0}\n"
        "2026-01-02T03:04:36Z media websocket closed 1006 {0}\n2026-01-02T03:04:50Z call.hangup {0}\n"
    )
    broke = told(lines.format(CALL))
    ended = told(lines.format(CALL).replace("03:04:50Z call.hangup", "03:04:36Z call.hangup"))

    assert (30_000, 1006) == (broke.this.age_ms, broke.this.close_code)
    assert ended.this.age_ms is None


def test_the_other_calls_of_the_log() -> None:
    """They are what one call is compared with."""
    found = told(f"2026-01-02T03:04:05Z call.initiated {CALL}\n2026-01-02T03:05:05Z call.initiated {OTHER}\n")

    assert [OTHER] == [call.name for call in found.others]
