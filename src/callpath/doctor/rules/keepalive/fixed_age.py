"""KEEP002: every stream is cut at the same age, whatever moves."""

from callpath.doctor.closings import AT_ONCE_MS, early
from callpath.doctor.facts import Arrival, CallFacts, Facts, IdleFacts, MediaFacts, RepeatFacts, ToldFacts
from callpath.doctor.rule import Cause, Finding, Seen, Sign
from callpath.doctor.rules.sample import ended, held, media
from callpath.doctor.rules.sample_call import BOTH_WAYS
from callpath.doctor.rules.sample_log import another, told_call


def keep_fixed_age(facts: Facts) -> Finding | None:
    idle = facts[IdleFacts]
    cut = [hold for hold in idle.holds if hold.ending.by == "peer"]
    if len(cut) < len(idle.holds) or not cut or len(cut) < 2:
        return None
    ages = [hold.held_ms for hold in cut]
    if max(ages) - min(ages) > 0.25 * max(ages) + 500:
        return None
    evidence = tuple(
        Seen(
            f"{hold.traffic}: {hold.ending.code or hold.ending.kind} after {hold.held_ms / 1000:.1f} s",
            f"the {hold.traffic} stream",
        )
        for hold in cut
    )
    return Finding(f"quiet and busy streams alike end after {max(ages) / 1000:.1f} s", evidence)


def close_cut_early(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None or ending.kind not in {"eof", "reset"} or ending.at_ms < AT_ONCE_MS:
        return None
    stream = facts[MediaFacts]
    spoke_late = any(arrival.at_ms > ending.at_ms - 300 for arrival in stream.arrivals)
    if not spoke_late:
        return None
    summary = f"cut without a close frame after {ending.at_ms / 1000:.1f} s, while audio went both ways"
    evidence = (
        Seen(
            f"{ending.kind}, {stream.sent_frames} frames sent, {len(stream.arrivals)} messages received",
            "the end of the stream",
        ),
    )
    repeats = facts.get(RepeatFacts)
    again = [
        attempt.ending.at_ms
        for attempt in (repeats.tries if repeats is not None else ())
        if attempt.ending is not None and attempt.ending.by == "peer" and attempt.ending.kind in {"eof", "reset"}
    ]
    alike = [at_ms for at_ms in again if abs(at_ms - ending.at_ms) <= 0.15 * ending.at_ms]
    if len(alike) >= 2:
        ages = ", ".join(f"{at_ms / 1000:.2f} s" for at_ms in (ending.at_ms, *alike))
        return Finding(summary, (*evidence, f"streams ended after {ages}"), confidence="medium", owner="unclear")
    return Finding(
        summary,
        evidence,
        kind="open",
        confidence="low",
        candidates=("app-crash-on-connect", "max-duration-cutoff"),
        question="Does it end at the same age again? callpath doctor url --media 60 --idle 60 URL. The same second "
        "twice is a limit, another one is the application (read its log at this second).",
    )


SAME_MS = 1_000
CALLS_MIN = 3
"""Two calls of one length are chance, unless a platform is known to cut there."""

LIMITS_S = (29, 30, 55, 60, 100, 120, 180, 300, 350, 400, 600, 900, 1800, 3600)
"""Ages at which platforms and gateways cut by default."""


def log_same_age(facts: Facts) -> Finding | None:
    told = facts[ToldFacts]
    age = told.this.age_ms
    if age is None or age < 5_000 or facts[CallFacts].source != "logs":
        return None
    same = [one for one in told.others if one.age_ms is not None and abs(one.age_ms - age) <= max(SAME_MS, age // 200)]
    lives = [
        (one.closed_unix_ms or one.until_unix_ms) - one.opened_unix_ms
        for one in told.others
        if one.opened_unix_ms is not None
    ]
    if any(life > age + max(SAME_MS, age // 100) for life in lives):
        return None  # one lived longer: no limit
    at_limit = any(abs(age / 1000 - limit) <= 1.0 for limit in LIMITS_S)
    if len(same) + 1 < CALLS_MIN and not (same and at_limit):
        return None
    ages = sorted([age, *(one.age_ms or 0 for one in same)])
    return Finding(
        f"the sockets of {len(ages)} calls in this log were cut at the same age, {ages[0] / 1000:.1f} to "
        f"{ages[-1] / 1000:.1f} s after they opened, each in the middle of its call",
        tuple(
            f"call {one.name[:16]}: {(one.age_ms or 0) / 1000:.1f} s"
            + (f", code {one.close_code}" if one.close_code else "")
            for one in (told.this, *same[:5])
        ),
        confidence="high" if len(ages) >= CALLS_MIN else "medium",
    )


CAUSE = Cause(
    code="KEEP002",
    slug="max-duration-cutoff",
    title="Every stream ends at the same age",
    owner="platform",
    why="A limit on the life of a request or connection applies to the stream although it is busy: Cloud Run (5 min "
    "by default, 60 at most), gateways, Traefik's or Node's request timers, a timer in the application.",
    fix="Raise or switch off that limit for the stream's route, and be ready for a reconnect.",
    signs=(
        Sign(
            "url",
            keep_fixed_age,
            named={"all at 4 s": held(10, silent=4.0, media=4.1)},
            quiet={"only the silent one": held(10, silent=4.0, media=None)},
        ),
        Sign(
            "call",
            log_same_age,
            code="LOG007",
            title="Every call's stream is cut at the same age",
            named={
                "three calls, 300 s each": told_call(
                    BOTH_WAYS,
                    this=another("a", 0, opened_ms=1_000, closed_ms=301_000),
                    others=(
                        another("b", 400_000, opened_ms=401_000, closed_ms=701_050),
                        another("c", 800_000, opened_ms=801_000, closed_ms=1_101_020),
                    ),
                )
            },
            quiet={
                "another call lived longer": told_call(
                    BOTH_WAYS,
                    this=another("a", 0, opened_ms=1_000, closed_ms=301_000),
                    others=(
                        another("b", 400_000, opened_ms=401_000, closed_ms=701_050),
                        another("c", 800_000, opened_ms=801_000, closed_ms=1_501_020),
                    ),
                )
            },
        ),
        Sign(
            "url",
            close_cut_early,
            code="CLOSE009",
            title="The stream is cut at a fixed age",
            why="A limit on the life of a request or connection applies to the stream although it is busy: Cloud "
            "Run's request timeout, a gateway's limit, a proxy's server timeout.",
            fix="Raise the limit (Cloud Run --timeout 3600), switch it off for the stream's route, and be ready to "
            "be reconnected.",
            named={
                "cut in the middle of the talk": media(
                    Arrival(990.0, "text", 300, "", "media", b"\xff"), ending=ended("eof", at_ms=1000.0, after="media")
                )
            },
            quiet={"dropped at once": media(ending=ended("eof"))},
        ),
    ),
)
