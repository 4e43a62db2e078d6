"""HTTP010: what answers cannot upgrade at all."""

import re

from callpath.doctor.answers import any_variant_works, edge_refusal, edges, refused, show, upgrade_missed
from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.platform import recognise
from callpath.doctor.refusals import edge_of_host, names_of
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade

_STATIC = {"Netlify", "GitHub Pages", "object storage"}
_OF_API_GATEWAY = re.compile(
    r'^\{"message":\s*"(Not Found|Forbidden|Missing Authentication Token|Internal server error)"\}$'
)
"""What API Gateway says itself: an HTTP or REST API passes no upgrade on."""


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 200, 400, 403, 404, 405, 426, 464, 500, 501, 502, 503, 505)
    if carrier is None or any_variant_works(facts):
        return None
    names = [trace.name for trace in recognise(carrier) if trace.name in _STATIC]
    made_up = facts[UpgradeFacts].shape("made-up-path")
    if (
        carrier.status in {501, 505}
        and not upgrade_missed(carrier)
        and (made_up is None or made_up.status == carrier.status)
    ):
        return Finding("the server says that it does not implement the upgrade", (show(carrier),), confidence="medium")
    row = edge_refusal(facts, "no-websocket")
    if row is not None:
        return Finding(f"{row.edge}: {row.summary}", (show(carrier),), fix=row.fix)
    if "API Gateway" in edges(facts) and _OF_API_GATEWAY.match(carrier.text.strip()):
        return Finding("API Gateway answers itself: an HTTP or REST API passes no WebSocket on", (show(carrier),))
    by_name = edge_of_host(*names_of(facts))
    if by_name is not None and not by_name.websockets:
        names.append(by_name.name)
    if names:
        return Finding(
            f"{names[0]} does not pass WebSockets to an application here", (show(carrier),), confidence="medium"
        )
    return None


CAUSE = Cause.of(
    "url",
    check,
    code="HTTP010",
    slug="platform-no-websocket",
    title="This host does not support WebSockets",
    owner="platform",
    why="Static hosting, short-lived functions and API gateways in HTTP mode answer requests and cannot keep a "
    "connection.",
    fix="Run the stream's endpoint as a long-lived process: any container or VM service (Railway, Render, Fly, Cloud "
    "Run, ECS).",
    named={"functions": upgrade(answer(404, "", Server="Netlify"))},
    quiet={"Railway": upgrade(answer(404, "no such call", Server="railway-edge"))},
)
