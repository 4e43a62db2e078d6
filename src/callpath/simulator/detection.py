"""Answering machine detection: which webhooks come when, by what the callee presents. Pure.

The order of events and the lists of results are documented; the moments are not, apart from the time limits.
"""

from __future__ import annotations

from typing import NamedTuple

from callpath.simulator.callee import Presents
from callpath.simulator.options import CarrierOptions
from callpath.wire.command import MachineDetection
from callpath.wire.document import Json

TOTAL_MS, PREMIUM_TOTAL_MS = 3_500, 30_000
"""total_analysis_time_millis, documented defaults."""

BEEP_WINDOW_MS = 30_000
"""How long detect_words waits for a beep after the verdict. Documented."""

SILENCE_MS = 1_500
"""greeting_silence_duration_millis: quiet that ends a greeting for greeting_end, documented default."""


class Detected(NamedTuple):
    """One webhook: so long after the answer, the end of its name, and its result."""

    after_ms: float
    event: str
    result: str | None = None


def detections(mode: MachineDetection, config: Json, callee: Presents, options: CarrierOptions) -> list[Detected]:
    """All webhooks of a detection, in order of time."""
    if mode == "disabled":
        return []
    if mode in ("premium", "premium_ios_call_screening_detection"):
        found = [Detected(0.0, "premium.detection.started"), *_premium(mode, config, callee, options, 0.0)]
    else:
        found = _standard(mode, config, callee, options)
    return sorted(found, key=lambda one: one.after_ms)


def _standard(mode: str, config: Json, callee: Presents, options: CarrierOptions) -> list[Detected]:
    total_ms = config.get("total_analysis_time_millis") or TOTAL_MS
    result = callee.detected_as or _plain(callee, options)
    at_ms = float(total_ms if callee.kind == "silence" else min(options.amd_ms, total_ms))
    verdict = Detected(at_ms, "detection.ended", result)
    if result != "machine":
        return [verdict]
    beep_ms = callee.beep_ms
    match mode:
        case "detect_beep" if beep_ms is not None:
            return [verdict, Detected(max(at_ms, beep_ms), "greeting.ended", "beep_detected")]
        case "detect_words":
            if beep_ms is not None and beep_ms <= at_ms + BEEP_WINDOW_MS:
                return [verdict, Detected(max(at_ms, beep_ms), "greeting.ended", "beep_detected")]
            return [verdict, Detected(at_ms + BEEP_WINDOW_MS, "greeting.ended", "not_sure")]
        case "greeting_end":
            quiet_ms = callee.greeting_ends_ms + (config.get("greeting_silence_duration_millis") or SILENCE_MS)
            ends_ms = quiet_ms if beep_ms is None else min(quiet_ms, beep_ms)
            return [verdict, Detected(max(at_ms, ends_ms), "greeting.ended", "ended")]
        case _:
            return [verdict]


def _plain(callee: Presents, options: CarrierOptions) -> str:
    match callee.kind:
        case "human":
            return options.amd_result
        case "silence":
            return "not_sure"
        case _:
            return "machine"


def _premium(
    mode: str, config: Json, callee: Presents, options: CarrierOptions, from_ms: float, *, again: bool = False
) -> list[Detected]:
    total_ms = config.get("total_analysis_time_millis") or PREMIUM_TOTAL_MS
    result = callee.detected_as or _detailed(callee, options)
    late = callee.kind == "silence" or result == "not_sure"
    at_ms = from_ms + (total_ms if late else min(options.amd_ms, total_ms))
    verdict = Detected(at_ms, "premium.detection.ended", result)
    if result != "machine":
        return [verdict]
    ios = mode == "premium_ios_call_screening_detection"
    if callee.screens and ios and not again:
        screening = Detected(max(at_ms, callee.greeting_ends_ms), "premium.call_screening.detected", "screening")
        if callee.then is None:
            return [verdict, screening]
        return [verdict, screening, *_premium(mode, config, callee.then, options, callee.taken_ms, again=True)]
    if callee.beep_ms is not None and callee.beep_ms <= from_ms + total_ms:
        # "Before or after" the verdict, says the guide: whenever the beep is heard.
        return [verdict, Detected(callee.beep_ms, "premium.greeting.ended", "beep_detected")]
    if ios:
        waits_ms = config.get("prompt_end_timeout_millis") or options.amd_prompt_end_ms
        ends_ms = min(callee.greeting_ends_ms, at_ms + waits_ms)
        return [verdict, Detected(max(at_ms, ends_ms), "premium.greeting.ended", "prompt_ended")]
    return [verdict, Detected(from_ms + total_ms, "premium.greeting.ended", "no_beep_detected")]


def _detailed(callee: Presents, options: CarrierOptions) -> str:
    match callee.kind:
        case "human" if options.amd_result == "human":
            return "human_business" if callee.is_business else "human_residence"
        case "human":
            return options.amd_result
        case "fax":
            return "fax_detected"
        case "silence":
            return "silence"
        case "machine":
            return "machine"
