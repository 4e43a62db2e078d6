"""`callpath dial`, against a server that answers as the real one does (`tests/dashboard/test_dialling.py`)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, get_args

import pytest

from callpath.audio.tone import tone
from callpath.audio.wav import write_wav
from callpath.call.outcomes import DialStatus
from callpath.cli import dial
from callpath.cli.dial import SENTENCES, Outcome
from tests.cli.conftest import Run

TOKEN = "the-token-of-the-dialler"
TO = "+15555550155"
DIALLED: dict[str, Any] = {
    "id": "11111111-2222-4333-8444-555555555555",
    "state": "ringing",
    "outcome": None,
    "session": "s1",
    "answered_by": None,
    "beep": None,
    "provisional": False,
    "cause": None,
    "sip_code": None,
    "code": None,
    "detail": None,
    "explanation": None,
}


class Server:
    """Answers each request with the next of `answers`; the last one again."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, str, str | None, Any]] = []
        it = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("content-length", 0))
                body = json.loads(self.rfile.read(length)) if length else None
                it.asked.append((self.command, self.path, self.headers.get("authorization"), body))
                status, document = it.answers.pop(0) if len(it.answers) > 1 else it.answers[0]
                text = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815 (names of http.server)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server(alone: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    monkeypatch.setenv("CALLPATH_DIAL_TOKEN", TOKEN)
    monkeypatch.setenv("PORT", str(server.http.server_address[1]))
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.mark.parametrize("outcome", get_args(DialStatus))
def test_each_outcome_has_an_exit_code_and_a_sentence(outcome: str, server: Server, run: Run) -> None:
    """A script decides by the code, a person reads the line."""
    server.answers = [(202, DIALLED), (200, DIALLED | {"outcome": outcome, "state": "ended"})]
    result = run("dial", TO, "--say", "Hello")

    assert result.exit_code == Outcome[outcome.upper()]
    assert result.stdout.startswith(SENTENCES[outcome])
    assert "It rings" in result.stderr
    assert server.asked[0] == ("POST", "/api/v1/calls", f"Bearer {TOKEN}", {"to": TO, "say": "Hello", "ring_s": 30})
    assert server.asked[1][:2] == ("GET", f"/api/v1/calls/{DIALLED['id']}/outcome?wait_s=20")


def test_only_a_person_is_a_success() -> None:
    """`callpath dial … && …` goes on where somebody talks."""
    assert [name for name in get_args(DialStatus) if Outcome[name.upper()] == 0] == ["answered", "human"]
    assert len({int(one) for one in Outcome}) == len(Outcome) == 12


def test_json_is_the_document_alone(server: Server, run: Run) -> None:
    """For programs; the exit code is the same."""
    last = DIALLED | {"outcome": "machine", "beep": True}
    server.answers = [(202, DIALLED), (200, last)]
    result = run("dial", TO, "--detect", "--from", "+15555550100", "--key", "order 42", "--json")

    assert (result.exit_code, json.loads(result.stdout)) == (10, last)
    assert server.asked[0][3] == {
        "to": TO,
        "from": "+15555550100",
        "detect": "premium",
        "key": "order 42",
        "ring_s": 30,
    }


def test_a_refusal_of_telnyx_is_explained_in_80_columns(server: Server, run: Run) -> None:
    """With the D-code, and what to do."""
    explanation = (
        "Telnyx refuses the call: the account is disabled, or has no money. " + "Add funds in the portal. " * 5
    )
    refused = {"error": "refused", "detail": "no", "id": DIALLED["id"], "code": "D17", "explanation": explanation}
    server.answers = [(422, refused)]
    result = run("dial", TO)

    assert result.exit_code == 17
    assert "D17" in result.stdout and "Add funds" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("status", "error", "code", "said"),
    [
        (401, "dial_token", 3, "another CALLPATH_DIAL_TOKEN"),
        (403, "dialling_off", 3, "why it is so"),
        (403, "not_allowed", 20, "why it is so"),
        (429, "too_many_calls", 20, "why it is so"),
        (400, "bad_request", 2, "why it is so"),
        (503, "store", 1, "why it is so"),
    ],
)
def test_what_this_server_refuses(status: int, error: str, code: int, said: str, server: Server, run: Run) -> None:
    """Whoever called, and whoever is to change what."""
    server.answers = [(status, {"error": error, "detail": "why it is so " * 12})]
    result = run("dial", TO)

    assert result.exit_code == code
    assert said in " ".join(result.stderr.split())
    assert TOKEN not in result.output
    assert max(map(len, result.stderr.splitlines())) <= 80


def test_a_file_is_sent_along(server: Server, run: Run, alone: Path) -> None:
    """The server may be on another machine."""
    write_wav(alone / "hello.wav", tone(440, duration_ms=100), 8000)
    server.answers = [(202, DIALLED | {"outcome": "answered"})]
    result = run("dial", TO, "--play", "hello.wav")

    assert result.exit_code == 0
    assert base64.b64decode(server.asked[0][3]["audio"]) == (alone / "hello.wav").read_bytes()


def test_a_url_is_left_to_telnyx(server: Server, run: Run) -> None:
    """It fetches the file itself."""
    server.answers = [(202, DIALLED | {"outcome": "answered"})]
    run("dial", TO, "--play", "https://example.com/a.mp3")

    assert server.asked[0][3]["play"] == "https://example.com/a.mp3"


@pytest.mark.parametrize("arguments", [("--play", "no.wav"), ("--say", "a", "--handler", "b"), ("--ring", "1")])
def test_wrong_usage_asks_nobody(arguments: tuple[str, ...], server: Server, run: Run) -> None:
    """And is told as usage."""
    assert run("dial", TO, *arguments).exit_code == 2
    assert server.asked == []


def test_ctrl_c_hangs_up(server: Server, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A phone must not ring on for somebody who has gone."""
    ask = dial._Client._ask

    def interrupted(self: Any, method: str, path: str, body: Any = None) -> Any:
        if method == "GET":
            raise KeyboardInterrupt
        return ask(self, method, path, body)

    monkeypatch.setattr(dial._Client, "_ask", interrupted)
    server.answers = [(202, DIALLED), (200, DIALLED)]
    result = run("dial", TO)

    assert result.exit_code == 130
    assert server.asked[-1][:2] == ("DELETE", f"/api/v1/calls/{DIALLED['id']}")


@pytest.mark.parametrize("answer", [b"<html>", b"[]"])
def test_another_server_on_the_port_is_told(answer: bytes, server: Server, run: Run) -> None:
    """Not a traceback."""
    server.answers = [(200, answer)]
    result = run("dial", TO)

    assert (result.exit_code, result.exception.__class__) == (4, SystemExit)
    assert "not as a callpath server" in " ".join(result.stderr.split())


def test_no_server_is_told_with_what_to_do(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 2 a.m."""
    monkeypatch.setenv("CALLPATH_DIAL_TOKEN", TOKEN)
    result = run("dial", TO, "--server", "http://127.0.0.1:9")

    assert result.exit_code == 4
    assert "callpath serve" in " ".join(result.stderr.split())


def test_no_token_is_told_before_anything_is_asked(run: Run) -> None:
    """With the settings that are needed."""
    result = run("dial", TO)

    assert result.exit_code == 3
    assert "CALLPATH_DIAL_TOKEN" in result.stderr and "CALLPATH_DIAL_ALLOW" in result.stderr
