"""Scenarios: read with the line of each slip, played against a small bot, judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from callpath.audio.tone import tone
from callpath.audio.wav import write_wav
from callpath.errors import ConfigError
from callpath.simulator.figures import parse_expectation
from callpath.simulator.link import Stalls
from callpath.simulator.scenario import CallResult, judge, parse_scenario, read_scenario, run_scenario
from callpath.simulator.simulator import Simulator
from tests.simulator.bot import running

WHOLE = """
name: a caller books a table
webhook: http://127.0.0.1:6000/hook
seed: 7
faults: [chunks_lost=0.1]
account: {leg_codec: PCMA, answer_ms: 10}
calls:
  - name: talker
    from: +15555550101
    repeat: 2
    start_after: 500ms
    faults:
      - stalls: {for_ms: 500, after_ms: 200}
      - drops: 800
    steps:
      - wait_for_speech: 5s
      - say: question.wav
      - barge_in: {say: question.wav, after: 400ms}
      - press: "12#"
      - listen
      - hang_up
    expect: [first_audio_ms < 1500]
  - direction: outbound
    rejects: user_busy
expect: [p99_rtt_ms < 40, failed_calls == 0]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_wav(tmp_path / "question.wav", tone(440, duration_ms=200), 8000)
    return tmp_path


def test_everything_that_can_be_written_is_read(folder: Path) -> None:
    """One file with each key in it."""
    (folder / "table.yaml").write_text(WHOLE)
    scenario = read_scenario(folder / "table.yaml")
    first, second, dialled = scenario.calls

    assert ("a caller books a table", 7, "PCMA", 10) == (
        scenario.name,
        scenario.seed,
        scenario.options.leg_codec,
        scenario.options.answer_ms,
    )
    assert ["talker 1", "talker 2", "call 3"] == [call.name for call in scenario.calls]
    assert first.steps == second.steps
    assert ("+15555550101", 500.0) == (first.from_, first.start_after_ms)
    assert ["chunks_lost", "stalls", "drops"] == [fault.NAME for fault in first.faults]
    assert Stalls(for_ms=500.0, after_ms=200.0) == first.faults[1]
    assert ["wait_for_speech", "say", "barge_in", "press", "listen", "hang_up"] == [step.kind for step in first.steps]
    assert [5_000.0, 400.0, "12#", 1_000.0] == [
        first.steps[0].value,
        first.steps[2].after_ms,
        first.steps[3].value,
        first.steps[4].value,
    ]
    assert 1600 == first.steps[1].value.size
    assert (True, "user_busy") == (dialled.outbound, dialled.callee.rejects)
    assert ["p99_rtt_ms < 40", "failed_calls == 0"] == [one.text for one in scenario.expect]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("steps: [", "s:1 is no YAML"),
        ("stepps: []", "s:1: stepps is not a key of the scenario. Did you mean steps?"),
        ("name: x\n", "s:1: calls or steps must be there"),
        ("calls: []", "s:1: calls are 0"),
        ("calls:\n  - stepps: []", "s:2: stepps is not a key of a call. Did you mean steps?"),
        ("calls:\n  - steps:\n      - sai: x.wav", "s:3: sai is no step. Did you mean say?"),
        ("steps:\n  - say: gone.wav", "s:2: say cannot be said: gone.wav cannot be read"),
        ("steps:\n  - say", "s:2: say says nothing"),
        ("steps:\n  - press: 12x", "s:2: press is '12x'"),
        ("steps:\n  - listen: soon", "s:2: listen is 'soon'"),
        ("steps:\n  - listen: 1s\n    press: 1", "s:2: steps has several things in one step"),
        ("steps: [listen]\nfaults: [typo]", "s:2: faults 'typo' is not known"),
        ("steps: [listen]\nfaults:\n  - chunks_lost: 2", "s:3: faults chunks_lost=2 is out of range"),
        ("steps: [listen]\nfaults:\n  - stalls: {form_ms: 2}", "s:3: faults stalls has no 'form_ms'"),
        ("steps: [listen]\nexpect:\n  - rtt < 1", "s:3: expect knows no figure 'rtt'. Did you mean rtt_ms?"),
        ("steps: [listen]\nseed: often", "s:2: seed is 'often'"),
        ("steps: [listen]\nseed: 1\nseed: 2", "s:3: seed stands there twice"),
        ("steps: [listen]\naccount: {leg_codec: MP3}", "s:2: leg_codec Invalid enum value 'MP3'"),
        ("steps: [listen]\nwebhook: localhost", "s:2: webhook is 'localhost'"),
        ("calls: [{repeat: 0}]", "s:1: repeat is 0"),
        ("calls: [{rejects: user_busy}]", "s:1: rejects is for outbound calls"),
        ("calls: [{callee: busy}]", "s:1: callee is for outbound calls"),
        ("calls: [{direction: outbound, callee: lazy}]", "s:1: callee 'lazy' is no script"),
        ("calls: [{direction: outbound, callee: busy, rejects: user_busy}]", "s:1: rejects does not go with callee"),
        ("calls: [{direction: out}]", "s:1: direction is 'out'"),
        ("[1, 2]", "s:1: the scenario is no mapping"),
        ("calls: {a: 1}", "s:1: calls is no list"),
    ],
)
def test_a_slip_is_named_with_its_line(text: str, problem: str) -> None:
    """The only thing that a person wants from a parser."""
    with pytest.raises(ConfigError) as caught:
        parse_scenario(text, name="s")

    assert problem in str(caught.value)


