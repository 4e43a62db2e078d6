"""Access logs of a server that the doctor has looked at: nothing in them is evidence.

own_runs/ holds what uvicorn 0.54, nginx 1.22, HAProxy 2.6 and Caddy 2.6 logged of `callpath doctor url` on 2026-12-01, on a
path that was refused, one that did not exist and one whose application was down. Most of these forms name no user agent.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from callpath.doctor.logs.picture import judge_logged, without_a_call
from callpath.doctor.logs.reading import FoundInLogs, LogReader

RUNS = sorted((Path(__file__).parent / "own_runs").glob("*.log"))
ASKED = re.compile(rb"/(deny|nothere|down|login)\b")


def read(data: bytes) -> FoundInLogs:
    reader = LogReader(read_at_ms=1_900_000_000_000)
    reader.read("access.log", [data])
    return reader.finish()


def accused(found: FoundInLogs) -> list[str]:
    diagnoses = [judge_logged(found, call).diagnosis for call in found.calls]
    if (alone := without_a_call(found)) is not None:
        diagnoses.append(alone)
    return [
        one.verdict.rule.slug for one in diagnoses if one.verdict is not None and one.verdict.finding.kind == "fault"
    ]


@pytest.mark.parametrize("path", [b"/deny", b"/media", b"/api/calls/7/audio", b"/ws", b"/telnyx/stream"])
@pytest.mark.parametrize("log", RUNS, ids=lambda log: log.stem)
def test_a_run_of_the_doctor_accuses_nobody(log: Path, path: bytes) -> None:
    """Whoever runs the doctor and then reads his log must not be told of the doctor's own refusals."""
    assert [] == accused(read(ASKED.sub(path, log.read_bytes())))


@pytest.mark.parametrize("status", ["404 Not Found", "401 Unauthorized", "500 Internal Server Error"])
@pytest.mark.parametrize("path", ["/news", "/media", "/streams/archive", "/audio/list", "/reviews?page=2", "/browse"])
def test_a_page_that_was_refused_is_no_socket(path: str, status: str) -> None:
    """uvicorn writes "WebSocket" where an upgrade came; a GET is anybody's."""
    line = f'INFO:     127.0.0.1:37780 - "GET {path} HTTP/1.1" {status}\n'

    assert [] == accused(read(line.encode() * 3))


def test_a_refused_upgrade_is_one() -> None:
    """Nobody but a program that wants a stream asks for an upgrade there."""
    line = b'INFO:     192.0.2.7:37780 - "WebSocket /media/7" 403\nINFO:     connection rejected (403 Forbidden)\n'

    assert ["socket-refused"] == accused(read(line))
