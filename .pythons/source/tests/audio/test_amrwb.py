from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callpath.audio.amrwb import AmrWbDecoder, Packing
from callpath.audio.level import level_dbfs
from callpath.audio.pcm import Pcm
from callpath.audio.tone import find_delay_ms
from callpath.errors import AudioError

pytest.importorskip("av", reason="the extra codecs is not installed")


def bandwidth_efficient(aligned: bytes) -> bytes:
    """The same frame in the RFC's other packing, written out bit by bit (RFC 4867, 4.3)."""
    speech_bits = {2: 253, 9: 40, 14: 0, 15: 0}[aligned[1] >> 3 & 0x0F]
    bits = f"{aligned[0] >> 4:04b}" + f"{aligned[1]:08b}"[:6]
    bits += "".join(f"{octet:08b}" for octet in aligned[2:])[:speech_bits]
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[start : start + 8], 2) for start in range(0, len(bits), 8))


def decode(decoder: AmrWbDecoder, payloads: list[bytes]) -> Pcm:
    return np.concatenate([decoder.decode(payload) for payload in payloads])


@pytest.mark.parametrize("name", ["amr-wb-octet-aligned.hex", "amr-wb-three-frames.hex"])
@pytest.mark.parametrize("packing", ["detect", "octet-aligned"])
def test_speech_from_rtp(
    name: str, packing: Packing, golden_payloads: Callable[[str], list[bytes]], speech_16k: Pcm
) -> None:
    """Payloads of another sender, one frame each or three."""
    decoder = AmrWbDecoder(packing)
    heard = decode(decoder, golden_payloads(name))
    match = find_delay_ms(speech_16k, heard, 16000)

    assert heard.size in (59 * 320, 57 * 320)  # three a payload: the last two were never sent
    assert 0 < match.delay_ms < 10
    assert match.correlation > 0.9
    assert "octet-aligned" == decoder.packing


@pytest.mark.parametrize("packing", ["detect", "bandwidth-efficient"])
def test_the_other_packing_is_the_same_speech(packing: Packing, golden_payloads: Callable[[str], list[bytes]]) -> None:
    """Nothing on the media stream says which packing it is; the wrong one is noise."""
    aligned = golden_payloads("amr-wb-octet-aligned.hex")
    decoder = AmrWbDecoder(packing)
    heard = decode(decoder, [bandwidth_efficient(payload) for payload in aligned])

    assert decode(AmrWbDecoder("octet-aligned"), aligned).tolist() == heard.tolist()
    assert "bandwidth-efficient" == decoder.packing


def test_a_pause_is_comfort_noise(golden_payloads: Callable[[str], list[bytes]]) -> None:
    """In a pause the sender goes quiet; the track must keep its time and not break off."""
    payloads = golden_payloads("amr-wb-pause.hex")
    heard = decode(AmrWbDecoder(), payloads)

    assert len(payloads) * 320 == heard.size
    assert level_dbfs(heard[:8000]) > -30
    assert level_dbfs(heard[-3200:]) < -55


def test_a_gap_is_concealed_by_the_codec(golden_payloads: Callable[[str], list[bytes]]) -> None:
    """It goes on from its own state and fades."""
    decoder = AmrWbDecoder()
    heard = decode(decoder, golden_payloads("amr-wb-octet-aligned.hex")[:20])
    gap = [level_dbfs(decoder.conceal(20)) for _ in range(5)]

    assert gap[0] > level_dbfs(heard[-320:]) - 20
    assert gap[4] < -60
    assert 480 == decoder.conceal(30).size


@pytest.mark.parametrize("packing", ["detect", "bandwidth-efficient", "octet-aligned"])
def test_other_bytes_are_refused(packing: Literal["detect", "bandwidth-efficient", "octet-aligned"]) -> None:
    """A PCMU stream under the wrong name must not be decoded to noise."""
    with pytest.raises(AudioError, match=r"160 bytes is not AMR-WB"):
        AmrWbDecoder(packing).decode(b"\xff" * 160)


@given(st.binary(max_size=80))
def test_any_bytes_give_audio_or_an_audio_error(payload: bytes) -> None:
    """The wire can carry anything."""
    try:
        heard = DECODER.decode(payload)
    except AudioError:
        return

    assert 0 == heard.size % 320


DECODER = AmrWbDecoder()
