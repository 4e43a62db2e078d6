"""The diagnosis for people: on a terminal at 2 a.m., and as a file that is safe to share."""

from __future__ import annotations

import html
import importlib.metadata
import platform
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from callpath.doctor import precedence
from callpath.doctor.rule import Cause
from callpath.doctor.verdict import CallSeen, Diagnosis, Found, Line, Step

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
        return "healthy" if diagnosis.healthy else "not decided"
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


def _healthy(diagnosis: Diagnosis) -> str:
    if diagnosis.call is None:
        return "Healthy: a call's audio would work here."
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


# --- a file to share -------------------------------------------------------------------------------------------------

_SECRET_HEADERS = r"authorization|x-telnyx-streaming-auth-token|cookie|set-cookie|x-api-key"
_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)((?:token|key|secret|password|passwd|pwd|auth|sig|signature|code)=)[^&\s'\"]+"), r"\1[hidden]"),
    (re.compile(rf"(?i)((?:{_SECRET_HEADERS})['\"]?\s*[:=]\s*['\"]?)[^\r\n'\"]+"), r"\1[hidden]"),
    (re.compile(r"//[^/@\s:]+:[^/@\s]+@"), "//[hidden]@"),
    (re.compile(r"\bKEY[0-9A-F]{8,}[\w-]*"), "[hidden key]"),
    (re.compile(r"\beyJ[\w-]{10,}\.[\w-]+\.?[\w-]*"), "[hidden token]"),
    (re.compile(r"(?<![\w.])(?:\+|%2B)\d{7,15}\b"), "[phone number]"),
    (re.compile(r"\bv[23]:[\w+/=%-]{20,}"), "v3:[call]"),
)
_NUMBERS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(sips?:)[^@\s]+@"), r"\1[party]@"),
    (re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.-]*\w"), "[e-mail]"),
    (re.compile(r"(?<![\w.:/+-])\d(?:[ -]?\d){9,18}(?![\w:-])"), "[number]"),
)
_UUID = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.IGNORECASE)
"""Session and leg ids stay: support finds the call by them, and nobody else can."""


def redacted(text: str, token: str | None = None, secrets: Iterable[str] = ()) -> str:
    """`text` without tokens, secrets, numbers and call_control_ids. `secrets` are further texts to hide as they are."""
    if token:
        text = text.replace(token, "[hidden token]")
    for secret in sorted((secret for secret in secrets if len(secret) > 3), key=len, reverse=True):
        text = text.replace(secret, "[hidden]")
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    pieces = _UUID.split(text)
    for index in range(0, len(pieces), 2):
        for pattern, replacement in _NUMBERS:
            pieces[index] = pattern.sub(replacement, pieces[index])
    return "".join(pieces)


def markdown(diagnosis: Diagnosis, token: str | None = None, secrets: Iterable[str] = ()) -> str:
    """The whole report, safe to paste into a ticket."""
    return redacted("\n".join(_markdown(diagnosis)) + "\n", token, secrets)


def _markdown(diagnosis: Diagnosis) -> list[str]:
    verdict = diagnosis.verdict
    call = diagnosis.call
    lines = [
        f"# callpath doctor: {diagnosis.url if call is None else 'call ' + (call.session or 'that never came')}",
        "",
    ]
    if verdict is None and diagnosis.healthy:
        lines += [f"**{_healthy(diagnosis)}**", ""]
    elif verdict is None:
        lines += ["**Not decided.**", ""]
    else:
        finding, rule = verdict.finding, verdict.rule
        title = finding.title or rule.title if diagnosis.decided else "Not decided"
        sure = f"; confidence {finding.confidence}" if diagnosis.decided else ""
        lines += [f"**{title}** ({rule.code}, {rule.slug}; layer {rule.layer}; owner: {verdict.owner}{sure})", "",
                  finding.summary, "", f"Why: {rule.why}", ""]  # fmt: skip
        if finding.question:
            lines += [f"What would decide it: {finding.question}", ""]
            lines += [f"Candidates: {', '.join(finding.candidates)}", ""] if finding.candidates else []
        else:
            lines += ["Fix:", "", "```", finding.fix or rule.fix, "```", ""]
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
    versions = (
        f"callpath {importlib.metadata.version('callpath')}, Python {platform.python_version()}, {platform.platform()}"
    )
    return [*lines, "", "## Made with", "", f"- {versions}", f"- {_when(diagnosis.started_unix_ms)}"]


