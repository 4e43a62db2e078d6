"""ROUTE006: the application itself says that it knows no such path."""

from __future__ import annotations

from callpath.doctor.answers import any_variant_works, between, refused, show, upgrade_ignored, upgrade_missed
from callpath.doctor.facts import Facts, UpgradeFacts, UrlFacts
from callpath.doctor.platform import author
from callpath.doctor.rule import Example, Finding, Rule
from callpath.doctor.rules.sample import answer, nothing, upgrade

_HTTP_ONLY = {"WSGI server", "gunicorn", "Flask", "PHP", "Python http.server", "Express", "uvicorn", "Hypercorn"}


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 404)
    if carrier is None or any_variant_works(facts) or upgrade_missed(carrier):
        return None
    who = author(carrier)
    if who.kind in {"proxy", "edge"} or who.name in _HTTP_ONLY:
        return None
    plain = facts[UpgradeFacts].shape("plain")
    answers_upgrades = plain is not None and plain.outcome == "answer" and not upgrade_ignored(facts)
    path = facts[UrlFacts].path
    if answers_upgrades:
        return Finding(
            f"the WebSocket server itself (a plain GET is answered otherwise) knows no {path}",
            (show(carrier), show(plain) if plain else ""),
        )
    if between(facts):
        return None
    if carrier.text.strip() == "404 page not found":
        return Finding(
            "`404 page not found` is what a Go program says, and what Traefik says where no router matches",
            (show(carrier),),
            kind="open",
            confidence="low",
            candidates=("proxy-location-missing", "url-path-mismatch"),
            question="Does the request show in the application's log? If not, Traefik has no router for this host and "
            "path.",
        )
    return Finding(f"{who.name or 'the application'} knows no {path}", (show(carrier),), confidence="medium")


RULE = Rule(
    code="ROUTE006",
    slug="url-path-mismatch",
    title="The application has no such path",
    layer="routing",
    owner="you",
    why="The request came through to the application, which has no route of this spelling: another prefix, name or case.",
    fix="Compare the path with the application's route table; use one constant for both.",
    masked_by=("URL003", "URL006", "HTTP001", "HTTP009", "APP001", "SOCKETIO001"),
    check=check,
    examples=(
        Example(
            "the WebSocket server says 404",
            upgrade(answer(404, "Not Found"), answer(426, "Upgrade Required", shape="plain")),
            fires=True,
        ),
        Example("nginx's own page", upgrade(answer(404, "<center>nginx</center>")), fires=False),
        Example("nothing was tried", nothing(), fires=None),
    ),
)
