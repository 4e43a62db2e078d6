"""The kinds of entry: stored for ever, read by every later version, and shown to people."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callpath.timeline import (
    ALIASES,
    KINDS,
    CallRecovered,
    CallRejected,
    CommandAnswered,
    CommandSent,
    DtmfReceived,
    FirstInbound,
    HandlerEnded,
    MarkReturned,
    MediaCounted,
    Noted,
    SocketClosed,
    SocketReceived,
    SocketRejected,
    StreamAccepted,
    StreamStarted,
    StreamStopped,
    Unknown,
    WebhookReceived,
    What,
    describe,
    encode_what,
    kind_of,
    parse_what,
)
from callpath.wire.ids import StreamId
from tests.store.entries import anything, documents, of_kind, unnamed

STREAM = StreamId("stream-1")

TAGS = [
    "webhook.received",
    "command.sent",
    "command.answered",
    "command.retried",
    "dial.placed",
    "stream.starting",
    "stream.url",
    "stream.accepted",
    "socket.received",
    "socket.rejected",
    "stream.started",
    "media.first_inbound",
    "media.first_outbound",
    "media.counted",
    "frame.rejected",
    "media.symptom",
    "loop.blocked",
    "stream.errored",
    "dtmf.received",
    "mark.returned",
    "playout.cleared",
    "stream.stopped",
    "socket.closed",
    "stream.missing",
    "stream.probed",
    "policy.acted",
    "call.stuck",
    "call.rejected",
    "call.decided",
    "consult.started",
    "consult.news",
    "consult.decided",
    "consult.ended",
    "call.recovered",
    "call.checked",
    "call.traced",
    "handler.started",
    "handler.ended",
    "handler.failed",
    "recording.paused",
    "recording.resumed",
    "recording.saved",
    "recording.stored",
    "recording.not_stored",
    "note",
    "unknown",
]
"""What stands in people's databases and log searches. Lines may be added; none may change or go."""


# --- names -----------------------------------------------------------------------------------------------------------


def test_tags_are_permanent() -> None:
    """A renamed one turns all stored entries of its kind into unknown ones, and breaks every log search."""
    assert [str(kind.__struct_config__.tag) for kind in KINDS] == TAGS
    assert len(set(TAGS)) == len(TAGS)


def test_every_kind_is_listed() -> None:
    """One that is missing in KINDS would be stored well and read back as unknown."""
    assert set(What.__subclasses__()) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=25)
def test_the_kinds_name_stands_in_what_is_stored(kind: type[What], data: st.DataObject) -> None:
    """The store keeps it in a column of its own; the two must never differ."""
    what = data.draw(of_kind(kind))

    assert kind_of(what) == kind.__struct_config__.tag
    if not isinstance(what, Unknown):
        assert json.loads(encode_what(what))["kind"] == kind_of(what)


# --- storing and reading ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=25)
def test_every_kind_comes_back(kind: type[What], data: st.DataObject) -> None:
    """The runner folds the entry that it made, the doctor the one that was stored."""
    what = data.draw(of_kind(kind))

    assert parse_what(encode_what(what)) == what


def test_literal_entries_of_the_first_version() -> None:
    """As they stand in databases: a later version must read them for ever."""
    stored = {
        '{"kind":"media.first_inbound","stream_id":"stream-1","payload_bytes":160}': FirstInbound(
            stream_id=STREAM, payload_bytes=160
        ),
        '{"kind":"command.answered","command":"answer","command_id":"c","status":422,"latency_ms":12.5,'
        '"error_code":"90018","error_detail":"ended"}': CommandAnswered(
            command="answer", command_id="c", status=422, latency_ms=12.5, error_code="90018", error_detail="ended"
        ),
        '{"kind":"stream.stopped"}': StreamStopped(),
        '{"kind":"mark.returned","name":"a","heard":false}': MarkReturned(name="a", heard=False),
        '{"kind":"socket.closed","code":1006}': SocketClosed(code=1006),
        '{"kind":"note","text":"hello"}': Noted(text="hello"),
    }

    assert {text: parse_what(text) for text in stored} == stored
    assert [encode_what(what).decode() for what in stored.values()] == list(stored)


