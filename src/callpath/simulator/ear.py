"""What the person at the phone could tell of a call: arrays in, figures out. Pure.

Start at `listen`. Everything stands on the caller's clock: index 0 of `said` and of `heard` is one and the same moment.
`SpeechMeter` does the same judging of speech while the call is still on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from callpath.audio.level import FLOOR_DBFS, level_dbfs
from callpath.audio.pcm import FULL_SCALE, Pcm
from callpath.audio.tone import find_delay_ms

WINDOW_MS = 10
"""Levels are taken over so much: shorter than any speech sound, longer than a period of the lowest voice."""

SPEECH_DBFS = -45.0
"""From here on somebody speaks. Line noise lies near -65, soft speech above -45 (see `audio.level`)."""

ABOVE_NOISE_DB = 12.0
"""On a noisy line speech must stand out by so much; the noise is the quietest tenth of what was heard."""

SPEECH_DBFS_MAX = -25.0
"""However loud the background, what is louder than this counts as speech."""

PAUSE_MS_MAX = 350
"""A shorter pause is within a sentence: the closure of a plosive, a comma."""

SPEECH_MS_MIN = 60
"""Anything shorter is a click."""

ECHO_CORRELATION_MIN = 0.6
"""From here on what was heard is what was said. Another voice reaches 0.2; an echo through G.711 0.99."""

ECHO_MS_MAX = 10_000
"""Later than this nobody takes it for an echo."""

ECHOES_MAX = 100
"""So many utterances are looked for in what was heard; a search takes milliseconds."""

HOLE_MS_MAX = 200
"""Digital silence up to so long, in the middle of speech, is audio that got lost; longer is a pause."""

HOLE_EDGE_MS, HOLE_EDGE_DBFS = 3, -30.0
"""A hole breaks off: the last and the next 3 ms are loud. A voice takes longer to close and to open."""


SPEEDS = (0.5, 2.0, 1 / 3, 3.0, 2 / 3, 1.5)
"""Speeds at which audio plays that was made for another rate: 8, 16 and 24 kHz taken for one another."""

SPEED_MS_MAX = 2_000
SPEED_SAMPLES_MAX = 160_000
"""How much of what was said is looked for, and in how much of what was sent: 20 s at 8 kHz."""

FLAT_WINDOW = 256
"""Samples of one spectrum: 32 ms at 8 kHz."""

FLAT_DBFS_MIN = -30.0
"""What is read in a wrong encoding lies near -12, whatever was encoded; comfort noise lies far below."""

FLAT_WINDOWS_MIN = 10
FLATNESS_MIN = 0.35
"""Measured: random bytes as mu-law 0.51 to 0.62, whispering 0.17 to 0.45, the sounds of s and sh in speech up to 0.46."""


class Span(NamedTuple):
    """A stretch of speech, in ms from index 0."""

    start_ms: float
    end_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One media message of the server: when it came, and how much audio it brought."""

    at_ms: float
    audio_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """What the ear measured. A list has one sample for each time that it could be measured; empty: never."""

    said_ms: float = 0.0
    """Speech of the caller, pauses between sentences not counted."""
    heard_ms: float = 0.0
    """Speech, or any other sound, that reached the ear."""
    first_audio_ms: float | None = None
    """From the first packet to the server to the first sound in the ear."""
    response_gap_ms: list[float] = field(default_factory=list)
    """From the end of each thing the caller said to the answer, where nobody spoke in between."""
    barge_in_stop_ms: list[float] = field(default_factory=list)
    """How long the other side talked on after the caller began to speak over it."""
    rtt_ms: list[float] = field(default_factory=list)
    """How long each thing said took to come back, if it came back: an echo."""
    echo_likeness: float = 0.0
    """1.0: what came back is what was said; below 0.6 it is something else."""
    clipped_start_ms: list[float] = field(default_factory=list)
    """How much of the beginning of each thing said is missing in its echo."""
    abrupt_starts: int = 0
    """How often sound began at full loudness out of nothing, as it does when its beginning was cut off."""
    loss_share: float | None = None
    """Part of an echo that is missing in its middle. None: there is no echo."""
    holes: int = 0
    """Short digital silences in the middle of speech: audio that came too late, or not at all."""
    hole_ms: float = 0.0
    jitter_ms: float | None = None
    """How unevenly media messages came, as RFC 3550 computes it, against the audio that they brought."""
    gap_ms_max: float | None = None
    """The longest time between two media messages."""
    silence_share: float = 1.0
    """Part of the call in which nothing was to be heard."""
    one_way: bool = False
    """The caller spoke, and nothing at all was heard."""
    level_dbfs: float = FLOOR_DBFS
    """How loud the other side was while it spoke."""
    clipping_share: float = 0.0
    """Part of what was heard that is cut off at the end of the scale."""
    noise_share: float = 0.0
    """Part of the loud sound that has a flat spectrum: noise 0.95 and more, speech and music below 0.3."""
    speed: float | None = None
    """What came back is what was said, but played so much faster (2.0) or slower (0.5). None: it is not."""


