"""Calls that go wrong while the line is up: when that is so, and what is done for the caller. Pure.

    look(session, patience, live, now_unix_ms)     what to write into the timeline now, and when to look again
    due_commands(session, plan, token, patience)   the commands that follow from the steps that were taken

A step is an entry first and a command after, so that a call that is taken up by another process goes on where it was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import msgspec

from callpath.call.leg import LegState
from callpath.call.plan import StreamPlan, derived_command_id
from callpath.call.session import REFUSE, CallSession
from callpath.errors import ConfigError
from callpath.timeline import CallRefused, CallStuck, PolicyActed, StreamMissing, What
from callpath.wire.command import Command, Hangup, Reject, Speak, StreamingStart, Transfer

NO_SOCKET, STUCK = "no_socket", "stuck"
"""The policies, as timelines name them."""

UNHEARD = "unheard"
"""Why a call is stuck of which we know only that it rang, and what we sent."""

RING_MS_MAX = 600_000
"""The longest that Telnyx lets a dialled call ring."""

STUCK_AGAIN_MS = 30_000
"""A call that is still up so long after it was to be hung up is hung up again."""

STUCK_MAX = 3
"""After so many times we leave it: Telnyx ends a dialled call after 4 hours by itself."""

SPEAK_MS, SPEAK_MS_PER_CHAR = 10_000, 100
"""How long a sentence may take if Telnyx does not tell its end. Normal speech is 15 characters a second."""

SPEAK_CHARS_MAX = 3_000

StepKind = Literal["retry", "speak", "transfer", "hangup", "nothing", "busy", "reject"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done for a caller whom we cannot serve. `text` is what is spoken, or who is called."""

    kind: StepKind
    text: str = ""
    language: str = "en-US"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long what may take. 0 turns a time off."""

    socket_within_ms: int = 8_000
    no_socket_then: tuple[Step, ...] = ()
    refuse_with: tuple[Step, ...] = (Step("busy"),)
    media_idle_ms: int = 60_000
    no_handler_ms: int = 60_000
    call_ms_max: int = 14_400_000


@dataclass(frozen=True, slots=True)
class Live:
    """What only the process knows that carries the call. `idle_ms` is the time since the last frame on the socket;
    `refusing`, where set, is why no new call can be taken."""

    refusing: CallRefused | None = None
    socket_open: bool = False
    idle_ms: float = 0.0
    handler_running: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """Entries to write, in order, and when to look again (Unix ms; None: when there is news)."""

    entries: tuple[What, ...] = ()
    again_unix_ms: int | None = None


def parse_steps(setting: str, text: str) -> tuple[Step, ...]:
    """The steps in `text`, as in "retry,speak:Please call again,hangup". Raises ConfigError naming `setting`."""
    steps = []
    for part in re.split(r",(?=\s*(?:retry|speak|transfer|hangup|nothing)\b)", text):
        found = re.fullmatch(r"\s*(retry|hangup|nothing)\s*|\s*(speak|transfer)(?:\[([\w-]+)\])?:(.*)", part, re.S)
        if found is None:
            raise ConfigError(
                setting,
                f"has {part.strip()!r}, which is no step",
                f"Right are retry, speak:TEXT, speak[de-DE]:TEXT, transfer:NUMBER, hangup and nothing, in the order in "
                f"which they are tried, for example {setting}=retry,speak:Please call again,hangup",
            )
        kind: StepKind = found[1] or found[2]  # type: ignore[assignment]
        language, argument = found[3], found[4]
        argument = (argument or "").strip()
        if kind == "speak" and not 0 < len(argument) <= SPEAK_CHARS_MAX:
            raise ConfigError(setting, f"has a speak with {len(argument)} characters", "Telnyx speaks 1 to 3,000")
        if kind == "transfer":
            _check_number(setting, argument)
        steps.append(Step(kind, argument, language or "en-US"))
    return tuple(steps)


def parse_refusal(setting: str, text: str) -> tuple[Step, ...]:
    """What is done with a call that cannot be taken: `busy`, `reject` or `transfer:NUMBER`. Raises ConfigError.

    Whether Telnyx transfers a call that nobody has answered is not documented: if it refuses, the line is busy.
    """
    if text == "busy":
        return (Step("busy"),)
    if text == "reject":
        return (Step("reject"),)
    if text.startswith("transfer:"):
        _check_number(setting, text.removeprefix("transfer:"))
        return (Step("transfer", text.removeprefix("transfer:")), Step("busy"))
    raise ConfigError(setting, f"is {text!r}", "Right is busy, reject, or transfer:+15555550123")


def _check_number(setting: str, number: str) -> None:
    if not re.fullmatch(r"\+[1-9]\d{6,14}|sips?:\S+", number):
        raise ConfigError(
            setting, "has a transfer to no number", "Right is transfer:+15555550123 or transfer:sip:ID@HOST"
        )


# --- looking ---------------------------------------------------------------------------------------------------------


def look(session: CallSession, patience: Patience, live: Live, now_unix_ms: int) -> Look:
    """What is wrong with a call at this moment. Call it at each news, and at the time that it names."""
    leg = session.leg
    if leg is None or session.ended:
        return Look()
    if leg.state is LegState.INITIATED:
        room = _look_for_room(session, patience, live) if leg.direction == "incoming" else Look()
        return room if room.entries else _look_for_news(session, patience, now_unix_ms)
    if leg.state is not LegState.ANSWERED:
        return Look()
    stream = _look_for_stream(session, patience, live, now_unix_ms)
    life = _look_for_life(session, patience, live, now_unix_ms, busy=stream != Look())
    times = [found.again_unix_ms for found in (stream, life) if found.again_unix_ms is not None]
    return Look(stream.entries + life.entries, min(times, default=None))


def _look_for_room(session: CallSession, patience: Patience, live: Live) -> Look:
    """A new call, and no room: it is turned away. One that we have begun to take is taken."""
    steps = sorted((item for _, item in session.acted.values() if item.policy == REFUSE), key=lambda item: item.number)
    if not steps:
        if live.refusing is None or session.commands:
            return Look()
        return Look((live.refusing, PolicyActed(policy=REFUSE, number=1, step=patience.refuse_with[0].kind)))
    answer, done = session.answers.get(_command_id(session, steps[-1])), len(steps)
    if answer is None or answer.accepted or done >= len(patience.refuse_with):
        return Look()
    return Look((PolicyActed(policy=REFUSE, number=done + 1, step=patience.refuse_with[done].kind, position=done),))


def _look_for_stream(session: CallSession, patience: Patience, live: Live, now: int) -> Look:
    """Asked for, and not there: say so once for each request, then take the policy's steps one after the other."""
    requests = session.stream_requests()
    attempt = len(requests)
    if not attempt or live.socket_open or not patience.socket_within_ms or _is_leaving(session):
        return Look()
    if session.missing is not None:
        missing_at, missing = session.missing
        if missing.attempt == attempt and missing_at > session.started_unix_ms:
            return _next_step(session, patience, missing, now)
    asked_at, answer = session.sent_unix_ms[requests[-1]], session.answers.get(requests[-1])
    came = session.started_unix_ms >= asked_at
    since = max(asked_at, session.accepted_unix_ms, session.answered_unix_ms, session.recovered_unix_ms)
    failures = session.streaming_failures
    # One that never came is counted, since a late report of the first request is not about the second.
    if session.failed_unix_ms > session.started_unix_ms if came else len(failures) >= attempt:
        reason = f"Telnyx reports streaming.failed ({failures[-1].failure_reason or 'no reason'})"
    elif came and session.recovered_unix_ms > session.started_unix_ms and now >= since + patience.socket_within_ms:
        reason = f"lost with a restart, and not back within {patience.socket_within_ms / 1000:g} s"
    elif came and session.recovered_unix_ms > session.started_unix_ms:
        return Look(again_unix_ms=since + patience.socket_within_ms)
    elif came or answer is None:
        return Look()
    elif not answer.accepted:
        said = " ".join(filter(None, (str(answer.status or "no answer"), answer.error_code, answer.error_detail)))
        reason = f"the request was not accepted ({said})"
    elif now >= since + patience.socket_within_ms:
        reason = f"accepted, and no stream within {patience.socket_within_ms / 1000:g} s"
    else:
        return Look(again_unix_ms=since + patience.socket_within_ms)
    seen = "nothing"
    if came:
        seen = "lost"
    elif session.unreadable[0] >= asked_at:
        seen = "encoding" if session.unreadable[2] == "encoding" else "bad_start"
        reason += f"; the start frame came and could not be used: {session.unreadable[1]}"
    elif session.refused_unix_ms >= asked_at:
        seen = "refused"
    elif session.received_unix_ms >= asked_at:
        seen = "no_start"
    missing = StreamMissing(attempt=attempt, seen=seen, reason=reason, waited_ms=max(0, now - since))
    return Look((missing, *_next_step(session, patience, missing, now).entries))


