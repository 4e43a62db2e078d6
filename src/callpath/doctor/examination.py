"""Look at a URL, layer by layer, and judge nothing.

A layer that does not work stops the ones above it. After a failed step, and only then, the same step is measured where
the answer is known (`probes/control.py`), so that a fault of this machine is not taken for one of the URL. Every wait is
bounded, and so is the whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from callpath.clock import Clock
from callpath.doctor.facts import (
    ControlFacts,
    DnsFacts,
    Exchange,
    Facts,
    MediaFacts,
    ProxyFacts,
    RepeatFacts,
    TcpAttempt,
    TcpFacts,
    TlsFacts,
    TrafficFacts,
    UpgradeFacts,
    UrlFacts,
)
from callpath.doctor.probes.channel import Contexts
from callpath.doctor.probes.control import Layer, probe_control
from callpath.doctor.probes.dns import probe_dns
from callpath.doctor.probes.idle import probe_idle
from callpath.doctor.probes.machine import LagWatch
from callpath.doctor.probes.media import first_texts, probe_media
from callpath.doctor.probes.shapes import CARRIER
from callpath.doctor.probes.tcp import connect_once, probe_tcp, without_family
from callpath.doctor.probes.tls import probe_tls
from callpath.doctor.probes.upgrade import Door, probe_identity, probe_other_scheme, probe_shapes
from callpath.doctor.probes.url import probe_url
from callpath.doctor.probes.websocket import TRIES, TRY_WAIT_MS, Socket, probe_repeats
from callpath.doctor.request import Request
from callpath.doctor.verdict import Step, StepStatus

OnStep = Callable[[Step], None]
SHAPE_TIMEOUT_MS = 4000.0
REPEAT_BUDGET_MS = 5000.0
LISTEN_MS_MAX = 1200.0
SLOW_MS = 1500.0
"""Above this a try is too dear to be made five times."""
USUAL_MEDIA_S = 1.6
GRACE_MS = 2000.0
"""How long after the budget the examination is cut off: each layer is bounded by itself, this bounds their sum."""


@dataclass(slots=True)
class Examination:
    """Facts and steps while they are gathered."""

    request: Request
    clock: Clock
    on_step: OnStep
    started_ms: float
    facts: Facts = field(default_factory=Facts)
    steps: list[Step] = field(default_factory=list)
    contexts: Contexts = field(default_factory=Contexts)
    door: Door | None = None
    cut_off_ms: float | None = None

    def left_ms(self, at_most_ms: float) -> float:
        """What may still be spent: never less than a quarter second, so that a late layer says "timeout" itself."""
        spent_ms = self.clock.now_ms() - self.started_ms
        return max(250.0, min(at_most_ms, self.request.budget_ms - spent_ms))

    def step(self, name: str, status: StepStatus, since_ms: float, detail: str) -> None:
        step = Step(name, status, self.clock.now_ms() - since_ms, detail)
        self.steps.append(step)
        self.on_step(step)

    @property
    def limit_ms(self) -> float:
        """How long the whole may take."""
        held_ms = 1000 * (self.request.idle_s + max(0.0, self.request.media_s - USUAL_MEDIA_S))
        return self.request.budget_ms + held_ms + GRACE_MS

    def traffic(self) -> TrafficFacts:
        sent = (
            self.door.facts()
            if self.door is not None
            else TrafficFacts(requests=0, requests_max=self.request.requests_max)
        )
        tls = self.facts.get(TlsFacts)
        plain = 1 if tls is not None and tls.plain_outcome else 0  # one plain request after a failed handshake
        return replace(sent, requests=sent.requests + plain, cut_off_ms=self.cut_off_ms)


async def gather(request: Request, clock: Clock, on_step: OnStep = lambda _: None) -> Examination:
    """Look at the URL, and judge nothing."""
    examination = Examination(request, clock, on_step, clock.now_ms())
    watch = LagWatch(clock)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch.run(), name="watch lag")
        try:
            async with asyncio.timeout(examination.limit_ms / 1000) as limit:
                await examine(examination)
        except TimeoutError:
            if not limit.expired():
                raise
            examination.cut_off_ms = clock.now_ms() - examination.started_ms
            examination.step(
                "time", "failed", examination.started_ms, f"cut off after {examination.cut_off_ms / 1000:.0f} s"
            )
        finally:
            watching.cancel()
    examination.facts.add(watch.facts())
    examination.facts.add(examination.traffic())
    return examination


async def examine(examination: Examination) -> None:
    """Climb the layers until one does not carry."""
    clock, facts = examination.clock, examination.facts

    at_ms = clock.now_ms()
    url = probe_url(examination.request)
    facts.add(url)
    if url.problem:
        examination.step("URL", "failed", at_ms, url.problem)
        return
    examination.step("URL", "ok", at_ms, f"{url.scheme or 'no scheme'}, {url.host}, port {url.port}, {url.target}")

    tcp = await _connect(examination, url)
    if tcp is None:
        return
    tls: TlsFacts | None = None
    if url.secure:
        tls = await _secure(examination, url, tcp)
        if tls is None:
            return
    examination.door = Door(examination.request, url, tcp, tls, clock, examination.contexts)
    await _climb_http(examination, examination.door)


# --- DNS and TCP -----------------------------------------------------------------------------------------------------


async def _connect(examination: Examination, url: UrlFacts) -> TcpFacts | None:
    """Addresses, and connections to them; through the environment's proxy where the direct way fails."""
    clock, facts, request = examination.clock, examination.facts, examination.request
    at_ms = clock.now_ms()
    dns = await probe_dns(request, url, clock)
    facts.add(dns)
    if not dns.addresses:
        answers = ", ".join(f"{query.record}: {query.outcome}" for query in dns.queries)
        detail = f"no address for {dns.name} ({answers or dns.source})"
        if (tunnel := await _through_proxy(examination, url, detail)) is not None:
            return tunnel
        examination.step("DNS", "failed", at_ms, detail)
        await _control(examination, url, "dns")
        return None
    examination.step("DNS", "ok", at_ms, f"{', '.join(dns.addresses)} ({dns.source})")
    if "private" in dns.classes and not url.host_is_address:
        await _control(examination, url, "dns")  # does the rest of the world get the same?

    at_ms = clock.now_ms()
    tcp = await probe_tcp(request, url, dns, clock)
    if tcp.open and len(tcp.open) < len(tcp.attempts):
        tcp = await _per_family(examination, url, tcp)
    facts.add(tcp)
    shown = ", ".join(f"{a.address}:{a.port} {a.outcome}" for a in tcp.attempts)
    if tcp.no_route:
        shown += f" (not checked, no way from this machine: {', '.join(tcp.no_route)})"
    if not tcp.open:
        if (tunnel := await _through_proxy(examination, url, shown)) is not None:
            return tunnel
        examination.step("TCP", "failed", at_ms, shown)
        six = all(":" in attempt.address for attempt in tcp.attempts)
        await _control(examination, url, "tcp", ipv6=six)
        return None
    examination.step("TCP", "ok" if len(tcp.open) == len(tcp.attempts) else "warning", at_ms, shown)
    return tcp


