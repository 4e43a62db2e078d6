"""Puts the arrivals of one track back in order, waiting only where a number is missing.

Telnyx does not promise the order of its media messages, only that `chunk` counts them. In order, a chunk passes at
once. Behind a hole, chunks are held until the missing one comes or the wait is over; then it is lost. The wait adapts: a
chunk that comes just too late makes it as long as that one would have needed, until none has needed so much for a while.

`chunk` is read as a counter of this track alone, as in every example that Telnyx publishes. A stream whose numbers also
count something else shows it as losses without missing audio (symptom SYM016); `ignore_numbers` then ends the sorting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

WAIT_MS_MAX = 60.0
"""Three frames: on a TCP connection, reordering comes from within Telnyx and spans neighbours. Every millisecond is
added to the answer when a chunk really is lost."""
WAIT_MS_ADAPTED_MAX = 160.0
"""How far the wait follows chunks that come later than that. What needs more is taken for lost: one hears the pause."""
WAIT_MARGIN_MS = 10.0
"""Half a frame on top of what the last one needed."""
WAIT_ADAPTED_FOR_MS = 30_000.0
"""Then the network is given another chance, since a longer wait delays the answer at each real loss."""
HELD_MAX = 64
"""Chunks held behind holes. Only a stalled connection that empties itself brings more, and then waiting is over."""
JUMP_CHUNKS = 50
"""A second of audio. A longer step, back or forth, is not disorder but a new numbering."""


class Payload(NamedTuple):
    """One chunk, in its turn. (A named tuple, since one is made for every frame of every call.)"""

    chunk: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """`count` chunks, from number `first_chunk` on, will not come: conceal that much."""

    first_chunk: int
    count: int


Arrival: TypeAlias = Payload | Gap


@dataclass(slots=True)
class JitterCounts:
    """What was odd on this track so far."""

    reordered: int = 0
    """Came after a later one, in time to be put back in its place."""
    duplicated: int = 0
    late: int = 0
    """Came when its place was already given up, and was dropped."""
    lost: int = 0
    """Did not come in time; a late one was counted here before."""
    resyncs: int = 0
    """A new numbering began."""


class JitterBuffer:
    """One track of one stream. Give it every media message, and ask `due` when `next_due_ms` says so."""

    def __init__(self, wait_ms_max: float = WAIT_MS_MAX) -> None:
        self.counts = JitterCounts()
        self._wait_ms = self._wait_ms_usual = wait_ms_max
        self._adapted_until_ms = 0.0
        self.expected = -1
        """The number that passes at once; -1 while something is held or unclear, and before the first."""
        self._numbered = True
        self._last = 0
        """The highest number handed out or given up, as far as `expected` does not tell; 0 before the first."""
        self._held: dict[int, tuple[bytes, float]] = {}
        self._passed: list[tuple[int, int, float]] = []
        """Numbers that were given up, as (first, last, when they were first missed): tells late from duplicated."""
        self._stray: tuple[int, bytes, float] | None = None
        """A chunk from far away. The next one tells whether a new numbering began or it was lost in time."""

    def passes(self, chunk: int) -> bool:
        """The quick way: True if this chunk is the very one that was expected, so that it may be handed out as it is.

        Give `push` only what does not pass.
        """
        if chunk != self.expected:
            return False
        self.expected = chunk + 1
        return True

    def push(self, chunk: int, payload: bytes, now_ms: float) -> list[Arrival]:
        """One media message as it came; what can be handed out now, in order. `chunk` 0 means it has no number."""
        if self.passes(chunk):
            return [Payload(chunk, payload)]
        self._note_passed()
        return self._push_unexpected(chunk, payload, now_ms)

    def due(self, now_ms: float) -> list[Arrival]:
        """What need not wait any longer. Calling it too early or too often does no harm."""
        arrivals: list[Arrival] = []
        if self._held:
            arrivals = self._release(now_ms)
        if self._stray is not None and now_ms >= self._stray[2] + self._wait_ms:
            arrivals += self._resync()
        return arrivals

    def next_due_ms(self) -> float | None:
        """When to call `due`; None while nothing is held."""
        if not self._held and self._stray is None:
            return None
        since = [at_ms for _, at_ms in self._held.values()]
        if self._stray is not None:
            since.append(self._stray[2])
        return min(since) + self._wait_ms

    def flush(self) -> list[Arrival]:
        """All that is held, in order: the stream is over."""
        self._note_passed()
        return self._release(math.inf) if self._stray is None else self._resync()

    def restart(self) -> list[Arrival]:
        """All that is held, in order: whatever number comes next begins a new numbering."""
        arrivals = self.flush()
        self._last, self.expected = 0, -1
        self._passed.clear()
        return arrivals

    def ignore_numbers(self) -> list[Arrival]:
        """All that is held, in order: from now on every chunk passes as it comes."""
        arrivals = self.restart()
        self._numbered = False
        return arrivals

    def _note_passed(self) -> None:
        """Take over the number of the last chunk that passed, which the quick way leaves in `expected` only."""
        if self.expected > 0:
            self._last = self.expected - 1

    def _push_unexpected(self, chunk: int, payload: bytes, now_ms: float) -> list[Arrival]:
        if chunk <= 0 or not self._numbered:
            return [Payload(chunk, payload)]
        if self._last == 0:
            return self._begin(chunk, payload)
        if abs(chunk - self._last) > JUMP_CHUNKS:
            return self._push_stray(chunk, payload, now_ms)
        if self._stray is not None:  # the old numbering goes on
            self._stray = None
            self.counts.late += 1
        if chunk in self._held:
            self.counts.duplicated += 1
        elif chunk <= self._last:
            missed_at_ms = [at_ms for first, last, at_ms in self._passed if first <= chunk <= last]
            if missed_at_ms:
                self.counts.late += 1
                self._adapt_wait(now_ms - missed_at_ms[-1], now_ms)
            else:
                self.counts.duplicated += 1
        else:
            if self._held and chunk < max(self._held):
                self.counts.reordered += 1
                self._adapt_wait(now_ms - min(at_ms for held, (_, at_ms) in self._held.items() if held > chunk), now_ms)
            self._held[chunk] = (payload, now_ms)
        return self._release(now_ms)

    def _begin(self, chunk: int, payload: bytes) -> list[Arrival]:
        """A numbering starts here, whatever the number."""
        self._last = chunk
        self.expected = chunk + 1
        self._passed.clear()
        self._passed.append((1, chunk - 1, -math.inf))
        return [Payload(chunk, payload)]

    def _push_stray(self, chunk: int, payload: bytes, now_ms: float) -> list[Arrival]:
        """One far chunk may be a straggler; a second one near the first is a new numbering."""
        if self._stray is not None and 0 < chunk - self._stray[0] <= JUMP_CHUNKS:
            arrivals = self._resync()
            return arrivals + self._push_unexpected(chunk, payload, now_ms)
        if self._stray is not None:
            self.counts.late += 1
        self._stray = (chunk, payload, now_ms)
        self.expected = -1
        return self._release(now_ms)

    def _resync(self) -> list[Arrival]:
        assert self._stray is not None
        chunk, payload, _ = self._stray
        self._stray = None
        self.counts.resyncs += 1
        return self._release(math.inf) + self._begin(chunk, payload)

    def _release(self, now_ms: float) -> list[Arrival]:
        """Hand out what stands in front, and give up the holes whose wait is over."""
        arrivals: list[Arrival] = []
        while self._held:
            chunk = min(self._held)
            missing = chunk - self._last - 1
            if missing:
                since_ms = min(at_ms for _, at_ms in self._held.values())
                if now_ms >= self._adapted_until_ms:
                    self._wait_ms = self._wait_ms_usual
                if now_ms < since_ms + self._wait_ms and len(self._held) <= HELD_MAX:
                    break
                arrivals.append(Gap(self._last + 1, missing))
                self.counts.lost += missing
                self._passed.append((self._last + 1, chunk - 1, since_ms))
                del self._passed[:-HELD_MAX]
            self._last = chunk
            payload, _ = self._held.pop(chunk)
            arrivals.append(Payload(chunk, payload))
        if self._stray is None:
            self.expected = -1 if self._held else self._last + 1
        return arrivals

    def _adapt_wait(self, needed_ms: float, now_ms: float) -> None:
        """A chunk came so long after it was first missed."""
        if self._wait_ms_usual < needed_ms + WAIT_MARGIN_MS <= WAIT_MS_ADAPTED_MAX:
            self._wait_ms = max(self._wait_ms, needed_ms + WAIT_MARGIN_MS)
            self._adapted_until_ms = now_ms + WAIT_ADAPTED_FOR_MS
