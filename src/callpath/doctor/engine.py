"""Examine, then judge.

`examine` runs the probes layer by layer; a layer that does not work stops the ones above it, and every wait is bounded
by what is left of the whole budget. `judge` runs every rule over the facts and folds findings that another explains
under it. What could not be checked, crashed or stayed open never counts as ok.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from callpath.clock import Clock
from callpath.doctor import platform, precedence, refusals
from callpath.doctor.examination import OnStep, gather
from callpath.doctor.facts import (
    AccountFacts,
    CallFacts,
    ControlFacts,
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
    ProxyFacts,
    RefusalFacts,
    RepeatFacts,
    ServedFacts,
    TcpFacts,
    TelnyxCallFacts,
    TlsFacts,
    TrafficFacts,
    UpgradeFacts,
    UrlFacts,
    WayFacts,
)
from callpath.doctor.report import suspects
from callpath.doctor.request import Request
from callpath.doctor.rule import Finding, Rule, Seen
from callpath.doctor.rules import rules_of
from callpath.doctor.verdict import CallSeen, Diagnosis, Found, Level, NotChecked, Source, Step

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
    ControlFacts: "only measured after a failed step, and not in a local test",
    ProxyFacts: "only tried where HTTPS_PROXY is set and the direct way fails",
    TrafficFacts: "nothing was sent",
}

BUSY_LAG_MS = 500.0
"""Woken later than this, the doctor does not judge by times. Chosen: a machine at rest is late by a few ms, and the times
that rules look at begin at a second."""


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
    found = [replace(item, finding=_of_a_made_up_call(item, facts)) for item in found]
    if weigh is not None:
        found = [replace(item, finding=weigh(item.rule, item.finding)) for item in found]
    healthy = (works or stream_works)(facts) and not found
    level = level_of(facts) if healthy and works is None else None
    if level is not None and level not in LEVELS_OF_SUCCESS:
        healthy = False
    if not found and not healthy and level is None:
        _run(rules_of("url", fallback=True) if fallbacks is None else fallbacks, facts, found, notes, [], [])
    findings = _fold([replace(item, finding=_counted(item, facts)) for item in _merged(found)])
    verdict = findings[0] if findings else None
    notes = _merged(notes)
    spoke = {item.rule.slug for item in (*findings, *notes)}
    quiet = [rule for rule in _once_a_cause(quiet) if rule.slug not in spoke]
    judged = spoke | {rule.slug for rule in quiet}
    not_checked = [item for item in not_checked if item.crashed or item.rule.slug not in judged]
    crashed = any(item.crashed for item in not_checked)
    state: bool | None
    if verdict is not None:
        # An outcome shows no fault and no audio either; limited and open decide nothing.
        state = False if verdict.finding.kind == "fault" else None
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
        platform=platform.recognise(*answers, names=refusals.names_of(facts)),
        suspects=suspects.judge_suspects(facts, verdict),
        proven=suspects.proven(facts),
        unproven=suspects.unproven(facts),
        call=call,
        sources=sources,
        level=level,
        traffic=facts.get(TrafficFacts),
        local=(given := facts.get(UrlFacts)) is not None and given.local,
        unwaited=unwaited(facts) if works is None and call is None else (),
        facts=facts,
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


OF_THE_CALL = frozenset(
    {
        "ROUTE005", "ROUTE006", "HTTP004", "HTTP012", "HTTP016", "HTTP017", "AUTH001", "AUTH005", "AUTH006", "CLOSE002",
        "CLOSE003", "CLOSE004", "CLOSE005", "CLOSE006", "CLOSE007", "CLOSE009", "UNKNOWN004",
    }
)  # fmt: skip
"""Causes that an application shows also when it rightly refuses a call that it does not know: a refusal before the
accept, no answer, an error, a close, a dropped connection. What a proxy says of itself, and what another form of the same
request changes, does not depend on the call."""


def _of_a_made_up_call(item: Found, facts: Facts) -> Finding:
    """A refusal of an id that belongs to no call is no fault: it is reported, with the question that decides."""
    rule, finding = item.rule, item.finding
    url, upgrade = facts.get(UrlFacts), facts.get(UpgradeFacts)
    if url is None or not url.made_up_call or upgrade is None or CallFacts in facts:
        return finding
    if rule.sign not in OF_THE_CALL or finding.kind != "fault":
        return finding
    if any(exchange.upgraded for exchange in upgrade.shapes if not exchange.shape.startswith("made-up")):
        return finding  # the same id, asked for in another form, was let in
    if platform.author(upgrade.carrier).kind in {"proxy", "edge"}:
        return finding  # the application was not asked
    return replace(
        finding,
        kind="limited",
        confidence="low" if finding.confidence == "low" else "medium",
        candidates=(rule.slug, "unknown-call-refused"),
        question="Does your server know the call id in this URL? A made-up id is rightly refused. Run it with the "
        f"stream_url of a running call: callpath doctor url --known-call {url.raw!r}",
    )


LEVELS_OF_SUCCESS = frozenset({"audio", "listening"})


def level_of(facts: Facts) -> Level | None:
    """How much a stream that works shows: audio came back, nothing was heard, or a carrier cannot get there."""
    media, url, tls = facts.get(MediaFacts), facts.get(UrlFacts), facts.get(TlsFacts)
    if media is None or url is None:
        return None
    outside = url.host_class == "public" and url.secure and not (tls is not None and tls.mozilla == "untrusted")
    if not outside and not url.local:
        return "inside"
    if media.media:
        return "audio"
    return "listening" if url.listen_only else "silent"


def unwaited(facts: Facts) -> tuple[str, ...]:
    """What may still happen to a stream that worked, and that this run did not wait for."""
    media, idle = facts.get(MediaFacts), facts.get(IdleFacts)
    if media is None or idle is not None:
        return ()
    return (f"idle timeouts: the stream was held for {media.listening_ms / 1000:.1f} s (--idle 130 waits for most)",)


def _place(found: Found) -> tuple[int, int]:
    """What is proven comes before an open question and before what may be right, unless it breaks no call by itself."""
    kind = found.finding.kind
    later = kind != "fault" or precedence.minor(found.rule)
    return (2 if kind == "note" else int(later), precedence.place_of_rule(found.rule))


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


READ_ITSELF = frozenset({"files", "account"})
"""Sources in which the setting itself is read, not an effect of it: no second look could see it otherwise."""


def _counted(item: Found, facts: Facts) -> Finding:
    """The finding with its observations. "high" needs two that do not depend on each other: answers to requests of
    different shape, several resolvers, the same answer to the same request again, or the same step on a host that is
    known to work. A finding with `certain` needs one."""
    rule, finding = item.rule, item.finding
    times = {line.of: line.times for line in finding.evidence if isinstance(line, Seen)}
    if rule.source == "url":
        times |= _again(facts, rule) | _control(facts, rule)
    else:  # entries of a timeline, rows and lines of logs: each is written by itself
        times |= {line: 1 for line in finding.evidence if not isinstance(line, Seen)}
    enough = sum(times.values()) >= 2 or bool(finding.certain) or rule.source in READ_ITSELF
    if finding.confidence == "high" and not enough:
        finding = replace(finding, confidence="medium")
    return replace(finding, observed=tuple(times), observations=sum(times.values()))


def _again(facts: Facts, rule: Rule) -> dict[str, int]:
    """Further tries of the very same request that were answered, or ended, like the first."""
    upgrade, repeats, media = facts.get(UpgradeFacts), facts.get(RepeatFacts), facts.get(MediaFacts)
    if upgrade is None or repeats is None or rule.layer in {"url", "dns", "tcp", "tls"}:
        return {}
    tries = enumerate(repeats.tries, 2)
    same = [(n, one) for n, one in tries if _handshake(one.exchange) == _handshake(upgrade.carrier)]
    if upgrade.carrier.upgraded and rule.layer != "handshake":
        # The tries open a stream and end it at once: of audio and pace they show nothing, of an early end its kind.
        ending = media.ending if media is not None else None
        if ending is None or ending.by != "peer":
            return {}
        same = [(n, one) for n, one in same if one.ending is not None and one.ending.kind == ending.kind]
    return {f"try {n}": 1 for n, _ in same}


def _handshake(exchange: Exchange) -> tuple[object, ...]:
    """What two answers to one request must have alike to be the same answer."""
    chosen = (exchange.header(f"sec-websocket-{name}") for name in ("protocol", "extensions", "version"))
    return (exchange.status, exchange.accept_ok, exchange.has("upgrade", "websocket"), *chosen)


def _control(facts: Facts, rule: Rule) -> dict[str, int]:
    """The control, where the step that failed works on it: the fault is not this machine's."""
    control = facts.get(ControlFacts)
    works = control is not None and {
        "dns": control.dns == "answer", "tcp": control.tcp == "open", "tls": control.tls == "ok",
    }.get(rule.layer, False)  # fmt: skip
    return {f"the same step on {control.host}": 1} if control is not None and works else {}


def _fold(found: list[Found]) -> tuple[Found, ...]:
    """The findings by precedence, each that a proven cause brings about under it; those that stand alone come first."""
    control = next((item for item in found if precedence.withholds(item.rule)), None)
    # What stands in the URL itself needs no network to be proven.
    if control is not None and not any(
        item.finding.kind == "fault" and precedence.place_of_rule(item.rule) < precedence.place_of_rule(control.rule)
        for item in found
    ):
        # The control failed, too: whatever else was seen was seen through a machine or resolver that does not work.
        rest = [replace(item, under=control.rule.code) for item in found if item is not control]
        return (control, *sorted(rest, key=_place))
    proven = [item for item in found if item.finding.kind in {"fault", "outcome"}]
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
