"""`callpath simulate`: a stand-in Telnyx that runs on; `callpath simulate call`: one inbound call, and how it went."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callpath.cli.environment import Exit, clear_errors
from callpath.errors import ConfigError

if TYPE_CHECKING:
    from callpath.simulator.options import CarrierOptions
    from callpath.simulator.simulator import Simulator

app = typer.Typer(help="A stand-in Telnyx on this machine.", rich_markup_mode=None)

PORT = 8099
DEVELOPMENT_API_KEY = "KEYcallpath-development-only"
DEVELOPMENT_SEED = b"callpath-development-only-key-01".hex()
"""Fixed, so that a server set up once fits every later run. Whoever has this text can sign for it, so no server that
the world can reach may trust it."""

Port = Annotated[int, typer.Option(min=0, max=65535, help="Loopback port of the API; 0 takes a free one.")]
ApiKey = Annotated[str, typer.Option(help="The key that the API accepts.")]
ReachAt = Annotated[
    str | None,
    typer.Option(help="Open streams at ws://HOST:PORT, for a program whose TLS proxy is not here."),
]
OppositePlays = Annotated[
    bool,
    typer.Option("--opposite-plays", help="Let target legs `opposite` be heard on a single leg; reports differ."),
]
Seed = Annotated[str, typer.Option(help="64 hex digits: the key that signs webhooks. The default is public.")]


@app.callback(invoke_without_command=True)
def simulate(
    context: typer.Context,
    port: Port = PORT,
    api_key: ApiKey = DEVELOPMENT_API_KEY,
    private_key_seed: Seed = DEVELOPMENT_SEED,
    webhook: Annotated[str | None, typer.Option(help="Where events go, unless a dial names its own URL.")] = None,
    reach_at: ReachAt = None,
    opposite_plays: OppositePlays = False,
) -> None:
    """Run a stand-in Telnyx until Ctrl-C: its API takes commands and dials, its callee picks up and says hello."""
    if context.invoked_subcommand is None:
        with clear_errors():
            asyncio.run(
                _serve(_simulator(webhook, port, api_key, private_key_seed, _options(reach_at, opposite_plays)))
            )


@app.command("call")
def call(
    webhook: Annotated[str, typer.Option(help="The program's webhook URL.")],
    from_: Annotated[str, typer.Option("--from", help="Who calls.")] = "+15555550123",
    to: Annotated[str, typer.Option(help="The number called.")] = "+15555550199",
    say: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="A WAV that the caller says.")] = None,
    dtmf: Annotated[str, typer.Option(help="Keys pressed once the stream is open.")] = "",
    hangup_after: Annotated[float, typer.Option(min=0, help="Seconds from the open stream to the hang-up.")] = 6.0,
    answer_within: Annotated[float, typer.Option(min=0, help="Seconds to wait for the stream to open.")] = 10.0,
    record: Annotated[Path | None, typer.Option(help="Stereo WAV: left the caller, right what he heard.")] = None,
    fault: Annotated[list[str] | None, typer.Option(help="NAME or NAME=VALUE: connects_elsewhere=/wrong")] = None,
    seed: Annotated[int, typer.Option(help="Decides every chance in the faults.")] = 0,
    port: Port = PORT,
    api_key: ApiKey = DEVELOPMENT_API_KEY,
    private_key_seed: Seed = DEVELOPMENT_SEED,
    reach_at: ReachAt = None,
    opposite_plays: OppositePlays = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Place one inbound call and report how far it came. Exit code 0 only if every stage was reached."""
    with clear_errors():
        telnyx = _simulator(webhook, port, api_key, private_key_seed, _options(reach_at, opposite_plays), seed)
        spoken = {"from_": from_, "to": to, "say": say, "faults": fault or []}
        report = asyncio.run(_place(telnyx, spoken, dtmf, 1000 * answer_within, 1000 * hangup_after, record))
    if as_json:
        typer.echo(json.dumps(report, indent=2))
    else:
        _print(report)
    if report["failure"] is not None:
        raise typer.Exit(Exit.PROBLEM)


