"""The diagnosis: steps, findings, one verdict; and its JSON, which is documented and versioned.

`schema_version` 1. A field is only ever added; a change of meaning raises the version.

    healthy     true: a stream was opened, spoken on and kept; of a call: audio flowed both ways, in order.
                false: a cause was found. null: could not be decided
    verdict     the one cause, or null. Where `decided` is false it is what happened, and may be right for a made-up call
    undecided   where something is wrong and its cause is not proven: what is known, `candidates`, and the `question`
                whose answer decides; its slug is a working name, no verdict
    findings    verdict or undecided first, then what it explains (`under` names it); empty on a healthy endpoint
    notes       worth knowing, nothing broken
    ruled_out   causes whose signs did not match what was seen (the name is kept for old readers)
    not_checked what no probe could see, and how to see it
    call        for a call that was: its stages (reached, missing, not yet, unknown) and timeline; null for a URL
    level       of a URL that works: audio, listening (none was expected), silent (none came), inside (a carrier cannot
                reach it)
    unwaited    what this run did not wait for; traffic: requests sent, their maximum, what only --thorough sends
    sources     what was asked about the call, and what came of it; empty for a URL
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from callpath.doctor.facts import TrafficFacts
from callpath.doctor.platform import Trace
from callpath.doctor.rule import Confidence, Finding, Owner, Rule

SCHEMA_VERSION = 1

StepStatus = Literal["ok", "failed", "warning", "skipped"]


@dataclass(frozen=True, slots=True)
class Step:
    """One layer that was examined. `failed` is a fact ("no connection"), not yet a cause."""

    name: str
    status: StepStatus
    duration_ms: float
    detail: str


@dataclass(frozen=True, slots=True)
class Found:
    """A rule and what it said. `under` is the code of the finding that explains this one."""

    rule: Rule
    finding: Finding
    under: str = ""

    @property
    def owner(self) -> Owner:
        return self.finding.owner or self.rule.owner


@dataclass(frozen=True, slots=True)
class NotChecked:
    """A rule that could not judge: no fact, or a crash of its own. Neither ever counts as ok."""

    rule: Rule
    reason: str
    how: str
    crashed: bool = False


@dataclass(frozen=True, slots=True)
class Suspect:
    """One of the three usual suspects, in plain words. `guilty` None: could not be told."""

    name: str
    guilty: bool | None
    words: str


StageStatus = Literal["reached", "missing", "not yet", "unknown"]


@dataclass(frozen=True, slots=True)
class StageSeen:
    """One stage of a call. `missing` is the first one that was not reached; those behind it are `not yet`. `unknown`:
    the source does not show it."""

    name: str
    label: str
    status: StageStatus
    at_unix_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of the timeline in words. `lane` is where it happened."""

    at_unix_ms: int
    lane: Literal["Telnyx", "server", "socket", "handler", "doctor"]
    kind: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSeen:
    """The call that is judged: who it was, how far it came, and what is written about it."""

    session: str
    source: str
    state: str
    looked_at_unix_ms: int
    leg: str = ""
    call_control_id: str = ""
    direction: str = ""
    began_unix_ms: int | None = None
    ended_unix_ms: int | None = None
    hangup_cause: str = ""
    hangup_source: str = ""
    frames_in: int = 0
    frames_out: int = 0
    stages: tuple[StageSeen, ...] = ()
    timeline: tuple[Line, ...] = ()

    @property
    def missing(self) -> StageSeen | None:
        return next((stage for stage in self.stages if stage.status == "missing"), None)


@dataclass(frozen=True, slots=True)
class Source:
    """One place that was asked about the call, and what came of it. `lines` is what it said, for the report."""

    name: str
    status: Literal["read", "failed", "not asked"]
    detail: str
    lines: tuple[str, ...] = ()


Level = Literal["audio", "listening", "silent", "inside"]
"""How much a stream that works shows: audio came back; nothing was heard, and none was expected; nothing was heard; works
from here, but a carrier cannot reach it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All that the doctor has to say about one URL, or about one call."""

    url: str
    started_unix_ms: int
    duration_ms: float
    healthy: bool | None
    verdict: Found | None
    findings: tuple[Found, ...]
    notes: tuple[Found, ...]
    did_not_match: tuple[Rule, ...]
    not_checked: tuple[NotChecked, ...]
    steps: tuple[Step, ...]
    platform: tuple[Trace, ...]
    suspects: tuple[Suspect, ...]
    proven: tuple[str, ...]
    unproven: tuple[str, ...]
    call: CallSeen | None = None
    sources: tuple[Source, ...] = ()
    level: Level | None = None
    traffic: TrafficFacts | None = None
    unwaited: tuple[str, ...] = ()
    local: bool = False
    """A local test: the way from outside was not examined."""

    @property
    def decided(self) -> bool:
        """False where the verdict is withheld, or where nothing is wrong but too little could be seen."""
        if self.verdict is not None:
            return self.verdict.finding.kind == "fault"
        return self.healthy is True

    @property
    def exit_code(self) -> int:
        """0 healthy, 1 a cause was found, 4 could not be decided."""
        if not self.decided:
            return 4
        return 0 if self.verdict is None else 1


