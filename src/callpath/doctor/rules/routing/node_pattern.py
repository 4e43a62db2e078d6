"""ROUTE002: Node's ws compares `path` literally, and a pattern was given."""

from callpath.doctor.answers import any_variant_works, other_path_that_works, pattern_that_works, refused, show
from callpath.doctor.facts import Facts, UpgradeFacts
from callpath.doctor.platform import is_node_ws
from callpath.doctor.rule import Cause, Finding
from callpath.doctor.rules.sample import answer, upgrade


def check(facts: Facts) -> Finding | None:
    carrier = refused(facts, 400)
    if carrier is None:
        return None
    literal = pattern_that_works(facts)
    if literal is not None:
        return Finding(
            f"the server upgrades the literal text {literal.target}: a pattern is compared as it stands",
            (show(carrier), show(literal)),
        )
    if other_path_that_works(facts) is not None or any_variant_works(facts):
        return None
    if not is_node_ws(carrier) or carrier.text.strip() != "Bad Request":
        return None
    made_up = facts[UpgradeFacts].shape("made-up-path")
    if made_up is not None and not is_node_ws(made_up):
        return None
    return Finding(
        "Node's ws refuses this path: its `path` option is another exact text",
        (show(carrier),),
        confidence="medium",
        kind="open",
        candidates=("node-ws-path-pattern", "url-path-mismatch"),
        question="What stands in `path:` of new WebSocketServer? A colon or star there makes it a pattern taken "
        "literally; if not, the URL and the server name two paths.",
    )


CAUSE = Cause.of(
    "url",
    check,
    code="ROUTE002",
    slug="node-ws-path-pattern",
    title="The Node ws server's `path` does not match: it is an exact string",
    owner="you",
    why="new WebSocketServer({ server, path: '/api/calls/:id/audio' }) upgrades only that very text, colon and all. "
    "Every real call gets 400, and ws emits no event, so that the log stays empty.",
    fix="const wss = new WebSocketServer({ noServer: true });\n"
    "server.on('upgrade', (req, socket, head) => {\n"
    "  const m = /^\\/api\\/calls\\/([^/]+)\\/audio$/.exec(new URL(req.url, 'http://x').pathname);\n"
    "  if (!m) return socket.end('HTTP/1.1 404 Not Found\\r\\n\\r\\n');\n"
    "  wss.handleUpgrade(req, socket, head, ws => wss.emit('connection', ws, req, m[1]));\n});",
    named={
        "a pattern answers": upgrade(answer(400), answer(101, shape="pattern:/api/calls/:id/audio")),
        "ws says Bad Request": upgrade(answer(400, "Bad Request", Content_Type="text/html")),
    },
    quiet={"another 400": upgrade(answer(400, "Invalid host header"))},
)
