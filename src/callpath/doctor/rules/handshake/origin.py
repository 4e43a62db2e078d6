"""WS001: the upgrade needs an Origin."""

import re

from callpath.doctor.answers import refused, show, words_of, works
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts)
    if carrier is None or works(facts, "again", "browser-agent"):
        return None
    better = works(facts, "origin", "browser")
    if better is not None:
        return Finding(
            "without Origin the upgrade is refused, with the site's own Origin it works" if better.shape == "origin"
            else "a browser's upgrade works, the carrier's does not",
            (show(carrier), show(better)),
        )  # fmt: skip
    if (
        carrier.outcome == "answer"
        and carrier.status in {400, 401, 403}
        and re.search(
            r"\b(missing|invalid|bad|forbidden|unknown|disallowed|no|not allowed|not permitted|rejected|denied|check)\b"
            r"[^.<>\n]{0,24}\borigin\b|\borigin\b[^.<>\n]{0,40}\b(missing|invalid|not allowed|not permitted|forbidden|"
            r"rejected|denied|required|mismatch)",
            words_of(carrier),
            re.IGNORECASE,
        )
    ):
        return Finding("the refusal speaks of the Origin", (show(carrier),), confidence="medium")
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="WS001",
    slug="ws-origin-check-403",
    title="The server insists on an Origin header",
    owner="you",
    why="Browsers send Origin, carriers do not. An allowlist that does not admit its absence works in every browser "
    "test and refuses every call.",
    fix="Admit a missing Origin on this path: websockets origins=[..., None]; ws verifyClient: if (!origin) return "
    "true; Django: leave AllowedHostsOriginValidator off this route; nginx: no `if ($http_origin ...)` there.",
    named={
        "works with Origin": upgrade(answer(403), answer(101, shape="origin")),
        "says so": upgrade(answer(403, "Failed to open a WebSocket connection: missing Origin header.")),
    },
    quiet={"another 403": upgrade(answer(403))},
)
