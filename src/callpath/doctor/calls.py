"""What a call's timeline says: when each thing happened, what never did, and how long it was waited for. Pure.

Shared by the rules about calls. A kind of entry that the source is not known to write may have happened all the same:
`never` then raises FactMissing, and the rule is "not checked".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import msgspec

from callpath.call.refused import d_code_in
from callpath.call.session import Stage, fold
from callpath.doctor.facts import (
    CallFacts,
    FactMissing,
    Facts,
    LogFacts,
    RefusalFacts,
    ServedFacts,
    TelnyxCallFacts,
    UrlFacts,
    WayFacts,
)
from callpath.store.port import RejectedRequest
from callpath.timeline import (
    KINDS,
    LAG_MS_MAX,
    CommandAnswered,
    CommandSent,
    Entry,
    FirstInbound,
    HandlerEnded,
    HandlerFailed,
    MediaCounted,
    MediaSymptom,
    SocketClosed,
    SocketReceived,
    SocketRejected,
    StreamAccepted,
    StreamStarted,
    StreamStarting,
    StreamStopped,
    StreamUrl,
    Unknown,
    WebhookReceived,
    What,
    describe,
    kind_of,
)
from callpath.wire.document import Json
from callpath.wire.ids import SessionId

EVERY_KIND = frozenset(str(kind.__struct_config__.tag) for kind in KINDS)
"""What a timeline shows: all of them."""

EARLY_END_MS = 1_000
"""A call that ended sooner than this after a step says nothing about the step after it. In the one capture of a real
call the socket was there 60 ms after streaming_start, and before its answer."""

COMMAND_MS = 3_000
"""A server that is alive sends the command that follows from a webhook at once."""

LATE_SOCKET_MS = 10_000

ANSWERED_MS = 10_000
SOCKET_MS = 5_000
START_MS = 3_000
MEDIA_MS = 3_000
PLAY_MS = 10_000
"""How long a stage of a live call may take before it counts as missing. Only the socket's has a source: the documented
example of a failed connection shows 5.5 s."""


def call_facts(
    session: str,
    entries: Iterable[Entry],
    *,
    looked_at_unix_ms: int,
    source: Literal["timeline", "logs"] = "timeline",
    shown: frozenset[str] = EVERY_KIND,
) -> CallFacts:
    """One call as facts: entries in order of time, and what follows from them.

    Upgrades that came long after the end are left out: nobody but a doctor or a scanner knocks there.
    """
    ordered = tuple(sorted(entries, key=lambda entry: (entry.at_unix_ms, entry.number)))
    ended = fold(SessionId(session), ordered).ended_unix_ms
    if ended is not None:
        ordered = tuple(
            entry
            for entry in ordered
            if entry.at_unix_ms <= ended + LATE_SOCKET_MS or not isinstance(entry.what, SocketReceived | SocketRejected)
        )
    return CallFacts(
        session=session,
        source=source,
        entries=ordered,
        state=fold(SessionId(session), ordered),
        shown=shown,
        looked_at_unix_ms=looked_at_unix_ms,
    )


# --- finding entries -------------------------------------------------------------------------------------------------


def every(call: CallFacts, *kinds: type[What]) -> tuple[Entry, ...]:
    """The entries of these kinds, in order of time."""
    return tuple(entry for entry in call.entries if isinstance(entry.what, kinds))


def first(call: CallFacts, *kinds: type[What]) -> Entry | None:
    return next(iter(every(call, *kinds)), None)


def never(call: CallFacts, *kinds: type[What]) -> bool:
    """Whether it is sure that nothing of these kinds happened. Raises FactMissing where the source would not show it."""
    if every(call, *kinds):
        return False
    if not all(call.shows(str(kind.__struct_config__.tag)) for kind in kinds):
        raise FactMissing(CallFacts)
    return True


def log_end(facts: Facts) -> int | None:
    """When the last line of the logs was written; None for a timeline, and where no line has a time."""
    log = facts.get(LogFacts)
    return log.until_unix_ms if log is not None and facts[CallFacts].source == "logs" else None


OF_A_LEG = frozenset({"call.initiated", "call.answered", "call.hangup"})
"""Events that each leg of a call has. Those of another leg (of a transfer, a dial) tell nothing of the one that talks to
us."""


def webhooks(call: CallFacts, *events: str) -> tuple[Entry, ...]:
    """Webhooks of these events, of the leg that talks to us where each leg has them; without `events`, all of them."""
    return tuple(
        entry
        for entry in call.entries
        if isinstance(entry.what, WebhookReceived)
        and (not events or event_of(entry.what) in events)
        and not (events and event_of(entry.what) in OF_A_LEG and of_another_leg(call, entry))
    )


def of_another_leg(call: CallFacts, entry: Entry) -> bool:
    """Whether an event is about a leg that does not talk to us."""
    leg = call.state.leg
    named = payload(entry).get("call_leg_id") or entry.leg
    return leg is not None and named is not None and named != leg.leg_id


def webhook(call: CallFacts, *events: str) -> Entry | None:
    return next(iter(webhooks(call, *events)), None)


def event_of(what: WebhookReceived) -> str:
    """The event's name with dots: some servers write `call_initiated`."""
    name = what.event_type
    return name if "." in name else name.replace("_", ".")


