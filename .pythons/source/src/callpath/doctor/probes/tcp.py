"""Connects to every address of the host, each apart."""

from __future__ import annotations

import asyncio
import errno
import ssl
from dataclasses import replace

from callpath.clock import Clock
from callpath.doctor.facts import DnsFacts, TcpAttempt, TcpFacts, TcpOutcome, UrlFacts
from callpath.doctor.probes.channel import ProxyRefused, client_context, connect, open_channel
from callpath.doctor.request import Request

ADDRESSES_MAX = 8
"""Large balancers publish up to eight; more would only cost time."""

NO_WAY_FROM_HERE = frozenset(
    errno.errorcode[number] for number in (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.ENETDOWN)
)
"""Errors of this machine's own network, made before any packet was sent."""

_OUTCOMES: dict[int, TcpOutcome] = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.ETIMEDOUT: "timeout",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
}


async def probe_tcp(request: Request, url: UrlFacts, dns: DnsFacts, clock: Clock) -> TcpFacts:
    """One connection an address, at once. Where none opens, the scheme's own port too: is the port the mistake?"""
    attempts = await _connect_all(request, dns.addresses[:ADDRESSES_MAX], url.port, request.timeout_ms, clock)
    # An address of a family that this machine has no route for says nothing about the server.
    no_route = tuple(
        a.address for a in attempts if a.error in NO_WAY_FROM_HERE and any(b.outcome == "open" for b in attempts)
    )
    attempts = tuple(a for a in attempts if a.address not in no_route)
    usual = 443 if url.secure else 80
    usual_port: tuple[TcpAttempt, ...] = ()
    speaks_tls = False
    if url.port != usual and not any(attempt.outcome == "open" for attempt in attempts):
        usual_port = await _connect_all(request, dns.addresses[:ADDRESSES_MAX], usual, request.timeout_ms / 2, clock)
        opened = [attempt for attempt in usual_port if attempt.outcome == "open"]
        if opened and url.secure:
            speaks_tls = await _speaks_tls(opened[0].address, usual, url.host, request.timeout_ms / 2)
    return TcpFacts(attempts=attempts, usual_port=usual_port, usual_port_speaks_tls=speaks_tls, no_route=no_route)


def without_family(facts: TcpFacts, version: int) -> TcpFacts:
    """The facts without attempts over IPv4 or IPv6, where this machine was found to have none."""
    kept = tuple(a for a in facts.attempts if (":" in a.address) != (version == 6))
    gone = tuple(a.address for a in facts.attempts if (":" in a.address) == (version == 6))
    return replace(facts, attempts=kept, no_route=(*facts.no_route, *gone))


async def _connect_all(
    request: Request, addresses: tuple[str, ...], port: int, timeout_ms: float, clock: Clock
) -> tuple[TcpAttempt, ...]:
    async with asyncio.TaskGroup() as tasks:
        tried = [tasks.create_task(connect_once(request, address, port, timeout_ms, clock)) for address in addresses]
    return tuple(task.result() for task in tried)


async def connect_once(request: Request, address: str, port: int, timeout_ms: float, clock: Clock) -> TcpAttempt:
    """One connection, closed at once."""
    started_ms = clock.now_ms()

    def attempt(outcome: TcpOutcome, error: str = "") -> TcpAttempt:
        return TcpAttempt(address, port, outcome, clock.now_ms() - started_ms, error)

    try:
        async with asyncio.timeout(timeout_ms / 1000):
            channel = await connect(request.via, address, port)
    except TimeoutError:
        return attempt("timeout")
    except ProxyRefused as error:
        return attempt("denied", str(error))
    except OSError as error:
        number = error.errno or 0
        return attempt(_OUTCOMES.get(number, "error"), errno.errorcode.get(number, str(error)))
    channel.abort()
    return attempt("open")


async def _speaks_tls(address: str, port: int, host: str, timeout_ms: float) -> bool:
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            channel = await open_channel(address, port)
            try:
                await channel.start_tls(client_context(verify=False), host)
            finally:
                channel.abort()
    except (OSError, ssl.SSLError):
        return False
    return True