async def _per_family(examination: Examination, url: UrlFacts, tcp: TcpFacts) -> TcpFacts:
    """Some addresses are dead. Where that is a whole family, does this machine have that family at all?"""
    open_families = {":" in attempt.address for attempt in tcp.open}
    dead = {":" in attempt.address for attempt in tcp.attempts if attempt.outcome != "open"} - open_families
    if not dead:
        return tcp
    control = await _control(examination, url, "tcp", ipv6=True in dead)
    if control is None:
        return tcp
    if True in dead and control.ipv6 != "open":
        tcp = without_family(tcp, 6)
    if False in dead and control.tcp != "open":
        tcp = without_family(tcp, 4)
    return tcp


async def _through_proxy(examination: Examination, url: UrlFacts, direct: str) -> TcpFacts | None:
    """The same through the environment's HTTP proxy, where there is one; the rest of the examination then uses it."""
    request, clock = examination.request, examination.clock
    if request.proxy is None or not url.secure or url.host_class != "public":
        return None
    at_ms = clock.now_ms()
    via = replace(request, via=request.proxy)
    attempt = await connect_once(via, url.host, url.port, request.timeout_ms, clock)
    used = attempt.outcome == "open"
    examination.facts.add(
        ProxyFacts(
            proxy=request.proxy,
            outcome="used" if used else "failed",
            detail=attempt.error or attempt.outcome,
            direct=direct,
        )
    )
    examination.step("proxy", "ok" if used else "failed", at_ms, f"CONNECT {url.host}:{url.port}: {attempt.outcome}")
    if not used:
        return None
    examination.request = via
    # The proxy asks DNS itself: what this machine's resolver said does not matter any more.
    examination.facts.add(DnsFacts(name=url.host, source="proxy", addresses=(url.host,), classes=("public",)))
    tcp = TcpFacts(attempts=(TcpAttempt(url.host, url.port, "open", attempt.ms),))
    examination.facts.add(tcp)
    return tcp


