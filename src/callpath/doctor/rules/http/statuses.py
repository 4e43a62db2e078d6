"""Steady answers that a status, or a sentence in the body, gives away: one row a cause."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from callpath.doctor.answers import any_variant_works, own_proxy_answer, refused, show, upgrade_missed, words_of
from callpath.doctor.facts import Exchange, Facts, UpgradeFacts, UrlFacts
from callpath.doctor.platform import author
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.http.upstream_down import DEAD_BACKEND_IS_503
from callpath.doctor.rules.sample import answer, upgrade


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the carrier's answer must be: one of `statuses`, with `words` in its body. `judge` says what was seen, or None.

    Where another form of the request was upgraded the cause is what differed, and the row is silent, unless
    `whatever_else_works`.
    """

    code: str
    slug: str
    title: str
    why: str
    fix: str
    statuses: tuple[int, ...]
    judge: Callable[[Facts, Exchange], Finding | None]
    named: dict[str, Exchange]
    quiet: dict[str, Exchange]
    words: str = ""
    whatever_else_works: bool = False
    layer: str = "http"

    def check(self, facts: Facts) -> Finding | None:
        carrier = refused(facts, *self.statuses)
        if carrier is None or (any_variant_works(facts) and not self.whatever_else_works):
            return None
        if self.words and not re.search(self.words, words_of(carrier), re.IGNORECASE):
            return None
        return self.judge(facts, carrier)


def _said(summary: str) -> Callable[[Facts, Exchange], Finding]:
    return lambda _, carrier: Finding(summary, (show(carrier),))


_TOO_LARGE = re.compile(
    r"header(s)? or cookie too large|header fields? too large|request header.{0,20}too (large|long)"
    r"|size of a request header field exceeds",
    re.IGNORECASE,
)


def _too_large(facts: Facts, carrier: Exchange) -> Finding | None:
    if carrier.status not in {414, 431, 494} and not _TOO_LARGE.search(words_of(carrier)):
        return None
    what = "the URL" if carrier.status == 414 else "the headers"
    length = len(facts[UrlFacts].target)
    return Finding(f"the server finds {what} too large; the path and query have {length} characters", (show(carrier),))


def _proxy_error(_: Facts, carrier: Exchange) -> Finding | None:
    proxy = own_proxy_answer(carrier)
    if not proxy or proxy == "HAProxy":  # its 500 is mostly a tarpit, set on purpose
        return None
    return Finding(f"{proxy} answers 500 with its own page: its configuration fails for this request", (show(carrier),))


def _unavailable(_: Facts, carrier: Exchange) -> Finding | None:
    who = author(carrier)
    if who.kind == "edge" or who.name in DEAD_BACKEND_IS_503:
        return None
    later = (f"retry-after: {carrier.header('retry-after')}",) if carrier.has("retry-after") else ()
    return Finding(f"{who.name or 'the application'} says 503: not now", (show(carrier), *later), confidence="medium")


_CLOUDFLARE = {
    520: "the origin answered with something that is not HTTP",
    521: "the origin refuses connections",
    522: "the origin does not take connections in time",
    523: "the origin cannot be reached",
    524: "the origin did not answer in time",
    525: "the TLS handshake with the origin fails",
    526: "the origin's certificate is not valid (mode Full (strict))",
    530: "the origin's name cannot be resolved, or the tunnel is down",
}


def _cloudflare(_: Facts, carrier: Exchange) -> Finding:
    fix = ""
    if carrier.status in {525, 526}:
        fix = (
            "Set the zone's SSL mode to Full (Railway and similar hosts renew certificates that Full (strict) "
            "refuses), or fix the origin's certificate."
        )
    if carrier.status == 530 and "1033" in carrier.text:
        fix = "The tunnel is not running. Start it: cloudflared tunnel run NAME (its state: cloudflared tunnel info "
        "NAME)."
    return Finding(f"{carrier.status}: {_CLOUDFLARE[carrier.status]}", (show(carrier),), fix=fix)


def _plain_to_tls(facts: Facts, carrier: Exchange) -> Finding | None:
    if not facts[UrlFacts].secure:
        return None
    return Finding("our request came over TLS, yet the backend complains about plain HTTP", (show(carrier),))


def _version(_: Facts, carrier: Exchange) -> Finding | None:
    offered = carrier.header("sec-websocket-version")
    if offered is not None and "13" not in [part.strip() for part in offered.split(",")]:
        return Finding(
            f"the server wants WebSocket version {offered}, carriers speak 13",
            (show(carrier), f"Sec-WebSocket-Version: {offered}"),
        )
    refusal = r"unsupported (web)?socket version|(invalid|bad|wrong) (sec-websocket-)?key\b"
    if upgrade_missed(carrier) or not re.search(refusal, words_of(carrier), re.IGNORECASE):
        return None
    return Finding("the server refuses the handshake's version or key", (show(carrier),))


def _method(facts: Facts, carrier: Exchange) -> Finding | None:
    seen = facts[UpgradeFacts]
    if carrier.status == 403:
        post, plain = seen.shape("post"), seen.shape("plain")
        if post is None or post.outcome != "answer" or post.status in {403, 405, 411} or post.status >= 500:
            return None
        if plain is None or plain.status != 403:
            return None
        return Finding("GET is forbidden on this path, POST is not", (show(carrier), show(post)), confidence="medium")
    allowed = f" (Allow: {carrier.header('allow')})" if carrier.header("allow") else ""
    made_up = seen.shape("made-up-path")
    if made_up is not None and made_up.status == 405:
        shown = (show(carrier), show(made_up))
        return Finding(f"the server allows no GET on any path{allowed}", shown, confidence="medium")
    return Finding(f"the path exists, but not for GET{allowed}: it belongs to another handler", (show(carrier),))


