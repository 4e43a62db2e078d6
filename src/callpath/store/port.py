"""What a call log can do, and what it promises.

An append that returned is on disk. Entries of one session keep the order of their appends, whichever node made them: who
has read up to a number misses none that comes later. A second append with the same key changes nothing. Rejected
requests (webhooks and upgrades that belong to no call) are all counted, and the latest kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol

from callpath.call.overview import CallOverview, Outcome
from callpath.clock import Clock
from callpath.timeline import Entry
from callpath.wire.ids import SessionId

REJECTED_MAX = 1000
"""Maximum rejected requests that are kept; older ones only count. Anyone can cause them, so they must not fill the disk."""


@dataclass(frozen=True, slots=True)
class RejectedRequest:
    """A request that was rejected before it could be tied to a call. `what` is "webhook" or "upgrade"."""

    at_unix_ms: int
    what: str
    reason: str
    detail: str
    client: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class CallQuery:
    """Which calls a list wants, newest first. `before` is the last row of the page before: (first_unix_ms, session).

    `text` is looked for anywhere in session id, numbers, hang-up cause, handler error and symptom codes.
    """

    limit: int = 50
    before: tuple[int, str] | None = None
    text: str = ""
    direction: str | None = None
    outcome: Outcome | None = None
    placed: bool = False
    """With the timelines of dials that became calls."""


MINUTE_MS, DAY_MS = 60_000, 86_400_000

DIALLED_MS_MAX = 15_000_000
"""How long a dialled call counts as up: Telnyx ends each after 4 hours."""


@dataclass(frozen=True, slots=True)
class DialCounts:
    """How many calls were dialled: those that are up, and those of the last minute and the last 24 hours. A dial whose fate
    is not known yet counts as a call."""

    live: int
    minute: int
    day: int


Steal = Literal["never", "expired", "always"]
"""When `claim` takes a call from another node: never, once its lease has run out, or in any case."""

OFFERED = ""
"""In the place of a node: the call is nobody's, and any node may claim it."""


class CallLog(Protocol):
    """All methods raise StoreError when the log cannot be read or written. `shared`: other processes append, too."""

    shared: bool

    async def append(self, *entries: Entry) -> bool:
        """Keep `entries` for ever, in this order: all of them, or none where one cannot be. An entry whose key its
        session has already changes nothing; False if that goes for all."""
        ...

    async def read(self, session: SessionId, after: int = 0) -> list[Entry]:
        """The timeline of `session`, in order; with `after`, only entries whose number is greater."""
        ...

    async def overviews(self, query: CallQuery) -> list[CallOverview]:
        """One page of the list of calls, ready to show."""
        ...

    async def changes(self, after: int, limit: int) -> list[CallOverview]:
        """The calls that got an entry whose number is greater than `after`, least recently changed first."""
        ...

    async def outcomes(self) -> tuple[int, dict[str, int]]:
        """The number of the latest entry of all (0: none), and how many calls there are of each outcome."""
        ...

    async def dial_counts(self, now_unix_ms: int) -> DialCounts:
        """How many calls all processes of this log have dialled lately."""
        ...

    async def find(self, identifier: str) -> SessionId | None:
        """The session of `identifier`: a session id or the beginning of one, a leg id, or a call_control_id."""
        ...

    async def forget(self, session: SessionId) -> bool:
        """Remove all that is known of a call. False: nothing was. A late webhook would begin its timeline anew."""
        ...

    async def silent_since(self, before_unix_ms: int, limit: int) -> list[SessionId]:
        """Calls whose last entry is older than that, longest silent first."""
        ...

    async def note_rejected(self, request: RejectedRequest) -> None:
        """Count `request`, and keep it among the latest."""
        ...

    async def rejected(self, limit: int) -> tuple[int, list[RejectedRequest]]:
        """How many there ever were, and the latest, newest first."""
        ...

    async def forget_rejected(self, before_unix_ms: int) -> int:
        """Remove those from before then; they go on counting. Returns how many there were."""
        ...

    async def claim(self, session: SessionId, node: str, lease_ms: int, *, steal: Steal = "expired") -> bool:
        """Let `node` act for the call for `lease_ms` from now, by the clock of the log. False: another node does.

        A call that nobody has, or that was offered, is free; so is one that `node` has already. `renew` to go on.
        """
        ...

    async def offer(self, session: SessionId) -> None:
        """Leave the call to whichever node claims it first, whoever has it now."""
        ...

    async def renew(self, node: str, lease_ms: int) -> set[SessionId]:
        """Prolong all leases of `node`, expired ones too. The calls that it still has: others may have been claimed by
        another node meanwhile."""
        ...

    async def release(self, session: SessionId, node: str) -> None:
        """`node` is done with the call. Another node's claim is left alone."""
        ...

    async def orphans(self, limit: int, *, expired: bool = True) -> list[SessionId]:
        """Calls that wait for a node: those that were offered and, with `expired`, those whose lease has run out, since
        their node neither released nor renewed it. Longest waiting first."""
        ...

    def watch(self, clock: Clock) -> AsyncIterator[SessionId | None]:
        """The session of each append by another process, until the log is closed; None: any may have changed.

        It only wakes: a session may be named twice or for nothing, and the tables decide.
        """
        ...
