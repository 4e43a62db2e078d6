"""The kinds of entry in a call's timeline, and one human line for each.

A timeline is append-only, one per call session. The state of a call is a fold over it (`call.session`); the server, the
terminal, the dashboard and the doctor all read the same entries. A kind's tag is permanent: stored rows carry it, and
it is the event name in the logs.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from callpath.wire.ids import CallControlId, LegId, SessionId, StreamId
from callpath.wire.words import command_words, event_words


class What(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind"):
    """What happened. Subclasses are the kinds."""


# --- from Telnyx, over HTTP ------------------------------------------------------------------------------------------


class WebhookReceived(What, frozen=True, kw_only=True, tag="webhook.received"):
    """An event came, was authentic and is stored. `body` is the whole document. `fetched`: it never came here, and was
    read from Telnyx's own list afterwards."""

    event_type: str
    event_id: str
    body: dict[str, Any]
    fetched: bool = False


# --- to Telnyx, over HTTP --------------------------------------------------------------------------------------------


class CommandSent(What, frozen=True, kw_only=True, tag="command.sent"):
    """A Call Control command is about to be sent. `body` has tokens masked. `conference` is the id of the conference that a
    command whose name begins with `conference_` goes to; None for the one that makes it."""

    command: str
    command_id: str
    call_control_id: CallControlId | None = None
    conference: str | None = None
    body: dict[str, Any] = msgspec.field(default_factory=dict)


class CommandAnswered(What, frozen=True, kw_only=True, tag="command.answered"):
    """Telnyx answered a command, or no answer came (`status` None). 2xx means accepted, not carried out; with an
    `error_detail` it came from something else than Telnyx's API. `call_control_id`: of the call that the command was
    addressed to; timelines before December 2026 have the entry's only."""

    command: str
    command_id: str
    status: int | None = None
    latency_ms: float = 0.0
    attempts: int = 1
    error_code: str | None = None
    error_detail: str | None = None
    call_control_id: CallControlId | None = None
    conference: str | None = None
    """The id of the conference that was made."""

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300 and self.error_detail is None


class CommandRetried(What, frozen=True, kw_only=True, tag="command.retried"):
    """A try of a command was not answered with success, or the server was restarted before the answer came; the same
    command, with the same `command_id`, goes out again after `wait_ms`."""

    command: str
    command_id: str
    attempt: int
    wait_ms: float = 0.0
    status: int | None = None
    latency_ms: float = 0.0
    reason: str = ""


class DialPlaced(What, frozen=True, kw_only=True, tag="dial.placed"):
    """A dial has become a call, which has its own timeline. `told_by`: Telnyx's "answer" to the dial, the first "webhook"
    of the call, or the list of "active_calls"."""

    command_id: str
    session: SessionId
    call_control_id: CallControlId
    leg_id: LegId
    told_by: str = "answer"


# --- the four markers, and what follows them on the socket -----------------------------------------------------------


class StreamStarting(What, frozen=True, kw_only=True, tag="stream.starting"):
    """Marker 1: we are about to ask Telnyx for the stream. `within` is the command that carries the request."""

    within: str


class StreamUrl(What, frozen=True, kw_only=True, tag="stream.url"):
    """Marker 2: the URL that Telnyx is asked to connect to (a token in its path is masked)."""

    url: str


class StreamAccepted(What, frozen=True, kw_only=True, tag="stream.accepted"):
    """Marker 3: Telnyx accepted the request for the stream. It does not mean that the socket opened."""

    status: int
    within: str = "streaming_start"


class SocketReceived(What, frozen=True, kw_only=True, tag="socket.received"):
    """Marker 4: a WebSocket upgrade for this call reached us. `headers` are those that tell the way it took."""

    path: str
    client: str | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)


class SocketRejected(What, frozen=True, kw_only=True, tag="socket.rejected"):
    """We answered an upgrade for this call with `status` instead of 101."""

    status: int
    reason: str
    detail: str
    path: str
    client: str | None = None


