"""What was found in logs, on a page of 80 columns, and the same as JSON. No token and no phone number stands in either."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from callpath.call.session import Stage
from callpath.doctor.calls import call_facts
from callpath.doctor.evidence import evidence
from callpath.doctor.facts import EdgeFacts, Facts, RefusalFacts
from callpath.doctor.logged import judge_logs
from callpath.doctor.logs.attribute import LoggedCall
from callpath.doctor.logs.reading import FoundInLogs
from callpath.doctor.report import WIDTH, redacted
from callpath.doctor.verdict import Diagnosis
from callpath.timeline import MediaCounted, describe, kind_of

LINES_MAX = 40
CALLS_MAX = 50
"""So many of the newest calls are judged and listed; older ones are counted."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A call and what the rules say about it."""

    call: LoggedCall
    diagnosis: Diagnosis

    @property
    def word(self) -> str:
        """The verdict in a word or two."""
        verdict = self.diagnosis.verdict
        if verdict is None:
            return "healthy" if self.diagnosis.healthy else "nothing wrong was seen"
        return verdict.rule.slug if self.diagnosis.decided else f"not decided: {verdict.rule.slug}"

    @property
    def failed(self) -> bool:
        return self.diagnosis.verdict is not None


def judge_logged(found: FoundInLogs, call: LoggedCall) -> Judged:
    """What the rules say about a call of these logs."""
    return Judged(call, judge_logs(found.facts_of(call)))


def without_a_call(found: FoundInLogs) -> Diagnosis:
    """What the edge, refused webhooks or a process that does not start say where no call was seen."""
    facts = Facts(
        call_facts("", (), looked_at_unix_ms=found.until_ms or 0, source="logs", shown=frozenset()), found.log_facts()
    )
    if found.edge_from_ms is not None and found.edge_until_ms is not None:
        facts.add(
            EdgeFacts(
                platform=found.edge_platform,
                rows=tuple(found.rows[-500:]),
                from_unix_ms=found.edge_from_ms,
                until_unix_ms=found.edge_until_ms,
            )
        )
    if found.refusal_count:
        facts.add(RefusalFacts(count=found.refusal_count, latest=tuple(found.refusals)))
    return judge_logs(facts)


def choose(judged: list[Judged]) -> Judged | None:
    """The call to tell of: the newest that failed, else the newest."""
    return next((item for item in reversed(judged) if item.failed), judged[-1] if judged else None)


def short(name: str) -> str:
    """An id as it can be told from others, in 16 characters."""
    return name if len(name) <= 16 else name[:15] + "…"


def picture(found: FoundInLogs, judged: list[Judged], chosen: Judged | None) -> str:
    """The files, the calls, and the chosen one's stages and lines."""
    return redacted("\n".join(_picture(found, judged, chosen)) + "\n")


def _picture(found: FoundInLogs, judged: list[Judged], chosen: Judged | None) -> Iterator[str]:
    yield from _files(found)
    yield ""
    yield from _calls(found, judged, chosen)
    if chosen is not None:
        yield ""
        yield from _stages(found, chosen.call)
        yield ""
        yield from _lines(found, chosen.call)


