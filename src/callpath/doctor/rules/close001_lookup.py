"""CLOSE001: the stream opens, and the application does not know the call."""

from __future__ import annotations

import re

from callpath.doctor.closings import early, show_ending
from callpath.doctor.facts import Facts, UrlFacts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import ended, media, nothing

_WORDS = re.compile(r"session|call|not found|unknown|no such|stream|\bid\b|expired", re.IGNORECASE)


def check(facts: Facts) -> Finding | None:
    ending = early(facts)
    if ending is None or ending.kind != "close-frame" or ending.code is None:
        return None
    spoken = bool(_WORDS.search(ending.reason))
    looks_up = ending.code in {4004, 4040, 4041, 4044, 4400, 4404} or (
        ending.code == 1008 and (spoken or not ending.reason)
    )
    if not looks_up and not (4000 <= ending.code <= 4999 and spoken):
        return None
    query = facts[UrlFacts].query
    named = (spoken or ending.code >= 4000) and not query
    other = "url-query-string-lost" if query else "ws-auth-required-401"
    return Finding(
        f"the application was reached, accepted, and closed with {show_ending(ending)}: it does not know this call",
        (f"path asked for: {facts[UrlFacts].path}", show_ending(ending)),
        kind="limited" if named else "open",
        confidence="medium" if spoken else "low",
        candidates=("session-lookup-fails",) if named else ("session-lookup-fails", other),
        question="Does it also close for the id of a call that is running now? A made-up id is rightly refused. Run again "
        "with "
        "the stream_url of a real call while it is up; if that closes too, the handler looks ids up in another id space.",
    )


RULE = Rule(
    code="CLOSE001",
    slug="session-lookup-fails",
    title="The application does not know the call of this URL",
    layer="routing",
    owner="you",
    why="The handler looks the id up and finds nothing: it stores another of the ids (call_control_id, call_session_id, "
    "its own), stores it too late, or the id in this URL is simply not a running call.",
    fix="Use one id for both sides, store it before streaming_start is sent, and log the id that was looked up.",
    masked_by=("URL003", "DEPLOY001", "DEPLOY003", "AUTH006"),
    check=check,
    examples=(
        Example("unknown session", media(ending=ended(code=1008, reason="unknown session")), fires=True),
        Example("a crash", media(ending=ended(code=1011)), fires=False),
        Example("no stream was opened", nothing(), fires=None),
    ),
)
