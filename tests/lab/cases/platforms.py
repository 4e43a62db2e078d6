"""Section 5, second half: platforms' own pages, imitated with the headers and bodies that they are known by."""

from __future__ import annotations

from tests.lab.bench import Bench
from tests.lab.case import UNDECIDED, Cases, Target

CASES = Cases()
case = CASES.case


def page(name: str, *slugs: str, why: str, answer: str, arguments: tuple[str, ...] = ()) -> None:
    """Add a case whose endpoint gives one answer to everything."""

    async def start(bench: Bench) -> Target:
        await bench.answers(answer, *arguments)
        return bench.target()

    CASES.add(name, *slugs, why=why, start=start)


RAILWAY_502 = """
    HTTP/1.1 502 Bad Gateway
    Content-Type: application/json
    Server: railway-edge
    X-Railway-Edge: railway/europe-west4-drams3a
    X-Railway-Fallback: true
    X-Railway-Request-Id: qX8n0Jw3TbS6rQ2vTz1c5A

    {"status":"error","code":502,"message":"Application failed to respond","request_id":"qX8n0Jw3TbS6rQ2vTz1c5A"}"""

RAILWAY_404 = """
    HTTP/1.1 404 Not Found
    Content-Type: application/json
    Server: railway-edge
    X-Railway-Edge: railway/us-west2
    X-Railway-Fallback: true
    X-Railway-Request-Id: 8tJx2bD0Qm2Z3yq1rT7a9w

    {"status":"error","code":404,"message":"Application not found","request_id":"8tJx2bD0Qm2Z3yq1rT7a9w"}"""

