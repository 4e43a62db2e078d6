"""Frames of many calls, taken in small batches, as network cards do it with packets (interrupt moderation).

At 200 calls a frame comes every 100 µs. Woken for each, a process spends more time on falling asleep, waking up, waking
its peer and filling the processor's caches again than on the frame. So when frames come that often, the event loop rests
for half a millisecond after each turn, and then finds several at once. What is sent leaves at once, before the rest.
With few calls nothing of this happens (docs/decisions/0011 has the measurements).
"""

from __future__ import annotations

import asyncio

from callpath.clock import Clock

TARGET_BATCH = 2.4
"""Frames that a rest of the event loop should bring."""

REST_MS_MIN, REST_MS_MAX = 0.2, 1.0
"""A caller's round trip takes a hundred times as long and more."""

BATCH_LARGE_ENOUGH = 8
"""Frames in one turn from which on the loop does not rest: meanwhile as many more have come."""

OVERLOADED_BATCH = 100
"""Frames in one turn from which on other work is put off: the turn took milliseconds, and more work delays each frame."""

BUSY_FRAMES_PER_S = 1_500
"""Minimum rate at which reads are coalesced: 30 calls. Below it the longest rest would hardly bring a second frame."""

JUDGED_EVERY_MS = 100.0

AT_ONCE_MAX = 20
"""Maximum pieces of deferrable work that are done within JUDGED_EVERY_MS."""


class ReadCoalescer:
    """Reads the frames of many calls in batches. One for each event loop."""

    def __init__(self, clock: Clock) -> None:
        self.busy = False
        self._overloaded = False
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._frames = 0
        self._turn_ends = False
        self._frames_before = 0
        """Those of earlier turns, within `_frames`."""
        self._at_once = 0
        self._judge_at_ms = 0.0
        self._rest_ms = 0.0

    def frame_came(self) -> None:
        """Called for every read."""
        self._frames += 1
        if not self._turn_ends:
            self._turn_ends = True
            # A turn later: the handlers that these frames wake run first, and what they send leaves before the rest.
            self._loop.call_soon(self._loop.call_soon, self._end_turn)

    def has_time(self, *, waited: bool = False) -> bool:
        """Whether deferrable work that takes as long as ten frames may be done now. Each call of this counts. Work that has
        `waited` may also be done while the loop is busy, unless it is overloaded."""
        self._at_once += 1
        return (waited or not self.busy) and not self._overloaded and self._at_once <= AT_ONCE_MAX

    def _end_turn(self) -> None:
        self._turn_ends = False
        now_ms = self._clock.now_ms()
        came = self._frames - self._frames_before
        self._overloaded = came >= OVERLOADED_BATCH
        if now_ms >= self._judge_at_ms:
            self._judge(now_ms)
        self._frames_before = self._frames
        if self.busy and came < BATCH_LARGE_ENOUGH:
            self._clock.block_ms(self._rest_ms)

    def _judge(self, now_ms: float) -> None:
        per_ms = self._frames / (now_ms - self._judge_at_ms + JUDGED_EVERY_MS)
        self.busy = per_ms * 1000.0 >= BUSY_FRAMES_PER_S
        if self.busy:
            self._rest_ms = min(REST_MS_MAX, max(REST_MS_MIN, TARGET_BATCH / per_ms))
        self._frames = self._at_once = 0
        self._judge_at_ms = now_ms + JUDGED_EVERY_MS
