"""What a phone hears beside its own leg's streams."""

from __future__ import annotations

import numpy as np
import pytest

from callpath.audio.codec import open_encoder
from callpath.audio.tone import dominant_frequency_hz, tone
from callpath.simulator.carrier import CarrierStream, StreamRequest
from callpath.simulator.line import PhoneLine, Voice
from callpath.wire.ids import CallControlId, SessionId, StreamId
from callpath.wire.media import MediaFormat


def test_the_audio_for_a_bridged_leg_is_heard_in_its_codec() -> None:
    """The server's audio has the codec that the server sends, not the one that it receives."""
    frequency = 1000
    request = StreamRequest(
        url="ws://127.0.0.1/x",
        stream_id=StreamId("s"),
        call_control_id=CallControlId("c"),
        call_session_id=SessionId("s"),
        media_format=MediaFormat(encoding="PCMA", sample_rate=8000),
        codec="L16",
        sample_rate_hz=16000,
    )
    stream = CarrierStream(request)
    encoder = open_encoder("L16", 16000)
    audio = tone(frequency, duration_ms=400, sample_rate_hz=encoder.sample_rate_hz)
    line = PhoneLine("little")
    step = encoder.sample_rate_hz // 50
    for number in range(20):
        at_ms = 100 + 20 * number + (1000 if number >= 10 else 0)
        line.receive_packet(stream, at_ms, encoder.encode(audio[step * number : step * (number + 1)]))
    first, second = line.pieces()

    assert (100, 1300) == (first[0], second[0])
    assert (1600, 1600) == (first[1].size, second[1].size)
    assert frequency == pytest.approx(dominant_frequency_hz(second[1], 8000), abs=4)


def test_a_voice_is_heard_as_long_as_somebody_listens() -> None:
    """Who joins in the middle of a word hears its rest, and nothing after leaving."""
    voice = Voice()
    voice.say(100, np.arange(800, dtype=np.int16))
    voice.say(300, np.full(80, 7, np.int16))

    assert [(120, 240), (300, 80)] == [
        (at_ms, pcm.size) for at_ms, pcm in [(120, voice.between(120, 150)[0][1]), *voice.between(250, 400)]
    ]
    assert (160, 0) == (voice.part(190, 20).size, voice.part(250, 20).size)
    assert [720, 799, 0] == [int(voice.part(190, 20)[at]) for at in (0, 79, 80)]
    voice.cut(150)
    assert [(100, 400)] == [(at_ms, pcm.size) for at_ms, pcm in voice.utterances]


def test_own_sounds_count_as_played() -> None:
    """They are packets to the phone, and stand in call_quality_stats."""
    line = PhoneLine("little")
    line.add(5, np.zeros(800, np.int16))

    assert 100 == line.played_ms
    assert [5] == [at_ms for at_ms, _ in line.pieces()]