def payload(entry: Entry | None) -> Json:
    """The payload of a webhook as it was stored; empty where there is none."""
    body = entry.what.body if entry is not None and isinstance(entry.what, WebhookReceived) else {}
    data = body.get("data")
    inner = data.get("payload") if isinstance(data, dict) else None
    return inner if isinstance(inner, dict) else {}


def delivered_to(call: CallFacts) -> tuple[str, ...]:
    """The URLs that Telnyx says it delivered this call's webhooks to, each once."""
    seen: dict[str, None] = {}
    for entry in webhooks(call):
        assert isinstance(entry.what, WebhookReceived)
        meta = entry.what.body.get("meta")
        url = meta.get("delivered_to") if isinstance(meta, dict) else None
        if isinstance(url, str) and url:
            seen[url] = None
    return tuple(seen)


def told(call: CallFacts, kind: str) -> Iterator[tuple[Entry, dict[str, Any]]]:
    """Entries of `kind` by name and what stands in them, also where this version has no class for it."""
    for entry in call.entries:
        what = entry.what
        if isinstance(what, Unknown):
            if what.stored.get("kind") == kind:
                yield entry, what.stored
        elif kind_of(what) == kind:
            yield entry, msgspec.to_builtins(what)


def symptom(call: CallFacts, *codes: str) -> Entry | None:
    """The first media symptom with one of these codes."""
    return next(
        (e for e in every(call, MediaSymptom) if isinstance(e.what, MediaSymptom) and e.what.code in codes), None
    )


def measure(entry: Entry, name: str) -> float:
    """A number of a symptom's evidence; 0 where it has none."""
    assert isinstance(entry.what, MediaSymptom)
    try:
        return float(entry.what.evidence.get(name, "0"))
    except ValueError:
        return 0.0


def d_code_of(hangup: Entry | None) -> str | None:
    """The D-code in a call.hangup's `telnyx_error`."""
    error = payload(hangup).get("telnyx_error")
    return d_code_in(str(error.get("error_code") or "")) if isinstance(error, dict) else None


# --- time ------------------------------------------------------------------------------------------------------------


def ended_unix_ms(call: CallFacts) -> int | None:
    """When the call that talks to us was hung up; None while it lives, as far as is known."""
    if call.state.ended_unix_ms is not None:
        return call.state.ended_unix_ms
    hangup = webhook(call, "call.hangup")
    leg = call.state.leg
    if hangup is None or (leg is not None and payload(hangup).get("call_leg_id") not in (None, leg.leg_id)):
        return None
    return hangup.at_unix_ms


