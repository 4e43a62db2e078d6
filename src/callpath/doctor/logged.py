"""What logs tell: the diagnosis of one call of theirs, or of logs that tell of none. Pure, by facts alone, so that
evidence that was kept is judged as it was when the logs were read.

    diagnosis = judge_logs(found.facts_of(call))

A log shows that frames were sent, and never that they were heard. A call is healthy for what its log shows where the
whole way is told, the call ended in order, nothing complains, and something says more than that frames were sent: the
request with its parameters, the mode in which Telnyx plays what is sent, a caller who answers, or one who stays.
"""

from __future__ import annotations

import re
from dataclasses import replace

from callpath.call.session import Stage
from callpath.doctor.calls import ended_unix_ms
from callpath.doctor.edges import posts, upgrades
from callpath.doctor.engine import judge
from callpath.doctor.facts import CallFacts, EdgeFacts, FactMissing, Facts, LogFacts, ToldFacts
from callpath.doctor.recorded import judge_call
from callpath.doctor.rules import rules_of
from callpath.doctor.verdict import Diagnosis, Found, Step
from callpath.timeline import CommandSent, StreamStopped

MEASURED = {"CALL012", "CALL088"}
"""Signs whose finding is a span of time: nothing where times were not told but follow from other lines."""

HEARD_MS = 5_000
"""A caller who stays this long after our audio began has not heard nothing or noise, where Telnyx was told to play it."""

STAYED_MS = 12_000
"""The same where the log does not show how Telnyx was told to play it: nobody listens to silence or noise for so long."""

_REFUSED = {"webhook-signature-refused", "webhook-clock-skew", "api-version-1-webhooks", "webhook-body-unparsed"}


def judge_logs(facts: Facts, steps: tuple[Step, ...] = ()) -> Diagnosis:
    """The diagnosis of the call in `facts`, or of the logs where no call is told of."""
    call = facts[CallFacts]
    if not call.entries:
        return _without_a_call(facts)
    diagnosis = judge_call(facts, steps)
    log, told = facts.get(LogFacts), facts.get(ToldFacts)
    verdict = diagnosis.verdict
    timeless = log is not None and log.timeless
    guessed = timeless or (told is not None and told.guessed_start)
    if verdict is not None and verdict.rule.code in MEASURED and guessed:
        diagnosis = replace(diagnosis, verdict=None, findings=(), healthy=None)
    if timeless:
        diagnosis = _untimed(diagnosis)
    if diagnosis.verdict is None and told is not None and not told.ours:
        missing = _missing(diagnosis, told, timeless=timeless)
        unproven = (*missing, *diagnosis.unproven)
        diagnosis = replace(diagnosis, healthy=diagnosis.healthy if not missing else None, unproven=unproven)
    return diagnosis


def _missing(diagnosis: Diagnosis, told: ToldFacts, *, timeless: bool) -> tuple[str, ...]:
    """What the log would have to tell for the call to be healthy."""
    facts = diagnosis.facts
    lines = []
    if not diagnosis.healthy:
        stages = facts[CallFacts].state.stages
        lines = [f"{stage.label}: not in the log" for stage in Stage if stage not in stages]
        lines = lines or ["that the call ended in order: its end is not in the log"]
    lines += [f"that this harmed nobody: {text[:160]}" for text in _trouble(facts[CallFacts], told)[:3]]
    if not lines and not _was_heard(facts, told, timeless=timeless):
        lines.append(
            "that the caller heard what was sent: the log shows neither the request's parameters nor an answer"
        )
    return tuple(lines)


_ENDS = re.compile(
    r"\bCancelledError\b|\bConnectionClosedOK\b|\bWebSocketDisconnect\b\W*(?:\(?(?:1000|1001|1005)\b|$)|\bClientDisconnected\b|"
    r"response_cancel_not_active|Cancellation failed: no active response"
)
"""What programs print when a task or a socket ends as it should, or when there is nothing to interrupt."""


