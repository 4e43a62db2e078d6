"""`callpath calls` lists calls, `… show ID` draws one's timeline, `… forget NUMBER|ID` deletes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from callpath.cli.environment import Exit, clear_errors, load_settings

if TYPE_CHECKING:
    from callpath.call.overview import CallOverview
    from callpath.call.session import CallSession
    from callpath.call.story import Story
    from callpath.config import Settings
    from callpath.store.archive import Archive
    from callpath.store.port import CallLog
    from callpath.timeline import Entry
    from callpath.wire.ids import SessionId

app = typer.Typer(help="List calls, show one's timeline, or forget calls.", rich_markup_mode=None)
R = TypeVar("R")

ID_CHARACTERS_MIN = 8
"""Of a call that is to be deleted; the list shows so many. A shorter beginning would find some other call."""


@app.callback(invoke_without_command=True)
def calls(
    context: typer.Context,
    limit: int = typer.Option(20, "--limit", "-n", min=1, max=10_000, help="How many, newest first."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document."),
    numbers: bool = typer.Option(False, "--numbers", help="Phone numbers in full."),
) -> None:
    """List the latest calls: when, who, what they came to."""
    if context.invoked_subcommand is not None:
        return
    rows, refused = _with_log(lambda log: _list(log, limit))
    hide = _hiding(numbers)
    rows = [row | {name: row[name] and hide(row[name]) for name in ("from", "to")} for row in rows]
    if as_json:
        typer.echo(json.dumps({"calls": rows, "refused": refused}, indent=2))
        return
    if not rows:
        typer.echo("No calls yet.")
    for row in rows:
        seconds = "" if row["duration_s"] is None else f"{row['duration_s']:6.1f} s"
        parties = f"{row['from'] or '?'} → {row['to'] or '?'}"
        began = _local(row["began_unix_ms"])
        typer.echo(f"{began}  {row['session'][:8]}  {row['outcome']:11} {seconds:>9}  {parties}  {_came_to(row)}")
    if refused["count"]:
        latest = refused["latest"][0]
        typer.echo(f"\n{refused['count']} requests were refused; the latest: {latest['what']} {latest['reason']}")
        typer.echo(f"  {latest['detail']}")


@app.command("show")
def show(
    identifier: str = typer.Argument(help="Session id (or its beginning), leg id, or call_control_id."),
    as_json: bool = typer.Option(False, "--json", help="One JSON document, entries whole."),
    numbers: bool = typer.Option(False, "--numbers", help="Phone numbers in full."),
) -> None:
    """Draw a call's timeline, with the time between its entries; then its legs, and what happened in sentences."""
    with clear_errors():
        found = _with_log(lambda log: _read(log, identifier))
        if found is None:
            typer.secho(f"callpath: no call fits {identifier!r}. `callpath calls` lists them.", err=True, fg="red")
            raise typer.Exit(Exit.PROBLEM)
        session, entries = found
        typer.echo(
            json.dumps(call_document(session, entries), indent=2)
            if as_json
            else timeline_text(session, entries, numbers=numbers)
        )


@app.command("forget")
def forget(
    whose: str = typer.Argument(help="A phone number (+15555550123), for all calls from and to it; or one call's id."),
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
) -> None:
    """Delete timelines, and recordings on this machine or where they are kept (CALLPATH_RECORDINGS). Calls that are still
    up are left, and said so."""
    with clear_errors():
        settings, _ = load_settings()
        found = _with_log(lambda log: _whose(log, whose))
        if not found:
            typer.secho("callpath: no call fits. Numbers are written as +15555550123", err=True, fg="red")
            raise typer.Exit(Exit.PROBLEM)
        over = [one for one in found if not _may_be_up(one)]
        if over and not yes:
            typer.confirm(f"Delete {len(over)} calls, with their recordings?", abort=True)
        archive = _archive(settings)
        deleted, left = _with_log(lambda log: _forget(log, settings.data_dir, archive, [one.session for one in over]))
    typer.echo(f"{len(over)} calls and {deleted} recordings forgotten")
    for path in left:
        typer.echo(f"  not here, or not ours to delete: {path}")
    if len(over) < len(found):
        typer.secho(f"{len(found) - len(over)} calls are still up: forget them when they are over", err=True, fg="red")
    if left or len(over) < len(found):
        raise typer.Exit(Exit.PROBLEM)


def _may_be_up(overview: CallOverview) -> bool:
    """A call whose end nobody heard of is over after Telnyx's longest."""
    from callpath.clock import SystemClock
    from callpath.server.recovery import LIVE_MS_MAX

    return overview.outcome == "live" and overview.last_unix_ms > SystemClock().now_unix_ms() - LIVE_MS_MAX


async def _whose(log: CallLog, whose: str) -> list[CallOverview]:
    from callpath.call.overview import fold_overview
    from callpath.server.retention import calls_of_number

    if found := await calls_of_number(log, whose):
        return found
    session = await log.find(whose) if len(whose) >= ID_CHARACTERS_MIN else None
    if session is None:
        return []
    return [fold_overview(session, await log.read(session))]


