"""HTTP012: the upgrade request is taken and never answered."""

from callpath.doctor.answers import any_variant_works, edges, refused, show
from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.refusals import SLOW_TO_WAKE
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, failed, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts)
    if carrier is None or carrier.outcome != "timeout" or carrier.raw or any_variant_works(facts):
        return None
    plain = facts[UpgradeFacts].shape("plain")
    sleepy = next((name for name in SLOW_TO_WAKE if name in edges(facts)), "")
    if sleepy and (plain is None or plain.outcome != "answer"):
        return Finding(
            f"nothing answered within {carrier.ms / 1000:.0f} s; {sleepy} may take {SLOW_TO_WAKE[sleepy]} s to wake "
            "an application",
            (show(carrier), *((show(plain),) if plain else ())),
            kind="open",
            confidence="low",
            candidates=("edge-cold-start", "http-no-answer"),
            question="Run it again at once: if it works now, the application was asleep (keep one instance running).",
        )
    if plain is not None and plain.outcome == "answer":
        return Finding(
            "a plain GET is answered, the upgrade never is",
            (show(carrier), show(plain)),
            fix="In Node, server.on('upgrade') must answer or destroy every socket: a path it does not know is "
            "otherwise left open. With a framework, accept the WebSocket before any other work.",
        )
    return Finding("requests are taken and never answered", (show(carrier), *((show(plain),) if plain else ())))


CAUSE = Cause.of(
    "url",
    check,
    code="HTTP012",
    slug="http-no-answer",
    title="The upgrade request is never answered",
    owner="you",
    why="The connection opens and the request disappears: an upgrade handler without an else branch, a handler that "
    "waits before it accepts, or a process that accepts and does nothing.",
    fix="Find what holds the request (py-spy dump --pid PID, or a log at the first line of the upgrade handler); "
    "accept first, work later.",
    named={"silence": upgrade(failed("timeout"), answer(200, shape="plain"))},
    quiet={"a refusal": upgrade(answer(404))},
)
