"""What Telnyx refuses, and in which words: its documented errors, and the check of a command's body.

A simulator that takes what Telnyx refuses is useless, one that refuses what Telnyx takes is worse: a field that is not
known here is let through, null counts as absent, and only documented rules are applied.
Wording: Telnyx's OpenAPI file of 2026-07-16 where it has an example; otherwise its list of error codes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Literal, NamedTuple, TypeVar, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

from callpath.simulator.fields import FIELDS
from callpath.wire.api import ApiError, ErrorSource
from callpath.wire.command import (
    AUTH_TOKEN_CHARS_MAX,
    COMMANDS,
    Bridge,
    Command,
    Dial,
    ForkStart,
    GatherUsingAudio,
    GatherUsingSpeak,
    Hangup,
    PlaybackStart,
    Speak,
    StreamingStart,
    Transfer,
)
from callpath.wire.conference import CONFERENCE_COMMANDS, ConferenceCommand, ConferenceSpeak
from callpath.wire.document import Json, difference, write

URL_CHARS_MAX = 2000
"""Documented with error 10003."""

SPEAK_CHARS_MAX = 3000
"""OpenAPI; Telnyx's error list says 5,000."""

RANGES = {
    ("dial", "timeout_secs"): (5, 600),
    ("dial", "time_limit_secs"): (30, 14_400),
    ("transfer", "timeout_secs"): (5, 600),
    ("transfer", "time_limit_secs"): (30, 14_400),
    ("send_dtmf", "duration_millis"): (100, 500),
    ("record_start", "max_length"): (0, 14_400),
    ("create", "max_participants"): (2, 800),
    ("enqueue", "max_size"): (1, 1_000_000),
    **{
        (name, field): bounds
        for name in ("gather", "gather_using_audio", "gather_using_speak")
        for field, bounds in {"minimum_digits": (1, 128), "maximum_digits": (1, 128)}.items()
    },
    **{
        (name, field): (low, high)
        for name in ("answer", "dial")
        for field, low, high in (("deepfake_detection/timeout", 5, 60), ("deepfake_detection/rtp_timeout", 5, 120))
    },
}
"""Telnyx's API reference: command and field → the least and the most."""

CHOICES = {
    "stop": ("current", "all"),
    "park_after_unbridge": ("self",),
    "transcription_tracks": ("inbound", "outbound", "both"),
}
"""Fields that are plain texts in the OpenAPI file, and whose description lists what they may be."""

EVENT_PREFIXES = ("call.", "streaming.", "conference.", "siprec.")
"""How the names of a call's events begin; which of them `webhook_urls` takes is not listed."""

RETRIES_MAX, RETRIES_MS_MAX = 5, 60_000
"""`webhook_retries_policies`: at most 5 delays, 60 s in all."""

FILE_NAME_CHARS_MAX = 40


class Refused(Exception):  # noqa: N818  (an answer that travels up to the HTTP layer, not a fault of ours)
    """The API's answer to a request that it does not accept."""

    def __init__(self, status: int, *errors: ApiError, document: Json | None = None) -> None:
        super().__init__("; ".join(f"{error.code} {error.title}" for error in errors))
        self.status = status
        self.errors = errors
        self.document = document
        """The body, where Telnyx does not write it as its error document; None: it does."""
        self.on_record = False
        """Whether a call's report has it already."""


class _Known(NamedTuple):
    status: int
    title: str
    detail: str


