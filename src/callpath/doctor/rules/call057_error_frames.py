"""CALL057: Telnyx said on the socket that it could not use what we sent."""

from __future__ import annotations

from callpath.doctor.calls import every, never, show_entries
from callpath.doctor.facts import CallFacts, Facts
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import nothing
from callpath.doctor.rules.sample_call import BOTH_WAYS, GOOD, a_call
from callpath.timeline import StreamErrored

_MEANING = {
    100003: ("it could not read the frames", 'Send {"event":"media","media":{"payload":"<base64>"}} as text, and only '
             "media, mark and clear."),
    100004: ("the payload was not base64", "Encode with the standard alphabet, no data: prefix, no line ends."),
    100005: ("too many messages came", "In mp3 mode one media message a second is allowed: use rtp mode."),
}  # fmt: skip


def check(facts: Facts) -> Finding | None:
    known = facts[CallFacts]
    errors = [e.what for e in every(known, StreamErrored) if isinstance(e.what, StreamErrored)]
    if not errors:
        never(known, StreamErrored)
        return None
    worst = errors[0]
    words, fix = _MEANING.get(worst.code, ("it could not use them", ""))
    return Finding(
        f"Telnyx reported {worst.code} {worst.title} on the socket: {words}",
        show_entries(known, *every(known, StreamErrored)[:4]),
        fix=fix,
    )


RULE = Rule(
    code="CALL057",
    slug="outbound-envelope-wrong",
    title="Telnyx could not use frames that we sent",
    layer="protocol",
    owner="you",
    why="Telnyx answers frames that it cannot use with an error frame on the socket, and plays nothing of them.",
    fix="Send frames as Telnyx's media streaming page shows them. callpath's own play() does.",
    check=check,
    examples=(
        Example("malformed", a_call(BOTH_WAYS, StreamErrored(code=100003, title="malformed_frame")), fires=True),
        Example("a call that worked", a_call(GOOD), fires=False),
        Example("no call is known", nothing(), fires=None),
    ),
)
