"""A call that was: its facts, and the diagnosis by rules.

    facts = Facts(call_facts(session, entries, looked_at_unix_ms=now), served, refusals, …)
    diagnosis = judge_call(facts)

Whatever else is known (edge rows, Telnyx's own word, a live probe of the stream's URL) stands beside it in the same
`Facts`. The stages are a gate: what comes before the socket is judged first, then what probes and edge saw of the way,
then what happened on the socket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from callpath.call.overview import CallOverview, fold_overview
from callpath.call.session import Stage
from callpath.clock import Clock
from callpath.doctor import calls
from callpath.doctor.calls import call_facts
from callpath.doctor.engine import judge, stream_works
from callpath.doctor.examination import OnStep, gather
from callpath.doctor.facts import (
    CallFacts,
    DnsFacts,
    Facts,
    TcpFacts,
    TelnyxCallFacts,
    UpgradeFacts,
    UrlFacts,
    WayFacts,
)
from callpath.doctor.ourselves import own_word
from callpath.doctor.probes.url import probe_url
from callpath.doctor.request import Request
from callpath.doctor.rule import Finding, Rule
from callpath.doctor.rules import known, rules_of
from callpath.doctor.verdict import CallSeen, Diagnosis, Line, Source, StageSeen, StageStatus, Step, StepStatus
from callpath.timeline import (
    Entry,
    FirstInbound,
    FirstOutbound,
    HandlerFailed,
    SocketReceived,
    StreamAccepted,
    StreamStarted,
    StreamStarting,
    Unknown,
    WebhookReceived,
    What,
    describe,
    kind_of,
)
from callpath.wire.ids import SessionId

__all__ = [
    "call_facts",
    "call_works",
    "judge_call",
    "missed_entries",
    "probe_way",
    "seen",
    "telnyx_lines",
    "url_of_call",
    "wants_probe",
]

_STEPS: dict[Stage, tuple[str, tuple[type[What], ...]]] = {
    Stage.WEBHOOK_RECEIVED: ("webhook", (WebhookReceived,)),
    Stage.CALL_ANSWERED: ("answered", (WebhookReceived,)),
    Stage.STREAM_STARTING: ("request", (StreamStarting,)),
    Stage.STREAM_ACCEPTED: ("accepted", (StreamAccepted,)),
    Stage.SOCKET_RECEIVED: ("socket", (SocketReceived,)),
    Stage.STREAM_STARTED: ("start", (StreamStarted,)),
    Stage.FIRST_INBOUND: ("audio in", (FirstInbound,)),
    Stage.FIRST_OUTBOUND: ("audio out", (FirstOutbound,)),
}
"""Each stage's short name, and the kinds of entry that show it."""


def judge_call(
    facts: Facts,
    steps: tuple[Step, ...] = (),
    *,
    sources: tuple[Source, ...] = (),
    started_unix_ms: int | None = None,
    duration_ms: float = 0.0,
) -> Diagnosis:
    """The diagnosis of one call. `steps` are those of a live probe, if one ran. Raises FactMissing without CallFacts."""
    call = facts[CallFacts]
    came = any(calls.every(call, SocketReceived, StreamStarted, FirstInbound))
    url = url_of_call(call)
    if url and not came and UrlFacts not in facts:
        facts.add(probe_url(Request(url=url)))
    probed = any(kind in facts for kind in (DnsFacts, TcpFacts, UpgradeFacts))
    seen_rules = tuple(rule for rule in rules_of("url") if probed or rule.layer == "url")
    way = () if came or UrlFacts not in facts else (*_told_by_the_server(call), *seen_rules)
    account: tuple[Rule, ...] = () if Stage.CALL_ANSWERED in call.state.stages else rules_of("account")
    return judge(
        url,
        facts,
        (*_stage_steps(call), *steps),
        started_unix_ms=call.looked_at_unix_ms if started_unix_ms is None else started_unix_ms,
        duration_ms=duration_ms,
        rules=(*account, *rules_of("call", "edge"), *way),
        fallbacks=rules_of("call", fallback=True),
        works=call_works,
        weigh=lambda rule, finding: _weighed_by_then(rule, finding, facts),
        call=seen(call),
        sources=sources,
    )


