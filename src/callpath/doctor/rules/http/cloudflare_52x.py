"""HTTP011: Cloudflare cannot get through to the origin."""

from callpath.doctor.answers import refused, show
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade

_WORDS = {
    520: "the origin answered with something that is not HTTP",
    521: "the origin refuses connections",
    522: "the origin does not take connections in time",
    523: "the origin cannot be reached",
    524: "the origin did not answer in time",
    525: "the TLS handshake with the origin fails",
    526: "the origin's certificate is not valid (mode Full (strict))",
    530: "the origin's name cannot be resolved, or the tunnel is down",
}


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, *_WORDS)
    if carrier is None:
        return None
    fix = ""
    if carrier.status in {525, 526}:
        fix = (
            "Set the zone's SSL mode to Full (Railway and similar hosts renew certificates that Full (strict) refuses), "
            "or mend the origin's certificate."
        )
    if carrier.status == 530 and "1033" in carrier.text:
        fix = "The tunnel is not running. Start it: cloudflared tunnel run NAME (its state: cloudflared tunnel info NAME)."
    return Finding(f"{carrier.status}: {_WORDS[carrier.status]}", (show(carrier),), fix=fix)


CAUSE = Cause.of(
    "url",
    check,
    code="HTTP011",
    slug="cloudflare-52x-origin",
    title="Cloudflare cannot reach the origin",
    owner="you",
    why="The request came to Cloudflare and got stuck between it and the server.",
    fix="By the code: start the origin, open its firewall for Cloudflare's ranges, correct the DNS target or the SSL mode.",
    named={"origin refuses": upgrade(answer(521, "error code: 521", Server="cloudflare"))},
    quiet={"502": upgrade(answer(502))},
)
