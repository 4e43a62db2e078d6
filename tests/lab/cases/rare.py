"""Software less often met and settings less often wrong: do the rules follow the mechanism, or one example's wording?"""

from __future__ import annotations

from tests.lab.bench import BACKENDS, HOST, PUBLIC_ADDRESS, Bench
from tests.lab.case import HEALTHY, UNDECIDED, Cases, Target
from tests.lab.software import NGINX_UPGRADES

CASES = Cases()
case = CASES.case

APP = "default_backend app\nbackend app\nserver app @A@:8080"
WEB = "frontend web\nbind @A@:443 ssl crt @CERT@\n"


# --- aiohttp, Tornado, daphne, hypercorn, PHP ---


def debian(name: str, *slugs: str, why: str, app: str, package: str) -> None:
    async def start(bench: Bench) -> Target:
        script = BACKENDS / "debian_app.py"
        command = ("/usr/bin/python3", script, "--host", bench.address, "--port", "8080", "--app", app)
        await bench.run(*command, port=8080)
        await bench.tls_in_front()
        return bench.target()

    CASES.add(name, *slugs, why=why, start=start, needs=f"haproxy debian:{package}")


debian("rare-aiohttp", HEALTHY, why="aiohttp.", app="aiohttp", package="aiohttp")
debian(
    "rare-aiohttp-path",
    "url-path-mismatch",
    UNDECIDED,
    why="aiohttp's `404: Not Found`.",
    app="aiohttp-other-path",
    package="aiohttp",
)
debian(
    "rare-aiohttp-1009",
    "message-too-big-1009",
    why="max_msg_size of 256 bytes.",
    app="aiohttp-small-messages",
    package="aiohttp",
)
debian(
    "rare-aiohttp-crash",
    "app-crash-on-connect",
    UNDECIDED,
    why="An exception after prepare().",
    app="aiohttp-crashes",
    package="aiohttp",
)
debian(
    "rare-aiohttp-returns",
    "app-closes-stream",
    why="The handler returns after one message.",
    app="aiohttp-returns-early",
    package="aiohttp",
)
debian("rare-aiohttp-401", "ws-auth-required-401", why="HTTPUnauthorized.", app="aiohttp-forbids", package="aiohttp")
debian(
    "rare-aiohttp-405",
    "method-not-allowed-405",
    "app-has-no-websocket",
    UNDECIDED,
    why="The route takes POST only.",
    app="aiohttp-post-only",
    package="aiohttp",
)
debian("rare-tornado", HEALTHY, why="Tornado.", app="tornado", package="tornado")
debian(
    "rare-tornado-path",
    "url-path-mismatch",
    UNDECIDED,
    why="Tornado's own 404 page.",
    app="tornado-other-path",
    package="tornado",
)
debian(
    "rare-tornado-crash",
    "app-crash-on-connect",
    UNDECIDED,
    why="An exception in open(): Tornado ends the connection.",
    app="tornado-crashes",
    package="tornado",
)
debian(
    "rare-tornado-origin",
    "ws-origin-check-403",
    why="Tornado insists on an Origin.",
    app="tornado-strict-origin",
    package="tornado",
)
debian(
    "rare-tornado-http",
    "app-has-no-websocket",
    "proxy-upgrade-headers-stripped",
    "fastify-websocket-plugin-order",
    UNDECIDED,
    why="A handler for HTTP where one for WebSockets belongs: 200 with JSON.",
    app="tornado-http-handler",
    package="tornado",
)


def asgi(name: str, *slugs: str, why: str, server: str, app: str) -> None:
    async def start(bench: Bench) -> Target:
        place = {"PYTHONPATH": str(BACKENDS)}
        bind = ("-b", bench.address, "-p", "8080") if server == "daphne" else ("-b", f"{bench.address}:8080")
        await bench.run(server, *bind, f"plain_asgi:{app}", port=8080, environment=place)
        await bench.tls_in_front()
        return bench.target()

    CASES.add(name, *slugs, why=why, start=start, needs=f"haproxy {server}")