def test_a_kind_that_was_renamed_is_read_under_its_old_name() -> None:
    """Databases of earlier versions are full of it."""
    old = '{"kind":"call.taken_up","fetched":2}'

    assert CallRecovered(fetched=2) == parse_what(old)
    assert b'{"kind":"call.recovered","fetched":2}' == encode_what(parse_what(old))
    assert parse_what('{"kind":"call.taken_up","fetched":"x"}') == Unknown(
        stored={"kind": "call.taken_up", "fetched": "x"}
    )


@pytest.mark.parametrize(
    ("old", "what"),
    [
        ({"kind": "call.refused", "reason": "draining", "detail": "d"}, CallRejected(reason="draining", detail="d")),
        (
            {"kind": "socket.refused", "status": 401, "reason": "no_token", "detail": "d", "path": "/x"},
            SocketRejected(status=401, reason="no_token", detail="d", path="/x"),
        ),
    ],
)
def test_what_was_refused_is_read_as_rejected(old: dict[str, Any], what: What) -> None:
    """Timelines of before December 2026 have the old words."""
    assert what == parse_what(json.dumps(old))


def test_no_old_name_is_used_again() -> None:
    """An entry of a new kind would be read as one of the old."""
    assert set() == set(ALIASES) & set(TAGS)
    assert set(ALIASES.values()) <= set(TAGS)


@given(documents.filter(unnamed))
def test_an_entry_of_an_unknown_kind_is_kept_whole(document: dict[str, Any]) -> None:
    """After a step back to an older version, nothing that the newer one wrote may be lost."""
    what = parse_what(json.dumps(document))

    assert what == Unknown(stored=document)
    assert json.loads(encode_what(what)) == document


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "dtmf.received"},
        {"kind": "dtmf.received", "digit": 5},
        {"kind": "media.first_inbound", "stream_id": "s", "payload_bytes": "many"},
        {"kind": "unknown"},
        {"kind": "unknown", "stored": {"kind": "note"}},
        {"kind": ["note"]},
        {"kind": None},
        {},
    ],
    ids=json.dumps,
)
def test_a_known_kind_in_another_shape_is_kept_whole(document: dict[str, Any]) -> None:
    """One entry that cannot be read must not hide the call that it belongs to."""
    what = parse_what(json.dumps(document))

    assert what == Unknown(stored=document)
    assert json.loads(encode_what(what)) == document
    assert describe(what)


def test_a_new_field_does_not_hide_an_entry() -> None:
    """A newer version's entry is still the stage of the call that it was."""
    what = parse_what(
        '{"kind":"stream.started","stream_id":"stream-1","encoding":"L16","sample_rate_hz":16000,"new":1}'
    )

    assert what == StreamStarted(stream_id=STREAM, encoding="L16", sample_rate_hz=16000)


def test_a_text_that_is_no_unicode_is_stored_all_the_same() -> None:
    """A handler's exception may quote a file name with stray bytes; its entry must not be the one that is lost."""
    assert parse_what(encode_what(Noted(text="caf\udce9.wav"))) == Noted(text="caf?.wav")
    assert parse_what(encode_what(Unknown(stored={"a": ["\udce9"]}))) == Unknown(stored={"a": ["?"]})


# --- a line for people -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=25)
def test_every_kind_has_a_line(kind: type[What], data: st.DataObject) -> None:
    """A kind without a branch would be called one of another version."""
    what = data.draw(of_kind(kind))
    line = describe(what)

    assert isinstance(line, str)
    assert line.startswith("Entry of another version") is (kind is Unknown) or isinstance(what, Noted)


@given(digit=st.text())
def test_no_line_tells_which_key_was_pressed(digit: str) -> None:
    """Callers type card numbers and PINs; lines go to logs."""
    assert describe(DtmfReceived(digit=digit)) == "Key pressed"


