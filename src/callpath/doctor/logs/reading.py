"""Files of logs → what they show: formats, calls with their timelines, the process, requests. One pass over each file.

log = LogReader()
for name, chunks in files:
    log.read(name, chunks)
found = log.finish()
found.calls                   each with its timeline; `found.facts_of(call)` for the rules

Each line goes through unwrap and parse, lines are joined to blocks, and what a block says about a call is kept; at the
end attribute puts the lines together to calls, and timeline makes each call's entries. Memory is bounded, whatever the
size of the files.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from urllib.parse import unquote, urlsplit

from callpath.call.session import Stage
from callpath.doctor.edges import OWN_AGENT, TELNYX_AGENT, bare, from_telnyx
from callpath.doctor.facts import (
    CallFacts,
    EdgeFacts,
    EdgeRow,
    Facts,
    LogFacts,
    LogLine,
    RefusalFacts,
    ToldError,
    ToldFacts,
)
from callpath.doctor.logs import ours
from callpath.doctor.logs.attribute import Block, LoggedCall, Seen, group, ids_in
from callpath.doctor.logs.extract import BAD, CLOSES, EVENT_NAME, complaint_of, event_in, exchange_of, raised_of
from callpath.doctor.logs.lines import Line, Reading, read_lines
from callpath.doctor.logs.parse import parse
from callpath.doctor.logs.patterns import OTHER_FAILED, PATTERNS, STREAM_URL_KEY, plain_line, stream_url_in, topic_of
from callpath.doctor.logs.prefilter import Last, Prefilter, Unit, needs
from callpath.doctor.logs.record import Record
from callpath.doctor.logs.telling import told_of
from callpath.doctor.logs.timeline import build
from callpath.doctor.logs.times import Clockwork
from callpath.doctor.logs.unwrap import unwrap
from callpath.store.port import RejectedRequest
from callpath.timeline import kind_of

SEEN_MAX = 30_000
"""Lines about calls that are kept, the newest: some 1,500 calls. Older ones are counted and left out."""

SETTLED_MS = 120_000
"""A log whose last line is this old when it is read is not one that is being written."""

QUIET_MS = 10_000
ROWS_MAX = 20_000
SERVED_MAX = 5_000
PROCESS_MAX = 400
OWN_RUNS_MAX = 200
OWN_RUN_MS = 30_000
"""No examination takes longer."""

REFUSALS_MAX = 50
ERRORS_MAX = 20
BLOCK_LINES_MAX = 60
BLOCK_CHARS_MAX = 3_000
FAILURE_LINES_MAX = 40
FAILURE_MS = 1_000
"""How long after a failure the lines that explain it may come."""

ERROR_LINES_BEFORE = 3
SHAPES_MAX = 20_000
"""Shapes of lines that are known to repeat."""

HEAD_LINES = 20
"""The first lines of a file are read in whole: where the file begins, and what its forms are."""

PASSED_MAX = 200
"""How many lines that were passed over are looked through for the last one with a time."""

UNLIKE_MIN = 2_000
"""How many lines unlike any before are read in whole before the filter of words is made, which takes a quarter second."""

_DIGITS = b"0123456789"
_REQUEST_SIGNS = ("equest", "EQUEST", "race", "orrelation", "ransaction", "span")
_REQUEST_ID = re.compile(
    r"(?:request|trace|span|correlation|transaction)[_-]?id[\"']?\s*[:=]\s*[\"']?[a-f-]*", re.IGNORECASE
)
"""Ids that differ on every line and say nothing about a call, in a text without digits."""

_BY_DIGITS = re.compile(
    r"exit|137|http|status|code|telnyx|get |post |answer|stream|error|fail|reject|refus|port|listen|[rR]1[45]",
    re.IGNORECASE,
)
"""Words beside which a number decides what a line means."""

TEXT_CHARS_MAX = 400
NOISY = {"media.in", "media.out", "alive", "socket.closed", "webhook.refused", "complaint"}
NOISY_MAX = 6
"""How many lines of a kind that comes with every frame are kept in a row."""

_PROCESS = {
    "listening", "crash", "out of memory", "restart", "stopping", "dropped", "provider failed", "boot failed", "exited",
    "worker timeout",
}  # fmt: skip
_OF_A_CALL = {"crash", "provider failed", "boot failed"}
"""Topics about the process that are about a call, too, where they fall into one."""

_MAY_LINK = re.compile(r"v[23](?::|%(?:25)?3[aA])|call[_ -]?(?:session|leg)|stream[_ -]?id", re.IGNORECASE)
_FAILURES = {"stream.failed", "answer.failed", "handler.failed", "dial.failed", "command.failed"}
_EXPLAINS = {"command.failed", "raised", "complaint"}
_COMMANDS = {
    "answer.sent", "answer.accepted", "answer.failed", "stream.starting", "stream.accepted", "stream.failed",
    "dial.sent", "dial.accepted", "incoming", "hangup.sent", "hangup", "provider failed", "socket.refused", "crash",
    "socket.missing", "stream.stopped", "alive", "media.out", "boot failed",
}  # fmt: skip
"""Topics that an exchange with Telnyx's API in the same line knows better."""

_ERROR = re.compile(r"\bcode['\"]?\s*[:=]\s*['\"]?\d{5}\b|\berror\b.{0,40}\b4\d\d\b", re.IGNORECASE)
"""What Telnyx said, printed by a client before its caller says what failed."""

_STALE = re.compile(
    r"timestamp[^.]{0,40}(?:old|stale|outside|expired|out of|tolerance|future)|too old|clock", re.IGNORECASE
)
"""What verifiers say of a time that they do not believe."""

