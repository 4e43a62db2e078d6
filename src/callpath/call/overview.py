"""One call as a row of a list: what `call.session` folds from a whole timeline, kept up to date entry by entry.

    overview = fold_overview(session, timeline)
    overview.outcome        live, good, flawed or failed

    overview.apply(entry)   one more; False where it came late, and the timeline has to be folded once more

A store keeps the row beside the entries, so that a list of any length needs no fold. A row remembers less than a session,
so it can take an entry only in its order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from callpath.call.leg import Leg, LegState, Stamp, main_leg, stamp_of
from callpath.call.session import CALL_HAS_ENDED, NAMES_ANOTHER_CALL, Stage
from callpath.errors import RemoteProtocolError
from callpath.timeline import (
    LAG_MS_MAX,
    CallChecked,
    CallTraced,
    CommandAnswered,
    Entry,
    FirstInbound,
    FirstOutbound,
    HandlerFailed,
    MediaCounted,
    MediaSymptom,
    RecordingNotStored,
    RecordingSaved,
    RecordingStored,
    SocketClosed,
    SocketReceived,
    SocketRejected,
    StreamAccepted,
    StreamStarted,
    StreamStarting,
    StreamStopped,
    WebhookReceived,
    describe,
    encode_what,
)
from callpath.wire.ids import LegId, SessionId
from callpath.wire.webhook import CallAnswered, CallHangup, CallInitiated, StreamingFailed, Webhook, read_webhook

Outcome = Literal["live", "good", "flawed", "failed"]
"""live: not over. good: audio flowed both ways. flawed: it did, with something wrong on the way. failed: it did not."""

STREAMS_MAX = 20
"""Streams of one call whose counters are kept apart; a call that reconnects more often is counted too low."""

LAG = "SYM013"
"""The symptom of a loop that was held up: it has an entry in one call of the process, and stands in the counts of all."""

_STAGE_OF = {
    StreamStarting: Stage.STREAM_STARTING,
    StreamAccepted: Stage.STREAM_ACCEPTED,
    SocketReceived: Stage.SOCKET_RECEIVED,
    StreamStarted: Stage.STREAM_STARTED,
    FirstInbound: Stage.FIRST_INBOUND,
    FirstOutbound: Stage.FIRST_OUTBOUND,
}


class Counts(msgspec.Struct, array_like=True):
    """What one stream carried so far."""

    frames_in: int = 0
    frames_out: int = 0
    trouble: int = 0
    """Frames lost, late, dropped or rejected."""


class CallOverview(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a list shows of one call. Times are Unix ms; `number` is that of its latest entry."""

    session: SessionId
    first_unix_ms: int = 0
    last_unix_ms: int = 0
    entries: int = 0
    number: int = 0
    leg: LegId | None = None
    leg_state: LegState = LegState.SEEN
    direction: str | None = None
    from_: str | None = None
    to: str | None = None
    ended_unix_ms: int | None = None
    over: bool = False
    """Telnyx said so when it was asked, or refused a command for it; a `call.hangup` may never come."""
    answered_unix_ms: int | None = None
    hangup_cause: str | None = None
    stages: int = 0
    """A bit for each stage that was reached: 1 << stage."""
    unplaced: bool = False
    """Telnyx said that a call is over, and no webhook has told yet whether that is this one."""
    stream_open: bool = False
    occurred: Stamp = (0, "")
    """The last webhook, as Telnyx's time goes."""
    call_control_id: str | None = None
    """Of the leg that talks to us."""
    newest_stream: tuple[int, str] = (0, "")
    """The stream that started last, with the time."""
    stream_unix_ms: int = 0
    counted_unix_ms: int = 0
    failed_unix_ms: int = 0
    handler_failed_unix_ms: int = 0
    """When a stream last started or ended, frames were last counted, and a stream and a handler failed."""
    counts: dict[str, Counts] = msgspec.field(default_factory=dict)
    symptoms: list[str] = msgspec.field(default_factory=list)
    handler_error: str | None = None
    stream_failure: str | None = None
    recorded: bool = False
    last_line: str = ""

    # --- reading -----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """`new`, `ringing`, `answered`, `streaming` or `ended`."""
        if self.over and self.leg is not None:
            return "ended"
        if self.leg_state is LegState.ANSWERED and self.stream_open:
            return "streaming"
        return {
            LegState.SEEN: "new",
            LegState.INITIATED: "ringing",
            LegState.ANSWERED: "answered",
            LegState.ENDED: "ended",
        }[self.leg_state]

    @property
    def missing_stage(self) -> Stage | None:
        """The first stage that was not reached."""
        return next((stage for stage in Stage if not self.stages >> stage & 1), None)

    @property
    def outcome(self) -> Outcome:
        if self.leg_state is not LegState.ENDED and not self.over:
            return "live"
        if self.missing_stage is not None:
            return "failed"
        return "flawed" if self.symptoms or self.handler_error or self.stream_failure else "good"

    @property
    def frames_in(self) -> int:
        return sum(count.frames_in for count in self.counts.values())

    @property
    def frames_out(self) -> int:
        return sum(count.frames_out for count in self.counts.values())

    @property
    def frames_in_trouble(self) -> int:
        return sum(count.trouble for count in self.counts.values())

    @property
    def search_text(self) -> str:
        """What a search looks through, in lower case."""
        known = (self.session, self.from_, self.to, self.hangup_cause, self.handler_error, *self.symptoms)
        return " ".join(text for text in known if text).lower()[:1000]

    # --- folding -----------------------------------------------------------------------------------------------------

    def apply(self, entry: Entry) -> bool:
        """Learn from the next entry of the timeline. False: it came late, and nothing was done."""
        webhook = _read(entry.what) if isinstance(entry.what, WebhookReceived) else None
        fits = self._fits(entry, webhook)
        if fits:
            self._take(entry, webhook)
        return fits

    def _fits(self, entry: Entry, webhook: Webhook | None) -> bool:
        at = entry.at_unix_ms
        match entry.what:
            case WebhookReceived() if webhook is not None:
                failed = isinstance(webhook.payload, StreamingFailed)
                late = stamp_of(webhook, at) <= self.occurred or (failed and at <= self.failed_unix_ms)
                other = self.leg is not None and self.leg != webhook.payload.call_leg_id
                # The other leg may turn out to be the one that talks to us.
                return not late and not self.unplaced and not (other and isinstance(webhook.payload, _OF_A_LEG))
            case StreamStarted():
                return at > self.stream_unix_ms
            case StreamStopped(replaced=False) | SocketClosed(replaced=False):
                return at >= self.stream_unix_ms
            case MediaCounted():
                return at > self.counted_unix_ms
            case HandlerFailed():
                return at > self.handler_failed_unix_ms
            case SocketRejected():
                return at > self.failed_unix_ms
            case CallChecked() | CommandAnswered() as what if _says_ended(what):
                return self.leg is not None
            case _:
                return True

    def _take(self, entry: Entry, webhook: Webhook | None) -> None:
        at, what = entry.at_unix_ms, entry.what
        self.first_unix_ms = at if not self.entries else min(self.first_unix_ms, at)
        self.last_unix_ms = max(self.last_unix_ms, at)
        self.entries += 1
        if entry.number >= self.number and not isinstance(what, CallTraced):  # which tells nothing of the call
            self.last_line = describe(what)
        self.number = max(self.number, entry.number)
        stage = _STAGE_OF.get(type(what))
        if stage is not None:
            self.stages |= 1 << stage
        match what:
            case WebhookReceived():
                self.stages |= 1 << Stage.WEBHOOK_RECEIVED
                if webhook is not None:
                    self._apply_webhook(webhook, at)
            case StreamStarted():
                self.newest_stream = max(self.newest_stream, (at, what.stream_id))
                self.stream_open, self.stream_unix_ms = True, at
            case StreamStopped() | SocketClosed():
                anonymous = what.stream_id is None and isinstance(what, SocketClosed)
                if anonymous or self.newest_stream[1] in ("", what.stream_id):  # "": a row of an earlier version
                    self.stream_open = False
                self.stream_unix_ms = max(at, self.stream_unix_ms)
            case MediaCounted():
                self._apply_counts(what, at)
            case MediaSymptom():
                self._note_symptom(what.code)
            case HandlerFailed():
                self.handler_error, self.handler_failed_unix_ms = what.error[:300], at
            case SocketRejected():
                self._fail(f"upgrade rejected: {what.status} {what.reason}", at)
            case RecordingSaved() | RecordingStored():
                self.recorded = True
            case RecordingNotStored() if what.recorded_ms:
                self.recorded = True
            case CallChecked() | CommandAnswered() if _says_ended(what):
                if _names(entry) in (None, self.call_control_id):
                    self._end(at)
                self.unplaced = self.leg is None
            case _:
                pass

    def _end(self, at: int) -> None:
        if self.leg_state is not LegState.ENDED:  # then its hang-up says when
            self.ended_unix_ms = at if self.ended_unix_ms is None else min(self.ended_unix_ms, at)
        self.over = True

    def _apply_counts(self, what: MediaCounted, at: int) -> None:
        self.counted_unix_ms = max(at, self.counted_unix_ms)
        if what.stream_id in self.counts or len(self.counts) < STREAMS_MAX:
            trouble = what.lost + what.late + what.dropped_for_handler + what.frames_rejected
            self.counts[what.stream_id] = Counts(what.frames_in, what.frames_out, trouble)
        if what.loop_lag_ms > LAG_MS_MAX:
            self._note_symptom(LAG)

    def _note_symptom(self, code: str) -> None:
        if code not in self.symptoms:
            self.symptoms = sorted((*self.symptoms, code))

    def _fail(self, text: str, at: int) -> None:
        """The last failure is shown. (A fold comes to webhooks first.)"""
        if at >= self.failed_unix_ms:
            self.stream_failure, self.failed_unix_ms = text, at

    def _apply_webhook(self, webhook: Webhook, at: int) -> None:
        payload = webhook.payload
        self.occurred = stamp_of(webhook, at)
        if isinstance(payload, StreamingFailed):
            self._fail(f"streaming.failed: {payload.failure_reason}", at)
        if self.leg is None:
            self.leg, self.call_control_id = payload.call_leg_id, payload.call_control_id
        if payload.call_leg_id != self.leg:
            return  # not the leg that talks to us
        leg = Leg(payload.call_leg_id, payload.call_control_id, self.occurred, state=self.leg_state)
        leg.direction, leg.from_, leg.to, leg.hangup_cause = self.direction, self.from_, self.to, self.hangup_cause
        leg.told = {name: (False, (0, "")) for name in ("from_", "to") if getattr(leg, name)}
        leg.apply(payload, self.occurred, at)
        had_ended, self.leg_state = self.leg_state is LegState.ENDED, leg.state
        self.direction, self.from_, self.to, self.hangup_cause = leg.direction, leg.from_, leg.to, leg.hangup_cause
        if leg.answered_unix_ms:
            self.stages |= 1 << Stage.CALL_ANSWERED
            self.answered_unix_ms = min(at, self.answered_unix_ms or at)
        if leg.hangup_unix_ms:
            self.ended_unix_ms = min(at, self.ended_unix_ms or at) if had_ended else at


