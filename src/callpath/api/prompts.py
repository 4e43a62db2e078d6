"""What Telnyx was asked to speak, to play and to gather for a call, and how each of these ended.

Telnyx's events do not name the command that they are about. Texts and files are heard in the order of their commands,
so the first event of a kind is about the oldest of that kind that is not over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from callpath.api.results import Gathered, GatherStatus, Spoken, SpokenStatus
from callpath.call.ending import longest_ms
from callpath.call.session import CallSession
from callpath.clock import Clock
from callpath.wire.command import (
    Command,
    Gather,
    GatherUsingAudio,
    GatherUsingSpeak,
    PlaybackStart,
    Speak,
)
from callpath.wire.document import write
from callpath.wire.webhook import CallGatherEnded, CallPayload, CallPlaybackEnded, CallSpeakEnded, Webhook

STOPPED_MS_MAX = 2_000.0
"""How long Telnyx may take to tell the end of what was stopped. Then it counts as interrupted."""

TelnyxGather: TypeAlias = Gather | GatherUsingAudio | GatherUsingSpeak

_KINDS = {
    Speak.NAME: "call.speak.ended",
    PlaybackStart.NAME: "call.playback.ended",
    Gather.NAME: "call.gather.ended",
    GatherUsingAudio.NAME: "call.gather.ended",
    GatherUsingSpeak.NAME: "call.gather.ended",
}
"""Commands that take their time, with the event that tells their end."""

_INTERRUPTED = frozenset({"cancelled", "cancelled_amd", "stopped", "interrupted"})
_GATHERED: dict[str, GatherStatus] = {
    "valid": "valid",
    "invalid": "invalid",
    "timeout": "timeout",
    "call_hangup": "hung_up",
    "cancelled": "cancelled",
    "cancelled_amd": "cancelled",
}


@dataclass(eq=False)
class Prompt:
    """One command that takes its time."""

    kind: str
    until_ms: float
    """When it is certainly over, told or not."""

    over: asyncio.Event = field(default_factory=asyncio.Event)
    payload: CallPayload | None = None
    """What told its end."""

    stopped: bool = False
    """True once it was asked to stop."""


class Prompts:
    """The prompts of one call that are not over."""

    __slots__ = ("_clock", "_ended", "_waiting")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[str, deque[Prompt]] = {}
        self._ended = False

    @property
    def is_gathering(self) -> bool:
        """Telnyx gathers keys."""
        return bool(self._waiting.get(_KINDS[Gather.NAME]))

    def add(self, command: Command) -> Prompt | None:
        """A command is about to be sent; None if it is none that takes its time."""
        kind = _KINDS.get(command.NAME)
        if kind is None:
            return None
        endless = getattr(command, "loop", None) == "infinity"
        return self._add(kind, float("inf") if endless else longest_ms(command.NAME, write(command)))

    def _add(self, kind: str, longest_ms: float) -> Prompt:
        waiting = self._waiting.setdefault(kind, deque())
        since_ms = max([self._clock.now_ms(), *(prompt.until_ms for prompt in waiting)])
        prompt = Prompt(kind, since_ms + longest_ms)
        waiting.append(prompt)
        return prompt

    def add_running(self, session: CallSession) -> None:
        """What an earlier run of the handler asked for, and Telnyx is not done with."""
        for kind in set(_KINDS.values()):
            names = [name for name, told_by in _KINDS.items() if told_by == kind]
            asked = [sent for sent in session.sent(*names) if session.is_accepted(sent.command_id)]
            for sent in asked[len(session.done_by_telnyx.get(kind, ())) :]:
                since_unix_ms = session.sent_unix_ms[sent.command_id]
                left_ms = since_unix_ms + longest_ms(sent.command, sent.body) - self._clock.now_unix_ms()
                if left_ms > 0:
                    self._add(kind, left_ms)

    def drop(self, prompt: Prompt) -> None:
        """Forget a prompt that is over, or was refused."""
        waiting = self._waiting.get(prompt.kind)
        if waiting is not None and prompt in waiting:
            waiting.remove(prompt)

    def stop(self) -> None:
        """Telnyx was asked to stop everything that it speaks and plays."""
        until_ms = self._clock.now_ms() + STOPPED_MS_MAX
        for kind in (_KINDS[Speak.NAME], _KINDS[PlaybackStart.NAME]):
            for prompt in self._waiting.get(kind, ()):
                prompt.stopped, prompt.until_ms = True, min(prompt.until_ms, until_ms)
                prompt.over.set()  # whoever waits looks at the new time

    def receive(self, webhook: Webhook) -> None:
        """An event of the call's own leg came."""
        waiting = self._waiting.get(webhook.event_type)
        if waiting:
            prompt = waiting.popleft()
            prompt.payload = webhook.payload
            prompt.over.set()

    def end(self) -> None:
        """The call is over."""
        self._ended = True
        for waiting in self._waiting.values():
            for prompt in waiting:
                prompt.over.set()
        self._waiting.clear()

    async def spoken(self, prompt: Prompt) -> Spoken:
        """Wait until a text or a file is over."""
        payload = await self._wait(prompt)
        if payload is None:
            status: SpokenStatus = "hung_up" if self._ended else "interrupted" if prompt.stopped else "unknown"
            return Spoken(status)
        assert isinstance(payload, CallSpeakEnded | CallPlaybackEnded)
        told, detail = payload.status, getattr(payload, "status_detail", None)
        if told == "call_hangup":
            status = "hung_up"
        elif prompt.stopped or told in _INTERRUPTED:
            status = "interrupted"
        elif told in ("completed", None):
            status = "completed"
        else:
            status = "unknown" if told == "unknown" else "failed"
        return Spoken(status, detail if detail or told == "completed" else told, payload)

    async def gathered(self, prompt: Prompt) -> Gathered:
        """Wait until a gather of Telnyx's is over."""
        payload = await self._wait(prompt)
        if payload is None:
            return Gathered("", "hung_up" if self._ended else "unknown")
        assert isinstance(payload, CallGatherEnded)
        return Gathered(payload.digits or "", _GATHERED.get(payload.status or "", "unknown"), event=payload)

    async def _wait(self, prompt: Prompt) -> CallPayload | None:
        try:
            while prompt.payload is None and not self._ended:
                until_ms: Any = None if prompt.until_ms == float("inf") else prompt.until_ms
                if not await self._clock.wait(prompt.over, until_ms):
                    break
        finally:
            self.drop(prompt)
        return prompt.payload
