"""The frames on the audio WebSocket, both directions. All are JSON texts.

Telnyx sends connected, start, then media, dtmf, mark, error, and stop at the end. We send media, mark, clear.
Counters (`sequence_number`, `chunk`, `timestamp`) are documented as decimal strings, rates and error codes as numbers;
each is read in either form, and is an int here.
Source: developers.telnyx.com, "Media streaming over WebSockets", read 2026; what is only observed is said so.
"""

from __future__ import annotations

import binascii
import hashlib
from typing import Any, Literal

import msgspec

from callpath.errors import RemoteProtocolError
from callpath.wire.document import Document, Json, Part, difference, merge, parse_json
from callpath.wire.ids import CallControlId, SessionId, StreamId

AUTH_TOKEN_HEADER = "x-telnyx-streaming-auth-token"
"""Carries `stream_auth_token` on the upgrade request, and again inside `connected`. Second-hand, not documented."""

FRAME_BYTES_MAX = 1 << 20
"""Longest text we accept. 30 s, the longest chunk Telnyx documents, of 16 kHz L16 in base64 is 1.28 MB, but what
arrives is one RTP packet a frame (20 ms); 1 MiB leaves room for any packet time."""

SHOWN_CHARACTERS_MAX = 40
"""Maximum length of a value that an error quotes."""


class MediaFormat(Part, frozen=True, kw_only=True):
    """What a direction carries. `encoding` is Telnyx's name: PCMU, PCMA, G722, OPUS, AMR-WB, L16."""

    encoding: str
    sample_rate: int
    channels: int = 1


class Connected(Document, frozen=True, kw_only=True):
    """First frame. `auth_token` repeats the token of the upgrade request, where one was given."""

    version: str | None = None
    auth_token: str | None = None


class Start(Document, frozen=True, kw_only=True):
    """Second frame: whose audio this is, and how it is encoded. `media_format` is what we receive, not what we send.

    `stream_id` is documented at the top level. It is also read from within `start`; a frame without one is given an id
    made from its `call_control_id`.
    """

    stream_id: StreamId
    call_control_id: CallControlId
    media_format: MediaFormat
    sequence_number: int = 1
    call_session_id: SessionId | None = None
    from_: str | None = None
    to: str | None = None
    user_id: str | None = None
    tags: list[str] | None = None
    client_state: str | None = None
    custom_parameters: dict[str, str] | None = None


class Media(Document, frozen=True, kw_only=True):
    """One chunk of audio: the codec's bytes of one RTP packet, without RTP header.

    `chunk` counts from 1 and may arrive out of order. `timestamp` has no stated unit (read as ms since the start).
    `track` is "inbound" for what the party says, "outbound" for what the party hears.
    A frame of ours has only a payload: chunk 0, no stream_id.
    """

    payload: bytes
    chunk: int = 0
    track: str = "inbound"
    timestamp: int = 0
    sequence_number: int = 0
    stream_id: StreamId | None = None


class Dtmf(Document, frozen=True, kw_only=True):
    """A key was pressed. May arrive out of order: sort by `occurred_at` (ISO 8601), as `call.keys` does."""

    digit: str
    stream_id: StreamId | None = None
    sequence_number: int = 0
    occurred_at: str | None = None


class Mark(Document, frozen=True, kw_only=True):
    """From us: a request to send this back when the audio before it was played. From Telnyx: that audio was played, or
    the queue was cleared."""

    name: str
    stream_id: StreamId | None = None
    sequence_number: int | None = None


class Clear(Document, frozen=True, kw_only=True):
    """From us: stop playing and forget the queue. Telnyx hands back all queued marks at once."""


class Error(Document, frozen=True, kw_only=True):
    """Telnyx could not use what we sent: 100002 unknown, 100003 malformed, 100004 not base64, 100005 too fast."""

    code: int
    title: str = ""
    detail: str = ""
    stream_id: StreamId | None = None


