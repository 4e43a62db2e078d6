"""WS011: pings come back late or never."""

from itertools import pairwise
from statistics import median

from callpath.doctor.calls import show_entries, symptom_seen, worst_lag
from callpath.doctor.closings import early
from callpath.doctor.facts import Arrival, CallFacts, Ending, Facts, MediaFacts, RepeatFacts, TcpFacts
from callpath.doctor.rule import Cause, Finding, Seen, Sign
from callpath.doctor.rules.sample import media
from callpath.doctor.rules.sample_call import BOTH_WAYS, CAME, GOOD, a_call, blocked, counted, noticed
from callpath.timeline import LoopBlocked

LATE_MS = 1000.0
HELD_MS = 2000.0
"""A single pong this late is more than a lost packet, which TCP sends again within a second."""

"""A pong needs a round trip and no thought: even from the far side of the earth it takes 0.4 s."""


def ws_blocked(facts: Facts) -> Finding | None:
    stream = facts[MediaFacts]
    if early(facts) is not None or len(stream.pong_ms) < 2:
        return None
    came = sorted(ms for ms in stream.pong_ms if ms is not None)
    tcp = facts.get(TcpFacts)
    round_trip_ms = min((attempt.ms for attempt in tcp.open), default=0.0) if tcp is not None else 0.0
    # One late pong is a lost packet (TCP sends again after 0.2 to 1 s); a loop that is held is late more than once, or
    # never answers some of several.
    late = [ms for ms in came if ms - round_trip_ms >= LATE_MS]
    missing = len(stream.pong_ms) - len(came)
    evidence = (
        Seen(
            f"pongs after: {', '.join('never' if ms is None else f'{ms:.0f} ms' for ms in stream.pong_ms)}",
            "pings",
            len(late),
        ),
    )
    if len(late) > 1 or (late and max(late) >= HELD_MS):
        return Finding(
            f"{len(late)} of {len(stream.pong_ms)} pings were answered only after {max(late) / 1000:.1f} s",
            evidence,
            confidence="high" if len(late) > 1 else "medium",
        )
    if came and missing > 1 and stream.ending.kind != "close-frame":
        return Finding(
            f"{missing} of {len(stream.pong_ms)} pings were never answered, the others within {came[-1]:.0f} ms",
            evidence,
            kind="open",
            confidence="low",
            candidates=("event-loop-blocked", "proxy-idle-timeout"),
            question="Does the application log anything for seconds at this time? A profiler (py-spy dump --pid PID) "
            "shows where its loop stands.",
        )
    return None


def ws_unanswered(facts: Facts) -> Finding | None:
    """Nothing at all for seconds: no matter of a few milliseconds, so a busy machine of the doctor's does not excuse it."""
    stream = facts[MediaFacts]
    if early(facts) is not None or len(stream.pong_ms) < 2 or stream.arrivals:
        return None
    if stream.ending.kind == "close-frame":
        return None
    answered = [number for number, ms in enumerate(stream.pong_ms, 1) if ms is not None]
    # It depends on a race whether the first ping is still read by a server that stops right after the upgrade.
    silent = len(stream.pong_ms) - (answered[-1] if answered else 0)
    if answered and (silent < 2 or stream.ending.kind != "open"):
        return None
    after = f"ping {answered[-1]}" if answered else "the 101"
    return Finding(
        f"after {after} nothing comes back: no pong, no frame, no answer to our close",
        (f"{silent} of {len(stream.pong_ms)} pings were not answered", f"{stream.sent_frames} frames were sent"),
        confidence="medium",
    )


HELD_UP_MS = 900.0
"""Nothing for so long, where a frame came every few ms: TCP has sent a lost packet again before."""
STEADY_MS = 100.0
PING_EVERY_MS = 500.0


