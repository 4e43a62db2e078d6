"""Old faults, put back one by one into the server's own code: the lives must find each of them.

The names are those of a review of the server (2026-11-30). A fault is a function that patches; what it patched is put back
afterwards. These cannot appear in a life, and are found by tests of their own:

    H1c, H1e   a recording that cannot be opened or closed kept the handler from being entered, or its call from being hung
               up: recordings raise nothing any more (api/test_recording: a disk that fails ends the recording and nothing
               else)
    H4         two servers on one SQLite file: the lives' log is in memory, and its lock is taken by `callpath serve`
               (store/test_lock; cli/test_serve: a second server on the same call log)
    H7         a WAV file decoded on the event loop: on a manual clock it takes no time (api/test_sounds: a file is decoded
               once in a thread, the disk is asked in a thread)
    M6         the answer to a bot's own hangup was lost: with M5 (server/test_outbox: a handler that is cancelled)
    M7         all calls of a dead node were recovered at once: a life has one call (server/test_recovery)
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from callpath.api.playing import Player
from callpath.api.queue import AudioQueue, DropOldestQueue
from callpath.api.recording import Recording
from callpath.call import ending
from callpath.server.application import Application, HandlerRun
from callpath.server.journal import Journal
from callpath.server.leases import Leases
from callpath.server.line import AudioLine
from callpath.server.outbox import Outbox
from callpath.server.ownership import Ownership
from tests.simulation.life import draw, live

SEEDS_MAX = 400
"""How many lives are tried."""

Patch = Callable[[object, str, Any], None]


@contextmanager
def _patched(fault: str) -> Iterator[None]:
    before: list[tuple[object, str, Any]] = []

    def patch(owner: object, name: str, value: Any) -> None:
        before.append((owner, name, owner.__dict__[name]))
        setattr(owner, name, value)

    FAULTS[fault][0](patch)
    try:
        yield
    finally:
        for owner, name, value in reversed(before):
            setattr(owner, name, value)


def _h1_reattach(patch: Patch) -> None:
    """A stream that starts again is given to the handler that was cancelled, and the watchdog enters none."""

    def enter(self: Application, *, resumed: bool = True) -> None:
        if self.run is None:
            entered(self, resumed=resumed)

    entered = Application.enter
    patch(Application, "enter", enter)


def _h1_leak(patch: Patch) -> None:
    """Every CancelledError is taken for ours."""
    patch(HandlerRun, "_was_cancelled", lambda _self: True)
    described = HandlerRun._run

    async def run(self: HandlerRun) -> None:
        self._reason = ""
        await described(self)

    patch(HandlerRun, "_run", run)


def _h1_hangup_once(patch: Patch) -> None:
    """A refused hangup is not sent again."""
    due = ending._hangup_due
    patch(ending, "_hangup_due", lambda session, running: None if session.sent("hangup") else due(session, running))


def _h2_disk(patch: Patch) -> None:
    """What the disk raises comes out where the caller's audio is received."""
    receive = Recording.receive

    def old(self: Recording, pcm: Any, rate_hz: int, now_ms: float) -> None:
        if self.path.parent.is_file():
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", str(self.path))
        receive(self, pcm, rate_hz, now_ms)

    patch(Recording, "receive", old)


def _h3_transfer(patch: Patch) -> None:
    """Whoever returns is hung up, whatever was asked for last."""
    patch(ending, "is_handed_on", lambda _session, _since_unix_ms=0: False)


def _h3_speak(patch: Patch) -> None:
    """What Telnyx still speaks is cut off."""
    patch(ending, "_telnyx_done_unix_ms", lambda _session: 0)


def _h5_steal(patch: Patch) -> None:
    """A lease that has run out counts as a dead node at once, after an outage of the log, too; and the node that hears the
    caller gives way."""
    patch(Leases, "may_steal", property(lambda _self: True))
    patch(Ownership, "_has_newest_socket", lambda _self: False)