def until_unix_ms(call: CallFacts) -> int:
    """Until when things could happen: the call's end, or when we looked."""
    ended = ended_unix_ms(call)
    return call.looked_at_unix_ms if ended is None else ended


def waited_ms(call: CallFacts, since: Entry | int) -> int:
    """How long the call went on after `since`."""
    return until_unix_ms(call) - (since if isinstance(since, int) else since.at_unix_ms)


def overdue(call: CallFacts, since: Entry | int, live_ms: int) -> bool:
    """Whether the next step should have come by now: after `live_ms` in a call that lives, and in one that is over
    unless it ended right after `since`."""
    if ended_unix_ms(call) is None:
        return waited_ms(call, since) >= live_ms
    return waited_ms(call, since) >= EARLY_END_MS


def clock(call: CallFacts, at_unix_ms: int) -> str:
    """Seconds since the call's first entry, as in "+1.234 s"."""
    begin = call.entries[0].at_unix_ms if call.entries else at_unix_ms
    return f"{(at_unix_ms - begin) / 1000:+.3f} s"


def show_entries(call: CallFacts, *entries: Entry | None) -> tuple[str, ...]:
    """Entries as lines of evidence, with their time in the call."""
    return tuple(f"{clock(call, entry.at_unix_ms)}  {describe(entry.what)}" for entry in entries if entry is not None)


# --- the request for the stream --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """Telnyx was asked for the stream. `url` and `body` are empty where the source does not show them; the token in them
    is masked. `answer` is Telnyx's to that command."""

    entry: Entry
    within: str
    url: str = ""
    body: Json | None = None
    answer: CommandAnswered | None = None
    answer_entry: Entry | None = None


def asked(call: CallFacts) -> Asked | None:
    """The latest request for the stream, whichever command carried it."""
    commands = [
        entry
        for entry in every(call, CommandSent)
        if isinstance(entry.what, CommandSent)
        and (entry.what.command == "streaming_start" or entry.what.body.get("stream_url"))
    ]
    starting, url = every(call, StreamStarting), every(call, StreamUrl)
    shown_url = url[-1].what.url if url and isinstance(url[-1].what, StreamUrl) else ""
    if commands:
        sent = commands[-1].what
        assert isinstance(sent, CommandSent)
        answered = _answer(call, sent.command, sent.command_id)
        answer = answered.what if answered is not None else None
        assert answer is None or isinstance(answer, CommandAnswered)
        begun = [e for e in starting if e.at_unix_ms <= commands[-1].at_unix_ms]
        entry = begun[-1] if begun else commands[-1]
        return Asked(entry, sent.command, str(sent.body.get("stream_url") or shown_url), sent.body, answer, answered)
    if starting or url:
        entry = (starting or url)[-1]
        within = entry.what.within if isinstance(entry.what, StreamStarting) else "streaming_start"
        answered = _answer(call, within, None)
        answer = answered.what if answered is not None else None
        assert answer is None or isinstance(answer, CommandAnswered)
        return Asked(entry, within, shown_url, None, answer, answered)
    return None


def _answer(call: CallFacts, command: str, command_id: str | None) -> Entry | None:
    fitting = [
        entry
        for entry in every(call, CommandAnswered)
        if isinstance(entry.what, CommandAnswered)
        and entry.what.command == command
        and (command_id is None or entry.what.command_id == command_id)
    ]
    return fitting[-1] if fitting else None


def accepted(call: CallFacts) -> Entry | None:
    """When Telnyx first took a request for the stream: our marker, or the 2xx itself."""
    marker = first(call, StreamAccepted)
    if marker is not None:
        return marker
    request = asked(call)
    if request is not None and request.answer is not None and request.answer.accepted:
        return request.answer_entry
    return None


def refusals(call: CallFacts, *commands: str) -> tuple[tuple[Entry, CommandAnswered], ...]:
    """Commands that Telnyx refused or never answered, in order of time; without `commands`, of every name."""
    return tuple(
        (entry, entry.what)
        for entry in every(call, CommandAnswered)
        if isinstance(entry.what, CommandAnswered)
        and not entry.what.accepted
        and (not commands or entry.what.command in commands)
    )


