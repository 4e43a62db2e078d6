"""Calls that go wrong while the line is up: when that is so, and what is done for the caller. Pure.

    evaluate(session, policy, state, now_unix_ms)   what to write into the timeline now, and when to evaluate again
    due_commands(session, plan, token, policy)      the commands that follow from the steps that were taken

A step is an entry first and a command after, so that a call that another process recovers goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from callpath.call.conferences import CONFERENCE_MS_MAX
from callpath.call.ending import (
    SPEAK_MS,
    SPEAK_MS_PER_CHAR,
    is_being_hung_up,
    is_handed_on,
    is_silenced,
    longest_ring,
    needs_handler,
)
from callpath.call.leg import LegState
from callpath.call.plan import StreamPlan, derived_command_id
from callpath.call.policies import CallPolicy
from callpath.call.session import REJECT, CallSession
from callpath.timeline import CallRejected, CallStuck, PolicyActed, StreamMissing, What
from callpath.wire.command import Command, Hangup, Reject, Speak, StreamingStart, Transfer

NO_SOCKET, STUCK = "no_socket", "stuck"
"""The policies, as timelines name them."""

NO_EVENTS = "no_events"
"""Why a call is stuck of which we know only that it rang, or that the party rings that the caller is transferred to.
(Timelines before December 2026: `unheard`.)"""

RING_MS_MAX = 600_000
"""The longest that Telnyx lets a dialled call ring."""

NO_EVENTS_MS_MIN = 60_000
"""How long the webhook that tells what became of a ringing call, or of a ringing party of a transfer, may take: Telnyx
repeats one for a minute."""

STUCK_AGAIN_MS, STUCK_AGAIN_MS_MAX = 30_000, 600_000
"""A call of which Telnyx was asked, and which is still stuck, is asked about again after this long; doubled each time."""


@dataclass(frozen=True, slots=True)
class RuntimeState:
    """What only the process knows that carries the call."""

    refusing: CallRejected | None = None
    """Why no new call can be taken; None: it can."""

    socket_open: bool = False
    stream_open: bool = False
    """The socket's start frame has come, too."""

    idle_ms: float = 0.0
    """Time since the last frame on the socket."""

    lost_ms: float | None = None
    """Time since the socket was lost; None: it is there, or there never was one here."""

    handler_running: bool = False

    told_unix_ms: int = 0
    """When this process last read something new of the call in the log; 0: never. It may learn of an answer long after that
    came, and what is due then takes a moment."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Entries to write, in order, and when to evaluate again (Unix ms; None: when there is news)."""

    entries: tuple[What, ...] = ()
    again_unix_ms: int | None = None
    enter_handler: bool = False
    """A stream is open, and no handler serves the call."""

    busy: bool = False
    """The call waits for something that was asked for: a stream, or a step of a policy."""


# --- evaluating ------------------------------------------------------------------------------------------------------


def evaluate(session: CallSession, policy: CallPolicy, state: RuntimeState, now_unix_ms: int) -> Evaluation:
    """What is wrong with a call at this moment. Call it at each news, and at the time that it names."""
    leg = session.leg
    if leg is None or session.ended:
        return Evaluation()
    if leg.state is LegState.INITIATED:
        room = _check_room(session, policy, state) if leg.direction == "incoming" else Evaluation()
        return room if room.entries else _check_events(session, policy, now_unix_ms)
    if leg.state is not LegState.ANSWERED:
        return Evaluation()
    stream = _check_stream(session, policy, state, now_unix_ms)
    life = _check_life(session, policy, state, now_unix_ms, busy=stream.busy)
    times = [found.again_unix_ms for found in (stream, life) if found.again_unix_ms is not None]
    return Evaluation(stream.entries + life.entries, min(times, default=None), life.enter_handler)


def _check_room(session: CallSession, policy: CallPolicy, state: RuntimeState) -> Evaluation:
    """A new call, and no room: it is turned away. One that we have begun to take is taken."""
    steps = sorted((item for _, item in session.acted.values() if item.policy == REJECT), key=lambda item: item.number)
    if not steps:
        if state.refusing is None or session.commands or session.decision not in (None, "answer"):
            return Evaluation()
        return Evaluation((state.refusing, PolicyActed(policy=REJECT, number=1, step=policy.refuse_with[0].kind)))
    answer, done = session.answers.get(_command_id(session, steps[-1])), len(steps)
    if answer is None or answer.accepted or done >= len(policy.refuse_with):
        return Evaluation()
    return Evaluation((PolicyActed(policy=REJECT, number=done + 1, step=policy.refuse_with[done].kind, position=done),))


