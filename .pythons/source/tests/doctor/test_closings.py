"""How a stream ended."""

from __future__ import annotations

from callpath.doctor.closings import audio_ms, early, settled, show_ending
from callpath.doctor.facts import Arrival, MediaFacts
from callpath.doctor.rules.sample import ended, media


def test_the_end_after_stop_is_no_fault() -> None:
    """Servers may close once the carrier has said stop."""
    assert early(media(ending=ended(code=1000, after="stop"))) is None
    assert early(media(ending=ended(code=1000, after="media"))) is not None


def test_words_for_an_end() -> None:
    """What stands in the report."""
    assert show_ending(ended(code=1008, reason="unknown")) == "close 1008 'unknown'"
    assert show_ending(ended()) == "close without a code"
    assert "without a close frame" in show_ending(ended("eof"))


def test_audio_time_follows_the_codec() -> None:
    """160 bytes are 20 ms of PCMU and 5 ms of L16."""
    frame = Arrival(0.0, "text", 300, "", "media", b"\xff" * 160)
    pcmu, l16 = media(frame)[MediaFacts], media(frame, codec="L16")[MediaFacts]

    assert (audio_ms(pcmu, frame), audio_ms(l16, frame)) == (20.0, 5.0)
    assert not settled(pcmu)
