"""What follows for each of the two calls of a consult, whatever order their webhooks come in."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from callpath.call.client_state import ClientState, FirstCall, decode_client_state, encode_client_state
from callpath.call.consult import (
    BRIDGED_MS_MAX,
    GOODBYE_MS_MAX,
    JOINED_MS_MAX,
    LATE_MS,
    consult_due,
    consult_hangup,
    consult_outcome,
    ends_for,
    first_call,
    is_abandoned,
    is_kept,
    news_of,
)
from callpath.call.ending import is_handed_on, needs_handler, next_ending
from callpath.call.session import CallSession
from callpath.timeline import (
    CommandAnswered,
    CommandSent,
    ConsultDecided,
    ConsultEnded,
    ConsultNews,
    ConsultStarted,
    Entry,
    HandlerEnded,
    HandlerFailed,
    What,
)
from callpath.wire.command import Bridge, Dial, Hangup, PlaybackStart, PlaybackStop
from callpath.wire.document import write
from callpath.wire.ids import CallControlId, SessionId
from tests.call.timelines import LEG_A, SESSION, A, event
from tests.simulation.orders import LATE_MS_MAX, SCRIPTS, broken_orders

SECOND = SessionId("second")
H = CallControlId("v3:h")
LEG_H: dict[str, Any] = {"call_leg_id": "leg-h", "call_control_id": H, "call_session_id": SECOND}
STARTED = ConsultStarted(command_id="dial", to="+15555550177", connection_id="1", from_="+15555550199", handler="brief")
UP = [event("call.initiated.inbound", 1, **LEG_A), event("call.answered", 2, **LEG_A)]
STATE = encode_client_state(ClientState(leg="dial", handler="brief", first=FirstCall(SESSION, A, "+1", "+2")))


def folded(session: SessionId, *whats: What | tuple[int, What]) -> CallSession:
    """Entries one ms apart from 1,000 on, or at a time of their own."""
    state = CallSession(session)
    for number, what in enumerate(whats):
        at, said = what if isinstance(what, tuple) else (1_000 + number, what)
        state.apply(Entry(session=session, at_unix_ms=at, what=said))
    return state


def first(*whats: What | tuple[int, What]) -> CallSession:
    return folded(SESSION, *UP, STARTED, *whats)


def second(*whats: What | tuple[int, What], state: str = STATE) -> CallSession:
    rings = event("call.initiated.outbound", 10, **LEG_H, client_state=state)
    return folded(SECOND, rings, *whats)


def news(name: str, **more: Any) -> ConsultNews:
    return ConsultNews(command_id="dial", news=name, call_session_id=SECOND, call_control_id=H, **more)


def sent(session: CallSession, now: int = 2_000) -> list[type]:
    return [type(command) for command in consult_due(session, now).commands]


def outcome(session: CallSession, now: int = 2_000) -> tuple[str, str] | None:
    entries = consult_due(session, now).entries
    assert all(isinstance(one, ConsultEnded) for one in entries)
    return (entries[0].status, entries[0].reason) if entries else None  # type: ignore[attr-defined]


def carried_out(session: CallSession, kind: type, status: int = 200, code: str | None = None, at: int = 2_000) -> None:
    """The command that is due was sent, and answered."""
    command = next(one for one in consult_due(session, at).commands if isinstance(one, kind))
    ids: dict[str, Any] = {"command": command.NAME, "command_id": command.command_id, "call_control_id": A}
    for what in (CommandSent(body=write(command), **ids), CommandAnswered(status=status, error_code=code, **ids)):
        session.apply(Entry(session=SESSION, at_unix_ms=at, what=what))


def test_orders_of_webhooks_end_in_one_state() -> None:
    """10,000 with `python -m tests.simulation --orders 10000`; no order leaves a leg up or calls a phone twice."""
    assert broken_orders(60 * len(SCRIPTS)) == []


def test_webhooks_that_are_very_late_leave_no_leg_up() -> None:
    """What came of it may be told in another word then, but nobody is left alone."""
    assert broken_orders(20 * len(SCRIPTS), 10_000, late_ms=12 * LATE_MS_MAX) == []


def test_the_dial_carries_all_that_the_second_call_needs() -> None:
    """Any process that gets one of its webhooks can go on with it."""
    (command,) = consult_due(first(), 2_000).commands
    assert isinstance(command, Dial)
    state = decode_client_state(command.client_state)

    assert (command.to, command.from_, command.command_id) == (STARTED.to, STARTED.from_, "dial")
    assert (state.handler, state.leg) == ("brief", "dial")
    assert state.first is not None and (state.first.session_id, state.first.call_control_id) == (SESSION, A)


def test_nobody_is_dialled_twice_or_for_a_call_that_is_over() -> None:
    """The command stands in the timeline before it is sent."""
    session = first()
    carried_out(session, Dial)
    assert sent(session) == []

    assert sent(first(event("call.hangup", 20, **LEG_A))) == []
    assert sent(folded(SESSION, STARTED)) == [], "the call itself is not known yet"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([news("ended", cause="user_busy")], "busy"),
        ([news("ended", cause="unspecified", sip_code="404")], "unreachable"),
        ([news("answered"), news("ended", cause="normal_clearing")], "declined"),
        ([news("ended", cause="normal_clearing"), news("answered")], "declined"),
        ([news("ended", cause="normal_clearing")], "declined"),
        ([news("answered"), news("declined", reason="lunch")], "declined"),
        ([news("answered"), news("failed", reason="ValueError")], "failed"),
        ([news("answered"), news("machine")], "voicemail"),
        ([news("machine"), news("ended", cause="normal_clearing")], "voicemail"),
        ([news("answered"), news("accepted"), news("ended", cause="normal_clearing")], "declined"),
        ([news("ringing")], None),
        ([news("answered")], None),
        ([news("answered"), news("accepted")], None),
    ],
)
def test_what_came_of_the_second_call(told: list[What], expected: str | None) -> None:
    """Told in any order."""
    ends = outcome(first(*told))

    assert (ends[0] if ends else None) == expected


def test_nothing_lasts_for_ever() -> None:
    """Ringing, deciding and joining each have their time."""
    assert outcome(first(), 1_000 + 60_002) == ("unknown", "")
    assert outcome(first(news("answered")), 1_000 + 60_003) == ("declined", "no decision within 60 s")
    assert outcome(first(news("answered"), news("accepted")), 30_000) == ("failed", "the two calls could not be joined")


def test_it_goes_on_after_a_restart() -> None:
    """The times begin again where another process has recovered the call."""
    for told in ([], [news("answered")], [news("answered"), news("accepted")]):
        session = first(*told)

        assert consult_due(session, 200_000, watched_unix_ms=195_000).entries == ()
        assert consult_due(session, 200_000, watched_unix_ms=1_000).entries != ()


def test_joined_is_who_was_bridged() -> None:
    """Either leg's call.bridged tells it, and where both are lost, the time after the 200."""
    for told in ([news("bridged")], [event("call.bridged", 20, **LEG_A)]):
        session = first(news("answered"), news("accepted"))
        carried_out(session, Bridge)
        for what in told:
            session.apply(Entry(session=SESSION, at_unix_ms=2_100, what=what))
        assert outcome(session, 2_200) == ("joined", "")
    session = first(news("answered"), news("accepted"))
    carried_out(session, Bridge)

    assert outcome(session, 2_000 + BRIDGED_MS_MAX - 1) is None
    assert outcome(session, 2_000 + BRIDGED_MS_MAX) == ("joined", "")


