"""`callpath recording convert FILE --to flac|opus`: keep a recording in less space."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import typer

from callpath.cli.environment import Exit
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
