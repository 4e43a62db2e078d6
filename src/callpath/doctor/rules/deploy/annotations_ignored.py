"""DEPLOY013: annotations of another ingress controller."""

from callpath.doctor.facts import DeployFacts, DeployPlan, Facts
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample_deploy import ingress, plans

PREFIXES = {
    "gce": ("ingress.gcp.kubernetes.io/", "cloud.google.com/", "networking.gke.io/"),
    "traefik": ("traefik.ingress.kubernetes.io/", "ingress.kubernetes.io/"),
    "alb": ("alb.ingress.kubernetes.io/",),
    "haproxy": ("haproxy.org/", "haproxy-ingress.github.io/", "haproxy.com/"),
    "nginx": ("nginx.ingress.kubernetes.io/", "nginx.org/", "nginx.com/"),
    "kong": ("konghq.com/",),
}
"""By the beginning of the class's name: the annotations that its controller reads."""


def check(facts: Facts) -> Finding | None:
    for found in facts[DeployFacts].on("Ingress"):
        deaf = _of_others(found)
        if deaf:
            return Finding(
                f"{found.file}: the ingress is of class {found.ingress_class}, whose controller does not read "
                f"{', '.join(deaf[:3])}",
                tuple(deaf),
                kind="note",
            )
    return None


def _of_others(found: DeployPlan) -> list[str]:
    mine = next((kind for kind in PREFIXES if found.ingress_class.lower().startswith(kind)), None)
    others = [prefix for kind, prefixes in PREFIXES.items() if kind != mine for prefix in prefixes]
    if mine is None:
        return []
    return [name for name, _ in found.annotations if name.startswith(tuple(others))]


CAUSE = Cause.of(
    "files",
    check,
    code="DEPLOY013",
    slug="ingress-annotations-ignored",
    title="Annotations of another ingress controller have no effect",
    owner="you",
    why="Each controller reads annotations with its own prefix and ignores the rest: timeouts and upgrade settings "
    "that were copied from another controller do nothing, without any message.",
    fix="Use the annotations of the controller that the class names (kubectl get ingressclass), or change the class.",
    named={"nginx's on Traefik": plans(ingress("traefik", ("nginx.ingress.kubernetes.io/proxy-read-timeout", "3600")))},
    quiet={
        "nginx's on nginx": plans(ingress("nginx", ("nginx.ingress.kubernetes.io/proxy-read-timeout", "3600"))),
        "a class that is not known": plans(ingress("internal", ("nginx.org/x", "1"))),
    },
)