NEEDED = ("answer", "streaming_start", "dial")
"""Commands without which no audio flows."""


SPEAKING = frozenset(
    {"speak", "playback_start", "gather_using_speak", "gather_using_audio", "gather_using_ai", "ai_assistant_start"}
)
PASSING_ON = frozenset({"transfer", "bridge", "refer", "conference_join", "join"})


def telnyx_spoke(call: CallFacts) -> tuple[Entry, ...]:
    """Commands by which Telnyx itself spoke to the caller, and that were carried out."""
    return _carried_out(call, SPEAKING)


def passed_on(call: CallFacts) -> tuple[Entry, ...]:
    """Commands that gave the caller to somebody else, and that were carried out; or the webhook that says so."""
    return _carried_out(call, PASSING_ON) or webhooks(call, "call.bridged", "conference.participant.joined")


def _carried_out(call: CallFacts, commands: frozenset[str]) -> tuple[Entry, ...]:
    return tuple(
        entry
        for entry in every(call, CommandAnswered)
        if isinstance(entry.what, CommandAnswered) and entry.what.accepted and entry.what.command in commands
    )


def audio_by_other_means(call: CallFacts) -> bool:
    """The caller heard Telnyx, or somebody whom the call was passed on to: no audio of the handler's is missing."""
    return call.state.missing_stage() is Stage.FIRST_OUTBOUND and bool(telnyx_spoke(call) or passed_on(call))


def needed_refusal(call: CallFacts, fits: Callable[[CommandAnswered], bool]) -> tuple[Entry, CommandAnswered] | None:
    """The first command on the way to the stream that failed, if it failed so; later ones are its followers. None where
    the stream came all the same.

    A command that was accepted before is only repeated, for something else had failed by then: what Telnyx says to the
    repetition is no cause.
    """
    failed = tuple((entry, what) for entry, what in refusals(call, *NEEDED) if not _repeated(call, entry, what.command))
    if not failed or Stage.STREAM_STARTED in call.state.stages:
        return None
    return failed[0] if fits(failed[0][1]) else None


def _repeated(call: CallFacts, entry: Entry, command: str) -> bool:
    """Whether this command had been carried out before."""
    before = [one for one in call.entries if one.at_unix_ms <= entry.at_unix_ms and one is not entry]
    if command == "streaming_start" and any(isinstance(one.what, StreamAccepted) for one in before):
        return True
    return any(
        isinstance(one.what, CommandAnswered) and one.what.command == command and one.what.accepted for one in before
    )


def refused_by(what: CommandAnswered) -> str:
    """Telnyx's refusal in one phrase. A status of 0 (refused, and the log does not say how) is left out."""
    parts = [
        str(what.status or "") if what.status is not None else "no answer",
        what.error_code or "",
        what.error_detail or "",
    ]
    return " ".join(part for part in parts if part)


# --- the socket ------------------------------------------------------------------------------------------------------


def no_socket(call: CallFacts) -> Entry | None:
    """The entry of the accepted request whose socket never came, once that is sure; None where it came, or may come.

    Raises FactMissing where the source does not show sockets.
    """
    request = accepted(call)
    if request is None or every(call, SocketReceived, SocketRejected, StreamStarted, FirstInbound):
        return None
    never(call, SocketReceived)
    failed = webhook(call, "streaming.failed")
    return request if failed is not None or overdue(call, request, SOCKET_MS) else None


def refused_upgrade(call: CallFacts, refusals: RefusalFacts, reason: str) -> RejectedRequest | None:
    """The first upgrade that was refused with `reason` while the call was on, and named one of its ids in the path."""
    if not call.entries:
        return None
    leg = call.state.leg
    ids = {str(call.session), *((str(leg.leg_id), str(leg.call_control_id)) if leg is not None else ())}
    begin, end = call.entries[0].at_unix_ms, until_unix_ms(call) + EARLY_END_MS
    for row in refusals.latest:
        in_time = row.what == "upgrade" and row.reason == reason and begin <= row.at_unix_ms <= end
        if in_time and any(known and known in unquote(row.path or "") for known in ids):
            return row
    return None


