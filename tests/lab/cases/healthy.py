"""Nothing is wrong here: any finding is a false alarm. One case a proxy, a framework, and a way of being right."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from tests.lab.bench import HOST, PUBLIC_ADDRESS, Bench
from tests.lab.case import HEALTHY, UNDECIDED, Cases, Target

CASES = Cases()
case = CASES.case

APP = "default_backend app\nbackend app\nserver app @A@:8080"


# --- proxies in front ---


@case(HEALTHY, why="nginx with the lines from its own page.", needs="nginx")
async def healthy_nginx(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx_before_app()
    return bench.target()


@case(HEALTHY, why="nginx with HTTP/2 switched on for browsers.", needs="nginx")
async def healthy_nginx_http2(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx(
        "location / { proxy_pass http://@A@:8080; proxy_http_version 1.1; proxy_set_header Host $host;"
        " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; }",
        listen="ssl http2",
    )
    return bench.target()


@case(HEALTHY, why="Two proxies in a row.", needs="nginx haproxy")
async def healthy_two_proxies(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(f"frontend web\nbind @A@:8081\n{APP}", port=8081)
    await bench.nginx(
        "location / { proxy_pass http://@A@:8081; proxy_http_version 1.1;"
        " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; }"
    )
    return bench.target()


@case(HEALTHY, why="HAProxy in HTTP mode.", needs="haproxy")
async def healthy_haproxy(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(f"frontend web\nbind @A@:443 ssl crt @CERT@ alpn h2,http/1.1\n{APP}")
    return bench.target()


@case(HEALTHY, why="HAProxy in TCP mode.", needs="haproxy")
async def healthy_haproxy_tcp(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.tls_in_front()
    return bench.target()


@case(HEALTHY, why="Apache with upgrade=websocket, 2.4.47 or later.", needs="apache2")
async def healthy_apache(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.apache("ProxyPreserveHost On\nProxyPass / http://@A@:8080/ upgrade=websocket")
    return bench.target()


@case(HEALTHY, why="Apache the old way: a rewrite to ws://.", needs="apache2")
async def healthy_apache_rewrite(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.apache(
        "RewriteEngine On\nRewriteCond %{HTTP:Upgrade} websocket [NC]\n"
        "RewriteRule ^/?(.*) ws://@A@:8080/$1 [P,L]\nProxyPass / http://@A@:8080/"
    )
    return bench.target()


@case(HEALTHY, why="Caddy, which needs nothing.", needs="caddy")
async def healthy_caddy(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.caddy("reverse_proxy @A@:8080")
    return bench.target()


@case(HEALTHY, why="stunnel.", needs="stunnel4")
async def healthy_stunnel(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.stunnel()
    return bench.target()


@case(HEALTHY, why="Varnish with a pipe for upgrades.", needs="varnishd haproxy")
async def healthy_varnish(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.varnish(
        'if (req.http.upgrade ~ "(?i)websocket") { return (pipe); } } '
        "sub vcl_pipe { if (req.http.upgrade) { set bereq.http.upgrade = req.http.upgrade; "
        "set bereq.http.connection = req.http.connection; }"
    )
    await bench.tls_in_front(app=8443)
    return bench.target()


@case(HEALTHY, why="lighttpd with upgrades enabled.", needs="lighttpd")
async def healthy_lighttpd(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.lighttpd(
        'proxy.server = ( "" => (( "host" => "@A@", "port" => 8080 )) )\nproxy.header = ( "upgrade" => "enable" )'
    )
    return bench.target()


# --- applications ---


@case(HEALTHY, why="websockets with its own TLS.")
async def healthy_websockets(bench: Bench) -> Target:
    await bench.voice_app()
    return bench.target()


@case(HEALTHY, why="Starlette under uvicorn, with its own TLS.")
async def healthy_starlette(bench: Bench) -> Target:
    await bench.asgi_app()
    return bench.target()


@case(HEALTHY, why="The same on uvicorn's newer WebSocket implementation.", needs="nginx")
async def healthy_starlette_sansio(bench: Bench) -> Target:
    await bench.asgi_app("right", "--ws", "websockets-sansio", port=8080, tls=False)
    await bench.nginx_before_app()
    return bench.target()


def node(name: str, app: str, why: str, needs: str) -> None:
    async def start(bench: Bench) -> Target:
        await bench.node(app, port=8080)
        await bench.tls_in_front()
        return bench.target()

    CASES.add(name, HEALTHY, why=why, start=start, needs=f"node haproxy {needs}")


node("healthy-ws", "ws", "Node `ws` with the exact path.", "npm:ws")
node("healthy-ws-compressed", "ws-compressed", "`ws` willing to compress, if asked.", "npm:ws")
node("healthy-express-noserver", "express-noserver", "Express with an `upgrade` listener.", "npm:express npm:ws")
node("healthy-express-ws", "express-ws", "express-ws.", "npm:express npm:express-ws")
node("healthy-fastify", "fastify", "Fastify with the plug-in first.", "npm:fastify npm:@fastify/websocket")
node(
    "healthy-socketio-beside",
    "socketio-beside-ws",
    "Socket.IO for the dashboard, `ws` for calls.",
    "npm:socket.io npm:ws",
)


# --- ways of being right ---


def app(name: str, handler: str, why: str, options: tuple[str, ...] = (), slugs: tuple[str, ...] = (HEALTHY,)) -> None:
    async def start(bench: Bench) -> Target:
        await bench.voice_app(handler)
        return bench.target(*options)

    CASES.add(name, *slugs, why=why, start=start)


app("healthy-listens-only", "listens-only", "Hears and never plays: transcription.", ("--listen-only",))
app("healthy-greets-first", "greets-first", "Speaks before it is spoken to.")
app("healthy-lead", "greets-with-lead", "Runs 400 ms ahead of the ear.")
app("healthy-large-chunks", "large-chunks", "200 ms a message.")
app("healthy-marks", "marks", "Marks and clears between the media.")
app("healthy-pings", "pings", "A ping each second that wants its pong.")
app("healthy-silence-first", "silence-then-speech", "Half a second of silence, then speech.")
app("healthy-answers-late", "answers-after-a-second", "Speaks when it has heard a second.")
app("healthy-one-stream", "one-stream-a-call", "One stream a call at a time: a second is refused, as it should be.")
app("healthy-slow-echo", "slow-echo", "300 ms round trip.")
app("healthy-alaw-call", "echo-alaw-call", "Speaks A-law on a PCMA call.", ("--codec", "PCMA"))
app("healthy-echo-alaw", "echo", "Echo on a PCMA call.", ("--codec", "PCMA"))
app("healthy-idle", "echo", "Idle for four seconds, and still there.", ("--idle", "4"))
app("healthy-idle-listener", "listens-only", "A listener, idle for four seconds.", ("--idle", "4", "--listen-only"))
app("healthy-longer-media", "echo", "Four seconds of media.", ("--media", "4"))
app(
    "healthy-unknown-session",
    "needs-known-session",
    "Lets in only sessions that a webhook announced, as it should: the doctor has none.",
    slugs=(UNDECIDED, "session-lookup-fails"),
)


@case(HEALTHY, why="A per-call token, in the header that the carrier sends.")
async def healthy_token(bench: Bench) -> Target:
    await bench.voice_app("echo", "--token", "s3cret")
    return bench.target("--token", "s3cret")


@case(HEALTHY, why="A second of work before the accept.")
async def healthy_slow_accept(bench: Bench) -> Target:
    await bench.asgi_app("accepts-after-a-second")
    return bench.target()


def odd(name: str, mode: str, why: str) -> None:
    async def start(bench: Bench) -> Target:
        await bench.odd_server(mode)
        return bench.target()

    CASES.add(name, HEALTHY, why=why, start=start)


odd(
    "healthy-lower-case",
    "right-lower-case",
    "Header names in lower case, `keep-alive, upgrade`, another reason phrase.",
)
odd("healthy-railway", "right-at-railway", "Railway's headers on the 101.")
odd("healthy-cloudflare", "right-at-cloudflare", "Cloudflare's headers on the 101, and a cookie.")
odd("healthy-in-pieces", "right-in-pieces", "The answer in packets of seven bytes.")
odd("healthy-early-frame", "right-with-greeting", "The first frame in the same packet as the 101.")
odd("healthy-fragmented", "right-fragmented", "Messages in fragments, with pings between them.")


# --- TLS and the network ---


@case(HEALTHY, why="TLS 1.2 only.", needs="nginx")
async def healthy_tls_1_2(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx(
        "ssl_protocols TLSv1.2; location / { proxy_pass http://@A@:8080; proxy_http_version 1.1;"
        " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; }"
    )
    return bench.target()


@case(HEALTHY, why="The root is sent along, which is needless and harmless.")
async def healthy_root_sent(bench: Bench) -> Target:
    pair = bench.authority.leaf(HOST, send_root=True)
    await bench.python("voice_app", "--cert", pair.chain, "--key", pair.key, port=443)
    return bench.target()


@case(HEALTHY, why="A wildcard certificate.")
async def healthy_wildcard(bench: Bench) -> Target:
    pair = bench.authority.good("*.example.com", "example.com")
    await bench.python("voice_app", "--cert", pair.chain, "--key", pair.key, port=443)
    return bench.target()


@case(HEALTHY, why="A client certificate is asked for, and not insisted on.", needs="nginx")
async def healthy_optional_client_certificate(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx(
        f"ssl_verify_client optional; ssl_client_certificate {bench.authority.root};"
        " location / { proxy_pass http://@A@:8080; proxy_http_version 1.1;"
        " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; }"
    )
    return bench.target()


@case(HEALTHY, why="Another site is the default; ours shows with its name.", needs="nginx")
async def healthy_named_site(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    other, ours = bench.authority.good("shop.example.net"), bench.certificate()
    await bench.nginx(
        "return 404;",
        pair=other,
        http=f"server {{ listen {bench.address}:443 ssl; server_name {HOST};"
        f" ssl_certificate {ours.chain}; ssl_certificate_key {ours.key};"
        f" location / {{ proxy_pass http://{bench.address}:8080; proxy_http_version 1.1;"
        " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; } }",
    )
    return bench.target()


@case(HEALTHY, why="A port other than 443, on purpose: carriers take it.")
async def healthy_other_port(bench: Bench) -> Target:
    await bench.voice_app(port=8443)
    return bench.target(port=8443)


@case(HEALTHY, why="Public addresses of both families, from DNS.", needs="netns dnsmasq")
async def healthy_dual_stack(bench: Bench) -> Target:
    six = "2a01:4f8:c0c:1234::10"
    await bench.networked(six)
    pair = bench.certificate()
    tls = ("--cert", pair.chain, "--key", pair.key)
    await bench.voice_app()
    await bench.python("voice_app", *tls, port=443, address=six)
    await bench.dnsmasq("local=/example.com/", f"host-record={HOST},{PUBLIC_ADDRESS},{six}")
    return bench.target_named()


@case(HEALTHY, why="An alias, then two A records that both work.", needs="netns")
async def healthy_two_addresses(bench: Bench) -> Target:
    other = "5.75.128.11"
    await bench.networked(other)
    pair = bench.certificate()
    tls = ("--cert", pair.chain, "--key", pair.key)
    await bench.voice_app()
    await bench.python("voice_app", *tls, port=443, address=other)
    await bench.names(
        f"{HOST} CNAME edge.example.net.",
        f"edge.example.net A {PUBLIC_ADDRESS}",
        f"edge.example.net A {other}",
    )
    return bench.target_named()


@case(HEALTHY, why="Everything from the system's resolver, as on an operator's desk.", needs="netns dnsmasq nginx")
async def healthy_system_resolver(bench: Bench) -> Target:
    network = await bench.networked()
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx_before_app()
    await bench.dnsmasq(f"address=/{HOST}/{PUBLIC_ADDRESS}")
    network.use_resolver(bench.address)
    return bench.target_url(f"wss://{HOST}/api/calls/test-connection/audio")


@case(HEALTHY, why="Only the doctor's own source is let in, which nobody can see from there.", needs="netns")
async def healthy_own_source_allowed(bench: Bench) -> Target:
    network = await bench.networked()
    await bench.voice_app()
    await network.filter(f"tcp dport 443 ip saddr != {PUBLIC_ADDRESS} drop")
    return bench.target()


@case(HEALTHY, why="TLS 1.3 only, with a P-384 key.", needs="nginx")
async def healthy_tls_1_3(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    pair = bench.authority.leaf(HOST, key=ec.generate_private_key(ec.SECP384R1()))
    await bench.nginx(
        "ssl_protocols TLSv1.3; location / { proxy_pass http://@A@:8080; proxy_http_version 1.1;"
        " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; }",
        pair=pair,
    )
    return bench.target()


@case(HEALTHY, why="A limiter that a few tries do not reach.", needs="nginx")
async def healthy_rate_limit(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx_before_app(
        "limit_req zone=all burst=10 nodelay; limit_req_status 429;",
        http="limit_req_zone $binary_remote_addr zone=all:1m rate=5r/s;",
    )
    return bench.target()


@case(HEALTHY, why="An AAAA record, seen from a machine without IPv6: no evidence against it.", needs="netns")
async def healthy_no_ipv6_here(bench: Bench) -> Target:
    await bench.networked()
    await bench.voice_app()
    await bench.names(f"{HOST} A {PUBLIC_ADDRESS}", f"{HOST} AAAA 2a01:4f8:c0c:1234::99")
    return bench.target_named()


@case(
    HEALTHY,
    why="The name server knows the A record and refuses the question for AAAA, as dnsmasq does.",
    needs="netns dnsmasq",
)
async def healthy_no_word_of_ipv6(bench: Bench) -> Target:
    await bench.networked()
    await bench.voice_app()
    await bench.dnsmasq(f"address=/{HOST}/{PUBLIC_ADDRESS}")
    return bench.target_named()


@case(HEALTHY, why="An id that is percent-encoded, as it should be.")
async def healthy_encoded_id(bench: Bench) -> Target:
    await bench.voice_app("echo", "--pattern", r"^/api/calls/(?:[\w.-]|%[0-9A-Fa-f]{2})+/audio$")
    return bench.target(path="/api/calls/v3%3AT02llQxyaRkhfRKxAahIkv8b%2BYd%2Fq9Cnc83g%3D%3D/audio")


@case(HEALTHY, why="Parameters in the query, which arrive.", needs="nginx")
async def healthy_query(bench: Bench) -> Target:
    await bench.voice_app("closes-without-call-id", "--pattern", "^/audio", port=8080, tls=False)
    await bench.nginx_before_app()
    return bench.target(path="/audio?call_id=test-connection&lang=en")
