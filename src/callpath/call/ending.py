"""When a call is to be hung up, and when it is not ours to hang up any more. Pure.

    ending = next_ending(session, handler_running=…, now_unix_ms=…)
    ending.commands          what to send now
    ending.again_unix_ms     when to ask again

A call is hung up once its handler is done with it: not before Telnyx has spoken or played what the handler asked for, not
at all after it was handed on or while it is in a conference, and again and again until Telnyx reports it as over.
"""

from __future__ import annotations

from dataclasses import dataclass

from callpath.call.client_state import decode_client_state
from callpath.call.consult import consult_hangup, holds_caller, is_abandoned, is_bridge_of_consult, is_kept
from callpath.call.leg import LegState
from callpath.call.outcomes import refer_outcome
from callpath.call.plan import derived_command_id
from callpath.call.session import CallSession
from callpath.timeline import CommandSent
from callpath.wire.command import (
    Bridge,
    Command,
    Gather,
    GatherUsingAudio,
    GatherUsingSpeak,
    Hangup,
    PlaybackStart,
    PlaybackStop,
    Refer,
    SendDtmf,
    Speak,
    StreamingStop,
    Transfer,
)
from callpath.wire.document import Json

CONFIRM_MS = 10_000
"""How long an accepted hangup may take until Telnyx reports the call as over. Then it is sent again: to a call that is over
Telnyx says so (90018)."""

RETRY_MS, RETRY_MS_MAX = 1_000, 60_000
"""After a refused hangup; doubled each time."""

SPEAK_MS, SPEAK_MS_PER_CHAR = 10_000, 100
"""How long a sentence may take if Telnyx does not tell its end. Normal speech is 15 characters a second."""

PLAYBACK_MS_MAX = 600_000
"""How long a playback may take if Telnyx does not tell its end: it may be hold music without end."""

GATHER_MS_MAX = 120_000
"""How long a gather may take beyond its prompt. Telnyx's own timeouts end it after a minute without a key."""

DIGIT_MS = 1_000
"""How long one digit of send_dtmf may take: 250 ms, or a pause of a second. No webhook tells the end."""

RING_MS = 30_000
"""How long Telnyx lets a party ring that the caller is transferred to, where the command has no `timeout_secs`."""

LEG_ENDED_MS = 2_000
"""After the leg that a caller was handed on to has ended, Telnyx ends the caller's leg, too, where they were joined."""

REFER_MS_MAX, REFERRED_MS_MAX = 30_000, 10_000
"""How long a far end may take to follow a SIP REFER, and then to end this call itself."""

_TELNYX_PLAYS = {
    Speak.NAME: "call.speak.ended",
    PlaybackStart.NAME: "call.playback.ended",
    Gather.NAME: "call.gather.ended",
    GatherUsingAudio.NAME: "call.gather.ended",
    GatherUsingSpeak.NAME: "call.gather.ended",
}
"""Commands that Telnyx takes its time for, with the event that tells their end."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Commands to send now, and when to ask again (Unix ms; None: when there is news)."""

    commands: tuple[Command, ...] = ()
    again_unix_ms: int | None = None


def next_ending(session: CallSession, *, handler_running: bool, now_unix_ms: int) -> Ending:
    """What the end of a call needs at this moment. Ask at each news, and at the time that it names."""
    leg = session.leg
    if leg is None or session.ended:
        return Ending()
    due_unix_ms = _hangup_due(session, handler_running)
    if due_unix_ms is None:
        return Ending(_streaming_stop(session, handler_running))
    if now_unix_ms < due_unix_ms:
        return Ending(again_unix_ms=due_unix_ms)
    number = 1 + len(session.sent(Hangup.NAME))
    return Ending((Hangup(command_id=derived_command_id(leg.call_control_id, Hangup.NAME, number)),))


def is_handed_on(session: CallSession, since_unix_ms: int = 0) -> bool:
    """The caller was connected to somebody else, or is about to be: the call is not ours to serve or to end. Only by a
    command that was sent since `since_unix_ms`. A second call that was accepted in a consult is such a call, too."""
    asked = [one for one in session.sent(Transfer.NAME, Bridge.NAME) if _sent_since(session, one, since_unix_ms)]
    if any(_is_joined(session, sent) for sent in asked if not is_bridge_of_consult(session, sent)):
        return True
    return holds_caller(session, since_unix_ms) or is_kept(session)


