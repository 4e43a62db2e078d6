"""One line on its way through the passes: unwrap fills in what the platform said, parse what the application said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from callpath.doctor.facts import EdgeRow
from callpath.doctor.logs.times import Stamp
from callpath.wire.document import decode_foreign

TEXT_CHARS_MAX = 8192
"""The part of one record's text that is read: the rest is a dump of audio or of a page."""


@dataclass(slots=True, kw_only=True)
class Record:
    """One line. `platform` is the outer time stamp (when the platform took the line in), `own` one that the application
    wrote itself. `source` is the instance, pod, dyno or container, `process` the process within it (its pid).

    `document` holds structured content that parse has not read yet. `edge` is set for a request that an edge, a proxy or
    the server's own access log wrote; `ours` for a line of callpath's own JSON log. `skipped` names what the line is
    where it can say nothing about a call. `continues`: the platform cut the line here, and the next one goes on with it.
    """

    file: str
    number: int
    text: str = ""
    format: str = "text"
    own: Stamp | None = None
    platform: Stamp | None = None
    source: str = ""
    process: str = ""
    level: str = ""
    logger: str = ""
    deployment: str = ""
    document: dict[str, Any] | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    edge: EdgeRow | None = None
    edge_platform: str = ""
    served: bool = False
    """The row is the application's own access line: it shows what reached the application, and nothing of the way."""

    ours: dict[str, Any] | None = None
    skipped: str = ""
    continues: bool = False


def decoded(text: str) -> dict[str, Any] | None:
    """The JSON object in `text`; None where it is none."""
    try:
        document = msgspec.json.decode(text)
    except (ValueError, RecursionError, UnicodeError):
        try:
            document = decode_foreign(text)
        except ValueError:
            return None
    return document if isinstance(document, dict) else None


def text_of(document: dict[str, Any], *keys: str) -> str:
    """The first of `keys` that is there, as text."""
    for key in keys:
        value = document.get(key)
        if value is not None and not isinstance(value, dict | list):
            return str(value)[:2000]
    return ""


def number_of(value: Any) -> float | None:
    """A number, or one in a text with a unit of time behind it, in the unit of the text (`12ms`, `0.3s`)."""
    if isinstance(value, str):
        try:
            value = float(value.strip().removesuffix("ms").removesuffix("s"))
        except ValueError:
            return None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
        return float(value)
    return None
