"""The report as Markdown, safe to share."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from callpath.doctor.report.redact import printable, redacted
from callpath.doctor.report.terminal import _seconds, advice, headline, sent
from callpath.doctor.reproduce import next_steps, reproduce
from callpath.doctor.verdict import CallSeen, Diagnosis, Found, Line


def markdown(diagnosis: Diagnosis, token: str | None = None, secrets: Iterable[str] = ()) -> str:
    """The whole report, safe to paste into a ticket."""
    return redacted(printable("\n".join(_markdown(diagnosis)) + "\n"), token, secrets)


def _markdown(diagnosis: Diagnosis) -> list[str]:
    verdict = diagnosis.verdict
    call = diagnosis.call
    lines = [
        f"# callpath doctor: {diagnosis.url if call is None else 'call ' + (call.session or 'that never came')}",
        "",
    ]
    lines += [f"**{headline(diagnosis)}**", ""]
    if verdict is not None:
        finding, rule = verdict.finding, verdict.rule
        lines += [advice(diagnosis).replace("\n", "  \n"), ""]
        lines += [
            f"{rule.code} {rule.slug}; layer {rule.layer}; owner: {verdict.owner}; confidence {finding.confidence}",
            "",
        ]
        lines += [f"{finding.summary}.", "", f"Why: {rule.why}", ""]
        steps = next_steps(diagnosis)
        if steps:
            lines += ["It may be, in the order in which to try:", ""]
            lines += [
                f"{number}. {title}" + (f": `{how}`" if how else "") for number, (title, how) in enumerate(steps, 1)
            ]
            lines += [""]
        command = reproduce(diagnosis)
        lines += ["```", command, "```", ""] if command else []
        lines += ["## Evidence", "", *(f"- `{line}`" for line in finding.evidence), ""]
        others = [found for found in diagnosis.findings if found is not verdict]
        if others:
            lines += ["## Other findings", ""]
            lines += [
                f"- {found.rule.code} {found.rule.slug}: {found.finding.summary}{_own_fix(found)}" for found in others
            ]
            lines += [""]
    if call is not None:
        lines += _call_lines(diagnosis, call)
    lines += ["## Steps", "", "| step | status | ms | detail |", "|---|---|---|---|"]
    lines += [
        f"| {s.name} | {s.status} | {s.duration_ms:.0f} | {s.detail.replace('|', '/')} |" for s in diagnosis.steps
    ]
    lines += ["", "## The three usual suspects", ""] if diagnosis.suspects else []
    lines += [f"- {suspect.name}? {suspect.words}" for suspect in diagnosis.suspects]
    for title, entries in (
        ("Proven", diagnosis.proven),
        ("Not proven", diagnosis.unproven),
        ("Notes", tuple(note.finding.summary for note in diagnosis.notes)),
        ("Did not match", tuple(f"{rule.code} {rule.slug}" for rule in diagnosis.did_not_match)),
        ("Not checked", tuple(f"{i.rule.code} {i.rule.slug}: {i.reason}; {i.how}" for i in diagnosis.not_checked)),
    ):
        if entries:
            lines += ["", f"## {title}", "", *(f"- {entry}" for entry in entries)]
    if diagnosis.traffic is not None:
        lines += ["", sent(diagnosis.traffic)]
    versions = (
        f"callpath {importlib.metadata.version('callpath')}, Python {platform.python_version()}, {platform.platform()}"
    )
    return [*lines, "", "## Made with", "", f"- {versions}", f"- {_when(diagnosis.started_unix_ms)}"]


def _own_fix(found: Found) -> str:
    """What fixes a finding that stands for itself; one that another explains goes away with that one."""
    finding = found.finding
    return "" if found.under or finding.question else f". Fix: {finding.fix or found.rule.fix}"


def _call_lines(diagnosis: Diagnosis, call: CallSeen) -> Iterator[str]:
    yield from ("## The call", "")
    yield f"- call_session_id: {call.session or 'none'}"
    yield f"- call_leg_id: {call.leg or 'unknown'}"
    yield f"- call_control_id: {_shortened(call.call_control_id) or 'unknown'}"
    yield f"- direction: {call.direction or 'unknown'}; state: {call.state}; read from: {call.source}"
    yield f"- began: {_when(call.began_unix_ms)}; ended: {_when(call.ended_unix_ms)}"
    if call.hangup_cause:
        yield f"- hung up by {call.hangup_source or 'unknown'}, cause: {call.hangup_cause}"
    yield f"- stream URL: {diagnosis.url or 'not known'}"
    yield f"- frames: {call.frames_in} in, {call.frames_out} out"
    yield from ("", "## How far it came", "", "| stage | | at |", "|---|---|---|")
    for stage in call.stages:
        at = _seconds(stage.at_unix_ms, call.began_unix_ms)
        yield f"| {stage.label} | {'NOT REACHED' if stage.status == 'missing' else stage.status} | {at} |"
    yield from ("", "## Timeline", "", "| at | where | what |", "|---|---|---|")
    for line in _rows(call):
        yield f"| {_seconds(line.at_unix_ms, call.began_unix_ms)} | {line.lane} | {line.text.replace('|', '/')} |"
    yield from ("", "## Asked", "")
    for source in diagnosis.sources:
        yield f"- {source.name}: {source.status}; {source.detail}"
        yield from (f"- … {line}" for line in source.lines)
    yield ""


def _rows(call: CallSeen) -> list[Line]:
    """The timeline as it may be shared: what applications wrote into it stays here, and counters are not repeated."""
    rows = []
    for number, line in enumerate(call.timeline):
        repeated = line.kind == "media.counted" and any(
            later.kind == "media.counted" for later in call.timeline[number + 1 : number + 3]
        )
        if not repeated:
            hidden = "a note of the application's (left out)"
            rows.append(replace(line, text=hidden) if line.kind == "note" else line)
    if len(rows) > ROWS_MAX:
        rows = [*rows[: ROWS_MAX // 2], *rows[-ROWS_MAX // 2 :]]
    return rows


ROWS_MAX = 240
"""A report shows the beginning and the end of a longer timeline."""


def _shortened(call_control_id: str) -> str:
    return f"{call_control_id[:8]}…{call_control_id[-4:]}" if len(call_control_id) > 16 else call_control_id


def _when(unix_ms: int | None) -> str:
    if not unix_ms:
        return "not known"
    return datetime.fromtimestamp(unix_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"
