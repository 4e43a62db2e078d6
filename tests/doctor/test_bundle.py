"""One file for a bug report: it is judged as what it was made of, and nobody's secret is in it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callpath.doctor.bundle import LOG_BYTES_MAX, BundledLog, read_evidence, redacted_line, write_bundle
from callpath.doctor.evidence import judge_again
from callpath.doctor.logs.picture import as_json, choose, judge_logged, without_a_call
from callpath.doctor.logs.reading import LogReader
from callpath.doctor.verdict import Diagnosis
from callpath.errors import EvidenceError

LOGS = Path(__file__).parent / "logs"
CORPUS = sorted([*LOGS.glob("golden/*.log"), *LOGS.glob("field/**/*.log"), *LOGS.glob("field/**/*.json")])
CORPUS = [path for path in CORPUS if path.name != "expected.json"]


def told(diagnosis: Diagnosis) -> object:
    return (
        diagnosis.healthy,
        diagnosis.exit_code,
        [(found.rule.slug, found.finding.kind, found.under) for found in diagnosis.findings],
    )


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_log_is_judged_again_as_it_was(path: Path, tmp_path: Path) -> None:
    """Also where the verdict is withheld, or the log has no times or no call."""
    reader = LogReader(read_at_ms=1_893_456_000_000)
    data = path.read_bytes()
    reader.read(path.name, [data])
    found = reader.finish()
    judged = [judge_logged(found, call) for call in found.calls]
    chosen = choose(judged)
    alone = without_a_call(found) if chosen is None else None
    before = chosen.diagnosis if chosen is not None else alone
    assert before is not None
    file = tmp_path / "b.zip"
    document = as_json(found, judged, chosen, alone)
    write_bundle(file, report="r", evidence=document, logs=[BundledLog(path.name, [data], len(data))])

    assert told(before) == told(judge_again(read_evidence(file.read_bytes())))


CANARIES = (
    "15555550123", "555-0123", "hunter2secret", "sk-proj-Zx81QpLm03kTyBvNwEr", "KEY0123456789ABCDEF_canary",
    "AKIAIOSFODNN7CANARY",
    "ghp_canary0canary0canary0canary0", "eyJhbGciOiJIUzI1NiJ9.canary", "ada.canary@example.com", "4711", "canary words",
    "cGF5bG9hZGNhbmFyeQ", "Zm9vYmFyY2FuYXJ5", "MIIEcanary",
)  # fmt: skip
LINES = (
    "call from +15555550123 to 15555550123, caller (555) 555-0123 or 555-555-0123",
    '{"from": 15555550123, "to": "15555550123", "client_state": "Zm9vYmFyY2FuYXJ5"}',
    "{\\\"phone_number\\\": \\\"15555550123\\\"} tel:+15555550123 sip:15555550123@sip.example.com",
    "GET /media?token=hunter2secret&x=1 Authorization: Bearer hunter2secret",
    "api_key='hunter2secret' PASSWORD=\"hunter2secret\" {\"secret\": \"hunter2secret\"}",
    "OPENAI_API_KEY=sk-proj-Zx81QpLm03kTyBvNwEr TELNYX_API_KEY=KEY0123456789ABCDEF_canary",
    "aws AKIAIOSFODNN7CANARY1 gh ghp_canary0canary0canary0canary0 jwt eyJhbGciOiJIUzI1NiJ9.canary.sig",
    "postgres://bot:hunter2secret@db/x mail ada.canary@example.com",
    "DTMF received: 4711 digits=4711# {\"digit\": \"4711\"} pressed 4711",
    "User said: canary words",
    '{"transcript": "canary words", "t": 1}',
    "Assistant: canary words",
    '{"event":"media","media":{"payload":"' + "cGF5bG9hZGNhbmFyeQ" * 20 + '"}}',
    "-----BEGIN PRIVATE KEY-----MIIEcanary-----END PRIVATE KEY-----",
)  # fmt: skip


def members(data: bytes) -> Iterator[tuple[str, str]]:
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        for name in bundle.namelist():
            yield name, bundle.read(name).decode()


@pytest.mark.parametrize("form", ["text", "rows"])
def test_no_secret_is_in_it(form: str, tmp_path: Path) -> None:
    """Whatever a program printed: numbers, keys, tokens, digits, audio, the words of the conversation."""
    said = [
        *(f"2026-01-02T03:04:05Z call.initiated v3:wQmZtYhBv2LnPqRs7TuVwXyZa1BcDeF {line}" for line in LINES),
        *(f"2026-01-02T03:04:06Z ERROR {line}" for line in LINES),
    ]
    rows = json.dumps([{"timestamp": "2026-01-02T03:04:05Z", "message": line} for line in said])
    data = (rows if form == "rows" else "\n".join(said)).encode()
    reader = LogReader(read_at_ms=1_893_456_000_000)
    reader.read("15555550123.log", [data])
    found = reader.finish()
    judged = [judge_logged(found, call) for call in found.calls]
    chosen = choose(judged)
    assert chosen is not None
    file = tmp_path / "b.zip"
    document = as_json(found, judged, chosen, None)
    write_bundle(file, report="r", evidence=document, logs=[BundledLog("15555550123.log", [data], len(data))])

    leaks = [(name, word) for name, text in members(file.read_bytes()) for word in CANARIES if word in text + name]
    assert [] == leaks


@pytest.mark.parametrize(
    "line",
    ["2026-01-02 03:04:05,678 - bot - INFO - first media frame received", "bot:run:31 - streaming_start accepted, 200",
     "upgrade refused: 403, code=90018, token missing", "10.0.0.66:8080 GET /media HTTP/1.1 101",
     '{"level":30,"time":1773756131000,"call_session_id":"428c31b6-7af4-4bcb-b7f5-5013ef9657c1"}'],
)  # fmt: skip
def test_what_support_needs_stays(line: str) -> None:
    """A log of which nothing is left tells nothing."""
    assert line == redacted_line(line)


def test_a_long_log_is_cut_around_the_call(tmp_path: Path) -> None:
    """A bundle is sent by mail; what is left out stands in versions.json."""
    data = b"".join(
        b"%06d cache warmed, and nothing else happened on this line\n" % number for number in range(1, 120_001)
    )
    file = tmp_path / "b.zip"
    write_bundle(file, report="r", evidence={}, logs=[BundledLog("app.log", [data], len(data), first=50_000)])
    kept = dict(members(file.read_bytes()))
    text, notes = kept["logs/app.log"], json.loads(kept["versions.json"])["logs"][0]

    assert len(text) <= LOG_BYTES_MAX
    assert text.startswith("048000 ")
    assert "050000 " in text
    assert (48_000, False) == (notes["from_line"], notes["complete"])
    assert text.splitlines()[-1].startswith(f"{notes['to_line']:06d} ")


def test_names_unpack_as_files_beside_each_other(tmp_path: Path) -> None:
    """Two logs of one name, and one that would climb out of the folder."""
    logs = [BundledLog(name, [b"x\n"], 2) for name in ("app.log", "app.log", "../../etc/passwd", "")]
    file = tmp_path / "b.zip"
    write_bundle(file, report="r", evidence={}, logs=logs)
    names = [name for name, _ in members(file.read_bytes()) if name.startswith("logs/")]

    assert ["logs/app.log", "logs/2-app.log", "logs/_.._etc_passwd", "logs/log"] == names


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    """Half a bundle is worse than the one of yesterday."""
    file = tmp_path / "b.zip"
    file.write_bytes(b"yesterday")

    def breaks() -> Iterator[bytes]:
        yield b"one line\n"
        raise OSError(28, "No space left on device")

    with pytest.raises(EvidenceError, match="No space left on device"):
        write_bundle(file, report="r", evidence={}, logs=[BundledLog("app.log", breaks(), 9)])
    assert b"yesterday" == file.read_bytes()
    assert ["b.zip"] == [path.name for path in tmp_path.iterdir()]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="Name a folder that is there"):
        write_bundle(tmp_path / "none" / "b.zip", report="r", evidence={})


def zipped(**members: Any) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as bundle:
        for name, text in members.items():
            bundle.writestr(name, text)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [(zipped(readme="x"), "no evidence.json"), (b"PK\x03\x04cut off", "cannot be read")],
    ids=["another ZIP", "cut off"],
)
def test_a_zip_that_is_no_bundle(data: bytes, said: str) -> None:
    with pytest.raises(EvidenceError, match=said):
        read_evidence(data)


def test_json_passes_as_it_is() -> None:
    """`judge` reads both."""
    assert b'{"facts": {}}' == read_evidence(b'{"facts": {}}')