asgi("rare-daphne", HEALTHY, why="daphne.", server="daphne", app="right")
asgi(
    "rare-daphne-refuses",
    "asgi-route-missing-403",
    "session-lookup-fails",
    UNDECIDED,
    why="daphne's 403 for a close before accept.",
    server="daphne",
    app="refuses",
)
asgi(
    "rare-daphne-crash",
    "app-crash-on-connect",
    "app-closes-stream",
    UNDECIDED,
    why="daphne: an exception after accept.",
    server="daphne",
    app="crashes",
)
asgi("rare-hypercorn", HEALTHY, why="hypercorn.", server="hypercorn", app="right")
asgi(
    "rare-hypercorn-refuses",
    "asgi-route-missing-403",
    "session-lookup-fails",
    UNDECIDED,
    why="hypercorn's 403.",
    server="hypercorn",
    app="refuses",
)
asgi(
    "rare-hypercorn-crash",
    "app-crash-on-connect",
    "app-closes-stream",
    UNDECIDED,
    why="hypercorn: an exception after accept.",
    server="hypercorn",
    app="crashes",
)


@case("app-has-no-websocket", "url-path-mismatch", UNDECIDED, why="PHP's own server.", needs="php haproxy")
async def rare_php(bench: Bench) -> Target:
    await bench.run("php", "-S", f"{bench.address}:8080", BACKENDS / "index.php", port=8080)
    await bench.tls_in_front()
    return bench.target()


@case(
    "app-has-no-websocket",
    "platform-no-websocket",
    "url-path-mismatch",
    "proxy-location-missing",
    UNDECIDED,
    why="busybox's file server.",
    needs="busybox haproxy",
)
async def rare_busybox(bench: Bench) -> Target:
    bench.write("www/index.html", "<h1>Hello</h1>")
    await bench.run("busybox", "httpd", "-f", "-p", f"{bench.address}:8080", "-h", bench.directory / "www", port=8080)
    await bench.tls_in_front()
    return bench.target()


# --- h2o, nghttpx, squid, hitch, sslh ---


async def h2o(bench: Bench, more: str) -> None:
    pair = bench.certificate()
    text = f"""
user: root
error-log: {bench.directory}/h2o.log
hosts:
  "{HOST}":
    listen:
      host: {bench.address}
      port: 443
      ssl:
        certificate-file: {pair.chain}
        key-file: {pair.key}
    paths:
      "/":
        proxy.reverse.url: "http://{bench.address}:8080/"
        {more}
"""
    await bench.run("h2o", "-c", bench.write("h2o.conf", text), port=443)


