"""Pass 3, attribute: which call, which leg, which process a line belongs to.

Ids are linked by the lines that hold several of them, but never across calls: a line that names two calls belongs to
neither and joins nothing. A line without any id goes to the one call that was on at that moment in its process, and says
so; where several were, it goes to none, and the calls know that something may be theirs.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote

from callpath.call.session import CallSession
from callpath.doctor.logs.extract import Exchange
from callpath.timeline import Entry, What, kind_of
from callpath.wire.ids import SessionId

SAME_MS = 2_500
"""The same thing said twice within this time is one thing: a line at the head of a handler, a dump of the same event."""

LULL_MS = 90_000
"""After this long without a line a call counts as over when a line without an id is placed."""

STEP_MS = 1_200
"""From line to line about a call, where a file has no times."""

BEGIN_MS = 3_000
RING_MS = 60_000
"""How long after the line that announced it the first line with a call's id may come."""

AFTERMATH_MS = 5_000
"""Lines about a call come for some seconds after its end (closing of the socket, streaming.stopped)."""

PREFIX_CHARS_MIN = 12
"""A cut id must be this long to stand for the whole one."""

# --- ids -------------------------------------------------------------------------------------------------------------

_UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_CONTROL = re.compile(r"v[23](?::|%(?:25)?3[aA])([\w\-+/=%]{6,200})")
_KEYED_UUID = re.compile(
    rf"call[_ -]?(session|leg)[_ -]?id\W{{1,6}}({_UUID})|(stream)[_ -]?(?:id|sid)\W{{1,6}}({_UUID})", re.I
)
_ANY_UUID = re.compile(_UUID)
_NOT_A_CALL = re.compile(
    r"(?:request|event|command|connection|user|tenant|org|organization|agent|assistant|business|account|customer|trace|span|"
    r"deployment|replica|message|msg|item|project|service|environment|snapshot|instance|profile|number|voice|model|response|"
    r"conversation|workspace|company|campaign|contact|lead|job|task|worker)[_ -]?(?:id)?\W{0,4}$|(?<![\w])id\W{1,4}$",
    re.I,
)
_NAMED = re.compile(
    r"\b(?:call[_ -]?(?:id|sid|uuid|ref|control[_ -]?id|session[_ -]?id|leg[_ -]?id)?|ccid|leg(?:[_ -]?id)?|"
    r"session(?:[_ -]?id)?)['\"]?\s*[:=#]\s*['\"]?(?P<id>[\w][\w.+/-]{3,80})",
    re.I,
)
_TAG = re.compile(r"\[(?:call[ :#-]?)?(?P<id>[0-9a-f]{6,12})\]")
_WORDS = re.compile(r"^[a-z_]+$|^\d{1,3}$|^(?:true|false|null|none|undefined)|^[a-z]+\.[a-z_.]+$", re.I)


def ids_in(text: str) -> list[tuple[str, str]]:
    """The ids in a text as (sort, id): `control`, `session`, `leg`, `stream`, or `other` for what only looks like one."""
    found: list[tuple[str, str]] = []
    if "v3" in text or "v2" in text:
        found += [("control", control_id(text, match)) for match in _CONTROL.finditer(text)]
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


def control_id(text: str, match: re.Match[str]) -> str:
    """A call_control_id as Telnyx writes it. Encoded in a URL (`%3A`, `%2F`, `%2B`) it is the same id as plain in JSON;
    a plain slash belongs to it unless it stands in a path, where it begins the next segment."""
    raw = match[0]
    in_path = text[max(0, match.start() - 1) : match.start()] == "/"
    if in_path:
        raw = raw.partition("/")[0]
    else:
        raw = re.split(r"/actions\b|/(?=v[23](?::|%3[aA]))", raw)[0]
    for _ in range(2):  # encoded twice where a URL stands within a URL
        if "%" not in raw:
            break
        raw = unquote(raw)
    return raw.rstrip(".:,/")


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


# --- what was seen ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Block:
    """Lines that belong together: a head, and what was printed below it (an object, a stack trace)."""

    ids: set[tuple[str, str]] = field(default_factory=set)
    text: str = ""

    def names_several(self) -> bool:
        """Whether it names more than one call: two ids of one of Telnyx's sorts, none of which is the other cut off."""
        return any(len(_apart(name for one, name in self.ids if one == sort)) > 1 for sort in STRONG)


