"""Answering machine detection: which webhooks come in which order, for each mode and each kind of callee."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from callpath.audio.codec import Pcm
from callpath.simulator.callee import Answering, Callee, Presents, Speech, parse_callee
from callpath.simulator.detection import detections
from callpath.simulator.options import CarrierOptions

OPTIONS = CarrierOptions(amd_ms=1_000)
IOS: Any = "premium_ios_call_screening_detection"


def load(speech: Speech, rate_hz: int | None) -> Pcm:
    """Every greeting takes 5 s."""
    return np.zeros(40_000, np.int16)


def presents(callee: Callee | str) -> Presents:
    return Answering(parse_callee(callee) if isinstance(callee, str) else callee, load, ring_ms=0).presents


def found(mode: Any, callee: Callee | str, options: CarrierOptions = OPTIONS, **config: int) -> list[str]:
    """As "after_ms event result"."""
    rows = detections(mode, config, presents(callee), options)
    return [f"{one.after_ms:.0f} {one.event.removesuffix('.ended')} {one.result or ''}".rstrip() for one in rows]


@pytest.mark.parametrize(
    ("mode", "callee", "expected"),
    [
        ("disabled", "voicemail", []),
        ("detect", "hello", ["1000 detection human"]),
        ("detect", "voicemail", ["1000 detection machine"]),
        ("detect", "fax", ["1000 detection machine"]),
        ("detect", "silent", ["3500 detection not_sure"]),
        ("detect_beep", "hello", ["1000 detection human"]),
        ("detect_beep", "voicemail", ["1000 detection machine", "5300 greeting beep_detected"]),
        ("detect_beep", "voicemail-no-beep", ["1000 detection machine"]),
        ("detect_words", "voicemail", ["1000 detection machine", "5300 greeting beep_detected"]),
        ("detect_words", "voicemail-no-beep", ["1000 detection machine", "31000 greeting not_sure"]),
        ("greeting_end", "voicemail", ["1000 detection machine", "5300 greeting ended"]),
        ("greeting_end", "voicemail-no-beep", ["1000 detection machine", "6500 greeting ended"]),
    ],
)
def test_the_standard_modes(mode: str, callee: str, expected: list[str]) -> None:
    """A program that waits for greeting.ended in a mode that does not send it leaves dead air."""
    assert expected == found(mode, callee)


@pytest.mark.parametrize(
    ("callee", "expected"),
    [
        ("hello", ["1000 premium.detection human_residence"]),
        ("business", ["1000 premium.detection human_business"]),
        ("fax", ["1000 premium.detection fax_detected"]),
        ("silent", ["30000 premium.detection silence"]),
        ("voicemail", ["1000 premium.detection machine", "5300 premium.greeting beep_detected"]),
        ("voicemail-no-beep", ["1000 premium.detection machine", "30000 premium.greeting no_beep_detected"]),
        ("ios-screening", ["1000 premium.detection machine", "30000 premium.greeting no_beep_detected"]),
    ],
)
def test_premium(callee: str, expected: list[str]) -> None:
    """It begins with detection.started, and has results of its own."""
    assert ["0 premium.detection.started", *expected] == found("premium", callee)


@pytest.mark.parametrize(
    ("callee", "expected"),
    [
        ("hello", ["1000 premium.detection human_residence"]),
        (
            "ios-screening",
            [
                "1000 premium.detection machine",
                "5000 premium.call_screening.detected screening",
                "8000 premium.detection human_residence",
            ],
        ),
        (
            "screening-voicemail",
            [
                "1000 premium.detection machine",
                "5000 premium.call_screening.detected screening",
                "8000 premium.detection machine",
                "12300 premium.greeting beep_detected",
            ],
        ),
        ("screening-declined", ["1000 premium.detection machine", "5000 premium.call_screening.detected screening"]),
        ("voicemail", ["1000 premium.detection machine", "5300 premium.greeting beep_detected"]),
        ("voicemail-no-beep", ["1000 premium.detection machine", "5000 premium.greeting prompt_ended"]),
    ],
)
def test_screening_phones(callee: str, expected: list[str]) -> None:
    """The first machine verdict is provisional: after a screening, detection begins again."""
    assert ["0 premium.detection.started", *expected] == found(IOS, callee)


def test_the_configuration_moves_the_moments() -> None:
    """Where a default is documented, the program's own value takes its place."""
    assert ["500 detection machine"] == found("detect", "voicemail", total_analysis_time_millis=500)
    assert "2000 premium.greeting prompt_ended" == found(IOS, "voicemail-no-beep", prompt_end_timeout_millis=1_000)[-1]
    assert "5800 greeting ended" == found(
        "greeting_end", "voicemail-no-beep", greeting_silence_duration_millis=800
    )[-1]  # fmt: skip


def test_a_verdict_can_be_wrong() -> None:
    """greeting_end was seen to take most people for machines: a program must bear it."""
    assert ["1000 detection machine"] == found("detect", Callee(say="Hello?", detected_as="machine"))
    assert "30000 premium.detection not_sure" == found("premium", Callee(detected_as="not_sure"))[-1]
    assert ["1000 detection not_sure"] == found("detect", "hello", CarrierOptions(amd_ms=1_000, amd_result="not_sure"))
