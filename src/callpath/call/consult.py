"""A consult: a caller on hold, a second call to somebody who may take the caller, and what follows for each. Pure.

The two calls are two sessions, each with its own timeline; what concerns the other one is written into both. So either can
be carried on by another process, and neither waits for a task of a process that is gone.

    consult_due(session, now_unix_ms)   the first call: entries to write and commands to send now
    news_of(session)                    the second call: what the first one has to know of it
    ends_for(session, command_id)       the first call: what the second one has to know of it
    consult_hangup(session, …)          either: when it is to be hung up because of the other
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from callpath.call.client_state import ClientState, FirstCall, decode_client_state, encode_client_state
from callpath.call.leg import Leg
from callpath.call.outcomes import MACHINES, NEWS_MS_MAX, refusal_code, unanswered_status
from callpath.call.plan import derived_command_id
from callpath.call.session import CallSession
from callpath.timeline import CommandSent, ConsultEnded, ConsultNews, ConsultStarted, What
from callpath.wire.command import Bridge, Command, Dial, Hangup, PlaybackStart, PlaybackStop, Transfer

JOIN_MS_MAX = 20_000
"""How long the two may take to be joined, once the second handler has accepted."""

JOINED_MS_MAX = 60_000
"""How long the second call is kept for a first one that does not join it: its process may be restarted meanwhile."""

BRIDGE_TRIES, BRIDGE_AGAIN_MS = 5, 500
"""Telnyx may refuse a bridge for a moment after an answer."""

BRIDGED_MS_MAX = 5_000
"""How long the call.bridged of an accepted bridge may take. Then the two count as joined: the event is late, or lost."""

LATE_MS = 3_000
"""How long the call.bridged of two calls may come after the call.hangup of one of them."""

GOODBYE_MS_MAX = 30_000
"""How long a handler that has declined may go on talking to the second person."""

STOPPED_MS_MAX = 2_000
"""How long the answer to the command that ends the hold music may take before the two are joined all the same."""


@dataclass(frozen=True, slots=True)
class ConsultDue:
    """Entries to write, then commands to send, and when to ask again (Unix ms; None: when there is news)."""

    entries: tuple[What, ...] = ()
    commands: tuple[Command, ...] = ()
    again_unix_ms: int | None = None


# --- the first call --------------------------------------------------------------------------------------------------


def last_consult(session: CallSession) -> tuple[int, ConsultStarted] | None:
    """The consult that began last, with its time."""
    return max(session.consults.values(), key=lambda timed: (timed[0], timed[1].command_id), default=None)


def consult_outcome(session: CallSession, command_id: str) -> ConsultEnded | None:
    """What came of a consult; None: it goes on."""
    ends = [(at, what.status, what) for (of, _), (at, what) in session.consult_ends.items() if of == command_id]
    return min(ends, key=lambda end: end[:2])[2] if ends else None


def open_consult(session: CallSession) -> ConsultStarted | None:
    """The consult that goes on."""
    last = last_consult(session)
    return last[1] if last is not None and consult_outcome(session, last[1].command_id) is None else None


def is_accepted(session: CallSession, command_id: str) -> bool:
    """The second handler has accepted."""
    return (command_id, "accepted") in session.consult_news


def holds_caller(session: CallSession, since_unix_ms: int = 0) -> bool:
    """The caller waits on hold for a consult, or talks to the second person. Only by a consult that began since
    `since_unix_ms`."""
    last = last_consult(session)
    if last is None or last[0] < since_unix_ms:
        return False
    outcome = consult_outcome(session, last[1].command_id)
    return outcome is None or (outcome.status == "joined" and _left_unix_ms(session, last[1]) is None)


def is_bridge_of_consult(session: CallSession, sent: CommandSent) -> bool:
    """The command joins the two calls of a consult."""
    return any(sent.command_id in _bridge_ids(session, started) for _, started in session.consults.values())


def consult_due(session: CallSession, now_unix_ms: int, watched_unix_ms: int = 0) -> ConsultDue:
    """What a consult about this call needs now. Each command is returned until its CommandSent is recorded.
    `watched_unix_ms`: since when this process acts for the call. What nobody did before that is not held against
    the second person: the times begin again then."""
    last = last_consult(session)
    if last is None or session.leg is None:
        return ConsultDue()
    at_unix_ms, started = last
    if consult_outcome(session, started.command_id) is not None:
        return ConsultDue(commands=() if session.ended else _stop_hold(session, started))
    ended, again_unix_ms = _ended(session, started, at_unix_ms, now_unix_ms, watched_unix_ms)
    if ended is not None:
        return ConsultDue(entries=(ended,))
    if session.sent(Hangup.NAME):
        return ConsultDue(again_unix_ms=again_unix_ms)
    if is_accepted(session, started.command_id):
        commands, join_again_unix_ms = _join(session, started, now_unix_ms)
        times = [at for at in (again_unix_ms, join_again_unix_ms) if at is not None]
        return ConsultDue(commands=commands, again_unix_ms=min(times, default=None))
    return ConsultDue(commands=(*_hold(session, started), *_dial(session, started)), again_unix_ms=again_unix_ms)


def ends_for(session: CallSession, command_id: str) -> list[ConsultEnded]:
    """What the second call has to know of the first one."""
    outcome = consult_outcome(session, command_id)
    ends = [] if outcome is None else [outcome]
    if session.ended and command_id in session.consults and (outcome is None or outcome.status == "joined"):
        ends.append(ConsultEnded(command_id=command_id, status="hung_up"))
    return ends


def second_session(session: CallSession, command_id: str) -> ConsultNews | None:
    """Some news of the second call, which has its ids; None: it is not known yet."""
    found = [timed for (of, _), timed in session.consult_news.items() if of == command_id]
    return min(found, key=lambda timed: timed[0])[1] if found else None


def _ended(
    session: CallSession, started: ConsultStarted, at_unix_ms: int, now_unix_ms: int, watched_unix_ms: int
) -> tuple[ConsultEnded | None, int | None]:
    """What came of it by now; else when to ask again."""
    command_id = started.command_id

    def end(status: str, reason: str = "", **more: Any) -> tuple[ConsultEnded, None]:
        return ConsultEnded(command_id=command_id, status=status, reason=reason, **more), None

    if session.ended:
        return end("hung_up")
    news = {name: timed for (of, name), timed in session.consult_news.items() if of == command_id}
    answer = session.answers.get(command_id)
    if not news and answer is not None and not answer.accepted and answer.status is not None:
        return end("refused", code=refusal_code(answer), detail=answer.error_detail)
    bridges = _bridges(session, started)
    joins = bool(bridges) and not _is_refused(session, bridges[-1])
    if "bridged" in news or (joins and _is_bridged_since(session, session.sent_unix_ms[bridges[0].command_id])):
        return end("joined")
    if "ended" in news:
        gone_unix_ms, gone = news["ended"]
        if joins and now_unix_ms < gone_unix_ms + LATE_MS:
            return None, gone_unix_ms + LATE_MS
        return _without_join(command_id, news, gone), None
    if "accepted" in news:
        return _while_joining(session, started, max(news["accepted"][0], watched_unix_ms), bridges, now_unix_ms)
    for name, status in (("machine", "voicemail"), ("declined", "declined"), ("failed", "failed")):
        if name in news:
            return end(status, news[name][1].reason)
    if "answered" in news:
        until_unix_ms = max(news["answered"][0], watched_unix_ms) + 1000 * started.decide_s
        if now_unix_ms >= until_unix_ms:
            return end("declined", f"no decision within {started.decide_s} s")
        return None, until_unix_ms
    until_unix_ms = max(at_unix_ms, watched_unix_ms) + 1000 * started.ring_s + int(NEWS_MS_MAX)
    return end("unknown") if now_unix_ms >= until_unix_ms else (None, until_unix_ms)


def _without_join(command_id: str, news: dict[str, tuple[int, ConsultNews]], gone: ConsultNews) -> ConsultEnded:
    """The second call is over, and was not joined."""

    def end(status: str, reason: str = "") -> ConsultEnded:
        return ConsultEnded(
            command_id=command_id, status=status, reason=reason, cause=gone.cause, sip_code=gone.sip_code
        )

    for name in () if "accepted" in news else ("machine", "declined", "failed"):
        if name in news:
            return end("voicemail" if name == "machine" else name, news[name][1].reason)
    # A call that was answered ends with normal_clearing; its call.answered may come later, or never.
    if "answered" in news or gone.cause == "normal_clearing":
        return end("declined", "the other person hung up")
    return end(unanswered_status(gone.cause, gone.sip_code))


def _while_joining(
    session: CallSession, started: ConsultStarted, since_unix_ms: int, bridges: list[CommandSent], now_unix_ms: int
) -> tuple[ConsultEnded | None, int | None]:
    if bridges and session.is_accepted(bridges[-1].command_id):
        until_unix_ms = session.answered_at[bridges[-1].command_id] + BRIDGED_MS_MAX
        if now_unix_ms < until_unix_ms:
            return None, until_unix_ms
        return ConsultEnded(command_id=started.command_id, status="joined"), None
    until_unix_ms = since_unix_ms + JOIN_MS_MAX
    refused = bool(bridges) and _is_refused(session, bridges[-1])
    if now_unix_ms < until_unix_ms and not (refused and len(bridges) >= BRIDGE_TRIES):
        return None, until_unix_ms
    answer = session.answers.get(bridges[-1].command_id) if bridges else None
    return ConsultEnded(
        command_id=started.command_id,
        status="failed",
        reason="the two calls could not be joined",
        code=answer.error_code if answer is not None else None,
        detail=answer.error_detail if answer is not None else None,
    ), None


def _left_unix_ms(session: CallSession, started: ConsultStarted) -> int | None:
    """When the second person left; None: they did not."""
    told = session.consult_news.get((started.command_id, "ended"))
    return told[0] if told is not None else None


def _is_bridged_since(session: CallSession, since_unix_ms: int) -> bool:
    return session.leg is not None and session.leg.bridged_unix_ms >= since_unix_ms


def _is_refused(session: CallSession, sent: CommandSent) -> bool:
    answer = session.answers.get(sent.command_id)
    return answer is not None and not answer.accepted and answer.status is not None


# --- its commands ----------------------------------------------------------------------------------------------------


def _command_id(session: CallSession, started: ConsultStarted, what: str, number: int = 1) -> str:
    assert session.leg is not None
    return derived_command_id(session.leg.call_control_id, f"consult {started.command_id} {what}", number)


def _bridge_ids(session: CallSession, started: ConsultStarted) -> list[str]:
    return [_command_id(session, started, "bridge", number + 1) for number in range(BRIDGE_TRIES)]


def _bridges(session: CallSession, started: ConsultStarted) -> list[CommandSent]:
    return [session.commands[one] for one in _bridge_ids(session, started) if one in session.commands]


def _hold(session: CallSession, started: ConsultStarted) -> tuple[Command, ...]:
    command_id = _command_id(session, started, "hold")
    if not (started.hold_url or started.hold_media) or command_id in session.commands:
        return ()
    return (
        PlaybackStart(
            audio_url=started.hold_url, media_name=started.hold_media, loop="infinity", command_id=command_id
        ),
    )


def _stop_hold(session: CallSession, started: ConsultStarted) -> tuple[Command, ...]:
    began, command_id = _command_id(session, started, "hold"), _command_id(session, started, "hold stop")
    answer = session.answers.get(began)
    refused = answer is not None and not answer.accepted and answer.status is not None
    if began not in session.commands or command_id in session.commands or refused:
        return ()
    return (PlaybackStop(stop="all", command_id=command_id),)


def _dial(session: CallSession, started: ConsultStarted) -> tuple[Command, ...]:
    leg = session.leg
    if leg is None or started.command_id in session.commands:
        return ()
    first = FirstCall(session.session, leg.call_control_id, leg.from_, leg.to, started.detect)
    state = ClientState(handler=started.handler, leg=started.command_id, variables=started.variables, first=first)
    detection: Any = started.detect
    return (
        Dial(
            connection_id=started.connection_id,
            to=started.to,
            from_=started.from_,
            command_id=started.command_id,
            client_state=encode_client_state(state),
            timeout_secs=started.ring_s,
            answering_machine_detection=detection,
        ),
    )


def _join(session: CallSession, started: ConsultStarted, now_unix_ms: int) -> tuple[tuple[Command, ...], int | None]:
    """Join the two: without music, and again where Telnyx refuses it for the moment."""
    stop = _stop_hold(session, started)
    if stop:
        return stop, None
    stop_id = _command_id(session, started, "hold stop")
    if stop_id in session.commands and stop_id not in session.answers:
        until_unix_ms = session.sent_unix_ms[stop_id] + STOPPED_MS_MAX
        if now_unix_ms < until_unix_ms:
            return (), until_unix_ms
    bridges = _bridges(session, started)
    if bridges:
        last = bridges[-1].command_id
        if not _is_refused(session, bridges[-1]) or len(bridges) >= BRIDGE_TRIES:
            return (), None
        again_unix_ms = session.answered_at[last] + BRIDGE_AGAIN_MS
        if now_unix_ms < again_unix_ms:
            return (), again_unix_ms
    command_id = _command_id(session, started, "bridge", len(bridges) + 1)
    other = session.consult_news[started.command_id, "accepted"][1].call_control_id
    return (Bridge(call_control_id=other, park_after_unbridge="self", command_id=command_id),), None


# --- the second call -------------------------------------------------------------------------------------------------


def first_call(session: CallSession) -> tuple[str, FirstCall] | None:
    """The command_id of the dial that made this call for a consult, and the call that the consult is about; None: it is no
    such call."""
    state = decode_client_state(session.leg.made_with if session.leg is not None else None)
    return (state.leg, state.first) if state.leg is not None and state.first is not None else None


def is_joined(session: CallSession) -> bool:
    """This second call is joined with the first one."""
    return session.leg is not None and (bool(session.leg.bridged_unix_ms) or _told(session, "joined") is not None)


def over_unix_ms(session: CallSession) -> int | None:
    """Since when the first call does not want this one any more; None: it does."""
    found = first_call(session)
    if found is None:
        return None
    times = [at for (of, status), (at, _) in session.consult_ends.items() if of == found[0] and status != "joined"]
    return min(times, default=None)


def is_kept(session: CallSession) -> bool:
    """This second call is accepted: it is about to be joined with the first one, or is."""
    return over_unix_ms(session) is None and (
        is_accepted_here(session) or (first_call(session) is not None and is_joined(session))
    )


def news_of(session: CallSession) -> list[ConsultNews]:
    """What the first call has to know of this one, in the order in which it happens."""
    found, leg = first_call(session), session.leg
    if found is None or leg is None:
        return []
    news: list[tuple[str, dict[str, Any]]] = [("ringing", {})]
    if leg.answered_unix_ms:
        news.append(("answered", {}))
    if is_machine(leg, found[1].detect):
        news.append(("machine", {}))
    decided = session.consult_decided[1] if session.consult_decided is not None else None
    if decided is not None:
        news.append(("accepted" if decided.accepted else "declined", {"reason": decided.reason}))
    elif session.handler_finished and session.handler_error is not None:
        news.append(("failed", {"reason": f"its handler raised {session.handler_error}"}))
    elif session.handler_finished:
        news.append(("declined", {"reason": "its handler returned without accepting"}))
    if leg.bridged_unix_ms:
        news.append(("bridged", {}))
    if session.ended:
        news.append(("ended", {"cause": leg.hangup_cause, "sip_code": leg.sip_hangup_cause}))
    return [
        ConsultNews(
            command_id=found[0],
            news=name,
            call_session_id=session.session,
            call_control_id=leg.moved_to or leg.call_control_id,
            **more,
        )
        for name, more in news
    ]


def is_machine(leg: Leg, detect: str | None) -> bool:
    """A machine has answered. With detection of screening phones the verdict is provisional until the greeting ends."""
    provisional = detect is not None and "call_screening" in detect and leg.greeting is None
    return leg.machine in MACHINES and not provisional


def _told(session: CallSession, status: str) -> int | None:
    found = first_call(session)
    told = session.consult_ends.get((found[0], status)) if found is not None else None
    return told[0] if told is not None else None


# --- the end of either -----------------------------------------------------------------------------------------------


def is_abandoned(session: CallSession) -> bool:
    """Either call is of no use any more, whatever its handler does."""
    return consult_hangup(session, handler_running=True) is not None


def consult_hangup(session: CallSession, *, handler_running: bool) -> int | None:
    """When a call of a consult is to be hung up because of the other one (Unix ms); None: it is not."""
    first = _abandoned_unix_ms(session)
    if first is not None or session.leg is None or first_call(session) is None:
        return first
    over, decided = over_unix_ms(session), session.consult_decided
    if over is None:
        if not is_kept(session) or is_joined(session) or decided is None:
            return None
        return max(decided[0], session.recovered_unix_ms) + JOINED_MS_MAX
    if decided is not None and not decided[1].accepted and handler_running:
        return over + GOODBYE_MS_MAX
    return None if session.handler_finished and not is_accepted_here(session) and not handler_running else over


def is_accepted_here(session: CallSession) -> bool:
    """The handler of this second call has accepted."""
    return session.consult_decided is not None and session.consult_decided[1].accepted


def _abandoned_unix_ms(session: CallSession) -> int | None:
    """When the second person left a caller whom no handler has back: the stream was stopped when they were joined."""
    last = last_consult(session)
    if last is None or last[1].keep_stream:
        return None
    outcome = consult_outcome(session, last[1].command_id)
    left_unix_ms = _left_unix_ms(session, last[1])
    if outcome is None or outcome.status != "joined" or left_unix_ms is None:
        return None
    joined_unix_ms = session.consult_ends[last[1].command_id, "joined"][0]
    later = [
        sent
        for sent in session.sent(Transfer.NAME, Bridge.NAME)
        if session.sent_unix_ms[sent.command_id] >= joined_unix_ms and not is_bridge_of_consult(session, sent)
    ]
    return None if later else left_unix_ms