def test_a_bridge_of_an_earlier_transfer_is_not_this_one() -> None:
    """The caller may have been connected before, and come back."""
    session = first(event("call.bridged", 5, **LEG_A), news("answered"), news("accepted"))
    carried_out(session, Bridge)

    assert outcome(session, 2_100) is None


def test_who_hangs_up_while_the_two_are_joined_may_have_been_joined() -> None:
    """The call.bridged may come after the call.hangup."""
    session = first(news("answered"), news("accepted"))
    carried_out(session, Bridge)
    session.apply(Entry(session=SESSION, at_unix_ms=2_100, what=news("ended", cause="normal_clearing")))

    assert outcome(session, 2_100 + LATE_MS - 1) is None
    assert outcome(session, 2_100 + LATE_MS) == ("declined", "the other person hung up")


def test_a_bridge_is_sent_on_the_caller_who_survives_it() -> None:
    """`park_after_unbridge` protects the leg that the command is sent on: nobody loses the caller when the other leaves."""
    (command,) = consult_due(first(news("accepted")), 2_000).commands

    assert isinstance(command, Bridge)
    assert (command.call_control_id, command.park_after_unbridge) == (H, "self")


def test_music_of_telnyx_is_stopped_first_and_not_waited_for_for_ever() -> None:
    """It would play on in the middle of the talk."""
    session = folded(SESSION, *UP, replace(STARTED, hold_url="https://x/hold.mp3"))
    assert sent(session) == [PlaybackStart, Dial]
    carried_out(session, PlaybackStart)
    carried_out(session, Dial)
    session.apply(Entry(session=SESSION, at_unix_ms=2_001, what=news("accepted")))
    (stop,) = consult_due(session, 2_002).commands
    assert isinstance(stop, PlaybackStop)
    stop_sent = CommandSent(command="playback_stop", command_id=str(stop.command_id), call_control_id=A)
    session.apply(Entry(session=SESSION, at_unix_ms=2_002, what=stop_sent))

    assert sent(session, 2_003) == []
    assert sent(session, 4_002) == [Bridge]