def _h6_queue(patch: Patch) -> None:
    """Audio waits while nobody reads."""
    patch(AudioQueue, "put", DropOldestQueue.put)
    patch(AudioQueue, "behind", property(lambda self: len(self._items)))


def _m3_acts(patch: Patch) -> None:
    """A node that lost a call goes on with its handler, and sends what it asks for."""
    patch(Application, "cancel_if_useless", _never_for_others(Application.cancel_if_useless))


def _never_for_others(cancel: Any) -> Any:
    def old(self: Application, *, acts: bool, lost_ms: float | None) -> None:
        cancel(self, acts=True, lost_ms=lost_ms)

    return old


def _m4_lost(patch: Patch) -> None:
    """A lost socket of which Telnyx says nothing is not asked for again."""
    patch(AudioLine, "lost_ms", lambda _self, _since_ms: None)


def _m5_cancelled_store(patch: Patch) -> None:
    """Storing is cancelled with the task that wanted it, which may be a handler's."""

    async def store(self: Journal) -> None:
        await self._store_pending()

    patch(Journal, "store", store)

    async def send(self: Outbox, command: Any, leg: Any = None, *, conference: str | None = None) -> str:
        import msgspec

        from callpath.call.plan import derived_command_id

        session = self._journal.session
        assert session.leg is not None
        number = 1 + len(session.sent(command.NAME))
        command_id = derived_command_id(session.leg.call_control_id, command.NAME, number)
        command = msgspec.structs.replace(command, command_id=command_id)
        to = leg or session.leg.call_control_id
        self._note_sent(command, to, conference)
        refusal: list[Any] = []
        await self._carry_out(command, command_id, to, refusal, conference, 0.0)
        if refusal:
            raise refusal[0]
        return command_id

    patch(Outbox, "send", send)


def _m8_replaced(patch: Patch) -> None:
    """A socket that is replaced stays open."""
    new_stream = AudioLine.new_stream

    def old(self: AudioLine, *, raw: bool) -> Any:
        self._close = None
        return new_stream(self, raw=raw)

    patch(AudioLine, "new_stream", old)


def _m9_end(patch: Patch) -> None:
    """The end of a call wakes nobody who waits to play."""
    patch(Player, "end", lambda _self: None)


def _unsure(patch: Patch) -> None:
    """What a failed write stored all the same is stored again."""

    async def nothing(self: Journal) -> None:
        return None

    patch(Journal, "_drop_stored", nothing)


FAULTS: dict[str, tuple[Callable[[Patch], None], int]] = {
    "H1a": (_h1_reattach, 33),
    "H1b": (_h1_leak, 1),
    "H1d": (_h1_hangup_once, 1),
    "H2": (_h2_disk, 820),
    "H3 speak": (_h3_speak, 14),
    "H3 transfer": (_h3_transfer, 39),
    "H5": (_h5_steal, 266),
    "H6": (_h6_queue, 90),
    "M3": (_m3_acts, 26),
    "M4": (_m4_lost, 41),
    "M5": (_m5_cancelled_store, 139),
    "M8": (_m8_replaced, 82),
    "M9": (_m9_end, 12),
    "lost answer of a write": (_unsure, 22),
}
"""Each fault, and a seed whose life tells of it. Where lives have changed, `python -m tests.simulation --faults` finds
others."""


def finding_seed(fault: str, seeds: int = SEEDS_MAX) -> int | None:
    """The first seed whose life tells of the fault; None: none of them."""
    tried: list[int] = [FAULTS[fault][1], *range(seeds)]
    with _patched(fault):
        return next((seed for seed in tried if asyncio.run(live(draw(seed)))), None)


def find_all(seeds: int = SEEDS_MAX) -> int:
    """Put each back, and say which seed found it; how many were not found."""
    missed = 0
    for fault in FAULTS:
        seed = finding_seed(fault, seeds)
        missed += seed is None
        print(f"{fault:24} {'not found' if seed is None else f'found by seed {seed}'}", flush=True)
    return missed
