"""HTTP001: the upgrade request reaches the application as a plain GET."""

import re

from callpath.doctor.answers import (
    any_variant_works,
    between,
    lower_cased,
    refused,
    show,
    upgrade_ignored,
    upgrade_missed,
)
from callpath.doctor.calls import no_socket, refused_upgrade
from callpath.doctor.facts import CallFacts, Facts, RefusalFacts, UpgradeFacts
from callpath.doctor.platform import author, is_node_ws, recognise
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample import NGINX_404, answer, failed, upgrade
from callpath.doctor.rules.sample_call import ACCEPTED, SESSION, call, refusals

_ASGI = {"uvicorn", "Hypercorn", "Daphne", "FastAPI"}

NEVER_STRIP = {
    "Railway",
    "Render",
    "Fly",
    "Heroku",
    "Cloud Run",
    "ngrok",
    "ALB",
    "AWS",
    "Cloudflare",
    "DigitalOcean",
    "Koyeb",
}
"""Edges that pass an upgrade on with nothing to switch on: an HTTP handler that answers there is the application's."""

_NEEDS_CONFIGURATION = {"nginx", "Apache", "ingress-nginx"}
"""Proxies that pass an upgrade only when told to; Caddy, HAProxy and Traefik do it by themselves."""

NEVER_STRIP = {"Railway", "Render", "Fly", "Heroku", "ngrok", "Cloud Run", "ALB", "AWS", "Cloudflare"}
"""Edges that pass every upgrade on; behind these alone an answer of the application is its own doing."""

_FIXES = {
    "nginx": "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
    'proxy_set_header Connection "upgrade";  (in the location that has proxy_pass)',
    "Apache": "ProxyPass /path http://app:port/path upgrade=websocket  (2.4.47 or newer; before, mod_proxy_wstunnel)",
    "HAProxy": "no http-request del-header for Upgrade or Connection; nothing else is needed",
    "Caddy": "no header_up that removes Upgrade or Connection; nothing else is needed",
    "lighttpd": 'proxy.header = ( "upgrade" => "enable" )',
}


def http_upgrade_stripped(facts: Facts) -> Finding | None:
    carrier = refused(facts)
    if carrier is None or carrier.outcome != "answer" or any_variant_works(facts):
        return None
    upgrade_facts = facts[UpgradeFacts]
    if re.search(r"Sec-WebSocket-Version", carrier.text, re.IGNORECASE) and not upgrade_missed(carrier):
        return None
    proxies = between(facts)
    fix = next((f"{name}: {_FIXES[name]}" for name in proxies if name in _FIXES), "")
    through = f" behind {', '.join(proxies)}" if proxies else ""
    if proxies and NEVER_STRIP.issuperset(proxies):
        if not upgrade_missed(carrier):
            return None
        return Finding(
            f"the application{through} answers the upgrade with its ordinary HTTP handler",
            (show(carrier),),
            kind="open",
            confidence="low",
            candidates=("node-ws-attached-to-other-server", "app-has-no-websocket", "url-path-mismatch"),
            question=f"{', '.join(proxies)} passes upgrades on, so the application saw it. Which of its handlers "
            "takes WebSockets, and on which path? Node gives an upgrade to the ordinary handler where nobody listens "
            "for 'upgrade' on that server.",
        )
    if proxies and set(proxies) <= NEVER_STRIP and (upgrade_missed(carrier) or carrier.status == 404):
        if not upgrade_ignored(facts) and not upgrade_missed(carrier):
            return None
        return Finding(
            f"the application answers the upgrade like a plain GET, and {', '.join(proxies)} passes upgrades on",
            (show(carrier), *(show(x) for x in (upgrade_facts.shape("plain"),) if x is not None)),
            kind="open",
            confidence="low",
            candidates=("node-ws-attached-to-other-server", "url-path-mismatch", "app-has-no-websocket"),
            question="Is a WebSocket server attached to the HTTP server that listens here (server.on('upgrade', …), "
            "not a second one or only app.listen), and is this its path?",
        )
    if upgrade_missed(carrier) and author(carrier).kind != "proxy":
        return Finding(
            f"the application{through} says that it saw no upgrade, although we sent one",
            (show(carrier), *(show(x) for x in (upgrade_facts.shape("plain"),) if x is not None)),
            confidence="high" if proxies else "medium",
            fix=fix,
        )
    if not upgrade_ignored(facts) or not proxies:
        return None
    evidence = (show(carrier), *(show(x) for x in (upgrade_facts.shape("plain"),) if x is not None))
    own = {trace.name for trace in recognise(carrier, *upgrade_facts.shapes) if trace.kind == "proxy"}
    if carrier.status == 404 and _asgi(facts) and (own or lower_cased(carrier)):
        # An ASGI server answers an upgrade to an unknown path with 403; a 404 means that it came as a plain GET.
        return Finding(
            f"the application{through} answered the upgrade like a plain GET (ASGI refuses real upgrades with 403)",
            evidence,
            fix=fix,
        )
    if author(carrier).kind not in {"app", "unknown"} or is_node_ws(carrier) or _fallback_page(facts):
        return None
    configured = bool(_NEEDS_CONFIGURATION & set(proxies)) or lower_cased(carrier)
    # nginx's own `return 200` has its default type, which no application sends for a page.
    own_answer = carrier.has("content-type", "octet-stream") and carrier.has("server", "nginx")
    if configured and carrier.status in {200, 204, 405, 500, 501} and not own_answer:
        return Finding(
            f"the application{through} answers the upgrade exactly like a plain GET",
            evidence,
            confidence="medium",
            fix=fix,
        )
    if carrier.status == 404 and configured and author(carrier).name == "Express":
        # ws answers 400 for a path it does not know; Express's own page means that no upgrade event came.
        return Finding(f"Express{through} answers the upgrade like a plain GET", evidence, confidence="medium", fix=fix)
    if carrier.status == 404:
        others = "node-ws-attached-to-other-server" if author(carrier).name == "Express" else "url-path-mismatch"
        return Finding(
            f"the application{through} answers the upgrade exactly like a plain GET, with 404",
            evidence,
            kind="open",
            confidence="low",
            candidates=("proxy-upgrade-headers-stripped", others),
            question="Does the request in the application's log carry `Upgrade: websocket`? If not, the proxy drops "
            "it; if it does, the application has no WebSocket on this path. (Or run the doctor against the "
            "application itself, past the proxy.)",
        )
    return None


