"""HTTP019: 503 that is no dead backend."""

from callpath.doctor.answers import any_variant_works, refused, show
from callpath.doctor.facts import Facts
from callpath.doctor.platform import author
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.http.upstream_down import DEAD_BACKEND_IS_503
from callpath.doctor.rules.sample import answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 503)
    if carrier is None or any_variant_works(facts):
        return None
    who = author(carrier)
    if who.kind == "edge" or who.name in DEAD_BACKEND_IS_503:
        return None
    name = who.name or "the application"
    return Finding(
        f"{name} says 503: not now",
        (show(carrier), *((f"retry-after: {carrier.header('retry-after')}",) if carrier.has("retry-after") else ())),
        confidence="medium",
    )


CAUSE = Cause.of(
    "url",
    check,
    code="HTTP019",
    slug="service-unavailable-503",
    title="The service turns requests away for now",
    owner="you",
    why="A maintenance page, a limit of connections, or an application that is starting, draining or overloaded.",
    fix="End the maintenance mode, raise the limit, or wait for the start; Retry-After says how long.",
    named={"maintenance": upgrade(answer(503, "down for maintenance"))},
    quiet={"a dead backend": upgrade(answer(503, "<address>Apache</address>"))},
)
