"""The diagnosis on a terminal at 2 a.m."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from callpath.doctor.verdict import CallSeen, Diagnosis, Found, Step

WIDTH = 80


_MARKS = {"ok": "✓", "failed": "✗", "warning": "!", "skipped": "-"}


_COLOURS = {"ok": "32", "failed": "31", "warning": "33", "skipped": "2"}


def step_line(step: Step, *, colour: bool) -> str:
    """One step with its tick and time, cut to the width."""
    took = f"{step.duration_ms:.0f} ms" if step.duration_ms < 10_000 else f"{step.duration_ms / 1000:.1f} s"
    head = f"  {_MARKS[step.status]} {step.name:<8}{took:>8}  "
    detail = step.detail if len(head) + len(step.detail) <= WIDTH else step.detail[: WIDTH - len(head) - 1] + "…"
    line = head + detail
    return f"\x1b[{_COLOURS[step.status]}m{line}\x1b[0m" if colour else line


def one_line(diagnosis: Diagnosis) -> str:
    """The verdict, for a watchdog's log."""
    if diagnosis.verdict is None:
        return "healthy" if diagnosis.healthy else heading_of_level(diagnosis) or "not decided"
    found = diagnosis.verdict
    head = found.rule.slug if diagnosis.decided else "not decided"
    return f"{head}: {found.finding.summary}"


def terminal(diagnosis: Diagnosis, *, colour: bool, verbose: bool = False) -> str:
    """The report below the steps, 80 columns wide."""
    return "\n".join(_terminal(diagnosis, colour, verbose)) + "\n"


