"""The timeline of one call as its process knows it, and its way into the log."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import structlog

from callpath.server import journal as journal_module
from callpath.server.journal import log_entry, write_entry
from callpath.timeline import (
    CallRecovered,
    CallStuck,
    CommandAnswered,
    Entry,
    HandlerFailed,
    MediaCounted,
    RecordingNotStored,
    RecordingSaved,
    SocketReceived,
    StreamProbed,
    StreamUrl,
    WebhookReceived,
    What,
    describe,
    kind_of,
)
from callpath.wire.ids import LegId, SessionId, StreamId
from tests.call.test_session import ANSWERED, INITIATED
from tests.call.timelines import event
from tests.server.journals import SESSION, calls, turns

RECOVERED, COUNTED = CallRecovered(fetched=1), MediaCounted(stream_id=StreamId("stream-1"), frames_in=50)


def entry(what: What, at_unix_ms: int = 1_000) -> Entry:
    return Entry(session=SESSION, at_unix_ms=at_unix_ms, what=what)


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


async def test_of_two_equal_entries_each_is_stored() -> None:
    """Two keys within a millisecond, say: that one of them is in the log says nothing about the other."""
    async with calls() as made:
        journal, log = made.journal(), made.log
        log.lost_answers = 1
        journal.note(RECOVERED)
        await journal.store()
        journal.note(RECOVERED)
        await journal.store()

        assert [RECOVERED] * 2 == log.whats()


async def test_recordings_are_announced_to_whoever_keeps_them() -> None:
    """Also what was recorded before the disk failed; where nobody keeps them, nothing is announced."""
    async with calls() as made:
        announced: list[str] = []
        made.context.uploads = cast(Any, SimpleNamespace(announce=announced.append))
        made.journal().note(RecordingSaved(path="a.wav", duration_ms=1.0))
        made.journal().note(RecordingNotStored(path="b.wav", code="REC001", slug="x", detail="x"))
        made.journal().note(RECOVERED)
        made.context.uploads = None
        made.journal().note(RecordingSaved(path="c.wav", duration_ms=1.0))

        assert ["a.wav", "b.wav"] == announced


def test_the_limit_is_what_the_documentation_says() -> None:
    """Ten thousand entries of one call: minutes of an outage, and a few megabytes."""
    assert 10_000 == journal_module.PENDING_MAX


async def test_what_one_entry_holds_up_does_not_hold_up_the_others() -> None:
    """After a write that failed each is tried by itself, in order, up to the one that cannot be written."""
    async with calls() as made:
        journal, log = made.journal(), made.log
        log.refused = [CallRecovered(fetched=2)]
        for number in (1, 2, 3):
            journal.note(CallRecovered(fetched=number))
        await journal.store()
        stored = log.whats()
        log.refused = []
        await journal.store()
        await journal.store()  # nothing waits: nothing is asked of the log

        assert [RECOVERED] == stored
        assert [CallRecovered(fetched=number) for number in (1, 2, 3)] == log.whats()
        assert [1, 2] == [len(write) for write in log.writes]


async def test_what_is_stored_goes_on_when_its_caller_is_cancelled() -> None:
    """A handler is cancelled at every end of a call. What it had stored would be stored again."""
    async with calls() as made:
        journal, log = made.journal(), made.log
        log.answers.clear()
        journal.note(RECOVERED)
        handler = asyncio.ensure_future(journal.store())
        await turns()
        handler.cancel()
        await turns()
        waiting = asyncio.ensure_future(journal.store())  # also for what somebody else stores
        await turns()
        waits = not waiting.done()
        log.answers.set()
        await waiting

        assert handler.cancelled() and waits
        assert [RECOVERED] == log.whats()


async def test_entries_of_many_calls_are_stored_with_one_write() -> None:
    """One whose entries are being stored already is left out, and the group waits for nobody."""
    async with calls() as made:
        one, two, busy = (made.journal(SessionId(name)) for name in ("one", "two", "busy"))
        await busy._storing.acquire()
        for journal in (one, two, busy):
            journal.note(COUNTED)
        await turns()
        woken = made.woken
        writes = list(made.log.writes)
        busy._storing.release()

        assert [["MediaCounted"] * 2] == writes
        assert (False, False, True) == (one.has_pending, two.has_pending, busy.has_pending)
        assert 0 == woken


async def test_a_group_that_cannot_be_written_is_left_to_its_calls() -> None:
    """Each tries by itself, so that one bad entry costs the others nothing; what came meanwhile is stored, too."""
    async with calls() as made:
        journal, log = made.journal(), made.log
        log.down = True
        journal.note(COUNTED)
        await turns()
        woken, waits = made.woken, journal.has_pending
        log.down = False
        log.answers.clear()
        other = made.journal(SessionId("other"))
        other.note(COUNTED)
        await turns()
        other.note(RECOVERED)
        told = made.woken
        log.answers.set()
        await turns()
        await journal.store()

        assert woken and waits and not journal.has_pending
        assert made.woken > told and other.has_pending, "what came during the write is the actor's to store"
        assert [COUNTED] == log.whats()


async def test_counters_of_a_server_that_stops_are_the_actors() -> None:
    """Nobody starts a task for them any more."""
    async with calls() as made:
        journal = made.journal()
        made.context.tasks.stop()
        journal.note(COUNTED)
        await turns()

        assert made.woken and journal.has_pending and not made.log.writes
        await journal.store()


async def test_what_the_log_holds_is_read_once() -> None:
    """Of a new call everything is news; then only what came after it."""
    async with calls() as made:
        journal, log = made.journal(), made.log
        before = journal.was_read, journal.has_news, journal.is_new
        await log.append(entry(INITIATED), entry(ANSWERED, 2_000))
        await journal.read_news()
        known = journal.was_read, journal.has_news, journal.failed, journal.session.state
        reads = list(log.reads)
        journal.note(RECOVERED)
        asks = journal.has_news
        await journal.store()
        await journal.read_news()

        assert (False, True, True) == before
        assert (True, False, False, "answered") == known
        assert asks, "another may have written before it"
        assert ([0], [0, 2]) == (reads, log.reads)


async def test_an_event_that_is_read_is_told_once_it_was_applied() -> None:
    """A handler that waits for the end of what Telnyx speaks hears of it so, also where another node got the webhook."""
    async with calls() as made:
        journal, log = made.journal(), made.log
        told: list[tuple[str, str]] = []
        journal.tell = lambda webhook: told.append((webhook.event_type, journal.session.state))
        unreadable = WebhookReceived(event_type="x", event_id="x", body={})
        await log.append(entry(INITIATED), entry(unreadable), entry(ANSWERED), entry(RECOVERED))
        await journal.read_news()
        journal.forget()
        await log.append(entry(ANSWERED))
        await journal.read_news()

        assert [("call.initiated", "answered"), ("call.answered", "answered")] == told


async def test_a_log_that_cannot_be_read_is_asked_again() -> None:
    """What it holds is news until it was read."""
    async with calls() as made:
        journal = made.journal()
        made.log.down = True
        await journal.read_news()

        assert (True, True, False) == (journal.failed, journal.has_news, journal.was_read)


async def test_a_call_that_was_just_read_is_not_read_again() -> None:
    """A start folds the timelines of all calls; but another node may write at any moment."""
    async with calls() as made:
        known = [
            msgspec.structs.replace(entry(what), number=number) for number, what in ((3, INITIATED), (7, ANSWERED))
        ]
        alone = made.journal(timeline=known)
        made.log.shared = True
        shared = made.journal(timeline=known)
        await shared.read_news()

        assert (True, False) == (alone.was_read, alone.has_news)
        assert "answered" == alone.session.state
        assert [7] == made.log.reads


async def test_kinds_that_come_with_every_call_wake_nobody() -> None:
    """And are not read back: that would cost a query at the very moment when a call begins to talk."""
    async with calls() as made:
        made.journal()
        known = [msgspec.structs.replace(entry(INITIATED), number=1)]
        quiet, received, waking = (made.journal(timeline=known) for _ in range(3))
        quiet.note(COUNTED)
        silent = made.woken
        received.note(SocketReceived(path="/x", client="203.0.113.9"))
        woken = made.woken
        waking.note(RECOVERED)

        assert (0, 1, 2) == (silent, woken, made.woken)
        assert [False, False, True] == [one.has_news for one in (quiet, received, waking)]


async def test_an_entry_names_its_leg_and_its_time() -> None:
    """`at_unix_ms` is when it happened, if not now."""
    async with calls() as made:
        journal = made.journal()
        journal.note(RECOVERED)
        journal.note(INITIATED)
        journal.note(RECOVERED, 5)
        await journal.store()
        first, _, third = await made.log.read(SESSION)
        leg = journal.session.leg
        assert leg is not None

        assert (made.clock.now_unix_ms(), None, None) == (first.at_unix_ms, first.leg, first.call_control_id)
        assert (5, leg.leg_id, leg.call_control_id) == (third.at_unix_ms, third.leg, third.call_control_id)


async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it an entry is dropped, and the log says so; what follows from it is not decided again."""
    monkeypatch.setattr(journal_module, "PENDING_MAX", 2)
    async with calls() as made:
        journal = made.journal()
        with structlog.testing.capture_logs() as lines:
            for number in range(3):
                journal.note(CallRecovered(fetched=number), 1_000 + number)
        await journal.store()

        assert ["entry.dropped"] == [line["event_name"] for line in lines]
        assert 1_002 == journal.session.recovered_unix_ms
        assert 2 == len(made.log.whats())