class Stop(Document, frozen=True, kw_only=True):
    """Last frame; Telnyx closes the socket after it. No reason is documented."""

    stream_id: StreamId | None = None
    sequence_number: int = 0
    user_id: str | None = None
    call_control_id: CallControlId | None = None


class Unknown(Document, frozen=True, kw_only=True):
    """A frame of a kind that we have no name for: kept, shown and counted, never an error. All of it is in `extra`."""

    event: str


Message = Connected | Start | Media | Dtmf | Mark | Clear | Error | Stop | Unknown


class Handshake(Document, frozen=True, kw_only=True):
    """The upgrade request as it reached a server; header names in lower case."""

    path: str
    headers: dict[str, str]
    method: str = msgspec.field(default_factory=lambda: "GET")
    http_version: str = msgspec.field(default_factory=lambda: "1.1")


# --- reading ---------------------------------------------------------------------------------------------------------


class MediaBody(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The inner object of a `MediaFrame`."""

    payload: bytes
    track: str
    chunk: int
    timestamp: int


class MediaFrame(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag_field="event", tag="media"):
    """A media frame exactly as documented, which nearly every frame is. Made by `read_media`."""

    media: MediaBody
    sequence_number: int
    stream_id: str


class AudioBody(msgspec.Struct, gc=False):
    """The fields of a media frame that playing it needs, and no more. Made by `read_audio`."""

    payload: bytes
    track: Literal["inbound", "outbound"]
    chunk: int


class _AudioFrame(msgspec.Struct, gc=False, tag_field="event", tag="media"):
    media: AudioBody


_decode_audio = msgspec.json.Decoder(_AudioFrame, strict=False).decode
_decode_media = msgspec.json.Decoder(MediaFrame, strict=False).decode  # strict=False: numbers may be strings


def read_audio(text: bytes) -> AudioBody | None:
    """The quickest way, for the sound only. None: anything but a well-formed media frame."""
    try:
        return _decode_audio(text).media
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_media(text: str | bytes) -> MediaFrame | None:
    """The quick way for frames that come 50 times a second: one typed pass, 1 µs. None: use `parse_message`."""
    try:
        return _decode_media(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def parse_message(text: str | bytes) -> Message:
    """Read one frame.

    Raises RemoteProtocolError with reason `not_json`, `wrong_shape`, `invalid_media` (payload is not base64) or
    `unusable_start`: a start frame came, and lacks what no stream can do without.
    """
    frame = read_media(text)
    if frame is None:  # the slow way, which keeps unknown fields and says what is wrong
        return _parse_document(parse_json(text, "frame"))
    body = frame.media
    return Media(
        payload=body.payload,
        chunk=body.chunk,
        track=body.track,
        timestamp=body.timestamp,
        sequence_number=frame.sequence_number,
        stream_id=StreamId(frame.stream_id),
    )


def _parse_document(document: Json) -> Message:
    event = document.get("event")
    if not isinstance(event, str):
        raise RemoteProtocolError("wrong_shape", "frame has no event name")
    body = _Body(event, document, document.get("payload" if event == "error" else event))
    message = _build(event, body)
    return msgspec.structs.replace(message, extra=difference(document, message_document(message)))


def _build(event: str, body: _Body) -> Message:
    match event:
        case "connected":
            return Connected(version=body.outer("version", str), auth_token=body.inner(AUTH_TOKEN_HEADER, str))
        case "start":
            call_control_id = CallControlId(body.need_inner("call_control_id", str))
            return Start(
                stream_id=body.stream_id() or _made_up_stream_id(call_control_id),
                sequence_number=body.outer("sequence_number", int) or 0,
                call_control_id=call_control_id,
                media_format=body.media_format(),
                call_session_id=body.inner("call_session_id", SessionId),
                from_=body.inner("from", str),
                to=body.inner("to", str),
                user_id=body.inner("user_id", str),
                tags=body.inner("tags", list[str]),
                client_state=body.inner("client_state", str),
                custom_parameters=body.custom_parameters(),
            )
        case "media":
            return Media(
                payload=body.payload(),
                chunk=body.inner("chunk", int) or 0,
                track=(body.inner("track", str) or "inbound").removesuffix("_track"),
                timestamp=body.inner("timestamp", int) or 0,
                sequence_number=body.outer("sequence_number", int) or 0,
                stream_id=body.outer("stream_id", StreamId),
            )
        case "dtmf":
            return Dtmf(
                digit=body.need_inner("digit", str),
                stream_id=body.outer("stream_id", StreamId),
                sequence_number=body.outer("sequence_number", int) or 0,
                occurred_at=body.outer("occurred_at", str),
            )
        case "mark":
            return Mark(
                name=body.need_inner("name", str),
                stream_id=body.outer("stream_id", StreamId),
                sequence_number=body.outer("sequence_number", int),
            )
        case "clear":
            return Clear()
        case "error":
            return Error(
                code=body.need_inner("code", int),
                title=body.inner("title", str) or "",
                detail=body.inner("detail", str) or "",
                stream_id=body.outer("stream_id", StreamId),
            )
        case "stop":
            return Stop(
                stream_id=body.outer("stream_id", StreamId),
                sequence_number=body.outer("sequence_number", int) or 0,
                user_id=body.inner("user_id", str),
                call_control_id=body.inner("call_control_id", CallControlId),
            )
        case _:
            return Unknown(event=event)


class _Body:
    """One frame's outer document and the object that its event names, read field by field."""

    def __init__(self, event: str, outer: Json, inner: Any) -> None:
        self._event = event
        self._outer = outer
        self._inner: Json = inner if isinstance(inner, dict) else {}

    def outer(self, key: str, kind: Any) -> Any:
        return _convert(self._outer.get(key), kind)

    def inner(self, key: str, kind: Any) -> Any:
        return _convert(self._inner.get(key), kind)

    def need_inner(self, key: str, kind: Any) -> Any:
        value = self.inner(key, kind)
        if value is None or value == "":
            raise self._unusable(f"{self._event}.{key}")
        return value

    def stream_id(self) -> StreamId | None:
        found: StreamId | None = self.outer("stream_id", StreamId) or self.inner("stream_id", StreamId)
        return found

    def media_format(self) -> MediaFormat:
        """Its numbers may be texts. Without `channels` it is mono, as all that Telnyx documents is."""
        values = self._inner.get("media_format")
        if not isinstance(values, dict):
            raise self._unusable("start.media_format")
        encoding, sample_rate = _convert(values.get("encoding"), str), _convert(values.get("sample_rate"), int)
        if not encoding or not sample_rate:
            key = "sample_rate" if encoding else "encoding"
            found = f": {_shown(values[key])}" if key in values else ""
            raise self._unusable(f"start.media_format.{key}{found}")
        return MediaFormat(
            encoding=encoding, sample_rate=sample_rate, channels=_convert(values.get("channels"), int) or 1
        )

    def _unusable(self, what: str) -> RemoteProtocolError:
        reason = "unusable_start" if self._event == "start" else "wrong_shape"
        return RemoteProtocolError(reason, f"{self._event} frame has no usable {what}")

    def payload(self) -> bytes:
        text = self._inner.get("payload")
        if not isinstance(text, str):
            raise RemoteProtocolError("wrong_shape", "media frame has no media.payload")
        try:
            return binascii.a2b_base64(text, strict_mode=True)
        except (binascii.Error, ValueError) as error:
            raise RemoteProtocolError("invalid_media", f"media.payload is not base64: {error}") from None

    def custom_parameters(self) -> dict[str, str] | None:
        """Key and shape are not documented: an object, or a list of {name, value}, is taken."""
        value = self._inner.get("custom_parameters")
        if isinstance(value, dict):
            return {str(name): str(item) for name, item in value.items()}
        if isinstance(value, list):
            rows = [row for row in value if isinstance(row, dict) and "name" in row]
            return {str(row["name"]): str(row.get("value", "")) for row in rows}
        return None


def _convert(value: Any, kind: Any) -> Any:
    """`value` as `kind`, or None where it is absent or of another kind. Numbers and texts of numbers stand for each
    other: Telnyx documents counters as texts and rates as numbers, and senders mix them."""
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int) and kind is not int:
        value = str(value)
    try:
        return msgspec.convert(value, kind, strict=kind is not int)
    except msgspec.ValidationError:
        return None


