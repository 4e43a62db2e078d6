"""The state of one phone call, folded from its timeline, and the commands that follow from it.

    session = CallSession(session_id)
    for entry in timeline:
        session.apply(entry)
    session.stages            when each stage was reached
    session.next_commands()   what to send now

Entries applied twice, or in another order, lead to the same state: webhooks of one call are delivered in any order, nodes
write at the same time, and an entry is applied at once and again when it is read back. An entry is told from another one by
what it says and its millisecond; a webhook by its id. Where two entries contradict each other, the later one is right, and
of one millisecond that whose content sorts last.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar

from callpath.call.conferences import CREATE, JOIN, LEAVE, Conferences, conference_of
from callpath.call.leg import Leg, LegState, main_leg, stamp_of
from callpath.call.plan import StreamPlan
from callpath.errors import RemoteProtocolError
from callpath.timeline import (
    CallChecked,
    CallDecided,
    CallRecovered,
    CallStuck,
    CommandAnswered,
    CommandSent,
    ConsultDecided,
    ConsultEnded,
    ConsultNews,
    ConsultStarted,
    Entry,
    FirstInbound,
    FirstOutbound,
    FrameRejected,
    HandlerEnded,
    HandlerFailed,
    HandlerStarted,
    MediaCounted,
    PolicyActed,
    SocketClosed,
    SocketReceived,
    SocketRejected,
    StreamAccepted,
    StreamMissing,
    StreamProbed,
    StreamStarted,
    StreamStarting,
    StreamStopped,
    StreamUrl,
    WebhookReceived,
    What,
    encode_what,
)
from callpath.wire.command import Answer, Command, StreamingStart
from callpath.wire.ids import CallControlId, LegId, SessionId
from callpath.wire.webhook import (
    CallPayload,
    CallReferCompleted,
    CallReferFailed,
    CallSpeakEnded,
    StreamingFailed,
    StreamingStarted,
    Webhook,
    read_webhook,
)

REJECT = "refuse"
"""The policy that turns new calls away, as timelines name it."""

DONE_BY_TELNYX = (
    "call.speak.ended",
    "call.playback.ended",
    "call.gather.ended",
    "call.recording.saved",
    "call.recording.error",
)
"""Events that tell the end of what Telnyx was asked to play, to gather or to record."""

MACHINE_TOLD = {
    "call.machine.detection.ended": "machine",
    "call.machine.premium.detection.ended": "machine",
    "call.machine.premium.call_screening.detected": "machine",
    "call.machine.greeting.ended": "greeting",
    "call.machine.premium.greeting.ended": "greeting",
}
"""What the events of answering machine detection are about."""

CALL_HAS_ENDED = "90018"
"""Telnyx's code for a command to a call that is over: a normal race, and its last word."""

NAMES_ANOTHER_CALL = frozenset({"bridge", "dial"})
"""Commands that name a second call: which of the two has ended, the code does not tell."""


class Stage(IntEnum):
    """The way of a call to working audio, in order."""

    WEBHOOK_RECEIVED = 1
    CALL_ANSWERED = 2
    STREAM_STARTING = 3
    STREAM_ACCEPTED = 4
    SOCKET_RECEIVED = 5
    STREAM_STARTED = 6
    FIRST_INBOUND = 7
    FIRST_OUTBOUND = 8

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    Stage.WEBHOOK_RECEIVED: "webhook received",
    Stage.CALL_ANSWERED: "call answered",
    Stage.STREAM_STARTING: "media stream being started",
    Stage.STREAM_ACCEPTED: "streaming_start accepted",
    Stage.SOCKET_RECEIVED: "WebSocket connection received",
    Stage.STREAM_STARTED: "stream started",
    Stage.FIRST_INBOUND: "first inbound frame",
    Stage.FIRST_OUTBOUND: "first outbound frame",
}


_OF_A_STREAM = (StreamStarting, StreamStarted, MediaCounted, StreamStopped, SocketClosed)
"""Entries that only we, or a socket that was let in, can cause."""


W = TypeVar("W", bound=What)
Timed = tuple[int, W]
"""An entry with its time."""


