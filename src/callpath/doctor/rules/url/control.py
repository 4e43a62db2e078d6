"""URL002: characters that do not belong into a URL came along."""

import re

from callpath.doctor.facts import Facts, UrlFacts
from callpath.doctor.rule import IN_THE_URL, Cause, Finding
from callpath.doctor.rules.sample import url

_STRAY = re.compile(
    r"[\x00-\x20\x7f\u00a0\u200b-\u200f\u2028\u2029\u2060\ufeff\"`<>\\]|^'|'$|%0[aAdD9]|%00|%E2%80%8[BbCcDd]"
)


def check(facts: Facts) -> Finding | None:
    given = facts[UrlFacts]
    found = [match.group() for match in _STRAY.finditer(given.raw)]
    if not found:
        return None
    shown = ", ".join(dict.fromkeys(repr(character) for character in found))
    return Finding(f"the URL contains {shown}", (f"as given: {given.raw[:120]!r}",), certain=IN_THE_URL)


CAUSE = Cause.of(
    "url",
    check,
    code="URL002",
    slug="url-whitespace-or-control",
    title="The URL carries whitespace, quotes or control characters",
    owner="you",
    why="A newline, space or quote from an environment variable or a copied line has become part of the URL: the host "
    "does not resolve, the path matches nothing, or the command is refused as an invalid URL.",
    fix="Trim the value where it is read, and refuse control characters: url = value.strip().strip('\"')",
    named={"a newline from an environment file": Facts(url("wss://voice.example.com/x\n"))},
    quiet={"a clean URL": Facts(url())},
)
