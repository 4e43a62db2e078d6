"""HTTP003: a proxy cannot get an answer from the application."""

from __future__ import annotations

from callpath.doctor.answers import alike, any_variant_works, own_proxy_answer, refused, show
from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.platform import author, recognise
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import answer, nothing, upgrade

RETRIES_MS = 800.0
"""HAProxy tries a dead server again after a second; what it says sooner it knew before."""
DEAD_BACKEND_IS_503 = {"Apache", "HAProxy", "Envoy", "Varnish", "lighttpd", "Squid"}
"""nginx, Caddy and Traefik say 502 for a dead backend; their 503 is a rule's or the application's."""


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 502, 503)
    if carrier is None or any_variant_works(facts) or author(carrier).kind == "edge":
        return None
    upgrade_facts = facts[UpgradeFacts]
    plain = upgrade_facts.shape("plain")
    proxy = own_proxy_answer(carrier)
    if carrier.status == 503:
        if proxy not in DEAD_BACKEND_IS_503:
            return None
        if plain is not None and plain.outcome == "answer" and plain.status < 500:
            return None
        if proxy == "HAProxy" and carrier.ms < RETRIES_MS:
            return Finding(
                "HAProxy answers at once that it has no server for this request",
                (show(carrier), f"after {carrier.ms:.0f} ms"),
                kind="open",
                confidence="medium",
                candidates=("proxy-upstream-down", "proxy-location-missing"),
                question="What does HAProxy's log name as backend? `backend/<NOSRV>`: all its servers are down by their "
                "checks. `frontend/<NOSRV>`: no rule chose a backend for this path or host.",
            )
        return Finding(f"{proxy} has no application to pass the request to", (show(carrier),))
    if (
        plain is not None
        and plain.outcome == "answer"
        and not alike(plain, carrier)
        and plain.status not in {500, 502, 503, 504}
    ):
        return None  # only the upgrade breaks: HTTP004
    name = proxy or next((trace.name for trace in recognise(carrier) if trace.kind == "proxy"), "a proxy")
    return Finding(f"{name} could not get an answer from the application", (show(carrier),))


RULE = Rule(
    code="HTTP003",
    slug="proxy-upstream-down",
    title="The proxy cannot reach the application",
    layer="http",
    owner="you",
    why="The proxy is up and its backend is not: not started, crashed, another port, another address (localhost against "
    "::1), or TLS expected on one side only.",
    fix="Start the application, and compare its address, port and scheme with the proxy's upstream; the proxy's "
    "error log names the reason.",
    masked_by=("URL003", "HTTP002", "HTTP011"),
    check=check,
    examples=(
        Example(
            "nginx with a dead upstream", upgrade(answer(502, "<center>nginx</center>", Server="nginx")), fires=True
        ),
        Example("a 503 of the application", upgrade(answer(503, "busy", Server="uvicorn")), fires=False),
        Example("nothing was tried", nothing(), fires=None),
    ),
)