_CONTINUES = re.compile(r"^(?:\s{2,}|\t|[}\])]|at \S|Caused by|\.\.\. \d+ more)")
_DUMP = re.compile(r"^(?:\s|[}\])]|['\"]?[\w.$-]+['\"]?\s*[:=]\s|[\"'{\[])")
_EXCEPTION = re.compile(
    r"Traceback \(most recent|^(?:file://)?/[^\s:]+:\d+$|\bpanic: |goroutine \d+ \[|\*\* \([A-Z][\w.]+\)|"
    r"\b[Uu]n(?:caught|handled)\b|"
    r"PHP (?:Fatal|Parse) error|thread '[^']*' (?:\(\d+\) )?panicked|Exception in thread|Exception in (?:ASGI|worker)|"
    r"GenServer .{1,60} terminating|node:internal/|^(?:[\w.]+[.\\])?[A-Z]\w*(?:Error|Exception)(?: \[\w+\])?: |"
    r"^[\w./-]+\.rb:\d+:in "
)
"""The first line of an exception's print."""

_EXCEPTION_SIGNS = (
    "raceback", "panic", "goroutine", "** (", "ncaught", "nhandled", "PHP ", "thread '", "xception", "GenServer",
    "node:internal", "Error", ".rb:",
)  # fmt: skip
"""One of these stands in such a line, unless it is only a place in a file."""


_EXCEPTION_GOES_ON = re.compile(
    r"^(?:\s|\}|at \S|Caused by|During handling|The above exception|Traceback|goroutine \d|[\w./()*-]+\([^)]*\)$|exit "
    r"status \d|"
    r"Node\.js v|(?:[\w]+[.\\])*\w*(?:Error|Exception|Exit|Interrupt|Timeout|Closed\w*|NotFound|Refused)\b(?::|$| \[)|"
    r"throw |Require stack|- /|\[?\w+\]?: |State: |Last message|#\d+ |note: run with|stack backtrace|code: |"
    r"[a-z_]\w*(?:\.\w+)+: )"
)
_SERVED_ROW = re.compile(r'"GET (/[^\s"]*) HTTP/[\d.]+" 2\d\d ')
_JSON_STATUS = re.compile(r'"[\w.]*status(?:_?[Cc]ode)?": ?"?2\d\d\b')
_JSON_PATH = re.compile(r'"(?:url|uri|path|target|request_uri)": ?"(/[^"]*)"')
FORMS_MAX = 1_000
_STREAMISH = re.compile(r"media|stream|audio|/ws\b|socket|/calls?/|telnyx|rtp|voice", re.IGNORECASE)
_UNCLEAR = {
    "socket.received": {"socket.received", "stream.started", "media.in"},
    "stream.started": {"stream.started", "media.in"},
    "media.first_inbound": {"media.in", "alive"},
    "media.first_outbound": {"media.out"},
    "command.answered": {"stream.failed", "stream.accepted", "answer.failed", "answer.accepted"},
    "stream.accepted": {"stream.accepted"},
    "stream.starting": {"stream.starting", "stream.accepted"},
}
"""Kind → topics of lines which, where they may be another call's or this one's, leave open whether it happened."""

Progress = Callable[[int], None]


