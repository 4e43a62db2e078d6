"""What is said on a call, as text that Telnyx makes of it.

async with call.transcribe(language="en") as lines:
    async for line in lines:
        if line.is_final:
            ...
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from callpath.api.queue import DropOldestQueue
from callpath.errors import ControlError, LocalProtocolError
from callpath.wire.command import Command, TranscriptionStart, TranscriptionStop
from callpath.wire.ids import LegId
from callpath.wire.webhook import CallTranscription

LINES_MAX = 256
"""Maximum lines that wait for a slow reader; then the oldest is dropped."""


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """One piece of speech as text."""

    text: str
    is_final: bool
    """False: an interim result, which the next one replaces."""

    confidence: float | None
    """0 to 1; None where the engine tells none."""

    track: str | None
    """`inbound` (the party of the leg) or `outbound` (what that party hears); None: the engine does not tell, and it is
    the one track that was asked for."""

    leg_id: LegId
    event: CallTranscription


class Transcription:
    """A transcription of one call: read it with `async for`. It begins with `await`, with `async with`, which also stops
    it, or with the first read. It ends with `stop` or with the handler."""

    def __init__(
        self, start: TranscriptionStart | None, send: Callable[[Command], Awaitable[None]], *, default_track: str | None
    ) -> None:
        self.is_over = False
        self._start: TranscriptionStart | None = start
        """None once it was sent."""
        self._send = send
        self._default_track = default_track
        self._lines = DropOldestQueue[TranscriptLine](limit=LINES_MAX)

    @property
    def dropped(self) -> int:
        """Lines that were dropped because nobody read them."""
        return self._lines.dropped

    async def begin(self) -> Transcription:
        """Ask Telnyx for it, once. Raises ControlError, InvalidRequestError."""
        start, self._start = self._start, None
        if start is not None:
            try:
                await self._send(start)
            except BaseException:
                self.end()
                raise
        return self

    def __await__(self) -> Generator[Any, None, Transcription]:
        return self.begin().__await__()

    async def __aenter__(self) -> Transcription:
        return await self.begin()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.stop()
        except (ControlError, LocalProtocolError):
            return  # the call is over, and its transcription with it

    def __aiter__(self) -> Transcription:
        return self

    async def __anext__(self) -> TranscriptLine:
        await self.begin()
        return await self._lines

    async def stop(self) -> None:
        """End it, once Telnyx has accepted that. Lines that came before can still be read; one that Telnyx sends later is
        in `call.events` only. Does nothing when it is over. Raises ControlError, InvalidRequestError."""
        if self.is_over:
            return
        if self._start is None:
            await self._send(TranscriptionStop())
        self.end()

    def end(self) -> None:
        """No more lines come."""
        self.is_over = True
        self._lines.close()

    def receive(self, payload: CallTranscription) -> None:
        """Telnyx sent a line."""
        data = payload.transcription_data
        if self.is_over or data is None or not data.transcript:
            return
        self._lines.put(
            TranscriptLine(
                text=data.transcript,
                is_final=data.is_final is not False,
                confidence=data.confidence,
                track=data.transcription_track or self._default_track,
                leg_id=payload.call_leg_id,
                event=payload,
            )
        )
