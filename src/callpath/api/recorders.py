"""Recordings of a call as its handler sees them: our own file, and one that Telnyx makes. Both can be paused and stopped.

recording = await call.record()                 # a WAV file on this machine
recording = await call.record_with_telnyx()     # a file at Telnyx, whose address comes when it is over
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from datetime import datetime
from pathlib import Path
from typing import Any

from callpath.api.recording import Outcome, Recording
from callpath.api.results import Recorded
from callpath.clock import Clock
from callpath.errors import InvalidRequestError
from callpath.timeline import RecordingPaused, RecordingResumed, RecordingSaved, What
from callpath.wire.command import Command, RecordPause, RecordResume, RecordStop
from callpath.wire.webhook import CallRecordingError, CallRecordingSaved, Webhook

SAVED_S_MAX = 10.0
"""How long `stop` waits for Telnyx to say where a recording is."""


class CallRecording:
    """A recording of our own, which `call.record()` gives: a stereo WAV, the caller left, what the caller heard right."""

    def __init__(self, recording: Recording, clock: Clock, note: Callable[[What], None]) -> None:
        self._recording = recording
        self._clock = clock
        self._note = note

    def __await__(self) -> Generator[Any, None, CallRecording]:
        """It runs already: `call.record()` starts it, with `await` and without."""
        yield from ()
        return self

    @property
    def path(self) -> Path:
        """Where the file is, or will be."""
        return self._recording.path

    @property
    def is_paused(self) -> bool:
        """Nothing is kept at the moment."""
        return self._recording.paused

    @property
    def is_over(self) -> bool:
        """It was stopped, its disk has failed, or the call is over."""
        return not self._recording.is_open

    async def pause(self) -> None:
        """Keep nothing from now on: neither what is said or heard in the pause, nor what is sent in it. The file has
        silence instead, so that its time is the call's. Does nothing in a pause. Raises InvalidRequestError
        (`recording_over`)."""
        self._check()
        if not self._recording.paused:
            self._recording.pause(self._clock.now_ms())
            self._note(RecordingPaused(path=str(self.path)))

    async def resume(self) -> None:
        """Record again. Of the caller, what comes within 0.3 s is left out, since it was said in the pause. Raises
        InvalidRequestError (`recording_over`)."""
        self._check()
        if self._recording.paused:
            self._recording.resume(self._clock.now_ms())
            self._note(RecordingResumed(path=str(self.path)))

    async def stop(self) -> Recorded:
        """End it, and wait until the file is closed. Of one that is over: how it ended."""
        self._recording.close(self._clock.now_ms())
        return _recorded(await self._recording.closed())

    def _check(self) -> None:
        if self.is_over:
            raise InvalidRequestError("recording_over", "this recording is over: start another one with call.record()")


class TelnyxRecording:
    """A recording that Telnyx makes and keeps. `await call.record_with_telnyx()` gives it."""

    def __init__(self, send: Callable[[Command], Awaitable[None]], clock: Clock) -> None:
        self._send = send
        self._clock = clock
        self._result: Recorded | None = None
        self._news = asyncio.Event()
        self.is_paused = False
        """Telnyx leaves out what is said."""
        self.is_stopped = False
        """It was asked to stop."""

    @property
    def is_over(self) -> bool:
        """It was stopped, or Telnyx has told its end."""
        return self.is_stopped or self._result is not None

    async def pause(self) -> None:
        """Leave out what follows. Telnyx's file has no gap there: it is shorter by the pause. Returns when Telnyx has
        accepted it, so ask for nothing secret before. Raises ControlError, InvalidRequestError (`recording_over`)."""
        self._check()
        if not self.is_paused:
            await self._send(RecordPause())
            self.is_paused = True

    async def resume(self) -> None:
        """Go on. Raises ControlError, InvalidRequestError (`recording_over`)."""
        self._check()
        if self.is_paused:
            await self._send(RecordResume())
            self.is_paused = False

    async def stop(self, *, within_s: float = SAVED_S_MAX) -> Recorded:
        """End it, and wait at most `within_s` until Telnyx has told where it is. Raises ControlError."""
        if not self.is_over:
            self.is_stopped = True
            try:
                await self._send(RecordStop())
            except BaseException:
                self.is_stopped = False
                raise
        return await self.saved(within_s=within_s)

    async def saved(self, *, within_s: float = SAVED_S_MAX) -> Recorded:
        """Wait until Telnyx tells where the recording is: after `stop`, and after the call's end in a handler's `finally`,
        where at most 4 s are left. The status is `unknown` if nothing was told within `within_s`."""
        until_ms = self._clock.now_ms() + 1000 * within_s
        while self._result is None:
            if not await self._clock.wait(self._news, until_ms):
                return Recorded("unknown")
        return self._result

    def receive(self, payload: CallRecordingSaved | CallRecordingError) -> None:
        """Telnyx told its end."""
        self._result = _told(payload)
        self._news.set()

    def _check(self) -> None:
        if self.is_over:
            raise InvalidRequestError(
                "recording_over", "this recording is over: start another one with call.record_with_telnyx()"
            )


class TelnyxRecordings:
    """Telnyx's recordings of one call. Its events do not name the command that they are about: recordings end in the order
    in which they were started."""

    def __init__(self) -> None:
        self._open: list[TelnyxRecording] = []
        """Those whose end was not told."""

    @property
    def running(self) -> TelnyxRecording | None:
        """The one that runs."""
        return next((one for one in reversed(self._open) if not one.is_over), None)

    def add(self, recording: TelnyxRecording) -> None:
        """One is about to be started."""
        self._open.append(recording)

    def drop(self, recording: TelnyxRecording) -> None:
        """It was refused."""
        if recording in self._open:
            self._open.remove(recording)

    def stop(self) -> None:
        """Telnyx was asked to stop all."""
        for recording in self._open:
            recording.is_stopped = True

    def receive(self, webhook: Webhook) -> None:
        """An event of the call's own leg came."""
        if isinstance(webhook.payload, CallRecordingSaved | CallRecordingError) and self._open:
            self._open.pop(0).receive(webhook.payload)


def _recorded(outcome: Outcome) -> Recorded:
    path = Path(outcome.path)
    if isinstance(outcome, RecordingSaved):
        return Recorded("saved", path=path, duration_ms=outcome.duration_ms)
    recorded_ms = outcome.recorded_ms or 0.0
    return Recorded(
        "failed", path=path if recorded_ms else None, duration_ms=recorded_ms, code=outcome.code, detail=outcome.detail
    )


def _told(payload: CallRecordingSaved | CallRecordingError) -> Recorded:
    if isinstance(payload, CallRecordingError):
        return Recorded("failed", detail=payload.reason, event=payload)
    urls, public = payload.recording_urls, payload.public_recording_urls
    return Recorded(
        "saved",
        duration_ms=_between_ms(payload.recording_started_at, payload.recording_ended_at),
        urls={} if urls is None else {name: url for name in ("wav", "mp3") if (url := getattr(urls, name))},
        public_urls={} if public is None else {name: url for name in ("wav", "mp3") if (url := getattr(public, name))},
        recording_id=payload.recording_id,
        event=payload,
    )


def _between_ms(began: str | None, ended: str | None) -> float | None:
    try:
        return (datetime.fromisoformat(ended or "") - datetime.fromisoformat(began or "")).total_seconds() * 1000
    except (ValueError, TypeError):  # not told, or one with a time zone and one without
        return None
