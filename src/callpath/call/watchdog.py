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
from callpath.call.session import CallSession
from callpath.errors import ConfigError
from callpath.timeline import CallStuck, PolicyActed, StreamMissing, What
from callpath.wire.command import Command, Hangup, Speak, StreamingStart, Transfer

NO_SOCKET, STUCK = "no_socket", "stuck"
"""The policies, as timelines name them."""

STUCK_AGAIN_MS = 30_000
"""A call that is still up so long after it was to be hung up is hung up again."""

STUCK_MAX = 3
"""After so many times we leave it: Telnyx ends a dialled call after 4 hours by itself."""

SPEAK_MS, SPEAK_MS_PER_CHAR = 10_000, 100
"""How long a sentence may take if Telnyx does not tell its end. Normal speech is 15 characters a second."""

SPEAK_CHARS_MAX = 3_000

StepKind = Literal["retry", "speak", "transfer", "hangup", "nothing"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done for a caller who hears nothing. `text` is what is spoken, or who is called."""

    kind: StepKind
    text: str = ""
    language: str = "en-US"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long what may take. 0 turns a time off."""

    socket_within_ms: int = 8_000
    no_socket_then: tuple[Step, ...] = ()
    media_idle_ms: int = 60_000
    no_handler_ms: int = 60_000
    call_ms_max: int = 14_400_000


@dataclass(frozen=True, slots=True)
class Live:
    """What only the process knows that carries the call. `idle_ms` is the time since the last frame on the socket."""

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
        if kind == "transfer" and not re.fullmatch(r"\+[1-9]\d{6,14}|sips?:\S+", argument):
            raise ConfigError(
                setting, "has a transfer to no number", "Right is transfer:+15555550123 or transfer:sip:ID@HOST"
            )
        steps.append(Step(kind, argument, language or "en-US"))
    return tuple(steps)


# --- looking ---------------------------------------------------------------------------------------------------------


def look(session: CallSession, patience: Patience, live: Live, now_unix_ms: int) -> Look:
    """What is wrong with a call at this moment. Call it at each news, and at the time that it names."""
    leg = session.leg
    if leg is None or session.ended or leg.state is not LegState.ANSWERED:
        return Look()
    stream = _look_for_stream(session, patience, live, now_unix_ms)
    life = _look_for_life(session, patience, live, now_unix_ms, busy=stream != Look())
    times = [found.again_unix_ms for found in (stream, life) if found.again_unix_ms is not None]
    return Look(stream.entries + life.entries, min(times, default=None))


def _look_for_stream(session: CallSession, patience: Patience, live: Live, now: int) -> Look:
    """Asked for, and not there: say so once for each request, then take the policy's steps one after the other."""
    requests = session.stream_requests()
    attempt = len(requests)
    if not attempt or live.socket_open or not patience.socket_within_ms:
        return Look()
    if attempt in session.missing:
        missing_at, missing = session.missing[attempt]
        return Look() if session.started_unix_ms >= missing_at else _next_step(session, patience, missing, now)
    asked_at, answer = session.sent_unix_ms[requests[-1]], session.answers.get(requests[-1])
    came = session.started_unix_ms >= asked_at
    since = max(asked_at, session.accepted_unix_ms, session.answered_unix_ms)
    failures = session.streaming_failures
    if len(failures) >= attempt:
        reason = f"Telnyx reports streaming.failed ({failures[-1].failure_reason or 'no reason'})"
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
    elif session.refused_unix_ms >= asked_at:
        seen = "refused"
    elif session.received_unix_ms >= asked_at:
        seen = "no_start"
    missing = StreamMissing(attempt=attempt, seen=seen, reason=reason, waited_ms=max(0, now - since))
    return Look((missing, *_next_step(session, patience, missing, now).entries))


def _next_step(session: CallSession, patience: Patience, missing: StreamMissing, now: int) -> Look:
    done = sum(1 for policy, _ in session.acted if policy == NO_SOCKET)
    if done:
        finished, again = _is_done(session, patience, done, missing, now)
        if not finished:
            return Look(again_unix_ms=again)
    if done >= len(patience.no_socket_then):
        return Look()
    return Look((PolicyActed(policy=NO_SOCKET, number=done + 1, step=patience.no_socket_then[done].kind),))


def _is_done(
    session: CallSession, patience: Patience, number: int, missing: StreamMissing, now: int
) -> tuple[bool, int | None]:
    """Whether a step has done what it could, and the caller still hears nothing; if not, when that may be known."""
    at, acted = session.acted[NO_SOCKET, number]
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
            chars = len(patience.no_socket_then[number - 1].text) if number <= len(patience.no_socket_then) else 0
            until = at + SPEAK_MS + SPEAK_MS_PER_CHAR * chars
            return now >= until or any(ended_at >= at for ended_at in session.speaks_ended.values()), until
        case "transfer":
            others = list(session.legs.values())[1:]
            return bool(others) and all(leg.state is LegState.ENDED for leg in others), None
        case _:
            return False, None


def _look_for_life(session: CallSession, patience: Patience, live: Live, now: int, *, busy: bool) -> Look:
    """The line is up; does anybody still talk? `busy`: something is done about it already."""
    number = len(session.stuck) + 1
    if number > STUCK_MAX:
        return Look()
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
    if not due:
        return Look()
    at, reason, since = min(due)
    if session.stuck:
        at = max(at, max(stuck_at for stuck_at, _ in session.stuck.values()) + STUCK_AGAIN_MS)
    if now < at:
        return Look(again_unix_ms=at)
    return Look((CallStuck(reason=reason, number=number, after_ms=now - since),))


def _is_transferred(session: CallSession) -> bool:
    return any(answer.command == Transfer.NAME and answer.accepted for answer in session.answers.values())


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
    steps = patience.no_socket_then
    step = steps[acted.number - 1] if acted.number <= len(steps) else None
    if step is None or step.kind != acted.step:
        return None  # the setting was changed while the call was up
    match step.kind:
        case "speak":
            return Speak(payload=step.text, voice="female", language=step.language)
        case "transfer":
            return Transfer(to=step.text)
        case _:
            return None


def _command_id(session: CallSession, acted: PolicyActed) -> str:
    assert session.leg is not None
    name = {"retry": StreamingStart.NAME}.get(acted.step, acted.step)
    return derived_command_id(session.leg.call_control_id, f"{acted.policy} {name}", acted.number)
