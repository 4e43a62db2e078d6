"""Measures a step that failed once more where the answer is known: is it the URL, or this machine and its network?"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Literal

from callpath.clock import Clock
from callpath.doctor.facts import ControlFacts, DnsQuery, UrlFacts
from callpath.doctor.probes.dns import ask_resolver, look_up
from callpath.doctor.probes.tcp import connect_once
from callpath.doctor.probes.tls import shake_control
from callpath.doctor.request import Controls, Request

CONTROL_MS = 2500.0
"""How long one control step may take. It is added to an examination that has failed, and that a person waits for."""

Layer = Literal["dns", "tcp", "tls"]


async def probe_control(
    request: Request, controls: Controls, url: UrlFacts, failed: Layer, clock: Clock, *, ipv6: bool = False
) -> ControlFacts:
    """The control for the `failed` layer and those below it; with `ipv6` also whether this machine has IPv6 at all."""
    async with asyncio.TaskGroup() as tasks:
        climbing = tasks.create_task(_climb(request, controls, url, failed, clock))
        public = tasks.create_task(_public(controls, url, clock)) if not url.host_is_address else None
        six = tasks.create_task(connect_once(request, *controls.ipv6, CONTROL_MS, clock)) if ipv6 else None
    return replace(
        climbing.result(),
        ipv6=six.result().outcome if six is not None else None,
        public=public.result() if public is not None else (),
    )


async def _climb(request: Request, controls: Controls, url: UrlFacts, failed: Layer, clock: Clock) -> ControlFacts:
    host = controls.host
    if host.lower() == url.host.lower():
        return ControlFacts(host=host)  # the URL is the control host itself: nothing to compare with
    looked = await look_up(request, host, clock, CONTROL_MS)
    query = next((q for q in looked.queries if q.outcome != "answer"), None)
    detail = ", ".join(looked.addresses) or (f"{query.server}: {query.outcome}" if query is not None else looked.source)
    if not looked.addresses:
        return ControlFacts(host=host, dns=query.outcome if query is not None else "nodata", dns_detail=detail)
    if failed == "dns":
        return ControlFacts(host=host, dns="answer", dns_detail=detail)
    # The family of the URL's own way: a machine may have IPv4 alone.
    address = next((a for a in looked.addresses if ":" not in a), looked.addresses[0])
    attempt = await connect_once(request, address, controls.port, CONTROL_MS, clock)
    shown = f"{address}:{controls.port} {attempt.outcome}"
    if attempt.outcome != "open" or failed == "tcp":
        return ControlFacts(host=host, dns="answer", dns_detail=detail, tcp=attempt.outcome, tcp_detail=shown)
    outcome, mozilla, issuer = await shake_control(request, replace(url, host=host, port=controls.port), address, clock)
    return ControlFacts(
        host=host,
        dns="answer",
        dns_detail=detail,
        tcp="open",
        tcp_detail=shown,
        tls=outcome,
        tls_issuer=issuer,
        mozilla=mozilla,
    )


async def _public(controls: Controls, url: UrlFacts, clock: Clock) -> tuple[DnsQuery, ...]:
    """What public resolvers say of the URL's own name: the A records that a carrier would connect to."""
    async with asyncio.TaskGroup() as tasks:
        asked = [
            tasks.create_task(ask_resolver(url.host, "A", server, CONTROL_MS, clock)) for server in controls.resolvers
        ]
    return tuple(task.result() for task in asked)
