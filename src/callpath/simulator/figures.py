"""The figures of a call by name, and what can be expected of them: `p99_rtt_ms < 40`. Pure.

A figure is a list of samples, since one call may give several (each thing said has its round trip). By itself its name
means the worst of them; `min_`, `mean_`, `p50_` … before it choose another.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from callpath.errors import ConfigError

Figures = dict[str, list[float]]

FIGURES: dict[str, str] = {
    "answer_ms": "from the beginning of the call to its answer",
    "stream_ms": "from the beginning of the call to the open media WebSocket",
    "first_audio_ms": "from the first packet to the server to the first sound in the ear",
    "response_gap_ms": "from the end of what the caller said to the answer, if nobody spoke in between",
    "barge_in_stop_ms": "how long the other side talked on after the caller spoke over it",
    "rtt_ms": "how long what was said took to come back, if the program echoes",
    "echo_likeness": "1: what came back is what was said; below 0.6 it is something else",
    "clipped_start_ms": "how much of the beginning of each thing said is missing in its echo",
    "abrupt_starts": "how often sound began at full loudness out of nothing",
    "loss_share": "part of an echo that is missing, 0 to 1",
    "holes": "short digital silences in the middle of speech",
    "hole_ms": "their length in all",
    "jitter_ms": "how unevenly the program's frames came (RFC 3550)",
    "gap_ms_max": "the longest time between two of the program's frames",
    "silence_share": "part of the call in which nothing was to be heard, 0 to 1",
    "said_ms": "speech of the caller",
    "heard_ms": "sound that reached the ear",
    "one_way": "1 if the caller spoke and nothing at all was heard",
    "level_dbfs": "loudness of what was heard, 0 is the loudest possible",
    "clipping_share": "part of what was heard that is cut off at the end of the scale, 0 to 1",
    "noise_share": "part of the loud sound that is noise, 0 to 1; speech and music stay below 0.3",
    "speed": "how much faster than said the caller's words came back, where a sample rate is wrong",
    "frames_out": "media frames to the program",
    "frames_in": "media frames from the program",
    "refused_frames": "frames from the program that Telnyx would answer with an error",
    "streams": "media WebSockets in this call; more than one is a reconnect",
    "late_ms": "how late the simulator itself was, at worst: no fault of the program",
}
"""Name → what it measures. Per call; over all calls there are also `calls` and `failed_calls`."""

TOTALS = {"calls": "calls placed", "failed_calls": "calls in which a stage was not reached or a step failed"}

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_EXPECTATION = re.compile(r"\s*(?:(min|max|mean|p\d{1,2}(?:\.\d)?)_)?([a-z_]+)\s*(<=|>=|==|!=|<|>)\s*(\S+)\s*")
_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|h)?")
_UNITS_MS = {"ms": 1.0, "s": 1_000.0, None: 1_000.0, "m": 60_000.0, "h": 3_600_000.0}


def parse_duration_ms(text: object, setting: str = "duration") -> float:
    """`10s`, `500ms`, `2m`, or plain seconds, in milliseconds. Raises ConfigError."""
    matched = None if isinstance(text, bool) else _DURATION.fullmatch(str(text).strip())
    if matched is None:
        raise ConfigError(setting, f"is {text!r}, which is no duration", "Right are 10s, 500ms, 2m, or plain seconds")
    return float(matched[1]) * _UNITS_MS[matched[2]]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a figure must be. Made by `parse_expectation`."""

    text: str
    how: str | None
    figure: str
    sign: str
    limit: float

    def check(self, figures: Mapping[str, list[float]]) -> tuple[bool, str]:
        """Whether it holds, and the sentence that says so with the number measured."""
        samples = figures.get(self.figure, [])
        if not samples:
            return False, f"{self.text}: it was not measured"
        value = summary(samples, self.how or ("min" if self.sign in (">", ">=") else "max"))
        # Equality is asked of each sample, or of none.
        asked = samples if self.how is None and self.sign in ("==", "!=") else [value]
        holds = all(_OPERATORS[self.sign](one, self.limit) for one in asked)
        return holds, f"{self.text}: it was {_short(value)}"


def parse_expectation(text: str, *, total: bool = False) -> Expectation:
    """`p99_rtt_ms < 40`. With `total`, `calls` and `failed_calls` are known too. Raises ConfigError."""
    matched = _EXPECTATION.fullmatch(text)
    if matched is None:
        raise ConfigError("expect", f"{text!r} is no expectation", "Right is, for example: p99_rtt_ms < 40")
    how, figure, sign, limit = matched.groups()
    known = FIGURES | (TOTALS if total else {})
    if figure not in known:
        near = difflib.get_close_matches(figure, known, 1)
        hint = f"Did you mean {near[0]}?" if near else "`callpath simulate figures` lists them"
        raise ConfigError("expect", f"knows no figure {figure!r}", hint)
    try:
        value = parse_duration_ms(limit) if limit.endswith("s") else float(limit)
    except (ValueError, ConfigError):
        raise ConfigError("expect", f"{limit!r} in {text!r} is no number", "Right are 40, 0.05, 40ms") from None
    return Expectation(" ".join(text.split()), how, figure, sign, value)


def summary(samples: list[float], how: str) -> float:
    """`min`, `max`, `mean`, or a percentile as `p99`: the smallest sample that so many per cent do not exceed."""
    match how:
        case "min":
            return min(samples)
        case "max":
            return max(samples)
        case "mean":
            return float(np.mean(samples))
        case _:
            return float(np.percentile(samples, float(how[1:]), method="inverted_cdf"))


def figures_of(report: Mapping[str, Any]) -> Figures:
    """The figures in `Caller.report()`."""
    stream, ear = report["stream"], report["ear"]
    one: dict[str, Any] = ear | {
        "answer_ms": report["answered_at_ms"],
        "stream_ms": stream["opened_at_ms"],
        "frames_out": stream["frames_out"],
        "frames_in": stream["frames_in"],
        "refused_frames": stream["refused_frames"],
        "streams": stream["streams"],
        "late_ms": stream["late_ms_max"],
    }
    figures = {name: value if isinstance(value, list) else [value] for name, value in one.items()}
    return {name: [float(one) for one in figures.get(name, []) if one is not None] for name in FIGURES}


def together(each: Iterable[Mapping[str, list[float]]]) -> Figures:
    """The samples of several calls as one."""
    joined: Figures = {name: [] for name in FIGURES}
    for figures in each:
        for name, samples in figures.items():
            joined.setdefault(name, []).extend(samples)
    return joined


def summaries(figures: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    """For a report: each measured figure with its number of samples, least, median, p99 and greatest."""
    return {
        name: {"n": len(samples)} | {how: round(summary(samples, how), 3) for how in ("min", "p50", "p99", "max")}
        for name, samples in figures.items()
        if samples
    }


def _short(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") if value != int(value) else str(int(value))
