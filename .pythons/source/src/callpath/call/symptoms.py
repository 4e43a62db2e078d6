"""Symptoms of a stream that works by the letter and sounds or behaves wrong: wrong law, swapped bytes, stalls. Pure.

A `Watch` sees every frame, which must cost next to nothing, and analyses once a second what it saw. Each symptom is
reported once a stream. It says what was seen, not whose fault it is: that is the doctor's work. In doubt nothing is
reported: noise, music, tones and pauses all occur on clean calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from callpath.audio.g711 import G711Decoder, autocorrelation, peak
from callpath.audio.l16 import ByteOrder, detect_byte_order
from callpath.audio.level import RTP_HEADER_BYTES, Guess, begin_with_rtp, guess_encoding
from callpath.audio.pcm import Pcm, as_pcm
from callpath.call.echo import Echo
from callpath.timeline import LAG_MS_MAX

FRAME_MS = 20.0
"""Duration of a frame where its payload does not show it: that of every capture known to us."""

WINDOW_FRAMES = 20
"""Frames of sound that are screened quickly, or more where they are shorter than 20 ms: nearly always they plainly are
what they should be. Otherwise they go to the full analysis. (Of 15,000 pieces of this length `guess_encoding` gave none a
wrong name, as of those of a second.)"""
WINDOWS_MAX = 5
"""Maximum number of windows that are analysed in full, as long as none gives a result."""

AUTOCORRELATION_MIN, AUTOCORRELATION_AHEAD = 0.5, 0.2
"""The lag-1 autocorrelation of sound in the right law is high, and in the wrong one lower. Where both are clear the full
analysis, which takes milliseconds, is skipped."""

SILENT_AT_END_S = 3
"""How long a stream that is over must have carried nothing but digital silence of ours to be reported."""

SILENT_S = 30
"""Digital silence from the beginning of the stream on; on a phone line even a listening caller is not that quiet."""

SILENCE_SHOWS = ("PCMU", "PCMA", "L16")
"""Encodings whose payloads show silence. Of the others the decoded audio does."""

HEARD_FRAMES = 5
"""Minimum number of frames of sound that count as a word. (A line may click once when it is connected.)"""

STALL_MS = 2_000.0
"""Telnyx sends a frame every 20 ms, and also in silence."""

GAP_MS = 100.0
GAPS_MAX = 5
GAPS_WITHIN_MS = 60_000.0
"""Frames come in bursts: within a minute five pauses of this length, a usual frame included, each with everything coming
at once after it. Frames that never come are lost, which is counted elsewhere, and a single pause is normal."""

CLIPPED_SHARE = 0.05
CLIPPED_LOOKS = 5
CLIPPED_LEVEL = 31_600
CLIPPED_STEP = 1_024
CLIPPED_PILE = 4
CLIPPED_VALUES_MIN = 16
"""Clipping: of the frames analysed (one a second), five had 5 % of their samples at the end of the scale, four times as
many as one step below it. Clipped samples pile up there, while a full-scale tone only turns round (2.7 times at most).
A-law ends at 32,256, mu-law at 32,124, and both have this step there. A tone of 400 or 1,000 Hz is made of so few
values that none need lie between, so a minimum of different values is asked for."""

RATE_OFF = 1.4
RATE_LOOKS = 3
"""A wrong rate: for three seconds in a row bytes came at 1.4 times the rate or more, or at its 1.4th part or less; and
more of them not only because a network that was held up delivers what it still had."""

SKIPPED_SHARE, COMPLETE_SHARE = 0.3, 0.9
SKIPPED_SECONDS = 2
"""Chunk numbers count something else too: for two seconds in a row at least 30 % as many chunks were missing by their
numbers as came, although those that came fill 90 % of the time. Lost audio leaves its time empty."""

WAITING_MS_MAX = 1_000.0
"""Maximum of the caller's audio that may wait for a handler that reads it: its answers are late by that."""


