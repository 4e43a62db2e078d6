"""The timeline of one call as its process knows it, and its way into the log."""

from __future__ import annotations

from callpath.timeline import CallRecovered, MediaCounted
from callpath.wire.ids import StreamId
from tests.server.journals import calls, turns

RECOVERED, COUNTED = CallRecovered(fetched=1), MediaCounted(stream_id=StreamId("stream-1"), frames_in=50)


# --- an answer that gets lost ----------------------------------------------------------------------------------------


async def test_what_is_read_back_before_its_answer_is_lost_is_not_written_again() -> None:
    """The actor reads while the group writes: the entry has a number that is known already, and was looked for only among
    newer ones."""
    async with calls() as made:
        journal, log = made.journal(), made.log
        log.answers.clear()
        log.lost_answers = 1
        journal.note(COUNTED)
        await turns()
        await journal.read_news()
        log.answers.set()
        await turns()
        await journal.store()

        assert log.whats() == [COUNTED]
        assert not journal.has_pending


async def test_what_the_actor_wrote_and_does_not_know_of_is_not_written_by_the_group() -> None:
    """A counter that asks for the group in the same turn took the entry along a second time."""
    async with calls() as made:
        journal, log = made.journal(), made.log
        log.lost_answers = 1
        journal.note(RECOVERED)
        await journal.store()
        journal.note(COUNTED)
        await turns()
        woken = made.woken
        await journal.store()

        assert log.whats() == [RECOVERED, COUNTED]
        assert woken, "the group leaves it to the actor, which has to be told"


async def test_an_entry_that_was_not_stored_is_stored_when_the_log_is_back() -> None:
    """One before it, of which only the answer was lost, is not stored again with it."""
    async with calls() as made:
        journal, log = made.journal(), made.log
        log.lost_answers = 1
        journal.note(RECOVERED)
        await journal.store()
        log.down = True
        journal.note(CallRecovered(fetched=2))
        await journal.store()
        failed = journal.failed
        log.down = False
        await journal.store()

        assert failed and not journal.failed
        assert log.whats() == [RECOVERED, CallRecovered(fetched=2)]
