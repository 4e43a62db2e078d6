"""The ear, on sounds whose truth is known because the test made them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from callpath.audio.codec import open_decoder, open_encoder
from callpath.audio.pcm import Pcm
from callpath.audio.tone import sweep, tone
from callpath.audio.wav import read_wav
from callpath.simulator.ear import Arrival, SpeechMeter, echo_speed, listen, noise_share, pacing, speech_spans


def silence(duration_ms: float) -> Pcm:
    return np.zeros(round(8 * duration_ms), np.int16)


def noise(duration_ms: float, level_dbfs: float) -> Pcm:
    drawn = np.random.default_rng(1).normal(size=round(8 * duration_ms))
    return (drawn * 32768 * 10 ** (level_dbfs / 20)).astype(np.int16)


def talk(duration_ms: float = 800, seed: int = 0) -> Pcm:
    """Something that glides, hence resembles itself at one place only, and differs by `seed`."""
    return sweep(300 + 150 * seed, 900 + 250 * seed, duration_ms=duration_ms)


def join(*pieces: Pcm) -> Pcm:
    return np.concatenate(pieces)


def near(expected: list[float], measured: list[float], within: float = 15.0) -> bool:
    return len(expected) == len(measured) and bool(np.allclose(expected, measured, atol=within))


# --- speech -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("background_dbfs", [-100, -60, -45])
def test_speech_is_found_where_it_is(background_dbfs: float) -> None:
    """Everything else is measured from these edges; a noisy line must not move them."""
    pcm = join(silence(300), talk(500), silence(200), talk(300), silence(900), talk(400), silence(500))
    ((start, end), (again, last)) = speech_spans(pcm + noise(pcm.size / 8, background_dbfs))

    assert near([300, 1300, 2200, 2600], [start, end, again, last])


def test_neither_noise_nor_a_click_is_speech() -> None:
    """A bot that hums must not count as one that answers."""
    click = join(silence(500), tone(1000, duration_ms=20), silence(500))

    assert [] == speech_spans(click)
    assert [] == speech_spans(noise(2000, -50))
    assert [] == speech_spans(silence(0))


def test_a_call_that_is_all_speech_is_speech() -> None:
    """With no quiet moment to measure the noise by, the speech itself must not be taken for it."""
    assert [(0.0, 2000.0)] == speech_spans(talk(2000))


def test_the_meter_hears_speech_begin_and_end() -> None:
    """By this the caller takes his turn: too early and he interrupts, never and the test hangs."""
    meter = SpeechMeter()
    packets = join(silence(200), talk(400), silence(1000)).reshape(-1, 160)
    began: list[float] = []
    ended: list[float] = []
    for number, packet in enumerate(packets):
        meter.hear(packet, 20.0 * number)
        now_ms = 20.0 * (number + 1)
        if meter.speaks(now_ms, pause_ms=500) and not began:
            began.append(now_ms)
        if began and not meter.speaks(now_ms, pause_ms=500) and not ended:
            ended.append(now_ms)

    assert 200.0 == meter.spoke_at_ms
    assert near([260], began, within=20)
    assert near([1100], ended, within=20)


# --- turns ------------------------------------------------------------------------------------------------------------


def test_how_long_the_caller_waits_for_an_answer() -> None:
    """From the end of his words to the beginning of the bot's: the figure that decides whether a bot feels alive."""
    said = join(talk(600), silence(2400), talk(500, seed=2), silence(2000))
    heard = join(silence(600 + 450), talk(700, seed=3), silence(1750 + 900), talk(800, seed=4))
    hearing = listen(said, heard)

    assert near([450, 900], hearing.response_gap_ms)
    assert near([1050], [hearing.first_audio_ms or 0.0])
    assert [] == hearing.barge_in_stop_ms
    assert [] == hearing.rtt_ms


def test_a_bot_that_was_already_speaking_did_not_wait() -> None:
    """No gap is better than one of zero: the mean of the others stays true."""
    said = join(silence(500), talk(300), silence(2000))
    heard = join(talk(1200, seed=3), silence(1000))

    assert [] == listen(said, heard).response_gap_ms


