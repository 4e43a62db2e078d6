"""DEPLOY001: the very same request sometimes works and sometimes does not."""

import re
from collections.abc import Iterator

from callpath.doctor.calls import every, no_socket
from callpath.doctor.edges import SHORT_MS, posts, show_row, upgrades
from callpath.doctor.facts import (
    CallFacts,
    DeployFacts,
    DeployPlan,
    Ending,
    Exchange,
    FactMissing,
    Facts,
    MediaFacts,
    PlatformFacts,
    RepeatFacts,
    UpgradeFacts,
    WayFacts,
)
from callpath.doctor.rule import Cause, Finding, Seen, Sign
from callpath.doctor.rules.sample import answer, failed, tries, upgrade
from callpath.doctor.rules.sample_account import platform
from callpath.doctor.rules.sample_call import ACCEPTED, call, found_way
from callpath.doctor.rules.sample_deploy import plans, started
from callpath.doctor.rules.sample_edge import row, seen_at_edge
from callpath.timeline import FirstInbound

NO_BACKEND = {"500", "502", "503", "504", "timeout", "eof", "reset", "no-connection", "malformed"}
"""No answer of an application: a proxy's 5xx, or none at all. See DEPLOY003."""

BRIEF_MS = 100.0
"""Within the 120 ms that a try waits for an early close."""


def outcomes(facts: Facts) -> list[tuple[bool, str]]:
    """Every try in the carrier's shape in order of time: did it work, and how did it end."""
    upgrade_facts, repeats, media = facts[UpgradeFacts], facts[RepeatFacts], facts.get(MediaFacts)
    first_ending = None
    if media is not None and media.ending.by == "peer" and media.ending.after not in {"stop", "close"}:
        # The later tries say connected and start and listen for an instant: an ending on media, or a late one, is
        # nothing they could have seen, unless they saw one of their own.
        seen = any(attempt.ending is not None and attempt.ending.by == "peer" for attempt in repeats.tries)
        comparable = media.ending.after in {"connected", "start"} and media.ending.at_ms < BRIEF_MS
        all_failed = not any(attempt.fine for attempt in repeats.tries)  # it may have died of the first stream
        first_ending = media.ending if seen or comparable or all_failed else None
    rows = [_row(upgrade_facts.carrier, first_ending)]
    again = upgrade_facts.shape("again")
    if again is not None:
        rows.append(_row(again, None))
    rows += [_row(attempt.exchange, attempt.ending) for attempt in repeats.tries]
    # A limit that only later requests hit is the doctor's own doing (HTTP015), and no instance's answer.
    return rows[:1] + [row for row in rows[1:] if row[1] != "429" or rows[0][1] == "429"]


def _row(exchange: Exchange, ending: Ending | None) -> tuple[bool, str]:
    if not exchange.upgraded:
        return False, str(exchange.status or exchange.outcome)
    if ending is not None and ending.by == "peer":
        return False, f"101, then {ending.code or ending.kind} {ending.reason}".rstrip()
    return True, "101"


def deploy_instances(facts: Facts) -> Finding | None:
    rows = outcomes(facts)
    good = [text for ok, text in rows if ok]
    bad = [text for ok, text in rows if not ok]
    if not good or not bad:
        return None
    media = facts.get(MediaFacts)
    if media is not None and media.ending.at_ms > BRIEF_MS and rows[0][1] in bad and len(set(bad)) == 1:
        # Every bad end is the first stream's own: the good tries merely did not listen long enough to see it.
        return None
    if recovered(rows) or all(text in NO_BACKEND for text in bad):
        return None
    flags = [ok for ok, _ in rows]
    if flags == sorted(flags) and len(good) < SURE:
        return Finding(
            f"{len(bad)} tries failed ({', '.join(dict.fromkeys(bad))}), and the {len(good)} after them worked",
            tuple(Seen(f"try {number}: {text}", f"try {number}") for number, (_, text) in enumerate(rows, 1)),
            kind="open",
            confidence="low",
            candidates=("edge-cold-start", "wrong-instance"),
            question="Does it work on every try now? Then it had just started. If every second fails, instances "
            "differ.",
        )
    lookup = any(text.startswith("101, then") for text in bad)
    return Finding(
        f"{len(good)} of {len(rows)} identical tries worked; the others: {', '.join(dict.fromkeys(bad))}",
        tuple(Seen(f"try {number}: {text}", f"try {number}") for number, (_, text) in enumerate(rows, 1)),
        fix="Keep what a call needs in a shared store (or run one replica), since webhook and stream land on any of "
        "them."
        if lookup else "",
    )  # fmt: skip


