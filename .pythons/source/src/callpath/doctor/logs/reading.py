"""Files of logs → what they show: formats, calls with their timelines, the process, the edge's rows. One pass, bounded.

log = LogReader()
for name, chunks in files:
    log.read(name, chunks)
found = log.finish()
found.calls                   each with its timeline; `found.facts_of(call)` for the rules
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from callpath.call.session import Stage
from callpath.doctor.facts import CallFacts, EdgeFacts, EdgeRow, Facts, LogFacts, LogLine, RefusalFacts
from callpath.doctor.logs import ours
from callpath.doctor.logs.calls import Block, LoggedCall, Seen, group, ids_in
from callpath.doctor.logs.formats import Record, read_record
from callpath.doctor.logs.lines import Line, Reading, read_lines
from callpath.doctor.logs.patterns import stream_url_in, topic_of
from callpath.doctor.logs.times import Clockwork
from callpath.store.port import Refusal
from callpath.timeline import kind_of

SEEN_MAX = 50_000
"""Lines about calls that are kept, the newest: some 2,000 calls. Older ones are counted and left out."""

SETTLED_MS = 120_000
"""A log whose last line is so old when it is read is not one that is being written."""

QUIET_MS = 10_000
ROWS_MAX = 20_000
PROCESS_MAX = 400
REFUSALS_MAX = 50
BLOCK_LINES_MAX = 60
BLOCK_CHARS_MAX = 3_000
FAILURE_LINES_MAX = 40
ERROR_LINES_BEFORE = 3
TEXT_CHARS_MAX = 400
NOISY = {"media.in", "media.out", "alive", "socket.closed", "webhook.refused"}
NOISY_MAX = 3
"""Of lines that come with every frame so many are kept in a row."""

_PROCESS = {"listening", "crash", "out of memory", "restart", "stopping", "dropped", "provider failed"}
_MAY_LINK = re.compile(r"v[23](?::|%3[aA])|call[_ -]?(?:session|leg)|stream[_ -]?id", re.IGNORECASE)
_FAILURES = {"stream.failed", "answer.failed", "handler.failed"}
_ERROR = re.compile(r"\bcode['\"]?\s*[:=]\s*['\"]?\d{5}\b|\berror\b.{0,40}\b4\d\d\b", re.IGNORECASE)
"""What Telnyx said, printed by a client before its caller says what failed."""

_STALE = re.compile(
    r"timestamp[^.]{0,40}(?:old|stale|outside|expired|out of|tolerance|future)|too old|clock", re.IGNORECASE
)
"""What verifiers say of a time that they do not believe."""

_CONTINUES = re.compile(r"^(?:\s{2,}|\t|[}\])]|at \S|Caused by|\.\.\. \d+ more|Traceback \(most recent)")
_ACCESS = re.compile(
    r"(?:\"?(?P<method>GET|POST|PUT|HEAD|OPTIONS|PATCH|DELETE) (?P<path>/[^\s\"]{0,500})(?: HTTP/[\d.]+)?\"?)"
    r"(?:[^\d\n]{1,40}?(?P<status>[1-5]\d\d)\b)?"
)
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
    timeless: bool
    calls: list[LoggedCall]
    homeless: list[Seen]
    process: list[LogLine]
    dropped: bool
    left_out: int
    rows: list[EdgeRow]
    row_count: int
    edge_platform: str
    edge_from_ms: int | None
    edge_until_ms: int | None
    refusals: list[Refusal]
    refusal_count: int
    access_paths: Counter[str]
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
            self.log_facts(),
        )
        edge = self.edge_of(call)
        if edge is not None:
            facts.add(edge)
        if self.refusal_count:
            facts.add(RefusalFacts(count=self.refusal_count, latest=tuple(self.refusals)))
        return facts

    def looked_at(self, call: LoggedCall) -> int:
        """Until when something about this call would stand in the logs: their end.

        A log that ends minutes before it is read, or has no times at all, ends because nothing more was said: a socket
        that was asked for would have come by then.
        """
        until = max(self.until_ms or 0, call.until_ms)
        asked = Stage.STREAM_ACCEPTED in call.state.stages and Stage.SOCKET_RECEIVED not in call.state.stages
        old = self.read_at_ms is not None and self.read_at_ms - until > SETTLED_MS
        return until + QUIET_MS if asked and (old or self.timeless) else until

    def log_facts(self) -> LogFacts:
        return LogFacts(
            formats=tuple(name for name, _ in self.formats.most_common()),
            lines=self.lines,
            from_unix_ms=self.from_ms,
            until_unix_ms=self.until_ms,
            dropped=self.dropped,
            process=tuple(self.process),
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
        """The edge's rows for this call's path, and webhooks at its time."""
        if self.edge_from_ms is None or self.edge_until_ms is None:
            return None
        path = _path_of(call.state.stream_url or "")
        names = {name for sort in ("session", "control", "leg") for name in call.ids.get(sort, ())}
        webhook_paths = {row.path for row in self.rows if row.method == "POST" and not _static(row.path)}
        kept = []
        for row in self.rows:
            own = unquote(row.path)
            near = call.from_ms - 10_000 <= row.at_unix_ms <= call.until_ms + 15_000
            lasting = (
                row.status == 101
                and call.from_ms - 10_000 <= row.at_unix_ms - (row.duration_ms or 0) <= call.until_ms + 15_000
            )
            if any(name in own for name in names) or (
                (near or lasting)
                and (
                    (path and _same_path(row.path, path))
                    or row.status == 101
                    or (row.method == "POST" and row.path in webhook_paths)
                    or (row.method == "GET" and row.path in webhook_paths)
                    or (row.method == "GET" and _STREAMISH.search(row.path))
                )
            ):
                kept.append(row)
        return EdgeFacts(
            platform=self.edge_platform,
            rows=tuple(kept[-500:]),
            from_unix_ms=self.edge_from_ms,
            until_unix_ms=self.edge_until_ms,
        )


def _path_of(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _same_path(row: str, path: str) -> bool:
    return unquote(row.partition("?")[0]).rstrip("/") == unquote(path).rstrip("/")


def _static(path: str) -> bool:
    return bool(re.search(r"\.(?:js|css|png|ico|svg|woff2?|map|jpg)(?:\?|$)", path))


@dataclass(slots=True)
class _Open:
    """The block that a source is printing."""

    block: Block
    depth: int = 0
    lines: int = 0
    seen: list[Seen] = field(default_factory=list)


class LogReader:
    """Reads files one after the other. `on_progress` is told the bytes read so far, now and then; `read_at_ms` is now."""

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
        self._edge_platform = ""
        self._edge_from: int | None = None
        self._edge_until: int | None = None
        self._from: int | None = None
        self._until: int | None = None
        self._clocks: dict[tuple[str, str], Clockwork] = {}
        self._open: dict[tuple[str, str], _Open] = {}
        self._noise: Counter[tuple[str, object]] = Counter()
        self._last_noise: dict[tuple[str, object], Seen] = {}
        self._refusals: deque[Refusal] = deque(maxlen=REFUSALS_MAX)
        self._refusal_count = 0
        self._access: Counter[str] = Counter()
        self._timed = False
        self._last_at: dict[str, int] = {}
        self._failing: dict[tuple[str, str], tuple[Block, int]] = {}
        self._error: dict[tuple[str, str], tuple[int, str]] = {}
        self._order = 0
        self._bytes = 0

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
        self._open.clear()
        return reading

    def finish(self) -> FoundInLogs:
        """Put the lines together to calls."""
        seen = sorted(self._seen, key=lambda item: item.order)
        calls, homeless = group(seen)
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
            timeless=not self._timed,
            calls=calls,
            homeless=homeless,
            process=list(self._process),
            dropped=self._dropped,
            left_out=self._all_seen - len(self._seen),
            rows=sorted(self._rows, key=lambda row: row.at_unix_ms),
            row_count=self._row_count,
            edge_platform=self._edge_platform,
            edge_from_ms=self._edge_from,
            edge_until_ms=self._edge_until,
            refusals=list(self._refusals),
            refusal_count=self._refusal_count,
            access_paths=self._access,
            read_at_ms=self._read_at_ms,
        )
        found.shown = frozenset(
            kind_of(entry.what) for call in calls for entry in call.entries if entry.number not in call.implied
        )
        return found

    # --- one line -----------------------------------------------------------------------------------------------------

    def _line(self, line: Line) -> None:
        if line.document is None and not line.text.strip():
            return
        for record in read_record(line):
            self._record(record)

    def _record(self, record: Record) -> None:
        self._formats[record.format] += 1
        if record.skipped:
            self._skipped[record.skipped] += 1
            return
        if record.edge is not None:
            self._edge(record.edge, record.edge_platform)
            return
        source = (record.file, record.source)
        clock = self._clocks.setdefault(source, Clockwork())
        at_ms = clock.at(record.own, record.platform)
        if at_ms is None:
            at_ms = self._last_at.get(record.file)  # between lines with a time
        else:
            self._last_at[record.file] = at_ms
        if at_ms is not None:
            self._timed = True
            if (self._since_ms is not None and at_ms < self._since_ms) or (
                self._until_ms is not None and at_ms > self._until_ms
            ):
                return
            self._from = at_ms if self._from is None else min(self._from, at_ms)
            self._until = at_ms if self._until is None else max(self._until, at_ms)
        self._order += 1
        if (record.ours is not None or " call=" in record.text) and self._our_line(record, at_ms):
            return
        self._their_line(record, at_ms, source)

    def _edge(self, row: EdgeRow, platform: str) -> None:
        if (self._since_ms is not None and row.at_unix_ms < self._since_ms) or (
            self._until_ms is not None and row.at_unix_ms > self._until_ms
        ):
            return
        self._row_count += 1
        self._edge_platform = platform if self._edge_platform in {"", "proxy"} else self._edge_platform
        begun = row.at_unix_ms
        self._edge_from = begun if self._edge_from is None else min(self._edge_from, begun)
        self._edge_until = begun if self._edge_until is None else max(self._edge_until, begun)
        if (
            row.status == 101
            or row.method == "POST"
            or row.status >= 300
            or row.status == 0
            or _STREAMISH.search(row.path)
        ):
            self._rows.append(row)

    def _our_line(self, record: Record, at_ms: int | None) -> bool:
        """A line of callpath's own log. False: it only looked like one."""
        document = record.ours
        if document is not None:
            kind, session = str(document.get("event_name")), document.get("call_session_id")
            message = str(document.get("message", ""))
            if kind == "webhook.refused":
                self._refuse(at_ms, "webhook", str(document.get("reason", "")), message)
                return True
            if kind == "server.starting":
                self._about_process("listening", record, at_ms)
                return True
            if not isinstance(session, str):
                return kind != "web_server"
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
            )
        )  # fmt: skip
        return True

    def _their_line(self, record: Record, at_ms: int | None, source: tuple[str, str]) -> None:
        text = record.text
        held = self._open.get(source)
        continues = (
            held is not None
            and held.lines < BLOCK_LINES_MAX
            and (held.depth > 0 or _CONTINUES.match(text) is not None)
            and not (record.own is not None and not text.startswith((" ", "\t", "}", "]")))
        )
        topic = topic_of(text)
        if continues and held is not None:
            held.lines += 1
            held.depth = max(0, held.depth + _opened(text))
            block = held.block
        else:
            block = Block()
            self._open[source] = held = _Open(block, depth=max(0, _opened(text)))
        if topic is not None or _MAY_LINK.search(text):
            block.ids.update(ids_in(text))
        if len(block.text) < BLOCK_CHARS_MAX and (
            topic is not None or held.lines or held.depth or held.seen or block.ids
        ):
            block.text += ("\n" if block.text else "") + text[: BLOCK_CHARS_MAX // 2]
        failing = self._failing.get(source)
        if failing is not None and (topic is None or topic.name in _FAILURES):
            failed, left = failing  # what is printed below a failure tells why
            if failed is not block:
                failed.text = f"{failed.text}\n{text[:BLOCK_CHARS_MAX]}"[: 2 * BLOCK_CHARS_MAX]
            self._failing[source] = (failed, left - 1)
            if left <= 1:
                del self._failing[source]
        elif failing is not None:
            del self._failing[source]
        url = stream_url_in(text) if "://" in text else ""
        self._access_line(text)
        if topic is None and _ERROR.search(text):
            self._error[source] = (self._order, text[:BLOCK_CHARS_MAX])
        if topic is None and not url:
            if block.ids and not held.seen and len(block.ids) > 1:
                self._see(Seen(order=self._order, file=record.file, number=record.number, at_ms=at_ms, topic="link",
                               text=text[:TEXT_CHARS_MAX], block=block))  # fmt: skip
            return
        name = topic.name if topic is not None else "stream.url"
        if name in _PROCESS:
            self._about_process(name, record, at_ms)
            if name == "dropped":
                self._dropped = True
            return
        if name == "webhook.refused":
            self._refuse(at_ms, "webhook", "stale" if _STALE.search(text) else "bad_signature", text)
        item = Seen(
            order=self._order, file=record.file, number=record.number, at_ms=at_ms, topic=name,
            text=text[:TEXT_CHARS_MAX], block=block, event=topic.event if topic is not None else "",
            stream_url=url[:1000], deployment=record.deployment,
        )  # fmt: skip
        held.seen.append(item)
        if name in _FAILURES and source not in self._failing:
            self._failing[source] = (block, FAILURE_LINES_MAX)
            at, said = self._error.pop(source, (0, ""))
            if said and self._order - at <= ERROR_LINES_BEFORE:
                block.text += "\n" + said
        self._see(item)

    def _see(self, item: Seen) -> None:
        if item.topic in NOISY:
            key = (item.topic, frozenset(item.block.ids) or item.file)
            self._noise[key] += 1
            if self._noise[key] > NOISY_MAX:
                kept = self._last_noise.get(key)
                if kept is not None:
                    kept.times += 1
                    kept.last_ms = item.at_ms
                return
            self._last_noise[key] = item
        elif not item.block.ids:
            for noise in [noise for noise in self._noise if noise[1] == item.file]:
                del self._noise[noise]
        if len(self._noise) > 10_000:
            self._noise.clear()
            self._last_noise.clear()
        self._all_seen += 1
        self._seen.append(item)

    def _about_process(self, topic: str, record: Record, at_ms: int | None) -> None:
        self._process.append(LogLine(at_ms, topic, record.text[:TEXT_CHARS_MAX], record.number))

    def _refuse(self, at_ms: int | None, what: str, reason: str, detail: str) -> None:
        self._refusal_count += 1
        self._refusals.append(Refusal(at_ms or 0, what, reason, detail[:500]))

    def _access_line(self, text: str) -> None:
        """A request as the application itself logged it: which paths it answers, and how."""
        if "POST /" not in text and "GET /" not in text:
            return
        found = _ACCESS.search(text)
        if found is not None:
            self._access[
                f"{found['method']} {found['path'].partition('?')[0][:120]} {found['status'] or ''}".strip()
            ] += 1
            if len(self._access) > 500:
                self._access = Counter(dict(self._access.most_common(200)))


def _opened(text: str) -> int:
    """How many brackets stay open behind this line."""
    if len(text) > 2000:
        return 0
    last = text.rstrip()[-1:]
    if last in {"{", "[", "("}:
        return 1
    return (
        text.count("{") + text.count("[") - text.count("}") - text.count("]")
        if text.strip() in {"}", "},", "]", "],", "})", "});"}
        else 0
    )
