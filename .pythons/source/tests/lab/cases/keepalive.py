"""Section 14: the stream is cut while nobody speaks, or when it is old enough."""

from __future__ import annotations

from tests.lab.bench import Bench
from tests.lab.case import UNDECIDED, Cases, Target

CASES = Cases()
case = CASES.case

IDLE = ("--idle", "6")
"""Every limit below is at most 4 s."""

CUT = "proxy-idle-timeout"


@case(CUT, why="proxy_read_timeout 4s: 4 s without a byte from the app.", needs="nginx")
async def idle_nginx(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx_before_app("proxy_read_timeout 4s; proxy_send_timeout 4s;")
    return bench.target(*IDLE)


@case(CUT, UNDECIDED, why="The same before an app that only listens: cut although the caller speaks.", needs="nginx")
async def idle_nginx_listener(bench: Bench) -> Target:
    await bench.voice_app("listens-only", port=8080, tls=False)
    await bench.nginx_before_app("proxy_read_timeout 4s;")
    return bench.target(*IDLE)


@case(CUT, why="timeout tunnel 4s.", needs="haproxy")
async def idle_haproxy(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@\ndefault_backend app\nbackend app\nserver app @A@:8080",
        timeouts="timeout tunnel 4s",
    )
    return bench.target(*IDLE)


@case(CUT, why="HAProxy in TCP mode with client and server timeouts of 4 s.", needs="haproxy")
async def idle_haproxy_tcp(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(
        "listen tls\nmode tcp\nbind @A@:443 ssl crt @CERT@\ntimeout tunnel 4s\ntimeout client 4s\n"
        "timeout server 4s\nserver app @A@:8080"
    )
    return bench.target(*IDLE)


@case(CUT, why="Apache's ProxyTimeout 4.", needs="apache2")
async def idle_apache(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.apache("Timeout 4\nProxyTimeout 4\nProxyPass / http://@A@:8080/ upgrade=websocket")
    return bench.target(*IDLE)


@case(CUT, why="stunnel's TIMEOUTidle.", needs="stunnel4")
async def idle_stunnel(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.stunnel("TIMEOUTidle = 4")
    return bench.target(*IDLE)


@case(CUT, UNDECIDED, why="lighttpd's server.max-read-idle.", needs="lighttpd")
async def idle_lighttpd(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.lighttpd(
        'proxy.server = ( "" => (( "host" => "@A@", "port" => 8080 )) )\nproxy.header = ( "upgrade" => "enable" )\n'
        "server.max-read-idle = 3\nserver.max-write-idle = 3"
    )
    return bench.target(*IDLE)


@case(
    "max-duration-cutoff",
    "read-timeout-at-entry",
    CUT,
    UNDECIDED,
    why="A heartbeat whose pong handler was forgotten terminates every client at its second round.",
    needs="node npm:ws haproxy",
)
async def idle_heartbeat(bench: Bench) -> Target:
    await bench.node("idle-kill", port=8080)
    await bench.tls_in_front()
    return bench.target(*IDLE)


@case("max-duration-cutoff", "read-timeout-at-entry", why="Cut after 3 s of age, whatever flows.")
async def age_limit(bench: Bench) -> Target:
    await bench.voice_app("lives-three-seconds")
    return bench.target("--idle", "5")


@case(
    "max-duration-cutoff",
    "read-timeout-at-entry",
    UNDECIDED,
    why="The same seen during media, without --idle.",
)
async def age_limit_in_media(bench: Bench) -> Target:
    await bench.voice_app("vanishes-after-two-seconds")
    return bench.target("--media", "4")