def _terminal(diagnosis: Diagnosis, colour: bool, verbose: bool) -> Iterator[str]:
    def bold(text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if colour else text

    if diagnosis.call is not None:
        yield from _picture(diagnosis.call, colour)
    yield ""
    verdict = diagnosis.verdict
    if verdict is None:
        if diagnosis.healthy:
            yield bold(_healthy(diagnosis))
        elif heading := heading_of_level(diagnosis):
            yield from _wrapped(heading, "", bold=colour)
        else:
            yield bold("Not decided: nothing wrong was found, but too little could be seen.")
    elif verdict.finding.kind != "open":
        yield from _wrapped(verdict.finding.title or verdict.rule.title, "", bold=colour)
        yield f"  {verdict.rule.code} {verdict.rule.slug} · {verdict.rule.layer} · owner: {verdict.owner}" + (
            "" if verdict.finding.confidence == "high" else f" · confidence: {verdict.finding.confidence}"
        )
    else:
        yield bold("Not decided.")
    if verdict is not None:
        yield from _explained(diagnosis, verdict, verbose)
    if diagnosis.suspects:
        yield ""
        yield "The three usual suspects:"
    for suspect in diagnosis.suspects:
        yield from _wrapped(f"{suspect.name}? {suspect.words}", "  ", hanging="    ")
    if diagnosis.proven and (verbose or verdict is None):
        yield ""
        yield "Proven:"
        for line in diagnosis.proven:
            yield from _wrapped(f"+ {line}", "  ", hanging="    ")
    if verdict is None or verbose:
        yield "Not proven:"
        for line in diagnosis.unproven:
            yield from _wrapped(f"- {line}", "  ", hanging="    ")
    for note in diagnosis.notes:
        yield from _wrapped(f"Note: {note.finding.summary} ({note.rule.code})", "")
    for source in diagnosis.sources:
        yield from _wrapped(f"{source.name}: {source.detail}" if source.status == "read"
                            else f"{source.name} ({source.status}): {source.detail}", "", hanging="  ")  # fmt: skip
    if diagnosis.platform:
        yield from _wrapped("Seen on the way: " + ", ".join(t.name for t in diagnosis.platform), "")
    if verbose:
        yield from _lists(diagnosis)
    elif verdict is not None:
        yield "-v shows all evidence, what did not match and what was not checked."


_HEADINGS = {
    "audio": "Healthy: audio came back.",
    "listening": "Healthy: the stream stayed open; no audio was expected.",
    "silent": "Not decided: the stream stays open, but no audio came back. Right for a server that only listens: "
    "--listen-only says so.",
    "inside": "Works from here, but a carrier cannot reach it: --local says that this is a local test.",
}


def heading_of_level(diagnosis: Diagnosis) -> str:
    """How much a stream that works shows, and what it does not; "" for one that does not work."""
    if diagnosis.level is None:
        return ""
    parts = [_HEADINGS[diagnosis.level]]
    if diagnosis.local:
        parts.append("The way from outside was not examined.")
    parts += [f"Not waited for: {what}." for what in diagnosis.unwaited]
    return " ".join(parts)


def _healthy(diagnosis: Diagnosis) -> str:
    if diagnosis.call is None:
        return heading_of_level(diagnosis) or "Healthy: a stream was opened, spoken on and kept."
    call = diagnosis.call
    return f"Healthy: audio flowed both ways ({call.frames_in} frames in, {call.frames_out} out)."


_STAGE_MARKS = {"reached": "✓", "missing": "✗", "not yet": "·", "unknown": "?"}


_STAGE_COLOURS = {"reached": "32", "missing": "31", "not yet": "2", "unknown": "33"}


def _picture(call: CallSeen, colour: bool) -> Iterator[str]:
    """The way of the call, stage by stage, with the one that was not reached marked."""
    seconds = _seconds(call.ended_unix_ms, call.began_unix_ms)
    facts = [f"Call {call.session}" if call.session else "No call", call.state, call.direction, seconds]
    yield from _wrapped("   ".join(fact for fact in facts if fact and call.session) or facts[0], "")
    if call.hangup_cause:
        yield f"  hung up by {call.hangup_source or 'unknown'}: {call.hangup_cause}"
    for stage in call.stages:
        at = _seconds(stage.at_unix_ms, call.began_unix_ms)
        note = {"missing": "  ← not reached", "unknown": "  (not shown by this source)"}.get(stage.status, "")
        line = f"  {_STAGE_MARKS[stage.status]} {stage.name:<10}{at:>10}  {stage.label}{note}"
        yield f"\x1b[{_STAGE_COLOURS[stage.status]}m{line}\x1b[0m" if colour else line


def _seconds(at_unix_ms: int | None, since_unix_ms: int | None) -> str:
    if at_unix_ms is None or since_unix_ms is None:
        return ""
    return f"{(at_unix_ms - since_unix_ms) / 1000:.3f} s"


def _explained(diagnosis: Diagnosis, verdict: Found, verbose: bool) -> Iterator[str]:
    finding, rule = verdict.finding, verdict.rule
    yield ""
    yield from _wrapped(finding.summary[:1].upper() + finding.summary[1:] + ".", "  ")
    yield ""
    yield from _wrapped(f"Why: {rule.why}", "  ")
    yield ""
    if finding.question:
        yield from _wrapped(f"What would decide it: {finding.question}", "  ")
        if finding.candidates:
            yield from _wrapped(f"Candidates: {', '.join(finding.candidates)}", "  ")
    else:
        yield "  Fix:"
        for line in (finding.fix or rule.fix).split("\n"):
            yield from _wrapped(line, "    ")
    evidence = finding.evidence if verbose else finding.evidence[:3]
    if evidence:
        yield ""
        yield "  Evidence:"
        for line in evidence:
            yield from _wrapped(line if verbose else line[:300], "    ", hanging="      ")
    others = [found for found in diagnosis.findings if found is not verdict]
    if others:
        yield ""
        yield "  Explained by it, or behind it:"
        for found in others:
            yield from _wrapped(
                f"{found.rule.code} {found.rule.slug}: {found.finding.summary}", "    ", hanging="      "
            )


def _lists(diagnosis: Diagnosis) -> Iterator[str]:
    yield ""
    yield "Did not match:"
    for rule in diagnosis.did_not_match:
        yield from _wrapped(f"{rule.code} {rule.slug}", "  ", hanging="      ")
    if diagnosis.not_checked:
        yield "Not checked:"
        for item in diagnosis.not_checked:
            yield from _wrapped(f"{item.rule.code} {item.rule.slug}: {item.reason}; {item.how}", "  ", hanging="      ")


def _wrapped(text: str, indent: str, *, hanging: str | None = None, bold: bool = False) -> Iterator[str]:
    lines = textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_on_hyphens=False,
    )
    for line in lines or [indent]:
        yield f"\x1b[1m{line}\x1b[0m" if bold else line