@dataclass(frozen=True, slots=True)
class Symptom:
    """`code` is permanent; `slug` names it; `evidence` has the numbers."""

    code: str
    slug: str
    evidence: dict[str, float | str] = field(default_factory=dict)


SYMPTOMS: dict[str, tuple[str, str]] = {
    "SYM001": ("wrong_law", "The caller's audio is in the other companding law than the stream says: loud static"),
    "SYM002": ("wrong_byte_order", "The caller's L16 has its bytes the other way round: full-scale noise"),
    "SYM003": ("wrong_rate", "Bytes come at another rate than the stream says: chipmunks, or slow motion"),
    "SYM004": ("wrong_encoding", "The caller's audio is not in the encoding that the stream says"),
    "SYM005": ("caller_silent", "Nothing but digital silence has come from the caller"),
    "SYM006": ("we_are_silent", "Nothing but digital silence has been sent to the caller"),
    "SYM007": ("silent_both_ways", "Digital silence came from the caller, and nothing was sent"),
    "SYM008": ("clipping", "The caller's audio is cut off at the end of the scale"),
    "SYM009": ("own_audio_back", "Our own audio comes back on the outbound track; the handler does not get it"),
    "SYM010": ("sender_stalled", "The stream is open, and no frame comes"),
    "SYM011": ("bursts", "Frames come in bursts instead of every 20 ms"),
    "SYM012": ("late_handler", "The handler is behind the caller's audio"),
    "SYM013": ("loop_lag", "The event loop was held up: something blocks it"),
    "SYM014": ("own_audio_heard", "Our own audio comes back within the caller's: an echo, or a loop on the way"),
    "SYM015": ("rtp_header", "Each of the caller's payloads begins with an RTP header, which is heard as a crackle"),
    "SYM016": ("numbers_skipped", "Chunk numbers skip although no audio is missing: they count something else too"),
}
"""Every code with its slug and what it means."""

_BYTES_PER_S: dict[str, Callable[[int], int]] = {
    "PCMU": lambda _rate: 8000,
    "PCMA": lambda _rate: 8000,
    "G722": lambda _rate: 8000,
    "L16": lambda rate: 2 * rate,
}


_QUIET = ({0xFF, 0xFE, 0x7F, 0x7E}, {0xD5, 0xD4, 0x55, 0x54}, {0x00, 0xFF})
"""The bytes of zero and of its neighbours: mu-law, A-law, L16."""

_LAWS = {"PCMU": G711Decoder("PCMU"), "PCMA": G711Decoder("PCMA")}


