"""HTTP009: the platform knows no application for this host."""

import re

from callpath.doctor.answers import any_variant_works, edge_refusal, refused, show, words_of
from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.platform import author
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade

_NO_APP = re.compile(
    r"application not found|no such app|there is no app|no-such-app|ERR_NGROK_(3200|6022|3004)"
    r"|deployment_not_found|not found on this server"
    r"|site not found|no application|project not found",
    re.IGNORECASE,
)


def check(facts: Facts) -> Finding | None:
    row = edge_refusal(facts, "no-app")
    if row is not None:
        return Finding(f"{row.edge}: {row.summary}", (show(facts[UpgradeFacts].carrier),), fix=row.fix)
    carrier = refused(facts, 404)
    if carrier is None or any_variant_works(facts):
        return None
    who = author(carrier)
    routing = carrier.header("x-render-routing") or carrier.header("x-vercel-error") or ""
    if who.kind != "edge" and not routing:
        return None
    if not (
        carrier.has("x-railway-fallback")
        or _NO_APP.search(words_of(carrier))
        or "no-server" in routing
        or "NOT_FOUND" in routing
    ):
        return None
    return Finding(f"{who.name or 'the platform'} has no application behind this host", (show(carrier),))


CAUSE = Cause.of(
    "url",
    check,
    code="HTTP009",
    slug="edge-app-not-found",
    title="The platform has no application for this host",
    owner="you",
    why="No deployment stands behind the domain: it was removed, renamed or not attached (at Railway the TXT record "
    "may be missing), the tunnel ended, or the service sleeps.",
    fix="Attach the domain to the service and deploy it; at Railway add the CNAME and the TXT record (dig +short HOST "
    "CNAME shows it). If it only slept, the next try works.",
    named={
        "Railway's 404": upgrade(
            answer(404, '{"status":"error","code":404,"message":"Application not found"}', x_railway_fallback="true")
        ),
        "a web app of Azure's that is stopped": upgrade(answer(403, "<h1>Error 403 - This web app is stopped.</h1>")),
    },
    quiet={"the application's 404": upgrade(answer(404, "no such call"))},
)
