"""RFC 6455 by literal bytes, and by property: however the bytes are cut, the messages are the same."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame
from websockets.frames import Opcode as TheirOpcode
from websockets.utils import apply_mask

from callpath.server.frames import (
    Control,
    FrameReader,
    Item,
    Opcode,
    Violation,
    encode_close,
    encode_frame,
)

KEY = b"\x11\x22\x33\x44"


def masked(first: int, payload: bytes) -> bytes:
    """A client's frame, by the book."""
    length = len(payload)
    if length < 126:
        head = bytes((first, 0x80 | length))
    elif length < 1 << 16:
        head = struct.pack("!BBH", first, 0xFE, length)
    else:
        head = struct.pack("!BBQ", first, 0xFF, length)
    return head + KEY + apply_mask(payload, KEY)


def read(*pieces: bytes, most: int = 1 << 20) -> list[Item]:
    reader = FrameReader(most)
    return [item for piece in pieces for item in reader.feed(piece)]


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536])
def test_a_text_of_any_length(length: int) -> None:
    """Each of the three length fields: a slip at their borders loses every long message."""
    assert read(masked(0x81, b"x" * length)) == [b"x" * length]


@given(
    texts=st.lists(st.text(max_size=300), max_size=5), cuts=st.lists(st.integers(1, 40), max_size=60), odd=st.booleans()
)
def test_however_the_bytes_are_cut(texts: list[str], cuts: list[int], odd: bool) -> None:
    """TCP knows no messages. What is lost or doubled at a cut is lost audio."""
    stream = b"".join(masked(0x81, text.encode()) for text in texts)
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(stream[at : at + cut])
        at += cut
    pieces.append(stream[at:])

    assert read(*pieces) == [text.encode() for text in texts]


pieces_of_a_call = st.one_of(
    st.integers(0, 9).map(lambda digit: masked(0x81, b"%d" % digit * 200)),  # what nearly every read brings
    st.just(masked(0x81, "\u00fc".encode() * 100)),  # as long, and not ASCII
    st.just(masked(0x81, b"\xff" * 200)),  # no UTF-8
    st.just(masked(0x01, b"a" * 200)),
    st.just(masked(0x80, b"b" * 200)),
    st.just(masked(0x82, b"c" * 200)),
    st.just(masked(0x89, b"ping")),
    st.just(masked(0x88, b"")),
    st.integers(1, 100).map(lambda cut: masked(0x81, b"d" * 200)[:cut]),
    st.integers(1, 100).map(lambda cut: masked(0x81, b"d" * 200)[cut:]),
    st.just(2 * masked(0x81, b"e" * 200)),
)


@given(reads=st.lists(pieces_of_a_call, max_size=12))
def test_the_quick_way_takes_what_the_usual_way_would(reads: list[bytes]) -> None:
    """It looks at four bytes and a length: whatever came before, it must not see a text where there is none."""
    usual, quick = FrameReader(1 << 20), FrameReader(1 << 20)
    for data in reads:
        text = quick.whole_text(data)
        items = quick.feed(data) if text is None else [text]

        assert items == usual.feed(data)


def test_a_second_frame_of_the_same_length_goes_the_quick_way() -> None:
    """Otherwise every frame would take five times as long, and nothing would tell."""
    reader = FrameReader(1 << 20)
    first = reader.whole_text(masked(0x81, b"a" * 200))
    reader.feed(masked(0x81, b"a" * 200))

    assert (first, reader.whole_text(masked(0x81, b"b" * 200))) == (None, b"b" * 200)


def test_fragments_are_put_together_around_a_ping() -> None:
    """A control frame may stand between the pieces of a message."""
    items = read(masked(0x01, b"hel"), masked(0x89, b"?"), masked(0x80, b"lo"))

    assert items == [Control(Opcode.PING, b"?"), b"hello"]


def test_binary_ping_pong_and_close() -> None:
    """Nothing that follows a close is read."""
    items = read(
        masked(0x82, b"\x00"), masked(0x8A, b""), masked(0x88, struct.pack("!H", 1001) + b"bye") + masked(0x81, b"x")
    )

    assert items == [
        Control(Opcode.BINARY, b"\x00"),
        Control(Opcode.PONG, b""),
        Control(Opcode.CLOSE, struct.pack("!H", 1001) + b"bye", 1001, "bye"),
    ]


def test_a_close_without_a_code() -> None:
    """Is 1005 to us, as the RFC says."""
    (item,) = read(masked(0x88, b""))

    assert item == Control(Opcode.CLOSE, b"", 1005, "")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x05hello\x00", 1002),  # not masked
        (masked(0x83, b""), 1002),  # reserved opcode
        (masked(0xC1, b"x"), 1002),  # compressed, and nobody agreed on that
        (masked(0x80, b"x"), 1002),  # continues nothing
        (masked(0x01, b"x") + masked(0x81, b"y"), 1002),  # begins anew inside a message
        (masked(0x09, b"x"), 1002),  # a ping in pieces
        (masked(0x89, b"x" * 126), 1002),  # a ping too long
        (masked(0x88, b"\x03"), 1002),  # half a close code
        (masked(0x88, struct.pack("!H", 1005)), 1002),  # a code that must not be sent
        (masked(0x88, struct.pack("!H", 1000) + b"\xff"), 1007),
        (masked(0x81, b"\xff\xfe"), 1007),  # no UTF-8
        (masked(0x81, b"x" * 201), 1009),
        (masked(0x01, b"x" * 120) + masked(0x80, b"x" * 120), 1009),  # too large in sum
        (b"\x81\xff" + struct.pack("!Q", 1 << 62) + KEY, 1009),  # refused by its length, before it is here
    ],
)
def test_violations_have_their_codes(data: bytes, code: int) -> None:
    """The close code tells the other side, and the timeline, what was wrong; then nothing more is read."""
    *_, item = read(data + masked(0x81, b"after"), most=200)

    assert isinstance(item, Violation)
    assert item.code == code


def test_what_is_kept_is_bounded() -> None:
    """Whoever sends the beginnings of messages without end must not fill the memory."""
    reader = FrameReader(1000)
    half = masked(0x81, b"x" * 900)[:-1]
    for start in range(0, len(half), 10):
        reader.feed(half[start : start + 10])

    assert len(reader._rest) <= 1000 + 14


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    """Anybody can send anything."""
    read(data)


@pytest.mark.parametrize("length", [0, 125, 126, 65535, 65536])
def test_ours_are_as_another_library_writes_them(length: int) -> None:
    """Both roles of a test could share one mistake; `websockets` would not."""
    body = b"x" * length
    theirs = Frame(TheirOpcode.TEXT, body).serialize(mask=False)

    assert encode_frame(Opcode.TEXT, body) == theirs


def test_a_close_reason_is_cut_to_what_fits() -> None:
    """At a whole character."""
    frame = encode_close(1008, "ä" * 100)

    assert len(frame) <= 127
    assert frame[4:].decode() == "ä" * 61


def test_a_million_empty_pieces_are_not_kept() -> None:
    """They are six bytes each on the way in, and none of them counts towards the largest message."""
    reader = FrameReader(1000)
    empty = masked(0x00, b"")
    reader.feed(masked(0x01, b"a"))
    for _ in range(100):
        reader.feed(empty * 1000)

    assert len(reader._pieces) == 1
    assert [b"ab"] == reader.feed(masked(0x80, b"b"))
