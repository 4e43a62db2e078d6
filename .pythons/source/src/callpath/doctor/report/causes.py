"""What a code means: a page for each cause."""

from __future__ import annotations

from collections.abc import Iterable

from callpath.doctor import precedence
from callpath.doctor.rule import Cause


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
