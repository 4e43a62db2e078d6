"""`callpath doctor logs`: what the logs of a platform, or of anybody's program, say about a call."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

import typer

from callpath.cli.doctor_bundle import HELP as BUNDLE_HELP
from callpath.cli.doctor_bundle import check_bundle, save_bundle

if TYPE_CHECKING:
    from callpath.doctor.bundle import BundledLog
    from callpath.doctor.logs.picture import Judged
    from callpath.doctor.logs.reading import FoundInLogs, LogReader
    from callpath.doctor.verdict import Diagnosis

STDIN = "-"


def logs(
    files: list[str] = typer.Argument(
        None, metavar="FILE…|-", help="Logs, of any make; several are read as one. - is stdin."
    ),
    railway: bool = typer.Option(False, "--railway", help="Fetch them from Railway, with RAILWAY_TOKEN."),
    service: str = typer.Option(
        "", "--service", metavar="ID", help="Railway's service, if RAILWAY_SERVICE_ID is not set."
    ),
    call: str | None = typer.Option(None, "--call", metavar="ID", help="Tell of this call (an id, or its beginning)."),
    since: str | None = typer.Option(
        None, "--since", metavar="TIME", help="From here on: ISO time, or 30m, 2h, 1d before now."
    ),
    until: str | None = typer.Option(
        None, "--until", metavar="TIME", help="Up to here: ISO time, or 30m, 2h, 1d before now."
    ),
    as_json: bool = typer.Option(False, "--json", help="One JSON document on stdout."),
    report: Path | None = typer.Option(
        None, "--report", metavar="FILE.html|.md", help="Also write a report that is safe to share."
    ),
    bundle: Path | None = typer.Option(None, "--bundle", metavar="FILE.zip", help=BUNDLE_HELP),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="Only the verdict, in one line."),
    verbose: bool = typer.Option(
        False, "-v", "--verbose", help="All evidence, what did not match and was not checked."
    ),
) -> None:
    """Rebuild calls from logs and name the root cause. Exit 0 healthy, 1 cause found, 2 usage, 4 not decided."""
    from callpath.cli.environment import named_values
    from callpath.clock import SystemClock
    from callpath.doctor.logs.picture import CALLS_MAX, choose, judge_logged, picture, without_a_call
    from callpath.doctor.logs.picture import as_json as made_json
    from callpath.doctor.logs.reading import LogReader
    from callpath.doctor.report import html_page, markdown, redacted, terminal

    if not files and not railway:
        raise typer.BadParameter("name a file, - for stdin, or use --railway", param_hint="FILE")
    if report is not None and report.suffix not in {".html", ".md"}:
        raise typer.BadParameter("the name must end in .html or .md", param_hint="--report")
    check_bundle(bundle)
    now_ms = SystemClock().now_unix_ms()
    watched = sys.stderr.isatty() and not quiet

    def progress(read: int) -> None:
        if watched:
            sys.stderr.write(f"\r{read / 1e6:,.0f} MB read ")
            sys.stderr.flush()

    reader = LogReader(
        since_ms=_time(since, now_ms, "--since"),
        until_ms=_time(until, now_ms, "--until"),
        on_progress=progress,
        read_at_ms=now_ms,
    )
    kept = _Kept() if bundle is not None else None
    for name in files or []:
        _read(reader, name, kept)
    if railway:
        _fetch(reader, kept, _iso(since, now_ms, "--since"), _iso(until, now_ms, "--until"), service)
    if watched:
        sys.stderr.write("\r\x1b[K")
    found = reader.finish()
    judged = [judge_logged(found, one) for one in found.calls[-CALLS_MAX:]]
    alone = None if judged else without_a_call(found)
    chosen = choose(judged) if call is None else _named(found, call)
    diagnosis = chosen.diagnosis if chosen is not None else alone
    assert diagnosis is not None
    colour = sys.stdout.isatty() and not named_values().get("NO_COLOR")
    if as_json:
        typer.echo(json.dumps(made_json(found, judged, chosen, alone), indent=1, ensure_ascii=False))
    elif quiet:
        typer.echo(redacted(_line(diagnosis)))
    else:
        typer.echo(picture(found, judged, chosen), nl=False)
        # The picture has the call's stages and lines already, with their places in the files.
        typer.echo(redacted(terminal(diagnosis, colour=colour, verbose=verbose, pictured=False)), nl=False)
    if report is not None:
        report.write_text(html_page(diagnosis) if report.suffix == ".html" else markdown(diagnosis), encoding="utf-8")
        typer.echo(f"report written to {report}", err=True)
    if kept is not None:
        with kept:
            save_bundle(bundle, diagnosis, made_json(found, judged, chosen, alone), logs=kept.logs(chosen))
    raise typer.Exit(diagnosis.exit_code)


SPOOL_BYTES = 16 * 1024 * 1024
"""Maximum of standard input that is kept in memory for a bundle; more goes to a temporary file."""


class _Kept:
    """Where to read each log a second time, for the bundle."""

    def __init__(self) -> None:
        self._files: list[tuple[str, IO[bytes]]] = []

    def __enter__(self) -> _Kept:
        return self

    def __exit__(self, *failure: object) -> None:
        for _, file in self._files:
            file.close()

    def add(self, name: str, path: Path) -> None:
        self._files.append((name, path.open("rb")))

    def spool(self, name: str) -> IO[bytes]:
        """A file for what cannot be read twice."""
        file: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115 (closed with the others)
        self._files.append((name, file))
        return file

    def logs(self, chosen: Judged | None) -> Iterator[BundledLog]:
        """The logs from their beginnings, and where the call that is told of begins in each."""
        from callpath.doctor.bundle import BundledLog
        from callpath.doctor.logs.lines import CHUNK_BYTES

        seen = chosen.call.seen if chosen is not None else []
        for name, file in self._files:
            size = file.seek(0, 2)
            file.seek(0)
            first = min((item.number for item in seen if item.file == name), default=1)
            yield BundledLog(name, iter(partial(file.read, CHUNK_BYTES), b""), size, first)


def _read(reader: LogReader, name: str, kept: _Kept | None) -> None:
    """One file, or stdin, in pieces."""
    from callpath.doctor.logs.lines import CHUNK_BYTES

    if name == STDIN:
        copy = kept.spool("stdin") if kept is not None else None

        def chunks() -> Iterator[bytes]:
            while chunk := sys.stdin.buffer.read(CHUNK_BYTES):
                if copy is not None:
                    copy.write(chunk)
                yield chunk

        reader.read("stdin", chunks())
        return
    path = Path(name)
    try:
        with path.open("rb") as file:
            head = file.peek(4)[:4]
            if head.startswith((b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zX", b"\x28\xb5\x2f\xfd")):
                raise typer.BadParameter(
                    f"{name} is compressed: unpack it first (gunzip -c FILE | callpath doctor logs -)",
                    param_hint="FILE",
                )
            reader.read(path.name, iter(lambda: file.read(CHUNK_BYTES), b""))
        if kept is not None:
            kept.add(path.name, path)
    except OSError as error:
        raise typer.BadParameter(f"{name} cannot be read: {error.strerror}", param_hint="FILE") from None


def _named(found: FoundInLogs, wanted: str) -> Judged:
    from callpath.doctor.logs.picture import judge_logged, short

    for one in reversed(found.calls):
        names = [one.name, *(name for names in one.ids.values() for name in names)]
        if any(name.startswith(wanted) for name in names):
            return judge_logged(found, one)
    known = ", ".join(short(one.name) for one in found.calls[-5:])
    raise typer.BadParameter(
        f"no call here has an id that begins with {wanted!r}; there are {known or 'none'}", param_hint="--call"
    )


def _line(diagnosis: Diagnosis) -> str:
    if diagnosis.verdict is None:
        return "healthy" if diagnosis.healthy else "not decided"
    found = diagnosis.verdict
    return f"{found.rule.slug if diagnosis.decided else 'not decided'}: {found.finding.summary}"


def _time(text: str | None, now_ms: int, name: str) -> int | None:
    from callpath.doctor.logs.times import leading_time

    if text is None:
        return None
    ago = re.fullmatch(r"(\d{1,6})([smhdw])", text)
    if ago is not None:
        return now_ms - int(ago[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[ago[2]] * 1000
    timed = leading_time(text if "T" in text or " " in text else f"{text}T00:00:00Z")
    if timed is None or timed[1] or not timed[0].dated:
        raise typer.BadParameter(
            f"{text!r} is neither a time like 2026-11-23T09:40:00Z nor 30m, 2h, 1d", param_hint=name
        )
    return timed[0].unix_ms


def _iso(text: str | None, now_ms: int, name: str) -> str:
    at_ms = _time(text, now_ms, name)
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat() if at_ms is not None else ""


def _fetch(reader: LogReader, kept: _Kept | None, since: str, until: str, service_id: str) -> None:
    """The latest deployment's log and its edge's rows, by Railway's API."""
    import asyncio

    from callpath.cli.environment import Exit, named_values
    from callpath.clock import SystemClock
    from callpath.doctor.logs.fetching import fetch_railway
    from callpath.doctor.probes.railway import ENDPOINT, Railway
    from callpath.errors import PlatformError

    values = named_values()
    token, api_token = values.get("RAILWAY_TOKEN", ""), values.get("RAILWAY_API_TOKEN", "")
    service_id = service_id or values.get("RAILWAY_SERVICE_ID", "")
    missing = "RAILWAY_TOKEN" if not token and not api_token else "RAILWAY_SERVICE_ID" if not service_id else ""
    if missing:
        typer.secho(
            f"callpath: --railway needs {missing}: a project token is made in the project's settings, the service's id "
            "stands in its address (RAILWAY_SERVICE_ID, or --service)",
            err=True,
            fg="red",
        )
        raise typer.Exit(Exit.CONFIGURATION)

    async def ask() -> dict[str, list[dict[str, object]]]:
        endpoint = values.get("RAILWAY_API_URL") or ENDPOINT
        async with Railway(clock=SystemClock(), token=token, api_token=api_token, endpoint=endpoint) as railway:
            return await fetch_railway(
                railway,
                service_id=service_id,
                project_id=values.get("RAILWAY_PROJECT_ID", ""),
                environment_id=values.get("RAILWAY_ENVIRONMENT_ID", ""),
                since=since,
                until=until,
            )

    try:
        files = asyncio.run(ask())
    except PlatformError as error:
        typer.secho(f"callpath: {error}", err=True, fg="red")
        raise typer.Exit(Exit.NETWORK) from None
    for name, rows in files.items():
        data = json.dumps(rows).encode()
        reader.read(name, [data])
        if kept is not None:
            kept.spool(name).write(data)