def _options(reach_at: str | None, opposite_plays: bool) -> CarrierOptions:
    from callpath.simulator.options import CarrierOptions

    if reach_at is not None and not reach_at.startswith(("ws://", "wss://")):
        raise ConfigError("--reach-at", f"is {reach_at!r}", "Right is, for example, --reach-at ws://127.0.0.1:6000")
    return CarrierOptions(reach_at=reach_at, opposite_plays=opposite_plays)


def _simulator(
    webhook: str | None, port: int, api_key: str, private_key_seed: str, options: CarrierOptions, seed: int = 0
) -> Simulator:
    from callpath.simulator.simulator import Simulator
    from callpath.wire.signature import PrivateKey

    try:
        key = PrivateKey.from_private_bytes(bytes.fromhex(private_key_seed))
    except ValueError:
        raise ConfigError("--private-key-seed", "is not 64 hex digits", "Make one: openssl rand -hex 32") from None
    if private_key_seed == DEVELOPMENT_SEED:
        warning = "# DEVELOPMENT ONLY: everybody knows this signing key. For a server that the world can reach, use"
        typer.secho(f"{warning} --private-key-seed.", err=True, fg="yellow")
    return Simulator(webhook, options=options, port=port, api_key=api_key, private_key=key, seed=seed)


def _print_settings(telnyx: Simulator, *, err: bool) -> None:
    """For the program under test, as lines of an environment file."""
    typer.echo("# Give these to the program under test:", err=err)
    typer.echo(f"TELNYX_API_BASE={telnyx.api_base}", err=err)
    typer.echo(f"TELNYX_API_KEY={telnyx.api_key}", err=err)
    typer.echo(f"TELNYX_PUBLIC_KEY={telnyx.public_key}", err=err)
    typer.echo(f"TELNYX_CONNECTION_ID={telnyx.options.connection_id}", err=err)


async def _serve(telnyx: Simulator) -> None:
    from callpath.simulator.simulator import Callee, hello_wav

    async with telnyx:
        telnyx.callee = Callee(say=hello_wav())
        _print_settings(telnyx, err=False)
        typer.echo("Serving until Ctrl-C.", err=True)
        await asyncio.Event().wait()


async def _place(
    telnyx: Simulator,
    spoken: dict[str, Any],
    dtmf: str,
    answer_ms: float,
    talk_ms: float,
    record: Path | None,
) -> dict[str, Any]:
    from callpath.clock import SystemClock
    from callpath.simulator.caller import CallFailed
    from callpath.simulator.simulator import hello_wav

    async with telnyx:
        _print_settings(telnyx, err=True)  # stdout is for the report
        caller = await telnyx.call(**{**spoken, "say": spoken["say"] or hello_wav()})
        try:
            await caller.stream_started(answer_ms)
            await caller.press(dtmf)
            await SystemClock().sleep_ms(talk_ms)
            failure = caller.failure
        except CallFailed as error:
            failure = str(error)
        await caller.hangup()
        await caller.ended()
        if record is not None:
            caller.write_recording(record)
        return caller.report() | {"failure": failure, "recording": None if record is None else str(record)}


def _print(report: dict[str, Any]) -> None:
    rows = [
        (webhook["at_ms"], f"webhook  {webhook['event']:22} {_answers(webhook['answers'])}")
        for webhook in report["webhooks"]
    ]
    rows += [
        (command["at_ms"], f"command  {command['name']:22} {command['status']} {', '.join(command['codes'])}".rstrip())
        for command in report["commands"]
    ]
    stream = report["stream"]
    if stream["opened_at_ms"] is not None:
        rows.append((stream["opened_at_ms"], "stream   open"))
    for at_ms, text in sorted(rows):
        typer.echo(f"{at_ms:7} ms  {text}")
    typer.echo(f"{stream['frames_out']} frames to the server, {stream['frames_in']} from it")
    typer.echo(f"{stream['heard_ms'] / 1000:.2f} s of audio heard")
    if report["recording"] is not None:
        typer.echo(f"Recording: {report['recording']} (left: the caller, right: what he heard)")
    silent = "" if stream["heard_ms"] else ", but nothing was heard"
    typer.echo(report["failure"] or f"Every stage was reached{silent}.")


def _answers(answers: list[int | None]) -> str:
    return ", ".join("no answer" if status is None else str(status) for status in answers) or "under way"
