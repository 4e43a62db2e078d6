"""`callpath recording convert FILE --to flac|opus` keeps a recording in less space; `… get CALL` fetches a call's."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer

from callpath.cli.environment import Exit, clear_errors, export_for_libraries, load_settings
from callpath.errors import AudioError

app = typer.Typer(help="Recordings of calls.", no_args_is_help=True, rich_markup_mode=None)


class Form(StrEnum):
    """What a recording can become."""

    FLAC = "flac"
    OPUS = "opus"


@app.callback()
def recording() -> None:
    """Recordings of calls."""


@app.command("convert")
def convert(
    files: list[Path] = typer.Argument(help="WAV files that callpath recorded."),
    to: Form = typer.Option(Form.FLAC, "--to", help="flac keeps every sample; opus is far smaller."),
) -> None:
    """Write FLAC or Opus beside each WAV, which stays. Needs the extra: pip install 'callpath[codecs]'."""
    from callpath.audio.ffmpeg import compress_recording

    failed = False
    for file in files:
        try:
            target = compress_recording(file, to.value)
        except AudioError as error:
            failed = True
            typer.echo(f"{error}", err=True)
        else:
            typer.echo(f"{target}  {target.stat().st_size / max(1, file.stat().st_size):.0%} of the WAV")
    if failed:
        raise typer.Exit(Exit.PROBLEM)


@app.command("get")
def get(
    call: str = typer.Argument(help="The call's session id (or its beginning), leg id, or call_control_id."),
    to: Path = typer.Option(Path(), "--to", exists=True, file_okay=False, help="The folder to put it into."),
) -> None:
    """Fetch a call's recordings from where they are kept (CALLPATH_RECORDINGS), or from the data directory."""
    import asyncio

    with clear_errors():
        export_for_libraries()
        found = asyncio.run(_get(call, to))
    for path in found:
        typer.echo(path)
    if not found:
        typer.secho(f"callpath: no recording of {call!r} is here or where recordings are kept", err=True, fg="red")
        raise typer.Exit(Exit.PROBLEM)


async def _get(call: str, to: Path) -> list[Path]:
    import shutil

    from callpath.call.kept import recordings_of
    from callpath.store.archive import open_archive
    from callpath.store.sql import open_call_log

    settings, _ = load_settings()
    archive = open_archive(settings.recordings)
    async with open_call_log(settings.log_url()) as log:
        session = await log.find(call)
        kept = recordings_of(await log.read(session)) if session is not None else []
    found = []
    for one in kept:
        target = to / Path(one.path).name
        name = archive.name_of(one.url) if archive is not None else None
        if archive is not None and name is not None and await archive.size(name) is not None:
            await archive.fetch(name, target)
            found.append(target)
        elif Path(one.path).is_file():
            if target.resolve() != Path(one.path).resolve():
                shutil.copyfile(one.path, target)
            found.append(target)
    return found