def _check_stream(session: CallSession, policy: CallPolicy, state: RuntimeState, now: int) -> Evaluation:
    """Asked for, and not there: say so once for each request, then take the policy's steps one after the other."""
    requests = session.stream_requests()
    attempt = len(requests)
    if not attempt or state.stream_open or not policy.socket_within_ms or _is_leaving(session):
        return Evaluation()
    if session.missing is not None:
        missing_at, missing = session.missing
        if missing.attempt == attempt and missing_at > session.started_unix_ms:
            return _next_step(session, policy, missing, now)
    asked_at, answer = session.sent_unix_ms[requests[-1]], session.answers.get(requests[-1])
    came = session.started_unix_ms >= asked_at
    since = max(asked_at, session.accepted_unix_ms, session.answered_unix_ms, session.recovered_unix_ms)
    failures = session.streaming_failures
    # One that never came is counted, since a late report of the first request is not about the second.
    if session.failed_unix_ms > session.started_unix_ms if came else len(failures) >= attempt:
        reason = f"Telnyx reports streaming.failed ({failures[-1].failure_reason or 'no reason'})"
    elif came and session.recovered_unix_ms > session.started_unix_ms and now >= since + policy.socket_within_ms:
        reason = f"lost with a restart, and not back within {policy.socket_within_ms / 1000:g} s"
    elif came and session.recovered_unix_ms > session.started_unix_ms:
        return Evaluation(again_unix_ms=since + policy.socket_within_ms, busy=True)
    elif came and state.lost_ms is not None and state.lost_ms >= policy.reconnect_ms:
        reason = f"the socket was lost, and not back within {policy.reconnect_ms / 1000:g} s"
    elif came and state.lost_ms is not None:
        return Evaluation(again_unix_ms=now + int(policy.reconnect_ms - state.lost_ms) + 1, busy=True)
    elif came or answer is None:
        return Evaluation(busy=answer is None or state.socket_open)
    elif not answer.accepted:
        said = " ".join(filter(None, (str(answer.status or "no answer"), answer.error_code, answer.error_detail)))
        reason = f"the request was not accepted ({said})"
    elif now >= since + policy.socket_within_ms:
        reason = f"accepted, and no stream within {policy.socket_within_ms / 1000:g} s"
    else:
        return Evaluation(again_unix_ms=since + policy.socket_within_ms, busy=True)
    seen = "nothing"
    if came:
        seen = "lost"
    elif session.unreadable[0] >= asked_at:
        seen = "encoding" if session.unreadable[2] == "encoding" else "bad_start"
        reason += f"; the start frame came and could not be used: {session.unreadable[1]}"
    elif session.rejected_unix_ms >= asked_at:
        seen = "refused"
    elif session.received_unix_ms >= asked_at:
        seen = "no_start"
    missing = StreamMissing(attempt=attempt, seen=seen, reason=reason, waited_ms=max(0, now - since))
    step = _next_step(session, policy, missing, now)
    return Evaluation((missing, *step.entries), step.again_unix_ms, busy=step.busy)


def _next_step(session: CallSession, policy: CallPolicy, missing: StreamMissing, now: int) -> Evaluation:
    steps = [(at, acted) for at, acted in session.acted.values() if acted.policy == NO_SOCKET]
    # A stream that came since then ended the sequence: what happens to it later begins a new one.
    lately = sorted((item for item in steps if item[0] > session.started_unix_ms), key=lambda item: item[1].position)
    if lately:
        finished, again = _is_done(session, *lately[-1], missing, now)
        if not finished:
            return Evaluation(again_unix_ms=again, busy=True)
    if len(lately) >= len(policy.no_socket_then):
        return Evaluation()
    position = len(lately)
    kind = policy.no_socket_then[position].kind
    acted = PolicyActed(policy=NO_SOCKET, number=len(steps) + 1, step=kind, position=position)
    return Evaluation((acted,), busy=True)


def _is_done(
    session: CallSession, at: int, acted: PolicyActed, missing: StreamMissing, now: int
) -> tuple[bool, int | None]:
    """Whether a step has done what it could, and the caller still hears nothing; if not, when that may be known."""
    command_id = _command_id(session, acted)
    answer = session.answers.get(command_id)
    if command_id not in session.commands and acted.step != "nothing":
        return False, None
    if answer is not None and not answer.accepted:
        return True, None
    match acted.step:
        case "retry":
            return missing.attempt > session.stream_requests().index(command_id), None
        case "speak":
            chars = len(session.commands[command_id].body.get("payload", ""))
            until = at + SPEAK_MS + SPEAK_MS_PER_CHAR * chars
            return now >= until or any(ended_at >= at for ended_at in session.speaks_ended.values()), until
        case "transfer":
            others = [leg for leg in session.other_legs if leg.seen_unix_ms >= at]
            return bool(others) and all(leg.state is LegState.ENDED for leg in others), None
        case _:
            return False, None


def _check_events(session: CallSession, policy: CallPolicy, now: int) -> Evaluation:
    """It rings, and nothing more is heard of it: the webhook that would say what became of it is lost."""
    if not policy.no_handler_ms or is_handed_on(session) or is_being_hung_up(session):
        return Evaluation()
    last = session.last_unix_ms or now
    wait_ms = max(policy.no_handler_ms, NO_EVENTS_MS_MIN if session.commands else RING_MS_MAX)
    return _stuck(session, [(last + wait_ms, NO_EVENTS, last)], now)


