"""HTTP021: this server is not responsible for the host."""

from callpath.doctor.answers import refused, show
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 421)
    if carrier is None:
        return None
    return Finding("the server says that it is not responsible for this host", (show(carrier),))


CAUSE = Cause.of(
    "url",
    check,
    code="HTTP021",
    slug="misdirected-request-421",
    title="421 Misdirected Request",
    owner="you",
    why="The Host header and the name in the TLS handshake belong to different sites, or the host is not configured "
    "here.",
    fix="Add the host to this server's configuration; behind a proxy, pass the name on in SNI (nginx "
    "proxy_ssl_server_name on).",
    named={"421": upgrade(answer(421))},
    quiet={"404": upgrade(answer(404))},
)
