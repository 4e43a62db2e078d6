"""Set-ups as people really have them, for which no rule was written: what is named must be right, or left open."""

from __future__ import annotations

import textwrap

from tests.lab.bench import HOST, NODE, PATH, Bench
from tests.lab.case import HEALTHY, UNDECIDED, WITHHELD, Cases, Target

CASES = Cases()
case = CASES.case

MADE_UP = "/ws/0d0c70c1-d0c7-4d0c-80d0-c70ca11ba7e1"
"""An id of no call: a careful server refuses it, and that is no fault."""

UPGRADES = (
    "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;"
)

ASGI = """
    import base64, json

    async def echo(receive, send):
        while (message := await receive())["type"] == "websocket.receive":
            frame = json.loads(message["text"])
            if frame["event"] == "media":
                answer = {"event": "media", "media": {"payload": frame["media"]["payload"]}}
                await send({"type": "websocket.send", "text": json.dumps(answer)})

    async def plain(send, status, text, kind=b"application/json"):
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})
        await send({"type": "http.response.body", "body": text.encode()})

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        if scope["type"] == "http":
            return await plain(send, 404, '{"error":"not found"}')
        await receive()
        path = scope["path"]
"""
"""A raw ASGI application; a case writes what happens to the upgrade of `path`."""


async def asgi(bench: Bench, body: str, port: int = 8080, *options: str) -> None:
    text = textwrap.dedent(ASGI) + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ") + "\n"
    bench.write("program.py", text)
    command = ("python", "-m", "uvicorn", "program:app", "--host", bench.address, "--port", str(port), *options)
    await bench.run(*_python(command), port=port, environment={"PYTHONPATH": str(bench.directory)})


def _python(command: tuple[str, ...]) -> tuple[str, ...]:
    import sys

    return (sys.executable, *command[1:])


NODE_HEAD = """
    const http = require('node:http');
    const { createRequire } = require('node:module');
    const need = createRequire(process.env.LAB_MODULES + '/package.json');
    const { WebSocketServer } = need('ws');
    const listen = { host: process.env.HOST, port: Number(process.env.PORT) };
    const media = (payload) => JSON.stringify({ event: 'media', media: { payload } });
    const echo = (ws) => ws.on('message', (text) => {
      const frame = JSON.parse(text);
      if (frame.event === 'media') ws.send(media(frame.media.payload));
    });
"""


async def node(bench: Bench, body: str, port: int = 8080) -> None:
    path = bench.write("program.js", textwrap.dedent(NODE_HEAD) + textwrap.dedent(body))
    place = {"HOST": bench.address, "PORT": str(port), "LAB_MODULES": str(NODE / "node_modules")}
    await bench.run("node", path, port=port, environment=place)


# --- nothing is wrong ---


