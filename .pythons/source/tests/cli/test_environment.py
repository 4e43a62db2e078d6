"""Where settings come from, and what an error of ours looks like on the terminal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import typer

from callpath.cli.environment import Exit, clear_errors, export_for_libraries, load_settings, named_values
from callpath.errors import CallpathError, ConfigError, ControlError, StoreError

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def everywhere(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PORT is 1 in .env, 2 in the environment."""
    (alone / ".env").write_text("PORT=1\nHOST=from-file\n")
    monkeypatch.setenv("PORT", "2")


@pytest.mark.usefixtures("everywhere")
def test_flag_before_environment_before_file() -> None:
    """What was said last and nearest is meant."""
    assert load_settings({"PORT": "3"})[0].port == 3
    assert load_settings({"PORT": None})[0].port == 2
    assert load_settings()[0].port == 2
    assert load_settings()[0].host == "from-file"


@pytest.mark.usefixtures("everywhere")
def test_an_empty_flag_is_none() -> None:
    """Scripts pass `--port "$PORT"` whether or not it is set."""
    assert load_settings({"PORT": ""})[0].port == 2


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"TELNYX_API_KEY=KEY0123\n", "KEY0123"),
        (b"export TELNYX_API_KEY='KEY0123' # mine\n", "KEY0123"),
        (b'TELNYX_API_KEY="KEY0123"\r\nPORT=8000\r\n', "KEY0123"),
        (b"\xef\xbb\xbfTELNYX_API_KEY=KEY0123\n", "KEY0123"),
        (b"TELNYX_API_KEY=\n", ""),
        (b"TELNYX_API_KEY\n", ""),
        (b"", ""),
    ],
    ids=["plain", "quoted", "windows", "byte order mark", "empty", "bare", "nothing"],
)
def test_a_file_as_people_write_it(alone: Path, content: bytes, key: str) -> None:
    """A key that is in the file and not found costs an hour."""
    (alone / ".env").write_bytes(content)

    assert load_settings()[0].telnyx_api_key == key


def test_a_file_that_is_no_text_is_named(alone: Path) -> None:
    """PowerShell's `>` writes UTF-16."""
    (alone / ".env").write_bytes("TELNYX_API_KEY=KEY0123\n".encode("utf-16"))
    with pytest.raises(ConfigError, match=r"^\.env .*UTF-8"):
        load_settings()


def test_every_name_can_be_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """`callpath demo` hands all of it on to the server that it starts."""
    monkeypatch.setenv("SOMETHING_ELSE", "x")

    assert named_values({"A": "b"})["SOMETHING_ELSE"] == "x"
    assert named_values({"A": "b"})["A"] == "b"


def test_exit_codes_are_permanent() -> None:
    """Scripts and CI jobs compare with these numbers."""
    assert {code.name: code.value for code in Exit} == {
        "OK": 0,
        "PROBLEM": 1,
        "USAGE": 2,
        "CONFIGURATION": 3,
        "NETWORK": 4,
        "SILENT": 5,
        "MISSED": 6,
        "INCONCLUSIVE": 7,
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("PORT", "is wrong", "Right is PORT=8000"), 3),
        (StoreError("the call log cannot be read"), 1),
        (ControlError("answer was refused: 422", command="answer"), 1),
        (CallpathError("something of ours"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_of_ours_is_one_clear_line(
    error: CallpathError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, so that `--json | jq` never meets it, and without a traceback."""
    with pytest.raises(typer.Exit) as caught, clear_errors():
        raise error
    out, err = capsys.readouterr()

    assert caught.value.exit_code == code
    assert (out, err) == ("", f"callpath: {error}\n")


def test_a_bug_keeps_its_traceback() -> None:
    """Only errors that we raise on purpose are known to need none."""
    with pytest.raises(ZeroDivisionError), clear_errors():
        raise ZeroDivisionError


def test_what_libraries_read_comes_from_env_file_too(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They look into the environment alone; what is set there goes before .env, and secrets are known as such."""
    given = {
        "AWS_SECRET_ACCESS_KEY": "hush",
        "OTEL_EXPORTER_OTLP_HEADERS": "key=hush2",
        "AWS_REGION": "eu",
        "OTHER": "x",
    }
    for name in given:
        monkeypatch.setenv(name, "before")  # so that it is taken back after the test
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_REGION", "us")
    (alone / ".env").write_text("".join(f"{name}={value}\n" for name, value in given.items()))
    secrets = export_for_libraries()

    assert {"hush", "key=hush2"} <= set(secrets)
    assert ["hush", "us", None] == [os.environ.get(name) for name in ("AWS_SECRET_ACCESS_KEY", "AWS_REGION", "OTHER")]
