"""WS011: pings come back late or never."""

from callpath.doctor.calls import show_entries, symptom_seen, worst_lag
from callpath.doctor.closings import early
from callpath.doctor.facts import CallFacts, Ending, Facts, MediaFacts, TcpFacts
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