def _apart(names: Iterable[str]) -> list[str]:
    """The names without those that are the beginning of another one."""
    ordered = sorted(set(names))
    return [
        name
        for name, after in itertools.zip_longest(ordered, ordered[1:], fillvalue="")
        if not (after.startswith(name) and len(name) >= PREFIX_CHARS_MIN)
    ]


@dataclass(slots=True)
class Seen:
    """One line that says something about a call. `what` is set where the line was callpath's own."""

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
    source: str = ""
    process: str = ""
    level: str = ""
    exchange: Exchange | None = None

    @property
    def where(self) -> str:
        return f"{self.file}:{self.number}"


@dataclass(slots=True)
class LoggedCall:
    """One call as the logs tell it. `near` counts lines that were placed by time alone; `ambiguous` holds topics of
    lines without an id that came while several calls were on, this one among them."""

    name: str
    ids: dict[str, list[str]] = field(default_factory=dict)
    legs: dict[str, str] = field(default_factory=dict)
    """call_control_id → call_leg_id, where a line names both."""

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

    @property
    def sources(self) -> set[str]:
        """The processes that wrote its lines."""
        return {item.source for item in self.seen if item.source and item.placed}


STRONG = ("control", "session", "leg")
"""Ids of Telnyx's: two of one sort are two calls, or two legs."""

_CALL_TOPICS = {
    "webhook", "incoming", "answer.sent", "answer.accepted", "answer.failed", "stream.starting", "stream.accepted",
    "stream.failed", "stream.url", "socket.received", "stream.started", "ours", "dial.sent", "dial.accepted",
}  # fmt: skip


def group(seen: list[Seen], *, probed: bool = False) -> tuple[list[LoggedCall], list[Seen]]:
    """The calls, in the order of their beginning, and the lines that could not be given to one. `probed`: the doctor has
    asked this server, and some of what it was answered may stand here without its name."""
    _fill_times(seen)
    links, sorts = _link(seen)
    calls: dict[str, LoggedCall] = {}
    homeless: list[Seen] = []
    several: list[Seen] = []
    for item in seen:
        roots = {links.root(name) for _, name in item.block.ids if name in sorts}
        if not roots:
            homeless.append(item)
        elif len(roots) > 1 and item.block.names_several():
            several.append(item)
        else:
            root = min(roots, key=lambda name: (sorts.get(name) not in STRONG, name))
            calls.setdefault(root, LoggedCall(root)).seen.append(item)
    for name, sort in sorts.items():
        root = links.root(name)
        if root in calls:
            calls[root].ids.setdefault(sort, []).append(name)
    found = [call for call in calls.values() if _is_call(call)]
    homeless += [item for call in calls.values() if call not in found for item in call.seen]
    homeless.sort(key=lambda item: item.order)
    _span(found)
    known = [call for call in found if set(STRONG) & set(call.ids)]
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
        found = _anonymous(homeless, probed=probed)
        homeless = [] if found else homeless
    found += _refused_dials(homeless)
    _span(found)
    for call in found:
        call.seen.sort(key=lambda item: (item.at_ms or 0, item.order))
        _name(call)
        _legs(call)
    found.sort(key=lambda call: (call.from_ms, call.seen[0].order))
    return found, [*homeless, *several]


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
    blocks = list({id(item.block): item.block for item in seen}.values())
    controls = sorted({name for block in blocks for sort, name in block.ids if sort == "control"})
    for short, long in itertools.pairwise(controls):
        if long.startswith(short) and len(short) >= PREFIX_CHARS_MIN:  # a log that cuts ids
            links.join((short, long))
    sessions = {name for block in blocks for sort, name in block.ids if sort in {"session", "leg"}}
    loose: defaultdict[str, set[str]] = defaultdict(set)
    for block in blocks:
        sorts |= {name: sort for sort, name in block.ids if sort in {*STRONG, "stream"}}
    single = [block for block in blocks if not block.names_several()]
    for block in single:
        links.join(name for sort, name in block.ids if sort in STRONG)
    prefixes = {name[:8]: name for name in sessions}
    for block in single:
        strong = [name for sort, name in block.ids if sort in STRONG]
        for sort, name in block.ids:
            if sort in STRONG:
                continue
            loose[name].update(links.root(s) for s in strong)
            if name in sorts and sort == "other" and sorts[name] != "stream":
                loose[name].add(links.root(name))
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
    for block in single:  # ids that only go with each other
        names = [name for _, name in block.ids if name in sorts]
        if len(names) > 1 and all(sorts[name] in {"other", "stream"} for name in names):
            links.join(names)
    return links, sorts


