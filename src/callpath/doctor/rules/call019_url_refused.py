"""CALL019: Telnyx refused the stream URL as no URL."""

from __future__ import annotations

from callpath.doctor.calls import asked, needed_refusal, refused_by, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERED, a_call, answered, asking


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    found = needed_refusal(known, lambda what: what.error_code == "10003")
    if found is None:
        return None
    entry, what = found
    request = asked(known)
    url = request.url if request is not None else ""
    return Finding(
        f"Telnyx refused the URL in {what.command} ({refused_by(what)})"
        + (f": {url[:120]!r}, {len(url)} characters" if url else ""),
        show_entries(known, entry),
        title="The stream URL is longer than Telnyx takes (2000 characters)" if len(url) > 2000 else "",
    )


RULE = Rule(
    code="CALL019",
    slug="url-malformed",
    title="Telnyx does not take the stream URL for a URL",
    layer="url",
    owner="you",
    why="It has no wss:// in front, no host, a blank or line end in it, or more than 2000 characters.",
    fix="wss://HOST/api/calls/{call_session_id}/audio, at most 2000 characters, without blanks; build it from PUBLIC_URL.",
    check=check,
    examples=(
        Example(
            "https",
            a_call(ANSWERED, asking("https://calls.example.com/x"), answered("streaming_start", 422, "10003")),
            fires=True,
        ),
        Example("accepted", a_call(ACCEPTED), fires=False),
        Example("no call is known", nothing(), fires=None),
    ),
)
