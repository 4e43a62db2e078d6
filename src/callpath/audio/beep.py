"""The end of an answering machine's greeting, by its sound: a beep, or silence after speech. Pure.

    greeting = Greeting(sample_rate_hz)
    if greeting.push(pcm):              # something new is known
        greeting.beeped                 # the beep is over: speak now
        greeting.silent                 # it spoke, and has said nothing for SILENCE_MS

A beep is one steady tone. Speech is steady for no more than some hundredths of a second, keys and busy tones of America are
two tones, and a fax answers above the range and for longer.
"""

from __future__ import annotations

import numpy as np

from callpath.audio.level import level_dbfs
from callpath.audio.pcm import Pcm

STEP_MS, WINDOW_MS = 20, 40
"""How often is looked, and how much sound at a time: two tones 50 Hz apart are told from one."""

LOWEST_HZ, HIGHEST_HZ = 350.0, 2_050.0
BEEP_MS_MIN, BEEP_MS_MAX = 120, 2_200
"""Machines beep between 350 Hz and 2 kHz, for a fifth of a second up to two; windows at its edges are lost."""

STEADY_HZ = 15.0
"""How much a tone may move. The pitch of a voice moves by more within a syllable."""

PURITY_MIN = 0.85
"""Share of the energy that is in the tone."""

QUIET_DBFS, SPEECH_DBFS = -45.0, -40.0
SPEECH_MS_MIN, SILENCE_MS = 300, 4_000
"""How long somebody must have spoken, and been silent since. Greetings pause between sentences, for less."""


class Greeting:
    """Listens to one greeting."""

    def __init__(self, sample_rate_hz: int) -> None:
        self.beeped = False
        """A beep was heard, and is over."""
        self._rate = sample_rate_hz
        self._step = sample_rate_hz * STEP_MS // 1000
        self._window = np.zeros(sample_rate_hz * WINDOW_MS // 1000, np.float64)
        self._taper = np.hanning(self._window.size)
        self._left = np.zeros(0, np.int16)
        self._tone_hz = 0.0
        self._tone_ms = 0
        self._spoken_ms = 0
        self._quiet_ms = 0

    @property
    def silent(self) -> bool:
        """Somebody spoke, and has been silent for SILENCE_MS."""
        return self._spoken_ms >= SPEECH_MS_MIN and self._quiet_ms >= SILENCE_MS

    def push(self, pcm: Pcm) -> bool:
        """Listen on. Returns whether the greeting is over now, as far as can be heard."""
        sound = np.concatenate((self._left, pcm))
        whole = sound.size // self._step * self._step
        self._left = sound[whole:]
        for start in range(0, whole, self._step):
            self._look(sound[start : start + self._step])
        return self.beeped or self.silent

    def _look(self, step: Pcm) -> None:
        self._window = np.concatenate((self._window[self._step :], step.astype(np.float64)))
        level = level_dbfs(step)
        if level < QUIET_DBFS:
            self._quiet_ms += STEP_MS
        else:
            self._quiet_ms = 0
            self._spoken_ms += STEP_MS if level >= SPEECH_DBFS else 0
        tone_hz = self._tone() if level >= QUIET_DBFS else 0.0
        if tone_hz and abs(tone_hz - self._tone_hz) <= STEADY_HZ:
            self._tone_ms += STEP_MS
            return
        if BEEP_MS_MIN <= self._tone_ms <= BEEP_MS_MAX:
            self.beeped = True
        self._tone_hz, self._tone_ms = tone_hz, STEP_MS if tone_hz else 0

    def _tone(self) -> float:
        """The frequency of the one tone that the window holds; 0.0: it holds something else."""
        power = np.abs(np.fft.rfft(self._window * self._taper)) ** 2
        total = float(power.sum())
        top = int(np.argmax(power))
        if total <= 0.0 or not 2 <= top < power.size - 2:
            return 0.0
        around = power[top - 2 : top + 3]
        if float(around.sum()) < PURITY_MIN * total:
            return 0.0
        before, here, after = np.log(power[top - 1 : top + 2] + 1e-9)
        curve = before - 2 * here + after
        offset = 0.5 * float(before - after) / float(curve) if curve else 0.0
        tone_hz = (top + offset) * self._rate / self._window.size
        return tone_hz if LOWEST_HZ <= tone_hz <= HIGHEST_HZ else 0.0