def test_how_long_a_bot_talks_on_when_it_is_interrupted() -> None:
    """Barge-in: 230 ms after the caller began, the bot fell silent."""
    said = join(silence(1000), talk(600), silence(1400))
    heard = join(silence(100), talk(900 + 230, seed=3), silence(1500))

    assert near([230], listen(said, heard).barge_in_stop_ms)


def test_nobody_is_interrupted_by_his_echo() -> None:
    """An echo always speaks while the caller does."""
    said = join(silence(200), talk(600), silence(500), talk(600, seed=2), silence(500))

    assert [] == listen(said, join(silence(40), said)).barge_in_stop_ms


# --- echoes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_a_round_trip_is_found_by_its_sound(codec: str) -> None:
    """Also through a codec and at another loudness, to the sample that the line leaves."""
    said = join(silence(100), talk(700), silence(900), talk(500, seed=2), silence(900))
    line = open_decoder(codec, 8000).decode(open_encoder(codec, 8000).encode(said // 3))
    hearing = listen(said, join(silence(63), line))

    assert near([63, 63], hearing.rtt_ms, within=1)
    assert hearing.echo_likeness > 0.95
    assert 0.0 == hearing.loss_share
    assert [0.0, 0.0] == hearing.clipped_start_ms
    assert 0 == hearing.holes


def test_another_voice_is_no_echo() -> None:
    """Else each bot that answers would get a round trip that is none."""
    said = join(talk(900), silence(3000))
    heard = join(silence(1500), talk(900, seed=5), silence(1000))
    hearing = listen(said, heard)

    assert [] == hearing.rtt_ms
    assert hearing.loss_share is None
    assert hearing.echo_likeness < 0.6


def test_a_clipped_start_is_measured() -> None:
    """The first word is what gets lost when a socket opens late; the echo shows how much."""
    said = join(silence(200), talk(800), silence(500))
    back = join(silence(60), said)
    back[8 * 260 : 8 * 410] = 0
    hearing = listen(said, back)

    assert near([150], hearing.clipped_start_ms)
    assert 0.0 == hearing.loss_share
    assert near([60], hearing.rtt_ms, within=1)


def test_a_sound_that_breaks_in_is_noticed() -> None:
    """Without an echo the only witness of a lost beginning is that it does not fade in."""
    cut = talk(1000)[8 * 200 + 3 :]
    assert 1 == listen(silence(0), join(silence(500), cut)).abrupt_starts

    gentle = talk(800).astype(np.float64)
    gentle[:400] *= np.linspace(0, 1, 400)
    assert 0 == listen(silence(0), join(silence(500), gentle.astype(np.int16))).abrupt_starts


def test_lost_packets_are_counted() -> None:
    """Four packets of a second are gone: 8 % of the echo, and four holes in what was heard."""
    said = join(silence(100), talk(1000), silence(500))
    back = said.copy()
    for at_ms in (300, 500, 700, 900):
        back[8 * at_ms : 8 * (at_ms + 20)] = 0
    hearing = listen(said, back)

    assert 0.08 == pytest.approx(hearing.loss_share, abs=0.01)
    assert 4 == hearing.holes
    assert near([80], [hearing.hole_ms], within=3)


# --- the whole --------------------------------------------------------------------------------------------------------


def test_one_way_audio_and_silence() -> None:
    """The classic: the caller speaks, and nothing at all comes back."""
    hearing = listen(join(talk(1000), silence(1000)), silence(2000), duration_ms=4000)

    assert hearing.one_way
    assert 1.0 == hearing.silence_share
    assert hearing.first_audio_ms is None
    assert 1000 == hearing.said_ms


def test_the_share_of_silence_counts_the_whole_call() -> None:
    """Also the part after the last sound, which no array has."""
    hearing = listen(silence(1000), join(silence(500), talk(1000)), duration_ms=4000)

    assert 0.75 == pytest.approx(hearing.silence_share, abs=0.01)
    assert not hearing.one_way
    assert -12.0 == pytest.approx(hearing.level_dbfs, abs=0.5)


def test_clipping_is_seen() -> None:
    """A bot that is too loud sounds broken on the phone."""
    loud = np.clip(talk(1000).astype(np.int32) * 8, -32124, 32124).astype(np.int16)

    assert listen(silence(0), loud).clipping_share > 0.3
    assert 0.0 == listen(silence(0), talk(1000)).clipping_share


def test_a_call_without_any_sound() -> None:
    """Nothing to measure must not break the report."""
    hearing = listen(silence(0), silence(0))

    assert 1.0 == hearing.silence_share
    assert hearing.jitter_ms is None


def test_jitter_is_that_of_rfc_3550() -> None:
    """Messages that bring 20 ms each and come 10 ms early and late by turns have a jitter of 10 ms, in the end."""
    even = [Arrival(at_ms=20.0 * n, audio_ms=20) for n in range(400)]
    uneven = [Arrival(at_ms=20.0 * n + 5 * (-1) ** n, audio_ms=20) for n in range(400)]

    assert (0.0, 20.0) == pacing(even)
    assert (10.0, 30.0) == pacing(uneven)
    assert (None, None) == pacing(even[:1])


def test_a_pause_between_two_answers_is_no_jitter() -> None:
    """A bot that thinks for 3 s is not a line that stutters; the gap is reported as such."""
    talks = [Arrival(at_ms=20.0 * n + (3000 if n > 50 else 0), audio_ms=20) for n in range(100)]

    assert (0.0, 3020.0) == pacing(talks)


# --- is it speech? ----------------------------------------------------------------------------------------------------


def voice(name: str = "speech-8k.wav") -> Pcm:
    return read_wav(Path(__file__).parents[1] / "audio" / "golden" / name)[0]


def test_random_bytes_are_noise_and_speech_is_not() -> None:
    """Whoever sends compressed bytes as PCMU hears "every stage was reached" otherwise."""
    random_bytes = np.random.default_rng(3).integers(0, 256, 16_000, dtype=np.uint8).tobytes()
    as_pcmu = open_decoder("PCMU", 8000).decode(random_bytes)
    swapped = np.frombuffer(voice().astype("<i2").tobytes(), ">i2").astype(np.int16)

    assert noise_share(as_pcmu) > 0.9
    assert noise_share(noise(2000, -20)) > 0.9
    assert noise_share(swapped) > 0.9
    assert noise_share(voice()) < 0.3
    assert noise_share(tone(440, duration_ms=2000)) < 0.1
    assert noise_share(voice() + noise(voice().size / 8, -50)[: voice().size]) < 0.3


def test_little_or_quiet_sound_is_not_judged() -> None:
    """A breath, or the hiss of a line, is no broken encoding."""
    assert 0.0 == noise_share(noise(200, -20))
    assert 0.0 == noise_share(noise(5000, -60))
    assert 0.0 == noise_share(silence(1000))


@pytest.mark.parametrize("speed", [0.5, 2.0, 1 / 3, 3.0, 1.5])
def test_an_echo_at_another_rate_is_known_by_its_speed(speed: float) -> None:
    """8 kHz audio taken for 16 kHz, and the other way round: half-speed giants and chipmunks."""
    said = join(silence(100), voice(), silence(300))
    places = np.arange(int(said.size / speed)) * speed
    sent = np.interp(places, np.arange(said.size), said).astype(np.int16)

    assert speed == echo_speed(said, sent, speech_spans(said))


def test_an_answer_and_a_true_echo_have_no_speed() -> None:
    """A bot with words of its own must not be told to resample."""
    said = join(silence(100), voice(), silence(300))

    assert echo_speed(said, said, speech_spans(said)) is None
    assert echo_speed(said, talk(2000, seed=3), speech_spans(said)) is None
    assert echo_speed(silence(500), said, []) is None
