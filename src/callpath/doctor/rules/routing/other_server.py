"""ROUTE003: Express answers the upgrade as a page it does not have."""

from callpath.doctor.answers import any_variant_works, between, refused, show, upgrade_ignored
from callpath.doctor.facts import Facts
from callpath.doctor.platform import author
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 404)
    if carrier is None or any_variant_works(facts) or author(carrier).name != "Express":
        return None
    if "Cannot GET" not in carrier.text or not upgrade_ignored(facts):
        return None
    proxies = between(facts)
    return Finding(
        "Express itself answers the upgrade with its 404 page: no WebSocket server is attached to this listener",
        (show(carrier),),
        confidence="medium" if proxies else "high",
    )


CAUSE = Cause.of(
    "url",
    check,
    code="ROUTE003",
    slug="node-ws-attached-to-other-server",
    title="No WebSocket server is attached to the listener that answers",
    owner="you",
    why="app.listen() creates a server of its own. A WebSocketServer given to another http.Server never sees an "
    "upgrade, and Express answers it as a page.",
    fix="const server = http.createServer(app);\nconst wss = new WebSocketServer({ server });\nserver.listen(PORT);  "
    " // not app.listen",
    named={
        "Cannot GET": upgrade(
            answer(404, "<pre>Cannot GET /x</pre>", X_Powered_By="Express"),
            answer(404, "<pre>Cannot GET /x</pre>", shape="plain", X_Powered_By="Express"),
        )
    },
    quiet={"another 404": upgrade(answer(404, "no"))},
)
