"""The state of one phone call, folded from its timeline, and the commands that follow from it.

    session = CallSession(session_id)
    for entry in timeline:
        session.apply(entry)
    session.stages            when each stage was reached
    session.next_commands()   what to send now

Applying an entry twice, or entries in another order, leads to the same state.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from callpath.call.leg import Leg, LegState
from callpath.call.plan import StreamPlan
from callpath.errors import RemoteProtocolError
from callpath.timeline import (
    CallChecked,
    CallStuck,
    CallTakenUp,
    CommandAnswered,
    CommandSent,
    Entry,
    FirstInbound,
    FirstOutbound,
    FrameRejected,
    HandlerFailed,
    MediaCounted,
    PolicyActed,
    SocketClosed,
    SocketReceived,
    SocketRefused,
    StreamAccepted,
    StreamMissing,
    StreamProbed,
    StreamStarted,
    StreamStarting,
    StreamStopped,
    StreamUrl,
    WebhookReceived,
)
from callpath.wire.command import Answer, Command, StreamingStart
from callpath.wire.ids import CallControlId, LegId, SessionId
from callpath.wire.webhook import CallPayload, CallSpeakEnded, StreamingFailed, StreamingStarted, Webhook, read_webhook

REFUSE = "refuse"
"""The policy that turns new calls away, as timelines name it."""

CALL_HAS_ENDED = "90018"
"""Telnyx's code for a command to a call that is over: a normal race, and its last word."""


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


