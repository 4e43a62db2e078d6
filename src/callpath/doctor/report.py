"""The diagnosis for people: on a terminal at 2 a.m., and as a file that is safe to share."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Iterable, Iterator

from callpath.doctor.rule import Rule
from callpath.doctor.verdict import Diagnosis, Found, Step

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


def terminal(diagnosis: Diagnosis, *, colour: bool, verbose: bool = False) -> str:
    """The report below the steps, 80 columns wide."""
    return "\n".join(_terminal(diagnosis, colour, verbose)) + "\n"


def _terminal(diagnosis: Diagnosis, colour: bool, verbose: bool) -> Iterator[str]:
    def bold(text: str) -> str:
        return f"\x1b[1m{text}\x1b[0m" if colour else text

    yield ""
    verdict = diagnosis.verdict
    if verdict is None:
        if diagnosis.healthy:
            yield bold("Healthy: a call's audio would work here.")
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
    if diagnosis.platform:
        yield from _wrapped("Seen on the way: " + ", ".join(t.name for t in diagnosis.platform), "")
    if verbose:
        yield from _lists(diagnosis)
    elif verdict is not None:
        yield "-v shows all evidence, what was ruled out and what was not checked."


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
    yield "Ruled out:"
    for rule, evidence in diagnosis.ruled_out:
        yield from _wrapped(f"{rule.code} {rule.slug} ({evidence})", "  ", hanging="      ")
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
    (re.compile(r"\bv3:[\w+/=%-]{20,}"), "v3:[call]"),
)


def redacted(text: str, token: str | None = None) -> str:
    """`text` without tokens, secrets, phone numbers and call ids."""
    if token:
        text = text.replace(token, "[hidden token]")
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def markdown(diagnosis: Diagnosis, token: str | None = None) -> str:
    """The whole report, safe to paste into a ticket."""
    verdict = diagnosis.verdict
    lines = [f"# callpath doctor: {diagnosis.url}", ""]
    if verdict is None:
        lines += ["**Healthy.**" if diagnosis.healthy else "**Not decided.**", ""]
    else:
        finding, rule = verdict.finding, verdict.rule
        title = finding.title or rule.title if diagnosis.decided else "Not decided"
        lines += [f"**{title}** ({rule.code}, {rule.slug}; layer {rule.layer}; owner: {verdict.owner}; confidence "
                  f"{finding.confidence})", "", finding.summary, "", f"Why: {rule.why}", ""]  # fmt: skip
        if finding.question:
            lines += [f"What would decide it: {finding.question}", ""]
        else:
            lines += ["Fix:", "", "```", finding.fix or rule.fix, "```", ""]
        lines += ["## Evidence", "", *(f"- `{line}`" for line in finding.evidence), ""]
        others = [found for found in diagnosis.findings if found is not verdict]
        if others:
            lines += ["## Other findings", ""]
            lines += [f"- {found.rule.code} {found.rule.slug}: {found.finding.summary}" for found in others] + [""]
    lines += ["## Steps", "", "| step | status | ms | detail |", "|---|---|---|---|"]
    lines += [
        f"| {s.name} | {s.status} | {s.duration_ms:.0f} | {s.detail.replace('|', '/')} |" for s in diagnosis.steps
    ]
    lines += ["", "## The three usual suspects", ""]
    lines += [f"- {suspect.name}? {suspect.words}" for suspect in diagnosis.suspects]
    for title, entries in (
        ("Proven", diagnosis.proven),
        ("Not proven", diagnosis.unproven),
        ("Notes", tuple(note.finding.summary for note in diagnosis.notes)),
        ("Ruled out", tuple(f"{rule.code} {rule.slug} ({evidence})" for rule, evidence in diagnosis.ruled_out)),
        ("Not checked", tuple(f"{i.rule.code} {i.rule.slug}: {i.reason}; {i.how}" for i in diagnosis.not_checked)),
    ):
        if entries:
            lines += ["", f"## {title}", "", *(f"- {entry}" for entry in entries)]
    return redacted("\n".join(lines) + "\n", token)


_STYLE = (
    "body{font:16px/1.5 system-ui;max-width:52rem;margin:2rem auto;padding:0 1rem}"
    "pre,code{background:#f3f3f3;padding:.1em .3em;white-space:pre-wrap}"
    "td{border-top:1px solid #ddd;padding:.2em .6em;vertical-align:top}"
)


def html_page(diagnosis: Diagnosis, token: str | None = None) -> str:
    """The same as one page without scripts or outside parts."""
    body: list[str] = []
    fenced = listed = tabled = False
    for line in markdown(diagnosis, token).splitlines():
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


def _inline(text: str) -> str:
    escaped = html.escape(text)
    escaped = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escaped)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", escaped)


# --- what a code means -----------------------------------------------------------------------------------------------


def explained(rule: Rule) -> str:
    """One cause as a page of Markdown: for `callpath doctor explain` and the reference."""
    lines = [
        f"# {rule.code} {rule.slug}", "", f"**{rule.title}**", "", f"Layer: {rule.layer}. Owner: {rule.owner}.", "",
        "## Why", "", rule.why, "", "## Fix", "", "```", rule.fix, "```", "",
    ]  # fmt: skip
    for platform, words in rule.fixes.items():
        lines.append(f"- {platform}: {words}")
    if rule.fixes:
        lines.append("")
    if rule.examples:
        lines += ["## When it is named, and when not", "", "| evidence | result |", "|---|---|"]
        words_of = {True: "named", False: "not named", None: "not checked"}
        lines += [f"| {example.title} | {words_of[example.fires]} |" for example in rule.examples] + [""]
    if rule.masked_by:
        lines += [f"Explained by, where one of these is found too: {', '.join(rule.masked_by)}.", ""]
    return "\n".join(lines)


def cause_pages(rules: Iterable[Rule]) -> dict[str, str]:
    """File name to text: a page for each rule, and an index of them."""
    known = tuple(rules)
    index = ["# Causes", "", "| code | cause | title | layer | owner |", "|---|---|---|---|---|"]
    index += [
        f"| [{rule.code}]({rule.code}.md) | {rule.slug} | {rule.title} | {rule.layer} | {rule.owner} |"
        for rule in known
    ]
    return {"index.md": "\n".join(index) + "\n"} | {f"{rule.code}.md": explained(rule) for rule in known}
