"""URL008: the port of the URL is closed, while the usual one serves."""

from callpath.doctor.calls import compared
from callpath.doctor.facts import Facts, ServedFacts, TcpAttempt, TcpFacts, UrlFacts
from callpath.doctor.rule import Cause, Finding, Seen, Sign
from callpath.doctor.rules.sample import tcp
from callpath.doctor.rules.sample_call import ACCEPTED, ANSWERED, HOST, SESSION, TAKEN, a_call, asking, hung_up


def url_port(facts: Facts) -> Finding | None:
    connections = facts[TcpFacts]
    given = facts[UrlFacts]
    if connections.open:
        return None
    usual = [attempt for attempt in connections.usual_port if attempt.outcome == "open"]
    if not usual or (given.secure and not connections.usual_port_speaks_tls):
        return None
    outcomes = ", ".join(f"{a.address}:{a.port} {a.outcome}" for a in connections.attempts)
    return Finding(
        f"port {given.port} takes no connection, port {usual[0].port} on the same address does",
        (
            Seen(outcomes, f"port {given.port}"),
            Seen(
                f"{usual[0].address}:{usual[0].port} open" + (" and speaks TLS" if given.secure else ""),
                f"port {usual[0].port}",
            ),
        ),
        fix=f"wss://{given.host}{given.target}",
    )


def call_port(facts: Facts) -> Finding | None:
    urls = compared(facts)
    if urls is None or urls.sent.port == urls.served.port or urls.sent.scheme != urls.served.scheme:
        return None
    served = facts[ServedFacts]
    inside = " (that is what the process listens on inside)" if urls.sent.port == served.port else ""
    return Finding(
        f"the stream was asked for at port {urls.sent.port}{inside}, the world reaches this server at {urls.served.port}",
        urls.lines,
    )


CAUSE = Cause(
    code="URL008",
    slug="url-port-mismatch",
    title="The URL names a port that is not published",
    owner="you",
    why="Platforms publish 443 only; the port that the application listens on (3000, 8080) exists inside. With it in "
    "the URL the connection ends at the edge or in a firewall.",
    fix="Leave the port out of the public URL.",
    signs=(
        Sign(
            "url",
            url_port,
            named={
                "443 answers": tcp(
                    "timeout", usual_port=(TcpAttempt("203.0.113.1", 443, "open", 9.0),), usual_port_speaks_tls=True
                )
            },
            quiet={"nothing answers": tcp("timeout")},
        ),
        Sign(
            "call",
            call_port,
            code="CALL028",
            title="The stream URL's port is not the public port",
            why="Platforms publish 443 only, whatever the process listens on behind them.",
            fix="Leave the port out of PUBLIC_URL and of the stream URL.",
            named={
                "the inner port": a_call(
                    ANSWERED, asking(f"wss://{HOST}:8000/api/calls/{SESSION}/audio"), TAKEN, (20_000, hung_up())
                )
            },
            quiet={"no port": a_call(ACCEPTED, (20_000, hung_up()))},
        ),
    ),
)
