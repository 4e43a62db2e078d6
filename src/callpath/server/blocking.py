"""Names the code that blocks the event loop: a `time.sleep` or `requests.get` in a handler stops the audio of every call.

A thread asks the loop ten times a second for a sign of life. While none comes it samples the stack of the loop's thread,
and looks for the innermost frame of the application's own code. While nothing blocks it costs ten wake-ups a second.
"""

from __future__ import annotations

import asyncio
import contextvars
import linecache
import sys
import sysconfig
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType

import structlog

from callpath.clock import Clock
from callpath.timeline import LoopBlocked, describe, kind_of
from callpath.wire.ids import SessionId

ASK_EVERY_MS = 100.0
SAMPLE_EVERY_MS, SAMPLE_EVERY_MS_MAX = 20.0, 1_000.0
"""Between two samples of one blockage: at first, and after growing by a tenth each time."""

SAMPLES_MAX = 200
"""Maximum different places that one blockage is counted at."""

LONG_MS = 5_000.0
"""A blockage is logged once while it lasts, since a loop that never goes on again could not report it."""

AGAIN_MS = 30_000.0
"""How long a place is not reported again for the same call; then its next entry has the number of times."""

REPORT_EVERY_MS = 1_000.0
"""The same for all places together."""

PLACES_MAX = 200
"""Maximum places and calls that are remembered for this."""

CODE_CHARS_MAX = 100

CURRENT_CALL: contextvars.ContextVar[SessionId] = contextvars.ContextVar("callpath_call")
"""Set in a handler's task, and so in every task that the handler starts."""

HANDLER_TASK = "handler of "
"""Begins the name of a handler's task; the call's session follows."""

logger = structlog.get_logger("callpath")


@dataclass(frozen=True, slots=True)
class Sample:
    """Where the loop's thread was at one moment."""

    code: CodeType
    line: int
    instruction: int
    inside: tuple[CodeType, int] | None
    """The innermost frame and its line, where that is another."""
    session: SessionId | None


class BlockWatch:
    """Watches the loop in which `run` runs.

    `blocked_ms`: how long before it is named. `note` puts an entry into a call's timeline; False if there is no such call.
    """

    def __init__(self, *, blocked_ms: float, note: Callable[[SessionId, LoopBlocked], bool], clock: Clock) -> None:
        self._blocked_ms = blocked_ms
        self._note = note
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop
        self._thread_id = 0
        self._outside: frozenset[CodeType] = frozenset()
        """Frames below every callback: the loop itself, and what started it."""
        self._answered_ms = 0.0
        self._quiet: dict[tuple[SessionId | None, CodeType, int], tuple[float, int]] = {}
        """Places that were reported: until when they are not reported again, and how often they blocked since."""
        self._next_report_ms = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        self._loop, self._thread_id = asyncio.get_running_loop(), threading.get_ident()
        self._outside = frozenset(frame.f_code for frame in _stack(sys._getframe(1)))  # noqa: SLF001 (documented)
        stop = threading.Event()
        threading.Thread(target=self._watch, args=(stop,), name="watch for a blocked event loop", daemon=True).start()
        try:
            await self._loop.create_future()
        finally:
            stop.set()

    # --- in the thread -----------------------------------------------------------------------------------------------

    def _watch(self, stop: threading.Event) -> None:
        answered = threading.Event()
        while not stop.wait(ASK_EVERY_MS / 1000):
            answered.clear()
            asked_ms = self._clock.now_ms()
            try:
                self._loop.call_soon_threadsafe(self._answer, answered)
                if not answered.wait(self._blocked_ms / 1000):
                    self._sample_until(answered, asked_ms, stop)
            except RuntimeError:
                return  # the loop is closed

    def _sample_until(self, answered: threading.Event, asked_ms: float, stop: threading.Event) -> None:
        samples: Counter[Sample] = Counter()
        pause_ms, told = SAMPLE_EVERY_MS, False
        while not answered.is_set() and not stop.is_set():
            sample = self._sample()
            if sample is not None and (sample in samples or len(samples) < SAMPLES_MAX):
                samples[sample] += 1
            since_ms = self._clock.now_ms() - asked_ms
            if since_ms >= LONG_MS and samples and not told:
                told = True
                ((worst, _),) = samples.most_common(1)
                _log(_what(worst, since_ms, 1), worst.session, "still blocked")
            answered.wait(pause_ms / 1000)
            pause_ms = min(1.1 * pause_ms, SAMPLE_EVERY_MS_MAX)
        if samples and answered.is_set() and self._answered_ms - asked_ms >= self._blocked_ms:
            self._loop.call_soon_threadsafe(self._report, samples.most_common(1)[0][0], self._answered_ms - asked_ms)

    def _sample(self) -> Sample | None:
        """None where the loop's thread is in the loop itself: the machine gave it no time."""
        innermost = sys._current_frames().get(self._thread_id)  # noqa: SLF001 (documented)
        frames = []
        for frame in _stack(innermost):
            if frame.f_code in self._outside:
                break
            frames.append(frame)
        if not frames or (frames[0].f_code.co_name == "select" and len(frames) == 1):
            return None
        chosen = next((frame for frame in frames if _is_own(frame.f_code.co_filename)), None)
        chosen = chosen or next((frame for frame in frames if not _is_stdlib(frame.f_code.co_filename)), frames[0])
        inside = None if chosen is frames[0] else (frames[0].f_code, frames[0].f_lineno or 0)
        return Sample(chosen.f_code, chosen.f_lineno or 0, chosen.f_lasti, inside, self._session())

    def _session(self) -> SessionId | None:
        """The call whose handler, or a task of whose handler, runs at this moment."""
        task = asyncio.current_task(self._loop)
        if task is None:
            return None
        get_context: Callable[[], contextvars.Context] | None = getattr(task, "get_context", None)
        if get_context is not None:  # from Python 3.12 on
            return get_context().get(CURRENT_CALL)
        _, found, session = task.get_name().partition(HANDLER_TASK)
        return SessionId(session) if found else None

    # --- in the loop -------------------------------------------------------------------------------------------------

    def _answer(self, answered: threading.Event) -> None:
        self._answered_ms = self._clock.now_ms()
        answered.set()

    def _report(self, sample: Sample, blocked_ms: float) -> None:
        now_ms = self._clock.now_ms()
        place = (sample.session, sample.code, sample.line)
        quiet_until_ms, times = self._quiet.pop(place, (0.0, 0))
        if now_ms < max(quiet_until_ms, self._next_report_ms):
            self._quiet[place] = quiet_until_ms, times + 1
            return
        self._next_report_ms = now_ms + REPORT_EVERY_MS
        self._quiet[place] = now_ms + AGAIN_MS, 0
        if len(self._quiet) > PLACES_MAX:
            del self._quiet[next(iter(self._quiet))]
        what = _what(sample, blocked_ms, times + 1)
        if sample.session is None or not self._note(sample.session, what):
            _log(what, sample.session)


