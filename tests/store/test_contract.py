"""What every call log promises, whichever keeps it. Another store joins with one line in STORES."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from callpath.store import memory, sql
from callpath.store.memory import MemoryCallLog
from callpath.store.port import CallLog, CallQuery, DialCounts, RejectedRequest
from callpath.store.sql import open_call_log
from callpath.timeline import KINDS, CommandAnswered, CommandSent, DialPlaced, Noted, What
from callpath.wire.ids import CallControlId, LegId, SessionId
from tests.call.test_session import ANSWERED, HANGUP, INITIATED
from tests.postgres import new_database
from tests.store.entries import AT, SESSION, anything, entry, of_kind, unnumbered


@asynccontextmanager
async def in_memory(_folder: Path) -> AsyncIterator[CallLog]:
    yield MemoryCallLog()


@asynccontextmanager
async def in_sqlite(folder: Path) -> AsyncIterator[CallLog]:
    async with open_call_log(f"sqlite:///{folder / 'callpath.db'}") as log:
        yield log


@asynccontextmanager
async def in_postgres(server: str, _folder: Path) -> AsyncIterator[CallLog]:
    async with open_call_log(new_database(server)) as log:
        yield log


Store = Callable[[Path], AbstractAsyncContextManager[CallLog]]
STORES: dict[str, Store] = {"memory": in_memory, "sqlite": in_sqlite}

by_property = settings(
    max_examples=40,
    deadline=None,  # a disk may take its time
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example has a session of its own
)


@pytest.fixture(params=[*STORES, "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "postgres":
        return partial(in_postgres, request.getfixturevalue("postgres_server"))
    return STORES[request.param]


@pytest.fixture
async def log(store: Store, tmp_path: Path) -> AsyncIterator[CallLog]:
    async with store(tmp_path) as log:
        yield log


def note(text: str) -> What:
    return Noted(text=text)


def refusal(reason: str) -> RejectedRequest:
    return RejectedRequest(
        at_unix_ms=AT, what="webhook", reason=reason, detail="no signature", client="192.0.2.7", path="/x"
    )


# --- append and read -------------------------------------------------------------------------------------------------


async def test_entries_come_back_in_the_order_of_their_appends(log: CallLog) -> None:
    """State is a fold over them, and clocks jump: the order is that of the appends, not of the times."""
    ours = [entry(note("first"), at=AT + 50), entry(note("second"), at=AT), entry(note("third"), at=AT + 50)]
    for one in ours:
        assert await log.append(one)
        assert await log.append(entry(note("of another call"), "another"))
    kept = await log.read(SESSION)

    assert unnumbered(kept) == ours
    assert [one.number for one in kept] == sorted({one.number for one in kept})


async def test_appends_started_in_order_land_in_order(log: CallLog) -> None:
    """The runner does not wait for the disk between two entries of a call."""
    ours = [entry(note(str(number))) for number in range(100)]
    stored = await asyncio.gather(*(log.append(one) for one in ours))

    assert stored == [True] * 100
    assert unnumbered(await log.read(SESSION)) == ours


async def test_entries_appended_together_land_together(log: CallLog) -> None:
    """A call that begins says several things at once: one wait, their order, and of a repeated one nothing new."""
    first, again, last = entry(note("a"), key="1"), entry(note("b"), key="1"), entry(note("c"))
    news = [await log.append(first, again, last), await log.append(again, again)]

    assert news == [True, False]
    assert [row.what for row in await log.read(SESSION)] == [first.what, last.what]


async def test_reading_goes_on_after_a_number(log: CallLog) -> None:
    """A page that follows a live call asks only for what is new."""
    for text in ("a", "b", "c"):
        await log.append(entry(note(text)))
    first, second, third = await log.read(SESSION)

    assert await log.read(SESSION, after=first.number) == [second, third]
    assert await log.read(SESSION, after=third.number) == []


async def test_a_call_that_nobody_knows_has_no_entries(log: CallLog) -> None:
    """An upgrade for an invented session asks for it."""
    assert await log.read(SessionId("nobody")) == []
    assert await log.overviews(CallQuery(limit=10)) == []


# --- keys ------------------------------------------------------------------------------------------------------------


async def test_a_second_entry_with_the_same_key_changes_nothing(log: CallLog) -> None:
    """Telnyx sends a webhook again; acting on it twice would answer a call twice."""
    assert await log.append(entry(note("one"), key="event-1"))
    before = await log.read(SESSION), await log.overviews(CallQuery(limit=10))
    again = await log.append(entry(note("two"), at=AT + 99, key="event-1"))

    assert again is False
    assert (await log.read(SESSION), await log.overviews(CallQuery(limit=10))) == before


async def test_a_key_counts_within_its_session_only(log: CallLog) -> None:
    """Two calls may well have an entry of the same key; entries without one never collide."""
    stored = [
        await log.append(entry(note("a"), key="same")),
        await log.append(entry(note("b"), "another", key="same")),
        await log.append(entry(note("c"))),
        await log.append(entry(note("c"))),
    ]

    assert stored == [True] * 4
    assert [one.what for one in await log.read(SESSION)] == [note("a"), note("c"), note("c")]


async def test_of_many_at_once_with_one_key_exactly_one_is_stored(log: CallLog) -> None:
    """Two deliveries of one webhook can be in flight at the same moment."""
    stored = await asyncio.gather(*(log.append(entry(note(str(number)), key="event-1")) for number in range(50)))

    assert stored.count(True) == 1
    assert [one.what for one in await log.read(SESSION)] == [note(str(stored.index(True)))]


# --- lists -----------------------------------------------------------------------------------------------------------


async def test_recent_calls_are_listed_newest_first(log: CallLog) -> None:
    """`callpath calls` shows the call that was just made on top, whichever was written to last."""
    await log.append(entry(note("."), "old", at=AT))
    await log.append(entry(note("."), "new", at=AT + 2000))
    await log.append(entry(note("."), "middle", at=AT + 1000))
    await log.append(entry(note("."), "old", at=AT + 9000))

    assert [call.session for call in await log.overviews(CallQuery(limit=10))] == ["new", "middle", "old"]
    assert [call.session for call in await log.overviews(CallQuery(limit=2))] == ["new", "middle"]
    assert await log.overviews(CallQuery(limit=0)) == []


async def test_a_call_lasts_from_its_earliest_to_its_latest_entry(log: CallLog) -> None:
    """Entries are written a little out of order; a call must not seem to begin after it ended."""
    for at in (AT + 500, AT, AT + 900, AT + 700):
        await log.append(entry(note("."), at=at))

    (call,) = await log.overviews(CallQuery(limit=1))
    assert (AT, AT + 900, 4) == (call.first_unix_ms, call.last_unix_ms, call.entries)


# --- overviews -------------------------------------------------------------------------------------------------------


async def take_call(log: CallLog, session: str, at: int, *whats: What) -> None:
    """A call whose webhooks say that they are of `session`."""
    for offset, what in enumerate(whats):
        await log.append(entry(what, session, at=at + offset))


async def test_a_page_of_calls_goes_on_where_the_one_before_ended(log: CallLog) -> None:
    """Calls that begin in the same millisecond are neither skipped nor shown twice."""
    for number in range(7):
        await take_call(log, f"call-{number}", AT + number // 3, INITIATED)
    seen: list[str] = []
    before: tuple[int, str] | None = None
    while page := await log.overviews(CallQuery(limit=2, before=before)):
        seen += [one.session for one in page]
        before = page[-1].first_unix_ms, page[-1].session

    assert [f"call-{number}" for number in (6, 5, 4, 3, 2, 1, 0)] == seen


async def test_calls_are_filtered_and_searched(log: CallLog) -> None:
    """By outcome, direction and any part of what identifies a call; a wildcard is a character like any other."""
    await take_call(log, "live-call", AT, INITIATED)
    await take_call(log, "Failed-call", AT + 10, INITIATED, ANSWERED, HANGUP)

    async def found(**query: Any) -> list[str]:
        return [one.session for one in await log.overviews(CallQuery(**query))]

    assert ["Failed-call"] == await found(outcome="unconnected")
    assert ["live-call"] == await found(outcome="live")
    assert ["Failed-call", "live-call"] == await found(direction="incoming")
    assert [] == await found(direction="outgoing")
    assert ["Failed-call"] == await found(text="failed-C")
    assert [] == await found(text="%")
    assert (4, {"live": 1, "unconnected": 1}) == await log.outcomes()


DIAL = "11111111-2222-4333-8444-555555555555"
ORDER = CommandSent(command="dial", command_id=DIAL, body={"to": "+15555550155", "from": "+15555550100"})


async def test_dials_are_counted_while_they_are_up_and_by_time(log: CallLog) -> None:
    """Caps hold for all processes of a log, and a crash makes no room."""
    placed = DialPlaced(
        command_id=DIAL, session=SessionId("s1"), call_control_id=CallControlId("v3:a"), leg_id=LegId("l1")
    )
    refused = CommandAnswered(command="dial", command_id=DIAL, status=403, error_detail="D17")
    await take_call(log, "dial-open", AT, ORDER)
    await take_call(log, "dial-placed", AT, ORDER, placed)
    await take_call(log, "dial-refused", AT, ORDER, refused)
    await take_call(log, "its-call", AT, ORDER)
    await take_call(log, "incoming", AT, INITIATED)
    now, hour_later, day_later = AT + 1_000, AT + 3_600_000, AT + 90_000_000

    assert DialCounts(live=2, minute=2, day=2) == await log.dial_counts(now)
    assert DialCounts(live=2, minute=0, day=2) == await log.dial_counts(hour_later)
    assert DialCounts(live=0, minute=0, day=0) == await log.dial_counts(day_later)


async def test_a_dial_that_became_a_call_is_in_no_list(log: CallLog) -> None:
    """Its call is. Whoever deletes a number's calls asks for both."""
    placed = DialPlaced(
        command_id=DIAL, session=SessionId("s1"), call_control_id=CallControlId("v3:a"), leg_id=LegId("l1")
    )
    await take_call(log, "dial-placed", AT, ORDER, placed)
    await take_call(log, "its-call", AT + 10, INITIATED)

    assert ["its-call"] == [one.session for one in await log.overviews(CallQuery())]
    assert ["its-call"] == [one.session for one in await log.changes(0, 10)]
    assert ["dial-placed"] == [one.session for one in await log.overviews(CallQuery(text="0155", placed=True))]
    assert {"live": 1} == (await log.outcomes())[1]


