"""Section 3: nobody is there, or something on the way says no."""

from __future__ import annotations

from tests.lab.bench import HOST, PUBLIC_ADDRESS, Bench
from tests.lab.case import UNDECIDED, Cases, Target

CASES = Cases()
case = CASES.case


@case("tcp-refused", why="The process is down.")
async def tcp_nobody(bench: Bench) -> Target:
    return bench.target()


@case("tcp-refused", why="The app is bound to 127.0.0.1 in its container.", needs="netns")
async def tcp_bound_to_loopback(bench: Bench) -> Target:
    await bench.networked()
    await bench.python("voice_app", port=443, address="127.0.0.1")
    return bench.target()


@case("tcp-refused", why="A firewall answers with a reset.", needs="netns iptables")
async def tcp_rejected_with_reset(bench: Bench) -> Target:
    network = await bench.networked()
    await bench.voice_app()
    await network.iptables("-A", "INPUT", "-p", "tcp", "--dport", "443", "-j", "REJECT", "--reject-with", "tcp-reset")
    return bench.target()


@case(
    "tcp-refused",
    "tcp-host-unreachable",
    why="A firewall answers that the port is unreachable.",
    needs="netns iptables",
)
async def tcp_rejected_with_icmp(bench: Bench) -> Target:
    network = await bench.networked()
    await bench.voice_app()
    await network.iptables("-A", "INPUT", "-p", "tcp", "--dport", "443", "-j", "REJECT")
    return bench.target()


@case(
    "tcp-host-unreachable",
    "tcp-timeout-firewall-drop",
    "tcp-refused",
    why="A firewall answers `administratively prohibited`, which clients see as no route to host.",
    needs="netns iptables",
)
async def tcp_prohibited(bench: Bench) -> Target:
    network = await bench.networked()
    await bench.voice_app()
    reject = ("-j", "REJECT", "--reject-with", "icmp-admin-prohibited")
    await network.iptables("-A", "INPUT", "-p", "tcp", "--dport", "443", *reject)
    return bench.target()


@case("tcp-host-unreachable", "tcp-timeout-firewall-drop", UNDECIDED, why="No route to that address.", needs="netns")
async def tcp_no_route(bench: Bench) -> Target:
    network = await bench.networked()
    await network.refuse_route("5.75.200.1")
    return bench.target_url(f"wss://{HOST}/api/calls/test-connection/audio", "--resolve", f"{HOST}:443:5.75.200.1")


@case("tcp-timeout-firewall-drop", why="The firewall drops what comes to 443.", needs="netns iptables")
async def tcp_dropped(bench: Bench) -> Target:
    network = await bench.networked()
    await bench.voice_app()
    await network.iptables("-A", "INPUT", "-p", "tcp", "--dport", "443", "-j", "DROP")
    return bench.target()


@case("tcp-timeout-firewall-drop", why="nft with a default of drop, and ssh alone let in.", needs="netns")
async def tcp_dropped_by_policy(bench: Bench) -> Target:
    network = await bench.networked()
    await bench.voice_app()
    await network.filter("tcp dport != 22 tcp flags & (syn|ack) == syn drop")
    return bench.target()


@case(
    "tcp-timeout-firewall-drop",
    "firewall-ip-allowlist",
    why="Only other sources are let in; from here it looks like any drop.",
    needs="netns",
)
async def tcp_other_sources_only(bench: Bench) -> Target:
    network = await bench.networked()
    await bench.voice_app()
    await network.filter("tcp dport 443 ip saddr != 192.76.120.128/29 drop")
    return bench.target()


@case(
    "tcp-timeout-firewall-drop", UNDECIDED, why="A process that no longer accepts, its queue full: SYNs get no answer."
)
async def tcp_queue_full(bench: Bench) -> Target:
    await bench.python("mute", "--mode", "full", port=443, connect=False)
    return bench.target()


@case(
    "tcp-mtu-blackhole",
    "tls-handshake-timeout",
    why="Small packets pass, the server's certificates do not: a tunnel without ICMP.",
    needs="netns",
)
async def tcp_large_packets_lost(bench: Bench) -> Target:
    network = await bench.networked()
    await bench.voice_app()
    await network.filter("tcp sport 443 ip length > 900 drop")
    return bench.target()


@case(
    UNDECIDED,
    why="A filter lets TCP through and resets at the first data, as name-filtering firewalls do.",
    needs="netns",
)
async def tcp_reset_on_data(bench: Bench) -> Target:
    network = await bench.networked()
    await bench.voice_app()
    await network.filter("tcp dport 443 tcp flags & (psh|ack) == (psh|ack) reject with tcp reset")
    return bench.target()


@case(
    "tcp-reset-on-accept",
    "proxy-upstream-down",
    "tls-plaintext-port",
    UNDECIDED,
    why="A TCP proxy accepts and closes, since the server behind it is down.",
    needs="haproxy",
)
async def tcp_proxy_without_server(bench: Bench) -> Target:
    await bench.haproxy("listen tls\nmode tcp\nbind @A@:443\nserver app @A@:8443")
    return bench.target()


@case(
    "tcp-timeout-firewall-drop",
    "tcp-host-unreachable",
    UNDECIDED,
    why="The address is routed and nothing answers: a switched-off machine.",
    needs="netns",
)
async def tcp_dead_host(bench: Bench) -> Target:
    network = await bench.networked()
    await network.filter(f"ip daddr {PUBLIC_ADDRESS} drop")
    return bench.target()