class StreamStarted(What, frozen=True, kw_only=True, tag="stream.started"):
    """The start frame came: whose audio this is and how it is encoded."""

    stream_id: StreamId
    encoding: str
    sample_rate_hz: int
    again: bool = False


class FirstInbound(What, frozen=True, kw_only=True, tag="media.first_inbound"):
    """The first frame of the caller's audio arrived."""

    stream_id: StreamId
    payload_bytes: int


class FirstOutbound(What, frozen=True, kw_only=True, tag="media.first_outbound"):
    """The first frame of our audio was sent."""

    stream_id: StreamId
    payload_bytes: int


LAG_MS_MAX = 100.0
"""The event loop was held up for so long: somebody blocks it, and all calls of the process feel it."""


class MediaCounted(What, frozen=True, kw_only=True, tag="media.counted"):
    """What went through a stream so far; written every few seconds and at its end.

    `jitter_ms` and `loop_lag_ms` are since the count before: by how much a frame came later than 20 ms after the one
    before it, and how long something held the event loop up, each at worst. (A loop held up makes frames late, too.)
    """

    stream_id: StreamId
    frames_in: int = 0
    frames_out: int = 0
    frames_outbound_track: int = 0
    lost: int = 0
    late: int = 0
    duplicated: int = 0
    reordered: int = 0
    dropped_for_handler: int = 0
    frames_rejected: int = 0
    underruns: int = 0
    write_stalls: int = 0
    played_ms: float = 0.0
    jitter_ms: float = 0.0
    loop_lag_ms: float = 0.0


class FrameRejected(What, frozen=True, kw_only=True, tag="frame.rejected"):
    """A frame could not be used and was skipped; written for the first of each reason."""

    reason: str
    detail: str

    @property
    def is_start(self) -> bool:
        """Whether it was a start frame: one came, and the stream could not begin with it."""
        by_older_versions = self.reason == "wrong_shape" and self.detail.startswith("start frame ")
        return self.reason in ("encoding", "unusable_start", "other_call") or by_older_versions


class MediaSymptom(What, frozen=True, kw_only=True, tag="media.symptom"):
    """The stream works, but something sounds or behaves wrong: `code` is permanent, `evidence` has the numbers. Once a
    stream for each code."""

    code: str
    slug: str
    meaning: str
    evidence: dict[str, str] = msgspec.field(default_factory=dict)


class LoopBlocked(What, frozen=True, kw_only=True, tag="loop.blocked"):
    """Code of this call's handler blocked the event loop for `blocked_ms`, and with it every call of the process.

    `code` is what was executed at `line` of `file`, in `function`; `inside` is the innermost function, if that is another.
    A place is reported once in 30 s; `times` is how often it blocked since the entry before.
    """

    blocked_ms: float
    function: str
    file: str
    line: int
    code: str = ""
    inside: str | None = None
    times: int = 1


class StreamErrored(What, frozen=True, kw_only=True, tag="stream.errored"):
    """Telnyx said on the socket that it could not use what we sent."""

    code: int
    title: str
    detail: str = ""


class DtmfReceived(What, frozen=True, kw_only=True, tag="dtmf.received"):
    """A key was pressed."""

    digit: str


class MarkReturned(What, frozen=True, kw_only=True, tag="mark.returned"):
    """Telnyx handed a mark back. `heard` is false when `clear` had thrown its audio away."""

    name: str
    heard: bool


class PlayoutCleared(What, frozen=True, kw_only=True, tag="playout.cleared"):
    """We stopped playing: `heard_ms` of what was sent since the last clear had been heard, `dropped_ms` had not."""

    heard_ms: float
    dropped_ms: float