def _is_call(call: LoggedCall) -> bool:
    """A call has a stage; an id with nothing but a hang-up or a frame may be anything."""
    named = set(STRONG) & set(call.ids)
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
    """Give each line without an id to the call that was on, if there was exactly one in its process."""
    left: list[Seen] = []
    for item in homeless:
        on = _on(calls, item)
        if len(on) > 1 and item.source:
            here = [call for call in on if item.source in call.sources]
            elsewhere = all(call.sources for call in on)
            on = here if len(here) == 1 and elsewhere else on
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
    begins = [item for item in homeless if item.topic in _ANNOUNCES or item.event == "call.initiated"]
    before = -1
    for call in sorted(calls, key=lambda call: call.from_ms):
        if not any(item.topic in _ANNOUNCES or item.event == "call.initiated" for item in call.seen):
            fitting = [item.at_ms or 0 for item in begins if before < (item.at_ms or 0) <= call.from_ms]
            if fitting and call.from_ms - fitting[-1] <= RING_MS:
                call.from_ms = fitting[-1]
        before = max(before, _ended_ms(call) or call.until_ms)


_ANNOUNCES = {"incoming", "dial.sent"}


def _on(calls: list[LoggedCall], item: Seen) -> list[LoggedCall]:
    """The calls that were on when this line was written. A line that begins a call may come a little before its id."""
    at = item.at_ms or 0
    early = BEGIN_MS if item.topic in _ANNOUNCES or item.event == "call.initiated" else 50
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


def _anonymous(homeless: list[Seen], *, probed: bool) -> list[LoggedCall]:
    """No line has an id: a call begins where one is announced, or where a stream is started after one has ended. A refused
    upgrade is one, too, unless the doctor itself has `probed` this server: not every log says who asked."""
    calls: list[LoggedCall] = []
    ended = False
    begun: Seen | None = None
    for item in homeless:
        begins = item.topic in _ANNOUNCES or item.event == "call.initiated"
        same = begun is not None and (item.at_ms or 0) - (begun.at_ms or 0) <= SAME_MS and not ended and begins
        goes_on = item.topic in {"answer.sent", "stream.starting", "webhook"} and item.event not in _LATE
        knocks = not probed and item.topic == "socket.refused" and _knocks(item.text)
        if (begins and not same) or (not calls and (item.topic in _CALL_TOPICS or knocks)) or (ended and goes_on):
            calls.append(LoggedCall(f"call {len(calls) + 1}"))
            ended = False
            begun = item
        if calls:
            item.placed = False
            calls[-1].seen.append(item)
            ended = ended or item.topic == "hangup" or item.event == "call.hangup"
    calls = [call for call in calls if _is_call(call) or any(_knocks(item.text) for item in call.seen)]
    for call in calls:
        call.near = len(call.seen)
    _span(calls)
    return calls


def _refused_dials(homeless: list[Seen]) -> list[LoggedCall]:
    """Dials that Telnyx refused: no leg, no id, mostly no webhook. Each refusal is a call of its own, with the line that
    announced it."""
    calls: list[LoggedCall] = []
    for item in [item for item in homeless if item.topic == "dial.failed"]:
        announced = [
            one
            for one in homeless
            if one.topic in {*_ANNOUNCES, "complaint", "raised"}
            and 0 <= (item.at_ms or 0) - (one.at_ms or 0) <= BEGIN_MS
            and one is not item
        ]
        calls.append(LoggedCall(f"refused dial {len(calls) + 1}", seen=[*announced[-1:], item]))
        for one in calls[-1].seen:
            one.placed = False
            homeless.remove(one)
    return calls


def _knocks(text: str) -> bool:
    """Whether a refusal was one of an upgrade to a path that a carrier may have been sent to. A GET is any page's."""
    return _CALLISH.search(text) is not None and (_GET.search(text) is None or _UPGRADE.search(text) is not None)


_GET = re.compile(r"\bGET /", re.IGNORECASE)
_UPGRADE = re.compile(r"web-?socket|upgrade|handshake", re.IGNORECASE)
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


def _legs(call: LoggedCall) -> None:
    """Which control id is which leg: a bridged call has two."""
    for item in call.seen:
        controls = [name for sort, name in item.block.ids if sort == "control"]
        legs = [name for sort, name in item.block.ids if sort == "leg"]
        if len(controls) == 1 and len(legs) == 1:
            call.legs.setdefault(controls[0], legs[0])
