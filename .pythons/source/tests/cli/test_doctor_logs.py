"""`callpath doctor logs` on the command line."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from callpath.cli.doctor import app

GOLDEN = Path(__file__).parent.parent / "doctor" / "logs" / "golden"


def run(*arguments: str, stdin: bytes = b"") -> tuple[int, str]:
    done = CliRunner().invoke(app, ["logs", *arguments], input=stdin)
    return done.exit_code, done.output


def test_a_cause_is_named_with_exit_1() -> None:
    """What a script in CI asks for."""
    code, text = run(str(GOLDEN / "emoji-badtrack.log"), "-q")

    assert 1 == code
    assert text.startswith("stream-track-invalid: ")


def test_stdin_and_json() -> None:
    """`railway logs --json | callpath doctor logs - --json`."""
    code, text = run("-", "--json", stdin=(GOLDEN / "brackets-mp3.log").read_bytes())
    document = json.loads(text)

    assert 1 == code
    assert "bidirectional-mode-missing" == document["calls"][0]["verdict"]
    assert "bidirectional-mode-missing" == document["diagnosis"]["verdict"]["slug"]


def test_several_files_are_read_as_one() -> None:
    """The application's log says that no socket came, the proxy's log why."""
    code, text = run(*(str(GOLDEN / f"nginx-dead.{name}.log") for name in ("app", "access", "error")))

    assert 1 == code
    assert "proxy-upstream-down" in text
    assert "Connection refused" in text


def test_only_an_edge_log() -> None:
    """Rows alone can name the cause, too."""
    assert 1 == run(str(GOLDEN / "nginx-dead.access.log"), "-q")[0]


def test_refused_webhooks_without_a_call() -> None:
    """The program never had a call: what it said of the webhooks it turned away is the verdict."""
    code, text = run(str(GOLDEN / "probe-stale-webhooks.log"), "-q")

    assert 1 == code
    assert text.startswith("webhook-clock-skew: ")


def test_a_log_about_something_else() -> None:
    """Nobody is accused, and what would be needed is said."""
    code, text = run("-", stdin=b"systemd: Started nginx.\nGET /health 200\n")

    assert 4 == code
    assert "No line here is about a webhook" in text
    assert "usual suspects" not in text


@pytest.mark.parametrize(
    ("name", "slug"), [("edge-e6-hookredirect", "webhook-redirected"), ("edge-e7-hook404", "webhook-404")]
)
def test_no_call_because_no_webhook_got_through(name: str, slug: str) -> None:
    """The application never heard of a call; the edge's rows say why."""
    code, text = run(str(GOLDEN / f"{name}.log"), "-q")

    assert 1 == code
    assert text.startswith(slug)


def test_one_call_of_many() -> None:
    """--call takes the beginning of any of its ids."""
    text = (GOLDEN / "jsonlines-badtrack.log").read_text()
    name = json.loads(text.splitlines()[1])["callControlId"]

    assert 1 == run("-", "--call", name[:12], "-q", stdin=text.encode())[0]
    code, said = run("-", "--call", "nobody", stdin=text.encode())
    assert 2 == code
    assert "no call here" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a file"),
        (("missing.log",), "cannot be read"),
        (("-", "--since", "soon"), "neither a time"),
        (("-", "--report", "x.pdf"), "must end in"),
    ],
)
def test_usage(arguments: tuple[str, ...], said: str) -> None:
    """Bad input is told what would be right."""
    code, text = run(*arguments)

    assert 2 == code
    assert said in text


def test_a_compressed_file(tmp_path: Path) -> None:
    """It would be read as noise, and called empty."""
    (tmp_path / "a.gz").write_bytes(b"\x1f\x8b\x08\x00rest")

    assert "compressed" in run(str(tmp_path / "a.gz"))[1]


def test_an_empty_file_is_not_healthy(tmp_path: Path) -> None:
    """Nothing seen is nothing proven."""
    (tmp_path / "empty.log").write_bytes(b"")
    code, text = run(str(tmp_path / "empty.log"))

    assert 4 == code
    assert "No call was found." in text


def test_a_report(tmp_path: Path) -> None:
    """For whoever has to act on it."""
    run(str(GOLDEN / "emoji-early.log"), "--report", str(tmp_path / "r.md"), "-q")

    assert "streaming-before-answer" in (tmp_path / "r.md").read_text()


def test_railway_without_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 3: something has to be set, and what."""
    for name in ("RAILWAY_TOKEN", "RAILWAY_API_TOKEN", "RAILWAY_SERVICE_ID"):
        monkeypatch.delenv(name, raising=False)
    code, text = run("--railway")

    assert 3 == code
    assert "RAILWAY_TOKEN" in text


def test_progress_is_only_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe must not get carriage returns."""
    told = io.StringIO()
    monkeypatch.setattr(sys, "stderr", told)
    run(str(GOLDEN / "emoji-good.log"))

    assert "" == told.getvalue()