@case(HEALTHY, why="h2o with proxy.websocket: ON.", needs="h2o")
async def rare_h2o(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await h2o(bench, "proxy.websocket: ON")
    return bench.target()


@case("proxy-upgrade-headers-stripped", why="h2o's default: WebSockets are not passed.", needs="h2o")
async def rare_h2o_strips(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await h2o(bench, "proxy.websocket: OFF")
    return bench.target()


@case("proxy-upstream-down", why="h2o: the app is down.", needs="h2o")
async def rare_h2o_down(bench: Bench) -> Target:
    await h2o(bench, "proxy.websocket: ON")
    return bench.target()


async def nghttpx(bench: Bench) -> None:
    pair = bench.certificate()
    files = (pair.key, pair.chain)
    await bench.run(
        "nghttpx",
        f"-f{bench.address},443",
        f"-b{bench.address},8080",
        *files,
        "--workers=1",
        "--conf=/dev/null",
        port=443,
    )


@case(HEALTHY, why="nghttpx in front.", needs="nghttpx")
async def rare_nghttpx(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await nghttpx(bench)
    return bench.target()


@case("proxy-upstream-down", why="nghttpx: the app is down.", needs="nghttpx")
async def rare_nghttpx_down(bench: Bench) -> Target:
    await nghttpx(bench)
    return bench.target()


async def squid(bench: Bench, more: str = "") -> None:
    text = f"""
http_port {bench.address}:8443 accel defaultsite={HOST} no-vhost
cache_peer {bench.address} parent 8080 0 no-query originserver
http_access allow all
cache deny all
pid_filename none
access_log none
cache_log /dev/stderr
visible_hostname squid.example.com
{more}
"""
    await bench.run("squid", "-N", "-f", bench.write("squid.conf", text), port=8443)
    await bench.tls_in_front(app=8443)


@case(
    "proxy-upgrade-headers-stripped",
    why="squid before the app, upgrades not allowed (its default).",
    needs="squid haproxy",
)
async def rare_squid_strips(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await squid(bench)
    return bench.target()


@case("proxy-upstream-down", why="squid: ERR_CONNECT_FAIL.", needs="squid haproxy")
async def rare_squid_down(bench: Bench) -> Target:
    await squid(bench)
    return bench.target()


@case(
    "waf-blocks-upgrade",
    "ip-allowlist-403",
    UNDECIDED,
    why="squid: ERR_ACCESS_DENIED.",
    needs="squid haproxy",
)
async def rare_squid_denies(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await squid(bench, "acl calls urlpath_regex ^/api\nhttp_reply_access deny calls")
    return bench.target()


async def hitch(bench: Bench, *more: str) -> None:
    pair = bench.certificate()
    place = f"[{bench.address}]:443"
    await bench.run(
        "hitch", "--user=nobody", f"--frontend={place}", f"--backend=[{bench.address}]:8080", *more, pair.both, port=443
    )


@case(HEALTHY, why="hitch in front.", needs="hitch")
async def rare_hitch(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await hitch(bench)
    return bench.target()


@case(
    "proxy-upstream-down",
    "ws-upgrade-closed",
    "tcp-reset-on-accept",
    UNDECIDED,
    why="hitch, and nobody behind it: TLS works, then the end.",
    needs="hitch",
)
async def rare_hitch_down(bench: Bench) -> Target:
    await hitch(bench)
    return bench.target()


@case(
    "tcp-wrong-service",
    "ws-upgrade-closed",
    UNDECIDED,
    why="hitch writes a PROXY line that the app does not understand: 400 from websockets, or the end.",
    needs="hitch",
)
async def rare_proxy_line_unexpected(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await hitch(bench, "--write-proxy-v1")
    return bench.target()


@case(
    "tcp-wrong-service",
    UNDECIDED,
    why="HAProxy sends the PROXY line to uvicorn: 400 `Invalid HTTP request received.`",
    needs="haproxy",
)
async def rare_proxy_line_uvicorn(bench: Bench) -> Target:
    await bench.asgi_app(port=8080, tls=False)
    await bench.haproxy("listen tls\nmode tcp\nbind @A@:443 ssl crt @CERT@\nserver app @A@:8080 send-proxy")
    return bench.target()


@case(
    "tcp-wrong-service",
    "tls-plaintext-port",
    UNDECIDED,
    why="sslh hands TLS to the SSH server by mistake.",
    needs="sslh",
)
async def rare_sslh(bench: Bench) -> Target:
    await bench.python("mute", "--mode", "banner", port=2222)
    listen, ssh = f"{bench.address}:443", f"{bench.address}:2222"
    await bench.run("sslh", "-f", "-n", "--user", "root", "-p", listen, "--tls", ssh, "--ssh", ssh, port=443)
    return bench.target()


# --- settings less often wrong ---


@case(HEALTHY, why='`Connection "upgrade"` written out, buffering on, gzip on.', needs="nginx")
async def rare_nginx_fixed_connection(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx(
        "gzip on; gzip_types *; location / { proxy_pass http://@A@:8080; proxy_http_version 1.1; proxy_buffering on;"
        ' proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; }'
    )
    return bench.target()


@case("ws-accept-wrong", "ws-101-incomplete", why="nginx hides Sec-WebSocket-Accept from the client.", needs="nginx")
async def rare_nginx_hides_accept(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx_before_app("proxy_hide_header Sec-WebSocket-Accept;")
    return bench.target()


@case(
    "ws-accept-wrong",
    UNDECIDED,
    why="nginx sends a key of its own upstream, one for all.",
    needs="nginx",
)
async def rare_nginx_own_key(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx_before_app("proxy_set_header Sec-WebSocket-Key dGhlIHNhbXBsZSBub25jZQ==;")
    return bench.target()


@case("ws-extension-forced", why="nginx offers compression upstream in the client's name.", needs="nginx node npm:ws")
async def rare_nginx_forces_compression(bench: Bench) -> Target:
    await bench.node("ws-compressed", port=8080)
    await bench.nginx_before_app("proxy_set_header Sec-WebSocket-Extensions permessage-deflate;")
    return bench.target()


@case(
    "ws-version-or-key-rejected",
    "proxy-upgrade-headers-stripped",
    UNDECIDED,
    why="nginx drops Sec-WebSocket-Version; the app answers 400 or 426.",
    needs="nginx",
)
async def rare_nginx_drops_version(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx_before_app('proxy_set_header Sec-WebSocket-Version "";')
    return bench.target()


@case("proxy-upgrade-headers-stripped", why="`proxy_pass_request_headers off`.", needs="nginx")
async def rare_nginx_no_headers(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx(
        "location / { proxy_pass http://@A@:8080; proxy_http_version 1.1; proxy_pass_request_headers off; }"
    )
    return bench.target()


@case("ws-auth-required-401", why="nginx drops the header that carries the token.", needs="nginx")
async def rare_nginx_drops_token(bench: Bench) -> Target:
    await bench.voice_app("echo", "--token", "s3cret", port=8080, tls=False)
    await bench.nginx_before_app(
        'proxy_set_header X-Telnyx-Streaming-Auth-Token ""; proxy_set_header Authorization "";'
    )
    return bench.target("--token", "s3cret")


@case("ws-auth-required-401", "access-gate", why="auth_request says 401.", needs="nginx")
async def rare_nginx_auth_request(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx(
        "location = /auth { internal; return 401; } "
        f"location / {{ auth_request /auth; proxy_pass http://@A@:8080; {NGINX_UPGRADES} }}"
    )
    return bench.target()


@case(
    "redirect-on-upgrade",
    "access-gate",
    "ws-auth-required-401",
    why="auth_request, and 401 turned into a login page.",
    needs="nginx",
)
async def rare_nginx_auth_redirect(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx(
        "location = /auth { internal; return 401; }"
        " location @login { return 302 https://$host/login?rd=$request_uri; } "
        f"location / {{ error_page 401 = @login; auth_request /auth; proxy_pass http://@A@:8080; {NGINX_UPGRADES} }}"
    )
    return bench.target()


@case(
    "proxy-upstream-down",
    "proxy-internal-error-500",
    UNDECIDED,
    why="auth_request's own server is down: 500.",
    needs="nginx",
)
async def rare_nginx_auth_down(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx(
        "location = /auth { internal; proxy_pass http://@A@:9; } "
        f"location / {{ auth_request /auth; proxy_pass http://@A@:8080; {NGINX_UPGRADES} }}"
    )
    return bench.target()


@case("proxy-upstream-down", "edge-app-failed-to-respond", UNDECIDED, why="A custom page for 502.", needs="nginx")
async def rare_nginx_own_502_page(bench: Bench) -> Target:
    bench.write("www/50x.html", "<html><body><h1>We will be right back</h1></body></html>")
    await bench.nginx(
        f"error_page 502 /50x.html; location = /50x.html {{ root {bench.directory}/www; }} "
        f"location /api {{ proxy_pass http://@A@:8080; {NGINX_UPGRADES} }}"
    )
    return bench.target()


@case(
    "spa-fallback-200",
    "url-path-mismatch",
    UNDECIDED,
    why="The app's 404 is turned into the front end's page, with 200.",
    needs="nginx",
)
async def rare_nginx_404_to_page(bench: Bench) -> Target:
    bench.write("www/index.html", "<!doctype html><html><head><title>App</title></head><body id=app></body></html>")
    await bench.voice_app("echo", "--pattern", "^/somewhere-else-entirely$", port=8080, tls=False)
    await bench.nginx(
        "proxy_intercept_errors on; error_page 404 =200 /index.html;"
        f" location = /index.html {{ root {bench.directory}/www; }}"
        f" location /api {{ proxy_pass http://@A@:8080; {NGINX_UPGRADES} }}"
    )
    return bench.target()


@case(
    "proxy-upstream-down",
    "proxy-upstream-scheme-wrong",
    UNDECIDED,
    why="`proxy_pass https://` to a plain app: 502.",
    needs="nginx",
)
async def rare_nginx_https_to_plain(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx(f"location / {{ proxy_pass https://@A@:8080; {NGINX_UPGRADES} }}")
    return bench.target()


@case(
    "service-unavailable-503",
    "rate-limited-429",
    "proxy-upstream-down",
    UNDECIDED,
    why="limit_conn with another call open: 503.",
    needs="nginx",
)
async def rare_nginx_limit_conn(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx_before_app("limit_conn all 1;", http="limit_conn_zone $server_addr zone=all:1m;")
    await bench.hold_a_stream()
    return bench.target()


@case(
    "http2-only-endpoint",
    UNDECIDED,
    why="nginx http2 on a plain listener behind a TCP TLS terminator.",
    needs="nginx haproxy",
)
async def rare_nginx_h2c(bench: Bench) -> Target:
    await bench.nginx("location / { return 200; }", port=8080, listen="http2")
    await bench.tls_in_front()
    return bench.target()


@case(
    "proxy-upstream-down",
    "proxy-internal-error-500",
    UNDECIDED,
    why="Apache's `ProxyPass / http://host:8080`: the slash at the end is missing.",
    needs="apache2",
)
async def rare_apache_missing_slash(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.apache("ProxyPass / http://app.internal:8080 upgrade=websocket")
    return bench.target()


@case(
    "ip-allowlist-403",
    "waf-blocks-upgrade",
    UNDECIDED,
    why="Apache: Require all denied.",
    needs="apache2",
)
async def rare_apache_denied(bench: Bench) -> Target:
    await bench.apache("<Location />\nRequire all denied\n</Location>\nProxyPass / http://@A@:8080/ upgrade=websocket")
    return bench.target()


@case("header-too-large-431", why="Apache's LimitRequestFieldSize: 400 `exceeds server limit`.", needs="apache2")
async def rare_apache_header_limit(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.apache("LimitRequestFieldSize 200\nProxyPass / http://@A@:8080/ upgrade=websocket")
    return bench.target("--token", "t" * 400)


@case("tls-client-certificate-required", why="Apache with SSLVerifyClient require.", needs="apache2")
async def rare_apache_client_certificate(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.apache(
        f"SSLVerifyClient require\nSSLCACertificateFile {bench.authority.root}\n"
        "ProxyPass / http://@A@:8080/ upgrade=websocket"
    )
    return bench.target()


@case(
    "proxy-location-missing",
    "spa-fallback-200",
    "proxy-upgrade-headers-stripped",
    UNDECIDED,
    why="Caddy's matcher for upgrades is misspelt: an empty 200.",
    needs="caddy",
)
async def rare_caddy_matcher(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.caddy("@ws header Upgrade web-socket\nreverse_proxy @ws @A@:8080")
    return bench.target()


@case(
    "access-gate",
    "ws-auth-required-401",
    "redirect-on-upgrade",
    why="Caddy's forward_auth sends to the login host.",
    needs="caddy nginx",
)
async def rare_caddy_forward_auth(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx("return 302 https://auth.example.net/?rd=$request_uri;", port=9091, listen="")
    await bench.caddy("forward_auth @A@:9091 {\nuri /api/verify\n}\nreverse_proxy @A@:8080")
    return bench.target()


@case(
    "ip-allowlist-403",
    "waf-blocks-upgrade",
    UNDECIDED,
    why="Caddy: respond 403 to foreign addresses, with an empty body.",
    needs="caddy",
)
async def rare_caddy_remote_ip(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.caddy("@others not remote_ip 192.76.120.128/29\nrespond @others 403\nreverse_proxy @A@:8080")
    return bench.target()


@case(
    "proxy-upstream-down",
    "proxy-upgrade-headers-stripped",
    "proxy-upstream-scheme-wrong",
    UNDECIDED,
    why="Caddy speaks h2c to an app of HTTP/1.1.",
    needs="caddy",
)
async def rare_caddy_h2c(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.caddy("reverse_proxy h2c://@A@:8080")
    return bench.target()


@case(
    "redirect-on-upgrade",
    why="HAProxy behind another terminator redirects to https for ever.",
    needs="haproxy stunnel4",
)
async def rare_haproxy_redirect_loop(bench: Bench) -> Target:
    await bench.haproxy("frontend web\nbind @A@:8080\nhttp-request redirect scheme https unless { ssl_fc }", port=8080)
    await bench.stunnel()
    return bench.target()


@case(
    "waf-blocks-upgrade",
    "http-no-answer",
    "proxy-internal-error-500",
    "ip-allowlist-403",
    UNDECIDED,
    why="HAProxy's tarpit: 500 after two seconds.",
    needs="haproxy",
)
async def rare_haproxy_tarpit(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(WEB + "timeout tarpit 2s\nhttp-request tarpit if { hdr(upgrade) -m found }\n" + APP)
    return bench.target()


@case(
    "http-no-answer",
    "waf-blocks-upgrade",
    UNDECIDED,
    why="HAProxy's silent-drop: the request is never answered.",
    needs="haproxy",
)
async def rare_haproxy_silent_drop(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(WEB + "http-request silent-drop if { hdr(upgrade) -m found }\n" + APP)
    return bench.target()


@case(
    "proxy-upstream-down",
    UNDECIDED,
    why="HAProxy knows by its checks that the server is down: 503 at once.",
    needs="haproxy",
)
async def rare_haproxy_checked_down(bench: Bench) -> Target:
    await bench.haproxy(WEB + "default_backend app\nbackend app\nserver app @A@:8080 check inter 50 fall 1 disabled")
    return bench.target()


@case(
    "proxy-upstream-down",
    "ws-upgrade-closed",
    UNDECIDED,
    why="stunnel with nobody behind it: the handshake is fine, the request gets the end.",
    needs="stunnel4",
)
async def rare_stunnel_down(bench: Bench) -> Target:
    await bench.stunnel()
    return bench.target()


@case(
    "proxy-upstream-timeout-504",
    "http-no-answer",
    "event-loop-blocked",
    UNDECIDED,
    why="stunnel before an app that never answers.",
    needs="stunnel4",
)
async def rare_stunnel_deaf(bench: Bench) -> Target:
    await bench.python("mute", "--mode", "accepts", port=8080)
    await bench.stunnel()
    return bench.target()


# --- names and networks ---


@case(
    "dns-one-address-dead",
    "dns-private-address",
    why="Two A records, one public and one private.",
    needs="netns dnsmasq",
)
async def rare_one_private_record(bench: Bench) -> Target:
    await bench.networked()
    await bench.voice_app()
    rows = (f"host-record={HOST},{PUBLIC_ADDRESS}", f"host-record={HOST},10.20.30.40")
    await bench.dnsmasq("local=/example.com/", *rows)
    return bench.target_named()


@case(
    "dns-private-address",
    "dns-one-address-dead",
    why="The A record is public, the AAAA record a unique local address.",
    needs="netns dnsmasq",
)
async def rare_private_ipv6(bench: Bench) -> Target:
    await bench.networked("fd12:3456:789a::1")
    await bench.voice_app()
    await bench.dnsmasq("local=/example.com/", f"host-record={HOST},{PUBLIC_ADDRESS},fd12:3456:789a::1")
    return bench.target_named()


@case(
    "spa-fallback-200",
    "dns-stale-record",
    UNDECIDED,
    why="A parked domain: another company's page, with a certificate for the name.",
    needs="netns dnsmasq nginx",
)
async def rare_parked(bench: Bench) -> Target:
    await bench.networked()
    page = "<html><head><title>voice.example.com is for sale</title></head><body>This domain is parked</body></html>"
    await bench.nginx(f"default_type text/html; return 200 '{page}';")
    await bench.dnsmasq("local=/example.com/", f"host-record={HOST},{PUBLIC_ADDRESS}")
    return bench.target_named()


@case(HEALTHY, why="An alias to the platform's name, as custom domains are set up.", needs="netns")
async def rare_platform_alias(bench: Bench) -> Target:
    await bench.networked()
    await bench.voice_app()
    await bench.names(f"{HOST} CNAME abc123.up.railway.app.", f"abc123.up.railway.app A {PUBLIC_ADDRESS}")
    return bench.target_named()


@case(
    "tcp-timeout-firewall-drop",
    "rate-limited-429",
    "backend-flapping",
    UNDECIDED,
    why="A firewall lets two new connections a minute in, and both are spent.",
    needs="netns",
)
async def rare_connection_rate(bench: Bench) -> Target:
    network = await bench.networked()
    await bench.voice_app()
    await network.filter("tcp dport 443 tcp flags & (syn|ack) == syn limit rate over 1/hour burst 1 packets drop")
    await bench.spend_connection()
    return bench.target()


@case("tcp-reset-on-accept", UNDECIDED, why="Accepted and closed at once, whoever comes.")
async def rare_closes_on_accept(bench: Bench) -> Target:
    await bench.python("mute", "--mode", "closes", port=443)
    return bench.target()