def _next_step(session: CallSession, patience: Patience, missing: StreamMissing, now: int) -> Look:
    steps = [(at, acted) for at, acted in session.acted.values() if acted.policy == NO_SOCKET]
    # A stream that came since then ended the sequence: what happens to it later begins a new one.
    lately = sorted((item for item in steps if item[0] > session.started_unix_ms), key=lambda item: item[1].position)
    if lately:
        finished, again = _is_done(session, *lately[-1], missing, now)
        if not finished:
            return Look(again_unix_ms=again)
    if len(lately) >= len(patience.no_socket_then):
        return Look()
    position = len(lately)
    kind = patience.no_socket_then[position].kind
    return Look((PolicyActed(policy=NO_SOCKET, number=len(steps) + 1, step=kind, position=position),))


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
            others = session.other_legs
            return bool(others) and all(leg.state is LegState.ENDED for leg in others), None
        case _:
            return False, None


def _look_for_news(session: CallSession, patience: Patience, now: int) -> Look:
    """It rings, and nothing more is heard of it: the webhook that would say what became of it is lost."""
    if not patience.no_handler_ms or _is_transferred(session):
        return Look()
    last = session.last_unix_ms or now
    wait_ms = patience.no_handler_ms if session.commands else max(patience.no_handler_ms, RING_MS_MAX)
    return _stuck(session, [(last + wait_ms, UNHEARD, last)], now)