def ws_held_up(facts: Facts) -> Finding | None:
    """A server that sends all the time says nothing at all for a second, pongs included: no pause of speech."""
    stream = facts[MediaFacts]
    if early(facts) is not None or stream.sending_ms > 1.05 * 20.0 * stream.sent_frames:
        return None
    pongs = [n * PING_EVERY_MS + ms for n, ms in enumerate(stream.pong_ms) if ms is not None]
    over_ms = stream.ending.at_ms if stream.ending.kind == "open" else stream.listening_ms
    times = sorted([arrival.at_ms for arrival in stream.arrivals] + pongs)
    gaps = [
        (before, after)
        for before, after in pairwise([*times, max(over_ms, times[-1])] if times else [])
        if after - before >= HELD_UP_MS and _steady_until(stream, before) and _pinged(stream, before, after)
    ]
    if not gaps:
        return None
    began, ended = max(gaps, key=lambda gap: gap[1] - gap[0])
    evidence = [
        Seen(f"from {began:.0f} to {ended:.0f} ms: no frame and no pong", f"the gap at {began:.0f} ms")
        for began, ended in gaps[:3]
    ]
    evidence += _late_handshakes(facts)
    summary = (
        f"for {(ended - began) / 1000:.1f} s the server sent nothing, no pong either; before, it sent all the time"
    )
    if len(evidence) > 1:
        return Finding(summary, tuple(evidence))
    return Finding(
        summary,
        tuple(evidence),
        kind="open",
        confidence="medium",
        candidates=("event-loop-blocked", "packets-lost"),
        title="The server says nothing for a moment",
        question="Does it happen again? callpath doctor url --media 20 shows it: packets are lost once, a loop that is "
        "blocked is blocked again.",
    )


def _steady_until(stream: MediaFacts, at_ms: float) -> bool:
    """Whether frames came all the time before that."""
    before = [arrival.at_ms for arrival in stream.media if arrival.at_ms <= at_ms][-20:]
    return len(before) >= 5 and median(later - earlier for earlier, later in pairwise(before)) <= STEADY_MS


def _pinged(stream: MediaFacts, from_ms: float, to_ms: float) -> bool:
    """Whether a ping was sent in that time, and not answered in it."""
    return any(
        from_ms - PING_EVERY_MS < n * PING_EVERY_MS < to_ms - STEADY_MS
        and (ms is None or n * PING_EVERY_MS + ms >= to_ms)
        for n, ms in enumerate(stream.pong_ms)
    )


def _late_handshakes(facts: Facts) -> list[Seen]:
    """Further tries that waited for the 101, where others did not."""
    repeats = facts.get(RepeatFacts)
    tries = [(n, one.exchange.ms) for n, one in enumerate(repeats.tries, 2)] if repeats is not None else []
    if not tries or min(ms for _, ms in tries) > 0.2 * HELD_UP_MS:
        return []
    return [Seen(f"try {n}: 101 after {ms:.0f} ms", f"try {n}") for n, ms in tries if ms >= HELD_UP_MS]


BROKEN_MS = 500.0
"""Above this a caller hears a gap: callpath sends audio at most 200 ms ahead."""

NAMED_SHOWN = 3
"""Maximum blockages shown as evidence, the longest first."""


