"""Section 2: the name leads nowhere, or somewhere else. Each case has a network and a name server of its own."""

from __future__ import annotations

from tests.lab.bench import HOST, PUBLIC_ADDRESS, Bench
from tests.lab.case import UNDECIDED, Cases, Target

CASES = Cases()
case = CASES.case

OTHER_ADDRESS = "5.75.128.11"
PUBLIC_IPV6 = "2a01:4f8:c0c:1234::10"
RECORD = f"address=/{HOST}/{PUBLIC_ADDRESS}"


@case("dns-nxdomain", why="The name does not exist.", needs="netns dnsmasq")
async def dns_no_such_name(bench: Bench) -> Target:
    await bench.networked()
    await bench.dnsmasq("local=/example.com/")
    return bench.target_named()


@case("dns-nxdomain", why="The same through the system's resolver.", needs="netns dnsmasq")
async def dns_no_such_name_system(bench: Bench) -> Target:
    network = await bench.networked()
    await bench.dnsmasq("local=/example.com/")
    network.use_resolver(bench.address)
    return bench.target_url(f"wss://{HOST}/api/calls/test-connection/audio")


@case(
    "dns-servfail",
    "dns-timeout",
    UNDECIDED,
    why="The resolver's upstream is dead: dnsmasq says nothing.",
    needs="netns dnsmasq",
)
async def dns_dead_upstream(bench: Bench) -> Target:
    await bench.networked()
    await bench.dnsmasq("server=127.0.0.1#5399")
    return bench.target_named()


@case("dns-servfail", why="SERVFAIL at once, as broken DNSSEC gives.", needs="netns")
async def dns_server_failure(bench: Bench) -> Target:
    await bench.networked()
    await bench.names(f"{HOST} RCODE SERVFAIL")
    return bench.target_named()


@case(
    "dns-servfail",
    why="REFUSED: the name server does not serve this zone (lame delegation).",
    needs="netns",
)
async def dns_refused(bench: Bench) -> Target:
    await bench.networked()
    await bench.names(f"{HOST} RCODE REFUSED")
    return bench.target_named()


@case("dns-timeout", "dns-servfail", UNDECIDED, why="The name server takes questions and never answers.", needs="netns")
async def dns_no_answer(bench: Bench) -> Target:
    await bench.networked()
    await bench.python("mute", "--mode", "udp", port=53)
    return bench.target_named()


@case("dns-private-address", why="The public name has a record from the office's network.", needs="netns dnsmasq")
async def dns_office_address(bench: Bench) -> Target:
    await bench.networked("10.20.30.40")
    await bench.dnsmasq(f"address=/{HOST}/10.20.30.40")
    return bench.target_named()


@case("dns-private-address", why="A Tailscale address, and it even works from here.", needs="netns dnsmasq")
async def dns_shared_address_works(bench: Bench) -> Target:
    network = await bench.networked("100.101.102.103")
    pair = bench.certificate()
    tls = ("--cert", pair.chain, "--key", pair.key)
    await bench.python("voice_app", *tls, port=443, address="100.101.102.103")
    await bench.dnsmasq(f"address=/{HOST}/100.101.102.103")
    network.use_resolver(bench.address)
    return bench.target_url(f"wss://{HOST}/api/calls/test-connection/audio")


@case("dns-private-address", why="A development record: the name points at 127.0.0.1.", needs="netns dnsmasq")
async def dns_loopback(bench: Bench) -> Target:
    await bench.networked()
    await bench.dnsmasq(f"address=/{HOST}/127.0.0.1")
    return bench.target_named()


@case("dns-private-address", why="An ad blocker's answer: 0.0.0.0.", needs="netns dnsmasq")
async def dns_unspecified(bench: Bench) -> Target:
    await bench.networked()
    await bench.dnsmasq(f"address=/{HOST}/0.0.0.0")
    return bench.target_named()


@case(
    "dns-stale-record",
    "tls-hostname-mismatch",
    why="The name still points at the old host, which shows another site's certificate.",
    needs="netns dnsmasq nginx",
)
async def dns_old_host(bench: Bench) -> Target:
    await bench.networked()
    await bench.nginx("return 404;", pair=bench.authority.good("shop.example.net", "www.shop.example.net"))
    await bench.dnsmasq(RECORD)
    return bench.target_named()


@case("dns-one-address-dead", why="Two A records, one of them refuses: every second call fails.", needs="netns dnsmasq")
async def dns_one_refuses(bench: Bench) -> Target:
    await bench.networked(OTHER_ADDRESS)
    await bench.voice_app()
    await bench.dnsmasq(
        "local=/example.com/", f"host-record={HOST},{PUBLIC_ADDRESS}", f"host-record={HOST},{OTHER_ADDRESS}"
    )
    return bench.target_named()