def document(diagnosis: Diagnosis) -> dict[str, Any]:
    """The JSON document. Every key is always there."""
    verdict = diagnosis.verdict
    return {
        "schema_version": SCHEMA_VERSION,
        "url": diagnosis.url,
        "started_unix_ms": diagnosis.started_unix_ms,
        "duration_ms": round(diagnosis.duration_ms),
        "healthy": diagnosis.healthy,
        "decided": diagnosis.decided,
        "exit_code": diagnosis.exit_code,
        "verdict": None if verdict is None or verdict.finding.kind == "open" else _found(verdict),
        "undecided": None if verdict is None or diagnosis.decided else _found(verdict),
        "findings": [_found(found) for found in diagnosis.findings],
        "notes": [_found(found) for found in diagnosis.notes],
        "ruled_out": [
            {"code": rule.code, "slug": rule.slug, "title": rule.title, "evidence": "did not match"}
            for rule in diagnosis.did_not_match
        ],
        "not_checked": [
            {
                "code": item.rule.code,
                "slug": item.rule.slug,
                "title": item.rule.title,
                "reason": item.reason,
                "how": item.how,
                "crashed": item.crashed,
            }
            for item in diagnosis.not_checked
        ],
        "steps": [
            {
                "name": step.name,
                "status": step.status,
                "duration_ms": round(step.duration_ms, 1),
                "detail": step.detail,
            }
            for step in diagnosis.steps
        ],
        "platform": {
            "name": diagnosis.platform[0].name if diagnosis.platform else None,
            "seen": [
                {"name": trace.name, "kind": trace.kind, "by": trace.by, "sure": trace.sure}
                for trace in diagnosis.platform
            ],
        },
        "suspects": [
            {"name": suspect.name, "guilty": suspect.guilty, "words": suspect.words} for suspect in diagnosis.suspects
        ],
        "proven": list(diagnosis.proven),
        "unproven": list(diagnosis.unproven),
        "level": diagnosis.level,
        "unwaited": list(diagnosis.unwaited),
        "local": diagnosis.local,
        "traffic": None
        if diagnosis.traffic is None
        else {
            "requests": diagnosis.traffic.requests,
            "requests_max": diagnosis.traffic.requests_max,
            "connections": diagnosis.traffic.connections,
            "left_out": list(diagnosis.traffic.left_out),
            "limited_at": diagnosis.traffic.limited_at,
        },
        "call": None if diagnosis.call is None else _call(diagnosis.call),
        "sources": [
            {"name": source.name, "status": source.status, "detail": source.detail, "lines": list(source.lines)}
            for source in diagnosis.sources
        ],
    }


def _call(call: CallSeen) -> dict[str, Any]:
    return {
        "session": call.session,
        "leg": call.leg,
        "call_control_id": call.call_control_id,
        "source": call.source,
        "state": call.state,
        "direction": call.direction,
        "looked_at_unix_ms": call.looked_at_unix_ms,
        "began_unix_ms": call.began_unix_ms,
        "ended_unix_ms": call.ended_unix_ms,
        "hangup_cause": call.hangup_cause,
        "hangup_source": call.hangup_source,
        "frames_in": call.frames_in,
        "frames_out": call.frames_out,
        "missing_stage": None if call.missing is None else call.missing.name,
        "stages": [
            {"name": stage.name, "label": stage.label, "status": stage.status, "at_unix_ms": stage.at_unix_ms}
            for stage in call.stages
        ],
        "timeline": [
            {"at_unix_ms": line.at_unix_ms, "lane": line.lane, "kind": line.kind, "text": line.text}
            for line in call.timeline
        ],
    }


def _found(found: Found) -> dict[str, Any]:
    rule, finding = found.rule, found.finding
    confidence: Confidence = finding.confidence
    return {
        "code": rule.code,
        "slug": rule.slug,
        "title": finding.title or rule.title,
        "layer": rule.layer,
        "owner": found.owner,
        "decided": finding.kind == "fault",
        "confidence": confidence,
        "summary": finding.summary,
        "why": rule.why,
        "fix": finding.fix or rule.fix,
        "evidence": list(finding.evidence),
        "candidates": list(finding.candidates),
        "question": finding.question,
        "under": found.under,
    }