def _files(found: FoundInLogs) -> Iterator[str]:
    for reading in found.readings:
        unit = "rows" if reading.rows else "lines"
        notes = [f"{reading.lines:,} {unit}"]
        if reading.encoding not in {"utf-8", "utf-8-sig"}:
            notes.append(reading.encoding.upper())
        if reading.truncated:
            notes.append("JSON cut off at its end")
        if reading.cut:
            notes.append(f"{reading.cut} lines cut: longer than 256 KB")
        if reading.binary:
            notes.append(f"{reading.binary} lines with bytes that are no text")
        if not reading.lines:
            notes = ["empty"]
        yield from _row("File", f"{reading.file}: {', '.join(notes)}")
    if found.formats:
        yield from _row("Formats", ", ".join(f"{name} ({count:,})" for name, count in found.formats.most_common(6)))
    if found.from_ms is not None and found.until_ms is not None:
        yield from _row("Period", f"{_moment(found, found.from_ms)} to {_moment(found, found.until_ms, day=False)}")
    if found.edge_from_ms is not None and found.edge_until_ms is not None:
        who = found.edge_platform or "an edge"
        yield from _row(
            "Edge",
            f"{found.row_count:,} rows of {who}, {_moment(found, found.edge_from_ms)} to "
            f"{_moment(found, found.edge_until_ms, day=False)}",
        )
    if found.late:
        yield from _row(
            "Clock",
            f"{found.late:,} lines were stamped by the platform up to {found.skew_ms_max / 1000:.1f} s after they were "
            "written; the time in the line is used",
        )
    if found.timeless and found.edge_from_ms is None:
        yield from _row("Clock", "no line has a time: order is all there is, and nothing is judged by time")
    elif found.undated:
        yield from _row("Clock", "times have no date")
    elif found.unzoned:
        yield from _row("Clock", "times name no zone: taken for UTC")
    skipped = ", ".join(f"{count:,} {what} rows" for what, count in found.skipped.items())
    if skipped:
        yield from _row("Skipped", f"{skipped}: they say nothing about a call")
    if found.ambiguous:
        yield from _row("Clock", "dates like 03/04/2026 are read as month/day: nothing in the file says which it is")
    if found.own_traffic:
        yield from _row("Left out", f"{found.own_traffic:,} lines of callpath's own probes: they are no evidence")
    if found.dropped:
        yield from _row("Dropped", "the platform says that it dropped lines: what is not here may have happened")
    if found.left_out:
        yield from _row("Left out", f"{found.left_out:,} older lines about calls; narrow it with --since")
    if found.homeless:
        yield from _row("Unplaced", f"{len(found.homeless):,} lines without an id, while no call or several were on")
    for line in found.process[-6:]:
        yield from _row("Process", f"{_moment(found, line.at_unix_ms, day=False)} {line.topic}: {line.text[:100]}")


def _calls(found: FoundInLogs, judged: list[Judged], chosen: Judged | None) -> Iterator[str]:
    if not judged:
        yield "No call was found."
        if not found.row_count and not found.refusal_count:
            yield from _wrapped(
                "No line here is about a webhook, a command or a WebSocket. What is needed is the log of the program that "
                "takes the calls, over the time of a call, and that of the edge before it.",
                "",
            )
        if found.refusal_count:
            last = found.refusals[-1].detail[:120]
            yield from _wrapped(f"{found.refusal_count} webhooks were refused; the last: {last}", "")
        return
    older = len(found.calls) - len(judged)
    yield f"{len(found.calls)} call{'s' if len(found.calls) > 1 else ''}" + (
        f", the newest {len(judged)} of them:" if older else ":"
    )
    for item in judged:
        reached = max(item.call.state.stages, default=None)
        came_to = reached.label if reached is not None else "-"
        mark = ">" if item is chosen and len(judged) > 1 else " "
        when = _moment(found, item.call.from_ms, day=False)[:8]
        head = f"{mark} {when}  {short(item.call.name):16}  {came_to:30.30}  "
        yield head + item.word if len(head) + len(item.word) <= WIDTH else f"{head.rstrip()}\n{'':12}{item.word}"


def _stages(found: FoundInLogs, call: LoggedCall) -> Iterator[str]:
    shown = found.shown_for(call)
    yield f"Call {short(call.name)}"
    if call.near:
        yield from _wrapped(
            f"{call.near} of its lines have no id: they are here because no other call was on then (marked ~)", "  "
        )
    kinds = {
        Stage.STREAM_STARTING: "stream.starting", Stage.STREAM_ACCEPTED: "stream.accepted",
        Stage.SOCKET_RECEIVED: "socket.received",
        Stage.STREAM_STARTED: "stream.started", Stage.FIRST_INBOUND: "media.first_inbound",
        Stage.FIRST_OUTBOUND: "media.first_outbound",
    }  # fmt: skip
    for stage in Stage:
        at = call.state.stages.get(stage)
        if at is not None:
            yield f"  ✓ {stage.label:32} {_since(found, call, at)}"
        elif kinds.get(stage, "webhook.received") in shown:
            yield f"  ✗ {stage.label:32} not in the log"
        else:
            yield f"  ? {stage.label:32} not in the log, which may not tell of it"


