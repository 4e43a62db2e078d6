"""The doctor's word on many calls, in short, for the list.

A call that has ended is judged once: its timeline is read again only from the entry on that was the latest then.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

from fastapi import FastAPI, HTTPException, Query

from callpath.dashboard.documents import Verdict, problems, verdict_document
from callpath.dashboard.door import Context
from callpath.doctor.verdict import Diagnosis
from callpath.timeline import Entry
from callpath.wire.ids import SessionId

if TYPE_CHECKING:
    from callpath.store.port import CallLog

ASKED_MAX = 50
"""Calls in one question: a page of the list."""

KEPT_MAX = 5_000
"""Verdicts kept in memory, some 400 bytes each; the one not asked for the longest goes first."""


def add_routes(api: FastAPI, context: Context) -> None:
    """The list's route."""
    verdicts = Verdicts(context.door.diagnose_call, masked=context.masked)

    @api.get("/verdicts", operation_id="getVerdicts", responses=problems(400))
    async def get_verdicts(
        sessions: Annotated[str, Query(max_length=20_000, description="Session ids with commas between, at most 50.")],
    ) -> list[Verdict]:
        """The doctor's word on each of these calls, in short. One that is not known here is left out."""
        asked = list(dict.fromkeys(filter(None, (one.strip() for one in sessions.split(",")))))
        if not 1 <= len(asked) <= ASKED_MAX:
            raise HTTPException(400, f"sessions: give 1 to {ASKED_MAX} session ids with commas between")
        return await verdicts.of(context.log, map(SessionId, asked))


class Verdicts:
    """What was judged, kept until the call's timeline goes on."""

    def __init__(self, diagnose: Callable[[Sequence[Entry]], Diagnosis | None], *, masked: bool) -> None:
        self._diagnose = diagnose
        self._masked = masked
        self._kept: OrderedDict[SessionId, Verdict] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()
        """Judging is work of the processor's; several at once would only take more of it from the calls' audio."""

    async def of(self, log: CallLog, sessions: Iterable[SessionId]) -> list[Verdict]:
        """Raises StoreError."""
        found: list[Verdict] = []
        for session in sessions:
            async with self._one_at_a_time:
                verdict = await self._of(log, session)
            if verdict is not None:
                found.append(verdict)
        return found

    async def _of(self, log: CallLog, session: SessionId) -> Verdict | None:
        kept = self._kept.get(session)
        if kept is not None and not await log.read(session, after=kept.number):
            self._kept.move_to_end(session)
            return kept
        entries = await log.read(session)
        if not entries:
            return None
        diagnosis = await asyncio.to_thread(self._diagnose, entries)
        verdict = verdict_document(session, entries[-1].number, diagnosis, masked=self._masked)
        self._kept.pop(session, None)
        if diagnosis is not None and diagnosis.call is not None and diagnosis.call.ended_unix_ms is not None:
            self._kept[session] = verdict  # before its end, a call is judged by how long it has been waiting, too
            while len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return verdict