def _check_life(session: CallSession, policy: CallPolicy, state: RuntimeState, now: int, *, busy: bool) -> Evaluation:
    """The line is up; does anybody serve it? `busy`: something is done about it already."""
    if is_being_hung_up(session):
        return Evaluation()  # until it is over: `call.ending`
    due: list[tuple[int, str, int]] = []
    if policy.call_ms_max and session.answered_unix_ms:
        due.append((session.answered_unix_ms + policy.call_ms_max, "too_long", session.answered_unix_ms))
    if state.socket_open and policy.media_idle_ms:
        last = now - int(state.idle_ms)
        due.append((last + policy.media_idle_ms, "media_idle", last))
    ring = longest_ring(session)
    if ring is not None and policy.no_handler_ms:
        due.append((ring[1] + NO_EVENTS_MS_MIN, NO_EVENTS, ring[0]))
    if session.handler_finished and policy.no_handler_ms and session.conference is not None:
        since = session.last_unix_ms or now  # the event that the leg has left may be lost: Telnyx ends each conference
        due.append((since + CONFERENCE_MS_MAX + NO_EVENTS_MS_MIN, NO_EVENTS, since))
    alone = needs_handler(session) and not state.handler_running and not busy
    if alone and state.stream_open:
        return Evaluation(enter_handler=True, again_unix_ms=now + 1_000)
    if alone and policy.no_handler_ms:
        last = max(session.last_unix_ms or now, state.told_unix_ms)
        due.append((last + policy.no_handler_ms, "no_handler", last))
    return _stuck(session, due, now)


def _stuck(session: CallSession, due: list[tuple[int, str, int]], now: int) -> Evaluation:
    """The first of `due`: when, why, and since when it is so."""
    if not due:
        return Evaluation()
    number = len(session.stuck) + 1
    at, reason, since = min(due)
    if session.stuck:
        pause_ms = min(STUCK_AGAIN_MS * 2 ** min(number - 2, 10), STUCK_AGAIN_MS_MAX)
        at = max(at, max(stuck_at for stuck_at, _ in session.stuck.values()) + pause_ms)
    if now < at:
        return Evaluation(again_unix_ms=at)
    return Evaluation((CallStuck(reason=reason, number=number, after_ms=now - since),))


def _is_leaving(session: CallSession) -> bool:
    """The handler is done, or the call is being hung up, was handed on, or its stream was stopped on purpose: that the
    stream is gone is no fault. (A hangup or a transfer of this policy's own may fail.)"""
    if session.handler_finished or is_silenced(session):
        return True
    steps = {_command_id(session, acted) for _, acted in session.acted.values() if acted.policy == NO_SOCKET}
    if any(acted.step == "hangup" and acted.policy != NO_SOCKET for _, acted in session.acted.values()):
        return True
    if any(sent.command_id not in steps for sent in session.sent(Hangup.NAME)):
        return True
    return is_handed_on(session) and not any(sent.command_id in steps for sent in session.sent(Transfer.NAME))


# --- acting ----------------------------------------------------------------------------------------------------------


def due_commands(session: CallSession, plan: StreamPlan, token: str | None, policy: CallPolicy) -> list[Command]:
    """The commands of the steps that were taken and not yet sent. Each is returned until its CommandSent is recorded."""
    if session.leg is None or session.ended:
        return []
    due = []
    for _, acted in session.acted.values():
        command_id = _command_id(session, acted)
        command = None if command_id in session.commands else _command(session, plan, token, policy, acted)
        if command is not None:
            due.append(msgspec.structs.replace(command, command_id=command_id))
    return due


def _command(
    session: CallSession, plan: StreamPlan, token: str | None, policy: CallPolicy, acted: PolicyActed
) -> Command | None:
    assert session.leg is not None
    if acted.step == "hangup":
        return Hangup()
    if acted.step == "retry":
        return plan.streaming_start(session.leg.call_control_id, session.session, token)
    steps = policy.refuse_with if acted.policy == REJECT else policy.no_socket_then
    step = steps[acted.position] if acted.position < len(steps) else None
    if step is None or step.kind != acted.step:
        return None  # the setting was changed while the call was up
    match step.kind:
        case "speak":
            return Speak(payload=step.text, voice="female", language=step.language)
        case "transfer":
            return Transfer(to=step.text)
        case "busy":
            return Reject(cause="USER_BUSY")
        case "reject":
            return Reject(cause="CALL_REJECTED")
        case _:
            return None


def _command_id(session: CallSession, acted: PolicyActed) -> str:
    assert session.leg is not None
    name = {"retry": StreamingStart.NAME, "busy": Reject.NAME}.get(acted.step, acted.step)
    return derived_command_id(session.leg.call_control_id, f"{acted.policy} {name}", acted.number)
