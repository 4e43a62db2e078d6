"""Edges and what they say when they answer in the place of an application.

EDGES      host names and CNAME targets by which an edge is known before it says a word
REFUSALS   each edge's own pages: what they mean, and what to do

A row of REFUSALS names its edge, statuses and a pattern in headers and body. An empty pattern asks for an empty body. An
application behind the edge sends the edge's headers too, so that only such a page, never the status alone, convicts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from callpath.doctor.facts import DnsFacts, Exchange, Facts, UrlFacts

Meaning = Literal["app-down", "no-app", "timeout", "blocked", "limited", "no-websocket"]
"""The edge cannot reach the application; knows none for this host; waited in vain; forbids the request; counts requests;
cannot pass an upgrade."""


@dataclass(frozen=True, slots=True)
class Edge:
    """`suffixes` of host names or CNAME targets. `websockets` False: it passes no upgrade on to an application."""

    name: str
    suffixes: tuple[str, ...]
    websockets: bool = True


@dataclass(frozen=True, slots=True)
class Refusal:
    """One page of an edge. `summary` continues "EDGE: "."""

    edge: str
    statuses: tuple[int, ...]
    pattern: str
    meaning: Meaning
    summary: str
    fix: str


EDGES = (
    Edge("Railway", (".up.railway.app", ".railway.app")),
    Edge("Render", (".onrender.com",)),
    Edge("Fly", (".fly.dev", ".edgeapp.net")),
    Edge("Heroku", (".herokuapp.com", ".herokudns.com", ".herokussl.com")),
    Edge("Cloud Run", (".a.run.app", ".run.app")),
    Edge("Google's load balancer", ("ghs.googlehosted.com",)),
    Edge("Azure App Service", (".azurewebsites.net", ".azurecontainerapps.io")),
    Edge("Azure Front Door", (".azurefd.net", ".azureedge.net")),
    Edge("ngrok", (".ngrok.app", ".ngrok.dev", ".ngrok.io", ".ngrok-free.app", ".ngrok-free.dev", ".ngrok-cname.com")),
    Edge(
        "Cloudflare", (".trycloudflare.com", ".cfargotunnel.com", ".workers.dev", ".pages.dev", ".cdn.cloudflare.net")
    ),
    Edge("ALB", (".elb.amazonaws.com", ".elb.amazonaws.com.cn")),
    Edge("CloudFront", (".cloudfront.net",)),
    Edge("API Gateway", (".execute-api.us-east-1.amazonaws.com",)),
    Edge("Fastly", (".fastly.net", ".fastlylb.net")),
    Edge("Akamai", (".edgekey.net", ".edgesuite.net", ".akamaiedge.net", ".akamai.net", ".akamaized.net")),
    Edge("Imperva", (".incapdns.net", ".impervadns.net")),
    Edge("DigitalOcean", (".ondigitalocean.app",)),
    Edge("Koyeb", (".koyeb.app",)),
    Edge("Hugging Face", (".hf.space",)),
    Edge("Vercel", (".vercel.app", ".vercel-dns.com"), websockets=False),
    Edge("Netlify", (".netlify.app", ".netlifyglobalcdn.com"), websockets=False),
    Edge("GitHub Pages", (".github.io",), websockets=False),
)

SLOW_TO_WAKE = {
    "Render": 60,
    "Hugging Face": 60,
    "Azure App Service": 60,
    "Koyeb": 30,
    "Heroku": 30,
    "Fly": 15,
    "Cloud Run": 30,
}
"""Seconds that a sleeping application of these hosts may take for its first answer."""

REFUSALS = (
    Refusal("ALB", (503,), r"503 Service Temporarily Unavailable", "app-down",
        "the target group has no healthy target",
        "aws elbv2 describe-target-health --target-group-arn ARN: register the task's port, and give the health check a "
        "path that answers 200."),
    Refusal("ALB", (502,), r"<center><h1>502 Bad Gateway", "app-down",
        "the target closed the connection or answered with something else than HTTP",
        "Read the target's log at this second; the target group's protocol must be the one that the application speaks "
        "(HTTP, not HTTPS)."),
    Refusal("ALB", (504,), r"<center><h1>504", "timeout",
        "the target did not answer",
        "Let the target's security group admit the balancer's, and look whether the application accepts connections."),
    Refusal("ALB", (464,), r"", "no-websocket",
        "the target group speaks HTTP/2 or gRPC, and the request was HTTP/1.1",
        "Create the target group with protocol version HTTP1: aws elbv2 create-target-group --protocol-version HTTP1."),
    Refusal("ALB", (403,), r"<center><h1>403 Forbidden", "blocked",
        "AWS WAF forbids the request",
        "Add a rule before the managed ones that allows the stream's path, or the carrier's addresses."),
    Refusal("CloudFront", (502,), r"CloudFront|Error from cloudfront", "app-down",
        "the origin cannot be connected to, or its certificate does not fit its name",
        "Compare the origin's port, protocol policy and certificate with its domain name in the distribution."),
    Refusal("CloudFront", (503,), r"CloudFront|Error from cloudfront", "app-down",
        "the origin is overloaded or down", "Read the origin's log at this second."),
    Refusal("CloudFront", (504,), r"CloudFront|Error from cloudfront", "timeout",
        "the origin did not answer within the origin response timeout",
        "Let the origin's firewall admit CloudFront (the managed prefix list), and look whether it answers at all."),
    Refusal("CloudFront", (403,), r"Request blocked|Error from cloudfront", "blocked",
        "CloudFront forbids the request: AWS WAF, a geographic restriction, or a host name that no distribution has",
        "Add the host to the distribution's alternate domain names, and let the WAF allow the stream's path."),
    Refusal("Cloudflare", (502, 504), r"error code: 50[24]|cf-error-details|<center>cloudflare|reach the origin "
        r"service", "app-down",
        "the origin or the tunnel's service does not answer",
        "With a tunnel: cloudflared tunnel info NAME, and the service in its ingress rules must be the application's "
        "address and port. Without: is the origin up, and does its firewall admit Cloudflare's ranges?"),
    Refusal("Cloudflare", (403,), r"error code: 10(06|07|08|09|10|20)\b|Access denied|you have been blocked", "blocked",
        "a firewall rule forbids the request",
        "Security, Events shows the rule; add a skip rule for the stream's path."),
    Refusal("Cloudflare", (429,), r"error code: 1015|rate limited", "limited",
        "a rate limiting rule counts the requests", "Exempt the stream's path from the rule."),
    Refusal("Fastly", (500,), r"unknown domain", "no-app",
        "no service has this domain", "Add the domain to the service and activate the version."),
    Refusal("Fastly", (503,), r"backend (fetch|read|write) (failed|error)|connection (refused|timed out|reset)|no healthy|"
        r"Backend .{0,40}unhealthy|hostname doesn't match|certificate", "app-down",
        "the backend cannot be reached", "Check the backend's address, port and TLS host name in the service."),
    Refusal("Fastly", (503, 504), r"first byte timeout|between bytes timeout", "timeout",
        "the backend did not answer in time", "Raise first_byte_timeout, or fix the backend."),
    Refusal("Fastly", (400, 403, 405, 501, 503), r"websocket", "no-websocket",
        "WebSockets are not enabled for the service", "Enable the WebSockets product, and call websocket_upgrade in VCL."),
    Refusal("Akamai", (502, 503, 504), r"Reference&#32;&#35;|Reference #\d|AkamaiGHost", "app-down",
        "the origin cannot be reached or did not answer", "Look up the reference number; check the origin's address."),
    Refusal("Akamai", (403,), r"Reference&#32;&#35;|Reference #\d", "blocked",
        "a rule denies access", "Look up the reference number; exempt the stream's path, and enable WebSockets."),
    Refusal("Google's load balancer", (502,), r"The server encountered a temporary error and could not complete",
        "app-down", "no backend is healthy, or it closed the connection",
        "gcloud compute backend-services get-health NAME; the health check's path must answer 200, and timeoutSec bounds "
        "a WebSocket's life."),
    Refusal("Google's load balancer", (404,), r"response 404 \(backend NotFound\)|default backend - 404", "no-app",
        "no rule of the URL map leads to a backend", "Add host and path to the URL map or Ingress."),
    Refusal("Cloud Run", (404,), r"The requested URL .{0,400}was not found on this server", "no-app",
        "no service has this host", "gcloud run services list; compare the host, and the region in it."),
    Refusal("Cloud Run", (403,), r"Your client does not have permission to get URL", "blocked",
        "the service requires authentication",
        "gcloud run services add-iam-policy-binding SERVICE --member=allUsers --role=roles/run.invoker"),
    Refusal("Cloud Run", (429,), r"Rate exceeded", "limited",
        "no instance was available: the maximum is reached", "Raise --max-instances, or the concurrency."),
    Refusal("Cloud Run", (500, 503), r"The service you requested is not available|server encountered an error and could "
        r"not complete|malformed response|Service Unavailable", "app-down",
        "the container does not start, crashed or does not listen on $PORT",
        "gcloud run services logs read SERVICE; bind 0.0.0.0:$PORT."),
    Refusal("Azure App Service", (403,), r"web app is stopped|Error 403 - This web app", "no-app",
        "the web app is stopped", "az webapp start --name APP --resource-group GROUP"),
    Refusal("Azure App Service", (404,), r"404 Web Site not found|Web app not found|Container App - Unavailable|"
        r"Azure Container App", "no-app",
        "no web app has this host, or it is stopped", "az webapp list --query '[].defaultHostName'"),
    Refusal("Azure App Service", (502, 503), r"Application Error|The service is unavailable|web server received an invalid "
        r"response|upstream connect error", "app-down",
        "the application does not start or does not answer on WEBSITES_PORT",
        "az webapp log tail --name APP; set WEBSITES_PORT to the port that it listens on."),
    Refusal("Azure Application Gateway", (502,), r"Microsoft-Azure-Application-Gateway", "app-down",
        "no backend is healthy", "az network application-gateway show-backend-health --name GATEWAY"),
    Refusal("Azure Application Gateway", (403,), r"Microsoft-Azure-Application-Gateway", "blocked",
        "the WAF forbids the request", "Exclude the stream's path in the WAF policy."),
    Refusal("Azure Front Door", (502, 503, 504), r"OriginConnection|OriginTimeout|Our services aren't available|"
        r"x-azure-externalerror", "app-down",
        "the origin cannot be reached", "Check the origin's host name, port and certificate in the origin group."),
    Refusal("DigitalOcean", (502, 503), r"via_upstream|App Platform failed to forward|no healthy upstream", "app-down",
        "the component does not answer on its http_port", "doctl apps logs APP; http_port must be the port it listens on."),
    Refusal("DigitalOcean", (504,), r"via_upstream|upstream request timeout", "timeout",
        "the component did not answer in time", "doctl apps logs APP"),
    Refusal("Vercel", (404,), r"DEPLOYMENT_NOT_FOUND|NOT_FOUND|The deployment could not be found", "no-app",
        "no deployment has this host", "Deploy it, or attach the domain. Vercel's functions take no WebSockets: serve the "
        "stream from a host that does."),
    Refusal("Vercel", (500, 502, 504), r"FUNCTION_INVOCATION|ROUTER_EXTERNAL_TARGET|x-vercel-error", "app-down",
        "the function fails", "vercel logs. Its functions take no WebSockets: serve the stream from a host that does."),
    Refusal("Netlify", (404,), r"Site not found|Not Found - Request ID|Page not found", "no-app",
        "no site or function has this path", "Its functions take no WebSockets: serve the stream from a host that does."),
    Refusal("Fly", (502, 503), r"", "app-down",
        "no machine answers on internal_port",
        "fly status; fly logs names PC01/PC02. Bind 0.0.0.0 and the internal_port of fly.toml."),
    Refusal("Render", (404,), r"no-server", "no-app",
        "no service has this host", "Attach the custom domain to the service, or correct the name."),
    Refusal("Render", (502, 503), r"suspend", "no-app", "the service is suspended", "Resume it in the dashboard."),
    Refusal("Render", (502, 503), r"x-render-routing", "app-down",
        "the service does not answer on $PORT", "Bind 0.0.0.0 and $PORT (10000 by default); read the service's log."),
    Refusal("Render", (429,), r"x-render-routing: .*rate", "limited", "the edge limits requests", "Wait, and ask less."),
    Refusal("Railway", (404,), r"Application not found|x-railway-fallback", "no-app",
        "no service has this host",
        "Attach the domain to the service; a custom domain needs its CNAME and its TXT record."),
    Refusal("Railway", (502, 503), r"Application failed to respond|x-railway-fallback", "app-down",
        "the application does not answer on the domain's target port",
        "Bind 0.0.0.0 and $PORT, and compare the domain's target port (Settings, Networking) with it."),
    Refusal("Heroku", (404,), r"no-such-app|There is no app|No such app", "no-app",
        "no app has this host", "heroku domains:add HOST, or correct the name."),
    Refusal("Heroku", (503,), r"application-error\.html|herokucdn|Application error", "app-down",
        "the dyno crashed, did not start or did not answer",
        "heroku logs shows H10 (crashed), H12 (timeout) or H20; bind 0.0.0.0:$PORT within 60 s of the start."),
    Refusal("ngrok", (404,), r"ERR_NGROK_(3200|6022|3208|3004)", "no-app",
        "the tunnel is not running", "Start it: ngrok http PORT, with the domain that the URL names."),
    Refusal("ngrok", (502, 503, 504), r"ERR_NGROK_(8012|3004|8011|3208|3801)", "app-down",
        "the agent cannot reach the local application", "Start the application on the port that the agent forwards to."),
    Refusal("ngrok", (429, 403), r"ERR_NGROK_(72\d|73\d|702|703|8009)", "limited",
        "the plan's limit is reached", "Wait, or raise the plan's limit."),
    Refusal("Imperva", (403, 503), r"Incapsula incident ID|_Incapsula_Resource", "blocked",
        "a rule forbids the request", "Look up the incident id; exempt the stream's path."),
    Refusal("Koyeb", (404,), r"No active service|koyeb", "no-app", "no service has this host", "koyeb services list"),
)  # fmt: skip


def edge_of_host(*names: str) -> Edge | None:
    """The edge that a host name or CNAME target belongs to. The last of a chain of names is the one connected to."""
    for name in reversed(names):
        text = "." + name.rstrip(".").lower()
        for edge in EDGES:
            if any(text.endswith(suffix if suffix.startswith(".") else f".{suffix}") for suffix in edge.suffixes):
                return edge
        if re.search(r"\.execute-api\.[a-z0-9-]+\.amazonaws\.com$", text):
            return next(edge for edge in EDGES if edge.name == "API Gateway")
    return None


def names_of(facts: Facts) -> tuple[str, ...]:
    """The URL's host and the CNAME targets that lead on from it."""
    url, dns = facts.get(UrlFacts), facts.get(DnsFacts)
    if url is None:
        return ()
    chain = next((query.chain for query in dns.queries if query.chain), ()) if dns is not None else ()
    return (url.host, *chain)


def refusal_by(edges: frozenset[str], exchange: Exchange) -> Refusal | None:
    """The edge's own page that this answer is; `edges` are those known to stand in the way."""
    if exchange.outcome != "answer":
        return None
    text = "\n".join(f"{name.lower()}: {value}" for name, value in exchange.headers) + "\n" + exchange.text
    for row in REFUSALS:
        if row.edge not in edges or exchange.status not in row.statuses:
            continue
        if re.search(row.pattern, text, re.IGNORECASE) if row.pattern else not exchange.body:
            return row
    return None
