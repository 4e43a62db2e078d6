"""What sounds or behaves wrong on a stream that works by the letter: wrong law, swapped bytes, stalls, lateness. Pure.

A `Watch` is told of every frame, which must cost next to nothing, and asked once a second what it noticed. Each symptom
is told once a stream. It says what was seen, not whose fault it is: that is the doctor's work. In doubt it says nothing:
noise, music, tones and pauses are all somebody's clean call.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from callpath.audio.g711 import G711Decoder, likeness, peak
from callpath.audio.jitter import FRAME_MS
from callpath.audio.l16 import ByteOrder, detect_byte_order
from callpath.audio.level import RTP_HEADER_BYTES, Guess, begin_with_rtp, guess_encoding
from callpath.audio.pcm import Pcm, as_pcm
from callpath.call.echo import Echo
from callpath.timeline import LAG_MS_MAX

WINDOW_FRAMES = 20
"""So much sound is looked at quickly: nearly always it plainly is what it should be, and that is all. Otherwise it goes to
the full analysis. (Of 15,000 pieces of this length `guess_encoding` gave none a wrong name, as of those of a second.)"""
WINDOWS_MAX = 5
"""If so many of them tell nothing, nothing will."""

LIKENESS_MIN, LIKENESS_AHEAD = 0.5, 0.2
"""Sound in the right reading resembles itself one sample later, and in the wrong one less so. Where both are clear the
full analysis, which takes milliseconds, is spared."""

SILENT_AT_END_S = 3
"""A stream that is over and carried nothing but digital silence of ours for so long: no voice will come after it."""

SILENT_S = 30
"""Digital silence from the beginning of the stream on; on a phone line even a listening caller is not that quiet."""

SILENCE_SHOWS = ("PCMU", "PCMA", "L16")
"""In the payloads of these. Of the others whoever decodes them tells whether anything was heard."""

HEARD_FRAMES = 5
"""So much sound is a word. (A line may click once when it is connected.)"""

STALL_MS = 2_000.0
"""Telnyx sends a frame every 20 ms, and also in silence."""

GAP_MS = 100.0
GAPS_MAX = 5
GAPS_WITHIN_MS = 60_000.0
"""Within a minute so many pauses of this length with everything coming at once after them: frames that never come are
lost, which is counted elsewhere, and a hiccup now and then is nobody's fault."""

CLIPPED_SHARE = 0.05
CLIPPED_LOOKS = 5
CLIPPED_LEVEL = 31_600
CLIPPED_STEP = 1_024
CLIPPED_PILE = 4
CLIPPED_VALUES_MIN = 16
"""Of the frames looked at (one a second), so many had so many samples at the end of the scale, and so many times more
than one step below it: what is cut off piles up there, while a full-scale tone only turns round (2.7 times at most).
A-law ends at 32,256, mu-law at 32,124, and both have this step there. A tone of 400 or 1,000 Hz is made of so few
values that none need lie between."""

RATE_OFF = 1.4
RATE_LOOKS = 3
"""For three seconds in a row bytes came at so many times the rate, or the other way round; and more of them not only
because a network that was held up delivers what it still had."""