def call_loop_blocked(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    worst = worst_lag(known)
    named = sorted(
        ((entry.what, entry) for entry in known.entries if isinstance(entry.what, LoopBlocked)),
        key=lambda item: -item[0].blocked_ms,
    )
    if worst is None and not named:
        symptom_seen(known, "SYM013")  # raises where the source would not show it
        return None
    lag_ms = max(worst[0] if worst is not None else 0.0, named[0][0].blocked_ms if named else 0.0)
    if named:
        what = named[0][0]
        by = f"{what.code + ' in ' if what.code else ''}{what.function} ({what.file}:{what.line})"
        summary = f"the event loop was held up for {lag_ms:.0f} ms: {by} blocks it"
    else:
        summary = f"the event loop was held up for {lag_ms:.0f} ms: something blocks it"
    evidence = show_entries(
        known, *(entry for _, entry in named[:NAMED_SHOWN]), worst[1] if worst is not None else None
    )
    return Finding(summary, evidence, kind="fault" if lag_ms >= BROKEN_MS else "note")


def _frames(from_ms: int, to_ms: int) -> tuple[Arrival, ...]:
    return tuple(Arrival(float(at), "text", 300, "", "media", b"\xfe\x7e" * 80) for at in range(from_ms, to_ms, 20))


CAUSE = Cause(
    code="WS011",
    slug="event-loop-blocked",
    title="The server's event loop is blocked",
    owner="you",
    why="Pings are answered by the WebSocket library itself; when that takes seconds, synchronous work (a database, a "
    "model, a flood of logging) holds the loop, and audio stutters for every call at once.",
    fix="Move the work into a thread or process (asyncio.to_thread, worker_threads), and log less per frame.",
    signs=(
        Sign(
            "url",
            ws_blocked,
            by_time=True,
            named={"2.5 s": media(pong_ms=(20.0, 2500.0, 30.0))},
            quiet={"prompt": media(pong_ms=(20.0, 21.0, 30.0))},
        ),
        Sign(
            "url",
            ws_unanswered,
            code="WS013",
            title="The server does not answer pings",
            why="Pings are answered by the WebSocket library itself. It stops where the loop is held by synchronous work, "
            "and where the program does not read from the socket: the library then stops reading, too.",
            fix="Read from the socket in a task of its own from the first moment; find what holds the loop with "
            "py-spy dump --pid PID.",
            named={
                "paused after the upgrade": media(
                    pong_ms=(None, None, None), ending=Ending(by="us", kind="open", at_ms=6000.0, after="close")
                ),
                "paused after the first ping": media(
                    pong_ms=(3.0, None, None), ending=Ending(by="us", kind="open", at_ms=2200.0, after="close")
                ),
            },
            quiet={
                "one pong is missing": media(pong_ms=(20.0, None, 30.0)),
                "prompt": media(pong_ms=(20.0, 21.0, 30.0)),
            },
        ),
        Sign(
            "url",
            ws_held_up,
            by_time=True,
            code="WS014",
            named={
                "once": media(*_frames(0, 600), *_frames(1800, 2000), pong_ms=(2.0, 2.0, 800.0, 300.0)),
                "twice": media(
                    *_frames(0, 300), *_frames(1300, 1500), *_frames(2500, 2600), pong_ms=(2.0, 800.0, 300.0, 1000.0)
                ),
            },
            quiet={
                "a pause of speech": media(*_frames(0, 600), *_frames(1800, 2000), pong_ms=(2.0, 2.0, 3.0, 2.0)),
                "a lost packet": media(*_frames(0, 600), *_frames(1200, 2000), pong_ms=(2.0, 700.0, 200.0, 2.0)),
                "one late pong of a listener": media(pong_ms=(20.0, 1200.0, 21.0)),
            },
        ),
        Sign(
            "call",
            call_loop_blocked,
            code="CALL070",
            title="Something in the process blocks the event loop",
            why="While one piece of code computes or waits without await, no call of the process gets or sends audio.",
            fix="Move blocking work (database drivers, HTTP clients, models) to a thread: await asyncio.to_thread(…). "
            "callpath names the function, file and line in the log and the timeline (loop.blocked).",
            named={
                "800 ms": a_call(BOTH_WAYS, noticed("SYM013", lag_ms="800")),
                "told by another call of the process": a_call(BOTH_WAYS, counted(loop_lag_ms=800.0)),
                "the function is known": a_call(BOTH_WAYS, blocked(3000.0)),
            },
            quiet={"a call that worked": a_call(GOOD)},
            unchecked={"logs without symptoms": a_call(CAME, shown=frozenset({"socket.received"}))},
        ),
    ),
)
