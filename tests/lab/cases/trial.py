"""Applications that no rule was written for: none of the broken ones may be called healthy, no odd one accused."""

from __future__ import annotations

from tests.lab.bench import Bench
from tests.lab.case import HEALTHY, UNDECIDED, WITHHELD, Cases, Target
from tests.lab.cases.unseen import UPGRADES, asgi, node

CASES = Cases()
case = CASES.case

NGINX, HAPROXY, CADDY, NOTHING = "nginx", "haproxy", "caddy", ""


def bot(name: str, behind: str, *slugs: str, why: str, options: tuple[str, ...] = ()) -> None:
    """One of `odd_bots`, behind a real proxy or with TLS of its own."""

    async def start(bench: Bench) -> Target:
        arguments: tuple[str, ...] = ("--bot", name)
        if behind == NOTHING:
            pair = bench.certificate()
            arguments += ("--cert", str(pair.chain), "--key", str(pair.key))
        await bench.python("odd_bots", *arguments, port=8080 if behind else 443)
        if behind == NGINX:
            await bench.nginx(f"location / {{ proxy_pass http://@A@:8080; {UPGRADES} proxy_read_timeout 1h; }}")
        elif behind == HAPROXY:
            await bench.haproxy(
                "frontend web\nbind @A@:443 ssl crt @CERT@\ndefault_backend app\nbackend app\nserver one @A@:8080"
            )
        elif behind == CADDY:
            await bench.caddy("reverse_proxy @A@:8080")
        return bench.target(*options)

    CASES.add(f"trial-{name}", *slugs, why=why, start=start, needs=behind)


bot("raw-echo", NGINX, HEALTHY, why="Media texts go back as they came.")
bot("jittered", HAPROXY, HEALTHY, why="Up to 60 ms of jitter.")
bot("clears-often", CADDY, HEALTHY, why="Barge-in at each word.")
bot("closes-at-stop", NGINX, HEALTHY, why="Closes by itself at stop.")
bot("hangs-up-politely", NOTHING, HEALTHY, why="A mark behind each frame.")
bot("uneven-chunks", HAPROXY, HEALTHY, why="Pieces of 20 to 700 ms.")
bot("only-loud-comes-back", NGINX, HEALTHY, why="A gate: silence is not sent.")
bot("pairs-to-forty", CADDY, HEALTHY, why="Pieces of 40 ms.")
bot("ends-in-a-short-piece", NOTHING, HEALTHY, why="The last piece of a sentence is short.")
bot("foreign-field", NGINX, HEALTHY, why="A field of another carrier's beside the right ones.")

bot("blocks-often", NGINX, "event-loop-blocked", UNDECIDED, why="The loop is held for 1.2 s each two seconds.")
bot("blocks-once", NOTHING, "event-loop-blocked", UNDECIDED, why="The loop is held for 1.2 s once.")
bot("half", HAPROXY, "audio-frames-damaged", why="Every second frame is lost.")
bot("twice", NGINX, "audio-frames-damaged", why="Every frame comes twice.")
bot("swapped", CADDY, "audio-frames-damaged", why="Frames come in the wrong order.")
bot("falls-behind", NGINX, "send-too-slow-underrun", why="30 ms of work for 20 ms of audio.")
bot("goes-silent", HAPROXY, WITHHELD + "audio-frames-damaged", why="After half a second nothing is sent any more.")
bot("half-speed", NGINX, "send-too-slow-underrun", why="20 ms of audio each 40 ms.")
bot("holes", CADDY, "send-too-slow-underrun", UNDECIDED, why="200 ms of nothing after each 200 ms.")
bot("dies-at-mark", NGINX, "app-crash-on-connect", why="1011 at our mark.")
bot("says-error", NGINX, UNDECIDED, why="An error text, and no audio.")
bot("inverted-bits", HAPROXY, WITHHELD + "outbound-level-wrong", why="Every bit the other way round.")
bot("unsigned-8", NGINX, WITHHELD + "outbound-level-wrong", why="8-bit linear samples.")
bot("quiet-as-a-mouse", CADDY, WITHHELD + "outbound-level-wrong", why="40 dB too quiet.")
bot("clipped", NOTHING, WITHHELD + "outbound-level-wrong", why="26 dB too loud.")
bot("lines-of-json", HAPROXY, "outbound-envelope-wrong", why="Two documents in a message.")
bot("reads-slowly", NGINX, "send-too-slow-underrun", why="Reads a frame each 60 ms.")
bot("other-track", NGINX, UNDECIDED, why="Waits for another track.")


