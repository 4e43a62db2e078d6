"""A call log in this process: for tests, and for trying things out."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator

import msgspec

from callpath.call.dials import is_dial
from callpath.call.overview import CallOverview, encode_overview, fold_overview, parse_overview
from callpath.clock import Clock, SystemClock
from callpath.store.port import (
    DAY_MS,
    DIALLED_MS_MAX,
    MINUTE_MS,
    OFFERED,
    REJECTED_MAX,
    CallQuery,
    DialCounts,
    RejectedRequest,
    Steal,
)
from callpath.timeline import Entry
from callpath.wire.ids import SessionId


class MemoryCallLog:
    """Keeps everything until the process ends."""

    shared = False

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._timelines: dict[SessionId, list[Entry]] = {}
        self._overviews: dict[SessionId, CallOverview] = {}
        self._keys: set[tuple[SessionId, str]] = set()
        self._rejected: deque[RejectedRequest] = deque(maxlen=REJECTED_MAX)
        self._rejected_count = 0
        self._leases: dict[SessionId, tuple[str, int]] = {}
        self._number = 0

    async def append(self, *entries: Entry) -> bool:
        new = [self._append(entry) for entry in entries]
        return any(new)

    def _append(self, entry: Entry) -> bool:
        if entry.key is not None:
            if (entry.session, entry.key) in self._keys:
                return False
            self._keys.add((entry.session, entry.key))
        self._number += 1
        numbered = msgspec.structs.replace(entry, number=self._number)
        timeline = self._timelines.setdefault(entry.session, [])
        timeline.append(numbered)
        overview = self._overviews.setdefault(entry.session, CallOverview(session=entry.session))
        if not overview.apply(numbered):
            self._overviews[entry.session] = fold_overview(entry.session, timeline)
        return True

    async def read(self, session: SessionId, after: int = 0) -> list[Entry]:
        return [entry for entry in self._timelines.get(session, []) if entry.number > after]

    async def overviews(self, query: CallQuery) -> list[CallOverview]:
        rows = [
            one
            for one in self._overviews.values()
            if (query.before is None or (one.first_unix_ms, one.session) < query.before)
            and query.text.lower() in one.search_text
            and query.direction in (None, one.way)
            and query.outcome in (None, one.stored_outcome)
            and (query.placed or query.outcome is not None or not one.placed)
        ]
        newest = sorted(rows, key=lambda one: (one.first_unix_ms, one.session), reverse=True)
        return [_copy(one) for one in newest[: query.limit]]

    async def changes(self, after: int, limit: int) -> list[CallOverview]:
        newer = (one for one in self._overviews.values() if one.number > after and not one.placed)
        rows = sorted(newer, key=lambda one: one.number)
        return [_copy(one) for one in rows[:limit]]

    async def outcomes(self) -> tuple[int, dict[str, int]]:
        return self._number, dict(Counter(one.outcome for one in self._overviews.values() if not one.placed))

    async def dial_counts(self, now_unix_ms: int) -> DialCounts:
        rows = list(self._overviews.values())
        live = [one for one in rows if one.stored_outcome == "live" and one.way == "outgoing"]
        dials = [one for one in rows if one.placed] + [one for one in live if is_dial(one.session)]
        return DialCounts(
            live=sum(one.first_unix_ms > now_unix_ms - DIALLED_MS_MAX for one in live),
            minute=sum(one.first_unix_ms > now_unix_ms - MINUTE_MS for one in dials),
            day=sum(one.first_unix_ms > now_unix_ms - DAY_MS for one in dials),
        )

    async def find(self, identifier: str) -> SessionId | None:
        if not identifier:
            return None
        if identifier in self._timelines:
            return SessionId(identifier)
        for session, entries in self._timelines.items():
            if session.startswith(identifier):
                return session
            if any(identifier in (entry.leg, entry.call_control_id) for entry in entries):
                return session
        return None

    async def forget(self, session: SessionId) -> bool:
        self._keys = {(owner, key) for owner, key in self._keys if owner != session}
        self._overviews.pop(session, None)
        self._leases.pop(session, None)
        return self._timelines.pop(session, None) is not None

    async def silent_since(self, before_unix_ms: int, limit: int) -> list[SessionId]:
        silent = [one for one in self._overviews.values() if one.last_unix_ms < before_unix_ms]
        return [one.session for one in sorted(silent, key=lambda one: one.last_unix_ms)[:limit]]

    async def note_rejected(self, request: RejectedRequest) -> None:
        self._rejected_count += 1
        self._rejected.appendleft(request)

    async def rejected(self, limit: int) -> tuple[int, list[RejectedRequest]]:
        return self._rejected_count, list(self._rejected)[:limit]

    async def forget_rejected(self, before_unix_ms: int) -> int:
        old = sum(request.at_unix_ms < before_unix_ms for request in self._rejected)
        kept = (request for request in self._rejected if request.at_unix_ms >= before_unix_ms)
        self._rejected = deque(kept, maxlen=REJECTED_MAX)
        return old

    async def claim(self, session: SessionId, node: str, lease_ms: int, *, steal: Steal = "expired") -> bool:
        now = self._clock.now_unix_ms()
        holder, until = self._leases.get(session, (OFFERED, 0))
        free = holder in (node, OFFERED) or steal == "always" or (steal == "expired" and until < now)
        if free:
            self._leases[session] = (node, now + lease_ms)
        return free

    async def offer(self, session: SessionId) -> None:
        self._leases[session] = (OFFERED, 0)

    async def renew(self, node: str, lease_ms: int) -> set[SessionId]:
        held = {session for session, (holder, _) in self._leases.items() if holder == node}
        self._leases.update(dict.fromkeys(held, (node, self._clock.now_unix_ms() + lease_ms)))
        return held

    async def release(self, session: SessionId, node: str) -> None:
        if session in self._leases and self._leases[session][0] == node:
            del self._leases[session]

    async def orphans(self, limit: int, *, expired: bool = True) -> list[SessionId]:
        now = self._clock.now_unix_ms() if expired else 1
        waiting = sorted((until, session) for session, (_, until) in self._leases.items() if until < now)
        return [session for _, session in waiting[:limit]]

    async def watch(self, clock: Clock) -> AsyncIterator[SessionId | None]:  # noqa: ARG002 (the port's)
        """Nobody else can append here."""
        return
        yield


def _copy(overview: CallOverview) -> CallOverview:
    """As a store on disk hands it out: it does not change any more."""
    copy = parse_overview(encode_overview(overview))
    assert copy is not None, "written a line above"
    return copy
