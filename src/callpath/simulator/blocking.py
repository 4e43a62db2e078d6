"""The simulator for code without asyncio, such as most tests: the same calls, each of which returns when it is done.

    with stand_in() as telnyx:
        caller = telnyx.call(say="question.wav")
        caller.wait_for_speech()

It runs in a thread of its own, so a program under test may live in the same process. Do not use it from a running event
loop, which it would hold up; there, use `Simulator`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from callpath.audio.pcm import Pcm
from callpath.simulator.callee import Callee
from callpath.simulator.caller import Caller
from callpath.simulator.ear import Hearing
from callpath.simulator.link import Fault
from callpath.simulator.simulator import Simulator
from callpath.wire.document import Json


@contextmanager
def stand_in(webhook_url: str | None = None, **how: Any) -> Iterator[BlockingSimulator]:
    """A Telnyx simulator until the block is left. Takes what `Simulator` takes."""
    with start_blocking_portal() as portal:
        simulator = portal.call(lambda: Simulator(webhook_url, **how))
        with portal.wrap_async_context_manager(simulator):
            yield BlockingSimulator(simulator, portal)


class BlockingSimulator:
    """`Simulator`, without await."""

    def __init__(self, simulator: Simulator, portal: BlockingPortal) -> None:
        self.simulator = simulator
        """The simulator itself, which lives in another thread: look, but call nothing."""
        self._portal = portal

    @property
    def api_base(self) -> str:
        return self.simulator.api_base

    @property
    def api_key(self) -> str:
        return self.simulator.api_key

    @property
    def public_key(self) -> str:
        return self.simulator.public_key

    @property
    def environment(self) -> dict[str, str]:
        """What the program under test needs to know, as environment variables."""
        return {
            "TELNYX_API_BASE": self.api_base,
            "TELNYX_API_KEY": self.api_key,
            "TELNYX_PUBLIC_KEY": self.public_key,
            "TELNYX_CONNECTION_ID": self.simulator.options.connection_id,
        }

    @property
    def webhook_url(self) -> str | None:
        """Where events go; set it when the program under test is up."""
        return self.simulator.webhook_url

    @webhook_url.setter
    def webhook_url(self, url: str | None) -> None:
        self.simulator.webhook_url = url

    def call(
        self,
        from_: str = "+15555550123",
        to: str = "+15555550199",
        *,
        say: Pcm | Path | str | None = None,
        sample_rate_hz: int | None = None,
        faults: Sequence[Fault | str] = (),
    ) -> BlockingCaller:
        """Let somebody call the application's number. As `Simulator.call`."""
        place = self.simulator.call
        caller = self._portal.call(lambda: place(from_, to, say=say, sample_rate_hz=sample_rate_hz, faults=faults))
        return BlockingCaller(caller, self._portal)

    def set_callee(self, **how: Any) -> None:
        """Set the script of the next dialled party, by the fields of `Callee`."""
        self._portal.call(lambda: self.simulator.set_callee(**how))

    def set_callee_of(self, number: str, script: Callee | str) -> None:
        """What the party at `number` does. As `Simulator.set_callee_of`."""
        self._portal.call(self.simulator.set_callee_of, number, script)

    def next_dialled(self, timeout_ms: float = 10_000) -> BlockingCaller:
        """The next call that the application dials. Raises CallFailed when none is in time."""
        return BlockingCaller(self._portal.call(self.simulator.next_dialled, timeout_ms), self._portal)


class BlockingCaller:
    """`Caller`, without await. Each method raises what its namesake raises."""

    def __init__(self, caller: Caller, portal: BlockingPortal) -> None:
        self.caller = caller
        self._portal = portal

    def say(self, audio: Pcm | Path | str, sample_rate_hz: int | None = None) -> None:
        self._portal.call(self.caller.say, audio, sample_rate_hz)

    def spoken(self, timeout_ms: float = 60_000) -> None:
        self._portal.call(self.caller.spoken, timeout_ms)

    def barge_in(self, audio: Pcm | Path | str, *, after_ms: float = 300, timeout_ms: float = 10_000) -> None:
        interrupt = self.caller.barge_in
        self._portal.call(lambda: interrupt(audio, after_ms=after_ms, timeout_ms=timeout_ms))

    def press(self, digits: str) -> None:
        self._portal.call(self.caller.press, digits)

    def listen(self, duration_ms: float) -> Pcm:
        return self._portal.call(self.caller.listen, duration_ms)

    def stream_started(self, timeout_ms: float = 10_000) -> None:
        self._portal.call(self.caller.stream_started, timeout_ms)

    def wait_for_speech(self, timeout_ms: float = 10_000) -> None:
        self._portal.call(self.caller.wait_for_speech, timeout_ms)

    def wait_for_speech_end(self, timeout_ms: float = 30_000) -> None:
        self._portal.call(self.caller.wait_for_speech_end, timeout_ms)

    def hang_up(self) -> None:
        self._portal.call(self.caller.hang_up)

    def ended(self, timeout_ms: float = 10_000) -> None:
        self._portal.call(self.caller.ended, timeout_ms)

    @property
    def failure(self) -> str | None:
        return self._portal.call(lambda: self.caller.failure)

    @property
    def said(self) -> Pcm:
        return self._portal.call(lambda: self.caller.said)

    @property
    def heard(self) -> Pcm:
        return self._portal.call(lambda: self.caller.heard)

    @property
    def hearing(self) -> Hearing:
        return self._portal.call(lambda: self.caller.hearing)

    def report(self, *, expect_audio: bool = False) -> Json:
        """As `Caller.report`: with `expect_audio`, silence and noise are verdicts too."""
        return self._portal.call(partial(self.caller.report, expect_audio=expect_audio))

    def write_recording(self, path: Path | str) -> None:
        self._portal.call(self.caller.write_recording, path)