FIGURES = tuple(one.name for one in fields(Hearing))


def listen(
    said: Pcm,
    heard: Pcm,
    sample_rate_hz: int = 8000,
    *,
    arrivals: Sequence[Arrival] = (),
    duration_ms: float | None = None,
    sent: Pcm | None = None,
) -> Hearing:
    """Judge one call. `duration_ms` is how long it lasted, when longer than both arrays. `sent` is what the server sent,
    without the gaps between its messages, at the same rate; an echo at a wrong sample rate is looked for in it."""
    rate = sample_rate_hz
    speaking = speech_spans(said, rate)
    hearing = speech_spans(heard, rate)
    total_ms = max(duration_ms or 0.0, said.size * 1000 / rate, heard.size * 1000 / rate)
    heard_ms = _length_ms(hearing)
    jitter_ms, gap_ms_max = pacing(arrivals)
    echoes = _echoes(said, heard, speaking, rate)
    holes = [hole for span in hearing for hole in _holes(_cut(heard, span, rate), rate)]
    sound = np.concatenate([_cut(heard, span, rate) for span in hearing]) if hearing else np.zeros(0, np.int16)
    return Hearing(
        said_ms=_length_ms(speaking),
        heard_ms=heard_ms,
        first_audio_ms=hearing[0].start_ms if hearing else None,
        response_gap_ms=response_gaps_ms(speaking, hearing),
        barge_in_stop_ms=barge_in_stops_ms(speaking, hearing) if not echoes.rtt_ms else [],
        rtt_ms=echoes.rtt_ms,
        echo_likeness=round(echoes.likeness, 3),
        clipped_start_ms=echoes.clipped_start_ms,
        abrupt_starts=sum(_is_abrupt(heard, span, rate) for span in hearing),
        loss_share=echoes.loss_share,
        holes=len(holes),
        hole_ms=sum(holes),
        jitter_ms=jitter_ms,
        gap_ms_max=gap_ms_max,
        silence_share=round(1.0 - heard_ms / total_ms, 3) if total_ms else 1.0,
        one_way=bool(speaking) and not hearing,
        level_dbfs=round(level_dbfs(sound), 1),
        clipping_share=round(float(np.mean(np.abs(sound.astype(np.int32)) >= 32124)), 4) if sound.size else 0.0,
        # 32124 is the loudest that mu-law can say; A-law's is 32256, L16's 32767.
        noise_share=round(noise_share(sound), 3),
        speed=None if sent is None or echoes.rtt_ms else echo_speed(said, sent, speaking, rate),
    )


# --- speech -----------------------------------------------------------------------------------------------------------