async def _control(
    examination: Examination, url: UrlFacts, failed: Layer, *, ipv6: bool = False
) -> ControlFacts | None:
    """The control measurement for a failed layer. None for a local test, which needs no other host."""
    request, clock = examination.request, examination.clock
    if request.controls is None or request.is_local or url.host_class != "public":
        return None
    at_ms = clock.now_ms()
    known = await probe_control(request, request.controls, url, failed, clock, ipv6=ipv6)
    examination.facts.add(known)
    parts = [f"DNS {known.dns}" if known.dns else "", f"TCP {known.tcp}" if known.tcp else ""]
    parts += [f"TLS {known.tls}" if known.tls else "", f"IPv6 {known.ipv6}" if known.ipv6 else ""]
    works = {known.dns, known.tcp, known.tls, known.ipv6} <= {None, "answer", "open", "ok"}
    detail = f"{known.host}: {', '.join(filter(None, parts)) or 'nothing to compare with'}"
    examination.step("control", "ok" if works else "warning", at_ms, detail)
    return known


# --- TLS -------------------------------------------------------------------------------------------------------------


async def _secure(examination: Examination, url: UrlFacts, tcp: TcpFacts) -> TlsFacts | None:
    """The handshakes; None where none of them carries the rest of the examination."""
    at_ms = examination.clock.now_ms()
    tls = await probe_tls(examination.request, url, tcp, examination.clock, examination.contexts)
    examination.facts.add(tls)
    carrier = tls.carrier
    if carrier.outcome == "ok":
        names = tls.chain[0].names if tls.chain else ()
        detail = f"{carrier.version}, {carrier.cipher}, for {', '.join(names[:3]) or 'no name'}"
        if tls.system_rejects:
            detail += f" (by Mozilla's roots; this machine's own say {tls.system_rejects})"
        doubtful = bool(tls.system_rejects) or tls.mozilla == "untrusted"
        examination.step("TLS", "warning" if doubtful else "ok", at_ms, detail)
        if tls.mozilla == "untrusted":
            await _control(examination, url, "tls")
        return tls
    detail = f"{carrier.address}: {carrier.outcome} {carrier.verify_message or carrier.reason}".strip()
    some_work = any(attempt.outcome == "ok" for attempt in tls.attempts)
    past = examination.request.insecure and carrier.outcome == "untrusted"
    examination.step("TLS", "warning" if some_work or past else "failed", at_ms, detail)
    if not some_work:
        await _control(examination, url, "tls")
    return tls if some_work or past else None


# --- HTTP and above --------------------------------------------------------------------------------------------------


