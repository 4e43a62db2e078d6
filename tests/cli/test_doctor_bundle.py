"""`--bundle FILE.zip` of the doctor's commands."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from callpath.cli.app import app
from callpath.doctor.facts import CallFacts
from callpath.doctor.rules import sample_call
from tests.cli.conftest import Run

GOLDEN = Path(__file__).parent.parent / "doctor" / "logs" / "golden"
TOKEN = "hunter2-Zx81QpLm03"


def text_of(file: Path) -> str:
    """All that stands in the bundle."""
    with zipfile.ZipFile(file) as bundle:
        return "\n".join(f"{name}\n{bundle.read(name).decode()}" for name in bundle.namelist())


def judged(run: Run, file: Path) -> tuple[int, object]:
    again = run("doctor", "judge", str(file), "--json")
    document = json.loads(again.stdout)
    verdict = document["verdict"] or document["undecided"]
    return again.exit_code, verdict and verdict["slug"]


@pytest.mark.parametrize("name", ["brackets-mp3", "own-good", "emoji-never-connects", "nginx-dead.access"])
def test_logs(run: Run, alone: Path, name: str) -> None:
    """The same verdict and exit code from the file alone; the log is in it."""
    file = alone / "b.zip"
    before = run("doctor", "logs", str(GOLDEN / f"{name}.log"), "--json", "--bundle", str(file))
    document = json.loads(before.stdout)["diagnosis"]
    verdict = document["verdict"] or document["undecided"]

    assert (before.exit_code, verdict and verdict["slug"]) == judged(run, file)
    assert f"logs/{name}.log" in text_of(file)
    assert str(file) in before.stderr


def test_standard_input_is_kept(alone: Path) -> None:
    """A pipe cannot be read twice."""
    data = (GOLDEN / "brackets-mp3.log").read_bytes()
    CliRunner().invoke(app, ["doctor", "logs", "-", "-q", "--bundle", str(alone / "b.zip")], input=data)

    assert "logs/stdin\n" in text_of(alone / "b.zip")
    assert "streaming_start" in text_of(alone / "b.zip")


def test_url(run: Run, alone: Path) -> None:
    """Nobody listens there, and the token stays here."""
    file = alone / "b.zip"
    url = f"ws://127.0.0.1:9/media?token={TOKEN}"
    before = run("doctor", "url", url, "--token", f"{TOKEN}-too", "--control", "none", "-q", "--bundle", str(file))

    assert before.exit_code == judged(run, file)[0]
    assert TOKEN not in text_of(file)


def test_call(run: Run, write: Callable[..., None], alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, pressed keys and the server's own key."""
    monkeypatch.setenv("TELNYX_API_KEY", TOKEN)
    write(sample_call.a_call([*sample_call.ACCEPTED, (20_000, sample_call.hung_up())])[CallFacts].entries)
    file = alone / "b.zip"
    before = run("doctor", "call", "--last", "--offline", "-q", "--bundle", str(file))

    assert before.exit_code == judged(run, file)[0]
    assert TOKEN not in text_of(file)


def test_deploy(run: Run, alone: Path) -> None:
    """Variables in deployment files are secrets by their names."""
    (alone / "fly.toml").write_text(
        f'app = "bot"\n[env]\nOPENAI_API_KEY = "{TOKEN}"\nPORT = "8080"\n[http_service]\ninternal_port = 8080\n'
    )
    (alone / "Dockerfile").write_text(f"FROM python:3.12\nENV AUTH_TOKEN={TOKEN}\nCMD gunicorn -w 4 bot:app\n")
    file = alone / "b.zip"
    before = run("doctor", "deploy", ".", "--bundle", str(file))

    assert before.exit_code == judged(run, file)[0]
    assert TOKEN not in text_of(file)


@pytest.mark.parametrize(("name", "said"), [("b.tar", "must end in .zip"), ("none/b.zip", "there is no folder")])
def test_a_name_that_cannot_be_written(run: Run, alone: Path, name: str, said: str) -> None:
    """Said before minutes are spent on an examination."""
    result = run("doctor", "deploy", ".", "--bundle", str(alone / name))

    assert 2 == result.exit_code
    assert said in " ".join(result.output.split())


def test_a_zip_that_is_no_bundle(run: Run, alone: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as bundle:
        bundle.writestr("notes.txt", "hello")
    (alone / "b.zip").write_bytes(file.getvalue())
    result = run("doctor", "judge", str(alone / "b.zip"))

    assert 2 == result.exit_code
    assert "--bundle" in " ".join(result.output.split())
    assert "Traceback" not in result.output
