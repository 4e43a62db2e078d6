"""HTTP002: the proxy itself has no route for this path."""

from callpath.doctor.answers import other_path_that_works, own_proxy_answer, refused, show
from callpath.doctor.facts import Facts
from callpath.doctor.platform import author
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import NGINX_404, answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 200, 204, 404)
    if carrier is None:
        return None
    proxy = own_proxy_answer(carrier) or ("ALB" if author(carrier).name == "ALB" else "")
    if not proxy:
        return None
    other = other_path_that_works(facts)
    evidence = (show(carrier), *((show(other),) if other else ()))
    if carrier.status == 404:
        return Finding(
            f"{proxy} itself answers 404 for {carrier.target.split('?')[0]}; the application was not asked", evidence
        )
    if carrier.status in {200, 204} and proxy == "Caddy" and not carrier.body:
        return Finding(
            "Caddy answers with an empty page, as it does where no route matches", evidence, confidence="medium"
        )
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="HTTP002",
    slug="proxy-location-missing",
    title="The proxy has no route for this path",
    owner="you",
    why="The proxy answers with its own page, so the request never came to the application: no location, path rule or "
    "backend matches this path (or this host).",
    fix="Add the route: nginx `location /api/calls/ { proxy_pass http://app; ... }`, Caddy `reverse_proxy "
    "/api/calls/* app:port`, HAProxy a use_backend rule or default_backend, an ingress path.",
    named={"nginx's own 404": upgrade(answer(404, NGINX_404, Server="nginx"))},
    quiet={"the application's 404 through nginx": upgrade(answer(404, "no such call", Server="nginx"))},
)