class StreamStopped(What, frozen=True, kw_only=True, tag="stream.stopped"):
    """The stream is over, by Telnyx's stop frame (`by_stop_frame`) or because the socket went away. `replaced`: a newer
    socket of the call had taken its place."""

    stream_id: StreamId | None = None
    by_stop_frame: bool = True
    replaced: bool = False


class SocketClosed(What, frozen=True, kw_only=True, tag="socket.closed"):
    """The socket is closed. `by` is "peer", "us", or "unknown" where both send such a code; 1006: no close frame came.
    `stream_id`: of the stream on it, where a start frame had come. `replaced`: a
    newer socket of the call had taken its place, and the call goes on there."""

    code: int
    reason: str = ""
    by: str = "peer"
    stream_id: StreamId | None = None
    replaced: bool = False


# --- when it does not work, and what was done about it ---------------------------------------------------------------


class StreamMissing(What, frozen=True, kw_only=True, tag="stream.missing"):
    """Telnyx was asked for the stream, and the caller hears nothing: no stream came, or it was lost and stays away.

    `attempt` counts requests from 1. `seen` is how far it came: "nothing" reached us, the upgrade was "refused" by us,
    the socket brought "no_start" frame, or one with an "encoding" that cannot be decoded, or a "bad_start" that lacks a
    field or names another call, or the stream was there and is "lost".
    """

    attempt: int
    seen: str
    reason: str
    waited_ms: int = 0


class StreamProbed(What, frozen=True, kw_only=True, tag="stream.probed"):
    """The doctor tried the stream's URL from this server, and this is its verdict; `code` is None where it found no fault.

    `decided` False: something is wrong, and its cause is not proven. `shared` is true where the probe had been made for
    another call at nearly the same time.
    """

    url: str
    healthy: bool | None
    decided: bool
    summary: str
    code: str | None = None
    slug: str | None = None
    owner: str | None = None
    fix: str | None = None
    duration_ms: float = 0.0
    shared: bool = False


class PolicyActed(What, frozen=True, kw_only=True, tag="policy.acted"):
    """A policy takes a step for the caller: `no_socket`, `stuck`, `restart` or `refuse`. `number` counts the policy's
    steps in this call from 1, `position` is the step's place in the setting, from 0."""

    policy: str
    number: int
    step: str
    position: int = 0


class CallStuck(What, frozen=True, kw_only=True, tag="call.stuck"):
    """The line is up and the call goes nowhere: `media_idle`, `too_long`, or `no_handler`; or since it rang nothing was
    heard of it, `unheard`. `number` counts from 1."""

    reason: str
    number: int
    after_ms: int


class CallRejected(What, frozen=True, kw_only=True, tag="call.rejected"):
    """A new call is turned away: the server is `draining`, `full`, or its event loop is `late`."""

    reason: str
    detail: str = ""


class CallDecided(What, frozen=True, kw_only=True, tag="call.decided"):
    """What the application decided about a call that rang, before anything was answered: `decision` is answer (by
    `handler`, None: the one that fits), reject (with Telnyx's `cause`), forward (`to`, ringing `ring_s`) or ignore.
    `reason`: why it is the default, and not the application's decision."""

    decision: str
    handler: str | None = None
    record: bool = False
    variables: dict[str, Any] = msgspec.field(default_factory=dict)
    cause: str | None = None
    to: str | None = None
    ring_s: int = 0
    reason: str = ""


class ConsultStarted(What, frozen=True, kw_only=True, tag="consult.started"):
    """A handler asks for a second call, to consult somebody about this one: `command_id` is its dial's. What Telnyx plays
    to the caller meanwhile is `hold_url` or `hold_media`."""

    command_id: str
    to: str
    connection_id: str
    from_: str
    handler: str | None = None
    variables: dict[str, Any] = msgspec.field(default_factory=dict)
    ring_s: int = 30
    decide_s: int = 60
    detect: str | None = None
    hold_url: str | None = None
    hold_media: str | None = None
    keep_stream: bool = False