_KNOWN = {
    "10003": _Known(422, "Invalid URL", "The URL provided is not valid."),
    "10004": _Known(422, "Missing required parameter", "The '{name}' parameter is required and cannot be blank."),
    "10005": _Known(404, "Resource not found", "The requested resource or URL could not be found."),
    "10007": _Known(500, "Unexpected error", "An unexpected error occured."),
    "10009": _Known(
        401,
        "Authentication failed",
        "The required authentication headers were either invalid or not included in the request.",
    ),
    "10015": _Known(400, "Bad Request", "The request failed because it was not well-formed."),
    "10016": _Known(422, "Phone number must be in +E164 format", "The '{name}' parameter must be in E164 format."),
    "10026": _Known(422, "Invalid parameter type", "The '{name}' parameter is of the wrong type."),
    "10032": _Known(422, "Invalid enumerated value", "The value must be one of: {allowed}."),
    "10033": _Known(422, "Value outside of range", "The value is outside of allowed range {low} to {high}"),
    "10011": _Known(429, "Too many requests", "You have exceeded the maximum number of allowed requests."),
    "90057": _Known(422, "Invalid webhook event", "The webhook_urls key '{name}' is not a webhook event."),
    "90010": _Known(422, "Text too long", "The text to speak is longer than allowed."),
    "90015": _Known(422, "Invalid Call Control ID", "The call_control_id provided was not valid."),
    "90017": _Known(422, "Invalid value for client_state", "The client_state must be Base64 encoded."),
    "90018": _Known(422, "Call has already ended", "This call is no longer active and can't receive commands."),
    "90019": _Known(
        422,
        "Conference has already ended",
        "This conference is no longer active and can't receive commands.",
    ),
    "90020": _Known(
        422,
        "Call recording triggered before audio started",
        "Call recording cannot be started until audio has commenced on the call.",
    ),
    "90031": _Known(
        422, "Call is not currently forked", "Can't stop forking, because the call isn't currently forked."
    ),
    "90032": _Known(
        422,
        "Maximum number of participants reached",
        "The maximum allowed value of `max_participants` has been reached at {most}.",
    ),
    "90033": _Known(422, "Unable to execute command", "{detail}"),
    "90034": _Known(
        422,
        "Call not answered yet",
        "This call can't receive this command because it has not been answered yet.",
    ),
    "90035": _Known(
        422,
        "Call not in queue",
        "This call can't receive this command because it has not been put in any queue yet.",
    ),
    "90036": _Known(422, "Queue full", "The '{name}' queue is full and can't accept more calls."),
    "90037": _Known(422, "Max size can't be modified", "The max_size of a queue can't be modified."),
    "90038": _Known(422, "Call already in queue", "Call can't be added to a queue it's already in."),
    "90041": _Known(403, "Channel limit exceeded", "The user's limit of concurrent calls has been reached."),
    "90044": _Known(422, "Conference join not allowed", "Participant must not join the same conference twice."),
    "90058": _Known(404, "Invalid conference_id", "The conference does not exist."),
    "90045": _Known(422, "Media Streaming is used", "This command can't be issued when media streaming is used."),
    "90046": _Known(422, "Media Streaming Failed.", "The media streaming failed to start."),
    "90048": _Known(
        422,
        "Media Streaming is not used.",
        "This command can only be issued when media streaming is used.",
    ),
    "90054": _Known(
        422, "Call transcription is already in progress", "Call transcription can not be started more than once."
    ),
    "90061": _Known(422, "AI Assistant is already in progress", "AI Assistant can not be started more than once."),
    "90103": _Known(
        429,
        "Dial rate limit reached",
        "The number of dials started in the last seconds is above the account limit.",
    ),
    "90102": _Known(422, "Invalid call direction", "This command can't be issued on an outbound call."),
}


def refuse(code: str, pointer: str | None = None, **words: object) -> Refused:
    """The documented refusal `code`; `pointer` names the field as in "/stream_url"."""
    known = _KNOWN[code]
    return Refused(known.status, _error(code, known.detail.format(**words), pointer))


def refuse_connection_id() -> Refused:
    """The application does not exist, or has no webhook URL."""
    return Refused(
        422,
        ApiError(
            code="10015",
            title="Invalid value for connection_id (Call Control App ID)",
            detail="The requested connection_id (Call Control App ID) is either invalid or does not exist. "
            "Only Call Control Apps with valid webhook URL are accepted.",
            source=ErrorSource(pointer="/connection_id"),
        ),
    )


def refuse_dial(d_code: str, text: str = "The call was refused") -> Refused:
    """A dial or transfer that account, number or destination do not allow. As observed: the code is a number, the title is
    missing, and the D-code stands at the end of the detail and beside it."""
    detail = f"{text} {d_code}."
    document: Json = {"errors": [{"code": 10010, "detail": detail}], "telnyx_error": {"error_code": d_code}}
    return Refused(403, ApiError(code="10010", title=detail, detail=detail), document=document)


def refuse_dials_an_hour() -> Refused:
    """An account of a low level has dialled as often as it may in an hour. As observed."""
    detail = "You have exceeded the number of dials per hour allowed for your account."
    return Refused(429, ApiError(code="10011", title="Too many requests", detail=detail))


