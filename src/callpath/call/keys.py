"""Keys in the order in which they were pressed. Pure.

Telnyx says that dtmf frames may arrive out of order, and to sort them by `occurred_at`. So a key is held for
`KEY_HOLD_MS` after it came, and one that was pressed before it and comes within that time is handed out first. A key
that comes later still is handed out when it comes: its `occurred_at_unix_ms` shows where it belongs. A key is not held
where the numbers of the frames prove that none before it is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from callpath.wire.media import Dtmf

KEY_HOLD_MS = 40.0
"""How long a key is held. Two frames: disorder spans neighbours. Nobody presses two keys within it (ITU-T Q.24 asks
for 40 ms of tone and 40 ms of pause), and nobody notices it."""

KEYS_REMEMBERED_MAX = 32
"""How many of the last keys are compared with a new one, to tell a copy."""


@dataclass(frozen=True, slots=True)
class DtmfPressed:
    """A key was pressed. `occurred_at_unix_ms` is when, by Telnyx's clock; None where the frame did not say."""

    digit: str
    occurred_at_unix_ms: int | None = None


@dataclass(frozen=True, slots=True)
class _Held:
    digit: str
    occurred_at_us: int | None
    sequence_number: int
    due_ms: float


class KeyOrder:
    """The keys of one stream."""

    __slots__ = ("_held", "_known", "duplicated")

    def __init__(self) -> None:
        self.duplicated = 0
        self._held: list[_Held] = []
        """In the order in which they were pressed."""
        self._known: list[tuple[str, int | None, int]] = []

    def push(self, frame: Dtmf, now_ms: float, *, complete: bool = False) -> None:
        """Take a dtmf frame. `complete`: every frame before it has come. A copy of a key that came before is dropped, and
        counted."""
        hold_ms = 0.0 if complete else KEY_HOLD_MS
        key = _Held(frame.digit, _unix_us(frame.occurred_at), frame.sequence_number, now_ms + hold_ms)
        if self._is_copy(key):
            self.duplicated += 1
            return
        place = len(self._held)
        while place and _was_before(key, self._held[place - 1]):
            place -= 1
        self._held.insert(place, key)

    def _is_copy(self, key: _Held) -> bool:
        """Whether a key came twice. Two presses of one key differ in time or, where the time is in whole seconds or
        missing, in their number; a frame with neither may be anything."""
        identity: tuple[str, int | None, int]
        if key.occurred_at_us is not None and key.occurred_at_us % 1_000_000:
            identity = (key.digit, key.occurred_at_us, 0)
        elif key.sequence_number or key.occurred_at_us is not None:
            identity = (key.digit, key.occurred_at_us, key.sequence_number)
        else:
            return False
        if identity in self._known:
            return True
        self._known = [*self._known[1 - KEYS_REMEMBERED_MAX :], identity]
        return False

    def due(self, now_ms: float) -> list[DtmfPressed]:
        """Keys that were held long enough, and those pressed before them. Calling it too early does no harm."""
        count = max((place for place, key in enumerate(self._held, 1) if key.due_ms <= now_ms), default=0)
        due, self._held = self._held[:count], self._held[count:]
        return [_pressed(key) for key in due]

    def next_due_ms(self) -> float | None:
        """When to call `due`; None while nothing is held."""
        return min((key.due_ms for key in self._held), default=None)

    def flush(self) -> list[DtmfPressed]:
        """All that is held: the stream is over."""
        held, self._held = self._held, []
        return [_pressed(key) for key in held]

    def restart(self) -> list[DtmfPressed]:
        """All that is held: a new start frame came, and numbers begin again."""
        self._known = []
        return self.flush()


def _was_before(key: _Held, other: _Held) -> bool:
    """Whether `key`, which came later, was pressed earlier. Without evidence it was not."""
    if (
        key.occurred_at_us is not None
        and other.occurred_at_us is not None
        and key.occurred_at_us != other.occurred_at_us
    ):
        return key.occurred_at_us < other.occurred_at_us
    return 0 < key.sequence_number < other.sequence_number


def _pressed(key: _Held) -> DtmfPressed:
    at_us = key.occurred_at_us
    return DtmfPressed(key.digit, None if at_us is None else at_us // 1000)


def _unix_us(occurred_at: str | None) -> int | None:
    """Microseconds since 1970, or None for what is no time of ISO 8601. One without a zone is UTC."""
    try:
        at = datetime.fromisoformat(occurred_at or "")
    except ValueError:
        return None
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