def longest_ring(session: CallSession) -> tuple[int, int] | None:
    """Since when the party rings that the caller is transferred to, and until when at the latest (Unix ms); None: nobody
    does, or it has answered."""
    transfers = session.sent(Transfer.NAME)
    if not transfers or not _is_joined(session, transfers[-1]):
        return None
    since_unix_ms = session.sent_unix_ms[transfers[-1].command_id]
    if any(leg.state is LegState.ANSWERED and leg.seen_unix_ms >= since_unix_ms for leg in session.other_legs):
        return None
    asked_s = transfers[-1].body.get("timeout_secs")
    ring_ms = int(asked_s * 1000) if isinstance(asked_s, int | float) else RING_MS
    return since_unix_ms, since_unix_ms + ring_ms


def is_being_hung_up(session: CallSession) -> bool:
    """A hangup was sent, by whomever. It is repeated until the call is over."""
    return bool(session.sent(Hangup.NAME))


def is_hangup_refused(session: CallSession) -> bool:
    """The last hangup was not accepted: until the next one the call goes on, and may be handed on."""
    hangups = session.sent(Hangup.NAME)
    answer = session.answers.get(hangups[-1].command_id) if hangups else None
    return answer is not None and not answer.accepted


def needs_handler(session: CallSession) -> bool:
    """The application has to serve the call: its handler is not done with it, and the call is neither handed on nor being
    hung up, nor of no use because the other call of a consult is over."""
    return not (session.handler_finished or is_handed_on(session) or is_being_hung_up(session) or is_abandoned(session))


def is_silenced(session: CallSession) -> bool:
    """The stream was stopped by a command of ours: that it is gone is no fault."""
    stops = [sent for sent in session.sent(StreamingStop.NAME) if session.is_accepted(sent.command_id)]
    return bool(stops) and session.sent_unix_ms[stops[-1].command_id] >= session.started_unix_ms


def _is_joined(session: CallSession, sent: CommandSent) -> bool:
    sent_unix_ms = session.sent_unix_ms[sent.command_id]
    answer = session.answers.get(sent.command_id)
    parks = bool(sent.body.get("park_after_unbridge")) and not _takes_back(sent)
    if sent.command == Bridge.NAME or parks:  # parked on purpose when the other party leaves
        return answer is not None and answer.accepted
    others = [leg for leg in session.other_legs if leg.seen_unix_ms >= sent_unix_ms]
    if others:  # where the answer was lost, they tell that the transfer was carried out
        return any(leg.state is not LegState.ENDED for leg in others)
    return answer is not None and answer.accepted


def _takes_back(sent: CommandSent) -> bool:
    """A transfer of `Call.transfer`, which parks the caller only to have them back from an answering machine."""
    return decode_client_state(sent.body.get("target_leg_client_state")).leg == sent.command_id


def _hangup_due(session: CallSession, handler_running: bool) -> int | None:
    hangups = session.sent(Hangup.NAME)
    if hangups:
        last = hangups[-1].command_id
        answer = session.answers.get(last)
        if answer is None:
            return None  # under way
        if answer.accepted:
            return session.answered_at[last] + CONFIRM_MS
        since_unix_ms = session.sent_unix_ms[last]
        if is_handed_on(session, since_unix_ms) or _may_be_handed_on(session, since_unix_ms):
            return None  # what the handler asked for after the hangup that was refused stands
        refused = sum(1 for sent in hangups if not session.is_accepted(sent.command_id))
        wait_ms: int = min(RETRY_MS * 2 ** min(refused - 1, 10), RETRY_MS_MAX)
        again_unix_ms = session.answered_at[last] + wait_ms
        return again_unix_ms if handler_running else max(again_unix_ms, _telnyx_done_unix_ms(session, since_unix_ms))
    consult_unix_ms = consult_hangup(session, handler_running=handler_running)
    if consult_unix_ms is not None:
        return consult_unix_ms
    if handler_running or not session.handler_finished or is_handed_on(session) or session.conference is not None:
        return None
    return max(
        session.finished_unix_ms,
        _telnyx_done_unix_ms(session),
        _handed_back_unix_ms(session),
        _referred_unix_ms(session),
    )


def _sent_since(session: CallSession, sent: CommandSent, since_unix_ms: int) -> bool:
    return session.sent_unix_ms[sent.command_id] >= since_unix_ms


