"""`callpath simulate`: a Telnyx simulator that stays up, and its one-shot forms: call, outbound, scenario, load."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callpath.cli import simulate_report as reports
from callpath.cli.environment import clear_errors
from callpath.errors import AudioError, ConfigError

if TYPE_CHECKING:
    from callpath.audio.pcm import Pcm
    from callpath.simulator.options import CarrierOptions
    from callpath.simulator.scenario import CallPlan, CallResult
    from callpath.simulator.simulator import Simulator

app = typer.Typer(help="A Telnyx simulator on this machine.", rich_markup_mode=None)

PORT = 8099
FILE_NAME_CHARS_MAX = 250
"""What is longer is a text: an operating system refuses it even as a question."""
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
Texml = Annotated[
    str | None,
    typer.Option(help="The called number belongs to a TeXML application: fetch this document, in place of --webhook."),
]
Callees = Annotated[
    list[str] | None,
    typer.Option(
        "--callee",
        help="Who is dialled: SCRIPT for every number, or NUMBER=SCRIPT; `simulate callees` lists them. Several times.",
    ),
]
KeySeed = Annotated[str, typer.Option(help="64 hex digits: the key that signs webhooks. The default is public.")]


SomeWebhook = Annotated[str | None, typer.Option(help="The program's webhook URL; a dial may name its own.")]
Say = Annotated[str | None, typer.Option(help="A WAV file, or a text for espeak-ng. Default: a recorded hello.")]
Digits = Annotated[str, typer.Option(help="Keys pressed once the stream is open.")]
Faults = Annotated[list[str] | None, typer.Option("--fault", help="NAME or NAME=VALUE; `simulate faults` lists them.")]
Seed = Annotated[int, typer.Option(help="Decides every chance in the faults: the same again for the same seed.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document.")]
Junit = Annotated[Path | None, typer.Option(help="Also write the result as JUnit XML.")]
Record = Annotated[Path | None, typer.Option(help="Stereo WAV: left the caller, right what the caller heard.")]
ExpectAudio = Annotated[bool, typer.Option("--expect-audio", help="Exit code 5 if nothing, or only noise, was heard.")]
HangupAfter = Annotated[str, typer.Option(help="From the open stream to the hang-up: 10s, 500ms, 2m.")]
AnswerWithin = Annotated[str, typer.Option(help="How long to wait for the stream to open.")]


@app.callback(invoke_without_command=True)
def simulate(
    context: typer.Context,
    port: Port = PORT,
    api_key: ApiKey = DEVELOPMENT_API_KEY,
    private_key_seed: KeySeed = DEVELOPMENT_SEED,
    webhook: SomeWebhook = None,
    texml: Texml = None,
    reach_at: ReachAt = None,
    opposite_plays: OppositePlays = False,
    seed: Seed = 0,
    callee: Callees = None,
) -> None:
    """Run a Telnyx simulator until Ctrl-C: its API takes commands and dials, a page at /simulator places calls."""
    if context.invoked_subcommand is None:
        with clear_errors():
            options = read_options(reach_at, opposite_plays)
            telnyx = make_simulator(webhook, port, api_key, private_key_seed, options, seed, texml=texml)
            add_callees(telnyx, callee)
            with suppress(KeyboardInterrupt):
                asyncio.run(_serve(telnyx))


@app.command("call")
def call(
    webhook: SomeWebhook = None,
    texml: Texml = None,
    from_: Annotated[str, typer.Option("--from", help="Who calls.")] = "+15555550123",
    to: Annotated[str, typer.Option(help="The number called.")] = "+15555550199",
    say: Say = None,
    dtmf: Digits = "",
    hangup_after: HangupAfter = "6s",
    answer_within: AnswerWithin = "10s",
    expect_audio: ExpectAudio = False,
    record: Record = None,
    fault: Faults = None,
    callee: Callees = None,
    seed: Seed = 0,
    port: Port = PORT,
    api_key: ApiKey = DEVELOPMENT_API_KEY,
    private_key_seed: KeySeed = DEVELOPMENT_SEED,
    reach_at: ReachAt = None,
    opposite_plays: OppositePlays = False,
    as_json: AsJson = False,
    junit: Junit = None,
) -> None:
    """Place one inbound call and report how far it came, and what was heard."""
    need_address(webhook, texml)
    with clear_errors():
        from callpath.simulator.scenario import CallPlan

        options = read_options(reach_at, opposite_plays)
        telnyx = make_simulator(webhook, port, api_key, private_key_seed, options, seed, texml=texml)
        add_callees(telnyx, callee)
        plan = CallPlan(
            name="call",
            from_=from_,
            to=to,
            faults=_faults(fault),
            say=read_speech(say),
            **_talk(dtmf, hangup_after, answer_within),
            expect_audio=expect_audio,
        )
        finish_call(asyncio.run(_one(telnyx, plan, record)), seed, record, as_json=as_json, junit=junit)


@app.command("outbound")
def outbound(
    dial_url: Annotated[str | None, typer.Option(help="POSTed to once, so that the program dials.")] = None,
    within: Annotated[str, typer.Option(help="How long to wait for the program to dial.")] = "60s",
    rings: Annotated[str, typer.Option(help="How long the phone rings.")] = "200ms",
    busy: Annotated[bool, typer.Option("--busy", help="The number dialled is busy.")] = False,
    no_answer: Annotated[bool, typer.Option("--no-answer", help="Nobody picks up.")] = False,
    callee: Annotated[str | None, typer.Option(help="Who is dialled; `simulate callees` lists the scripts.")] = None,
    webhook: SomeWebhook = None,
    say: Say = None,
    dtmf: Digits = "",
    hangup_after: HangupAfter = "6s",
    answer_within: AnswerWithin = "10s",
    expect_audio: ExpectAudio = False,
    record: Record = None,
    fault: Faults = None,
    seed: Seed = 0,
    port: Port = PORT,
    api_key: ApiKey = DEVELOPMENT_API_KEY,
    private_key_seed: KeySeed = DEVELOPMENT_SEED,
    reach_at: ReachAt = None,
    opposite_plays: OppositePlays = False,
    as_json: AsJson = False,
    junit: Junit = None,
) -> None:
    """Wait for the program to dial, pick up, speak, listen, and report."""
    with clear_errors():
        from dataclasses import replace

        from callpath.simulator.callee import parse_callee
        from callpath.simulator.figures import parse_duration_ms
        from callpath.simulator.scenario import CallPlan
        from callpath.simulator.simulator import Callee

        faults = _faults(fault)
        if callee is not None and (busy or no_answer or say is not None):
            hint = "Write --callee busy, --callee no-answer, or --callee hello,says=TEXT"
            raise ConfigError("--callee", "does not go with --busy, --no-answer and --say", hint)
        telnyx = make_simulator(webhook, port, api_key, private_key_seed, read_options(reach_at, opposite_plays), seed)
        plan = CallPlan(
            name="outbound call",
            outbound=True,
            faults=faults,
            **_talk(dtmf, hangup_after, answer_within),
            dialled_within_ms=parse_duration_ms(within, "--within"),
            expect_audio=expect_audio,
            callee=replace(
                parse_callee(callee),
                rings_ms=parse_duration_ms(rings, "--rings"),
                faults=faults,
            )
            if callee is not None
            else Callee(
                rings_ms=parse_duration_ms(rings, "--rings"),
                rejects="user_busy" if busy else None,
                never_answers=no_answer,
                say=read_speech(say),
                faults=faults,
            ),
        )
        result = asyncio.run(_one(telnyx, plan, record, dial_url))
        finish_call(result, seed, record, as_json=as_json, junit=junit)


@app.command("scenario")
def scenario(
    file: Annotated[Path, typer.Argument(help="YAML; docs/howto/use-the-simulator.md has one.")],
    webhook: Annotated[str | None, typer.Option(help="In place of the one in the file.")] = None,
    fault: Faults = None,
    seed: Annotated[int | None, typer.Option(help="In place of the one in the file.")] = None,
    record: Annotated[Path | None, typer.Option(help="Folder for a stereo WAV of each call.")] = None,
    port: Port = PORT,
    api_key: ApiKey = DEVELOPMENT_API_KEY,
    private_key_seed: KeySeed = DEVELOPMENT_SEED,
    reach_at: ReachAt = None,
    opposite_plays: OppositePlays = False,
    texml: Texml = None,
    as_json: AsJson = False,
    junit: Junit = None,
) -> None:
    """Play the calls of a file, and judge them by what it expects."""
    with clear_errors():
        from dataclasses import replace

        from callpath.simulator.scenario import Result, read_scenario, run_scenario

        read = read_scenario(file)
        more = _faults(fault)
        calls = tuple(
            replace(one, faults=one.faults + more, callee=replace(one.callee, faults=(*one.callee.faults, *more)))
            for one in read.calls
        )
        plan = replace(read, calls=calls, seed=read.seed if seed is None else seed, webhook=webhook or read.webhook)
        options = replace(
            plan.options,
            reach_at=_reach_at(reach_at) or plan.options.reach_at,
            opposite_plays=opposite_plays or plan.options.opposite_plays,
        )
        telnyx = make_simulator(plan.webhook, port, api_key, private_key_seed, options, plan.seed, texml=texml)

        async def run() -> Result:
            with reports.progress(len(plan.calls), plan.name) as more_done:
                async with telnyx:
                    print_settings(telnyx, err=True)
                    return await run_scenario(plan, telnyx, on_call=lambda _: more_done(1))

        result = asyncio.run(run())
        for number, one in enumerate(result.calls, 1):
            if record is not None and one.caller is not None:
                record.mkdir(parents=True, exist_ok=True)
                one.caller.write_recording(record / f"{number:03}.wav")
        reports.finish(result, as_json=as_json, junit=junit, show=reports.print_result)


@app.command("faults")
def faults(as_json: AsJson = False) -> None:
    """List what can go wrong, what a server must do then, and what the doctor should call it."""
    from callpath.simulator import control_faults as control_faults  # they join the table
    from callpath.simulator.link import FAULTS, fault_fields

    rows = [
        {
            "name": name,
            "side": fault.SIDE,
            "takes": fault_fields(name),
            "what": " ".join((fault.__doc__ or "").split()),
            "server_must": fault.MUST,
            "doctor_says": fault.CAUSE,
        }
        for name, fault in FAULTS.items()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        takes: dict[str, Any] = row["takes"]  # type: ignore[assignment]  # as made above
        first = next(iter(takes.values()), None)
        more = f"  ({', '.join(f'{key}:{value}' for key, value in takes.items())})" if len(takes) > 1 else ""
        typer.echo(f"{row['name']}{'' if first is None else f'={first}'}{more}   [{row['side']}]")
        typer.echo(f"    {row['what']}")
        typer.echo(f"    A server must: {row['server_must']}")
        typer.echo(f"    The doctor says: {row['doctor_says']}")


@app.command("callees")
def callees(as_json: AsJson = False) -> None:
    """List the scripts of dialled parties, for --callee."""
    from callpath.simulator.callee import SCRIPTS

    if as_json:
        typer.echo(json.dumps({name: what for name, (_, what) in SCRIPTS.items()}, indent=2))
        return
    _list((name, what) for name, (_, what) in SCRIPTS.items())


@app.command("figures")
def figures() -> None:
    """List the figures that can be expected of calls."""
    from callpath.simulator.figures import FIGURES, TOTALS

    _list((FIGURES | TOTALS).items())


def _list(rows: Iterable[tuple[str, str]]) -> None:
    for name, text in rows:
        typer.echo(f"{name:18} {text}")


# --- putting things together ------------------------------------------------------------------------------------------


def _faults(texts: list[str] | None) -> tuple[Any, ...]:
    from callpath.simulator.link import parse_fault

    return tuple(parse_fault(text) for text in texts or ())


def read_speech(say: str | None) -> Pcm:
    """Loaded before the call: a slip is named at once. A name of a file that is there counts as a file."""
    from callpath.simulator.caller import SAMPLE_RATE_HZ
    from callpath.simulator.simulator import hello_wav
    from callpath.simulator.speech import load_speech

    if say is None:
        return load_speech(hello_wav(), None, SAMPLE_RATE_HZ)
    is_file = len(say) < FILE_NAME_CHARS_MAX and Path(say).is_file()
    try:
        return load_speech(Path(say) if is_file else say, None, SAMPLE_RATE_HZ)
    except AudioError as error:
        raise ConfigError("--say", "cannot be said", str(error)) from None


def _talk(dtmf: str, hangup_after: str, answer_within: str) -> dict[str, Any]:
    """What `call` and `outbound` have in common, as fields of a CallPlan."""
    from callpath.simulator.figures import parse_duration_ms
    from callpath.simulator.scenario import Step

    if unknown := set(dtmf) - set("0123456789ABCD*#"):
        raise ConfigError("--dtmf", f"has {sorted(unknown)[0]!r}, which is no key", "Keys are 0 to 9, A to D, * and #")
    press = [Step("press", dtmf)] if dtmf else []
    return {
        "steps": (*press, Step("listen", parse_duration_ms(hangup_after, "--hangup-after"))),
        "stream_within_ms": parse_duration_ms(answer_within, "--answer-within"),
    }


async def _one(telnyx: Simulator, plan: CallPlan, record: Path | None, dial_url: str | None = None) -> CallResult:
    from callpath.simulator.scenario import play_call

    async with telnyx:
        print_settings(telnyx, err=True)  # stdout is for the report
        if dial_url is None:
            result = await play_call(plan, telnyx)
        else:
            try:
                async with asyncio.TaskGroup() as tasks:
                    asking = tasks.create_task(_ask_to_dial(dial_url, telnyx), name="ask to dial")
                    result = await play_call(plan, telnyx)
                    asking.cancel()  # some answer only when their call is over
            except* ConfigError as group:
                raise group.exceptions[0] from None
        if record is not None and result.caller is not None:
            result.caller.write_recording(record)
        return result


async def _ask_to_dial(url: str, telnyx: Simulator) -> None:
    """A program whose dial was refused may say so with an error of its own: the report tells of the refusal."""
    import httpx2

    from callpath.simulator.scenario import refused_dials

    try:
        async with httpx2.AsyncClient(trust_env=False, timeout=None) as http:
            answer = await http.post(url)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ConfigError("--dial-url", f"could not be reached: {error}", "It is a URL of the program") from None
    if answer.status_code >= 400 and not refused_dials(telnyx):
        raise ConfigError("--dial-url", f"answered HTTP {answer.status_code}", "It must make the program dial")


def finish_call(call: CallResult, seed: int, record: Path | None, *, as_json: bool, junit: Path | None) -> None:
    """Print one call and leave with its exit code."""
    from callpath.simulator.scenario import judge

    result = judge(call.name, (call,), (), seed=seed)
    recording = record if call.caller is not None else None
    if as_json:
        typer.echo(json.dumps(reports.call_document(call, recording) | {"seed": seed}, indent=2))
    else:
        reports.print_call(call, recording)
    reports.finish(result, as_json=False, junit=junit, show=lambda _: None)


def read_options(reach_at: str | None, opposite_plays: bool) -> CarrierOptions:
    from callpath.simulator.options import CarrierOptions

    return CarrierOptions(reach_at=_reach_at(reach_at), opposite_plays=opposite_plays)


def _reach_at(reach_at: str | None) -> str | None:
    if reach_at is not None and not reach_at.startswith(("ws://", "wss://")):
        raise ConfigError("--reach-at", f"is {reach_at!r}", "Right is, for example, --reach-at ws://127.0.0.1:6000")
    return reach_at


def make_simulator(
    webhook: str | None,
    port: int,
    api_key: str,
    private_key_seed: str,
    options: CarrierOptions,
    seed: int = 0,
    *,
    texml: str | None = None,
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
    if texml is not None and not texml.startswith(("http://", "https://")):
        raise ConfigError("--texml", f"is {texml!r}, which is no URL", "Right is http://127.0.0.1:6000/texml")
    return Simulator(webhook, options=options, port=port, api_key=api_key, private_key=key, seed=seed, texml_url=texml)


def add_callees(telnyx: Simulator, texts: list[str] | None) -> None:
    """`NUMBER=SCRIPT` is for one number, or for all that begin so where it ends with an asterisk; else for every number."""
    for text in texts or ():
        number, equals, script = text.partition("=")
        if equals and number.startswith(("+", "sip:", "sips:")):
            telnyx.set_callee_of(number, script)
        else:
            telnyx.set_callee_of("*", text)


def need_address(webhook: str | None, texml: str | None) -> None:
    """Exactly one of the two says whom to call."""
    if (webhook is None) == (texml is None):
        problem = "Give the program's --webhook URL, or --texml for a TeXML application"
        raise typer.BadParameter(problem if webhook is None else "Give only one of --webhook and --texml")


def print_settings(telnyx: Simulator, *, err: bool) -> None:
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
        print_settings(telnyx, err=False)
        typer.echo(f"Page: {telnyx.api_base.removesuffix('/v2')}/simulator", err=True)
        typer.echo("Serving until Ctrl-C.", err=True)
        await asyncio.Event().wait()
