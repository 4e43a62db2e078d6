"""HTTP003: a proxy cannot get an answer from the application."""

from callpath.doctor.answers import alike, any_variant_works, own_proxy_answer, refused, show
from callpath.doctor.edges import PROXIES, nobody_there, process_lines, said, show_row
from callpath.doctor.facts import EdgeFacts, Facts, TlsFacts, UpgradeFacts
from callpath.doctor.platform import author, recognise
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample import answer, failed, tls, upgrade
from callpath.doctor.rules.sample_edge import row, seen_at_edge
from callpath.doctor.rules.tcp.closed_on_accept import FORWARDER_MS

RETRIES_MS = 800.0
"""HAProxy tries a dead server again after a second; what it says sooner it knew before."""

DEAD_BACKEND_IS_503 = {"Apache", "HAProxy", "Envoy", "Varnish", "lighttpd", "Squid"}
"""nginx, Caddy and Traefik say 502 for a dead backend; their 503 is a rule's or the application's."""


def http_upstream_down(facts: Facts) -> Finding | None:
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
                question="What does HAProxy's log name as backend? `backend/<NOSRV>`: all its servers are down by "
                "their checks. `frontend/<NOSRV>`: no rule chose a backend for this path or host.",
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


def edge_proxy_down(facts: Facts) -> Finding | None:
    if facts[EdgeFacts].platform not in PROXIES:
        return None
    told = nobody_there(facts)
    if not told:
        return None
    return Finding(
        f"the proxy answered {told[0].status} itself: {', '.join(told[0].upstream_errors) or told[0].response_details}",
        (*(show_row(row) for row in told[:3]), *(said(line) for line in process_lines(facts, "listening")[-2:])),
    )


def tls_forwarder(facts: Facts) -> Finding | None:
    tls_facts = facts.get(TlsFacts)
    if UpgradeFacts not in facts and tls_facts is not None:
        carrier_tls = tls_facts.carrier
        if (
            carrier_tls.outcome in {"eof", "reset"}
            and carrier_tls.received == 0
            and carrier_tls.ms >= FORWARDER_MS
            and tls_facts.silent in {"eof", "reset"}
            and all(shape.outcome in {"eof", "reset", "timeout", "no-connection"} for shape in tls_facts.shapes)
        ):
            return Finding(
                f"the connection is held for {carrier_tls.ms / 1000:.1f} s and dropped without a byte",
                (f"ClientHello: {carrier_tls.outcome} after {carrier_tls.ms:.0f} ms",),
                confidence="medium",
            )
        return None
    carrier = refused(facts)
    if carrier is None or carrier.outcome not in {"eof", "reset"}:
        return None
    upgrade_facts = facts[UpgradeFacts]
    if any(exchange.outcome in {"answer", "malformed"} for exchange in upgrade_facts.shapes):
        return None
    if upgrade_facts.silent not in {"eof", "reset"}:
        return None
    if tls_facts is None and carrier.ms < FORWARDER_MS:
        return None
    what = (
        "TLS is done, then the connection is dropped"
        if tls_facts is not None
        else "the connection is held, then dropped"
    )
    return Finding(
        f"{what} without a byte of HTTP, even if we ask nothing",
        (show(carrier), f"silent connection: {upgrade_facts.silent}"),
        kind="open",
        confidence="low",
        candidates=("proxy-upstream-down", "proxy-protocol-expected", "ws-upgrade-closed"),
        question="Is the application up where the forwarder (stunnel, hitch, HAProxy in TCP mode) connects to? "
        "If it is: does one of the two send or expect a PROXY header, and the other not?",
    )


CAUSE = Cause(
    code="HTTP003",
    slug="proxy-upstream-down",
    title="The proxy cannot reach the application",
    owner="you",
    why="The proxy is up and its backend is not: not started, crashed, another port, another address (localhost "
    "against ::1), or TLS expected on one side only.",
    fix="Start the application, and compare its address, port and scheme (ss -ltnp) with the proxy's upstream; the "
    "proxy's error log names the reason.",
    signs=(
        Sign(
            "url",
            http_upstream_down,
            named={"nginx with a dead upstream": upgrade(answer(502, "<center>nginx</center>", Server="nginx"))},
            quiet={"a 503 of the application": upgrade(answer(503, "busy", Server="uvicorn"))},
        ),
        Sign(
            "edge",
            edge_proxy_down,
            code="EDGE021",
            why="The proxy took the upgrade, and nobody listens where its configuration sends this path: another "
            "port, another address (localhost against ::1), or a process that is down.",
            fix="Compare the upstream of this very location (nginx -T | grep proxy_pass) with the address that the "
            "application listens on (ss -ltnp).",
            named={
                "nginx with a dead upstream": seen_at_edge(
                    row("GET", 502, errors=("connect() failed (111: Connection refused)",)), platform="nginx"
                )
            },
            quiet={"a platform's edge": seen_at_edge(row("GET", 502, errors=("connection refused",)))},
        ),
        Sign(
            "url",
            tls_forwarder,
            code="TLS016",
            title="A forwarder answers, but the application behind it is not there",
            why="Something that forwards connections without reading them (stunnel, a TCP balancer, HAProxy in tcp "
            "mode, a tunnel) accepts, cannot reach its backend, and hangs up.",
            fix="Start the application, and compare its address and port (ss -ltnp) with the forwarder's backend "
            "(mind localhost against ::1).",
            named={
                "closed even in silence": Facts(
                    *upgrade(failed("eof"), failed("eof", shape="plain"), silent="eof"), *tls()
                )
            },
            quiet={"a server that waits for a request": upgrade(failed("eof"), silent="open")},
        ),
    ),
)