def wants_probe(facts: Facts, diagnosis: Diagnosis) -> bool:
    """Whether trying the stream's URL now could tell more: its socket never came, and why is not known yet."""
    call = facts[CallFacts]
    no_socket = {"stream-failed-to-start", "stream-connection-failed", "socket-never-came"}
    waited = any(found.rule.slug in no_socket for found in diagnosis.findings)
    return waited and not diagnosis.decided and bool(url_of_call(call))


async def probe_way(
    facts: Facts,
    clock: Clock,
    *,
    token: str | None,
    token_in: str,
    test_url: str,
    test_token: str | None,
    on_step: OnStep = lambda _: None,
) -> tuple[Step, ...]:
    """Try the call's own stream URL with a probe's `token`, and, where a callpath server refuses that by name, the test
    connection of the same server. What was seen is added to `facts`; returns the steps.

    Without tokens a probe could not be told from Telnyx, so only the test connection is tried.
    """
    call = facts[CallFacts]
    url = url_of_call(call)
    if token is None:
        url = test_url
    elif token_in == "path":
        url = url.replace("***", token)
    header = test_token if token is None else token if token_in == "header" else None
    seen = await gather(Request(url=url, token=header), clock, on_step)
    upgrade = seen.facts.get(UpgradeFacts)
    word = own_word(upgrade.carrier) if upgrade is not None else None
    lost_token = word is not None and word.reason == "no_token" and header is not None
    if word is None or word.reason not in _KNOWS_US or lost_token:
        works = stream_works(seen.facts)
        _join(facts, seen.facts)
        facts.add(WayFacts(url=url_of_call(call), probed_at_unix_ms=clock.now_unix_ms(), through=works))
        return tuple(seen.steps)
    test = await gather(Request(url=test_url, token=test_token), clock, on_step)
    _join(facts, test.facts)
    facts.add(
        WayFacts(
            url=url_of_call(call),
            probed_at_unix_ms=clock.now_unix_ms(),
            word=word.reason,
            detail=word.detail,
            through=stream_works(test.facts),
        )
    )
    return (*seen.steps, *test.steps)


def missed_entries(call: CallFacts, told: TelnyxCallFacts) -> list[Entry]:
    """Webhooks that Telnyx sent and our timeline lacks, as entries for it."""
    entries = []
    for row in told.missed:
        event = (row.metadata or {}).get("event")
        if not isinstance(event, dict):
            continue
        payload = event.get("payload")
        ids = payload if isinstance(payload, dict) else {}
        when = str(event.get("occurred_at") or row.event_timestamp or "").replace("Z", "+00:00")
        try:
            at_unix_ms = int(datetime.fromisoformat(when).timestamp() * 1000)
        except ValueError:
            continue
        what = WebhookReceived(
            event_type=str(event["event_type"]), event_id=str(event["id"]), body={"data": event}, fetched=True
        )
        entries.append(
            Entry(
                session=SessionId(call.session),
                at_unix_ms=at_unix_ms,
                what=what,
                key=f"webhook:{what.event_id}",
                leg=ids.get("call_leg_id"),
                call_control_id=ids.get("call_control_id"),
            )
        )
    return entries


LINES_MAX = 60


def telnyx_lines(told: TelnyxCallFacts) -> tuple[str, ...]:
    """What Telnyx says of a call: its events in order, and how deliveries of webhooks failed. No numbers, no payloads."""
    lines = [f"{row.event_timestamp or '?'} {row.type} {row.name}" for row in told.events or ()]
    for delivery in told.deliveries or ():
        for attempt in delivery.attempts or ():
            answer = attempt.http.response if attempt.http else None
            if attempt.status == "delivered":
                continue
            event = delivery.webhook.event_type if delivery.webhook else "?"
            said = answer.status if answer is not None else "no answer"
            lines.append(
                f"{attempt.started_at or '?'} delivery of {event} failed: {said} {attempt.errors or ''}".rstrip()
            )
    if told.status is not None:
        lines.append("the line is up" if told.status.is_alive else "the line is down")
    lines += [f"{row.question}: refused, {row.status or 'no answer'} {row.code} {row.detail}" for row in told.refusals]
    return tuple(lines[:LINES_MAX])


