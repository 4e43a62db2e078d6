"""`callpath simulate load`: many calls at once, and whether the program, or this machine, bore them."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callpath.cli import simulate_report as reports
from callpath.cli.environment import clear_errors
from callpath.cli.simulate import (
    DEVELOPMENT_API_KEY,
    DEVELOPMENT_SEED,
    PORT,
    ApiKey,
    AsJson,
    Junit,
    KeySeed,
    OppositePlays,
    Port,
    ReachAt,
    Seed,
    SomeWebhook,
    Texml,
    make_simulator,
    need_address,
    print_settings,
    read_options,
    read_speech,
)

if TYPE_CHECKING:
    from callpath.simulator.load import LoadPlan
    from callpath.simulator.scenario import Result
    from callpath.simulator.simulator import Simulator


def load(
    webhook: SomeWebhook = None,
    calls: Annotated[int, typer.Option(min=1, max=10_000, help="How many at once.")] = 10,
    ramp: Annotated[str, typer.Option(help="In which time they begin, evenly: 10s, 500ms.")] = "5s",
    duration: Annotated[str, typer.Option(help="How long all of them stay, after the ramp.")] = "30s",
    say: Annotated[str | None, typer.Option(help="WAV or text said again and again, in place of the tone.")] = None,
    expect: Annotated[list[str] | None, typer.Option(help='What must hold: "p99_rtt_ms < 40". Repeatable.')] = None,
    seed: Seed = 0,
    port: Port = PORT,
    api_key: ApiKey = DEVELOPMENT_API_KEY,
    private_key_seed: KeySeed = DEVELOPMENT_SEED,
    reach_at: ReachAt = None,
    opposite_plays: OppositePlays = False,
    texml: Texml = None,
    as_json: AsJson = False,
    junit: Junit = None,
) -> None:
    """Place many calls at once; a sound goes out each second, and its echo is timed. Blames nobody if it is late itself."""
    need_address(webhook, texml)
    with clear_errors():
        from dataclasses import replace

        import uvicorn

        from callpath.simulator.figures import parse_duration_ms, parse_expectation
        from callpath.simulator.load import LoadPlan

        plan = LoadPlan(
            calls=calls,
            ramp_ms=parse_duration_ms(ramp, "--ramp"),
            duration_ms=parse_duration_ms(duration, "--duration"),
            expect=tuple(parse_expectation(text, total=True) for text in expect or ()),
            say=None if say is None else read_speech(say),
        )
        options = replace(read_options(reach_at, opposite_plays), calls_max=max(1_000, 2 * calls))
        telnyx = make_simulator(webhook, port, api_key, private_key_seed, options, seed, texml=texml)
        # uvloop where it is there: half the cost of a frame is the event loop's.
        loop_factory = uvicorn.Config("", loop="auto", log_config=None).get_loop_factory()
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            result, about = runner.run(_run(plan, telnyx))
        if junit is not None:
            reports.write_junit(result, junit)
        if as_json:
            document = reports.result_document(result) | {"load": about}
            typer.echo(json.dumps(document, indent=2))
        else:
            _print(result, about)
        if result.outcome != "ok":
            raise typer.Exit(reports.EXITS[result.outcome])


async def _run(plan: LoadPlan, telnyx: Simulator) -> tuple[Result, dict[str, Any]]:
    from callpath.simulator.load import run_load

    with reports.progress(int(plan.ramp_ms + plan.duration_ms), f"{plan.calls} calls") as advance:
        async with telnyx:
            print_settings(telnyx, err=True)
            return await run_load(plan, telnyx, on_progress=lambda ms: advance(int(ms)))


def _print(result: Result, about: dict[str, Any]) -> None:
    from callpath.simulator.figures import summaries

    reports.print_figures(summaries(result.figures))
    typer.echo(f"{about['frames_out']} frames to the program, {about['frames_in']} from it")
    if about["pulses"]:
        typer.echo(f"{about['pulses_back']} of {about['pulses']} tones came back")
    if about["dropped"]:
        typer.echo(f"{about['dropped']} frames were dropped, since the program did not read")
    cost = about["cpu_us_per_frame_pair"]
    used = "no frame was sent" if cost is None else f"{cost} µs of processor for a frame out and in"
    typer.echo(
        f"The load generator itself: {used}, late by "
        f"{about['late_p50_ms']} ms (p50), {about['late_p99_ms']} ms (p99), {about['late_max_ms']} ms (max)"
    )
    # The sentence of the first call stands for all of its code: URLs in it differ from call to call.
    reasons = Counter(call.code for call in result.calls if call.sentences)
    first = {call.code: call.sentences[0] for call in reversed(result.calls) if call.sentences}
    for code, times in reasons.most_common(5):
        typer.echo(f"✘ {times} x {first[code]}")
    for sentence in result.sentences:
        typer.echo(f"✘ {sentence}")
    typer.echo(f"load: {result.outcome}")
