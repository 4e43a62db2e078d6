"""ROUTE004: a Fastify WebSocket route runs as an ordinary one."""

import re

from callpath.doctor.answers import any_variant_works, between, refused, show, upgrade_ignored
from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.platform import author
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade

_TYPE_ERROR = re.compile(r'"message"\s*:\s*"[^"]*(is not a function|Cannot read propert|undefined)', re.IGNORECASE)


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 200, 404, 500)
    if carrier is None or any_variant_works(facts) or between(facts):
        return None
    upgrade_facts = facts[UpgradeFacts]
    seen = (carrier, *upgrade_facts.shapes)
    fastify = any(author(exchange).name == "Fastify" for exchange in seen)
    shaped = '"statusCode":500' in carrier.text
    if not (fastify or shaped) or not upgrade_ignored(facts):
        return None
    if author(carrier).name == "Fastify":
        return None  # "Route GET:... not found": there is no such route at all
    if carrier.status == 500 and not (shaped and _TYPE_ERROR.search(carrier.text)):
        return None
    return Finding("Fastify runs the route's handler as for a plain GET", (show(carrier),))


CAUSE = Cause.of(
    "url",
    check,
    code="ROUTE004",
    slug="fastify-websocket-plugin-order",
    title="@fastify/websocket was registered after the route",
    owner="you",
    why="The plugin only catches routes that are declared after it, inside a plugin of their own. Declared earlier, "
    "the handler runs as HTTP with a reply in the place of the socket.",
    fix="await app.register(websocket);\napp.register(async (app) => { app.get('/api/calls/:id/audio', { websocket: "
    "true }, (socket, req) => { ... }) });",
    named={
        "the handler ran as HTTP": upgrade(
            answer(200, "", Content_Type="application/json"),
            answer(200, "", shape="plain", Content_Type="application/json"),
            answer(404, '{"message":"Route GET:/x not found"}', shape="made-up-path"),
        )
    },
    quiet={"no such route": upgrade(answer(404, '{"message":"Route GET:/x not found"}'))},
)