page(
    "railway-502",
    "edge-app-failed-to-respond",
    why="Railway's edge does not reach the app: wrong port or bind address, or it crashed.",
    answer=RAILWAY_502,
)
page(
    "railway-502-html",
    "edge-app-failed-to-respond",
    why="The same as a page for browsers.",
    answer="""
    HTTP/1.1 502 Bad Gateway
    Content-Type: text/html; charset=utf-8
    Server: railway-edge
    X-Railway-Fallback: true
    X-Railway-Request-Id: qX8n0Jw3TbS6rQ2vTz1c5A

    <!doctype html><html><head><title>Application failed to respond</title></head>
    <body><h1>Application failed to respond</h1><p>This error appears to be caused by the application.</p></body></html>""",
)
page(
    "railway-404",
    "edge-app-not-found",
    "url-stale-host",
    why="No deployment behind this host.",
    answer=RAILWAY_404,
)
page(
    "railway-301",
    "redirect-on-upgrade",
    why="Railway's redirect of plain HTTP, seen through a proxy that dropped the TLS.",
    answer="""
    HTTP/1.1 301 Moved Permanently
    Location: https://voice.example.com/api/calls/test-connection/audio
    Server: railway-edge
    X-Railway-Request-Id: aaaaaaaaaaaaaaaaaaaaaa

    """,
)
page(
    "railway-challenge",
    "waf-blocks-upgrade",
    "cloudflare-challenge-403",
    why="Railway's Under Attack Mode: a challenge for browsers.",
    answer="""
    HTTP/1.1 403 Forbidden
    Content-Type: text/html
    Server: railway-edge
    X-Railway-Request-Id: bbbbbbbbbbbbbbbbbbbbbb

    <!doctype html><html><head><title>Checking your browser</title></head>
    <body><noscript>Enable JavaScript to continue</noscript><script>challenge()</script></body></html>""",
)
page(
    "railway-app-404",
    "url-path-mismatch",
    UNDECIDED,
    why="Behind Railway's edge the app itself answers 404: no fallback header.",
    answer="""
    HTTP/1.1 404 Not Found
    Content-Type: application/json
    Server: railway-edge
    X-Railway-Edge: railway/us-west2
    X-Railway-Request-Id: cccccccccccccccccccccc

    {"error":"no such call route"}""",
)
page(
    "railway-cold-start",
    "edge-cold-start",
    why="Asleep: the first request gets 502, the next ones work.",
    answer=RAILWAY_502,
    arguments=("--fails", "1"),
)
page(
    "railway-cold-start-404",
    "edge-cold-start",
    why="Asleep: the first requests say `not found`.",
    answer=RAILWAY_404,
    arguments=("--fails", "1"),
)
page(
    "render-502",
    "edge-app-failed-to-respond",
    "proxy-upstream-down",
    "cloudflare-52x-origin",
    why="Render's 502: the service does not listen on its PORT.",
    answer="""
    HTTP/1.1 502 Bad Gateway
    Content-Type: text/html
    Server: cloudflare
    CF-RAY: 8c1234567890abcd-AMS
    x-render-routing: no-deploy
    rndr-id: 3f0b3c2a-aaaa-4bbb

    <html><head><title>502</title></head>
    <body><h1>Bad Gateway</h1><p>This service is currently unavailable.</p></body></html>""",
)
page(
    "render-404",
    "edge-app-not-found",
    "url-stale-host",
    why="No service of that name on Render: `x-render-routing: no-server`.",
    answer="""
    HTTP/1.1 404 Not Found
    Content-Type: text/plain; charset=utf-8
    Server: cloudflare
    CF-RAY: 8c1234567890abcd-FRA
    x-render-routing: no-server

    Not Found
    """,
)
page(
    "heroku-503",
    "edge-app-failed-to-respond",
    "proxy-upstream-down",
    why="Heroku's application error (H10 and its kin).",
    answer="""
    HTTP/1.1 503 Service Unavailable
    Content-Type: text/html; charset=utf-8
    Server: Cowboy
    Via: 1.1 vegur
    Cache-Control: no-cache, no-store

    <!DOCTYPE html><html><head><title>Application Error</title></head><body>
    <iframe src="//www.herokucdn.com/error-pages/application-error.html"></iframe></body></html>""",
)
page(
    "heroku-404",
    "edge-app-not-found",
    "url-stale-host",
    why="Heroku: no such app.",
    answer="""
    HTTP/1.1 404 Not Found
    Content-Type: text/html; charset=utf-8
    Server: Cowboy
    Via: 1.1 vegur

    <!DOCTYPE html><html><head><title>No such app</title></head><body>
    <iframe src="//www.herokucdn.com/error-pages/no-such-app.html"></iframe></body></html>""",
)
page(
    "fly-502",
    "edge-app-failed-to-respond",
    "proxy-upstream-down",
    UNDECIDED,
    why="Fly's proxy finds no machine that listens on the internal port.",
    answer="""
    HTTP/1.1 502 Bad Gateway
    Server: Fly/5d3a1b2c (2026-08-01)
    Via: 1.1 fly.io
    Fly-Request-Id: 01J8Z3QK7G3Z5V6W7X8Y9Z0A1B-ams

    """,
)
page(
    "cloud-run-404",
    "edge-app-not-found",
    "url-stale-host",
    "proxy-location-missing",
    UNDECIDED,
    why="Google's front end knows no such service.",
    answer="""
    HTTP/1.1 404 Not Found
    Content-Type: text/html; charset=UTF-8
    Server: Google Frontend
    Referrer-Policy: no-referrer

    <!DOCTYPE html><html lang=en><meta charset=utf-8><title>Error 404 (Page not found)!!1</title>
    <p><b>404.</b> <ins>That’s an error.</ins><p>The requested URL was not found on this server.</html>""",
)
page(
    "vercel-404",
    "edge-app-not-found",
    "url-stale-host",
    why="Vercel: no deployment under this name.",
    answer="""
    HTTP/1.1 404 Not Found
    Content-Type: text/plain; charset=utf-8
    Server: Vercel
    X-Vercel-Error: DEPLOYMENT_NOT_FOUND
    X-Vercel-Id: fra1::zzzzz-1790000000000-0123456789ab

    The deployment could not be found on Vercel.

    DEPLOYMENT_NOT_FOUND
    """,
)
page(
    "vercel-login",
    "access-gate",
    why="Vercel's deployment protection: 401 with its login page.",
    answer="""
    HTTP/1.1 401 Unauthorized
    Content-Type: text/html; charset=utf-8
    Server: Vercel
    Set-Cookie: _vercel_sso_nonce=abc; Path=/; Secure; HttpOnly
    X-Vercel-Id: fra1::zzzzz-1790000000000-0123456789ab

    <!doctype html><html><head><title>Authentication Required</title></head>
    <body>Vercel Authentication<script src="https://vercel.com/sso-api?url=x"></script></body></html>""",
)
page(
    "netlify-404",
    "platform-no-websocket",
    "edge-app-not-found",
    "proxy-location-missing",
    UNDECIDED,
    why="A static host has nothing but files.",
    answer="""
    HTTP/1.1 404 Not Found
    Content-Type: text/html; charset=utf-8
    Server: Netlify
    X-Nf-Request-Id: 01J8Z3QK7G3Z5V6W7X8Y9Z0A1B

    <!DOCTYPE html><html><head><title>Page not found</title></head><body><h1>Page not found</h1></body></html>""",
)
page(
    "github-pages-404",
    "platform-no-websocket",
    "edge-app-not-found",
    "proxy-location-missing",
    UNDECIDED,
    why="A static host.",
    answer="""
    HTTP/1.1 404 Not Found
    Content-Type: text/html; charset=utf-8
    Server: GitHub.com
    X-GitHub-Request-Id: ABCD:12345:678901:234567:89ABCDEF

    <!DOCTYPE html><html><head><title>Site not found &middot; GitHub Pages</title></head></html>""",
)
page(
    "storage-405",
    "platform-no-websocket",
    "method-not-allowed-405",
    UNDECIDED,
    why="A bucket behind a CDN: 405 in XML.",
    answer="""
    HTTP/1.1 405 Method Not Allowed
    Content-Type: application/xml
    Server: AmazonS3
    x-amz-request-id: ABCDEF0123456789
    Via: 1.1 abcdef.cloudfront.net (CloudFront)
    X-Cache: Error from cloudfront

    <?xml version="1.0" encoding="UTF-8"?><Error><Code>MethodNotAllowed</Code></Error>""",
)
page(
    "api-gateway-404",
    "platform-no-websocket",
    "proxy-location-missing",
    UNDECIDED,
    why="AWS API Gateway in HTTP mode.",
    answer="""
    HTTP/1.1 404 Not Found
    Content-Type: application/json
    apigw-requestid: KjH7gjG1IAMEVkw=

    {"message":"Not Found"}""",
)
page(
    "api-gateway-426",
    "platform-no-websocket",
    "proxy-upgrade-headers-stripped",
    UNDECIDED,
    why="Functions without upgrades: the app is called with a plain GET and says 426.",
    answer="""
    HTTP/1.1 426 Upgrade Required
    Content-Type: text/plain
    Server: Vercel
    X-Vercel-Id: fra1::zzzzz-1790000000000-0123456789ab

    Expected Upgrade: websocket""",
)
page(
    "ngrok-offline",
    "url-stale-host",
    "edge-app-not-found",
    why="The tunnel of yesterday: ERR_NGROK_3200.",
    answer="""
    HTTP/1.1 404 Not Found
    Content-Type: text/html
    Ngrok-Error-Code: ERR_NGROK_3200
    Referrer-Policy: no-referrer

    <!DOCTYPE html><html><body>The endpoint voice.ngrok-free.app is offline. <b>ERR_NGROK_3200</b></body></html>""",
)
page(
    "ngrok-app-down",
    "proxy-upstream-down",
    "edge-app-failed-to-respond",
    why="The tunnel is up and the app behind it is not: ERR_NGROK_8012.",
    answer="""
    HTTP/1.1 502 Bad Gateway
    Content-Type: text/html
    Ngrok-Error-Code: ERR_NGROK_8012

    <!DOCTYPE html><html><body>Traffic successfully made it to the ngrok agent, but the agent failed to establish a
    connection to the upstream web service at localhost:3000. ERR_NGROK_8012</body></html>""",
)
page(
    "cloudflare-challenge",
    "cloudflare-challenge-403",
    why="Bot Fight Mode: `cf-mitigated: challenge`.",
    answer="""
    HTTP/1.1 403 Forbidden
    Content-Type: text/html; charset=UTF-8
    Server: cloudflare
    CF-RAY: 8c1234567890abcd-AMS
    cf-mitigated: challenge
    Cache-Control: private, max-age=0, no-store

    <!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title></head>
    <body><noscript>Enable JavaScript and cookies to continue</noscript></body></html>""",
)
page(
    "cloudflare-challenge-503",
    "cloudflare-challenge-403",
    why="The older I'm Under Attack page: 503.",
    answer="""
    HTTP/1.1 503 Service Temporarily Unavailable
    Content-Type: text/html; charset=UTF-8
    Server: cloudflare
    CF-RAY: 8c1234567890abcd-AMS

    <!DOCTYPE html><html><head><title>Just a moment...</title></head>
    <body>Checking if the site connection is secure <div class="cf-browser-verification"></div></body></html>""",
)
page(
    "cloudflare-1020",
    "waf-blocks-upgrade",
    "cloudflare-challenge-403",
    why="A firewall rule of the zone: error 1020, access denied.",
    answer="""
    HTTP/1.1 403 Forbidden
    Content-Type: text/html; charset=UTF-8
    Server: cloudflare
    CF-RAY: 8c1234567890abcd-AMS

    <!DOCTYPE html><html><head><title>Access denied | voice.example.com used Cloudflare to restrict access</title></head>
    <body><h1>Error 1020</h1><p>Access denied</p></body></html>""",
)
page(
    "cloudflare-1033",
    "cloudflare-52x-origin",
    "url-stale-host",
    why="A Cloudflare Tunnel without a running connector: 530 and 1033.",
    answer="""
    HTTP/1.1 530 <none>
    Content-Type: text/html; charset=UTF-8
    Server: cloudflare
    CF-RAY: 8c1234567890abcd-AMS

    <!DOCTYPE html><html><head><title>Cloudflare Tunnel error | voice.example.com | Cloudflare</title></head>
    <body><h1>Error 1033</h1><h2>Cloudflare Tunnel error</h2></body></html>""",
)
for status, words in {
    520: "Web server is returning an unknown error",
    521: "Web server is down",
    522: "Connection timed out",
    523: "Origin is unreachable",
    524: "A timeout occurred",
    525: "SSL handshake failed",
    526: "Invalid SSL certificate",
}.items():
    page(
        f"cloudflare-{status}",
        "cloudflare-52x-origin",
        why=f"Cloudflare cannot use the origin: {words}.",
        answer=f"""
        HTTP/1.1 {status} <none>
        Content-Type: text/html; charset=UTF-8
        Server: cloudflare
        CF-RAY: 8c1234567890abcd-AMS

        <!DOCTYPE html><html><head><title>voice.example.com | {status}: {words}</title></head>
        <body><h1>Error {status}</h1><h2>{words}</h2></body></html>""",
    )