def _shown(value: Any) -> str:
    """A value as an error may quote it: cut, since it came from outside."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= SHOWN_CHARACTERS_MAX else f"{text[:SHOWN_CHARACTERS_MAX]}…"


def _made_up_stream_id(call_control_id: CallControlId) -> StreamId:
    """An id for a stream that was given none: the same for the same call, and unlike that of any other."""
    return StreamId(f"unnamed-{hashlib.sha256(call_control_id.encode()).hexdigest()[:16]}")


# --- writing ---------------------------------------------------------------------------------------------------------

_CLEAR_TEXT = '{"event":"clear"}'
_MEDIA_HEAD, _MEDIA_TAIL = b'{"event":"media","media":{"payload":"', b'"}}'


def encode_media(payload: bytes) -> str:
    """A media frame to Telnyx. In rtp mode `payload` is 20 ms to 30 s of the codec chosen in the command."""
    return encode_media_utf8(payload).decode()


def encode_media_utf8(payload: bytes) -> bytes:
    """The same, ready for the socket."""
    return _MEDIA_HEAD + binascii.b2a_base64(payload, newline=False) + _MEDIA_TAIL


def encode_message(message: Message) -> str:
    """The text of any frame, either direction."""
    if isinstance(message, Clear) and not message.extra:
        return _CLEAR_TEXT
    document = message_document(message)
    return msgspec.json.encode(merge(document, message.extra) if message.extra else document).decode()


def message_document(message: Message) -> Json:
    """The document of a frame as Telnyx documents it, without `extra`."""
    match message:
        case Connected():
            inner = {} if message.auth_token is None else {"connected": {AUTH_TOKEN_HEADER: message.auth_token}}
            return _present(event="connected", version=message.version) | inner
        case Start():
            start = _present(
                user_id=message.user_id,
                call_control_id=message.call_control_id,
                call_session_id=message.call_session_id,
                to=message.to,
                tags=message.tags,
                client_state=message.client_state,
                custom_parameters=message.custom_parameters,
            )
            if message.from_ is not None:
                start["from"] = message.from_
            media_format = message.media_format
            start["media_format"] = {
                "encoding": media_format.encoding,
                "sample_rate": media_format.sample_rate,
                "channels": media_format.channels,
            }
            return _outer(message) | {"event": "start", "start": start}
        case Media():
            media: Json = {"payload": binascii.b2a_base64(message.payload, newline=False).decode("ascii")}
            if message.stream_id is None:
                return {"event": "media", "media": media}
            media |= {
                "track": message.track,
                "chunk": str(message.chunk),
                "timestamp": str(message.timestamp),
            }
            return _outer(message) | {"event": "media", "media": media}
        case Dtmf():
            outer = _outer(message) | _present(occurred_at=message.occurred_at)
            return outer | {"event": "dtmf", "dtmf": {"digit": message.digit}}
        case Mark():
            return _outer(message) | {"event": "mark", "mark": {"name": message.name}}
        case Clear():
            return {"event": "clear"}
        case Error():
            payload = {"code": message.code, "title": message.title, "detail": message.detail}
            return _present(stream_id=message.stream_id) | {"event": "error", "payload": payload}
        case Stop():
            stop = _present(user_id=message.user_id, call_control_id=message.call_control_id)
            return _outer(message) | {"event": "stop", "stop": stop}
        case Unknown():
            return {"event": message.event}


def _outer(message: Start | Media | Dtmf | Mark | Stop) -> Json:
    number = message.sequence_number
    return _present(stream_id=message.stream_id, sequence_number=None if number is None else str(number))


def _present(**values: Any) -> Json:
    return {key: value for key, value in values.items() if value is not None}