async def test_changes_are_told_once_each(log: CallLog) -> None:
    """A page that lost its connection asks for what changed since, and gets each call once, with its latest state."""
    await take_call(log, "a", AT, INITIATED)
    await take_call(log, "b", AT, INITIATED)
    (number, _) = await log.outcomes()
    await take_call(log, "a", AT + 1, ANSWERED, HANGUP)
    changed = await log.changes(number, 10)

    assert [("a", "ended", 3)] == [(one.session, one.state, one.entries) for one in changed]
    assert [] == await log.changes(changed[-1].number, 10)
    assert ["b", "a"] == [one.session for one in await log.changes(0, 10)]
    assert ["b"] == [one.session for one in await log.changes(0, 1)]


async def test_an_overview_is_the_fold_of_what_was_stored(log: CallLog) -> None:
    """A webhook that came twice counts once, in the row too; many at once lose nothing."""
    await asyncio.gather(*(log.append(entry(INITIATED, key="event-1")) for _ in range(5)))
    await asyncio.gather(*(log.append(entry(note(str(number)))) for number in range(50)))
    (overview,) = await log.overviews(CallQuery())

    assert (51, "ringing", len(await log.read(SESSION))) == (overview.entries, overview.state, 51)
    assert overview.number == (await log.read(SESSION))[-1].number


