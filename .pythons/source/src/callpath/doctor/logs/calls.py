"""What was seen in lines → calls: which lines belong together, and each call's timeline as ordinary entries.

Ids are linked by the lines that hold several of them. A line without any id goes to the one call that was on at that
moment, and says so; where several were, it goes to none and the calls know that something may be theirs.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from callpath.call.session import CallSession, Stage, fold
from callpath.doctor.logs.patterns import field_of, stream_url_in
from callpath.timeline import (
    CommandAnswered,
    CommandSent,
    Entry,
    FirstInbound,
    FirstOutbound,
    HandlerFailed,
    Noted,
    SocketClosed,
    SocketReceived,
    SocketRefused,
    StreamAccepted,
    StreamStarted,
    StreamStarting,
    StreamStopped,
    StreamUrl,
    WebhookReceived,
    What,
    kind_of,
)
from callpath.wire.ids import CallControlId, LegId, SessionId, StreamId

SAME_MS = 2_500
"""The same thing said twice within this time is one thing: a line at the head of a handler, a dump of the same event."""

LULL_MS = 90_000
"""After so long without a word a call is taken for over when a line without an id is to be placed."""

STEP_MS = 1_200
"""From line to line about a call, where a file has no times."""

BEGIN_MS = 3_000
RING_MS = 60_000
"""A call's first line with an id comes at most so long after the line that announced it."""

AFTERMATH_MS = 5_000
"""Lines about a call come for some seconds after its end (closing of the socket, streaming.stopped)."""


# --- ids --------------------------------------------------------------------------------------------------------------

_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_CONTROL = re.compile(r"v[23](?::|%3[aA])([\w\-+/=%]{6,200})")
_KEYED_UUID = re.compile(
    rf"call[_ -]?(session|leg)[_ -]?id\W{{1,6}}({_UUID})|(stream)[_ -]?(?:id|sid)\W{{1,6}}({_UUID})", re.I
)
_ANY_UUID = re.compile(_UUID)
_NOT_A_CALL = re.compile(
    r"(?:request|event|command|connection|user|tenant|org|organization|agent|assistant|business|account|customer|trace|span|"
    r"deployment|replica|message|msg|item|project|service|environment|snapshot|instance|profile|number|voice|model|response|"
    r"conversation)[_ -]?(?:id)?\W{0,4}$|(?<![\w])id\W{1,4}$",
    re.I,
)
_NAMED = re.compile(
    r"\b(?:call[_ -]?(?:id|sid|uuid|ref|control[_ -]?id|session[_ -]?id|leg[_ -]?id)?|ccid|leg(?:[_ -]?id)?|"
    r"session(?:[_ -]?id)?)['\"]?\s*[:=#]\s*['\"]?(?P<id>[\w][\w.+/-]{3,80})",
    re.I,
)
_TAG = re.compile(r"\[(?:call[ :#-]?)?(?P<id>[0-9a-f]{6,12})\]")
_WORDS = re.compile(r"^[a-z_]+$|^\d{1,3}$|^(?:true|false|null|none|undefined)", re.I)


def ids_in(text: str) -> list[tuple[str, str]]:
    """The ids in a line as (sort, id): `control`, `session`, `leg`, `stream`, or `other` for what only looks like one."""
    found: list[tuple[str, str]] = []
    if "v3" in text or "v2" in text:
        for match in _CONTROL.finditer(text):
            identifier = unquote(match[0]).rstrip(".:,/")
            found.append(("control", identifier.split("/")[0] if "/actions" in identifier else identifier))
    keyed = set()
    if "-" in text:
        for match in _KEYED_UUID.finditer(text):
            sort, value = (match[1].lower(), match[2]) if match[1] else ("stream", match[4])
            keyed.add(value.lower())
            found.append((sort, value.lower()))
        for match in _ANY_UUID.finditer(text):
            value = match[0].lower()
            if value not in keyed and not _NOT_A_CALL.search(text, max(0, match.start() - 24), match.start()):
                found.append(("other", value))
    for match in _NAMED.finditer(text):
        value = match["id"].rstrip(".")
        if (
            not _WORDS.match(value)
            and not value.startswith(("v3", "v2", "http", "ws", "+"))
            and not _ANY_UUID.match(value)
        ):
            found.append(("other", value))
    found += [("other", match["id"]) for match in _TAG.finditer(text)]
    return found


