"""TIME001: everything was so slow that the whole was cut off."""

from callpath.doctor.facts import Facts, TrafficFacts
from callpath.doctor.rule import Cause, Finding


def check(facts: Facts) -> Finding | None:
    traffic = facts[TrafficFacts]
    if traffic.cut_off_ms is None:
        return None
    return Finding(
        f"the examination was cut off after {traffic.cut_off_ms / 1000:.0f} s",
        (f"{traffic.requests} requests were sent by then",),
        kind="open",
        question="Run again; if it is cut off again, what answers slowly there? curl -v --max-time 30",
    )


CAUSE = Cause.of(
    "url",
    check,
    code="TIME001",
    slug="examination-cut-off",
    title="The examination ran out of time",
    owner="unclear",
    why="Each layer answered so slowly that the whole took longer than the doctor may take.",
    fix="Run again, or examine the slow layer by itself (-v shows how long each took).",
    named={"cut off": Facts(TrafficFacts(requests=3, requests_max=12, cut_off_ms=29_000.0))},
    quiet={"in time": Facts(TrafficFacts(requests=3, requests_max=12))},
)
