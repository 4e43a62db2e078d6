"""What must hold at each moment of a life, and at its end.

The numbers are those of the issue that asked for them: 1 served or ended, 2 cancelled by us, 3 the last request stands,
4 files, 5 lag, 7 other nodes, 8 an exact timeline, 9 nothing waits for ever.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from callpath.call.session import CallSession, fold
from callpath.timeline import (
    CommandAnswered,
    CommandSent,
    ConsultStarted,
    HandlerEnded,
    HandlerFailed,
    HandlerStarted,
    MediaCounted,
    MediaSymptom,
    RecordingNotStored,
    encode_what,
)
from tests.simulation.world import SESSION

if TYPE_CHECKING:
    from tests.simulation.life import Bot, Plan
    from tests.simulation.world import World

UNSERVED_MS_MAX = 5_000.0
"""How long an answered call may have neither a handler nor anything under way."""

TWO_HANDLERS_MS_MAX = 4_000.0
"""How long a node that lost the call may take to learn of it and to end its handler, which may clean up."""

TRANSFER_MS_MAX = 50_000.0
"""The longest that a transfer which rings for 20 s may take to its outcome, once Telnyx has answered the command."""

COMMAND_MS_MAX = 70_000.0
"""The longest that Telnyx, or the log, may take until a command is answered."""

DEAF_MS_MAX = 30_000.0
"""How long a handler may go on without a stream: ten seconds for Telnyx to connect again, and a request or two."""

WRITTEN_MS_MAX = 5_000.0
"""How long an entry may wait for a log that answers."""

LEFT_UP_MS_MAX = 70_000.0
"""How long a phone that is not wanted any more may be up: Telnyx may be slow, or its webhooks late."""

QUIET_MS = 150_000.0
"""From here on nothing has gone wrong for long enough that everything must have been mended."""


class Checks:
    """Looks at a life while it passes."""

    def __init__(self, world: World, bot: Bot, plan: Plan) -> None:
        self.found: list[str] = []
        self._world = world
        self._bot = bot
        self._plan = plan
        self._unserved_since_ms: float | None = None
        self._two_since_ms: float | None = None
        self._deaf_since_ms = 0.0
        self._two_phones_since_ms = 0.0
        self._written_ms = 0.0
        """When nothing waited to be stored, or the log could not be written."""

    def look(self) -> None:
        """At one moment."""
        self._one_phone()
        self._served()
        self._transfer_ends()
        self._one_handler()
        self._handler_ends_with_the_call()
        self._is_written()

    def _say(self, what: str) -> None:
        at = f"{self._world.clock.now_ms() / 1000:.1f} s"
        if not any(said.startswith(what) for said in self.found):
            self.found.append(f"{what} (at {at})")

    def _session(self) -> CallSession:
        return fold(SESSION, self._world.log.entries)

    def _served(self) -> None:
        """1: an answered call that was not handed on has a handler, or something is under way for it."""
        world, telnyx = self._world, self._world.telnyx
        now_ms = world.clock.now_ms()
        if telnyx.over or telnyx.answered_ms is None or telnyx.leg_b in ("ringing", "joined") or telnyx.is_speaking:
            self._unserved_since_ms = None
            return
        self._has_sound()
        if self._bot.running or self._is_mended():
            self._unserved_since_ms = None
            return
        if self._unserved_since_ms is None:
            self._unserved_since_ms = now_ms
        if now_ms - self._unserved_since_ms > UNSERVED_MS_MAX + 500.0:
            self._say("1: nobody serves the call, and nothing is done about it")

    def _log_is_bad(self) -> bool:
        weather, now_ms = self._world.weather, self._world.clock.now_ms()
        return any(since <= now_ms <= until + 16_000 for since, until in (*weather.log_down, *weather.log_slow))

    def _is_mended(self) -> bool:
        """Something is under way that needs its time: a command, a stream that was asked for, a node that starts."""
        world, weather = self._world, self._world.weather
        now_ms = world.clock.now_ms()
        if self._log_is_bad():
            return True  # nothing can be decided
        if now_ms < QUIET_MS and any(kind == "restart" for _, kind in self._plan.happenings):
            return True  # a new process asks what became of the call; another node waits for the lease to run out
        if now_ms < QUIET_MS and weather.webhook_lost:
            return True  # that the call was answered is not known for a minute
        session = self._session()
        if session.leg is None or not session.answered_unix_ms:
            return True
        now_unix_ms = world.clock.now_unix_ms()
        waits_ms = world.policy.socket_within_ms + 500
        asked = max([session.accepted_unix_ms, *(session.sent_unix_ms[one] for one in session.stream_requests())])
        closed = max([session.closed_unix_ms, *session.stops.values()], default=0)
        reconnects = closed and now_unix_ms < closed + world.policy.reconnect_ms + 500
        hangs_up = (
            bool(session.sent("hangup"))
            and now_unix_ms < session.sent_unix_ms[session.sent("hangup")[-1].command_id] + 62_000
        )
        spoken = (
            session.sent("speak") and now_unix_ms < session.sent_unix_ms[session.sent("speak")[-1].command_id] + 30_000
        )
        return bool(
            now_unix_ms < asked + waits_ms
            or reconnects
            or hangs_up
            or spoken
            or session.unanswered()
            or now_unix_ms < (session.last_unix_ms or 0) + 1_000
        )

    def _has_sound(self) -> None:
        """1: a handler without a stream is no service."""
        world, now_ms = self._world, self._world.clock.now_ms()
        if world.telnyx.socket is not None or not self._bot.running or self._log_is_bad():
            self._deaf_since_ms = now_ms
        elif now_ms > self._deaf_since_ms + DEAF_MS_MAX:
            self._say("1: a handler has had no stream for long")

    def _transfer_ends(self) -> None:
        """3: a handler learns what came of its transfer, and has a caller back whom nobody answered."""
        since_ms, now_ms = self._bot.in_transfer_since_ms, self._world.clock.now_ms()
        if since_ms is not None and now_ms > since_ms + TRANSFER_MS_MAX + COMMAND_MS_MAX:
            self._say("3: a transfer has no outcome")

    def _one_phone(self) -> None:
        """A consult calls one phone, once, and none is left up for a caller who is gone."""
        telnyx, now_ms = self._world.telnyx, self._world.clock.now_ms()
        up = [second for second in telnyx.seconds if not second.over]
        if len(up) < 2 or self._log_is_bad():
            self._two_phones_since_ms = now_ms
        elif now_ms > self._two_phones_since_ms + LEFT_UP_MS_MAX:
            self._say("double dial: two phones are up for one caller")
        asked = {entry.what.command_id for entry in self._world.log.entries if isinstance(entry.what, ConsultStarted)}
        if len(telnyx.seconds) > len(asked) and not self._log_is_bad():
            self._say("double dial: a phone was called for no consult")
        if telnyx.over_ms is not None and up and now_ms > max(telnyx.over_ms, self._plan.weather.until_ms) + 75_000:
            self._say("a phone is left up though the caller is gone")

    def _one_handler(self) -> None:
        """7: a node that lost the call ends its handler."""
        now_ms = self._world.clock.now_ms()
        if self._bot.running < 2:
            self._two_since_ms = None
        elif self._two_since_ms is None:
            self._two_since_ms = now_ms
        elif now_ms > self._two_since_ms + TWO_HANDLERS_MS_MAX and not self._log_is_bad():
            self._say("7: two handlers have the call")

    def _handler_ends_with_the_call(self) -> None:
        """9: a handler of a call that is over does not go on."""
        telnyx, now_ms = self._world.telnyx, self._world.clock.now_ms()
        if telnyx.over_ms is None or not self._bot.running:
            return
        if now_ms > max(telnyx.over_ms, self._plan.weather.until_ms) + 75_000:
            self._say("9: a handler goes on after the end of its call")

    def _is_written(self) -> None:
        """8: what happened during an outage of the log is written soon after it. (A process that dies before that takes
        it along: it stands nowhere else.)"""
        world, now_ms = self._world, self._world.clock.now_ms()
        bad = (*world.weather.log_down, *world.weather.log_slow)
        waits = any(node.alive and node.has_unwritten for node in world.nodes)
        if not waits or any(since <= now_ms < until for since, until in bad):
            self._written_ms = now_ms
        elif now_ms > self._written_ms + WRITTEN_MS_MAX:
            self._say("8: an entry waits though the log answers")

    def before_the_stop(self) -> None:
        """When the life has passed, and the nodes still run."""
        self._ended()
        if any(one.is_open and one.node.alive for one in self._world.telnyx.given_up):
            self._say("9: a socket that was replaced stays open")

    def at_the_end(self) -> None:
        """When all is over."""
        self._say_all(self._world.problems)
        self._exact()
        self._last_request_stands()
        self._outcomes_are_true()
        self._joined()
        self._cancelled_by_us()
        self._nothing_waits()
        self._no_lag()
        self._files()

    def _say_all(self, problems: list[str]) -> None:
        for problem in problems:
            self._say(f"broken: {problem}")

    def _ended(self) -> None:
        """1: at the end the call is over, served, or handed on."""
        telnyx = self._world.telnyx
        if telnyx.over or telnyx.rings or telnyx.leg_b == "joined" or self._bot.running:
            return
        self._say("1: at the end the line is up, and nobody serves it")

    def _exact(self) -> None:
        """8: no entry twice, no command that was not sent, an answer for every command."""
        world = self._world
        entries = world.log.entries
        seen = Counter((entry.at_unix_ms, encode_what(entry.what)) for entry in entries)
        doubled = [
            entry.what
            for entry in entries
            if seen[entry.at_unix_ms, encode_what(entry.what)] > 1 and not isinstance(entry.what, MediaCounted)
        ]
        if doubled:
            self._say(f"8: an entry stands there twice: {type(doubled[0]).__name__}")
        sent = {entry.what.command_id: entry.what for entry in entries if isinstance(entry.what, CommandSent)}
        answered = {entry.what.command_id for entry in entries if isinstance(entry.what, CommandAnswered)}
        for command_id, what in sent.items():
            if command_id in world.interrupted:
                continue  # the process died; within a minute the next one sends it again, unless the call is over
            if command_id not in answered:
                self._say(f"8: {what.command} has no answer")
            if not world.telnyx.received[command_id]:
                self._say(f"8: {what.command} stands there as sent and never was")
        unwritten = set(world.telnyx.received) - set(sent)
        if unwritten - world.died_with:
            self._say("8: a command was sent that does not stand in the timeline")
        if any(not self._is_log_down(world.telnyx.received_ms[command_id]) for command_id in unwritten):
            self._say("8: a command was sent before it was written, though the log could be written")

    def _is_log_down(self, at_ms: float) -> bool:
        """A command that cannot be written is sent all the same: the caller comes first."""
        return any(since <= at_ms <= until for since, until in self._world.weather.log_down)

    def _last_request_stands(self) -> None:
        """3: what the handler asked for last is not undone by our hangup."""
        for at_ms, doing in self._world.telnyx.hangups:
            if doing == "connected" and self._bot.kind in ("transfers", "tries to transfer", "consults"):
                self._say(f"3: a caller who was handed on was hung up at {at_ms / 1000:.1f} s")
            if doing == "speaking" and self._bot.kind == "speaks" and not self._has_failed():
                self._say(f"3: a caller who was spoken to was hung up at {at_ms / 1000:.1f} s")

    def _outcomes_are_true(self) -> None:
        """3: "answered" is said of a caller who was connected, "busy" of one who was not."""
        telnyx = self._world.telnyx
        answers = self._plan.weather.answers_transfer
        untrue = {"busy"} if answers else {"answered", "joined", "declined", "failed"}
        for wrong in sorted(untrue.intersection(self._bot.outcomes)):
            self._say(
                f"3: a transfer is told to be {wrong}, and is not: the other leg is {telnyx.leg_b or 'not there'}"
            )

    def _joined(self) -> None:
        """A caller for whom nothing went wrong but a process was connected, to the one phone that was called."""
        telnyx = self._world.telnyx
        if not self._plan.must_join:
            return
        if telnyx.phones > 1:
            self._say(f"double dial: {telnyx.phones} phones were called")
        if not telnyx.was_joined:
            self._say("a caller was lost: connected to nobody")

    def _has_failed(self) -> bool:
        return any(isinstance(entry.what, HandlerFailed) for entry in self._world.log.entries)

    def _cancelled_by_us(self) -> None:
        """2: a cancellation that the handler let out is its failure."""
        whats = [entry.what for entry in self._world.log.entries]
        if self._bot.kind == "leaks" and any(isinstance(one, HandlerStarted) for one in whats):
            ended = [one for one in whats if isinstance(one, HandlerEnded | HandlerFailed)]
            wrong = [one for one in ended if isinstance(one, HandlerEnded) and not one.reason]
            if wrong:
                self._say("2: a leaked cancellation is told as ours")

    def _nothing_waits(self) -> None:
        """9: what the handler left behind ends with the call."""
        if self._world.telnyx.over and self._bot.waiting and not self._bot.running:
            self._say(f"9: still waits for {', '.join(sorted(self._bot.waiting))}")

    def _no_lag(self) -> None:
        """5: audio that came before the handler read is no lag."""
        late = [
            entry.what
            for entry in self._world.log.entries
            if isinstance(entry.what, MediaSymptom) and entry.what.code == "SYM012"
        ]
        if late and self._bot.kind in ("announces", "listens"):
            self._say("5: a handler that reads is told to be late")

    def _files(self) -> None:
        """4: a recording that cannot be written costs one entry."""
        failed = [entry for entry in self._world.log.entries if isinstance(entry.what, RecordingNotStored)]
        started = sum(isinstance(entry.what, HandlerStarted) for entry in self._world.log.entries)
        if len(failed) > max(1, started):
            self._say("4: a recording failed more than once")
