"""Section 15: more than one instance, or one that comes and goes."""

from __future__ import annotations

from tests.lab.bench import Bench
from tests.lab.case import UNDECIDED, Cases, Target

CASES = Cases()
case = CASES.case

TWO_SERVERS = (
    "frontend web\nbind @A@:443 ssl crt @CERT@\ndefault_backend apps\n"
    "backend apps\nbalance roundrobin\nserver one @A@:8080\nserver two @A@:8081"
)


@case(
    "wrong-instance",
    why="Two replicas by turns; one of them knows the session, the other closes 1008.",
    needs="haproxy",
)
async def instance_1008(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.voice_app("needs-known-session", port=8081, tls=False)
    await bench.haproxy(TWO_SERVERS)
    return bench.target()


@case("wrong-instance", UNDECIDED, why="The other replica answers 404.", needs="haproxy")
async def instance_404(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.voice_app("echo", "--pattern", "^/nothing-here$", port=8081, tls=False)
    await bench.haproxy(TWO_SERVERS)
    return bench.target()


@case(
    "crash-loop-or-oom",
    "wrong-instance",
    "backend-flapping",
    UNDECIDED,
    why="One of two servers is dead: each second answer is 503.",
    needs="haproxy",
)
async def instance_dead(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(
        "frontend web\nbind @A@:443 ssl crt @CERT@\ndefault_backend apps\n"
        "backend apps\nbalance roundrobin\nretries 0\nserver one @A@:8080\nserver two @A@:8081"
    )
    return bench.target()


@case(
    "crash-loop-or-oom",
    "wrong-instance",
    "backend-flapping",
    UNDECIDED,
    why="502 and 101 by turns: the app restarts all the time.",
)
async def instance_restarts(bench: Bench) -> Target:
    await bench.answers(
        """
        HTTP/1.1 502 Bad Gateway
        Content-Type: text/html
        Server: nginx/1.24.0

        <html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>""",
        "--alternate",
    )
    return bench.target()


@case(
    "wrong-instance",
    "backend-flapping",
    "app-crash-on-connect",
    "crash-loop-or-oom",
    UNDECIDED,
    why="One replica crashes on connect (1011), the other works.",
    needs="haproxy",
)
async def instance_crashes(bench: Bench) -> Target:
    await bench.voice_app(port=8080, tls=False)
    await bench.voice_app("crashes", port=8081, tls=False)
    await bench.haproxy(TWO_SERVERS)
    return bench.target()


@case(
    "deploy-kills-streams",
    "app-closes-stream",
    UNDECIDED,
    why="1001 in the middle of the stream: a reload or shutdown.",
)
async def ends_1001(bench: Bench) -> Target:
    await bench.voice_app("going-away")
    return bench.target()


@case(
    "deploy-kills-streams", "app-closes-stream", UNDECIDED, why="1012, service restart: what uvicorn says on SIGTERM."
)
async def ends_1012(bench: Bench) -> Target:
    await bench.voice_app("service-restart")
    return bench.target()


@case("edge-cold-start", why="503 from a proxy while the app boots, then all is well.")
async def cold_start_503(bench: Bench) -> Target:
    await bench.answers(
        """
        HTTP/1.1 503 Service Unavailable
        Content-Type: text/html
        Retry-After: 5

        <html><head><title>Service waking up</title></head><body>Your service is waking up</body></html>""",
        "--fails",
        "1",
    )
    return bench.target()
