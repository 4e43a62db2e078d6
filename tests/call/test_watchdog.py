"""What is done for a caller who hears nothing, and for a line that stays up for nothing."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.call.policies import CallPolicy, Step, parse_refusal, parse_steps
from callpath.call.session import CallSession, fold
from callpath.call.watchdog import STUCK_AGAIN_MS, STUCK_AGAIN_MS_MAX, Evaluation, RuntimeState, due_commands, evaluate
from callpath.timeline import (
    CallChecked,
    CallRecovered,
    CallRejected,
    CallStuck,
    CommandAnswered,
    CommandSent,
    Entry,
    FrameRejected,
    HandlerEnded,
    HandlerFailed,
    PolicyActed,
    SocketReceived,
    SocketRejected,
    StreamAccepted,
    StreamMissing,
    StreamStarted,
    StreamStarting,
    What,
)
from callpath.wire.command import Command, Hangup, StreamingStop, Transfer
from callpath.wire.document import write
from callpath.wire.ids import StreamId
from tests.call.test_session import ANSWERED, HANGUP, INITIATED, PLAN
from tests.call.timelines import LEG_B, SESSION, event

STEPS = parse_steps("X", "retry,speak:Please call again, we are sorry,hangup")
POLICY = CallPolicy(no_socket_then=STEPS)
STREAM = StreamStarted(stream_id=StreamId("s1"), encoding="PCMU", sample_rate_hz=8000)


class Watched:
    """A call on a clock that a test moves; what `evaluate` says is written down and carried out at once."""

    def __init__(self, *whats: What, policy: CallPolicy = POLICY) -> None:
        self.session = CallSession(SESSION)
        self.policy = policy
        self.now = 1_000
        self.written: list[What] = []
        self.sent: list[Command] = []
        for what in whats:
            self.add(what)

    def add(self, what: What) -> None:
        self.session.apply(Entry(session=SESSION, at_unix_ms=self.now, what=what))

    def send(self, command: Command, *, status: int = 200, code: str | None = None) -> None:
        assert command.command_id is not None
        self.add(CommandSent(command=command.NAME, command_id=command.command_id, body=write(command)))
        self.add(CommandAnswered(command=command.NAME, command_id=command.command_id, status=status, error_code=code))
        if "stream_url" in write(command) and status == 200:
            self.add(StreamAccepted(status=200))

    def run(self, ms: int, live: RuntimeState | None = None, *, accept: bool = True) -> list[str]:
        """Let time pass as the runner would. Returns what was written: entries by their words, commands by name."""
        live = live or RuntimeState()
        end, said = self.now + ms, []
        while True:
            found = evaluate(self.session, self.policy, live, self.now)
            for what in found.entries:
                self.add(what)
                self.written.append(what)
                said.append(_word(what))
            for command in due_commands(self.session, PLAN, "t", self.policy):
                self.sent.append(command)
                said.append(command.NAME)
                self.send(command, status=200 if accept else 422)
            if found.entries:
                continue
            if found.again_unix_ms is None or found.again_unix_ms > end:
                self.now = end
                return said
            self.now = max(self.now, found.again_unix_ms)


def _word(what: What) -> str:
    match what:
        case StreamMissing():
            return f"missing {what.seen}"
        case PolicyActed():
            return f"step {what.step}"
        case CallStuck():
            return f"stuck {what.reason}"
        case CallRejected():
            return "refused"
        case _:
            raise AssertionError(what)


def asked(policy: CallPolicy = POLICY) -> Watched:
    """A call that was answered, and whose stream Telnyx has accepted at 1,000."""
    call = Watched(INITIATED, ANSWERED, StreamStarting(within="streaming_start"), policy=policy)
    call.send(PLAN.streaming_start("v3:x", SESSION, "t"))  # type: ignore[arg-type]
    return call


# --- no socket -------------------------------------------------------------------------------------------------------


def test_a_stream_that_does_not_come_is_helped_step_by_step() -> None:
    """One caller, one sequence: each step waits until the one before has failed."""
    call = asked()

    assert call.run(7_999) == []
    assert call.run(1) == ["missing nothing", "step retry", "streaming_start"]
    assert call.run(7_999) == []
    assert call.run(1) == ["missing nothing", "step speak", "speak"]
    assert call.run(5_000) == []
    call.add(event("call.speak.ended"))
    assert call.run(1) == ["step hangup", "hangup"]


def test_the_retry_is_another_command() -> None:
    """With the id of the first, Telnyx would take it for a duplicate and do nothing."""
    call = asked()
    call.run(8_000)
    (retry,) = call.sent

    assert retry.command_id not in (None, PLAN.streaming_start("v3:x", SESSION, "t").command_id)  # type: ignore[arg-type]
    assert [StreamMissing(attempt=1, seen="nothing", reason="accepted, and no stream within 8 s", waited_ms=8_000)] == [
        what for what in call.written if isinstance(what, StreamMissing)
    ]


def test_a_stream_that_came_needs_no_help() -> None:
    """The normal call: the watchdog must never be heard of."""
    call = asked()
    call.add(STREAM)

    assert call.run(3_600_000, RuntimeState(socket_open=True, handler_running=True)) == []


def test_a_socket_may_be_there_before_the_answer_to_the_request() -> None:
    """Telnyx was seen to answer streaming_start only after the socket was open."""
    call = Watched(INITIATED, ANSWERED, StreamStarting(within="streaming_start"))
    command = PLAN.streaming_start("v3:x", SESSION, "t")  # type: ignore[arg-type]
    call.add(CommandSent(command=command.NAME, command_id=command.command_id or "", body=write(command)))
    call.add(STREAM)
    call.now += 500
    call.send(command)

    assert call.run(20_000, RuntimeState(handler_running=True)) == []


def test_a_late_stream_ends_the_help() -> None:
    """The retry worked: nobody may speak over the handler, let alone hang up."""
    call = asked()
    call.run(8_000)
    call.now += 10
    call.add(STREAM)

    assert call.run(60_000, RuntimeState(socket_open=True, handler_running=True)) == []


def test_telnyx_says_failed_before_the_time_is_over() -> None:
    """Its own word is better than our policy; but it may be late, and then it is about the first request."""
    call = asked()
    failed = event("streaming.failed")
    call.add(failed)

    assert call.run(0) == ["missing nothing", "step retry", "streaming_start"]
    call.add(failed)  # delivered twice
    assert call.run(7_999) == []
    assert "connection_failed" in call.written[0].reason  # type: ignore[attr-defined]


def test_a_stream_that_was_lost_is_asked_for_again() -> None:
    """`streaming.failed` in mid-call: the handler waits for a new socket, and only a new request brings one."""
    call = asked()
    call.add(STREAM)
    call.now += 60_000
    call.add(event("streaming.failed", failure_reason="disconnected"))

    assert call.run(0, RuntimeState(handler_running=True)) == ["missing lost", "step retry", "streaming_start"]


@pytest.mark.parametrize(
    ("whats", "seen"),
    [
        ([], "nothing"),
        ([SocketReceived(path="/x")], "no_start"),
        ([SocketReceived(path="/x"), FrameRejected(reason="encoding", detail="no G729")], "encoding"),
        ([SocketReceived(path="/x"), FrameRejected(reason="unusable_start", detail="no encoding")], "bad_start"),
        ([SocketReceived(path="/x"), FrameRejected(reason="other_call", detail="another call")], "bad_start"),
        ([SocketReceived(path="/x"), FrameRejected(reason="not_json", detail="{")], "no_start"),
        ([SocketReceived(path="/x"), SocketRejected(status=401, reason="no_token", detail="", path="/x")], "refused"),
    ],
)
def test_how_far_it_came_is_said(whats: list[What], seen: str) -> None:
    """Only where nothing came is there a URL to be examined."""
    call = asked()
    for what in whats:
        call.add(what)

    assert call.run(8_000)[0] == f"missing {seen}"


def test_an_encoding_that_we_cannot_decode_is_said() -> None:
    """Who reads that no stream came would search the network for a start frame that was there."""
    call = asked()
    call.add(SocketReceived(path="/x"))
    call.add(FrameRejected(reason="encoding", detail="there is no encoding 'G729'"))
    call.run(8_000)

    assert [what.reason for what in call.written if isinstance(what, StreamMissing)] == [
        "accepted, and no stream within 8 s; the start frame came and could not be used: there is no encoding 'G729'"
    ]


def test_a_request_that_is_refused_counts_as_no_stream() -> None:
    """The caller hears the same silence."""
    call = Watched(INITIATED, ANSWERED, StreamStarting(within="streaming_start"))
    call.send(PLAN.streaming_start("v3:x", SESSION, "t"), status=422, code="90046")  # type: ignore[arg-type]

    said = call.run(0, accept=False)
    retried = ["missing nothing", "step retry", "streaming_start"]

    assert said == [*retried, "missing nothing", "step speak", "speak", "step hangup", "hangup"]
    assert "422 90046" in call.written[0].reason  # type: ignore[attr-defined]


def test_a_transfer_that_fails_is_followed_by_the_next_step() -> None:
    """While the other party rings or talks, nothing may interfere."""
    call = asked(CallPolicy(no_socket_then=parse_steps("X", "transfer:+15555550123,hangup")))
    assert call.run(8_000) == ["missing nothing", "step transfer", "transfer"]
    call.add(event("call.initiated.outbound", **LEG_B))
    assert call.run(60_000) == []
    call.add(event("call.answered", event_id="b", **LEG_B))
    assert call.run(3_600_000) == []
    call.add(event("call.hangup", **LEG_B))

    assert call.run(0) == ["step hangup", "hangup"]


def test_nothing_is_done_where_nothing_is_asked_for() -> None:
    """The entry stands there all the same; the call is parked on purpose, though not for longer than any may last."""
    call = asked(replace(POLICY, no_socket_then=parse_steps("X", "nothing")))

    assert call.run(8_000) == ["missing nothing", "step nothing"]
    assert call.run(14_400_000 - 8_001) == []
    assert call.run(1) == ["stuck too_long"]


def test_a_call_that_is_over_is_left_alone() -> None:
    """The caller has hung up while we waited."""
    call = asked()
    call.add(HANGUP)

    assert call.run(3_600_000) == []


def test_a_policy_that_was_changed_meanwhile_sends_nothing_wrong() -> None:
    """After a deploy with another setting the number of a step means another step."""
    call = asked()
    call.run(16_000)
    speaking = call.session
    del speaking.commands[call.sent[-1].command_id or ""]

    assert [c.NAME for c in due_commands(speaking, PLAN, "t", POLICY)] == ["speak"]
    assert due_commands(speaking, PLAN, "t", replace(POLICY, no_socket_then=(Step("hangup"),))) == []


def test_another_process_goes_on_where_the_first_was() -> None:
    """The state is in the timeline: after a crash no step is taken twice."""
    call = asked()
    call.run(8_000)
    entries = [
        Entry(session=SESSION, at_unix_ms=1_000, what=what)
        for what in [
            INITIATED,
            ANSWERED,
            *call.session.commands.values(),
            *call.session.answers.values(),
            *call.written,
        ]
    ]
    recovered = fold(SESSION, entries)

    assert due_commands(recovered, PLAN, "t", POLICY) == []
    assert evaluate(recovered, POLICY, RuntimeState(), 9_100).entries[1:] == (
        PolicyActed(policy="no_socket", number=2, step="speak", position=1),
    )


def test_a_stream_that_came_back_ends_the_sequence() -> None:
    """Lost an hour later once more, the call is due a retry again, and not the hang-up that stands next."""
    call = asked()
    call.run(8_000)
    call.now += 10
    call.add(STREAM)
    call.now += 3_600_000
    call.add(event("streaming.failed", failure_reason="disconnected"))

    assert call.run(0, RuntimeState(handler_running=True)) == ["missing lost", "step retry", "streaming_start"]


def test_a_stream_lost_with_a_restart_is_waited_for_and_then_asked_for() -> None:
    """Telnyx was seen to connect again by itself; a second request meanwhile would be refused (90045)."""
    call = asked()
    call.add(STREAM)
    call.now += 60_000
    call.add(CallRecovered())

    assert call.run(7_999) == []
    assert call.run(1) == ["missing lost", "step retry", "streaming_start"]


@pytest.mark.parametrize(("lost_ms", "again_ms"), [(0.0, 10_001), (2_500.0, 7_501), (9_999.0, 2)])
def test_a_lost_socket_may_come_back(lost_ms: float, again_ms: int) -> None:
    """Telnyx was seen to connect again by itself; a request meanwhile would be refused (90045)."""
    call = asked()
    call.add(STREAM)
    found = evaluate(call.session, POLICY, RuntimeState(lost_ms=lost_ms), call.now)

    assert found == Evaluation(again_unix_ms=call.now + again_ms)


def test_a_lost_socket_that_stays_away_is_asked_for_again() -> None:
    """Also where Telnyx says nothing of it: the caller hears silence."""
    call = asked()
    call.add(STREAM)
    missing, step = evaluate(call.session, POLICY, RuntimeState(lost_ms=10_000.0), call.now).entries

    assert isinstance(missing, StreamMissing)
    assert (missing.seen, missing.reason) == ("lost", "the socket was lost, and not back within 10 s")
    assert step == PolicyActed(policy="no_socket", number=1, step="retry")


@pytest.mark.parametrize("why", [HandlerEnded(), StreamingStop.NAME, Hangup.NAME, Transfer.NAME])
def test_a_stream_that_nobody_needs_is_not_asked_for(why: What | str) -> None:
    """The handler is done, or it stopped the stream, hung up, or handed the caller on."""
    call = asked()
    call.add(STREAM)
    match why:
        case str():
            commands: dict[str, Command] = {
                StreamingStop.NAME: StreamingStop(command_id="c"),
                Hangup.NAME: Hangup(command_id="c"),
                Transfer.NAME: Transfer(to="+15555550123", command_id="c"),
            }
            call.send(commands[why])
        case _:
            call.add(why)
    state = RuntimeState(lost_ms=60_000.0, handler_running=why == StreamingStop.NAME)

    assert evaluate(call.session, POLICY, state, call.now + 4_000).entries == ()


# --- a stream that nobody serves -------------------------------------------------------------------------------------

OPEN = RuntimeState(socket_open=True, stream_open=True)


def test_a_stream_without_a_handler_gets_one() -> None:
    """59 frames came in and none went out, for up to four hours."""
    call = asked()
    call.add(STREAM)
    found = evaluate(call.session, POLICY, OPEN, call.now)

    assert found.enter_handler
    assert found.again_unix_ms == call.now + 1_000
    assert not evaluate(call.session, POLICY, replace(OPEN, handler_running=True), call.now).enter_handler


@pytest.mark.parametrize(
    "what", [HandlerEnded(), HandlerFailed(error="x", traceback=""), HANGUP], ids=["returned", "raised", "over"]
)
def test_a_handler_that_is_done_is_not_entered_again(what: What) -> None:
    """Its call is hung up, or over."""
    call = asked()
    call.add(STREAM)
    call.add(what)

    assert not evaluate(call.session, POLICY, OPEN, call.now).enter_handler


def test_a_caller_who_was_handed_on_gets_no_handler() -> None:
    """The stream is still open for a moment."""
    call = asked()
    call.add(STREAM)
    call.send(Transfer(to="+15555550123", command_id="t"))

    assert not evaluate(call.session, POLICY, OPEN, call.now).enter_handler


def test_a_socket_without_a_start_frame_is_no_stream() -> None:
    """It would be waited for as long as anything came over it."""
    call = asked()

    assert call.run(8_000, RuntimeState(socket_open=True))[:2] == ["missing nothing", "step retry"]


# --- stuck -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("live", "idle_ms", "after_ms", "reason"),
    [
        (RuntimeState(socket_open=True, handler_running=True), 60_000, 60_000, "media_idle"),
        (RuntimeState(socket_open=True, handler_running=True), 0, 14_400_000, "too_long"),
        (RuntimeState(), 0, 5_000, "no_handler"),
    ],
)
def test_a_stuck_call_is_found(live: RuntimeState, idle_ms: int, after_ms: int, reason: str) -> None:
    """Each costs money every minute, and holds one of the account's channels."""
    call = asked()
    call.add(STREAM)
    late = evaluate(call.session, POLICY, replace(live, idle_ms=idle_ms), call.now + after_ms)
    early = evaluate(call.session, POLICY, replace(live, idle_ms=max(0, idle_ms - 1)), call.now + after_ms - 1)

    assert late.entries == (CallStuck(reason=reason, number=1, after_ms=after_ms),)
    assert early.entries == ()
    assert early.again_unix_ms == call.now + after_ms