class ConsultNews(What, frozen=True, kw_only=True, tag="consult.news"):
    """In the timeline of the first call: what became of the second one. `news` is dialled, ringing, answered, machine,
    accepted, declined, failed, bridged or ended; `call_control_id` and `call_session_id` are the second call's."""

    command_id: str
    news: str
    call_session_id: SessionId
    call_control_id: CallControlId
    reason: str = ""
    cause: str | None = None
    sip_code: str | None = None


class ConsultDecided(What, frozen=True, kw_only=True, tag="consult.decided"):
    """In the timeline of the second call: its handler accepts to be joined with the first one, or declines."""

    accepted: bool
    reason: str = ""


class ConsultEnded(What, frozen=True, kw_only=True, tag="consult.ended"):
    """What came of a consult, in the timelines of both calls. `status` is joined, declined, busy, no_answer, rejected,
    unreachable, failed, voicemail, refused, hung_up (the caller did), cancelled (the handler did) or unknown."""

    command_id: str
    status: str
    reason: str = ""
    cause: str | None = None
    sip_code: str | None = None
    code: str | None = None
    detail: str | None = None


class CallRecovered(What, frozen=True, kw_only=True, tag="call.recovered"):
    """The process that served the call is gone, and another goes on with it. `fetched` counts the events that had been
    missed and were read from Telnyx's list."""

    fetched: int = 0
    detail: str = ""


class CallChecked(What, frozen=True, kw_only=True, tag="call.checked"):
    """Telnyx was asked whether the line is still up. `alive` None: it did not say."""

    alive: bool | None
    detail: str = ""


class CallTraced(What, frozen=True, kw_only=True, tag="call.traced"):
    """The call is over, and its OpenTelemetry trace was made of the entries before this one; once a call."""

    trace_id: str


# --- ours ------------------------------------------------------------------------------------------------------------


class HandlerStarted(What, frozen=True, kw_only=True, tag="handler.started"):
    """The application's coroutine was entered."""

    name: str


class HandlerEnded(What, frozen=True, kw_only=True, tag="handler.ended"):
    """The application's coroutine returned, or callpath cancelled it for `reason` (older entries: the call ended)."""

    cancelled: bool = False
    reason: str = ""


class HandlerFailed(What, frozen=True, kw_only=True, tag="handler.failed"):
    """The application's coroutine raised; the call is hung up."""

    error: str
    traceback: str


class RecordingSaved(What, frozen=True, kw_only=True, tag="recording.saved"):
    """A recording was written, and its file is closed. `lost_ms` of it are silence because the disk was too slow."""

    path: str
    duration_ms: float
    lost_ms: float = 0.0


class RecordingPaused(What, frozen=True, kw_only=True, tag="recording.paused"):
    """The application paused a recording: until `recording.resumed` there is silence in the file."""

    path: str


class RecordingResumed(What, frozen=True, kw_only=True, tag="recording.resumed"):
    """The application went on with a recording that it had paused."""

    path: str


class RecordingStored(What, frozen=True, kw_only=True, tag="recording.stored"):
    """A recording is where recordings are kept (CALLPATH_RECORDINGS), which was confirmed, and gone from `path`.

    It was last written at `written_unix_ms`; where a process was killed, no `recording.saved` came before.
    """

    path: str
    url: str
    duration_ms: float
    size_bytes: int
    written_unix_ms: int


class RecordingNotStored(What, frozen=True, kw_only=True, tag="recording.not_stored"):
    """A recording could not be put where recordings are kept. It stays at `path` and is tried again; written for the
    first failure and when `code` changes. Where `recorded_ms` is given, the recording itself could not be written, and
    ended after that time; the call went on without it."""

    path: str
    code: str
    slug: str
    detail: str
    recorded_ms: float | None = None


class Noted(What, frozen=True, kw_only=True, tag="note"):
    """The application wrote something into the timeline with `call.note`."""

    text: str


