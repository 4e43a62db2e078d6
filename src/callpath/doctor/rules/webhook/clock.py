"""CALL002: webhooks came with a right signature and a time that this machine's clock does not believe."""

from callpath.doctor.calls import turned_away_webhooks
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_call import call, refusals


def check(facts: Facts) -> Finding | None:
    rows = turned_away_webhooks(facts, "stale")
    if not rows:
        return None
    return Finding(
        f"{len(rows)} of the latest webhooks were refused as too old or from the future: {rows[0].detail}",
        tuple(row.detail for row in rows[:4]),
    )


CAUSE = Cause.of(
    "call",
    check,
    code="CALL002",
    slug="webhook-clock-skew",
    title="Webhooks come and are refused: this machine's clock is wrong",
    owner="you",
    why="A signed webhook holds for 300 s in both directions, so that nobody can replay it. A machine whose clock is "
    "off by more refuses every one of them. (A queue in front that delivers minutes late looks the same.)",
    fix="Set the clock: enable NTP (timedatectl set-ntp true), restart a suspended virtual machine or container host.",
    named={"the clock is 400 s late": Facts(call(), refusals("stale"))},
    quiet={"another reason": Facts(call(), refusals("bad_signature"))},
)