@given(document=documents, number=st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True), token=st.text(min_size=20))
def test_no_line_tells_a_number_or_a_token(document: dict[str, Any], number: str, token: str) -> None:
    """Bodies and headers are full of them. The line is that of an entry without any."""
    secrets = document | {"from": number, "to": number, "payload": {"stream_auth_token": token, "caller": number}}
    events = secrets | {"data": {"payload": secrets | {"direction": "incoming"}}}
    headers = {"authorization": token, "x-caller": number}

    assert describe(WebhookReceived(event_type="call.initiated", event_id="e", body=events)) == (
        "Webhook call.initiated: a call comes in"
    )
    for command in ("dial", "transfer"):
        assert describe(CommandSent(command=command, command_id="c", body=secrets)) == (
            f"Command {command} sent: to another number"
        )
    assert describe(SocketReceived(path=f"/api/calls/s/audio/{token}", client="192.0.2.7", headers=headers)) == (
        "WebSocket connection received from 192.0.2.7"
    )
    assert describe(Unknown(stored={**secrets, "kind": "new.kind"})) == "Entry of another version: new.kind"


@given(anything)
def test_a_line_is_the_same_after_a_restart(what: What) -> None:
    """The log wrote it when it happened; the terminal writes it from the store. Both must be found by one search."""
    assert describe(parse_what(encode_what(what))) == describe(what)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        (CommandAnswered(command="answer", command_id="c", status=200, latency_ms=81.6), "accepted (200, 82 ms)"),
        (CommandAnswered(command="answer", command_id="c", error_detail="timed out"), "got no answer: timed out"),
        (CommandAnswered(command="answer", command_id="c", status=422, error_code="90018"), "refused: 422 90018"),
        (
            CommandAnswered(command="answer", command_id="c", status=422, error_code="90018", error_detail="Ended"),
            "refused: 422 90018 Ended",
        ),
        (CommandAnswered(command="answer", command_id="c", status=403, error_detail="a page"), "refused: 403 a page"),
    ],
)
def test_what_came_of_a_command_in_words(what: What, line: str) -> None:
    """ "Accepted" and "refused" are what an operator looks for first."""
    assert describe(what) == f"Command answer {line}"


def test_a_count_names_only_what_went_wrong() -> None:
    """A line of zeros would hide the one number that matters."""
    assert describe(MediaCounted(stream_id=STREAM, frames_in=50, frames_out=40)) == "Frames so far: 50 in, 40 out"
    assert describe(MediaCounted(stream_id=STREAM, frames_in=50, lost=2, late=1, dropped_for_handler=3)) == (
        "Frames so far: 50 in, 0 out, 2 lost, 1 late, 3 dropped, handler too slow"
    )


@pytest.mark.parametrize(
    ("what", "line"),
    [
        (StreamAccepted(status=200), "streaming_start accepted (200)"),
        (StreamAccepted(status=200, within="answer"), "Stream within answer accepted (200)"),
        (StreamStopped(), "Stream stopped"),
        (StreamStopped(by_stop_frame=False), "Stream broke off without a stop frame"),
        (StreamStarted(stream_id=STREAM, encoding="PCMU", sample_rate_hz=8000), "Stream started: PCMU at 8000 Hz"),
        (
            StreamStarted(stream_id=STREAM, encoding="PCMU", sample_rate_hz=8000, again=True),
            "Stream started again: PCMU at 8000 Hz",
        ),
        (MarkReturned(name="greeting", heard=True), "Mark greeting heard"),
        (MarkReturned(name="greeting", heard=False), "Mark greeting returned by clear, not heard"),
        (SocketClosed(code=1006), "WebSocket closed by peer (1006)"),
        (SocketClosed(code=1000, reason="bye", by="us"), "WebSocket closed by us (1000 bye)"),
        (HandlerEnded(), "Handler returned"),
        (HandlerEnded(cancelled=True), "Handler cancelled: the call is over"),
        (SocketReceived(path="/"), "WebSocket connection received from unknown"),
    ],
)
def test_ends_and_beginnings_in_words(what: What, line: str) -> None:
    """Two outcomes of one kind must not read alike."""
    assert describe(what) == line


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("stream.starting", "Media stream being started"),
        ("stream.url", "Stream URL"),
        ("socket.received", "WebSocket connection received"),
        ("media.first_inbound", "First inbound frame"),
        ("media.first_outbound", "First outbound frame"),
        ("stream.stopped", "Stream"),
    ],
)
@given(data=st.data())
@settings(max_examples=25)
def test_the_markers_that_operators_look_for(tag: str, words: str, data: st.DataObject) -> None:
    """They stand in alerts and runbooks."""
    kind = KINDS[TAGS.index(tag)]

    assert describe(data.draw(of_kind(kind))).startswith(words)