def test_a_callee_is_a_script() -> None:
    """The same names as on the command line; `rings` of the call wins."""
    text = 'calls: [{direction: outbound, callee: "voicemail,says=Hi", rings: 50ms, faults: [{drops: 800}]}]'
    callee = parse_scenario(text, name="s").calls[0].callee

    assert ("voicemail", "Hi", 50.0, 1) == (callee.kind, callee.say, callee.rings_ms, len(callee.faults))


async def test_calls_are_played_and_judged(folder: Path) -> None:
    """Two callers with an echo: one is content, the other expects what no echo does."""
    scenario = parse_scenario(
        """
        name: echo
        calls:
          - name: content
            steps: [{say: question.wav}, {wait_for_speech_end: 5s}, {press: "1"}, hang_up]
            expect: [rtt_ms < 900, echo_likeness > 0.9, streams == 1]
          - name: demanding
            steps: [{say: question.wav}, {wait_for_speech: 5s}]
            expect: [response_gap_ms < 1000]
        expect: [failed_calls == 0, calls == 2]
        """,
        folder=folder,
    )
    seen: list[str] = []
    async with Simulator() as telnyx, running(telnyx) as bot:
        result = await run_scenario(scenario, telnyx, on_call=lambda one: seen.append(one.name))

    content, demanding = result.calls
    assert ("ok", ()) == (content.outcome, content.sentences)
    assert demanding.outcome in ("missed", "inconclusive")  # the latter on a machine that is too slow to judge by
    assert "response_gap_ms < 1000: it was not measured" == demanding.sentences[0]
    assert demanding.outcome == result.outcome
    assert () == result.sentences
    assert {"content", "demanding"} == set(seen)
    assert "call.dtmf.received" in bot.names()


async def test_a_call_that_gets_nowhere_fails_with_its_reason(folder: Path) -> None:
    """Not an exception: the other calls of the scenario go on."""
    scenario = parse_scenario(
        "calls: [{name: lost, stream_within: 5s, faults: [connects_elsewhere], steps: [listen]}]", folder=folder
    )
    async with Simulator() as telnyx, running(telnyx):
        result = await run_scenario(scenario, telnyx)

    assert "failed" == result.outcome
    assert "answered HTTP 403" in result.calls[0].sentences[0]


async def test_a_fault_that_ends_the_call_need_not_be_a_failure() -> None:
    """Else no scenario could break the line on purpose and still be green."""
    text = "calls: [{may_fail: true, faults: [drops=100], steps: [listen: 500ms], expect: [frames_out > 0]}]"
    async with Simulator() as telnyx, running(telnyx):
        result = await run_scenario(parse_scenario(text), telnyx)

    assert "ok" == result.outcome
    assert "was lost" in result.calls[0].sentences[0]


async def test_nobody_at_the_webhook_is_another_failure() -> None:
    """A program that is not up is no fault of its code: the exit code says which."""
    async with Simulator("http://127.0.0.1:9/hook") as telnyx:
        result = await run_scenario(parse_scenario("calls: [{stream_within: 300ms}]"), telnyx)

    assert "unreachable" == result.outcome


async def test_without_a_webhook_there_is_one_clear_error() -> None:
    """Not a group of exceptions, one for each call."""
    async with Simulator() as telnyx:
        with pytest.raises(ConfigError, match="webhook_url is not set"):
            await run_scenario(parse_scenario("calls: [{repeat: 3}]"), telnyx)


def result(outcome: str, late_ms: float, rtt_ms: float) -> CallResult:
    figures = {"late_ms": [late_ms], "rtt_ms": [rtt_ms]}
    return CallResult(name="x", outcome=outcome, sentences=(), figures=figures, report={}, caller=None)  # type: ignore[arg-type]


def test_whoever_was_late_himself_blames_nobody() -> None:
    """A machine that stood still for 300 ms measures itself."""
    expect = (parse_expectation("rtt_ms < 40", total=True),)

    assert "ok" == judge("x", [result("ok", 0, 30)], expect).outcome
    assert "missed" == judge("x", [result("ok", 0, 50)], expect).outcome
    late = judge("x", [result("ok", 300, 350)], expect)
    assert "inconclusive" == late.outcome
    assert "the load generator itself was late, by 300 ms" in late.sentences[-1]
    assert "ok" == judge("x", [result("ok", 300, 30)], expect).outcome, "what held although it was late, held"
    assert "inconclusive" == judge("x", [result("ok", 0, 30)], expect, late_ms=30, late_ms_max=10).outcome


def test_a_run_is_as_good_as_its_worst_call() -> None:
    """And a call that went wrong counts as failed."""
    whole = judge("x", [result("ok", 0, 1), result("silent", 0, 1), result("missed", 0, 1)], ())

    assert "silent" == whole.outcome
    assert [1.0] == whole.figures["failed_calls"]
    assert np.isclose(3.0, whole.figures["calls"][0])
