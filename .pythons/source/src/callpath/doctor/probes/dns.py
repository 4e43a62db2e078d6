"""Asks where the name leads: the system's way of looking, or the resolver that was named."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from callpath.clock import Clock
from callpath.doctor.facts import DnsFacts, DnsOutcome, DnsQuery, UrlFacts
from callpath.doctor.probes.url import classify_address
from callpath.doctor.request import Request

HOSTS_FILE = Path("/etc/hosts")
CHAIN_MAX = 12
"""More CNAMEs than any sane zone has; resolvers give up between 8 and 16."""


async def probe_dns(request: Request, url: UrlFacts, clock: Clock) -> DnsFacts:
    """The addresses of the host, in the order they were given, and every question asked."""
    if url.host_is_address:
        return _facts(request, url.host, "literal", (), (url.host,))
    for override in request.resolve:
        if override.host.lower() == url.host.lower() and override.port == url.port:
            return _facts(request, url.host, "override", (), (override.address,))
    if request.resolver is not None:
        queries = await _ask_both(url.host, (request.resolver,), request.timeout_ms, clock)
        return _facts(request, url.host, "resolver", queries, _addresses(queries))
    listed = _hosts_file(url.host)
    if listed:
        return _facts(request, url.host, "hosts-file", (), listed)
    if url.host.lower() == "localhost":
        return _facts(request, url.host, "hosts-file", (), ("127.0.0.1", "::1"))
    return await _ask_system(request, url.host, clock)


async def look_up(request: Request, host: str, clock: Clock, timeout_ms: float) -> DnsFacts:
    """The addresses of any host, from the resolver that the request asks; no hosts file and no override."""
    request = replace(request, timeout_ms=timeout_ms)
    if request.resolver is not None:
        queries = await _ask_both(host, (request.resolver,), timeout_ms, clock)
        return _facts(request, host, "resolver", queries, _addresses(queries))
    return await _ask_system(request, host, clock)


async def ask_resolver(host: str, record: str, server: tuple[str, int], timeout_ms: float, clock: Clock) -> DnsQuery:
    """One question to one resolver."""
    return await _ask_one(host, record, server, timeout_ms, clock)


async def _ask_system(request: Request, host: str, clock: Clock) -> DnsFacts:
    """The servers of resolv.conf, asked by ourselves for the detail; what getaddrinfo says if they are silent."""
    try:
        servers = tuple((str(server), 53) for server in dns.resolver.Resolver().nameservers)
    except dns.exception.DNSException:
        servers = ()
    queries = await _ask_both(host, servers, request.timeout_ms, clock) if servers else ()
    addresses = _addresses(queries)
    if not addresses and not any(query.outcome == "nxdomain" for query in queries):
        # Something else than DNS may know the name (mDNS, a resolver daemon, a search list).
        started_ms = clock.now_ms()
        try:
            async with asyncio.timeout(request.timeout_ms / 1000):
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
            addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        except TimeoutError:
            if not queries:
                ms = clock.now_ms() - started_ms
                queries = (DnsQuery("A", "timeout", "system", ms),)
        except UnicodeError as error:  # a name that cannot be encoded at all
            queries = queries or (DnsQuery("A", "malformed", "system", clock.now_ms() - started_ms, rcode=str(error)),)
        except OSError as error:
            if not queries:
                outcome: DnsOutcome = "nxdomain" if getattr(error, "errno", 0) == socket.EAI_NONAME else "servfail"
                queries = (DnsQuery("A", outcome, "system", clock.now_ms() - started_ms, rcode=str(error)),)
    return _facts(request, host, "system", queries, addresses)


async def _ask_both(
    host: str, servers: tuple[tuple[str, int], ...], timeout_ms: float, clock: Clock
) -> tuple[DnsQuery, ...]:
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_ask(host, record, servers, timeout_ms, clock)) for record in ("A", "AAAA")]
    return tuple(task.result() for task in asked)


async def _ask(
    host: str, record: str, servers: tuple[tuple[str, int], ...], timeout_ms: float, clock: Clock
) -> DnsQuery:
    """One record type from the first server that answers at all."""
    last = DnsQuery(record, "timeout", "", timeout_ms)
    for server in servers[:3]:  # resolv.conf has at most three (resolv.conf(5))
        last = await _ask_one(host, record, server, timeout_ms / min(3, len(servers)), clock)
        if last.outcome not in {"timeout", "unreachable"}:
            break
    return last


async def _ask_one(host: str, record: str, server: tuple[str, int], timeout_ms: float, clock: Clock) -> DnsQuery:
    address, port = server
    shown = f"{address}:{port}" if port != 53 else address
    started_ms = clock.now_ms()

    def query(outcome: DnsOutcome, **more: object) -> DnsQuery:
        return DnsQuery(record, outcome, shown, clock.now_ms() - started_ms, **more)  # type: ignore[arg-type]

    try:
        question = dns.message.make_query(dns.name.from_unicode(host), record)
    except (dns.exception.DNSException, UnicodeError) as error:
        return query("malformed", rcode=str(error))
    chain: list[str] = []
    try:
        async with asyncio.timeout(timeout_ms / 1000):
            answer = await _exchange(question, address, port)
            code = answer.rcode()
            name = question.question[0].name
            addresses: list[str] = []
            for _ in range(CHAIN_MAX):
                step = _follow(answer, name, record)
                if isinstance(step, list):
                    addresses = step
                    break
                if step is None or step.to_text() in chain:
                    break
                chain.append(step.to_text())
                name = step
                if not any(rrset.name == name for rrset in answer.answer) and code == dns.rcode.NOERROR:
                    answer = await _exchange(dns.message.make_query(name, record), address, port)
                    code = answer.rcode()
            unchecked = False
            if code == dns.rcode.SERVFAIL:
                question.flags |= dns.flags.CD
                again = await _exchange(question, address, port)
                unchecked = again.rcode() == dns.rcode.NOERROR and bool(again.answer)
    except TimeoutError:
        return query("timeout", chain=tuple(chain))
    except OSError as error:
        return query("unreachable", rcode=error.strerror or type(error).__name__)
    except (dns.exception.DNSException, ValueError) as error:
        return query("malformed", rcode=type(error).__name__)
    outcome: DnsOutcome
    if addresses:
        outcome = "answer"
    elif code == dns.rcode.NXDOMAIN:
        outcome = "nxdomain"
    elif code == dns.rcode.NOERROR:
        outcome = "nodata"
    elif code == dns.rcode.REFUSED:
        outcome = "refused"
    else:
        outcome = "servfail"
    return query(
        outcome,
        addresses=tuple(addresses),
        chain=tuple(chain),
        rcode=dns.rcode.to_text(code),
        works_unchecked=unchecked,
    )


def _follow(answer: dns.message.Message, name: dns.name.Name, record: str) -> list[str] | dns.name.Name | None:
    """The addresses of `name` in this answer, or the name its CNAME points at, or None."""
    for rrset in answer.answer:
        if rrset.name == name and rrset.rdtype == dns.rdatatype.from_text(record):
            return [item.address for item in rrset]
    for rrset in answer.answer:
        if rrset.name == name and rrset.rdtype == dns.rdatatype.CNAME:
            target: dns.name.Name = rrset[0].target
            return target
    return None


async def _exchange(question: dns.message.Message, address: str, port: int) -> dns.message.Message:
    """Over UDP, asked again once when nothing comes (a datagram may be lost), over TCP when the answer is cut."""
    try:
        answer = await dns.asyncquery.udp(question, address, port=port, timeout=1.5)
    except dns.exception.Timeout:
        answer = await dns.asyncquery.udp(question, address, port=port, timeout=8)
    if answer.flags & dns.flags.TC:
        answer = await dns.asyncquery.tcp(question, address, port=port, timeout=8)
    return answer


def _hosts_file(host: str) -> tuple[str, ...]:
    """Addresses that this machine's hosts file gives the name. The carrier has no such file."""
    try:
        text = HOSTS_FILE.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    found = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if host.lower() in (word.lower() for word in words[1:]):
            found.append(words[0].partition("%")[0])
    return tuple(dict.fromkeys(found))


def _addresses(queries: tuple[DnsQuery, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(address for query in queries for address in query.addresses))


def _facts(
    request: Request, name: str, source: str, queries: tuple[DnsQuery, ...], addresses: tuple[str, ...]
) -> DnsFacts:
    wanted = tuple(a for a in addresses if request.family is None or (request.family == 6) == (":" in a))
    return DnsFacts(
        name=name,
        source=source,  # type: ignore[arg-type]
        queries=queries,
        addresses=wanted,
        classes=tuple(classify_address(address) for address in wanted),
        left_out=tuple(address for address in addresses if address not in wanted),
        resolver_is_loopback=request.resolver is not None and request.resolver[0].startswith(("127.", "::1")),
    )