def test_music_that_telnyx_refused_to_play_is_not_stopped() -> None:
    """Nothing plays; the two are joined all the same."""
    session = folded(SESSION, *UP, replace(STARTED, hold_media="hold"))
    carried_out(session, PlaybackStart, 422, "90040")
    carried_out(session, Dial)
    session.apply(Entry(session=SESSION, at_unix_ms=2_001, what=news("accepted")))

    assert sent(session, 2_002) == [Bridge]


def test_an_open_consult_holds_the_call() -> None:
    """It is neither hung up nor served by another run of the handler, whose process is gone."""
    session = first(HandlerEnded())

    assert is_handed_on(session) and not needs_handler(session)
    assert next_ending(session, handler_running=False, now_unix_ms=9_000).commands == ()


@pytest.mark.parametrize("keep_stream", [False, True])
def test_a_caller_whom_the_other_person_left(keep_stream: bool) -> None:
    """Is hung up: nobody serves a caller without a stream. With the stream, only once the handler is done."""
    session = folded(
        SESSION,
        *UP,
        replace(STARTED, keep_stream=keep_stream),
        news("accepted"),
        ConsultEnded(command_id="dial", status="joined"),
    )
    assert is_handed_on(session) and not is_abandoned(session)
    session.apply(Entry(session=SESSION, at_unix_ms=3_000, what=news("ended", cause="normal_clearing")))
    running = next_ending(session, handler_running=True, now_unix_ms=4_000).commands

    assert [type(one) for one in running] == ([] if keep_stream else [Hangup])
    assert needs_handler(session) is keep_stream
    session.apply(Entry(session=SESSION, at_unix_ms=3_500, what=HandlerEnded()))
    assert len(next_ending(session, handler_running=False, now_unix_ms=4_000).commands) == 1


def test_a_caller_who_was_sent_on_after_the_consult_is_left_there() -> None:
    """The second person leaves because the caller was transferred to a third."""
    later = CommandSent(command="transfer", command_id="later", call_control_id=A, body={"to": "+15555550178"})
    session = first(
        news("accepted"),
        (3_000, ConsultEnded(command_id="dial", status="joined")),
        (4_000, later),
        (4_001, CommandAnswered(command="transfer", command_id="later", status=200)),
        (4_002, news("ended")),
    )

    assert next_ending(session, handler_running=False, now_unix_ms=9_000).commands == ()


def test_the_caller_learns_what_became_of_the_second_call() -> None:
    """Each once, with what the result needs."""
    up = event("call.answered", 11, **LEG_H, client_state=STATE)
    told = [one.news for one in news_of(second(up, ConsultDecided(accepted=True)))]
    assert told == ["ringing", "answered", "accepted"]
    (_, _, failed) = news_of(second(up, HandlerFailed(error="ValueError: x", traceback="")))
    assert (failed.news, failed.reason) == ("failed", "its handler raised ValueError: x")
    busy = event("call.hangup", 12, **LEG_H, hangup_cause="user_busy", sip_hangup_cause="486")
    ended = news_of(second(busy))[-1]

    assert (ended.news, ended.cause, ended.sip_code, ended.command_id) == ("ended", "user_busy", "486", "dial")
    assert news_of(first()) == [] and first_call(first()) is None


def test_a_client_state_that_the_handler_changes_does_not_part_the_two() -> None:
    """The newest command's value is in every later webhook of a leg."""
    changed = event("call.answered", 11, **LEG_H, client_state="b3JkZXI=")

    assert [one.news for one in news_of(second(changed))] == ["ringing", "answered"]


def test_a_call_control_id_that_changes_at_the_answer_is_the_one_to_join() -> None:
    """Telnyx may move a leg to another site when it is answered."""
    moved = event("call.answered", 11, **{**LEG_H, "call_control_id": "v3:h2"}, client_state=STATE)

    assert [one.call_control_id for one in news_of(second(moved, ConsultDecided(accepted=True)))][-1] == "v3:h2"