@dataclass(slots=True)
class CallSession:
    """All that is known of one call. `legs` is in the order in which they were first seen."""

    session: SessionId
    legs: dict[LegId, Leg] = field(default_factory=dict)
    stages: dict[Stage, int] = field(default_factory=dict)
    """When each stage was first reached, Unix ms."""

    commands: dict[str, CommandSent] = field(default_factory=dict)
    """Commands sent, by command_id."""

    answers: dict[str, CommandAnswered] = field(default_factory=dict)
    """What Telnyx answered, by command_id."""

    stream_url: str | None = None
    streaming_started: bool = False
    streaming_failures: list[StreamingFailed] = field(default_factory=list)
    refusals: list[SocketRefused] = field(default_factory=list)
    closes: list[SocketClosed] = field(default_factory=list)
    counts: dict[str, MediaCounted] = field(default_factory=dict)
    streams_open: set[str] = field(default_factory=set)
    handler_error: str | None = None
    first_unix_ms: int | None = None
    last_unix_ms: int | None = None
    hangup_unix_ms: int | None = None
    over_unix_ms: int | None = None
    """When Telnyx said that the call is over without a call.hangup: to a command (90018), or asked for its state."""

    sent_unix_ms: dict[str, int] = field(default_factory=dict)
    """When each command was sent first, by command_id."""

    accepted_unix_ms: int = 0
    received_unix_ms: int = 0
    refused_unix_ms: int = 0
    started_unix_ms: int = 0
    """When a stream was accepted, a socket received or refused, and a stream started the last time; 0: never."""

    unreadable: tuple[int, str, str] = (0, "", "")
    """When a start frame came that no stream can begin with, the last time, what is wrong with it, and the reason as a
    word."""

    stream_unix_ms: int = 0
    """When the stream was asked for, or last showed life: that is how old the call's token is. Refusals are none."""

    speaks_ended: dict[str, int] = field(default_factory=dict)
    """When Telnyx had spoken, by event id."""

    failed_unix_ms: int = 0
    taken_up_unix_ms: int = 0
    """When Telnyx reported a stream as failed, and when a process took the call up after a restart, the last time."""

    missing: tuple[int, StreamMissing] | None = None
    """The last one, with the time."""

    stuck: dict[int, tuple[int, CallStuck]] = field(default_factory=dict)
    acted: dict[tuple[str, int], tuple[int, PolicyActed]] = field(default_factory=dict)
    """The steps of policies, by policy and number, with the time."""

    probed: StreamProbed | None = None
    checked: tuple[int, CallChecked] | None = None

    # --- reading -----------------------------------------------------------------------------------------------------

    @property
    def leg(self) -> Leg | None:
        """The leg that talks to us: the first that was seen."""
        return next(iter(self.legs.values()), None)

    @property
    def ended(self) -> bool:
        return self.over_unix_ms is not None or (self.leg is not None and self.leg.state is LegState.ENDED)

    @property
    def refused(self) -> bool:
        """We turned the call away."""
        return any(policy == REFUSE for policy, _ in self.acted)

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
        if self.leg.state is LegState.ANSWERED and self.streams_open:
            return "streaming"
        return {
            LegState.SEEN: "new",
            LegState.INITIATED: "ringing",
            LegState.ANSWERED: "answered",
            LegState.ENDED: "ended",
        }[self.leg.state]

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
                self.commands[what.command_id] = what
                self.sent_unix_ms[what.command_id] = min(at, self.sent_unix_ms.get(what.command_id, at))
            case CommandAnswered() as what:
                self.answers[what.command_id] = what
                if what.error_code == CALL_HAS_ENDED:
                    self._over(at)
            case StreamStarting():
                self._reach(Stage.STREAM_STARTING, at)
            case StreamUrl() as what:
                self.stream_url = what.url
            case StreamAccepted():
                self._reach(Stage.STREAM_ACCEPTED, at)
                self.accepted_unix_ms = max(self.accepted_unix_ms, at)
            case SocketReceived():
                self._reach(Stage.SOCKET_RECEIVED, at)
                self.received_unix_ms = max(self.received_unix_ms, at)
            case SocketRefused() as what:
                self.refusals.append(what)
                self.refused_unix_ms = max(self.refused_unix_ms, at)
            case FrameRejected(reason=reason, detail=detail) as what if what.is_start:
                self.unreadable = max(self.unreadable, (at, detail, reason))
            case StreamMissing() as what:
                self.missing = max(self.missing or (0, what), (at, what), key=lambda item: (item[0], item[1].attempt))
            case StreamProbed() as what:
                self.probed = what
            case CallStuck() as what:
                self.stuck[what.number] = (at, what)
            case PolicyActed() as what:
                self.acted[what.policy, what.number] = (at, what)
            case CallTakenUp():
                self.taken_up_unix_ms = max(self.taken_up_unix_ms, at)
            case CallChecked() as what:
                self.checked = max(self.checked or (0, what), (at, what), key=lambda item: item[0])
                if what.alive is False:
                    self._over(at)
            case StreamStarted() as what:
                self._reach(Stage.STREAM_STARTED, at)
                self.started_unix_ms = max(self.started_unix_ms, at)
                self.streams_open.add(what.stream_id)
            case StreamStopped() as what:
                self.streams_open.discard(what.stream_id or "")
            case FirstInbound():
                self._reach(Stage.FIRST_INBOUND, at)
            case FirstOutbound():
                self._reach(Stage.FIRST_OUTBOUND, at)
            case MediaCounted() as what:
                self.counts[what.stream_id] = what
            case SocketClosed() as what:
                self.closes.append(what)
                self.streams_open.clear()
            case HandlerFailed() as what:
                self.handler_error = what.error
            case _:
                pass

    def _apply_webhook(self, what: WebhookReceived, at: int) -> None:
        try:
            webhook = read_webhook(what.body)
        except RemoteProtocolError:
            return  # stored by a version that could read it
        if not isinstance(webhook, Webhook):
            return
        payload: CallPayload = webhook.payload
        leg = self.legs.setdefault(payload.call_leg_id, Leg(payload.call_leg_id, payload.call_control_id))
        leg.apply(payload)
        if leg is self.leg and leg.state >= LegState.ANSWERED and webhook.event_type == "call.answered":
            self._reach(Stage.CALL_ANSWERED, at)
        if leg is self.leg and leg.state is LegState.ENDED and webhook.event_type == "call.hangup":
            self.hangup_unix_ms = at
        if isinstance(payload, CallSpeakEnded):
            self.speaks_ended[webhook.id] = at
        if isinstance(payload, StreamingFailed):
            self.failed_unix_ms = max(self.failed_unix_ms, at)
            if payload not in self.streaming_failures:
                self.streaming_failures.append(payload)
        elif isinstance(payload, StreamingStarted) and webhook.event_type == "streaming.started":
            self.streaming_started = True

    def _reach(self, stage: Stage, at: int) -> None:
        self.stages[stage] = min(at, self.stages.get(stage, at))

    def _over(self, at: int) -> None:
        self.over_unix_ms = at if self.over_unix_ms is None else min(self.over_unix_ms, at)

    # --- deciding ----------------------------------------------------------------------------------------------------

    def next_commands(self, plan: StreamPlan, token: str | None) -> list[Command]:
        """What the call needs now: an answer while it rings, its stream once it is answered. Each is returned once,
        provided that the caller records a CommandSent for it."""
        leg = self.leg
        if leg is None or self.ended or self.refused:
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
        failure = session.streaming_failures[-1] if session.streaming_failures else None
        if failure is not None:
            said = f"{accepted} and reported streaming.failed ({failure.failure_reason}) for {session.stream_url}"
        else:
            said = f"{accepted}, but no upgrade request for {session.stream_url} ever reached this server"
        if session.probed is not None:
            said += f". A probe of that URL from here says: {session.probed.summary}"
    elif missing is Stage.STREAM_STARTED:
        refusal = session.refusals[-1] if session.refusals else None
        start_unix_ms, wrong, _ = session.unreadable
        if start_unix_ms and start_unix_ms >= session.refused_unix_ms:
            said = f"the start frame came, but {wrong}"
        elif refusal is not None:
            said = f"we refused the upgrade with {refusal.status}: {refusal.detail}"
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