def speech_spans(pcm: Pcm, sample_rate_hz: int = 8000, *, pause_ms_max: float = PAUSE_MS_MAX) -> list[Span]:
    """Where somebody speaks; pauses within a sentence belong to it, clicks do not count. To 10 ms."""
    levels = _levels_dbfs(pcm, sample_rate_hz)
    if not levels.size:
        return []
    sounding = levels >= speech_threshold_dbfs(levels)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], sounding.astype(np.int8), [0]))))
    spans: list[Span] = []
    for start, end in zip(edges[::2] * WINDOW_MS, edges[1::2] * WINDOW_MS, strict=True):
        if spans and start - spans[-1].end_ms <= pause_ms_max:
            spans[-1] = Span(spans[-1].start_ms, float(end))
        else:
            spans.append(Span(float(start), float(end)))
    return [span for span in spans if span.end_ms - span.start_ms >= SPEECH_MS_MIN]


def speech_threshold_dbfs(levels: npt.NDArray[np.float64]) -> float:
    """What counts as speech among these levels: a fixed line, or well above a noisy background."""
    # A call that is nearly all speech has no quiet tenth; then its own level must not become the noise.
    noise = float(np.percentile(levels, 10)) if levels.size else FLOOR_DBFS
    return max(SPEECH_DBFS, min(noise + ABOVE_NOISE_DB, SPEECH_DBFS_MAX)) if noise < -35.0 else SPEECH_DBFS


class SpeechMeter:
    """Tells, packet by packet, whether the other side speaks. Times are those that `hear` is given."""

    def __init__(self, sample_rate_hz: int = 8000) -> None:
        self._rate = sample_rate_hz
        self._sound_from_ms = self._sound_to_ms = float("-inf")
        self.spoke_at_ms: float | None = None
        """When the last speech began."""
        self.spoke_until_ms: float | None = None
        """The end of the last packet with speech in it."""

    def hear(self, pcm: Pcm, at_ms: float) -> None:
        """The packet that begins at `at_ms`. What is never given counts as silence."""
        if level_dbfs(pcm) < SPEECH_DBFS:
            return
        if at_ms - self._sound_to_ms > PAUSE_MS_MAX:
            self._sound_from_ms = at_ms
        self._sound_to_ms = at_ms + pcm.size * 1000 / self._rate
        if self._sound_to_ms - self._sound_from_ms >= SPEECH_MS_MIN:  # else it may be a click
            self.spoke_at_ms, self.spoke_until_ms = self._sound_from_ms, self._sound_to_ms

    def speaks(self, now_ms: float, pause_ms: float = PAUSE_MS_MAX) -> bool:
        """Whether speech is going on: it began, and its last sound is less than `pause_ms` ago."""
        return self.spoke_until_ms is not None and now_ms - self.spoke_until_ms < pause_ms


def response_gaps_ms(said: Sequence[Span], heard: Sequence[Span]) -> list[float]:
    """How long the caller waited after each thing he said, where an answer came before he spoke again.

    None is counted where the other side was speaking when he ended: it answered before its turn, or echoes.
    """
    gaps = []
    for index, span in enumerate(said):
        until_ms = said[index + 1].start_ms if index + 1 < len(said) else float("inf")
        if any(other.start_ms < span.end_ms < other.end_ms for other in heard):
            continue
        answer = next((other for other in heard if span.end_ms <= other.start_ms < until_ms), None)
        if answer is not None:
            gaps.append(answer.start_ms - span.end_ms)
    return gaps


def barge_in_stops_ms(said: Sequence[Span], heard: Sequence[Span]) -> list[float]:
    """How long the other side talked on each time that the caller began to speak while it spoke."""
    stops = []
    for span in said:
        over = next((other for other in heard if other.start_ms < span.start_ms < other.end_ms), None)
        if over is not None:
            stops.append(over.end_ms - span.start_ms)
    return stops


# --- what came back ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Echoes:
    rtt_ms: list[float] = field(default_factory=list)
    clipped_start_ms: list[float] = field(default_factory=list)
    loss_share: float | None = None
    likeness: float = 0.0


