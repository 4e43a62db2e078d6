"""The diagnosis on a terminal at 2 a.m."""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from functools import partial

from callpath.call.overview import RESULT_WORDS
from callpath.doctor.facts import CallFacts, TrafficFacts, UrlFacts
from callpath.doctor.report.redact import printable
from callpath.doctor.reproduce import next_steps, reproduce
from callpath.doctor.verdict import CallSeen, Diagnosis, Found, Step

WIDTH = 80
"""Columns where the terminal does not say how many it has."""

_MARKS = {"ok": "✓", "failed": "✗", "warning": "!", "skipped": "-"}
_COLOURS = {"ok": "32", "failed": "31", "warning": "33", "skipped": "2"}
_FIX_ON = {
    "you": "your server", "network": "the network", "platform": "the platform", "far end": "the caller's side",
    "unclear": "unclear",
}  # fmt: skip


def step_line(step: Step, *, colour: bool, width: int = WIDTH) -> str:
    """One step with its tick and time, cut to the width."""
    took = f"{step.duration_ms:.0f} ms" if step.duration_ms < 10_000 else f"{step.duration_ms / 1000:.1f} s"
    head = f"  {_MARKS[step.status]} {step.name:<8}{took:>8}  "
    detail = printable(step.detail)
    detail = detail if len(head) + len(detail) <= width else detail[: width - len(head) - 1] + "…"
    line = head + detail
    return f"\x1b[{_COLOURS[step.status]}m{line}\x1b[0m" if colour else line


def one_line(diagnosis: Diagnosis) -> str:
    """The verdict, for a watchdog's log."""
    if diagnosis.verdict is None:
        return "healthy" if diagnosis.healthy else heading_of_level(diagnosis) or "not decided"
    found = diagnosis.verdict
    head = found.rule.slug if diagnosis.decided else "not decided"
    return printable(f"{head}: {found.finding.summary}")


def headline(diagnosis: Diagnosis) -> str:
    """The first line: what is wrong, where, and how sure that is."""
    verdict = diagnosis.verdict
    if verdict is None:
        if diagnosis.healthy:
            return _healthy(diagnosis)
        return heading_of_level(diagnosis) or _undecided(diagnosis)
    finding, rule = verdict.finding, verdict.rule
    title = finding.title or rule.title
    if finding.kind == "open" and not finding.title:
        title = finding.summary
    word = {"fault": "error", "outcome": "no fault", "limited": "not proven"}.get(finding.kind, "not decided")
    url = diagnosis.facts.get(UrlFacts)
    where = f"{url.host}: " if diagnosis.call is None and url is not None and url.host else ""
    return f"{word}[{rule.code}]: {where}{title}"


def advice(diagnosis: Diagnosis) -> str:
    """The second line: the fix, or what decides. "" where nothing is to be done."""
    verdict = diagnosis.verdict
    if verdict is None:
        return ""
    finding = verdict.finding
    if finding.question:
        return f"to find out: {finding.question}"
    return f"fix: {finding.fix or verdict.rule.fix}"


def terminal(
    diagnosis: Diagnosis, *, colour: bool, verbose: bool = False, width: int = WIDTH, pictured: bool = True
) -> str:
    """The report below the steps, as wide as the terminal. `pictured` False leaves out the stages of a call."""
    return "\n".join(_terminal(diagnosis, colour, verbose, width, pictured)) + "\n"


