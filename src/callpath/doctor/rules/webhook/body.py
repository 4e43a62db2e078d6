"""CALL004: webhooks came whose body is no event of a call."""

from callpath.doctor.calls import turned_away_webhooks
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import call, refusals


def check(facts: Facts) -> Finding | None:
    rows = turned_away_webhooks(facts, "not_json", "wrong_shape", "too_large", "too_slow")
    if not rows:
        return None
    return Finding(
        f"{len(rows)} of the latest webhooks were refused, their body could not be used: {rows[0].detail}",
        tuple(f"{row.reason} from {row.client or 'unknown'}: {row.detail}" for row in rows[:4]),
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL004",
    slug="webhook-body-unparsed",
    title="Webhooks come and are refused: the body is no event of a call",
    owner="you",
    why="The signature fits, so Telnyx sent it, but it is no call event of API version 2: a TeXML callback "
    "(form-encoded), a messaging webhook, or a body that was cut off on its way.",
    fix="Let only the Call Control application point to /api/calls/webhook; messaging and TeXML need URLs of their "
    "own. For too_slow and too_large look at the proxy in front.",
    named={"a form": Facts(call(), refusals("not_json"))},
    quiet={"another reason": Facts(call(), refusals("stale"))},
)
