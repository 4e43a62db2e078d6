"""Section 1: the URL itself is wrong, however well the server works."""

from __future__ import annotations

from tests.lab.bench import HOST, PATH, Bench
from tests.lab.case import UNDECIDED, Cases, Target

CASES = Cases()
case = CASES.case


@case("url-scheme-not-wss", why="The https:// base went into stream_url unchanged; the server is fine.")
async def url_https(bench: Bench) -> Target:
    await bench.voice_app()
    return bench.target(scheme="https", port=443)


@case("url-scheme-not-wss", why="ws:// on a server that serves ws in the clear: it connects, but carriers want wss.")
async def url_ws_plain(bench: Bench) -> Target:
    await bench.voice_app(port=80, tls=False)
    return bench.target(scheme="ws", port=80)


@case("url-scheme-not-wss", why="ws:// to a platform answers 301 to https, as Railway and Render do.", needs="nginx")
async def url_ws_redirected(bench: Bench) -> Target:
    await bench.nginx("return 301 https://$host$request_uri;", port=80, listen="")
    return bench.target(scheme="ws", port=80)


@case("url-scheme-not-wss", why="ws:// with the TLS port in it.", needs="stunnel4")
async def url_ws_to_tls_port(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.stunnel()
    return bench.target(scheme="ws", port=443)


@case("url-scheme-not-wss", why="http:// from a PUBLIC_URL of development.", needs="nginx")
async def url_http(bench: Bench) -> Target:
    await bench.nginx("return 301 https://$host$request_uri;", port=80, listen="")
    return bench.target(scheme="http", port=80)


@case(
    "url-scheme-not-wss",
    "url-malformed",
    "url-whitespace-or-control",
    why="wss:// was put before a base that has its own scheme.",
    needs="netns",
)
async def url_double_scheme(bench: Bench) -> Target:
    await bench.networked()
    return bench.target_url(f"wss://https://{HOST}{PATH}")


@case("url-private-host", why="PUBLIC_URL was not set and the default is localhost.")
async def url_localhost(bench: Bench) -> Target:
    await bench.voice_app(port=3000, tls=False)
    return Target(f"wss://localhost:3000{PATH}")


@case("url-private-host", why="A loopback address of the developer's machine, with a certificate even.")
async def url_loopback_address(bench: Bench) -> Target:
    await bench.voice_app()
    return Target(f"wss://{bench.address}{PATH}")


@case(
    "url-private-host", why="The machine's address in the office network; it answers from the next desk.", needs="netns"
)
async def url_office_address(bench: Bench) -> Target:
    await bench.networked("10.20.30.40")
    await bench.python("voice_app", port=8080, address="10.20.30.40")
    return Target(f"wss://10.20.30.40:8080{PATH}", enter=bench.network.enter if bench.network else ())


@case("url-private-host", why="A carrier-grade NAT address, as Tailscale hands out.", needs="netns")
async def url_shared_address(bench: Bench) -> Target:
    network = await bench.networked()
    return Target(f"wss://100.101.102.103{PATH}", enter=network.enter)


@case("url-private-host", why="IPv6's loopback.")
async def url_loopback_ipv6(bench: Bench) -> Target:
    return Target(f"wss://[::1]:8443{PATH}")


@case(
    "url-private-host", why="The private name of a Railway service, which only its neighbours resolve.", needs="netns"
)
async def url_railway_internal(bench: Bench) -> Target:
    network = await bench.networked()
    await bench.dnsmasq("local=/internal/")
    network.use_resolver(bench.address)
    return Target(f"wss://voice.railway.internal:8080{PATH}", enter=network.enter)


@case("url-private-host", why="The container's name from a compose file.", needs="netns")
async def url_container_name(bench: Bench) -> Target:
    network = await bench.networked()
    await bench.dnsmasq("local=//")
    network.use_resolver(bench.address)
    return Target(f"wss://voice-server:8080{PATH}", enter=network.enter)


@case(
    "url-private-host",
    "url-malformed",
    "url-placeholder-unreplaced",
    why="JavaScript wrote the missing variable out: wss://undefined/…",
    needs="netns",
)
async def url_undefined_host(bench: Bench) -> Target:
    network = await bench.networked()
    await bench.dnsmasq("local=//")
    network.use_resolver(bench.address)
    return Target(f"wss://undefined{PATH}", enter=network.enter)


@case("url-double-slash-or-trailing", why="The base ended in a slash: //api/…", needs="node npm:express npm:ws")
async def url_double_slash(bench: Bench) -> Target:
    await bench.node("express-noserver", port=8080)
    await bench.tls_in_front()
    return bench.target(path=f"/{PATH}")


@case("url-double-slash-or-trailing", why="A trailing slash, on a router that wants none.")
async def url_trailing_slash(bench: Bench) -> Target:
    await bench.asgi_app()
    return bench.target(path=f"{PATH}/")


@case(
    "url-double-slash-or-trailing",
    "redirect-on-upgrade",
    why="A trailing slash, which the proxy redirects away; no carrier follows.",
    needs="nginx",
)
async def url_trailing_slash_redirected(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx(
        "rewrite ^/(.*)/$ /$1 permanent; location / { proxy_pass http://@A@:8080; proxy_http_version 1.1;"
        " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; }"
    )
    return bench.target(path=f"{PATH}/")


@case("url-double-slash-or-trailing", why="The slash doubled in the middle of the path.")
async def url_double_slash_inside(bench: Bench) -> Target:
    await bench.voice_app()
    return bench.target(path="/api//calls/test-connection/audio")


@case(
    "url-path-mismatch",
    "asgi-route-missing-403",
    why="The server serves /media-stream; Starlette says 403 to the rest.",
)
async def url_other_path_starlette(bench: Bench) -> Target:
    await bench.asgi_app("other-path")
    return bench.target()


@case("url-path-mismatch", why="The router knows another path and answers its own 404.")
async def url_other_path(bench: Bench) -> Target:
    await bench.voice_app("echo", "--pattern", "^/media-stream$")
    return bench.target()


@case("url-path-mismatch", why="Same path, other case.")
async def url_other_case(bench: Bench) -> Target:
    await bench.voice_app()
    return bench.target(path="/API/Calls/test-connection/Audio")


@case(
    "url-path-mismatch",
    "node-ws-path-pattern",
    UNDECIDED,
    why="`ws` with `path` for another route answers 400, as it does for a pattern taken literally.",
    needs="node npm:ws",
)
async def url_other_path_ws(bench: Bench) -> Target:
    await bench.node("ws-other-path", port=8080)
    await bench.tls_in_front()
    return bench.target()


@case(
    "url-path-mismatch",
    "app-closes-stream",
    UNDECIDED,
    why="express-ws with the route elsewhere: it accepts every path, and closes at once where no route matches.",
    needs="node npm:express npm:express-ws",
)
async def url_other_path_express_ws(bench: Bench) -> Target:
    await bench.node("express-ws-other-path", port=8080)
    await bench.tls_in_front()
    return bench.target()


@case(
    "url-path-mismatch",
    UNDECIDED,
    why="Fastify's own JSON 404 to the upgrade: no such route.",
    needs="node npm:fastify npm:@fastify/websocket",
)
async def url_other_path_fastify(bench: Bench) -> Target:
    await bench.node("fastify-other-path", port=8080)
    await bench.tls_in_front()
    return bench.target()


@case("url-query-string-lost", UNDECIDED, why="The proxy drops the query that carries the call's id.", needs="nginx")
async def url_query_dropped(bench: Bench) -> Target:
    await bench.voice_app("closes-without-call-id", "--pattern", "^/audio", port=8080, tls=False)
    await bench.nginx(
        "location /audio { rewrite ^ /audio? break; proxy_pass http://@A@:8080; proxy_http_version 1.1;"
        " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; }"
    )
    return bench.target(path="/audio?call_id=test-connection")


@case("url-whitespace-or-control", why="A newline from the environment stands inside the URL.")
async def url_newline_inside(bench: Bench) -> Target:
    await bench.voice_app()
    return bench.target_url(f"wss://{HOST}\n{PATH}", "--resolve", f"{HOST}:443:{bench.address}")


@case("url-whitespace-or-control", why="The newline at the end, which a terminal does not show.")
async def url_newline_at_end(bench: Bench) -> Target:
    await bench.voice_app()
    return bench.target(path=f"{PATH}\n")


@case("url-whitespace-or-control", why="The newline percent-encoded by a careful URL library.")
async def url_newline_encoded(bench: Bench) -> Target:
    await bench.voice_app()
    return bench.target(path=f"{PATH}%0A")


@case("url-whitespace-or-control", "url-malformed", why="Quotes copied from a .env file along with the value.")
async def url_quoted(bench: Bench) -> Target:
    await bench.voice_app()
    return bench.target_url(f'"wss://{HOST}{PATH}"', "--resolve", f"{HOST}:443:{bench.address}")


@case("url-whitespace-or-control", why="A zero-width space, pasted from a web page.")
async def url_zero_width_space(bench: Bench) -> Target:
    await bench.voice_app()
    return bench.target_url(f"wss://\u200b{HOST}{PATH}", "--resolve", f"{HOST}:443:{bench.address}")


@case("url-port-mismatch", why="The app's own port in the public URL; the platform publishes 443, where all is well.")
async def url_app_port(bench: Bench) -> Target:
    await bench.voice_app()
    resolve = ("--resolve", f"{HOST}:3000:{bench.address}", "--resolve", f"{HOST}:443:{bench.address}")
    return bench.target_url(f"wss://{HOST}:3000{PATH}", *resolve)


@case(
    "url-port-mismatch",
    "tls-plaintext-port",
    why="The app's plain port in the URL, while the proxy speaks TLS on 443.",
    needs="nginx",
)
async def url_app_port_plain(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx_before_app()
    resolve = ("--resolve", f"{HOST}:8080:{bench.address}", "--resolve", f"{HOST}:443:{bench.address}")
    return bench.target_url(f"wss://{HOST}:8080{PATH}", *resolve)


@case(
    "url-unencoded-id", why="A call_control_id with +, / and = raw in the path: the router sees one segment too many."
)
async def url_raw_id(bench: Bench) -> Target:
    await bench.voice_app("echo", "--pattern", r"^/api/calls/(?:[\w.-]|%[0-9A-Fa-f]{2})+/audio$")
    return bench.target(path="/api/calls/v3:T02llQxyaRkhfRKxAahIkv8b+Yd/q9Cnc83g==/audio")


@case(
    "url-placeholder-unreplaced",
    "url-whitespace-or-control",
    "url-unencoded-id",
    "url-malformed",
    why="The template was never filled in.",
)
async def url_placeholder(bench: Bench) -> Target:
    await bench.voice_app()
    return bench.target(path="/api/calls/${callSessionId}/audio")


@case("url-malformed", why="2,400 characters, most of them a token; the API takes 2,000.")
async def url_too_long(bench: Bench) -> Target:
    await bench.voice_app("echo", "--token", "x" * 2400)
    return bench.target(path=f"{PATH}?token={'x' * 2400}")


@case(
    "url-malformed",
    "header-too-large-431",
    why="Longer than the proxy's buffer for a request line: 414.",
    needs="nginx",
)
async def url_longer_than_proxy(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx_before_app(http="large_client_header_buffers 4 1k;")
    return bench.target(path=f"{PATH}?token={'x' * 1500}")


@case(
    "url-scheme-not-wss",
    why="ws:// to nginx's TLS port: 400 `plain HTTP request was sent to …`.",
    needs="nginx",
)
async def url_ws_to_nginx_tls_port(bench: Bench) -> Target:
    await bench.nginx("return 404;")
    return bench.target(scheme="ws", port=443)


@case("url-path-mismatch", UNDECIDED, why="The app's own 404 behind nginx, which puts its name on it.", needs="nginx")
async def url_other_path_behind_nginx(bench: Bench) -> Target:
    await bench.voice_app("echo", "--pattern", "^/media-stream$", port=8080, tls=False)
    await bench.nginx_before_app()
    return bench.target()


@case(
    "url-path-mismatch",
    UNDECIDED,
    why="`proxy_pass http://app/;` cuts /api off, and the app knows no /calls.",
    needs="nginx",
)
async def url_prefix_cut(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx(
        "location /api/ { proxy_pass http://@A@:8080/; proxy_http_version 1.1;"
        " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; }"
    )
    return bench.target()
