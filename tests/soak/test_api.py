"""The dashboard's JSON API against its own description, by schemathesis: no 5xx, nothing that the description denies."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from callpath.store.sql import open_call_log
from callpath.timeline import RecordingSaved
from tests.dashboard.calls import entries, failed_call, good_call
from tests.soak.node import Node

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
STREAMS = ("--exclude-path", "/changes", "--exclude-path", "/doctor/probe")
"""They do not end, or take a probe's time; schemathesis waits for ends."""


@pytest.mark.soak
@pytest.mark.parametrize("known", [True, False], ids=["a call that is there", "any id"])
async def test_the_api_keeps_its_word(known: bool, tmp_path: Path) -> None:
    """The pages and people's scripts are written against the description; a 500 for an odd number is a way to annoy."""
    config = tmp_path / "schemathesis.toml"
    config.write_text('[parameters]\nidentifier = "good-call"\n' if known else "")
    async with open_call_log(f"sqlite:///{tmp_path / 'callpath.db'}") as log:
        for session, whats in (("good-call", good_call()), ("failed-call", failed_call())):
            gone = RecordingSaved(path=str(tmp_path / "recordings" / "gone.wav"), duration_ms=1.0)
            for entry in entries(session, [*whats, gone]):
                await log.append(entry)
    async with Node(tmp_path, CALLPATH_DASHBOARD="on") as node:
        api = f"http://127.0.0.1:{node.port}/api/v1"
        tried = await asyncio.create_subprocess_exec(
            *(Path(sys.executable).with_name("st"), "--config-file", config, "run", f"{api}/openapi.json"),
            *("--url", api, "--checks", CHECKS, *STREAMS, "--phases", "coverage" if known else "coverage,fuzzing"),
            *("--max-examples", "5", "--generation-deterministic", "--no-color", "--continue-on-failure"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await tried.communicate()
        code = await node.stop()
        output = node.output.read_text()

    assert tried.returncode == 0, said.decode()[-6000:]
    assert "Traceback" not in output
    assert code == 0


@pytest.mark.soak
async def test_dialling_keeps_its_word(tmp_path: Path) -> None:
    """With the token, whatever is ordered: an answer that the description knows, and nobody is called by an order that is
    wrong."""
    token = "the-token-of-the-dialler"
    settings = {"CALLPATH_DASHBOARD": "on", "CALLPATH_DIAL_TOKEN": token, "CALLPATH_DIAL_ALLOW": "+1"}
    operations = [f"--include-operation-id={name}" for name in ("dialCall", "getOutcome", "hangUpCall", "deleteCall")]
    async with Node(tmp_path, **settings) as node:
        api = f"http://127.0.0.1:{node.port}/api/v1"
        tried = await asyncio.create_subprocess_exec(
            *(Path(sys.executable).with_name("st"), "run", f"{api}/openapi.json", "--url", api, "--checks", CHECKS),
            *("--header", f"Authorization: Bearer {token}", *operations, "--phases", "coverage,fuzzing"),
            *("--max-examples", "30", "--generation-deterministic", "--no-color", "--continue-on-failure"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await tried.communicate()
        code = await node.stop()
        output = node.output.read_text()

    assert tried.returncode == 0, said.decode()[-6000:]
    assert "Command dial sent" not in output
    assert "Traceback" not in output
    assert code == 0


async def test_numbers_of_any_size(tmp_path: Path) -> None:
    """What schemathesis did not draw: more than SQLite's 64 bits."""
    statuses = []
    async with Node(tmp_path, CALLPATH_DASHBOARD="on") as node:
        for number in ("9" * 30, "-1", "0", "9223372036854775808"):
            for path in (f"entries?after={number}", f"recordings/{number}.wav", f"recordings/{number}/outline"):
                request = f"GET /api/v1/calls/s/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
                statuses.append((await node.asked(request.encode())).split(b" ", 2)[1])

    assert [status for status in statuses if not status.startswith((b"2", b"4"))] == []
    assert len(statuses) == 12