def _terminal(diagnosis: Diagnosis, colour: bool, verbose: bool, width: int, pictured: bool) -> Iterator[str]:
    wrapped = partial(_wrapped, width=width)
    verdict = diagnosis.verdict
    if diagnosis.call is not None and pictured:
        yield from _picture(diagnosis.call, colour, width)
    yield ""
    fine = diagnosis.healthy or (verdict is not None and verdict.finding.kind == "outcome")
    shade = "32" if fine else "31" if diagnosis.decided else "33"
    yield from wrapped(headline(diagnosis), "", hanging="  ", shade=f"1;{shade}" if colour else "")
    if verdict is not None:
        yield from _explained(diagnosis, verdict, verbose, width)
    if diagnosis.proven and (verbose or verdict is None):
        yield ""
        yield "Proven:"
        for line in diagnosis.proven:
            yield from wrapped(f"+ {line}", "  ", hanging="    ")
    if verdict is None or verbose:
        yield "Not proven:"
        for line in diagnosis.unproven:
            yield from wrapped(f"- {line}", "  ", hanging="    ")
    for note in diagnosis.notes:
        yield from wrapped(f"Note: {note.finding.summary} ({note.rule.code})", "", hanging="  ")
    for source in diagnosis.sources:
        yield from wrapped(f"{source.name}: {source.detail}" if source.status == "read"
                           else f"{source.name} ({source.status}): {source.detail}", "", hanging="  ")  # fmt: skip
    if diagnosis.platform:
        yield from wrapped("Path: " + " → ".join(trace.name for trace in diagnosis.platform), "", hanging="  ")
    if diagnosis.traffic is not None:
        yield from wrapped(sent(diagnosis.traffic), "", hanging="  ")
    if verbose:
        yield from _lists(diagnosis, width)
    elif verdict is not None:
        yield from wrapped(f"More: callpath doctor explain {verdict.rule.code}; -v shows why and all evidence.", "")


def sent(traffic: TrafficFacts) -> str:
    """How much the examination asked of the endpoint."""
    text = f"Sent {traffic.requests} request{'' if traffic.requests == 1 else 's'} (at most {traffic.requests_max})"
    if traffic.limited_at:
        text += f"; number {traffic.limited_at} was answered with a rate limit, and it stopped"
    if traffic.left_out:
        text += f"; --thorough tries {len(traffic.left_out)} more"
    return text + "."


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
    if call.source == "logs":
        return (
            "Healthy for what this log shows: webhooks, stream and audio both ways, and an end in order. No log shows what "
            "the caller heard."
        )
    words = RESULT_WORDS[call.result] if call.result and call.result != "talked" else ""
    return f"Healthy: {words or f'audio flowed both ways ({call.frames_in} frames in, {call.frames_out} out)'}."


def _undecided(diagnosis: Diagnosis) -> str:
    """Nothing wrong was found, and not enough was seen to call it healthy."""
    facts = diagnosis.facts.get(CallFacts)
    if facts is not None and facts.source == "logs":
        if not facts.entries:
            shown = "; ".join(diagnosis.proven)
            return "Not decided: these logs show no call, and nothing wrong." + (f" Shown: {shown}." if shown else "")
        if diagnosis.unproven:
            return f"Not decided: nothing wrong was found in this log. Not shown: {diagnosis.unproven[0]}."
    return "Not decided: nothing wrong was found, but too little could be seen."


_STAGE_MARKS = {"reached": "✓", "missing": "✗", "not yet": "·", "unknown": "?"}


_STAGE_COLOURS = {"reached": "32", "missing": "31", "not yet": "2", "unknown": "33"}


def _picture(call: CallSeen, colour: bool, width: int) -> Iterator[str]:
    """The way of the call, stage by stage, with the one that was not reached marked."""
    seconds = _seconds(call.ended_unix_ms, call.began_unix_ms)
    facts = [f"Call {call.session}" if call.session else "No call", call.state, call.direction, seconds]
    yield from _wrapped("   ".join(fact for fact in facts if fact and call.session) or facts[0], "", width=width)
    if call.hangup_cause:
        yield printable(f"  hangup source: {call.hangup_source or 'unknown'}; cause: {call.hangup_cause}")
    for stage in call.stages:
        at = _seconds(stage.at_unix_ms, call.began_unix_ms)
        note = {"missing": "  ← not reached", "unknown": "  (not shown by this source)"}.get(stage.status, "")
        line = f"  {_STAGE_MARKS[stage.status]} {stage.name:<10}{at:>10}  {stage.label}{note}"
        yield f"\x1b[{_STAGE_COLOURS[stage.status]}m{line}\x1b[0m" if colour else line


