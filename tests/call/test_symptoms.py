"""What is noticed, and above all what is not: a false alarm sends somebody after a fault that is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from callpath.audio.codec import open_decoder, open_encoder
from callpath.audio.pcm import FULL_SCALE, Pcm, saturate
from callpath.audio.tone import tone
from callpath.audio.wav import read_wav
from callpath.call.stream import MediaStream
from callpath.call.symptoms import SYMPTOMS, Watch, is_digital_silence
from callpath.wire.ids import StreamId
from callpath.wire.media import Media, encode_message
from tests.telnyx import sample_text

VOICE = Path(__file__).parents[1] / "audio" / "golden" / "speech-8k.wav"


def speech(seconds: float = 4) -> Pcm:
    voice, _ = read_wav(VOICE)
    return np.tile(voice, 30)[: int(8000 * seconds)]


def payloads(pcm: Pcm, encoding: str, byte_order: str = "little") -> list[bytes]:
    encoder = open_encoder(encoding, 8000, byte_order=byte_order)  # type: ignore[arg-type]
    return [encoder.encode(pcm[start : start + 160]) for start in range(0, pcm.size - 159, 160)]


def seen(
    frames: list[bytes],
    encoding: str = "PCMU",
    rate_hz: int = 8000,
    sound_sent: bool | None = True,
    every_ms: float = 20,
) -> list[str]:
    """The slugs that a stream of these frames brings, looked at once a second."""
    watch = Watch(encoding, rate_hz, "little")
    decoder = open_decoder(encoding, rate_hz)
    found: list[str] = []
    for number, payload in enumerate(frames):
        watch.frame(payload, number * every_ms)
        if number % 50 == 49:
            symptoms = watch.analyse(
                number * every_ms,
                frames_in=number + 1,
                audio=decoder.decode(payload),
                sound_sent=sound_sent,
                frames_sent=number,
            )
            found += [symptom.slug for symptom in symptoms]
    return found


@pytest.mark.parametrize("encoding", ["PCMU", "PCMA", "L16"])
@pytest.mark.parametrize("level", [0.05, 0.5, 1.0])
def test_clean_speech_is_clean(encoding: str, level: float) -> None:
    """Loud or faint."""
    voice = (speech() * level).astype(np.int16)

    assert seen(payloads(voice, encoding), encoding) == []


def buzzer(frequency_hz: float, level_db: float) -> Pcm:
    """A square wave, as far as a telephone carries its harmonics."""
    at = np.arange(32000) / 8000
    harmonics = np.arange(1, 3800 // frequency_hz + 1, 2)[:, np.newaxis]
    wave = np.sum(np.sin(2 * np.pi * harmonics * frequency_hz * at) / harmonics, axis=0)
    return saturate(wave * FULL_SCALE * 10 ** (level_db / 20))


def sounds() -> dict[str, Pcm]:
    noise = np.random.default_rng(1).normal(0, 0.1, 32000) * FULL_SCALE
    chord = sum(tone(hz, duration_ms=4000, level_dbfs=-20).astype(np.int32) for hz in (262, 330, 392, 523))
    assert not isinstance(chord, int)
    return {
        "tone": tone(1000, duration_ms=4000),
        "high tone": tone(3000, duration_ms=4000),
        "noise": noise.astype(np.int16),
        "music": chord.astype(np.int16),
        "an alarm": buzzer(440, -20),
        "a synthesiser": buzzer(97, -20),
        "keys": np.concatenate([tone(697, duration_ms=100) // 2 + tone(1209, duration_ms=100) // 2] * 40),
        "silence, then speech": np.concatenate([np.zeros(8000 * 20, np.int16), speech()]),
    }


@pytest.mark.parametrize("name", list(sounds()))
@pytest.mark.parametrize("encoding", ["PCMU", "PCMA", "L16"])
def test_other_sounds_of_clean_calls_are_clean(name: str, encoding: str) -> None:
    """Hold music, keys, a fan, and a caller who waits before he speaks."""
    assert seen(payloads(sounds()[name], encoding), encoding) == []


@pytest.mark.parametrize(
    ("spoken", "taken_for", "slug"),
    [("PCMA", "PCMU", "wrong_law"), ("PCMU", "PCMA", "wrong_law"), ("L16", "PCMU", "wrong_encoding")],
)
def test_the_wrong_law_is_heard(spoken: str, taken_for: str, slug: str) -> None:
    """Loud static, for the whole call, without any error anywhere."""
    found = seen(payloads(speech(8), spoken), taken_for)

    assert slug in found
    assert found.count(slug) == 1


def with_rtp_headers(frames: list[bytes], step: int = 160) -> list[bytes]:
    """As they lie in the packets of the phone's own leg; the sequence number runs over."""
    return [
        bytes((0x80, 0))
        + ((65530 + number) % 65536).to_bytes(2, "big")
        + (step * number).to_bytes(4, "big")
        + b"abcd"
        + frame
        for number, frame in enumerate(frames)
    ]