def _look_for_life(session: CallSession, patience: Patience, live: Live, now: int, *, busy: bool) -> Look:
    """The line is up; does anybody still talk? `busy`: something is done about it already."""
    due: list[tuple[int, str, int]] = []
    if patience.call_ms_max and session.answered_unix_ms:
        due.append((session.answered_unix_ms + patience.call_ms_max, "too_long", session.answered_unix_ms))
    if live.socket_open and patience.media_idle_ms:
        last = now - int(live.idle_ms)
        due.append((last + patience.media_idle_ms, "media_idle", last))
    alone = not live.socket_open and not live.handler_running and not busy and not _is_transferred(session)
    if alone and patience.no_handler_ms:
        last = session.last_unix_ms or now
        due.append((last + patience.no_handler_ms, "no_handler", last))
    return _stuck(session, due, now)


def _stuck(session: CallSession, due: list[tuple[int, str, int]], now: int) -> Look:
    """The first of `due`: when, why, and since when it is so."""
    number = len(session.stuck) + 1
    if not due or number > STUCK_MAX:
        return Look()
    at, reason, since = min(due)
    if session.stuck:
        at = max(at, max(stuck_at for stuck_at, _ in session.stuck.values()) + STUCK_AGAIN_MS)
    if now < at:
        return Look(again_unix_ms=at)
    return Look((CallStuck(reason=reason, number=number, after_ms=now - since),))


def _is_leaving(session: CallSession) -> bool:
    """The call is being hung up, or somebody else's: that its stream goes is no fault. (Not by a step of this policy's:
    those may fail.)"""
    steps = {_command_id(session, acted) for _, acted in session.acted.values() if acted.policy == NO_SOCKET}
    return any(acted.step == "hangup" and acted.policy != NO_SOCKET for _, acted in session.acted.values()) or any(
        sent.command == Hangup.NAME
        or (sent.command == Transfer.NAME and sent.command_id not in steps and _is_accepted(session, sent.command_id))
        for sent in session.commands.values()
    )


def _is_transferred(session: CallSession) -> bool:
    return any(
        sent.command == Transfer.NAME and _is_accepted(session, sent.command_id) for sent in session.commands.values()
    )


def _is_accepted(session: CallSession, command_id: str) -> bool:
    answer = session.answers.get(command_id)
    return answer is not None and answer.accepted


# --- acting ----------------------------------------------------------------------------------------------------------


def due_commands(session: CallSession, plan: StreamPlan, token: str | None, patience: Patience) -> list[Command]:
    """The commands of the steps that were taken and not yet sent. Each is returned until its CommandSent is recorded."""
    if session.leg is None or session.ended:
        return []
    due = []
    for _, acted in session.acted.values():
        command_id = _command_id(session, acted)
        command = None if command_id in session.commands else _command(session, plan, token, patience, acted)
        if command is not None:
            due.append(msgspec.structs.replace(command, command_id=command_id))
    return due


def _command(
    session: CallSession, plan: StreamPlan, token: str | None, patience: Patience, acted: PolicyActed
) -> Command | None:
    assert session.leg is not None
    if acted.step == "hangup":
        return Hangup()
    if acted.step == "retry":
        return plan.streaming_start(session.leg.call_control_id, session.session, token)
    steps = patience.refuse_with if acted.policy == REFUSE else patience.no_socket_then
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
