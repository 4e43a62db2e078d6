"""`callpath calls` lists calls; `callpath calls show ID` draws one's timeline."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from callpath.cli.environment import Exit, clear_errors, load_settings

if TYPE_CHECKING:
    from callpath.call.session import CallSession
    from callpath.store.port import CallLog
    from callpath.timeline import Entry

app = typer.Typer(help="List calls, or show one's timeline.", rich_markup_mode=None)
R = TypeVar("R")


@app.callback(invoke_without_command=True)
def calls(
    context: typer.Context,
    limit: int = typer.Option(20, "--limit", "-n", min=1, max=10_000, help="How many, newest first."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document."),
) -> None:
    """List the latest calls: when, who, how far they came."""
    if context.invoked_subcommand is not None:
        return
    rows, refused = _with_log(lambda log: _list(log, limit))
    if as_json:
        typer.echo(json.dumps({"calls": rows, "refused": refused}, indent=2))
        return
    if not rows:
        typer.echo("No calls yet.")
    for row in rows:
        seconds = "" if row["duration_s"] is None else f"{row['duration_s']:6.1f} s"
        missing = f"not reached: {row['missing_stage']}" if row["missing_stage"] else "audio both ways"
        began = _local(row["began_unix_ms"])
        typer.echo(
            f"{began}  {row['session'][:8]}  {row['direction'] or '?':8}  {row['state']:9} {seconds:>9}  {missing}"
        )
    if refused["count"]:
        latest = refused["latest"][0]
        typer.echo(f"\n{refused['count']} requests were refused; the latest: {latest['what']} {latest['reason']}")
        typer.echo(f"  {latest['detail']}")


@app.command("show")
def show(
    identifier: str = typer.Argument(help="Session id (or its beginning), leg id, or call_control_id."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document, entries whole."),
) -> None:
    """Draw a call's timeline, with the time between its entries."""
    with clear_errors():
        found = _with_log(lambda log: _read(log, identifier))
        if found is None:
            typer.secho(f"callpath: no call fits {identifier!r}. `callpath calls` lists them.", err=True, fg="red")
            raise typer.Exit(Exit.PROBLEM)
        session, entries = found
        typer.echo(
            json.dumps(call_document(session, entries), indent=2) if as_json else timeline_text(session, entries)
        )


def timeline_text(session: CallSession, entries: list[Entry], *, conclusion: bool = True) -> str:
    """The timeline as lines of at most 80 columns or so: time since the first entry, time since the last, what."""
    from callpath.call.session import missing_stage_sentence
    from callpath.timeline import describe

    lines = [f"Call {session.session}   {session.state}"]
    if session.leg is not None:
        lines[0] += f"   {session.leg.direction or '?'}"
    first = min((entry.at_unix_ms for entry in entries), default=0)
    last = first
    for entry in sorted(entries, key=lambda entry: (entry.at_unix_ms, entry.number)):
        at = entry.at_unix_ms
        lines.append(f"  {(at - first) / 1000:8.3f} s  {'+' + str(at - last):>6} ms  {describe(entry.what)}")
        last = at
    if not conclusion:
        return "\n".join(lines)
    sentence = missing_stage_sentence(session)
    lines.append("")
    lines.append(
        sentence if sentence else f"Audio flowed both ways: {session.frames_in} frames in, {session.frames_out} out."
    )
    return "\n".join(lines)


def call_document(session: CallSession, entries: list[Entry]) -> dict[str, Any]:
    """A call as JSON: what is known of it, and its entries as they are stored."""
    from callpath.timeline import describe, encode_what

    document = _summary(session)
    document["entries"] = [
        {
            "number": entry.number,
            "at_unix_ms": entry.at_unix_ms,
            "leg": entry.leg,
            "line": describe(entry.what),
            "what": json.loads(encode_what(entry.what)),
        }
        for entry in entries
    ]
    return document


def _summary(session: CallSession) -> dict[str, Any]:
    from callpath.call.session import missing_stage_sentence

    missing = session.missing_stage()
    leg = session.leg
    ended = session.ended_unix_ms
    return {
        "session": session.session,
        "state": session.state,
        "direction": leg.direction if leg else None,
        "hangup_cause": leg.hangup_cause if leg else None,
        "began_unix_ms": session.first_unix_ms,
        "ended_unix_ms": ended,
        "duration_s": (ended - session.first_unix_ms) / 1000 if ended and session.first_unix_ms else None,
        "stages": {stage.name.lower(): at for stage, at in sorted(session.stages.items())},
        "missing_stage": missing.label if missing else None,
        "sentence": missing_stage_sentence(session),
        "frames_in": session.frames_in,
        "frames_out": session.frames_out,
    }


def _with_log(work: Callable[[CallLog], Awaitable[R]]) -> R:
    async def run() -> R:
        from callpath.store.sql import open_call_log

        settings, _ = load_settings()
        async with open_call_log(settings.log_url()) as log:
            return await work(log)

    with clear_errors():
        return asyncio.run(run())


async def _list(log: CallLog, limit: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    from callpath.call.session import fold

    rows = [_summary(fold(call.session, await log.read(call.session))) for call in await log.recent(limit)]
    count, latest = await log.refusals(5)
    return rows, {
        "count": count,
        "latest": [{"what": row.what, "reason": row.reason, "detail": row.detail} for row in latest],
    }


async def _read(log: CallLog, identifier: str) -> tuple[CallSession, list[Entry]] | None:
    from callpath.call.session import fold

    session = await log.find(identifier)
    if session is None:
        return None
    entries = await log.read(session)
    return fold(session, entries), entries


def _local(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