@pytest.mark.parametrize(
    ("detect", "greeting", "is_machine"), [("premium", None, True), ("ios", None, False), ("ios", "beep", True)]
)
def test_a_screening_phone_is_not_hung_up_at_its_first_verdict(
    detect: str, greeting: str | None, is_machine: bool
) -> None:
    """That one is provisional until the greeting ends."""
    asked = "premium_ios_call_screening_detection" if detect == "ios" else detect
    state = encode_client_state(ClientState(leg="dial", first=FirstCall(SESSION, A, detect=asked)))
    told: list[What] = [event("call.machine.premium.detection.ended", 12, **LEG_H, result="machine")]
    if greeting is not None:
        told.append(event("call.machine.premium.greeting.ended", 13, **LEG_H, result="beep_detected"))

    assert ("machine" in [one.news for one in news_of(second(*told, state=state))]) is is_machine


def test_the_second_call_learns_what_came_of_it() -> None:
    """Also where the process died after the caller's hangup was stored, and before anybody acted on it."""
    gone = event("call.hangup", 20, **LEG_A)
    joined = ConsultEnded(command_id="dial", status="joined")

    assert ends_for(first(), "dial") == []
    assert [one.status for one in ends_for(first(gone), "dial")] == ["hung_up"]
    assert [one.status for one in ends_for(first(joined, gone), "dial")] == ["joined", "hung_up"]
    assert ends_for(first(gone), "another") == []


def hung_up_at(*whats: What | tuple[int, What], running: bool = True) -> int | None:
    up = event("call.answered", 11, **LEG_H, client_state=STATE)
    return consult_hangup(second(up, *whats), handler_running=running)


def test_when_the_second_call_is_hung_up() -> None:
    """At once, where the caller is gone; after a good-bye, where its handler declined; never, while the two talk."""
    over = (5_000, ConsultEnded(command_id="dial", status="hung_up"))
    accepts, declines = (2_000, ConsultDecided(accepted=True)), (2_000, ConsultDecided(accepted=False))

    assert hung_up_at() is None
    assert hung_up_at(over) == 5_000
    assert hung_up_at(accepts) == 2_000 + JOINED_MS_MAX
    assert hung_up_at(accepts, (3_000, ConsultEnded(command_id="dial", status="joined"))) is None
    assert hung_up_at(accepts, over) == 5_000
    assert hung_up_at(declines, over) == 5_000 + GOODBYE_MS_MAX
    assert hung_up_at(declines, over, running=False) == 5_000, "its process is gone"
    assert hung_up_at(over, (6_000, HandlerEnded()), running=False) is None, "as after any handler that returns"
    assert hung_up_at((5_000, ConsultEnded(command_id="another", status="hung_up"))) is None


def test_a_second_call_that_is_joined_is_nobodys_to_end() -> None:
    """Its handler returns; so does one that another process would enter."""
    session = second(
        event("call.answered", 11, **LEG_H, client_state=STATE), ConsultDecided(accepted=True), HandlerEnded()
    )

    assert is_kept(session) and is_handed_on(session) and not needs_handler(session)
    bridged = second(event("call.bridged", 12, **LEG_H, client_state=STATE))
    assert is_kept(bridged), "the decision was lost with the process"


def test_the_first_outcome_stands() -> None:
    """Two nodes may both write one."""
    ends = [
        (2_000, ConsultEnded(command_id="dial", status="unknown")),
        (1_900, ConsultEnded(command_id="dial", status="busy")),
    ]
    for order in (ends, ends[::-1]):
        ended = consult_outcome(first(*order), "dial")
        assert ended is not None and ended.status == "busy"


def test_what_telnyx_refuses() -> None:
    """With its D-code; a dial without any answer is not refused."""
    asked = CommandSent(command="dial", command_id="dial", call_control_id=A)
    ids: dict[str, Any] = {"command": "dial", "command_id": "dial"}
    refused = CommandAnswered(status=403, error_code="10010", error_detail="Insufficient funds D17", **ids)
    (ended,) = consult_due(first(asked, refused), 2_000).entries

    assert isinstance(ended, ConsultEnded)
    assert (ended.status, ended.code, ended.detail) == ("refused", "D17", "Insufficient funds D17")
    assert outcome(first(asked, CommandAnswered(error_detail="no answer came", **ids))) is None
    over = CommandAnswered(status=422, error_code="90018", call_control_id=A, **ids)
    assert not first(asked, over).ended, "it is about another call"
