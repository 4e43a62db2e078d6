"""Many calls at once: what is sent and counted, against a small bot."""

from __future__ import annotations

import pytest

from callpath.audio.tone import tone
from callpath.errors import ConfigError
from callpath.simulator.figures import parse_expectation
from callpath.simulator.load import LATE_P99_MS_MAX, LoadPlan, run_load
from callpath.simulator.simulator import Simulator
from tests.simulator.bot import STREAM, running
from tests.simulator.conftest import Foreign
from tests.telnyx import validate


async def test_the_round_trip_of_each_call_is_timed(echo_bot: Foreign) -> None:
    """Against an echo that is not ours: tones come back on each call, and what was sent is what is reported."""
    expect = (parse_expectation("failed_calls == 0", total=True),)
    plan = LoadPlan(calls=3, ramp_ms=100, duration_ms=1_200, expect=expect)
    passed: list[float] = []
    async with Simulator(echo_bot.webhook, port=echo_bot.port, api_key="KEYcallpath-development-only") as telnyx:
        result, about = await run_load(plan, telnyx, on_progress=passed.append)

    assert 3 == len(result.calls)
    assert result.outcome in ("ok", "inconclusive")  # the latter on a machine that is too slow to judge by
    assert ("inconclusive" == result.outcome) is (about["late_p99_ms"] > LATE_P99_MS_MAX)
    assert all(call.figures["rtt_ms"] for call in result.calls)
    assert about["pulses"] >= about["pulses_back"] >= 3
    assert 0 < min(result.figures["rtt_ms"])
    assert about["frames_out"] == sum(result.figures["frames_out"])
    assert passed


async def test_what_is_sent_is_what_telnyx_sends() -> None:
    """The frames are made by another way than a caller's; a server must not be able to tell."""
    async with Simulator() as telnyx, running(telnyx) as bot:
        await run_load(LoadPlan(calls=1, ramp_ms=0, duration_ms=3_000), telnyx)  # frames may be late on a busy machine

    assert ["connected", "start", "media"] == [frame["event"] for frame in bot.frames[:3]]
    assert "stop" == bot.frames[-1]["event"]
    for frame in bot.frames:
        assert [] == validate(frame, f"media-streaming.schema.json#/$defs/t_{frame['event']}")
    assert [*range(1, len(bot.frames))] == [int(frame["sequence_number"]) for frame in bot.frames[1:]]
    media = [frame["media"] for frame in bot.frames if frame["event"] == "media"]
    assert [*range(1, len(media) + 1)] == [int(one["chunk"]) for one in media]
    assert "streaming.stopped" in bot.names()


async def test_a_call_that_is_refused_is_named_and_counted() -> None:
    """A server at its limit refuses some: that is its finding, not an error of the tool."""
    plan = LoadPlan(calls=3, ramp_ms=0, duration_ms=100, stream_within_ms=3_000)
    async with Simulator() as telnyx, running(telnyx) as bot:
        bot.base = "http://127.0.0.1:9"  # where nobody listens
        result, about = await run_load(plan, telnyx)

    assert [3.0] == result.figures["failed_calls"]
    assert ["not-opened"] * 3 == [call.code for call in result.calls]
    assert about["cpu_us_per_frame_pair"] is None  # not one frame went out
    assert "could not be reached" in result.calls[0].sentences[0]


async def test_a_program_that_hangs_up_early_is_noticed() -> None:
    """Calls that are gone in the middle must not look like calls that were held."""
    plan = LoadPlan(calls=2, ramp_ms=0, duration_ms=1_000)
    async with Simulator() as telnyx, running(telnyx) as bot:
        bot.close_after_frames = 5
        result, _ = await run_load(plan, telnyx)

    assert [2.0] == result.figures["failed_calls"]
    assert ["closed-1000"] * 2 == [call.code for call in result.calls]


async def test_other_codecs_and_other_words() -> None:
    """An L16 bot, and callers who say something: no tone is timed then."""
    stream = STREAM | {
        "stream_codec": "L16",
        "stream_bidirectional_codec": "L16",
        "stream_bidirectional_sampling_rate": 16000,
    }
    plan = LoadPlan(calls=2, ramp_ms=0, duration_ms=600, say=tone(500, duration_ms=300))
    async with Simulator() as telnyx, running(telnyx, stream) as bot:
        result, about = await run_load(plan, telnyx)

    assert 0 == about["pulses"]
    assert [] == result.figures["rtt_ms"]
    media = next(frame for frame in bot.frames if frame["event"] == "media")
    assert 856 == len(media["media"]["payload"])  # 640 bytes: 20 ms of 16 kHz


async def test_without_a_webhook_nothing_is_placed() -> None:
    """One error, and the simulator is as before."""
    async with Simulator() as telnyx:
        with pytest.raises(ConfigError, match="webhook_url is not set"):
            await run_load(LoadPlan(calls=2, ramp_ms=0, duration_ms=0), telnyx)
