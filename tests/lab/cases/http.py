"""Section 5, first half: proxies and servers that answer the upgrade with something else. All of it real software."""

from __future__ import annotations

from tests.lab.bench import BACKENDS, Bench
from tests.lab.case import UNDECIDED, Cases, Target

CASES = Cases()
case = CASES.case

PLAIN_PROXY = "location / { proxy_pass http://@A@:8080; }"
"""nginx without the lines for upgrades."""

HTML = "<!doctype html><html><head><title>Dashboard</title></head><body><div id=root></div></body></html>"


# --- the upgrade is stripped ---


@case(
    "proxy-upgrade-headers-stripped",
    why="nginx's defaults drop Upgrade and speak HTTP/1.0; `websockets` says 505.",
    needs="nginx",
)
async def strip_nginx_websockets(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx(PLAIN_PROXY)
    return bench.target()


@case("proxy-upgrade-headers-stripped", why="The same before Node's `ws`: 426.", needs="nginx node npm:ws")
async def strip_nginx_ws(bench: Bench) -> Target:
    await bench.node("ws", port=8080)
    await bench.nginx(PLAIN_PROXY)
    return bench.target()


@case(
    "proxy-upgrade-headers-stripped",
    UNDECIDED,
    why="Before Starlette the plain GET is a 404, which a missing route would give as well.",
    needs="nginx",
)
async def strip_nginx_starlette(bench: Bench) -> Target:
    await bench.asgi_app(port=8080, tls=False)
    await bench.nginx(PLAIN_PROXY)
    return bench.target()


@case(
    "proxy-upgrade-headers-stripped",
    UNDECIDED,
    why="Before Express: 404 `Cannot GET`, which a socket on another server would give as well.",
    needs="nginx node npm:express npm:ws",
)
async def strip_nginx_express(bench: Bench) -> Target:
    await bench.node("express-noserver", port=8080)
    await bench.nginx(PLAIN_PROXY)
    return bench.target()


@case("proxy-upgrade-headers-stripped", why="Upgrade is passed on, Connection still says close.", needs="nginx")
async def strip_nginx_connection_only(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx(
        "location / { proxy_pass http://@A@:8080; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; }"
    )
    return bench.target()


@case(
    "proxy-upgrade-headers-stripped",
    UNDECIDED,
    why="Both headers but HTTP/1.0 to the app: proxy_http_version is missing.",
    needs="nginx",
)
async def strip_nginx_http_1_0(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx(
        "location / { proxy_pass http://@A@:8080;"
        " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; }"
    )
    return bench.target()


@case(
    "proxy-upgrade-headers-stripped", why="A second proxy in the row drops what the first kept.", needs="nginx haproxy"
)
async def strip_second_proxy(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx("location / { proxy_pass http://@A@:8080; }", port=8081, listen="")
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@\ndefault_backend inner\nbackend inner\nserver inner @A@:8081"
    )
    return bench.target()


@case("proxy-upgrade-headers-stripped", why="Apache's ProxyPass without upgrade=websocket.", needs="apache2")
async def strip_apache(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.apache("ProxyPass / http://@A@:8080/\nProxyPreserveHost On")
    return bench.target()


@case("proxy-upgrade-headers-stripped", why="HAProxy deletes the header.", needs="haproxy")
async def strip_haproxy(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@\nhttp-request del-header upgrade\n"
        "default_backend app\nbackend app\nserver app @A@:8080"
    )
    return bench.target()


@case("proxy-upgrade-headers-stripped", why="Caddy told to remove the headers.", needs="caddy")
async def strip_caddy(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.caddy("request_header -Upgrade\nrequest_header -Connection\nreverse_proxy @A@:8080")
    return bench.target()


@case("proxy-upgrade-headers-stripped", why="Varnish without `return (pipe)`.", needs="varnishd haproxy")
async def strip_varnish(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.varnish()
    await bench.tls_in_front(app=8443)
    return bench.target()


@case(
    "proxy-upgrade-headers-stripped", why='lighttpd without `proxy.header = ("upgrade" => "enable")`.', needs="lighttpd"
)
async def strip_lighttpd(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.lighttpd('proxy.server = ( "" => (( "host" => "@A@", "port" => 8080 )) )')
    return bench.target()


# --- no route in the proxy ---


@case("proxy-location-missing", why="nginx has a location for the site, none for /api.", needs="nginx")
async def location_missing_nginx(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx("root /nonexistent; location /media { proxy_pass http://@A@:8080; }")
    return bench.target()


@case("proxy-location-missing", why="Caddy answers unmatched paths with an empty 200.", needs="caddy")
async def location_missing_caddy(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.caddy("handle /media/* {\nreverse_proxy @A@:8080\n}")
    return bench.target()


@case("proxy-location-missing", why="Apache's document root has no such file.", needs="apache2")
async def location_missing_apache(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    (bench.directory / "www").mkdir(exist_ok=True)
    await bench.apache(
        f"DocumentRoot {bench.directory}/www\n<Directory {bench.directory}/www>\nRequire all granted\n</Directory>\n"
        "ProxyPass /media http://@A@:8080/media upgrade=websocket"
    )
    return bench.target()


@case(
    "proxy-location-missing",
    "proxy-upstream-down",
    UNDECIDED,
    why="HAProxy without a matching backend says 503, as it does when all servers are down.",
    needs="haproxy",
)
async def location_missing_haproxy(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@\nuse_backend app if { path_beg /media }\n"
        "backend app\nserver app @A@:8080"
    )
    return bench.target()


@case("proxy-location-missing", UNDECIDED, why="lighttpd's own 404.", needs="lighttpd")
async def location_missing_lighttpd(bench: Bench) -> Target:
    await bench.lighttpd('proxy.server = ( "/media" => (( "host" => "@A@", "port" => 8080 )) )')
    return bench.target()


# --- the app behind is down or deaf ---


@case("proxy-upstream-down", why="nginx cannot connect: 502.", needs="nginx")
async def upstream_down_nginx(bench: Bench) -> Target:
    await bench.nginx_before_app()
    return bench.target()


@case("proxy-upstream-down", why="Caddy cannot connect: 502 with an empty body.", needs="caddy")
async def upstream_down_caddy(bench: Bench) -> Target:
    await bench.caddy("reverse_proxy @A@:8080")
    return bench.target()


@case("proxy-upstream-down", why="Apache says 503.", needs="apache2")
async def upstream_down_apache(bench: Bench) -> Target:
    await bench.apache("ProxyPass / http://@A@:8080/ upgrade=websocket")
    return bench.target()


@case("proxy-upstream-down", why="HAProxy with a dead server: 503.", needs="haproxy")
async def upstream_down_haproxy(bench: Bench) -> Target:
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@\ndefault_backend app\nbackend app\nserver app @A@:8080"
    )
    return bench.target()


@case("proxy-upstream-down", why="Varnish: 503 Backend fetch failed.", needs="varnishd haproxy")
async def upstream_down_varnish(bench: Bench) -> Target:
    await bench.varnish()
    await bench.tls_in_front(app=8443)
    return bench.target()


@case("proxy-upstream-down", why="lighttpd: 503.", needs="lighttpd")
async def upstream_down_lighttpd(bench: Bench) -> Target:
    await bench.lighttpd(
        'proxy.server = ( "" => (( "host" => "@A@", "port" => 8080 )) )\nproxy.header = ( "upgrade" => "enable" )'
    )
    return bench.target()


@case(
    "proxy-upstream-down",
    UNDECIDED,
    why="The app accepts and hangs up at once: nginx says 502.",
    needs="nginx",
)
async def upstream_closes(bench: Bench) -> Target:
    await bench.odd_server("close-without-answer", port=8080, tls=False)
    await bench.nginx_before_app()
    return bench.target()


@case(
    "proxy-upstream-down",
    "proxy-protocol-expected",
    UNDECIDED,
    why="The app wants a PROXY line first, which nginx does not send: 502.",
    needs="nginx haproxy",
)
async def upstream_wants_proxy_line(bench: Bench) -> Target:
    await bench.voice_app(port=8081, tls=False)
    await bench.haproxy("listen app\nmode tcp\nbind @A@:8080 accept-proxy\nserver app @A@:8081", port=8080)
    await bench.nginx_before_app()
    return bench.target()


@case(
    "proxy-upstream-down",
    "proxy-upstream-scheme-wrong",
    UNDECIDED,
    why="The proxy speaks plainly to an app that speaks TLS.",
    needs="nginx",
)
async def upstream_speaks_tls(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=True)
    await bench.nginx_before_app()
    return bench.target()


@case(
    "proxy-upstream-scheme-wrong",
    "tls-plaintext-port",
    UNDECIDED,
    why="HAProxy speaks plainly to nginx's TLS port: 400 `plain HTTP request was sent to HTTPS port`.",
    needs="nginx haproxy",
)
async def upstream_https_port(bench: Bench) -> Target:
    await bench.nginx("return 200;", port=8443)
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@\ndefault_backend app\nbackend app\nserver app @A@:8443"
    )
    return bench.target()


@case("proxy-upstream-timeout-504", why="The app accepts and never answers: nginx gives up after 3 s.", needs="nginx")
async def upstream_deaf_nginx(bench: Bench) -> Target:
    await bench.python("mute", "--mode", "accepts", port=8080)
    await bench.nginx_before_app("proxy_read_timeout 3s;")
    return bench.target()


@case("proxy-upstream-timeout-504", why="The same in HAProxy: 504.", needs="haproxy")
async def upstream_deaf_haproxy(bench: Bench) -> Target:
    await bench.python("mute", "--mode", "accepts", port=8080)
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@\ndefault_backend app\n"
        "backend app\ntimeout server 3s\nserver app @A@:8080"
    )
    return bench.target()


@case(
    "proxy-upstream-timeout-504",
    "proxy-upstream-down",
    why="The proxy's SYN gets no answer: 504 from nginx.",
    needs="nginx netns",
)
async def upstream_unreachable_nginx(bench: Bench) -> Target:
    network = await bench.networked()
    await network.filter("tcp dport 8080 drop")
    await bench.nginx_before_app("proxy_connect_timeout 2s;")
    return bench.target()


@case(
    "proxy-upstream-timeout-504",
    "proxy-upstream-down",
    UNDECIDED,
    why="The same in Apache, which calls it 502 Proxy Error, after the three seconds.",
    needs="apache2",
)
async def upstream_deaf_apache(bench: Bench) -> Target:
    await bench.python("mute", "--mode", "accepts", port=8080)
    await bench.apache("ProxyTimeout 3\nProxyPass / http://@A@:8080/ upgrade=websocket")
    return bench.target()


# --- redirects and pages ---


@case("redirect-on-upgrade", why="https to www, with everything else right there.", needs="nginx")
async def redirect_to_www(bench: Bench) -> Target:
    await bench.nginx("return 301 https://www.example.com$request_uri;")
    return bench.target()


@case("redirect-on-upgrade", why="The app thinks that it is on http and redirects to https, to itself.", needs="nginx")
async def redirect_to_itself(bench: Bench) -> Target:
    await bench.nginx("return 301 https://$host$request_uri;")
    return bench.target()


@case("redirect-on-upgrade", why="308 to a new API version.", needs="caddy")
async def redirect_to_version(bench: Bench) -> Target:
    await bench.caddy("redir /api/* /v2{uri} 308")
    return bench.target()


@case("redirect-on-upgrade", why="307 to a regional host, from lighttpd.", needs="lighttpd")
async def redirect_to_region(bench: Bench) -> Target:
    await bench.lighttpd('url.redirect = ( "^(.*)$" => "https://eu.example.com$1" )\nurl.redirect-code = 307')
    return bench.target()


@case("redirect-on-upgrade", "access-gate", "ws-auth-required-401", why="302 to the app's own login page.")
async def redirect_to_login(bench: Bench) -> Target:
    await bench.asgi_app("to-login", "--ws", "none")
    return bench.target()


@case("spa-fallback-200", why="try_files sends every path to index.html.", needs="nginx")
async def page_nginx(bench: Bench) -> Target:
    (bench.directory / "www").mkdir(exist_ok=True)
    bench.write("www/index.html", HTML)
    await bench.nginx(f"root {bench.directory}/www; location / {{ try_files $uri /index.html; }}")
    return bench.target()


@case("spa-fallback-200", why="Caddy's file server with a fallback.", needs="caddy")
async def page_caddy(bench: Bench) -> Target:
    bench.write("www/index.html", HTML)
    await bench.caddy(f"root * {bench.directory}/www\ntry_files {{path}} /index.html\nfile_server")
    return bench.target()


@case("spa-fallback-200", why="An app with a catch-all route for its front end.", needs="nginx")
async def page_starlette(bench: Bench) -> Target:
    await bench.asgi_app("single-page", "--ws", "none", port=8080, tls=False)
    await bench.nginx_before_app()
    return bench.target()


# --- refusals by proxies ---


@case(
    "ws-upgrade-closed",
    "waf-blocks-upgrade",
    UNDECIDED,
    why="`return 444`: nginx hangs up.",
    needs="nginx",
)
async def refuse_444(bench: Bench) -> Target:
    await bench.nginx("return 444;")
    return bench.target()


@case("rate-limited-429", why="limit_req with a burst of nought.", needs="nginx")
async def refuse_429(bench: Bench) -> Target:
    await bench.nginx(
        "limit_req_status 429; location / { limit_req zone=all; proxy_pass http://@A@:8080; }",
        http="limit_req_zone $host zone=all:1m rate=1r/m;",
    )
    await bench.request_once()
    return bench.target()


@case(
    "method-not-allowed-405",
    "platform-no-websocket",
    "app-has-no-websocket",
    UNDECIDED,
    why="Only POST is let through.",
    needs="nginx",
)
async def refuse_405(bench: Bench) -> Target:
    await bench.nginx("if ($request_method = GET) { return 405; }")
    return bench.target()


@case(
    "platform-no-websocket",
    UNDECIDED,
    why="A gateway that says 501 to upgrades.",
    needs="haproxy",
)
async def refuse_501(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@\n"
        "http-request return status 501 content-type text/plain string 'No upgrades here' if { hdr(upgrade) -m found }\n"
        "default_backend app\nbackend app\nserver app @A@:8080"
    )
    return bench.target()


@case(
    "header-too-large-431",
    "url-malformed",
    UNDECIDED,
    why="A cookie-sized limit on headers: nginx's 400.",
    needs="nginx",
)
async def refuse_header_size(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx(
        "location / { proxy_pass http://@A@:8080; }",
        http="connection_pool_size 256; client_header_buffer_size 64; large_client_header_buffers 2 256;",
    )
    return bench.target("--token", "t" * 300)


@case(
    "header-too-large-431",
    UNDECIDED,
    why="431 from Node with a small --max-http-header-size.",
    needs="node npm:ws haproxy",
)
async def refuse_431(bench: Bench) -> Target:
    await bench.node("ws", port=8080, environment={"NODE_OPTIONS": "--max-http-header-size=150"})
    await bench.tls_in_front()
    return bench.target("--token", "t" * 200)


@case(
    "waf-blocks-upgrade",
    "ip-allowlist-403",
    UNDECIDED,
    why="HAProxy denies upgrades: 403 with its own page.",
    needs="haproxy",
)
async def refuse_haproxy_deny(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@\nhttp-request deny if { hdr(upgrade) -i websocket }\n"
        "default_backend app\nbackend app\nserver app @A@:8080"
    )
    return bench.target()


@case("waf-blocks-upgrade", why="ModSecurity refuses upgrades: Apache's 403.", needs="apache2 apache:security2")
async def refuse_modsecurity(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.apache(
        "SecRuleEngine On\n"
        'SecRule REQUEST_HEADERS:Upgrade "@contains websocket" "id:920450,phase:1,deny,status:406,log,'
        "msg:'Request header is restricted by policy'\"\n"
        "ProxyPass / http://@A@:8080/ upgrade=websocket",
        modules="unique_id security2",
    )
    return bench.target()


@case(
    "waf-blocks-upgrade",
    UNDECIDED,
    why="Whoever names no browser is refused; a desk probe with a browser's name gets in.",
    needs="nginx",
)
async def refuse_agents(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx_before_app("if ($http_user_agent !~* mozilla) { return 403; }")
    return bench.target()


@case(
    "service-unavailable-503",
    "proxy-upstream-down",
    UNDECIDED,
    why="A maintenance page with Retry-After.",
    needs="nginx",
)
async def refuse_maintenance(bench: Bench) -> Target:
    await bench.nginx(
        "location / { add_header Retry-After 3600 always; default_type text/html;"
        " return 503 '<h1>We are down for maintenance</h1>'; }"
    )
    return bench.target()


@case(
    "proxy-upstream-down",
    "service-unavailable-503",
    "proxy-upstream-timeout-504",
    UNDECIDED,
    why="HAProxy's maxconn is taken by another call, and the queue times out: 503.",
    needs="haproxy",
)
async def refuse_connection_limit(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@\ndefault_backend app\n"
        "backend app\ntimeout queue 2s\nserver app @A@:8080 maxconn 1"
    )
    await bench.hold_a_stream()
    return bench.target()


# --- servers that cannot ---


@case("app-has-no-websocket", UNDECIDED, why="wsgiref: HTTP/1.0 and 404 for everything.", needs="haproxy")
async def wsgi_wsgiref(bench: Bench) -> Target:
    await bench.python("wsgi_app", port=8080)
    await bench.tls_in_front()
    return bench.target()


@case("app-has-no-websocket", UNDECIDED, why="A WSGI app under gunicorn with sync workers.", needs="gunicorn haproxy")
async def wsgi_gunicorn(bench: Bench) -> Target:
    place = f"{bench.address}:8080"
    await bench.run("gunicorn", "--chdir", BACKENDS, "--bind", place, "wsgi_app:app", port=8080)
    await bench.tls_in_front()
    return bench.target()


@case("app-has-no-websocket", "spa-fallback-200", UNDECIDED, why="A server of HTTP/1.0 files.")
async def http_1_0_only(bench: Bench) -> Target:
    await bench.odd_server("http-1-0")
    return bench.target()


@case(
    "app-has-no-websocket",
    "asgi-route-missing-403",
    "proxy-upgrade-headers-stripped",
    UNDECIDED,
    why="The route exists for HTTP only: uvicorn gives 403 to the upgrade, 200 to a GET.",
)
async def asgi_without_socket(bench: Bench) -> Target:
    await bench.asgi_app("no-socket")
    return bench.target()


@case(
    "app-has-no-websocket",
    "proxy-upgrade-headers-stripped",
    UNDECIDED,
    why="uvicorn without a WebSocket library: `ws none`, upgrades are plain GETs.",
)
async def asgi_ws_none(bench: Bench) -> Target:
    await bench.asgi_app("right", "--ws", "none")
    return bench.target()
