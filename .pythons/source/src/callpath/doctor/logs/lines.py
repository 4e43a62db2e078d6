"""Bytes of any origin → lines, or rows of a JSON array, in bounded memory. Nothing that a file can hold is an error.

for line in read_lines(chunks, "app.log"):
    line.text, line.document      # one of them: a line of text, or a row of an array that is parsed already
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

LINE_CHARS_MAX = 256 * 1024
"""A longer line is cut here; what follows up to its end is thrown away and counted."""

OBJECT_CHARS_MAX = 4 * 1024 * 1024
"""A single row of an array may have so many characters; a longer one is read as text."""

CHUNK_BYTES = 1024 * 1024

_DECODER = json.JSONDecoder()
_NEEDS_MORE = 64 * 1024
"""An object that does not parse with so much behind it is broken, not cut off by the end of a chunk… unless it is long."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file, or one row of a JSON array in it. `number` counts from 1: lines, or rows."""

    file: str
    number: int
    text: str = ""
    document: dict[str, Any] | None = None


@dataclass(slots=True)
class Reading:
    """What was met while reading one file."""

    file: str
    encoding: str = "utf-8"
    bytes: int = 0
    lines: int = 0
    cut: int = 0
    binary: int = 0
    rows: bool = False
    truncated: bool = False


def read_lines(chunks: Iterable[bytes], file: str, reading: Reading | None = None) -> Iterator[Line]:
    """Every line of `chunks`, decoded; `reading` learns what they were like."""
    reading = reading or Reading(file)
    texts = _decoded(chunks, reading)
    buffer = ""
    for text in texts:
        buffer += text
        if len(buffer.lstrip()) >= 2 or len(buffer) > 4096:
            break
    rows = _starts_rows(buffer)
    if rows:
        reading.rows = True
        buffer = yield from _rows(buffer, texts, reading)
    yield from _lines(buffer, texts, reading)


# --- bytes → text ----------------------------------------------------------------------------------------------------


def _decoded(chunks: Iterable[bytes], reading: Reading) -> Iterator[str]:
    decoder: codecs.IncrementalDecoder | None = None
    head = b""
    for chunk in chunks:
        reading.bytes += len(chunk)
        if decoder is None:
            head += chunk
            if len(head) < 4:
                continue
            reading.encoding = _encoding(head)
            decoder = codecs.getincrementaldecoder(reading.encoding)("replace")
            chunk = head
        yield decoder.decode(chunk)
    if decoder is None:
        reading.encoding = _encoding(head)
        decoder = codecs.getincrementaldecoder(reading.encoding)("replace")
        yield decoder.decode(head)
    yield decoder.decode(b"", True)


def _encoding(head: bytes) -> str:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if head.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    sample = head[:4096]
    if len(sample) >= 8:
        # PowerShell's `>` writes UTF-16, and some tools drop the mark at its head.
        if sample[1::2].count(0) > 0.8 * len(sample[1::2]) and sample[::2].count(0) == 0:
            return "utf-16-le"
        if sample[::2].count(0) > 0.8 * len(sample[::2]) and sample[1::2].count(0) == 0:
            return "utf-16-be"
    return "utf-8"


# --- text → rows of an array, or pretty-printed objects ---------------------------------------------------------------


def _starts_rows(buffer: str) -> bool:
    """`[{` with any space between, or a `{` alone on its line: JSON that is more than a line long, or shorter."""
    head = buffer.lstrip("\ufeff \t\r\n")
    if head.startswith("["):
        rest = head[1:].lstrip()
        return rest.startswith("{") or (rest.startswith("]") and not rest[1:].strip())
    return head.startswith("{") and head[1:2] in {"\n", "\r"}


def _rows(buffer: str, texts: Iterator[str], reading: Reading) -> Generator[Line, None, str]:
    """Objects one after the other, whatever stands between them. Returns the text that is no more JSON."""
    position = 0
    ended = False
    while True:
        position = _skip(buffer, position)
        if position >= len(buffer):
            text = next(texts, None)
            if text is None:
                return ""
            buffer, position = text, 0
            continue
        if buffer[position] != "{":
            return buffer[position:]
        try:
            document, end = _DECODER.raw_decode(buffer, position)
        except (ValueError, RecursionError):
            rest = len(buffer) - position
            if not ended and rest < OBJECT_CHARS_MAX:
                # Perhaps only the end of the chunk: read as much again before the next try, so that it stays linear.
                more: list[str] = []
                while sum(map(len, more)) < max(_NEEDS_MORE, rest):
                    text = next(texts, None)
                    if text is None:
                        ended = True
                        break
                    more.append(text)
                buffer, position = buffer[position:] + "".join(more), 0
                continue
            reading.truncated = True
            return buffer[position:]
        position = end
        reading.lines += 1
        if isinstance(document, dict):
            yield Line(reading.file, reading.lines, document=document)


def _skip(buffer: str, position: int) -> int:
    while position < len(buffer) and buffer[position] in "\ufeff \t\r\n,[]":
        position += 1
    return position


# --- text → lines ----------------------------------------------------------------------------------------------------


def _lines(buffer: str, texts: Iterable[str], reading: Reading) -> Iterator[Line]:
    dropping = False  # the rest of a line that was cut
    for text in _with_last(texts):
        buffer = buffer + text if text is not None else buffer
        parts = buffer.split("\n")
        last = parts.pop()
        if text is None and last:
            parts.append(last)  # no line feed at the end of the file
        buffer = last if text is not None else ""
        for part in parts:
            if dropping:
                dropping = False
                continue
            yield _line(part, reading)
        if len(buffer) > LINE_CHARS_MAX:
            if not dropping:
                yield _line(buffer, reading)
            buffer, dropping = "", True


def _with_last(texts: Iterable[str]) -> Iterator[str | None]:
    yield ""
    yield from texts
    yield None


def _line(text: str, reading: Reading) -> Line:
    reading.lines += 1
    if len(text) > LINE_CHARS_MAX:
        reading.cut += 1
        text = text[:LINE_CHARS_MAX]
    text = text.rstrip("\r")
    if "\x00" in text or "\ufffd" in text:
        reading.binary += 1
        text = text.replace("\x00", "")
    return Line(reading.file, reading.lines, text)
