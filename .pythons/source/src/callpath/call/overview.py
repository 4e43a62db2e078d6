"""One call as a row of a list: what `call.session` folds from a whole timeline, kept up to date entry by entry.

    overview = CallOverview(session=entry.session)
    for entry in timeline:
        overview.apply(entry)
    overview.outcome        live, good, flawed or failed

A store keeps the row beside the entries, so that a list of any length needs no fold.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from callpath.call.leg import Leg, LegState
from callpath.call.session import CALL_HAS_ENDED, Stage
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
    SocketRefused,
    StreamAccepted,
    StreamStarted,
    StreamStarting,
    StreamStopped,
    WebhookReceived,
    describe,
)
from callpath.wire.ids import LegId, SessionId
from callpath.wire.webhook import StreamingFailed, Webhook, read_webhook

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
    stream_open: bool = False
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

    def apply(self, entry: Entry) -> None:
        """Learn from the next entry of the timeline."""
        at, what = entry.at_unix_ms, entry.what
        self.first_unix_ms = at if not self.entries else min(self.first_unix_ms, at)
        self.last_unix_ms = max(self.last_unix_ms, at)
        self.entries += 1
        self.number = max(self.number, entry.number)
        if not isinstance(what, CallTraced):  # which tells nothing of the call
            self.last_line = describe(what)
        stage = _STAGE_OF.get(type(what))
        if stage is not None:
            self.stages |= 1 << stage
        match what:
            case WebhookReceived():
                self.stages |= 1 << Stage.WEBHOOK_RECEIVED
                self._apply_webhook(what, at)
            case StreamStarted():
                self.stream_open = True
            case StreamStopped() | SocketClosed():
                self.stream_open = False
            case MediaCounted() if what.stream_id in self.counts or len(self.counts) < STREAMS_MAX:
                trouble = what.lost + what.late + what.dropped_for_handler + what.frames_rejected
                self.counts[what.stream_id] = Counts(what.frames_in, what.frames_out, trouble)
                if what.loop_lag_ms > LAG_MS_MAX:
                    self._note_symptom(LAG)
            case MediaSymptom():
                self._note_symptom(what.code)
            case HandlerFailed():
                self.handler_error = what.error[:300]
            case SocketRefused():
                self.stream_failure = f"upgrade refused: {what.status} {what.reason}"
            case RecordingSaved() | RecordingStored():
                self.recorded = True
            case RecordingNotStored() if what.recorded_ms:
                self.recorded = True
            case CallChecked() if what.alive is False:
                self._end(at)
            case CommandAnswered() if what.error_code == CALL_HAS_ENDED:
                self._end(at)
            case _:
                pass

    def _end(self, at: int) -> None:
        if self.leg_state is not LegState.ENDED:  # then its hang-up says when
            self.ended_unix_ms = at if self.ended_unix_ms is None else min(self.ended_unix_ms, at)
        self.over = True

    def _note_symptom(self, code: str) -> None:
        if code not in self.symptoms:
            self.symptoms.append(code)

    def _apply_webhook(self, what: WebhookReceived, at: int) -> None:
        try:
            webhook = read_webhook(what.body)
        except RemoteProtocolError:
            return  # stored by a version that could read it
        if not isinstance(webhook, Webhook):
            return
        payload = webhook.payload
        self.leg = self.leg or payload.call_leg_id
        if isinstance(payload, StreamingFailed):
            self.stream_failure = f"streaming.failed: {payload.failure_reason}"
        if payload.call_leg_id != self.leg:
            return  # the leg that talks to us is the first that was seen
        leg = Leg(payload.call_leg_id, payload.call_control_id, state=self.leg_state)
        leg.direction, leg.from_, leg.to, leg.hangup_cause = self.direction, self.from_, self.to, self.hangup_cause
        leg.apply(payload)
        self.leg_state = leg.state
        self.direction, self.from_, self.to, self.hangup_cause = leg.direction, leg.from_, leg.to, leg.hangup_cause
        if leg.state >= LegState.ANSWERED and webhook.event_type == "call.answered":
            self.stages |= 1 << Stage.CALL_ANSWERED
            self.answered_unix_ms = at
        if webhook.event_type == "call.hangup":
            self.ended_unix_ms = at


def encode_overview(overview: CallOverview) -> bytes:
    """What a store keeps."""
    return msgspec.json.encode(overview)


def parse_overview(text: bytes) -> CallOverview | None:
    """Read what a store kept; None where another version of callpath wrote it so that it cannot be read."""
    try:
        return msgspec.json.decode(text, type=CallOverview)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None
