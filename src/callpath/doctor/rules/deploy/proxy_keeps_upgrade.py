"""DEPLOY010: an nginx file that passes requests on, but not upgrades."""

import re

from callpath.doctor.facts import DeployFacts, Facts
from callpath.doctor.rule import Cause, Finding, Sign
from callpath.doctor.rules.sample_deploy import ingress, plan, plans

WANTED = (
    ("proxy_http_version 1.1", r"proxy_http_version\s+1\.1"),
    ("proxy_set_header Upgrade $http_upgrade", r"proxy_set_header\s+Upgrade\s+\S*\$http_upgrade"),
    ("proxy_set_header Connection …", r"proxy_set_header\s+Connection\s+[\"']?(upgrade|\$\w+)"),
)


def check(facts: Facts) -> Finding | None:
    for found in facts[DeployFacts].on("nginx"):
        lacking = [[what for what, pattern in WANTED if not re.search(pattern, block, re.I)] for block in found.proxied]
        if lacking and all(lacking):  # a location of its own may serve the audio
            fewest = min(lacking, key=len)
            return Finding(
                f"{found.file} passes requests on without {' and '.join(fewest)}",
                tuple(f"missing: {line}" for line in fewest),
            )
    return None


def check_ingress(facts: Facts) -> Finding | None:
    """NGINX Inc's controller passes upgrades only for the services that its annotation names."""
    for found in facts[DeployFacts].on("Ingress"):
        told = dict(found.annotations)
        if not any(name.startswith(("nginx.org/", "nginx.com/")) for name in told):
            continue
        named = {one.strip() for one in told.get("nginx.org/websocket-services", "").split(",")}
        lacking = [service for service in found.services if service not in named]
        if not lacking:
            continue
        wanted = ",".join(found.services)
        return Finding(
            f"{found.file}: nginx.org/websocket-services does not name {', '.join(lacking)}, so NGINX's ingress "
            "controller passes no upgrade to it",
            (f"nginx.org/websocket-services: {told.get('nginx.org/websocket-services', '(not set)')}",
             f"services of this ingress: {', '.join(found.services)}"),
            fix=f'In the ingress\'s metadata.annotations: nginx.org/websocket-services: "{wanted}"',
        )  # fmt: skip
    return None


CAUSE = Cause(
    code="DEPLOY010",
    slug="proxy-keeps-upgrade",
    title="The proxy in front does not pass upgrades on",
    owner="you",
    why="nginx speaks HTTP/1.0 to what is behind it and drops the Upgrade header, unless told otherwise: the server "
    "sees an ordinary GET.",
    fix="In the location that passes requests on: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
    'proxy_set_header Connection "upgrade"; proxy_read_timeout 120s;',
    signs=(
        Sign(
            "files",
            check,
            named={"nginx's defaults": plans(plan("nginx", proxied=("proxy_pass http://app;",)))},
            quiet={
                "all three lines": plans(
                    plan(
                        "nginx",
                        proxied=(
                            "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
                            "proxy_set_header Connection $connection_upgrade;",
                        ),
                    )
                )
            },
        ),
        Sign(
            "files",
            check_ingress,
            why="NGINX Inc's ingress controller (annotations nginx.org/…) treats a service as plain HTTP unless "
            "nginx.org/websocket-services names it. The community's controller (nginx.ingress.kubernetes.io/…) passes "
            "upgrades by itself.",
            named={
                "another service is named": plans(
                    ingress("nginx", ("nginx.org/websocket-services", "old"), services=("bot",))
                )
            },
            quiet={
                "the service is named": plans(
                    ingress("nginx", ("nginx.org/websocket-services", "bot,web"), services=("bot",))
                ),
                "the community's controller": plans(ingress("nginx", services=("bot",))),
            },
        ),
    ),
)