@pytest.mark.parametrize("encoding", ["PCMU", "PCMA", "L16"])
def test_rtp_headers_are_named_for_what_they_are(encoding: str) -> None:
    """They were taken for the other law, and the fix for that changes nothing. A packet that is lost hides none."""
    packets = with_rtp_headers(payloads(speech(8), encoding))

    assert ["rtp_header"] == seen(packets, encoding)
    assert ["rtp_header"] == seen([packet for number, packet in enumerate(packets) if number % 15 != 4], encoding)


def test_sound_that_begins_like_a_packet_is_no_packet() -> None:
    """What neither counts nor goes on in time is audio, whatever its first byte."""
    frames = [b"\x80" + frame[1:] for frame in payloads(speech(8), "PCMU")]

    assert "rtp_header" not in seen(frames)
    assert "rtp_header" not in seen(with_rtp_headers(frames, step=0))


def test_swapped_bytes_are_heard() -> None:
    """RTP's own order is not the one that phones on Telnyx were heard in."""
    assert seen(payloads((speech() * 0.5).astype(np.int16), "L16", "big"), "L16") == ["wrong_byte_order"]


def test_half_the_bytes_are_another_rate() -> None:
    """The stream says 16 kHz and carries 8: chipmunks."""
    assert "wrong_rate" in seen(payloads(speech(8), "L16"), "L16", 16000)


@pytest.mark.parametrize("quicker", [1.5, 2.0, 3.0])
def test_what_a_stalled_network_delivers_late_is_no_other_rate(quicker: float) -> None:
    """It comes at the speed of the way, for as many seconds as it takes: the rate that the stream says is right."""
    watch = Watch("PCMU", 8000, "little")
    found: list[str] = []
    at_ms, look_ms = 0.0, 1000.0
    for number, payload in enumerate(payloads(speech(20), "PCMU")):
        held_until_ms = 9_000.0 if number >= 250 else 0.0
        at_ms = max(20.0 * number, held_until_ms, at_ms + 20.0 / quicker)
        while at_ms >= look_ms:
            found += [symptom.slug for symptom in watch.analyse(look_ms, frames_in=number)]
            look_ms += 1000.0
        watch.frame(payload, at_ms)

    assert found == ["sender_stalled"]


def test_frames_that_come_twice_are_no_other_rate() -> None:
    """They are dropped; the codec and its rate are right."""
    stream = MediaStream()
    stream.receive_text(sample_text("ws/t-start-pcmu.json"), 0)
    found = []
    for chunk, payload in enumerate(payloads(speech(6), "PCMU"), start=1):
        for _ in range(2):
            stream.receive_text(
                encode_message(Media(payload=payload, chunk=chunk, stream_id=StreamId("s"))), 20 * chunk
            )
        if chunk % 50 == 0:
            found += stream.on_second(20 * chunk, waiting_ms=0.0, lag_ms=0.0, may_take_long=True)

    assert stream.counts.duplicated > 200
    assert found == []