page(
    "cloudflare-access",
    "access-gate",
    why="Cloudflare Access sends to its login.",
    answer="""
    HTTP/1.1 302 Found
    Location: https://example.cloudflareaccess.com/cdn-cgi/access/login/voice.example.com?kid=1&redirect_url=%2Fapi
    Server: cloudflare
    CF-RAY: 8c1234567890abcd-AMS
    Set-Cookie: CF_AppSession=n1; Path=/; Secure; HttpOnly

    """,
)
page(
    "oauth2-proxy",
    "access-gate",
    why="oauth2-proxy sends to the identity provider.",
    answer="""
    HTTP/1.1 302 Found
    Location: https://accounts.google.com/o/oauth2/auth?client_id=1&redirect_uri=https%3A%2F%2Fvoice.example.com%2Foauth2%2Fcallback
    Set-Cookie: _oauth2_proxy_csrf=x; Path=/; HttpOnly; Secure

    <a href="https://accounts.google.com/o/oauth2/auth">Found</a>.""",
)
page(
    "google-iap",
    "access-gate",
    why="Google's identity-aware proxy: 401 with its own header.",
    answer="""
    HTTP/1.1 401 Unauthorized
    Content-Type: text/plain
    X-Goog-IAP-Generated-Response: true

    Invalid IAP credentials: empty token""",
)
page(
    "aws-waf-403",
    "waf-blocks-upgrade",
    UNDECIDED,
    why="AWS WAF on a load balancer.",
    answer="""
    HTTP/1.1 403 Forbidden
    Server: awselb/2.0
    Content-Type: text/html

    <html>\r
    <head><title>403 Forbidden</title></head>\r
    <body>\r
    <center><h1>403 Forbidden</h1></center>\r
    </body>\r
    </html>""",
)
page(
    "alb-503",
    "proxy-upstream-down",
    "edge-app-failed-to-respond",
    UNDECIDED,
    why="An ALB whose target group has no healthy target.",
    answer="""
    HTTP/1.1 503 Service Temporarily Unavailable
    Server: awselb/2.0
    Content-Type: text/html

    <html><head><title>503 Service Temporarily Unavailable</title></head>
    <body><center><h1>503 Service Temporarily Unavailable</h1></center></body></html>""",
)
page(
    "alb-fixed-404",
    "proxy-location-missing",
    "platform-no-websocket",
    UNDECIDED,
    why="An ALB without a rule for the path.",
    answer="""
    HTTP/1.1 404 Not Found
    Server: awselb/2.0
    Content-Type: text/plain; charset=utf-8

    """,
)
page(
    "traefik-404",
    "proxy-location-missing",
    "url-path-mismatch",
    UNDECIDED,
    why="Traefik's default for what no router matches; Go's own 404 reads alike.",
    answer="""
    HTTP/1.1 404 Not Found
    Content-Type: text/plain; charset=utf-8
    X-Content-Type-Options: nosniff

    404 page not found
    """,
)
page(
    "ingress-default-404",
    "proxy-location-missing",
    why="Kubernetes' ingress without a rule: default backend.",
    answer="""
    HTTP/1.1 404 Not Found
    Content-Type: text/plain; charset=utf-8

    default backend - 404""",
)
page(
    "envoy-503",
    "proxy-upstream-down",
    why="Envoy: upstream connect error.",
    answer="""
    HTTP/1.1 503 Service Unavailable
    Content-Type: text/plain
    Server: envoy

    upstream connect error or disconnect/reset before headers. reset reason: remote connection failure""",
)
page(
    "envoy-403-upgrade",
    "proxy-upgrade-headers-stripped",
    "waf-blocks-upgrade",
    "platform-no-websocket",
    UNDECIDED,
    why="Envoy refuses upgrades that its route does not list: an empty 403.",
    answer="""
    HTTP/1.1 403 Forbidden
    Server: envoy

    """,
)
page(
    "azure-front-door-403",
    "waf-blocks-upgrade",
    why="Azure's gateway firewall.",
    answer="""
    HTTP/1.1 403 Forbidden
    Content-Type: text/html
    Server: Microsoft-Azure-Application-Gateway/v2

    <html><head><title>403 Forbidden</title></head><body><center><h1>403 Forbidden</h1></center>
    <hr><center>Microsoft-Azure-Application-Gateway/v2</center></body></html>""",
)
page(
    "rate-limited-api",
    "rate-limited-429",
    why="429 with Retry-After from the app's limiter.",
    answer="""
    HTTP/1.1 429 Too Many Requests
    Content-Type: application/json
    Retry-After: 60
    X-RateLimit-Limit: 100
    X-RateLimit-Remaining: 0

    {"error":"Too many requests, please try again later."}""",
)
page(
    "unknown-418",
    UNDECIDED,
    why="An answer that nobody has seen before: no nearest entry may be named.",
    answer="""
    HTTP/1.1 418 I'm a teapot
    Content-Type: text/plain
    Server: kettle

    short and stout""",
)
page(
    "unknown-409",
    UNDECIDED,
    why="The app says conflict, for reasons of its own.",
    answer="""
    HTTP/1.1 409 Conflict
    Content-Type: application/json

    {"error":"stream already attached to this call"}""",
)
page(
    "app-500",
    "app-crash-on-connect",
    why="500 before the socket opens, with a trace.",
    answer="""
    HTTP/1.1 500 Internal Server Error
    Content-Type: text/plain; charset=utf-8

    Internal Server Error""",
)
page(
    "misdirected-421",
    "ws-host-check",
    UNDECIDED,
    why="The server behind this address does not serve this name: 421.",
    answer="""
    HTTP/1.1 421 Misdirected Request
    Content-Type: text/html; charset=iso-8859-1
    Server: Apache/2.4.62

    <html><head><title>421 Misdirected Request</title></head><body><h1>Misdirected Request</h1></body></html>""",
)
page(
    "geo-451",
    "waf-blocks-upgrade",
    UNDECIDED,
    why="Blocked for this country.",
    answer="""
    HTTP/1.1 451 Unavailable For Legal Reasons
    Content-Type: text/plain

    This service is not available in your region.""",
)
page(
    "unknown-402",
    UNDECIDED,
    why="Payment required: the platform's trial is over, perhaps.",
    answer="""
    HTTP/1.1 402 Payment Required
    Content-Type: text/plain
    Server: Vercel
    X-Vercel-Error: DEPLOYMENT_DISABLED

    Payment required

    DEPLOYMENT_DISABLED
    """,
)
page(
    "gone-410",
    "url-path-mismatch",
    "url-stale-host",
    UNDECIDED,
    why="410: it was here once.",
    answer="""
    HTTP/1.1 410 Gone
    Content-Type: application/json

    {"error":"This API version has been retired"}""",
)
page(
    "json-200",
    "app-has-no-websocket",
    "proxy-upgrade-headers-stripped",
    "fastify-websocket-plugin-order",
    UNDECIDED,
    why="The path answers JSON to everybody: an HTTP route, or a stripped upgrade.",
    answer="""
    HTTP/1.1 200 OK
    Content-Type: application/json

    {"status":"ok","service":"voice"}""",
)
page(
    "empty-204",
    "app-has-no-websocket",
    "proxy-upgrade-headers-stripped",
    "proxy-location-missing",
    UNDECIDED,
    why="204 to everything.",
    answer="""
    HTTP/1.1 204 No Content
    Server: nginx

    """,
)