def _own_fix(found: Found) -> str:
    """What mends a finding that stands for itself; one that another explains goes away with that one."""
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


_STYLE = (
    "body{font:16px/1.5 system-ui;max-width:52rem;margin:2rem auto;padding:0 1rem}"
    "pre,code{background:#f3f3f3;padding:.1em .3em;white-space:pre-wrap}"
    "td{border-top:1px solid #ddd;padding:.2em .6em;vertical-align:top}"
    "td:first-child{white-space:nowrap}"
)


def html_page(diagnosis: Diagnosis, token: str | None = None, secrets: Iterable[str] = ()) -> str:
    """The same as one page without scripts or outside parts; a call's timeline also as a picture."""
    hidden = tuple(secrets)
    body: list[str] = []
    fenced = listed = tabled = False
    for line in markdown(diagnosis, token, hidden).splitlines():
        if line == "| at | where | what |" and diagnosis.call is not None:
            body.append(redacted(lanes(diagnosis.call), token, hidden))
        if listed and not line.startswith("- "):
            body.append("</ul>")
            listed = False
        if tabled and not line.startswith("|"):
            body.append("</table>")
            tabled = False
        if line == "```":
            fenced = not fenced
            body.append("<pre>" if fenced else "</pre>")
        elif fenced:
            body.append(html.escape(line))
        elif line.startswith("#"):
            level = len(line) - len(line.lstrip("#"))
            body.append(f"<h{level}>{_inline(line.lstrip('# '))}</h{level}>")
        elif line.startswith("- "):
            if not listed:
                body.append("<ul>")
                listed = True
            body.append(f"<li>{_inline(line[2:])}</li>")
        elif line.startswith("|---"):
            continue
        elif line.startswith("|"):
            if not tabled:
                body.append("<table>")
                tabled = True
            body.append(
                "<tr>" + "".join(f"<td>{_inline(cell.strip())}</td>" for cell in line.strip("|").split("|")) + "</tr>"
            )
        elif line:
            body.append(f"<p>{_inline(line)}</p>")
    if listed:
        body.append("</ul>")
    content = "\n".join(body)
    head = f'<meta charset="utf-8"><title>callpath doctor</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en">{head}{content}</html>\n'


_LANES = ("Telnyx", "server", "socket", "handler", "doctor")
_LANE_X, _LANE_WIDTH, _ROW_Y, _TEXT_X = 70, 66, 20, 420
_COLOURS_OF_LANE = {
    "Telnyx": "#00a37a",
    "server": "#3b5bdb",
    "socket": "#9c36b5",
    "handler": "#e8590c",
    "doctor": "#868e96",
}
LONG_GAP_MS = 2_000


