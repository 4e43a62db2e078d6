"""The diagnosis as JSON, which is documented and versioned.

`schema_version` 1. A field is only ever added; a change of meaning raises the version.

    heading     the sentence that every form of the report begins with
    healthy     true: a stream was opened, spoken on and kept; of a call: audio flowed both ways, in order.
                false: a cause was found. null: could not be decided
    verdict     the one cause, or null. Where `decided` is false it is what happened, and may be right for a made-up call
    undecided   where something is wrong and its cause is not proven: what is known, `candidates`, and the `question`
                whose answer decides; its slug is a working name, no verdict
    findings    verdict or undecided first, then what it explains (`under` names it); empty on a healthy endpoint. `kind`:
                fault (proven), limited (not proven), open (not decided)
    notes       worth knowing, nothing broken
    ruled_out   causes whose signs did not match what was seen (the name is kept for old readers)
    not_checked what no probe could see, and how to see it
    call        for a call that was: its stages (reached, missing, not yet, unknown) and timeline; null for a URL
    level       of a URL that works: audio, listening (none was expected), silent (none came), inside (a carrier cannot
                reach it)
    reproduce   a command that shows the evidence; next_steps: what else it may be, likeliest first, each with its command
    unwaited    what this run did not wait for; traffic: requests sent, their maximum, what only --thorough sends
    sources     what was asked about the call, and what came of it; empty for a URL
"""

from __future__ import annotations

from typing import Any

from callpath.doctor.report.terminal import headline
from callpath.doctor.reproduce import next_steps, reproduce
from callpath.doctor.verdict import CallSeen, Diagnosis, Found

SCHEMA_VERSION = 1


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
        "heading": headline(diagnosis),
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
        "reproduce": reproduce(diagnosis),
        "next_steps": [{"title": title, "command": command} for title, command in next_steps(diagnosis)],
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
        "result": call.result,
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
    return {
        "code": rule.code,
        "slug": rule.slug,
        "title": finding.title or rule.title,
        "layer": rule.layer,
        "owner": found.owner,
        "kind": finding.kind,
        "decided": finding.kind in {"fault", "outcome"},
        "confidence": finding.confidence,
        "observed": list(finding.observed),
        "observations": finding.observations,
        "summary": finding.summary,
        "why": rule.why,
        "fix": finding.fix or rule.fix,
        "evidence": list(finding.evidence),
        "candidates": list(finding.candidates),
        "question": finding.question,
        "under": found.under,
    }