@case("dns-one-address-dead", why="Two A records, one of them swallows everything.", needs="netns dnsmasq")
async def dns_one_is_silent(bench: Bench) -> Target:
    network = await bench.networked(OTHER_ADDRESS)
    await network.filter(f"ip daddr {OTHER_ADDRESS} tcp dport 443 drop")
    await bench.voice_app()
    await bench.dnsmasq(
        "local=/example.com/", f"host-record={HOST},{PUBLIC_ADDRESS}", f"host-record={HOST},{OTHER_ADDRESS}"
    )
    return bench.target_named()


@case(
    "dns-one-address-dead",
    "dns-stale-record",
    "tls-hostname-mismatch",
    why="Two A records, one of them is the old host with a certificate of its own.",
    needs="netns dnsmasq nginx",
)
async def dns_one_is_old(bench: Bench) -> Target:
    await bench.networked(OTHER_ADDRESS)
    await bench.voice_app()
    pair = bench.authority.good("old.example.net")
    await bench.nginx(f"listen {OTHER_ADDRESS}:443 ssl; return 404;", port=8444, pair=pair)
    await bench.dnsmasq(
        "local=/example.com/", f"host-record={HOST},{PUBLIC_ADDRESS}", f"host-record={HOST},{OTHER_ADDRESS}"
    )
    return bench.target_named()


@case(
    "dns-one-address-dead",
    why="A forgotten AAAA record leads nowhere while IPv4 works.",
    needs="netns dnsmasq",
)
async def dns_ipv6_refuses(bench: Bench) -> Target:
    await bench.networked(PUBLIC_IPV6)
    await bench.voice_app()
    await bench.dnsmasq("local=/example.com/", f"host-record={HOST},{PUBLIC_ADDRESS},{PUBLIC_IPV6}")
    return bench.target_named()


@case(
    "dns-one-address-dead",
    why="The AAAA record's address swallows everything.",
    needs="netns dnsmasq",
)
async def dns_ipv6_silent(bench: Bench) -> Target:
    network = await bench.networked(PUBLIC_IPV6)
    await network.filter(f"ip6 daddr {PUBLIC_IPV6} tcp dport 443 drop")
    await bench.voice_app()
    await bench.dnsmasq("local=/example.com/", f"host-record={HOST},{PUBLIC_ADDRESS},{PUBLIC_IPV6}")
    return bench.target_named()


@case(
    "dns-one-address-dead",
    "url-path-mismatch",
    "dns-stale-record",
    "proxy-location-missing",
    why="The AAAA record leads to another web server, with the right certificate and no such path.",
    needs="netns dnsmasq nginx",
)
async def dns_ipv6_elsewhere(bench: Bench) -> Target:
    await bench.networked(PUBLIC_IPV6)
    await bench.voice_app()
    await bench.nginx(f"listen [{PUBLIC_IPV6}]:443 ssl; location / {{ return 404; }}", port=8444)
    await bench.dnsmasq("local=/example.com/", f"host-record={HOST},{PUBLIC_ADDRESS},{PUBLIC_IPV6}")
    return bench.target_named()


@case(
    "dns-ipv6-only",
    UNDECIDED,
    why="Only an AAAA record: IPv4 carriers find no address.",
    needs="netns dnsmasq",
)
async def dns_only_ipv6(bench: Bench) -> Target:
    await bench.networked(PUBLIC_IPV6)
    pair = bench.certificate()
    await bench.python("voice_app", "--cert", pair.chain, "--key", pair.key, port=443, address=PUBLIC_IPV6)
    await bench.dnsmasq("local=/example.com/", f"host-record={HOST},{PUBLIC_IPV6}")
    return bench.target_named()


@case(
    "dns-no-address",
    "dns-nxdomain",
    why="The name exists, with a TXT record only.",
    needs="netns dnsmasq",
)
async def dns_no_address(bench: Bench) -> Target:
    await bench.networked()
    await bench.dnsmasq("local=/example.com/", f"txt-record={HOST},railway-verify=1")
    return bench.target_named()


@case(
    "dns-nxdomain",
    why="The alias is there, the service that it names is gone.",
    needs="netns",
)
async def dns_dangling_alias(bench: Bench) -> Target:
    await bench.networked()
    await bench.names(f"{HOST} CNAME voice-production-1a2b.up.railway.app.")
    return bench.target_named()


@case(
    "dns-no-address",
    "dns-nxdomain",
    why="Two aliases in a row, and the last name has no address.",
    needs="netns",
)
async def dns_alias_to_nothing(bench: Bench) -> Target:
    await bench.networked()
    await bench.names(
        f"{HOST} CNAME edge.example.net.", "edge.example.net CNAME pool.example.net.", "pool.example.net TXT nothing"
    )
    return bench.target_named()


@case(
    "dns-servfail",
    "dns-no-address",
    UNDECIDED,
    why="Two aliases that name each other.",
    needs="netns",
)
async def dns_alias_loop(bench: Bench) -> Target:
    await bench.networked()
    await bench.names(f"{HOST} CNAME www.example.com.", f"www.example.com CNAME {HOST}.")
    return bench.target_named()