@dataclass(slots=True)
class CallSession:
    """All that is known of one call."""

    session: SessionId
    legs: dict[LegId, Leg] = field(default_factory=dict)
    leg: Leg | None = None
    """The leg that talks to us. It is another one when an event comes late that occurred before all others."""

    stages: dict[Stage, int] = field(default_factory=dict)
    """When each stage was first reached, Unix ms."""

    commands: dict[str, CommandSent] = field(default_factory=dict)
    """Commands sent, by command_id."""

    answers: dict[str, CommandAnswered] = field(default_factory=dict)
    """What Telnyx answered, by command_id."""

    streaming_started: bool = False
    failures: dict[str, tuple[int, StreamingFailed]] = field(default_factory=dict)
    """What Telnyx reported of streams that failed, by event id, with the time."""

    counts: dict[str, MediaCounted] = field(default_factory=dict)
    """The last counts of each stream."""

    first_unix_ms: int | None = None
    last_unix_ms: int | None = None
    ended_at: dict[str, int] = field(default_factory=dict)
    """When Telnyx said that a call is over without a call.hangup: to a command (90018), or asked for its state. By
    call_control_id; "" where the entry has none."""

    sent_unix_ms: dict[str, int] = field(default_factory=dict)
    """When each command was sent first, by command_id."""

    answered_at: dict[str, int] = field(default_factory=dict)
    counted_at: dict[str, int] = field(default_factory=dict)
    """The times of `answers` and `counts`."""

    entered_unix_ms: int = 0
    finished_unix_ms: int = 0
    """When the handler was entered, and when it returned or raised (not when it was cancelled), the last time; 0: never."""

    accepted_unix_ms: int = 0
    received_unix_ms: int = 0
    rejected_unix_ms: int = 0
    started_unix_ms: int = 0
    """When a stream was accepted, a socket received or refused, and a stream started the last time; 0: never."""

    newest_stream: tuple[int, str] = (0, "")
    stops: dict[str, int] = field(default_factory=dict)
    closed_unix_ms: int = 0
    """The stream that started last, when each stream stopped last, and when a socket closed whose stream is not named."""

    unreadable: tuple[int, str, str] = (0, "", "")
    """When a start frame came that no stream can begin with, the last time, what is wrong with it, and the reason as a
    word."""

    stream_unix_ms: int = 0
    """When the stream was asked for, or last showed life: that is how old the call's token is. Refusals are none."""

    speaks_ended: dict[str, int] = field(default_factory=dict)
    """When Telnyx had spoken, by event id."""

    done_by_telnyx: dict[str, set[str]] = field(default_factory=dict)
    """Ids of the events that tell that Telnyx is done with something it was asked to play or to gather, by event type."""

    failed_unix_ms: int = 0
    recovered_unix_ms: int = 0
    """When Telnyx reported a stream as failed, and when a process recovered the call, the last time."""

    missing: Timed[StreamMissing] | None = None
    probe: Timed[StreamProbed] | None = None
    checked: Timed[CallChecked] | None = None
    url: Timed[StreamUrl] | None = None
    rejection: Timed[SocketRejected] | None = None
    handler_failure: Timed[HandlerFailed] | None = None
    """The last of each."""

    decided: Timed[CallDecided] | None = None
    """What the application decided while the call rang, the first time."""

    consults: dict[str, Timed[ConsultStarted]] = field(default_factory=dict)
    """Consults about this call, by the command_id of their dial."""

    consult_news: dict[tuple[str, str], Timed[ConsultNews]] = field(default_factory=dict)
    """What became of the second calls, by command_id and news, the first time."""

    consult_ends: dict[tuple[str, str], Timed[ConsultEnded]] = field(default_factory=dict)
    """What came of consults, by command_id and status, the first time."""

    consult_decided: Timed[ConsultDecided] | None = None
    """What the handler of a second call decided, the first time."""

    referred: dict[str, tuple[int, CallReferCompleted | CallReferFailed]] = field(default_factory=dict)
    """How REFERs ended, by event id, with the time."""

    conferences: Conferences = field(default_factory=Conferences)
    """What the events of all legs tell of conferences."""

    stuck: dict[int, Timed[CallStuck]] = field(default_factory=dict)
    acted: dict[tuple[str, int], Timed[PolicyActed]] = field(default_factory=dict)
    """The steps of policies, by policy and number."""

    # --- reading -----------------------------------------------------------------------------------------------------

    @property
    def other_legs(self) -> list[Leg]:
        """Those of a transfer or a bridge."""
        return [leg for leg in self.legs.values() if leg is not self.leg]

    @property
    def ended(self) -> bool:
        return (self.leg is not None and self.leg.state is LegState.ENDED) or self.over_unix_ms is not None

    @property
    def over_unix_ms(self) -> int | None:
        """When Telnyx said that the call is over without a call.hangup."""
        known = ("", self.leg.call_control_id) if self.leg is not None else ("",)
        return min((self.ended_at[one] for one in known if one in self.ended_at), default=None)

    @property
    def hangup_unix_ms(self) -> int | None:
        """When the call.hangup came."""
        return (self.leg.hangup_unix_ms or None) if self.leg is not None else None

    @property
    def rejected(self) -> bool:
        """We turned the call away, or let it ring."""
        return any(policy == REJECT for policy, _ in self.acted) or self.decision in ("reject", "ignore")

    @property
    def decision(self) -> str | None:
        """What the application decided while the call rang: answer, reject, forward or ignore."""
        return self.decided[1].decision if self.decided is not None else None

    @property
    def conference(self) -> str | None:
        """The id of the conference that our leg is in, or is about to join, "" while Telnyx has not told it; None: it is in
        none."""
        asked = [
            (self.sent_unix_ms[sent.command_id], sent, self.answers.get(sent.command_id))
            for sent in self.sent(CREATE, JOIN, LEAVE)
        ]
        if not asked and not self.conferences.stays:
            return None
        return conference_of(self.conferences, self.leg.leg_id if self.leg is not None else None, asked)

    @property
    def handler_finished(self) -> bool:
        """The application is done with the call: its handler returned or raised, and was not entered again."""
        return bool(self.finished_unix_ms) and self.finished_unix_ms >= self.entered_unix_ms

    def sent(self, *names: str) -> list[CommandSent]:
        """The commands of these names that were sent about our leg, in order."""
        ours = (None, self.leg.call_control_id if self.leg is not None else None)
        sent = [one for one in self.commands.values() if one.command in names and one.call_control_id in ours]
        return sorted(sent, key=lambda one: (self.sent_unix_ms[one.command_id], one.command_id))

    def is_accepted(self, command_id: str) -> bool:
        """Telnyx has accepted the command."""
        answer = self.answers.get(command_id)
        return answer is not None and answer.accepted

    @property
    def answered_unix_ms(self) -> int:
        """When we heard that the call was answered; 0: never."""
        return self.stages.get(Stage.CALL_ANSWERED, 0)

    @property
    def ended_unix_ms(self) -> int | None:
        return self.hangup_unix_ms or self.over_unix_ms

    @property
    def state(self) -> str:
        """`ringing`, `answered`, `streaming` or `ended`; `new` before any webhook."""
        if self.leg is None:
            return "new"
        if self.ended:
            return "ended"
        if self.leg.state is LegState.ANSWERED and self.stream_open:
            return "streaming"
        return {
            LegState.SEEN: "new",
            LegState.INITIATED: "ringing",
            LegState.ANSWERED: "answered",
            LegState.ENDED: "ended",
        }[self.leg.state]

    @property
    def stream_open(self) -> bool:
        """Whether the stream that started last neither stopped nor lost its socket since."""
        at, stream_id = self.newest_stream
        return at > max(self.closed_unix_ms, self.stops.get(stream_id, 0))

    @property
    def streaming_failures(self) -> list[StreamingFailed]:
        """What Telnyx reported of streams that failed, oldest first: one for each event."""
        told = sorted((at, event_id) for event_id, (at, _) in self.failures.items())
        return [self.failures[event_id][1] for _, event_id in told]

    @property
    def stream_url(self) -> str | None:
        return self.url[1].url if self.url is not None else None

    @property
    def probed(self) -> StreamProbed | None:
        return self.probe[1] if self.probe is not None else None

    @property
    def handler_error(self) -> str | None:
        return self.handler_failure[1].error if self.handler_failure is not None else None

    @property
    def frames_in(self) -> int:
        return sum(counted.frames_in for counted in self.counts.values())

    @property
    def frames_out(self) -> int:
        return sum(counted.frames_out for counted in self.counts.values())

    def missing_stage(self) -> Stage | None:
        """The first stage that was not reached; None when audio flowed both ways."""
        return next((stage for stage in Stage if stage not in self.stages), None)

    def stream_requests(self) -> list[str]:
        """The command_ids of all requests for a stream, in order."""
        asked = [sent.command_id for sent in self.commands.values() if "stream_url" in sent.body]
        return sorted(asked, key=lambda command_id: (self.sent_unix_ms[command_id], command_id))

    def unanswered(self) -> list[CommandSent]:
        """Commands whose fate is not known, in order."""
        open_ = [sent for sent in self.commands.values() if sent.command_id not in self.answers]
        return sorted(open_, key=lambda sent: (self.sent_unix_ms[sent.command_id], sent.command_id))

    def leg_of(self, call_control_id: CallControlId) -> Leg | None:
        """The leg that a command or a frame names."""
        return next((leg for leg in self.legs.values() if leg.call_control_id == call_control_id), None)

    # --- folding -----------------------------------------------------------------------------------------------------

    def apply(self, entry: Entry) -> None:
        """Learn from one entry."""
        at = entry.at_unix_ms
        self.first_unix_ms = at if self.first_unix_ms is None else min(self.first_unix_ms, at)
        self.last_unix_ms = at if self.last_unix_ms is None else max(self.last_unix_ms, at)
        if isinstance(entry.what, _OF_A_STREAM):
            self.stream_unix_ms = max(self.stream_unix_ms, at)
        match entry.what:
            case WebhookReceived() as what:
                self._reach(Stage.WEBHOOK_RECEIVED, at)
                self._apply_webhook(what, at)
            case CommandSent() as what:
                self._apply_sent(what, at)
            case CommandAnswered() as what:
                command_id = what.command_id
                before = self.answers.get(command_id)
                self.answered_at[command_id], self.answers[command_id] = _later(
                    (self.answered_at[command_id], before) if before is not None else None, at, what
                )
                if what.error_code == CALL_HAS_ENDED and what.command not in NAMES_ANOTHER_CALL:
                    self._over(what.call_control_id or entry.call_control_id, at)
            case StreamStarting():
                self._reach(Stage.STREAM_STARTING, at)
            case StreamUrl() as what:
                self.url = _later(self.url, at, what)
            case StreamAccepted():
                self._reach(Stage.STREAM_ACCEPTED, at)
                self.accepted_unix_ms = max(self.accepted_unix_ms, at)
            case SocketReceived():
                self._reach(Stage.SOCKET_RECEIVED, at)
                self.received_unix_ms = max(self.received_unix_ms, at)
            case SocketRejected() as what:
                self.rejection = _later(self.rejection, at, what)
                self.rejected_unix_ms = max(self.rejected_unix_ms, at)
            case FrameRejected(reason=reason, detail=detail) as what if what.is_start:
                self.unreadable = max(self.unreadable, (at, detail, reason))
            case StreamMissing() as what:
                self.missing = _later(self.missing, at, what)
            case StreamProbed() as what:
                self.probe = _later(self.probe, at, what)
            case CallDecided() as what:
                self.decided = _earlier(self.decided, at, what)
            case ConsultStarted(command_id=command_id) as what:
                self.consults[command_id] = _earlier(self.consults.get(command_id), at, what)
            case ConsultNews() as what:
                told = what.command_id, what.news
                self.consult_news[told] = _earlier(self.consult_news.get(told), at, what)
            case ConsultDecided() as what:
                self.consult_decided = _earlier(self.consult_decided, at, what)
            case ConsultEnded() as what:
                ended = what.command_id, what.status
                self.consult_ends[ended] = _earlier(self.consult_ends.get(ended), at, what)
            case CallStuck() as what:
                self.stuck[what.number] = _earlier(self.stuck.get(what.number), at, what)
            case PolicyActed() as what:
                step = what.policy, what.number
                self.acted[step] = _earlier(self.acted.get(step), at, what)
            case CallRecovered():
                self.recovered_unix_ms = max(self.recovered_unix_ms, at)
            case CallChecked() as what:
                self.checked = _later(self.checked, at, what)
                if what.alive is False:
                    self._over(entry.call_control_id, at)
            case StreamStarted() as what:
                self._reach(Stage.STREAM_STARTED, at)
                self.started_unix_ms = max(self.started_unix_ms, at)
                self.newest_stream = max(self.newest_stream, (at, what.stream_id))
            case StreamStopped() | SocketClosed() as what:
                self._apply_stop(what, at)
            case FirstInbound():
                self._reach(Stage.FIRST_INBOUND, at)
            case FirstOutbound():
                self._reach(Stage.FIRST_OUTBOUND, at)
            case MediaCounted() as what:
                stream_id = what.stream_id
                counted = self.counts.get(stream_id)
                self.counted_at[stream_id], self.counts[stream_id] = _later(
                    (self.counted_at[stream_id], counted) if counted is not None else None, at, what
                )
            case HandlerStarted():
                self.entered_unix_ms = max(self.entered_unix_ms, at)
            case HandlerEnded(cancelled=False):
                self.finished_unix_ms = max(self.finished_unix_ms, at)
            case HandlerFailed() as what:
                self.finished_unix_ms = max(self.finished_unix_ms, at)
                self.handler_failure = _later(self.handler_failure, at, what)
            case _:
                pass

    def _apply_sent(self, what: CommandSent, at: int) -> None:
        before = self.commands.get(what.command_id)
        self.sent_unix_ms[what.command_id], self.commands[what.command_id] = _earlier(
            (self.sent_unix_ms[what.command_id], before) if before is not None else None, at, what
        )

    def _apply_stop(self, what: StreamStopped | SocketClosed, at: int) -> None:
        if what.replaced:
            return  # a newer stream, perhaps of the same id, goes on
        if what.stream_id is not None:
            self.stops[what.stream_id] = max(at, self.stops.get(what.stream_id, 0))
        elif isinstance(what, SocketClosed):
            self.closed_unix_ms = max(at, self.closed_unix_ms)

    def _apply_webhook(self, what: WebhookReceived, at: int) -> None:
        try:
            webhook = read_webhook(what.body)
        except RemoteProtocolError:
            return  # stored by a version that could read it
        if not isinstance(webhook, Webhook):
            return
        payload: CallPayload = webhook.payload
        stamp = stamp_of(webhook, at)
        leg = self.legs.get(payload.call_leg_id)
        if leg is None:
            leg = self.legs[payload.call_leg_id] = Leg(payload.call_leg_id, payload.call_control_id, stamp)
        leg.apply(payload, stamp, at)
        self.conferences.apply(payload, stamp, at)
        if webhook.event_type in MACHINE_TOLD:
            leg.detected(MACHINE_TOLD[webhook.event_type], getattr(payload, "result", None), stamp)
        self._choose_leg()
        if webhook.event_type in DONE_BY_TELNYX:
            self.done_by_telnyx.setdefault(webhook.event_type, set()).add(webhook.id)
        if isinstance(payload, CallSpeakEnded):
            self.speaks_ended[webhook.id] = min(at, self.speaks_ended.get(webhook.id, at))
        if isinstance(payload, CallReferCompleted | CallReferFailed):
            self.referred[webhook.id] = min(at, self.referred.get(webhook.id, (at,))[0]), payload
        if isinstance(payload, StreamingFailed):
            self.failed_unix_ms = max(self.failed_unix_ms, at)
            self.failures[webhook.id] = min(at, self.failures.get(webhook.id, (at,))[0]), payload
        elif isinstance(payload, StreamingStarted) and webhook.event_type == "streaming.started":
            self.streaming_started = True

    def _choose_leg(self) -> None:
        self.leg = leg = main_leg(self.legs.values())
        if leg is not None and leg.answered_unix_ms:
            self.stages[Stage.CALL_ANSWERED] = leg.answered_unix_ms
        else:
            self.stages.pop(Stage.CALL_ANSWERED, None)

    def _reach(self, stage: Stage, at: int) -> None:
        self.stages[stage] = min(at, self.stages.get(stage, at))

    def _over(self, call_control_id: CallControlId | None, at: int) -> None:
        ended = call_control_id or ""
        self.ended_at[ended] = min(at, self.ended_at.get(ended, at))

    # --- deciding ----------------------------------------------------------------------------------------------------

    def next_commands(self, plan: StreamPlan, token: str | None) -> list[Command]:
        """What the call needs now: an answer while it rings, its stream once it is answered. Each is returned once,
        provided that the caller records a CommandSent for it."""
        leg = self.leg
        if leg is None or self.ended or self.rejected or self.decision not in (None, "answer"):
            return []
        if leg.state is LegState.INITIATED and leg.direction == "incoming" and not self._sent(Answer):
            return [plan.answer(leg.call_control_id, self.session, token)]
        if leg.state is LegState.ANSWERED and not self._sent(StreamingStart) and not self._asked_within_answer():
            return [plan.streaming_start(leg.call_control_id, self.session, token)]
        return []

    def _sent(self, kind: type[Command]) -> bool:
        return any(sent.command == kind.NAME for sent in self.commands.values())

    def _asked_within_answer(self) -> bool:
        return any(sent.command == Answer.NAME and "stream_url" in sent.body for sent in self.commands.values())


