"""Bytes of any origin become lines."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from callpath.doctor.logs.lines import LINE_CHARS_MAX, Line, Reading, read_lines
from callpath.doctor.logs.reading import LogReader


def texts(data: bytes, size: int = 7) -> list[str]:
    """The lines of `data`, given in small pieces."""
    return [line.text for line in read_lines([data[at : at + size] for at in range(0, len(data), size)], "f")]


def rows(data: bytes, size: int = 7) -> tuple[list[Line], Reading]:
    reading = Reading("f")
    return list(read_lines([data[at : at + size] for at in range(0, len(data), size)], "f", reading)), reading


def test_line_ends_of_all_kinds() -> None:
    """A log from Windows must not carry carriage returns into ids, and a last line without an end is a line."""
    assert ["one", "two", "three"] == texts(b"one\r\ntwo\nthree")
    assert ["one"] == texts(b"one\n")
    assert [] == texts(b"")


def test_numbers_count_lines() -> None:
    """Evidence names a line: it must be the editor's."""
    assert [1, 2, 3] == [line.number for line in read_lines([b"a\n\nb\n"], "f")]


def test_marks_of_encoding() -> None:
    """PowerShell's `>` writes UTF-16; a mark at the head of UTF-8 would hide the first time."""
    assert ["ä b", "c"] == texts("ä b\nc".encode("utf-16"))
    assert ["long enough", "c"] == texts("long enough\nc".encode("utf-16-le"), 64)
    assert ["ä"] == texts("ä".encode("utf-8-sig"))


def test_an_array_of_rows_in_any_layout() -> None:
    """Railway's export is one line of a hundred megabytes, or pretty-printed: both are rows."""
    documents = [{"message": f"m {n}", "timestamp": "t"} for n in range(50)]
    for text in (json.dumps(documents), json.dumps(documents, indent=2), "\ufeff" + json.dumps(documents)):
        lines, reading = rows(text.encode())

        assert documents == [line.document for line in lines]
        assert list(range(1, 51)) == [line.number for line in lines]
        assert reading.rows and not reading.truncated


def test_objects_printed_one_after_the_other() -> None:
    """`jq .` makes such files."""
    lines, _ = rows(b'{\n "a": 1\n}\n{\n "a": 2\n}\n')

    assert [{"a": 1}, {"a": 2}] == [line.document for line in lines]


def test_a_cut_off_array_keeps_its_rows() -> None:
    """A download that broke off still tells of the calls before it."""
    lines, reading = rows(b'[{"message": "one"}, {"message": "tw')

    assert {"message": "one"} == lines[0].document
    assert reading.truncated


def test_an_array_without_rows() -> None:
    """An export of a quiet hour."""
    assert [] == rows(b"[]")[0]


def test_a_time_in_brackets_is_no_array() -> None:
    """`[2025-12-16T…] POST /webhook` begins as an array does."""
    assert ["[2025-12-16T02:14:30.186Z] POST /webhook"] == texts(b"[2025-12-16T02:14:30.186Z] POST /webhook\n")


def test_a_huge_line_is_cut_and_the_next_one_read() -> None:
    """A dump of base64 audio must not hide what follows it."""
    lines, reading = rows(b"x" * (3 * LINE_CHARS_MAX) + b"\nnext\n", 65_536)

    assert ["next"] == [line.text for line in lines][1:]
    assert LINE_CHARS_MAX == len(lines[0].text)
    assert 1 == reading.cut


def test_memory_is_bounded() -> None:
    """A hundred megabytes must not need a hundred megabytes."""
    row = {"message": "Received media frame from caller", "timestamp": "2026-01-02T03:04:05Z", "payload": "x" * 4_000}
    line = json.dumps(row).encode() + b"\n"

    def chunks() -> Iterator[bytes]:
        for _ in range(40):
            yield line * 20

    reader = LogReader()
    reader.read("warm", [line * 20])
    tracemalloc.start()
    reader.read("f", chunks())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert 40 * 20 * len(line) > 3_000_000
    assert peak < 1_000_000


@given(st.binary(max_size=400), st.integers(1, 50))
def test_no_bytes_are_an_error(data: bytes, size: int) -> None:
    """Whatever a file holds, the reader ends and says what it met."""
    reader = LogReader()
    reader.read("f", [data[at : at + size] for at in range(0, len(data), size)])
    reader.finish()


_PIECES = st.sampled_from(
    [
        '{"',
        '"message":',
        '"timestamp":',
        '"2026-01-02T03:04:05Z"',
        "[",
        "]",
        "{",
        "}",
        ",",
        "\n",
        '"httpStatus":',
        "101",
        '"path":"/x"',
        '"method":"GET"',
        "call.initiated",
        " v3:abcdefghijk ",
        "streaming_start failed: 422",
        "WebSocket connected",
        "\r\n",
        "\x1b[31m",
        "Jan 99 25:61:61",
        "[99/Xxx/2026:99:99:99 +9999]",
        "2026-13-45T99:99:99Z",
        "at=info method=GET path=/ status=x",
        "web-1  | ",
        '"upstreamErrors":"[{"',
        '"qname":1,"qtype":2',
        '"level":30,"time":1e400',
        "app[web.1]: ",
        "\u2028",
        "\ud800",
        "call=abcdef12",
        "Stream started: PCMU at 8000 Hz",
        '"event_name":"x","level":"info"',
        '"attributes":[{"key":1}]',
        '"request":{"uri":1},"status":5',
    ]
)


@given(st.lists(_PIECES, max_size=25))
def test_no_mixture_of_real_pieces_is_an_error(pieces: list[str]) -> None:
    """Half-right lines are what breaks a reader, more than noise."""
    reader = LogReader(read_at_ms=1_900_000_000_000)
    reader.read("f", ["".join(pieces).encode("utf-8", "surrogatepass")])
    found = reader.finish()
    for call in found.calls:
        found.facts_of(call)