STATUSES = (
    Status(
        code="HTTP014",
        slug="header-too-large-431",
        title="The request is too large for the server",
        why="The token, the URL or what proxies add exceeds the server's limit for a request's head (8 KB is common, "
        "Railway 32 KB).",
        fix="Use a short opaque token, or raise the limit: nginx large_client_header_buffers, Node "
        "--max-http-header-size, HAProxy tune.bufsize.",
        statuses=(400, 413, 414, 431, 494),
        judge=_too_large,
        whatever_else_works=True,
        named={"a long token": answer(431)},
        quiet={"another 400": answer(400, "Bad Request")},
    ),
    Status(
        code="HTTP018",
        slug="proxy-internal-error-500",
        title="The proxy fails by itself",
        why="An internal redirect that never ends, an auth_request that answers neither 2xx, 401 nor 403, a missing "
        "file or module: the request did not get as far as the application.",
        fix="The proxy's error log names the directive: tail -n 20 /var/log/nginx/error.log",
        statuses=(500,),
        judge=_proxy_error,
        named={"a rewrite loop": answer(500, "<center>nginx</center>", Server="nginx")},
        quiet={"the application's 500": answer(500, "oops")},
    ),
    Status(
        code="HTTP019",
        slug="service-unavailable-503",
        title="The service turns requests away for now",
        why="A maintenance page, a limit of connections, or an application that is starting, draining or overloaded.",
        fix="End the maintenance mode, raise the limit, or wait for the start; Retry-After says how long: curl -sI URL",
        statuses=(503,),
        judge=_unavailable,
        named={"maintenance": answer(503, "down for maintenance")},
        quiet={"a dead backend": answer(503, "<address>Apache</address>")},
    ),
    Status(
        code="HTTP011",
        slug="cloudflare-52x-origin",
        title="Cloudflare cannot reach the origin",
        why="The request came to Cloudflare and got stuck between it and the server.",
        fix="By the code: start the origin, open its firewall for Cloudflare's ranges, correct the DNS target or the "
        "SSL mode.",
        statuses=tuple(_CLOUDFLARE),
        judge=_cloudflare,
        whatever_else_works=True,
        named={"origin refuses": answer(521, "error code: 521", Server="cloudflare")},
        quiet={"502": answer(502)},
    ),
    Status(
        code="HTTP020",
        slug="proxy-upstream-scheme-wrong",
        title="The proxy speaks plain HTTP to a TLS backend",
        why="TLS ends at the proxy, which passes the request on in the clear to a port that expects TLS.",
        fix="Use https:// (or ssl in HAProxy's server line) towards that backend, or its plain port.",
        statuses=(400,),
        words=r"plain HTTP request was sent to HTTPS port|HTTP request to an HTTPS server|plain HTTP to an SSL-enabled",
        judge=_plain_to_tls,
        whatever_else_works=True,
        named={"a TLS backend": answer(400, "The plain HTTP request was sent to HTTPS port")},
        quiet={"another 400": answer(400)},
    ),
    Status(
        code="WS008",
        slug="ws-subprotocol-required",
        title="The server requires a subprotocol",
        layer="handshake",
        why="A carrier is not known to offer any Sec-WebSocket-Protocol; a server that insists on one refuses every "
        "call.",
        fix="Accept a handshake without subprotocol on this path.",
        statuses=(400, 403, 406, 426),
        words=r"sub-?protocol|Sec-WebSocket-Protocol",
        judge=_said("the refusal speaks of a subprotocol"),
        whatever_else_works=True,
        named={"missing": answer(400, "missing subprotocol; expected one of: audio")},
        quiet={"another 400": answer(400)},
    ),
    Status(
        code="WS009",
        slug="ws-version-or-key-rejected",
        title="The server speaks another WebSocket version",
        layer="handshake",
        why="An ancient or hand-made server knows an early draft only, or misjudges the key.",
        fix="Update the WebSocket library (pip install -U websockets, npm install ws@latest); version 13 is RFC 6455, "
        "from 2011.",
        statuses=(400, 426),
        judge=_version,
        named={"version 8": answer(426, Sec_WebSocket_Version="8")},
        quiet={"version 13 is fine": answer(426, Sec_WebSocket_Version="13")},
    ),
    Status(
        code="HTTP016",
        slug="method-not-allowed-405",
        title="The path does not take GET",
        layer="routing",
        why="An upgrade is a GET. This path is a webhook's (POST), or a filter in front allows other methods only.",
        fix="Use the stream's own path, not the webhook's; allow GET on it.",
        statuses=(403, 405),
        judge=_method,
        named={"the webhook's path": answer(405, Allow="POST")},
        quiet={"404": answer(404)},
    ),
)

CAUSES = tuple(
    Cause.of(
        "url",
        row.check,
        code=row.code,
        slug=row.slug,
        title=row.title,
        layer=row.layer,
        owner="you",
        why=row.why,
        fix=row.fix,
        named={title: upgrade(exchange) for title, exchange in row.named.items()},
        quiet={title: upgrade(exchange) for title, exchange in row.quiet.items()},
    )
    for row in STATUSES
)