async def test_stages_are_measured_where_they_are_reached() -> None:
    """Not those that were reached before this process had the call."""
    async with calls() as made:
        journal = made.journal()
        await made.log.append(entry(INITIATED, 1_000))
        await journal.read_news()
        journal.is_new = False
        journal.note(ANSWERED, 3_500)
        page = made.context.metrics.text().decode()

        assert 'callpath_stage_seconds_sum{stage="call answered"} 2.5\n' in page
        assert "callpath_stage_seconds_count{" in page and page.count("callpath_stage_seconds_sum{") == 1


# --- lines of the log ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "level"),
    [
        (CommandAnswered(command="answer", command_id="a", status=200), "info"),
        (CommandAnswered(command="answer", command_id="a", status=422), "warning"),
        (HandlerFailed(error="x", traceback=""), "warning"),
        (StreamProbed(url="", healthy=True, decided=True, summary=""), "info"),
        (StreamProbed(url="", healthy=None, decided=False, summary=""), "warning"),
        (CallStuck(reason="too_long", number=1, after_ms=1), "warning"),
        (RECOVERED, "info"),
    ],
)
def test_what_went_wrong_is_a_warning(what: What, level: str) -> None:
    """Whoever watches the log looks at warnings only."""
    with structlog.testing.capture_logs() as lines:
        log_entry(entry(what))

    assert [
        {
            "event": describe(what),
            "log_level": level,
            "event_name": kind_of(what),
            "call_session_id": SESSION,
        }
    ] == lines


