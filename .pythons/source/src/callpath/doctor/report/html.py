"""The report as one page, with the call drawn from top to bottom."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from callpath.doctor.report.markdown import _rows, markdown
from callpath.doctor.report.redact import redacted
from callpath.doctor.report.terminal import _seconds
from callpath.doctor.verdict import CallSeen, Diagnosis

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


_LANE_X = 70


_LANE_WIDTH = 66


_ROW_Y = 20


_TEXT_X = 420


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