def _echoes(said: Pcm, heard: Pcm, speaking: Sequence[Span], rate: int) -> _Echoes:
    """Look for each thing said in what was heard from that moment on."""
    found = _Echoes()
    missing_ms = spoken_ms = 0.0
    for span in speaking[:ECHOES_MAX]:
        utterance = _cut(said, span, rate)
        ahead_ms = utterance.size * 1000 / rate
        after = _cut(heard, Span(span.start_ms, span.end_ms + ECHO_MS_MAX), rate)
        match = find_delay_ms(utterance, after, rate)
        found.likeness = max(found.likeness, match.correlation)
        if match.correlation < ECHO_CORRELATION_MIN or match.delay_ms < -ahead_ms / 2:
            continue
        # Where the echo stands is known from all of it, so a missing beginning does not move it.
        found.rtt_ms.append(round(match.delay_ms, 1))
        back = _cut(heard, Span(span.start_ms + match.delay_ms, span.end_ms + match.delay_ms), rate)
        clipped_ms, lost_ms = _missing(utterance, back, rate)
        found.clipped_start_ms.append(clipped_ms)
        missing_ms += lost_ms
        spoken_ms += ahead_ms
    if spoken_ms:
        found.loss_share = round(missing_ms / spoken_ms, 4)
    return found


def _missing(utterance: Pcm, back: Pcm, rate: int) -> tuple[float, float]:
    """How much of the beginning, and of the rest, is silent in `back` where `utterance` sounds. In ms."""
    sounds = _levels_dbfs(utterance, rate) >= SPEECH_DBFS
    came = _levels_dbfs(np.pad(back, (0, max(0, utterance.size - back.size))), rate)[: sounds.size] >= SPEECH_DBFS - 10
    came = np.pad(came, (0, sounds.size - came.size))
    first = int(np.argmax(came)) if came.any() else sounds.size
    lost = sounds & ~came
    # The first sounding window starts a span, so what is lost before `first` is the beginning.
    return float(first * WINDOW_MS), float(np.count_nonzero(lost[first:]) * WINDOW_MS)


def echo_speed(said: Pcm, sent: Pcm, speaking: Sequence[Span], sample_rate_hz: int = 8000) -> float | None:
    """How much faster than it was said the first thing said came back; None where it did not, or at its own speed."""
    if not speaking or not sent.size:
        return None
    first = speaking[0]
    utterance = _cut(said, Span(first.start_ms, min(first.end_ms, first.start_ms + SPEED_MS_MAX)), sample_rate_hz)
    best, best_speed = 0.0, 1.0
    for speed in (1.0, *SPEEDS):
        places = np.arange(int(utterance.size / speed)) * speed
        stretched = np.interp(places, np.arange(utterance.size), utterance).astype(np.int16)
        match = find_delay_ms(stretched, sent[:SPEED_SAMPLES_MAX], sample_rate_hz)
        if match.correlation > best:
            best, best_speed = match.correlation, speed
    return best_speed if best >= ECHO_CORRELATION_MIN and best_speed != 1.0 else None


def noise_share(sound: Pcm) -> float:
    """Part of the loud windows whose spectrum is flat. White noise has a flatness of 0.56, voiced speech of 0.02."""
    whole = sound.size // FLAT_WINDOW
    if not whole:
        return 0.0
    windows = sound[: whole * FLAT_WINDOW].reshape(-1, FLAT_WINDOW).astype(np.float64)
    loud = windows[np.mean(windows**2, axis=1) > (FULL_SCALE * 10 ** (FLAT_DBFS_MIN / 20)) ** 2]
    if len(loud) < FLAT_WINDOWS_MIN:
        return 0.0
    # The lowest and the highest bins belong to the window and to the codec's filters.
    power = np.abs(np.fft.rfft(loud * np.hanning(FLAT_WINDOW), axis=1))[:, 4:-4] ** 2 + 1e-9
    flatness = np.exp(np.mean(np.log(power), axis=1)) / np.mean(power, axis=1)
    return float(np.mean(flatness > FLATNESS_MIN))


