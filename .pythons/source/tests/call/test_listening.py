"""Whether anything was said or heard yet, of codecs whose silence is many values."""

from __future__ import annotations

import numpy as np
import pytest

from callpath.audio.codec import open_decoder, open_encoder
from callpath.audio.tone import tone
from callpath.call.listening import ListeningDecoder, ListeningEncoder
from callpath.errors import AudioError

SILENCE = np.zeros(320, np.int16)
WORD = tone(440, duration_ms=20, sample_rate_hz=16000, level_dbfs=-50)


@pytest.mark.parametrize(("encoding", "rate_hz"), [("G722", 16000), ("OPUS", 16000)])
def test_a_quiet_word_is_told_from_silence_both_ways(encoding: str, rate_hz: int) -> None:
    """Or a call on which nobody can be heard passes for one on which somebody is quiet."""
    encoder = ListeningEncoder(open_encoder(encoding, rate_hz))
    decoder = ListeningDecoder(open_decoder(encoding, rate_hz))
    told = []
    for frames in ([SILENCE] * 50, [WORD] * 10):
        for frame in frames:
            decoder.decode(encoder.encode(frame))
        told.append((encoder.sounded, decoder.frames_loud >= 5))

    assert [(False, False), (True, True)] == told


def test_nothing_is_changed_on_the_way() -> None:
    """It only listens."""
    plain, listening = open_encoder("G722", 16000), ListeningEncoder(open_encoder("G722", 16000))
    payloads = [plain.encode(WORD) for _ in range(5)]
    decoder, listener = open_decoder("G722", 16000), ListeningDecoder(open_decoder("G722", 16000))

    assert payloads == [listening.encode_bytes(WORD.tobytes()) for _ in range(5)]
    assert [decoder.decode(payload).tobytes() for payload in payloads] == [
        listener.decode_bytes(payload) for payload in payloads
    ]
    assert decoder.conceal(20).tobytes() == listener.conceal(20).tobytes()
    assert plain.silence(20) == listening.silence(20)


def test_what_cannot_be_decoded_is_no_silence() -> None:
    """Somebody sends something, and "the caller is silent" would be the wrong name for it."""
    decoder = ListeningDecoder(open_decoder("OPUS", 16000))
    with pytest.raises(AudioError):
        decoder.decode(b"\xff" * 7)

    assert decoder.frames_loud == 1