SURE = 3
"""Number of good tries after the last bad one that shows it to be over."""


def recovered(rows: list[tuple[bool, str]]) -> bool:
    """Failed first, then only worked: something woke up."""
    if rows[0][1] == "no-connection":
        return False  # below HTTP, and after TCP and TLS had worked: nothing was asleep
    flags = [ok for ok, _ in rows]
    first_good = flags.index(True) if True in flags else 0
    return first_good > 0 and all(flags[first_good:]) and len(flags) - first_good >= SURE


def platform_replicas(facts: Facts) -> Finding | None:
    seen = facts[PlatformFacts]
    if seen.replicas is None:
        raise FactMissing(PlatformFacts)
    if seen.replicas < 2:
        return None
    count = f"{seen.replicas} replicas"
    if seen.volumes:
        return Finding(
            f"the service is set to {count} and has a volume at {', '.join(seen.volumes)}, which only one can have",
            (f"replicas: {seen.replicas}", f"volumes: {', '.join(seen.volumes)}"),
        )
    if seen.shared_log is False:
        return Finding(
            f"{count} run, each with a call log of its own in SQLite",
            (f"replicas: {seen.replicas}", "DATABASE_URL names a file, or is not set"),
        )
    if seen.shared_log is None:
        return Finding(f"{count} run: they have to share one call log in Postgres", kind="note")
    return None


def call_other_log(facts: Facts) -> Finding | None:
    known, way = facts[CallFacts], facts[WayFacts]
    if way.word != "unknown_session" or no_socket(known) is None:
        return None
    return Finding(
        "the callpath server behind the stream URL answers that it does not know this call, though its webhooks are "
        "in this call log",
        (f"{way.url}: {way.word}: {way.detail}",),
    )


def edge_instances(facts: Facts) -> Finding | None:
    call = facts[CallFacts]
    rows = [row for row in upgrades(facts) if row.deployment_id]
    first = [row for row in posts(facts) if row.deployment_id]
    if not rows or not first or rows[-1].deployment_id == first[-1].deployment_id:
        return None
    if rows[-1].status == 101 and (rows[-1].duration_ms or 0) >= SHORT_MS:
        return None  # another one, and it worked
    if every(call, FirstInbound):
        return None
    return Finding(
        f"the webhook went to deployment {first[-1].deployment_id[:8]}, the upgrade to {rows[-1].deployment_id[:8]}",
        (show_row(first[-1]), show_row(rows[-1])),
        confidence="medium",
    )


SHARED = re.compile(
    r"redis|valkey|psycopg|asyncpg|^pg$|postgres|sqlalchemy|mongo|mysql|dynamodb|^boto3$|memcache|prisma|typeorm|sequelize|nats"
)
"""Packages with which processes share what they know of a call."""


def files_processes(facts: Facts) -> Finding | None:
    seen = facts[DeployFacts]
    if seen.ours():
        return None  # callpath serve shares its call log by itself; call-log-not-kept judges where it lies
    shared = [name for name in seen.depends if SHARED.search(name)]
    found = [line for plan in seen.plans for line in _several(plan)]
    if not found or shared or not seen.depends:
        return None
    return Finding(
        found[0],
        (*found, "no package that processes could share state by (Redis, a database) is asked for"),
        kind="limited",
        confidence="medium",
        question="Does the webhook's handler keep the call in a variable that the socket's handler reads? Then run "
        "one process (--workers 1, one replica), or keep the call in Redis or a database.",
    )


