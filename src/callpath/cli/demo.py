"""`callpath demo`: one phone call the whole way over real sockets, and one on which the audio path is broken.

The call server runs as its own process, as a user would start it; the Telnyx simulator runs in this one.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from callpath.cli.environment import Exit, clear_errors, named_values
from callpath.errors import CallpathError

if TYPE_CHECKING:
    from callpath.audio.pcm import Pcm
    from callpath.call.session import CallSession
    from callpath.simulator.simulator import Simulator
    from callpath.timeline import Entry

TALK_MS = 4_500
"""How long the caller stays on the line: the recording is 3.6 s long, and its echo must have come back."""

CORRELATION_MIN = 0.9
"""From here on what was heard counts as what was said. The echo of an untouched PCMU call reaches 0.999."""

PIECE, SPOKEN = 2_000, 2_000
"""Samples of a piece, a quarter second; and the loudness from which on one is spoken and no pause."""

START_MS_MAX = 20_000
NO_AUDIO_WAIT_MS = 5_000


@dataclass(frozen=True, slots=True)
class Result:
    """One demo call: what was expected, what happened, and whether they agree."""

    title: str
    ok: bool
    verdict: str
    session: CallSession
    entries: list[Entry]
    figures: dict[str, Any]


def demo(
    as_json: bool = typer.Option(False, "--json", help="One JSON document."),
    out: Path = typer.Option(Path("callpath-data/demo"), "--out", help="Where recordings and logs go."),
) -> None:
    """Take a phone call the whole way, with no account and no phone, and prove by sound that it worked."""
    with clear_errors():
        results = asyncio.run(_both_calls(out, quiet=as_json))
    ok = all(result.ok for result in results)
    if as_json:
        from callpath.cli.calls import call_document

        calls = [
            {"title": result.title, "ok": result.ok, "verdict": result.verdict, "figures": result.figures}
            | {"call": call_document(result.session, result.entries)}
            for result in results
        ]
        typer.echo(json.dumps({"ok": ok, "calls": calls}, indent=2))
    elif ok:
        typer.echo("Both calls went as they should: the good one carried sound, the broken one was understood.")
    else:
        typer.echo(f"The demo FAILED. The server's logs are in {out}.")
    raise typer.Exit(Exit.OK if ok else Exit.PROBLEM)


async def _both_calls(out: Path, *, quiet: bool) -> list[Result]:
    from callpath.simulator.simulator import Simulator

    out.mkdir(parents=True, exist_ok=True)
    results = []
    async with Simulator() as telnyx:
        port, nobody = _free_ports(2)
        async with _server(telnyx, out / "call-1", port=port, public_port=port):
            spoken = await _spoken_call(telnyx, out / "call-1.wav")
        results.append(await _good_call(out / "call-1", *spoken, out / "call-1.wav"))
        _show(results[-1], quiet)
        async with _server(telnyx, out / "call-2", port=port, public_port=nobody):
            heard_ms = await _silent_call(telnyx)
        results.append(await _broken_call(out / "call-2", heard_ms))
        _show(results[-1], quiet)
    return results


async def _spoken_call(telnyx: Simulator, recording: Path) -> tuple[float, float]:
    """A caller says hello to the echo. Returns how well what he heard fits what he said, and the delay in ms."""
    from callpath.clock import SystemClock
    from callpath.simulator.simulator import hello_wav

    caller = await telnyx.call(say=hello_wav())
    try:
        await caller.stream_started()
        await SystemClock().sleep_ms(TALK_MS)
    finally:
        await caller.hangup()
        await caller.ended()
    caller.write_recording(recording)
    return _likeness(caller.said, caller.heard)


def _likeness(said: Pcm, heard: Pcm) -> tuple[float, float]:
    """How well what was heard is what was said, from 0 to 1, and its delay in ms; both 8 kHz.

    The median over quarter seconds of speech: a busy machine puts pauses between them, and those are not the call's.
    """
    import numpy as np

    from callpath.audio.tone import find_delay_ms

    pieces = [(at, said[at : at + PIECE]) for at in range(0, said.size - PIECE, PIECE)]
    spoken = [(at, piece) for at, piece in pieces if np.abs(piece).max() > SPOKEN]
    if not spoken:
        return 0.0, 0.0
    matches = [(at, find_delay_ms(piece, heard, 8000)) for at, piece in spoken]
    delays = [match.delay_ms - at / 8 for at, match in matches]
    return float(np.median([match.correlation for _, match in matches])), float(np.median(delays))


async def _silent_call(telnyx: Simulator) -> float:
    """The same, but no socket can open. Returns the ms of audio that the caller heard."""
    from callpath.simulator.caller import CallFailed
    from callpath.simulator.simulator import hello_wav

    caller = await telnyx.call(say=hello_wav())
    try:
        await caller.stream_started(timeout_ms=NO_AUDIO_WAIT_MS)
    except CallFailed:
        pass
    finally:
        await caller.hangup()
        await caller.ended()
    return len(caller.heard) / 8


async def _good_call(data_dir: Path, correlation: float, delay_ms: float, recording: Path) -> Result:
    session, entries = await _timeline(data_dir)
    both_ways = session.missing_stage() is None and session.frames_in > 0 and session.frames_out > 0
    ok = both_ways and correlation >= CORRELATION_MIN
    if ok:
        verdict = "The caller heard himself: audio flowed both ways."
    else:
        from callpath.call.session import missing_stage_sentence

        verdict = missing_stage_sentence(session) or f"What came back is not what was said ({correlation:.2f})."
    figures = {
        "frames_in": session.frames_in,
        "frames_out": session.frames_out,
        "round_trip_ms": round(delay_ms, 1),
        "correlation": round(correlation, 3),
        "recording": str(recording),
    }
    return Result("A caller says hello to the echo handler", ok, verdict, session, entries, figures)


async def _broken_call(data_dir: Path, heard_ms: float) -> Result:
    from callpath.call.session import Stage, missing_stage_sentence

    session, entries = await _timeline(data_dir)
    ok = session.missing_stage() is Stage.SOCKET_RECEIVED and heard_ms == 0
    verdict = missing_stage_sentence(session) or "Audio flowed although nobody listened at the audio URL."
    title = "The same, but PUBLIC_URL names a port where nobody listens"
    return Result(title, ok, verdict, session, entries, {"heard_ms": heard_ms})


def _show(result: Result, quiet: bool) -> None:
    if quiet:
        return
    from callpath.cli.calls import timeline_text

    typer.secho(f"\n{result.title}", bold=True)
    typer.echo(timeline_text(result.session, result.entries, conclusion=False))
    figures = result.figures
    if "correlation" in figures:
        typer.echo(f"  frames      {figures['frames_in']} in, {figures['frames_out']} out")
        typer.echo(
            f"  round trip  {figures['round_trip_ms']:.0f} ms, found by laying what was heard over what was said"
        )
        typer.echo(f"  likeness    {figures['correlation']:.3f} of 1 (at least {CORRELATION_MIN} is the same speech)")
        typer.echo(f"  recording   {figures['recording']} (left: the caller, right: what he heard)")
    typer.secho(f"  {'✔' if result.ok else '✘'} {result.verdict}\n", fg="green" if result.ok else "red")


# --- the server ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _server(telnyx: Simulator, data_dir: Path, *, port: int, public_port: int) -> AsyncIterator[None]:
    """`callpath serve echo` as a process of its own, reachable by the simulator while this is entered."""
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / "callpath.db").unlink(missing_ok=True)
    environment = named_values() | {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "PUBLIC_URL": f"http://127.0.0.1:{public_port}",
        "DATABASE_URL": f"sqlite:///{data_dir / 'callpath.db'}",
        "CALLPATH_DATA_DIR": str(data_dir),
        "TELNYX_API_KEY": telnyx.api_key,
        "TELNYX_PUBLIC_KEY": telnyx.public_key,
        "TELNYX_API_BASE": telnyx.api_base,
    }
    with (data_dir / "server.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "callpath", "serve", "echo", env=environment, stdout=log, stderr=log
        )
        try:
            await _ready(process, port, data_dir / "server.log")
            telnyx.webhook_url = f"http://127.0.0.1:{port}/api/calls/webhook"
            yield
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _ready(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    import httpx2

    from callpath.clock import SystemClock

    clock = SystemClock()
    deadline_ms = clock.now_ms() + START_MS_MAX
    async with httpx2.AsyncClient(trust_env=False) as http:
        while process.returncode is None and clock.now_ms() < deadline_ms:
            try:
                if (await http.get(f"http://127.0.0.1:{port}/readyz")).is_success:
                    return
            except httpx2.TransportError:
                pass
            await clock.sleep_ms(50)
    raise CallpathError(f"the call server did not start; its log says:\n{log.read_text()[-2000:]}")


async def _timeline(data_dir: Path) -> tuple[CallSession, list[Entry]]:
    from callpath.call.session import fold
    from callpath.store.port import CallQuery
    from callpath.store.sql import open_call_log

    async with open_call_log(f"sqlite:///{data_dir / 'callpath.db'}") as log:
        calls = await log.overviews(CallQuery(limit=1))
        if not calls:
            raise CallpathError(f"no webhook reached the call server; see {data_dir / 'server.log'}")
        entries = await log.read(calls[0].session)
    return fold(calls[0].session, entries), entries


def _free_ports(count: int) -> list[int]:
    listeners = [socket.socket() for _ in range(count)]
    try:
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()