def _seconds(at_unix_ms: int | None, since_unix_ms: int | None) -> str:
    if at_unix_ms is None or since_unix_ms is None:
        return ""
    return f"{(at_unix_ms - since_unix_ms) / 1000:.3f} s"


def _explained(diagnosis: Diagnosis, verdict: Found, verbose: bool, width: int) -> Iterator[str]:
    wrapped = partial(_wrapped, width=width)
    finding, rule = verdict.finding, verdict.rule
    for number, line in enumerate(advice(diagnosis).split("\n")):
        yield from wrapped(line, "  " if number == 0 else "    ", hanging="    ")
    yield f"  {rule.layer} · fix on: {_FIX_ON.get(verdict.owner, verdict.owner)} · confidence: {finding.confidence}"
    yield ""
    if finding.kind != "open" or finding.title:
        yield from wrapped(f"{finding.summary}.", "  ")
    command = reproduce(diagnosis)
    evidence = finding.evidence if verbose else finding.evidence[:3]
    if command:
        yield from _command(command, "  ", width)
    for line in evidence:
        yield from wrapped(line if verbose else line[:300], "    ", hanging="      ")
    candidates = next_steps(diagnosis)
    if candidates:
        yield ""
        yield "  It may be, in the order in which to try:"
        for number, (title, how) in enumerate(candidates, 1):
            yield from wrapped(f"{number}. {title}", "    ", hanging="       ")
            if how:
                yield from _command(how, "       ", width)
    if verbose:
        yield ""
        yield from wrapped(f"Why: {rule.why}", "  ", hanging="    ")
    others = [found for found in diagnosis.findings if found is not verdict]
    if others:
        yield ""
        yield "  Consequences, and what else was found:"
        for found in others:
            yield from wrapped(
                f"{found.rule.code} {found.rule.slug}: {found.finding.summary}", "    ", hanging="      "
            )
    yield ""


def _command(text: str, indent: str, width: int) -> Iterator[str]:
    """A command to copy: where it is longer than a line it goes on after a backslash, never inside quotes."""
    words: list[str] = []
    for word in shlex.split(printable(text), posix=False):
        if words and re.fullmatch(r"-{1,2}[a-zA-Z][\w-]*", words[-1]) and not word.startswith("-"):
            words[-1] += f" {word}"  # an option and its value stay together
        else:
            words.append(word)
    line = f"{indent}$ {words[0]}"
    for word in words[1:]:
        if len(line) + 1 + len(word) + 2 > width:
            yield line + " \\"
            line = f"{indent}    {word}"
        else:
            line += f" {word}"
    yield line


def _lists(diagnosis: Diagnosis, width: int) -> Iterator[str]:
    wrapped = partial(_wrapped, width=width)
    yield ""
    yield "Did not match:"
    for rule in diagnosis.did_not_match:
        yield from wrapped(f"{rule.code} {rule.slug}", "  ", hanging="      ")
    if diagnosis.not_checked:
        yield "Not checked:"
        for item in diagnosis.not_checked:
            yield from wrapped(f"{item.rule.code} {item.rule.slug}: {item.reason}; {item.how}", "  ", hanging="      ")


def _wrapped(text: str, indent: str, *, width: int, hanging: str | None = None, shade: str = "") -> Iterator[str]:
    """Lines of printable text, whoever wrote it; `shade` is an SGR parameter."""
    lines = textwrap.wrap(
        printable(text),
        width,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_on_hyphens=False,
    )
    for line in lines or [indent]:
        yield f"\x1b[{shade}m{line}\x1b[0m" if shade else line