def test_a_line_says_what_a_verdict_needs() -> None:
    """The URL, and Telnyx's reasons; and which leg."""
    hangup = event("call.hangup", hangup_cause="timeout", hangup_source="caller")
    with structlog.testing.capture_logs() as lines:
        log_entry(entry(StreamUrl(url="wss://x/audio")))
        log_entry(msgspec.structs.replace(entry(hangup), leg=LegId("leg-a")))
        log_entry(entry(WebhookReceived(event_type="x", event_id="x", body={})))

    assert "wss://x/audio" == lines[0]["stream_url"]
    assert ("timeout", "caller", "leg-a") == tuple(
        lines[1][name] for name in ("hangup_cause", "hangup_source", "call_leg_id")
    )
    assert "call_leg_id" not in lines[2]


async def test_an_entry_of_nobodys_is_stored_counted_and_said_once() -> None:
    """A webhook that comes twice is one."""
    async with calls() as made:
        webhook = msgspec.structs.replace(entry(INITIATED), key="k")
        with structlog.testing.capture_logs() as lines:
            first = await write_entry(made.log, made.context.metrics, webhook)
            again = await write_entry(made.log, made.context.metrics, webhook)
            silent = await write_entry(made.log, made.context.metrics, entry(ANSWERED), log_it=False)

        assert (True, False, True) == (first, again, silent)
        assert 1 == len(lines)


async def test_each_entry_is_a_line_but_the_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be every other line."""
    async with calls() as made:
        monkeypatch.setattr(made.context, "log_entries", True)
        journal = made.journal()
        with structlog.testing.capture_logs() as lines:
            journal.note(COUNTED)
            journal.note(RECOVERED)
        await journal.store()

        assert ["call.recovered"] == [line["event_name"] for line in lines]
