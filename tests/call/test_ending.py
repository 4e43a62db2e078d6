"""When a call is hung up, and when it is not ours to hang up any more."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from callpath.call.ending import (
    Ending,
    is_being_hung_up,
    is_handed_on,
    is_hangup_refused,
    is_silenced,
    longest_ring,
    needs_handler,
    next_ending,
)
from callpath.call.plan import derived_command_id
from callpath.call.session import CallSession
from callpath.timeline import (
    CommandAnswered,
    CommandSent,
    Entry,
    HandlerEnded,
    HandlerFailed,
    HandlerStarted,
    StreamStarted,
    WebhookReceived,
    What,
)
from callpath.wire.command import (
    Bridge,
    Command,
    Gather,
    GatherUsingSpeak,
    Hangup,
    PlaybackStart,
    PlaybackStop,
    SendDtmf,
    Speak,
    StreamingStop,
    Transfer,
)
from callpath.wire.document import write
from callpath.wire.ids import CallControlId, StreamId
from tests.call.test_session import ANSWERED, HANGUP, INITIATED
from tests.call.timelines import LEG_B, SESSION, event

STREAM = StreamStarted(stream_id=StreamId("s1"), encoding="PCMU", sample_rate_hz=8000)
CONTROL_ID = CallControlId(ANSWERED.body["data"]["payload"]["call_control_id"])
TRANSFER = Transfer(to="+15555550123", command_id="t")
SPEAK = Speak(payload="x" * 50, voice="female", command_id="p")


class Ended:
    """A call on a clock that the test moves, answered and entered at 1,000."""

    def __init__(self) -> None:
        self.session = CallSession(SESSION)
        self.now = 1_000
        self.hangups: list[str] = []
        self.add(INITIATED, ANSWERED, STREAM, HandlerStarted(name="h"))

    def add(self, *whats: What) -> None:
        for what in whats:
            self.session.apply(Entry(session=SESSION, at_unix_ms=self.now, what=what))

    def send(self, command: Command, *, status: int | None = 200) -> None:
        """Send a command; `status` None: no answer yet."""
        assert command.command_id is not None
        body = write(command)
        self.add(CommandSent(command=command.NAME, command_id=command.command_id, body=body))
        if status is not None:
            self.answer(command.command_id, command.NAME, status)

    def answer(self, command_id: str, name: str = "hangup", status: int = 200) -> None:
        self.add(CommandAnswered(command=name, command_id=command_id, status=status))

    def ask(self, *, running: bool = False) -> Ending:
        return next_ending(self.session, handler_running=running, now_unix_ms=self.now)

    def names(self, *, running: bool = False) -> list[str]:
        return [command.NAME for command in self.ask(running=running).commands]

    def hang_up(self, *, status: int | None = 200) -> str:
        """Send the hangup that is due; its command_id."""
        (command,) = self.ask().commands
        assert isinstance(command, Hangup) and command.command_id is not None
        self.send(command, status=status)
        return command.command_id


def done(event_type: str) -> WebhookReceived:
    """Telnyx tells that it has ended what it did."""
    body = event("call.speak.ended", event_id="done", status="completed", digits="12").body
    body["data"]["event_type"] = event_type
    return WebhookReceived(event_type=event_type, event_id="done", body=body)


def returned(*before: What) -> Ended:
    """A call whose handler returned at 2,000, after what it did before."""
    call = Ended()
    call.add(*before)
    call.now = 2_000
    call.add(HandlerEnded())
    return call


def after(commands: Iterable[Command], status: int | None = 200) -> Ended:
    """One whose handler sent these at 1,500 and returned at 2,000."""
    call = Ended()
    call.now = 1_500
    for command in commands:
        call.send(command, status=status)
    call.now = 2_000
    call.add(HandlerEnded())
    return call


# --- the handler is done ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [HandlerEnded(), HandlerFailed(error="ValueError: x", traceback="")])
def test_a_call_whose_handler_is_done_is_hung_up(end: What) -> None:
    """Whether it returned or raised."""
    call = Ended()
    call.add(end)

    (hangup,) = call.ask().commands
    assert hangup == Hangup(command_id=derived_command_id(CONTROL_ID, "hangup"))
    assert call.names(running=True) == []  # it was entered again, and the entry is not here yet


def test_a_handler_that_we_cancelled_is_not_done() -> None:
    """Its socket was lost: another will come, or the watchdog helps the caller."""
    call = Ended()
    call.add(HandlerEnded(cancelled=True, reason="its socket was lost"))

    assert call.ask() == Ending()


def test_a_handler_that_was_entered_again_is_not_done() -> None:
    """By another node, say, after the one before had failed."""
    call = returned()
    call.now = 2_001
    call.add(HandlerStarted(name="h"))

    assert call.ask() == Ending()


def test_nothing_is_asked_of_a_call_that_is_over_or_unknown() -> None:
    """Telnyx would answer 90018."""
    over = returned(HANGUP)

    assert over.ask() == Ending()
    assert next_ending(CallSession(SESSION), handler_running=False, now_unix_ms=0) == Ending()


# --- until it is over ------------------------------------------------------------------------------------------------


def test_a_hangup_under_way_is_waited_for() -> None:
    """The HTTP client repeats it by itself for up to a minute."""
    call = returned()
    call.hang_up(status=None)
    call.now += 100_000

    assert call.ask() == Ending()
    assert is_being_hung_up(call.session)


def test_an_accepted_hangup_is_sent_again_when_the_end_does_not_come() -> None:
    """Telnyx says 90018 if only its webhook is lost."""
    call = returned()
    first = call.hang_up()
    call.now += 9_999
    early = call.ask()
    call.now += 1
    (again,) = call.ask().commands

    assert early == Ending(again_unix_ms=12_000)
    assert again.command_id != first


def test_a_refused_hangup_is_sent_again_ever_more_slowly() -> None:
    """And for as long as the call is up: at most once a minute."""
    call = returned()
    waits, ids = [], []
    for _ in range(9):
        ids.append(call.hang_up(status=422))
        again = call.ask().again_unix_ms
        assert again is not None
        waits.append(again - call.now)
        call.now = again

    assert waits == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]
    assert ids == [derived_command_id(CONTROL_ID, "hangup", number) for number in range(1, 10)]


def test_a_hangup_of_the_handlers_own_is_repeated_while_it_runs() -> None:
    """It asked for the end of the call; that its handler goes on changes nothing."""
    call = Ended()
    call.send(Hangup(command_id="of the handler"), status=500)
    call.now += 1_000

    assert call.names(running=True) == ["hangup"]


def refused_once() -> Ended:
    """A call that nobody serves, whose hangup was refused at 2,000."""
    call = Ended()
    call.now = 2_000
    call.send(Hangup(command_id="refused"), status=422)
    return call


@pytest.mark.parametrize("command", [TRANSFER, Bridge(call_control_id=CallControlId("v3:b"), command_id="t")])
@pytest.mark.parametrize("running", [True, False])
def test_a_caller_who_is_handed_on_after_a_refused_hangup_is_not_hung_up(command: Command, running: bool) -> None:
    """Not while it is under way either: its answer decides."""
    call = refused_once()
    call.now += 500
    call.send(command, status=None)
    call.now += 60_000
    under_way = call.ask(running=running)
    call.answer("t", command.NAME)

    assert Ending() == under_way == call.ask(running=running)


def test_one_whose_transfer_after_a_refused_hangup_fails_is() -> None:
    """The caller would be left on a line that nobody serves."""
    call = refused_once()
    call.send(TRANSFER, status=422)
    call.now += 1_000

    assert call.names() == ["hangup"]


def test_a_transfer_of_before_a_refused_hangup_does_not_stand() -> None:
    """The hangup was asked for after it."""
    call = Ended()
    call.send(TRANSFER)
    call.now = 2_000
    call.send(Hangup(command_id="refused"), status=422)
    call.now += 1_000

    assert call.names() == ["hangup"]


@pytest.mark.parametrize("command", [SPEAK, SendDtmf(digits="1" * 15, command_id="p")])
def test_what_telnyx_speaks_after_a_refused_hangup_is_heard(command: Command) -> None:
    """At most for as long as it may take; and a handler that goes on speaking does not put off the hangup for ever."""
    call = refused_once()
    call.send(command)
    call.now += 1_000
    call.add(HandlerEnded())

    assert call.ask() == Ending(again_unix_ms=17_000)
    assert call.names(running=True) == ["hangup"]


@pytest.mark.parametrize("command", [SPEAK, SendDtmf(digits="1" * 15, command_id="p")])
def test_what_was_spoken_before_a_refused_hangup_delays_it_no_more(command: Command) -> None:
    """It was to be cut off."""
    call = Ended()
    call.send(command)
    call.now = 2_000
    call.send(Hangup(command_id="refused"), status=422)
    call.add(HandlerEnded())
    call.now += 1_000

    assert call.names() == ["hangup"]


def test_a_call_that_is_being_hung_up_needs_no_handler() -> None:
    """A stream that comes at last would have its handler cut off in its first words; nor does one that was handed on, or
    whose handler is done."""
    plain, accepted, handed_on = Ended(), Ended(), Ended()
    accepted.send(Hangup(command_id="h"))
    handed_on.send(TRANSFER)
    under_way = Ended()
    under_way.send(Hangup(command_id="h"), status=None)

    assert needs_handler(plain.session)
    for call in (accepted, refused_once(), under_way, handed_on, returned()):
        assert not needs_handler(call.session)
    assert [is_hangup_refused(one.session) for one in (plain, under_way, accepted, refused_once())] == [False] * 3 + [
        True
    ]


# --- what Telnyx still does ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "longest_ms", "tells"),
    [
        (SPEAK, 15_000, "call.speak.ended"),
        (PlaybackStart(audio_url="https://a/b.mp3", command_id="p"), 600_000, "call.playback.ended"),
        (Gather(command_id="p"), 130_000, "call.gather.ended"),
        (
            GatherUsingSpeak(payload="x" * 20, voice="female", command_id="p"),
            132_000,
            "call.gather.ended",
        ),
        (SendDtmf(digits="12W3", command_id="p"), 4_000, None),
    ],
)
def test_what_telnyx_does_for_the_caller_is_waited_for(command: Command, longest_ms: int, tells: str | None) -> None:
    """Until it tells the end, or for as long as it can take."""
    call = after([command])
    waiting = call.ask()
    call.now = 1_500 + longest_ms
    too_long = call.names()
    call.now = 2_500
    if tells is not None:
        call.add(done(tells))

    assert waiting == Ending(again_unix_ms=1_500 + longest_ms)
    assert too_long == ["hangup"]
    assert call.names() == ([] if tells is None else ["hangup"])


def test_each_of_several_is_waited_for() -> None:
    """They queue: two ends must come, and the bound is that of both."""
    call = after([SPEAK, Speak(payload="y" * 10, voice="female", command_id="q")])
    bound = 1_500 + 26_000
    call.add(event("call.speak.ended", event_id="one"))
    one = call.ask()
    call.add(event("call.speak.ended", event_id="one"))  # the same again
    still = call.ask()
    call.add(event("call.speak.ended", event_id="two"))

    assert one == still == Ending(again_unix_ms=bound)
    assert call.names() == ["hangup"]


def test_what_was_refused_or_stopped_is_not_waited_for() -> None:
    """Nothing of it is heard."""
    refused, stopped = after([SPEAK], status=422), after([SPEAK])
    stopped.send(PlaybackStop(command_id="stop"))

    assert refused.names() == ["hangup"]
    assert stopped.names() == ["hangup"]
    assert after([SPEAK], status=None).names() == []  # whether it is carried out is not known


# --- handed on -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [TRANSFER, Bridge(call_control_id="v3:b", command_id="b")])
def test_a_caller_who_was_handed_on_is_not_hung_up(command: Command) -> None:
    """The hangup of our leg ends the bridged call."""
    call = after([command])
    call.now += 3_600_000

    assert is_handed_on(call.session)
    assert "hangup" not in call.names()


@pytest.mark.parametrize("status", [422, None])
def test_one_whose_transfer_was_not_accepted_is(status: int | None) -> None:
    """Refused, or without an answer and without a sign that it was carried out."""
    assert not is_handed_on(after([TRANSFER], status=status).session)


def test_a_transfer_whose_answer_is_lost_is_known_by_its_leg() -> None:
    """It was carried out: a leg rings."""
    call = after([TRANSFER], status=None)
    call.add(event("call.initiated.outbound", event_id="b", **LEG_B))

    assert is_handed_on(call.session)


def test_a_transfer_that_failed_gives_the_caller_back() -> None:
    """Busy: our leg stays up, silent. Telnyx ends it by itself where the two were joined, so a moment is left for that."""
    call = after([TRANSFER])
    call.add(event("call.initiated.outbound", event_id="b", **LEG_B))
    ringing = call.names()
    call.now = 9_000
    call.add(event("call.hangup", event_id="bh", **LEG_B))

    assert "hangup" not in ringing
    assert call.ask() == Ending(again_unix_ms=9_000 + 2_000)
    call.now = 9_000 + 2_000
    assert call.names() == ["hangup"]


def test_a_leg_of_before_the_transfer_says_nothing_about_it() -> None:
    """A consultation that has ended is not the transfer's other party."""
    call = Ended()
    call.add(event("call.hangup", event_id="bh", **LEG_B))
    call.now = 1_500
    call.send(TRANSFER)
    call.now = 2_000
    call.add(HandlerEnded())

    assert is_handed_on(call.session)