def closings(call: CallFacts) -> tuple[tuple[Entry, SocketClosed], ...]:
    """How sockets of this call closed, in order."""
    return tuple((entry, entry.what) for entry in every(call, SocketClosed) if isinstance(entry.what, SocketClosed))


def packets(call: CallFacts, direction: Literal["inbound", "outbound"]) -> int | None:
    """Packets of 20 ms that Telnyx counted on the phone's side of the call; None where call.hangup did not say."""
    stats = payload(webhook(call, "call.hangup")).get("call_quality_stats")
    side = stats.get(direction) if isinstance(stats, dict) else None
    count = side.get("packet_count") if isinstance(side, dict) else None
    return int(count) if isinstance(count, str | int) and str(count).isdigit() else None


# --- URLs ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL leads, as far as can be read. `port` is the effective one."""

    scheme: str
    host: str
    port: int
    path: str


_PORTS = {"wss": 443, "https": 443, "ws": 80, "http": 80}


def place(url: str) -> Place | None:
    """None where it cannot be read as a URL with a host."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    scheme = parts.scheme.lower()
    return Place(scheme, parts.hostname.lower().rstrip("."), port or _PORTS.get(scheme, 443), parts.path or "/")


# --- what was refused before it was tied to a call -------------------------------------------------------------------

NEAR_MS = 120_000
"""A refused webhook this near to a call that lacks one may be its own: retries go on for about a minute."""


def turned_away_webhooks(facts: Facts, *reasons: str) -> tuple[RejectedRequest, ...]:
    """Webhooks refused for one of `reasons` that may have belonged to the call: near it in time, and only where the call
    was not answered for want of a webhook. Raises FactMissing without RefusalFacts."""
    rows = tuple(r for r in facts[RefusalFacts].latest if r.what == "webhook" and r.reason in reasons)
    call = facts[CallFacts]
    if not call.entries:
        return rows
    if Stage.CALL_ANSWERED in call.state.stages or Stage.STREAM_STARTED in call.state.stages:
        return ()
    rows = tuple(row for row in rows if row.reason != "unsigned")  # anybody's; Telnyx's own were signed well enough
    begin, end = call.entries[0].at_unix_ms - NEAR_MS, until_unix_ms(call) + NEAR_MS
    return tuple(row for row in rows if begin <= row.at_unix_ms <= end)


# --- the way, as it is now -------------------------------------------------------------------------------------------

CANDIDATES = (
    "firewall-ip-allowlist",
    "deploy-kills-streams",
    "dns-stale-record",
    "cloudflare-challenge-403",
    "waf-blocks-upgrade",
)
"""What can keep a carrier out while a probe gets through, now or from here."""


def url_asked(call: CallFacts) -> str:
    """The stream URL that Telnyx was given; "" where it is not known."""
    request = asked(call)
    return (request.url if request is not None else "") or call.state.stream_url or ""


def way_now(way: WayFacts | None) -> str:
    """What a probe after the call found, as the end of a sentence."""
    if way is None or not (way.word or way.through):
        return ""
    return ". The way is open now: a probe of that very URL reached this server. It was not open for Telnyx then"


def way_evidence(way: WayFacts | None) -> tuple[str, ...]:
    if way is None:
        return ()
    lines = [f"probed now: {way.url} was answered by a callpath server itself ({way.word})"] if way.word else []
    if way.through is not None:
        lines.append(f"probed now: a whole stream on test-connection {'works' if way.through else 'does not work'}")
    return tuple(lines)


def probed_evidence(call: CallFacts) -> tuple[str, ...]:
    """What the server's own probe found while the call was up."""
    return tuple(
        "the server's own probe during the call: "
        + ("it works from there" if probed.get("healthy") else str(probed.get("summary")))
        for _, probed in told(call, "stream.probed")
    )


