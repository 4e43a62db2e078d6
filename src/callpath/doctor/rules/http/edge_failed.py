"""HTTP008: the platform's edge cannot reach the application."""

import re

from callpath.doctor.answers import alike, any_variant_works, edge_refusal, refused, show, words_of
from callpath.doctor.edges import PROXIES, nobody_there, process_lines, said, show_row
from callpath.doctor.facts import EdgeFacts, FactMissing, Facts, PlatformFacts, UpgradeFacts
from callpath.doctor.platform import author, recognise
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample import answer, upgrade
from callpath.doctor.rules.sample_account import domain, platform
from callpath.doctor.rules.sample_edge import row, seen_at_edge


def http_edge_failed(facts: Facts) -> Finding | None:
    carrier = refused(facts, 464, *range(500, 600))
    if carrier is None or any_variant_works(facts):
        return None
    row = edge_refusal(facts, "app-down")
    if row is not None:
        return Finding(f"{row.edge}: {row.summary}", (show(carrier),), fix=row.fix)
    if carrier.status not in {502, 503} or author(carrier).kind == "app":
        return None
    who = author(carrier)
    edge = who.name if who.kind == "edge" else next((t.name for t in recognise(carrier) if t.kind == "edge"), "")
    made_up = facts[UpgradeFacts].shape("made-up-path")
    everywhere = alike(carrier, made_up)
    if not edge or edge == "Cloudflare" or (made_up is not None and not everywhere):
        return None
    if carrier.status == 503 and not re.search(
        r"fail|respond|application|unavailable|upstream|error", words_of(carrier), re.IGNORECASE
    ):
        return None
    return Finding(
        f"{edge} could not reach the application",
        (show(carrier), *((show(made_up),) if made_up is not None and everywhere else ())),
        confidence="medium",
    )


def platform_target_port(facts: Facts) -> Finding | None:
    seen = facts[PlatformFacts]
    if seen.domains is None or seen.listening_port is None:
        raise FactMissing(PlatformFacts)
    routed = [row for row in seen.domains if row.target_port is not None]
    # What other names of the service are routed to says nothing about calls, where ours is among them.
    routed = [row for row in routed if row.domain == seen.public_host] or routed
    wrong = [row for row in routed if row.target_port != seen.listening_port]
    if not wrong:
        return None
    told = (f"the deployment's log says: {seen.listening_line}",) if seen.listening_line else ()
    return Finding(
        f"{seen.platform} sends what comes for {wrong[0].domain} to port {wrong[0].target_port}, the server listens "
        f"on {seen.listening_port}",
        (*(f"{row.domain}: target port {row.target_port}" for row in wrong), *told),
        confidence="medium" if told else "high",
        fix=f"Set the target port of {wrong[0].domain} to {seen.listening_port} (Settings, Networking), or set the "
        f"variable PORT={wrong[0].target_port} and deploy again.",
    )


def edge_app_unreached(facts: Facts) -> Finding | None:
    if facts[EdgeFacts].platform in PROXIES:
        return None
    told = nobody_there(facts)
    if not told:
        return None
    listening = process_lines(facts, "listening")
    alone = [line for line in listening if re.search(r"127\.0\.0\.1|localhost|\[?::1\]?", line.text)]
    everywhere = [line for line in listening if re.search(r"0\.0\.0\.0|\[::\]", line.text)]
    tried = told[0].upstream_address.rpartition(":")[2]
    ports = {
        port for line in listening for port in re.findall(r"(?:\bport\D{0,3}|:)(\d{2,5})\b", line.text, re.IGNORECASE)
    }
    fix = ""
    if alone and not everywhere:
        fix = "The application listens on 127.0.0.1 only: bind 0.0.0.0 (or ::)."
    elif tried.isdigit() and ports and tried not in ports:
        fix = (
            f"The edge tried port {tried}, the application listens on {', '.join(sorted(ports))}: set the domain's "
            "target port, or use $PORT."
        )
    return Finding(
        f"the edge answered {told[0].status} itself: {', '.join(told[0].upstream_errors) or told[0].response_details}",
        (*(show_row(row) for row in told[:3]), *(said(line) for line in listening[-2:])),
        fix=fix,
    )


CAUSE = Cause(
    code="HTTP008",
    slug="edge-app-failed-to-respond",
    title="The platform cannot reach the application",
    owner="you",
    why="The edge is up, the application behind it does not answer: it listens on another port or only on 127.0.0.1, "
    "the domain's target port is stale, or it crashed.",
    fix="Bind 0.0.0.0 and $PORT, check the target port, read the deployment's log.",
    signs=(
        Sign(
            "url",
            http_edge_failed,
            named={
                "Railway's 502": upgrade(
                    answer(
                        502,
                        '{"status":"error","code":502,"message":"Application failed to respond"}',
                        x_railway_fallback="true",
                    )
                ),
                "ALB has no healthy target": upgrade(
                    answer(
                        503,
                        "<html><body><center><h1>503 Service Temporarily Unavailable</h1></center></body></html>",
                        Server="awselb/2.0",
                    )
                ),
                "a tunnel of Cloudflare's without its service": upgrade(
                    answer(502, "error code: 502", Server="cloudflare", CF_RAY="1")
                ),
            },
            quiet={
                "the application's own 503 behind Cloudflare": upgrade(
                    answer(503, '{"error":"warming up"}', Server="cloudflare", CF_RAY="1")
                ),
                "nginx's 502": upgrade(answer(502, "<center>nginx</center>")),
            },
        ),
        Sign(
            "account",
            platform_target_port,
            code="PLATFORM001",
            title="Target port does not match the port that the program listens on",
            why="Railway keeps a target port for each domain. A stale one gives 502 on every path, while the program "
            "is healthy.",
            fix="Listen on $PORT, or set the domain's target port (Settings, Networking) to the port that the server "
            "listens on.",
            named={"3000, and the server listens on 8080": platform(domain(target_port=3000))},
            quiet={
                "the same port": platform(),
                "the platform finds the port itself": platform(domain(target_port=None)),
                "another name of the service": platform(domain(), domain("x.up.railway.app", target_port=1)),
            },
            unchecked={"our port is not known": platform(listening_port=None)},
        ),
        Sign(
            "edge",
            edge_app_unreached,
            code="EDGE004",
            title="The platform's edge could not reach the application",
            why="The edge is up and has taken the request; connecting to the application was refused: it listens on "
            "another port than the domain's target port, or on 127.0.0.1 only, or it is down.",
            fix="Listen on 0.0.0.0 and the port in $PORT, compare the domain's target port with it, and look whether "
            "the process is up.",
            named={
                "connection refused": seen_at_edge(row("GET", 502, errors=("connection refused",))),
                "webhooks are refused, too": seen_at_edge(row("POST", 502, errors=("connection refused",))),
            },
            quiet={"the application said 404": seen_at_edge(row("GET", 404))},
        ),
    ),
)
