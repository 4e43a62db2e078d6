"""The link between the two calls of a consult: what each is told, once, and what each finds out by itself."""

from __future__ import annotations

from typing import Any

from callpath.call.client_state import ClientState, FirstCall, encode_client_state
from callpath.server.consulting import LOOK_EVERY_MS, RETRY_MS, Consulting
from callpath.server.journal import Journal
from callpath.timeline import ConsultDecided, ConsultEnded, ConsultNews, ConsultStarted, Entry
from callpath.wire.ids import CallControlId, SessionId
from tests.call.timelines import event
from tests.server.journals import Calls, calls

FIRST, SECOND = SessionId("first"), SessionId("second")
A: dict[str, Any] = {"call_leg_id": "leg-a", "call_control_id": "v3:a", "call_session_id": FIRST}
STATE = encode_client_state(ClientState(leg="dial", first=FirstCall(FIRST, CallControlId("v3:a"))))
H: dict[str, Any] = {
    "call_leg_id": "leg-h", "call_control_id": "v3:h", "call_session_id": SECOND, "client_state": STATE
}  # fmt: skip
STARTED = ConsultStarted(command_id="dial", to="+15555550177", connection_id="1", from_="+15555550199")
DIALLED = ConsultNews(command_id="dial", news="dialled", call_session_id=SECOND, call_control_id=CallControlId("v3:h"))
GONE = event("call.hangup", 20, **A)


class Both:
    """Both calls, and who was woken."""

    def __init__(self, made: Calls) -> None:
        self.made = made
        self.woken: list[SessionId] = []

    async def journal(self, session: SessionId, *whats: Any) -> tuple[Journal, Consulting]:
        for what in whats:
            at = self.made.clock.now_unix_ms()
            await self.made.log.append(Entry(session=session, at_unix_ms=at, what=what))
        journal = self.made.journal(session)
        await journal.read_news()
        return journal, Consulting(journal, self.made.context, self.woken.append)

    def told(self, session: SessionId) -> list[str]:
        whats = self.made.log.whats(session)
        return [
            what.news if isinstance(what, ConsultNews) else what.status
            for what in whats
            if isinstance(what, ConsultNews | ConsultEnded) and what is not DIALLED
        ]


async def test_the_second_call_tells_the_first_each_thing_once() -> None:
    """And wakes it; a process that tells it again changes nothing."""
    async with calls() as made:
        both = Both(made)
        rings = event("call.initiated.outbound", 10, **H)
        journal, consulting = await both.journal(SECOND, rings)
        await consulting.exchange()
        await consulting.exchange()
        assert both.told(FIRST) == ["ringing"] and both.woken == [FIRST]
        journal.note(ConsultDecided(accepted=True))
        await consulting.exchange()
        assert both.told(FIRST) == ["ringing"], "what is not stored yet is not told: the process may die first"
        await journal.store()
        await consulting.exchange()
        _, another = await both.journal(SECOND)
        await another.exchange()

        assert both.told(FIRST) == ["ringing", "accepted"]


async def test_the_first_call_tells_the_second_that_it_is_over() -> None:
    """As soon as it knows which call that is."""
    async with calls() as made:
        both = Both(made)
        ended = ConsultEnded(command_id="dial", status="hung_up")
        _, consulting = await both.journal(FIRST, event("call.initiated.inbound", 1, **A), STARTED, ended)
        await consulting.exchange()
        assert both.told(SECOND) == []
        _, consulting = await both.journal(FIRST, DIALLED)
        await consulting.exchange()

        assert both.told(SECOND) == ["hung_up"] and both.woken == [SECOND]


async def test_a_second_call_finds_out_that_its_caller_is_gone() -> None:
    """The process that had the caller died with the hangup stored, and nobody recovers a call that is over."""
    async with calls() as made:
        both = Both(made)
        await both.journal(FIRST, event("call.initiated.inbound", 1, **A), STARTED)
        journal, consulting = await both.journal(SECOND, event("call.initiated.outbound", 10, **H))
        await consulting.exchange()
        assert consulting.next_turn_ms == made.clock.now_ms() + LOOK_EVERY_MS
        await both.journal(FIRST, GONE)
        await consulting.exchange()
        assert both.told(SECOND) == []
        await made.clock.advance(LOOK_EVERY_MS)
        await consulting.exchange()
        await journal.read_news()

        assert both.told(SECOND) == ["hung_up"]
        assert [what.status for _, what in journal.session.consult_ends.values()] == ["hung_up"]


async def test_a_caller_finds_out_what_became_of_the_second_call() -> None:
    """Its process died before it told."""
    async with calls() as made:
        both = Both(made)
        busy = event("call.hangup", 12, **H, hangup_cause="user_busy")
        await both.journal(SECOND, event("call.initiated.outbound", 10, **H), busy)
        journal, consulting = await both.journal(FIRST, event("call.initiated.inbound", 1, **A), STARTED, DIALLED)
        await consulting.exchange()
        await journal.read_news()

        assert ("dial", "ended") in journal.session.consult_news


async def test_a_log_that_is_down_is_tried_again() -> None:
    """Nothing is forgotten, and the call goes on."""
    async with calls() as made:
        both = Both(made)
        _, consulting = await both.journal(SECOND, event("call.initiated.outbound", 10, **H))
        made.log.down = True
        await consulting.exchange()
        assert consulting.next_turn_ms == made.clock.now_ms() + RETRY_MS
        made.log.down = False
        await consulting.exchange()

        assert both.told(FIRST) == ["ringing"]


async def test_a_call_without_a_consult_costs_nothing() -> None:
    """No read, no write, no turn."""
    async with calls() as made:
        both = Both(made)
        _, consulting = await both.journal(FIRST, event("call.initiated.inbound", 1, **A))
        reads = len(made.log.reads)
        await consulting.exchange()

        assert len(made.log.reads) == reads and consulting.next_turn_ms is None