class Watch:
    """One stream. `encoding`, `rate_hz` and `byte_order` are what its payloads are taken for."""

    def __init__(self, encoding: str, rate_hz: int, byte_order: ByteOrder) -> None:
        self.byte_order: ByteOrder = byte_order
        self._encoding = encoding
        self._bytes_per_s = _BYTES_PER_S[encoding](rate_hz) if encoding in _BYTES_PER_S else None
        self._window: list[bytes] | None = [] if encoding in SILENCE_SHOWS else None
        self._window_frames = WINDOW_FRAMES
        self._windows_left = WINDOWS_MAX
        self._screened = False
        self._reported: tuple[str, ...] = ()
        self._bytes = 0
        self._payload_bytes = 0
        """Length of the last payload."""
        self._frames_in = self._doubled = self._lost = 0
        self._seconds_skipped = 0
        self._last_ms = math.inf
        """When a frame last came; never yet."""
        self._longest_ms = 0.0
        """Longest time between two frames since `take_jitter_ms`."""
        self._notable_ms = 0.0
        """A longer time between two frames needs `_pause`: so one comparison serves pauses and jitter."""
        self._pauses = 0
        self._paused_ms = 0.0
        """Pauses since the last analysis, and their length together."""
        self._gaps_ms: list[float] = []
        """Times of pauses that were followed by what they had held up."""
        self._last_at_analysis_ms = math.inf
        self._analysed_ms: float | None = None
        self._silent_in = self._silent_out = 0
        self._clipped: list[bool] = []
        self._rates_off: list[float] = []
        self._behind_ms = 0.0
        """How much less audio came than time went by, at the analysis before; held at 0 where more came."""

    def frame(self, payload: bytes, now_ms: float) -> None:
        """A frame of the caller's came."""
        self._payload_bytes = size = len(payload)
        self._bytes += size
        apart_ms = now_ms - self._last_ms
        if apart_ms > self._notable_ms:
            self._pause(apart_ms)
        self._last_ms = now_ms
        if self._window is not None and len(self._window) < self._window_frames and not is_digital_silence(payload):
            self._window.append(payload)

    def _pause(self, apart_ms: float) -> None:
        if apart_ms - self.frame_ms() > GAP_MS - FRAME_MS:
            self._pauses += 1
            self._paused_ms += apart_ms
        self._longest_ms = max(self._longest_ms, apart_ms)
        self._notable_ms = min(GAP_MS, self._longest_ms)

    def frame_ms(self) -> float:
        """Duration of the last payload. Some phones send 10 or 60 ms at a time."""
        return 1000.0 * self._payload_bytes / self._bytes_per_s if self._bytes_per_s else FRAME_MS

    def take_jitter_ms(self) -> float:
        """Worst delay of a frame, counted from one frame after the one before it, since this was called last."""
        jitter_ms = max(0.0, self._longest_ms - self.frame_ms())
        self._longest_ms = self._notable_ms = 0.0
        return jitter_ms

    def analyse(
        self,
        now_ms: float,
        *,
        frames_in: int,
        duplicated: int = 0,
        lost: int = 0,
        audio: bytes | Pcm = b"",
        sound_received: bool | None = None,
        sound_sent: bool | None = None,
        frames_sent: int = 0,
        frames_outbound_track: int = 0,
        waiting_ms: float = 0.0,
        lag_ms: float = 0.0,
        may_take_long: bool = True,
    ) -> list[Symptom]:
        """New symptoms. Call it about once a second.

        `frames_in` frames came so far, `duplicated` of them for a second time, and `lost` are missing by their numbers.
        `audio` is the caller's last frame, as PCM16. `sound_received` says whether anything but digital silence came
        (None: the payloads show it), `sound_sent` whether any was sent (None: nothing was). `waiting_ms` of audio wait
        for a handler that reads. With `may_take_long` False an analysis that takes milliseconds, as `wants_analysis`
        announces it, is put off.
        """
        frames, self._frames_in = frames_in - self._frames_in, frames_in
        self._window_frames = max(WINDOW_FRAMES, math.ceil(WINDOW_FRAMES * FRAME_MS / max(1.0, self.frame_ms())))
        doubled, self._doubled = duplicated - self._doubled, duplicated
        missing, self._lost = lost - self._lost, lost
        if doubled:
            self._bytes -= self._bytes * doubled // max(1, frames)
            frames -= doubled
        found = self._content(may_take_long)
        found += self._silence(frames, sound_received, sound_sent, frames_sent)
        found += self._clipping(audio)
        found += self._arrival(now_ms, frames, missing)
        if frames_outbound_track:
            found += self._report("SYM009", frames=frames_outbound_track)
        if waiting_ms > WAITING_MS_MAX:
            found += self._report("SYM012", waiting_ms=waiting_ms)
        if lag_ms > LAG_MS_MAX:  # each time: the server reports each lag to one stream of the process
            found.append(Symptom("SYM013", SYMPTOMS["SYM013"][0], {"lag_ms": round(lag_ms, 1)}))
        return found

    @property
    def wants_analysis(self) -> bool:
        """Whether the quick screening gave no result, and there is enough sound for the full analysis."""
        return self._screened and self._window is not None and len(self._window) >= self._window_frames

    def end(self, sound_sent: bool | None = None) -> list[Symptom]:
        """Symptoms that are certain only at the end of the stream, and those of an analysis that was put off until now.
        `sound_sent` as in `analyse`: the last words may have come after that."""
        found = self._content(may_take_long=True) if self.wants_analysis else []
        if self._silent_out >= SILENT_AT_END_S and not sound_sent:
            found += self._report("SYM006", seconds=self._silent_out)
        return found

    def report_echo(self, echo: Echo) -> list[Symptom]:
        """The caller's audio holds ours."""
        return self._report("SYM014", likeness=echo.likeness, delay_ms=echo.delay_ms)

    def _report(self, code: str, **evidence: float | str) -> list[Symptom]:
        if code in self._reported:
            return []
        self._reported += (code,)
        return [Symptom(code, SYMPTOMS[code][0], dict(evidence))]

    # --- what is in the payloads -------------------------------------------------------------------------------------

    def _content(self, may_take_long: bool) -> list[Symptom]:
        """Symptoms in the payloads. Sound is gathered from the first frame on, and kept until it was judged: a short
        "hello?" may be all there is."""
        window = self._window
        if window is None or len(window) < self._window_frames:
            return []
        if not self._screened and begin_with_rtp(window):  # any other symptom of such bytes would be wrong
            self._window = None
            return self._report("SYM015", first_bytes=window[0][:RTP_HEADER_BYTES].hex(" "))
        if self._screened and not may_take_long:
            return []
        if self._encoding == "L16":
            order = detect_byte_order(window)
            if order is not None:
                self._window = None
                return [] if order == self.byte_order else self._report("SYM002", **{"is": order})
        elif _is_plainly(b"".join(window), self._encoding):
            self._window = None
            return []
        if not self._screened:
            self._screened = True
            return []
        self._windows_left -= 1
        self._window = [] if self._windows_left else None
        guess = guess_encoding(window)
        if guess.content in ("unknown", "silence") or (self._encoding == "L16" and guess.content.startswith("PCM16")):
            return []
        self._window = None
        return [] if guess.content == self._encoding else self._wrong_content(guess)

    def _wrong_content(self, guess: Guess) -> list[Symptom]:
        evidence: dict[str, float | str] = {"is": guess.content, "confidence": guess.confidence}
        if {self._encoding, guess.content} == {"PCMU", "PCMA"}:
            return self._report("SYM001", **evidence)
        return self._report("SYM004", **evidence)

    # --- how it sounds -----------------------------------------------------------------------------------------------

    def _silence(
        self, frames: int, sound_received: bool | None, sound_sent: bool | None, frames_sent: int
    ) -> list[Symptom]:
        """Silence from the beginning on; after one word a caller may be silent for any time. A phone that gates noise is
        silent between the words, and a word may fall between two analyses."""
        if frames and self._silent_in >= 0:
            if sound_received is None:
                kept = 0 if self._window is None else len(self._window)
                sound_received = self._window is None or kept >= HEARD_FRAMES or self._windows_left < WINDOWS_MAX
            self._silent_in = -1 if sound_received else self._silent_in + 1
        if sound_sent is not None and self._silent_out >= 0:
            self._silent_out = -1 if sound_sent else self._silent_out + 1
        found: list[Symptom] = []
        if self._silent_in >= SILENT_S and frames_sent == 0:
            found = self._report("SYM007", seconds=self._silent_in)
        elif self._silent_in >= SILENT_S:
            found = self._report("SYM005", seconds=self._silent_in)
        if self._silent_out >= SILENT_S:
            found += self._report("SYM006", seconds=self._silent_out)
        return found

    def _clipping(self, audio: bytes | Pcm) -> list[Symptom]:
        if not len(audio) or "SYM008" in self._reported:
            return []
        share = 0.0
        if peak(audio) >= CLIPPED_LEVEL:
            pcm = as_pcm(audio) if isinstance(audio, bytes) else audio
            loud = np.abs(pcm.astype(np.int32))
            share = float(np.mean(loud >= CLIPPED_LEVEL))
            below = float(np.mean(loud >= CLIPPED_LEVEL - CLIPPED_STEP)) - share
            if share < CLIPPED_PILE * below or np.unique(pcm).size < CLIPPED_VALUES_MIN:
                share = 0.0
        self._clipped = [*self._clipped[-9:], share >= CLIPPED_SHARE]
        if sum(self._clipped) < CLIPPED_LOOKS:
            return []
        return self._report("SYM008", share=round(share, 3), looks=sum(self._clipped))

    # --- how it comes ------------------------------------------------------------------------------------------------

    def _arrival(self, now_ms: float, frames: int, missing: int) -> list[Symptom]:
        found: list[Symptom] = []
        if self._pauses:
            self._note_pauses(now_ms, frames)
        if self._analysed_ms is not None and now_ms > self._analysed_ms:
            found += self._skipping(now_ms - self._analysed_ms, frames, missing)
        if self._analysed_ms is not None and self._bytes_per_s and now_ms > self._analysed_ms:
            elapsed_ms, audio_ms = now_ms - self._analysed_ms, self._audio_ms(frames)
            ratio = audio_ms / elapsed_ms
            fast = ratio >= RATE_OFF and self._behind_ms < FRAME_MS
            off = fast or (ratio <= 1 / RATE_OFF and frames * FRAME_MS >= 0.8 * elapsed_ms)
            self._behind_ms = max(0.0, self._behind_ms + elapsed_ms - audio_ms)
            self._rates_off = [*self._rates_off, ratio] if off else []
            if len(self._rates_off) >= RATE_LOOKS:
                found += self._report("SYM003", times=round(sum(self._rates_off) / len(self._rates_off), 2))
        self._analysed_ms = now_ms
        self._last_at_analysis_ms = self._last_ms
        self._bytes = 0
        if now_ms - self._last_ms >= STALL_MS:
            found += self._report("SYM010", ms=round(now_ms - self._last_ms))
        if len(self._gaps_ms) >= GAPS_MAX:
            found += self._report("SYM011", pauses=len(self._gaps_ms))
        return found

    def _audio_ms(self, frames: int) -> float:
        """Duration of the audio that came since the last analysis, in `frames` frames."""
        return 1000.0 * self._bytes / self._bytes_per_s if self._bytes_per_s else FRAME_MS * frames

    def _skipping(self, elapsed_ms: float, frames: int, missing: int) -> list[Symptom]:
        complete = self._audio_ms(frames) >= COMPLETE_SHARE * elapsed_ms
        skipped = frames > 0 and missing >= SKIPPED_SHARE * frames
        self._seconds_skipped = self._seconds_skipped + 1 if complete and skipped else 0
        if self._seconds_skipped < SKIPPED_SECONDS:
            return []
        return self._report("SYM016", frames=frames, missing=missing)

    def _note_pauses(self, now_ms: float, frames: int) -> None:
        if self._last_ms - self._last_at_analysis_ms - self._audio_ms(frames) < self._paused_ms / 2:
            self._gaps_ms = [at_ms for at_ms in self._gaps_ms if at_ms > now_ms - GAPS_WITHIN_MS]
            self._gaps_ms = [*self._gaps_ms, *[now_ms] * self._pauses][-GAPS_MAX * 4 :]
        self._pauses = 0
        self._paused_ms = 0.0


def is_digital_silence(payload: bytes) -> bool:
    """One value over and over, give or take the smallest step, in any encoding with a fixed width. (Two values further
    apart are a square wave.)"""
    head = payload[:64]
    values = set(head)
    if len(values) != 2:
        return len(values) < 2
    return max(values) - min(values) == 1 or head[2:] == head[:-2] or any(values <= quiet for quiet in _QUIET)


def _is_plainly(audio: bytes, law: str) -> bool:
    """Whether G.711 is plainly sound in the law it is meant for, and less so in the other."""
    right, wrong = (
        autocorrelation(decoder.decode_bytes(audio))
        for decoder in (_LAWS[law], _LAWS["PCMA" if law == "PCMU" else "PCMU"])
    )
    return right >= AUTOCORRELATION_MIN and right >= wrong + AUTOCORRELATION_AHEAD
