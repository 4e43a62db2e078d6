"""Section 6: the upgrade reaches the application, and the handshake itself goes wrong."""

from __future__ import annotations

from tests.lab.bench import Bench
from tests.lab.case import UNDECIDED, Cases, Target

CASES = Cases()
case = CASES.case


def odd(name: str, *slugs: str, why: str, mode: str, options: tuple[str, ...] = ()) -> None:
    """Add a case on the hand-made server."""

    async def start(bench: Bench) -> Target:
        await bench.odd_server(mode)
        return bench.target(*options)

    CASES.add(name, *slugs, why=why, start=start)


# --- who is let in ---


@case("ws-origin-check-403", why="`origins=[…]` in websockets: who sends none is refused.")
async def origin_websockets(bench: Bench) -> Target:
    await bench.voice_app("echo", "--origin", "https://voice.example.com")
    return bench.target()


@case(
    "ws-origin-check-403",
    "ws-auth-required-401",
    UNDECIDED,
    why="`verifyClient` in `ws` that compares the Origin: 401.",
    needs="node npm:ws haproxy",
)
async def origin_ws(bench: Bench) -> Target:
    await bench.node("verify-origin", port=8080)
    await bench.tls_in_front()
    return bench.target()


@case("ws-origin-check-403", why="nginx lets the site's own pages in only.", needs="nginx")
async def origin_nginx(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx_before_app("if ($http_origin != 'https://voice.example.com') { return 403; }")
    return bench.target()


@case("ws-host-check", why="Starlette's TrustedHostMiddleware knows another name: 400 `Invalid host header`.")
async def host_starlette(bench: Bench) -> Target:
    await bench.asgi_app("host-check")
    return bench.target()


@case(
    "ws-host-check",
    UNDECIDED,
    why="The same behind nginx, which passes the upstream's own address as Host.",
    needs="nginx",
)
async def host_rewritten(bench: Bench) -> Target:
    await bench.asgi_app("host-check", port=8080, tls=False)
    await bench.nginx(
        "location / { proxy_pass http://@A@:8080; proxy_http_version 1.1;"
        " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; }"
    )
    return bench.target()


@case("ws-host-check", why="A development server: `This host is not allowed`.")
async def host_vite(bench: Bench) -> Target:
    await bench.answers("""
        HTTP/1.1 403 Forbidden
        Content-Type: text/plain

        Blocked request. This host ("voice.example.com") is not allowed.
        To allow this host, add "voice.example.com" to `server.allowedHosts` in vite.config.js.""")
    return bench.target()


@case("ws-host-check", why="Django's ALLOWED_HOSTS, with DEBUG off: a bare 400 that names nothing but the host error.")
async def host_django(bench: Bench) -> Target:
    await bench.answers("""
        HTTP/1.1 400 Bad Request
        Content-Type: text/html
        Server: daphne

        <p>Invalid HTTP_HOST header: 'voice.example.com'.
        You may need to add 'voice.example.com' to ALLOWED_HOSTS.</p>""")
    return bench.target()


odd(
    "agent-required",
    "waf-blocks-upgrade",
    UNDECIDED,
    why="Only browsers' names are let in.",
    mode="agent-required",
)


# --- when the answer comes ---


@case("ws-handshake-slow", UNDECIDED, why="Seven seconds of work before the accept.")
async def slow_accept(bench: Bench) -> Target:
    await bench.asgi_app("accepts-late")
    return bench.target()


@case("ws-handshake-slow", UNDECIDED, why="The same in websockets: process_request waits for a database.")
async def slow_accept_websockets(bench: Bench) -> Target:
    await bench.voice_app("echo", "--open-after-s", "6")
    return bench.target()


@case("http-no-answer", "ws-handshake-slow", UNDECIDED, why="The endpoint waits for ever before accept.")
async def never_accepts(bench: Bench) -> Target:
    await bench.asgi_app("never-accepts")
    return bench.target()


@case(
    "http-no-answer",
    "url-path-mismatch",
    why="An `upgrade` listener that leaves this path to somebody else; plain requests are answered.",
    needs="node npm:ws haproxy",
)
async def upgrade_forgotten(bench: Bench) -> Target:
    await bench.node("noserver-forgets", port=8080)
    await bench.tls_in_front()
    return bench.target()


odd("upgrade-hangs", "http-no-answer", why="HTTP works, an upgrade is never answered.", mode="hang-on-upgrade")
odd(
    "everything-hangs",
    "http-no-answer",
    "http-no-answer",
    "event-loop-blocked",
    UNDECIDED,
    why="TLS works and no request is ever answered: a blocked loop.",
    mode="hang",
)
odd(
    "upgrade-closed",
    "ws-upgrade-closed",
    UNDECIDED,
    why="HTTP works, an upgrade is hung up on.",
    mode="close-on-upgrade",
)
odd(
    "everything-closed",
    "ws-upgrade-closed",
    UNDECIDED,
    why="Every request is hung up on.",
    mode="close-without-answer",
)
odd(
    "everything-reset",
    "ws-upgrade-closed",
    UNDECIDED,
    why="Every request is reset.",
    mode="reset-without-answer",
)
odd(
    "half-an-answer",
    "http-no-answer",
    "tcp-wrong-service",
    UNDECIDED,
    why="The 101 stops in the middle of a header.",
    mode="half-an-answer",
)
odd(
    "not-http",
    "tcp-wrong-service",
    UNDECIDED,
    why="Another protocol answers inside TLS.",
    mode="not-http",
)


@case(
    "ws-upgrade-closed",
    "url-path-mismatch",
    UNDECIDED,
    why="noServer with `socket.destroy()` for paths it does not know.",
    needs="node npm:ws haproxy",
)
async def upgrade_destroyed(bench: Bench) -> Target:
    await bench.node("noserver-destroys", port=8080)
    await bench.tls_in_front()
    return bench.target()


@case(
    "node-ws-path-pattern",
    "url-path-mismatch",
    "ws-upgrade-closed",
    UNDECIDED,
    why="Two `ws` servers with a path each on one http server: the first aborts what is not its own, with 400.",
    needs="node npm:ws haproxy",
)
async def two_ws_servers(bench: Bench) -> Target:
    await bench.node("two-servers-one-http", port=8080)
    await bench.tls_in_front()
    return bench.target()


# --- what the answer says ---

BAD_ACCEPT = ("ws-accept-wrong",)
odd("accept-wrong", *BAD_ACCEPT, why="Sec-WebSocket-Accept is computed with a mistyped GUID.", mode="accept-wrong")
odd("accept-canned", *BAD_ACCEPT, why="A mock answers with the value from the RFC.", mode="accept-canned")
odd("accept-missing", *BAD_ACCEPT, why="101 without Sec-WebSocket-Accept.", mode="accept-missing")
odd(
    "upgrade-missing",
    "ws-101-incomplete",
    why="101 without the Upgrade header.",
    mode="upgrade-missing",
)
odd(
    "connection-missing",
    "ws-101-incomplete",
    why="101 without the Connection header.",
    mode="connection-missing",
)
odd(
    "upgrade-to-h2c",
    "ws-101-incomplete",
    "http2-only-endpoint",
    UNDECIDED,
    why="101 to another protocol.",
    mode="upgrade-to-h2c",
)
odd(
    "status-200",
    "ws-101-incomplete",
    "proxy-upgrade-headers-stripped",
    UNDECIDED,
    why="All the headers of a 101, under status 200.",
    mode="status-200-with-upgrade",
)
odd(
    "extension-forced",
    "ws-extension-forced",
    why="An extension is answered that nobody offered.",
    mode="extension-forced",
)
odd(
    "subprotocol-unasked",
    "ws-subprotocol-forced",
    "ws-subprotocol-forced",
    why="A subprotocol is answered that nobody offered.",
    mode="subprotocol-forced",
)
odd("version-8", "ws-version-or-key-rejected", why="A server of 2010 wants version 8.", mode="version-8")
odd(
    "key-rejected",
    "ws-version-or-key-rejected",
    UNDECIDED,
    why="A hand-made server wants the keys of an old draft.",
    mode="key-rejected",
)
odd(
    "compressed-101",
    "proxy-buffering-or-compression",
    "ws-frames-invalid",
    UNDECIDED,
    why="`Content-Encoding: gzip` on the 101, and gzip inside.",
    mode="compressed-101",
)
odd(
    "chunked-101",
    "proxy-buffering-or-compression",
    "ws-frames-invalid",
    UNDECIDED,
    why="The upgraded stream comes in chunks.",
    mode="chunked-101",
)


@case(
    "ws-subprotocol-forced",
    "ws-subprotocol-required",
    why="websockets demands a subprotocol that carriers do not offer: 400.",
)
async def subprotocol_required(bench: Bench) -> Target:
    await bench.voice_app("echo", "--subprotocol", "audio.v1")
    return bench.target()


@case(
    "ws-subprotocol-forced",
    "ws-subprotocol-forced",
    why="Starlette accepts with a subprotocol of its own choice.",
)
async def subprotocol_starlette(bench: Bench) -> Target:
    await bench.asgi_app("forces-subprotocol")
    return bench.target()


# --- the frames ---

BAD_FRAMES = ("ws-frames-invalid",)
odd("frames-masked", *BAD_FRAMES, why="A server must not mask.", mode="masks")
odd(
    "frames-reserved-bits",
    *BAD_FRAMES,
    why="RSV1 set with no extension agreed.",
    mode="reserved-bits",
)
odd("frames-reserved-opcode", *BAD_FRAMES, why="Opcode 3 does not exist.", mode="reserved-opcode")
odd("frames-continuation", *BAD_FRAMES, why="A continuation of nothing.", mode="bad-continuation")
odd(
    "frames-bad-utf8",
    *BAD_FRAMES,
    "outbound-envelope-wrong",
    why="Raw audio in text frames.",
    mode="bad-utf8",
)
odd("frames-bad-close-code", *BAD_FRAMES, why="Close code 1006 on the wire.", mode="bad-close-code")
odd("frames-debug-output", *BAD_FRAMES, why="A debug line written into the socket.", mode="prints-into-socket")
odd(
    "frames-http-after-101",
    *BAD_FRAMES,
    why="A second HTTP answer follows the 101.",
    mode="http-after-101",
)
