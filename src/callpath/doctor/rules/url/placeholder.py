"""URL005: a part of the URL was never filled in."""

import re
from urllib.parse import unquote

from callpath.doctor.facts import Facts, UrlFacts
from callpath.doctor.rule import IN_THE_URL, Cause, Finding
from callpath.doctor.rules.sample import url

_LEFT = re.compile(
    r"\$?\{\{?[\w.\s-]*\}?\}|\$[A-Z_]{2,}|(?<=[/=.])(undefined|null|None|NaN)(?=[/?&.:]|$)"
    r"|(?<=//)(undefined|null|None)\b"
    r"|\[object Object\]|<[a-z_ -]+>|(?<=/):[A-Za-z_]\w*|%\((\w+)\)s|\b(YOUR|your)[-_](domain|host|app|server|url)\b"
    r"|(?<=[/=.])%[sd](?=[/?&]|$)"
)


def check(facts: Facts) -> Finding | None:
    given = facts[UrlFacts]
    found = _LEFT.search(unquote(given.raw))
    if found is None:
        return None
    summary = f"{found.group()!r} in the URL was never replaced by a value"
    return Finding(summary, (f"as given: {given.raw[:120]!r}",), certain=IN_THE_URL)


CAUSE = Cause.of(
    "url",
    check,
    code="URL005",
    slug="url-placeholder-unreplaced",
    title="A placeholder is left in the URL",
    owner="you",
    why="A template was sent as it is, or a variable was empty when the URL was built, so that the carrier asks for a "
    "host or a call that does not exist.",
    fix="Build the URL after all its parts are known, and fail loudly when one of them is missing: "
    'os.environ["PUBLIC_URL"], not os.environ.get.',
    named={
        "a template": Facts(url("wss://voice.example.com/api/calls/{call_session_id}/audio")),
        "an unset variable": Facts(url("wss://voice.example.com/api/calls/undefined/audio")),
    },
    quiet={"a real id": Facts(url())},
)