# --- find ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "identifier", [SESSION, SESSION[:8], "leg-2", "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg"]
)
async def test_a_call_is_found_by_any_of_its_ids(log: CallLog, identifier: str) -> None:
    """People paste whichever id the portal, a webhook or a log line gave them."""
    await log.append(entry(note("."), "0another", leg="leg-1", call_control_id="v3:another"))
    await log.append(entry(note(".")))
    control = "v3:MdI91X4lWFEs7IgbBEOT9M4AigoY08M0WWZFISt1Yw2axZ_IiE4pqg"
    await log.append(entry(note("."), leg="leg-2", call_control_id=control))

    assert await log.find(identifier) == SESSION


@pytest.mark.parametrize("identifier", ["nobody", "leg", "28c31b6", "%", "_28c31b6", "", SESSION + "0"])
async def test_what_is_no_id_finds_nothing(log: CallLog, identifier: str) -> None:
    """Another call's timeline under the wanted name would send the search the wrong way; nor is there any wildcard."""
    await log.append(entry(note("."), leg="leg-2", call_control_id="v3:x"))

    assert await log.find(identifier) is None


@pytest.mark.parametrize("sessions", [("call", "call-2"), ("call-2", "call")])
async def test_an_id_in_full_goes_before_the_beginning_of_another(log: CallLog, sessions: tuple[str, str]) -> None:
    """Else that call could not be looked at, at all."""
    for session in sessions:
        await log.append(entry(note("."), session))

    assert await log.find("call") == "call"


# --- refusals --------------------------------------------------------------------------------------------------------