def _later(before: Timed[W] | None, at: int, what: W) -> Timed[W]:
    """The later of two entries; of one millisecond that whose content sorts last."""
    if before is None or at > before[0]:
        return at, what
    if at < before[0] or what == before[1] or encode_what(what) < encode_what(before[1]):
        return before
    return at, what


def _earlier(before: Timed[W] | None, at: int, what: W) -> Timed[W]:
    """The earlier of two entries; of one millisecond that whose content sorts first."""
    if before is None or at < before[0]:
        return at, what
    if at > before[0] or what == before[1] or encode_what(what) > encode_what(before[1]):
        return before
    return at, what


def fold(session: SessionId, entries: Iterable[Entry]) -> CallSession:
    """The state of a call from its whole timeline."""
    state = CallSession(session)
    for entry in entries:
        state.apply(entry)
    return state


def missing_stage_sentence(session: CallSession) -> str | None:
    """Which stage was not reached, in one plain sentence, with what is known about it. None: audio flowed both ways.

    It says what happened, not why: naming the cause is the doctor's work.
    """
    missing = session.missing_stage()
    if missing is None:
        return None
    said = ""
    if missing is Stage.CALL_ANSWERED:
        said = _refused_command(session, Answer.NAME) or "the call was never answered"
    elif missing in (Stage.STREAM_STARTING, Stage.STREAM_ACCEPTED):
        said = _refused_command(session, StreamingStart.NAME) or "Telnyx was never asked for the stream"
    elif missing is Stage.SOCKET_RECEIVED:
        accepted = "Telnyx accepted streaming_start"
        failures = session.streaming_failures
        failure = failures[-1] if failures else None
        if failure is not None:
            said = f"{accepted} and reported streaming.failed ({failure.failure_reason}) for {session.stream_url}"
        else:
            said = f"{accepted}, but no upgrade request for {session.stream_url} ever reached this server"
        if session.probed is not None:
            said += f". A probe of that URL from here says: {session.probed.summary}"
    elif missing is Stage.STREAM_STARTED:
        rejection = session.rejection[1] if session.rejection is not None else None
        start_unix_ms, wrong, _ = session.unreadable
        if start_unix_ms and start_unix_ms >= session.rejected_unix_ms:
            said = f"the start frame came and could not be used: {wrong}"
        elif rejection is not None:
            said = f"we rejected the upgrade with {rejection.status}: {rejection.detail}"
        else:
            said = "no start frame came"
    elif missing is Stage.FIRST_INBOUND:
        said = "the socket opened, but no audio came in"
    elif missing is Stage.FIRST_OUTBOUND:
        said = f"the handler raised {session.handler_error}" if session.handler_error else "the handler played nothing"
    return f"Stage {missing.value} of {len(Stage)}, '{missing.label}', was not reached: {said}."


def _refused_command(session: CallSession, command: str) -> str | None:
    for answer in session.answers.values():
        if answer.command == command and not answer.accepted:
            said = [str(answer.status or "no answer"), answer.error_code or "", answer.error_detail or ""]
            return f"{command} was refused ({' '.join(filter(None, said))})"
    return None