@dataclass(slots=True)
class FoundInLogs:
    """All that the files show."""

    readings: list[Reading]
    formats: Counter[str]
    skipped: Counter[str]
    lines: int
    from_ms: int | None
    until_ms: int | None
    skew_ms_max: int
    late: int
    undated: bool
    unzoned: bool
    ambiguous: bool
    timeless: bool
    calls: list[LoggedCall]
    homeless: list[Seen]
    process: list[LogLine]
    dropped: bool
    left_out: int
    rows: list[EdgeRow]
    row_count: int
    served: list[EdgeRow]
    own_traffic: int
    edge_platform: str
    edge_from_ms: int | None
    edge_until_ms: int | None
    refusals: list[RejectedRequest]
    refusal_count: int
    read_at_ms: int | None = None
    shown: frozenset[str] = frozenset()

    def facts_of(self, call: LoggedCall) -> Facts:
        """What the rules may know of this call."""
        facts = Facts(
            CallFacts(
                session=call.name,
                source="logs",
                entries=call.entries,
                state=call.state,
                shown=self.shown_for(call),
                looked_at_unix_ms=self.looked_at(call),
            ),
            self.log_facts(call),
            self.told(call),
        )
        edge = self.edge_of(call)
        if edge is not None:
            facts.add(edge)
        if self.refusal_count:
            facts.add(RefusalFacts(count=self.refusal_count, latest=tuple(self.refusals)))
        return facts

    def told(self, call: LoggedCall) -> ToldFacts:
        """What the program itself says of this call, and how its other calls went."""
        return told_of(call, self.calls, self.process, read_at_ms=self.read_at_ms, ends_ms=self.until_ms)

    def looked_at(self, call: LoggedCall) -> int:
        """Until when something about this call would stand in the logs: their end.

        A log that ends minutes before it is read, or has no times at all, ends because nothing more was said: a socket
        that was asked for would have come by then.
        """
        until = max(self.until_ms or 0, call.until_ms)
        asked = Stage.STREAM_ACCEPTED in call.state.stages and Stage.SOCKET_RECEIVED not in call.state.stages
        old = self.read_at_ms is not None and self.read_at_ms - until > SETTLED_MS
        return until + QUIET_MS if asked and (old or self.timeless) else until

    def log_facts(self, call: LoggedCall | None = None) -> LogFacts:
        """Formats, the process, and requests as the application's own server logged them."""
        return LogFacts(
            formats=tuple(name for name, _ in self.formats.most_common()),
            lines=self.lines,
            from_unix_ms=self.from_ms,
            until_unix_ms=self.until_ms,
            dropped=self.dropped,
            timeless=self.timeless,
            process=tuple(line for line in self.process if _of_its_process(line, call)),
            served=tuple(row for row in self.served if _near(row, call)),
            errors=tuple(
                ToldError(item.at_ms or 0, raised.words, raised.frames, raised.uncaught, item.where)
                for item in self.homeless
                if item.topic in {"raised", "crash", "boot failed"}
                and (raised := raised_of(item.block.text or item.text))
            )[-ERRORS_MAX:],
        )

    def shown_for(self, call: LoggedCall) -> frozenset[str]:
        """Kinds whose absence from this call's lines means something.

        Those that were written for any call of these files. A log that tells each step up to the stream, and then
        nothing more of any kind, would have told the socket, too; not where people were heard to speak on it, nor where
        lines without an id may be about this call.
        """
        if call.ours:
            return ours.SHOWN
        shown = set(self.shown)
        told = {kind_of(entry.what) for entry in call.entries if entry.number not in call.implied}
        if {"stream.starting", "stream.accepted"} & told and len(told) >= 3:
            shown.add("socket.received")
        if any(item.topic == "socket.missing" or item.event == "streaming.failed" for item in call.seen):
            shown.add("socket.received")
        if "handler.failed" in told or any(item.topic == "reply" for item in call.seen):
            shown.add("stream.starting")
        if call.alive:
            shown -= {
                "socket.received",
                "socket.refused",
                "stream.started",
                "media.first_inbound",
                "media.first_outbound",
            }
        for kind, topics in _UNCLEAR.items():
            if call.ambiguous & topics:
                shown.discard(kind)
        return frozenset(shown)

    def edge_of(self, call: LoggedCall) -> EdgeFacts | None:
        """The edge's rows that belong to this call: its upgrades, and webhooks at its time."""
        if self.edge_from_ms is None or self.edge_until_ms is None:
            return None
        path = _path_of(call.state.stream_url or "")
        names = {name for sort in ("session", "control", "leg") for name in call.ids.get(sort, ())}
        hooks = webhook_paths([*self.rows, *self.served])
        kept = []
        for row in self.rows:
            own = unquote(row.path)
            near = call.from_ms - 10_000 <= row.at_unix_ms <= call.until_ms + 15_000
            lasting = (
                row.status == 101
                and call.from_ms - 10_000 <= row.at_unix_ms - (row.duration_ms or 0) <= call.until_ms + 15_000
            )
            hook = row.method in {"POST", "GET"} and bare(row.path) in hooks
            if any(name in own for name in names) or (
                (near or lasting) and ((path and _same_path(row.path, path)) or row.upgrade or hook or from_telnyx(row))
            ):
                kept.append(row)
        return EdgeFacts(
            platform=self.edge_platform,
            rows=tuple(kept[-500:]),
            from_unix_ms=self.edge_from_ms,
            until_unix_ms=self.edge_until_ms,
        )


def webhook_paths(rows: Iterable[EdgeRow]) -> set[str]:
    """Paths under which Telnyx's webhooks came: by its agent or its addresses."""
    return {bare(row.path) for row in rows if row.method == "POST" and from_telnyx(row)}


def _of_its_process(line: LogLine, call: LoggedCall | None) -> bool:
    """Whether a line about a process may be about the one that served this call: not where it is of another instance of
    the same kind, or of another container that ended."""
    if call is None or not line.source:
        return True
    sources = call.sources
    if not sources or line.source in sources:
        return True
    if line.topic == "exited" and _EXITED.match(line.text) is not None:
        return False
    return _family(line.source) not in {_family(source) for source in sources}


_EXITED = re.compile(r"(?P<name>[\w.-]{1,80}) exited with code")
"""docker compose names the container that ended."""

_INSTANCE = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22,27}|(?<=-)[a-z0-9]{5,10}-[bcdfghjklmnpqrstvwxz2456789]{5}$|\b[0-9a-f]{6,40}\b|\d+"
)


def _family(source: str) -> str:
    """What instances of one service have in common: `web` of `web.1`, the deployment of a pod, nothing of a machine's id.
    A platform's own lines carry another name than the application's."""
    return _INSTANCE.sub("#", source)


def _near(row: EdgeRow, call: LoggedCall | None) -> bool:
    return call is None or call.from_ms - 15_000 <= row.at_unix_ms <= call.until_ms + 15_000