def accept_command(name: str, document: Json) -> Command:
    """The body of the command `name`, read; fields without a name here stand in its `extra`.

    Raises Refused with one error for each field that Telnyx would not take.
    """
    return _accept(COMMANDS[name], document)


def accept_conference_command(name: str, document: Json) -> ConferenceCommand:
    """Read the body of a command of a conference. Raises Refused."""
    return _accept(CONFERENCE_COMMANDS[name], document)


_C = TypeVar("_C", bound=Command)


def _accept(cls: type[_C], document: Json) -> _C:
    values: Json = {}
    errors: list[ApiError] = []
    for field in _fields(cls):
        key, value = field.encode_name, document.get(field.encode_name)
        if value is None or (value == "" and field.required):
            if field.required:
                errors.append(_refusal("10004", f"/{key}", name=key))
            continue
        try:
            msgspec.convert(value, field.type)
        except msgspec.ValidationError as error:
            errors.append(_wrong_value(key, value, field.type, str(error)))
        else:
            values[key] = value
    if not errors:
        known = {
            field.encode_name: value
            for field in msgspec.structs.fields(cls)
            if (value := values.get(field.encode_name)) is not None
        }
        command = msgspec.convert(known, cls)
        command = msgspec.structs.replace(command, extra=difference(document, write(command)))
        errors = [error for rule in _RULES for error in rule(command)]
        if not errors:
            return command
    raise Refused(422, *errors)