# --- how it came ------------------------------------------------------------------------------------------------------


def pacing(arrivals: Sequence[Arrival]) -> tuple[float | None, float | None]:
    """Jitter after RFC 3550 (section 6.4.1), against the audio that each message brought, and the longest gap.

    Only for a server that sends in time with the audio: of one that sends ahead, all at once, jitter says nothing.
    """
    if len(arrivals) < 2:
        return None, None
    jitter = 0.0
    gap_ms = 0.0
    for before, after in pairwise(arrivals):
        apart_ms = after.at_ms - before.at_ms
        gap_ms = max(gap_ms, apart_ms)
        # A pause between two answers is no jitter: only messages that follow each other are compared.
        if apart_ms < before.audio_ms + 1000:
            jitter += (abs(apart_ms - before.audio_ms) - jitter) / 16
    return round(jitter, 2), round(gap_ms, 1)


def _is_abrupt(heard: Pcm, span: Span, rate: int) -> bool:
    """Out of digital silence, the first 2 ms with any sound are as loud as speech is at its loudest."""
    start = max(0, int(span.start_ms * rate / 1000))
    window = heard[start : start + rate * 2 * WINDOW_MS // 1000].astype(np.int32)
    before = heard[max(0, start - rate * WINDOW_MS // 1000) : start]
    sounding = np.flatnonzero(np.abs(window) > 0.001 * FULL_SCALE)
    if not sounding.size or (before.size and np.any(np.abs(before.astype(np.int32)) > 0.001 * FULL_SCALE)):
        return False
    onset = window[sounding[0] : sounding[0] + rate * 2 // 1000]
    # -12 dBFS at once; a mouth takes some 5 ms to get there, and a tone of a test none.
    return bool(abs(int(onset[0])) > 0.1 * FULL_SCALE and np.max(np.abs(onset)) > 0.25 * FULL_SCALE)


def _holes(speech: Pcm, rate: int) -> list[float]:
    """Lengths of the digital silences, from a packet to HOLE_MS_MAX, that loud sound surrounds."""
    quiet = np.abs(speech.astype(np.int32)) <= 8  # G.711's smallest steps
    edges = np.flatnonzero(np.diff(np.concatenate(([0], quiet.astype(np.int8), [0]))))
    holes = []
    edge = rate * HOLE_EDGE_MS // 1000
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        length_ms = float(end - start) * 1000 / rate
        if not 15 <= length_ms <= HOLE_MS_MAX or start < edge or end > speech.size - edge:
            continue
        # Speech fades into a pause; a lost packet breaks off.
        if min(level_dbfs(speech[start - edge : start]), level_dbfs(speech[end : end + edge])) > HOLE_EDGE_DBFS:
            holes.append(round(length_ms, 1))
    return holes


# --- small things -----------------------------------------------------------------------------------------------------


def _levels_dbfs(pcm: Pcm, rate: int) -> npt.NDArray[np.float64]:
    """RMS of each whole window of 10 ms, and of the rest as if it were one."""
    width = rate * WINDOW_MS // 1000
    if pcm.size % width:
        pcm = np.pad(pcm, (0, width - pcm.size % width))
    windows = pcm.reshape(-1, width).astype(np.float64)
    power = np.einsum("ij,ij->i", windows, windows) / width / FULL_SCALE**2
    levels: npt.NDArray[np.float64] = 10 * np.log10(np.maximum(power, 10 ** (FLOOR_DBFS / 10)))
    return levels


def _cut(pcm: Pcm, span: Span, rate: int) -> Pcm:
    start, end = (round(at_ms * rate / 1000) for at_ms in span)
    return pcm[max(0, start) : max(0, end)]


def _length_ms(spans: Sequence[Span]) -> float:
    return sum(span.end_ms - span.start_ms for span in spans)