_KNOWS_US = {"call_ended", "token_expired", "unknown_session", "second_socket", "no_token", "wrong_token"}
"""What a callpath server says to an upgrade that came all the way to it."""


def _join(facts: Facts, more: Facts) -> None:
    for fact in more:
        facts.add(fact)


def url_of_call(call: CallFacts) -> str:
    """The stream URL that Telnyx was asked to connect to (tokens masked); "" where it is not known."""
    request = calls.asked(call)
    return (request.url if request is not None else "") or call.state.stream_url or ""


SERVED = frozenset({"transferred", "forwarded", "spoken to"})
"""Results of a call in which the handler's own audio is not missed."""


def _overview(call: CallFacts) -> CallOverview:
    return fold_overview(SessionId(call.session), call.entries)


def call_works(facts: Facts) -> bool:
    """Audio flowed both ways, or somebody or something else served the caller; the socket ended in order, and the call came
    to its end without a failure of ours. A call that reached nobody, or was turned away on purpose, works too."""
    call = facts[CallFacts]
    ended = calls.ended_unix_ms(call)
    overview = _overview(call)
    if ended is not None and overview.outcome == "unconnected":
        return True
    return (
        (call.state.missing_stage() is None or calls.audio_by_other_means(call) or overview.result in SERVED)
        and ended is not None
        and calls.broken_off(call) is None
        and calls.stopped_early(call) is None
        and all(crash.at_unix_ms >= ended for crash in calls.every(call, HandlerFailed))
        and calls.packets(call, "outbound") != 0
    )


# --- then and now ----------------------------------------------------------------------------------------------------

_LOWER_LAYERS = {"dns", "tcp", "tls"}
_PROCESS_DOWN = {
    "proxy-upstream-down", "proxy-upstream-timeout-504", "edge-app-failed-to-respond", "edge-app-not-found",
    "proxy-internal-error-500", "service-unavailable-503", "backend-flapping", "cloudflare-52x-origin",
}  # fmt: skip
"""What a probe finds where no process answers."""