def test_a_call_that_rang_and_was_never_heard_of_again_is_found() -> None:
    """Telnyx tries a webhook for a minute. With call.answered lost nobody would ask for the stream; with call.hangup
    lost, too, the call would stand in the list as live for ever."""
    ringing, dialled = Watched(INITIATED), Watched(event("call.initiated.outbound"))
    ringing.send(PLAN.answer("v3:x", SESSION, "t"))  # type: ignore[arg-type]
    (stuck,) = evaluate(ringing.session, POLICY, RuntimeState(), 1_000 + 60_000).entries

    assert CallStuck(reason="no_events", number=1, after_ms=60_000) == stuck
    assert 61_000 == evaluate(ringing.session, POLICY, RuntimeState(), 1_000).again_unix_ms
    # Telnyx may let it ring so long.
    assert () == evaluate(dialled.session, POLICY, RuntimeState(), 1_000 + 599_999).entries
    assert 1 == len(evaluate(dialled.session, POLICY, RuntimeState(), 1_000 + 600_000).entries)
    assert Evaluation() == evaluate(ringing.session, replace(POLICY, no_handler_ms=0), RuntimeState(), 10**9)


def test_a_transfer_of_which_nothing_is_heard_is_found() -> None:
    """Its party did not answer, and the webhook that says so is lost: the caller would hear nothing for four hours."""
    call = asked()
    call.send(Transfer(to="+15555550123", command_id="t"))
    (stuck,) = evaluate(call.session, POLICY, RuntimeState(), 1_000 + 90_000).entries

    assert CallStuck(reason="no_events", number=1, after_ms=90_000) == stuck
    assert 91_000 == evaluate(call.session, POLICY, RuntimeState(), 90_999).again_unix_ms
    assert () == evaluate(call.session, replace(POLICY, no_handler_ms=0), RuntimeState(), 91_000).entries


