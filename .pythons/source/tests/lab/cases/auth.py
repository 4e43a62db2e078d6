"""Section 8: somebody at the door wants something that the carrier does not have."""

from __future__ import annotations

from tests.lab.bench import Bench
from tests.lab.case import UNDECIDED, Cases, Target

CASES = Cases()
case = CASES.case

LOGIN = "admin:$apr1$x1y2z3w4$0123456789012345678901\n"
"""A password file in which nobody's password is right."""


@case("ws-auth-required-401", why="Basic auth on the staging site.", needs="nginx")
async def auth_basic_nginx(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    passwords = bench.write("htpasswd", LOGIN)
    await bench.nginx_before_app(f"auth_basic staging; auth_basic_user_file {passwords};")
    return bench.target()


@case("ws-auth-required-401", why="The same in Apache.", needs="apache2")
async def auth_basic_apache(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    passwords = bench.write("htpasswd", LOGIN)
    await bench.apache(
        f"<Location />\nAuthType Basic\nAuthName staging\nAuthUserFile {passwords}\nRequire valid-user\n</Location>\n"
        "ProxyPass / http://@A@:8080/ upgrade=websocket"
    )
    return bench.target()


@case("ws-auth-required-401", why="The same in Caddy.", needs="caddy")
async def auth_basic_caddy(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    hashed = "JDJhJDE0JFZxL1c5cUVKWjBVS3NEdXVhVjdUVGVKb2NRVDd5c05tU3Z1RHVDZ0pvOTQ2Q0dDQXR2R1ND"
    await bench.caddy(f"basicauth {{\nadmin {hashed}\n}}\nreverse_proxy @A@:8080")
    return bench.target()


@case("ws-auth-required-401", why="websockets' own basic_auth.")
async def auth_basic_websockets(bench: Bench) -> Target:
    await bench.voice_app("echo", "--basic")
    return bench.target()


@case("ws-auth-required-401", why="`verifyClient` wants an Authorization header.", needs="node npm:ws haproxy")
async def auth_verify_client(bench: Bench) -> Target:
    await bench.node("verify-client", port=8080)
    await bench.tls_in_front()
    return bench.target()


@case(
    "ws-auth-required-401",
    why="A hook for all routes, the carrier's included.",
    needs="node npm:fastify npm:@fastify/websocket haproxy",
)
async def auth_fastify_hook(bench: Bench) -> Target:
    await bench.node("fastify-guard", port=8080)
    await bench.tls_in_front()
    return bench.target()


@case("ws-auth-required-401", why="A middleware for logged-in users, before Starlette's routes.")
async def auth_user_guard(bench: Bench) -> Target:
    await bench.asgi_app("user-guard")
    return bench.target()


@case("ws-auth-required-401", why="A per-call token is wanted and none is sent.")
async def auth_token_missing(bench: Bench) -> Target:
    await bench.voice_app("echo", "--token", "s3cret")
    return bench.target()


@case("ws-auth-required-401", why="The token that is sent is yesterday's.")
async def auth_token_wrong(bench: Bench) -> Target:
    await bench.voice_app("echo", "--token", "s3cret")
    return bench.target("--token", "yesterdays")


@case("ws-auth-required-401", UNDECIDED, why="Accepted, then closed with 4401 `missing or invalid token`.")
async def auth_closed_4401(bench: Bench) -> Target:
    await bench.voice_app("closes-4401")
    return bench.target()


@case("ip-allowlist-403", UNDECIDED, why="nginx allows the carrier's addresses only: 403 from here.", needs="nginx")
async def allowlist_nginx(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx_before_app("allow 192.76.120.128/29; allow 185.246.41.0/29; deny all;")
    return bench.target()


@case("ip-allowlist-403", UNDECIDED, why="Apache's `Require ip`.", needs="apache2")
async def allowlist_apache(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.apache(
        "<Location />\nRequire ip 192.76.120.128/29\n</Location>\nProxyPass / http://@A@:8080/ upgrade=websocket"
    )
    return bench.target()


@case("ip-allowlist-403", UNDECIDED, why="lighttpd by source address.", needs="lighttpd")
async def allowlist_lighttpd(bench: Bench) -> Target:
    await bench.lighttpd('$HTTP["remoteip"] != "192.76.120.128/29" { url.access-deny = ( "" ) }')
    return bench.target()


@case("ip-allowlist-403", why="The app's own filter, which says so.")
async def allowlist_app(bench: Bench) -> Target:
    await bench.asgi_app("allows-own-address-only")
    return bench.target()


@case("access-gate", why="nginx sends whoever has no session to the identity provider.", needs="nginx")
async def gate_nginx(bench: Bench) -> Target:
    await bench.nginx(
        "location / { return 302 https://login.example.net/authorize?return=$scheme://$host$request_uri; }"
    )
    return bench.target()


@case("access-gate", why="Caddy before an identity provider.", needs="caddy")
async def gate_caddy(bench: Bench) -> Target:
    await bench.caddy("redir https://sso.example.net/login?next={uri} 302")
    return bench.target()
