"""Section 7: the frameworks' own ways to lose an upgrade."""

from __future__ import annotations

from tests.lab.bench import Bench
from tests.lab.case import UNDECIDED, Cases, Target

CASES = Cases()
case = CASES.case


def node(name: str, *slugs: str, why: str, app: str, needs: str = "npm:ws") -> None:
    """Add a case on a Node application behind the plainest TLS terminator."""

    async def start(bench: Bench) -> Target:
        await bench.node(app, port=8080)
        await bench.tls_in_front()
        return bench.target()

    CASES.add(name, *slugs, why=why, start=start, needs=f"node haproxy {needs}")


node(
    "route-ws-path-pattern",
    "node-ws-path-pattern",
    UNDECIDED,
    why="`path: '/api/calls/:session/audio'` is taken literally by `ws`: 400.",
    app="ws-path-pattern",
)
node(
    "route-express-other-server",
    "node-ws-attached-to-other-server",
    why="app.listen() makes a second server; the sockets wait on the first: 404 `Cannot GET`.",
    app="express-other-server",
    needs="npm:express npm:ws",
)
node(
    "route-express-no-socket",
    "node-ws-attached-to-other-server",
    "app-has-no-websocket",
    "url-path-mismatch",
    UNDECIDED,
    why="An Express app without any WebSocket: from outside the same 404.",
    app="express-no-socket",
    needs="npm:express",
)
node(
    "route-express-426",
    "proxy-upgrade-headers-stripped",
    "node-ws-attached-to-other-server",
    "app-has-no-websocket",
    UNDECIDED,
    why="The HTTP route of that path answers 426 in place of the socket; nothing stripped the headers.",
    app="express-ws-late",
    needs="npm:express",
)
node(
    "route-fastify-order",
    "fastify-websocket-plugin-order",
    UNDECIDED,
    why="The plug-in is registered after the route: the handler runs as HTTP and answers JSON.",
    app="fastify-order",
    needs="npm:fastify npm:@fastify/websocket",
)
node(
    "route-fastify-signature",
    "fastify-websocket-handler-signature",
    "app-crash-on-connect",
    UNDECIDED,
    why="`connection.socket` is undefined since v10: 101, then the end.",
    app="fastify-signature",
    needs="npm:fastify npm:@fastify/websocket",
)
node(
    "route-ws-terminates",
    "app-crash-on-connect",
    "fastify-websocket-handler-signature",
    UNDECIDED,
    why="The connection handler throws and the socket is terminated without a close frame.",
    app="crash-on-connect",
)
node(
    "route-ws-process-dies",
    "app-crash-on-connect",
    "crash-loop-or-oom",
    "proxy-upstream-down",
    UNDECIDED,
    why="The exception takes the process down; the proxy then closes at once.",
    app="process-dies",
)
node("route-ws-500", "app-crash-on-connect", why="500 before the socket opens.", app="error-500")
node(
    "route-socketio-only",
    "socketio-not-websocket",
    "url-path-mismatch",
    "http-no-answer",
    "ws-upgrade-closed",
    "platform-no-websocket",
    UNDECIDED,
    why="Socket.IO listens on /socket.io/ only, and ends other upgrades after a second.",
    app="socketio-only",
    needs="npm:socket.io",
)
node(
    "route-socketio-at-path",
    "socketio-not-websocket",
    UNDECIDED,
    why="Socket.IO on the carrier's path: 400 with its own JSON, since the query lacks EIO and transport.",
    app="socketio-at-path",
    needs="npm:socket.io",
)


@case(
    "socketio-not-websocket",
    "outbound-envelope-wrong",
    UNDECIDED,
    why="Socket.IO with its query in the URL: 101, then its own packets.",
    needs="node npm:socket.io haproxy",
)
async def route_socketio_spoken(bench: Bench) -> Target:
    await bench.node("socketio-at-path", port=8080)
    await bench.tls_in_front()
    return bench.target(path="/api/calls/test-connection/audio?EIO=4&transport=websocket")


@case("asgi-route-missing-403", "url-path-mismatch", why="Starlette's 403 to an unknown path: not a firewall.")
async def route_starlette_missing(bench: Bench) -> Target:
    await bench.asgi_app("other-path")
    return bench.target(path="/api/media/test-connection")


@case(
    "asgi-route-missing-403",
    "url-path-mismatch",
    why="The same behind nginx, which adds its own server header.",
    needs="nginx",
)
async def route_starlette_missing_nginx(bench: Bench) -> Target:
    await bench.asgi_app("other-path", port=8080, tls=False)
    await bench.nginx_before_app()
    return bench.target()


@case("asgi-route-missing-403", "session-lookup-fails", UNDECIDED, why="WebSocketException before accept: 403 as well.")
async def route_starlette_raises(bench: Bench) -> Target:
    await bench.asgi_app("raises-before-accept")
    return bench.target()


@case("asgi-route-missing-403", "session-lookup-fails", UNDECIDED, why="`await ws.close()` before accept.")
async def route_starlette_closes(bench: Bench) -> Target:
    await bench.asgi_app("closes-before-accept")
    return bench.target()


@case("app-crash-on-connect", why="An exception before accept: uvicorn says 500.")
async def route_starlette_crashes_before(bench: Bench) -> Target:
    await bench.asgi_app("crashes-before-accept")
    return bench.target()


@case(
    "app-crash-on-connect",
    UNDECIDED,
    why="An exception after accept: uvicorn ends the connection, without a close frame.",
)
async def route_starlette_crashes_after(bench: Bench) -> Target:
    await bench.asgi_app("crashes-after-accept")
    return bench.target()


@case("app-crash-on-connect", why="websockets: the handler raises, 1011.")
async def route_crash_websockets(bench: Bench) -> Target:
    await bench.voice_app("crashes")
    return bench.target()


@case("session-lookup-fails", UNDECIDED, why="`unknown call session`: 1008 from `ws`.", needs="node npm:ws haproxy")
async def route_session_unknown_ws(bench: Bench) -> Target:
    await bench.node("session-unknown", port=8080)
    await bench.tls_in_front()
    return bench.target()


@case("session-lookup-fails", UNDECIDED, why="4404 with `call not found`.")
async def route_session_4404(bench: Bench) -> Target:
    await bench.voice_app("closes-4404")
    return bench.target()


@case(
    "session-lookup-fails",
    "ws-auth-required-401",
    "app-closes-stream",
    UNDECIDED,
    why="A bare 1008 `policy violation`: session or token, nobody can know.",
)
async def route_1008(bench: Bench) -> Target:
    await bench.voice_app("closes-1008")
    return bench.target()


@case(
    "ws-listener-late",
    "edge-cold-start",
    "crash-loop-or-oom",
    UNDECIDED,
    why="404 for three seconds, fine later.",
)
async def route_listener_late(bench: Bench) -> Target:
    await bench.answers(
        """
        HTTP/1.1 404 Not Found
        Content-Type: text/html; charset=utf-8
        X-Powered-By: Express

        <!DOCTYPE html><html><body><pre>Cannot GET /api/calls/test-connection/audio</pre></body></html>""",
        "--seconds",
        "3",
    )
    return bench.target()