def telnyx_evidence(facts: Facts) -> tuple[str, ...]:
    """Webhooks that Telnyx says it sent and that our timeline lacks."""
    told_by_telnyx = facts.get(TelnyxCallFacts)
    lines = []
    for row in told_by_telnyx.missed if told_by_telnyx is not None else ():
        event = (row.metadata or {}).get("event")
        said = event.get("payload") if isinstance(event, dict) else None
        reason = said.get("failure_reason") if isinstance(said, dict) else None
        lines.append(f"Telnyx sent and we do not have: {row.name}" + (f" ({reason})" if reason else ""))
    return tuple(lines)


def way_question(way: WayFacts | None, url: str) -> str:
    """What would decide why no socket came."""
    if way is None or not (way.word or way.through):
        return (
            f"Does the URL upgrade from outside? callpath doctor url {url or 'URL'}; and does the platform's edge log have "
            "a row for this path at that second? callpath doctor logs FILE"
        )
    return (
        "What kept Telnyx out then, and not this probe now? A restart or deployment at that second (see the platform's "
        "list), a firewall, WAF or allowlist that admits you and not the carrier (Telnyx lists its addresses under IP "
        "whitelisting), or an old DNS answer at the carrier. The platform's edge log decides: callpath doctor logs FILE."
    )


KNOCK_MS = 10_000
"""Telnyx tries at once. Who knocks later than this after a request may be somebody who tries the URL by hand."""


def in_time(call: CallFacts, entry: Entry) -> bool:
    """Whether an upgrade came so soon after a request for the stream that it must be Telnyx's."""
    times = [e.at_unix_ms for e in every(call, StreamStarting, StreamAccepted) if e.at_unix_ms <= entry.at_unix_ms]
    return bool(times) and entry.at_unix_ms - max(times) <= KNOCK_MS


def refused_sockets(call: CallFacts, reason: str) -> tuple[tuple[Entry, SocketRejected], ...]:
    """Upgrades that our server refused for `reason`; none where a stream began in the end."""
    if every(call, StreamStarted):
        return ()
    return tuple(
        (entry, entry.what)
        for entry in every(call, SocketRejected)
        if isinstance(entry.what, SocketRejected) and entry.what.reason == reason
    )


# --- symptoms --------------------------------------------------------------------------------------------------------


def symptom_seen(call: CallFacts, code: str) -> Entry | None:
    """The symptom, or None where there was none. Raises FactMissing where the source would not show it."""
    found = symptom(call, code)
    if found is None and not every(call, MediaSymptom):
        never(call, MediaSymptom)
    return found


def worst_lag(call: CallFacts) -> tuple[float, Entry] | None:
    """The longest time for which the event loop was held up during the call, and the entry that has it: one call of the
    process has a symptom of it, all have it in their counts."""
    told = [(measure(e, "lag_ms"), e) for e in every(call, MediaSymptom) if getattr(e.what, "code", "") == "SYM013"]
    counted = [
        (e.what.loop_lag_ms, e)
        for e in call.entries
        if isinstance(e.what, MediaCounted) and e.what.loop_lag_ms > LAG_MS_MAX
    ]
    return max(told + counted, key=lambda item: item[0], default=None)


def symptom_words(call: CallFacts, entry: Entry) -> tuple[str, tuple[str, ...]]:
    """Summary and evidence."""
    what = entry.what
    assert isinstance(what, MediaSymptom)
    numbers = ", ".join(f"{name} {value}" for name, value in what.evidence.items())
    return f"{what.meaning[:1].lower()}{what.meaning[1:]}" + (f" ({numbers})" if numbers else ""), show_entries(
        call, entry
    )


# --- how it ended ----------------------------------------------------------------------------------------------------