class Unknown(What, frozen=True, kw_only=True, tag="unknown"):
    """An entry of a kind that this version has no name for, as it was stored."""

    stored: dict[str, Any]


NO_WAKE_KINDS = (FirstInbound, FirstOutbound, HandlerStarted, MediaCounted, StreamStarted)
"""Kinds that come with every call and never trigger a decision, so no actor is notified, here or on another node."""

KINDS: tuple[type[What], ...] = (
    WebhookReceived,
    CommandSent,
    CommandAnswered,
    CommandRetried,
    DialPlaced,
    StreamStarting,
    StreamUrl,
    StreamAccepted,
    SocketReceived,
    SocketRejected,
    StreamStarted,
    FirstInbound,
    FirstOutbound,
    MediaCounted,
    FrameRejected,
    MediaSymptom,
    LoopBlocked,
    StreamErrored,
    DtmfReceived,
    MarkReturned,
    PlayoutCleared,
    StreamStopped,
    SocketClosed,
    StreamMissing,
    StreamProbed,
    PolicyActed,
    CallStuck,
    CallRejected,
    CallDecided,
    ConsultStarted,
    ConsultNews,
    ConsultDecided,
    ConsultEnded,
    CallRecovered,
    CallChecked,
    CallTraced,
    HandlerStarted,
    HandlerEnded,
    HandlerFailed,
    RecordingPaused,
    RecordingResumed,
    RecordingSaved,
    RecordingStored,
    RecordingNotStored,
    Noted,
    Unknown,
)
"""Every kind, in the order in which a call usually meets them."""

_BY_TAG: dict[object, type[What]] = {str(kind.__struct_config__.tag): kind for kind in KINDS if kind is not Unknown}

ALIASES = {
    "call.taken_up": "call.recovered",
    "call.refused": "call.rejected",
    "socket.refused": "socket.rejected",
}
"""Names that earlier versions gave to kinds. Stored rows and old log files carry them."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a timeline.

    `at_unix_ms` is when it happened here. `key`, where given, makes the entry unique within its session: a second
    append with the same key changes nothing (webhooks are keyed by Telnyx's event id). `number` is given by the store.
    """

    session: SessionId
    at_unix_ms: int
    what: What
    key: str | None = None
    leg: LegId | None = None
    call_control_id: CallControlId | None = None
    number: int = 0


def kind_of(what: What) -> str:
    """The kind's permanent name, as in "webhook.received"."""
    return str(what.__struct_config__.tag)


def encode_what(what: What) -> bytes:
    """The JSON that a store keeps, `kind` included. Text that is no Unicode (an odd file name) gets a "?" there."""
    document = what.stored if isinstance(what, Unknown) else what
    try:
        return msgspec.json.encode(document)
    except UnicodeEncodeError:
        return msgspec.json.encode(_storable(msgspec.to_builtins(document)))


def parse_what(text: str | bytes) -> What:
    """Read what a store kept. A kind or shape of another version of callpath becomes `Unknown`."""
    stored = msgspec.json.decode(text)
    tag = stored.get("kind")
    known = ALIASES.get(tag, tag) if isinstance(tag, str) else None
    kind = _BY_TAG.get(known)
    if kind is not None:
        try:
            return msgspec.convert(stored if known == tag else stored | {"kind": known}, kind)
        except msgspec.ValidationError:
            pass
    return Unknown(stored=stored)


def _storable(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_storable(key): _storable(item) for key, item in value.items()}
        case list():
            return [_storable(item) for item in value]
        case _:
            return value


_NUMBER = re.compile(r"(?:\+|%2B)\d{7,15}(?!\d)")


def without_numbers(text: str) -> str:
    """`text` that somebody else wrote (an exception, an answer of Telnyx's), with no phone number in it."""
    return _NUMBER.sub("[number]", text)


