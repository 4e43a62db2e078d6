"""HTTP018: the proxy itself fails."""

from callpath.doctor.answers import any_variant_works, own_proxy_answer, refused, show
from callpath.doctor.facts import Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 500)
    if carrier is None or any_variant_works(facts):
        return None
    proxy = own_proxy_answer(carrier)
    if not proxy or proxy == "HAProxy":  # its 500 is mostly a tarpit, set on purpose
        return None
    return Finding(f"{proxy} answers 500 with its own page: its configuration fails for this request", (show(carrier),))


CAUSE = Cause.of(
    "url",
    check,
    code="HTTP018",
    slug="proxy-internal-error-500",
    title="The proxy fails by itself",
    owner="you",
    why="An internal redirect that never ends, an auth_request that answers neither 2xx, 401 nor 403, a missing file "
    "or module: the request did not get as far as the application.",
    fix="The proxy's error log names the directive.",
    named={"a rewrite loop": upgrade(answer(500, "<center>nginx</center>", Server="nginx"))},
    quiet={"the application's 500": upgrade(answer(500, "oops"))},
)
