"""HTTP020: the proxy speaks plain HTTP to a backend that wants TLS."""

import re

from callpath.doctor.answers import refused, show
from callpath.doctor.facts import Facts, UrlFacts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade

_WANTS_TLS = re.compile(
    r"plain HTTP request was sent to HTTPS port|HTTP request to an HTTPS server|plain HTTP to an SSL-enabled",
    re.IGNORECASE,
)


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 400)
    if carrier is None or not facts[UrlFacts].secure or not _WANTS_TLS.search(carrier.text):
        return None
    return Finding("our request came over TLS, yet the backend complains about plain HTTP", (show(carrier),))


CAUSE = Cause.of(
    "url",
    check,
    code="HTTP020",
    slug="proxy-upstream-scheme-wrong",
    title="The proxy speaks plain HTTP to a TLS backend",
    owner="you",
    why="TLS ends at the proxy, which passes the request on in the clear to a port that expects TLS.",
    fix="Use https:// (or ssl in HAProxy's server line) towards that backend, or its plain port.",
    named={"a TLS backend": upgrade(answer(400, "The plain HTTP request was sent to HTTPS port"))},
    quiet={"another 400": upgrade(answer(400))},
)
