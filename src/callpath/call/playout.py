"""Audio on its way to the caller: paced on absolute deadlines with a bounded lead, marks, clear. Pure.

Telnyx queues what it gets and plays it in real time. So we keep a small lead over there (it bridges a stalled network)
and everything else here, where a barge-in can still take it back. What the caller heard is known by arithmetic: all that
was sent, less the lead that is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from callpath.call.symptoms import is_digital_silence

LEAD_MS_MAX = 200.0
"""How far playout may run ahead of what the caller hears. More survives a stalled network; less makes barge-in crisper,
since what Telnyx already holds must be cleared over there."""

UNDERRUN_MS_MIN, UNDERRUN_MS_MAX = 20.0, 500.0
"""Playout that runs dry for this long counts as an underrun. Chosen: less than a frame is not heard as a gap; pauses
between sentences, which are meant, are longer than half a second."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """What a clear did, in ms of audio since the last clear."""

    heard_ms: float
    dropped_ms: float


class Run:
    """The audio between two clears of one stream. Positions in it are ms since its beginning."""

    __slots__ = ("heard_ms",)

    def __init__(self) -> None:
        self.heard_ms: float | None = None
        """How much of it was heard; None while it goes on."""


class Playout:
    """One direction of one stream. Frames and marks go out in the order in which they were added."""

    def __init__(self, lead_ms_max: float = LEAD_MS_MAX) -> None:
        self.frames_sent = 0
        self.sounded = False
        """Anything but digital silence went out."""

        self.underruns = 0
        """How often the caller heard a gap although more audio came within the same utterance."""

        self.on_sent: Callable[[bytes, float], None] | None = None
        """Called with each payload that goes out, and the time at which the caller will hear it: for recordings."""
        self._lead_ms_max = lead_ms_max
        self.queued_ms = 0.0
        """Audio that waits here."""

        self._queue: list[tuple[bytes, float] | str] = []  # short; an empty deque takes 760 bytes
        self.run = Run()
        """The audio since the last clear."""
        self._sent_ms = 0.0
        self._ends_at_ms = 0.0
        self._cut_at_ms = -1.0
        """When a clear ended what was playing."""
        self._heard_before_clear_ms = 0.0
        self.marks_unsent: list[str] = []
        """Marks that a clear met here. They are to be sent right behind it, so that Telnyx hands them back as well."""
        self._marks_out: list[str] = []
        self._marks_cleared: list[str] = []

    # --- in ----------------------------------------------------------------------------------------------------------

    def add(self, payload: bytes, duration_ms: float) -> None:
        """Queue one frame."""
        self._queue.append((payload, duration_ms))
        self.queued_ms += duration_ms

    def add_mark(self, name: str) -> None:
        """Queue a mark: it comes back when all audio added before it was heard."""
        self._queue.append(name)

    def clear(self, now_ms: float) -> Cleared:
        """Forget everything that was not heard yet. The caller must also send Telnyx a clear, and then `marks_unsent`.

        Marks that are queued over there come back at once; they are remembered as not heard.
        """
        lead_ms = self.lead_ms(now_ms)
        heard_ms = self.end_run(now_ms)
        dropped_ms = lead_ms + self.queued_ms
        unsent = [item for item in self._queue if isinstance(item, str)]
        self.marks_unsent += unsent
        self._marks_cleared += self._marks_out + unsent
        self._marks_out.clear()
        self._queue.clear()
        self.queued_ms = 0.0
        self._sent_ms -= lead_ms
        self._ends_at_ms = self._cut_at_ms = now_ms
        self._heard_before_clear_ms = self._sent_ms
        return Cleared(heard_ms=heard_ms, dropped_ms=dropped_ms)

    def end_run(self, now_ms: float) -> float:
        """Nothing more of what was added so far will be heard. Returns the ms of it that were."""
        heard_ms = self.run.heard_ms = self.heard_since_clear_ms(now_ms)
        self.run = Run()
        return heard_ms

    def recode(self, recode: Callable[[bytes], bytes]) -> None:
        """Replace every payload that waits here by one of the same length in another form."""
        self._queue = [item if isinstance(item, str) else (recode(item[0]), item[1]) for item in self._queue]

    def take_back_mark(self, name: str) -> bool:
        """A mark came back: True if its audio was heard, False if a clear had thrown it away."""
        if name in self._marks_cleared:
            self._marks_cleared.remove(name)
            return False
        if name in self._marks_out:
            self._marks_out.remove(name)
        return True

    def take_marks(self) -> list[str]:
        """All marks that are still to come back, and will not: the socket is gone."""
        names = [*self._marks_cleared, *self._marks_out, *(item for item in self._queue if isinstance(item, str))]
        self._marks_cleared.clear()
        self._marks_out.clear()
        return names

    # --- out ---------------------------------------------------------------------------------------------------------

    def take_due(self, now_ms: float) -> list[bytes | str]:
        """Payloads and marks (their names) to send now, in order."""
        due: list[bytes | str] = []
        for head in self._queue:
            if isinstance(head, str):
                self._marks_out.append(head)
                due.append(head)
            else:
                payload, duration_ms = head
                if self._ends_at_ms - now_ms + duration_ms > self._lead_ms_max:
                    break
                self.send_at_once(payload, duration_ms, now_ms)
                self.queued_ms -= duration_ms
                due.append(payload)
        else:
            self.queued_ms = 0.0  # exactly: sums of payloads that are no whole milliseconds long leave a rest
        if due:
            del self._queue[: len(due)]
        return due

    def may_send_at_once(self, duration_ms: float, now_ms: float) -> bool:
        """Whether a frame that comes now need not wait: the queue is empty, and the lead is not used up."""
        return not self._queue and self._ends_at_ms - now_ms + duration_ms <= self._lead_ms_max

    def send_at_once(self, payload: bytes, duration_ms: float, now_ms: float) -> None:
        """This frame goes out now, past the queue: only where `may_send_at_once`."""
        starts_at_ms = self._ends_at_ms
        if starts_at_ms < now_ms:
            if now_ms - starts_at_ms >= UNDERRUN_MS_MIN:
                self._count_underrun(now_ms)
            starts_at_ms = now_ms
        if self.on_sent is not None:
            self.on_sent(payload, starts_at_ms)
        self._ends_at_ms = starts_at_ms + duration_ms
        self._sent_ms += duration_ms
        self.frames_sent += 1
        if not self.sounded:
            self.sounded = not is_digital_silence(payload)

    def next_due_at_ms(self) -> float | None:
        """When `take_due` will have something again; None while nothing is queued."""
        if not self._queue:
            return None
        head = self._queue[0]
        if isinstance(head, str):
            return 0.0
        return self._ends_at_ms + head[1] - self._lead_ms_max

    # --- reading -----------------------------------------------------------------------------------------------------

    def lead_ms(self, now_ms: float) -> float:
        """Audio that was sent and not yet heard."""
        return max(0.0, self._ends_at_ms - now_ms)

    def played_ms(self, now_ms: float) -> float:
        """Audio heard since the stream began."""
        return self._sent_ms - self.lead_ms(now_ms)

    def heard_since_clear_ms(self, now_ms: float) -> float:
        """Audio heard since the last clear."""
        return self.played_ms(now_ms) - self._heard_before_clear_ms

    @property
    def added_ms(self) -> float:
        """Audio added since the last clear: where in the present run the next audio begins."""
        return self._sent_ms - self._heard_before_clear_ms + self.queued_ms

    def unheard_ms(self, now_ms: float) -> float:
        """Audio that is still to be heard: queued here, or sent and not played yet."""
        return self.queued_ms + self.lead_ms(now_ms)

    @property
    def ends_at_ms(self) -> float:
        """When the caller will have heard all that was sent."""
        return self._ends_at_ms

    def _count_underrun(self, now_ms: float) -> None:
        if self._ends_at_ms == self._cut_at_ms:
            return  # it did not run dry, it was cleared
        dry_ms = now_ms - self._ends_at_ms
        if dry_ms < UNDERRUN_MS_MAX and self.frames_sent:
            self.underruns += 1