_OF_A_LEG = (CallInitiated, CallAnswered, CallHangup)
"""What tells how a leg began, was answered or ended."""


def fold_overview(session: SessionId, timeline: Iterable[Entry]) -> CallOverview:
    """The row of a call from its whole timeline, in whichever order its entries stand there."""
    overview = CallOverview(session=session)
    read = [(entry, _read(entry.what) if isinstance(entry.what, WebhookReceived) else None) for entry in timeline]
    legs: dict[LegId, Leg] = {}
    for entry, webhook in read:
        if webhook is not None:
            payload, stamp = webhook.payload, stamp_of(webhook, entry.at_unix_ms)
            leg = legs.setdefault(payload.call_leg_id, Leg(payload.call_leg_id, payload.call_control_id, stamp))
            leg.apply(payload, stamp, entry.at_unix_ms)
    if (main := main_leg(legs.values())) is not None:
        overview.leg, overview.call_control_id = main.leg_id, main.call_control_id
    for entry, webhook in sorted(read, key=_order):
        overview._take(entry, webhook)  # noqa: SLF001 (in the order that `apply` asks for)
    return overview


def _order(item: tuple[Entry, Webhook | None]) -> tuple[int, int, str, bytes]:
    """Webhooks go first, in Telnyx's order: others are about the leg that they tell of. Of one millisecond a stream starts
    before one ends, and the entry whose content sorts last is the last, as in `call.session`."""
    entry, webhook = item
    if webhook is not None:
        return 0, *stamp_of(webhook, entry.at_unix_ms), b""
    return 1, entry.at_unix_ms, "" if isinstance(entry.what, StreamStarted) else "-", encode_what(entry.what)


def _read(what: WebhookReceived) -> Webhook | None:
    try:
        webhook = read_webhook(what.body)
    except RemoteProtocolError:
        return None  # stored by a version that could read it
    return webhook if isinstance(webhook, Webhook) else None


def _says_ended(what: CallChecked | CommandAnswered) -> bool:
    if isinstance(what, CallChecked):
        return what.alive is False
    return what.error_code == CALL_HAS_ENDED and what.command not in NAMES_ANOTHER_CALL


def _names(entry: Entry) -> str | None:
    """The call that Telnyx spoke of; None: the one of the timeline."""
    named = entry.what.call_control_id if isinstance(entry.what, CommandAnswered) else None
    return named or entry.call_control_id


def encode_overview(overview: CallOverview) -> bytes:
    """What a store keeps."""
    return msgspec.json.encode(overview)


def parse_overview(text: bytes) -> CallOverview | None:
    """Read what a store kept; None where another version of callpath wrote it so that it cannot be read."""
    try:
        return msgspec.json.decode(text, type=CallOverview)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None