@pytest.mark.parametrize(("timeout_secs", "until"), [(None, 31_500), (45, 46_500)])
def test_a_party_rings_for_so_long_at_most(timeout_secs: int | None, until: int) -> None:
    """After that only its webhook can be missing; until it answers, or the transfer is over."""
    call = after([Transfer(to="+15555550123", command_id="t", timeout_secs=timeout_secs)])
    rings = longest_ring(call.session)
    call.add(event("call.answered", event_id="b", **LEG_B))

    assert longest_ring(returned().session) is None
    assert (1_500, until) == rings
    assert longest_ring(call.session) is None
    assert longest_ring(after([TRANSFER], status=422).session) is None


def test_a_leg_that_answered_before_the_transfer_is_not_its_party() -> None:
    """A call that was bridged, say, and came back."""
    call = Ended()
    call.add(event("call.answered", event_id="b", **LEG_B))
    call.now = 1_500
    call.send(TRANSFER)

    assert (1_500, 31_500) == longest_ring(call.session)


def test_a_caller_who_is_parked_on_purpose_is_left_there() -> None:
    """`park_after_unbridge` asks for it."""
    parked = Transfer(to="+15555550123", command_id="t", park_after_unbridge="self")
    call = after([parked])
    call.add(event("call.initiated.outbound", event_id="b", **LEG_B), event("call.hangup", event_id="bh", **LEG_B))
    call.now += 3_600_000

    assert is_handed_on(call.session)
    assert "hangup" not in call.names()
    assert not is_handed_on(after([parked], status=422).session)