@cache
def _fields(cls: type[Command]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """All that Telnyx documents for a command. Looked up once: it takes half a millisecond."""
    more = msgspec.structs.fields(FIELDS[cls.NAME]) if COMMANDS.get(cls.NAME) is cls and cls.NAME in FIELDS else ()
    # A field that both name is judged by the narrower type of FIELDS.
    judged = {field.encode_name: field for field in (*msgspec.structs.fields(cls), *more)}
    return tuple(field for name, field in judged.items() if name != "extra")


@cache
def _names(cls: type[Command]) -> frozenset[str]:
    return frozenset(field.encode_name for field in _fields(cls))


def _error(code: str, detail: str, pointer: str | None) -> ApiError:
    source = None if pointer is None else ErrorSource(pointer=pointer)
    return ApiError(code=code, title=_KNOWN[code].title, detail=detail, source=source)


def _refusal(code: str, pointer: str, **words: object) -> ApiError:
    return _error(code, _KNOWN[code].detail.format(**words), pointer)


def _wrong_value(key: str, value: Any, kind: Any, problem: str) -> ApiError:
    """An enumeration's type with another value is 10032, another type 10026; msgspec's path gives the pointer."""
    allowed = _literals(kind)
    if allowed and type(value) in {type(one) for one in allowed}:
        return _refusal("10032", f"/{key}", allowed=", ".join(str(one) for one in allowed))
    inside = re.search(r"at `\$(.*)`", problem)
    path = re.sub(r"\[(\d+)\]|\.", lambda step: f"/{step[1]}" if step[1] else "/", inside[1]) if inside else ""
    return _refusal("10026", f"/{key}{path}", name=key)


def _literals(kind: Any) -> tuple[Any, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(value for part in get_args(kind) for value in _literals(part))


# --- rules beyond the type -------------------------------------------------------------------------------------------


class _Place(NamedTuple):
    """A field of a command by its wire name; "a/b" is b inside a."""

    name: str
    value: Any


def _places(command: Command, *names: str) -> Iterator[_Place]:
    documented, body = _names(type(command)), write(command)
    for name in names:
        first, *rest = name.split("/")
        value = body.get(first) if first in documented else None
        for step in rest:
            value = value.get(step) if isinstance(value, dict) else None
        if value is not None:
            yield _Place(name, value)


def _client_state_is_base64(command: Command) -> Iterator[ApiError]:
    if command.client_state is None:
        return
    try:
        base64.b64decode(command.client_state, validate=True)
    except (binascii.Error, ValueError):
        yield _refusal("90017", "/client_state")


def _stream_url_is_websocket(command: Command) -> Iterator[ApiError]:
    if isinstance(command, StreamingStart) and not command.stream_url and not command.enable_dialogflow:
        yield _refusal("10004", "/stream_url", name="stream_url")
    for place in _places(command, "stream_url"):
        if place.value and not _is_url(place.value, "ws", "wss"):
            yield _refusal("10003", "/stream_url")


def _webhook_url_is_http(command: Command) -> Iterator[ApiError]:
    for place in _places(command, "webhook_url", "audio_url", "invalid_audio_url", "hold_audio_url"):
        if not _is_url(place.value, "http", "https"):
            yield _refusal("10003", f"/{place.name}")
    for place in _places(command, "webhook_urls"):
        for name, url in place.value.items():
            if not _is_url(url, "http", "https"):
                yield _refusal("10003", f"/webhook_urls/{name}")


def _is_url(text: str, *schemes: str) -> bool:
    if len(text) > URL_CHARS_MAX or text != text.strip():
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme.lower() in schemes and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _numbers_are_in_range(command: Command) -> Iterator[ApiError]:
    for place in _places(command, *(field for name, field in RANGES if name == command.NAME)):
        low, high = RANGES[command.NAME, place.name]
        if not low <= place.value <= high:
            yield _refusal("10033", f"/{place.name}", low=low, high=high)


def _texts_are_short_enough(command: Command) -> Iterator[ApiError]:
    for place in _places(command, "stream_auth_token"):
        if len(place.value) > AUTH_TOKEN_CHARS_MAX:
            yield _refusal("10033", "/stream_auth_token", low=0, high=AUTH_TOKEN_CHARS_MAX)
    for place in _places(command, "record_custom_file_name", "custom_file_name"):
        if not 1 <= len(place.value) <= FILE_NAME_CHARS_MAX:
            yield _refusal("10033", f"/{place.name}", low=1, high=FILE_NAME_CHARS_MAX)
    if isinstance(command, Speak | GatherUsingSpeak | ConferenceSpeak):
        for place in _places(command, "payload", "invalid_payload"):
            if len(place.value) > SPEAK_CHARS_MAX:
                yield _refusal("90010", f"/{place.name}")


_KEYS = r"[0-9A-D*#wW]+"
_E164 = re.compile(r"\+[1-9]\d{1,14}")
_SIP = re.compile(r"sips?:\S+", re.IGNORECASE)


def dialled_number(to: str) -> tuple[str, str]:
    """`to` without what may follow it: digits that are sent at the answer, and parameters of a SIP address."""
    number, _, digits = to.partition(",")
    return (number.partition(";")[0] if number.lower().startswith("sip") else number), digits


def _parties_can_be_called(command: Command) -> Iterator[ApiError]:
    if not isinstance(command, Dial | Transfer):
        return
    parties = command.to if isinstance(command.to, list) else [command.to]
    if not parties:
        yield _refusal("10004", "/to", name="to")
    for party in parties:
        number, digits = dialled_number(party)
        if not (_E164.fullmatch(number) or _SIP.fullmatch(number)):
            yield _refusal("10016", "/to", name="to")
        elif digits and not re.fullmatch(_KEYS, digits):
            yield _refusal("10032", "/to", allowed="0-9, A-D, *, #, w, W")
    if isinstance(command, Dial) and not (_E164.fullmatch(command.from_) or _SIP.fullmatch(command.from_)):
        yield _refusal("10016", "/from", name="from")


def _playback_has_a_source(command: Command) -> Iterator[ApiError]:
    if isinstance(command, PlaybackStart) and not (command.audio_url or command.media_name or command.playback_content):
        yield _refusal("10004", "/audio_url", name="audio_url")


def _gather_has_one_prompt(command: Command) -> Iterator[ApiError]:
    if not isinstance(command, GatherUsingAudio):
        return
    if not (command.audio_url or command.media_name):
        yield _refusal("10004", "/audio_url", name="audio_url")
    for url, name in (("audio_url", "media_name"), ("invalid_audio_url", "invalid_media_name")):
        if getattr(command, url) and getattr(command, name):
            yield _refusal("10015", f"/{name}")


def _overlay_is_for_one_leg(command: Command) -> Iterator[ApiError]:
    if isinstance(command, PlaybackStart) and command.overlay and command.target_legs not in (None, "self"):
        yield _refusal("10032", "/target_legs", allowed="self")


def _texts_are_of_their_list(command: Command) -> Iterator[ApiError]:
    for place in _places(command, *CHOICES):
        if place.value not in CHOICES[place.name]:
            yield _refusal("10032", f"/{place.name}", allowed=", ".join(CHOICES[place.name]))
    for place in _places(command, "loop"):
        if not re.fullmatch(r"[1-9]\d?|100|infinity", str(place.value)):
            yield _refusal("10032", "/loop", allowed="1 to 100, infinity")


def _digits_are_keys(command: Command) -> Iterator[ApiError]:
    for place in _places(command, "digits", "send_digits_on_answer"):
        if not re.fullmatch(_KEYS, place.value):
            yield _refusal("10032", f"/{place.name}", allowed="0-9, A-D, *, #, w, W")


def _a_bridge_has_two_ends(command: Command) -> Iterator[ApiError]:
    for place in _places(command, "bridge_on_answer", "bridge_intent", "park_after_unbridge"):
        if place.value and isinstance(command, Dial) and not command.link_to:
            yield _refusal("10004", "/link_to", name="link_to")


def _a_bridge_names_a_call(command: Command) -> Iterator[ApiError]:
    if isinstance(command, Bridge) and not command.call_control_id and not command.queue:
        yield _refusal("10004", "/call_control_id", name="call_control_id")
    if isinstance(command, Bridge) and command.call_control_id and command.queue:
        yield _refusal("10015", "/queue")


def _fork_has_a_target(command: Command) -> Iterator[ApiError]:
    if isinstance(command, ForkStart) and not (command.target or (command.rx and command.tx)):
        yield _refusal("10004", "/target", name="target")


_REASON_REFUSED = re.compile(r"[\"`\x00-\x1f\x7f]|[^\u0000-\uffff]")
"""What a SIP Reason text cannot hold, by the SDK 4.189.0: quotes, backticks, control characters, beyond the BMP."""


def _a_reason_is_plain_text(command: Command) -> Iterator[ApiError]:
    reason = command.reason if isinstance(command, Hangup) else None
    if reason is not None and _REASON_REFUSED.search(reason):
        yield _refusal("10015", "/reason")


def _encryption_is_for_sip(command: Command) -> Iterator[ApiError]:
    for place in _places(command, "media_encryption"):
        to = command.to if isinstance(command, Dial | Transfer) else ""
        parties = to if isinstance(to, list) else [to]
        if place.value != "disabled" and any(_E164.fullmatch(party) for party in parties):
            yield ApiError(
                code="10011",
                title="Media encryption not supported for PSTN calls",
                detail=f"{place.value} media encryption is not supported for PSTN calls.",
                source=ErrorSource(pointer="/media_encryption"),
            )


def _webhook_events_are_known(command: Command) -> Iterator[ApiError]:
    for place in _places(command, "webhook_urls"):
        for name in place.value:
            if not name.startswith(EVENT_PREFIXES):
                yield _refusal("90057", f"/webhook_urls/{name}", name=name)


def _retries_are_few(command: Command) -> Iterator[ApiError]:
    for place in _places(command, "webhook_retries_policies"):
        for name, policy in place.value.items():
            pauses = policy.get("retries_ms") or []
            if len(pauses) > RETRIES_MAX:
                yield _refusal("10033", f"/webhook_retries_policies/{name}/retries_ms", low=0, high=RETRIES_MAX)
            if sum(pauses) > RETRIES_MS_MAX or any(pause < 0 for pause in pauses):
                yield _refusal("10033", f"/webhook_retries_policies/{name}/retries_ms", low=0, high=RETRIES_MS_MAX)


_RULES: tuple[Callable[[Command], Iterator[ApiError]], ...] = (
    _client_state_is_base64,
    _stream_url_is_websocket,
    _webhook_url_is_http,
    _numbers_are_in_range,
    _texts_are_short_enough,
    _parties_can_be_called,
    _playback_has_a_source,
    _gather_has_one_prompt,
    _overlay_is_for_one_leg,
    _texts_are_of_their_list,
    _digits_are_keys,
    _a_bridge_has_two_ends,
    _a_bridge_names_a_call,
    _fork_has_a_target,
    _a_reason_is_plain_text,
    _encryption_is_for_sip,
    _webhook_events_are_known,
    _retries_are_few,
)