async def _climb_http(examination: Examination, door: Door) -> None:
    clock, facts = examination.clock, examination.facts
    at_ms = clock.now_ms()
    exchange, channel, rest = await door.ask(CARRIER, examination.left_ms(examination.request.answer_timeout_ms))
    if exchange.outcome == "no-connection" and not exchange.error:
        # TCP and TLS worked an instant ago. One connection that timed out is a lost packet, or this machine is busy.
        exchange, channel, rest = await door.ask(CARRIER, examination.left_ms(examination.request.answer_timeout_ms))
    if channel is None or not exchange.upgraded:
        if channel is not None:
            channel.abort()
        facts.add(UpgradeFacts(carrier=exchange))
        await _look_closer(examination, door, exchange)
        examination.step("upgrade", "failed", at_ms, describe(exchange))
        return
    facts.add(UpgradeFacts(carrier=exchange))
    examination.step("upgrade", "ok", at_ms, f"101 after {exchange.ms:.0f} ms")

    at_ms = clock.now_ms()
    media = await probe_media(door, exchange, Socket(channel, rest))
    facts.add(media)
    stayed = _stayed(media)
    ending = media.ending
    detail = f"{media.sent_frames} frames sent, {len(media.media)} came back"
    if media.stalled_ms is not None:
        detail += f"; after {media.stalled_ms / 1000:.1f} s the server read nothing more"
    elif not stayed:
        how = f"{ending.code} {ending.reason}".strip() if ending.kind == "close-frame" else ending.kind
        detail += f"; the server ended it after {ending.at_ms:.0f} ms: {how}"
    examination.step("media", "ok" if stayed else "failed", at_ms, detail)

    at_ms = clock.now_ms()
    slow = exchange.ms > SLOW_MS
    repeats = await probe_repeats(
        door,
        # What took long once may take long again: a timeout of ours would pass for a failure of theirs.
        examination.left_ms(max(SHAPE_TIMEOUT_MS, 1.5 * exchange.ms)),
        first_texts(door.request, door.url),
        examination.left_ms(REPEAT_BUDGET_MS),
        tries_max=2 if slow else TRIES,
        # Long enough to see again what ended the first stream.
        listen_ms=TRY_WAIT_MS if stayed else max(TRY_WAIT_MS, min(LISTEN_MS_MAX, 3 * ending.at_ms)),
    )
    facts.add(repeats)
    if not stayed:
        facts.add(await probe_identity(door, exchange, examination.left_ms(SHAPE_TIMEOUT_MS)))
    fine = sum(1 for attempt in repeats.tries if attempt.fine)
    examination.step(
        "repeat", "ok" if fine == len(repeats.tries) else "warning", at_ms, f"{fine} of {len(repeats.tries)} tries fine"
    )

    if door.request.idle_s > 0:
        at_ms = clock.now_ms()
        idle = await probe_idle(door, SHAPE_TIMEOUT_MS)
        facts.add(idle)
        held = ", ".join(f"{hold.traffic} {hold.held_ms / 1000:.1f} s" for hold in idle.holds)
        dropped = any(hold.ending.by == "peer" or hold.stalled for hold in idle.holds)
        examination.step("idle", "failed" if dropped else "ok", at_ms, f"held: {held}")


def _stayed(media: MediaFacts) -> bool:
    return media.stalled_ms is None and (media.ending.by != "peer" or media.ending.after in {"stop", "close"})


async def _look_closer(examination: Examination, door: Door, carrier: Exchange) -> None:
    """The upgrade failed: the same once more, then requests that differ, then the other scheme and a late try."""
    timeout_ms = examination.left_ms(SHAPE_TIMEOUT_MS)
    shapes = await probe_shapes(door, carrier, timeout_ms)
    examination.facts.add(shapes)
    if not door.url.secure:
        examination.facts.add(await probe_other_scheme(door, examination.left_ms(SHAPE_TIMEOUT_MS)))
    again = shapes.shape("again")
    mixed = again is not None and again.upgraded
    examination.facts.add(await _late(examination, door, timeout_ms, mixed=mixed))


async def _late(examination: Examination, door: Door, timeout_ms: float, *, mixed: bool) -> RepeatFacts:
    """Seconds have passed while the shapes were tried: does the same request work by now?"""
    texts = first_texts(door.request, door.url)
    if mixed:
        return await probe_repeats(door, examination.left_ms(timeout_ms), texts, REPEAT_BUDGET_MS)
    late = await probe_repeats(door, examination.left_ms(timeout_ms), texts, 1.0, tries_max=1)
    if late.tries and late.tries[0].fine:
        more = await probe_repeats(door, examination.left_ms(timeout_ms), texts, REPEAT_BUDGET_MS, tries_max=3)
        late = RepeatFacts(tries=late.tries + more.tries)
    return late


def describe(exchange: Exchange) -> str:
    """An exchange in one line."""
    match exchange.outcome:
        case "answer":
            server = f", server: {exchange.header('server')}" if exchange.has("server") else ""
            where = f", to {exchange.header('location')}" if exchange.has("location") else ""
            return f"{exchange.status} {exchange.reason}{where}{server}".strip()
        case "timeout":
            return f"no answer within {exchange.ms / 1000:.1f} s"
        case "eof":
            return "the connection was closed without an answer"
        case "reset":
            return "the connection was reset without an answer"
        case "malformed":
            return f"an answer that is not HTTP/1: {exchange.raw[:40]!r}"
        case _:
            return f"no connection: {exchange.error}"
