"""Examine, then judge.

`examine` runs the probes layer by layer; a layer that does not work stops the ones above it, and every wait is bounded
by what is left of the whole budget. `judge` runs every rule over the facts and folds findings that another explains
under it. What could not be checked, crashed or stayed open never counts as ok.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from callpath.clock import Clock
from callpath.doctor import platform, precedence
from callpath.doctor.facts import (
    AccountFacts,
    CallFacts,
    DnsFacts,
    EdgeFacts,
    Exchange,
    FactMissing,
    Facts,
    IdleFacts,
    LogFacts,
    MachineFacts,
    MediaFacts,
    OtherSchemeFacts,
    PlatformFacts,
    RefusalFacts,
    RepeatFacts,
    ServedFacts,
    TcpFacts,
    TelnyxCallFacts,
    TlsFacts,
    UpgradeFacts,
    UrlFacts,
    WayFacts,
)
from callpath.doctor.probes.dns import probe_dns
from callpath.doctor.probes.idle import probe_idle
from callpath.doctor.probes.machine import LagWatch
from callpath.doctor.probes.media import first_texts, probe_media
from callpath.doctor.probes.tcp import probe_tcp
from callpath.doctor.probes.tls import probe_tls
from callpath.doctor.probes.upgrade import CARRIER, Door, probe_identity, probe_other_scheme, probe_shapes
from callpath.doctor.probes.url import probe_url
from callpath.doctor.probes.websocket import TRIES, TRY_WAIT_MS, Socket, probe_repeats
from callpath.doctor.report import suspects
from callpath.doctor.request import Request
from callpath.doctor.rule import Finding, Rule
from callpath.doctor.rules import rules_of
from callpath.doctor.verdict import CallSeen, Diagnosis, Found, NotChecked, Source, Step, StepStatus

OnStep = Callable[[Step], None]
SHAPE_TIMEOUT_MS = 4000.0
REPEAT_BUDGET_MS = 5000.0
LISTEN_MS_MAX = 1200.0
SLOW_MS = 1500.0
"""Above this a try is too dear to be made five times."""

_HOW: dict[type, str] = {
    DnsFacts: "give a URL with a host",
    TcpFacts: "the name has to lead to an address first",
    TlsFacts: "a connection has to open first; for ws:// there is no TLS to check",
    UpgradeFacts: "the layers below have to work first (--insecure goes on past an untrusted certificate)",
    MediaFacts: "the upgrade has to succeed first",
    RepeatFacts: "the upgrade has to be answered first",
    IdleFacts: "run again with --idle SECONDS (longer than the suspected limit, 130 covers most proxies)",
    OtherSchemeFacts: "only looked at where ws:// failed",
    UrlFacts: "the stream's URL is not known, or the call did not come that far",
    CallFacts: "this source does not show it, or the call did not come that far",
    ServedFacts: "run where the server's settings are (PUBLIC_URL)",
    RefusalFacts: "run where the server's call log is",
    LogFacts: "read the platform's logs: callpath doctor logs",
    EdgeFacts: "read the platform's edge log: callpath doctor logs",
    TelnyxCallFacts: "set TELNYX_API_KEY, and leave out --offline and --no-telnyx",
    AccountFacts: "set TELNYX_API_KEY and run callpath doctor account",
    PlatformFacts: "set RAILWAY_TOKEN and run callpath doctor account",
    WayFacts: "leave out --offline",
}

BUSY_LAG_MS = 500.0
"""Woken later than this, the doctor does not judge by times. Chosen: a machine at rest is late by a few ms, and the times
that rules look at begin at a second."""


@dataclass(slots=True)
class Examination:
    """Facts and steps while they are gathered."""

    request: Request
    clock: Clock
    on_step: OnStep
    started_ms: float
    facts: Facts = field(default_factory=Facts)
    steps: list[Step] = field(default_factory=list)

    def left_ms(self, at_most_ms: float) -> float:
        """What may still be spent: never less than a quarter second, so that a late layer says "timeout" itself."""
        spent_ms = self.clock.now_ms() - self.started_ms
        return max(250.0, min(at_most_ms, self.request.budget_ms - spent_ms))

    def step(self, name: str, status: StepStatus, since_ms: float, detail: str) -> None:
        step = Step(name, status, self.clock.now_ms() - since_ms, detail)
        self.steps.append(step)
        self.on_step(step)


async def diagnose(request: Request, clock: Clock, on_step: OnStep = lambda _: None) -> Diagnosis:
    """Everything: look at the URL, judge, name one cause or say that audio would flow."""
    started_unix_ms = clock.now_unix_ms()
    examination = await gather(request, clock, on_step)
    return judge(
        request.url,
        examination.facts,
        tuple(examination.steps),
        started_unix_ms=started_unix_ms,
        duration_ms=clock.now_ms() - examination.started_ms,
    )


async def gather(request: Request, clock: Clock, on_step: OnStep = lambda _: None) -> Examination:
    """Look at the URL, and judge nothing."""
    examination = Examination(request, clock, on_step, clock.now_ms())
    watch = LagWatch(clock)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch.run(), name="watch lag")
        try:
            await examine(examination)
        finally:
            watching.cancel()
    examination.facts.add(watch.facts())
    return examination


# --- examine ---------------------------------------------------------------------------------------------------------


async def examine(examination: Examination) -> None:
    """Climb the layers until one does not carry."""
    request, clock, facts = examination.request, examination.clock, examination.facts

    at_ms = clock.now_ms()
    url = probe_url(request)
    facts.add(url)
    if url.problem:
        examination.step("URL", "failed", at_ms, url.problem)
        return
    examination.step("URL", "ok", at_ms, f"{url.scheme or 'no scheme'}, {url.host}, port {url.port}, {url.target}")

    at_ms = clock.now_ms()
    dns = await probe_dns(request, url, clock)
    facts.add(dns)
    if not dns.addresses:
        answers = ", ".join(f"{query.record}: {query.outcome}" for query in dns.queries)
        examination.step("DNS", "failed", at_ms, f"no address for {dns.name} ({answers or dns.source})")
        return
    examination.step("DNS", "ok", at_ms, f"{', '.join(dns.addresses)} ({dns.source})")

    at_ms = clock.now_ms()
    tcp = await probe_tcp(request, url, dns, clock)
    facts.add(tcp)
    shown = ", ".join(f"{a.address}:{a.port} {a.outcome}" for a in tcp.attempts)
    if not tcp.open:
        examination.step("TCP", "failed", at_ms, shown)
        return
    examination.step("TCP", "ok" if len(tcp.open) == len(tcp.attempts) else "warning", at_ms, shown)

    tls: TlsFacts | None = None
    if url.secure:
        at_ms = clock.now_ms()
        tls = await probe_tls(request, url, tcp, clock)
        facts.add(tls)
        if not await _tls_carries(examination, tls, at_ms):
            return

    await _climb_http(examination, Door(request, url, tcp, tls, clock))


async def _tls_carries(examination: Examination, tls: TlsFacts, at_ms: float) -> bool:
    carrier = tls.carrier
    if carrier.outcome == "ok":
        names = tls.chain[0].names if tls.chain else ()
        examination.step(
            "TLS", "ok", at_ms, f"{carrier.version}, {carrier.cipher}, for {', '.join(names[:3]) or 'no name'}"
        )
        return True
    detail = f"{carrier.address}: {carrier.outcome} {carrier.verify_message or carrier.reason}".strip()
    some_work = any(attempt.outcome == "ok" for attempt in tls.attempts)
    past = examination.request.insecure and carrier.outcome == "untrusted"
    examination.step("TLS", "warning" if some_work or past else "failed", at_ms, detail)
    return some_work or past


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
        await _look_closer(examination, door, exchange)
        examination.step("upgrade", "failed", at_ms, describe(exchange))
        return
    facts.add(UpgradeFacts(carrier=exchange))
    examination.step("upgrade", "ok", at_ms, f"101 after {exchange.ms:.0f} ms")

    at_ms = clock.now_ms()
    media = await probe_media(door, exchange, Socket(channel, rest))
    facts.add(media)
    stayed = media.ending.by != "peer" or media.ending.after in {"stop", "close"}
    ending = media.ending
    detail = f"{media.sent_frames} frames sent, {len(media.media)} came back"
    if not stayed:
        how = f"{ending.code} {ending.reason}".strip() if ending.kind == "close-frame" else ending.kind
        detail += f"; the server ended it after {ending.at_ms:.0f} ms: {how}"
    examination.step("media", "ok" if stayed else "failed", at_ms, detail)

    at_ms = clock.now_ms()
    slow = exchange.ms > SLOW_MS
    repeats = await probe_repeats(
        door,
        # What took long once may take long again: a time-out of ours would pass for a failure of theirs.
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
        dropped = any(hold.ending.by == "peer" for hold in idle.holds)
        examination.step("idle", "failed" if dropped else "ok", at_ms, f"held: {held}")


async def _look_closer(examination: Examination, door: Door, carrier: Exchange) -> None:
    """The upgrade failed: other shapes, the other scheme, and more tries, all at once."""
    timeout_ms = examination.left_ms(SHAPE_TIMEOUT_MS)
    slow = carrier.outcome == "timeout"
    async with asyncio.TaskGroup() as tasks:
        shapes = tasks.create_task(probe_shapes(door, carrier, timeout_ms))
        repeats = tasks.create_task(
            probe_repeats(
                door,
                timeout_ms,
                first_texts(door.request, door.url),
                0.0 if slow else examination.left_ms(REPEAT_BUDGET_MS),
            )
        )
        if not door.url.secure:
            other = tasks.create_task(probe_other_scheme(door, timeout_ms))
    examination.facts.add(shapes.result())
    examination.facts.add(await _woken_up(examination, door, repeats.result(), timeout_ms))
    if not door.url.secure:
        examination.facts.add(other.result())


async def _woken_up(examination: Examination, door: Door, repeats: RepeatFacts, timeout_ms: float) -> RepeatFacts:
    """Seconds have passed while the shapes were tried: does the same request work by now?"""
    if not repeats.tries or any(attempt.fine for attempt in repeats.tries):
        return repeats
    texts = first_texts(door.request, door.url)
    late = await probe_repeats(door, examination.left_ms(timeout_ms), texts, 1.0, tries_max=1)
    if late.tries and late.tries[0].fine:
        more = await probe_repeats(door, examination.left_ms(timeout_ms), texts, REPEAT_BUDGET_MS, tries_max=3)
        late = RepeatFacts(tries=late.tries + more.tries)
    return RepeatFacts(tries=repeats.tries + late.tries)


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


# --- judge -----------------------------------------------------------------------------------------------------------


def judge(
    url: str,
    facts: Facts,
    steps: tuple[Step, ...] = (),
    *,
    started_unix_ms: int = 0,
    duration_ms: float = 0.0,
    rules: Iterable[Rule] | None = None,
    fallbacks: Iterable[Rule] | None = None,
    works: Callable[[Facts], bool] | None = None,
    weigh: Callable[[Rule, Finding], Finding] | None = None,
    call: CallSeen | None = None,
    sources: tuple[Source, ...] = (),
) -> Diagnosis:
    """Run every rule; of the findings that no other explains, the first one by precedence is the verdict.

    Without any finding the answer is "healthy" only where `works` says that the facts prove it. `weigh` may take from a
    finding what the circumstances take from it.
    """
    found: list[Found] = []
    notes: list[Found] = []
    quiet: list[Rule] = []
    not_checked: list[NotChecked] = []
    _run(rules_of("url") if rules is None else rules, facts, found, notes, quiet, not_checked)
    if weigh is not None:
        found = [replace(item, finding=weigh(item.rule, item.finding)) for item in found]
    healthy = (works or stream_works)(facts) and not found
    if not found and not healthy:
        _run(rules_of("url", fallback=True) if fallbacks is None else fallbacks, facts, found, notes, [], [])
    findings = _fold(_merged(found))
    verdict = findings[0] if findings else None
    notes = _merged(notes)
    spoke = {item.rule.slug for item in (*findings, *notes)}
    quiet = [rule for rule in _once_a_cause(quiet) if rule.slug not in spoke]
    judged = spoke | {rule.slug for rule in quiet}
    not_checked = [item for item in not_checked if item.crashed or item.rule.slug not in judged]
    crashed = any(item.crashed for item in not_checked)
    state: bool | None
    if verdict is not None:
        state = False if verdict.finding.kind == "fault" else None  # limited and open decide nothing
    else:
        state = True if healthy and not crashed else None
    upgrade = facts.get(UpgradeFacts)
    answers = (upgrade.carrier, *upgrade.shapes) if upgrade is not None else ()
    return Diagnosis(
        url=url,
        started_unix_ms=started_unix_ms,
        duration_ms=duration_ms,
        healthy=state,
        verdict=verdict,
        findings=findings,
        notes=tuple(notes),
        did_not_match=tuple(quiet),
        not_checked=tuple(not_checked),
        steps=steps,
        platform=platform.recognise(*answers),
        suspects=suspects.judge_suspects(facts, verdict),
        proven=suspects.proven(facts),
        unproven=suspects.unproven(facts),
        call=call,
        sources=sources,
    )


def _run(
    rules: Iterable[Rule],
    facts: Facts,
    found: list[Found],
    notes: list[Found],
    quiet: list[Rule],
    not_checked: list[NotChecked],
) -> None:
    for rule in rules:
        try:
            finding = rule.check(facts)
        except FactMissing as missing:
            how = _HOW.get(missing.fact, "")
            not_checked.append(NotChecked(rule, f"no {missing.fact.__name__}", how))
            continue
        except Exception as error:
            reason = f"the rule crashed: {type(error).__name__}: {error}"
            not_checked.append(NotChecked(rule, reason, "report this with --json", True))
            continue
        if finding is None:
            quiet.append(rule)
        elif finding.kind == "note":
            notes.append(Found(rule, finding))
        else:
            found.append(Found(rule, _weighed(rule, finding, facts)))


def _weighed(rule: Rule, finding: Finding, facts: Facts) -> Finding:
    """A time that was taken on a starved machine proves nothing: the verdict is withheld."""
    machine = facts.get(MachineFacts)
    if not rule.by_time or finding.kind != "fault" or machine is None or machine.lag_ms_max < BUSY_LAG_MS:
        return finding
    return replace(
        finding,
        kind="open",
        confidence="low",
        candidates=(rule.slug,),
        question=f"The doctor's own machine was up to {machine.lag_ms_max:.0f} ms late, so times say little about the "
        "server. Run again from a machine that has nothing else to do.",
    )


_RANK = {"fault": 0, "limited": 1, "open": 1, "note": 2}
"""What is proven comes before what may be right and before a question."""


def _place(found: Found) -> tuple[int, int]:
    return _RANK[found.finding.kind], precedence.place_of_rule(found.rule)


def _merged(found: Iterable[Found]) -> list[Found]:
    """One finding a cause: what its other signs saw is further evidence for the foremost one."""
    by_cause: dict[str, Found] = {}
    for item in sorted(found, key=_place):
        first = by_cause.get(item.rule.slug)
        if first is None:
            by_cause[item.rule.slug] = item
        elif item.finding.kind == first.finding.kind:
            more = tuple(line for line in item.finding.evidence if line not in first.finding.evidence)
            by_cause[item.rule.slug] = replace(
                first, finding=replace(first.finding, evidence=first.finding.evidence + more)
            )
    return list(by_cause.values())


def _fold(found: list[Found]) -> tuple[Found, ...]:
    """The findings by precedence, each that a proven cause brings about under it; those that stand alone come first."""
    proven = [item for item in found if item.finding.kind == "fault"]
    folded = [
        replace(item, under=next((one.rule.code for one in proven if precedence.explains(one.rule, item.rule)), ""))
        for item in found
    ]
    return tuple(sorted(folded, key=lambda item: (bool(item.under), *_place(item))))


def _once_a_cause(rules: Iterable[Rule]) -> Iterable[Rule]:
    return {rule.slug: rule for rule in rules}.values()


def stream_works(facts: Facts) -> bool:
    """A stream was opened, spoken on, and not ended by the server before we said stop."""
    media = facts.get(MediaFacts)
    return (
        media is not None
        and media.sent_frames > 0
        and media.sent_frames == media.planned_frames
        and not media.protocol_errors
        and (media.ending.by != "peer" or media.ending.after in {"stop", "close"})
    )
