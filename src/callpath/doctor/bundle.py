"""A bundle for a bug report: one ZIP with all that somebody else needs to judge again what was seen.

    report.md       the report, for people
    evidence.json   every fact, for `callpath doctor judge FILE.zip`
    logs/…          what was read of each log, redacted; the part around the call where a log is long
    versions.json   callpath, Python, the platform, libraries, and which lines of each log are here

Secrets, numbers and pressed keys are hidden by the code that hides them in every report (`report/redact.py`); of logs
also long runs of data (audio in base64) and lines that quote what people said.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import platform
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from callpath.doctor.logs.lines import read_lines
from callpath.doctor.report import printable, redacted
from callpath.errors import EvidenceError
from callpath.wire.document import Json

LOG_BYTES_MAX = 4_000_000
"""Maximum size of one log in a bundle, after redaction."""

LINES_BEFORE = 2_000
"""How many lines before the call a long log keeps."""

EVIDENCE_BYTES_MAX = 200_000_000
"""Maximum size of a bundle's evidence when it is read: a ZIP can claim to unpack to any size."""

_EVIDENCE = "evidence.json"
_LIBRARIES = ("httpx2", "msgspec", "starlette", "uvicorn", "websockets", "cryptography", "sqlalchemy", "typer")
_DATE = (2026, 1, 1, 0, 0, 0)
"""The time stamp of every member, so that the same evidence makes the same file."""


@dataclass(frozen=True, slots=True)
class BundledLog:
    """A log as it was read. `first` is the line where the call begins: a longer log is cut around it."""

    name: str
    chunks: Iterable[bytes]
    bytes: int
    first: int = 1


def write_bundle(
    path: Path,
    *,
    report: str,
    evidence: Json,
    logs: Iterable[BundledLog] = (),
    token: str | None = None,
    secrets: Iterable[str] = (),
) -> None:
    """Write the whole file at once: either all of it stands under `path` afterwards, or what stood there before.

    Raises EvidenceError where it cannot be written.
    """
    hidden = tuple(secrets)
    try:
        made, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise EvidenceError(f"{path} cannot be written: {error.strerror}. Name a folder that is there") from None
    try:
        with os.fdopen(made, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
                _add(bundle, "report.md", report)
                _add(bundle, _EVIDENCE, json.dumps(evidence, indent=1, ensure_ascii=False))
                kept = [_add_log(bundle, log, token, hidden) for log in logs]
                _add(bundle, "versions.json", json.dumps(versions() | {"logs": kept}, indent=1))
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(path)
    except OSError as error:
        raise EvidenceError(f"{path} cannot be written: {error.strerror}. Is the disk full?") from None
    finally:
        Path(part).unlink(missing_ok=True)


def read_evidence(data: bytes) -> bytes:
    """The evidence in a bundle; `data` itself where it is none. Raises EvidenceError for a ZIP without evidence."""
    if not data.startswith(b"PK"):
        return data
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            size = bundle.getinfo(_EVIDENCE).file_size
            if size > EVIDENCE_BYTES_MAX:
                limit = EVIDENCE_BYTES_MAX / 1e6
                raise EvidenceError(f"the {_EVIDENCE} in this ZIP has {size / 1e6:.0f} MB, the maximum is {limit:.0f}")
            return bundle.read(_EVIDENCE)
    except KeyError:
        raise EvidenceError(f"this ZIP has no {_EVIDENCE}: give what a doctor command wrote with --bundle") from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise EvidenceError(f"this ZIP cannot be read: {error}. Was it cut off on its way?") from None


def versions() -> Json:
    """What the bundle was made with."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "schema_version": 1,
        "callpath": importlib.metadata.version("callpath"),
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "platform": platform.platform(),
        "libraries": found,
    }


def _add(bundle: zipfile.ZipFile, name: str, text: str) -> None:
    info = zipfile.ZipInfo(name, _DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    bundle.writestr(info, text.encode("utf-8", "replace"))


def _add_log(bundle: zipfile.ZipFile, log: BundledLog, token: str | None, secrets: tuple[str, ...]) -> Json:
    info = zipfile.ZipInfo(f"logs/{_safe_name(log.name, bundle)}", _DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    begin = 1 if log.bytes <= LOG_BYTES_MAX else max(1, log.first - LINES_BEFORE)
    written, number, cut = 0, 0, False
    with bundle.open(info, "w") as member:
        for number, text in _texts(log):
            if number < begin:
                continue
            line = (redacted_line(text, token, secrets) + "\n").encode("utf-8", "replace")
            if written + len(line) > LOG_BYTES_MAX:
                cut = True
                number -= 1
                break
            written += member.write(line)
    return {
        "file": info.filename,
        "from_line": min(begin, number),
        "to_line": number,
        "complete": begin == 1 and not cut,
    }


def _texts(log: BundledLog) -> Iterator[tuple[int, str]]:
    for line in read_lines(log.chunks, log.name):
        yield line.number, line.text if line.document is None else json.dumps(line.document, ensure_ascii=False)


def _safe_name(name: str, bundle: zipfile.ZipFile) -> str:
    """A name that unpacks as a file in logs/ on every system, and once only."""
    plain = re.sub(r"[^\w.-]", "_", redacted(name)).lstrip(".") or "log"
    taken = set(bundle.namelist())
    number, made = 1, plain
    while f"logs/{made}" in taken:
        number += 1
        made = f"{number}-{plain}"
    return made


_WHO = r"(?:user|caller|callee|customer|human|assistant|agent|bot|ai)"
_TELLS = (
    rf"\b(?:{_WHO}[ _-]?(?:said|says|text|transcript(?:ion)?|input|speech|utterance)|(?:final |partial )?transcript"
    r"(?:ion)?|utterance)\\?['\"]?\s*[:=]\s*+"
)
_SPOKEN = (
    re.compile(rf"(?i)({_TELLS}\\?(['\"]))(?:(?!\\?\2).)+"),
    re.compile(rf"(?i)({_TELLS})(?![\\'\"]).{{2,}}"),
    re.compile(r"((?<![\w.:-])(?:User|Caller|Customer|Human|Assistant|Agent|Bot|AI): ).{2,}"),
)
"""Where a line goes on with the words of a conversation."""

_LONG = re.compile(r"[A-Za-z0-9+/_-]{200,}={0,2}")


def redacted_line(text: str, token: str | None = None, secrets: Iterable[str] = ()) -> str:
    """One line of a log without secrets, numbers, keys, audio and the words of a conversation."""
    text = _LONG.sub(lambda found: f"[{len(found.group())} characters of data]", printable(text))
    for pattern in _SPOKEN:
        text = pattern.sub(r"\1[words]", text)
    return redacted(text, token, secrets)