def lanes(call: CallSeen) -> str:
    """The timeline as an SVG: a column for each party, time downwards, and the stage that was not reached in red."""
    drawn: list[str] = []
    y = 44

    def text(x: int, words: str, style: str = "", anchor: str = "start") -> None:
        drawn.append(f'<text x="{x}" y="{y + 4}" text-anchor="{anchor}" {style}>{html.escape(words)}</text>')

    last: int | None = None
    for line in _rows(call):
        if last is not None and line.at_unix_ms - last >= LONG_GAP_MS:
            text(_TEXT_X, f"… {(line.at_unix_ms - last) / 1000:.1f} s …", 'fill="#868e96"')
            y += _ROW_Y
        last = line.at_unix_ms
        x = _LANE_X + 40 + _LANE_WIDTH * _LANES.index(line.lane)
        text(_LANE_X, _seconds(line.at_unix_ms, call.began_unix_ms), 'fill="#495057"', "end")
        drawn.append(f'<circle cx="{x}" cy="{y}" r="5" fill="{_COLOURS_OF_LANE[line.lane]}"/>')
        drawn.append(f'<line x1="{x + 6}" y1="{y}" x2="{_TEXT_X - 6}" y2="{y}" stroke="#dee2e6"/>')
        text(_TEXT_X, line.text if len(line.text) <= 78 else line.text[:77] + "…")
        y += _ROW_Y
    if call.missing is not None:
        lane = "Telnyx" if call.missing.name in {"webhook", "answered"} else "socket"
        x = _LANE_X + 40 + _LANE_WIDTH * _LANES.index(lane)
        drawn.append(f'<circle cx="{x}" cy="{y}" r="6" fill="none" stroke="#c92a2a" stroke-dasharray="3 2"/>')
        text(_TEXT_X, f"not reached: {call.missing.label}", 'fill="#c92a2a" font-weight="bold"')
        y += _ROW_Y
    height = y + 10
    heads = []
    for number, lane in enumerate(_LANES):
        x = _LANE_X + 40 + _LANE_WIDTH * number
        heads.append(f'<line x1="{x}" y1="28" x2="{x}" y2="{height - 8}" stroke="#ced4da"/>')
        heads.append(f'<text x="{x}" y="18" text-anchor="middle" font-weight="bold">{lane}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 940 {height}" width="100%" role="img" '
        f'font-family="system-ui" font-size="12"><title>The call, from top to bottom</title>{"".join(heads + drawn)}</svg>'
    )


def _inline(text: str) -> str:
    escaped = html.escape(text)
    escaped = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escaped)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", escaped)


# --- what a code means -----------------------------------------------------------------------------------------------


def explained(cause: Cause, asked: str = "") -> str:
    """One cause as a page of Markdown: for `callpath doctor explain` and the reference."""
    lines = [f"# {cause.code} {cause.slug}", "", f"**{cause.title}**", ""]
    if asked.upper() in cause.old_codes:
        lines += [f"{asked.upper()} is now part of {cause.code}.", ""]
    lines += [
        f"Layer: {cause.layer}. Owner: {cause.owner}.", "", "## Why", "", cause.why, "",
        "## Fix", "", "```", cause.fix, "```", "",
    ]  # fmt: skip
    for name, words in cause.fixes.items():
        lines.append(f"- {name}: {words}")
    if cause.fixes:
        lines.append("")
    for sign in cause.signs:
        own = [f"**{sign.title}**. " if sign.title else "", f"{sign.why} " if sign.why else ""]
        own += [f"Fix: {sign.fix}" if sign.fix else "", *(f" {name}: {words}" for name, words in sign.fixes.items())]
        if any(own):
            lines += [
                f"## Seen in {_SOURCES[sign.source]}",
                "",
                "".join(own),
                "",
            ]
    examples = [example for sign in cause.signs for example in sign.examples]
    if examples:
        lines += ["## When it is named, and when not", "", "| evidence | result |", "|---|---|"]
        words_of = {True: "named", False: "not named", None: "not checked"}
        rows = dict.fromkeys(f"| {example.title} | {words_of[example.fires]} |" for example in examples)
        lines += [*rows, ""]
    deeper = precedence.explained_by(cause)
    if deeper:
        lines += [f"Explained by, where one of these is found too: {', '.join(deeper)}.", ""]
    if cause.old_codes:
        lines += [f"Also known as: {', '.join(cause.old_codes)}.", ""]
    return "\n".join(lines)


_SOURCES = {
    "url": "a live probe",
    "call": "a past call",
    "edge": "the platform's edge log",
    "account": "the account",
    "files": "the project's files",
}


def cause_pages(causes: Iterable[Cause]) -> dict[str, str]:
    """File name to text: a page for each cause, and an index of them."""
    known = tuple(causes)
    index = ["# Causes", "", "| code | cause | title | layer | owner |", "|---|---|---|---|---|"]
    index += [
        f"| [{cause.code}]({cause.code}.md) | {cause.slug} | {cause.title} | {cause.layer} | {cause.owner} |"
        for cause in known
    ]
    return {"index.md": "\n".join(index) + "\n"} | {f"{cause.code}.md": explained(cause) for cause in known}