@case(HEALTHY, why="Every path but the stream's is a web site.", needs="nginx")
async def trial_site_beside(bench: Bench) -> Target:
    await bench.python("odd_bots", "--bot", "raw-echo", port=8080)
    bench.write("site/index.html", "<!doctype html><title>Bot</title><div id=root></div><script src=/a.js></script>")
    await bench.nginx(
        f"location /api/ {{ proxy_pass http://@A@:8080; {UPGRADES} }} location / {{ return 200 'hello'; }}",
    )
    return bench.target()


@case(HEALTHY, why="uvicorn behind nginx with a path prefix that nginx takes away, and the program's route fits.",
      needs="nginx")  # fmt: skip
async def trial_prefix(bench: Bench) -> Target:
    await asgi(
        bench,
        """
        if path != "/call/test-connection":
            return await send({"type": "websocket.close"})
        await send({"type": "websocket.accept", "headers": [(b"set-cookie", b"a=b"), (b"x-frame-options", b"DENY")]})
        await echo(receive, send)
        """,
    )
    await bench.nginx(f"location /bot/ {{ proxy_pass http://@A@:8080/; {UPGRADES} }} location / {{ return 404; }}")
    return bench.target(path="/bot/call/test-connection")


@case(HEALTHY, why="ws with compression, its own pings, and a limit on messages.", needs="node npm:ws haproxy")
async def trial_node_compression(bench: Bench) -> Target:
    await node(
        bench,
        """
        const wss = new WebSocketServer({ ...listen, perMessageDeflate: { threshold: 64 }, maxPayload: 4096 });
        wss.on('connection', (ws) => {
          echo(ws);
          const pinging = setInterval(() => ws.ping(), 200);
          ws.on('close', () => clearInterval(pinging));
        });
        """,
    )
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@ alpn h2,http/1.1\ncompression algo gzip\ndefault_backend app\n"
        "backend app\noption http-server-close\nserver one @A@:8080"
    )
    return bench.target()


@case(HEALTHY, why="Express answers a plain GET of the path with 426, upgrades work.", needs="node npm:ws npm:express")
async def trial_426_for_browsers(bench: Bench) -> Target:
    await node(
        bench,
        """
        const app = need('express')();
        app.use((_, answer) => answer.status(426).send('Upgrade Required'));
        const server = http.createServer(app);
        const wss = new WebSocketServer({ noServer: true });
        server.on('upgrade', (request, socket, head) => wss.handleUpgrade(request, socket, head, echo));
        server.listen(listen.port, listen.host);
        """,
    )
    await bench.tls_in_front()
    return bench.target()


@case(UNDECIDED, "event-loop-blocked", why="Node: a JSON of 1.2 s is made now and then.", needs="node npm:ws nginx")
async def trial_node_blocks(bench: Bench) -> Target:
    await node(
        bench,
        """
        new WebSocketServer(listen).on('connection', echo);
        setInterval(() => { const until = Date.now() + 1200; while (Date.now() < until); }, 2400);
        """,
    )
    await bench.nginx(f"location / {{ proxy_pass http://@A@:8080; {UPGRADES} }}")
    return bench.target()


@case("wrong-instance", why="One of two backends is a push channel.",
      needs="node npm:ws haproxy")  # fmt: skip
async def trial_mixed_pool(bench: Bench) -> Target:
    await bench.python("odd_bots", "--bot", "raw-echo", port=8080)
    await node(
        bench,
        """
        new WebSocketServer(listen).on('connection', (ws) => ws.close(1008, 'not for you'));
        """,
        8081,
    )
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@\ndefault_backend app\n"
        "backend app\nbalance roundrobin\nserver one @A@:8080\nserver two @A@:8081"
    )
    return bench.target()


@case("event-loop-blocked", UNDECIDED, why="Lets the stream in and forgets it: the handler awaits what never comes.")
async def trial_awaits_for_ever(bench: Bench) -> Target:
    await asgi(
        bench,
        """
        import asyncio
        await send({"type": "websocket.accept"})
        await asyncio.sleep(3600)
        """,
    )
    await bench.tls_in_front()
    return bench.target()


@case("proxy-upstream-down", UNDECIDED, why="The path's own backend is dead, other paths are served.", needs="haproxy")
async def trial_one_dead_backend(bench: Bench) -> Target:
    await bench.python("odd_bots", "--bot", "raw-echo", port=8080)
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@\nuse_backend dead if { path_beg /api }\ndefault_backend app\n"
        "backend app\nserver one @A@:8080\nbackend dead\nserver two @A@:8081"
    )
    return bench.target()
