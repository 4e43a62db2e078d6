"""WS008: the server wants a subprotocol that carriers do not offer."""

import re

from callpath.doctor.answers import refused, show, words_of
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 400, 403, 406, 426)
    if carrier is None or not re.search(r"sub-?protocol|Sec-WebSocket-Protocol", words_of(carrier), re.IGNORECASE):
        return None
    return Finding("the refusal speaks of a subprotocol", (show(carrier),))


CAUSE = Cause.of(
    "url",
    check,
    code="WS008",
    slug="ws-subprotocol-required",
    title="The server requires a subprotocol",
    owner="you",
    why="A carrier is not known to offer any Sec-WebSocket-Protocol; a server that insists on one refuses every call.",
    fix="Accept a handshake without subprotocol on this path.",
    named={"missing": upgrade(answer(400, "missing subprotocol; expected one of: audio"))},
    quiet={"another 400": upgrade(answer(400))},
)