def test_a_stuck_call_is_asked_about_again_ever_more_slowly() -> None:
    """Telnyx may be down for an hour, and whoever asks it what became of the call may fail each time."""
    call = asked()
    call.add(STREAM)
    times = []
    for _ in range(8):
        while call.run(1_000) != ["stuck no_handler"]:
            pass
        times.append(call.now)

    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == [min(STUCK_AGAIN_MS * 2**number, STUCK_AGAIN_MS_MAX) for number in range(7)]


def test_a_call_of_which_telnyx_says_that_it_is_over_is_over() -> None:
    """The call.hangup was lost: without this the call would be shown as alive for ever."""
    call = asked()
    call.add(CallChecked(alive=False))

    assert call.session.state == "ended"
    assert call.session.ended_unix_ms == 1_000
    assert evaluate(call.session, POLICY, RuntimeState(), 10**9) == Evaluation()


def test_90018_ends_a_call() -> None:
    """A command to a call that has ended: Telnyx's last word on it."""
    call = Watched(INITIATED, ANSWERED)
    call.send(PLAN.streaming_start("v3:x", SESSION, "t"), status=422, code="90018")  # type: ignore[arg-type]

    assert call.session.state == "ended"


@pytest.mark.parametrize("command", [Transfer(to="+15555550123", command_id="t1"), Hangup(command_id="h1")])
def test_a_call_that_leaves_us_needs_no_stream(command: Command) -> None:
    """The handler has sent him on, or hung up: that Telnyx then reports the stream as lost is no reason to ask again."""
    call = asked()
    call.add(STREAM)
    call.send(command)
    call.now += 10
    call.add(event("streaming.failed", failure_reason="disconnected"))

    assert call.run(59_000) == []


