"""The diagnosis for people: on a terminal, and as a file that is safe to share.

terminal.py  The diagnosis on a terminal at 2 a.m.
redact.py    What is hidden before a report is shared, and what a terminal must not be told.
markdown.py  The report as Markdown, safe to share.
html.py      The report as one page, with the call drawn from top to bottom.
document.py  The JSON document.
causes.py    What a code means: a page for each cause.
suspects.py  The three that are always accused; what was proven and what was not.
"""

from __future__ import annotations

from callpath.doctor.report.causes import cause_pages, explained, explained_plain
from callpath.doctor.report.document import document
from callpath.doctor.report.html import LONG_GAP_MS, html_page, lanes
from callpath.doctor.report.markdown import ROWS_MAX, markdown
from callpath.doctor.report.redact import printable, redacted
from callpath.doctor.report.terminal import WIDTH, one_line, step_line, terminal

__all__ = [
    "LONG_GAP_MS",
    "ROWS_MAX",
    "WIDTH",
    "cause_pages",
    "document",
    "explained",
    "explained_plain",
    "html_page",
    "lanes",
    "markdown",
    "one_line",
    "printable",
    "redacted",
    "step_line",
    "terminal",
]
