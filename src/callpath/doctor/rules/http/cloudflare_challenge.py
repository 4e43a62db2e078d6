"""AUTH003: Cloudflare challenges what is not a browser."""

import re

from callpath.doctor.answers import refused, show
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 403, 429, 503)
    if carrier is None:
        return None
    cloudflare = carrier.has("server", "cloudflare") or carrier.has("cf-ray")
    challenged = "challenge" in (carrier.header("cf-mitigated") or "")
    if challenged or (cloudflare and re.search(r"<title>(Just a moment|Attention Required)", carrier.text)):
        return Finding("Cloudflare answers with a challenge that only a browser can solve", (show(carrier),))
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="AUTH003",
    slug="cloudflare-challenge-403",
    title="Cloudflare challenges the carrier",
    owner="you",
    why="Bot Fight Mode, Under Attack mode or a WAF rule asks every client to prove that it is a browser. A carrier "
    "cannot; a desk test from a browser passes.",
    fix="Add a WAF rule that skips the stream's and the webhook's path; Bot Fight Mode cannot be skipped on free "
    "plans: switch it off, or make the record DNS-only.",
    named={"a challenge": upgrade(answer(403, "Just a moment...", cf_mitigated="challenge", Server="cloudflare"))},
    quiet={"the application's 403": upgrade(answer(403, Server="cloudflare"))},
)
