"""Who wrote an answer: which host's edge, which proxy, which framework. From headers and body alone.

Two questions, kept apart: who stands in the way (`recognise`, every name that left a trace) and who made up this very
answer (`author`): a proxy that passes an answer on leaves its header, one that answers itself leaves its page.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from callpath.doctor.facts import Exchange

Kind = Literal["edge", "proxy", "app", "unknown"]


@dataclass(frozen=True, slots=True)
class Trace:
    """One name and what gave it away. `sure` False: others write the same."""

    name: str
    kind: Kind
    by: str
    sure: bool = True


_HEADERS: tuple[tuple[str, str, str, Kind], ...] = (
    # name of the header, pattern in its value, who, kind
    ("server", r"^railway-edge", "Railway", "edge"),
    ("x-railway-fallback", r"", "Railway", "edge"),
    ("x-railway-request-id", r"", "Railway", "edge"),
    ("x-railway-edge", r"", "Railway", "edge"),
    ("server", r"^cloudflare", "Cloudflare", "edge"),
    ("cf-ray", r"", "Cloudflare", "edge"),
    ("x-render-origin-server", r"", "Render", "edge"),
    ("rndr-id", r"", "Render", "edge"),
    ("x-render-routing", r"", "Render", "edge"),
    ("fly-request-id", r"", "Fly", "edge"),
    ("server", r"^Fly/", "Fly", "edge"),
    ("via", r"\bvegur\b|heroku-router", "Heroku", "edge"),
    ("server", r"^(Cowboy|Heroku)$", "Heroku", "edge"),
    ("x-cloud-trace-context", r"", "Cloud Run", "edge"),
    ("server", r"^Google Frontend", "Cloud Run", "edge"),
    ("server", r"^awselb", "ALB", "edge"),
    ("x-amzn-trace-id", r"", "AWS", "edge"),
    ("x-amz-cf-id", r"", "CloudFront", "edge"),
    ("apigw-requestid", r"", "API Gateway", "edge"),
    ("x-amz-apigw-id", r"", "API Gateway", "edge"),
    ("x-vercel-id", r"", "Vercel", "edge"),
    ("server", r"^Vercel", "Vercel", "edge"),
    ("server", r"^Netlify", "Netlify", "edge"),
    ("x-nf-request-id", r"", "Netlify", "edge"),
    ("ngrok-error-code", r"", "ngrok", "edge"),
    ("server", r"^ngrok", "ngrok", "edge"),
    ("x-azure-ref", r"", "Azure Front Door", "edge"),
    ("server", r"^Microsoft-Azure-Application-Gateway", "Azure Application Gateway", "edge"),
    ("server", r"^AmazonS3", "object storage", "edge"),
    ("via", r"CloudFront", "CloudFront", "edge"),
    ("server", r"^Microsoft-IIS", "IIS", "proxy"),
    ("server", r"^GitHub\.com", "GitHub Pages", "edge"),
    ("server", r"^(nginx|openresty)", "nginx", "proxy"),
    ("server", r"^Apache", "Apache", "proxy"),
    ("server", r"^Caddy", "Caddy", "proxy"),
    ("via", r"\bCaddy\b", "Caddy", "proxy"),
    ("server", r"^(envoy|istio)", "Envoy", "proxy"),
    ("server", r"^Traefik", "Traefik", "proxy"),
    ("server", r"^[Vv]arnish", "Varnish", "proxy"),
    ("server", r"^HAProxy", "HAProxy", "proxy"),
    ("server", r"^[Ll]ighttpd", "lighttpd", "proxy"),
    ("server", r"^squid", "Squid", "proxy"),
    ("x-callpath", r"", "callpath", "app"),
    ("x-powered-by", r"^Express", "Express", "app"),
    ("x-powered-by", r"^Next\.js", "Next.js", "app"),
    ("x-powered-by", r"^PHP", "PHP", "app"),
    ("server", r"^uvicorn", "uvicorn", "app"),
    ("server", r"^hypercorn", "Hypercorn", "app"),
    ("server", r"^daphne", "Daphne", "app"),
    ("server", r"^gunicorn", "gunicorn", "app"),
    ("server", r"WSGIServer", "WSGI server", "app"),
    ("server", r"^Werkzeug", "Flask", "app"),
    ("server", r"aiohttp", "aiohttp", "app"),
    ("server", r"^TornadoServer", "Tornado", "app"),
    ("server", r"^Python/.* websockets/", "websockets", "app"),
    ("server", r"^SimpleHTTP", "Python http.server", "app"),
    ("server", r"^BaseHTTP", "Python http.server", "app"),
    ("server", r"^Kestrel", "ASP.NET", "app"),
    ("server", r"^Jetty", "Jetty", "app"),
)

_OWN_PAGES: tuple[tuple[str, str, Kind], ...] = (
    # pattern in the body, who writes that page, kind
    (r"<center>(nginx|openresty)[^<]*</center>", "nginx", "proxy"),
    (r'<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">', "Apache", "proxy"),
    (r"<address>Apache", "Apache", "proxy"),
    (r'<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4\.01//EN"[^>]*>\s*<html><head>\s*<title>\d{3} ', "Apache", "proxy"),
    (
        r'<\?xml version="1\.0" encoding="iso-8859-1"\?>\s*<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1\.0',
        "lighttpd",
        "proxy",
    ),
    (r"<html><body><h1>\d{3} [^<]*</h1>\n[^<]*\n</body></html>", "HAProxy", "proxy"),
    (r"<center><h1>\d{3} [^<]*</h1></center>\s*</body>", "ALB", "edge"),
    (r'"message"\s*:\s*"Application (failed to respond|not found)"', "Railway", "edge"),
    (r"Application failed to respond|railway\.app", "Railway", "edge"),
    (r"herokucdn\.com|no-such-app\.html|application-error\.html", "Heroku", "edge"),
    (r"ERR_NGROK_\d+", "ngrok", "edge"),
    (r"Just a moment\.\.\.|/cdn-cgi/|cf-error-details|error code: 5\d\d", "Cloudflare", "edge"),
    (r"no healthy upstream|upstream connect error", "Envoy", "proxy"),
    (r"default backend - 404", "ingress-nginx", "proxy"),
    (r"Guru Meditation|Backend fetch failed", "Varnish", "proxy"),
    (r"<center>Microsoft-Azure-Application-Gateway", "Azure Application Gateway", "edge"),
    (r"<Error><Code>\w+</Code>", "object storage", "edge"),
    (r"<pre>Cannot (GET|POST) ", "Express", "app"),
    (r'"message"\s*:\s*"Route (GET|POST):', "Fastify", "app"),
    (r'^\{"detail":"Not Found"\}$', "FastAPI", "app"),
    (r'\{"code":\d,"message":"[^"]+"\}', "Socket.IO", "app"),
    (r"Failed to open a WebSocket connection", "websockets", "app"),
    (r"You cannot access a WebSocket server directly with a browser", "websockets", "app"),
    (r"No WebSocket UPGRADE hdr|WebSocket UPGRADE", "aiohttp", "app"),
    (r'Can "Upgrade" only to "WebSocket"', "Tornado", "app"),
    (r"websocket: the client is not using the websocket protocol", "gorilla/websocket", "app"),
)


def recognise(*exchanges: Exchange) -> tuple[Trace, ...]:
    """Every name that left a trace in these answers, edges first."""
    found: dict[str, Trace] = {}
    for exchange in exchanges:
        for header, pattern, name, kind in _HEADERS:
            for key, value in exchange.headers:
                if key.lower() == header and re.search(pattern, value):
                    found.setdefault(name, Trace(name, kind, f"{key}: {value}"[:80]))
        own = author(exchange)
        if own.name:
            found.setdefault(own.name, own)
    order = {"edge": 0, "proxy": 1, "app": 2, "unknown": 3}
    return tuple(sorted(found.values(), key=lambda trace: order[trace.kind]))


def author(exchange: Exchange) -> Trace:
    """Who made up this answer. Kind "unknown" where nothing gives it away."""
    text = exchange.text
    if exchange.has("x-callpath"):
        return Trace("callpath", "app", "x-callpath header")
    if exchange.has("x-railway-fallback"):
        return Trace("Railway", "edge", "x-railway-fallback header")
    if exchange.has("cf-mitigated"):
        return Trace("Cloudflare", "edge", "cf-mitigated header")
    for pattern, name, kind in _OWN_PAGES:
        found = re.search(pattern, text)
        if found:
            return Trace(name, kind, found.group()[:60])
    for header, pattern, name, kind in _HEADERS:
        if kind == "app" and any(k.lower() == header and re.search(pattern, v) for k, v in exchange.headers):
            return Trace(name, kind, f"{header}: {exchange.header(header)}"[:80])
    if is_node_ws(exchange):
        return Trace("ws", "app", "a bare refusal of the Node ws package", sure=False)
    if not exchange.body and exchange.has("server", "caddy") and not exchange.has("via"):
        # Caddy's own answers have no body; what it proxies carries the backend's headers and, from 2.7, a Via.
        foreign = {"server", "date", "content-length", "connection", "alt-svc", "location"}
        if all(key.lower() in foreign for key, _ in exchange.headers):
            return Trace("Caddy", "proxy", "server: Caddy, no body", sure=False)
    return Trace("", "unknown", "")


def is_node_ws(exchange: Exchange) -> bool:
    """The refusal of the Node package ws: status text as body, text/html, its length, and nothing else of its own."""
    if exchange.status not in {400, 401, 405, 426, 503} or not exchange.has("content-type", "text/html"):
        return False
    return exchange.text.strip() in {
        "Bad Request",
        "Unauthorized",
        "Method Not Allowed",
        "Invalid Upgrade header",
        "Missing or invalid Sec-WebSocket-Key header",
        "Missing or invalid Sec-WebSocket-Version header",
        "Invalid HTTP method",
        "Invalid or unacceptable Sec-WebSocket-Extensions header",
        "Invalid Sec-WebSocket-Protocol header",
    }


def proxies(*exchanges: Exchange) -> tuple[str, ...]:
    """Names of everything between us and the application that shows."""
    return tuple(trace.name for trace in recognise(*exchanges) if trace.kind in {"edge", "proxy"})