def we_hung_up(call: CallFacts) -> bool:
    """Whether a command of ours ended the call."""
    return any(isinstance(e.what, CommandSent) and e.what.command in {"hangup", "reject"} for e in call.entries)


STREAM_ENDERS = {"streaming_stop", "transfer", "bridge", "refer", "fork_start", "enqueue", "hangup", "reject"}
"""Commands after which a stream may rightly end before the call does."""

WITHOUT_STREAM_MS = 3_000


def stopped_early(call: CallFacts) -> Entry | None:
    """The stop frame after which the call went on without a stream, where no command of ours asked for that. Not from
    logs: their times may be of the line and not of the event, or made up from its place."""
    if call.source == "logs":
        return None
    stops = [e for e in every(call, StreamStopped) if isinstance(e.what, StreamStopped) and e.what.by_stop_frame]
    if not stops or waited_ms(call, stops[-1]) < WITHOUT_STREAM_MS:
        return None
    stop = stops[-1]
    ours = any(isinstance(e.what, CommandSent) and e.what.command in STREAM_ENDERS for e in call.entries)
    over = any(e.at_unix_ms <= stop.at_unix_ms for e in every(call, HandlerEnded, HandlerFailed))
    again = any(e.at_unix_ms > stop.at_unix_ms for e in every(call, StreamStarted))
    return None if ours or over or again else stop


def broken_off(call: CallFacts) -> tuple[Entry, SocketClosed] | None:
    """The first socket that closed without a stop frame on its stream while the line was up; None where all ended in
    order. Near the call's end a close without a stop frame is only untidy, unless something came of it."""
    ended = ended_unix_ms(call)
    felt = [entry.at_unix_ms for entry, _ in told(call, "stream.missing")]
    felt += [entry.at_unix_ms for entry in (*every(call, StreamStarted), *webhooks(call, "streaming.failed"))]
    streaming = stopped = False
    for entry in call.entries:
        what = entry.what
        if isinstance(what, StreamStarted):
            streaming, stopped = True, False
        elif isinstance(what, StreamStopped):
            stopped = stopped or what.by_stop_frame
        elif isinstance(what, SocketClosed):
            at_unix_ms = entry.at_unix_ms
            near_end = ended is not None and at_unix_ms >= ended - NEAR_END_MS and max(felt, default=0) < at_unix_ms
            ours = what.by == "us" and what.code == 1000
            if streaming and not (stopped or near_end or ours):
                return entry, what
            streaming = stopped = False
    return None


NEAR_END_MS = 1_500
"""In the capture of a real call stop, close and call.hangup came within 20 ms."""


# --- the stream URL against what we serve ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compared:
    """The URL that was sent for a call whose socket never came, part by part beside the one that we serve. `named` is the
    id in its path, None where the path is another one; `only_slashes`: it differs by slashes alone."""

    sent: Place
    served: Place
    lines: tuple[str, str]
    named: str | None
    only_slashes: bool


def compared(facts: Facts) -> Compared | None:
    """None where the socket came, or may come, or another host was named. Raises FactMissing without the settings."""
    call, serves = facts[CallFacts], facts[ServedFacts]
    if no_socket(call) is None:
        return None
    url = url_asked(call)
    sent, served = place(url), place(serves.audio_url)
    if sent is None or served is None:
        raise FactMissing(UrlFacts)
    if sent.host != served.host:
        return None  # another server: its paths are not ours to judge
    shape = re.escape(unquote(served.path)).replace(re.escape("{call_session_id}"), "(?P<id>[^/]+)") + "(/[^/]+)?"
    fits = re.fullmatch(shape, unquote(sent.path))
    slashes = fits is None and re.fullmatch(shape, re.sub("/+", "/", unquote(sent.path)).rstrip("/")) is not None
    lines = (f"asked for: {url}", f"served:    {serves.audio_url.replace('{call_session_id}', call.session)}")
    return Compared(sent, served, lines, fits.group("id") if fits else None, slashes)