def _stack(frame: FrameType | None) -> list[FrameType]:
    """From the innermost frame outwards."""
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _what(sample: Sample, blocked_ms: float, times: int) -> LoopBlocked:
    return LoopBlocked(
        blocked_ms=round(blocked_ms, 1),
        function=sample.code.co_qualname,
        file=_short(sample.code.co_filename),
        line=sample.line,
        code=_expression(sample.code, sample.instruction, sample.line),
        inside=_named(*sample.inside) if sample.inside is not None else None,
        times=times,
    )


def _log(what: LoopBlocked, session: SessionId | None, state: str = "") -> None:
    ids = {} if session is None else {"call_session_id": session}
    said = f"{describe(what)}; it is {state}" if state else describe(what)
    logger.warning(said, event_name=kind_of(what), **ids)


def _named(code: CodeType, line: int) -> str:
    return f"{code.co_qualname} ({_short(code.co_filename)}:{line})"


def _expression(code: CodeType, instruction: int, line: int) -> str:
    """The source of what is executed, for example `time.sleep(3)`: a function written in C has no frame that names it."""
    positions = list(code.co_positions())
    first, last, begin, end = (
        positions[instruction // 2] if instruction // 2 < len(positions) else (line,) + (None,) * 3
    )
    text = linecache.getline(code.co_filename, first or line).rstrip("\n")
    if begin is not None and end is not None:
        raw = text.encode()
        text = (raw[begin:end] if last == first else raw[begin:]).decode(errors="replace")
    text = text.strip()
    return text if len(text) <= CODE_CHARS_MAX else text[:CODE_CHARS_MAX] + "…"


_OURS = str(Path(__file__).parents[1])
_STDLIB = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})
_PACKAGES = ("site-packages", "dist-packages")


def _is_stdlib(file: str) -> bool:
    return file.startswith("<") or (file.startswith(_STDLIB) and not any(name in file for name in _PACKAGES))


def _is_own(file: str) -> bool:
    """The application's own code: neither Python's, nor an installed package, nor callpath."""
    return not _is_stdlib(file) and not file.startswith(_OURS) and not any(name in file for name in _PACKAGES)


def _short(file: str) -> str:
    """Relative to the working directory, or to where packages are installed."""
    for name in _PACKAGES:
        _, found, rest = file.rpartition(f"{name}/")
        if found:
            return rest
    for root in (*_STDLIB, str(Path.cwd())):
        if file.startswith(root + "/"):
            return file[len(root) + 1 :]
    return file
