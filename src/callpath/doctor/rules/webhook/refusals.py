"""Webhooks that this server refused: one cause a reason."""

from callpath.doctor.calls import turned_away_webhooks
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import call, refusals


def clock(facts: Facts) -> Finding | None:
    rows = turned_away_webhooks(facts, "stale")
    if not rows:
        return None
    return Finding(
        f"{len(rows)} of the latest webhooks were refused as too old or from the future: {rows[0].detail}",
        tuple(row.detail for row in rows[:4]),
    )


def body(facts: Facts) -> Finding | None:
    rows = turned_away_webhooks(facts, "not_json", "wrong_shape", "too_large", "too_slow")
    if not rows:
        return None
    return Finding(
        f"{len(rows)} of the latest webhooks were refused, their body could not be used: {rows[0].detail}",
        tuple(f"{row.reason} from {row.client or 'unknown'}: {row.detail}" for row in rows[:4]),
    )


CAUSES = (
    Cause.of(
        "call",
        clock,
        code="CALL002",
        slug="webhook-clock-skew",
        title="Webhooks come and are refused: this machine's clock is wrong",
        owner="you",
        why="A signed webhook holds for 300 s in both directions, so that nobody can replay it. A machine whose clock "
        "is off by more refuses every one of them. (A queue in front that delivers minutes late looks the same.)",
        fix="Set the clock: enable NTP (timedatectl set-ntp true), restart a suspended virtual machine or container "
        "host.",
        named={"the clock is 400 s late": Facts(call(), refusals("stale"))},
        quiet={"another reason": Facts(call(), refusals("bad_signature"))},
    ),
    Cause.of(
        "call",
        body,
        code="CALL004",
        slug="webhook-body-unparsed",
        title="Webhooks come and are refused: the body is no event of a call",
        owner="you",
        why="The signature fits, so Telnyx sent it, but it is no call event of API version 2: a TeXML callback "
        "(form-encoded), a messaging webhook, or a body that was cut off on its way.",
        fix="Let only the Call Control application point to /api/calls/webhook; messaging and TeXML need URLs of "
        "their own. For too_slow and too_large look at the proxy in front.",
        named={"a form": Facts(call(), refusals("not_json"))},
        quiet={"another reason": Facts(call(), refusals("stale"))},
    ),
)