def test_a_caller_who_was_transferred_needs_no_handler() -> None:
    """The handler has sent him on and returned; he talks to somebody."""
    call = asked()
    call.add(STREAM)
    call.send(Transfer(to="+15555550123", command_id="t1"))
    call.add(event("call.answered", event_id="b", **LEG_B))

    assert call.run(3_600_000) == []


@given(st.data())
def test_whatever_happens_the_caller_is_helped_once_a_time(data: st.DataObject) -> None:
    """Steps come in their order, at most once between two streams, and never while a stream is open or the call is over."""
    happenings = [
        STREAM,
        event("streaming.failed", failure_reason="disconnected"),
        event("call.speak.ended"),
        SocketReceived(path="/x"),
        CallRecovered(),
        HANGUP,
    ]
    call = asked()
    steps: list[str] = []
    for _ in range(data.draw(st.integers(1, 12))):
        what = data.draw(st.sampled_from([None, *happenings]))
        if what is not None:
            call.now += 1
            call.add(what)
        if what is STREAM:
            steps.clear()
        is_open = data.draw(st.booleans())
        live = RuntimeState(socket_open=is_open, stream_open=is_open, handler_running=True)
        ended = call.session.ended
        said = call.run(data.draw(st.integers(0, 30_000)), live, accept=data.draw(st.booleans()))
        steps += [word for word in said if word.startswith("step")]

        assert steps == [f"step {step.kind}" for step in STEPS][: len(steps)]
        assert not (said and (ended or live.stream_open))


