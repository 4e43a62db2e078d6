"""HTTP010: what answers cannot upgrade at all."""

from __future__ import annotations

from callpath.doctor.answers import any_variant_works, refused, show, upgrade_missed
from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.platform import recognise
from callpath.doctor.rule import Cause, Example, Finding, Sign
from callpath.doctor.rules.sample import answer, nothing, upgrade

_STATIC = {"Netlify", "GitHub Pages", "API Gateway", "CloudFront", "object storage"}


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 200, 400, 403, 404, 405, 426, 501, 502, 505)
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
    if names:
        return Finding(
            f"{names[0]} does not pass WebSockets to an application here", (show(carrier),), confidence="medium"
        )
    return None


CAUSE = Cause(
    code="HTTP010",
    slug="platform-no-websocket",
    title="What stands behind this URL cannot do WebSockets",
    layer="http",
    owner="platform",
    why="Static hosting, short-lived functions and API gateways in HTTP mode answer requests and cannot keep a connection.",
    fix="Run the stream's endpoint as a long-lived process: any container or VM service (Railway, Render, Fly, Cloud "
    "Run, ECS).",
    signs=(
        Sign(
            "url",
            check,
            examples=(
                Example("functions", upgrade(answer(404, "", Server="Netlify")), fires=True),
                Example("Railway", upgrade(answer(404, "no such call", Server="railway-edge")), fires=False),
                Example("nothing was tried", nothing(), fires=None),
            ),
        ),
    ),
)
