"""What a log shows of a call: healthy for that where it tells the whole way, and never more than it shows."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from callpath.doctor.logged import judge_logs
from callpath.doctor.logs.picture import Judged, choose, judge_logged, without_a_call
from callpath.doctor.logs.reading import FoundInLogs, LogReader
from callpath.doctor.report import terminal
from callpath.doctor.verdict import Diagnosis
from tests.doctor.logs.writers import (
    ACCESS,
    HEALTHY,
    LOGGERS,
    NOISE,
    OTHER_LINES,
    PLATFORMS,
    REQUESTS,
    STORIES,
    Said,
    lines,
    rows,
)

RAISED = 'Traceback (most recent call last):\n  File "/app/bot.py", line 4, in pump\n'
LATER_MS = 1_893_456_000_000
WITHOUT_A_TIME = {
    (platform, logger) for platform in ("plain", "compose", "kubectl", "stern") for logger in ("uvicorn", "console.log")
}


def read(*texts: str) -> FoundInLogs:
    reader = LogReader(read_at_ms=LATER_MS)
    for number, text in enumerate(texts, 1):
        reader.read(f"file {number}", [text.encode()])
    return reader.finish()


def told(found: FoundInLogs) -> Judged:
    assert 1 == len(found.calls)
    chosen = choose([judge_logged(found, call) for call in found.calls])
    assert chosen is not None
    return chosen


def words(story: Iterable[Said]) -> Diagnosis:
    return told(read(PLATFORMS["plain"](lines("logging", sorted(story, key=lambda said: said.at_s))))).diagnosis


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_call_that_worked_is_healthy_in_every_form(platform: str) -> None:
    """A log of any logger on any platform; without times nobody can tell that the caller stayed."""
    said = {logger: told(read(PLATFORMS[platform](lines(logger, HEALTHY)))).word for logger in LOGGERS}
    timeless = {logger for one, logger in WITHOUT_A_TIME if one == platform}

    assert said == {logger: "nothing wrong was seen" if logger in timeless else "healthy" for logger in LOGGERS}


@pytest.mark.parametrize("story", STORIES)
@pytest.mark.parametrize("logger", ["pino", "winston", "structlog console", "loguru", "logging", "logfmt", "zerolog"])
def test_noise_around_a_call_accuses_nobody(story: str, logger: str) -> None:
    """Strangers' requests, other sockets, a slow query, and a deploy after the call."""
    noisy = sorted((*STORIES[story], *OTHER_LINES), key=lambda said: said.at_s)
    said = {
        platform: told(read(PLATFORMS[platform](lines(logger, noisy)))).word
        for platform in ("plain", "Railway JSON", "Railway text", "Heroku", "GCP", "compose", "journald", "CloudWatch")
    }

    assert {"healthy"} == set(said.values())


@pytest.mark.parametrize("server", ACCESS)
@pytest.mark.parametrize("requests", [REQUESTS, REQUESTS + NOISE], ids=["alone", "with strangers"])
def test_rows_of_a_server_in_front_take_nothing_away(server: str, requests: tuple[object, ...]) -> None:
    """Favicons, scanners, a form, another WebSocket, another service's webhook."""
    text = rows(server, requests)  # type: ignore[arg-type]

    assert "healthy" == told(read(PLATFORMS["plain"](lines("logging", HEALTHY)), text)).word
    found = read(text)
    alone = without_a_call(found) if not found.calls else told(found).diagnosis
    assert (None, None) == (alone.healthy, alone.verdict)


def test_rows_without_a_call_say_what_they_show() -> None:
    """An access log knows of requests and of no audio."""
    report = terminal(without_a_call(read(rows("ALB", REQUESTS + NOISE))), colour=False, width=200)

    assert "these logs show no call, and nothing wrong. Shown: 3 webhooks were answered 2xx" in report
    assert "opened (101), the longest for 29.6 s" in report


def test_a_log_of_something_else_says_so() -> None:
    """Nobody is told that calls are fine by a log without any."""
    one = without_a_call(read("2026-03-17T14:02:11Z INFO cache warmed\n" * 50))

    assert (None, None) == (one.healthy, one.verdict)
    assert "Not decided: these logs show no call, and nothing wrong." in terminal(one, colour=False)


def test_healthy_says_what_a_log_cannot_show() -> None:
    """Frames that were sent may still have been noise at the other end."""
    report = terminal(words(HEALTHY), colour=False, width=200)

    assert "Healthy for what this log shows" in report
    assert "No log shows what the caller heard." in report


@pytest.mark.parametrize(
    ("without", "missing"),
    [
        ("first audio frame sent to caller", "first outbound frame"),
        ("first media frame received", "first inbound frame"),
        ("call.hangup", "the call ended in order"),
    ],
)
def test_a_step_that_is_not_told_leaves_it_open(without: str, missing: str) -> None:
    """What the program does not log may not have happened."""
    one = words(said for said in HEALTHY if without not in said.message)

    assert (None, None) == (one.healthy, one.verdict)
    assert missing in one.unproven[0]


@pytest.mark.parametrize(
    "more",
    [
        Said(3.0, "OpenAI realtime connection failed: 401 invalid api key"),
        Said(9.0, f"pump failed\n{RAISED}KeyError: 'audio'"),
        Said(9.0, "could not decode audio for caller", level="error"),
    ],
    ids=["provider", "exception", "error"],
)  # fmt: skip
def test_a_complaint_during_the_call_leaves_it_open(more: Said) -> None:
    """Whether it harmed the caller stands nowhere."""
    one = words((*HEALTHY, more))

    assert one.healthy is not True


@pytest.mark.parametrize(
    "more",
    [
        Said(31.05, f"pump ended\n{RAISED}KeyError: 'audio'"),
        Said(31.2, "Deepgram websocket failed: connection reset"),
        Said(20.0, f"turn over\n{RAISED}asyncio.exceptions.CancelledError"),
    ],
    ids=["exception", "provider", "cancelled"],
)  # fmt: skip
def test_what_is_printed_when_all_is_over_harms_nobody(more: Said) -> None:
    """Programs complain of sockets that end as they should."""
    assert words((*HEALTHY, more)).healthy is True


def test_a_caller_who_leaves_at_once_may_have_heard_nothing() -> None:
    """Silence or noise lasts a few seconds until somebody hangs up."""
    short = [said if said.at_s < 5 else Said(said.at_s - 24, said.message, said.fields) for said in HEALTHY]

    assert words(short).healthy is None


def test_a_file_by_itself_is_no_socket() -> None:
    """A film that is not there was nobody's upgrade, nor is another path where the socket came on its own."""
    lines_ = (
        'INFO: 192.0.2.1:1 - "WebSocket /media" [accepted]\n'
        'INFO: 192.0.2.2:1 - "GET /media/intro.mp4 HTTP/1.1" 404 Not Found\n'
        'INFO: 192.0.2.2:1 - "GET /audio HTTP/1.1" 404 Not Found\n'
    )
    found = read(lines_)

    assert not any(judge_logged(found, call).failed for call in found.calls)


def test_the_same_facts_give_the_same_verdict() -> None:
    """Evidence that was kept is judged by the same rules as the log."""
    found = read(PLATFORMS["Heroku"](lines("pino", HEALTHY)))

    assert judge_logs(found.facts_of(found.calls[0])).healthy is judge_logged(found, found.calls[0]).diagnosis.healthy