class _Links:
    """Union-find over ids."""

    def __init__(self) -> None:
        self._over: dict[str, str] = {}

    def root(self, name: str) -> str:
        path = []
        while (over := self._over.setdefault(name, name)) != name:
            path.append(name)
            name = over
        for step in path:
            self._over[step] = name
        return name

    def join(self, names: Iterable[str]) -> None:
        roots = [self.root(name) for name in names]
        for other in roots[1:]:
            self._over[self.root(other)] = self.root(roots[0])

    def names(self) -> list[str]:
        return list(self._over)


# --- what was seen ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Block:
    """Lines that belong together: a head, and what was printed below it (an object, a stack trace)."""

    ids: set[tuple[str, str]] = field(default_factory=set)
    text: str = ""


@dataclass(slots=True)
class Seen:
    """One line that says something about a call. `what` is set where the line was ours."""

    order: int
    file: str
    number: int
    at_ms: int | None
    topic: str
    text: str
    block: Block
    event: str = ""
    what: What | None = None
    placed: bool = True
    """False: it had no id, and goes to the call that was on."""

    times: int = 1
    last_ms: int | None = None
    stream_url: str = ""
    deployment: str = ""

    @property
    def where(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass(slots=True)
class LoggedCall:
    """One call as the logs tell it. `near` counts lines that were placed by time alone; `ambiguous` holds topics of
    lines without an id that came while several calls were on, this one among them."""

    name: str
    ids: dict[str, list[str]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    entries: tuple[Entry, ...] = ()
    lines: dict[int, Seen] = field(default_factory=dict)
    """Entry number → the line it was read from."""

    implied: set[int] = field(default_factory=set)
    """Numbers of entries that no line says, but that others prove."""

    state: CallSession = field(default_factory=lambda: CallSession(SessionId("")))
    ours: bool = False
    near: int = 0
    ambiguous: set[str] = field(default_factory=set)
    alive: bool = False
    from_ms: int = 0
    until_ms: int = 0

    @property
    def kinds(self) -> set[str]:
        return {kind_of(entry.what) for entry in self.entries}


def group(seen: list[Seen]) -> tuple[list[LoggedCall], list[Seen]]:
    """The calls, in the order of their beginning, and the lines that could not be given to one."""
    _fill_times(seen)
    links, sorts = _link(seen)
    calls: dict[str, LoggedCall] = {}
    homeless: list[Seen] = []
    for item in seen:
        roots = {links.root(name) for _, name in item.block.ids if name in sorts}
        if not roots:
            homeless.append(item)
            continue
        root = min(roots)
        calls.setdefault(root, LoggedCall(root)).seen.append(item)
    for name, sort in sorts.items():
        root = links.root(name)
        if root in calls:
            calls[root].ids.setdefault(sort, []).append(name)
    found = [call for call in calls.values() if _is_call(call)]
    homeless += [item for call in calls.values() if call not in found for item in call.seen]
    _span(found)
    known = [call for call in found if _STRONG & set(call.ids)]
    if known:
        # An id of the program's own, or of a stream: part of the call that was on, unless that is not clear.
        for call in [call for call in found if call not in known]:
            on = _on(known, call.seen[0])
            if len(on) == 1:
                on[0].seen += call.seen
                on[0].near += len(call.seen)
                for item in call.seen:
                    item.placed = False
                for sort, names in call.ids.items():
                    on[0].ids.setdefault(sort, []).extend(names)
                found.remove(call)
        _span(found)
    if found:
        _reach_back(found, homeless)
        homeless = _place(found, homeless)
    else:
        found = _anonymous(homeless)
        homeless = [] if found else homeless
    for call in found:
        call.seen.sort(key=lambda item: (item.at_ms or 0, item.order))
        _name(call)
        build(call)
    found.sort(key=lambda call: (call.from_ms, call.seen[0].order))
    return found, homeless


def _fill_times(seen: list[Seen]) -> None:
    """A line without a time gets that of the one before it in its file. Where no line of a file has one, they are put at
    even steps: order is all that is known, and the steps are long enough for "later" to mean something."""
    timed = {item.file for item in seen if item.at_ms is not None}
    last: dict[str, int] = {}
    for item in seen:
        if item.file not in timed:
            last[item.file] = item.at_ms = last.get(item.file, 0) + STEP_MS
        elif item.at_ms is None:
            item.at_ms = last.get(item.file)
        else:
            last[item.file] = item.at_ms
    last.clear()
    for item in reversed(seen):  # lines at the very head
        if item.at_ms is None:
            item.at_ms = last.get(item.file, 0)
        else:
            last[item.file] = item.at_ms


def _link(seen: list[Seen]) -> tuple[_Links, dict[str, str]]:
    """Which ids mean the same call. Ids that only look like one count where they go with a single call."""
    links = _Links()
    sorts: dict[str, str] = {}
    blocks = {id(item.block): item.block for item in seen}.values()
    controls = sorted({name for block in blocks for sort, name in block.ids if sort == "control"})
    for short, long in itertools.pairwise(controls):
        if long.startswith(short) and len(short) >= 12:  # a log that cuts ids
            links.join((short, long))
    sessions = {name for block in blocks for sort, name in block.ids if sort in {"session", "leg"}}
    loose: defaultdict[str, set[str]] = defaultdict(set)
    for block in blocks:
        strong = [name for sort, name in block.ids if sort in {"control", "session", "leg"}]
        sorts |= {name: sort for sort, name in block.ids if sort in {"control", "session", "leg", "stream"}}
        links.join(strong)
    prefixes = {name[:8]: name for name in sessions}
    for block in blocks:
        strong = [name for sort, name in block.ids if sort in {"control", "session", "leg"}]
        for sort, name in block.ids:
            if sort in {"control", "session", "leg"}:
                continue
            if name in sorts and sort == "other":
                loose[name].update(links.root(s) for s in strong)
                loose[name].add(links.root(name)) if sorts[name] != "stream" else None
            else:
                loose[name].update(links.root(s) for s in strong)
            if len(name) == 8 and name in prefixes:
                loose[name].add(links.root(prefixes[name]))
    for name, roots in loose.items():
        if len({links.root(root) for root in roots}) > 1:
            sorts.pop(name, None)  # goes with several calls: a user, a tenant, a server
        elif len(roots) == 1:
            links.join((next(iter(roots)), name))
            sorts.setdefault(name, "other")
        else:
            sorts.setdefault(name, "other")
    for block in blocks:  # ids that only go with each other
        names = [name for _, name in block.ids if name in sorts]
        if len(names) > 1 and all(sorts[name] in {"other", "stream"} for name in names):
            links.join(names)
    return links, sorts


_CALL_TOPICS = {
    "webhook", "incoming", "answer.sent", "answer.accepted", "answer.failed", "stream.starting", "stream.accepted",
    "stream.failed", "stream.url", "socket.received", "stream.started", "ours",
}  # fmt: skip


_STRONG = {"control", "session", "leg"}
"""Ids of Telnyx's: two of one sort are two calls, or two legs."""


def _is_call(call: LoggedCall) -> bool:
    """A call has a stage; an id with nothing but a hang-up or a frame may be anything."""
    named = _STRONG & set(call.ids)
    return any(item.topic in _CALL_TOPICS for item in call.seen) or bool(named and call.seen)


def _span(calls: list[LoggedCall]) -> None:
    for call in calls:
        times = [item.at_ms for item in call.seen if item.at_ms is not None]
        times += [item.last_ms for item in call.seen if item.last_ms is not None]
        call.from_ms, call.until_ms = min(times, default=0), max(times, default=0)


def _ended_ms(call: LoggedCall) -> int | None:
    ends = [
        item.at_ms
        for item in call.seen
        if item.at_ms is not None and (item.topic == "hangup" or item.event == "call.hangup")
    ]
    return min(ends, default=None)


def _place(calls: list[LoggedCall], homeless: list[Seen]) -> list[Seen]:
    """Give each line without an id to the call that was on, if there was exactly one."""
    left: list[Seen] = []
    for item in homeless:
        on = _on(calls, item)
        if len(on) == 1:
            item.placed = False
            on[0].near += 1
            on[0].seen.append(item)
            on[0].until_ms = max(on[0].until_ms, item.at_ms or 0)
        else:
            for call in on:
                call.ambiguous.add(item.topic)
            left.append(item)
    return left


def _reach_back(calls: list[LoggedCall], homeless: list[Seen]) -> None:
    """Where a log names ids late, let a call begin with the line that announced it."""
    begins = [item for item in homeless if item.topic == "incoming" or item.event == "call.initiated"]
    before = -1
    for call in sorted(calls, key=lambda call: call.from_ms):
        if not any(item.topic == "incoming" or item.event == "call.initiated" for item in call.seen):
            fitting = [item.at_ms or 0 for item in begins if before < (item.at_ms or 0) <= call.from_ms]
            if fitting and call.from_ms - fitting[-1] <= RING_MS:
                call.from_ms = fitting[-1]
        before = max(before, _ended_ms(call) or call.until_ms)


def _on(calls: list[LoggedCall], item: Seen) -> list[LoggedCall]:
    """The calls that were on when this line was written. A line that begins a call may come a little before its id."""
    at = item.at_ms or 0
    early = BEGIN_MS if item.topic == "incoming" or item.event == "call.initiated" else 50
    on = []
    for call in calls:
        ended = _ended_ms(call)
        end = ended + AFTERMATH_MS if ended is not None else call.until_ms + LULL_MS
        if call.from_ms - early <= at <= end:
            on.append((call, ended if ended is not None else end))
    if len(on) > 1:
        # The aftermath of one call is no reason to doubt which one is on.
        on = [one for one in on if one[1] >= at] or on
    return [call for call, _ in on]


def _anonymous(homeless: list[Seen]) -> list[LoggedCall]:
    """No line has an id: a call begins where one is announced, or where a stream is started after one has ended."""
    calls: list[LoggedCall] = []
    ended = False
    begun: Seen | None = None
    for item in homeless:
        begins = item.topic == "incoming" or item.event == "call.initiated"
        same = begun is not None and (item.at_ms or 0) - (begun.at_ms or 0) <= SAME_MS and not ended and begins
        goes_on = item.topic in {"answer.sent", "stream.starting", "webhook"} and item.event not in _LATE
        knocks = item.topic == "socket.refused" and _CALLISH.search(item.text) is not None
        if (begins and not same) or (not calls and (item.topic in _CALL_TOPICS or knocks)) or (ended and goes_on):
            calls.append(LoggedCall(f"call {len(calls) + 1}"))
            ended = False
            begun = item
        if calls:
            item.placed = False
            calls[-1].seen.append(item)
            ended = ended or item.topic == "hangup" or item.event == "call.hangup"
    calls = [call for call in calls if _is_call(call) or any(item.topic == "socket.refused" for item in call.seen)]
    for call in calls:
        call.near = len(call.seen)
    _span(calls)
    return calls


_CALLISH = re.compile(r"media|stream|audio|/ws\b|/calls?/|telnyx|rtp|voice", re.IGNORECASE)
"""A path that a carrier may have been sent to."""

_LATE = {
    "call.hangup", "call.cost", "call.speak.ended", "call.playback.ended", "call.recording.saved", "streaming.stopped",
}  # fmt: skip
"""Events that come after a call's end."""


def _name(call: LoggedCall) -> None:
    for sort in ("session", "control", "leg", "other", "stream"):
        names = call.ids.get(sort)
        if names:
            call.name = max(names, key=len)
            return


# --- a call's timeline ----------------------------------------------------------------------------------------------------


def build(call: LoggedCall) -> None:
    """Fill `entries`, `lines` and `state` from what was seen."""
    entries: list[Entry] = []
    call.lines = {}
    session = SessionId(call.name)
    leg = LegId((call.ids.get("leg") or [f"leg of {call.name}"])[0])
    control = CallControlId(max(call.ids.get("control") or [f"id of {call.name}"], key=len))
    call.ours = any(item.what is not None for item in call.seen)
    maker = _Maker(call, session, leg, control)
    for item in call.seen:
        if item.topic == "alive":
            call.alive = True
        for what in maker.whats(item):
            number = len(entries) + 1
            entries.append(
                Entry(
                    session=session,
                    at_unix_ms=item.at_ms or 0,
                    what=what,
                    leg=leg,
                    call_control_id=control,
                    number=number,
                )
            )
            call.lines[number] = item
    call.entries = _numbered(call, _with_implied(call, entries, maker))
    call.state = fold(session, call.entries)
    if entries:
        call.from_ms = entries[0].at_unix_ms
        call.until_ms = max(call.until_ms, entries[-1].at_unix_ms)


_IMPLIED = 1_000_000
"""Numbers from here on are those of implied entries, while a timeline is being built."""


def _with_implied(call: LoggedCall, entries: list[Entry], maker: _Maker) -> list[Entry]:
    """Add what must have happened though no line says so: frames come over a socket, and a stream is accepted on a call
    that is answered. What is implied stands right before what implies it, and `implied` knows its number."""
    if call.ours:
        return entries
    made: dict[Stage, Callable[[], What]] = {
        Stage.STREAM_STARTED: maker.started,
        Stage.SOCKET_RECEIVED: lambda: SocketReceived(path=""),
        Stage.STREAM_ACCEPTED: lambda: StreamAccepted(status=200),
        Stage.STREAM_STARTING: lambda: StreamStarting(within="streaming_start"),
        Stage.CALL_ANSWERED: lambda: maker.webhook("call.answered", "", ""),
        Stage.WEBHOOK_RECEIVED: lambda: maker.webhook("call.initiated", "", ""),
    }
    frames: tuple[type[What], ...] = (StreamStarted, FirstInbound)
    proofs: dict[Stage, tuple[type[What], ...]] = {
        Stage.STREAM_STARTED: (FirstInbound,),
        Stage.SOCKET_RECEIVED: frames,
        Stage.STREAM_ACCEPTED: (SocketReceived, *frames),
        Stage.STREAM_STARTING: (StreamAccepted,),
        Stage.CALL_ANSWERED: (StreamAccepted, SocketReceived, *frames),
        Stage.WEBHOOK_RECEIVED: (StreamAccepted, SocketReceived, *frames),
    }
    events_by_name = any(item.topic == "webhook" for item in call.seen)
    for stage, kinds in proofs.items():
        reached = fold(SessionId(call.name), entries).stages
        if stage in reached:
            continue
        first = next((n for n, entry in enumerate(entries) if isinstance(entry.what, kinds) or (
            stage is Stage.STREAM_ACCEPTED and (_told_of_stream(entry.what) or _missed(call, entry, entries))
        )), None)  # fmt: skip
        if first is None and stage is Stage.CALL_ANSWERED and not events_by_name:
            first = next(
                (
                    n + 1
                    for n, entry in enumerate(entries)
                    if isinstance(entry.what, CommandAnswered)
                    and entry.what.command == "answer"
                    and entry.what.accepted
                ),
                None,
            )
            if first is not None and first == len(entries):
                number = _IMPLIED + stage
                entries.append(_copy(entries[-1], made[stage](), number))
                call.implied.add(number)
                continue
        if first is None:
            continue
        if stage is Stage.CALL_ANSWERED:  # before the stream was asked for: that it was accepted proves no later time
            asked = next((n for n, entry in enumerate(entries) if isinstance(entry.what, StreamStarting)), first)
            first = min(first, asked)
        if stage is Stage.WEBHOOK_RECEIVED:
            first = 0
        number = _IMPLIED + stage
        call.implied.add(number)
        entries.insert(first, _copy(entries[min(first, len(entries) - 1)], made[stage](), number))
    return entries


def _told_of_stream(what: What) -> bool:
    """Telnyx announces a stream, or its failure, only after it has accepted the request."""
    return isinstance(what, WebhookReceived) and what.event_type in {"streaming.started", "streaming.failed"}


def _missed(call: LoggedCall, entry: Entry, entries: list[Entry]) -> bool:
    """The program itself says that no socket came for the stream it had asked for: nobody awaits one that was refused."""
    line = call.lines.get(entry.number)
    if line is None or line.topic != "socket.missing":
        return False
    before = [one.what for one in entries if one.number < entry.number]
    refused = any(isinstance(what, CommandAnswered) and not what.accepted for what in before)
    return any(isinstance(what, StreamStarting) for what in before) and not refused


def _numbered(call: LoggedCall, entries: list[Entry]) -> tuple[Entry, ...]:
    """Entries with their place as number, so that those of one instant keep their order."""
    lines, implied = call.lines, call.implied
    call.lines, call.implied = {}, set()
    made = []
    for number, entry in enumerate(entries, 1):
        if entry.number in lines:
            call.lines[number] = lines[entry.number]
        if entry.number in implied:
            call.implied.add(number)
        made.append(_copy(entry, entry.what, number))
    return tuple(made)


def _copy(entry: Entry, what: What, number: int) -> Entry:
    return Entry(
        session=entry.session,
        at_unix_ms=entry.at_unix_ms,
        what=what,
        leg=entry.leg,
        call_control_id=entry.call_control_id,
        number=number,
    )


_NO_ANSWER = re.compile(
    r"econnrefused|enotfound|etimedout|eai_again|econnreset|fetch failed|connect(?:ion)? ?error|timed? ?out|unreachable|"
    r"name or service|socket hang up|network error|invalid character in header|err_invalid_char|invalid header",
    re.IGNORECASE,
)
"""Words of a command that never got an answer."""

_RAISED = re.compile(r"^\s*((?:\w+\.)*\w*(?:Error|Exception)\b.{0,200})$", re.MULTILINE)
_BARE_START = re.compile(r"\b(?:media |audio |telnyx )?stream started\b(?! success)", re.IGNORECASE)
_BODY = re.compile(r"\b(stream_\w+|send_silence_when_idle)['\"]?\s*:\s*['\"]?([^\s'\",}]+)")
"""Parameters of a command, in a body that was printed as JSON or as JavaScript prints an object."""


class _Maker:
    """Turns lines into entries, once for each thing that happened."""

    def __init__(self, call: LoggedCall, session: SessionId, leg: LegId, control: CallControlId) -> None:
        self._call = call
        self._session, self._leg, self._control = session, leg, control
        self._last: dict[tuple[str, str], int] = {}
        self._commands = 0
        self._open: dict[str, str] = {}
        self._stream = StreamId(next(iter(call.ids.get("stream") or []), "stream in the log"))
        self._url = ""

    def whats(self, item: Seen) -> list[What]:
        made = list(self._ours(item.what)) if item.what is not None else list(self._of_topic(item))
        url = item.stream_url
        if url and url != self._url and item.what is None:
            self._url = url
            place = next(
                (n for n, what in enumerate(made) if isinstance(what, StreamAccepted | CommandAnswered)), len(made)
            )
            made.insert(place, StreamUrl(url=url))
        return made

    def _again(self, item: Seen, key: str, detail: str = "", within_ms: int = SAME_MS) -> bool:
        """Whether this was said a moment ago already."""
        at = item.at_ms or 0
        last = self._last.get((key, detail))
        self._last[(key, detail)] = at
        return last is not None and at - last <= within_ms

    def _ours(self, what: What) -> Iterable[What]:
        match what:
            case WebhookReceived():
                yield self.webhook(what.event_type, "", "")
            case CommandSent():
                self._commands += 1
                self._open[what.command] = f"{what.command} {self._commands}"
                if what.command == "streaming_start":
                    return  # our log leaves its parameters out, and the marker says that it was sent
                yield CommandSent(
                    command=what.command, command_id=self._open[what.command], call_control_id=self._control
                )
            case CommandAnswered():
                yield CommandAnswered(
                    command=what.command,
                    command_id=self._open.get(what.command, f"{what.command} 0"),
                    status=what.status,
                    latency_ms=what.latency_ms,
                    error_code=what.error_code,
                    error_detail=what.error_detail,
                )
            case _:
                yield what

    def _of_topic(self, item: Seen) -> Iterable[What]:
        text = item.block.text or item.text
        match item.topic:
            case "webhook":
                event_id = field_of("event_id", text)
                if not self._again(item, "webhook", item.event):
                    yield self.webhook(item.event, text, event_id)
            case "incoming":
                if not self._again(item, "webhook", "call.initiated", 30_000):
                    yield self.webhook("call.initiated", text, "")
            case "hangup":
                if not self._again(item, "webhook", "call.hangup", 30_000):
                    yield self.webhook("call.hangup", text, "")
            case "answer.sent":
                if not self._again(item, "answer.sent"):
                    yield self._sent("answer")
            case "answer.accepted":
                if not self._again(item, "answer.accepted", within_ms=30_000):
                    yield from self._answered("answer", 200, text)
            case "answer.failed":
                if not self._again(item, "answer.failed"):
                    yield from self._answered("answer", None, text)
            case "stream.starting":
                if not self._again(item, "stream.starting"):
                    yield from self._asking(text)
            case "stream.accepted":
                if ("socket.received", "") in self._last and _BARE_START.search(item.text):
                    if not self._again(item, "stream.started", within_ms=10_000):
                        yield self.started()  # with the socket open these words mean the start frame
                elif not self._again(item, "stream.accepted"):
                    yield from self._answered("streaming_start", 200, text)
                    yield StreamAccepted(status=200)
            case "stream.failed":
                told = ("stream.accepted", "") in self._last and not re.search(r"\b[45]\d\d\b|\b9\d{4}\b", text)
                if told and not _NO_ANSWER.search(text):  # after it was accepted only the stream itself can fail
                    if not self._again(item, "webhook", "streaming.failed"):
                        yield self.webhook("streaming.failed", text, "")
                elif not self._again(item, "stream.failed"):
                    yield from self._answered("streaming_start", None, text)
            case "socket.received":
                if not self._again(item, "socket.received"):
                    yield SocketReceived(path=field_of("path", text))
            case "socket.refused":
                if not self._again(item, "socket.refused"):
                    status = int(field_of("status", item.text) or 0)
                    yield SocketRefused(
                        status=status or 403, reason="", detail=item.text[:200], path=field_of("path", item.text)
                    )
            case "stream.started":
                if not self._again(item, "stream.started", within_ms=10_000):
                    rate = field_of("sample_rate", text)
                    yield StreamStarted(
                        stream_id=self._stream,
                        encoding=field_of("encoding", text).upper() or "?",
                        sample_rate_hz=int(rate) if rate else 0,
                    )
            case "media.in" | "alive":
                if self._first("media.in"):
                    yield FirstInbound(stream_id=self._stream, payload_bytes=0)
            case "media.out":
                if self._first("media.out"):
                    yield FirstOutbound(stream_id=self._stream, payload_bytes=0)
            case "handler.failed":
                # An exception anywhere in the program looks like this: it is this call's where its socket had just come.
                if ("socket.received", "") in self._last and ("media.out", "") not in self._last:
                    errors = _RAISED.findall(text)
                    yield HandlerFailed(error=errors[-1] if errors else item.text[:200], traceback=text[:2000])
            case "stream.stopped":
                if not self._again(item, "stream.stopped"):
                    yield StreamStopped(stream_id=self._stream)
            case "socket.closed":
                if not self._again(item, "socket.closed"):
                    code = field_of("close_code", text)
                    yield SocketClosed(
                        code=int(code) if code else 1005, reason=field_of("close_reason", text), by="unknown"
                    )
            case "hangup.sent":
                if not self._again(item, "hangup.sent"):
                    yield self._sent("hangup")
            case "socket.missing" | "webhook.refused" | "crash" | "note":
                if not self._again(item, item.topic):
                    yield Noted(text=item.text[:200])

    def started(self) -> StreamStarted:
        return StreamStarted(stream_id=self._stream, encoding="?", sample_rate_hz=0)

    def _first(self, key: str) -> bool:
        first = (key, "") not in self._last
        self._last[(key, "")] = 0
        return first

    def _sent(self, command: str, body: dict[str, Any] | None = None) -> CommandSent:
        self._commands += 1
        self._open[command] = f"{command} {self._commands}"
        return CommandSent(
            command=command, command_id=self._open[command], call_control_id=self._control, body=body or {}
        )

    def _asking(self, text: str) -> Iterable[What]:
        """The marker; and the command itself where its whole body is told: a part would accuse what it leaves out."""
        yield StreamStarting(within="streaming_start")
        body = dict(_BODY.findall(text)) if "{" in text else {}
        if {"stream_url", "stream_track"} <= body.keys():
            yield self._sent("streaming_start", body)
        else:
            self._commands += 1
            self._open["streaming_start"] = f"streaming_start {self._commands}"

    def _answered(self, command: str, status: int | None, text: str) -> Iterable[What]:
        if command not in self._open:
            if command == "streaming_start":
                yield from self._asking(text)
            else:
                yield self._sent(command)
        code = detail = None
        if status is None:
            said = field_of("status", text)
            status = int(said) if said and int(said) >= 300 else None
            code = field_of("code", text) or None
            detail = field_of("detail", text) or field_of("title", text) or text.split("\n")[0][:200]
            if status is None and code is not None:
                status = 422
            elif status is None and not _NO_ANSWER.search(text):
                status = 0  # refused, and the log does not say how; None would mean that no answer came
        yield CommandAnswered(
            command=command, command_id=self._open.pop(command), status=status, error_code=code, error_detail=detail
        )

    def webhook(self, event: str, text: str, event_id: str) -> WebhookReceived:
        """An event as Telnyx would have sent it, with as much of it as the log has."""
        payload: dict[str, Any] = {
            "call_control_id": self._control,
            "call_leg_id": self._leg,
            "call_session_id": self._session,
        }
        if event == "call.initiated":
            direction = field_of("direction", text).lower()
            payload["direction"] = (
                "outgoing" if direction.startswith("out") or re.search(r"outbound|dial", text, re.I) else "incoming"
            )
        elif event == "call.hangup":
            payload |= {
                name: value for name in ("hangup_cause", "hangup_source") if (value := field_of(name, text).lower())
            }
        elif event == "streaming.failed":
            payload["failure_reason"] = field_of("failure_reason", text) or None
            payload["stream_id"] = self._stream
            if url := stream_url_in(text):
                payload["stream_params"] = {"stream_url": url}
        event_id = event_id or f"log {len(self._last)} {event}"
        return WebhookReceived(
            event_type=event,
            event_id=event_id,
            body={"data": {"event_type": event, "id": event_id, "record_type": "event", "payload": payload}},
        )
