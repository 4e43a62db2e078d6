"""One call as a row of a list: what `call.session` folds from a whole timeline, kept up to date entry by entry.

    overview = fold_overview(session, timeline)
    overview.outcome        live, good, flawed, failed or unconnected
    overview.result         what it came to: talked, transferred, busy, …

    overview.apply(entry)   one more; False where it came late, and the timeline has to be folded once more

A store keeps the row beside the entries, so that a list of any length needs no fold. A row remembers less than a session,
so it can take an entry only in its order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from callpath.call.dials import is_dial, is_refusal, numbers_of
from callpath.call.leg import Leg, LegState, Stamp, main_leg, stamp_of
from callpath.call.outcomes import MACHINES
from callpath.call.refused import explain_refusal
from callpath.call.session import CALL_HAS_ENDED, MACHINE_TOLD, NAMES_ANOTHER_CALL, Stage
from callpath.errors import RemoteProtocolError
from callpath.timeline import (
    LAG_MS_MAX,
    CallChecked,
    CallDecided,
    CallTraced,
    CommandAnswered,
    CommandSent,
    ConsultEnded,
    ConsultNews,
    DialPlaced,
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
from callpath.wire.command import Dial
from callpath.wire.ids import LegId, SessionId
from callpath.wire.webhook import (
    CallAnswered,
    CallBridged,
    CallHangup,
    CallInitiated,
    CallPayload,
    CallReferCompleted,
    ConferenceParticipantJoined,
    StreamingFailed,
    Webhook,
    read_webhook,
)

Outcome = Literal["live", "good", "flawed", "failed", "unconnected"]
"""live: not over. good: the caller was served: audio flowed both ways, Telnyx spoke, or somebody took the call. flawed:
the same, with something wrong on the way. unconnected: nobody was reached, or the call was turned away on purpose, and
nothing failed. failed: something did, a handler that raised included."""

Result = Literal[
    "live",
    "talked",
    "transferred",
    "forwarded",
    "spoken to",
    "voicemail",
    "fax",
    "busy",
    "no answer",
    "declined",
    "unreachable",
    "refused",
    "cancelled",
    "rejected",
    "left ringing",
    "caller gave up",
    "handler crashed",
    "no audio",
    "not answered",
]
"""What a call came to. refused: Telnyx dialled nobody. spoken to: Telnyx spoke or played for the handler. rejected, left
ringing: as the application decided. cancelled: we hung up while the other phone rang. no audio, not answered: it should
have come further."""

RESULT_WORDS: dict[Result, str] = {
    "live": "the call is not over",
    "talked": "audio flowed both ways",
    "transferred": "the caller was connected with somebody else",
    "forwarded": "the call was forwarded, and taken",
    "spoken to": "Telnyx spoke to the caller for the handler",
    "voicemail": "a voicemail answered, and nothing failed",
    "fax": "a fax answered, and nothing failed",
    "busy": "the line was busy, and nothing failed",
    "no answer": "nobody answered, and nothing failed",
    "declined": "the call was declined, and nothing failed",
    "unreachable": "the number could not be reached, and nothing failed",
    "refused": "Telnyx refused to dial",
    "cancelled": "the call was cancelled before anybody answered",
    "rejected": "the application rejected the call, as it decided",
    "left ringing": "the application let the call ring, as it decided",
    "caller gave up": "the caller hung up early, and nothing failed",
    "handler crashed": "the handler raised an error",
    "no audio": "audio did not flow both ways",
    "not answered": "the call was not answered",
}
"""Results as the end of a sentence."""

SPEAKING = frozenset(
    {"speak", "playback_start", "gather_using_speak", "gather_using_audio", "gather_using_ai", "ai_assistant_start",
     "conversation_relay_start"}
)  # fmt: skip
"""Commands by which Telnyx itself speaks to the caller."""

JOINING = frozenset({"bridge", "conference_join", "join", "create", "conference_create"})
"""Commands that join a leg with others at once."""

_UNREACHED: dict[str, Result] = {
    "user_busy": "busy",
    "no_answer": "no answer",
    "timeout": "no answer",
    "call_rejected": "declined",
    "not_found": "unreachable",
    "originator_cancel": "cancelled",
}
"""Why the phone that we dialled was not answered."""

_DETECTED: dict[str, Result] = {"machine": "voicemail", "fax": "fax", "fax_detected": "fax", "silence": "voicemail"}

GAVE_UP_MS = 5_000
"""A caller who hangs up within this long of ringing was not kept waiting: Telnyx's webhook, the application's decision
and our command need a moment."""

EARLY_END_MS = 1_000
"""A call that ended sooner than this after its answer had no time for audio. In the one capture of a real call the socket
was there 60 ms after streaming_start."""

OTHERS_MAX = 20
"""Other legs and transfers of one call that are kept apart."""

PLACED = "placed"
"""In the place of an outcome: a dial that became a call."""

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
    hangup_source: str | None = None
    refused_commands: bool = False
    """Telnyx refused a command or never answered it, other than because the call was over."""
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
    decision: str | None = None
    decided_unix_ms: int = 0
    """What the application decided while it rang, and when."""
    telnyx_spoke: bool = False
    """Telnyx accepted a command to speak or to play."""
    joined: bool = False
    """The call was put into a conference, bridged by command, or referred."""
    bridged: bool = False
    """An event said that two legs were joined."""
    refused_transfer: str | None = None
    """A transfer or referral that Telnyx refused, and why."""
    transfers: list[str] = msgspec.field(default_factory=list)
    """The command_ids of transfers that Telnyx accepted."""
    others: dict[str, int] = msgspec.field(default_factory=dict)
    """Other legs by id: 0 seen, 1 answered or joined, 2 ended unanswered, or answered by a machine."""
    machine: str | None = None
    """The last verdict of answering machine detection on the leg that talks to us."""
    dialled: bool = False
    """We dialled it."""
    dial_refused: bool = False
    """It is a dial's timeline, and Telnyx refused the dial."""
    placed: bool = False
    """It is a dial's timeline, and the dial became a call, which has its own."""

    # --- reading -----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """`new`, `ringing`, `answered`, `streaming` or `ended`."""
        if self.over and (self.leg is not None or self.dialled):
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
        return _GRADES.get(self.result) or ("flawed" if self.symptoms or self.problem else "good")

    @property
    def problem(self) -> str | None:
        """What went wrong, in one line."""
        if self.dial_refused:
            return self.last_line
        refused = None if self.passed_on else self.refused_transfer
        return self.handler_error or self.stream_failure or refused

    @property
    def result(self) -> Result:
        """What the call came to, in one word or two."""
        if self.leg_state is not LegState.ENDED and not self.over:
            return "live"
        if self.handler_failed_unix_ms and self.handler_failed_unix_ms < (self.ended_unix_ms or self.last_unix_ms + 1):
            return "handler crashed"
        if self.passed_on:
            return "forwarded" if self.decision == "forward" else "transferred"
        if self.missing_stage is None:
            return "talked"
        if self.decision == "reject":
            return "rejected"
        if self.decision == "ignore":
            return "left ringing"
        if not self.stages >> Stage.CALL_ANSWERED & 1:
            return self._unanswered()
        if self.telnyx_spoke and not self.stream_failure:
            return "spoken to"
        if self.direction == "outgoing" and self.machine in _DETECTED:
            return _DETECTED[self.machine]
        answered_ms = (self.ended_unix_ms or 0) - (self.answered_unix_ms or 0)
        if not self.stream_failure and self.hangup_source == "caller" and answered_ms < EARLY_END_MS:
            return "caller gave up"
        return "no audio"

    def _unanswered(self) -> Result:
        if self.dial_refused:
            return "refused"
        if self.direction == "outgoing":
            return _UNREACHED.get(self.hangup_cause or "", "not answered")
        if self.decision == "forward":
            return "no answer"
        rang_ms = (self.ended_unix_ms or self.last_unix_ms) - self.first_unix_ms
        left = self.hangup_cause == "originator_cancel" or self.hangup_source == "caller"
        return "caller gave up" if left and rang_ms < GAVE_UP_MS and not self.refused_commands else "not answered"

    @property
    def passed_on(self) -> bool:
        """Somebody else took the call, or was still being rung for it when the caller left."""
        reached = any(state == 1 for state in self.others.values())
        failed = sum(state == 2 for state in self.others.values())
        return self.joined or reached or (self.bridged and not self.others) or len(self.transfers) > failed

    @property
    def stored_outcome(self) -> str:
        """Its outcome, as stores ask for it. A dial that became a call is in no list: that call is."""
        return PLACED if self.placed else self.outcome

    @property
    def way(self) -> str | None:
        """Its direction; of a call that we dialled before any event of it came, too."""
        return self.direction or ("outgoing" if self.dialled else None)

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
        known = (
            self.session, self.from_, self.to, self.hangup_cause, self.handler_error, self.result, *self.symptoms
        )  # fmt: skip
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
            case CallDecided():
                return self.decision is None or at > self.decided_unix_ms
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
        if isinstance(what, CommandAnswered):
            self._apply_answer(what)
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
            case ConsultNews(news="bridged") | ConsultEnded(status="joined"):
                self.joined = True
            case CallDecided() if self.decision is None:  # the first one counts
                self.decision, self.decided_unix_ms = what.decision, at
            case HandlerFailed():
                self.handler_error, self.handler_failed_unix_ms = what.error[:300], at
            case SocketRejected():
                self._fail(f"upgrade rejected: {what.status} {what.reason}", at)
            case CommandSent(command=Dial.NAME):
                self.dialled = True
                if is_dial(self.session):
                    self.direction, (self.from_, self.to) = "outgoing", numbers_of(what.body)
            case CommandAnswered(command=Dial.NAME) if is_dial(self.session):
                self.dial_refused = is_refusal(what.status)
                self._end(at)
            case DialPlaced():
                self.placed = True
                self._end(at)
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

    def _apply_answer(self, what: CommandAnswered) -> None:
        if not what.accepted:
            if what.command in ("transfer", "refer") and what.status is not None and what.error_code != CALL_HAS_ENDED:
                refusal = explain_refusal(what.error_code, what.error_detail)
                why = refusal.title if refusal is not None else str(what.error_code or what.status)
                words = f"Telnyx refused {what.command}: {why}"
                self.refused_transfer = min(words, self.refused_transfer or words)
            self.refused_commands = self.refused_commands or what.error_code != CALL_HAS_ENDED
        elif what.command in SPEAKING:
            self.telnyx_spoke = True
        elif what.command in JOINING:
            self.joined = True
        elif what.command == "transfer" and len(self.transfers) < OTHERS_MAX:
            self.transfers = sorted({*self.transfers, what.command_id})

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
        if isinstance(payload, _JOINED):
            self.joined = True
        self.bridged = self.bridged or isinstance(payload, CallBridged)
        if self.leg is None:
            self.leg, self.call_control_id = payload.call_leg_id, payload.call_control_id
        if payload.call_leg_id != self.leg:
            self._apply_other(payload, MACHINE_TOLD.get(webhook.event_type) == "machine")
            return  # not the leg that talks to us
        if MACHINE_TOLD.get(webhook.event_type) == "machine":
            self.machine = getattr(payload, "result", None) or self.machine
        leg = Leg(payload.call_leg_id, payload.call_control_id, self.occurred, state=self.leg_state)
        leg.direction, leg.from_, leg.to, leg.hangup_cause = self.direction, self.from_, self.to, self.hangup_cause
        leg.hangup_source = self.hangup_source
        leg.told = {name: (False, (0, "")) for name in ("from_", "to") if getattr(leg, name)}
        leg.apply(payload, self.occurred, at)
        had_ended, self.leg_state = self.leg_state is LegState.ENDED, leg.state
        self.direction, self.from_, self.to, self.hangup_cause = leg.direction, leg.from_, leg.to, leg.hangup_cause
        self.hangup_source = leg.hangup_source
        if leg.answered_unix_ms:
            self.stages |= 1 << Stage.CALL_ANSWERED
            self.answered_unix_ms = min(at, self.answered_unix_ms or at)
        if leg.hangup_unix_ms:
            self.ended_unix_ms = min(at, self.ended_unix_ms or at) if had_ended else at

    def _apply_other(self, payload: CallPayload, detected: bool) -> None:
        """What became of another leg."""
        leg = str(payload.call_leg_id)
        state = self.others.get(leg, 0)
        if leg not in self.others and len(self.others) >= OTHERS_MAX:
            return
        if detected:
            state = 2 if getattr(payload, "result", None) in MACHINES else 1
        elif isinstance(payload, CallAnswered | CallBridged):
            state = max(state, 1)
        elif isinstance(payload, CallHangup) and state == 0:
            state = 2
        self.others[leg] = state


_GRADES: dict[Result, Outcome] = {
    "live": "live",
    "handler crashed": "failed",
    "no audio": "failed",
    "not answered": "failed",
    "refused": "failed",
    **dict.fromkeys(
        ("busy", "no answer", "declined", "unreachable", "cancelled", "voicemail", "fax", "rejected", "left ringing",
         "caller gave up"),
        "unconnected",
    ),
}  # fmt: skip
"""What is not good or flawed."""

_JOINED = (ConferenceParticipantJoined, CallReferCompleted)
"""Events that say that the caller is with somebody else."""

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