def _several(plan: DeployPlan) -> Iterator[str]:
    if plan.replicas is not None and plan.replicas > 1:
        yield f"{plan.file} runs {plan.replicas} replicas"
    for name in ("WEB_CONCURRENCY", "UVICORN_WORKERS"):
        if (plan.variable(name) or "").isdigit() and int(plan.variable(name) or "0") > 1:
            yield f"{plan.file} sets {name}={plan.variable(name)}"
    for command in plan.commands:
        workers = re.search(r"(?:--workers[ =]|\s-w\s?)(\d+)", command.text) or re.search(
            r"\bpm2\b.*\s-i\s+(\d+|max)", command.text
        )
        if workers and workers[1] not in {"0", "1"}:
            yield f"{plan.file} starts {workers[1]} processes: `{command.text}`"


CAUSE = Cause(
    code="DEPLOY001",
    slug="wrong-instance",
    title="Not every instance behind the URL answers alike",
    owner="you",
    why="Several replicas or backends stand behind one address and are not equal: one is down, old, misconfigured, or "
    "does not know the call. A share of the calls fails.",
    fix="Find the instance that differs (the proxy's log names the backend: nginx $upstream_addr), add health checks, "
    "deploy all of them together.",
    signs=(
        Sign(
            "url",
            deploy_instances,
            named={
                "every second try": Facts(*upgrade(answer(101)), tries(answer(404), answer(101), answer(404))),
                "failed, then two tries worked": Facts(*upgrade(answer(404)), tries(answer(101), answer(101))),
            },
            quiet={
                "always fine": Facts(*upgrade(answer(101)), tries(answer(101), answer(101))),
                "woke up": Facts(*upgrade(failed("timeout")), tries(*[answer(101)] * 4)),
            },
        ),
        Sign(
            "account",
            platform_replicas,
            code="PLATFORM009",
            title="Several replicas share no call log",
            why="The edge chooses a replica for each request by chance: a call's webhooks come to one, its audio to "
            "another, which knows nothing of the call.",
            fix="Set the service to one replica, or give all of them one Postgres as DATABASE_URL.",
            named={
                "three, with SQLite": platform(replicas=3, shared_log=False),
                "three, with a volume": platform(replicas=3, volumes=("/data",), shared_log=True),
                "three, and nobody knows their store": platform(replicas=3, shared_log=None),
            },
            quiet={"three, with Postgres": platform(replicas=3, shared_log=True), "one": platform(volumes=("/data",))},
            unchecked={"replicas may not be asked": platform(replicas=None)},
        ),
        Sign(
            "files",
            files_processes,
            title="Several processes share no memory",
            why="Webhook and socket of a call land on any of the processes. What one keeps in a variable the others "
            "do not know: a share of the calls is refused.",
            fix="Run one process (--workers 1), or keep the call's state in Redis or a database.",
            named={"four workers": plans(started("uvicorn app:app --host 0.0.0.0 --workers 4"), depends=("fastapi",))},
            quiet={
                "four workers and Redis": plans(
                    started("uvicorn app:app --host 0.0.0.0 --workers 4"), depends=("fastapi", "redis")
                ),
                "one worker": plans(started("gunicorn -w 1 app:app"), depends=("flask",)),
            },
        ),
        Sign(
            "call",
            call_other_log,
            code="CALL026",
            title="Webhooks and sockets of a call reach different servers",
            why="Each process lets in only sockets of calls in its call log. Two replicas with a log each, or an old "
            "deployment that still answers under that name, refuse the other's calls.",
            fix="Give all replicas one DATABASE_URL, or run one replica; and let PUBLIC_URL lead to the server that "
            "gets the webhooks.",
            named={"it does not know the call": Facts(call(ACCEPTED), found_way("unknown_session"))},
            quiet={"it knows the call": Facts(call(ACCEPTED), found_way("call_ended"))},
        ),
        Sign(
            "edge",
            edge_instances,
            code="EDGE019",
            title="The socket came to another deployment than the webhooks",
            why="Webhook and upgrade were served by two deployments or instances. What the one keeps in memory of the "
            "call the other does not know.",
            fix="Keep the call's state in a store that all instances share (Redis, a database), run one instance "
            "(--workers 1), or wait for calls to end before the old deployment goes.",
            named={
                "two deployments": seen_at_edge(
                    row("POST", deployment="aaaa1111"), row("GET", 404, deployment="bbbb2222")
                )
            },
            quiet={
                "one deployment": seen_at_edge(
                    row("POST", deployment="aaaa1111"), row("GET", 404, deployment="aaaa1111")
                )
            },
        ),
    ),
)