def test_zero_turns_a_time_off() -> None:
    """Whoever holds calls for hours on purpose must be able to."""
    off = CallPolicy(socket_within_ms=0, media_idle_ms=0, no_handler_ms=0, call_ms_max=0)
    call = asked(off)

    assert call.run(10**9) == []
    assert evaluate(call.session, off, RuntimeState(socket_open=True, idle_ms=10**9), call.now) == Evaluation()


# --- no room ---------------------------------------------------------------------------------------------------------

DRAINING = RuntimeState(refusing=CallRejected(reason="draining"))


def test_a_call_for_which_there_is_no_room_is_turned_away() -> None:
    """Politely, and said so: not answered into silence."""
    call = Watched(INITIATED)
    found = evaluate(call.session, POLICY, DRAINING, call.now)
    for what in found.entries:
        call.add(what)
    (command,) = due_commands(call.session, PLAN, "t", POLICY)

    assert found.entries == (
        CallRejected(reason="draining"),
        PolicyActed(policy="refuse", number=1, step="busy"),
    )
    assert write(command) | {"command_id": None} == {"command_id": None, "cause": "USER_BUSY"}
    assert call.session.next_commands(PLAN, "t") == []
    assert evaluate(call.session, POLICY, DRAINING, call.now).entries == ()


