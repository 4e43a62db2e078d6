"""DEPLOY003: some tries find no working backend."""

from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding, Seen
from callpath.doctor.rules.deploy.wrong_instance import NO_BACKEND, outcomes, recovered
from callpath.doctor.rules.sample import answer, tries, upgrade


def check(facts: Facts) -> Finding | None:
    rows = outcomes(facts)
    good = [text for ok, text in rows if ok]
    bad = [text for ok, text in rows if not ok]
    if not good or not bad or recovered(rows) or not all(text in NO_BACKEND for text in bad):
        return None
    summary = f"{len(good)} of {len(rows)} identical tries worked; the others: {', '.join(dict.fromkeys(bad))}"
    evidence = tuple(Seen(f"try {number}: {text}", f"try {number}") for number, (_, text) in enumerate(rows, 1))
    if bad == ["no-connection"]:
        return Finding(
            summary,
            evidence,
            kind="open",
            confidence="low",
            candidates=("backend-flapping", "tcp-timeout-firewall-drop"),
            question="One connection did not come about in time. Run again while this machine has nothing else to do: "
            "if it happens again, a backend, a connection limit or the network drops some.",
        )
    return Finding(summary, evidence)


CAUSE = Cause.of(
    "url",
    check,
    code="DEPLOY003",
    slug="backend-flapping",
    title="One of several backends is down",
    owner="you",
    why="The balancer shares requests among backends of which one does not answer (or the application crashes and "
    "restarts in turn): a share of the calls fails.",
    fix="Take the dead backend out or bring it up, and switch health checks on (HAProxy `check`, nginx max_fails, an "
    "upstream health check).",
    named={"every second try 502": Facts(*upgrade(answer(101)), tries(answer(502), answer(101), answer(502)))},
    quiet={"every second try 404": Facts(*upgrade(answer(101)), tries(answer(404), answer(101), answer(404)))},
)