def _lines(found: FoundInLogs, call: LoggedCall) -> Iterator[str]:
    entries = [entry for entry in call.entries if not isinstance(entry.what, MediaCounted)]
    left = 0
    if len(entries) > LINES_MAX:
        left = len(entries) - LINES_MAX
        entries = entries[: LINES_MAX // 2] + entries[-LINES_MAX // 2 :]
    for number, entry in enumerate(entries):
        if left and number == LINES_MAX // 2:
            yield f"  … {left} more"
        line = call.lines.get(entry.number)
        where = "(follows)" if line is None else line.where + ("" if line.placed else "~")
        head = f"  {_since(found, call, entry.at_unix_ms):>10}  {where:18.40} "
        text = describe(entry.what).replace(" (200, 0 ms)", " (200)")
        yield head + (text if len(head) + len(text) <= WIDTH else text[: WIDTH - len(head) - 1] + "…")


def _since(found: FoundInLogs, call: LoggedCall, at_ms: int) -> str:
    if found.timeless:
        return ""
    return f"{(at_ms - call.from_ms) / 1000:+.3f} s"


def _moment(found: FoundInLogs, at_ms: int | None, *, day: bool = True) -> str:
    if at_ms is None:
        return "?"
    if found.timeless and found.edge_from_ms is None:
        return ""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.strftime("%Y-%m-%d %H:%M:%S UTC" if day and not found.undated else "%H:%M:%S")


def _row(name: str, text: str) -> Iterator[str]:
    yield from _wrapped(f"{name:9} {text}", "", hanging=" " * 10)


def _wrapped(text: str, indent: str, *, hanging: str | None = None) -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if hanging is None else hanging,
        break_on_hyphens=False,
    )


# --- JSON ------------------------------------------------------------------------------------------------------------


def as_json(found: FoundInLogs, judged: list[Judged], chosen: Judged | None, alone: Diagnosis | None) -> dict[str, Any]:
    """One document: `logs`, `calls`, and the chosen call's `diagnosis` (that of all rows together without a call)."""
    diagnosis = chosen.diagnosis if chosen is not None else alone
    made = {
        "schema_version": 1,
        "logs": {
            "files": [
                {"name": r.file, "lines": r.lines, "bytes": r.bytes, "encoding": r.encoding, "rows": r.rows,
                 "truncated": r.truncated, "cut": r.cut, "binary": r.binary}
                for r in found.readings
            ],
            "formats": dict(found.formats.most_common()),
            "skipped": dict(found.skipped),
            "from_unix_ms": found.from_ms,
            "until_unix_ms": found.until_ms,
            "late_lines": found.late,
            "skew_ms_max": found.skew_ms_max,
            "timeless": found.timeless,
            "dropped": found.dropped,
            "own_traffic": found.own_traffic,
            "left_out": found.left_out,
            "unplaced": len(found.homeless),
            "process": [
                {"at_unix_ms": p.at_unix_ms, "topic": p.topic, "text": p.text, "line": p.number} for p in found.process
            ],
            "edge": {"platform": found.edge_platform, "rows": found.row_count, "from_unix_ms": found.edge_from_ms,
                     "until_unix_ms": found.edge_until_ms},
            "refused_webhooks": found.refusal_count,
        },
        "calls_found": len(found.calls),
        "calls": [_call(found, item) for item in judged],
        "chosen": chosen.call.name if chosen is not None else None,
        "diagnosis": evidence(diagnosis) if diagnosis is not None else None,
    }  # fmt: skip
    return _redacted(made)  # type: ignore[no-any-return]


def _call(found: FoundInLogs, item: Judged) -> dict[str, Any]:
    call = item.call
    missing = call.state.missing_stage()
    return {
        "call": call.name,
        "ids": {sort: sorted(names) for sort, names in call.ids.items()},
        "from_unix_ms": call.from_ms,
        "until_unix_ms": call.until_ms,
        "stages": {stage.name.lower(): at for stage, at in sorted(call.state.stages.items())},
        "missing_stage": missing.label if missing is not None else None,
        "shown": sorted(found.shown_for(call)),
        "placed_by_time": call.near,
        "verdict": item.word,
        "healthy": item.diagnosis.healthy,
        "lines": [
            {
                "at_unix_ms": entry.at_unix_ms,
                "kind": kind_of(entry.what),
                "line": describe(entry.what),
                "where": line.where if (line := call.lines.get(entry.number)) is not None else None,
                "placed_by_time": line is not None and not line.placed,
            }
            for entry in call.entries
        ],
    }


def _redacted(value: Any) -> Any:
    match value:
        case str():
            return redacted(value)
        case list():
            return [_redacted(item) for item in value]
        case dict():
            return {key: _redacted(item) for key, item in value.items()}
        case _:
            return value