def _path_of(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _same_path(row: str, path: str) -> bool:
    return bare(row) == unquote(path).rstrip("/")


@dataclass(slots=True)
class _Open:
    """The block that a source is printing. `exception`: its lines are an exception's print, until `done`."""

    block: Block
    depth: int = 0
    lines: int = 0
    seen: list[Seen] = field(default_factory=list)
    exception: bool = False
    done: bool = False


@dataclass(slots=True)
class _Failing:
    """A failure whose reason may be printed in the lines below it."""

    block: Block
    at_ms: int | None
    left: int = FAILURE_LINES_MAX


@dataclass(slots=True)
class _Shape:
    """What a line came to that many others repeat, but for numbers. `musts` are the texts that such a line must contain;
    `item` counts lines that come with every frame, `last` is the latest of them; `row`: an edge's ordinary row; `page`: an
    ordinary row, whoever wrote it."""

    source: tuple[str, str]
    format: str
    musts: tuple[str, ...] = ()
    item: Seen | None = None
    last: str = ""
    row: bool = False
    page: bool = False
    ids: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class _Class:
    """What a line is taken for by its words alone."""

    topic: str = ""
    event: str = ""
    exception: bool = False
    complains: bool = False


class LogReader:
    """Reads files one after the other. `on_progress` gets the bytes read so far, now and then; `read_at_ms` is now."""

    def __init__(
        self,
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
        on_progress: Progress | None = None,
        read_at_ms: int | None = None,
    ) -> None:
        self._read_at_ms = read_at_ms
        self._since_ms, self._until_ms = since_ms, until_ms
        self._on_progress = on_progress
        self._readings: list[Reading] = []
        self._formats: Counter[str] = Counter()
        self._skipped: Counter[str] = Counter()
        self._seen: deque[Seen] = deque(maxlen=SEEN_MAX)
        self._all_seen = 0
        self._process: deque[LogLine] = deque(maxlen=PROCESS_MAX)
        self._dropped = False
        self._rows: deque[EdgeRow] = deque(maxlen=ROWS_MAX)
        self._row_count = 0
        self._served: deque[EdgeRow] = deque(maxlen=SERVED_MAX)
        self._own_traffic = 0
        self._own_runs: deque[tuple[str, int]] = deque(maxlen=OWN_RUNS_MAX)
        self._edge_platform = ""
        self._edge_from: int | None = None
        self._edge_until: int | None = None
        self._from: int | None = None
        self._until: int | None = None
        self._clocks: dict[tuple[str, str], Clockwork] = {}
        self._open: dict[tuple[str, str], _Open] = {}
        self._noise: Counter[tuple[str, object]] = Counter()
        self._last_noise: dict[tuple[str, object], Seen] = {}
        self._refusals: deque[RejectedRequest] = deque(maxlen=REFUSALS_MAX)
        self._refusal_count = 0
        self._timed = False
        self._last_at: dict[str, int] = {}
        self._partial: dict[tuple[str, str], str] = {}
        self._failing: dict[tuple[str, str], _Failing] = {}
        self._error: dict[tuple[str, str], tuple[int, str]] = {}
        self._order = 0
        self._bytes = 0
        self._repeating = since_ms is None and until_ms is None
        self._shapes: dict[str, _Shape] = {}
        self._unlike = 0
        self._rows_known: dict[tuple[str, int, int, str], _Shape] = {}
        self._format = "text"
        self._outcome: _Shape | None = None
        self._counts_a_row = False
        self._passed_row: Line | None = None
        self._passed: deque[Line] = deque(maxlen=PASSED_MAX)

    def read(self, name: str, chunks: Iterable[bytes]) -> Reading:
        """One whole file. Never raises for what is in it."""
        reading = Reading(name)
        self._readings.append(reading)
        told = 0
        for line in read_lines(chunks, name, reading):
            self._line(line)
            if self._on_progress is not None and reading.bytes - told > 1_000_000:
                told = reading.bytes
                self._on_progress(self._bytes + told)
        self._bytes += reading.bytes
        self._catch_up()
        self._catch_up_rows()
        self._forget_shapes()
        self._open.clear()
        self._failing.clear()
        return reading

    def finish(self) -> FoundInLogs:
        """Put the lines together to calls."""
        rows = [row for row in self._rows if not self._of_own_run(row)]
        self._own_traffic += len(self._rows) - len(rows)
        seen = sorted(self._seen, key=lambda item: item.order)
        calls, homeless = group(seen, probed=self._own_traffic > 0)
        for call in calls:
            build(call)
        calls.sort(key=lambda call: (call.from_ms, call.seen[0].order))
        clocks = self._clocks.values()
        found = FoundInLogs(
            readings=self._readings,
            formats=self._formats,
            skipped=self._skipped,
            lines=sum(reading.lines for reading in self._readings),
            from_ms=self._from,
            until_ms=self._until,
            skew_ms_max=max((clock.skew_ms_max for clock in clocks), default=0),
            late=sum(clock.late for clock in clocks),
            undated=any(clock.undated for clock in clocks),
            unzoned=any(clock.unzoned for clock in clocks),
            ambiguous=any(clock.ambiguous for clock in clocks),
            timeless=not self._timed,
            calls=calls,
            homeless=homeless,
            process=list(self._process),
            dropped=self._dropped,
            left_out=self._all_seen - len(self._seen),
            rows=sorted(rows, key=lambda row: row.at_unix_ms),
            row_count=self._row_count,
            served=list(self._served),
            own_traffic=self._own_traffic,
            edge_platform=self._edge_platform,
            edge_from_ms=self._edge_from,
            edge_until_ms=self._edge_until,
            refusals=list(self._refusals),
            refusal_count=self._refusal_count,
            read_at_ms=self._read_at_ms,
        )
        found.shown = frozenset(
            kind_of(entry.what) for call in calls for entry in call.entries if entry.number not in call.implied
        )
        return found

    # --- one line -----------------------------------------------------------------------------------------------------

    def _line(self, line: Line) -> None:
        if line.document is not None:
            self._whole_line(line)
            return
        text = line.text
        if not text or text.isspace():
            return
        if not self._repeating or self._failing or self._partial or line.number <= HEAD_LINES:
            self._whole_line(line)
            return
        if ('"GET ' in text or '"GET"' in text) and self._is_ordinary_row(text):
            self._pass_over(line)
            return
        key = text.encode("utf-8", "surrogatepass").translate(None, _DIGITS).decode("utf-8", "surrogatepass")
        shape = self._shapes.get(key)
        if shape is None:
            self._unlike += 1
            if self._unlike > UNLIKE_MIN and self._says_nothing(key, text):
                self._passed.append(line)
                return
            if any(sign in key for sign in _REQUEST_SIGNS):
                key = _REQUEST_ID.sub("", key)
                shape = self._shapes.get(key)
        if shape is not None and self._repeats(shape, text):
            self._pass_over(line)
            return
        self._outcome = None
        self._whole_line(line)
        outcome = self._outcome
        if outcome is not None and outcome.page:
            if len(self._rows_known) >= FORMS_MAX:
                self._rows_known.clear()
            self._rows_known[self._form_of(text)] = replace(outcome, musts=())
        if outcome is not None and all(must in text for must in outcome.musts):
            if len(self._shapes) >= SHAPES_MAX:
                self._forget_shapes()
            self._shapes[key] = outcome

    def _pass_over(self, line: Line) -> None:
        """The line was counted, and perhaps its time is wanted later."""
        if self._counts_a_row:
            self._passed_row = line
        else:
            self._passed.append(line)

    def _says_nothing(self, key: str, text: str) -> bool:
        """Whether no word of the line is one that any pass looks for; it is then counted, and not read. `key` is the text
        without its digits."""
        if _read_anyway(text) or _filter().may_matter(key.split(), text):
            return False
        first = key[:1]
        if first == "{" and (_BAD_LEVEL.search(text) is not None or _MAY_BE_A_ROW.search(text) is not None):
            return False
        if first == "<" or (text[-1].isdigit() and _PLACE.search(text) is not None):
            return False
        if self._open:
            if any(held.depth or (held.exception and not held.done) for held in self._open.values()):
                return False
            self._open.clear()
        self._formats[self._format] += 1
        return True

    def _repeats(self, shape: _Shape, text: str) -> bool:
        """Whether this line says no more than one of the same shape did: then it is counted, and not read again."""
        for must in shape.musts:
            if must not in text:
                return False
        held = self._open.get(shape.source)
        if held is not None:
            if held.depth or (held.exception and not held.done):
                return False
            del self._open[shape.source]
        if shape.ids:
            self._open[shape.source] = _Open(Block(ids=set(shape.ids)))  # what may be printed below it is this call's
        self._formats[shape.format] += 1
        self._counts_a_row = shape.row
        if shape.row:
            self._row_count += 1
        if shape.item is not None:
            shape.item.times += 1
            shape.last = text
        return True

    def _form_of(self, text: str) -> tuple[str, int, int, str]:
        """What rows of one logger have in common."""
        return (
            self._readings[-1].file,
            text.count('"'),
            text.count(",") if text[:1] == "{" else 0,
            text[:2].rstrip("0123456789"),
        )

    def _is_ordinary_row(self, text: str) -> bool:
        """Whether this is a page or a picture that was served, in the form of one before it: then it is counted."""
        if text[:1] == "{":
            found = _JSON_PATH.search(text) if '"GET"' in text and _JSON_STATUS.search(text) is not None else None
        else:
            found = _SERVED_ROW.search(text)
        if found is None or _STREAMISH.search(found[1]) is not None or "elnyx" in text or "ELNYX" in text:
            return False
        shape = self._rows_known.get(self._form_of(text))
        if shape is None or OWN_AGENT in text or not self._repeating or self._failing or self._partial:
            return False
        return self._repeats(shape, text)

    def _catch_up(self) -> None:
        """Read the last line that was passed over and has a time: it is that of what follows it."""
        passed = list(self._passed)
        self._passed.clear()
        for line in reversed(passed):
            timed = False
            for record in unwrap(line):
                parse(record)
                if record.edge is not None and not record.served:
                    continue
                if record.own is not None or record.platform is not None:
                    timed = True
                    at_ms = self._time_of(record)
                    if at_ms is not None:
                        self._span(at_ms)
            if timed:
                return

    def _catch_up_rows(self) -> None:
        """Read the last row of an edge that was only counted: until then its log reaches."""
        line, self._passed_row = self._passed_row, None
        if line is not None:
            for record in unwrap(line):
                parse(record)
                if record.edge is not None and not record.served:
                    self._edge_span(record.edge.at_unix_ms)

    def _forget_shapes(self) -> None:
        """Forget what was learned about repeated lines; their last times first."""
        for shape in self._shapes.values():
            if shape.item is not None and shape.last:
                for record in unwrap(Line(shape.item.file, 0, shape.last)):
                    shape.item.last_ms = self._time_of(parse(record)) or shape.item.last_ms
        self._shapes.clear()
        self._rows_known.clear()

    def _whole_line(self, line: Line) -> None:
        for record in unwrap(line):
            key = (record.file, record.source)
            begun = self._partial.pop(key, "")
            if record.continues and len(begun) < TEXT_CHARS_MAX * 100:
                self._partial[key] = begun + record.text  # the container runtime splits long lines
                continue
            record.text = begun + record.text
            self._record(parse(record))

    def _record(self, record: Record) -> None:
        self._formats[record.format] += 1
        self._format = record.format
        if record.skipped:
            self._skipped[record.skipped] += 1
            return
        if record.edge is not None and not record.served:
            self._edge(record.edge, record.edge_platform)
            if self._ordinary(record.edge) and not record.document:
                self._outcome = _Shape(
                    (record.file, record.source), record.format, (f'" {record.edge.status} ',), row=True, page=True
                )
            return
        if OWN_AGENT in record.text:
            self._own_traffic += 1
            return
        source = (record.file, record.source)
        at_ms = self._time_of(record)
        if at_ms is not None:
            if (self._since_ms is not None and at_ms < self._since_ms) or (
                self._until_ms is not None and at_ms > self._until_ms
            ):
                return
            self._span(at_ms)
        self._order += 1
        if record.edge is not None:
            if OWN_AGENT in record.edge.user_agent:
                self._own_traffic += 1
                return
            if self._ordinary(record.edge):
                self._outcome = _Shape(source, record.format, page=True)
                return
            self._served.append(replace(record.edge, at_unix_ms=at_ms or 0))
        if (record.ours is not None or " call=" in record.text) and self._our_line(record, at_ms):
            return
        self._their_line(record, at_ms, source)

    def _time_of(self, record: Record) -> int | None:
        """When the line was written; between lines with a time, that of the one before it."""
        source = (record.file, record.source)
        clock = self._clocks.get(source)
        if clock is None:
            clock = self._clocks[source] = Clockwork(read_at_ms=self._read_at_ms)
        at_ms = clock.at(record.own, record.platform)
        if at_ms is not None:
            self._last_at[record.file] = at_ms
            self._passed.clear()
            return at_ms
        if self._passed:
            self._catch_up()
        return self._last_at.get(record.file)

    def _span(self, at_ms: int) -> None:
        self._timed = True
        self._from = at_ms if self._from is None or at_ms < self._from else self._from
        self._until = at_ms if self._until is None or at_ms > self._until else self._until

    def _edge_span(self, at_ms: int) -> None:
        self._edge_from = at_ms if self._edge_from is None or at_ms < self._edge_from else self._edge_from
        self._edge_until = at_ms if self._edge_until is None or at_ms > self._edge_until else self._edge_until

    def _edge(self, row: EdgeRow, platform: str) -> None:
        if OWN_AGENT in row.user_agent or OWN_AGENT in row.path:
            self._own_traffic += 1
            self._own_runs.append((row.source_ip, row.at_unix_ms))
            return
        if (self._since_ms is not None and row.at_unix_ms < self._since_ms) or (
            self._until_ms is not None and row.at_unix_ms > self._until_ms
        ):
            return
        self._row_count += 1
        self._edge_platform = platform if self._edge_platform in {"", "proxy"} else self._edge_platform
        self._edge_span(row.at_unix_ms)
        if not self._ordinary(row):
            self._rows.append(row)

    def _of_own_run(self, row: EdgeRow) -> bool:
        """Whether this row, of a log that names no user agent, comes from where the doctor asked for its own path just
        then."""
        return not row.user_agent and any(
            row.source_ip == address and abs(row.at_unix_ms - at_ms) <= OWN_RUN_MS for address, at_ms in self._own_runs
        )

    def _ordinary(self, row: EdgeRow) -> bool:
        """A page or a picture that was served: no upgrade, no webhook, no refusal."""
        return not (
            row.upgrade
            or row.method == "POST"
            or row.status >= 300
            or row.status == 0
            or TELNYX_AGENT.search(row.user_agent)
            or _STREAMISH.search(row.path)
        )

    def _our_line(self, record: Record, at_ms: int | None) -> bool:
        """A line of callpath's own log. False: it only looked like one."""
        document = record.ours
        if document is not None:
            kind, session = str(document.get("event_name")), document.get("call_session_id")
            message = str(document.get("message", ""))
            if kind in ("webhook.rejected", "webhook.refused"):  # the second: versions before December 2026
                self._refuse(at_ms, "webhook", str(document.get("reason", "")), message)
                return True
            if kind == "server.starting":
                self._about_process("listening", record, at_ms)
                return True
            if not isinstance(session, str):
                return kind != "web_server"
            if session == "test-connection":
                self._own_traffic += 1  # the doctor's own call
                return True
            what = ours.what_of(message, kind)
            ids = {("session", session.lower())}
            if isinstance(leg := document.get("call_leg_id"), str):
                ids.add(("leg", leg.lower()))
        else:
            console = ours.CONSOLE.match(record.text)
            if console is None:
                return False
            message = re.sub(r"^\[?\w+\s*\]\s*", "", console["message"]).strip()
            what = ours.what_of(message)
            ids = {("session", console["call"])}
        if what is None:
            return document is not None
        self._see(
            Seen(
                order=self._order, file=record.file, number=record.number, at_ms=at_ms, topic="ours",
                text=message[:TEXT_CHARS_MAX], block=Block(ids=ids), what=what, deployment=record.deployment,
                source=record.source, process=record.process,
            )
        )  # fmt: skip
        return True

    def _their_line(self, record: Record, at_ms: int | None, source: tuple[str, str]) -> None:
        text = record.text
        held = self._open.get(source)
        if held is not None and not _goes_on(held, record):
            held = None
        kind = _classify(text, record.level)
        event = event_in(record.fields) if record.fields else ""
        ids = ids_in(text) if kind.topic or event or kind.complains or _may_link(text) else []
        if held is not None and ids and _another_call(held.block, ids):
            held = None
        if held is not None:
            held.lines += 1
            held.depth = max(0, held.depth + _opened(text))
            if held.exception:
                held.done = text[:1] not in " \t" and _EXCEPTION.match(text) is None and "Error" not in text[:1]
        else:
            held = self._open[source] = _Open(Block(), depth=max(0, _opened(text)), exception=kind.exception)
        block = held.block
        if kind.exception:
            held.exception, held.done = True, False
        block.ids.update(ids)
        interesting = kind.topic or event or kind.exception or kind.complains
        if len(block.text) < BLOCK_CHARS_MAX and (interesting or held.lines or held.depth or held.seen or block.ids):
            block.text += ("\n" if block.text else "") + text[: BLOCK_CHARS_MAX // 2]
        self._explain_failure(source, block, kind.topic, text, at_ms)
        url = stream_url_in(text) if "://" in text else ""
        if not kind.topic and "rror" in text and _ERROR.search(text):
            self._error[source] = (self._order, text[:BLOCK_CHARS_MAX])
        topic, exchange = kind.topic, None
        if event:
            topic = "webhook"
        elif topic in _COMMANDS or not topic:
            exchange = exchange_of(text) if _may_tell_of_telnyx(text) else None
            if exchange is not None:
                topic = _topic_of_command(exchange.command, accepted=exchange.accepted) or topic
        if not topic and kind.exception and not any(item.topic == "raised" for item in held.seen):
            topic = "raised"
        elif not topic and kind.complains and not held.exception and not held.lines:
            topic = "complaint"
        if not topic and url:
            topic = "stream.url"
        if held.lines and held.exception and exchange is None and topic not in _PROCESS:
            topic = ""  # a frame of a stack, whose names say what was to be done and not what happened
        if held.lines and topic in _EXPLAINS and any(item.topic in _FAILURES for item in held.seen):
            topic = ""  # the rest of a failure's print
        if not topic:
            if len(block.ids) > 1 and not held.seen:
                self._see(self._made("link", record, at_ms, block))
            elif not held.lines and not held.depth and len(block.ids) < 2 and not _BY_DIGITS.search(text):
                names = tuple(name for _, name in block.ids)
                self._outcome = _Shape(source, record.format, names, ids=frozenset(block.ids))
            return
        if topic in _PROCESS and not (topic == "stopping" and block.ids):
            self._about_process(topic, record, at_ms)
            if topic == "dropped":
                self._dropped = True
            if topic not in _OF_A_CALL:
                return
        if topic == "stopping":
            return  # a line of one call's own worker
        fresh = not held.lines and not held.depth
        if topic == "webhook.refused":
            self._refuse(at_ms, "webhook", "stale" if _STALE.search(text) else "bad_signature", text)
        item = self._made(topic, record, at_ms, block)
        item.event, item.exchange = event or kind.event, exchange
        item.stream_url = url[:1000] if topic != "reply" else ""
        held.seen.append(item)
        if topic in _FAILURES and source not in self._failing:
            self._failing[source] = _Failing(block, at_ms)
            at, said = self._error.pop(source, (0, ""))
            if said and self._order - at <= ERROR_LINES_BEFORE:
                block.text += "\n" + said
        kept = self._see(item)
        if kept is not None and fresh and block.ids and topic != "complaint":
            self._outcome = _Shape(source, record.format, tuple(name for _, name in block.ids), kept)

    def _made(self, topic: str, record: Record, at_ms: int | None, block: Block) -> Seen:
        return Seen(
            order=self._order, file=record.file, number=record.number, at_ms=at_ms, topic=topic,
            text=record.text[:TEXT_CHARS_MAX], block=block, deployment=record.deployment, source=record.source,
            process=record.process, level=record.level,
        )  # fmt: skip

    def _explain_failure(self, source: tuple[str, str], block: Block, topic: str, text: str, at_ms: int | None) -> None:
        """What is printed right below a failure tells why."""
        failing = self._failing.get(source)
        if failing is None:
            return
        late = at_ms is not None and failing.at_ms is not None and at_ms - failing.at_ms > FAILURE_MS
        other = block is not failing.block and block.ids and _another_call(failing.block, block.ids)
        if late or other or failing.left <= 0 or (topic and topic not in _FAILURES):
            del self._failing[source]
            return
        failing.left -= 1
        if failing.block is not block:
            failing.block.text = f"{failing.block.text}\n{text[:BLOCK_CHARS_MAX]}"[: 2 * BLOCK_CHARS_MAX]

    def _see(self, item: Seen) -> Seen | None:
        """Keep the line. Of a kind that comes with every frame only some are kept: returns the one that counts the rest."""
        if item.topic in NOISY:
            key = (item.topic, frozenset(item.block.ids) or item.file)
            self._noise[key] += 1
            if self._noise[key] > NOISY_MAX:
                kept = self._last_noise.get(key)
                if kept is not None:
                    kept.times += 1
                    kept.last_ms = item.at_ms
                return kept
            self._last_noise[key] = item
        elif not item.block.ids:
            for noise in [noise for noise in self._noise if noise[1] == item.file]:
                del self._noise[noise]
        if len(self._noise) > 10_000:
            self._forget_shapes()
            self._noise.clear()
            self._last_noise.clear()
        self._all_seen += 1
        self._seen.append(item)
        return None

    def _about_process(self, topic: str, record: Record, at_ms: int | None) -> None:
        source = record.source
        if not source and (named := _EXITED.match(record.text)) is not None:
            source = named["name"]
        self._process.append(LogLine(at_ms, topic, record.text[:TEXT_CHARS_MAX], record.number, source=source))

    def _refuse(self, at_ms: int | None, what: str, reason: str, detail: str) -> None:
        self._refusal_count += 1
        self._refusals.append(RejectedRequest(at_ms or 0, what, reason, detail[:500]))


_BAD_LEVEL = re.compile(r"level\"?: ?\"?[456]0\b")
"""pino's warn, error and fatal."""


_MAY_BE_A_ROW = re.compile(r"[Mm]ethod|[Rr]equest|http")
"""JSON in which access lines are looked for."""


def _read_anyway(text: str) -> bool:
    """Whether there is a sign beyond words: an id, a stream's URL, an access line, a line of our own log, an exception."""
    return (
        "v3" in text or "v2" in text or "V3" in text or "V2" in text
        or "ws://" in text or "wss://" in text or "WS://" in text or "WSS://" in text
        or "GET " in text or "POST" in text or "HTTP/" in text or "WebSocket " in text or "method=" in text
        or " call=" in text or "ERR]" in text or "** (" in text or "\t" in text
    )  # fmt: skip


_PLACE = re.compile(r"(?:^|\s)(?:file://)?/[^\s:]+:\d+$")
"""The place in a file with which some print of an exception begins."""

_LINKS = re.compile(r"call[_ -]?(?:session|leg)|stream[_ -]?id", re.IGNORECASE)
_BY_LEVEL = ("warn", "fatal", "crit", "severe", "alert", "emerg", "wrn", "ftl")


@cache
def _filter() -> Prefilter:
    """What any pass may find in a line, by its words."""
    units: list[tuple[Unit, Last | None]] = []
    for row in PATTERNS:
        needed = needs(row.expression, row.needs)
        if row.topic != "listening":
            units += ((unit, Last(_anywhere(row.expression), plain=True)) for unit in needed)
            continue
        units += ((unit, Last(_ADDRESS)) for unit in needed)
        units += (((*unit, frozenset({"port"})), Last(_PORT_NUMBER)) for unit in needed)
    units += ((unit, Last(OTHER_FAILED, plain=True)) for unit in needs(OTHER_FAILED))
    for unit in filter(None, needs(_EXCEPTION)):
        cheaper = _RAISES if "exception" in unit[0] else _RUBY_PLACE if "rb" in unit[0] else _anywhere(_EXCEPTION)
        units.append((unit, Last(cheaper)))
    units += ((unit, Last(BAD) if len(unit) > 1 else None) for unit in needs(BAD))
    for expression in (_LINKS, STREAM_URL_KEY, EVENT_NAME):
        units += ((unit, Last(expression)) for unit in needs(expression))
    units += ((unit, Last(CLOSES)) for unit in needs(CLOSES, ("because", "since", "due")))
    units += (((frozenset({word}),), None) for word in (*_BY_LEVEL, "telnyx", "callpath", "priority"))
    units.append(((frozenset({"code"}), frozenset({"errors", "title", "detail"})), None))
    units.append(((frozenset({"level", "lvl", "severity"}), frozenset({"err"})), None))
    return Prefilter(units, plain_line)


def _anywhere(expression: re.Pattern[str]) -> re.Pattern[str]:
    """The expression without anchors at the beginning: a line begins with what its platform and logger wrote."""
    return re.compile(re.sub(r"(?<![\[\\])\^", "", expression.pattern), expression.flags)


_ADDRESS = re.compile(r":(?:\d{4,5}\b|//)")
_PORT_NUMBER = re.compile(r"[pP][oO][rR][tT]\W{0,4}\d{2,5}")
"""Of a line that says where a server listens."""
_RAISES = re.compile(r"Exception(?: \[\w+\])?: |Exception in (?:thread|ASGI|worker)")
_RUBY_PLACE = re.compile(r"\.rb:\d+:in ")


# --- what a line is taken for ------------------------------------------------------------------------------------------

_CLASSES: dict[tuple[str, str], _Class] = {}
_CLASSES_MAX = 8192
_NORMAL = re.compile(r"v[23](?::|%3[aA])[\w\-+/=%]{8,}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{18,23}|\d{4,}")


def _classify(text: str, level: str) -> _Class:
    """Topic, event and the rest, by the words of a line: ids and long numbers have no part in it."""
    normal = _NORMAL.sub(_normal, text[:1500])
    key = (normal, level)
    found = _CLASSES.get(key)
    if found is None:
        if len(_CLASSES) >= _CLASSES_MAX:
            _CLASSES.clear()
        exception = (
            any(sign in text for sign in _EXCEPTION_SIGNS) or text.rstrip()[-1:].isdigit()
        ) and _EXCEPTION.search(text[:2000]) is not None
        topic = topic_of(text.partition("\n")[0] if exception else text)
        found = _CLASSES[key] = _Class(
            topic=topic.name if topic is not None else "",
            event=topic.event if topic is not None else "",
            exception=exception,
            complains=topic is None and complaint_of(text, level) is not None,
        )
    return found


def _may_link(text: str) -> bool:
    return any(sign in text for sign in _LINK_SIGNS) and _MAY_LINK.search(text) is not None


_LINK_SIGNS = ("v3", "v2", "V3", "call", "Call", "ession", "ESSION", "leg", "Leg", "LEG", "tream", "TREAM")


def _normal(found: re.Match[str]) -> str:
    text = found[0]
    if text.isdigit():
        return "0000" if len(text) == 4 else "00000"
    return "v3:id" if text.startswith("v") else "uuid"


_TELNYX_WORDS = ("elnyx", "/actions/", "errors", "ELNYX", "calls.", "/calls/", "streaming_start", "detail", "title")


def _may_tell_of_telnyx(text: str) -> bool:
    return any(word in text for word in _TELNYX_WORDS)


def _topic_of_command(command: str, *, accepted: bool) -> str:
    """The topic of an exchange with Telnyx's API."""
    if command in {"hangup", "reject"}:
        return "hangup.sent" if accepted else ""
    family = {"answer": "answer", "streaming_start": "stream", "dial": "dial", "": "command"}.get(command)
    if family is None:
        return "" if accepted else "note"
    return f"{family}.{'accepted' if accepted else 'failed'}" if family != "command" or not accepted else ""


def _another_call(block: Block, ids: Iterable[tuple[str, str]]) -> bool:
    """Whether these ids are of another call than the block's."""
    together = Block(ids={*block.ids, *ids})
    return together.names_several() and not block.names_several()


def _goes_on(held: _Open, record: Record) -> bool:
    """Whether this line belongs to what the source is printing."""
    text = record.text
    if held.lines >= BLOCK_LINES_MAX or record.fields or record.logger:
        return False
    inset = text[:1] in " \t}])"
    if record.own is not None and not inset:
        return False
    if held.exception and not held.done:
        return _EXCEPTION_GOES_ON.match(text) is not None or text.startswith("  ")
    if held.depth > 0:
        return _DUMP.match(text) is not None
    return _CONTINUES.match(text) is not None


def _opened(text: str) -> int:
    """How many brackets stay open behind this line."""
    if len(text) > 2000:
        return 0
    last = text.rstrip()[-1:]
    if last in {"{", "["}:
        return 1
    return (
        text.count("{") + text.count("[") - text.count("}") - text.count("]")
        if text.strip() in {"}", "},", "]", "],", "})", "});"}
        else 0
    )