async def test_refusals_are_counted_and_shown_newest_first(log: CallLog) -> None:
    """The count says that someone knocks, the latest ones say why they were turned away."""
    for reason in ("unsigned", "stale", "bad_signature"):
        await log.note_rejected(refusal(reason))

    assert await log.rejected(2) == (3, [refusal("bad_signature"), refusal("stale")])
    assert await log.rejected(0) == (3, [])
    assert await log.overviews(CallQuery(limit=10)) == []


async def test_without_refusals_the_count_is_zero(log: CallLog) -> None:
    """The usual case."""
    assert await log.rejected(5) == (0, [])


async def test_refusals_are_bounded_but_counted_for_ever(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone on the internet can cause them: they must not fill the disk."""
    monkeypatch.setattr(memory, "REJECTED_MAX", 3)
    monkeypatch.setattr(sql, "REJECTED_MAX", 3)
    async with store(tmp_path) as log:
        for number in range(10):
            await log.note_rejected(refusal(str(number)))

        assert await log.rejected(100) == (10, [refusal("9"), refusal("8"), refusal("7")])


async def test_old_refusals_are_forgotten_and_go_on_counting(store: Store, tmp_path: Path) -> None:
    """They hold the address of whoever sent them, which nobody may keep for ever; that somebody knocked is no secret."""
    async with store(tmp_path) as log:
        for number in range(4):
            await log.note_rejected(replace(refusal(str(number)), at_unix_ms=AT + number))
        first = await log.forget_rejected(AT + 2)
        then = await log.rejected(9)
        rest = await log.forget_rejected(AT + 9)
        empty = await log.rejected(9)
        again = await log.forget_rejected(AT + 9)
        await log.note_rejected(refusal("next"))

        assert (2, 2, 0) == (first, rest, again)
        assert (4, ["3", "2"]) == (then[0], [one.reason for one in then[1]])
        assert (4, []) == empty
        assert await log.rejected(9) == (5, [refusal("next")])


async def test_a_refusal_may_have_no_client_and_no_path(log: CallLog) -> None:
    """A socket over a Unix domain has no client address."""
    bare = RejectedRequest(at_unix_ms=AT, what="upgrade", reason="unknown_session", detail="")
    await log.note_rejected(bare)

    assert await log.rejected(1) == (1, [bare])


# --- whatever is in them ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(by_property, max_examples=5)
async def test_every_kind_comes_back_equal(log: CallLog, kind: type[What], data: st.DataObject) -> None:
    """The server folds what it has in hand, every other reader what was stored: both must see the same."""
    session = str(uuid4())
    whole = entry(data.draw(of_kind(kind)), session)
    await log.append(whole)

    assert unnumbered(await log.read(SessionId(session))) == [whole]


@given(
    whats=st.lists(anything, min_size=1, max_size=5),
    key=st.none() | st.text(min_size=1),
    leg=st.none() | st.text(min_size=1),
    call_control_id=st.none() | st.text(min_size=1),
)
@by_property
async def test_any_text_survives(
    log: CallLog, whats: list[What], key: str | None, leg: str | None, call_control_id: str | None
) -> None:
    """Names, transcripts and ids hold every character there is, NUL and quotes too."""
    session = str(uuid4())
    first, *others = whats
    ours = [entry(first, session, key=key, leg=leg, call_control_id=call_control_id)]
    ours += [entry(what, session) for what in others]
    for one in ours:
        await log.append(one)

    assert unnumbered(await log.read(SessionId(session))) == ours
    assert await log.append(ours[0]) is (key is None)


@given(st.lists(st.sampled_from("abc"), max_size=20))
@by_property
async def test_of_any_run_of_keys_each_is_stored_once(log: CallLog, keys: list[str]) -> None:
    """However often, and in whatever order, webhooks are delivered again."""
    session = str(uuid4())
    stored = await asyncio.gather(*(log.append(entry(note(key), session, key=key)) for key in keys))

    assert [key for key, new in zip(keys, stored, strict=True) if new] == list(dict.fromkeys(keys))
    assert [one.key for one in await log.read(SessionId(session))] == list(dict.fromkeys(keys))


# --- many nodes ------------------------------------------------------------------------------------------------------


EXPIRED = -1_000
"""A lease that has run out already, by whichever clock."""


async def test_one_node_acts_for_a_call_at_a_time(log: CallLog) -> None:
    """Two nodes that both recover a dead node's call would both hang it up, or answer it twice."""
    first = await log.claim(SESSION, "a", 60_000)
    other = await log.claim(SESSION, "b", 60_000)
    again = await log.claim(SESSION, "a", EXPIRED)
    late = await log.claim(SESSION, "b", 60_000)
    forced = await log.claim(SESSION, "c", 60_000, steal="always")
    lost = await log.claim(SESSION, "b", 60_000)

    assert (True, False, True, True, True, False) == (first, other, again, late, forced, lost)


async def test_a_claim_that_may_not_steal_takes_what_is_free(log: CallLog) -> None:
    """After an outage all leases have run out, and each node has its own still."""
    await log.claim(SESSION, "a", EXPIRED)
    stolen = await log.claim(SESSION, "b", 60_000, steal="never")
    own = await log.claim(SESSION, "a", EXPIRED, steal="never")
    new = await log.claim(SessionId("new"), "b", 60_000, steal="never")
    await log.offer(SESSION)
    offered = await log.claim(SESSION, "b", 60_000, steal="never")

    assert (False, True, True, True) == (stolen, own, new, offered)


async def test_of_many_that_claim_at_once_one_gets_the_call(log: CallLog) -> None:
    """All living nodes notice a dead one in the same second."""
    got = await asyncio.gather(*(log.claim(SESSION, str(node), 60_000) for node in range(10)))

    assert 1 == got.count(True)


async def test_a_call_is_an_orphan_once_its_lease_has_run_out(log: CallLog) -> None:
    """A node that died with the call cannot say so."""
    await log.claim(SessionId("released"), "a", EXPIRED)
    await log.release(SessionId("released"), "a")
    await log.claim(SessionId("alive"), "a", 60_000)
    before = await log.orphans(10)
    await log.claim(SESSION, "a", EXPIRED)
    await log.release(SESSION, "b")  # not b's

    assert ([], [SESSION]) == (before, await log.orphans(10))


async def test_an_offered_call_waits_for_a_node(log: CallLog) -> None:
    """It is found even while calls of nodes that may only have been cut off are left alone."""
    await log.claim(SESSION, "a", 60_000)
    await log.claim(SessionId("expired"), "b", EXPIRED)
    await log.offer(SESSION)
    await log.offer(SessionId("unknown so far"))

    assert [SESSION, "unknown so far"] == await log.orphans(10, expired=False)
    assert [SESSION, "unknown so far", "expired"] == await log.orphans(10)
    assert [SESSION] == await log.orphans(1)


async def test_a_node_prolongs_what_it_has_and_learns_what_it_lost(log: CallLog) -> None:
    """A node that stood still for a while must not go on with calls that another has claimed since."""
    for session in (SESSION, SessionId("lost")):
        await log.claim(session, "a", EXPIRED)
    await log.claim(SessionId("lost"), "b", EXPIRED)
    held = await log.renew("a", 60_000)

    assert {SESSION} == held
    assert [SessionId("lost")] == await log.orphans(10)
    assert not await log.claim(SESSION, "b", 60_000)


# --- forgetting ------------------------------------------------------------------------------------------------------


async def test_a_forgotten_call_leaves_nothing(log: CallLog) -> None:
    """Who asks to be forgotten must not be found again, in any list; others keep theirs."""
    other = SessionId("other")
    await log.append(entry(note("one"), key="k", leg="leg-1"))
    await log.append(entry(note("two"), other))
    await log.claim(SESSION, "node", EXPIRED)

    assert (await log.forget(SESSION), await log.forget(SESSION)) == (True, False)
    assert await log.read(SESSION) == []
    assert [call.session for call in await log.overviews(CallQuery(limit=10))] == [other]
    assert [call.session for call in await log.overviews(CallQuery())] == [other]
    assert (await log.find(SESSION), await log.find("leg-1")) == (None, None)
    assert await log.orphans(10) == []
    assert await log.append(entry(note("late"), key="k"))


async def test_calls_that_fell_silent_are_found(log: CallLog) -> None:
    """By their last entry, longest silent first: a long call is not old because it began long ago."""
    for session, times in {"b": [1, 20], "a": [1, 10], "long": [1, 100]}.items():
        for at in times:
            await log.append(entry(note("x"), SessionId(session), at=at))

    assert await log.silent_since(100, 10) == ["a", "b"]
    assert await log.silent_since(100, 1) == ["a"]


# --- numbers from URLs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [10**30, -(10**30)])
async def test_a_number_of_any_size_is_only_a_number(log: CallLog, number: int) -> None:
    """Pages ask for what comes after a number that stands in their URL. (500 once; found by tests/soak.)"""
    await log.append(entry(note("x")))
    expected = 0 if number > 0 else 1

    assert expected == len(await log.read(SESSION, after=number))
    assert expected == len(await log.changes(number, 10))
    assert 1 - expected == len(await log.overviews(CallQuery(before=(number, "s"))))