# --- the stream of a caller who was handed on ------------------------------------------------------------------------


def test_the_stream_of_a_caller_who_was_handed_on_is_stopped_once() -> None:
    """It would stay open, and what is played into it is heard in their conversation."""
    call = after([TRANSFER])
    (stop,) = call.ask().commands
    while_running = call.names(running=True)
    call.send(stop, status=None)
    under_way = call.names()
    call.answer(str(stop.command_id), "streaming_stop")

    assert isinstance(stop, StreamingStop)
    assert while_running == under_way == call.names() == []
    assert is_silenced(call.session)


def test_a_stream_that_telnyx_opens_again_is_stopped_again() -> None:
    """Observed after a transfer."""
    call = after([TRANSFER])
    (first,) = call.ask().commands
    call.send(first)
    call.now = 3_000
    call.add(StreamStarted(stream_id=StreamId("s2"), encoding="PCMU", sample_rate_hz=8000))
    (second,) = call.ask().commands

    assert isinstance(second, StreamingStop)
    assert first.command_id != second.command_id
    assert not is_silenced(call.session)


def test_a_stop_that_was_refused_silences_nothing() -> None:
    """The stream goes on."""
    call = Ended()
    call.send(StreamingStop(command_id="s"), status=422)

    assert not is_silenced(call.session)


