"""What `callpath simulate` says about calls: text, JSON, JUnit, and the exit code."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import typer

from callpath.cli.environment import Exit
from callpath.errors import ConfigError

if TYPE_CHECKING:
    from callpath.simulator.scenario import CallResult, Result

SCHEMA_VERSION = 1

EXITS = {
    "ok": Exit.OK,
    "failed": Exit.PROBLEM,
    "unreachable": Exit.NETWORK,
    "silent": Exit.SILENT,
    "missed": Exit.MISSED,
    "inconclusive": Exit.INCONCLUSIVE,
}
"""By the outcome of a run."""


def call_document(call: CallResult, recording: Path | None = None) -> dict[str, Any]:
    """One call as JSON."""
    head = {"name": call.name, "outcome": call.outcome, "code": call.code, "sentences": list(call.sentences)}
    return head | call.report | {"recording": None if recording is None else str(recording)}


def result_document(result: Result) -> dict[str, Any]:
    """A run of several calls as JSON."""
    from callpath.simulator.figures import summaries

    return {
        "schema_version": SCHEMA_VERSION,
        "name": result.name,
        "seed": result.seed,
        "outcome": result.outcome,
        "exit_code": int(EXITS[result.outcome]),
        "sentences": list(result.sentences),
        "figures": summaries(result.figures),
        "calls": [call_document(call) for call in result.calls],
    }


def finish(result: Result, *, as_json: bool, junit: Path | None, show: Callable[[Result], None]) -> None:
    """Print a run, write its JUnit file, and leave with its exit code. Raises ConfigError for an unwritable file."""
    if junit is not None:
        write_junit(result, junit)
    if as_json:
        typer.echo(json.dumps(result_document(result), indent=2))
    else:
        show(result)
    if result.outcome != "ok":
        raise typer.Exit(EXITS[result.outcome])


def write_junit(result: Result, path: Path) -> None:
    """One test case a call, and one for what is expected of all. Raises ConfigError."""
    suite = ElementTree.Element("testsuite", name=result.name, tests=str(len(result.calls) + 1))
    rows = [(call.name, call.outcome, call.sentences) for call in result.calls]
    rows.append(("all calls", "ok" if not result.sentences else result.outcome, result.sentences))
    kinds = {"inconclusive": "skipped", "unreachable": "error"}
    counts = {"failure": 0, "error": 0, "skipped": 0}
    for name, outcome, sentences in rows:
        case = ElementTree.SubElement(suite, "testcase", classname=result.name, name=name)
        if outcome != "ok":
            kind = kinds.get(outcome, "failure")
            counts[kind] += 1
            ElementTree.SubElement(
                case, kind, message=sentences[0] if sentences else outcome, type=outcome
            ).text = "\n".join(sentences)
    suite.attrib |= {
        "failures": str(counts["failure"]),
        "errors": str(counts["error"]),
        "skipped": str(counts["skipped"]),
    }
    try:
        ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise ConfigError("--junit", f"cannot be written: {error}", "Give a file in a folder that exists") from None


def print_call(call: CallResult, recording: Path | None = None) -> None:
    """One call, event by event, and what the ear made of it."""
    if not call.report:
        typer.echo(call.sentences[0])
        return
    report = call.report
    for at_ms, text in sorted(_rows(report)):
        typer.echo(f"{at_ms:7} ms  {text}")
    stream = report["stream"]
    typer.echo(f"{stream['frames_out']} frames to the server, {stream['frames_in']} from it")
    typer.echo(f"{report['ear']['heard_ms'] / 1000:.2f} s of sound heard{_ear(report['ear'])}")
    for note in report["verdict"]["notes"]:
        typer.echo(f"! {note}")
    noted = " ".join(report["verdict"]["notes"])
    problems: Counter[str] = Counter(report["problems"])
    for problem, times in list(problems.items())[:5]:
        if not problem.startswith(("a frame was refused", "audio was ignored")) and problem not in noted:
            typer.echo(f"! {problem}{f' ({times} times)' if times > 1 else ''}")
    if recording is not None:
        typer.echo(f"Recording: {recording} (left: the caller, right: what the caller heard)")
    for sentence in call.sentences or (report["verdict"]["sentence"],):
        typer.echo(sentence)


def _rows(report: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """What happened, each with its time."""
    for webhook in report["webhooks"]:
        yield webhook["at_ms"], f"webhook  {webhook['event']:22} {_answers(webhook['answers'])}"
    for document in report["texml"]:
        status = document["problem"] or document["status"]
        yield document["at_ms"], f"TeXML    {document['url']} {status}"
    for command in report["commands"]:
        kind = "verb   " if command["by"] == "texml" else "command"
        yield command["at_ms"], f"{kind}  {command['name']:22} {command['status']} {_errors(command)}".rstrip()
    for request in report["requests"]:
        what = (
            f"{request['method']} {request['path']}"
            if request["name"].startswith(request["method"])
            else request["name"]
        )
        remark = f": {request['remark']}" if request["remark"] else ""
        status = "connection broken" if request["status"] == 0 else request["status"]
        yield request["at_ms"], f"refused  {what:22} {status} {', '.join(request['codes'])}{remark}"
    for socket in report["sockets"]:
        if socket["upgraded_at_ms"] is not None:
            yield socket["upgraded_at_ms"], "stream   open"
        if socket["closed_by"] is not None:
            by = {"nobody": "broke off without a close frame", "fault": "ended by the injected fault"}.get(
                socket["closed_by"], f"closed by the {socket['closed_by']}"
            )
            code = f" {socket['close_code']}" if socket["close_code"] is not None else ""
            reason = f" {socket['close_reason']!r}" if socket["close_reason"] else ""
            yield socket["closed_at_ms"], f"stream   {by}{code}{reason}"
        elif socket["not_opened"]:
            yield socket["closed_at_ms"] or 0, f"stream   not opened: {socket['not_opened']}"
    if report["ended"]["at_ms"] is not None:
        by = {"party": "the caller", "program": "the program", "carrier": "Telnyx"}.get(report["ended"]["by"], "nobody")
        yield report["ended"]["at_ms"], f"end      by {by}: {report['ended']['hangup_cause']}"


def _errors(command: dict[str, Any]) -> str:
    parts = []
    for error in command["errors"]:
        pointer = (error.get("source") or {}).get("pointer")
        parts.append(f"{error['code']} {error['title']}{f' ({pointer})' if pointer else ''}")
    return "; ".join(parts)


def print_result(result: Result) -> None:
    """A run of several calls."""
    from callpath.simulator.figures import summaries

    for call in result.calls:
        mark = "✔" if call.outcome == "ok" else "✘"
        typer.echo(f"{mark} {call.name}: {call.outcome}")
        for sentence in call.sentences:
            typer.echo(f"    {sentence}")
    print_figures(summaries(result.figures))
    for sentence in result.sentences:
        typer.echo(f"✘ {sentence}")
    typer.echo(f"{result.name}: {result.outcome} (seed {result.seed})")


def print_figures(figures: dict[str, dict[str, float]]) -> None:
    """A table of what was measured."""
    typer.echo(f"{'figure':18} {'n':>6} {'min':>10} {'p50':>10} {'p99':>10} {'max':>10}")
    for name, one in figures.items():
        values = " ".join(f"{one[how]:10g}" for how in ("min", "p50", "p99", "max"))
        typer.echo(f"{name:18} {one['n']:6g} {values}")


@contextmanager
def progress(length: int, label: str) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, if that is a terminal. What is yielded is told how much more is done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with typer.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update


def _ear(ear: dict[str, Any]) -> str:
    """What is worth a word, in one line below."""
    parts = []
    if ear["first_audio_ms"] is not None:
        parts.append(f"first after {ear['first_audio_ms']:.0f} ms")
    if ear["response_gap_ms"]:
        parts.append(f"answers after {', '.join(f'{one:.0f}' for one in ear['response_gap_ms'][:5])} ms")
    if ear["barge_in_stop_ms"]:
        parts.append(
            f"talked on for {', '.join(f'{one:.0f}' for one in ear['barge_in_stop_ms'][:5])} ms when interrupted"
        )
    if ear["rtt_ms"]:
        parts.append(f"an echo, round trip {max(ear['rtt_ms']):.0f} ms, likeness {ear['echo_likeness']:.2f}")
    if ear["jitter_ms"] is not None:
        parts.append(f"jitter {ear['jitter_ms']:.1f} ms")
    if ear["holes"]:
        holes = "1 hole" if ear["holes"] == 1 else f"{ear['holes']} holes"
        parts.append(f"{holes} of {ear['hole_ms']:.0f} ms in all")
    if ear["clipping_share"] > 0.01:
        parts.append(f"{ear['clipping_share']:.0%} clipped")
    if ear["noise_share"] > 0.5:
        parts.append(f"{ear['noise_share']:.0%} of it is noise")
    if ear["speed"] is not None:
        parts.append(f"an echo at {ear['speed']:.2g} of its speed")
    if ear["one_way"]:
        parts.append("one-way: the caller spoke and nothing came back")
    return "".join(f"\n  {part}" for part in parts)


def _answers(answers: list[int | None]) -> str:
    return ", ".join("no answer" if status is None else str(status) for status in answers) or "under way"
