"""WS002: the application does not accept this Host."""

import re

from callpath.doctor.answers import refused, show, words_of, works
from callpath.doctor.facts import Facts, UrlFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade

_WORDS = re.compile(
    r"invalid host|host (header )?(is )?not allowed|disallowed ?host|blocked request\. this host"
    r"|allowedHosts|allowed_hosts|unknown host|bad host|host (mismatch|not (found|recognized|permitted))",
    re.IGNORECASE,
)


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts)
    if carrier is None or works(facts, "again"):
        return None
    if carrier.status == 421:
        return Finding(
            "421 Misdirected Request: the server says that it is not responsible for this host",
            (show(carrier),),
            fix="Add the host to this server's configuration; behind a proxy, pass the name on in SNI, too: nginx "
            "proxy_ssl_server_name on; proxy_ssl_name $host;",
        )
    if carrier.outcome == "answer" and _WORDS.search(words_of(carrier)):
        return Finding(f"the application refuses the host {facts[UrlFacts].authority}", (show(carrier),))
    better = works(facts, "host:localhost", "host:127.0.0.1")
    if better is not None:
        return Finding(
            f"with `Host: {better.shape.partition(':')[2]}` the same upgrade works, with "
            f"{facts[UrlFacts].authority} it does not",
            (show(carrier), show(better)),
        )
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="WS002",
    slug="ws-host-check",
    merged=("HTTP021", "misdirected-request-421"),
    title="The application does not accept the public host name",
    owner="you",
    why="ALLOWED_HOSTS, TrustedHostMiddleware, Vite's allowedHosts or a virtual host knows the inside name only, or "
    "the proxy passes on another Host than it got.",
    fix="Add the public host to the list, or pass the right one on: nginx proxy_set_header Host $host; Apache "
    "ProxyPreserveHost On.",
    named={"Starlette": upgrade(answer(400, "Invalid host header")), "421": upgrade(answer(421))},
    quiet={"another 400": upgrade(answer(400, "Bad Request"))},
)