def _archive(settings: Settings) -> Archive | None:
    from callpath.cli.environment import export_for_libraries
    from callpath.store.archive import open_archive

    export_for_libraries()
    return open_archive(settings.recordings)


async def _forget(
    log: CallLog, data_dir: Path, archive: Archive | None, sessions: list[SessionId]
) -> tuple[int, list[str]]:
    from callpath.server.retention import delete_call

    files, left = 0, list[str]()
    for session in sessions:
        deleted, elsewhere = await delete_call(log, data_dir, session, archive)
        files += len(deleted)
        left += elsewhere
    return files, left


def _hiding(numbers: bool) -> Callable[[str], str]:
    """What hides the phone numbers of a text, unless they are asked for."""
    from callpath.dashboard.masking import mask_text

    return str if numbers else mask_text


def timeline_text(session: CallSession, entries: list[Entry], *, conclusion: bool = True, numbers: bool = False) -> str:
    """The timeline as lines of at most 80 columns or so: time since the first entry, time since the last, what. Lines
    about one of several legs have its letter."""
    from callpath.call.story import tell_story
    from callpath.timeline import describe

    story = tell_story(session, entries)
    letters = {leg: f"{letter}  " for leg, letter in story.letters.items()} if len(story.parties) > 1 else {}
    none = "   " if letters else ""
    lines = [f"Call {session.session}   {session.state}"]
    if session.leg is not None:
        lines[0] += f"   {session.leg.direction or '?'}"
    first = min((entry.at_unix_ms for entry in entries), default=0)
    last = first
    for entry in sorted(entries, key=lambda entry: (entry.at_unix_ms, entry.number)):
        at = entry.at_unix_ms
        letter = letters.get(entry.leg, none) if entry.leg is not None else none
        lines.append(f"  {(at - first) / 1000:8.3f} s  {'+' + str(at - last):>6} ms  {letter}{describe(entry.what)}")
        last = at
    if not conclusion:
        return "\n".join(lines)
    return "\n".join([*lines, *_story_lines(story, first, _hiding(numbers)), "", _conclusion(session, entries)])


def _story_lines(story: Story, first: int, hide: Callable[[str], str]) -> list[str]:
    lines = [""] if story.parties else []
    lines += [
        f"  {party.letter}  {party.role}  {hide(party.number or 'number unknown')}  {party.words}"
        for party in story.parties
    ]
    if story.steps:
        lines.append("")
    lines += [f"  {(step.at_unix_ms - first) / 1000:8.1f} s  {hide(step.text)}" for step in story.steps]
    return lines


def _conclusion(session: CallSession, entries: list[Entry]) -> str:
    from callpath.call.overview import RESULT_WORDS, fold_overview
    from callpath.call.session import missing_stage_sentence

    overview = fold_overview(session.session, entries)
    sentence = missing_stage_sentence(session)
    if sentence is None:
        return f"Audio flowed both ways: {session.frames_in} frames in, {session.frames_out} out."
    if overview.outcome not in ("good", "unconnected"):
        return sentence
    words = RESULT_WORDS[overview.result]
    return f"{words[0].upper()}{words[1:]}."


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


def _row(call: CallOverview) -> dict[str, Any]:
    """One call of the list as JSON. `calls show` knows more of it."""
    missing, ended = call.missing_stage, call.ended_unix_ms
    return {
        "session": call.session,
        "state": call.state,
        "outcome": call.outcome,
        "result": call.result,
        "direction": call.direction,
        "from": call.from_,
        "to": call.to,
        "hangup_cause": call.hangup_cause,
        "problem": call.problem,
        "began_unix_ms": call.first_unix_ms,
        "ended_unix_ms": ended,
        "duration_s": (ended - call.first_unix_ms) / 1000 if ended else None,
        "missing_stage": missing.label if missing else None,
        "frames_in": call.frames_in,
        "frames_out": call.frames_out,
    }


def _came_to(row: dict[str, Any]) -> str:
    """The last column of the list."""
    missing = f"not reached: {row['missing_stage']}" if row["missing_stage"] else ""
    if row["outcome"] == "live":
        return ", ".join(part for part in (str(row["state"]), missing) if part)
    return str(row["problem"] or missing or row["result"]) if row["outcome"] == "failed" else str(row["result"])


def _with_log(work: Callable[[CallLog], Awaitable[R]]) -> R:
    async def run() -> R:
        from callpath.store.sql import open_call_log

        settings, _ = load_settings()
        async with open_call_log(settings.log_url()) as log:
            return await work(log)

    with clear_errors():
        return asyncio.run(run())


async def _list(log: CallLog, limit: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    from callpath.store.port import CallQuery

    rows = [_row(call) for call in await log.overviews(CallQuery(limit=limit))]
    count, latest = await log.rejected(5)
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
