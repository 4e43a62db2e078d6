"""The doctor's own machine or network does not work: nothing may be said about the URL. And what only looks so."""

from __future__ import annotations

from tests.lab.bench import HOST, PATH, Bench
from tests.lab.case import HEALTHY, UNDECIDED, WITHHELD, Cases, Target

CASES = Cases()
case = CASES.case

CONTROL = "api.telnyx.com"
URL = f"wss://{HOST}{PATH}"


async def _network(bench: Bench, *more: str) -> None:
    """A namespace whose name server is the bench's own."""
    network = await bench.networked(*more)
    network.use_resolver(bench.address)


def _inside(bench: Bench, *options: str, environment: tuple[str, ...] = (), url: str = URL) -> Target:
    """The doctor as a person would run it: no --ca, no --resolve, no --local."""
    assert bench.network is not None
    before = ("env", *environment) if environment else ()
    return Target(url, options, (*bench.network.enter, *before))


@case(WITHHELD + "machine-no-dns", why="A resolver that answers NXDOMAIN to everything.", needs="netns dnsmasq")
async def machine_nxdomain_for_everything(bench: Bench) -> Target:
    await _network(bench)
    await bench.dnsmasq("address=/#/")
    return _inside(bench)


@case(WITHHELD + "machine-no-dns", why="No resolver answers at all.", needs="netns")
async def machine_no_resolver(bench: Bench) -> Target:
    await _network(bench)
    return _inside(bench, "--timeout", "1")


@case(
    "dns-nxdomain", why="The control is found, and public resolvers do not know the name either.", needs="netns dnsmasq"
)
async def machine_dns_works(bench: Bench) -> Target:
    await _network(bench, "1.1.1.1", "9.9.9.9")
    await bench.dnsmasq(f"address=/{CONTROL}/{bench.address}", "address=/#/", "listen-address=1.1.1.1,9.9.9.9")
    return _inside(bench)


@case(WITHHELD + "dns-resolvers-disagree", why="Only public resolvers know the new record.", needs="netns dnsmasq")
async def machine_resolvers_disagree(bench: Bench) -> Target:
    await _network(bench, "1.1.1.1")
    await bench.dnsmasq(f"address=/{CONTROL}/{bench.address}", "address=/#/")
    address, bench.address = bench.address, "1.1.1.1"
    await bench.python("names", f"{HOST} A 5.75.128.77", port=53)
    bench.address = address
    return _inside(bench)


@case(WITHHELD + "machine-no-route", why="Names are found, and no packet leaves.", needs="netns dnsmasq")
async def machine_no_route(bench: Bench) -> Target:
    await _network(bench)
    await bench.dnsmasq("address=/#/5.75.128.99")
    return _inside(bench, "--timeout", "1")


@case(WITHHELD + "machine-no-ipv6", why="The name has AAAA alone, and this machine no IPv6.", needs="netns dnsmasq")
async def machine_no_ipv6(bench: Bench) -> Target:
    await _network(bench)
    await bench.dnsmasq(f"address=/{CONTROL}/{bench.address}", f"address=/{HOST}/2a01:4f8:c17::10")
    await bench.voice_app()
    return _inside(bench, "--timeout", "1")


@case(HEALTHY, why="Two families, and this machine has IPv4 alone.", needs="netns dnsmasq")
async def machine_ipv4_alone(bench: Bench) -> Target:
    await _network(bench)
    await bench.dnsmasq(f"address=/{HOST}/{bench.address}", f"address=/{HOST}/2a01:4f8:c17::10")
    await bench.voice_app()
    return _inside(bench, "--ca", str(bench.authority.root))


@case(WITHHELD + "machine-trust-store", why="A slim image without ca-certificates: the store is empty.")
async def machine_empty_store(bench: Bench) -> Target:
    await bench.voice_app()
    empty = bench.write("empty/none.pem", "")
    enter = ("env", f"SSL_CERT_FILE={empty}", f"SSL_CERT_DIR={empty.parent}")
    return Target(URL, ("--resolve", f"{HOST}:443:{bench.address}"), enter)


@case(
    WITHHELD + "machine-tls-inspected",
    why="A box in the network signs every certificate with its own authority.",
    needs="netns dnsmasq haproxy",
)
async def machine_inspected(bench: Bench) -> Target:
    await _network(bench)
    await bench.dnsmasq(f"address=/{HOST}/{bench.address}", f"address=/{CONTROL}/{bench.address}")
    await bench.voice_app(port=8080, tls=False)
    await bench.haproxy(
        f"listen tls\nmode tcp\nbind @A@:443 ssl crt {bench.authority.good(HOST, CONTROL).both}\nserver app @A@:8080"
    )
    return _inside(bench)


@case(HEALTHY, why="The network lets out nothing but its HTTP proxy.", needs="netns")
async def machine_proxy_only(bench: Bench) -> Target:
    await _network(bench)
    await bench.voice_app()
    await bench.python("connect_proxy", "--to", bench.address, port=3128)
    environment = (f"HTTPS_PROXY=http://{bench.address}:3128",)
    return _inside(bench, "--ca", str(bench.authority.root), "--timeout", "1", environment=environment)


@case(UNDECIDED, why="The same, and the proxy does not come through either.", needs="netns")
async def machine_proxy_dead(bench: Bench) -> Target:
    await _network(bench)
    return _inside(bench, "--timeout", "1", environment=(f"HTTPS_PROXY=http://{bench.address}:3128",))


@case(
    WITHHELD + "machine-tls-inspected",
    why="A hotel's portal answers for every name, in plain text, until somebody has paid.",
    needs="netns dnsmasq",
)
async def machine_captive_portal(bench: Bench) -> Target:
    await _network(bench)
    await bench.dnsmasq(f"address=/#/{bench.address}")
    await bench.answers("HTTP/1.1 302 Found\nLocation: http://portal.example/login\nContent-Length: 0", tls=False)
    return _inside(bench)
