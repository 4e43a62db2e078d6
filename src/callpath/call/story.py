"""What happened in a call, told to somebody who was not there: its legs, and one sentence for each step. Pure.

    told = tell_story(session, entries)
    told.parties    each leg: who it is, how long it rang, what came of it
    told.steps      sentences in order of time, without the set-up of the stream

Sentences name phone numbers as the legs have them; who shows them masks them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from callpath.call.client_state import decode_client_state
from callpath.call.leg import Leg, LegState
from callpath.call.outcomes import made_leg
from callpath.call.refused import explain_refusal
from callpath.call.session import CallSession
from callpath.timeline import (
    CommandSent,
    ConsultDecided,
    ConsultEnded,
    ConsultNews,
    ConsultStarted,
    Entry,
    HandlerFailed,
    WebhookReceived,
    What,
    payload_of,
)
from callpath.wire.ids import LegId
from callpath.wire.words import DETECTED, event_words, hangup_words

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_MADE_BY = {"transfer": "transfer", "dial": "dialled aside"}
"""The command that made a leg → what the leg is called."""

_REJECTED = {"user_busy": "as busy", "call_rejected": "", "not_found": "as a number that does not exist"}

_STEPS_OF_EVENTS = {
    "call.gather.ended": "Keys were gathered",
    "call.ai_gather.ended": "Answers were gathered",
    "call.refer.completed": "The call was referred to a SIP address",
    "call.refer.failed": "The referral to a SIP address failed",
    "call.enqueued": "{who} waits in a queue",
    "call.dequeued": "{who} left the queue",
    "conference.created": "A conference began",
    "conference.participant.joined": "{who} joined the conference",
    "conference.participant.left": "{who} left the conference",
    "conference.ended": "The conference ended",
    "call.recording.saved": "Telnyx saved its recording",
    "call.recording.error": "Telnyx's recording failed",
    "streaming.failed": "Telnyx could not open the audio stream",
}
"""Events that are a step of the call by themselves."""

_WITH_WORDS = {
    "call.gather.ended", "call.ai_gather.ended", "call.refer.failed", "call.enqueued", "call.dequeued", "conference.ended",
    "call.recording.error", "streaming.failed",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Party:
    """One leg. Times are Unix ms, None where it did not happen. `number` is the phone at its far end."""

    letter: str
    leg_id: LegId
    role: str
    """`caller` or `called` (the leg that talks to us), `transfer`, `dialled aside`, or `other`."""

    direction: str | None
    number: str | None
    words: str
    began_unix_ms: int
    answered_unix_ms: int | None
    joined_unix_ms: int | None
    ended_unix_ms: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """One sentence, the leg that it is about, and when."""

    at_unix_ms: int
    letter: str
    text: str


@dataclass(frozen=True, slots=True)
class Story:
    """The whole of it. `letters` names each leg as the parties and the steps do."""

    parties: tuple[Party, ...]
    steps: tuple[Step, ...]
    letters: dict[LegId, str]


def tell_story(session: CallSession, entries: Iterable[Entry]) -> Story:
    """The legs of a call and what happened, in order of time."""
    if session.leg is None:
        return Story((), (), {})
    legs = [session.leg, *sorted(session.other_legs, key=lambda leg: (leg.first, leg.leg_id))]
    legs = legs[: len(LETTERS)]
    letters = {leg.leg_id: LETTERS[place] for place, leg in enumerate(legs)}
    makers = _makers(session)
    parties = tuple(_party(session, leg, letters[leg.leg_id], makers.get(leg.leg_id)) for leg in legs)
    told = _Teller(session, list(entries), letters, makers, {party.leg_id: party for party in parties})
    steps = sorted(told.steps(), key=lambda step: step.at_unix_ms)
    return Story(parties, tuple(steps), letters)


def hung_up_by(session: CallSession) -> str:
    """Who ended the call, as the subject of a sentence; "" while it lives, and where nobody said."""
    leg = session.leg
    if leg is None or not session.ended:
        return ""
    ours = {sent.command for sent in session.sent("hangup", "reject") if session.is_accepted(sent.command_id)}
    if ours:
        return "callpath"
    if leg.hangup_cause == "time_limit":
        return ""
    joined = [one for one in session.other_legs if one.bridged_unix_ms and one.hangup_unix_ms]
    incoming = leg.direction != "outgoing"
    if leg.hangup_source == ("caller" if incoming else "callee"):
        return "the caller" if incoming else "the called party"
    if any(one.hangup_source == "callee" for one in joined):
        return "the other party"
    if joined and min(one.hangup_unix_ms for one in joined) <= leg.hangup_unix_ms and not leg.hangup_source:
        return "the other party"
    if leg.hangup_cause == "originator_cancel" and incoming:
        return "the caller"
    return ""


def _makers(session: CallSession) -> dict[LegId, CommandSent]:
    """The command that made each leg, where one of ours did."""
    found: dict[LegId, CommandSent] = {}
    by_id = {sent.command_id: sent for sent in session.commands.values()}
    for leg in session.other_legs:
        claimed = by_id.get(decode_client_state(leg.client_state).leg or "")
        if claimed is not None:
            found[leg.leg_id] = claimed
    for sent in session.sent("transfer"):
        made = made_leg(session, sent)
        if made is not None:
            found.setdefault(made.leg_id, sent)
    for sent in session.commands.values():
        named = session.leg_of(sent.call_control_id) if sent.call_control_id is not None else None
        if sent.command == "dial" and named is not None:
            found.setdefault(named.leg_id, sent)
    return found


def _party(session: CallSession, leg: Leg, letter: str, made_by: CommandSent | None) -> Party:
    outgoing = leg.direction == "outgoing"
    if leg is session.leg:
        role = "called" if outgoing else "caller"
    else:
        role = _MADE_BY.get(made_by.command, "other") if made_by is not None else "other"
    return Party(
        letter=letter,
        leg_id=leg.leg_id,
        role=role,
        direction=leg.direction,
        number=leg.to if outgoing or leg is not session.leg else leg.from_,
        words=_leg_words(session, leg),
        began_unix_ms=leg.seen_unix_ms,
        answered_unix_ms=leg.answered_unix_ms or None,
        joined_unix_ms=leg.bridged_unix_ms or None,
        ended_unix_ms=leg.hangup_unix_ms or (session.over_unix_ms if leg is session.leg else None),
    )


def _leg_words(session: CallSession, leg: Leg) -> str:
    parts = []
    ended = leg.hangup_unix_ms or (session.over_unix_ms if leg is session.leg else None)
    up = leg.answered_unix_ms or leg.bridged_unix_ms
    if up:
        parts.append(f"rang {_seconds(up - leg.seen_unix_ms)}, answered")
    elif ended:
        parts.append(f"rang {_seconds(ended - leg.seen_unix_ms)}")
    elif leg.state is LegState.INITIATED:
        parts.append("ringing")
    if leg.machine:
        parts.append(f"detected: {DETECTED.get(leg.machine, leg.machine)}")
    if leg.greeting:
        parts.append(DETECTED.get(leg.greeting, leg.greeting))
    if leg.bridged_unix_ms:
        parts.append(f"joined for {_seconds(ended - leg.bridged_unix_ms)}" if ended else "joined")
    if ended and not (up and leg.hangup_cause == "normal_clearing"):
        parts.append(hangup_words(leg.hangup_cause, leg.sip_hangup_cause) if leg.hangup_cause else "over")
    elif ended:
        parts.append(f"up for {_seconds(ended - up)}")
    return ", ".join(parts)


@dataclass(slots=True)
class _Teller:
    session: CallSession
    entries: list[Entry]
    letters: dict[LegId, str]
    makers: dict[LegId, CommandSent]
    parties: dict[LegId, Party]

    def steps(self) -> Iterator[Step]:
        yield from self._beginning()
        yield from self._decision()
        for leg in self.session.other_legs:
            if leg.leg_id in self.letters:
                yield from self._other(leg)
        yield from self._refusals()
        yield from self._events()
        yield from self._end()

    def _beginning(self) -> Iterator[Step]:
        leg = self.session.leg
        assert leg is not None
        begun = leg.seen_unix_ms
        other = leg.to if leg.direction != "outgoing" else leg.from_
        party = self.parties[leg.leg_id].number or "An unknown number"
        if leg.direction == "outgoing":
            yield Step(begun, "A", f"{party} was dialled" + (f" from {other}" if other else "") + ".")
        else:
            yield Step(begun, "A", f"{party} called" + (f" {other}" if other else "") + ".")
        if leg.answered_unix_ms:
            how = "Answered" if leg.direction != "outgoing" else "Somebody answered"
            yield Step(leg.answered_unix_ms, "A", f"{how} after {_seconds(leg.answered_unix_ms - begun)}.")
        yield from self._machine(leg, "A")

    def _machine(self, leg: Leg, letter: str) -> Iterator[Step]:
        if not leg.machine:
            return
        told = [entry for entry in self._webhooks("call.machine.") if entry.leg in (None, leg.leg_id)]
        at = told[-1].at_unix_ms if told else leg.answered_unix_ms
        greeting = f"; {DETECTED.get(leg.greeting, leg.greeting)}" if leg.greeting else ""
        yield Step(at, letter, f"Telnyx detected {DETECTED.get(leg.machine, leg.machine)}{greeting}.")

    def _decision(self) -> Iterator[Step]:
        if self.session.decided is None:
            return
        at, decided = self.session.decided
        default = f" (the default: {decided.reason})" if decided.reason else ""
        match decided.decision:
            case "reject":
                how = _REJECTED.get((decided.cause or "").lower(), "")
                yield Step(at, "A", f"The application rejected it{f' {how}' if how else ''}{default}.")
            case "forward":
                yield Step(at, "A", f"The application forwarded it to {decided.to or 'another number'}{default}.")
            case "ignore":
                yield Step(at, "A", f"The application let it ring{default}.")
            case _ if decided.handler:
                yield Step(at, "A", f"The application chose the handler {decided.handler}{default}.")

    def _other(self, leg: Leg) -> Iterator[Step]:
        party = self.parties[leg.leg_id]
        number = party.number or "another number"
        begun = leg.seen_unix_ms
        verb = {"transfer": "Transferring to", "dialled aside": "Dialling"}.get(party.role, "Another leg, to")
        yield Step(begun, party.letter, f"{verb} {number}: it rings.")
        up = leg.answered_unix_ms or leg.bridged_unix_ms
        if up:
            yield Step(up, party.letter, f"{number} answered after {_seconds(up - begun)}.")
        yield from self._machine(leg, party.letter)
        if leg.bridged_unix_ms:
            yield Step(leg.bridged_unix_ms, party.letter, f"{self._who('A')} and {number} were joined.")
        if leg.hangup_unix_ms and not up:
            why = hangup_words(leg.hangup_cause, leg.sip_hangup_cause)
            rang = _seconds(leg.hangup_unix_ms - begun)
            yield Step(leg.hangup_unix_ms, party.letter, f"{number} rang for {rang} and did not answer: {why}.")
        elif leg.hangup_unix_ms and leg.hangup_unix_ms < (self.session.ended_unix_ms or 0):
            yield Step(leg.hangup_unix_ms, party.letter, f"{number} is gone: {hangup_words(leg.hangup_cause)}.")

    def _refusals(self) -> Iterator[Step]:
        names = {"transfer": "The transfer", "dial": "A dial", "refer": "The referral", "bridge": "Joining two legs"}
        for command_id, answer in self.session.answers.items():
            if answer.accepted or answer.command not in names or answer.status is None:
                continue
            refusal = explain_refusal(answer.error_code, answer.error_detail)
            said = " ".join(part for part in (answer.error_code, answer.error_detail) if part) or str(answer.status)
            why = f"{refusal.title} ({said.rstrip('.')})" if refusal is not None else said
            yield Step(
                self.session.answered_at[command_id], "A", f"{names[answer.command]} was refused by Telnyx: {why}."
            )

    def _events(self) -> Iterator[Step]:
        for entry in self.entries:
            if isinstance(entry.what, HandlerFailed):
                yield Step(entry.at_unix_ms, "A", f"The handler failed: {entry.what.error}.")
            elif (consulted := _consulted(entry.what)) is not None:
                yield Step(entry.at_unix_ms, "A", consulted)
            if not isinstance(entry.what, WebhookReceived):
                continue
            name = entry.what.event_type
            sentence = _STEPS_OF_EVENTS.get(name)
            if sentence is None:
                continue
            payload = payload_of(entry.what.body)
            letter = self.letters.get(LegId(str(payload.get("call_leg_id") or "")), "A")
            words = event_words(name, payload) if name in _WITH_WORDS else ""
            text = sentence.format(who=self._who(letter)) + (f": {words}" if words else "")
            yield Step(entry.at_unix_ms, letter, f"{text}.")

    def _end(self) -> Iterator[Step]:
        session, leg = self.session, self.session.leg
        ended = session.ended_unix_ms
        assert leg is not None
        if ended is None:
            return
        who = hung_up_by(session)
        cause = leg.hangup_cause
        odd = "" if cause in (None, "normal_clearing") else f": {hangup_words(cause, leg.sip_hangup_cause)}"
        since = leg.answered_unix_ms or leg.seen_unix_ms
        after = f"{_seconds(ended - since)} after the answer" if leg.answered_unix_ms else "before it was answered"
        if leg.bridged_unix_ms and not leg.answered_unix_ms:
            after = f"{_seconds(ended - leg.bridged_unix_ms)} after the two were joined"
        if any(session.is_accepted(sent.command_id) for sent in session.sent("reject")):
            yield Step(ended, "A", f"callpath rejected it{odd}.")
        elif who:
            yield Step(ended, "A", f"{who[0].upper() if who != 'callpath' else 'c'}{who[1:]} hung up {after}{odd}.")
        elif leg.answered_unix_ms:
            yield Step(ended, "A", f"The call ended {after}{odd}.")
        else:
            yield Step(ended, "A", f"It was not answered{odd}.")

    def _webhooks(self, prefix: str) -> Iterator[Entry]:
        for entry in self.entries:
            if isinstance(entry.what, WebhookReceived) and entry.what.event_type.startswith(prefix):
                yield entry

    def _who(self, letter: str) -> str:
        found = next((party for party in self.parties.values() if party.letter == letter), None)
        if found is None:
            return "The caller"
        return {"caller": "The caller", "called": "The called party"}.get(
            found.role, found.number or f"Leg {found.letter}"
        )


_CONSULTED = {
    "joined": "The caller and the second party were joined",
    "declined": "The second party declined",
    "busy": "The second phone was busy",
    "no_answer": "The second phone was not answered",
    "rejected": "The second party rejected the call",
    "unreachable": "The second phone could not be reached",
    "voicemail": "A voicemail answered the second call",
    "refused": "Telnyx refused the second call",
    "hung_up": "The caller hung up while the second party was asked",
    "cancelled": "The second call was cancelled",
}


def _consulted(what: What) -> str | None:
    """A step of a consult: a second call about this one, in a session of its own."""
    match what:
        case ConsultStarted():
            return f"A second call goes to {what.to}, to ask somebody about this one."
        case ConsultNews(news="answered"):
            return "The second call is answered."
        case ConsultDecided():
            return f"The second party {'accepts' if what.accepted else 'declines'} the first call."
        case ConsultEnded():
            why = what.reason or what.code or what.cause
            sentence = _CONSULTED.get(what.status, "The second call came to nothing")
            return sentence + (f": {why}" if why and what.status != "joined" else "") + "."
        case _:
            return None


def _seconds(ms: int) -> str:
    return f"{max(0, ms) / 1000:.1f} s"