def test_a_stream_that_started_with_the_stop_is_stopped() -> None:
    """Within one millisecond the stop counts as the later one: a second would end nothing."""
    call = after([TRANSFER])
    call.add(StreamStarted(stream_id=StreamId("s2"), encoding="PCMU", sample_rate_hz=8000))
    (stop,) = call.ask().commands
    call.send(stop, status=None)

    assert stop.command_id == derived_command_id(CONTROL_ID, "streaming_stop")
    assert call.names() == []
    call.answer(str(stop.command_id), "streaming_stop")
    assert is_silenced(call.session)


def test_the_last_accepted_stop_counts() -> None:
    """An early one was for a stream of before."""
    call = Ended()
    call.send(StreamingStop(command_id="s1"))
    call.now = 5_000
    call.add(StreamStarted(stream_id=StreamId("s2"), encoding="PCMU", sample_rate_hz=8000))
    before = is_silenced(call.session)
    call.now = 6_000
    call.send(StreamingStop(command_id="s2"))

    assert not before
    assert is_silenced(call.session)


def test_a_leg_that_is_seen_with_the_transfer_is_its_leg() -> None:
    """Its webhook and the command may be of one millisecond."""
    call = after([TRANSFER])
    call.now = 1_500
    call.add(event("call.initiated.outbound", event_id="b", **LEG_B))
    call.add(event("call.hangup", event_id="bh", **LEG_B))
    call.now = 2_000

    assert not is_handed_on(call.session)