def test_longer_packets_are_no_other_rate() -> None:
    """Some phones send 30 or 40 ms at a time."""
    frames = payloads(speech(8), "PCMU")
    joined = [frames[at] + frames[at + 1] for at in range(0, len(frames) - 1, 2)]

    assert seen(joined, every_ms=40) == []


def test_digital_silence_from_the_caller() -> None:
    """A leg whose audio never reaches Telnyx."""
    assert seen([b"\xff" * 160] * 50 * 31) == ["caller_silent"]


@pytest.mark.parametrize("encoding", ["PCMU", "PCMA", "L16"])
def test_a_loud_beep_is_no_silence(encoding: str) -> None:
    """Made of two values only, as a square wave is; and one that never was anything else is."""
    beep = np.where(np.arange(160) // 10 % 2, 0, 0x2000).astype(np.int16)
    hum = np.where(np.arange(160) // 10 % 2, -1, 0).astype(np.int16)
    encode = open_encoder(encoding, 8000).encode

    assert [is_digital_silence(encode(pcm)) for pcm in (beep, 2 * beep - 0x2000, hum, hum * 0, hum * 0 + 9)] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_words_between_two_looks_are_heard() -> None:
    """A phone that gates noise sends zeros between the words; "yes" now and then must not pass for a dead line."""
    yes = payloads(speech(0.5), "PCMU")
    frames = [b"\xff" * 160] * 50 * 35
    frames[50 * 5 + 10 : 50 * 5 + 35] = yes[:25]

    assert seen(frames) == []


def test_a_click_is_no_word() -> None:
    """As the line makes when it is connected."""
    assert seen([b"\x01\x02\x03" * 53, *[b"\xff" * 160] * 50 * 31]) == ["caller_silent"]


def test_silence_both_ways() -> None:
    """Nothing came, and nothing was said."""
    watch = Watch("PCMU", 8000, "little")
    found: list[str] = []
    for second in range(32):
        watch.frame(b"\xff" * 160, second * 1000.0)
        found += [symptom.slug for symptom in watch.analyse(second * 1000.0, frames_in=second + 1)]

    assert "silent_both_ways" in found


def test_silence_that_we_send() -> None:
    """A speech engine that fails without a word."""
    assert "we_are_silent" in seen(payloads(speech(35), "PCMU"), sound_sent=False)


def test_silence_that_we_sent_on_a_short_call() -> None:
    """It is over after some seconds: only the end tells that no voice was still to come."""
    watch = Watch("PCMU", 8000, "little")
    for second in range(4):
        watch.frame(b"\x01\x02" * 80, second * 1000.0)
        assert watch.analyse(second * 1000.0, frames_in=second + 1, sound_sent=False, frames_sent=50) == []

    assert [symptom.slug for symptom in watch.end()] == ["we_are_silent"]


def test_words_after_the_last_look_are_words() -> None:
    """The caller hangs up within the second in which the voice at last began: not all that we sent was silence."""
    watch = Watch("PCMU", 8000, "little")
    for second in range(4):
        watch.frame(b"\x01\x02" * 80, second * 1000.0)
        watch.analyse(second * 1000.0, frames_in=second + 1, sound_sent=False, frames_sent=50)

    assert [] == watch.end(sound_sent=True)


@pytest.mark.parametrize("busy", [False, True])
def test_a_short_hello_in_the_wrong_law(busy: bool) -> None:
    """All that the caller says is one second: what was gathered for the quick look is judged, and not thrown away; at the
    end at the latest, where the server was too busy before."""
    watch = Watch("PCMU", 8000, "little")
    found: list[str] = []
    for number, payload in enumerate([*payloads(speech(1.4), "PCMA"), *[b"\xd5" * 160] * 200]):
        watch.frame(payload, number * 20.0)
        if number % 50 == 49:
            found += [
                symptom.slug for symptom in watch.analyse(number * 20.0, frames_in=number + 1, may_take_long=not busy)
            ]
    found += [symptom.slug for symptom in watch.end()]

    assert found == ["wrong_law"]


def test_clipping() -> None:
    """A gain too high somewhere before us."""
    loud = np.clip(speech(20).astype(np.int32) * 40, -32768, 32767).astype(np.int16)

    assert "clipping" in seen(payloads(loud, "PCMU"))


@pytest.mark.parametrize("encoding", ["PCMU", "PCMA", "L16"])
@pytest.mark.parametrize("frequency_hz", [97, 443, 1023, 2103])
def test_a_tone_that_fills_the_scale_is_not_cut_off(frequency_hz: float, encoding: str) -> None:
    """It turns round there: a loud hold tone is no fault of the caller's phone; cut off at half, it is."""
    full = tone(frequency_hz, duration_ms=12_000, level_dbfs=-3.02)
    cut = saturate(full.astype(np.float64) * 2)

    assert seen(payloads(full, encoding), encoding) == []
    assert "clipping" in seen(payloads(cut, encoding), encoding)


@pytest.mark.parametrize("frequency_hz", [400, 800, 1000, 2000, 3000])
def test_a_tone_of_few_values_is_not_cut_off(frequency_hz: float) -> None:
    """Some of them the highest, and none near it."""
    assert seen(payloads(tone(frequency_hz, duration_ms=12_000, level_dbfs=-3.02), "PCMU")) == []


def test_a_sender_that_stalls() -> None:
    """The socket is open, and nothing comes; without this the handler waits for ever."""
    watch = Watch("PCMU", 8000, "little")
    watch.frame(b"\x01" * 160, 0)

    assert watch.analyse(1000, frames_in=1) == []
    assert [symptom.slug for symptom in watch.analyse(2500, frames_in=1)] == ["sender_stalled"]
    assert watch.analyse(3500, frames_in=1) == []


def test_bursts() -> None:
    """A proxy that collects what it forwards."""
    watch = Watch("PCMU", 8000, "little")
    found: list[str] = []
    for burst in range(10):
        for number in range(10):
            watch.frame(b"\x01\x02" * 80, burst * 200.0 + number)
        found += [symptom.slug for symptom in watch.analyse(burst * 200.0 + 100, frames_in=10 * (burst + 1))]

    assert "bursts" in found


def bursts(frames_lost: int, every_ms: float, pauses: int, pause_frames: int = 6) -> list[str]:
    """What is told of pauses, each of which `frames_lost` frames of never come, and the others at once."""
    watch = Watch("PCMU", 8000, "little")
    found: list[str] = []
    came = 0
    for number in range(int(every_ms * pauses / 20)):
        at_ms = 20.0 * number
        place = number % int(every_ms / 20)
        if place < frames_lost:
            continue
        if place < pause_frames:
            at_ms += 20.0 * (pause_frames - place)
        came += 1
        watch.frame(b"\x01\x02\x03" * 53 + b"\x01", at_ms)
        if number % 50 == 49:
            found += [symptom.slug for symptom in watch.analyse(at_ms, frames_in=came)]
    return found


def test_frames_that_are_lost_are_no_bursts() -> None:
    """The phone's own network lost them: whoever looks for a proxy that collects frames looks in the wrong place."""
    assert bursts(0, 3000, 12) == ["bursts"]
    assert bursts(6, 3000, 12) == []


def test_a_hiccup_now_and_then_is_no_bursts() -> None:
    """Five in an hour are on every line."""
    assert bursts(0, 30_000, 12) == []


def test_jitter_is_the_latest_frame_since_it_was_asked() -> None:
    """It is plotted over the time of a count: an old pause must not stand in all that follow, nor hide a burst."""
    watch = Watch("PCMU", 8000, "little")
    found: list[float] = []
    for apart_ms in ([20.0, 35.0, 5.0, 30.0], [20.0, 19.0], [20.0, 250.0, 22.0]):
        at_ms = 10_000.0 * len(found)
        watch.take_jitter_ms()
        watch.frame(b"\x01\x02" * 80, at_ms)
        watch.take_jitter_ms()  # the time between two of these series
        for apart in apart_ms:
            at_ms += apart
            watch.frame(b"\x01\x02" * 80, at_ms)
        found.append(watch.take_jitter_ms())

    assert [15.0, 0.0, 230.0] == found


def test_what_the_server_tells() -> None:
    """Our own audio back, a handler that lags, an event loop that was held up."""
    watch = Watch("PCMU", 8000, "little")
    symptoms = watch.analyse(1000, frames_in=0, frames_outbound_track=3, waiting_ms=1500, lag_ms=250.0)

    assert [(symptom.slug, symptom.evidence) for symptom in symptoms] == [
        ("own_audio_back", {"frames": 3}),
        ("late_handler", {"waiting_ms": 1500}),
        ("loop_lag", {"lag_ms": 250.0}),
    ]


def test_codes_are_permanent() -> None:
    """Stored entries carry them."""
    assert [(code, slug) for code, (slug, _) in SYMPTOMS.items()] == [
        ("SYM001", "wrong_law"),
        ("SYM002", "wrong_byte_order"),
        ("SYM003", "wrong_rate"),
        ("SYM004", "wrong_encoding"),
        ("SYM005", "caller_silent"),
        ("SYM006", "we_are_silent"),
        ("SYM007", "silent_both_ways"),
        ("SYM008", "clipping"),
        ("SYM009", "own_audio_back"),
        ("SYM010", "sender_stalled"),
        ("SYM011", "bursts"),
        ("SYM012", "late_handler"),
        ("SYM013", "loop_lag"),
        ("SYM014", "own_audio_heard"),
        ("SYM015", "rtp_header"),
        ("SYM016", "numbers_skipped"),
    ]


# --- other packet times ----------------------------------------------------------------------------------------------

PTIMES_MS = (10, 20, 30, 60, 100)


@pytest.mark.parametrize("ptime_ms", PTIMES_MS)
@pytest.mark.parametrize("late_ms", [0.0, 35.0])
def test_jitter_is_counted_from_the_packet_time_of_the_phone(ptime_ms: int, late_ms: float) -> None:
    """60 ms packets that come on time are no jitter of 40 ms."""
    watch = Watch("PCMU", 8000, "little")
    for number in range(50):
        watch.frame(bytes(8 * ptime_ms), ptime_ms * number + (late_ms if number == 30 else 0.0))

    assert late_ms == watch.take_jitter_ms()
    assert 0.0 == watch.take_jitter_ms()


@pytest.mark.parametrize("ptime_ms", PTIMES_MS)
def test_a_phone_with_another_packet_time_is_clean(ptime_ms: int) -> None:
    """Long packets come apart, which is no burst; short ones are many, which is no other rate."""
    frames = payloads(speech(12), "PCMU")
    audio = b"".join(frames)
    size = 8 * ptime_ms
    watch = Watch("PCMU", 8000, "little")
    found: list[str] = []
    for number in range(len(audio) // size):
        at_ms = ptime_ms * number + 3.0 * (number % 2)  # a wavering network
        watch.frame(audio[size * number : size * number + size], at_ms)
        if number % (1000 // ptime_ms) == 0:
            found += [symptom.slug for symptom in watch.analyse(at_ms, frames_in=number + 1, sound_sent=True)]

    assert [] == found


@pytest.mark.parametrize("ptime_ms", [10, 20, 60])
def test_swapped_bytes_are_found_whatever_the_packet_time(ptime_ms: int) -> None:
    """Twenty packets of 10 ms are too little sound to tell by: then as many more are gathered."""
    audio = b"".join(payloads(speech(8), "L16", byte_order="big"))
    size = 16 * ptime_ms
    watch = Watch("L16", 8000, "little")
    found: list[str] = []
    for number in range(len(audio) // size):
        watch.frame(audio[size * number : size * number + size], ptime_ms * number)
        if number % (1000 // ptime_ms) == 0:
            analysed = watch.analyse(ptime_ms * number, frames_in=number + 1, sound_sent=True)
            found += [symptom.slug for symptom in analysed]

    assert ["wrong_byte_order"] == found