WAITING_MS_MAX = 1_000.0
"""So much of the caller's audio waits for the handler: its answers are late by that."""


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
        self._windows_left = WINDOWS_MAX
        self._screened = False
        self._told: tuple[str, ...] = ()
        self._bytes = 0
        self._frames_in = self._doubled = 0
        self._last_ms = math.inf
        """When a frame last came; never yet."""
        self._longest_ms = 0.0
        """Between two frames, since it was taken."""
        self._notable_ms = 0.0
        """A longer time between two frames is worth a look: so one comparison serves gaps and jitter."""
        self._pauses = 0
        self._paused_ms = 0.0
        """Pauses since the last look, and their length together."""
        self._gaps_ms: list[float] = []
        """When one was followed by what it had held up."""
        self._last_at_look_ms = math.inf
        self._looked_ms: float | None = None
        self._silent_in = self._silent_out = 0
        self._clipped: list[bool] = []
        self._rates_off: list[float] = []
        self._behind_ms = 0.0
        """By so much less audio came than time went by, at the look before; held at 0 where more came."""

    def frame(self, payload: bytes, now_ms: float) -> None:
        """A frame of the caller's came."""
        self._bytes += len(payload)
        apart_ms = now_ms - self._last_ms
        if apart_ms > self._notable_ms:
            self._pause(apart_ms)
        self._last_ms = now_ms
        if self._window is not None and len(self._window) < WINDOW_FRAMES and not is_digital_silence(payload):
            self._window.append(payload)

    def _pause(self, apart_ms: float) -> None:
        if apart_ms > GAP_MS:
            self._pauses += 1
            self._paused_ms += apart_ms
        self._longest_ms = max(self._longest_ms, apart_ms)
        self._notable_ms = min(GAP_MS, self._longest_ms)

    def take_jitter_ms(self) -> float:
        """By how much a frame came later than one frame after the one before it, at worst since this was last asked."""
        jitter_ms = max(0.0, self._longest_ms - FRAME_MS)
        self._longest_ms = self._notable_ms = 0.0
        return jitter_ms

    def look(
        self,
        now_ms: float,
        *,
        frames_in: int,
        duplicated: int = 0,
        audio: bytes | Pcm = b"",
        heard: bool | None = None,
        sent_sound: bool | None = None,
        frames_sent: int = 0,
        frames_outbound_track: int = 0,
        waiting_ms: float = 0.0,
        lag_ms: float = 0.0,
        may_analyse: bool = True,
    ) -> list[Symptom]:
        """What is new. Call it about once a second, with the number of frames that came so far (`duplicated` of them for a
        second time), the caller's last one (`audio`, PCM16), whether anything but digital silence was in those that
        came (`heard`; None: ask the payloads) and in those that were sent (None: none was).

        `may_analyse` False puts off an analysis that takes milliseconds, where `wants_analysis`.
        """
        frames, self._frames_in = frames_in - self._frames_in, frames_in
        doubled, self._doubled = duplicated - self._doubled, duplicated
        if doubled:
            self._bytes -= self._bytes * doubled // max(1, frames)
            frames -= doubled
        found = self._content(may_analyse)
        found += self._silence(frames, heard, sent_sound, frames_sent)
        found += self._clipping(audio)
        found += self._arrival(now_ms, frames)
        if frames_outbound_track:
            found += self._tell("SYM009", frames=frames_outbound_track)
        if waiting_ms > WAITING_MS_MAX:
            found += self._tell("SYM012", waiting_ms=waiting_ms)
        if lag_ms > LAG_MS_MAX:  # each time: whoever gives it gives each lag to one stream of the process
            found.append(Symptom("SYM013", SYMPTOMS["SYM013"][0], {"lag_ms": round(lag_ms, 1)}))
        return found

    @property
    def wants_analysis(self) -> bool:
        """The quick look told nothing, and there is enough sound for the full one."""
        return self._screened and self._window is not None and len(self._window) >= WINDOW_FRAMES

    def end(self, sent_sound: bool | None = None) -> list[Symptom]:
        """What is sure only once nothing more will come, and the analysis for which the server never had time.
        `sent_sound` as in `look`: the last words may have come after that."""
        found = self._content(may_analyse=True) if self.wants_analysis else []
        if self._silent_out >= SILENT_AT_END_S and not sent_sound:
            found += self._tell("SYM006", seconds=self._silent_out)
        return found

    def tell_echo(self, echo: Echo) -> list[Symptom]:
        """The caller's audio holds ours."""
        return self._tell("SYM014", likeness=echo.likeness, delay_ms=echo.delay_ms)

    def _tell(self, code: str, **evidence: float | str) -> list[Symptom]:
        if code in self._told:
            return []
        self._told += (code,)
        return [Symptom(code, SYMPTOMS[code][0], dict(evidence))]

    # --- what is in the payloads -------------------------------------------------------------------------------------

    def _content(self, may_analyse: bool) -> list[Symptom]:
        """Sound is gathered from the first frame on, and kept until it was judged: a short "hello?" may be all there is."""
        window = self._window
        if window is None or len(window) < WINDOW_FRAMES:
            return []
        if not self._screened and begin_with_rtp(window):  # whatever else is told of such bytes would be wrong
            self._window = None
            return self._tell("SYM015", first_bytes=window[0][:RTP_HEADER_BYTES].hex(" "))
        if self._screened and not may_analyse:
            return []
        if self._encoding == "L16":
            order = detect_byte_order(window)
            if order is not None:
                self._window = None
                return [] if order == self.byte_order else self._tell("SYM002", **{"is": order})
        elif _resembles_itself(b"".join(window), self._encoding):
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
            return self._tell("SYM001", **evidence)
        return self._tell("SYM004", **evidence)

    # --- how it sounds -----------------------------------------------------------------------------------------------

    def _silence(self, frames: int, heard: bool | None, sent_sound: bool | None, frames_sent: int) -> list[Symptom]:
        """Only from the beginning on: whoever was heard once may be silent as long as he likes. A phone that gates noise is
        silent between the words, and a word may fall between two looks."""
        if frames and self._silent_in >= 0:
            if heard is None:
                heard = self._window is None or len(self._window) >= HEARD_FRAMES or self._windows_left < WINDOWS_MAX
            self._silent_in = -1 if heard else self._silent_in + 1
        if sent_sound is not None and self._silent_out >= 0:
            self._silent_out = -1 if sent_sound else self._silent_out + 1
        found: list[Symptom] = []
        if self._silent_in >= SILENT_S and frames_sent == 0:
            found = self._tell("SYM007", seconds=self._silent_in)
        elif self._silent_in >= SILENT_S:
            found = self._tell("SYM005", seconds=self._silent_in)
        if self._silent_out >= SILENT_S:
            found += self._tell("SYM006", seconds=self._silent_out)
        return found

    def _clipping(self, audio: bytes | Pcm) -> list[Symptom]:
        if not len(audio) or "SYM008" in self._told:
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
        return self._tell("SYM008", share=round(share, 3), looks=sum(self._clipped))

    # --- how it comes ------------------------------------------------------------------------------------------------

    def _arrival(self, now_ms: float, frames: int) -> list[Symptom]:
        found: list[Symptom] = []
        if self._pauses:
            self._note_pauses(now_ms, frames)
        if self._looked_ms is not None and self._bytes_per_s and now_ms > self._looked_ms:
            elapsed_ms, audio_ms = now_ms - self._looked_ms, 1000.0 * self._bytes / self._bytes_per_s
            ratio = audio_ms / elapsed_ms
            fast = ratio >= RATE_OFF and self._behind_ms < FRAME_MS
            off = fast or (ratio <= 1 / RATE_OFF and frames * FRAME_MS >= 0.8 * elapsed_ms)
            self._behind_ms = max(0.0, self._behind_ms + elapsed_ms - audio_ms)
            self._rates_off = [*self._rates_off, ratio] if off else []
            if len(self._rates_off) >= RATE_LOOKS:
                found += self._tell("SYM003", times=round(sum(self._rates_off) / len(self._rates_off), 2))
        self._looked_ms = now_ms
        self._last_at_look_ms = self._last_ms
        self._bytes = 0
        if now_ms - self._last_ms >= STALL_MS:
            found += self._tell("SYM010", ms=round(now_ms - self._last_ms))
        if len(self._gaps_ms) >= GAPS_MAX:
            found += self._tell("SYM011", pauses=len(self._gaps_ms))
        return found

    def _note_pauses(self, now_ms: float, frames: int) -> None:
        came_ms = 1000.0 * self._bytes / self._bytes_per_s if self._bytes_per_s else FRAME_MS * frames
        if self._last_ms - self._last_at_look_ms - came_ms < self._paused_ms / 2:
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


def _resembles_itself(audio: bytes, law: str) -> bool:
    """True if G.711 is plainly sound in the law it is meant for, and less so in the other."""
    right, wrong = (
        likeness(decoder.decode_bytes(audio)) for decoder in (_LAWS[law], _LAWS["PCMA" if law == "PCMU" else "PCMU"])
    )
    return right >= LIKENESS_MIN and right >= wrong + LIKENESS_AHEAD