def _weighed_by_then(rule: Rule, finding: Finding, facts: Facts) -> Finding:
    """A probe sees the way as it is now. Where webhooks came by the same door at the time of the call, the door was
    open then, so what shuts it now is not proven to be the cause."""
    if rule.source != "url" or rule.layer == "url" or finding.kind not in {"fault", "limited"}:
        return finding
    call, url = facts[CallFacts], facts[UrlFacts]
    way = facts.get(WayFacts)
    minutes = max(0, ((way.probed_at_unix_ms if way else call.looked_at_unix_ms) - calls.until_unix_ms(call)) // 60_000)
    evidence = (*finding.evidence, f"so it is as probed now, {minutes} min after the call")
    same_door = [
        place
        for text in calls.delivered_to(call)
        if (place := calls.place(text)) is not None and (place.host, place.port) == (url.host, url.port)
    ]
    if not same_door or not (rule.layer in _LOWER_LAYERS or rule.slug in _PROCESS_DOWN):
        return replace(finding, evidence=evidence)
    return replace(
        finding,
        kind="open",
        confidence="low",
        evidence=(*evidence, f"at the time of the call webhooks came to {same_door[0].host}:{same_door[0].port}"),
        candidates=(rule.slug,),
        question="This is what a probe finds now. During the call webhooks came by the same host and port, so it was not "
        "so then, or only for moments. Start the server as it was, make another call, and run the doctor right after it.",
    )


def _told_by_the_server(call: CallFacts) -> tuple[Rule, ...]:
    """What the server's own probe found while the call was up, under the code that it named."""
    found = []
    for _, probed in calls.told(call, "stream.probed"):
        causes = known(str(probed.get("code")))
        if not causes or not probed.get("decided") or probed.get("healthy"):
            continue
        rule = causes[0].rules()[0]
        finding = Finding(
            str(probed.get("summary") or rule.title),
            (f"the server's own probe of {probed.get('url')} during the call",),
            fix=str(probed.get("fix") or ""),
        )
        if rule.layer == "tcp":
            # Behind a router that does not lead its own address back inside, the world gets in where the server does not.
            finding = replace(
                finding,
                kind="open",
                candidates=(rule.slug,),
                question="Is it the same from outside? The server tried its own public address from within, which some "
                "networks do not allow. Run callpath doctor url from another network.",
            )
        found.append(replace(rule, check=_saying(finding), by_time=False, source="call"))
    return tuple(found[-1:])


def _saying(finding: Finding) -> Callable[[Facts], Finding | None]:
    return lambda _facts: finding


# --- the call in words -----------------------------------------------------------------------------------------------


def stages(call: CallFacts) -> tuple[StageSeen, ...]:
    """The way of this call, stage by stage. The first that was not reached is `missing` once it should have come."""
    seen: list[StageSeen] = []
    reached = call.state.stages
    missing = False
    for stage in Stage:
        name, kinds = _STEPS[stage]
        status: StageStatus
        if stage in reached:
            status = "reached"
        elif not all(call.shows(str(kind.__struct_config__.tag)) for kind in kinds):
            status = "unknown"
        elif missing:
            status = "not yet"
        else:
            status, missing = "missing", True
        seen.append(StageSeen(name, stage.label, status, reached.get(stage)))
    return tuple(seen)


def _stage_steps(call: CallFacts) -> tuple[Step, ...]:
    steps = []
    marks: dict[StageStatus, StepStatus] = {
        "reached": "ok", "missing": "failed", "not yet": "skipped", "unknown": "warning",
    }  # fmt: skip
    last = call.entries[0].at_unix_ms if call.entries else 0
    for stage in stages(call):
        at = stage.at_unix_ms
        words = {"missing": "not reached", "not yet": "not reached either", "unknown": "not shown by this source"}
        detail = f"{stage.label}: " + (calls.clock(call, at) if at is not None else words[stage.status])
        steps.append(Step(stage.name, marks[stage.status], max(0, at - last) if at is not None else 0.0, detail))
        last = at if at is not None else last
    return tuple(steps)


_LANES = {"webhook": "Telnyx", "socket": "socket", "media": "socket", "handler": "handler", "note": "handler",
          "recording": "handler", "dtmf": "socket", "mark": "socket", "playout": "handler", "frame": "socket"}  # fmt: skip


def seen(call: CallFacts) -> CallSeen:
    """The call as it stands in reports."""
    leg = call.state.leg
    hangup = calls.payload(calls.webhook(call, "call.hangup"))
    return CallSeen(
        session=call.session,
        source=call.source,
        state=call.state.state,
        looked_at_unix_ms=call.looked_at_unix_ms,
        leg=leg.leg_id if leg else "",
        call_control_id=leg.call_control_id if leg else "",
        direction=(leg.direction or "") if leg else "",
        began_unix_ms=call.entries[0].at_unix_ms if call.entries else None,
        ended_unix_ms=calls.ended_unix_ms(call),
        hangup_cause=str(hangup.get("hangup_cause") or ""),
        hangup_source=str(hangup.get("hangup_source") or ""),
        result=_overview(call).result if call.entries else "",
        frames_in=call.state.frames_in,
        frames_out=call.state.frames_out,
        stages=stages(call),
        timeline=tuple(_lines(call)),
    )


def _lines(call: CallFacts) -> Iterable[Line]:
    for entry in call.entries:
        kind = kind_of(entry.what)
        if isinstance(entry.what, Unknown):
            kind = str(entry.what.stored.get("kind"))
        family = kind.partition(".")[0]
        lane = _LANES.get(family, "server")
        if kind in {"stream.started", "stream.stopped", "stream.errored"}:
            lane = "socket"
        elif kind in {"stream.probed", "stream.missing"}:
            lane = "doctor"
        yield Line(entry.at_unix_ms, lane, kind, describe(entry.what))  # type: ignore[arg-type]