def _may_be_handed_on(session: CallSession, since_unix_ms: int) -> bool:
    """A transfer is under way that was sent since then."""
    return any(
        sent.command in (Transfer.NAME, Bridge.NAME) and _sent_since(session, sent, since_unix_ms)
        for sent in session.unanswered()
    )


def _telnyx_done_unix_ms(session: CallSession, since_unix_ms: int = 0) -> int:
    """When Telnyx is certainly done with what it was asked, since `since_unix_ms`, to speak, play, gather or dial; 0: it
    is."""
    stopped_unix_ms = max(
        (
            session.sent_unix_ms[s.command_id]
            for s in session.sent(PlaybackStop.NAME)
            if session.is_accepted(s.command_id)
        ),
        default=0,
    )
    until_unix_ms = 0
    for event in set(_TELNYX_PLAYS.values()):
        names = [name for name, ends in _TELNYX_PLAYS.items() if ends == event]
        asked = [sent for sent in session.sent(*names) if _may_be_carried_out(session, sent)]
        if len(session.done_by_telnyx.get(event, ())) >= len(asked):
            continue
        waiting = [sent for sent in asked if _sent_since(session, sent, max(stopped_unix_ms, since_unix_ms))]
        if waiting:  # they queue: each may have to wait for those before it
            began_unix_ms = max(session.sent_unix_ms[sent.command_id] for sent in waiting)
            until_unix_ms = max(
                until_unix_ms, began_unix_ms + sum(longest_ms(sent.command, sent.body) for sent in waiting)
            )
    for sent in session.sent(SendDtmf.NAME):
        if _may_be_carried_out(session, sent) and _sent_since(session, sent, since_unix_ms):
            until_unix_ms = max(
                until_unix_ms, session.sent_unix_ms[sent.command_id] + longest_ms(sent.command, sent.body)
            )
    return until_unix_ms


def _may_be_carried_out(session: CallSession, sent: CommandSent) -> bool:
    answer = session.answers.get(sent.command_id)
    return answer is None or answer.accepted


def longest_ms(name: str, body: Json) -> int:
    """How long Telnyx may take to carry out a command that it takes its time for, if it does not tell the end."""
    if name == SendDtmf.NAME:
        return DIGIT_MS * len(str(body.get("digits", "")))
    if name == PlaybackStart.NAME:
        return PLAYBACK_MS_MAX
    loop = body.get("loop")
    times = loop if isinstance(loop, int) and loop > 0 else 1
    spoken_ms = SPEAK_MS + times * SPEAK_MS_PER_CHAR * len(str(body.get("payload", "")))
    return spoken_ms if name == Speak.NAME else spoken_ms + GATHER_MS_MAX


def _handed_back_unix_ms(session: CallSession) -> int:
    """When a transfer that failed, or whose other party left, is certainly over; 0: there was none."""
    ended = [leg.hangup_unix_ms for leg in session.other_legs if leg.hangup_unix_ms]
    return max(ended) + LEG_ENDED_MS if ended and session.sent(Transfer.NAME) else 0


def _referred_unix_ms(session: CallSession) -> int:
    """Until when the far end may end the call itself after a SIP REFER; 0: there was none that it may have followed."""
    until_unix_ms = 0
    for sent in session.sent(Refer.NAME):
        outcome = refer_outcome(session, sent.command_id)
        if outcome is None and _may_be_carried_out(session, sent):
            until_unix_ms = max(until_unix_ms, session.sent_unix_ms[sent.command_id] + REFER_MS_MAX)
        elif outcome:
            until_unix_ms = max(until_unix_ms, max(at for at, _ in session.referred.values()) + REFERRED_MS_MAX)
    return until_unix_ms


def _streaming_stop(session: CallSession, handler_running: bool) -> tuple[Command, ...]:
    """Stop the stream that nobody uses any more after a transfer, or in a conference: Telnyx would open it again if only
    its socket closed."""
    assert session.leg is not None
    away = is_handed_on(session) or session.conference is not None
    over = session.handler_finished and not handler_running and away
    stops = session.sent(StreamingStop.NAME)
    sent_already = bool(stops) and session.sent_unix_ms[stops[-1].command_id] >= session.started_unix_ms
    if not over or not session.stream_open or sent_already:
        return ()
    command_id = derived_command_id(session.leg.call_control_id, StreamingStop.NAME, 1 + len(stops))
    return (StreamingStop(command_id=command_id),)