def _trouble(call: CallFacts, told: ToldFacts) -> list[str]:
    """What the program complains of while the call is on. What it prints once the stream has stopped or the call is over
    cost nobody a word."""
    stopped = next((entry.at_unix_ms for entry in call.entries if isinstance(entry.what, StreamStopped)), None)
    over = min((at for at in (stopped, ended_unix_ms(call)) if at is not None), default=None)
    said = [
        *((error.at_unix_ms, error.error) for error in told.errors),
        *((line.at_unix_ms, line.text) for line in told.providers),
        *((line.at_unix_ms, line.text) for line in told.complaints if line.level in {"error", "critical", "fatal"}),
    ]
    return [text for at, text in said if (over is None or at < over) and not _ENDS.search(text)]


def _was_heard(facts: Facts, told: ToldFacts, *, timeless: bool) -> bool:
    """Whether this log shows more than frames that were sent."""
    call = facts[CallFacts]
    if told.conversed or any(isinstance(entry.what, CommandSent) and entry.what.body for entry in call.entries):
        return True
    spoke = call.state.stages.get(Stage.FIRST_OUTBOUND)
    if spoke is None or timeless:
        return False
    return told.this.until_unix_ms - spoke >= (HEARD_MS if told.plays else STAYED_MS)


def _without_a_call(facts: Facts) -> Diagnosis:
    """No call was seen: perhaps the edge, refused webhooks, or a process that does not start say why."""
    without_calls = [rule for rule in rules_of("call") if rule.slug in {*_REFUSED, "crash-loop-or-oom"}]
    rules = (*rules_of("edge"), *without_calls)
    diagnosis = judge("", facts, rules=rules, fallbacks=(), works=lambda _: False)
    return replace(diagnosis, proven=_shown_by_rows(facts), unproven=_NOT_IN_ROWS)


_NOT_IN_ROWS = ("calls and their audio: they stand in the log of the program that takes them",)


def _shown_by_rows(facts: Facts) -> tuple[str, ...]:
    """Webhooks that were answered and streams that were opened, as a server in front of the program logged them."""
    try:
        answered = [row for row in posts(facts) if 200 <= row.status < 300]
    except FactMissing:
        answered = []
    opened = [row for row in upgrades(facts) if row.status == 101] if EdgeFacts in facts else []
    lasted = [row.duration_ms / 1000 for row in opened if row.duration_ms]
    lines = []
    if answered:
        lines.append(f"{len(answered)} webhook{'s were' if len(answered) > 1 else ' was'} answered 2xx")
    if opened:
        many = f"{len(opened)} WebSocket{'s were' if len(opened) > 1 else ' was'} opened (101)"
        lines.append(many + (f", the longest for {max(lasted):.1f} s" if lasted else ""))
    return tuple(lines)


def _untimed(diagnosis: Diagnosis) -> Diagnosis:
    """The same without times: those of the entries were made up, so that they have an order."""

    made: dict[int, Found] = {}  # the verdict is one of the findings, and is told from them by identity

    def found(one: Found) -> Found:
        said = one.finding
        made[id(one)] = made.get(id(one)) or replace(
            one,
            finding=replace(said, summary=_no_time(said.summary), evidence=tuple(map(_no_time, said.evidence))),
        )
        return made[id(one)]

    return replace(
        diagnosis,
        verdict=found(diagnosis.verdict) if diagnosis.verdict is not None else None,
        findings=tuple(map(found, diagnosis.findings)),
        notes=tuple(map(found, diagnosis.notes)),
        steps=tuple(replace(step, detail=_no_time(step.detail), duration_ms=0.0) for step in diagnosis.steps),
        proven=tuple(map(_no_time, diagnosis.proven)),
    )


def _no_time(text: str) -> str:
    return re.sub(
        r"\b\d+(?:\.\d+)? s\b",
        "some time",
        re.sub(r"^[+-]\d+\.\d+ s  |, \d+\.\d+ s into the call$|: \+\d+\.\d+ s$", "", text),
    )
