"""`--bundle FILE.zip` of the doctor's commands: all that a bug report needs, in one file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from callpath.doctor.bundle import BundledLog
    from callpath.doctor.verdict import Diagnosis

HELP = "Also write report, facts, redacted logs and versions for a bug report."


def check_bundle(path: Path | None) -> None:
    """Stop before anything is examined where the file could not be written afterwards."""
    if path is None:
        return
    if path.suffix != ".zip":
        raise typer.BadParameter("the name must end in .zip", param_hint="--bundle")
    if not path.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.parent}", param_hint="--bundle")
    if path.is_dir():
        raise typer.BadParameter(f"{path} is a folder", param_hint="--bundle")


def save_bundle(
    path: Path | None,
    diagnosis: Diagnosis,
    document: dict[str, Any],
    *,
    token: str | None = None,
    secrets: Iterable[str] = (),
    logs: Iterable[BundledLog] = (),
) -> None:
    """Write the bundle, if one is wanted, and say so on stderr."""
    from callpath.cli.environment import Exit
    from callpath.doctor.bundle import write_bundle
    from callpath.doctor.report import markdown
    from callpath.errors import EvidenceError

    if path is None:
        return
    hidden = tuple(secrets)
    report = markdown(diagnosis, token, hidden)
    try:
        write_bundle(path, report=report, evidence=document, logs=logs, token=token, secrets=hidden)
    except EvidenceError as error:
        typer.secho(f"callpath: {error}", err=True, fg="red")
        raise typer.Exit(Exit.USAGE) from None
    typer.echo(
        f"bundle written to {path}; callpath doctor judge {path} judges it again. Read it before you share it: "
        "names and words in free text are not recognised",
        err=True,
    )