@case(HEALTHY, why="Two backends, least_conn, gzip, no buffering.", needs="nginx")
async def unseen_nginx_two_backends(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.voice_app(port=8081, tls=False)
    await bench.nginx(
        f"gzip on; location / {{ proxy_pass http://pool; {UPGRADES} proxy_buffering off; proxy_read_timeout 1h; }}",
        http="upstream pool { least_conn; server @A@:8080; server @A@:8081; }",
    )
    return bench.target()


@case(HEALTHY, why="HAProxy with a cookie, forwarded headers and health checks.", needs="haproxy")
async def unseen_haproxy_cookie(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@ alpn h2,http/1.1\noption forwardfor\ndefault_backend app\n"
        "backend app\nbalance leastconn\ncookie SRV insert indirect nocache\nserver one @A@:8080 check cookie one"
    )
    return bench.target()


@case(HEALTHY, why="Apache 2.4.47's own way: ProxyPass with upgrade=websocket.", needs="apache2")
async def unseen_apache_upgrade_any(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.apache("ProxyPass / http://@A@:8080/ upgrade=websocket")
    return bench.target()


@case(HEALTHY, why="A raw ASGI program with headers of its own in the 101.")
async def unseen_asgi_raw(bench: Bench) -> Target:
    await asgi(
        bench, 'await send({"type": "websocket.accept", "headers": [(b"x-bot", b"1")]})\nawait echo(receive, send)'
    )
    await bench.tls_in_front()
    return bench.target()


@case(HEALTHY, why="One status message before the audio is no fault.", needs="node npm:ws")
async def unseen_one_status_first(bench: Bench) -> Target:
    await node(
        bench, "new WebSocketServer(listen).on('connection', (ws) => { ws.send('{\"type\":\"ready\"}'); echo(ws); });"
    )
    await bench.tls_in_front()
    return bench.target()


@case(HEALTHY, why="A greeting of five seconds in one message: Telnyx queues it.", needs="node npm:ws")
async def unseen_greeting_in_one_go(bench: Bench) -> Target:
    await node(
        bench,
        """
        const tone = Buffer.alloc(40000);
        for (let at = 0; at < tone.length; at++) tone[at] = 0x80 | ((at * 37) % 90 + 20);
        new WebSocketServer(listen).on('connection', (ws) => { ws.send(media(tone.toString('base64'))); echo(ws); });
        """,
    )
    await bench.tls_in_front()
    return bench.target()


@case(HEALTHY, why="The same server answers http:// requests with a redirect to the web site.", needs="nginx")
async def unseen_site_and_stream(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.nginx(
        f"location /api/ {{ proxy_pass http://@A@:8080; {UPGRADES} }} location / {{ return 302 https://www.example.com/; }}"
    )
    return bench.target()


# --- answers 101, and is no endpoint for calls ---


@case(UNDECIDED, why="A development server's own channel takes every upgrade.", needs="node npm:ws")
async def unseen_dev_server(bench: Bench) -> Target:
    await node(bench, "new WebSocketServer(listen).on('connection', (ws) => ws.send('{\"type\":\"connected\"}'));")
    await bench.tls_in_front()
    return bench.target()


@case(UNDECIDED, why="A push channel for a dashboard: sends its news, hears nothing.")
async def unseen_push_channel(bench: Bench) -> Target:
    await asgi(
        bench,
        """
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": '{"topic":"orders","count":3}'})
        while (await receive())["type"] == "websocket.receive":
            pass
        """,
    )
    await bench.tls_in_front()
    return bench.target()


@case(UNDECIDED, why="Takes everything and says nothing.", needs="node npm:ws")
async def unseen_silent(bench: Bench) -> Target:
    await node(bench, "new WebSocketServer(listen).on('connection', (ws) => ws.on('message', () => {}));")
    await bench.tls_in_front()
    return bench.target()


@case(HEALTHY, why="The same, and the user says that it only listens.", needs="node npm:ws")
async def unseen_silent_on_purpose(bench: Bench) -> Target:
    await node(bench, "new WebSocketServer(listen).on('connection', (ws) => ws.on('message', () => {}));")
    await bench.tls_in_front()
    return bench.target("--listen-only")


@case(
    "event-loop-blocked",
    "server-stops-reading",
    UNDECIDED,
    why="The socket is paused after start.",
    needs="node npm:ws",
)
async def unseen_stops_reading(bench: Bench) -> Target:
    await node(
        bench, "new WebSocketServer(listen).on('connection', (ws) => ws.once('message', () => ws._socket.pause()));"
    )
    await bench.tls_in_front()
    return bench.target()


# --- the call id is made up ---


@case(UNDECIDED, why="FastAPI's way: close before accept for an unknown call, 403.")
async def unseen_made_up_403(bench: Bench) -> Target:
    await asgi(bench, 'await send({"type": "websocket.close", "code": 1008})')
    await bench.tls_in_front()
    return bench.target(path=MADE_UP)


@case(UNDECIDED, why="The look-up raises for an unknown call: 500.")
async def unseen_made_up_500(bench: Bench) -> Target:
    await asgi(bench, "raise KeyError(path)")
    await bench.tls_in_front()
    return bench.target(path=MADE_UP)


@case(UNDECIDED, "session-lookup-fails", why="Accepts, reads start, closes with 4404.", needs="node npm:ws")
async def unseen_made_up_4404(bench: Bench) -> Target:
    await node(
        bench,
        "new WebSocketServer(listen).on('connection', (ws) => ws.once('message', () => ws.close(4404, 'no such call')));",
    )
    await bench.tls_in_front()
    return bench.target(path=MADE_UP)


@case(UNDECIDED, why="Accepts and closes in good order for an unknown call.", needs="node npm:ws")
async def unseen_made_up_1000(bench: Bench) -> Target:
    await node(bench, "new WebSocketServer(listen).on('connection', (ws) => ws.once('message', () => ws.close(1000)));")
    await bench.tls_in_front()
    return bench.target(path=MADE_UP)


@case(UNDECIDED, why="Destroys the socket of an unknown call.", needs="node npm:ws")
async def unseen_made_up_destroyed(bench: Bench) -> Target:
    await node(
        bench,
        """
        const server = http.createServer((req, res) => res.end('ok'));
        server.on('upgrade', (req, socket) => socket.destroy());
        server.listen(listen);
        """,
    )
    await bench.tls_in_front()
    return bench.target(path=MADE_UP)


@case(UNDECIDED, "ws-auth-required-401", why="401 with a JSON body for an unknown call.")
async def unseen_made_up_401(bench: Bench) -> Target:
    await asgi(
        bench,
        """
        await send({"type": "websocket.http.response.start", "status": 401,
                    "headers": [(b"content-type", b"application/json")]})
        await send({"type": "websocket.http.response.body", "body": b'{"detail":"unknown call or token"}'})
        """,
    )
    await bench.tls_in_front()
    return bench.target(path=MADE_UP)


# --- the path on the way ---


@case(
    "url-path-mismatch",
    UNDECIDED,
    why="proxy_pass with a slash cuts the prefix off; Express names it.",
    needs="nginx node",
)
async def unseen_prefix_cut_express(bench: Bench) -> Target:
    await node(
        bench,
        """
        const app = need('express')();
        need('express-ws')(app);
        app.ws('/api/calls/:id/audio', echo);
        app.listen(listen.port, listen.host);
        """,
    )
    await bench.nginx(f"location /api/ {{ proxy_pass http://@A@:8080/; {UPGRADES} }}")
    return bench.target()


@case(
    "url-path-mismatch",
    UNDECIDED,
    "proxy-location-missing",
    why="Apache puts a version before the path.",
    needs="apache2",
)
async def unseen_apache_adds_prefix(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.apache("ProxyPass / http://@A@:8080/v2/ upgrade=websocket")
    return bench.target()


@case(
    "url-query-string-lost", "ws-auth-required-401", UNDECIDED,
    why="proxy_pass with a fixed path drops the query; the program says what it misses.", needs="nginx",
)  # fmt: skip
async def unseen_query_dropped(bench: Bench) -> Target:
    await asgi(
        bench,
        """
        if not scope["query_string"]:
            await send({"type": "websocket.http.response.start", "status": 400,
                        "headers": [(b"content-type", b"application/json")]})
            await send({"type": "websocket.http.response.body", "body": b'{"error":"missing query parameter call_id"}'})
            return
        await send({"type": "websocket.accept"})
        await echo(receive, send)
        """,
    )
    await bench.nginx(f"location / {{ rewrite ^ /stream? break; proxy_pass http://@A@:8080; {UPGRADES} }}")
    return bench.target(path=f"{PATH}?call_id=1")


@case("proxy-upgrade-headers-stripped", UNDECIDED, why="A second location without the lines wins.", needs="nginx")
async def unseen_regex_location_wins(bench: Bench) -> Target:
    await bench.asgi_app(port=8080, tls=False)
    await bench.nginx(
        f"location / {{ proxy_pass http://@A@:8080; {UPGRADES} }} "
        "location ~ ^/api/calls/ { proxy_pass http://@A@:8080; proxy_http_version 1.1; }"
    )
    return bench.target()


# --- limits, and times ---


@case(UNDECIDED, "rate-limited-429", why="Three requests in ten seconds pass, the fourth gets 429.", needs="haproxy")
async def unseen_own_rate_limit(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@\nstick-table type ip size 1k expire 1m store http_req_rate(10s)\n"
        "http-request track-sc0 src\nhttp-request deny deny_status 429 if { sc_http_req_rate(0) gt 3 }\n"
        "default_backend app\nbackend app\nserver app @A@:8080"
    )
    return bench.target()


@case(UNDECIDED, "rate-limited-429", "url-path-mismatch", why="404, and a limiter that answers the later requests.",
      needs="haproxy")  # fmt: skip
async def unseen_404_then_429(bench: Bench) -> Target:
    await bench.voice_app("echo", port=8080, tls=False)
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@\nstick-table type ip size 1k expire 1m store http_req_rate(10s)\n"
        "http-request track-sc0 src\nhttp-request deny deny_status 429 if { sc_http_req_rate(0) gt 4 }\n"
        "default_backend app\nbackend app\nserver app @A@:8080"
    )
    return bench.target(path="/elsewhere")


@case(WITHHELD + "chunks-too-short", why="Ten milliseconds a message, as they come from the speech service.",
      needs="node npm:ws")  # fmt: skip
async def unseen_ten_milliseconds(bench: Bench) -> Target:
    await node(
        bench,
        """
        new WebSocketServer(listen).on('connection', (ws) => ws.on('message', (text) => {
          const frame = JSON.parse(text);
          if (frame.event !== 'media') return;
          const sound = Buffer.from(frame.media.payload, 'base64');
          ws.send(media(sound.subarray(0, 80).toString('base64')));
          setTimeout(() => ws.send(media(sound.subarray(80).toString('base64'))), 10);
        }));
        """,
    )
    await bench.tls_in_front()
    return bench.target()


@case(WITHHELD + "outbound-envelope-wrong", why="A keepalive as text, five times a second, beside good audio.",
      needs="node npm:ws")  # fmt: skip
async def unseen_text_keepalive(bench: Bench) -> Target:
    await node(
        bench,
        """
        new WebSocketServer(listen).on('connection', (ws) => {
          echo(ws);
          const timer = setInterval(() => ws.send('{"type":"ping"}'), 200);
          ws.on('close', () => clearInterval(timer));
        });
        """,
    )
    await bench.tls_in_front()
    return bench.target()


@case(UNDECIDED, "max-duration-cutoff", "app-crash-on-connect", why="Dies once, a second into the first stream.",
      needs="node npm:ws")  # fmt: skip
async def unseen_cut_once(bench: Bench) -> Target:
    await node(
        bench,
        """
        let first = true;
        new WebSocketServer(listen).on('connection', (ws) => {
          echo(ws);
          if (first) setTimeout(() => ws._socket.destroy(), 1000);
          first = false;
        });
        """,
    )
    await bench.tls_in_front()
    return bench.target()


# --- a host of its own ---


@case("proxy-location-missing", "ws-host-check", UNDECIDED,
      why="No server block has this name; the default one says 421.", needs="nginx")  # fmt: skip
async def unseen_no_such_server_name(bench: Bench) -> Target:
    await bench.nginx(f"server_name _; if ($host = {HOST}) {{ return 421; }} location / {{ return 404; }}")
    return bench.target()


@case("service-unavailable-503", "proxy-upstream-down", "edge-app-failed-to-respond", UNDECIDED,
      why="The program drains: 503 with its own words.")  # fmt: skip
async def unseen_draining(bench: Bench) -> Target:
    await asgi(
        bench,
        """
        await send({"type": "websocket.http.response.start", "status": 503,
                    "headers": [(b"content-type", b"text/plain"), (b"retry-after", b"5")]})
        await send({"type": "websocket.http.response.body", "body": b"draining, no new calls"})
        """,
    )
    await bench.tls_in_front()
    return bench.target()
