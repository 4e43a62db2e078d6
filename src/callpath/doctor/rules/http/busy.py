"""CALLPATH004: a callpath server was reached, and takes no more at this moment."""

from callpath.doctor.answers import show
from callpath.doctor.facts import Facts
from callpath.doctor.ourselves import refused_by_callpath
from callpath.doctor.rule import OWN_WORD, Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade

_FIXES = {
    "too_many_upgrades": "Nothing, for calls: an upgrade with its call's token is never counted. Probe with a token "
    "(run the doctor with the server's settings, or give --token), or wait a minute; the server's log says who asks "
    "so often.",
    "too_many_probes": "Wait until the other probes are over; each holds its socket as long as it listens.",
    "full": "Raise CALLPATH_CALLS_MAX if the machine carries more, or run another process.",
    "store": "See the server's log for why its call log cannot be read: the disk is full, or the database is away.",
    "draining": "Probe again in a minute. If nothing has taken its place by then, see the platform's deploys; with "
    "several nodes, let the balancer ask the next one at 503 (docs/howto/stop-without-cutting-calls.md).",
}

_QUESTIONS = {
    "too_many_upgrades": "Does it take an upgrade that shows a token?",
    "too_many_probes": "Does it take an upgrade that shows a token?",
    "draining": "Does it still say so in a minute? It was stopping when it was asked.",
}
"""Where what was seen is not what keeps calls out."""


def check(facts: Facts) -> Finding | None:
    word = refused_by_callpath(facts, *_FIXES)
    if word is None:
        return None
    return Finding(
        f"the callpath server itself answered {word.exchange.status} {word.reason}: {word.detail}",
        (show(word.exchange),),
        certain=OWN_WORD,
        kind="limited" if word.reason in _QUESTIONS else "fault",
        question=_QUESTIONS.get(word.reason, ""),
        fix=_FIXES[word.reason],
    )


def said(reason: str, status: int) -> Facts:
    return upgrade(answer(status, f'{{"error":"{reason}","detail":"too many of them"}}', X_Callpath="0.1.0"))


CAUSE = Cause.of(
    "url",
    check,
    code="CALLPATH004",
    slug="rate-limited",
    title="The callpath server was reached; it takes no more at this moment",
    owner="you",
    why="A callpath server bounds what it does for those who show no token, how many calls it carries, and how many "
    "probes. What it says then is its own word, not a proxy's.",
    fix="See what it says; /metrics counts each refusal under callpath_refused_total.",
    named={
        "upgrades without a token": said("too_many_upgrades", 429),
        "as many calls as it may carry": said("full", 503),
        "a process that stops": said("draining", 503),
    },
    quiet={"another server's limit": upgrade(answer(429, "Too Many Requests"))},
)