def test_a_call_that_we_have_begun_to_take_is_taken() -> None:
    """The answer is on its way to Telnyx already."""
    answering, answered = Watched(INITIATED), asked()
    answering.send(PLAN.answer("v3:x", SESSION, "t"))  # type: ignore[arg-type]

    assert evaluate(answering.session, POLICY, DRAINING, 1_000).entries == ()
    assert evaluate(answered.session, POLICY, DRAINING, 1_000).entries == ()


def test_a_transfer_that_telnyx_refuses_ends_in_a_busy_line() -> None:
    """Whether a call that nobody has answered can be transferred is not documented."""
    policy = CallPolicy(refuse_with=parse_refusal("X", "transfer:+15555550123"))
    call = Watched(INITIATED, policy=policy)

    said = call.run(0, DRAINING, accept=False)
    assert [word for word in said if not word.startswith("step")] == ["refused", "transfer", "reject"]


def test_who_learns_late_of_an_answer_gets_a_moment_to_serve_it() -> None:
    """The log took ten seconds for `call.answered`. A consult's second call was hung up in the turn that learnt of it, and
    its number was dialled once more."""
    call = asked()
    call.add(STREAM)
    told = call.now + 10_000
    known = RuntimeState(told_unix_ms=told)

    early = evaluate(call.session, POLICY, known, told)
    late = evaluate(call.session, POLICY, known, told + 5_000)

    assert (early.entries, early.again_unix_ms) == ((), told + 5_000)
    assert [_word(what) for what in late.entries] == ["stuck no_handler"]