def _asgi(facts: Facts) -> bool:
    upgrade_facts = facts[UpgradeFacts]
    names = {trace.name for trace in recognise(upgrade_facts.carrier, *upgrade_facts.shapes)}
    starlette = upgrade_facts.carrier.text == "Not Found" and upgrade_facts.carrier.has("content-type", "text/plain")
    return bool(names & _ASGI) or starlette


def _fallback_page(facts: Facts) -> bool:
    """The same page for any path at all: a static site, see HTTP007."""
    made_up = facts[UpgradeFacts].shape("made-up-path-plain")
    carrier = facts[UpgradeFacts].carrier
    return (
        carrier.status == 200 and carrier.has("content-type", "html") and made_up is not None and made_up.status == 200
    )


def call_upgrade_dropped(facts: Facts) -> Finding | None:
    known, refusals = facts[CallFacts], facts[RefusalFacts]
    row = refused_upgrade(known, refusals, "no_upgrade")
    if row is None or no_socket(known) is None:
        return None
    return Finding(
        f"the request for this call's socket came from {row.client or 'somebody'} as an ordinary GET",
        (row.detail,),
        confidence="medium",  # a curious user's browser asks like that, too
    )


CAUSE = Cause(
    code="HTTP001",
    slug="proxy-upgrade-headers-stripped",
    title="A proxy drops the upgrade headers",
    owner="you",
    why="Upgrade and Connection are hop-by-hop headers: a proxy that is not told to pass them on turns the handshake "
    "into a plain GET, which the application answers as such. Ordinary pages keep working.",
    fix="\n".join(f"{name}: {words}" for name, words in _FIXES.items()),
    fixes=_FIXES,
    signs=(
        Sign(
            "url",
            http_upgrade_stripped,
            named={
                "the websockets library misses the header": upgrade(
                    answer(
                        426,
                        "Failed to open a WebSocket connection: invalid Connection header: close.\n",
                        Server="nginx",
                    )
                ),
                "a callpath server misses the header": upgrade(
                    answer(426, '{"error":"no_upgrade","detail":"no Upgrade header"}', x_callpath="0.1.0")
                ),
            },
            quiet={
                "nginx has no such location": upgrade(answer(404, NGINX_404, Server="nginx")),
                "it works": upgrade(answer(101)),
                "no HTTP answer": upgrade(failed("eof")),
            },
        ),
        Sign(
            "call",
            call_upgrade_dropped,
            code="CALL047",
            title="A proxy on the way takes the upgrade out of the request",
            why="A carrier sends Upgrade: websocket. What arrived had the right path and no such header: nginx and "
            "others drop it unless told otherwise, and some speak HTTP/1.0 or HTTP/2 to what is behind them.",
            fix="nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "
            '"upgrade".\n'
            "`callpath doctor url` says more about the proxy.",
            named={
                "an ordinary GET": Facts(
                    call(ACCEPTED), refusals("no_upgrade", what="upgrade", path=f"/api/calls/{SESSION}/audio")
                )
            },
            quiet={
                "somebody opened another call's URL in a browser": Facts(
                    call(ACCEPTED), refusals("no_upgrade", what="upgrade", path="/api/calls/other/audio")
                )
            },
        ),
    ),
)