def payload_of(body: dict[str, Any]) -> dict[str, Any]:
    """The payload of a webhook's document; empty where it has none."""
    data = body.get("data")
    payload = data.get("payload") if isinstance(data, dict) else None
    return payload if isinstance(payload, dict) else {}


def describe(what: What) -> str:
    """One line for people. No phone number, digit or token stands in it: what exceptions, settings and Telnyx's answers
    say is shown without them."""
    return without_numbers(_describe(what))


def _describe(what: What) -> str:
    match what:
        case WebhookReceived():
            words = event_words(what.event_type, payload_of(what.body))
            fetched = ", missed and fetched from Telnyx" if what.fetched else ""
            return f"Webhook {what.event_type}{fetched}" + (f": {words}" if words else "")
        case CommandSent():
            words = command_words(what.command, what.body)
            return f"Command {what.command} sent" + (f": {words}" if words else "")
        case CommandAnswered() if what.accepted:
            return f"Command {what.command} accepted ({what.status}, {what.latency_ms:.0f} ms)"
        case CommandAnswered(status=None):
            return f"Command {what.command} got no answer: {what.error_detail}"
        case CommandAnswered():
            said = " ".join(filter(None, (str(what.status or ""), what.error_code, what.error_detail)))
            return f"Command {what.command} refused: {said}".rstrip()
        case CommandRetried():
            said = f"{what.status or 'no answer'}, {what.latency_ms:.0f} ms" if what.attempt else "restart"
            return f"Command {what.command} goes out again ({said}): {what.reason}"
        case DialPlaced():
            return f"Telnyx placed the call {what.session}"
        case StreamStarting():
            return f"Media stream being started (with {what.within})"
        case StreamUrl():
            return f"Stream URL {what.url}"
        case StreamAccepted():
            asked = what.within if what.within == "streaming_start" else f"Stream within {what.within}"
            return f"{asked} accepted ({what.status})"
        case SocketReceived():
            return f"WebSocket connection received from {what.client or 'unknown'}"
        case SocketRejected():
            return f"WebSocket rejected{f' with {what.status}' if what.status else ''}: {what.detail}"
        case StreamStarted():
            again = " again" if what.again else ""
            return f"Stream started{again}: {what.encoding} at {what.sample_rate_hz} Hz"
        case FirstInbound():
            return f"First inbound frame ({what.payload_bytes} bytes)"
        case FirstOutbound():
            return f"First outbound frame ({what.payload_bytes} bytes)"
        case MediaCounted():
            trouble = [
                f"{count} {name}"
                for name, count in (
                    ("lost", what.lost),
                    ("late", what.late),
                    ("duplicated", what.duplicated),
                    ("dropped, handler too slow", what.dropped_for_handler),
                    ("rejected", what.frames_rejected),
                    ("underruns", what.underruns),
                    ("times the peer did not read", what.write_stalls),
                )
                if count
            ]
            return ", ".join([f"Frames so far: {what.frames_in} in, {what.frames_out} out", *trouble])
        case FrameRejected():
            return f"Frame skipped ({what.reason}): {what.detail}"
        case LoopBlocked():
            where = f"{what.code + ' in ' if what.code else ''}{what.function} ({what.file}:{what.line})"
            inside = f", which was in {what.inside}" if what.inside else ""
            times = f", {what.times} times" if what.times > 1 else ""
            blocked = f"The event loop was blocked for {what.blocked_ms:.0f} ms{times}"
            return f"{blocked} by {where}{inside}: all calls stood still"
        case MediaSymptom():
            return f"{what.meaning} ({what.code} {what.slug})"
        case StreamErrored():
            return f"Telnyx reports {what.code} {what.title}: {what.detail}"
        case DtmfReceived():
            return "Key pressed"
        case MarkReturned():
            return f"Mark {what.name} {'heard' if what.heard else 'returned by clear, not heard'}"
        case PlayoutCleared():
            return f"Playout cleared: {what.heard_ms:.0f} ms heard, {what.dropped_ms:.0f} ms dropped"
        case StreamStopped():
            return "Stream stopped" if what.by_stop_frame else "Stream broke off without a stop frame"
        case SocketClosed():
            reason = f" {what.reason}" if what.reason else ""
            by = "" if what.by == "unknown" else f" by {what.by}"
            return f"WebSocket closed{by} ({what.code}{reason})"
        case StreamMissing():
            return f"No stream after request {what.attempt} ({what.seen}): {what.reason}"
        case StreamProbed(healthy=True):
            return "Probe of the stream's URL: it works from here"
        case StreamProbed():
            cause = f"{what.code} {what.slug}" if what.code else "no cause found"
            return f"Probe of the stream's URL: {'' if what.decided else 'not decided, '}{cause}: {what.summary}"
        case PolicyActed():
            return f"Policy {what.policy}, step {what.number}: {what.step}"
        case CallStuck():
            return f"The line is up and the call goes nowhere ({what.reason}, after {what.after_ms / 1000:.0f} s)"
        case CallRejected():
            return f"Call rejected: {what.detail or what.reason}"
        case CallDecided():
            said = {
                "answer": f"answer{f' by {what.handler}' if what.handler else ''}",
                "reject": f"reject ({what.cause})",
                "forward": "forward to another number",
                "ignore": "let it ring",
            }.get(what.decision, what.decision)
            return f"Decided while ringing: {said}" + (f" (the default: {what.reason})" if what.reason else "")
        case ConsultStarted():
            return f"Consult begins: somebody else is called{f', for {what.handler}' if what.handler else ''}"
        case ConsultNews():
            why = what.reason or what.cause
            return f"Consult: the second call is {what.news}" + (f" ({why})" if why else "")
        case ConsultDecided():
            said = "accepts" if what.accepted else "declines"
            return f"The handler {said} to be joined with the first call" + (f": {what.reason}" if what.reason else "")
        case ConsultEnded():
            why = what.reason or what.cause or what.code
            return f"Consult ended: {what.status}" + (f" ({why})" if why else "")
        case CallRecovered():
            missed = f", {what.fetched} missed events fetched" if what.fetched else ""
            return f"Recovered after a restart{missed}" + (f" ({what.detail})" if what.detail else "")
        case CallChecked():
            says = {True: "the line is up", False: "the call is over", None: "no answer"}[what.alive]
            return f"Telnyx was asked for the call's state: {says}" + (f" ({what.detail})" if what.detail else "")
        case HandlerStarted():
            return f"Handler {what.name} entered"
        case HandlerEnded():
            return f"Handler cancelled: {what.reason or 'the call is over'}" if what.cancelled else "Handler returned"
        case HandlerFailed():
            return f"Handler raised {what.error}"
        case RecordingSaved():
            lost = f", {what.lost_ms / 1000:.1f} s of it silence: the disk was too slow" if what.lost_ms else ""
            return f"Recording saved: {what.path} ({what.duration_ms / 1000:.1f} s{lost})"
        case RecordingPaused():
            return f"Recording paused: {what.path}"
        case RecordingResumed():
            return f"Recording resumed: {what.path}"
        case CallTraced():
            return f"Trace {what.trace_id} made"
        case RecordingStored():
            return f"Recording kept at {what.url} ({what.duration_ms / 1000:.1f} s, {what.size_bytes} bytes)"
        case RecordingNotStored(recorded_ms=None):
            return f"Recording {what.path} not stored yet ({what.code}): {what.detail}"
        case RecordingNotStored(recorded_ms=recorded_ms):
            ended = f"ended after {(recorded_ms or 0.0) / 1000:.1f} s"
            return f"Recording {what.path} {ended} ({what.code}): {what.detail}"
        case Noted():
            return what.text
        case _:
            return f"Entry of another version: {what.stored.get('kind') if isinstance(what, Unknown) else '?'}"
